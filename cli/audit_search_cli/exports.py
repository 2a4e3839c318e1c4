"""A range of a trail as a folder that can be verified without AWS: digests, log files, signatures and public keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from audit_search.errors import ObjectError
from audit_search.validation import chains
from audit_search.validation.chains import Selection
from audit_search.validation.keys import KeyRing
from audit_search.validation.stores import Store
from audit_search_cli.errors import Problem, code_of, explain_aws
from audit_search_cli.proof import PUBLIC_KEYS, SIGNATURES

_GONE = {"NoSuchKey", "404"}


@dataclass(slots=True)
class Export:
    """What was written, and the keys that are named and do not exist."""

    digests: int = 0
    files: int = 0
    absent: list[str] = field(default_factory=list)
    interrupted: bool = False


def export(
    s3: Any, store: Store, ring: KeyRing, selection: Selection, folder: Path, *, files: bool, stop: Callable[[], bool]
) -> Export:
    """Copy the digests of a range, and with `files` the log files that they list, byte for byte, into a new folder.

    A digest is copied whatever is wrong with it: to find that is what the folder is for. Raises Problem.
    """
    made = Export()
    signatures: dict[str, dict[str, str]] = {}
    _empty(folder)
    try:
        for chain in chains.listed(store, selection):
            for name in (name for names in chain.values() for name in names):
                if stop():
                    made.interrupted = True
                    break
                checked = chains.check(store, ring, selection, name, store.bucket)
                metadata = _copy(s3, store.bucket, name.key, folder, made)
                signatures |= {name.key: metadata} if metadata else {}
                made.digests += 1
                for file in checked.digest.files if files and checked.digest else ():
                    if _copy(s3, file.bucket, file.key, folder, made) is not None:
                        made.files += 1
    except ObjectError as error:
        raise Problem(f"The bucket cannot be listed: {error.reason}", "Give one that these credentials may read.") from error
    _write(folder / SIGNATURES, json.dumps(signatures, indent=1).encode())
    _write(folder / PUBLIC_KEYS, json.dumps(ring.exported(), indent=1).encode())
    return made


def _empty(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Problem(f"{folder} is not empty", "Name a folder that does not exist yet.")
    except OSError as error:
        raise Problem(f"{folder} cannot be made: {error.strerror}", "Name another folder.") from error


def _copy(s3: Any, bucket: str, key: str, folder: Path, made: Export) -> dict[str, str] | None:
    """Copy an object, and give its metadata; None where it does not exist. Keys are third-party text: none leads out."""
    path = None if "\0" in key else (folder / key.lstrip("/")).resolve()
    if path is None or not path.is_relative_to(folder.resolve()):
        made.absent.append(key)
        return None
    try:
        got = s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if code_of(error) not in _GONE:
            raise explain_aws(error, f"Reading s3://{bucket}/{key}") from error
        made.absent.append(key)
        return None
    _write(path, got["Body"].read())
    metadata: dict[str, str] = got["Metadata"]
    return metadata


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise Problem(f"{path} cannot be written: {error.strerror}", "Is there room on the disk?") from error
