"""A bucket's notifications: ours comes and goes, everybody else's stays as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

from audit_search_cli import backups, notification
from audit_search_cli.errors import Problem
from audit_search_cli.notification_entries import Entry, Location, Wanted, added, entries, location, overlap, removed, same
from tests.support.aws import ACCOUNT, ENVIRONMENT, REGION, TRAIL, Aws
from tests.support.cli import Asked, ScriptedEngine, run

BUCKET = f"s3://{TRAIL}"
OTHERS = "arn:aws:sqs:eu-central-1:123456789012:others"
MARKED = '{"what": "audit-search backup", "kind": "bucket notification", '


@pytest.fixture
def queue(aws: Aws) -> str:
    """The ARN of our queue; a bucket of somebody else's configurations is TRAIL."""
    made = aws.queue()
    aws.sqs.create_queue(QueueName="others")
    theirs = {
        "QueueConfigurations": [
            {
                "Id": "theirs",
                "QueueArn": OTHERS,
                "Events": ["s3:ObjectCreated:Put", "s3:ObjectRemoved:*"],
                "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "logs/"}, {"Name": "suffix", "Value": ".csv"}]}},
            }
        ],
    }
    aws.s3.put_bucket_notification_configuration(Bucket=TRAIL, NotificationConfiguration=theirs)  # type: ignore[arg-type]
    return made.arn


def now(aws: Aws) -> dict[str, Any]:
    """What S3 has."""
    return notification.read(aws.s3, TRAIL)


def test_ours_is_added_and_theirs_stays_byte_for_byte(aws: Aws, queue: str, tmp_path: Path) -> None:
    """The copy of what was there is written first, and S3 is read back."""
    before = now(aws)
    done = run(
        *("notification", "add", f"{BUCKET}/AWSLogs/", "--queue-arn", queue, "--suffix", ".json.gz"),
        *("--backup-dir", str(tmp_path), "--output", "json"),
        env=aws.environment,
    )
    assert done.code == 0, done
    after = now(aws)
    (theirs, ours) = after["QueueConfigurations"]
    assert json.dumps(theirs) == json.dumps(before["QueueConfigurations"][0])
    assert ours["Id"].startswith("audit-search-")
    assert (ours["QueueArn"], ours["Events"]) == (queue, ["s3:ObjectCreated:*"])
    rules = {rule["Name"].lower(): rule["Value"] for rule in ours["Filter"]["Key"]["FilterRules"]}
    assert rules == {"prefix": "AWSLogs/", "suffix": ".json.gz"}
    kept = json.loads(Path(done.document["backup"]).read_text("utf-8"))
    assert (kept["bucket"], kept["configuration"]) == (TRAIL, before)


def test_adding_again_changes_nothing(aws: Aws, queue: str, tmp_path: Path) -> None:
    """No write, no backup."""
    arguments = ("notification", "add", BUCKET + "/AWSLogs/", "--queue-arn", queue, "--backup-dir", str(tmp_path))
    assert run(*arguments, env=aws.environment).code == 0
    once = now(aws)
    again = run(*arguments, env=aws.environment)
    assert again.code == 0
    assert "nothing was written" in again.out
    assert now(aws) == once
    assert len(list(tmp_path.iterdir())) == 1


def test_a_dry_run_shows_and_writes_nothing(aws: Aws, queue: str, tmp_path: Path) -> None:
    """Neither to S3 nor to the disk."""
    before = now(aws)
    folder = tmp_path / "backups"
    shown = run(
        *("notification", "add", f"{BUCKET}/AWSLogs/", "--queue-arn", queue, "--dry-run", "--backup-dir", str(folder)),
        env=aws.environment,
    )
    assert shown.code == 0
    assert "Nothing was written (--dry-run)." in shown.out
    assert "comes" in shown.out
    assert now(aws) == before
    assert not folder.exists()


def test_removing_takes_only_ours(aws: Aws, queue: str, tmp_path: Path) -> None:
    """What was there before is there again, and removing once more changes nothing."""
    before = now(aws)
    backup = ("--backup-dir", str(tmp_path))
    run("notification", "add", f"{BUCKET}/AWSLogs/", "--queue-arn", queue, *backup, env=aws.environment)
    elsewhere = run("notification", "remove", f"{BUCKET}/other/", *backup, env=aws.environment)
    assert "nothing was written" in elsewhere.out
    gone = run("notification", "remove", BUCKET, *backup, env=aws.environment)
    assert gone.code == 0, gone
    assert now(aws) == before
    assert run("notification", "remove", BUCKET, *backup, env=aws.environment).code == 0


def test_a_backup_is_restored_whole(aws: Aws, queue: str, tmp_path: Path) -> None:
    """And what is replaced by it is kept as well."""
    before = now(aws)
    backup = ("--backup-dir", str(tmp_path), "--output", "json")
    added = run("notification", "add", f"{BUCKET}/a/", "--queue-arn", queue, *backup, env=aws.environment)
    again = run("notification", "restore", added.document["backup"], *backup, env=aws.environment)
    assert again.code == 0, again
    assert again.document["written"]
    assert now(aws) == before
    assert len(list(tmp_path.iterdir())) == 2


def test_eventbridge_is_switched_on_beside_what_is_there(tmp_path: Path) -> None:
    """Without a filter, and once: a second time changes nothing. The stand-in for AWS forgets it, so this S3 only remembers."""
    target = "<Id>t</Id><Topic>arn:aws:sns:eu-central-1:1:t</Topic><Event>s3:ObjectCreated:*</Event>"
    topic = f"<TopicConfiguration>{target}</TopicConfiguration>"
    kept = [f"<NotificationConfiguration>{topic}</NotificationConfiguration>"]

    def s3(asked: Asked) -> tuple[int, Any]:
        if asked.method == "PUT":
            kept.append(asked.body.decode())
        return 200, "" if asked.method == "PUT" else kept[-1]

    arguments = ("notification", "add", BUCKET, "--eventbridge", "--backup-dir", str(tmp_path), "--output", "json")
    with ScriptedEngine(s3) as server:
        env = {**ENVIRONMENT, "AWS_ENDPOINT_URL": server.endpoint}
        first, second = run(*arguments, env=env), run(*arguments, env=env)
    assert (first.code, second.code) == (0, 0), first
    assert first.document["after"] == {**first.document["before"], "EventBridgeConfiguration": {}}
    assert (first.document["written"], second.document["written"]) == (True, False)
    assert topic in kept[-1]


def test_an_overlap_is_refused_and_named(aws: Aws, queue: str, tmp_path: Path) -> None:
    """S3 would refuse it too, without saying which and what to do."""
    before = now(aws)
    arguments = ("notification", "add", f"{BUCKET}/logs/2026/", "--queue-arn", queue, "--backup-dir", str(tmp_path))
    refused = run(*arguments, env=aws.environment)
    assert refused.code == 1
    assert f"overlaps: theirs (queue {OTHERS}, keys logs/*.csv" in refused.line
    assert "--eventbridge" in refused.line
    assert now(aws) == before
    assert run(*arguments, "--suffix", ".json.gz", env=aws.environment).code == 0


def entry(events: tuple[str, ...] = ("s3:ObjectCreated:*",), prefix: str = "", suffix: str = "", **more: str) -> Entry:
    """An entry of a queue."""
    return Entry(more.get("kind", "queue"), more.get("id", "x"), more.get("arn", OTHERS), events, prefix, suffix)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (entry(), entry(), True),
        (entry(prefix="a/"), entry(prefix="b/"), False),
        (entry(prefix="a/"), entry(prefix="a/b/"), True),
        (entry(prefix="a"), entry(), True),
        (entry(suffix=".gz"), entry(suffix=".json.gz"), True),
        (entry(suffix=".gz"), entry(suffix=".csv"), False),
        (entry(prefix="a/", suffix=".gz"), entry(prefix="a/b", suffix=".csv"), False),
        (entry(("s3:ObjectCreated:Put",)), entry(), True),
        (entry(("s3:ObjectCreated:Put",)), entry(("s3:ObjectCreated:Copy",)), False),
        (entry(("s3:ObjectRemoved:*",)), entry(), False),
        (entry(("s3:ObjectRemoved:*", "s3:ObjectCreated:Post")), entry(), True),
    ],
)
def test_two_entries_overlap_when_one_event_of_one_key_matches_both(one: Entry, other: Entry, both: bool) -> None:
    """Events, prefix and suffix all have to; whichever is named first."""
    assert overlap(one, other) == overlap(other, one) == both


def test_a_filter_is_written_as_s3_wants_it_and_compared_as_it_is_meant() -> None:
    """Spaces become +, other special characters escapes; the same prefix in another spelling is the same."""
    where = Location(TRAIL, "a b/ü=1/")
    made = added({}, where, Wanted("queue", OTHERS))
    (item,) = made["QueueConfigurations"]
    assert item["Filter"]["Key"]["FilterRules"] == [{"Name": "prefix", "Value": "a+b/%C3%BC%3D1/"}]
    assert entries(made)[0].prefix == "a b/ü=1/"
    item["Filter"]["Key"]["FilterRules"][0]["Value"] = "a%20b/%C3%BC%3D1/"
    assert added(made, where, Wanted("queue", OTHERS)) is made


def test_ours_for_another_target_says_how_to_take_it_away() -> None:
    """And a topic in the way says to subscribe to it."""
    made = added({}, Location(TRAIL, "a/"), Wanted("queue", OTHERS))
    with pytest.raises(Problem, match=r"It is ours: take it away first .audit-search notification remove s3://trail-bucket/a/"):
        added(made, Location(TRAIL), Wanted("queue", f"{OTHERS}2"))
    topic = {"TopicConfigurations": [{"Id": "t", "TopicArn": "arn:aws:sns:eu-central-1:1:t", "Events": ["s3:ObjectCreated:*"]}]}
    with pytest.raises(Problem, match="WayIn=topic and TrailTopicArn=arn:aws:sns:eu-central-1:1:t"):
        added(topic, Location(TRAIL), Wanted("queue", OTHERS))


def test_eventbridge_stands_beside_everything() -> None:
    """It overlaps with nothing, and stays when ours is removed."""
    made = added(added({}, Location(TRAIL), Wanted("queue", OTHERS)), Location(TRAIL), Wanted("eventbridge"))
    assert [found.kind for found in entries(made)] == ["queue", "eventbridge"]
    assert removed(made, Location(TRAIL)) == {"EventBridgeConfiguration": {}}


def test_configurations_are_the_same_in_any_order_and_spelling() -> None:
    """S3 gives them back with names in another case."""
    one = {"QueueConfigurations": [_item("a", "prefix"), _item("b", "prefix")]}
    other = {"QueueConfigurations": [_item("b", "Prefix"), _item("a", "Prefix")], "TopicConfigurations": []}
    assert same(one, other)
    assert not same(one, {"QueueConfigurations": [_item("a", "prefix")]})
    assert not same({}, {"EventBridgeConfiguration": {}})


def _item(identity: str, name: str) -> dict[str, Any]:
    rules = [{"Name": name, "Value": identity}]
    return {"Id": identity, "QueueArn": OTHERS, "Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": rules}}}


def interfering(aws: Aws, call: int, event: str, act: Callable[[], None]) -> Any:
    """A client whose `call`th request of a kind is preceded by somebody else's doing."""
    seen = []

    def before(**_arguments: Any) -> None:
        seen.append(1)
        if len(seen) == call:
            act()

    session = boto3.Session(ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
    client: Any = session.client("s3", endpoint_url=aws.endpoint)
    client.meta.events.register(f"before-call.s3.{event}", before)
    return client


def test_a_change_between_reading_and_writing_stops_everything(aws: Aws, queue: str, tmp_path: Path) -> None:
    """Somebody else's new entry would be lost; nothing is written."""

    def somebody() -> None:
        aws.s3.put_bucket_notification_configuration(Bucket=TRAIL, NotificationConfiguration={})

    s3 = interfering(aws, 2, "GetBucketNotificationConfiguration", somebody)
    keep = backups.keeper(tmp_path, datetime.now(UTC))
    with pytest.raises(Problem, match="at this moment; nothing was written"):
        notification.change(s3, TRAIL, lambda now: added(now, Location(TRAIL, "a/"), Wanted("queue", queue)), keep=keep)
    assert now(aws) == {}


def test_a_write_of_somebody_else_right_after_ours_is_seen(aws: Aws, queue: str, tmp_path: Path) -> None:
    """The message says where the copy of the first state is."""

    def somebody() -> None:
        aws.s3.put_bucket_notification_configuration(Bucket=TRAIL, NotificationConfiguration={})

    s3 = interfering(aws, 3, "GetBucketNotificationConfiguration", somebody)
    keep = backups.keeper(tmp_path, datetime.now(UTC))
    with pytest.raises(Problem, match=f"wrote at the same moment.*{tmp_path}"):
        notification.change(s3, TRAIL, lambda now: added(now, Location(TRAIL, "a/"), Wanted("queue", queue)), keep=keep)


def test_without_a_backup_nothing_is_replaced(aws: Aws, queue: str, tmp_path: Path) -> None:
    """A folder that cannot be written ends the command before S3 is."""
    before = now(aws)
    (tmp_path / "file").write_text("")
    refused = run(
        *("notification", "add", f"{BUCKET}/a/", "--queue-arn", queue, "--backup-dir", str(tmp_path / "file" / "x")),
        env=aws.environment,
    )
    assert refused.code == 2
    assert "No backup can be written" in refused.line
    assert now(aws) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["add", "trail-bucket", "--eventbridge"], "'trail-bucket' is no bucket. Write it as s3://"),
        (["add", "s3://UPPER", "--eventbridge"], "is no bucket"),
        (["add", "s3://a..b", "--eventbridge"], "is no bucket"),
        (["add", BUCKET], "Give one of --queue-arn, --function-arn and --eventbridge"),
        (["add", BUCKET, "--eventbridge", "--queue-arn", OTHERS], "Give one of"),
        (["add", BUCKET, "--queue-arn", "queue"], "'queue' is not the ARN of a queue, such as arn:aws:sqs:"),
        (["add", BUCKET, "--queue-arn", OTHERS.replace("sqs", "sns")], "is not the ARN of a queue"),
        (["add", BUCKET, "--queue-arn", OTHERS + ".fifo"], "is a FIFO queue"),
        (["add", BUCKET, "--function-arn", OTHERS], "is not the ARN of a function, such as arn:aws:lambda:"),
        (["add", BUCKET, "--eventbridge", "--suffix", ".gz"], "EventBridge takes no --suffix"),
        (["add", BUCKET + "/a/", "--eventbridge"], "EventBridge gets every event of the bucket"),
        (["restore", "/nowhere/file.json"], "cannot be read (No such file or directory). Give a file that this command wrote"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_asked(arguments: list[str], says: str) -> None:
    """One line, exit code 2; no AWS is needed for it."""
    wrong = run("notification", *arguments, env={**ENVIRONMENT, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    assert wrong.code == 2
    assert says in wrong.line


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "it is not JSON"),
        ("[]", "is no backup of a bucket notification"),
        ('{"what": "audit-search backup", "kind": "index template"}', "is no backup of a bucket notification"),
        (MARKED + '"bucket": "b-1"}', "is a damaged backup"),
        (
            MARKED + '"bucket": "b-1", "configuration": {"X": []}}',
            "X is not as S3 gives it",
        ),
        (
            MARKED + '"bucket": "b-1", "configuration": {"QueueConfigurations": [1]}}',
            "QueueConfigurations is not as S3 gives it",
        ),
    ],
)
def test_a_file_that_is_no_backup_is_refused(tmp_path: Path, content: str, says: str) -> None:
    """It never reaches S3."""
    file = tmp_path / "file.json"
    file.write_text(content)
    wrong = run("notification", "restore", str(file))
    assert wrong.code == 2
    assert says in wrong.line


def test_a_bucket_that_is_not_there_is_wrong_use(aws: Aws) -> None:
    """With a hint where to look."""
    wrong = run("notification", "show", "s3://no-such-bucket-here", env=aws.environment)
    assert wrong.code == 2
    assert "NoSuchBucket" in wrong.line
    assert "Check the name" in wrong.line


def test_a_queue_of_another_region_is_refused_with_a_way_out(aws: Aws, queue: str) -> None:
    """S3 notifies only in the bucket's region."""
    wrong = run("notification", "add", f"{BUCKET}/a/", "--queue-arn", OTHERS.replace("central", "west"), env=aws.environment)
    assert wrong.code == 1
    assert "is in eu-central-1, the queue in eu-west-1" in wrong.line
    assert "SNS topic or EventBridge" in wrong.line


def test_a_target_that_does_not_let_s3_in_is_explained(tmp_path: Path) -> None:
    """S3's own message names neither the target nor what its policy lacks."""
    message = "Unable to validate the following destination configurations"

    def s3(asked: Asked) -> tuple[int, Any]:
        if asked.method == "PUT":
            return 400, f"<Error><Code>InvalidArgument</Code><Message>{message}</Message></Error>"
        if "location" in asked.path:
            return 200, f"<LocationConstraint>{REGION}</LocationConstraint>"
        return 200, "<NotificationConfiguration/>"

    with ScriptedEngine(s3) as server:
        env = {**ENVIRONMENT, "AWS_ENDPOINT_URL": server.endpoint}
        refused = run("notification", "add", BUCKET, "--queue-arn", OTHERS, "--backup-dir", str(tmp_path), env=env)
    assert refused.code == 1
    assert message in refused.line
    assert OTHERS in refused.line
    assert "sqs:SendMessage with aws:SourceArn arn:aws:s3:::trail-bucket" in refused.line


def test_whose_bucket_it_has_to_be_is_sent_with_every_request(tmp_path: Path) -> None:
    """A bucket that was deleted and made again by somebody else is not written."""

    def s3(asked: Asked) -> tuple[int, Any]:
        if "location" in asked.path:
            return 200, f"<LocationConstraint>{REGION}</LocationConstraint>"
        return 200, "" if asked.method == "PUT" else "<NotificationConfiguration/>"

    with ScriptedEngine(s3) as server:
        run(
            *(
                "notification",
                "add",
                BUCKET,
                "--queue-arn",
                OTHERS,
                "--backup-dir",
                str(tmp_path),
                "--expected-bucket-owner",
                ACCOUNT,
            ),
            env={**ENVIRONMENT, "AWS_ENDPOINT_URL": server.endpoint},
        )
    assert {asked.headers.get("x-amz-expected-bucket-owner") for asked in server.asked} == {ACCOUNT}
    assert [asked.method for asked in server.asked] == ["GET", "GET", "GET", "PUT", "GET"]


def test_without_the_right_to_know_the_region_a_warning_is_given(aws: Aws) -> None:
    """It is no reason to stop."""

    def s3(asked: Asked) -> tuple[int, Any]:
        if "location" in asked.path:
            return 403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        return 200, "<NotificationConfiguration/>"

    with ScriptedEngine(s3) as server:
        env = {**ENVIRONMENT, "AWS_ENDPOINT_URL": server.endpoint}
        done = run("notification", "add", BUCKET, "--queue-arn", OTHERS, "--dry-run", env=env)
    assert done.code == 0
    assert "Warning: the region of s3://trail-bucket may not be read" in done.err


def test_show_prints_every_entry_and_nothing_that_a_terminal_obeys(aws: Aws, queue: str) -> None:
    """Ids are other people's text."""
    hostile = {"QueueConfigurations": [{"Id": "a[red]\u202eb", "QueueArn": OTHERS, "Events": ["s3:ObjectRemoved:*"]}]}
    aws.s3.put_bucket_notification_configuration(Bucket=TRAIL, NotificationConfiguration=hostile)  # type: ignore[arg-type]
    shown = run("notification", "show", BUCKET, env=aws.environment)
    assert shown.code == 0
    assert "a[red]\N{REPLACEMENT CHARACTER}b" in shown.out
    nothing = run("notification", "show", f"s3://{aws.bucket('empty-bucket')}", env=aws.environment)
    assert nothing.out == "s3://empty-bucket notifies nobody.\n"


def test_a_location_is_a_bucket_and_what_keys_begin_with() -> None:
    """The prefix is taken as it is written."""
    assert location("s3://my-bucket") == Location("my-bucket")
    assert location("s3://my-bucket/a b/%20") == Location("my-bucket", "a b/%20")


def test_a_backup_never_replaces_another(tmp_path: Path) -> None:
    """Two of one second get two files, and a hostile name stays in the folder."""
    keep = backups.keeper(tmp_path / "deep" / "er", datetime(2026, 11, 3, tzinfo=UTC))
    paths = [keep("../../etc/x", number) for number in range(2)]
    assert [Path(path).parent for path in paths] == [tmp_path / "deep" / "er"] * 2
    assert [json.loads(Path(path).read_text("utf-8")) for path in paths] == [0, 1]
