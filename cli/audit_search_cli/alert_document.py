"""`docs/alerts.md`, made of the alert rules."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from audit_search.alerts.monitors import in_words
from audit_search_cli.alert_sources import Source

_INTRODUCTION = """\
# Alert rules

Made of `layers/audit_search/src/audit_search/definitions/alerts/*.yaml` by `python -m audit_search_cli.alert_rules`; a
test holds it to that. A rule says which CloudTrail records it means, and brings samples of records that it must and
must not match. The function tries each record that it indexes: the names of the rules that it meets are in the field
`ct.alerts`, so that `ct.alerts:root-sign-in` finds the events and a graph can group by it.

*Tier* is how a hit is meant to reach people: `page` wakes somebody, `ticket` is looked at within the day, `digest` is
read in a summary, `off` is kept for searches. Pages and tickets (`AlertTiers`) go to the stack's topic `AlertTopic` when
the event is indexed, as JSON for programs and lines for e-mail, with the attributes `severity`, `tier`, `rule`, `account`
and `region` for filter policies. Each event and rule is told once as a rule, and at least once; replays and events
older than a day (`AlertMaxAgeHours`) tell nobody. [An alert came](runbook.md#an-alert-came) says what to do with one.
*CIS* is the CIS AWS Foundations Benchmark v3.0.0, *ATT&CK* MITRE's.

A rule with something in *counts* is about that many records in that time; alone such a record says little. Where its tier
is `page` or `ticket` it is a monitor of OpenSearch's Alerting plugin, which `audit_search.alerts.monitors` makes of it:
each minute it counts, by `ct.alerts`, what was indexed in the rule's minutes. A rule with `alarm` as its *second path* is
also a metric filter and an alarm of [`alarms.template.yaml`](deploy.md#alarms-on-the-log-group), which need neither the
function nor the domain.
"""

_ADDING = """\
## Add a rule in five minutes

1. Copy the file of a rule that is like yours. Its name is the file's: `name: my-rule` in `my-rule.yaml`.
2. `events` are CloudTrail's event names (`"*"` for each there is), `sources` the services (`ec2.amazonaws.com`; empty
   for any). `outcome` says whether the call has to have succeeded, failed, or either. With `service_linked_roles: left
   out` the calls of service-linked roles, and of nobody else, do not count; keep `matched` for root, IAM, trails and
   keys.
3. `condition` is what else must hold: `all`, `any` and `not`, or a `field` with one of `equals`, `in`, `prefix`,
   `wildcard` (`*` is any text), `exists`, `cidr`, `equals_field` (another field has the value, too); `elements` holds a
   condition for one element of a list, `statements` for one statement of a policy document. `opens_to: others` is a policy
   document that lets in another account than the record's, or everybody; `opens_to: everybody` means all accounts alone. A
   path through a list means any of its elements.
4. `samples`: whole records that must match, and those that must not: the same call failed, made by a service-linked
   role, and a near miss. A record that other rules match as well names them under `also`.
5. `metric_filter: {}` makes it an alarm on the trail's log group as well, where CloudWatch's language of filter patterns
   can say the condition; where it cannot, `metric_filter` needs a `pattern` of its own, and `differs` names each sample
   that the pattern sees differently, with the reason.
6. `.venv/bin/python -m audit_search_cli.alert_rules` and `.venv/bin/python -m audit_search_cli.alarms_template`, then
   `.venv/bin/pytest tests/unit/test_alert_rules.py tests/unit/test_metric_filters.py`: each rule and each filter is tried
   on the samples of all rules, and may hit only where that is declared.

A rule about many records has a `threshold`: so many (`count`) within some `minutes` of one value of the field `by`, or
with `distinct` so many values of that field, as `{count: 5, minutes: 10, by: ct.identity, distinct: awsRegion}`.

What is known and needs no alert goes into `suppressions`, with `who` decided it, `why`, `until` when (a day), and a
`condition`. It ends by itself, by the time of the event.
"""


_MONITORS = """\
## Monitors

The set-up puts the monitors in place, with the notification channel `<prefix>cloudtrail-alerts` to the SNS topic that
`AlertTopicArn` (`ALERT_TOPIC_ARN`) names, or that the stack makes; without a topic their alerts are seen in Dashboards
(Alerting) alone. Each is named
`Audit Search: <prefix>cloudtrail <rule>`. A caller (or an address) that reaches the threshold begins an alert, of which one
message is sent; the alert lasts while later runs still find as much, and the next burst is a new one. What counts is when
records were indexed: two to four minutes later the message is there. Replays, and events older than a day, do not count.

The message is JSON: `kind` is `burst`, `id` the same if it is sent again, `rule`, `title`, `severity`, `tier`, `means` and `do`
are the rule's, `who` has the caller (`identity`) or the address, `what` says what was counted and the `total` of all records of
the rule in the window; `when`, the `monitor`, and as `search` what finds the records in Discover. Where more than fifty callers
reach a threshold at once there is one message, with `all` of them. The plugin sends no message attributes: a subscription gets
bursts if it filters by the body (`FilterPolicyScope` `MessageBody`) or not at all.

A monitor that somebody edits is put back by the next set-up, which keeps the edited one in its backups. To change one for
good, change the rule; to silence it, set its tier to `off` or write a suppression.
"""


def text(rules: Iterable[Source]) -> str:
    """The whole document."""
    order = ("page", "ticket", "digest", "off")
    rows = [_row(rule) for rule in sorted(rules, key=lambda rule: (order.index(rule.tier), rule.name))]
    head = "| Rule | Severity | Tier | Counts | Second path | References | What it means | What to do |\n" + "|---" * 8 + "|"
    return "\n".join([_INTRODUCTION, head, *rows, "", _MONITORS, _ADDING])


def _row(rule: Source) -> str:
    references = [f"CIS {item}" for item in rule.references.cis] + rule.references.attack
    counts = in_words(msgspec.to_builtins(rule.threshold)) if rule.threshold else ""
    second = "alarm" if rule.metric_filter else ""
    name = f"`{rule.name}`: {rule.title}"
    cells = (name, rule.severity, rule.tier, counts, second, ", ".join(references), rule.means, rule.do)
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"
