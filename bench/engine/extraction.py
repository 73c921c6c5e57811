"""Weights and features of a run, made once on every machine before trials that need them."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import ray

from bench.data.manifest import Manifest
from bench.data.phantoms import generate_once, source_of_folder
from bench.data.sources import open_source
from bench.engine.config import WorkerConfig
from bench.engine.process import limit_threads, redirect_output
from bench.engine.session import Session, on_node
from bench.errors import BenchError
from bench.files.atomic import write_json
from bench.files.locks import locked
from bench.systems.registry import load_plugins
from bench.train.arithmetic import compute_in

Say = Callable[[str, int, int], None]
"""Called with (phase, done, total)."""


def extract_features(config: WorkerConfig, session: Session, say: Say) -> None:
    """Make weights and extract features on every machine, with all of its cores or one GPU."""
    cache = config.options.cache
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".progress-") as scratch:
        progress = Path(scratch) / "progress.json"
        pending = {
            _extraction(node, config, session, progress): node["NodeID"] for node in _machines()
        }
        last = None
        while pending:
            done, _ = ray.wait(list(pending), timeout=0.3)
            if progress.is_file():
                now = json.loads(progress.read_text())
                if now != last:
                    say(now["phase"], now["done"], now["total"])
                    last = now
            for task in done:
                _raise_cause(task, at_home=pending.pop(task) == session.home)


def _machines() -> list[dict[str, Any]]:
    return [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU", 0) >= 1]


def _extraction(node: dict[str, Any], config: WorkerConfig, session: Session, file: Path) -> Any:
    cpus, gpus = int(node["Resources"]["CPU"]), min(node["Resources"].get("GPU", 0), 1)
    task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_calls=1)(prepare_features)
    return task.options(**on_node(node["NodeID"])).remote(config, file, cpus, session.home)


def _raise_cause(task: Any, *, at_home: bool) -> None:
    try:
        ray.get(task)
    except ray.exceptions.RayTaskError as error:
        # What the task raised is what the user should read, not Ray's wrapping of it.
        raise error.cause from None
    except ray.exceptions.RayError:
        # Another machine was lost: its trials go elsewhere, and extract what they need.
        if at_home:
            raise


def prepare_features(config: WorkerConfig, progress: Path | None, threads: int, home: str) -> None:
    """Make weights and extract features on this machine; notes its progress in a small file.

    Args:
        config: Where to read and write, and what is needed.
        progress: JSON file of `phase`, `done` and `total`, rewritten as work proceeds.
        threads: CPU threads to use.
        home: Ray's name of the machine that holds the results folder.
    """
    if ray.get_runtime_context().get_node_id() != home:
        config, progress = away_from_home(config), None
    redirect_output(config.log)
    limit_threads(threads)
    compute_in(config.arithmetic, config.options.cache)
    load_plugins()

    def say(phase: str, done: int, total: int) -> None:
        if progress is not None:
            write_json(progress, {"phase": phase, "done": done, "total": total})

    _make_features(config, say)


@lru_cache(maxsize=1)
def data_with_features(config: WorkerConfig) -> Manifest:
    """The data, once its features are on this machine.

    Raises:
        BenchError: The data is not on this machine, or other data is.
    """
    _make_features(config, lambda phase, done, total: None)
    return _opened(config)


def _make_features(config: WorkerConfig, say: Say) -> None:
    from bench.train.extract import ensure_weights, extract

    manifest, cache = _opened(config), config.options.cache
    # Another run, or another worker of this machine, may be at the same: it is done once.
    with locked(cache / "features.lock", wait=True):
        for settings, weights, rows in config.features:
            ensure_weights(settings, weights)
            phase = f"features of {settings.name}" if settings.frozen else "pixels"
            extract(manifest, rows, settings, cache, config.arithmetic, partial(say, phase))


@lru_cache(maxsize=1)
def _opened(config: WorkerConfig) -> Manifest:
    root, cache = config.data_root, config.options.cache
    if root.is_relative_to(cache) and not root.exists():
        generate_once(source_of_folder(root), root, cache)
    manifest = open_source(root, cache=cache)
    if manifest.fingerprint != config.fingerprint:
        raise BenchError(
            f"the data on {platform.node()} is not that of the run: its fingerprint is "
            f"{manifest.fingerprint[:16]}, the run's {config.fingerprint[:16]}",
            where=str(root),
            fix="put the same data at the same path on every machine",
        )
    return manifest


def away_from_home(config: WorkerConfig) -> WorkerConfig:
    """A config on a machine other than that of the results folder.

    The cache is this machine's own: `BENCH_CACHE`, or the same path as at home. The data must lie
    at the same path, but for the phantom, which is generated where it is missing.
    """
    at_home, root = config.options.cache, config.data_root
    cache = Path(os.environ.get("BENCH_CACHE", at_home)).resolve()
    scratch = cache / "away"
    return replace(
        config,
        options=replace(config.options, cache=cache, results=scratch),
        data_root=cache / root.relative_to(at_home) if root.is_relative_to(at_home) else root,
        log=scratch / config.log.name,
    )
