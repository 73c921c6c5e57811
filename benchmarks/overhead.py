"""What the bench adds to the work of a trial, and how long it takes to the first training step.

A thousand trials that have next to nothing to do (`base: prior`) go through `bench run`; their work
alone, the same trials one after another in one process, is subtracted. Beside it Ray Tune's own
class trainable with reused actors and its function trainable, over trials that do nothing at all.
Of each, a run of a few trials (two a core) is subtracted from a run of many, so that the start is
not counted.

The start is measured apart: from the command `bench run` to the end of a trial of one single batch,
with its features on disk; beside a script that imports Keras and takes the same step.

    python benchmarks/overhead.py [--trials 1000] [--rounds 2] [--starts 3] [--cache .cache]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from measured import RESULTS, Comparison, Reading, Table, write
from studies import bench, script, with_features

CLAIM = (
    "A thousand trials that do nothing take at most 15 ms each beyond their work, and a run comes "
    "to its first training step in under 8 s where its features are on disk."
)

NOTHING = """
title: Trials that do next to nothing
base: prior
seeds: SEEDS
"""

ONE_STEP = """
title: One batch
base:
  preset: ropanet_baseline
  train.epochs: 1
  data.train_size: 32
  data.validation_size: 0
  data.test_size: 32
seeds: 1
"""

WORK = """
import sys, time
from pathlib import Path
from studies import trials_of
from bench.store.trials import Store
from bench.train.loop import TrialContext, run_trial
study, cache, results = map(Path, sys.argv[1:])
manifest, trials = trials_of(study, cache, "laptop")
store = Store(results)
begun = time.perf_counter()
for trial in trials:
    store.write(run_trial(trial.spec, TrialContext(manifest, cache)))
print(time.perf_counter() - begun)
"""

TUNE = """
import logging, sys, tempfile, time
import os
os.environ |= {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_AIR_NEW_OUTPUT": "0",
               "RAY_USAGE_STATS_ENABLED": "0", "TUNE_WARN_THRESHOLD_S": "1000"}
import ray
from ray import tune

class Nothing(tune.Trainable):
    def setup(self, config):
        pass

    def reset_config(self, config):
        return True

    def step(self):
        return {"done": True, "answer": 0}

def nothing(config):
    tune.report({"answer": 0})

kind, number = sys.argv[1], int(sys.argv[2])
ray.init(address="local", include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
with tempfile.TemporaryDirectory() as scratch:
    begun = time.perf_counter()
    tune.Tuner(
        Nothing if kind == "class" else nothing,
        param_space={"seed": tune.grid_search(list(range(number)))},
        # No more actors than run at once: others would be started in advance, and not reused.
        tune_config=tune.TuneConfig(
            reuse_actors=kind == "class", max_concurrent_trials=os.cpu_count()
        ),
        run_config=tune.RunConfig(
            storage_path=scratch,
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(
                **({"checkpoint_at_end": False} if kind == "class" else {})
            ),
        ),
    ).fit()
    print(time.perf_counter() - begun)
"""

STEP_BY_HAND = """
import numpy as np
import keras
maps = np.random.default_rng(0).random((32, 6, 6, 128), np.float32)
model = keras.Sequential([keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(50)])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile("adam", loss, metrics=["accuracy"])
model.fit(maps, np.arange(32), batch_size=32, verbose=0)
"""


RAY_TUNE = {
    "class": "Ray Tune, class trainable, reused actors",
    "function": "Ray Tune, function trainable",
}

PHASES = (
    ("the command itself", "driver", "began", "plug-in read"),
    ("importing Ray and Tune", "driver", "import ray", "imported ray.tune"),
    ("starting Ray", "driver", "ray.init", "ray.init done"),
    ("a worker's own start", "worker", "began", "plug-in read"),
    ("importing Keras and TensorFlow", "worker", "import keras", "imported keras"),
)
"""Phases of the start: name, process, from which moment to which (`moments.py`)."""


def seconds_of_run(study: Path, cache: Path) -> float:
    """Seconds of a whole `bench run` into an empty results folder."""
    with tempfile.TemporaryDirectory() as results:
        begun = time.perf_counter()
        bench("run", study, "--profile", "laptop", "--results", results, "--cache", cache)
        return time.perf_counter() - begun


def per_trial(trials: int, cache: Path, scratch: Path) -> dict[str, float]:
    """Seconds a trial of the bench's, of the work alone, and of Ray Tune's two ways."""
    few, seconds, study = 2 * (os.cpu_count() or 1), {}, scratch / "nothing.yaml"
    for number in (few, trials):
        study.write_text(NOTHING.replace("SEEDS", str(number)))
        seconds[number] = seconds_of_run(study, cache)
        print(f"  bench run, trials: {number:,}: {seconds[number]:.1f} s", flush=True)
    found = {"bench": (seconds[trials] - seconds[few]) / (trials - few)}
    found["start and all"] = seconds[trials] / trials
    work = _last_number(WORK, study, cache, tempfile.mkdtemp(dir=scratch))
    found["work"] = work / trials
    # The work is shared among the workers; what is left is the bench's own.
    found["beyond"] = found["bench"] - found["work"] / (os.cpu_count() or 1)
    print(f"  their work alone, in one process: {work:.1f} s", flush=True)
    for kind, share in zip(RAY_TUNE, (5, 50), strict=True):
        number = few + max(trials // share, few)
        least, many = (_last_number(TUNE, kind, n) for n in (few, number))
        found[kind] = (many - least) / (number - few)
        print(f"  Ray Tune, {kind} trainable, trials: {number:,}: {many:.1f} s", flush=True)
    return found


def start(cache: Path, scratch: Path) -> tuple[float, dict[str, tuple[float, float]]]:
    """Seconds from `bench run` to the end of its one step; phases, each from when to when."""
    results, study = Path(tempfile.mkdtemp(dir=scratch)), scratch / "one_step.yaml"
    moments = results / "moments.jsonl"
    own = {"BENCH_MOMENTS": str(moments), "ROPANET_BENCH_PLUGINS": "moments"}
    words = ("run", study, "--profile", "laptop", "--results", results, "--cache", cache)
    begun = time.time()
    bench(*words, environment=own)
    (record,) = results.glob("trials/*/trial.json")
    # What a trial writes last; its test, of one batch too, is taken off.
    ended = record.stat().st_mtime - json.loads(record.read_text())["timings"]["test"]
    noted = [json.loads(line) for line in moments.read_text().splitlines()]
    driver = noted[0]["process"]
    worker = next(n["process"] for n in reversed(noted) if n["what"] == "imported keras")
    at = {(n["process"], n["what"]): n["at"] - begun for n in reversed(noted)}
    phases = {}
    for name, who, first, last in PHASES:
        process = driver if who == "driver" else worker
        if (process, first) in at and (process, last) in at:
            phases[name] = at[process, first], at[process, last]
    phases["the trial, to its first step's end"] = at[worker, "imported keras"], ended - begun
    return ended - begun, phases


def _last_number(source: str, *words: object) -> float:
    return float(script(source, *words).split()[-1])


def starts(runs: int, cache: Path, scratch: Path) -> tuple[Comparison, Reading, Table]:
    """The start beside that of a script, over some runs; the phases of the last one."""
    study = scratch / "one_step.yaml"
    study.write_text(ONE_STEP)
    with_features(study, cache, "laptop")
    ours: list[float] = []
    plain: list[float] = []
    phases: dict[str, tuple[float, float]] = {}
    for _ in range(runs):
        seconds, phases = start(cache, scratch)
        begun = time.perf_counter()
        script(STEP_BY_HAND)
        plain.append(time.perf_counter() - begun)
        ours.append(seconds)
        print(f"  first step after {seconds:.1f} s, by hand {plain[-1]:.1f} s", flush=True)
    rows = [(name, first, last, last - first) for name, (first, last) in phases.items()]
    what = "from the command to the first training step"
    return (
        Comparison(what, ours, plain, "a script that imports Keras and takes the step"),
        Reading(
            what, ours, "s", at_most=8.0, note="to the end of a fit of one batch, tracing included"
        ),
        Table("The last start, by phase", ("phase", "from, s", "to, s", "seconds"), rows),
    )


def trials_beside(
    rounds: list[dict[str, float]], trials: int
) -> tuple[list[Comparison], list[Reading], list[str]]:
    """The bench's seconds a trial beyond the work, beside Ray Tune's; notes."""
    beyond = [found["beyond"] for found in rounds]
    last, workers = rounds[-1], os.cpu_count() or 1
    note = (
        f"{trials:,} trials, {1000 * last['bench']:.1f} ms each in the last round; their work in "
        f"one process {1000 * last['work']:.1f} ms each, divided by {workers} workers"
    )
    readings = [
        Reading(
            "a trial, its work and the run's start and end included",
            [1000 * found["start and all"] for found in rounds],
            "ms",
        )
    ]
    if min(*beyond, *(found[kind] for found in rounds for kind in RAY_TUNE)) <= 0:
        # A start that took longer than usual hides it: no figure is better than a false one.
        return [], readings, ["A trial beyond its work could not be told from the noise of starts."]
    readings.append(
        Reading(
            "a trial beyond its work", [1000 * b for b in beyond], "ms", at_most=15.0, note=note
        )
    )
    return (
        [
            Comparison("a trial that does nothing", beyond, [f[kind] for f in rounds], told)
            for kind, told in RAY_TUNE.items()
        ],
        readings,
        [],
    )


def main() -> None:
    """Measure both and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=Path(".cache"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch, cache = Path(folder), asked.cache.resolve()
        comparison, reading, table = starts(asked.starts, cache, scratch)
        rounds = [per_trial(asked.trials, cache, scratch) for _ in range(asked.rounds)]
    beside, readings, notes = trials_beside(rounds, asked.trials)
    write(
        "overhead",
        CLAIM,
        comparisons=[*beside, comparison],
        readings=[*readings, reading],
        tables=[table],
        notes=notes,
        folder=asked.out,
    )


if __name__ == "__main__":
    main()
