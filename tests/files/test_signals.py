"""Signals that ask a process to end: which are heeded, and when."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from bench.files.signals import STOPPING, stop_signals


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """Signals as a program on a terminal has them: a shell's background ignores some."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    for number in STOPPING:
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, usual)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    for _ in range(1000):  # the handler runs between two instructions
        pass


class Finalised:
    """Is interrupted while it is finalised, where Python drops the exception."""

    def __del__(self) -> None:
        send(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_whose_exception_python_drops_is_not_forgotten() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_signals() as stop:
        stop.check()
        Finalised()
        with pytest.raises(KeyboardInterrupt):
            stop.check()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", STOPPING)
def test_the_first_signal_ends_and_only_ctrl_c_hurries(number: signal.Signals) -> None:
    with stop_signals() as stop:
        with stop_signals() as inner:
            with pytest.raises(KeyboardInterrupt):
                send(number)
            send(signal.SIGTERM)
            send(signal.SIGHUP)
            with pytest.raises(KeyboardInterrupt):
                send(signal.SIGINT)
        assert stop.received is inner.received is number


def test_a_signal_waits_for_the_end_of_what_must_not_be_interrupted() -> None:
    done = False
    with stop_signals() as stop, pytest.raises(KeyboardInterrupt), stop.held():
        send(signal.SIGTERM)
        done = True
    assert done and stop.received is signal.SIGTERM


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_signals() as stop:
            send(signal.SIGHUP)
        assert stop.received is None
    finally:
        signal.signal(signal.SIGHUP, before)
