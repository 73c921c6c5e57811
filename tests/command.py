"""The command line, as tests start it in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCH = [sys.executable, "-c", "from bench.cli import main; main()"]
"""`bench` under this interpreter; its words follow."""


def bench(folder: Path, *words: str, code: int = 0) -> str:
    """What `bench` prints in a folder; with `--json`, its output alone.

    Args:
        folder: Where it runs.
        words: The command line.
        code: The exit code that it must end with, without a traceback.
    """
    done = subprocess.run(
        [*BENCH, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if "--json" in words else done.stdout + done.stderr
