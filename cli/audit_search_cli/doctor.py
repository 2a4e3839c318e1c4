"""The doctor: looks at an installation from outside and says what is wrong and what to do about it.

A check gives findings; one that cannot run gives the finding `not checked` with the reason, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from botocore.exceptions import BotoCoreError, ClientError

from audit_search.errors import EngineUnreachableError
from audit_search_cli.checks import cluster, dashboards, deployed, freshness, indices, preparation, reach
from audit_search_cli.checks.findings import Check, Finding, NotCheckedError, Patient
from audit_search_cli.errors import Problem, explain_aws

ENGINE_CHECKS: dict[str, Check] = {
    "version": reach.version,
    "credentials": reach.credentials,
    "preparation": preparation.preparation,
    "dashboards": dashboards.saved_objects,
    "mapping": indices.mappings,
    "alias": indices.aliases,
    "blocks": indices.blocks,
    "policy": indices.policies,
    "cluster": cluster.health,
    "disk": cluster.disks,
    "capacity": cluster.capacity,
    "shards": indices.shards,
    "replicas": indices.replicas,
    "freshness": freshness.freshness,
    "config freshness": freshness.config_freshness,
    "lag": freshness.lag,
}
"""What needs an engine that answers."""
EACH_FAMILY = ("mapping", "alias", "blocks", "policy", "shards", "replicas")
"""What is asked of AWS Config's indices too, where there are any."""
STACK_CHECKS: dict[str, Check] = {
    "stack": deployed.stack,
    "dead letters": deployed.queues,
    "function": deployed.functions,
    "alarms": deployed.alarms,
}
"""What needs a stack."""


def examine(patient: Patient, doing: Callable[[str], None] = lambda _check: None) -> Iterator[Finding]:
    """All findings, in the order of the checks; `doing` is told the name of each check before it runs."""
    doing("endpoint")
    reached = list(attempt("endpoint", reach.endpoint, patient))
    if patient.unsigned:
        # What an unsigned request is answered says nothing about the endpoint.
        yield from (finding for finding in reached if finding.severity != "error" or not _answers(patient))
        yield Finding("credentials", "error", f"{patient.unsigned.what}.", patient.unsigned.remedy)
        yield Finding("engine", "not checked", f"{', '.join(ENGINE_CHECKS)}: requests cannot be signed.")
        yield from _of_stack(patient, doing)
        return
    yield from reached
    if all(finding.severity != "error" for finding in reached) or _answers(patient):
        for name, check in ENGINE_CHECKS.items():
            doing(name)
            yield from attempt(name, check, patient)
            if name in EACH_FAMILY:
                yield from _of_config(name, check, patient)
    else:
        yield Finding("engine", "not checked", f"{', '.join(ENGINE_CHECKS)}: the engine does not answer.")
    yield from _of_stack(patient, doing)


def _of_config(name: str, check: Check, patient: Patient) -> Iterator[Finding]:
    try:
        others = list(patient.of_config())
    except (NotCheckedError, EngineUnreachableError, BotoCoreError, ClientError):
        return  # what keeps them from being seen keeps the check itself, which has said so
    for other in others:
        for finding in attempt(name, check, other):
            yield replace(finding, check=f"{finding.check} {other.alias}")


def _of_stack(patient: Patient, doing: Callable[[str], None]) -> Iterator[Finding]:
    if patient.stack is None:
        yield Finding("stack", "not checked", "queues, function and alarms: no stack is named.", "Give --stack NAME.")
        return
    for name, check in STACK_CHECKS.items():
        doing(name)
        yield from attempt(name, check, patient)


def _answers(patient: Patient) -> bool:
    """Whether there is an answer at all: one that was refused may be followed by others that are not."""
    try:
        patient.engine.request("GET", "/")
    except (EngineUnreachableError, BotoCoreError, ClientError):
        return False
    return True


def attempt(name: str, check: Check, patient: Patient) -> Iterator[Finding]:
    """The findings of one check, or the one that says why it could not run."""
    try:
        yield from check(patient)
    except (NotCheckedError, EngineUnreachableError) as error:
        yield Finding(name, "not checked", f"{error}")
    except Problem as error:
        yield Finding(name, "not checked", error.what, error.remedy)
    except (BotoCoreError, ClientError) as error:
        problem = explain_aws(error, "Asking AWS")
        yield Finding(name, "not checked", problem.what, problem.remedy)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        # An engine of another version, or something that only looks like one, may answer in any shape.
        yield Finding(name, "not checked", f"the answer is not understood ({type(error).__name__}: {str(error)[:100]})")
