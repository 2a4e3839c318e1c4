"""AWS Config's objects in S3 become streams of items: histories, snapshots and oversized items, however large they are.

https://docs.aws.amazon.com/config/latest/developerguide/manage-delivery-channel.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec

from audit_search.aws_config.dialects import decoded, milliseconds, text_of
from audit_search.aws_config.items import Item, Source, parse
from audit_search.envelopes import ObjectRef, config_folder
from audit_search.errors import ObjectError
from audit_search.rebuild import Rejection, load_whole
from audit_search.records import Scanner

_SOURCES: Final[Mapping[str, Source]] = {
    "ConfigHistory": "history",
    "ConfigSnapshot": "snapshot",
    "OversizedChangeNotification": "oversized",
}
_ARRAYS: Final = frozenset({"configurationItems", "baseConfigurationItems"})
_HEADERS: Final = frozenset({"fileVersion", "configSnapshotId"})
_SINGLE: Final = 32 << 20
"""Bytes of an object without an array of items that are kept until its end: one oversized item is a few MB."""
_DAY: Final = 86_400_000
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_NAMED = re.compile(r"_(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A text that should be an item and is none: where it stood, why, and the `configurationItemDiff` of its message."""

    position: int
    text: bytes
    rejection: Rejection
    diff: Mapping[str, Any] | None = None


def object_at(location: str) -> ObjectRef | None:
    """The object of an `s3BucketLocation`, `bucket/key`, or None where it names none."""
    bucket, _, key = location.removeprefix("s3://").removeprefix("arn:aws:s3:::").partition("/")
    return ObjectRef(bucket, key) if bucket and key else None


def source_of(key: str) -> Source:
    """What an object that lies at this key holds: a history unless its folder says otherwise."""
    return _SOURCES.get(config_folder(key), "history")


def place_of(key: str) -> tuple[str, str]:
    """Account and region of an object by its key, `…/<account>/Config/<region>/…`; empty where the key is another."""
    folders = key.split("/")[:-1]
    for at in range(1, len(folders) - 1):
        if folders[at] == "Config" and _ACCOUNT.fullmatch(folders[at - 1]):
            return folders[at - 1], folders[at + 1]
    return "", ""


def delivered(key: str, notified: str | None, last_modified: datetime) -> int:
    """When an object was made (ms): by the last time in its name, else by the notification, else by S3's own date."""
    written = int(last_modified.timestamp() * 1_000)
    named = _NAMED.findall(key.rpartition("/")[2])
    texts = ["{}-{}-{}T{}:{}:{}Z".format(*named[-1])] if named else []
    for text in [*texts, notified or ""]:
        found = milliseconds(text)
        if 0 < found <= written + _DAY:
            return found
    return written


class ObjectItems(Iterator[Item | Unreadable]):
    """The items of an object, in its order. `file_version` and `snapshot_id` are known at the end, `read` counts the items.

    Raises ObjectError, as records.windows does: not-json, truncated, no-records, too-big and what the chunks raise. What came
    before the error has been handed out.
    """

    def __init__(self, chunks: Iterator[bytes], read: Callable[..., Item | Rejection]) -> None:
        self.read = 0
        self._parse = read
        self._held: list[bytes] | None = []
        self._held_bytes = 0
        self._chunks = chunks
        self._scanner = Scanner(self._holding(), _ARRAYS, _HEADERS)
        self._items = self._all()

    def __next__(self) -> Item | Unreadable:
        return next(self._items)

    @property
    def file_version(self) -> str:
        """The `fileVersion` of a history or snapshot, or an empty text."""
        return self._header("fileVersion")

    @property
    def snapshot_id(self) -> str:
        """The `configSnapshotId` of a snapshot, or an empty text."""
        return self._header("configSnapshotId")

    def _header(self, name: str) -> str:
        try:
            return text_of(decoded(self._scanner.kept.get(name, b"null")))
        except ValueError:
            return ""

    def _holding(self) -> Iterator[bytes]:
        """The chunks, kept as well until an array of items is seen: an object without one may be an item itself."""
        for chunk in self._chunks:
            if self._held is not None:
                self._held_bytes += len(chunk)
                self._held.append(chunk)
                if self._scanner.found or self._held_bytes > _SINGLE:
                    self._held = None
            yield chunk

    def _all(self) -> Iterator[Item | Unreadable]:
        scanner = self._scanner
        for window in scanner.windows():
            self._held = None
            for text in window.texts:
                yield self._one(bytes(text))
        if not scanner.found:
            yield from self._single()

    def _single(self) -> Iterator[Item | Unreadable]:
        """The item of an OversizedChangeNotification object, which has the shape of a message, or an item by itself."""
        keys = self._scanner.keys
        if not keys:
            raise ObjectError("no-records", "the object holds no JSON")
        if "configurationItem" not in keys and "resourceType" not in keys:
            raise ObjectError("no-records", "no configurationItems in it; its top-level keys are " + ", ".join(keys[:20]))
        if self._held is None:
            raise ObjectError("too-big", f"one item of more than {_SINGLE:,} bytes")
        text = b"".join(self._held).removeprefix(b"\xef\xbb\xbf")
        if "configurationItem" not in keys:
            yield self._one(text.strip())
            return
        parts = members(text) or {}
        diff = difference(parts)
        for item in elements(parts.get("configurationItem", b"null")):
            yield self._one(item, diff=diff)
        if not self.read:
            raise ObjectError("no-records", "its configurationItem is null")

    def _one(self, text: bytes, **more: Any) -> Item | Unreadable:
        found = self._parse(text, **more)
        self.read += 1
        return found if isinstance(found, Item) else Unreadable(self.read - 1, text, found)


def items_of(
    chunks: Iterator[bytes], *, source: Source, delivered: int = 0, latest: int = 0, account: str = "", region: str = ""
) -> ObjectItems:
    """The items of a history, a snapshot, an oversized item or a bare item, streamed from the inflated object.

    The other arguments are those of items.parse. Answers of the API (`baseConfigurationItems`) are read as well.
    """
    return ObjectItems(chunks, partial(parse, source=source, delivered=delivered, latest=latest, account=account, region=region))


_parts = msgspec.json.Decoder(dict[str, msgspec.Raw])
_texts = msgspec.json.Decoder(list[msgspec.Raw])


def members(text: bytes) -> Mapping[str, bytes] | None:
    """The members of a JSON object by name, each as its own text; None where the text is JSON of another type.

    Raises ValueError or ObjectError for what is not JSON.
    """
    try:
        return {name: bytes(part) for name, part in _parts.decode(text).items()}
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    value = load_whole(text)
    if not isinstance(value, dict):
        return None
    # What a strict parser does not take is cut as exactly as the rest.
    scanner = Scanner(iter((text,)), frozenset(), frozenset(value))
    for _ in scanner.windows():
        pass
    return scanner.kept


def elements(text: bytes) -> list[bytes]:
    """The texts of the items: of one object, or of an array of them. Null is none."""
    if text.strip() == b"null":
        return []
    if not text.lstrip().startswith(b"["):
        return [text]
    try:
        return [bytes(item) for item in _texts.decode(text)]
    except (msgspec.DecodeError, RecursionError):
        scanner = Scanner(iter((b'{"configurationItems":', text, b"}")), _ARRAYS)
        return [bytes(item) for window in scanner.windows() for item in window.texts]


def difference(parts: Mapping[str, bytes]) -> Mapping[str, Any] | None:
    """The `configurationItemDiff` of a message's members, where it is an object."""
    try:
        diff = decoded(parts.get("configurationItemDiff", b"null"))
    except (ValueError, RecursionError):
        return None
    return diff if isinstance(diff, dict) else None
