"""What the demo gives to the AWS Config function: the committed samples, or the user's own messages, objects and items."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from audit_search.envelopes import config_folder
from demo.inputs import matching
from demo.options import DemoError

EVENTS = Path(__file__).resolve().parents[1] / "events" / "config"
SAMPLE_INSTANCE = "i-0a1b2c3d4e5f60718"
"""The web server whose life the samples tell."""
BUCKET = "example-config-bucket"

_ENDINGS = (".json", ".gz")
_MAGIC = b"\x1f\x8b"
_ARRAYS = ("configurationItems", "baseConfigurationItems")
_NAMED = re.compile(r'\\*"(?:s3Bucket|s3BucketLocation|name)\\*"\s*:\s*\\*"([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/|\\*")')


@dataclass(frozen=True, slots=True)
class ConfigInput:
    """One thing to deliver: a whole Lambda event, the text of a message, or an object with its key."""

    kind: Literal["event", "message", "object"]
    name: str
    body: bytes
    key: str = ""


def samples() -> list[ConfigInput]:
    """The committed payloads, and before them the objects that they name."""
    objects = EVENTS / "objects"
    stored = [
        ConfigInput("object", path.name, path.read_bytes(), path.relative_to(objects).as_posix())
        for path in sorted(objects.rglob("*.gz"))
    ]
    payloads = [ConfigInput("event", path.name, path.read_bytes()) for path in sorted(EVENTS.glob("*.json"))]
    if not stored or not payloads:
        raise DemoError("The samples in events/config are missing.", "Make them with: python events/generate.py")
    return stored + payloads


def users_files(wanted: str, called_from: str = "") -> tuple[list[ConfigInput], list[tuple[str, str]]]:
    """The user's own, and the files that are none of these with the reason. Raises DemoError when nothing matches."""
    taken, refused = [], []
    for key, path in matching("CONFIG_FILES", wanted, called_from, _ENDINGS):
        try:
            found = told(key, path.read_bytes())
        except OSError as error:
            raise DemoError(f"{path} cannot be read: {error.strerror}.", "Check CONFIG_FILES.") from error
        if isinstance(found, ConfigInput):
            taken.append(found)
        else:
            refused.append((key, found))
    return taken, refused


def told(key: str, body: bytes) -> ConfigInput | str:
    """What a file is, by its content; or why it is nothing for AWS Config."""
    name = key.rpartition("/")[2]
    text = body
    if body.startswith(_MAGIC):
        try:
            text = gzip.decompress(body)
        except (OSError, EOFError, zlib.error):
            return ConfigInput("object", name, body, _key(key))  # the function says what is wrong with it
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return "it is not JSON"
    if isinstance(content, list):
        if not content or not all(isinstance(one, dict) and _is_item(one) for one in content):
            return "it is a list of something else than configuration items"
        return ConfigInput("object", name, gzip.compress(b'{"configurationItems":' + text + b"}"), _key(key))
    if not isinstance(content, dict):
        return "it is JSON, but neither an object nor a list"
    if any(isinstance(content.get(array), list) for array in _ARRAYS) or _is_item(content):
        return ConfigInput("object", name, body if text is not body else gzip.compress(text), _key(key))
    records = content.get("Records")
    if isinstance(records, list):
        if any(isinstance(one, dict) and "eventVersion" in one and not one.keys() & {"s3", "body", "Sns"} for one in records):
            return "it holds records of CloudTrail: give it to FILES"
        return ConfigInput("event", name, text)
    return ConfigInput("message", name, text)


def _is_item(content: dict[str, Any]) -> bool:
    return (
        any(f"{first}esourceType" in content for first in "rR") and "messageType" not in content and "detail-type" not in content
    )


def _key(path: str) -> str:
    """The key of an object: its own from AWSLogs on, where it has one as AWS Config makes them."""
    at = path.find("AWSLogs/")
    own = path[at:] if at >= 0 else path
    name = own if own.endswith(".gz") else f"{own}.gz"
    return name if config_folder(name) else f"Config/ConfigHistory/{name}"


def named_buckets(inputs: Iterable[ConfigInput]) -> set[str]:
    """The buckets that messages name: they are made, so that what is not there is told from what may not be read."""
    found: set[str] = set()
    for one in inputs:
        if one.kind != "object":
            found.update(_NAMED.findall(one.body.decode("utf-8", "replace")))
    return found - {BUCKET}


def count(inputs: Sequence[ConfigInput]) -> str:
    """`23 payloads and 8 objects`."""
    objects = sum(one.kind == "object" for one in inputs)
    counts = ((len(inputs) - objects, "message"), (objects, "object"))
    return " and ".join(f"{number:,} {what}{'' if number == 1 else 's'}" for number, what in counts if number) or "nothing"
