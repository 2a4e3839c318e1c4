"""Where `who` and `why` look at a number of things only, the answer says so, and only where there were more."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from tests.support import crowds, incidents
from tests.support.engines import TestEngine
from tests.support.questions import Engines, ask, asked

Bounds = Callable[..., tuple[list[str], list[str]]]


@pytest.fixture(scope="module")
def engine(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> TestEngine:
    """The account in which there is more of everything than is looked at."""
    found = engines.new()
    incidents.put(found, crowds.records(), tmp_path_factory.mktemp("files"), crowds.versions())
    return found


@pytest.fixture(scope="module")
def bounds(engine: TestEngine) -> Bounds:
    """What a question says of bounds to programs, and all lines that people see of it; each is asked once."""

    @functools.cache
    def answered(*question: str) -> tuple[list[str], list[str]]:
        return asked(engine, *question)["bounds"], ask(engine, *question).out.splitlines()

    return answered


WHO = {
    "changes": (crowds.GROUP, "Of the calls that changed it the newest 20 are shown: --max-items."),
    "uses": (crowds.GROUP, "Of the calls that used it the newest 20 are shown: --max-items."),
    "failures": (crowds.GROUP, "Of the calls that failed the newest 20 are shown: --max-items."),
    "reads": (crowds.GROUP, "Of the calls that only read, the newest 2,000 that may name it were looked at."),
    "versions": (crowds.GROUP, "Of its versions the newest 500 were looked at."),
    "links": (crowds.GROUP, "480 of its versions are not linked yet and were not reckoned, only the newest 20."),
    "names": (crowds.NAMED, "Of its names the 100 most frequent were looked for: an id or an ARN has fewer."),
    "holders": (crowds.FAR, "Of what had a source address once, 50 resources were looked at."),
}
"""A resource, and what is said of a bound that the question about it reaches."""
WHY = {
    "calls about the caller": ("denied", "Of the calls to IAM that may name the user zoe the newest 200 were looked at."),
    "groups": ("denied", "Of the groups of the caller the first 10 were looked at."),
    "calls about a group": ("denied", "Of the calls to IAM about the group team-00 the newest 50 were looked at."),
    "policies": ("denied", "Of the policies that were attached the first 10 were looked at."),
    "calls about a policy": (
        "denied",
        f"Of the calls to IAM about arn:aws:iam::{incidents.ACCOUNT}:policy/crowd-00 the newest 50 were looked at.",
    ),
    "writes about the resource": ("denied", f"Of the writes that may name {crowds.SECRET} the newest 50 were looked at."),
    "versions": ("denied", "Of the versions of the caller and of what the call was about the newest 50 were looked at."),
    "organisation": ("denied-many", "Of the calls to AWS Organizations the newest 50 were looked at."),
    "resources": ("denied-many", "Of the resources that the call names the first 10 were looked at."),
    "permission sets": ("denied-sso", "Of the calls to Identity Center the newest 50 were looked at."),
    "quotas": ("full", "Of the calls to Service Quotas the newest 50 were looked at."),
    "what fills a quota": ("full", "Of the earlier calls of ec2:AllocateAddress that went well the newest 50 were looked at."),
    "differences": ("full", "Of 13 differences from the last success the first 12 are shown."),
}
"""An event, and what is said of a bound that the question about it reaches."""


@pytest.mark.parametrize("bound", WHO)
def test_who_says_which_bound_was_reached(bounds: Bounds, bound: str) -> None:
    """For programs and for people."""
    resource, said = WHO[bound]
    for told in bounds("who", resource):
        assert said in told


@pytest.mark.parametrize("bound", WHY)
def test_why_says_which_bound_was_reached(bounds: Bounds, bound: str) -> None:
    """For programs and for people."""
    event, said = WHY[bound]
    for told in bounds("why", event):
        assert said in told


def test_why_says_that_there_are_more_failures(engine: TestEngine) -> None:
    """Of those that fit the filters so many are looked at."""
    said = "Of the failures that fit the newest 200 were looked at."
    found = asked(engine, "why", "--caller", "fred")
    assert said in found["bounds"]
    assert found["event"]["id"] == "fred-200"
    assert said in ask(engine, "why", "--caller", "fred").out.splitlines()


def test_a_chain_that_is_longer_than_it_is_followed_says_so(engine: TestEngine) -> None:
    """With the call at which it goes on."""
    (far,) = asked(engine, "who", crowds.FAR)["changes"]
    assert len(far["chain"]) == 10
    assert far["broken"] == "it was followed for 10 steps, and goes on at AssumeRole [hop-2]"


def test_what_is_just_as_much_as_is_looked_at_is_whole(engine: TestEngine) -> None:
    """Twenty changes and fifty writes are all there are: no bound is said."""
    found = asked(engine, "who", crowds.EXACT)
    assert (len(found["changes"]), found["more_changes"], found["bounds"]) == (20, False, [])
    assert not any(crowds.QUIET in said for said in asked(engine, "why", "denied-quiet")["bounds"])
