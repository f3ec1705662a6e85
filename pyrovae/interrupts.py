"""Signals: the first one asks a training to end after its step, the second one ends the process at once."""

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any


class Interrupts:
    """Takes SIGINT and SIGTERM inside the block, and gives the old handlers back after it.

    Example:
        >>> with Interrupts() as interrupts:
        ...     signal.raise_signal(signal.SIGTERM)
        ...     interrupts()
        15
    """

    def __init__(self) -> None:
        self.received = 0
        self.before: dict[int, Any] = {}

    def __call__(self) -> int:
        """Returns the number of the signal that came, or 0."""
        return self.received

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():  # others may not set handlers
            self.before = {number: signal.signal(number, self.take) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def take(self, number: int, frame: FrameType | None) -> None:
        # torchrun answers Ctrl-C, which reaches its processes by themselves, with SIGTERM to each of them.
        if self.received == number or (self.received and "TORCHELASTIC_RUN_ID" not in os.environ):
            os._exit(128 + number)
        if self.received:
            return
        self.received = number
        with suppress(OSError, RuntimeError):  # nobody listens, or the signal came in the middle of another line
            if os.environ.get("RANK", "0") == "0":
                print("stopping after this step; once more stops at once", file=sys.stderr)
