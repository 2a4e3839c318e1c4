"""Copies of what a command replaces, in files that are whole or not there."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audit_search_cli.errors import Problem

MARK = "audit-search backup"
Keep = Callable[[str, Any], str]
"""Stores a document under a name and says where."""


def default_folder(now: datetime) -> Path:
    """Where backups go when nobody says where: a folder of this moment (UTC) in the working directory."""
    return Path(f"audit-search-backup-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}")


def keeper(folder: Path, now: datetime) -> Keep:
    """What stores backups in a folder, which is made with the first of them: `keep(name, document)` gives the file's path.

    A text is stored as it is, in a file *.ndjson, as Dashboards imports it; any other document as JSON.

    `keep` raises Problem where the file cannot be written: without its copy nothing may be replaced.
    """

    def keep(name: str, document: Any) -> str:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "backup"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lines = isinstance(document, str)
            path = _free(folder, f"{stem}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}", "ndjson" if lines else "json")
            _write(path, document if lines else json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")
        except OSError as error:
            problem = f"No backup can be written to {folder} ({error.strerror or error})"
            raise Problem(problem, "Name another folder with --backup-dir; nothing was changed.") from error
        return str(path)

    return keep


def _free(folder: Path, stem: str, kind: str) -> Path:
    """A file that is not there yet: a backup never replaces another one."""
    number = 1
    path = folder / f"{stem}.{kind}"
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.{kind}"
    return path


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and on the disk before anything is replaced."""
    handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def marked(kind: str, document: dict[str, Any]) -> dict[str, Any]:
    """A document of a kind that `read_backup` recognises."""
    return {"what": MARK, "kind": kind, **document}


def read_backup(path: Path, kind: str) -> dict[str, Any]:
    """A backup file of a kind. Raises Problem for a file that is none, or of another kind."""
    remedy = "Give a file that this command wrote; they lie in audit-search-backup-…/."
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise Problem(f"{path} cannot be read ({error.strerror or error})", remedy) from error
    except (ValueError, RecursionError) as error:
        raise Problem(f"{path} is no backup: it is not JSON", remedy) from error
    if not isinstance(document, dict) or document.get("what") != MARK or document.get("kind") != kind:
        raise Problem(f"{path} is no backup of a {kind}", remedy)
    return document
