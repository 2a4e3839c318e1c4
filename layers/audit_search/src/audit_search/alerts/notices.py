"""What people and programs are told of one event that met one alert rule.

Everything that comes from a log is third-party text: it is cut, and what could steer a terminal or a mail reader is replaced.
https://docs.aws.amazon.com/sns/latest/dg/sns-send-custom-platform-specific-payloads-mobile-devices.html (message structure)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from audit_search.alerts.matching import Rule
from audit_search.documents import MAX_ID_BYTES, parse_time

VERSION: Final = 1
"""Of the message's form; a field that changes its meaning makes a new one."""
_CUT: Final = 512
_MAX_RESOURCES: Final = 5
_SUBJECT: Final = 100  # what SNS takes, in ASCII
_AROUND: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Event:
    """What a notice says of an event: plain texts, empty where the event does not say. `id` is that of its document."""

    id: str
    index: str
    time: str
    source: str
    name: str
    account: str
    region: str
    caller: str
    identity: str
    ip: str
    agent: str
    outcome: str
    error: str
    message: str
    resources: tuple[str, ...] = ()

    @classmethod
    def of(cls, identity: str, index: str, document: Mapping[str, Any]) -> Event:
        """The event of a document as it is sent to the engine; a document of any shape is taken."""
        ct = document.get("ct")
        ours = ct if isinstance(ct, Mapping) else {}
        found = document.get("resources")
        listed = found if isinstance(found, list) else []
        arns = [plain(one.get("ARN")) for one in listed if isinstance(one, Mapping)]
        return cls(
            id=identity,
            index=index,
            time=plain(document.get("eventTime")),
            source=plain(document.get("eventSource")),
            name=plain(document.get("eventName")),
            account=plain(document.get("recipientAccountId") or document.get("userIdentity.accountId")),
            region=plain(document.get("awsRegion")),
            caller=plain(ours.get("caller")),
            identity=plain(ours.get("identity")),
            ip=plain(document.get("sourceIPAddress")),
            agent=plain(document.get("userAgent")),
            outcome=plain(ours.get("outcome")),
            error=plain(document.get("errorCode")),
            message=plain(document.get("errorMessage")),
            resources=tuple(arn for arn in arns if arn)[:_MAX_RESOURCES],
        )


@dataclass(frozen=True, slots=True)
class Notice:
    """One event and one rule that it met; `link` leads to the event, empty where nobody knows where it can be seen."""

    rule: Rule
    event: Event
    link: str = ""

    @property
    def id(self) -> str:
        """The same for each delivery of the event: its id and the rule's name, no longer than an id may be."""
        found = f"{self.event.id}:{self.rule.name}"
        if len(found.encode()) <= MAX_ID_BYTES:
            return found
        return f"sha256-{hashlib.sha256(found.encode()).hexdigest()}"

    @property
    def subject(self) -> str:
        """One line of ASCII: `[page] root-sign-in: root in 111122223333, eu-central-1`."""
        event = self.event
        where = ", ".join(filter(None, (event.account, event.region)))
        text = f"[{self.rule.tier}] {self.rule.name}: {event.caller or 'somebody'}{' in ' if where else ''}{where}"
        text = text.encode("ascii", "replace").decode()
        return text if len(text) <= _SUBJECT else f"{text[: _SUBJECT - 3]}..."

    @property
    def attributes(self) -> dict[str, str]:
        """What the filter policies of subscriptions can ask for."""
        rule, event = self.rule, self.event
        of_rule = {"severity": rule.severity, "tier": rule.tier, "rule": rule.name}
        return {**of_rule, "account": event.account or "unknown", "region": event.region or "unknown"}

    def message(self) -> str:
        """The texts of an SNS message by protocol: JSON for programs, lines for e-mail, one line for text messages."""
        body = json.dumps(self.body(), ensure_ascii=False)
        return json.dumps({"default": body, "email": self.mail(), "sms": self.subject}, ensure_ascii=False)

    def body(self) -> dict[str, Any]:
        """What programs are told."""
        rule, event = self.rule, self.event
        return {
            "version": VERSION,
            "kind": "event",
            "id": self.id,
            "rule": rule.name,
            "title": rule.title,
            "severity": rule.severity,
            "tier": rule.tier,
            "who": {"caller": event.caller, "identity": event.identity, "userAgent": event.agent},
            "what": {"eventName": event.name, "eventSource": event.source, "resources": list(event.resources)},
            "where": {"account": event.account, "region": event.region, "sourceIPAddress": event.ip},
            "when": event.time,
            "outcome": event.outcome,
            "error": {"code": event.error, "message": event.message} if event.error or event.message else None,
            "means": rule.means,
            "do": rule.do,
            "link": self.link,
            "event": {"id": event.id, "index": event.index},
        }

    def mail(self) -> str:
        """What people read; an address inside third-party text is not one that can be clicked on."""
        rule, event = self.rule, self.event
        rows = (
            ("When", event.time),
            ("Who", _named(event.caller, event.identity)),
            ("What", f"{event.name} ({event.source})"),
            ("On", ", ".join(event.resources)),
            ("Result", ": ".join(filter(None, (event.error, event.message))) or event.outcome),
            ("Account", event.account),
            ("Region", event.region),
            ("From", event.ip),
            ("With", event.agent),
        )
        facts = [f"{name:9}{value.replace('://', '[://]')}" for name, value in rows if value]
        link = [f"The event: {self.link}", ""] if self.link else []
        head = f"{rule.title} ({rule.tier}, {rule.severity}; rule {rule.name})"
        return "\n".join([head, "", *facts, "", rule.means, "", f"What to do: {rule.do}", "", *link, f"Id: {self.id}", ""])


def _named(short: str, full: str) -> str:
    return f"{short} ({full})" if full and short != full else short


def plain(value: object) -> str:
    """A value as one line of at most 512 characters without control, direction and other unprintable characters."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    cut = text if len(text) <= _CUT else f"{text[: _CUT - 1]}…"
    return cut if cut.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in cut)


def link(dashboards: str, pattern: str, event: Event) -> str:
    """Where a person sees the event: Discover of OpenSearch Dashboards, around its time, with the index pattern `pattern`.

    Empty where no address of Dashboards is known.
    """
    if not dashboards:
        return ""
    when = parse_time(event.time)
    time = f"time:(from:{_rison(_iso(when - _AROUND))},to:{_rison(_iso(when + _AROUND))})" if when else ""
    identity = event.id.replace("\\", "\\\\").replace('"', '\\"')
    query = _rison(f'_id:"{identity}"')
    asked = f"(index:{_rison(pattern)},query:(language:lucene,query:{query}))"
    return f"{dashboards.rstrip('/')}/app/discover#/?_g=({quote(time, safe=_PLAIN)})&_a={quote(asked, safe=_PLAIN)}"


_PLAIN: Final = "():,!'"


def _iso(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _rison(text: str) -> str:
    """A text as Dashboards writes it into its addresses; https://github.com/Nanonid/rison."""
    return "'" + text.replace("!", "!!").replace("'", "!'") + "'"


def age(event: Event, now: datetime) -> timedelta:
    """How long ago the event was; an event without a time is of now."""
    when = parse_time(event.time)
    return now - when if when else timedelta()


def texts(notices: Sequence[Notice]) -> list[dict[str, Any]]:
    """The entries of a PublishBatch request, numbered from 0."""
    return [
        {
            "Id": str(number),
            "Subject": notice.subject,
            "Message": notice.message(),
            "MessageStructure": "json",
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value} for name, value in notice.attributes.items()
            },
        }
        for number, notice in enumerate(notices)
    ]
