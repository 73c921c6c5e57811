"""A whole study beside the plain way: `bench run` and a Keras script, each a process of its own.

Both train the same arms at the same seeds on the same images for as many epochs, each from the
phantom and the backbone's weights on disk; the bench's features are not yet made. What is timed is
the whole process, its start included.

    python benchmarks/study.py [--only baseline] [--seeds N] [--plain-seeds N] [--runs N]
                               [--precision bfloat16] [--cache DIR]

The plain side may train fewer seeds than the study has: an arm's seeds are the same work, so the
seconds of its trials are then scaled up by their count, and the result says so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from measured import Comparison, Table, write

from bench.data.phantom import generate_phantom
from bench.data.phantoms import phantom_folder
from bench.store.trials import Store
from bench.study.settings.data import PhantomSource

HERE = Path(__file__).resolve().parent
PLAIN_KERAS = (str(HERE / "plain_keras.py"),)
PLAIN_TUNE = (str(HERE / "plain_tune.py"),)


@dataclass(frozen=True)
class Case:
    """A study that is run both ways.

    Args:
        claim: What is claimed.
        study: Its YAML, as plain data.
        profile: Profile that it runs under.
        other: Script of the other way.
        other_way: What that is.
        wanted: How many times faster the bench is to be.
        seeds: Seeds of the study where the command line names none.
        plain_seeds: Of these, how many the other way trains where the command line names none.
        precision: Whether `--precision` changes it.
    """

    claim: str
    study: dict[str, Any]
    profile: str
    other: tuple[str, ...]
    other_way: str
    wanted: float
    seeds: int
    plain_seeds: int
    precision: bool = False


GATES = {"model.gate": ["sigmoid", "none", "residual", "spatial", "detached", "random"]}
MASK_GATE = {"base": "ropanet", "axes": GATES, "control": {"model.gate": "sigmoid"}}
RANDOM_INCEPTION = {"name": "inception_v3", "weights": "none"}

CASES = {
    "baseline": Case(
        claim="The Baseline rows of Table 1 at InceptionV3 scale (60, 120 and 240 training images "
        "at 299 pixels, 100 to validate, 240 to test, five epochs) take at most a thirtieth of the "
        "time of a Keras script.",
        study={
            "base": {
                "preset": "ropanet_baseline",
                "data.source": {"kind": "phantom", "images": 1800, "seed": 0},
                "data.validation_size": 100,
                "data.test_size": 240,
                "model.backbone": RANDOM_INCEPTION,
                "train.epochs": 5,
                "train.patience": None,
            },
            "axes": {"data.train_size": [240, 120, 60]},
        },
        profile="paper",
        other=PLAIN_KERAS,
        other_way="Keras script",
        wanted=30,
        seeds=3,
        plain_seeds=1,
        precision=True,
    ),
    "paper_scale": Case(
        claim="RopaNet at the paper's scale (InceptionV3, 112 million weights above it, 300 x 300 "
        "landmark maps), eight steps an arm, takes at most half of the time of a Keras script.",
        study={
            "base": {
                "preset": "ropanet",
                "data.source": {"kind": "phantom", "images": 300, "seed": 0},
                "data.train_size": 128,
                "data.validation_size": 16,
                "data.test_size": 32,
                "model.backbone": RANDOM_INCEPTION,
                "train.epochs": 2,
                "train.patience": None,
            },
            "axes": {"model.gate": ["sigmoid", "none"]},
        },
        profile="paper",
        other=PLAIN_KERAS,
        other_way="Keras script",
        wanted=2,
        seeds=1,
        plain_seeds=1,
        precision=True,
    ),
    "ray_tune": Case(
        claim="Against Ray Tune with a function trainable around that same Keras script, the "
        "mask-gate study at laptop scale takes at most a fifth of the time.",
        study=MASK_GATE,
        profile="laptop",
        other=PLAIN_TUNE,
        other_way="Ray Tune, function trainable",
        wanted=5,
        seeds=2,
        plain_seeds=2,
    ),
}


@dataclass(frozen=True)
class Timed:
    """One way of running a study, once.

    Args:
        seconds: Of the whole process.
        measured: Of these, those that were not scaled up from other seeds.
        trials: Trained, or taken as trained.
        accuracy: Mean test accuracy, in %, of each arm.
    """

    seconds: float
    measured: float
    trials: int
    accuracy: dict[str, float]


def prepare(case: Case, cache: Path) -> None:
    """Draw the phantom where it is missing."""
    source = _source(case)
    root = cache / phantom_folder(PhantomSource(images=source["images"], seed=source["seed"]))
    root.parent.mkdir(parents=True, exist_ok=True)
    generate_phantom(root, **source)


def fresh_cache(case: Case, cache: Path, to: Path) -> Path:
    """A cache with the case's phantom, and no features."""
    source = _source(case)
    folder = phantom_folder(PhantomSource(images=source["images"], seed=source["seed"]))
    shutil.copytree(cache / folder, to / folder)
    return to


def study_file(case: Case, seeds: int, precision: str, folder: Path) -> Path:
    """The study as YAML; the precision is the bench's alone, and the plain script's is float32."""
    study = {"title": case.claim, **case.study, "seeds": seeds}
    if case.precision and precision != "float32":
        base = study["base"]
        backbone = base["model.backbone"] | {"precision": precision}
        study["base"] = base | {"model.backbone": backbone, "train.precision": precision}
    file = folder / f"study-{precision}.yaml"
    file.write_text(yaml.safe_dump(study, sort_keys=False))
    return file


def run_bench(study: Path, profile: str, cache: Path, results: Path) -> Timed:
    """`bench run`, as a user types it."""
    words = [
        "-c",
        "from bench.cli import main; main()",
        "run",
        str(study),
        "--profile",
        profile,
    ]
    seconds, _ = process([*words, "--cache", str(cache), "--results", str(results)])
    store = Store(results)
    accuracy = {
        arm.name: statistics.fmean(
            100 * store.read(identity, gates=False).metrics["accuracy"]
            for identity in arm.trials.values()
        )
        for arm in store.studies()[0].arms
    }
    return Timed(seconds, seconds, sum(1 for _ in store.ids()), accuracy)


def run_other(case: Case, study: Path, cache: Path, seeds: int, plain_seeds: int) -> Timed:
    """The other way's script, over the first seeds of the study."""
    words = [*case.other, str(study), "--profile", case.profile, "--cache", str(cache)]
    seconds, said = process([*words, "--seeds", str(plain_seeds)])
    trials = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    accuracy: dict[str, list[float]] = {}
    for trial in trials:
        accuracy.setdefault(trial["arm"], []).append(100 * trial["metrics"]["accuracy"])
    whole = seconds
    if plain_seeds < seeds:
        whole += sum(trial["seconds"] for trial in trials) * (seeds / plain_seeds - 1)
    means = {arm: statistics.fmean(values) for arm, values in accuracy.items()}
    return Timed(whole, seconds, len(trials) * seeds // plain_seeds, means)


def measure(
    name: str, cache: Path, *, seeds: int | None, plain_seeds: int | None, runs: int, precision: str
) -> None:
    """Run one case both ways, so many times, and keep what came out."""
    case = CASES[name]
    seeds = seeds or case.seeds
    plain_seeds = min(plain_seeds or case.plain_seeds, seeds)
    prepare(case, cache)
    ours, others = [], []
    for run in range(1, runs + 1):
        with tempfile.TemporaryDirectory(prefix="bench-study-") as scratch:
            folder = Path(scratch)
            fresh = fresh_cache(case, cache, folder / "cache")
            study = study_file(case, seeds, precision, folder)
            ours.append(run_bench(study, case.profile, fresh, folder / "results"))
            _say(f"{name}, run {run} of {runs}: bench", ours[-1])
            study = study_file(case, seeds, "float32", folder)
            others.append(run_other(case, study, fresh, seeds, plain_seeds))
            _say(f"{name}, run {run} of {runs}: {case.other_way}", others[-1])
    note = f"{ours[0].trials} trials, {seeds} seeds an arm."
    if plain_seeds < seeds:
        note += (
            f" The other way trained {plain_seeds} of the seeds, in {others[0].measured:.0f} s; "
            "the seconds of its trials are scaled up to all, its start is counted once."
        )
    if case.precision:
        note += f" The bench in {precision}, the other way in float32."
    write(
        f"study_{name}" + ("" if precision == "float32" else f"_{precision}"),
        case.claim,
        comparisons=[
            Comparison(
                "the whole study",
                [timed.seconds for timed in ours],
                [timed.seconds for timed in others],
                case.other_way,
                wanted=case.wanted,
                extrapolated=plain_seeds < seeds,
                note=note,
            )
        ],
        tables=[
            Table(
                "Mean test accuracy in %, over the seeds that each side trained",
                ("arm", "the bench", case.other_way),
                [(arm, ours[0].accuracy[arm], others[0].accuracy[arm]) for arm in ours[0].accuracy],
            )
        ],
        notes=[
            "Both ways are a process each, timed from its start to its end; the phantom and the "
            "backbone's weights are on disk, the bench's features are not."
        ],
    )


def main() -> None:
    """Measure the cases asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--only", choices=CASES, nargs="+", default=list(CASES))
    parser.add_argument("--seeds", type=int, help="seeds of the study; by default the case's own")
    parser.add_argument("--plain-seeds", type=int, help="of these, how many the other way trains")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--cache", type=Path, default=HERE.parent / ".cache")
    asked = parser.parse_args()
    for name in asked.only:
        measure(
            name,
            asked.cache,
            seeds=asked.seeds,
            plain_seeds=asked.plain_seeds,
            runs=asked.runs,
            precision=asked.precision if CASES[name].precision else "float32",
        )


def _source(case: Case) -> dict[str, int]:
    """Size and seed of a case's phantom."""
    base = case.study["base"]
    named = base.get("data.source") if isinstance(base, dict) else None
    source = named or {"images": 4800, "seed": 0}  # the laptop profile's
    return {"images": source["images"], "seed": source["seed"]}


def process(words: Sequence[str]) -> tuple[float, str]:
    """Seconds of a Python process, and what it printed.

    Raises:
        RuntimeError: It failed; with the end of what it said.
    """
    environment = os.environ | {"PYTHONPATH": str(HERE.parent), "TF_CPP_MIN_LOG_LEVEL": "3"}
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words], env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds, done.stdout


def _say(what: str, timed: Timed) -> None:
    scaled = "" if timed.seconds == timed.measured else f" (measured: {timed.measured:.1f} s)"
    print(f"{what}: {timed.seconds:.1f} s for {timed.trials} trials{scaled}", flush=True)


if __name__ == "__main__":
    main()
