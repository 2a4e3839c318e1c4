"""What the entries of a quarantine file ask for, in the words of the functions' pipelines.

Records of an object that lie one after the other in it become a part of that object, with the positions that they have there.
What came in a message of AWS Config's becomes a message again: the whole of it where the whole was kept, else one that holds
the item. An entry without position and text is an object that is read again from its bucket.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from isal import igzip

from audit_search import documents
from audit_search.envelopes import Message, Notification, ObjectRef, Target, config_folder
from audit_search.errors import AuditSearchError
from audit_search.objects import ObjectReader, OpenObject
from audit_search.records import windows
from audit_search_cli.kept import KeptEntry

_ENDLESS: Final = 1 << 60
_NO_DATE: Final = datetime(1970, 1, 1, tzinfo=UTC)
Modified = Callable[[ObjectRef], datetime | None]
"""When an object was written last, as S3 says, or None where it cannot be asked."""


@dataclass(frozen=True, slots=True)
class PartRef(ObjectRef):
    """Some records of an object, the first of which has the position `first` in it.

    `entries` are their numbers in the file, `content` is their gzip, `modified` when the object was written last.
    """

    first: int = 0
    entries: tuple[int, ...] = ()
    content: bytes = field(default=b"", repr=False)
    modified: datetime = _NO_DATE

    @property
    def target(self) -> Target:
        """Another one for each part."""
        return self.bucket, self.key, f"entry {self.entries[0]}"


class KeptReader(ObjectReader):
    """Opens parts from memory, and everything else as `objects` does."""

    def __init__(self, objects: ObjectReader) -> None:
        """`objects` opens what is in buckets."""
        self._objects = objects

    def open(self, ref: ObjectRef) -> OpenObject:
        """As ObjectReader.open."""
        if not isinstance(ref, PartRef):
            return self._objects.open(ref)
        return OpenObject(ref, ref.modified, len(ref.content), [ref.content], _ENDLESS, _ENDLESS, part=ref.first)


@dataclass(frozen=True, slots=True)
class Step:
    """One run of a pipeline, of AWS Config's where `config`: for parts of objects, or for the one entry `whole`."""

    config: bool
    message: Message
    whole: int | None = None

    @property
    def parts(self) -> list[PartRef]:
        """The parts, where it is for those."""
        found = self.message.config_objects if self.config else self.message.objects
        return [ref for ref in found if isinstance(ref, PartRef)]


@dataclass(slots=True)
class Plan:
    """The runs that entries need, and the numbers of those that no pipeline can be given."""

    steps: list[Step] = field(default_factory=list)
    impossible: list[int] = field(default_factory=list)


def is_config(entry: KeptEntry) -> bool:
    """Whether an entry is AWS Config's: CloudTrail's messages hold no records, and its objects lie elsewhere."""
    return "messageId" in entry.line or bool(config_folder(str(entry.line["key"])))


def plan(entries: Sequence[KeptEntry], chosen: Collection[int], modified: Modified, now: datetime) -> Plan:
    """What is to be done for the chosen entries, by their numbers."""
    made = Plan()
    records: defaultdict[ObjectRef, list[int]] = defaultdict(list)
    for number in sorted(chosen):
        entry = entries[number]
        position, text = entry.position, entry.text
        if "messageId" in entry.line:
            message = _message(entry)
            if message is None:
                made.impossible.append(number)
            else:
                made.steps.append(Step(True, message, number))
        elif position is None and text is None:
            made.steps.append(_again(_ref(entry), is_config(entry), number))
        elif type(position) is not int or position < 0 or text is None or not _stands_alone(text):
            made.impossible.append(number)
        else:
            records[_ref(entry)].append(number)
    parts = [part for ref, numbers in records.items() for part in _parts(ref, entries, numbers, modified, now)]
    for config in (False, True):
        mine = [part for part in parts if bool(config_folder(part.key)) is config]
        if mine:
            message = Message(config_objects=[*mine], for_config=True) if config else Message(objects=[*mine])
            made.steps.insert(0, Step(config, message))
    return made


def _ref(entry: KeptEntry) -> ObjectRef:
    line = entry.line
    return ObjectRef(str(line["bucket"]), str(line["key"]), line.get("versionId") or None)


def _again(ref: ObjectRef, config: bool, number: int) -> Step:
    return Step(config, Message(config_objects=[ref], for_config=True) if config else Message(objects=[ref]), number)


def _stands_alone(text: bytes) -> bool:
    """Whether a text is found again, and nothing else, between others in an array."""
    try:
        found = [bytes(one) for window in windows(iter((_array("Records", [text]),))) for one in window.texts]
    except AuditSearchError:
        return False
    return found == [text]


def _array(name: str, texts: Sequence[bytes]) -> bytes:
    return b'{"%b":[%b]}' % (name.encode(), b",".join(texts))


def _parts(
    ref: ObjectRef, entries: Sequence[KeptEntry], numbers: Sequence[int], modified: Modified, now: datetime
) -> Iterator[PartRef]:
    """Runs of neighbours among the records of one object."""
    ordered = sorted(numbers, key=lambda number: (_position(entries[number]), number))
    cuts = [at for at, (one, next_) in enumerate(pairwise(ordered), 1) if not _neighbours(entries[one], entries[next_])]
    when = _modified(ref, entries[ordered[0]], modified, now)
    for start, stop in pairwise([0, *cuts, len(ordered)]):
        part = ordered[start:stop]
        texts = [entries[number].text or b"" for number in part]
        content = igzip.compress(_array("configurationItems" if config_folder(ref.key) else "Records", texts), 0)
        yield PartRef(
            ref.bucket,
            ref.key,
            ref.version_id,
            size=len(content),
            first=_position(entries[part[0]]),
            entries=tuple(part),
            content=content,
            modified=when,
        )


def _position(entry: KeptEntry) -> int:
    return entry.position or 0


def _neighbours(one: KeptEntry, other: KeptEntry) -> bool:
    return _position(one) + 1 == _position(other)


def _modified(ref: ObjectRef, entry: KeptEntry, modified: Modified, now: datetime) -> datetime:
    """When the object was written last: as S3 says where its name does not tell when it was delivered, else when its records
    were kept, which was soon after."""
    kept = documents.parse_time(entry.time) or now
    if not config_folder(ref.key) and documents.delivered(ref.key, None, _NO_DATE, now) != _NO_DATE:
        return kept
    return modified(ref) or kept


def _message(entry: KeptEntry) -> Message | None:
    """A message of AWS Config's that holds what was kept of one, the whole or an item alone; None where nothing was."""
    try:
        text = (entry.text or b"").decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None
    if not text:
        return None
    found = entry.line.get("message")
    about: Mapping[str, Any] = found if isinstance(found, dict) else {}
    if _item(text):
        wrapped = {"messageType": "ConfigurationItemChangeNotification"}
        more = f',"configurationItemDiff":{json.dumps(about["diff"])}' if about.get("diff") is not None else ""
        text = f'{json.dumps(wrapped)[:-1]},"configurationItem":{text}{more}}}'
    said = {name: str(about.get(name, "")) for name in ("sent", "account", "region", "topic")}
    said["sent"] = said["sent"] or entry.time
    return Message(notifications=[Notification(text, **said)], for_config=True)


def _item(text: str) -> bool:
    """Whether a text of a message is an item: a message has a messageType, or is no JSON."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return not isinstance(value, dict) or "messageType" not in value
