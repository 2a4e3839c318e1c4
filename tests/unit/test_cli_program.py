"""`audit-search` as a program of its own: signals, pipes and terminals."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from audit_search_cli import dead_letters
from tests.support.aws import ENVIRONMENT, Aws
from tests.support.cli import Asked, ScriptedEngine
from tests.support.letters import bodies, notification, put, size

PROGRAM = str(Path(sys.executable).parent / "audit-search")


def environment(**more: str) -> dict[str, str]:
    """The environment of the program, with nothing of this machine but what Python needs."""
    return {"PATH": os.defpath, "HOME": "/nonexistent", **ENVIRONMENT, **more}


def start(*arguments: str, **more: str) -> subprocess.Popen[str]:
    """Start the program."""
    return subprocess.Popen(
        [PROGRAM, *arguments], env=environment(**more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_ctrl_c_is_one_line_and_130() -> None:
    """Also while an engine takes its time to answer."""
    asked, over = threading.Event(), threading.Event()

    def hangs(_asked: Asked) -> tuple[int, Any]:
        asked.set()
        over.wait()
        return 200, {}

    with ScriptedEngine(hangs) as server:
        program = start("doctor", "--endpoint", server.endpoint, "--auth", "none")
        assert asked.wait(120)
        program.send_signal(signal.SIGINT)
        out, err = program.communicate()
        over.set()
    assert program.returncode == 130
    assert out == ""
    assert err.strip() == "Error: Interrupted"


def test_ctrl_c_in_a_redrive_finishes_what_was_begun(aws: Aws) -> None:
    """What was sent is deleted, the rest is left where it can be received, and the sum is printed."""
    live, dead = aws.queue(), aws.queue()
    put(aws, dead, *(notification(number) for number in range(15)))
    program = start("dlq", "redrive", "--queue-url", dead.url, "--to", live.url, AWS_ENDPOINT_URL=aws.endpoint)
    while size(aws, live) == 0 and program.poll() is None:
        pass
    program.send_signal(signal.SIGINT)
    out, err = program.communicate()
    assert program.returncode in (0, 130), err
    moved = size(aws, live)
    assert f"15 found = {moved} moved + 0 failed + {15 - moved} left" in out
    assert dead_letters.counts(aws.sqs, dead.url) == (15 - moved, 0, 0)


def test_a_kill_in_a_redrive_loses_nothing(aws: Aws) -> None:
    """Every message is in one of the queues, or in both."""
    live, dead = aws.queue(), aws.queue()
    texts = [f"message {number}" for number in range(30)]
    put(aws, dead, *texts)
    program = start("dlq", "redrive", "--queue-url", dead.url, "--to", live.url, AWS_ENDPOINT_URL=aws.endpoint)
    while size(aws, live) == 0 and program.poll() is None:
        pass
    program.kill()
    program.communicate()
    moved = set(bodies(aws, live))
    assert moved
    assert size(aws, dead) >= 30 - len(moved)


def test_a_pipe_that_closes_early_is_no_error() -> None:
    """`audit-search --help | head -1` prints one line and no stack trace."""
    program = start("--help")
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.close()
    err = program.stderr.read()
    program.wait()
    program.stderr.close()
    assert "Traceback" not in err


def test_progress_is_shown_on_a_terminal_and_never_in_the_result() -> None:
    """The result can be piped into another program while a person watches."""
    person, terminal = pty.openpty()
    with ScriptedEngine(lambda _asked: (200, {"version": {"number": "2.19.4", "distribution": "opensearch"}})) as server:
        program = subprocess.Popen(
            [PROGRAM, "doctor", "--endpoint", server.endpoint, "--auth", "none", "--output", "json"],
            env=environment(TERM="xterm"),
            stdout=subprocess.PIPE,
            stderr=terminal,
            text=True,
        )
        os.close(terminal)
        out, _ = program.communicate()
    shown = os.read(person, 10_000).decode()
    os.close(person)
    assert "look" in shown
    assert out.startswith("{")
    assert "\x1b" not in out
