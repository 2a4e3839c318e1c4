"""Values that look random and are the same on every machine and every Python."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from typing import TypeVar

Choice = TypeVar("Choice")

BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
BASE36_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
BASE62 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
BASE64_URL = BASE62 + "-_"
HEX = "0123456789abcdef"


class Seeded:
    """A stream of values that depends on nothing but its purpose.

    Each object has a stream of its own, so a record added to one object changes no id in another.
    """

    def __init__(self, purpose: str) -> None:
        self._purpose = purpose
        self._drawn = 0

    def _digest(self) -> bytes:
        self._drawn += 1
        return hashlib.sha256(f"audit-search/{self._purpose}/{self._drawn}".encode()).digest()

    def below(self, limit: int) -> int:
        return int.from_bytes(self._digest()[:8], "big") % limit

    def pick(self, options: Sequence[Choice]) -> Choice:
        return options[self.below(len(options))]

    def guid(self) -> str:
        return str(uuid.UUID(bytes=self._digest()[:16], version=4))

    def text(self, alphabet: str, length: int) -> str:
        letters = ""
        while len(letters) < length:
            letters += "".join(alphabet[byte % len(alphabet)] for byte in self._digest())
        return letters[:length]


def example_id(prefix: str, name: str) -> str:
    """An id as IAM makes them, marked as an example as AWS's own documentation does: `AKIA…EXAMPLE`."""
    return prefix + Seeded(f"id/{name}").text(BASE32, 9 if prefix in ("AKIA", "ASIA") else 10) + "EXAMPLE"
