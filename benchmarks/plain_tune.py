"""A study with Ray Tune as its documentation shows it: a function trainable, a grid of trials.

What each trial does is the plain Keras script's (`plain_keras.py`), one CPU a trial.

    python benchmarks/plain_tune.py STUDY.yaml --cache DIR [--profile laptop] [--seeds N]
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import ray
from plain_keras import asked_for, train_plain
from ray import tune

from bench.data.manifest import Manifest
from bench.study.trial import TrialSpec


def trainable(config: dict[str, Any], manifest: Manifest, cache: Path) -> None:
    """One trial: train, test, report."""
    trial = train_plain(TrialSpec.model_validate(config["trial"]["spec"]), manifest, cache)
    tune.report({"images": trial.images, "metrics": trial.metrics})


def main() -> None:
    """Train every arm at every seed; print them as JSON, one a line."""
    manifest, asked, cache = asked_for(__doc__)
    trials = [
        {"arm": trial.arm, "seed": trial.seed, "spec": trial.spec.model_dump(mode="json")}
        for trial in asked
    ]
    ray.init(log_to_driver=False, include_dashboard=False)
    with tempfile.TemporaryDirectory() as storage:
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(trainable, manifest=manifest, cache=cache.resolve()),
                {"cpu": 1},
            ),
            param_space={"trial": tune.grid_search(trials)},
            run_config=tune.RunConfig(storage_path=storage, verbose=0),
        )
        results = tuner.fit()
    if results.errors:
        raise results.errors[0]
    for result in results:
        trial, said = result.config["trial"], result.metrics
        told = {"arm": trial["arm"], "seed": trial["seed"], "seconds": said["time_total_s"]}
        print(json.dumps(told | {name: said[name] for name in ("images", "metrics")}), flush=True)


if __name__ == "__main__":
    main()
