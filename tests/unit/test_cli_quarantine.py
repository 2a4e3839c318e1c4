"""What is kept in quarantine is listed, counted and shown, whatever is in it."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from audit_search.envelopes import MessageRef, ObjectRef
from audit_search.quarantine import Entry, Quarantine
from audit_search_cli import kept
from audit_search_cli.errors import Problem
from tests.support.aws import QUARANTINE, Aws
from tests.support.cli import Run, deploy, run

LOCATION = f"s3://{QUARANTINE}/quarantine/"
BROKEN = Entry(3, b'{"broken', "not_json", "the record is not JSON")
REFUSED = Entry(1, '{"eventID":"ü","nested":{"a":[1,2]}}'.encode(), "mapper_parsing_exception", "failed to parse")
BYTES = Entry(2, b"\xff\xfe", "not_json", "the record is not UTF-8")
WHOLE = Entry(None, None, "truncated", "the gzip stream ends early")
TRAIL = ObjectRef("trail", "AWSLogs/one.json.gz", "v1")


def keep(aws: Aws, *entries: Entry, ref: ObjectRef | MessageRef = TRAIL) -> str:
    """Put a file into quarantine, as the functions do."""
    return Quarantine(aws.s3, QUARANTINE, "quarantine/").write(ref, entries)


def quarantine(aws: Aws, *arguments: str) -> Run:
    """Run a command of the group on the stand-in's bucket."""
    return run("quarantine", *arguments, "--location", LOCATION, env=aws.environment)


def test_a_list_says_where_entries_came_from_and_why(aws: Aws) -> None:
    """Objects and messages, with the number of entries by the type of their error."""
    first = keep(aws, BROKEN, REFUSED, BYTES)
    second = keep(aws, BROKEN, ref=MessageRef("m-1"))
    found = quarantine(aws, "list", "--output", "json")
    assert found.code == 0, found
    shown = {item["file"]: item for item in found.document["shown"]}
    assert set(shown) == {f"s3://{QUARANTINE}/{first}", f"s3://{QUARANTINE}/{second}"}
    one = shown[f"s3://{QUARANTINE}/{first}"]
    assert (one["entries"], one["types"]) == (3, {"mapper_parsing_exception": 1, "not_json": 2})
    assert one["source"] == "s3://trail/AWSLogs/one.json.gz (version v1)"
    assert shown[f"s3://{QUARANTINE}/{second}"]["source"] == "message m-1"
    assert "2 files at" in quarantine(aws, "list").out


def test_a_list_knows_its_place_from_the_stack(aws: Aws) -> None:
    """The output QuarantineLocation names bucket and prefix; a stack without it is told so."""
    keep(aws, BROKEN)
    queue = {"Type": "AWS::SQS::Queue", "Properties": {}}
    deploy(aws, "with", {"Queue": queue}, {"QuarantineLocation": LOCATION})
    deploy(aws, "without", {"Other": queue}, {})
    assert "1 file at" in run("quarantine", "list", "--stack", "with", env=aws.environment).out
    assert "no output QuarantineLocation" in run("quarantine", "list", "--stack", "without", env=aws.environment).line


def test_more_files_than_are_shown_are_counted(aws: Aws) -> None:
    """Of more files than a page of S3 holds only those asked for are read, and the number is that of all."""
    body = gzip.compress(b"")
    for number in range(1_005):
        aws.s3.put_object(Bucket=QUARANTINE, Key=f"quarantine/{number:04}.ndjson.gz", Body=body)
    found = quarantine(aws, "list", "--max", "2", "--output", "json")
    assert found.document["files"] == 1_005
    assert len(found.document["shown"]) == 2


def test_a_type_chooses_files(aws: Aws) -> None:
    """Only files with such an error are listed and counted."""
    keep(aws, WHOLE)
    wanted = keep(aws, BROKEN, REFUSED, ref=ObjectRef("trail", "two"))
    found = quarantine(aws, "list", "--type", "not_json", "--output", "json").document
    assert found["files"] == 1
    assert [item["file"] for item in found["shown"]] == [f"s3://{QUARANTINE}/{wanted}"]


def test_a_span_of_time_chooses_files(aws: Aws) -> None:
    """By when they were written last; a span in which none can lie is refused."""
    keep(aws, BROKEN)
    assert quarantine(aws, "list", "--since", "1d", "--until", "tomorrow", "--output", "json").document["files"] == 1
    assert quarantine(aws, "list", "--until", "2 days ago", "--output", "json").document["files"] == 0
    assert quarantine(aws, "list", "--until", "2 days ago", "--by", "day").out.startswith("Nothing at")
    assert "is not past yet" in quarantine(aws, "list", "--since", "tomorrow").line


@pytest.mark.parametrize(("by", "names"), [("type", {"not_json": (2, 3), "truncated": (1, 1)}), ("day", None)])
def test_counts_by_type_and_by_day(aws: Aws, by: str, names: dict[str, tuple[int, int]] | None) -> None:
    """Files and entries that have it, and the newest; a file of two types is counted for each."""
    keep(aws, BROKEN, BYTES, WHOLE)
    keep(aws, BROKEN, ref=ObjectRef("trail", "two"))
    groups = quarantine(aws, "list", "--by", by, "--output", "json").document["groups"]
    counts = {group[by]: (group["files"], group["entries"]) for group in groups}
    if names is None:
        assert sum(entries for _, entries in counts.values()) == 4
    else:
        assert counts == names
    assert by in quarantine(aws, "list", "--by", by).out


@pytest.mark.parametrize(
    "body",
    [
        b"not gzip",
        gzip.compress(b'{"bucket"')[:-9],
        gzip.compress(b"[1]\n"),
        gzip.compress(b'{"error":{}}\n'),
        gzip.compress(b"\xff\n"),
    ],
)
def test_a_damaged_file_is_named_and_hides_no_other(aws: Aws, body: bytes) -> None:
    """The rest is listed and counted, and the exit code says that a person has to look."""
    good = keep(aws, BROKEN)
    aws.s3.put_object(Bucket=QUARANTINE, Key="quarantine/zz.ndjson.gz", Body=body)
    found = quarantine(aws, "list", "--output", "json")
    assert found.code == 1
    problems = {item["file"].rpartition("/quarantine/")[2]: item["problem"] for item in found.document["shown"]}
    assert problems[good.removeprefix("quarantine/")] == ""
    assert f"{LOCATION}zz.ndjson.gz" in problems["zz.ndjson.gz"]
    by_type = quarantine(aws, "list", "--by", "type")
    assert by_type.code == 1
    assert "not_json" in by_type.out
    assert "zz.ndjson.gz" in by_type.out
    shown = quarantine(aws, "show", "zz")
    assert shown.code == 2
    assert "zz.ndjson.gz" in shown.err


def test_an_entry_is_shown_with_its_place_reason_and_text(aws: Aws) -> None:
    """JSON is laid out, other text is given as it is; a whole object has none."""
    key = keep(aws, BROKEN, REFUSED, BYTES, WHOLE)
    shown = quarantine(aws, "show", key)
    assert shown.code == 0, shown
    assert "1. s3://trail/AWSLogs/one.json.gz (version v1), the whole of it" in shown.out
    assert "truncated: the gzip stream ends early" in shown.out
    assert '\n      "eventID": "ü",\n' in shown.out
    assert '\n    {"broken\n' in shown.out
    document = quarantine(aws, "show", key, "--output", "json").document
    assert [entry["position"] for entry in document["entries"]] == [None, 1, 2, 3]
    assert document["file"] == f"s3://{QUARANTINE}/{key}"


@pytest.mark.parametrize("name", ["url", "key", "without prefix", "beginning"])
def test_a_file_may_be_named_in_short(aws: Aws, name: str) -> None:
    """By its URL, its key, the key below the location, or the beginning of it."""
    key = keep(aws, BROKEN)
    below = key.removeprefix("quarantine/")
    names = {"url": f"s3://{QUARANTINE}/{key}", "key": key, "without prefix": below, "beginning": below[:5]}
    assert "not_json" in quarantine(aws, "show", names[name]).out


def test_the_names_in_a_list_can_be_given_to_show(aws: Aws) -> None:
    """They stand in one piece; a name that is none of ours is whole, and folded where it is long."""
    keep(aws, BROKEN)
    keep(aws, WHOLE, BYTES)
    aws.s3.put_object(Bucket=QUARANTINE, Key="quarantine/somebody-else-gave-this-name.gz", Body=gzip.compress(b""))
    shown = quarantine(aws, "list").out
    names = [line.split()[2] for line in shown.splitlines() if line.startswith(" 20")]
    assert len(names) == 3
    assert "somebody-else-gave-this-name.gz" in names
    for name in names:
        assert quarantine(aws, "show", name).code == 0, name
    aws.s3.put_object(Bucket=QUARANTINE, Key=f"quarantine/{'z' * 200}y.gz", Body=gzip.compress(b""))
    assert quarantine(aws, "list").out.count("z") >= 200


def test_a_beginning_that_two_files_have_is_refused(aws: Aws) -> None:
    """Both are named, so that one can be chosen."""
    keep(aws, BROKEN)
    keep(aws, WHOLE)
    start = aws.keys()[0].removeprefix("quarantine/")[:2]
    assert "More than one file begins with" in quarantine(aws, "show", start).line


def test_raw_texts_are_the_bytes_that_were_kept(aws: Aws) -> None:
    """What was no UTF-8 as well; an entry without text gives no line."""
    key = keep(aws, WHOLE, REFUSED, BROKEN)
    assert quarantine(aws, "show", key, "--raw").out == '{"eventID":"ü","nested":{"a":[1,2]}}\n{"broken\n'
    read = list(kept.read(aws.s3, QUARANTINE, keep(aws, BYTES)))
    assert [entry.text for entry in read] == [b"\xff\xfe"]


def test_more_entries_than_are_shown_are_said(aws: Aws) -> None:
    """On stderr, so that a program that reads the result is not disturbed."""
    shown = quarantine(aws, "show", keep(aws, BROKEN, REFUSED), "--max", "1", "--output", "json")
    assert len(shown.document["entries"]) == 1
    assert "only the first 1 entries" in shown.err


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_of_this_machine_is_shown(tmp_path: Path, aws: Aws, packed: bool) -> None:
    """Packed as it was fetched, or unpacked; without AWS."""
    body = aws.s3.get_object(Bucket=QUARANTINE, Key=keep(aws, BROKEN))["Body"].read()
    path = tmp_path / "fetched"
    path.write_bytes(body if packed else gzip.decompress(body))
    assert "not_json: the record is not JSON" in run("quarantine", "show", str(path)).out


def test_texts_and_names_cannot_drive_the_terminal(aws: Aws) -> None:
    """Whoever writes a record, or puts an object, chooses them."""
    evil = "\x1b]0;owned\x07\u202e"
    entry = Entry(1, json.dumps({"a": evil}, ensure_ascii=False).encode(), f"type{evil}", f"reason{evil}")
    other = Entry(2, evil.encode(), "x", "y")
    key = keep(aws, entry, other, ref=ObjectRef("trail", f"key{evil}"))
    for shown in (quarantine(aws, "list"), quarantine(aws, "list", "--by", "type"), quarantine(aws, "show", key)):
        assert shown.code == 0, shown
        assert not {"\x1b", "\x07", "\u202e"} & set(shown.out)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["list"], 2, "No quarantine is named. Give --stack NAME or --location"),
        (["list", "--location", "bucket"], 2, "'bucket' is no place in S3"),
        (["list", "--location", "s3://UPPER/x"], 2, "is no place in S3"),
        (["list", "--location", "s3://no-such-bucket/x/"], 2, "NoSuchBucket"),
        (["list", "--by", "colour"], 2, "'colour' is not one of"),
        (["list", "--since", "03/04/2026"], 2, "could be two days"),
        (["list", "--max", "0"], 2, "0 is not in the range"),
        (["list", "--stack", "nothing"], 2, "nothing"),
        (["show"], 2, "Missing argument"),
        (["show", "nowhere.gz"], 2, "There is no file 'nowhere.gz' here"),
        (["show", "s3://bucket"], 2, "names no file"),
        (["show", f"s3://{QUARANTINE}/nothing"], 2, "NoSuchKey"),
        (["show", "ff/", "--location", LOCATION], 2, "No file at s3://quarantine-bucket/quarantine/ begins with 'ff/'"),
        (["show", "x", "--max", "0"], 2, "0 is not in the range"),
    ],
)
def test_wrong_input_is_one_line_that_says_what_to_do(aws: Aws, arguments: Sequence[str], code: int, says: str) -> None:
    """Nothing is printed to stdout, and the exit code says whose mistake it is."""
    wrong = run("quarantine", *arguments, env=aws.environment)
    assert wrong.code == code, wrong
    assert says in wrong.line


def test_a_line_that_is_no_entry_is_named_by_its_number() -> None:
    """What was read before it has been given."""
    good: dict[str, Any] = {"bucket": "b", "key": "k", "position": 0, "error": {"type": "t", "reason": "r"}, "raw": "x"}
    given: list[kept.KeptEntry] = []
    with pytest.raises(Problem, match="Line 2 of f is no entry"):
        given.extend(kept.entries(io.BytesIO(json.dumps(good).encode() + b"\n{}\n"), "f", packed=False))
    found = kept.entries(io.BytesIO(json.dumps(good).encode() + b"\n{}\n"), "f", packed=False)
    assert next(iter(found)).source == "s3://b/k"
