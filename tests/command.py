"""The command line, as tests start it in a process of its own."""

from __future__ import annotations

import sys

BENCH = [sys.executable, "-c", "from bench.cli import main; main()"]
"""`bench` under this interpreter; its words follow."""
