"""The ISM policy and its indices: the embedded engine, with the plugin's endpoints as they answer in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from osmem_server import OsmemServer

from audit_search.domain import lifecycle
from audit_search.domain.api import HttpApi
from audit_search.domain.families import families
from audit_search.domain.setup import apply
from audit_search.errors import DomainSetupError
from tests.support.domains import Domain, the
from tests.support.engine_front import Asked, EngineFront, Verdict
from tests.support.engines import TestEngine
from tests.support.ism_endpoints import IsmEndpoints

KIND, ATTACHED = "ISM policy", "ISM policy of indices"


@dataclass
class Managed(Domain):
    """A domain with index state management."""

    ism: IsmEndpoints = None  # type: ignore[assignment]  # always given

    @property
    def policy(self) -> dict[str, Any]:
        """Our policy as the plugin has it."""
        found: dict[str, Any] = self.ism.policies[self.engine.alias]["policy"]
        return found

    def index(self, month: str) -> str:
        """Make an index of ours."""
        name = f"{self.engine.alias}-{month}"
        self.engine.put(f"/{name}/_doc/1", {"eventName": "x"})
        return name


@pytest.fixture
def domain() -> Iterator[Managed]:
    """An engine in which there is nothing but the plugin."""
    with OsmemServer.start(japanese=False) as server, EngineFront(server.url) as front:
        engine = TestEngine(server.url, real=False)
        ism = IsmEndpoints(engine.indices)
        front.rules.append(ism)
        yield Managed(engine, front, ism=ism)


def test_a_policy_is_made_once(domain: Managed) -> None:
    """It is created, and what the plugin adds to it is no difference in the next run."""
    assert the(domain.set_up(RETENTION_DAYS="400").changes, KIND).action == "create"
    assert domain.policy["states"] == lifecycle.policy(families(domain.settings(RETENTION_DAYS="400"))[0])["policy"]["states"]
    domain.front.asked.clear()
    assert the(domain.set_up(RETENTION_DAYS="400").changes, KIND).action == "unchanged"
    assert domain.front.writes == []


def test_a_new_retention_reaches_indices_that_are_there(domain: Managed) -> None:
    """The policy is updated in its own version, its indices take the new one, and what was before is kept."""
    domain.set_up(RETENTION_DAYS="400")
    index = domain.index("2026.11")
    domain.set_up(RETENTION_DAYS="400")
    domain.ism.begin_jobs()
    before = dict(domain.policy)
    outcome = domain.set_up(RETENTION_DAYS="90")
    change = the(outcome.changes, KIND)
    assert change.action == "update"
    assert change.differences == ("states[1].transitions[0].conditions.min_index_age",)
    assert domain.kept[change.backup_name] == {"policy": before}
    assert the(outcome.changes, ATTACHED).differences == (f"{index}.policy_id",)
    assert [asked.path for asked in domain.front.writes][-1] == f"/_plugins/_ism/change_policy/{index}"
    domain.ism.begin_jobs()
    again = domain.set_up(RETENTION_DAYS="90")
    assert (the(again.changes, KIND).action, the(again.changes, ATTACHED).action) == ("unchanged", "unchanged")


def test_indices_from_before_get_the_policy(domain: Managed) -> None:
    """It is attached by itself only to indices that are made after it."""
    domain.front.rules.remove(domain.ism)  # an engine without the plugin, at first
    domain.set_up()
    old = [domain.index("2026.09"), domain.index("2026.10")]
    domain.front.rules.append(domain.ism)
    change = the(domain.set_up(RETENTION_DAYS="90").changes, ATTACHED)
    assert (change.action, change.differences) == ("update", tuple(f"{index}.policy_id" for index in old))
    assert sorted(domain.ism.attached) == old
    assert the(domain.set_up(RETENTION_DAYS="90").changes, ATTACHED).action == "unchanged"  # its job has not even begun


def test_the_policy_of_others_stays_on_their_indices(domain: Managed) -> None:
    """An index that somebody gave another policy keeps it; an index without our alias gets none."""
    domain.set_up()
    theirs = domain.index("2026.10")
    domain.ism.attached[theirs] = {"index.plugins.index_state_management.policy_id": "archive", "policy_seq_no": 0}
    stranger = f"{domain.engine.alias}-2019.01"
    domain.engine.call("DELETE", f"/_index_template/{domain.engine.alias}")
    domain.engine.put(f"/{stranger}", {})
    changes = domain.set_up().changes
    assert the(changes, ATTACHED, theirs).action == "leave out"
    assert domain.ism.attached[theirs]["index.plugins.index_state_management.policy_id"] == "archive"
    assert stranger not in domain.ism.attached


def test_a_policy_of_somebody_else_is_not_touched(domain: Managed) -> None:
    """A policy of our name without our mark is refused, and nothing is changed."""
    theirs = {"policy": {"description": "Maria's", "default_state": "a", "states": [{"name": "a"}], "ism_template": []}}
    domain.ism(Asked("PUT", f"/_plugins/_ism/policies/{domain.engine.alias}", {}, theirs))
    with pytest.raises(DomainSetupError, match=f"ISM policy '{domain.engine.alias}': there is an object of this name"):
        domain.set_up()
    assert domain.front.writes == []


@pytest.mark.parametrize(("priority", "refused"), [(199, False), (200, True), (300, True)])
def test_a_policy_that_claims_our_indices_is_refused(domain: Managed, priority: int, refused: bool) -> None:
    """By its rules our indices would live, and perhaps go before their time."""
    claims = [{"index_patterns": [f"{domain.engine.prefix}*"], "priority": priority}]
    theirs = {"policy": {"description": "all", "default_state": "a", "states": [{"name": "a"}], "ism_template": claims}}
    domain.ism(Asked("PUT", "/_plugins/_ism/policies/everything", {}, theirs))
    change = the(domain.plan().changes, KIND)
    assert change.action == ("refuse" if refused else "create")
    assert ("the ISM policy 'everything' claims" in change.reason) is refused


def test_a_policy_that_somebody_changes_meanwhile_is_not_overwritten(domain: Managed) -> None:
    """Between our reading and our writing: the plugin refuses, the error can be tried again, and the next run takes it in."""
    domain.set_up(RETENTION_DAYS="400")
    plan_is_made = [True]

    def meanwhile(asked: Asked) -> Verdict:
        if asked.method == "PUT" and "/policies/" in asked.path and plan_is_made:
            plan_is_made.clear()
            domain.ism.policies[domain.engine.alias]["_seq_no"] += 7
        return None

    domain.front.rules.insert(0, meanwhile)
    with pytest.raises(DomainSetupError, match="version conflict") as caught:
        domain.set_up(RETENTION_DAYS="90")
    assert caught.value.retryable
    assert the(domain.set_up(RETENTION_DAYS="90").changes, KIND).action == "update"


def test_an_index_that_cannot_take_the_policy_is_named(domain: Managed) -> None:
    """The others have it, and the outcome says which one has not, and why."""
    domain.set_up()
    one, two = domain.index("2026.10"), domain.index("2026.11")
    plan = domain.plan()
    domain.ism.attached[one] = {"index.plugins.index_state_management.policy_id": "archive"}

    outcome = apply(HttpApi(domain.settings(), None), plan, domain.keep)
    assert f"not done for {one}: This index already has a policy" in the(outcome.changes, ATTACHED).reason
    assert domain.ism.attached[two]["index.plugins.index_state_management.policy_id"] == domain.engine.alias
