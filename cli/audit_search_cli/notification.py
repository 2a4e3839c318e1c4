"""A bucket's event notifications: reading them, adding ours and taking it away, with a backup and nothing else touched.

S3 knows one notification configuration for a bucket, and a write replaces all of it. So: read, keep a copy, change only
our own entry, read again right before the write, write, read back.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from audit_search_cli.backups import Keep, marked, read_backup
from audit_search_cli.errors import FINDINGS, Problem, code_of, explain_aws
from audit_search_cli.notification_entries import ARN, LISTS, URL, Configuration, Wanted, entries, same

BACKUP_KIND = "bucket notification"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a change did, or would do: the configuration before and after, and where the backup lies (not in a dry run)."""

    bucket: str
    changed: bool
    before: Configuration
    after: Configuration
    backup: str = ""
    written: bool = False


def read(s3: Any, bucket: str, owner: str = "") -> Configuration:
    """The notification configuration of a bucket, as S3 gives it. Raises ClientError."""
    answer = s3.get_bucket_notification_configuration(Bucket=bucket, **_owner(owner))
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def change(
    s3: Any,
    bucket: str,
    make: Callable[[Configuration], Configuration],
    *,
    keep: Keep | None,
    owner: str = "",
) -> Outcome:
    """Make a bucket's configuration another one, and read back what S3 then has. Without `keep` nothing is written.

    The copy of what was there is stored before the write. Raises Problem where the configuration changes under our hands,
    and where S3 refuses it; nothing is written then, unless it says so.
    """
    before = read(s3, bucket, owner)
    after = make(before)
    if same(before, after) or keep is None:
        return Outcome(bucket, not same(before, after), before, after)
    backup = keep(f"notification-{bucket}", backup_document(bucket, before, datetime.now(UTC)))
    if not same(read(s3, bucket, owner), before):
        raise Problem(
            f"Somebody else changed the notifications of s3://{bucket} at this moment; nothing was written",
            "Run the command again.",
            code=FINDINGS,
        )
    try:
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=after, **_owner(owner))
    except ClientError as error:
        raise _refusal(error, bucket, after) from error
    found = read(s3, bucket, owner)
    if not same(found, after):
        raise Problem(
            f"s3://{bucket} was written, and now has other notifications than that: somebody else wrote at the same moment",
            f"Look at it (audit-search notification show s3://{bucket}); what was there before is in {backup}.",
            code=FINDINGS,
        )
    return Outcome(bucket, True, before, found, backup, written=True)


def _refusal(error: ClientError, bucket: str, wanted: Configuration) -> Problem:
    problem = explain_aws(error, f"Writing the notifications of s3://{bucket}")
    message = str(error.response.get("Error", {}).get("Message", ""))
    if "destination configurations" in message:
        targets = ", ".join(sorted({entry.arn for entry in entries(wanted) if entry.arn}))
        remedy = (
            f"Each of these has to exist and to let S3 in ({targets}): a queue's policy must allow s3.amazonaws.com "
            f"sqs:SendMessage with aws:SourceArn arn:aws:s3:::{bucket} and the bucket's owner as aws:SourceAccount, and so must "
            "the key of an encrypted queue. Nothing was written."
        )
        return Problem(problem.what, remedy, code=FINDINGS)
    return Problem(problem.what, f"{problem.remedy} Nothing was written.".strip(), code=problem.code)


def region_of(s3: Any, bucket: str, owner: str = "") -> str | None:
    """The region of a bucket, or None where it may not be asked. Raises ClientError for any other reason."""
    try:
        where: str = s3.get_bucket_location(Bucket=bucket, **_owner(owner)).get("LocationConstraint") or "us-east-1"
    except ClientError as error:
        if code_of(error) not in ("AccessDenied", "AllAccessDisabled"):
            raise
        return None
    return {"EU": "eu-west-1"}.get(where, where)


def check_region(bucket: str, bucket_region: str, wanted: Wanted) -> None:
    """Raise Problem where S3 cannot notify the target because it is in another region than the bucket."""
    found = ARN.fullmatch(wanted.arn)
    if found and found[2] != bucket_region:
        raise Problem(
            f"s3://{bucket} is in {bucket_region}, the {wanted.kind} in {found[2]}: S3 notifies only in the bucket's region",
            "Deploy the stack in the bucket's region, or go by an SNS topic or EventBridge, which work across regions.",
            code=FINDINGS,
        )


def backup_document(bucket: str, configuration: Configuration, taken: datetime) -> dict[str, Any]:
    """What a backup file holds, for `restored`."""
    return marked(BACKUP_KIND, {"bucket": bucket, "taken": taken.isoformat(), "configuration": configuration})


def from_backup(path: Path) -> tuple[str, Configuration]:
    """The bucket and the configuration of a backup file. Raises Problem for any other file."""
    document = read_backup(path, BACKUP_KIND)
    bucket, configuration = document.get("bucket"), document.get("configuration")
    known = {*LISTS, "EventBridgeConfiguration"}
    if not isinstance(bucket, str) or not URL.fullmatch(f"s3://{bucket}") or not isinstance(configuration, dict):
        raise Problem(f"{path} is a damaged backup: it names no bucket, or has no configuration", "Use another file.")
    unknown = sorted(set(configuration) - known)
    wrong = [name for name in LISTS if not _is_list_of_objects(configuration.get(name, []))]
    if unknown or wrong:
        raise Problem(f"{path} is a damaged backup: {', '.join([*unknown, *wrong])} is not as S3 gives it", "Use another file.")
    return bucket, configuration


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _owner(owner: str) -> dict[str, str]:
    return {"ExpectedBucketOwner": owner} if owner else {}
