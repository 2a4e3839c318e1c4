"""What the dashboards show: searches, visualisations and how they stand together, as people read and change them."""

from __future__ import annotations

from typing import Final

from audit_search.dashboards import alerts, calls, causes, resources
from audit_search.dashboards.panels import Board, Controls

SEARCHES: Final = (*calls.SEARCHES, alerts.SEARCH, *resources.SEARCHES)
PANELS: Final = (*calls.OVERVIEW, *alerts.PANELS, *calls.SECURITY, *calls.FAILURES, *resources.PANELS, *causes.PANELS)

CONTROLS: Final = (
    Controls(
        "event-filters",
        "Filters: account, region, call, caller, source, error",
        calls.TRAIL,
        (
            ("recipientAccountId", "Account"),
            ("awsRegion", "Region"),
            ("eventName", "API call"),
            ("ct.caller", "Caller"),
            ("sourceIPAddress", "Source address"),
            ("errorCode", "Error code"),
        ),
    ),
    Controls(
        "resource-filters",
        "Filters: account, region, type, resource",
        resources.VERSIONS,
        (("awsAccountId", "Account"), ("awsRegion", "Region"), ("resourceType", "Type"), ("resourceId", "Resource")),
    ),
)

BOARDS: Final = (
    Board(
        "overview",
        "Audit Search: Overview",
        "What happens in the accounts, who does it, from where, and whether the data is fresh",
        "now-24h",
        (
            (9, (("event-filters", 48),)),
            (8, (("how-many-events", 24), ("freshness", 24))),
            (14, (("events-by-outcome", 48),)),
            (16, (("top-callers", 16), ("top-services", 16), ("sign-in-results", 16))),
            (16, (("facet-region", 12), ("facet-error", 12), ("facet-event", 12), ("facet-source", 12))),
            (14, (("freshness-by-region", 48),)),
            (20, (("events", 48),)),
        ),
    ),
    Board(
        "security",
        "Audit Search: Security",
        "Alerts, root, sign-ins, refusals, and changes of identity, network and recording",
        "now-7d",
        (
            (9, (("event-filters", 48),)),
            (14, (("alerts-by-severity", 20), ("alerts-over-time", 28))),
            (16, (("alerts-by-rule", 24), ("alerts-by-caller", 24))),
            (18, (("alerts", 48),)),
            (16, (("security-kinds", 20), ("refused-over-time", 28))),
            (16, (("refused-calls", 20), ("sign-ins-by-mfa", 12), ("sign-in-sources", 16))),
            (16, (("identity-changers", 16), ("network-changers", 16), ("identity-types", 16))),
            (14, (("root-use", 24), ("sign-ins", 24))),
            (16, (("identity-changes", 24), ("network-changes", 24))),
            (14, (("recording-changes", 48),)),
        ),
    ),
    Board(
        "errors",
        "Audit Search: Errors: why did it fail",
        "Failed calls by error, call and caller, with the messages",
        "now-24h",
        (
            (9, (("event-filters", 48),)),
            (14, (("failures-over-time", 48),)),
            (18, (("failures-by-call", 24), ("error-messages", 24))),
            (14, (("failing-callers", 24), ("failing-services", 24))),
            (20, (("failed-calls", 48),)),
        ),
    ),
    Board(
        "resources",
        "Audit Search: Resources",
        "What changed on which resource, by whom, before and after, compliance, and the latest state of everything (AWS Config)",
        "now-7d",
        (
            (9, (("resource-filters", 48),)),
            (8, (("how-many-changes", 24), ("config-freshness", 24))),
            (14, (("changes-over-time", 48),)),
            (16, (("most-changed", 24), ("changed-paths", 24))),
            (16, (("changes-by-caller", 24), ("changes-by-api", 24))),
            (16, (("changes-by-certainty", 20), ("changes-caused-over-time", 28))),
            (20, (("resource-changes", 48),)),
            (14, (("unexplained-changes", 48),)),
            (14, (("compliance-over-time", 24), ("compliance-rules", 24))),
            (14, (("compliance-changes", 48),)),
            (16, (("resource-types", 24), ("resource-regions", 24))),
            (18, (("latest-states", 48),)),
        ),
    ),
)
