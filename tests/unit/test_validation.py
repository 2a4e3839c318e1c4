"""A chain of digests, intact and damaged in each way, in a bucket and as a folder with exported signatures."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audit_search.objects import ObjectReader
from audit_search.validation.chains import Selection
from audit_search.validation.keys import KeyFileError, KeyRing, read
from audit_search.validation.reports import Report
from audit_search.validation.stores import BucketStore, FolderStore, Store
from audit_search.validation.verification import Verification
from tests.support.aws import QUARANTINE, TRAIL, Aws
from tests.support.digest_chains import ACCOUNT, DAMAGES, START, Trail, a_trail, public, some

HOUR = timedelta(hours=1)


def bucket_store(aws: Aws, bucket: str = TRAIL, *others: str) -> BucketStore:
    allowed = frozenset({bucket, *others})
    return BucketStore(aws.s3, bucket, ObjectReader(aws.s3, allowed, max_bytes=1 << 30, max_ratio=250), allowed)


def folder_store(aws: Aws, folder: Path) -> FolderStore:
    """The bucket as `aws s3 sync` would copy it, with the signatures that the copy has lost."""
    signatures = {}
    for key in aws.keys(TRAIL):
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        got = aws.s3.get_object(Bucket=TRAIL, Key=key)
        path.write_bytes(got["Body"].read())
        if got["Metadata"]:
            signatures[key] = got["Metadata"]
    return FolderStore(folder, signatures, max_bytes=1 << 30, max_ratio=250)


def verify(store: Store, hours: int = 24, keys: tuple[int, ...] = (0,), **fields: Any) -> Report:
    selection = Selection(START, START + hours * HOUR, **fields)
    return Verification(store, KeyRing(dict(map(public, keys))), selection).run()


def bad(report: Report) -> dict[str, str]:
    """The state of each digest and log file that is not right, by its key."""
    return {one.key: one.state for one in report.bad_digests} | {one.file.key: one.state for one in report.bad_files}


def test_an_intact_chain_is_valid(aws: Aws) -> None:
    """Every digest, also one of an hour without log files and the late ones, and every log file."""
    trail = a_trail(aws)
    trail.late(some(3, "late"))
    report = verify(bucket_store(aws))
    assert report.right
    assert (report.total.digests, report.total.files) == ({"valid": 5}, {"right": 7})
    assert report.gaps == []


@pytest.mark.parametrize(
    ("start", "prefix"),
    [("security/", "security"), ("o-a1b2c3d4e5/", "o-a1b2c3d4e5")],
)
def test_each_layout_is_found(aws: Aws, start: str, prefix: str) -> None:
    """With a key prefix in front."""
    a_trail(aws, start=start)
    assert verify(bucket_store(aws), prefix=prefix).total.digests == {"valid": 4}
    assert verify(bucket_store(aws)).total.digests == {}


def test_accounts_regions_and_trails_are_chosen(aws: Aws) -> None:
    """What was not asked for is neither read nor reported."""
    a_trail(aws)
    a_trail(aws, account="444455556666")
    a_trail(aws, region="us-east-1", name="other")
    rows = verify(bucket_store(aws)).rows
    assert sorted(rows) == [(ACCOUNT, "eu-central-1"), (ACCOUNT, "us-east-1"), ("444455556666", "eu-central-1")]
    assert list(verify(bucket_store(aws), accounts={"444455556666"}).rows) == [("444455556666", "eu-central-1")]
    assert list(verify(bucket_store(aws), regions={"us-east-1"}).rows) == [(ACCOUNT, "us-east-1")]
    assert list(verify(bucket_store(aws), trails={"other"}).rows) == [(ACCOUNT, "us-east-1")]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("offline", [False, True], ids=["bucket", "folder"])
def test_each_damage_is_found_and_nothing_else(aws: Aws, tmp_path: Path, damage: str, offline: bool) -> None:
    """Online and offline the one digest or log file that was touched is named, with what is wrong with it."""
    trail = a_trail(aws)
    do, where, state = DAMAGES[damage]
    do(trail)
    report = verify(folder_store(aws, tmp_path) if offline else bucket_store(aws))
    assert bad(report) == {where(trail): state}
    assert not report.right
    assert sum(report.metrics.values()) == 1


def test_both_chains_are_checked(aws: Aws) -> None:
    """A backfill digest that is gone shows by the next one; what it listed is not known, what the others list is."""
    trail = a_trail(aws)
    first = trail.late(some(1, "late-a"))
    trail.hour(some(1, "later"))
    trail.late(some(1, "late-b"))
    trail.remove(first)
    assert bad(verify(bucket_store(aws))) == {first: "missing"}


def test_a_backfill_digest_needs_its_time(aws: Aws) -> None:
    """Without the time at which it was made its key cannot be looked for."""
    trail = a_trail(aws)
    key = trail.late(some(1, "late"))
    trail.aws.put(
        trail.body(key), key, Metadata={name: trail.metadata(key)[name] for name in ("signature", "signature-algorithm")}
    )
    assert bad(verify(bucket_store(aws))) == {key: "malformed"}


def test_an_unknown_key_is_no_right_signature(aws: Aws) -> None:
    """Whoever signs with another key is not CloudTrail."""
    trail = a_trail(aws, hours=2, key=1)
    assert bad(verify(bucket_store(aws))) == dict.fromkeys(trail.digests, "key")
    assert verify(bucket_store(aws), keys=(0, 1)).right


def test_a_signed_digest_in_the_place_of_another_is_found(aws: Aws) -> None:
    """Stricter than the AWS CLI: the successor names another signature and another content."""
    trail = a_trail(aws, hours=1)
    first = trail.digests[0]
    trail.hour(some(1, "x"))
    trail.digest(START + HOUR, [])
    report = verify(bucket_store(aws))
    assert bad(report) == {first: "link"}
    trail = a_trail(aws, hours=1, account="444455556666")
    trail.digest(START + 2 * HOUR, [], previousDigestHashValue="0" * 64)
    assert bad(verify(bucket_store(aws), accounts={"444455556666"})) == {trail.digests[0]: "link"}


def test_a_digest_of_another_bucket_is_not_at_home(aws: Aws) -> None:
    """A bucket that is a copy of another one says so."""
    trail = a_trail(aws, hours=2)
    for key in aws.keys(TRAIL):
        aws.put(trail.body(key), key, QUARANTINE, Metadata=trail.metadata(key))
    report = verify(bucket_store(aws, QUARANTINE))
    assert bad(report) == dict.fromkeys(trail.digests, "moved")


def test_a_stopped_trail_leaves_a_gap(aws: Aws) -> None:
    """A digest that names none before it is no error; the time between is named."""
    trail = a_trail(aws)
    trail.stop(3)
    trail.hour(some(1, "after"))
    report = verify(bucket_store(aws))
    assert report.right
    assert [(gap.since, gap.until) for gap in report.gaps] == [(START + 4 * HOUR, START + 7 * HOUR)]


def test_the_range_bounds_what_is_looked_at(aws: Aws) -> None:
    """Digests that end from its beginning to an hour after its end, for they list what was delivered until then."""
    trail = a_trail(aws, hours=6)
    trail.remove(trail.digests[0])
    selection = Selection(START + 2 * HOUR, START + 3 * HOUR)
    report = Verification(bucket_store(aws), KeyRing(dict([public()])), selection).run()
    assert report.right
    assert report.total.digests == {"valid": 3}


def test_a_range_over_midnight(aws: Aws) -> None:
    """Both days' folders are read."""
    a_trail(aws, hours=6, begin=START + timedelta(hours=12))
    assert verify(bucket_store(aws)).total.digests == {"valid": 6}


def test_a_bucket_that_may_not_be_read_is_unread(aws: Aws) -> None:
    """Log files in a foreign bucket are not read, and not counted as missing."""
    aws.bucket("elsewhere")
    trail = Trail(aws, bucket="elsewhere")
    file = trail.deliver(some(1, "x"), START + HOUR / 2)
    Trail(aws).digest(START + HOUR, [file])
    report = verify(bucket_store(aws))
    assert bad(report) == {file["s3Object"]: "unread"}
    assert report.metrics["UnreadFiles"] == 1
    assert verify(bucket_store(aws, TRAIL, "elsewhere")).right


def test_a_bucket_that_is_not_there_is_one_problem(aws: Aws) -> None:
    """Nothing can be said, and that is said."""
    report = verify(bucket_store(aws, "no-such-bucket"))
    assert not report.right
    assert "does not exist" in report.problems[0]
    assert report.metrics["UnreadFiles"] == 1


def test_more_log_files_than_threads(aws: Aws) -> None:
    """All are looked at, in order, and the one that is gone is found."""
    trail = Trail(aws)
    trail.hour(*(some(1, f"file-{number}") for number in range(120)))
    trail.remove(trail.files[77])
    report = verify(bucket_store(aws))
    assert report.total.files == {"right": 119, "gone": 1}
    assert bad(report) == {trail.files[77]: "gone"}


def test_a_log_file_without_its_checksum_is_changed(aws: Aws) -> None:
    """Stricter than the AWS CLI: the content is whole, but the gzip stream does not end as one does."""
    trail = a_trail(aws)
    trail.replace(trail.files[0], trail.body(trail.files[0])[:-8])
    assert bad(verify(bucket_store(aws))) == {trail.files[0]: "changed"}


def test_an_interrupted_run_says_what_it_did_not_look_at(aws: Aws) -> None:
    """What was begun is finished, the rest is unread, and the sum is what the digests list."""
    trail = Trail(aws)
    trail.hour(*(some(1, f"file-{number}") for number in range(60)))
    seen: list[Report] = []
    run = Verification(bucket_store(aws), KeyRing(dict([public()])), Selection(START, START + HOUR))
    run.stop = lambda: len(seen) > 5
    run.step = seen.append
    report = run.run()
    assert report.interrupted
    assert not report.right
    assert report.total.files["unread"] > 20
    assert report.total.files.total() == 60


def test_paths_of_a_folder_stay_in_it(aws: Aws, tmp_path: Path) -> None:
    """A signed digest may list any key; one that leads out of the folder is not read."""
    outside = tmp_path / "outside.json.gz"
    outside.write_bytes(gzip.compress(b"{}"))
    (tmp_path / "copy").mkdir()
    trail = Trail(aws)
    file = trail.deliver(some(1, "x"), START)
    trail.digest(START + HOUR, [{**file, "s3Object": "../outside.json.gz"}, {**file, "s3Object": "a\0b"}])
    report = verify(folder_store(aws, tmp_path / "copy"))
    assert report.total.files == {"gone": 2}


@pytest.mark.parametrize(
    "text", ["", "[", "{}", '{"PublicKeyList": 3}', '{"PublicKeyList": [{"Fingerprint": "a", "Value": "*"}]}', "[1]"]
)
def test_a_file_of_keys_that_is_none_is_refused(text: str) -> None:
    """With a word on what it should be."""
    with pytest.raises(KeyFileError, match="list-public-keys"):
        read([text])


def test_keys_survive_their_export(aws: Aws) -> None:
    """What a key ring exports is what a key file holds."""
    ring = KeyRing(dict(map(public, (0, 1))))
    assert read([json.dumps(ring.exported())]) == dict(map(public, (0, 1)))


def test_a_key_that_is_none_is_named(aws: Aws) -> None:
    """A public key that cannot be read makes its digests invalid, and is no mistake of ours."""
    trail = a_trail(aws, hours=1)
    report = Verification(bucket_store(aws), KeyRing({public()[0]: b"no key"}), Selection(START, START + HOUR)).run()
    assert [(one.state, one.reason) for one in report.bad_digests] == [("signature", "its public key cannot be read")]
    assert bad(report) == {trail.digests[0]: "signature"}
