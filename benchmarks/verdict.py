"""Time to a verdict: the mask-gate study from an empty cache until every arm is settled.

Beside it, a plain Keras script that trains the very same trials one after the other; and the bench
itself at a fixed number of seeds that would settle the arms as often.

    python benchmarks/verdict.py [--study ablations/mask_gate.yaml] [--plain-arms N] [--cache DIR]

The plain script trains arms at one seed. A seed is the same work as another, so each arm's seconds
are scaled up to the seeds that it took, those of arms that were left out as their mean; the result
says so.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from measured import Comparison, Reading, Table, write
from study import PLAIN_KERAS, Case, fresh_cache, prepare, process, run_bench

from bench.analysis.arms import effects
from bench.analysis.expected import simulate
from bench.analysis.load import load_arms
from bench.analysis.sequential import Looks
from bench.metrics.catalogue import COMPARED
from bench.store.studies import StudyRecord
from bench.store.trials import Store

ROOT = Path(__file__).resolve().parents[1]
MOST_FIXED = 200
"""Larger fixed numbers of seeds are not tried."""


@dataclass(frozen=True)
class Fixed:
    """A fixed number of seeds beside looks, by simulation with the differences that were found.

    Args:
        settled: Share of the studies whose arms are all settled at the last look.
        looked: Trials until they are settled, the mean over the studies.
        seeds: Fewest fixed seeds that settle all arms as often; None where `MOST_FIXED` do not.
        fixed: Trials of a study of so many.
    """

    settled: float
    looked: float
    seeds: int | None
    fixed: int | None


def fixed_design(study: StudyRecord, store: Store) -> Fixed:
    """The fixed number of seeds that has the power of a study's looks."""
    assert study.until is not None, "only a study that goes on until it is settled has looks"
    metric = COMPARED[study.until.metric]
    margin = study.margin_in(metric)
    assert margin is not None, "every metric that settles a study has a margin"
    pairs = [
        effect.difference
        for effect in effects(load_arms(store, study), study.control, metric.name, margin)
    ]

    def simulated(looks: Looks) -> tuple[float, float]:
        found = simulate(
            np.array([pair.mean for pair in pairs]),
            looks,
            margin=margin,
            seed_variance=float(np.mean([pair.seed_variance for pair in pairs])),
            of_images=float(np.mean([pair.image_variance for pair in pairs])),
        )
        # The control goes on while any arm does.
        trials = found.seeds.sum(axis=1) + found.seeds.max(axis=1)
        return float((found.verdicts != 0).all(axis=1).mean()), float(trials.mean())

    looks = Looks(study.until.looks)
    settled, looked = simulated(looks)
    for seeds in range(looks.seeds[0], MOST_FIXED + 1):
        if simulated(Looks((seeds,)))[0] >= settled:
            return Fixed(settled, looked, seeds, seeds * (len(pairs) + 1))
    return Fixed(settled, looked, None, None)


@dataclass(frozen=True)
class Plain:
    """What the plain script takes.

    Args:
        whole: Seconds for every trial of the study, one after the other.
        measured: Seconds that were measured.
        trials: Trials that were trained in them.
    """

    whole: float
    measured: float
    trials: int


def run_plain(case: Case, cache: Path, file: Path, seeds: dict[str, int], arms: int) -> Plain:
    """The plain script over some arms at one seed each, scaled up to every arm's seeds."""
    words = [*PLAIN_KERAS, str(file), "--profile", case.profile, "--cache", str(cache)]
    measured, said = process([*words, "--seeds", "1", "--arms", str(arms)])
    trials = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    seconds = {trial["arm"]: trial["seconds"] for trial in trials}
    usual = statistics.fmean(seconds.values())
    whole = sum(seconds.get(arm, usual) * count for arm, count in seeds.items())
    start = measured - sum(seconds.values())
    return Plain(start + whole, measured, len(trials))


def measure(file: Path, cache: Path, plain_arms: int) -> None:
    """Run a study until it is settled, and its first seed the plain way; keep what came out."""
    claim = (
        f"From an empty cache until every arm of {file.name} is settled takes at most a tenth of "
        "the time in which a Keras script trains the same trials one after the other."
    )
    case = Case(
        claim, yaml.safe_load(file.read_text()), "laptop", PLAIN_KERAS, "Keras script", 10, 5, 1
    )
    prepare(case, cache)
    with tempfile.TemporaryDirectory(prefix="bench-verdict-") as scratch:
        folder = Path(scratch)
        fresh = fresh_cache(case, cache, folder / "cache")
        ours = run_bench(file, case.profile, fresh, folder / "results")
        print(f"bench: {ours.seconds:.0f} s for {ours.trials} trials", flush=True)
        store = Store(folder / "results")
        (study,) = store.studies()
        seeds = {arm.name: len(arm.trials) for arm in study.arms}
        fixed = fixed_design(study, store)
        plain = run_plain(case, fresh, file, seeds, plain_arms)
    verdicts = {name: look.verdict for one in study.looks for name, look in one.arms.items()}
    each = ours.seconds / ours.trials
    readings = [
        Reading("trials until it is settled, simulated mean", [fixed.looked], "trials"),
        Reading("studies whose arms are all settled, simulated", [100 * fixed.settled], "%"),
    ]
    if fixed.fixed is not None:
        readings.append(
            Reading(
                f"trials at {fixed.seeds} fixed seeds, which settle as many, beside looks",
                [fixed.fixed / fixed.looked],
                "times as many",
                note=f"about {each * fixed.fixed:.0f} s instead of {each * fixed.looked:.0f} s at "
                "this run's seconds a trial; and who fixes them must know the differences before.",
            )
        )
    write(
        f"verdict_{file.stem}",
        claim,
        comparisons=[
            Comparison(
                "until every arm is settled",
                [ours.seconds],
                [plain.whole],
                "Keras script, the same trials",
                wanted=10,
                extrapolated=True,
                note=f"{ours.trials} trials. The script trained {plain.trials} of them in "
                f"{plain.measured:.0f} s, of as many arms; their seconds are scaled up to all.",
            )
        ],
        readings=readings,
        tables=[
            Table(
                "Seeds that each arm took",
                ("arm", "seeds", "verdict"),
                [(name, count, verdicts.get(name, "control")) for name, count in seeds.items()],
            )
        ],
        notes=[
            "Simulated: 2,000 studies whose true differences and spreads are those that were found."
        ],
    )


def main() -> None:
    """Measure the study asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--study", type=Path, default=ROOT / "ablations" / "mask_gate.yaml")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache")
    parser.add_argument("--plain-arms", type=int, default=6, help="arms that the script trains")
    asked = parser.parse_args()
    measure(asked.study, asked.cache, asked.plain_arms)


if __name__ == "__main__":
    main()
