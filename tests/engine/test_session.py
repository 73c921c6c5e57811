"""What a run does when it is interrupted."""

from __future__ import annotations

import os
import signal

import pytest

from bench.engine.session import noted_interrupts
from bench.engine.tune import Interrupts


class Finalised:
    """Is interrupted while it is finalised, where Python drops the exception."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):  # the handler runs between two instructions
            pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_drops_still_ends_the_run() -> None:
    before = signal.getsignal(signal.SIGINT)
    with noted_interrupts() as interrupted:
        callback = Interrupts(interrupted)
        callback.on_step_begin(1, [])
        Finalised()
        with pytest.raises(KeyboardInterrupt):
            callback.on_step_begin(2, [])
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_elsewhere_is_raised_where_it_comes() -> None:
    with pytest.raises(KeyboardInterrupt), noted_interrupts():
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass
