"""The stack: dead letters, the queue, the function and what feeds it, and alarms."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from audit_search_cli import dead_letters
from audit_search_cli.checks.findings import Finding, NotCheckedError, Patient
from audit_search_cli.output import counted, human_age
from audit_search_cli.stack import Stack

_OLD_MESSAGE_SECONDS = 3_600
_ALARMS_AT_ONCE = 100
_TYPES = {"MetricAlarm": "Alarm", "CompositeAlarm": "CompositeAlarm"}


def _stack(patient: Patient) -> Stack:
    if patient.stack is None:
        raise NotCheckedError("no stack is named (--stack NAME)")
    return patient.stack


def stack(patient: Patient) -> list[Finding]:
    """The stack itself is in a state to rely on."""
    found = _stack(patient)
    if found.status.endswith("_COMPLETE") and "ROLLBACK" not in found.status and not found.status.startswith("DELETE"):
        return [Finding("stack", "ok", f"{found.name} is {found.status}.")]
    remedy = f"aws cloudformation describe-stack-events --stack-name {found.name} shows what failed."
    return [Finding("stack", "warning", f"{found.name} is {found.status}.", remedy)]


def queues(patient: Patient) -> list[Finding]:
    """Nothing waits in the dead-letter queue, and nothing for long in the queue."""
    found = _stack(patient)
    findings: list[Finding] = []
    for of, name in (("CloudTrail", ""), ("Config", "AWS Config's ")):
        dead, live = found.physical(f"{of}DeadLetterQueue"), found.physical(f"{of}Queue")
        if dead:
            findings.append(_dead(patient, found, dead, name))
        elif not name:
            findings.append(Finding("dead letters", "not checked", f"{found.name} has no CloudTrailDeadLetterQueue."))
        if live:
            findings.append(_live(patient, live, name))
    return findings


def _dead(patient: Patient, found: Stack, url: str, of: str) -> Finding:
    """`of` says whose queue it is, where it is not CloudTrail's."""
    waiting, in_flight, _ = dead_letters.counts(patient.client("sqs"), url)
    name = f"{of or 'The '}dead-letter queue"
    if not waiting and not in_flight:
        return Finding("dead letters", "ok", f"{name} is empty.")
    age = oldest(patient.client("cloudwatch"), url, patient.now)
    since = f", the oldest for {human_age(age)}" if age is not None else ""
    which = f"--stack {found.name}{' --of config' if of else ''}"
    remedy = (
        f"audit-search dlq list {which} shows what they name; mend the cause, then audit-search dlq redrive {which}. They are "
        "kept for 14 days after they were sent."
    )
    return Finding("dead letters", "error", f"{name} holds {counted(waiting + in_flight, 'message')}{since}.", remedy)


def _live(patient: Patient, url: str, of: str) -> Finding:
    waiting, in_flight, _ = dead_letters.counts(patient.client("sqs"), url)
    age = oldest(patient.client("cloudwatch"), url, patient.now)
    what = f"{of or 'The '}queue holds {counted(waiting, 'message')}; {in_flight:,} more in work or postponed"
    what += f"; the oldest is {human_age(age)} old." if age is not None else "."
    if age is not None and age > _OLD_MESSAGE_SECONDS:
        remedy = "The function cannot keep up or cannot write: its log says why. MaximumConcurrency lets more copies of it work."
        return Finding("queue", "warning", what, remedy)
    return Finding("queue", "ok", what)


def oldest(cloudwatch: Any, url: str, now: datetime) -> float | None:
    """Seconds that the oldest message has waited, by the newest figure that CloudWatch has of the last quarter of an hour."""
    answer = cloudwatch.get_metric_statistics(
        Namespace="AWS/SQS",
        MetricName="ApproximateAgeOfOldestMessage",
        Dimensions=[{"Name": "QueueName", "Value": url.rsplit("/", 1)[-1]}],
        StartTime=now - timedelta(minutes=15),
        EndTime=now,
        Period=60,
        Statistics=["Maximum"],
    )
    points = sorted(answer.get("Datapoints", []), key=lambda point: str(point["Timestamp"]))
    return float(points[-1]["Maximum"]) if points else None


def functions(patient: Patient) -> list[Finding]:
    """Each function is active, and what feeds it is enabled."""
    found = _stack(patient)
    client = patient.client("lambda")
    return [*_states(client, found), *_sources(client, found)]


def _states(client: Any, found: Stack) -> Iterator[Finding]:
    for logical, physical in sorted(found.of_type("AWS::Lambda::Function").items()):
        state = client.get_function_configuration(FunctionName=physical)
        if state.get("State", "Active") != "Active" or state.get("LastUpdateStatus", "Successful") == "Failed":
            why = state.get("StateReason") or state.get("LastUpdateStatusReason") or "no reason is given"
            what = f"{logical} is {state.get('State')} (last update: {state.get('LastUpdateStatus')}): {why}"
            yield Finding(
                "function", "error", what, "Deploy the stack again; a function that was idle for long needs a first call."
            )
        else:
            yield Finding("function", "ok", f"{logical} is active.")


def _sources(client: Any, found: Stack) -> Iterator[Finding]:
    for logical, physical in sorted(found.of_type("AWS::Lambda::EventSourceMapping").items()):
        source = client.get_event_source_mapping(UUID=physical)
        state = str(source.get("State", ""))
        if state in ("Enabled", "Enabling", "Updating", "Creating"):
            yield Finding("event source", "ok", f"{logical} is {state.lower()}.")
        else:
            remedy = f"aws lambda update-event-source-mapping --uuid {physical} --enabled, once the cause is mended."
            yield Finding(
                "event source", "error", f"{logical} is {state or 'in no known state'}: nothing is read from the queue.", remedy
            )


def alarms(patient: Patient) -> list[Finding]:
    """No alarm of the stack is on."""
    found = _stack(patient)
    states = alarm_states(patient.client("cloudwatch"), found)
    if not states:
        return [Finding("alarms", "note", f"{found.name} has no alarms.")]
    on = [alarm for alarm in states if alarm["StateValue"] == "ALARM"]
    findings = [
        Finding(
            "alarms",
            "error",
            f"{alarm['AlarmName']} is in ALARM: {alarm.get('StateReason', '')}",
            str(alarm.get("AlarmDescription") or ""),
        )
        for alarm in on
    ]
    unknown = sum(alarm["StateValue"] == "INSUFFICIENT_DATA" for alarm in states)
    quiet = f"; {unknown} have no data yet" if unknown else ""
    return findings or [Finding("alarms", "ok", f"None of {len(states)} alarms is on{quiet}.")]


def alarm_states(cloudwatch: Any, found: Stack) -> list[dict[str, Any]]:
    """Every alarm of a stack as CloudWatch describes it; empty where it has none."""
    kinds = ["MetricAlarm", "CompositeAlarm"]
    names = sorted(name for kind in kinds for name in found.of_type(f"AWS::CloudWatch::{_TYPES[kind]}").values())
    states: list[dict[str, Any]] = []
    for start in range(0, len(names), _ALARMS_AT_ONCE):
        answer = cloudwatch.describe_alarms(AlarmNames=names[start : start + _ALARMS_AT_ONCE], AlarmTypes=kinds)
        states += [*answer.get("MetricAlarms", []), *answer.get("CompositeAlarms", [])]
    return states
