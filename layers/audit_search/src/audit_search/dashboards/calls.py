"""What the dashboards show of CloudTrail's events: queries, searches, and the graphs of Overview, Security and Errors."""

from __future__ import annotations

from typing import Final

from audit_search.dashboards import alerts
from audit_search.dashboards.panels import Filters, Metric, Panel, Search, Terms, Time

TRAIL: Final = alerts.TRAIL
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

_EVENT_COLUMNS: Final = ("ct.outcome", "eventSource", "eventName", "ct.caller", "sourceIPAddress", "awsRegion", "errorCode")
_WHO_COLUMNS: Final = ("eventName", "ct.caller", "userIdentity.arn", "sourceIPAddress", "awsRegion", "errorCode")
_CALLER: Final = Terms("ct.caller", "Caller")
_SERVICE: Final = Terms("eventSource", "Service")
_CALL: Final = Terms("eventName", "API call")

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
)

OVERVIEW: Final = (
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

SECURITY: Final = (
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

FAILURES: Final = (
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
