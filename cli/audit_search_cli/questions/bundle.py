"""A zip file for AWS Support: the text of the case, each event and each item as JSON, and a manifest.

It is written whole or not at all, is readable by its owner alone, and replaces another file only when told to. The same content
gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from audit_search_cli.errors import Problem
from audit_search_cli.questions.support import dumped

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]|^\.+", re.ASCII)
_LONGEST: Final = 100
_BEGIN: Final = (1980, 1, 1, 0, 0, 0)
_TAKEN: Final = "Name another file, or let it be replaced with --force."


def refuse(target: Path, *, force: bool) -> None:
    """Raise Problem where a file may not be written."""
    if not target.parent.is_dir():
        raise Problem(f"{target} cannot be written: its folder does not exist", "Name a file in a folder that there is.")
    if target.is_dir():
        raise Problem(f"{target} is a folder", "Name a file.")
    if not force and os.path.lexists(target):
        raise Problem(f"{target} exists already", _TAKEN)


def files(text: str, documents: Sequence[Mapping[str, Any]], originals: Sequence[str] = ()) -> dict[str, str]:
    """The files of a bundle by their names: case.txt, events/ID.json, items/ID/….json.

    `documents` are those of `support.plain`, masked or not; `originals` are their records as CloudTrail wrote them, which stand
    in place of the documents' own where nothing is masked.
    """
    found = {"case.txt": text}
    for document, original in zip(documents, originals or [""] * len(documents), strict=True):
        identity = document["event_id"]
        _add(found, f"events/{_safe(identity)}", original or dumped(document["raw"]))
        for one in document["items"]:
            stem = f"items/{_safe(identity)}/{_safe(one['resource']['type'])}-{_safe(one['resource']['id'])}"
            for side in ("before", "after"):
                if one[side]:
                    _add(found, f"{stem}.{side}", dumped(one[side]["content"]))
    return found


def manifest(found: Mapping[str, str], more: Mapping[str, Any]) -> str:
    """The manifest: each file with its size and its SHA-256, and what else is to be said of them."""
    contents = {name: _bytes(text) for name, text in found.items()}
    listed = {name: {"bytes": len(each), "sha256": hashlib.sha256(each).hexdigest()} for name, each in contents.items()}
    return dumped({**more, "files": listed})


def write(target: Path, found: Mapping[str, str], *, force: bool) -> None:
    """Write the zip. Raises Problem."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in found.items():
            entry = zipfile.ZipInfo(name, _BEGIN)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            archive.writestr(entry, _bytes(text))
    refuse(target, force=force)
    try:
        _place(target, content.getvalue(), force=force)
    except FileExistsError as error:
        raise Problem(f"{target} exists already", _TAKEN) from error
    except OSError as error:
        what = f"{target} cannot be written: {error.strerror or error}"
        raise Problem(what, "Name a file in a folder that there is and that may be written to.") from error


def _place(target: Path, content: bytes, *, force: bool) -> None:
    """Put a file in its place in one step; mkstemp makes it for its owner alone."""
    handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if force:
            os.replace(name, target)
        else:
            os.link(name, target)  # which fails where another came in between
    finally:
        Path(name).unlink(missing_ok=True)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _safe(text: str) -> str:
    """A part of a name that every system takes, and that leads nowhere else."""
    return _UNSAFE.sub("_", str(text))[:_LONGEST] or "_"


def _add(found: dict[str, str], stem: str, text: str) -> None:
    """Add a file under a name that no other has, on a system that does not tell capitals apart either."""
    taken = {name.casefold() for name in found}
    name, number = f"{stem}.json", 2
    while name.casefold() in taken:
        name, number = f"{stem}-{number}.json", number + 1
    found[name] = text
