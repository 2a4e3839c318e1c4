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
from typing import TYPE_CHECKING, NoReturn, Protocol

from demo.options import DemoError, Options

if TYPE_CHECKING:
    from io import StringIO

    from demo.config_inputs import ConfigInput
    from demo.config_part import ConfigFunction
    from demo.config_searches import ConfigAnswer
    from demo.engine import EmbeddedEngine, Engine
    from demo.function import Function, Tally
    from demo.inputs import InputObject
    from demo.report import Answer
    from demo.screen import Screen
    from demo.storage import LocalS3

    class Logging(Protocol):
        """A function with its log."""

        @property
        def log(self) -> StringIO: ...


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
    function_log: list[Logging] = []
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


def _demo(options: Options, running: ExitStack, function_log: list[Logging]) -> None:
    # Imported here and below, after the first line is out: the whole takes a second.
    from demo import inputs
    from demo.screen import Screen

    objects: list[InputObject] = []
    if options.trail:
        objects = inputs.users_files(options.files, options.called_from) if options.files else inputs.samples()
    given, refused = _config_inputs(options)
    screen = Screen(sys.stderr if options.json else sys.stdout)
    _announce(screen, options, objects, given)

    s3, engine, embedded = _start(options, running)
    screen.line(f"Engine: {engine.name}, at {engine.endpoint}; {engine.prepare()}.")

    from demo import config_part, config_report, report, story
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
    if not gone and options.trail:
        answers = _search(engine, inputs.most_frequent(instances) if options.files else inputs.SAMPLE_INSTANCE)
    config: ConfigFunction | None = None
    told: list[ConfigAnswer] = []
    if options.config and not gone:
        config_part.prepare(engine)
        config = config_part.ConfigFunction(s3, given)
        function_log.append(config)
        config.tally.refused += refused
        config.tally.counts["refused_files"] = len(refused)
        gone = not _feed_config(engine, config, given)
        config.tally.check()
        if not gone:
            config.hand_over(function)
            told = config_part.ask(engine, samples=not options.config_files)
    documents = config_part.documents(engine) if config and not gone else {}

    if options.json:
        kept: dict[str, object] = {"endpoint": engine.endpoint, "pid": embedded.pid} if options.keep and embedded else {}
        more: dict[str, object] = {"config": config_part.as_json(config.tally, told, documents)} if config else {}
        more |= {"story": story.as_json()} if options.samples and not gone else {}
        print(report.as_json(tally, answers, more | kept), flush=True)
    else:
        if options.trail:
            report.outcomes(screen, tally, sent, len(objects), engine.alias)
            report.quarantine(screen, quarantined)
            report.searched(screen, answers)
        if config:
            kept_files = {entry.file for entry in quarantined}
            new = [entry for entry in s3.quarantined() if entry.file not in kept_files]
            config_report.outcomes(screen, config.tally, documents)
            report.quarantine(screen, sorted(new, key=lambda entry: (entry.key, entry.position or 0)))
            config_report.searched(screen, told, first=len(answers) + 1)
        if options.samples and not gone:
            story.show(screen)
    _end(tally, config, engine, screen, function_log, sent=sent, given=len(objects), gone=gone)
    _farewell(screen, options, engine, embedded, running)


def _end(
    tally: Tally,
    config: ConfigFunction | None,
    engine: Engine,
    screen: Screen,
    function_log: Sequence[Logging],
    *,
    sent: int,
    given: int,
    gone: bool,
) -> None:
    """Raise DemoError where something is not done, and say where there is more to read."""
    if gone:
        raise DemoError(f"The engine at {engine.endpoint} stopped answering after {sent:,} of {given:,} objects.")
    returned = tally.returned + (config.tally.returned if config else [])
    if returned:
        raise DemoError(f"Not everything is done; in a deployment it would be tried again: {_one_line(returned[0])}.")
    if tally.failed or (config and config.tally.failed):
        screen.line()
        screen.line("Some objects could not be read to their end.")
        screen.query("What the function logged: ", _log_file(function_log))


def _config_inputs(options: Options) -> tuple[list[ConfigInput], list[tuple[str, str]]]:
    """What AWS Config's function is given, and the files that are nothing for it."""
    from demo import config_inputs

    if not options.config:
        return [], []
    if options.config_files:
        return config_inputs.users_files(options.config_files, options.called_from)
    return config_inputs.samples(), []


def _feed_config(engine: Engine, config: ConfigFunction, inputs: Sequence[ConfigInput]) -> bool:
    """Deliver everything, while the engine is there; whether it is."""
    from demo.config_part import batches
    from demo.screen import progress

    with progress() as bar:
        task = bar.add_task("AWS Config", total=len(inputs))
        for batch in batches(inputs):
            if not config.deliver(batch) and not engine.answers():
                return False
            bar.advance(task, len(batch))
    return True


def _announce(screen: Screen, options: Options, objects: Sequence[InputObject], given: Sequence[ConfigInput]) -> None:
    from demo.config_inputs import count
    from demo.inputs import total_size

    parts = []
    if options.trail:
        which = f"{len(objects):,} {'of your' if options.files else 'sample'}"
        parts.append(f"{which} CloudTrail object{'s' if len(objects) != 1 or options.files else ''}")
    if options.config:
        parts.append(f"{'your ' if options.config_files else ''}{count(given)} of AWS Config")
    where = f"the engine at {options.endpoint}" if options.endpoint else "an embedded engine in memory"
    handlers = "Lambda handlers run and index" if options.trail and options.config else "Lambda handler runs and indexes"
    number = {(True, True): "eight", (True, False): "five"}.get((options.trail, options.config), "three")
    stories = " and tells three stories" if options.samples else ""
    come = "comes" if len(parts) == 1 and len(given) + len(objects) == 1 else "come"
    screen.line(
        f"Audit Search demo: {' and '.join(parts)} {come} as AWS would send them; the {handlers} into "
        f"{where}, which then answers {number} questions{stories}."
        + ("" if options.endpoint else " Nothing leaves this machine.")
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
    from demo.story import goes_on

    screen.line()
    if embedded is None:
        names = [*([engine.alias] if options.trail else []), *(["config-*"] if options.config else [])]
        screen.line(f"The documents stay in your engine at {engine.endpoint}, to be found under {' and '.join(names)}.")
    elif options.keep:
        running.pop_all()  # the local S3 ends with this process
        screen.line(f"The engine is still running at {engine.endpoint} (process {embedded.pid}). Try:")
        if options.trail:
            screen.query("  ", f"curl '{engine.endpoint}/{engine.alias}/_search?q=ct.outcome:failure&size=3&pretty'")
        if options.config:
            screen.query("  ", f"curl '{engine.endpoint}/config-history/_search?sort=cfg.changeCount:desc&size=3&pretty'")
        for command in goes_on(engine.endpoint) if options.samples else ():
            screen.query("  ", command)
        screen.query("Stop it with:  ", f"kill {embedded.pid}")
    else:
        screen.line(
            "The engine has been stopped and everything is gone. KEEP=1 leaves it running, FILES=… and CONFIG_FILES=… take yours."
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


def _logged(function_log: Sequence[Logging], trouble: str = "") -> str:
    path = _log_file(function_log, trouble)
    return f" What the function logged: {path}" if path else ""


def _log_file(function_log: Sequence[Logging], trouble: str = "") -> str:
    """Keep the function's log in a file and give its path; an empty text where there is nothing to keep."""
    text = "".join(function.log.getvalue() for function in function_log) + trouble
    if not text:
        return ""
    with tempfile.NamedTemporaryFile("w", prefix="audit-search-demo-", suffix=".log", delete=False, encoding="utf-8") as file:
        file.write(text)
    return file.name
