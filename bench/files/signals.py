"""What asks this process to end: Ctrl-C, a batch system, `docker stop`, a closed terminal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker
from types import FrameType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a process to end, and leave it the time to do so in order."""


class StopSignals:
    """Signals that ask this process to end, each noted and raised as `KeyboardInterrupt`.

    What ends the process in order on Ctrl-C then does so on all of them. Once one has come, only
    another Ctrl-C interrupts the cleaning up: batch systems send several.

    Attributes:
        received: The first of them that came; None before.
        armed: Whether the signals are taken.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.armed = False
        self._held = False
        # What is ignored from the start stays so: `nohup` means that a closed terminal is no end.
        self._before = {
            number: before
            for number in STOPPING
            if (before := signal.getsignal(number)) not in (signal.SIG_IGN, None)
        }

    def arm(self) -> None:
        """Take the signals; once more where a library has taken them meanwhile."""
        self.armed = True
        for number in self._before:
            signal.signal(number, self.note)

    def disarm(self) -> None:
        """Give the signals back to what had them before."""
        self.armed = False
        for number, before in self._before.items():
            signal.signal(number, before)

    def note(self, number: int, frame: FrameType | None = None) -> None:
        """A signal came.

        Raises:
            KeyboardInterrupt: It is the first one, and not held, or Ctrl-C again.
        """
        first = self.received is None
        self.received = self.received or signal.Signals(number)
        if self._held if first else number != signal.SIGINT:
            return
        self._tell(number, frame)
        raise KeyboardInterrupt

    def _tell(self, number: int, frame: FrameType | None = None) -> None:
        """Let what had the signal before note it, too."""
        before = self._before.get(signal.Signals(number))
        if callable(before):
            before(number, frame)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the first signal until a block has ended that must not be interrupted.

        Raises:
            KeyboardInterrupt: At the end, if a signal came.
        """
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self.check()

    def check(self) -> None:
        """Raise a signal's exception where it may have been lost.

        Python drops it where the signal meets the process in a finaliser, of which Ray has many.

        Raises:
            KeyboardInterrupt: A signal has come.
        """
        if self.received is not None:
            self._tell(self.received)
            raise KeyboardInterrupt


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Note the signals that ask this process to end while a block runs.

    In another thread than the main one nothing is noted: signals go to the main one.
    """
    signals = StopSignals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    signals.arm()
    try:
        yield signals
    finally:
        signals.disarm()


class ProcessPool(ProcessPoolExecutor):
    """Processes for a part of this one's work, which leave it to this one to end in order.

    A terminal sends Ctrl-C, and its own end, to all processes at once: each that is caught while it
    starts would print a traceback.

    Args:
        count: How many; None for one a core.
    """

    def __init__(self, count: int | None = None) -> None:
        with _blocked(signal.SIGHUP):
            # What tidies up after the others ignores the other signals by itself.
            resource_tracker.ensure_running()
        super().__init__(count, mp_context=get_context("spawn"))

    def submit(self, *task: Any, **options: Any) -> Future[Any]:
        """As every executor does; the processes are started here, and keep what is blocked."""
        with _blocked(signal.SIGINT):
            return super().submit(*task, **options)


@contextmanager
def _blocked(number: signal.Signals) -> Iterator[None]:
    """Hold a signal back from this thread, and from the processes that it starts meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
