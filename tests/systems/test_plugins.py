"""A newcomer's gate, backbone and balancing rule, registered from outside the package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

GUIDE = Path(__file__).parents[1] / "docs" / "extending.md"
BENCH = [sys.executable, "-c", "from bench.cli import main; main()"]


def files_of_the_guide() -> dict[str, str]:
    """The Python and YAML files that docs/extending.md shows, by name."""
    blocks = re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return dict(blocks)


def test_what_the_guide_adds_is_trained_by_a_run(tmp_path: Path, cache: Path) -> None:
    files = files_of_the_guide()
    assert {"hard_gate.py", "tiny_backbone.py", "tempered.py", "extended.yaml"} <= files.keys()
    shutil.copytree(cache, tmp_path / ".cache")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path),
        "ROPANET_BENCH_PLUGINS": "hard_gate,tiny_backbone,tempered",
        "BENCH_CACHE": str(tmp_path / ".cache"),
    }

    def bench(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*BENCH, *words], cwd=tmp_path, env=environment, capture_output=True, text=True,
            check=False, timeout=240,
        )  # fmt: skip

    done = bench("run", "extended.yaml", "--profile", "smoke", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)[0]["finished"] == 4
    schema = json.loads(bench("schema").stdout)
    assert "hard" in schema["$defs"]["Value.model.gate"]["anyOf"][0]["enum"]
    assert "tempered" in schema["$defs"]["Value.train.balancing"]["anyOf"][0]["enum"]

    del environment["ROPANET_BENCH_PLUGINS"]
    without = bench("plan", "extended.yaml", "--profile", "smoke")
    assert without.returncode == 2 and "extended.yaml:" in without.stderr
    environment["ROPANET_BENCH_PLUGINS"] = "no_such_plugin"
    missing = bench("plan", "extended.yaml")
    assert missing.returncode == 2 and "no_such_plugin cannot be imported" in missing.stderr
    assert "Traceback" not in missing.stderr
