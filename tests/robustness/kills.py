"""Kills a run at random moments, and compares what it stored with an undisturbed run.

    python tests/robustness/kills.py --kills 100 --seeds 10

What is killed is drawn at random too: the run itself, a worker, Ray's own processes, the process
that uses the most memory (as the machine's memory killer would), or everything at once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

BENCH = [sys.executable, "-c", "from bench.cli import main; main()"]
STUDY = """
base: {preset: ropanet, train.epochs: 3}
axes: {model.gate: [sigmoid, none, spatial, residual]}
seeds: SEEDS
"""
VICTIMS = ("run", "worker", "raylet", "gcs_server", "largest", "all")
LONGEST_SECONDS = 240.0
"""A run that neither ends nor dies within so long hangs."""


@dataclass
class Outcome:
    """What became of a tormented run.

    Args:
        killed: Victims, and how often each was killed.
        runs: How often `bench run` was started.
        studies: How often the study was begun.
        trials: Trials stored in the end.
        faults: What differs from an undisturbed run; empty if nothing does.
    """

    killed: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    studies: int = 0
    trials: int = 0
    faults: list[str] = field(default_factory=list)


def torment(
    workspace: Path,
    *,
    kills: int,
    seeds: int,
    rng: random.Random,
    say: Callable[[str], None] = lambda said: None,
) -> Outcome:
    """Kill runs of a study so many times, let them finish, and compare.

    A study that is done before its kills are used up is begun anew in another folder.

    Args:
        workspace: A folder with `.cache` in it, which holds the smoke phantom or is empty.
        kills: How many kills.
        seeds: Seeds of the study; it has four arms.
        rng: Draws moments and victims.
        say: Told how far it is.
    """
    (workspace / "study.yaml").write_text(STUDY.replace("SEEDS", str(seeds)))
    begun = time.monotonic()
    subprocess.run(command("undisturbed"), cwd=workspace, check=True, capture_output=True)
    whole = time.monotonic() - begun
    outcome = Outcome()
    while outcome.killed.total() < kills and not outcome.faults:
        # Features and phantom weights are made under fire, too.
        shutil.rmtree(workspace / ".cache" / "features", ignore_errors=True)
        outcome.studies += 1
        results = workspace / f"tormented-{outcome.studies}"
        _finish(results, outcome, kills, min(whole, 25.0), rng)
        found = stored(results)
        outcome.faults += differences(stored(workspace / "undisturbed"), found)
        outcome.trials += len(found)
        say(f"{outcome.killed.total()} of {kills} kills, {outcome.trials} trials stored")
    return outcome


def _finish(
    results: Path, outcome: Outcome, kills: int, longest: float, rng: random.Random
) -> None:
    """Run a study again and again, under fire while there are kills left, until a run ends well."""
    seen: dict[str, dict[str, bytes]] = {}
    while not outcome.faults:
        outcome.runs += 1
        process = subprocess.Popen(
            command(results.name), cwd=results.parent, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + LONGEST_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0.2, longest))
            if process.poll() is None and outcome.killed.total() < kills:
                outcome.killed[strike(process.pid, rng)] += 1
            outcome.faults += changed(seen, stored(results))
        if process.poll() is None:
            outcome.faults.append("a run hung after a kill")
            os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        if "Traceback" in said:
            outcome.faults.append(said[-2000:])
        if process.returncode == 0:
            return


def command(results: str) -> list[str]:
    """`bench run` into a results folder, with a checkpoint after each epoch."""
    words = ["--profile", "smoke", "--results", results, "--checkpoint-every", "0"]
    return [*BENCH, "run", "study.yaml", *words]


def strike(run: int, rng: random.Random) -> str:
    """Kill one of a run's processes, or all; returns which."""
    victim = rng.choice(VICTIMS)
    family = list(descendants(run))
    found = {
        "worker": [pid for pid in family if "ray::" in title(pid)],
        "raylet": [pid for pid in family if "raylet/raylet" in title(pid)],
        "gcs_server": [pid for pid in family if "gcs_server" in title(pid)],
        "largest": sorted(family, key=resident)[-1:],
        "all": [*family, run],
    }.get(victim, [])
    if victim in ("worker", "raylet", "gcs_server") and found:
        found = [rng.choice(found)]
    if not found:
        victim, found = "run", [run]  # the others are not there yet
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return victim


def descendants(pid: int) -> Iterator[int]:
    """Processes begun by a process, and by those."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from descendants(int(child))


def title(pid: int) -> str:
    """A process's command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def resident(pid: int) -> int:
    """Pages of memory that a process holds."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def stored(results: Path) -> dict[str, dict[str, bytes]]:
    """Each stored trial's files; of `trial.json`, its spec and metrics; its time of birth."""
    found = {}
    for folder in sorted((results / "trials").glob("*")):
        files = {path.name: path.read_bytes() for path in folder.glob("*.parquet")}
        about = json.loads((folder / "trial.json").read_text())
        files["metrics"] = json.dumps([about["spec"], about["metrics"]]).encode()
        files["born"] = str((folder / "trial.json").stat().st_mtime_ns).encode()
        found[folder.name] = files
    return found


def changed(seen: dict[str, dict[str, bytes]], now: dict[str, dict[str, bytes]]) -> list[str]:
    """What happened to stored trials since they were seen first, which should be nothing."""
    faults = [f"{trial} was lost" for trial in seen.keys() - now.keys()]
    faults += [
        f"{trial} was trained again"
        for trial in seen.keys() & now.keys()
        if seen[trial] != now[trial]
    ]
    seen |= now
    return faults


def differences(one: dict[str, dict[str, bytes]], other: dict[str, dict[str, bytes]]) -> list[str]:
    """Where two stores differ in more than the time."""
    faults = [f"{trial} is in one store only" for trial in one.keys() ^ other.keys()]
    for trial in one.keys() & other.keys():
        mine, theirs = ({k: v for k, v in s[trial].items() if k != "born"} for s in (one, other))
        faults += [f"{trial}: {name} differs" for name in mine if mine[name] != theirs.get(name)]
    return faults


def main() -> None:
    """Torment a study and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--random", type=int, default=0, help="seed of moments and victims")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = torment(
            Path(folder),
            kills=asked.kills,
            seeds=asked.seeds,
            rng=random.Random(asked.random),
            say=lambda said: print(said, flush=True),
        )
    print(f"{outcome.killed.total()} kills in {outcome.runs} runs: {dict(outcome.killed)}")
    print(f"{outcome.trials} trials stored, in {outcome.studies} studies")
    print("\n".join(outcome.faults) or "as an undisturbed run, byte for byte; none trained twice")
    sys.exit(bool(outcome.faults))


if __name__ == "__main__":
    main()
