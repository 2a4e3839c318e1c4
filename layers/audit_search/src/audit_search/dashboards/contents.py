"""What the dashboards show: searches, visualisations and how they stand together, as people read and change them."""

from __future__ import annotations

from typing import Final

from audit_search.dashboards import alerts, causes
from audit_search.dashboards.panels import Board, Controls, Filters, Metric, Panel, Search, Terms, Time

TRAIL: Final = alerts.TRAIL
VERSIONS: Final = causes.VERSIONS
LATEST: Final = "config-current"
HEALTH: Final = "config-events"

FAILED: Final = "ct.outcome:failure"
SIGN_INS: Final = "eventName:ConsoleLogin"
ROOT: Final = "userIdentity.type:Root AND NOT _exists_:userIdentity.invokedBy AND NOT eventType:AwsServiceEvent"
DENIED: Final = "errorCode:(AccessDenied* OR *UnauthorizedOperation OR *NotAuthorized* OR AuthorizationError)"
IDENTITY: Final = "eventSource:iam.amazonaws.com AND NOT readOnly:true"
NETWORK: Final = (
    "eventSource:ec2.amazonaws.com AND NOT readOnly:true AND eventName:(*SecurityGroup* OR *NetworkAcl* OR *Route* OR *Gateway* "
    "OR *Vpc*)"
)
TRAILS: Final = "eventSource:(cloudtrail.amazonaws.com OR config.amazonaws.com) AND NOT readOnly:true"
WITHOUT_MFA: Final = "eventName:ConsoleLogin AND ct.consoleLogin:Success AND NOT ct.mfaUsed:Yes"
COMPLIANCE: Final = "messageType:ComplianceChangeNotification"
CHANGED: Final = causes.CHANGED
EXISTING: Final = "cfg.deleted:false"

_EVENT_COLUMNS: Final = ("ct.outcome", "eventSource", "eventName", "ct.caller", "sourceIPAddress", "awsRegion", "errorCode")
_WHO_COLUMNS: Final = ("eventName", "ct.caller", "userIdentity.arn", "sourceIPAddress", "awsRegion", "errorCode")
_CAPTURED: Final = "configurationItemCaptureTime"
_CALLER: Final = Terms("ct.caller", "Caller")
_SERVICE: Final = Terms("eventSource", "Service")
_CALL: Final = Terms("eventName", "API call")
_RESOURCES: Final = (Metric("Resources"),)
_CHANGES: Final = (Metric("Changes"),)

SEARCHES: Final = (
    Search("events", "All events", "Each event of CloudTrail, the newest first", TRAIL, _EVENT_COLUMNS),
    Search(
        "failed-calls",
        "Failed calls with their messages",
        "What failed, for whom, and what AWS said about it",
        TRAIL,
        ("eventSource", "eventName", "errorCode", "errorMessage", "ct.caller", "sourceIPAddress", "awsRegion"),
        FAILED,
    ),
    Search(
        "sign-ins",
        "Console sign-ins",
        "Who signed in to the console or tried to, from where, and whether with a second factor",
        TRAIL,
        ("ct.caller", "ct.consoleLogin", "ct.mfaUsed", "sourceIPAddress", "errorMessage", "userAgent"),
        SIGN_INS,
    ),
    Search("root-use", "Use of the root user", "Each call that the root user made itself", TRAIL, _WHO_COLUMNS, ROOT),
    Search("identity-changes", "Changes of identity (IAM)", "Calls of IAM that are not read-only", TRAIL, _WHO_COLUMNS, IDENTITY),
    Search(
        "network-changes",
        "Changes of the network",
        "Security groups, network ACLs, routes, gateways and VPCs: calls that are not read-only",
        TRAIL,
        _WHO_COLUMNS,
        NETWORK,
    ),
    Search(
        "recording-changes",
        "Changes of the recording",
        "Calls of CloudTrail and AWS Config that are not read-only",
        TRAIL,
        _WHO_COLUMNS,
        TRAILS,
    ),
    alerts.SEARCH,
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

_OVERVIEW: Final = (
    Panel(
        "events-by-outcome",
        "Events over time, by outcome",
        "How much happens, and how much of it fails",
        "histogram",
        TRAIL,
        (Time("eventTime", "Time of the event"), Terms("ct.outcome", "Outcome", 2)),
    ),
    Panel(
        "how-many-events",
        "Events, callers and services",
        "How many events there are, by how many different callers, at how many services",
        "metric",
        TRAIL,
        (),
        (Metric("Events"), Metric("Callers", "cardinality", "ct.identity"), Metric("Services", "cardinality", "eventSource")),
    ),
    Panel(
        "freshness",
        "Freshness: newest event, last arrival",
        "When the newest event happened, and when the last one was indexed (UTC unless Dashboards is set otherwise)",
        "metric",
        TRAIL,
        (),
        (Metric("Newest event", "max", "eventTime"), Metric("Last arrival", "max", "ct.ingestTime")),
    ),
    Panel(
        "freshness-by-region",
        "Freshness by account and region",
        "When the newest event of each account and region happened: one that has fallen silent stands out",
        "table",
        TRAIL,
        (Terms("recipientAccountId", "Account", 50), Terms("awsRegion", "Region", 20)),
        (Metric("Events"), Metric("Newest event", "max", "eventTime")),
    ),
    Panel("top-callers", "Top callers", "Who calls most", "table", TRAIL, (Terms("ct.caller", "Caller", 50),)),
    Panel("top-services", "Services", "Which services are called most", "horizontal_bar", TRAIL, (_SERVICE,)),
    Panel("facet-region", "Regions", "Where the calls go", "table", TRAIL, (Terms("awsRegion", "Region", 40),)),
    Panel("facet-error", "Error codes", "Which errors there are", "table", TRAIL, (Terms("errorCode", "Error code", 100),)),
    Panel("facet-event", "API calls", "Which calls are made", "table", TRAIL, (Terms("eventName", "API call", 100),)),
    Panel(
        "facet-source",
        "Source addresses",
        "Where calls come from: addresses, and services that call on somebody's behalf",
        "table",
        TRAIL,
        (Terms("sourceIPAddress", "Source", 100),),
    ),
    Panel(
        "sign-in-results",
        "Console sign-ins over time, by result",
        "How many sign in to the console, and how many are turned away",
        "histogram",
        TRAIL,
        (Time("eventTime", "Time of the event"), Terms("ct.consoleLogin", "Result", 5)),
        query=SIGN_INS,
    ),
)
_SECURITY: Final = (
    Panel(
        "security-kinds",
        "What to look at first",
        "How often each of these happened: root, sign-ins that failed or had no second factor, refusals, changes",
        "table",
        TRAIL,
        (
            Filters(
                (
                    ("Use of the root user", ROOT),
                    ("Console sign-in failed", "eventName:ConsoleLogin AND ct.consoleLogin:Failure"),
                    ("Console sign-in without MFA", WITHOUT_MFA),
                    ("Call refused (not authorised)", DENIED),
                    ("Identity changed (IAM)", IDENTITY),
                    ("Network changed", NETWORK),
                    ("Recording changed (CloudTrail, AWS Config)", TRAILS),
                )
            ),
        ),
    ),
    Panel(
        "refused-over-time",
        "Refused calls over time, by caller",
        "Who is refused, and whether it comes in bursts",
        "histogram",
        TRAIL,
        (Time("eventTime", "Time of the event"), _CALLER),
        query=DENIED,
    ),
    Panel(
        "refused-calls",
        "Refused calls: caller, service and call",
        "What those who are refused were trying",
        "table",
        TRAIL,
        (Terms("ct.caller", "Caller", 20), Terms("eventSource", "Service", 5), Terms("eventName", "API call", 5)),
        query=DENIED,
    ),
    Panel(
        "sign-ins-by-mfa",
        "Console sign-ins: result and second factor",
        "How many sign in with and without MFA",
        "pie",
        TRAIL,
        (Terms("ct.consoleLogin", "Result", 5), Terms("ct.mfaUsed", "MFA used", 5)),
        query=SIGN_INS,
    ),
    Panel(
        "sign-in-sources",
        "Console sign-ins: source, caller and result",
        "From where each caller signs in",
        "table",
        TRAIL,
        (Terms("sourceIPAddress", "Source", 20), Terms("ct.caller", "Caller", 5), Terms("ct.consoleLogin", "Result", 2)),
        query=SIGN_INS,
    ),
    Panel(
        "identity-changers",
        "Changes of identity: who and what",
        "Who changes users, roles, keys and policies",
        "table",
        TRAIL,
        (Terms("ct.caller", "Caller", 20), Terms("eventName", "API call", 10)),
        query=IDENTITY,
    ),
    Panel(
        "network-changers",
        "Changes of the network: who and what",
        "Who changes security groups, ACLs, routes, gateways and VPCs",
        "table",
        TRAIL,
        (Terms("ct.caller", "Caller", 20), Terms("eventName", "API call", 10)),
        query=NETWORK,
    ),
    Panel(
        "identity-types",
        "Kinds of identity over time",
        "Who acts: roles, users, services, root",
        "histogram",
        TRAIL,
        (Time("eventTime", "Time of the event"), Terms("userIdentity.type", "Kind of identity", 8)),
    ),
)
_FAILURES: Final = (
    Panel(
        "failures-over-time",
        "Failed calls over time, by error code",
        "When it began, and which error it is",
        "histogram",
        TRAIL,
        (Time("eventTime", "Time of the event"), Terms("errorCode", "Error code", 8)),
        (Metric("Failed calls"),),
        FAILED,
    ),
    Panel(
        "failures-by-call",
        "Error code, API call and caller",
        "What fails, where, and for whom",
        "table",
        TRAIL,
        (Terms("errorCode", "Error code", 20), Terms("eventName", "API call", 5), Terms("ct.caller", "Caller", 5)),
        (Metric("Failed calls"),),
        FAILED,
    ),
    Panel(
        "failing-callers",
        "Callers with most failed calls",
        "Who has the trouble",
        "horizontal_bar",
        TRAIL,
        (_CALLER, Terms("errorCode", "Error code", 5)),
        (Metric("Failed calls"),),
        FAILED,
    ),
    Panel(
        "failing-services",
        "Services with most failed calls",
        "Where the trouble is",
        "horizontal_bar",
        TRAIL,
        (_SERVICE, Terms("errorCode", "Error code", 5)),
        (Metric("Failed calls"),),
        FAILED,
    ),
    Panel(
        "error-messages",
        "Error messages",
        "What AWS says, most frequent first",
        "table",
        TRAIL,
        (Terms("errorMessage", "Message", 50),),
        (Metric("Failed calls"), Metric("Callers", "cardinality", "ct.identity")),
        FAILED,
    ),
)
_RESOURCE_PANELS: Final = (
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
PANELS: Final = (*_OVERVIEW, *alerts.PANELS, *_SECURITY, *_FAILURES, *_RESOURCE_PANELS, *causes.PANELS)

CONTROLS: Final = (
    Controls(
        "event-filters",
        "Filters: account, region, call, caller, source, error",
        TRAIL,
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
        VERSIONS,
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
