"""Ctrl-C at the right moment: what has begun is finished, and nothing further is begun."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupts:
    """While its `with` block lasts the first Ctrl-C (or SIGTERM) only sets `requested`; a second one interrupts as usual.

    In a thread other than the main one signals are left alone, for only the main thread may handle them.
    """

    def __init__(self) -> None:
        """Nothing is asked for yet."""
        self.requested = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
