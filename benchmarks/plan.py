"""How long a million-cell grid takes to be sized, beside walking through every cell.

Both count the arms of the same grid under the same condition; the plain way lays each cell out and
asks it. Prints seconds and their ratio over some runs, and the planning process's peak memory.

    python benchmarks/plan.py [--runs 5]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from measured import Comparison, Reading, write

from bench.study.design import Design
from bench.study.resolve import resolve_study
from bench.study.study import load_study

GRID = """
axes:
  model.gate: [sigmoid, none, residual, spatial, detached, random]
  model.gate_bias: [0.0, -4.0, 4.0, 1.0, 2.0]
  model.local_depth: [0, 1, 2, 3]
  model.global_depth: [1, 2, 3]
  model.local_pooling: [average, max, generalised_mean, attention]
  model.global_pooling: [average, max, generalised_mean, attention]
  landmarks.update_ratio: [1, 2, 3, 4, 5]
  data.train_size: [100, 200, 500, 1000, 2000]
  train.balancing: [none, class_weights, effective_number, over_sampling, focal, logit_adjustment]
  train.learning_rate: [5.0e-3, 1.0e-3]
where: ["model.gate != 'none' or model.gate_bias == 0"]
"""


def laid_out(folder: Path) -> Design:
    """The grid as a run or a plan lays it out, checks included."""
    file = folder / "grid.yaml"
    file.write_text(GRID)
    return resolve_study(*load_study(file), profile="laptop")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    sizing, walking = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(runs):
            begun = time.perf_counter()
            design = laid_out(Path(folder))
            arms = design.arm_count
            sized = time.perf_counter() - begun
            begun = time.perf_counter()
            walked = sum(1 for _ in design._cells())
            plain = time.perf_counter() - begun
            assert walked == arms
            sizing.append(sized)
            walking.append(plain)
            print(f"{arms:,} arms: sized in {sized:.2f} s, walked through in {plain:.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    write(
        "plan",
        "A study of a million arms is resolved, checked and sized in about a second, without "
        "walking through its arms.",
        comparisons=[
            Comparison(f"{arms:,} arms sized", sizing, walking, "walking through the same grid")
        ],
        readings=[Reading("peak memory of the planning process", [peak], "MB")],
    )


if __name__ == "__main__":
    main()
