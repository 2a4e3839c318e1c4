"""The original texts of the records come out of an object, whatever its formatting, its pieces and its damage."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from generate import sample_objects

from audit_search import records
from audit_search.errors import ObjectError
from audit_search.objects import inflate
from audit_search.records import DigestObjectError, windows

SOURCE = Path(records.__file__).parents[1]
DATA = Path(__file__).parents[2].parent / "shared" / "data" / "cloudtrail"
A = b'{"eventVersion":"1.11","text":"x"}'
B = b'{"eventVersion":"1.11","text":"y","inner":{"eventVersion":["}",{"]":"{"}]}}'
C = b'{"eventVersion":"1.11","text":"\\",{\\"eventVersion\\":"}'


def cut(data: bytes, step: int) -> Iterator[bytes]:
    """The data in pieces."""
    return (data[at : at + step] for at in range(0, len(data), step))


def read(chunks: Iterable[bytes]) -> tuple[list[bytes], str]:
    """The texts of all records, and the code of the error at the end (empty where there is none)."""
    texts: list[bytes] = []
    try:
        for window in windows(iter(chunks)):
            found = [bytes(text) for text in window.texts]
            if window.array is not None:
                assert json.loads(window.array.decode("utf-8", "replace")) is not None
            assert found
            texts += found
    except ObjectError as error:
        return texts, error.code
    return texts, ""


def texts_of(data: bytes, step: int = 1 << 20) -> list[bytes]:
    """The texts of an object that holds no error."""
    texts, code = read(cut(data, step))
    assert code == ""
    return texts


def holding(*elements: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """A log file of some elements; other members may stand before and behind Records."""
    return b"{" + before + b'"Records":[' + b",".join(elements) + b"]" + after + b"}"


WHOLE = [
    ("plain", holding(A, B, C), [A, B, C]),
    ("one", holding(A), [A]),
    ("empty", holding(), []),
    ("empty and spaced", b' {\n"Records" : [ \n ] } \n', []),
    ("spaces", b' \r\n\t{ "Records" :\n[ ' + A + b" ,\n " + B + b"\n,\t" + C + b" ]\n} \n", [A, B, C]),
    ("keys before", holding(A, B, before=b'"x":{"Records":[1,{"a":"]}"}]},"y":[[]],"z":"[{\\"Records\\":[",'), [A, B]),
    ("keys behind", holding(A, B, after=b',"x":{"Records":[1]},"y":1.5,"z":null,"w":"]}"'), [A, B]),
    ("a list behind", holding(A, after=b',"x":[{"eventVersion":"1.11"},{"eventVersion":"1.11"}]'), [A]),
    ("twice", holding(A) + holding(B, C), [A, B, C]),
    ("twice, with lines", holding(A) + b"\n" + holding() + b"\r\n" + holding(B) + b"\n", [A, B]),
    ("two lists", b'{"Records":[' + A + b'],"Records":[' + B + b"]}", [A, B]),
    ("beside another object", b'{"a":1}' + holding(A) + b"{}", [A]),
    ("other orders", holding(b'{"a":1}', b'{"b":2}', b"{}", b'{ "a" : 3 }', b'{"\\u0061":4}'), [b'{"a":1}', b'{"b":2}', b"{}"]),
    ("scalars", holding(A, b"1", b"-1.5e3", b"true", b"null", b'"text, {[]} \\" "', b"[1,[2]]", B), [A, b"1", b"-1.5e3"]),
    ("long keys", holding(b'{"' + b"k" * 5_000 + b'":1}', b'{"' + b"k" * 5_000 + b'":2}'), [b'{"' + b"k" * 5_000 + b'":1}']),
    ("NaN", holding(A, b'{"eventVersion":NaN}', B), [A, b'{"eventVersion":NaN}', B]),
    ("surrogate", holding(A, b'{"eventVersion":"\\ud83d"}', B), [A, b'{"eventVersion":"\\ud83d"}', B]),
    ("control bytes", holding(A, b'{"eventVersion":"\x00\x01\n\t"}', B), [A, b'{"eventVersion":"\x00\x01\n\t"}', B]),
    ("invalid UTF-8", holding(A, b'{"eventVersion":"\xe4\xff\xc3"}', B), [A, b'{"eventVersion":"\xe4\xff\xc3"}', B]),
    ("duplicate keys", holding(b'{"a":1,"a":2}', A), [b'{"a":1,"a":2}', A]),
    ("an escaped quotation mark at the end", holding(b'{"a":"\\\\"}', b'{"a":"\\\\\\""}'), [b'{"a":"\\\\"}', b'{"a":"\\\\\\""}']),
]


@pytest.mark.parametrize(("data", "wanted"), [case[1:] for case in WHOLE], ids=[case[0] for case in WHOLE])
def test_a_sound_object_gives_its_texts(data: bytes, wanted: list[bytes]) -> None:
    """Every formatting of an object gives the texts of its elements, byte for byte, and the same in pieces of any size."""
    texts = texts_of(data)
    assert texts[: len(wanted)] == wanted
    for step in (1, 2, 3, 5, 7, 11, 64, 100):
        assert texts_of(data, step) == texts


@pytest.mark.parametrize("data", [case[1] for case in WHOLE if len(case[1]) < 1_000], ids=lambda data: str(len(data)))
def test_a_border_of_two_pieces_may_lie_anywhere(data: bytes) -> None:
    """At every byte at which one piece may end and the next begin, also within the head and the last brackets."""
    texts = texts_of(data)
    for at in range(len(data) + 1):
        assert read([data[:at], b"", data[at:]]) == (texts, "")


def test_pretty_printed_objects_keep_the_text() -> None:
    """Indented records come out with their line breaks: the text is the original one."""
    value = {"Records": [{"eventID": str(number), "list": [1, {"a": []}], "text": "Zürich"} for number in range(50)]}
    for indent in (1, 2, 4):
        data = json.dumps(value, indent=indent, ensure_ascii=False).encode()
        texts = texts_of(data)
        assert [json.loads(text) for text in texts] == value["Records"]
        assert all(text in data for text in texts)
        assert texts_of(data, 13) == texts


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "no-records"),
        (b" \n ", "no-records"),
        (b"{}", "no-records"),
        (b"{}{}", "no-records"),
        (b'{"records":[]}', "no-records"),
        (b'{"a":{"Records":[]}}', "no-records"),
        (b'{"Records":null}', "no-records"),
        (b'{"Records":{"a":1}}', "no-records"),
        (b'{"Records":"x"}', "no-records"),
        (b'{"Records":1}', "no-records"),
        (b"[1]", "not-json"),
        (b"null", "not-json"),
        (b'"text"', "not-json"),
        (b"<html></html>", "not-json"),
        (b"version account-id interface-id", "not-json"),
        (holding(A).decode().encode("utf-16"), "not-json"),
        (b"\0" * 100, "not-json"),
        (b"{1:2}", "not-json"),
        (b'{"a" "b"}', "not-json"),
        (b'{"a":1]', "not-json"),
        (b'{"a"', "truncated"),
        (b'{"a":', "truncated"),
        (b'{"a":1', "truncated"),
        (b'{"a":"x', "truncated"),
        (b'{"a":[{"b":"}', "truncated"),
        (b"{", "truncated"),
        (b'{"Rec', "truncated"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_holds_no_records_says_so(data: bytes, code: str) -> None:
    """Other JSON, other formats and nothing at all end in the error that fits, whatever the pieces."""
    for step in (1, 2, 1_000):
        assert read(cut(data, step)) == ([], code)


@pytest.mark.parametrize("garbage", [b"x", b"\0\0\0", b"]", b"[]", b'"more"', b"}"])
def test_garbage_behind_the_object_is_an_error_after_the_records(garbage: bytes) -> None:
    """The records that stand before it have been handed out."""
    for step in (1, 1_000):
        assert read(cut(holding(A, B) + garbage, step)) == ([A, B], "not-json")


def test_the_keys_of_something_else_are_shown() -> None:
    """An object that is no log file is described by its top-level keys."""
    data = json.dumps({f"k{number}": number for number in range(30)} | {"x" * 100: 1}).encode()
    with pytest.raises(ObjectError, match=r"no Records in it; its top-level keys are k0, k1, .*, k19$"):
        list(windows(iter([data])))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'{"awsAccountId":"1","digestStartTime":"x","digestS3Object":"k","logFiles":[{"s3Object":"o"}]}', "CloudTrail digest"),
        (b'{"fileVersion":"1.0","configSnapshotId":"x","configurationItems":[{"a":1}]}', "AWS Config object"),
        (b'{"configurationItemDiff":null,"configurationItem":{"a":1},"messageType":"Oversized"}', "AWS Config object"),
    ],
)
def test_what_lies_beside_log_files_is_known_by_its_content(data: bytes, kind: str) -> None:
    """A digest or AWS Config's object at an unusual key is skipped, not quarantined."""
    for step in (1, 1_000):
        with pytest.raises(DigestObjectError) as caught:
            list(windows(cut(data, step)))
        assert caught.value.code == kind


def test_the_sample_objects_give_their_elements() -> None:
    """All sample objects, hostile ones too, give exactly the elements they were made of."""
    for sample in sample_objects():
        if sample.has_records and b"\n " not in sample.content[:20]:
            for step in (997, 1 << 20):
                assert texts_of(sample.content, step) == list(sample.elements), sample.key


def test_the_real_objects_give_as_many_records_as_a_json_parser() -> None:
    """Where the collection of real objects lies beside the project, each gives what a JSON parser finds in it."""
    found = 0
    for path in sorted(DATA.rglob("*.json.gz")):
        data = gzip.decompress(path.read_bytes())
        value = json.loads(data)
        if "Records" in value:
            texts = texts_of(data, 10_000)
            assert [json.loads(text) for text in texts] == value["Records"], path
            found += len(texts)
    assert found == (2_451 if DATA.exists() else 0)


# Cut short


@pytest.mark.parametrize("step", [1, 1_000])
def test_json_that_ends_anywhere_gives_what_is_whole(step: int) -> None:
    """At every byte at which the JSON may end: the records before it, nothing invented, and `truncated`."""
    data = holding(A, B, C, after=b',"x":[1]')
    for end in range(1, len(data)):
        texts, code = read(cut(data[:end], step))
        assert code == "truncated", data[:end]
        assert texts == [A, B, C][: len(texts)]
        assert len(texts) >= sum(data[:end].find(text) >= 0 for text in (A, B, C)) - 1


def test_a_byte_order_mark_is_taken() -> None:
    """A file that an editor has saved is read all the same."""
    assert texts_of(b"\xef\xbb\xbf" + holding(A)) == [A]


@pytest.mark.parametrize("cut_off", [1, 8, 40, 400])
def test_an_object_that_breaks_off_gives_its_whole_records_first(cut_off: int) -> None:
    """Whatever of a truncated gzip stream can be inflated is handed out before the error."""
    elements = [b'{"eventVersion":"1.11","text":"%d"}' % (number * 7_919) for number in range(300)]
    packed = gzip.compress(holding(*elements))[:-cut_off]
    found, code = read(inflate([packed], 1 << 30, 1_000))
    assert code == "truncated"
    assert found == elements[: len(found)]
    assert len(found) == 300 if cut_off <= 8 else 0 < len(found) < 300


def test_an_array_that_ends_in_a_scalar_is_truncated() -> None:
    """A number at the very end may have had more digits; it is handed out, and the object is truncated."""
    assert read([b'{"Records":[1,2']) == ([b"1", b"2"], "truncated")


# Poison


def poisoned(broken: bytes, step: int, around: int = 40) -> tuple[list[bytes], list[bytes], str]:
    """What comes out of an object with a broken record among sound ones: the sound texts, the others, the error."""
    sound = [b'{"eventVersion":"1.11","n":%d,"text":"a } b { c ] d [ \\" , : e"}' % number for number in range(2 * around)]
    texts, code = read(cut(holding(*sound[:around], broken, *sound[around:]), step))
    return [text for text in texts if text in sound], [text for text in texts if text not in sound], code


BROKEN = {
    "no closing quotation mark": b'{"eventVersion":"1.11","text":"x,"more":"y"}',
    "no closing mark before a brace": b'{"eventVersion":"1.11","text":"x,"more":"y } z"}',
    "no opening quotation mark": b'{"eventVersion":"1.11","text":x","more":"y"}',
    "no mark around a key": b'{"eventVersion":"1.11",text":"x"}',
    "no mark in the first key": b'{"eventVersion:"1.11","text":"x"}',
    "one mark too many": b'{"eventVersion":"1.11","text":"x"","more":"y"}',
    "an escaped closing mark": b'{"eventVersion":"1.11","text":"x\\","more":"y"}',
    "no closing brace": b'{"eventVersion":"1.11","inner":{"a":1}',
    "no closing braces": b'{"eventVersion":"1.11","inner":{"a":{"b":{"c":1',
    "no closing bracket": b'{"eventVersion":"1.11","inner":[1,2}',
    "one bracket too many": b'{"eventVersion":"1.11","inner":[1]]}',
    "wrong brackets": b'{"eventVersion":"1.11","inner":[1}',
    "a brace in the middle": b'{"eventVersion":"1.11"},"text":"x"}',
    "no colon": b'{"eventVersion" "1.11"}',
    "no value": b'{"eventVersion":}',
    "a comma too many": b'{"eventVersion":"1.11",}',
    "a comment": b'{"eventVersion":"1.11"/* " */}',
    "a wrong escape": b'{"eventVersion":"\\q"}',
    "half an escape": b'{"eventVersion":"\\u12"}',
    "bare words": b"not json at all",
    "a colon": b":",
    "noise": bytes(byte for byte in range(256) if byte not in b'"[]{},'),
}


@pytest.mark.parametrize("step", [7, 1 << 20])
@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_record_leaves_its_neighbours_alone(what: str, step: int) -> None:
    """Whatever is missing or too many in one record, all others come out, and its own bytes do too."""
    sound, others, code = poisoned(BROKEN[what], step)
    assert (len(sound), code) == (80, "")
    assert b"".join(others).translate(None, b" ,") == BROKEN[what].translate(None, b" ,")


@pytest.mark.parametrize("what", BROKEN)
def test_many_broken_records_leave_their_neighbours_alone(what: str) -> None:
    """Also where every other record is broken."""
    sound = [b'{"eventVersion":"1.11","n":%d}' % number for number in range(60)]
    elements = [element for text in sound for element in (text, BROKEN[what])]
    texts, _ = read(cut(holding(*elements, sound[0]), 1 << 20))
    assert [text for text in texts if text in sound] == [*sound, sound[0]]


def test_a_broken_last_record_ends_the_object() -> None:
    """Behind a broken record without a neighbour nothing can be told: what came before is handed out."""
    texts, code = read([holding(A, B, BROKEN["no closing quotation mark"])])
    assert (texts[:2], code) == ([A, B], "truncated")


def test_a_broken_record_in_a_long_object_is_cut_out() -> None:
    """In an object that is never whole in memory, too, a record without an end costs only itself."""
    sound = [b'{"eventVersion":"1.11","n":%d,"text":"%b"}' % (number, b"x" * 2_000) for number in range(6_000)]
    for what in ("no closing quotation mark", "no closing brace"):
        elements = [*sound[:100], BROKEN[what], *sound[100:]]
        texts, code = read(cut(holding(*elements), 1 << 20))
        assert code == ""
        assert len(texts) == len(elements)
        assert texts[100] == BROKEN[what]


def test_look_alikes_of_a_border_do_not_cut() -> None:
    """Inner objects that begin like a record, and texts that quote one, stay where they are."""
    inner = b'{"eventVersion":"1","list":[{"eventVersion":"2"},{"eventVersion":"3"}],"text":",{\\"eventVersion\\":"}'
    filler = [b'{"eventVersion":"%d","list":[{"a":1},{"eventVersion":"x"},{"eventVersion":"y"}]}' % n for n in range(20_000)]
    wanted = [*filler[:9_000], inner, *filler[9_000:], inner]
    assert texts_of(holding(*wanted), 100_000) == wanted
    poison = b'{"eventVersion":NaN,"list":[{"eventVersion":"2"},{"eventVersion":"3"}]}'
    assert texts_of(holding(inner, poison, inner)) == [inner, poison, inner]


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_any_depth_has_an_end(depth: int) -> None:
    """Deep nesting is one element, and its neighbours stay whole."""
    deep = b'{"eventVersion":' + b'{"a":[' * depth + b"1" + b"]}" * depth + b"}"
    for step in (4_096, 1 << 20):
        assert texts_of(holding(A, deep, B), step) == [A, deep, B]


# Bounds


def test_an_element_beyond_the_limit_is_too_big(monkeypatch: pytest.MonkeyPatch) -> None:
    """One endless string or object cannot fill the memory; what came before it is handed out."""
    monkeypatch.setattr(records, "MAX_ELEMENT", 1 << 18)
    for endless in (b'{"eventVersion":"' + b"x" * (1 << 20), b"[" * (1 << 20), b'"' + b"y" * (1 << 20), b"1" * (1 << 20)):
        texts, code = read(cut(holding(A, endless), 10_000))
        assert (texts, code) == ([A], "too-big")
    assert read(cut(b'{"x":"' + b"x" * (1 << 20) + b'"}', 10_000)) == ([], "too-big")


def test_an_element_below_the_limit_is_read() -> None:
    """Records far beyond CloudTrail's own limit are still records."""
    big = b'{"eventVersion":"1.11","text":"' + b"x" * (5 << 20) + b'"}'
    assert texts_of(holding(A, big, B, big), 300_000) == [A, big, B, big]


@pytest.mark.parametrize(
    "data",
    [
        b"{" + b"," * 3_000_000,
        b"{" + b'"a":1,' * 300_000 + b"}",
        b"{}" * 500_000,
        b'{"Records":[]}' * 200_000,
        b'{"Records":[{}]}' * 2_000,
        b" " * 3_000_000,
        b'{"Records":[' + b":" * 100_000 + b"]}",
        b'{"Records":[{"a":1},' + b":" * 100_000 + b"]}",
        b'{"Records":[{"a":1},' + b"{x}," * 50_000 + b"]}",
        b'{"Records":[' + b"," * 3_000_000 + b"]}",
        b'{"Records":[' + b'{"a":[' * 100_000,
        b'{"Records":[' + b'{"a":"x,' * 2_000 + b"]}",
        b'{"Records":["' + b'\\"' * 1_000_000,
    ],
    ids=lambda data: repr(data[:24] + b"..." + data[-8:]),
)
@pytest.mark.timeout(120)  # each takes a second or two; quadratic, they would take many minutes
def test_no_content_makes_the_reader_slow(data: bytes) -> None:
    """Content made to be read again and again from its beginning is still read in one go."""
    assert read(cut(data, 1 << 20))[1] in {"", "truncated", "not-json", "no-records", "too-big"}


@pytest.mark.timeout(120)
def test_pieces_of_one_byte_are_no_burden() -> None:
    """Gzip members of a byte each make pieces of a byte each."""
    data = holding(*[b'{"eventVersion":"%d"}' % number for number in range(40_000)])
    assert len(texts_of(data, 1)) == 40_000


MEASURE = """
import resource, sys
from audit_search.records import windows

def pieces():
    record = b'{"eventVersion":"1.11","text":"' + b"x" * 1_000 + b'"}'
    poison = b'{"eventVersion":NaN,"text":"' + b"x" * 1_000 + b'"}'
    yield b'{"Records":[' + record
    block = (b"," + record) * 1_000
    for number in range(200):
        yield block + (b"," + poison if number % 10 == 0 else b"")
    yield b"]}"

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(len(window.texts) for window in windows(pieces()))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(count, (after - before) * (1 if sys.platform == "darwin" else 1024))
"""


def test_memory_does_not_grow_with_the_object() -> None:
    """Two hundred megabytes of records, poisoned here and there, pass through a few megabytes of memory."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    count, grown = map(int, done.stdout.split())
    assert count == 200_021
    assert grown < 40 << 20
