"""Few combinations that hold every pair: what two settings break together shows, without trying all there are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import combinations, product

Combination = dict[str, str]


def all_of(factors: Mapping[str, Sequence[str]], allowed: Callable[[Combination], bool]) -> list[Combination]:
    """Every combination of the factors' values that is allowed, in the order of the values."""
    found = (dict(zip(factors, values, strict=True)) for values in product(*factors.values()))
    return [combination for combination in found if allowed(combination)]


def pairs_of(combination: Combination) -> set[tuple[tuple[str, str], ...]]:
    """Each two factors of a combination with their values."""
    return set(combinations(combination.items(), 2))


def pairwise(
    factors: Mapping[str, Sequence[str]], allowed: Callable[[Combination], bool], apart: Collection[frozenset[str]] = ()
) -> list[Combination]:
    """Combinations in which each pair of values occurs that occurs in any allowed one; the same ones each time.

    `apart` are pairs of factors that have nothing to do with each other: those of their values need not occur.
    Takes the combination with the most pairs that are still missing, again and again: not the fewest that there could be.
    """

    def wanted(combination: Combination) -> set[tuple[tuple[str, str], ...]]:
        return {pair for pair in pairs_of(combination) if frozenset(name for name, _ in pair) not in apart}

    every = [(combination, wanted(combination)) for combination in all_of(factors, allowed)]
    missing = {pair for _, pairs in every for pair in pairs}
    chosen = []
    while missing:
        combination, pairs = max(every, key=lambda one: len(one[1] & missing))  # the first of equals
        chosen.append(combination)
        missing -= pairs
    return chosen
