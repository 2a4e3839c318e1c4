"""Writes the sample CloudTrail objects (`events/objects/`) and the AWS payloads (`events/*.json`) that name them, and the
same of AWS Config (`events/config/`).

    python events/generate.py

The output is committed, and a test holds that it is what this program makes. An object whose content is unchanged is
left alone, so that another zlib changes no file. Nothing here is real: accounts, addresses and keys are those that
AWS and the RFCs set aside for documentation.

These modules are imported as `generate` and `story`: the name `events` belongs to a dependency of opensearch-py, which
an `__init__.py` beside this file would hide.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from story import hostile, kinds, scenes
from story.actors import INSTANCE, ORGANISATION, PRODUCTION, Json
from story.calls import FRANKFURT, VIRGINIA
from story.config_objects import all_files
from story.config_payloads import all_config_payloads
from story.data_events import busy_quarter_of_an_hour
from story.payloads import Cast, Stored, all_payloads
from story.records import Delivery, written

__all__ = [
    "BUCKET",
    "CONFIG",
    "CONFIG_BUCKET",
    "CONFIG_OBJECTS",
    "INSTANCE",
    "Counts",
    "SampleObject",
    "config_objects",
    "config_payloads",
    "counts",
    "payloads",
    "sample_objects",
]

HERE = Path(__file__).parent
OBJECTS = HERE / "objects"
BUCKET = "example-trail-bucket"
CONFIG = HERE / "config"
CONFIG_OBJECTS = CONFIG / "objects"
CONFIG_BUCKET = "example-config-bucket"
SECOND_TRAIL = "security-trail/AWSLogs/"


@dataclass(frozen=True)
class SampleObject:
    """An object: its key, the parts that become its gzip members, and the text of each element of `Records`."""

    key: str
    members: tuple[bytes, ...]
    elements: tuple[bytes, ...] = ()
    has_records: bool = True
    folder: Path = OBJECTS

    @property
    def content(self) -> bytes:
        return b"".join(self.members)

    @property
    def path(self) -> Path:
        return self.folder / self.key

    @property
    def non_objects(self) -> int:
        return sum(not element.startswith(b"{") for element in self.elements)


@dataclass(frozen=True)
class Counts:
    """What must come out of the sample objects: `read = indexed + duplicates + quarantined`."""

    objects: int
    skipped_objects: int
    read: int
    indexed: int
    duplicates: int
    quarantined: int


def counts(objects: Sequence[SampleObject]) -> Counts:
    """What each object and record of `objects` must become, known from how they are made."""
    elements = [element for sample in objects for element in sample.elements]
    quarantined = sum(sample.non_objects for sample in objects)
    distinct = {element for element in elements if element.startswith(b"{")}
    duplicates = len(elements) - quarantined - len(distinct)
    return Counts(
        objects=len(objects),
        skipped_objects=sum(not sample.has_records for sample in objects),
        read=len(elements),
        indexed=len(distinct),
        duplicates=duplicates,
        quarantined=quarantined,
    )


def sample_objects() -> list[SampleObject]:
    """All sample objects, in the order of their delivery; the digest comes last."""
    deliveries = [
        *scenes.all_deliveries(),
        kinds.insights(),
        kinds.network_activity(),
        kinds.aggregated(),
        kinds.not_yet_invented(),
        kinds.without_records(),
        kinds.twice_delivered(),
        kinds.twice_delivered(SECOND_TRAIL),
        *kinds.organisation_layouts(),
    ]
    objects = [plain(delivery) for delivery in deliveries]
    objects += [
        in_members(busy_quarter_of_an_hour()),
        pretty_printed(kinds.beyond_ascii()),
        with_sorted_keys(kinds.first_version()),
        with_non_objects(kinds.with_two_non_objects()),
        hostile_object(kinds.hostile_window()),
    ]
    objects.sort(key=lambda sample: (sample.key.rsplit("_", 2)[1], sample.key))
    return [*objects, digest(objects)]


def plain(delivery: Delivery) -> SampleObject:
    """As CloudTrail writes it: one line, no spaces."""
    return of_elements(delivery.key, [written(record) for record in delivery.records])


def of_elements(key: str, elements: Sequence[bytes]) -> SampleObject:
    return SampleObject(key, (b'{"Records":[' + b",".join(elements) + b"]}",), tuple(elements))


def in_members(delivery: Delivery) -> SampleObject:
    """One content in three gzip members, as tools that append make it; a cut lies within a record."""
    whole = plain(delivery)
    third = len(whole.content) // 3
    members = (whole.content[:third], whole.content[third : 2 * third], whole.content[2 * third :])
    return SampleObject(whole.key, members, whole.elements)


def pretty_printed(delivery: Delivery) -> SampleObject:
    """As a person or a tool reformats it."""
    text = json.dumps({"Records": delivery.records}, ensure_ascii=False, indent=2).encode()
    return SampleObject(delivery.key, (text + b"\n",), plain(delivery).elements)


def with_sorted_keys(delivery: Delivery) -> SampleObject:
    """Another order of keys: no record starts with its `eventVersion`."""
    elements = [json.dumps(record, ensure_ascii=False, sort_keys=True).encode() for record in delivery.records]
    return of_elements(delivery.key, elements)


def with_non_objects(delivery: Delivery) -> SampleObject:
    """Two elements of `Records` are no objects; their neighbours are sound."""
    elements = list(plain(delivery).elements)
    for position, element in zip((2, 5), hostile.NON_OBJECTS, strict=True):
        elements.insert(position, element)
    return of_elements(delivery.key, elements)


def hostile_object(delivery: Delivery) -> SampleObject:
    return of_elements(delivery.key, list(hostile.records().values()))


def digest(objects: Sequence[SampleObject]) -> SampleObject:
    """CloudTrail's hourly digest of the log files of one region and account: no `Records`."""
    name = f"{PRODUCTION}_CloudTrail-Digest_eu-central-1_example_eu-central-1"
    folder = f"AWSLogs/{PRODUCTION}/CloudTrail-Digest/eu-central-1/2026/11/03"
    listed = [sample for sample in objects if f"/CloudTrail/{FRANKFURT}/2026/11/03/" in sample.key]
    log_files: list[Json] = [
        {
            "s3Bucket": BUCKET,
            "s3Object": sample.key,
            # CloudTrail hashes the uncompressed content.
            "hashValue": hashlib.sha256(sample.content).hexdigest(),
            "hashAlgorithm": "SHA-256",
            "newestEventTime": max(json.loads(element)["eventTime"] for element in sample.elements),
            "oldestEventTime": min(json.loads(element)["eventTime"] for element in sample.elements),
        }
        for sample in listed
    ]
    body: Json = {
        "awsAccountId": PRODUCTION,
        "digestStartTime": "2026-11-03T08:10:00Z",
        "digestEndTime": "2026-11-03T09:10:00Z",
        "digestS3Bucket": BUCKET,
        "digestS3Object": f"{folder}/{name}_20261103T091000Z.json.gz",
        "digestPublicKeyFingerprint": hashlib.sha256(b"fingerprint").hexdigest()[:32],
        "digestSignatureAlgorithm": "SHA256withRSA",
        "newestEventTime": max(str(log_file["newestEventTime"]) for log_file in log_files),
        "oldestEventTime": min(str(log_file["oldestEventTime"]) for log_file in log_files),
        "previousDigestS3Bucket": BUCKET,
        "previousDigestS3Object": f"{folder}/{name}_20261103T081000Z.json.gz",
        "previousDigestHashValue": hashlib.sha256(b"previous digest").hexdigest(),
        "previousDigestHashAlgorithm": "SHA-256",
        "previousDigestSignature": hashlib.sha512(b"previous signature").hexdigest(),
        "logFiles": log_files,
    }
    return SampleObject(str(body["digestS3Object"]), (written(body),), has_records=False)


def payloads(objects: Sequence[SampleObject]) -> dict[str, Json]:
    """The payloads by name; sizes and ETags are those of the files in `events/objects/`."""
    stored = {sample.key: _stored(sample) for sample in objects}

    def holding(part: str) -> Stored:
        return next(one for key, one in stored.items() if part in key)

    layouts = [delivery.key for delivery in kinds.organisation_layouts()]
    cast = Cast(
        first=holding(f"AWSLogs/{PRODUCTION}/CloudTrail/{FRANKFURT}/2026/11/03/"),
        second=holding(f"AWSLogs/{PRODUCTION}/CloudTrail/{FRANKFURT}/2026/11/05/"),
        third=holding(f"AWSLogs/{PRODUCTION}/CloudTrail/{VIRGINIA}/2026/11/04/"),
        odd=holding(kinds.ODD_PREFIX),
        digest=holding("CloudTrail-Digest"),
        organisation=[stored[key] for key in layouts if ORGANISATION in key],
        control_tower=stored[layouts[2]],
    )
    return all_payloads(cast)


def config_objects() -> list[SampleObject]:
    """AWS Config's objects in the order of their times; `elements` are the texts of their items."""
    return [SampleObject(one.key, (one.content,), one.elements, folder=CONFIG_OBJECTS) for one in all_files()]


def config_payloads(objects: Sequence[SampleObject], trail: Sequence[SampleObject]) -> dict[str, Json]:
    """AWS Config's payloads by name; `trail` are CloudTrail's objects, of which one is announced among them."""
    first = next(sample for sample in trail if f"AWSLogs/{PRODUCTION}/CloudTrail/{FRANKFURT}/2026/11/03/" in sample.key)
    return all_config_payloads([_stored(sample, CONFIG_BUCKET) for sample in objects], _stored(first))


def _stored(sample: SampleObject, bucket: str = BUCKET) -> Stored:
    body = sample.path.read_bytes()
    return Stored(bucket, sample.key, len(body), hashlib.md5(body, usedforsecurity=False).hexdigest())


def write_objects(objects: Sequence[SampleObject], folder: Path) -> None:
    """Writes the objects whose content differs; removes what is no longer made."""
    for old in sorted(set(folder.rglob("*.json.gz")) - {sample.path for sample in objects}):
        old.unlink()
    for sample in objects:
        if sample.path.exists() and gzip.decompress(sample.path.read_bytes()) == sample.content:
            continue
        sample.path.parent.mkdir(parents=True, exist_ok=True)
        sample.path.write_bytes(b"".join(gzip.compress(member, 9, mtime=0) for member in sample.members))


def write_payloads(made: dict[str, Json], folder: Path) -> None:
    """Writes the payloads; removes what is no longer made."""
    for stale in sorted(set(folder.glob("*.json")) - {folder / f"{name}.json" for name in made}):
        stale.unlink()
    for name, payload in made.items():
        (folder / f"{name}.json").write_text(payload_text(payload), encoding="utf-8")


def payload_text(payload: Json) -> str:
    return json.dumps(payload, ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    all_objects, of_config = sample_objects(), config_objects()
    write_objects(all_objects, OBJECTS)
    write_objects(of_config, CONFIG_OBJECTS)
    write_payloads(payloads(all_objects), HERE)
    write_payloads(config_payloads(of_config, all_objects), CONFIG)
    sys.stdout.write(f"{counts(all_objects)}\n")
