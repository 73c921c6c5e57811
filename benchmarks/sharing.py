"""Trials that share a compiled network beside the same trials, each compiled and fitted alone.

Both ways train the same trials one after another in one process and must give the same bytes:
predictions, landmarks and the losses of every epoch are compared. Once the sixteen seeds also go
through `bench run`, with `--no-share` and without.

    python benchmarks/sharing.py [--rounds 2] [--small] [--cache .cache]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measured import RESULTS, Comparison, Reading, write
from studies import bench, with_features

from bench.data.manifest import Manifest
from bench.store.plan import PlannedTrial
from bench.store.record import TrialRecord
from bench.store.trials import Store

CLAIM = (
    "Trials of one shape share a compiled network, and a whole epoch is one call: 16 seeds of the "
    "baseline head train at least 4 times as fast, laptop RopaNet faster too, and every trial "
    "gives the same bytes as alone."
)


@dataclass(frozen=True)
class Case:
    """Trials of one shape.

    Args:
        what: What differs between them.
        study: Their study.
        wanted: How many times faster they should be together.
    """

    what: str
    study: str
    wanted: float | None = None


CASES = (
    Case("baseline head, 16 seeds", "base: ropanet_baseline\nseeds: 16\n", 4.0),
    Case("laptop RopaNet, 4 seeds", "base: ropanet\nseeds: 4\n", 1.0),
    Case(
        "baseline head, 8 learning rates",
        "base: ropanet_baseline\nseeds: 1\naxes:\n  train.learning_rate: "
        "[2.0e-2, 1.0e-2, 5.0e-3, 3.0e-3, 2.0e-3, 1.0e-3, 5.0e-4, 2.0e-4]\n",
    ),
    Case(
        "baseline head, 6 sizes of the training set",
        "base: ropanet_baseline\nseeds: 1\naxes:\n  data.train_size: "
        "[100, 200, 500, 1000, 1500, 2000]\n",
    ),
)


def trained(
    manifest: Manifest, trials: Sequence[PlannedTrial], cache: Path, share: bool
) -> tuple[float, list[TrialRecord]]:
    """Seconds of some trials one after another, and what they gave."""
    from bench.train.compiled import Compiled
    from bench.train.loop import TrialContext, run_trial

    compiled = Compiled() if share else None
    context = TrialContext(manifest, cache, compiled=compiled)
    begun = time.perf_counter()
    records = [run_trial(trial.spec, context) for trial in trials]
    return time.perf_counter() - begun, records


def different(one: TrialRecord, two: TrialRecord) -> list[str]:
    """Parts of two records that are not the same bytes."""
    pairs = {
        "predictions": (one.predictions.probabilities, two.predictions.probabilities),
        "losses": (_values(one), _values(two)),
    }
    if one.landmarks is not None and two.landmarks is not None:
        pairs["landmarks"] = one.landmarks.predicted, two.landmarks.predicted
    return [name for name, (a, b) in pairs.items() if a.tobytes() != b.tobytes()]


def _values(record: TrialRecord) -> np.ndarray:
    return np.array([value for *_, value in sorted(record.history)])


def in_one_process(
    case: Case, cache: Path, rounds: int, profile: str, most: int | None
) -> tuple[Comparison, Reading]:
    """A case's seconds both ways, and how many of its trials gave other bytes."""
    manifest, trials = _of(case, cache, profile)
    if most is not None and most < len(trials):
        trials = trials[:most]
        case = Case(f"{case.what} (only {most} of them)", case.study)
    trained(manifest, trials[:1], cache, share=False)  # TensorFlow's own beginnings
    shared, alone, unequal = [], [], set()
    for _ in range(rounds):
        seconds, plain = trained(manifest, trials, cache, share=False)
        alone.append(seconds)
        seconds, fast = trained(manifest, trials, cache, share=True)
        shared.append(seconds)
        pairs = zip(plain, fast, strict=True)
        unequal |= {two.id for one, two in pairs if different(one, two)}
        print(f"  {case.what}: alone {alone[-1]:.1f} s, sharing {seconds:.1f} s", flush=True)
    accuracy = np.mean([record.metrics["accuracy"] for record in plain])
    note = f"{len(trials)} trials, mean top-1 {accuracy:.1%}; each beside itself alone"
    return (
        Comparison(case.what, shared, alone, "compiled and fitted one by one", wanted=case.wanted),
        Reading(f"{case.what}: trials of other bytes", [len(unequal)], "", at_most=0, note=note),
    )


def by_command(case: Case, cache: Path, rounds: int, profile: str) -> tuple[Comparison, Reading]:
    """A case's seconds through `bench run` both ways, start and all; and the same bytes."""
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "shared.yaml"
        study.write_text(case.study)

        def run(name: str, *words: str) -> float:
            begun = time.perf_counter()
            common = ("--profile", profile, "--cache", cache, "--results", Path(folder) / name)
            bench("run", study, *common, *words)
            return time.perf_counter() - begun

        shared, alone = [], []
        for number in range(rounds):
            alone.append(run(f"alone-{number}", "--no-share"))
            shared.append(run(f"shared-{number}"))
            print(f"  bench run: alone {alone[-1]:.1f} s, sharing {shared[-1]:.1f} s", flush=True)
        one, two = Store(Path(folder) / "alone-0"), Store(Path(folder) / "shared-0")
        unequal = [i for i in one.ids() if different(one.read(i), two.read(i))]
    what = f"`bench run`, {case.what}"
    return (
        Comparison(what, shared, alone, "`--no-share`"),
        Reading(f"{what}: trials of other bytes", [len(unequal)], "", at_most=0),
    )


def _of(case: Case, cache: Path, profile: str) -> tuple[Manifest, list[PlannedTrial]]:
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "shared.yaml"
        study.write_text(case.study)
        return with_features(study, cache, profile)


def main() -> None:
    """Measure each case and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--small", action="store_true", help="three smoke trials each: for a try")
    parser.add_argument("--cache", type=Path, default=Path(".cache"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    cache, profile = asked.cache.resolve(), "smoke" if asked.small else "laptop"
    # The smoke profile has fewer images than the largest sizes ask for.
    cases = [case for case in CASES if not asked.small or "sizes" not in case.what]
    most = 3 if asked.small else None
    found = [in_one_process(case, cache, asked.rounds, profile, most) for case in cases]
    found.append(by_command(CASES[0], cache, asked.rounds, profile))
    write(
        "sharing",
        CLAIM,
        comparisons=[comparison for comparison, _ in found],
        readings=[reading for _, reading in found],
        folder=asked.out,
    )


if __name__ == "__main__":
    main()
