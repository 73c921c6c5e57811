"""What bfloat16 does to accuracy: trials at laptop scale in float32 and in bfloat16, seed by seed.

    python benchmarks/step_accuracy.py --cache DIR [--seeds 3] [--epochs 10]

The phantom, the weights and the maps are made in the cache where they are missing. Prints a table
as one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np

from bench.data.split import split_of
from bench.engine.request import StudyRequest, resolve
from bench.study.trial import TrialSpec
from bench.train.compiled import Compiled
from bench.train.extract import extract
from bench.train.loop import TrialContext, run_trial

STUDY = """
base: ropanet
axes:
  system:
    RopaNet: {}
    RopaNet-Baseline: {base: ropanet_baseline}
  precision:
    float32: {}
    bfloat16 head: {train.precision: bfloat16}
    bfloat16 head and features: {train.precision: bfloat16, model.backbone.precision: bfloat16}
"""
METRICS = ("accuracy", "top_3", "top_5")


def main() -> None:
    """Train and compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "precision.yaml"
        file.write_text(f"{STUDY}seeds: {asked.seeds}\n")
        settings = {"train.epochs": asked.epochs}
        resolved = resolve(
            StudyRequest(file, profile="laptop", settings=settings),
            asked.cache,
            generate=lambda phase, done, total: None,
        )
    compiled = Compiled()
    scores: dict[tuple[str, str], list[list[float]]] = {}
    for arm in resolved.design.arms():
        for seed in resolved.design.seeds:
            spec: TrialSpec = arm.trial(seed)
            split = split_of(spec, resolved.manifest)
            rows = np.concatenate([split.train, split.val, split.test])
            extract(resolved.manifest, rows, spec.model.backbone, asked.cache, spec.arithmetic)
            context = TrialContext(resolved.manifest, asked.cache, compiled=compiled)
            metrics = run_trial(spec, context).metrics
            key = (arm.levels["system"], arm.levels["precision"])
            scores.setdefault(key, []).append([100 * metrics[name] for name in METRICS])
    rows = []
    for (system, precision), of_seeds in scores.items():
        means = [statistics.fmean(values) for values in zip(*of_seeds, strict=True)]
        moved = np.subtract(of_seeds, scores[system, "float32"])
        changes = [
            f"{m:+.2f} [{low:+.2f}, {high:+.2f}]"
            for m, low, high in zip(moved.mean(0), moved.min(0), moved.max(0), strict=True)
        ]
        rows.append((system, precision, *means, *(changes if precision != "float32" else [""] * 3)))
    headers = ["model", "precision", *(f"{name} %" for name in METRICS)]
    headers += [f"{name}, points against float32" for name in METRICS]
    title = (
        f"Effect of bfloat16 on accuracy at laptop scale: mean over {asked.seeds} seeds, and the "
        "change seed by seed (mean [least, most])"
    )
    print(json.dumps({"title": title, "headers": headers, "rows": rows}), flush=True)


if __name__ == "__main__":
    main()
