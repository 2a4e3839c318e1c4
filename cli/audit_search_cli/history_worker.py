"""A process of a backfill: reads objects and indexes them by the functions' own pipelines, marked as replay.

Each process builds its pipelines once, from the settings that it is given. It leaves Ctrl-C to the process that started it, and
ends when that is gone, however it went.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError

from audit_search import assembly
from audit_search.aws_config import assembly as config_assembly
from audit_search.container import Container
from audit_search.envelopes import Message, ObjectRef
from audit_search.errors import AuditSearchError, ObjectError
from audit_search.objects import CHUNK, ObjectReader, OpenObject
from audit_search.quarantine import Quarantine
from audit_search_cli.history_sources import Found

_SECONDS: Final = 3_600.0
"""The time that a batch has; what is not done then returns, and is done by the next run."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a process needs to know: the settings of both functions by variable (`config` those of AWS Config's), and for a
    folder where it is and where quarantine goes."""

    environ: Mapping[str, str]
    config: Mapping[str, str]
    folder: Path | None = None
    quarantine: Path | None = None


@dataclass(slots=True)
class Done:
    """What became of a batch: keys that are done, the counts of `Report.summary`, and why others are not, by key.

    `failure`: nothing could be written at all, with the reason.
    """

    keys: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    returned: list[tuple[str, str]] = field(default_factory=list)
    failure: str = ""


class FolderReader(ObjectReader):
    """Opens the files of a folder as if they were objects."""

    def __init__(self, folder: Path, *, max_bytes: int, max_ratio: int) -> None:
        self._folder = folder
        self._limits = max_bytes, max_ratio

    def open(self, ref: ObjectRef) -> OpenObject:
        """Read the file. Raises ObjectError: gone, denied, s3-unavailable (the disk fails)."""
        path = self._folder / ref.key
        try:
            modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            file = path.open("rb")
        except FileNotFoundError as error:
            raise ObjectError("gone", f"{path}: there is no such file (any more)") from error
        except PermissionError as error:
            raise ObjectError("denied", f"{path}: this user may not read it") from error
        except OSError as error:
            raise ObjectError("s3-unavailable", f"{path}: {error.strerror}") from error

        def chunks() -> Any:
            with file:
                yield from iter(lambda: file.read(CHUNK // 4), b"")

        return OpenObject(ref, modified, ref.size or 0, chunks(), *self._limits)


class FolderStore:
    """Takes quarantine files as S3 does, into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, **_more: str) -> None:  # noqa: N803  # as S3 calls them
        """Write a file whole or not at all. Raises BotoCoreError."""
        path = self._folder / Key
        half = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            half.write_bytes(Body)
            half.replace(path)
        except OSError as error:
            raise _DiskError(error_msg=f"{path}: {error.strerror} ({Bucket})") from error


class _DiskError(BotoCoreError):
    fmt = "{error_msg}"


class Worker:
    """The pipelines of one process; each is made when its first object comes."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._made: dict[bool, Container[Any]] = {}

    def run(self, batch: Sequence[Found]) -> Done:
        """Index a batch of objects. Never raises what belongs to a person: that is the `failure`."""
        done = Done()
        try:
            for config in (False, True):
                refs = [found.ref for found in batch if found.config is config]
                if refs:
                    self._index(config, refs, done)
        except AuditSearchError as error:
            done.failure = str(error)
        return done

    def _index(self, config: bool, refs: list[ObjectRef], done: Done) -> None:
        container = self._container(config)
        container.require_templates()
        asked = [Message(config_objects=[ref], for_config=True) if config else Message(objects=[ref]) for ref in refs]
        report = container.pipeline.run(asked, time.monotonic() + _SECONDS)
        named = [(message.config_objects or message.objects, reason) for message, reason in report.returned_messages]
        returned = [(ref.key, reason) for objects, reason in named for ref in objects]
        back = {key for key, _ in returned}
        done.returned += returned
        done.keys += [ref.key for ref in refs if ref.key not in back]
        more = {**report.summary(), "quarantined_objects": report.quarantined_objects}
        for name, count in more.items():
            done.counts[name] = done.counts.get(name, 0) + count

    def _container(self, config: bool) -> Container[Any]:
        if config not in self._made:
            job = self._job
            made: Container[Any] = config_assembly.assemble(job.config) if config else assembly.assemble(job.environ)
            if job.folder:
                limits = {"max_bytes": made.settings.max_object_bytes, "max_ratio": made.settings.max_inflation_ratio}
                made.pipeline.reader = FolderReader(job.folder, **limits)
            if job.quarantine:
                store: Any = FolderStore(job.quarantine)
                made.pipeline.quarantine = Quarantine(store, "folder", "quarantine/")
            self._made[config] = made
        return self._made[config]


_worker: Worker | None = None


def start(job: Job) -> None:
    """Prepare this process."""
    global _worker  # a process of a pool has no other place
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    os.environ.update(job.environ)
    _worker = Worker(job)


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def run(batch: Sequence[Found]) -> Done:
    """Index a batch in this process."""
    assert _worker is not None  # noqa: S101  # the pool called start
    return _worker.run(batch)
