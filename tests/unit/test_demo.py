"""The parts of the demo that have rules of their own: fields of hits, text for a terminal, files, environment."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest
from generate import INSTANCE

from demo import hits, inputs
from demo.function import default_auth, environment
from demo.inputs import InputObject
from demo.options import DemoError, Options
from demo.screen import clean
from demo.searches import free_text, searches
from demo.storage import Put, notification


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"userIdentity.arn": "a"}, "a"),
        ({"userIdentity": {"arn": "a"}}, "a"),
        ({"userIdentity.type": "Root"}, None),
        ({"userIdentity": "Root"}, None),
        ({"userIdentity": {"arn": None}}, None),
        (None, None),
    ],
)
def test_dotted_fields_of_either_engine(source: object, expected: str | None) -> None:
    """A dotted field is found whether the engine gives it back as it was sent or nested."""
    assert hits.field(source, "userIdentity.arn") == expected


def test_fields_of_arrays_and_mixed_forms() -> None:
    """Arrays give all their values, and a name may be dotted in part."""
    assert hits.text({"resources": [{"ARN": "a"}, {"type": "t"}, {"ARN": "b"}]}, "resources.ARN") == "a, b"
    assert (
        hits.field({"userIdentity.sessionContext": {"sessionIssuer.arn": "a"}}, "userIdentity.sessionContext.sessionIssuer.arn")
        == "a"
    )
    assert hits.text({"ct": {"position": 0}}, "ct.position") == "0"
    assert hits.text({}, "eventName") == ""


def test_nothing_in_a_log_commands_the_terminal() -> None:
    """Escapes, control characters and changes of direction are shown as replacement characters, line ends as spaces."""
    assert clean("\x1b[2J\x9b31m\x07\u202eabc\u2066") == "�[2J�31m��abc�"
    assert clean("one\r\n\ttwo\u2028three") == "one two three"
    assert clean("Zürich 東京 👩\u200d💻") == "Zürich 東京 👩\u200d💻"
    assert clean("x" * 50, 10) == "x" * 9 + "…"


def test_files_folders_and_patterns(tmp_path: Path) -> None:
    """Keys are named from the folder that was given, or from the first wildcard; relative paths from where the user was."""
    for name in ("a.json.gz", "deep/er/b.json.gz", "c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(b"{}"))

    def keys(wanted: str, called_from: str = "") -> list[str]:
        return [entry.key for entry in inputs.users_files(wanted, called_from)]

    assert keys(str(tmp_path)) == ["a.json.gz", "deep/er/b.json.gz"]
    assert keys(f"{tmp_path}/**/*.json.gz") == ["a.json.gz", "deep/er/b.json.gz"]
    assert keys(f"{tmp_path}/d*") == ["deep/er/b.json.gz"]
    assert keys("deep", str(tmp_path)) == ["er/b.json.gz"]
    assert keys(f"{tmp_path}/c.txt") == ["c.txt"]
    with pytest.raises(DemoError, match=r"matches no \*\.gz file"):
        keys(f"{tmp_path}/*.txt")


def test_batches_are_bounded_by_number_and_size() -> None:
    """Up to ten objects go together, and a big one goes alone."""
    small = [InputObject(str(number), Path(), 1) for number in range(12)]
    big = InputObject("big", Path(), inputs.BATCH_BYTES)
    assert [len(batch) for batch in inputs.batches([*small, big, small[0]])] == [10, 2, 1, 1]


def test_the_instance_that_is_named_most(tmp_path: Path) -> None:
    """Ids count where they are a whole value; an instance's own session names and broken files do not matter."""
    path = tmp_path / "x.gz"
    path.write_bytes(
        gzip.compress(b'"i-00000001" "AROA:i-00000002" "AROA:i-00000002" "i-0000000000000000a" "i-0000000000000000a"')
    )
    found = Counter[str]()
    inputs.count_instances(path, found)
    path.write_bytes(b"no gzip")
    inputs.count_instances(path, found)
    assert inputs.most_frequent(found) == "i-0000000000000000a"
    assert inputs.most_frequent(Counter()) == ""
    assert inputs.SAMPLE_INSTANCE == INSTANCE


def test_keys_are_form_encoded_as_s3_does_it() -> None:
    """Spaces become plus signs, slashes stay, everything else is percent-encoded."""
    (record,) = notification([Put("audit trail+Zürich %3A 1/x.json.gz", 5, "e")])["Records"]
    assert record["s3"]["object"]["key"] == "audit+trail%2BZ%C3%BCrich+%253A+1/x.json.gz"


def test_a_real_account_is_out_of_reach() -> None:
    """The reader's AWS settings do not reach the function, unless the engine is Amazon's: then S3 and SQS are local."""
    theirs = {"AWS_PROFILE": "production", "AWS_ENDPOINT_URL_S3": "https://example.com", "POWERTOOLS_DEV": "1", "HOME": "/home/x"}
    local = environment(theirs, endpoint="http://127.0.0.1:1", s3_endpoint="http://127.0.0.1:2")
    assert "AWS_PROFILE" not in local
    assert "AWS_ENDPOINT_URL_S3" not in local
    assert "POWERTOOLS_DEV" not in local
    assert (local["AWS_ENDPOINT_URL"], local["OPENSEARCH_AUTH"], local["HOME"]) == ("http://127.0.0.1:2", "none", "/home/x")
    domain = "https://search-audit-abc.eu-west-1.es.amazonaws.com"
    signed = environment(theirs, endpoint=domain, s3_endpoint="http://127.0.0.1:2")
    assert (signed["AWS_PROFILE"], signed["AWS_REGION"], signed["OPENSEARCH_AUTH"]) == ("production", "eu-west-1", "aws")
    assert signed["AWS_ENDPOINT_URL_S3"] == signed["AWS_ENDPOINT_URL_SQS"] == "http://127.0.0.1:2"
    assert "AWS_ENDPOINT_URL" not in signed


def test_how_to_log_in_where_nothing_says_so() -> None:
    """A domain of Amazon's is signed for, a user name means a password, and anything else is open."""
    assert default_auth("https://search-x.eu-west-1.es.amazonaws.com/", {}) == "aws"
    assert default_auth("https://search-x.aos.eu-west-1.on.aws", {}) == "aws"
    assert default_auth("https://localhost:9200", {"OPENSEARCH_USERNAME": "admin"}) == "basic"
    assert default_auth("http://localhost:9200", {}) == "none"


def test_options_are_checked() -> None:
    """KEEP and OUTPUT take a few values, and nothing else silently means no."""
    assert Options.from_env({"KEEP": "1", "OUTPUT": "JSON"}).keep
    assert not Options.from_env({"KEEP": "0"}).keep
    with pytest.raises(DemoError, match="OUTPUT"):
        Options.from_env({"OUTPUT": "yaml"})


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ('{"errorMessage":"User: bob is not authorized to perform: x","a":"b"}', "User: bob is not authorized to perform: x"),
        (r'{"errorMessage":"Not Authorized to perform\ta \u00fc"}', "Not Authorized to perform\ta ü"),
        ("not authorized to perform " + "y" * 200, "not authorized to perform " + "y" * 79 + "…"),
        ("something else", ""),
    ],
)
def test_excerpts_show_the_text_around_the_phrase(raw: str, expected: str) -> None:
    """The value that the phrase was found in, whole or cut, with its JSON escapes undone."""
    answer = {"hits": {"total": {"value": 1}, "hits": [{"_source": {"raw": raw}}]}}
    assert free_text().read(answer).rows[0][-1] == expected


def test_searches_without_an_instance() -> None:
    """Where no object names an instance the third search still has a query to learn from, and says so."""
    search = searches("")[2]
    assert INSTANCE in search.query
    assert "No instance id" in search.read({"hits": {"total": {"value": 0}, "hits": []}}).note
