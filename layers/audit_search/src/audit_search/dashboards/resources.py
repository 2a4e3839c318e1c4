"""What the dashboards show of AWS Config's documents: queries, searches and graphs of changes, states and compliance."""

from __future__ import annotations

from typing import Final

from audit_search.dashboards import causes
from audit_search.dashboards.panels import Metric, Panel, Search, Terms, Time

VERSIONS: Final = causes.VERSIONS
LATEST: Final = "config-current"
HEALTH: Final = "config-events"

COMPLIANCE: Final = "messageType:ComplianceChangeNotification"
CHANGED: Final = causes.CHANGED
EXISTING: Final = "cfg.deleted:false"

_CAPTURED: Final = "configurationItemCaptureTime"
_RESOURCES: Final = (Metric("Resources"),)
_CHANGES: Final = (Metric("Changes"),)

SEARCHES: Final = (
    Search(
        "resource-changes",
        "What changed: before and after",
        "Each version of a resource that differs from the one before, a line for each change, and whose call caused it",
        VERSIONS,
        ("resourceType", "resourceId", "cfg.changeLines", *causes.COLUMNS, "awsRegion", "awsAccountId"),
        CHANGED,
        _CAPTURED,
    ),
    *causes.SEARCHES,
    Search(
        "latest-states",
        "Latest state of each resource",
        "What AWS Config knows of each resource that is not deleted; the time at the top does not matter here",
        LATEST,
        (_CAPTURED, "resourceType", "resourceId", "resourceName", "configurationItemStatus", "awsRegion", "cfg.tagList"),
        EXISTING,
        _CAPTURED,
    ),
    Search(
        "compliance-changes",
        "Changes of compliance",
        "What AWS Config's rules said, when it changed",
        HEALTH,
        ("configRuleName", "resourceType", "resourceId", "previousComplianceType", "complianceType", "annotation"),
        COMPLIANCE,
    ),
)

PANELS: Final = (
    Panel(
        "how-many-changes",
        "Changes, resources and accounts",
        "How many changes there are, of how many different resources, in how many accounts",
        "metric",
        VERSIONS,
        (),
        (
            Metric("Changes"),
            Metric("Resources", "cardinality", "cfg.resource"),
            Metric("Accounts", "cardinality", "awsAccountId"),
        ),
        CHANGED,
    ),
    Panel(
        "config-freshness",
        "Freshness: newest version, last arrival",
        "When the newest version of a resource was captured, and when the last one was indexed",
        "metric",
        VERSIONS,
        (),
        (Metric("Newest version", "max", _CAPTURED), Metric("Last arrival", "max", "cfg.ingestTime")),
    ),
    Panel(
        "changes-over-time",
        "Changes of resources over time, by type",
        "When what kind of resource changed",
        "histogram",
        VERSIONS,
        (Time(_CAPTURED, "Time of the change"), Terms("resourceType", "Type", 8)),
        _CHANGES,
        CHANGED,
    ),
    Panel(
        "most-changed",
        "Most changed resources",
        "Which resources change most, and when last",
        "table",
        VERSIONS,
        (Terms("resourceType", "Type", 20), Terms("resourceId", "Resource", 5)),
        (Metric("Changes"), Metric("Last change", "max", _CAPTURED)),
        CHANGED,
    ),
    Panel(
        "changed-paths",
        "What is changed most",
        "Which parts of resources change",
        "table",
        VERSIONS,
        (Terms("cfg.changedPaths", "Path", 50),),
        _CHANGES,
    ),
    Panel(
        "resource-types",
        "Resources by type",
        "How many resources of each type there are now; the time at the top does not matter here",
        "horizontal_bar",
        LATEST,
        (Terms("resourceType", "Type", 15),),
        _RESOURCES,
        EXISTING,
    ),
    Panel(
        "resource-regions",
        "Resources by account and region",
        "Where resources are now; the time at the top does not matter here",
        "table",
        LATEST,
        (Terms("awsAccountId", "Account", 50), Terms("awsRegion", "Region", 20)),
        _RESOURCES,
        EXISTING,
    ),
    Panel(
        "compliance-over-time",
        "Changes of compliance over time, by result",
        "When rules began to fail, or to hold again",
        "histogram",
        HEALTH,
        (Time("eventTime", "Time of the event"), Terms("complianceType", "Result", 4)),
        _CHANGES,
        COMPLIANCE,
    ),
    Panel(
        "compliance-rules",
        "Changes of compliance: rule and result",
        "Which rules fail most often",
        "table",
        HEALTH,
        (Terms("configRuleName", "Rule", 50), Terms("complianceType", "Result", 4)),
        _CHANGES,
        COMPLIANCE,
    ),
)
