"""What `audit-search verify` verifies: a bucket or a folder, with keys and signatures from AWS or from files."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from audit_search.bulk import Reply
from audit_search.objects import ObjectReader
from audit_search.settings import GIB
from audit_search.validation import keys
from audit_search.validation.stores import BucketStore, FolderStore, Store
from audit_search_cli.connection import Engine
from audit_search_cli.errors import Problem
from audit_search_cli.notification_entries import URL

SIGNATURES: Final = "signatures.json"
PUBLIC_KEYS: Final = "public-keys.json"
"""Names of the files in a folder that was exported."""

_LIMITS: Final[Mapping[str, Any]] = {"max_bytes": 4 * GIB, "max_ratio": 250}


@dataclass(frozen=True, slots=True)
class Source:
    """A bucket and the trail's key prefix in it, or a folder in place of the bucket."""

    bucket: str
    prefix: str
    folder: Path | None = None

    def __str__(self) -> str:
        return str(self.folder) if self.folder else f"s3://{self.bucket}/{self.prefix}"


def source(text: str) -> Source:
    """Read `s3://bucket/prefix` or the name of a folder; what follows AWSLogs is left off. Raises Problem."""
    remedy = "Give s3://BUCKET, s3://BUCKET/PREFIX where the trail has a key prefix, or a folder that has AWSLogs in it."
    if text.startswith("s3://"):
        found = URL.fullmatch(text)
        if not found:
            raise Problem(f"{text!r} is no bucket", remedy)
        return Source(found[1], _trail_prefix(found[2] or ""))
    folder = Path(text)
    if not folder.is_dir():
        raise Problem(f"{text!r} is neither a bucket nor a folder", remedy)
    return Source("", _folder_prefix(folder, remedy), folder)


def _trail_prefix(prefix: str) -> str:
    parts = prefix.strip("/").split("/")
    return "/".join(parts[: parts.index("AWSLogs")] if "AWSLogs" in parts else parts)


def _folder_prefix(folder: Path, remedy: str) -> str:
    """The key prefix of the trail in a copy of its bucket: the path to AWSLogs, a few folders down at most."""
    level = [folder]
    for _ in range(6):
        for path in level:
            if (path / "AWSLogs").is_dir():
                prefix = path.relative_to(folder).as_posix()
                return "" if prefix == "." else prefix
        level = sorted(child for path in level for child in path.iterdir() if child.is_dir())[:1_000]
    raise Problem(f"{folder} has no folder AWSLogs in it", remedy)


def store(place: Source, s3: Any, signatures: Path | None) -> Store:
    """What is read. `s3` makes a client where it is a bucket. Raises Problem."""
    if place.folder is None:
        allowed = frozenset({place.bucket})
        client = s3()
        return BucketStore(client, place.bucket, ObjectReader(client, allowed, **_LIMITS), allowed)
    path = signatures or place.folder / SIGNATURES
    if not path.is_file():
        raise Problem(
            f"{path} does not exist: the signatures of digests are in the metadata of S3's objects, which a copy has lost",
            "Export the folder with `audit-search verify s3://BUCKET --export FOLDER`, or give --signatures FILE.",
        )
    return FolderStore(place.folder, _signatures(path), **_LIMITS)


def _signatures(path: Path) -> dict[str, Mapping[str, str]]:
    value = _read(path)
    try:
        content = json.loads(value)
        if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
            raise TypeError("it is no object of objects")  # noqa: TRY301  # one place says what is wrong
    except (ValueError, TypeError) as error:
        raise Problem(
            f"{path} holds no signatures ({error})",
            'It has the metadata of each digest by its key: {"AWSLogs/…": {"signature": "…"}}.',
        ) from error
    return content


def known_keys(place: Source, given: Sequence[Path]) -> dict[str, bytes] | None:
    """The public keys of files, None where CloudTrail is to be asked for them. Raises Problem."""
    exported = place.folder / PUBLIC_KEYS if place.folder else None
    paths = list(given) or ([exported] if exported and exported.is_file() else [])
    if not paths:
        return None
    for path in paths:
        try:
            keys.read([_read(path)])
        except keys.KeyFileError as error:
            raise Problem(f"{path} holds no public keys: {error}", "Write it with `aws cloudtrail list-public-keys`.") from error
    return keys.read(_read(path) for path in paths)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{path} cannot be read: {error}", "Name another file.") from error


class LookUps:
    """The command's own engine, as `whereabouts` asks it; several threads take turns."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = threading.Lock()

    def mget(self, wanted: Sequence[dict[str, Any]], timeout: float) -> Reply:
        """Read documents by index and id. Raises EngineUnreachableError."""
        return self._ask("/_mget", {"docs": list(wanted)}, lambda answer: answer.get("docs"))

    def search(self, index: str, body: dict[str, Any], timeout: float) -> Reply:
        """Search; no items where not every shard has answered. Raises EngineUnreachableError."""
        return self._ask(f"/{index}/_search?ignore_unavailable=true", body, _hits)

    def _ask(self, path: str, body: Any, parts: Any) -> Reply:
        with self._turn:
            status, answer = self._engine.request("POST", path, body)
        if status != 200 or not isinstance(answer, dict):
            error = answer.get("error") if isinstance(answer, dict) else None
            detail = error.get("reason") if isinstance(error, dict) else error or answer
            return Reply(status, type=f"HTTP {status}", reason=str(detail)[:300])
        items = parts(answer)
        return Reply(status, items=items if isinstance(items, list) else None, type="incomplete_answer")


def _hits(answer: Mapping[str, Any]) -> Any:
    if answer.get("timed_out") or answer.get("_shards", {}).get("failed"):
        return None
    return answer.get("hits", {}).get("hits")
