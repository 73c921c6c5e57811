"""A Ray to run on: started on this machine or reached on a cluster, and shut down afterwards."""

from __future__ import annotations

import importlib
import logging
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.engine.process import output_in
from bench.engine.resources import Resources, ResourceSplit, divide, gpu_bytes, trials_a_gpu
from bench.engine.scratch import OBJECT_STORE_BYTES, ray_folder
from bench.engine.stores import StoreActor
from bench.errors import RUN_AGAIN, BenchError
from bench.files.signals import StopSignals, stop_signals

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
        stop: What asked the run to end, once something has.
    """

    split: ResourceSplit
    portable: ResourceSplit
    home: str
    actor: Any | None
    stop: StopSignals

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
        BenchError: No cluster answers at the address, Ray could not be started, or its processes
            were lost meanwhile; or it is not known how many trials fit on a GPU, and they are to
            be as many.
        KeyboardInterrupt: A signal asked the run to end (`bench.files.signals`).
    """
    if resources.address:
        _reach(resources.address)
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    log.parent.mkdir(parents=True, exist_ok=True)
    handler = _LogFile(log)
    for name in ("ray", "ray.tune", "ray.air", "ray.train"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
    # It looks for the files of loggers that QUIET turns off, and warns of each trial without them.
    logging.getLogger("ray.tune.analysis.experiment_analysis").setLevel(logging.ERROR)
    own_folder = nullcontext() if resources.address else ray_folder()
    # Ray prints what happens to its processes on standard output, however it is configured.
    with (
        own_folder as folder,
        log.open("a") as said,
        redirect_stdout(said),
        stop_signals() as stop,
    ):
        try:
            _start(resources.address, folder, log, stop)
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
                stop=stop,
            )
        except ray.exceptions.RayError as error:
            stop.check()  # a batch system may end Ray's processes as well
            first_line, _, _ = str(error).partition("\n")
            raise BenchError(
                f"Ray's own processes were lost: {first_line}",
                where=str(log),
                fix=RUN_AGAIN,
            ) from error
        finally:
            ray.shutdown()
            if stop.armed:
                stop.arm()  # Ray leaves SIGTERM to the system
            handler.close()


def _start(address: str | None, folder: Path | None, log: Path, stop: StopSignals) -> None:
    """Start Ray, or join the cluster at an address.

    Args:
        address: Where the cluster is; None to start Ray on this machine.
        folder: For the sockets and logs of one that is started.
        log: File for Ray's own messages.
        stop: Takes the signals again that Ray takes.

    Raises:
        BenchError: No cluster answers, or Ray could not be started.
    """
    # `local`: a cluster that runs on this machine by chance is not joined without being named.
    options: dict[str, Any] = {"address": address or "local"}
    if not address:
        options |= {
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
            "_temp_dir": str(folder),
        }
    try:
        # An exception in the middle of its start ends Ray, and with it this process, by an abort.
        with stop.held(), output_in(log), _without_handler_of_ray():
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
            if stop.armed:
                stop.arm()  # C++ has taken SIGTERM, and would print a stack
    except ConnectionError as error:
        raise _unanswered(address, error) from error
    except (OSError, RuntimeError, ValueError) as error:
        first_line, _, _ = str(error).partition("\n")
        raise BenchError(
            f"Ray could not be started: {first_line}", where=str(log), fix=RUN_AGAIN
        ) from error


@contextmanager
def _without_handler_of_ray() -> Iterator[None]:
    """Keep Ray from taking SIGTERM in Python: its handler exits in the middle of its start."""
    before = ray._private.utils.set_sigterm_handler
    ray._private.utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        ray._private.utils.set_sigterm_handler = before


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
