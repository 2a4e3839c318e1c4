"""The generator of combinations: every pair, no forbidden one, few of them, and always the same."""

from __future__ import annotations

from tests.deploy.pairwise import Combination, all_of, pairs_of, pairwise

FACTORS = {"a": ["1", "2", "3", "4"], "b": ["x", "y"], "c": ["x", "y"], "d": ["x", "y", "z"], "e": ["x", "y"]}


def anything(_: Combination) -> bool:
    return True


def test_every_pair_is_there() -> None:
    """Whatever two values one picks, one of the combinations has both."""
    wanted = {pair for combination in all_of(FACTORS, anything) for pair in pairs_of(combination)}
    assert {pair for combination in pairwise(FACTORS, anything) for pair in pairs_of(combination)} == wanted
    assert len(wanted) == 66


def test_there_are_few() -> None:
    """Not many more than the two longest factors need, of 96."""
    assert len(all_of(FACTORS, anything)) == 96
    assert 12 <= len(pairwise(FACTORS, anything)) <= 15


def test_what_is_not_allowed_is_not_there() -> None:
    """A pair that no allowed combination has is not wanted, all others are."""

    def allowed(combination: Combination) -> bool:
        return combination["a"] != "1" or combination["b"] == "x"

    chosen = pairwise(FACTORS, allowed)
    assert all(map(allowed, chosen))
    wanted = {pair for combination in all_of(FACTORS, allowed) for pair in pairs_of(combination)}
    assert {pair for combination in chosen for pair in pairs_of(combination)} == wanted
    assert (("a", "1"), ("b", "y")) not in wanted


def test_factors_that_are_apart_need_not_meet() -> None:
    """All other pairs are there, in fewer combinations."""
    apart = {frozenset({"a", "d"})}
    chosen = pairwise(FACTORS, anything, apart)
    every = {pair for combination in all_of(FACTORS, anything) for pair in pairs_of(combination)}
    missing = every - {pair for combination in chosen for pair in pairs_of(combination)}
    assert {frozenset(name for name, _ in pair) for pair in missing} == apart
    assert len(chosen) < len(pairwise(FACTORS, anything))


def test_it_is_the_same_each_time() -> None:
    """A failure can be looked at again."""
    assert pairwise(FACTORS, anything) == pairwise(FACTORS, anything)
