"""Each record that was read has exactly one outcome, or an error says which numbers do not fit."""

from __future__ import annotations

from dataclasses import fields

import pytest

from audit_search.accounting import Counts
from audit_search.errors import AccountingError

OUTCOMES = ("indexed", "duplicates", "filtered", "quarantined", "returned")


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_outcome_accounts_for_a_record(outcome: str) -> None:
    """One read and one of any outcome balance; one without the other do not."""
    Counts(read=1, **{outcome: 1}).check("x")
    for counts in (Counts(**{outcome: 1}), Counts(read=2, **{outcome: 1}), Counts(read=1, **{outcome: 2})):
        with pytest.raises(AccountingError):
            counts.check("x")


def test_differing_duplicates_are_a_part_of_the_duplicates() -> None:
    """They are told apart, not counted twice."""
    Counts(read=3, indexed=1, duplicates=2, differing=2).check("x")


def test_a_breach_names_all_numbers() -> None:
    """The error says of which object it speaks, and each term."""
    with pytest.raises(AccountingError) as caught:
        Counts(10, 1, 2, 0, 3, 4, 5).check("s3://b/k")
    assert str(caught.value) == (
        "s3://b/k: 10 records read, but 15 have an outcome (indexed 1, duplicates 2, filtered 3, quarantined 4, returned 5)"
    )


def test_nothing_read_is_in_balance() -> None:
    """An object without records has no breach."""
    Counts().check("x")


def test_counts_add_up_term_by_term() -> None:
    """Every field is added, none forgotten."""
    total = Counts()
    one = Counts(*(2**number for number in range(len(fields(Counts)))))
    total.add(one)
    total.add(one)
    assert [getattr(total, field.name) for field in fields(Counts)] == [2 * 2**number for number in range(len(fields(Counts)))]
