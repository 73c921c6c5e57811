"""Keras' backends beside each other: a step and the extraction, on a laptop and at paper scale.

Each backend that is installed has processes of its own, on the same threads; ratios are to
TensorFlow. What is measured is what a worker runs: RopaNet compiled as a trial compiles it, and the
backbone as it is applied. TensorFlow's whole epochs in one call (`bench.train.compiled`) come on
top.

    python benchmarks/backends.py [--threads 1]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from measured import Comparison, write

BACKENDS = ("tensorflow", "jax", "torch")
WORK = {
    "step laptop": "RopaNet's step, laptop profile, batch 32",
    "step paper": "RopaNet's step, the paper's scale, batch 32",
    "extraction laptop": "EfficientNet-Lite0's stage 5 at 128 pixels, batch 32",
    "extraction paper": "InceptionV3 at 299 pixels, batch 32",
}
ROUNDS, SECONDS = 5, 3.0


def measured_here(work: str) -> list[float]:
    """Images a second of some work on this process's backend, one a round."""
    import numpy as np
    from networks import batch_of, network_of, spec_of

    from bench.systems.registry import BACKBONES, load

    what, profile = work.split()
    spec = spec_of("ropanet", profile, {})
    backbone = spec.model.feature_extractor
    assert spec.train is not None and backbone is not None, "RopaNet is trained on a backbone"
    size = spec.train.batch_size
    if what == "step":
        network = network_of(spec)
        batch = batch_of(network, size)
        once = partial(network.model.train_on_batch, *batch)
    else:
        model = load(BACKBONES[backbone.name].build)(backbone.side, None)
        images = np.zeros((size, backbone.side, backbone.side, 3), np.float32)
        once = partial(model.predict_on_batch, images)
    return [size * rate for rate in _rates(once)]


def _rates(once: Callable[[], Any]) -> list[float]:
    once()  # compiles
    once()
    found = []
    for _ in range(ROUNDS):
        begun, times = time.perf_counter(), 0
        while time.perf_counter() - begun < SECONDS / ROUNDS:
            once()
            times += 1
        found.append(times / (time.perf_counter() - begun))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--here", choices=list(WORK), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.here:
        print(json.dumps(measured_here(asked.here)))
        return
    threads = str(asked.threads)
    environment = os.environ | {
        "OMP_NUM_THREADS": threads,
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={str(asked.threads > 1).lower()}",
    }
    comparisons = []
    for work, title in WORK.items():
        rates: dict[str, list[float]] = {}
        for backend in BACKENDS:
            if importlib.util.find_spec(backend) is None:
                continue
            done = subprocess.run(
                [sys.executable, __file__, "--here", work],
                env=environment | {"KERAS_BACKEND": backend},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            rates[backend] = json.loads(done.stdout.splitlines()[-1])
            print(f"  {work}, {backend}: {statistics.median(rates[backend]):.3g}", flush=True)
        comparisons += [
            Comparison(
                f"{title}: {backend}", found, rates["tensorflow"], "tensorflow",
                unit="images/s", more_is_better=True,
            )
            for backend, found in rates.items()
            if backend != "tensorflow"
        ]  # fmt: skip
    write(
        "backends",
        "JAX and PyTorch beside TensorFlow, on the same threads of a processor: images a second of "
        "a training step and of the extraction.",
        comparisons=comparisons,
        notes=(f"{asked.threads} threads; float32. No GPU has run it yet.",),
    )


if __name__ == "__main__":
    main()
