"""One log file that a digest lists: is it there, is it what was delivered, and where are its records?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime

from audit_search import documents
from audit_search.documents import Place
from audit_search.envelopes import ObjectRef
from audit_search.errors import ObjectError
from audit_search.objects import OpenObject
from audit_search.records import windows
from audit_search.validation.digests import Chain, LogFile
from audit_search.validation.reports import FileVerdict, Records
from audit_search.validation.stores import Store
from audit_search.validation.whereabouts import LookUpError, Search, Whereabouts

_STATES = {"gone": "gone", "not-gzip": "changed", "truncated": "changed", "corrupt": "changed"}


class _Hashed:
    """The inflated bytes of an object, hashed as they pass."""

    def __init__(self, opened: OpenObject) -> None:
        self.opened = opened
        self._hash = hashlib.sha256()
        self._chunks = self._passing()

    def _passing(self) -> Iterator[bytes]:
        for chunk in self.opened.one_member():
            self._hash.update(chunk)
            yield chunk

    def chunks(self) -> Iterator[bytes]:
        """The bytes; what one reader leaves, the next one gets."""
        return self._chunks

    def hash(self) -> str:
        """Read what is left, and give the hash of all."""
        for _ in self._chunks:
            pass
        return self._hash.hexdigest()


def check(store: Store, whereabouts: Whereabouts | None, chain: Chain, file: LogFile) -> FileVerdict:
    """Read a log file once; without `whereabouts` its records are not looked up. Whatever goes wrong becomes its state."""
    ref = ObjectRef(file.bucket, file.key)
    try:
        hashed = _Hashed(store.open(ref))
        search, trouble = _search(store, whereabouts, hashed, ref), ""
        if search:
            trouble = _look_up(search, hashed)
        if hashed.hash() != file.digest:
            return FileVerdict(chain, file, "changed", "its hash is not the one that its digest names")
    except ObjectError as error:
        return FileVerdict(chain, file, _STATES.get(error.code, "unread"), error.reason)
    except LookUpError as error:
        return FileVerdict(chain, file, "unread", str(error))
    return _verdict(chain, file, search.records if search else Records(), trouble)


def _search(store: Store, whereabouts: Whereabouts | None, hashed: _Hashed, ref: ObjectRef) -> Search | None:
    if whereabouts is None:
        return None
    delivered = documents.delivered(ref.key, None, hashed.opened.last_modified, datetime.now(UTC))
    return whereabouts.of(ref, Place(ref.bucket, ref.key, delivered), lambda: store.version(ref))


def _look_up(search: Search, hashed: _Hashed) -> str:
    """Look the records up; what is wrong with the object's JSON, unless quarantine knows of it. Raises LookUpError."""
    try:
        for window in windows(hashed.chunks()):
            search.window(window)
    except ObjectError as error:
        # Where it does not inflate, `hash` below would not see the end either.
        if error.code in _STATES and error.code != "truncated":
            raise
        if not search.broken():
            return f"it cannot be read to its end, and is not in quarantine: {error.reason}"
    return ""


def _verdict(chain: Chain, file: LogFile, records: Records, trouble: str) -> FileVerdict:
    if records.missing:
        trouble = f"{records.missing:,} of {records.read:,} records are not accounted for" + (f"; {trouble}" if trouble else "")
    return FileVerdict(chain, file, "incomplete" if trouble else "right", trouble, records)
