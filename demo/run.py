"""The course of the demo, from the first line to the exit code."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from demo.options import DemoError, Options

if TYPE_CHECKING:
    from demo.engine import EmbeddedEngine, Engine
    from demo.function import Function
    from demo.inputs import InputObject
    from demo.report import Answer
    from demo.screen import Screen
    from demo.storage import LocalS3

_MANY_BYTES = 15_000_000
"""Compressed bytes from which the embedded engine, which keeps everything in memory, is the wrong one (~100,000 events)."""


class _Stopped(BaseException):
    """A signal asked the demo to end."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


def main() -> int:
    """Run the demo as the environment says. Gives the exit code: 0, 1 after an error; 128 + the signal when stopped."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    function_log: list[Function] = []
    try:
        running = ExitStack()
        try:
            _demo(Options.from_env(os.environ), running, function_log)
        finally:
            _ignore_signals()  # nothing may disturb the end of what was started
            running.close()
    except _Stopped as stopped:
        _say("Stopped: whatever the demo had started has ended.")
        _leave(128 + stopped.number)
    except DemoError as error:
        _say(f"Error: {error}{_logged(function_log)}")
        return 1
    except BrokenPipeError:  # `make demo | head`
        _leave(0)
    except Exception as error:
        trouble = traceback.format_exc()
        _say(f"Error: {type(error).__name__}: {error}. This is a mistake in the demo.{_logged(function_log, trouble)}")
        return 1
    return 0


def _demo(options: Options, running: ExitStack, function_log: list[Function]) -> None:
    # Imported here and below, after the first line is out: the whole takes a second.
    from demo import inputs
    from demo.screen import Screen

    objects = inputs.users_files(options.files, options.called_from) if options.files else inputs.samples()
    screen = Screen(sys.stderr if options.json else sys.stdout)
    _announce(screen, options, objects)

    s3, engine, embedded = _start(options, running)
    screen.line(f"Engine: {engine.name}, at {engine.endpoint}; {engine.prepare()}.")

    from demo import report
    from demo.function import Function

    function = Function()
    function_log.append(function)
    instances: Counter[str] = Counter()
    sent = _feed(s3, engine, function, objects, instances if options.files else None)
    tally = function.tally
    tally.check()

    quarantined = sorted(s3.quarantined(), key=lambda entry: (entry.key, entry.position or 0))
    answers: list[Answer] = []
    gone = bool(tally.returned) and not engine.answers()
    if not gone:
        answers = _search(engine, inputs.most_frequent(instances) if options.files else inputs.SAMPLE_INSTANCE)

    if options.json:
        kept = {"endpoint": engine.endpoint, "pid": embedded.pid} if options.keep and embedded else {}
        print(report.as_json(tally, answers, kept), flush=True)
    else:
        report.outcomes(screen, tally, sent, len(objects), engine.alias)
        report.quarantine(screen, quarantined)
        report.searched(screen, answers)
    if gone:
        raise DemoError(f"The engine at {engine.endpoint} stopped answering after {sent:,} of {len(objects):,} objects.")
    if tally.returned:
        raise DemoError(f"Not everything is done; in a deployment it would be tried again: {_one_line(tally.returned[0])}.")
    if tally.failed:
        screen.line()
        screen.line("Some objects could not be read to their end.")
        screen.query("What the function logged: ", _log_file(function_log))
    _farewell(screen, options, engine, embedded, running)


def _announce(screen: Screen, options: Options, objects: Sequence[InputObject]) -> None:
    from demo.inputs import total_size

    what = f"{len(objects):,} of your CloudTrail objects" if options.files else f"{len(objects):,} sample CloudTrail objects"
    where = f"the engine at {options.endpoint}" if options.endpoint else "an embedded engine in memory"
    screen.line(
        f"Audit Search demo: {what} go into a local S3; the Lambda handler runs on S3's notifications and indexes into "
        f"{where}, which then answers five questions." + ("" if options.endpoint else " Nothing leaves this machine.")
    )
    if not options.endpoint and total_size(objects) > _MANY_BYTES:
        _say(
            f"Note: {total_size(objects) / 1e6:,.0f} MB of objects is much for the embedded engine, which takes about 45 kB of "
            "memory for each event; OPENSEARCH_ENDPOINT=http://… uses an engine of yours."
        )


def _start(options: Options, running: ExitStack) -> tuple[LocalS3, Engine, EmbeddedEngine | None]:
    """Start what is needed; everything stops when `running` is closed."""
    from demo.engine import EmbeddedEngine, Engine
    from demo.function import environment
    from demo.storage import LocalS3

    embedded = None
    if not options.endpoint:
        embedded = EmbeddedEngine(keep=options.keep)
        running.callback(embedded.stop)
    endpoint = embedded.start() if embedded else options.endpoint
    s3 = LocalS3()
    running.callback(s3.stop)
    own = {} if embedded is None else {"OPENSEARCH_AUTH": "none", "OPENSEARCH_USERNAME": "", "OPENSEARCH_SERVICE": "es"}
    made = environment({**os.environ, **own}, endpoint=endpoint, s3_endpoint=s3.endpoint)
    password = made.pop("OPENSEARCH_PASSWORD", "")
    os.environ.clear()
    os.environ.update(made)
    s3.prepare()
    if made["OPENSEARCH_AUTH"] == "basic" and not made.get("OPENSEARCH_PASSWORD_SECRET"):
        if not password:
            raise DemoError("OPENSEARCH_AUTH=basic needs a password.", "Give OPENSEARCH_USERNAME and OPENSEARCH_PASSWORD.")
        os.environ["OPENSEARCH_PASSWORD_SECRET"] = s3.keep_secret(password)
    return s3, Engine(os.environ), embedded


def _feed(s3: LocalS3, engine: Engine, function: Function, objects: Sequence[InputObject], instances: Counter[str] | None) -> int:
    """Put the objects and invoke the function on their notifications, while the engine is there. Gives how many were sent."""
    from demo.inputs import batches, count_instances
    from demo.screen import progress
    from demo.storage import notification

    sent = 0
    with progress() as bar:
        task = bar.add_task("Indexing", total=len(objects))
        for batch in batches(objects):
            event = notification([s3.put(entry) for entry in batch])
            if instances is not None:
                for entry in batch:
                    count_instances(entry.path, instances)
            sent += len(batch)
            if function.invoke(event) and not engine.answers():
                break
            bar.advance(task, len(batch))
    return sent


def _search(engine: Engine, instance: str) -> list[Answer]:
    from demo.report import answer_of
    from demo.searches import searches

    engine.refresh()
    return [answer_of(search, engine.search(search.body())) for search in searches(instance)]


def _farewell(screen: Screen, options: Options, engine: Engine, embedded: EmbeddedEngine | None, running: ExitStack) -> None:
    screen.line()
    if embedded is None:
        screen.line(f"The documents stay in your engine at {engine.endpoint}, under the name {engine.alias}.")
    elif options.keep:
        running.pop_all()  # the local S3 ends with this process
        screen.line(f"The engine is still running at {engine.endpoint} (process {embedded.pid}). Try:")
        screen.query("  ", f"curl '{engine.endpoint}/{engine.alias}/_search?q=ct.outcome:failure&size=3&pretty'")
        screen.query("Stop it with:  ", f"kill {embedded.pid}")
    else:
        screen.line(
            "The engine has been stopped and everything is gone. KEEP=1 leaves it running, FILES=… takes objects of yours."
        )


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    raise _Stopped(number)


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _leave(code: int) -> NoReturn:
    """End at once: threads of the handler may be waiting for an engine or for a retry, and would be waited for."""
    sys.stderr.flush()
    os._exit(code)


def _say(text: str) -> None:
    from demo.screen import clean

    try:
        print(clean(text), file=sys.stderr, flush=True)
    except OSError:
        return


def _one_line(text: str) -> str:
    return text if len(text) <= 400 else text[:400] + "…"


def _logged(function_log: Sequence[Function], trouble: str = "") -> str:
    path = _log_file(function_log, trouble)
    return f" What the function logged: {path}" if path else ""


def _log_file(function_log: Sequence[Function], trouble: str = "") -> str:
    """Keep the function's log in a file and give its path; an empty text where there is nothing to keep."""
    text = "".join(function.log.getvalue() for function in function_log) + trouble
    if not text:
        return ""
    with tempfile.NamedTemporaryFile("w", prefix="audit-search-demo-", suffix=".log", delete=False, encoding="utf-8") as file:
        file.write(text)
    return file.name
