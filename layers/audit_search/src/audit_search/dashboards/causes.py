"""What the dashboards show of the calls that caused a change: the fields `cfg.causedBy.*`, which the links of causes fill.

A change that several calls made counts for each of them. What is not linked yet, or has no cause that is likely, is a row of its
own, so that the rows add up to all changes.
"""

from __future__ import annotations

from typing import Final

from audit_search.dashboards.panels import Filters, Metric, Panel, Search, Terms, Time

VERSIONS: Final = "config-history"
CHANGED: Final = "cfg.changeCount:>0"
CAUSED: Final = f"{CHANGED} AND _exists_:cfg.causedBy.eventId"
UNEXPLAINED: Final = f"{CHANGED} AND _exists_:cfg.causedBy.verdict AND NOT _exists_:cfg.causedBy.eventId"
SURE: Final = "cfg.causedBy.score:>=0.9"
LIKELY: Final = "_exists_:cfg.causedBy.score AND NOT cfg.causedBy.score:>=0.9"
BY_AWS: Final = "cfg.causedBy.verdict:aws-internal"
NONE: Final = "cfg.causedBy.verdict:none-found"
NOT_RECORDED: Final = "cfg.causedBy.verdict:not-recorded"
NOT_YET: Final = "NOT _exists_:cfg.causedBy.verdict"
_CAPTURED: Final = "configurationItemCaptureTime"
_KNOWN: Final = Filters(
    (
        ("A call, 0.9 or more", SURE),
        ("A call, less than 0.9", LIKELY),
        ("AWS itself, no call", BY_AWS),
        ("No cause found", NONE),
        ("Calls of then not recorded", NOT_RECORDED),
        ("Not looked at yet", NOT_YET),
    )
)
_METRICS: Final = (Metric("Changes"), Metric("Resources", "cardinality", "cfg.resource"), Metric("Last change", "max", _CAPTURED))

PANELS: Final = (
    Panel(
        "changes-by-caller",
        "Who changed resources",
        "Whose calls caused changes, of how many resources, and when last; a change that several made counts for each",
        "table",
        VERSIONS,
        (Terms("cfg.causedBy.caller", "Caller", 50),),
        _METRICS,
        CAUSED,
    ),
    Panel(
        "changes-by-api",
        "Changes by the API call that caused them",
        "Which calls caused changes, of how many resources, and when last",
        "table",
        VERSIONS,
        (Terms("cfg.causedBy.eventName", "API call", 50),),
        _METRICS,
        CAUSED,
    ),
    Panel(
        "changes-by-certainty",
        "Changes: how sure their cause is",
        "How many changes have a call that caused them, by the score of the best one, and why the others have none",
        "table",
        VERSIONS,
        (_KNOWN,),
        _METRICS,
        CHANGED,
    ),
    Panel(
        "changes-caused-over-time",
        "Changes over time, by what is known of their cause",
        "When changes came about that no call explains",
        "histogram",
        VERSIONS,
        (Time(_CAPTURED, "Time of the change"), _KNOWN),
        (Metric("Changes"),),
        CHANGED,
    ),
)

SEARCHES: Final = (
    Search(
        "unexplained-changes",
        "Changes without a known cause",
        "Each change that was looked at and that no call explains, and why none does",
        VERSIONS,
        ("resourceType", "resourceId", "cfg.changeLines", "cfg.causedBy.verdict", "cfg.causedBy.reason", "awsRegion"),
        UNEXPLAINED,
        _CAPTURED,
    ),
)
COLUMNS: Final = ("cfg.causedBy.caller", "cfg.causedBy.eventName", "cfg.causedBy.score")
"""Who, by what and how sure: the columns of a table of changes."""
