"""A Ray to run on: started on this machine or reached on a cluster, and shut down afterwards."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.engine.resources import Resources, ResourceSplit, divide, gpu_bytes, trials_a_gpu
from bench.engine.stores import StoreActor
from bench.errors import RUN_AGAIN, BenchError

QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_THRESHOLD_S": "1000",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}


@dataclass(frozen=True)
class Session:
    """A Ray to run on.

    Args:
        split: What each trial may use.
        portable: The same for trials in portable arithmetic, which use no GPU.
        home: Ray's name of this machine, which holds the results folder.
        actor: Handle of the actor that stores what other machines made; None on one machine.
        interrupted: Set once the user has interrupted the run.
    """

    split: ResourceSplit
    portable: ResourceSplit
    home: str
    actor: Any | None
    interrupted: threading.Event

    def split_of(self, arithmetic: str) -> ResourceSplit:
        """What each trial in an arithmetic may use."""
        return self.portable if arithmetic == "portable" else self.split


@contextmanager
def session(
    resources: Resources, trials: int, trial_bytes: float | None, results: Path, log: Path
) -> Iterator[Session]:
    """A Ray to run on, started here unless an address is given; shut down at the end.

    Args:
        resources: What may be used.
        trials: Trials to run; no more workers than these are planned.
        trial_bytes: What the largest of them takes of a GPU's memory; None where it is not known.
        results: Results folder.
        log: File for Ray's own messages.

    Raises:
        BenchError: No cluster answers at the address, or Ray's own processes were lost meanwhile;
            or it is not known how many trials fit on a GPU, and they are to be as many.
    """
    if resources.address:
        _reach(resources.address)
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    log.parent.mkdir(parents=True, exist_ok=True)
    handler = _LogFile(log)
    for name in ("ray", "ray.tune", "ray.air", "ray.train"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
    # `local`: a cluster that runs on this machine by chance is not joined without being named.
    options: dict[str, Any] = {"address": resources.address or "local"}
    if not resources.address:
        options |= {"include_dashboard": False, "object_store_memory": 200_000_000}
    # Ray prints what happens to its processes on standard output, however it is configured.
    with log.open("a") as said, redirect_stdout(said), noted_interrupts() as interrupted:
        try:
            # Ray waits for its own processes for seconds; what is heavy is imported meanwhile. Ray
            # itself stays in this thread: its processes end with the thread that began them.
            with ThreadPoolExecutor(1) as pool:
                imported = pool.submit(importlib.import_module, "bench.engine.tune")
                ray.init(
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    configure_logging=False,
                    **options,
                )
                imported.result()
        except ConnectionError as error:
            raise _unanswered(resources.address, error) from error
        try:
            home = ray.get_runtime_context().get_node_id()
            actor = None
            if resources.address:
                actor = ray.remote(StoreActor).options(num_cpus=0, **on_node(home)).remote(results)
            have = ray.cluster_resources()
            yield Session(
                split=divide(resources, trials, have, _fit(resources, trial_bytes, have)),
                portable=divide(replace(resources, gpus_per_trial=0.0), trials, have),
                home=home,
                actor=actor,
                interrupted=interrupted,
            )
        except ray.exceptions.RayError as error:
            first_line, _, _ = str(error).partition("\n")
            raise BenchError(
                f"Ray's own processes were lost: {first_line}",
                where=str(log),
                fix=RUN_AGAIN,
            ) from error
        finally:
            ray.shutdown()
            handler.close()


def _fit(resources: Resources, trial_bytes: float | None, have: dict[str, float]) -> int:
    """Trials that fit on the smallest GPU there is, where that is asked for."""
    if resources.gpus_per_trial != "auto" or not have.get("GPU"):
        return 1
    ask = ray.remote(gpu_bytes)
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU")]
    memory = ray.get([ask.options(num_cpus=0, **on_node(n["NodeID"])).remote() for n in nodes])
    if trial_bytes is None or None in memory:
        what = "a trial of this study takes" if trial_bytes is None else "the GPUs have"
        raise BenchError(
            f"it is not known how much memory {what}",
            where="--gpus-per-trial auto",
            fix="give a number, such as 0.5",
        )
    return trials_a_gpu(trial_bytes, min(memory))


class _LogFile(logging.FileHandler):
    """A log that drops a message where its disk is full, and does not fill the terminal."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Called where a message cannot be written: whatever else fails reports that itself."""


@contextmanager
def noted_interrupts() -> Iterator[threading.Event]:
    """An event that is set by Ctrl-C, which raises `KeyboardInterrupt` as always.

    Python drops the exception where the signal meets it in a finaliser, of which Ray has many.
    """
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted  # signals go to the main thread
        return

    def note(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _reach(address: str) -> None:
    """Make sure that something listens at an address: Ray itself would try for minutes.

    Raises:
        BenchError: Nothing does, or it is the address of a Ray client's server.
    """
    if address.startswith("ray://"):
        raise BenchError(
            "is the address of a Ray client's server",
            where=f"--address {address}",
            fix="run on a machine of the cluster, with its `host:port` or `auto`",
        )
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        return  # `auto`, or another word of Ray's
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise _unanswered(address, error) from error


def _unanswered(address: str | None, error: Exception) -> BenchError:
    return BenchError(
        f"no Ray cluster answers: {error}",
        where=f"--address {address}",
        fix="start one with `ray start --head` (docs/cluster.md)",
    )


def on_node(node: str) -> dict[str, Any]:
    """Options of a task or an actor that must run on one machine."""
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}
