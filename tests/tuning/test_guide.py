"""What docs/tuning.md shows of KerasTuner's own tuners runs as it stands there."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "tuning.md"


def test_kerastuner_searches_over_a_system_that_is_built_as_the_bench_builds_it(
    tmp_path: Path,
) -> None:
    (script,) = re.findall(r"```python\n# tune_arrays\.py\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    best = ast.literal_eval(done.stdout.strip().splitlines()[-1])
    assert set(best) == {"gate", "learning_rate"} and 1e-4 <= best["learning_rate"] <= 1e-2
