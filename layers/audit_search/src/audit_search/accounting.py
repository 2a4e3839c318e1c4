"""Where each record ended, counted where it happens."""

from __future__ import annotations

from dataclasses import dataclass

from audit_search.errors import AccountingError


@dataclass(slots=True)
class Counts:
    """Records by outcome. `differing` is the part of `duplicates` whose content was not that of the one indexed before."""

    read: int = 0
    indexed: int = 0
    duplicates: int = 0
    differing: int = 0
    filtered: int = 0
    quarantined: int = 0
    returned: int = 0

    def add(self, other: Counts) -> None:
        """Add another object's counts to these."""
        self.read += other.read
        self.indexed += other.indexed
        self.duplicates += other.duplicates
        self.differing += other.differing
        self.filtered += other.filtered
        self.quarantined += other.quarantined
        self.returned += other.returned

    def check(self, what: str) -> None:
        """Raise AccountingError unless every record read has exactly one outcome."""
        ended = self.indexed + self.duplicates + self.filtered + self.quarantined + self.returned
        if ended != self.read:
            raise AccountingError(
                f"{what}: {self.read} records read, but {ended} have an outcome (indexed {self.indexed}, duplicates "
                f"{self.duplicates}, filtered {self.filtered}, quarantined {self.quarantined}, returned {self.returned})"
            )
