"""What a benchmark measured, kept as JSON; and the page that is made of all of it.

A script measures both sides of a claim in the same run and calls `write`, which leaves
`benchmarks/results/NAME.json` and prints the ratio. `python benchmarks/measured.py` then makes
`benchmarks/RESULTS.md` anew from whatever files lie there.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tabulate import tabulate

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PAGE = HERE / "RESULTS.md"
PACKAGES = ("keras", "tensorflow", "jax", "torch", "ray", "keras-tuner", "numpy")
WORTH_NAMING = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


@dataclass(frozen=True)
class Comparison:
    """The bench beside another way of doing the same work, in the same run.

    Args:
        what: The work, with its size.
        ours: The bench's figure, one a run.
        other: The other way's, of the same runs in the same order.
        other_way: What the other way is, in a few words.
        unit: Of both.
        more_is_better: Whether the figures are rates; else they are times or sizes.
        wanted: Smallest median ratio that was set as the aim; None where none was.
        extrapolated: Whether the other side was measured on a part of the work and scaled up to
            the whole; `note` then says by how much.
        note: What a reader must know beside.
    """

    what: str
    ours: Sequence[float]
    other: Sequence[float]
    other_way: str
    unit: str = "s"
    more_is_better: bool = False
    wanted: float | None = None
    extrapolated: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        if len(self.ours) == 0 or len(self.ours) != len(self.other):
            raise ValueError(
                f"{self.what}: both sides need a figure for each run; there are "
                f"{len(self.ours)} and {len(self.other)}"
            )

    @property
    def ratios(self) -> list[float]:
        """How many times better the bench is, run by run."""
        pairs = zip(self.ours, self.other, strict=True)
        return [ours / other if self.more_is_better else other / ours for ours, other in pairs]

    @property
    def met(self) -> bool | None:
        """Whether the median ratio reaches what was wanted; None where nothing was."""
        return None if self.wanted is None else statistics.median(self.ratios) >= self.wanted


@dataclass(frozen=True)
class Reading:
    """A figure that stands for itself, such as milliseconds a trial or a share of the floor.

    Args:
        what: What was measured.
        values: One a run.
        unit: Their unit.
        at_most: Largest median that was wanted.
        at_least: Smallest median that was wanted.
        note: What a reader must know beside.
    """

    what: str
    values: Sequence[float]
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the median is as wanted; None where nothing was."""
        if self.at_most is None and self.at_least is None:
            return None
        middle = statistics.median(self.values)
        return not (
            (self.at_most is not None and middle > self.at_most)
            or (self.at_least is not None and middle < self.at_least)
        )


@dataclass(frozen=True)
class Table:
    """Figures that only make sense side by side, such as a profile by layer.

    Args:
        title: What it shows.
        headers: Of its columns.
        rows: Its rows, numbers not yet rounded.
    """

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[Any]]


def write(
    name: str,
    claim: str,
    *,
    comparisons: Sequence[Comparison] = (),
    readings: Sequence[Reading] = (),
    tables: Sequence[Table] = (),
    images: Sequence[str] = (),
    notes: Sequence[str] = (),
    folder: Path = RESULTS,
) -> Path:
    """Keep and print what a script measured.

    Args:
        name: Of the file, and of its section of the page.
        claim: What is claimed, in a sentence or two.
        comparisons: Both sides of it.
        readings: Figures that stand for themselves.
        tables: Figures side by side.
        images: Plots, as names of files in the same folder.
        notes: Sentences to read beside the figures: how it was measured, what was not met and why.
        folder: Where the file is written.

    Returns:
        The file.
    """
    content = {
        "name": name,
        "claim": claim,
        "comparisons": [
            asdict(one) | {"ratio": _spread(one.ratios), "met": one.met} for one in comparisons
        ],
        "readings": [
            asdict(one) | {"spread": _spread(one.values), "met": one.met} for one in readings
        ],
        "tables": [asdict(table) for table in tables],
        "images": list(images),
        "notes": list(notes),
        "machine": machine(),
        "commit": commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": shlex.join(["python", *_from_repository(sys.argv)]),
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    file.write_text(json.dumps(content, indent=1, default=float) + "\n")
    print(section(content), flush=True)
    return file


def machine() -> dict[str, Any]:
    """What the figures depend on: processor, memory, GPU, versions. Imports nothing heavy."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "instructions": _instructions(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "gpu": _gpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES if _version(name) is not None},
    }


def commit() -> str | None:
    """The bench's commit, with `+` behind it where tracked files differ from it."""
    git = shutil.which("git")
    if git is None or not (HERE.parent / ".git").exists():
        return None

    def said(*words: str) -> str:
        done = subprocess.run([git, *words], cwd=HERE, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    changed = said("status", "--porcelain", "--untracked-files=no", "--", ":/bench")
    return said("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def make_page(folder: Path = RESULTS, page: Path = PAGE) -> str:
    """Write the page anew from every file of results, and return it.

    Args:
        folder: Where the files lie.
        page: Where the page is written; plots are named relative to it.
    """
    contents = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    machines = [content["machine"] for content in contents]
    alike = bool(machines) and all(one == machines[0] for one in machines)
    relative = os.path.relpath(folder, page.parent)
    parts = [
        "# What was measured",
        "Made from `benchmarks/results/*.json` by `python benchmarks/measured.py`; `make bench` "
        "measures anew. Each ratio says how many times better the bench is than the other way of "
        "doing the same work, measured in the same run: median, and least to most over the runs.",
    ]
    if alike:
        parts.append(f"All on one machine: {_described(machines[0])}.")
    parts.append(_overview(contents))
    for content in contents:
        parts.append(section(content, relative=relative, with_machine=not alike))
    text = "\n\n".join(part for part in parts if part) + "\n"
    page.write_text(text)
    return text


def section(content: dict[str, Any], relative: str = "results", with_machine: bool = False) -> str:
    """One script's part of the page, as Markdown.

    Args:
        content: What `write` kept.
        relative: Where its plots lie, as seen from the page.
        with_machine: Whether to say on which machine it was measured.
    """
    parts = [f"## {content['name']}", content["claim"]]
    if content["comparisons"]:
        headers = ("work", "the bench", "the other way", "ratio", "wanted", "met")
        parts.append(_table(headers, [_compared(one) for one in content["comparisons"]]))
    if content["readings"]:
        headers = ("what", "measured", "wanted", "met")
        parts.append(_table(headers, [_read(one) for one in content["readings"]]))
    for table in content["tables"]:
        rows = [[_cell(value) for value in row] for row in table["rows"]]
        parts += [f"{table['title']}:", _table(table["headers"], rows)]
    parts += [f"![{content['name']}]({relative}/{image})" for image in content["images"]]
    every = [*content["comparisons"], *content["readings"]]
    notes = [f"{one['what']}: {one['note']}" for one in every if one["note"]]
    if notes or content["notes"]:
        parts.append("\n".join(f"- {note}" for note in [*content["notes"], *notes]))
    where = f" {_described(content['machine'])}." if with_machine else ""
    told = f"{content['date']}, commit {content['commit'] or 'unknown'}: `{content['command']}`."
    parts.append(told + where)
    return "\n\n".join(parts)


def _overview(contents: Sequence[dict[str, Any]]) -> str:
    rows = []
    for content in contents:
        for one in content["comparisons"]:
            if one["met"] is not None:
                _, _, _, ratio, wanted, met = _compared(one)
                rows.append((content["name"], one["what"], ratio, wanted, met))
        for one in content["readings"]:
            if one["met"] is not None:
                rows.append((content["name"], *_read(one)))
    if not rows:
        return ""
    missed = sum(row[-1] == "**no**" for row in rows)
    told = f"{len(rows) - missed} of {len(rows)} figures that were wanted are met."
    return told + "\n\n" + _table(("section", "what", "measured", "wanted", "met"), rows)


def _compared(one: dict[str, Any]) -> tuple[str, ...]:
    spread = one["ratio"]
    ratio = f"{spread['median']:.3g}x"
    if spread["runs"] > 1:
        ratio += f" ({spread['least']:.3g} to {spread['most']:.3g}, {spread['runs']} runs)"
    if one["extrapolated"]:
        ratio += ", extrapolated"
    ours, other = (f"{_cell(statistics.median(one[s]))} {one['unit']}" for s in ("ours", "other"))
    wanted = "" if one["wanted"] is None else f"{one['wanted']:g}x"
    return one["what"], ours, f"{other} ({one['other_way']})", ratio, wanted, _yes(one["met"])


def _read(one: dict[str, Any]) -> tuple[str, ...]:
    spread = one["spread"]
    value = f"{_cell(spread['median'])} {one['unit']}"
    if spread["runs"] > 1:
        least, most = _cell(spread["least"]), _cell(spread["most"])
        value += f" ({least} to {most}, {spread['runs']} runs)"
    limits = (("at most", one["at_most"]), ("at least", one["at_least"]))
    wanted = ", ".join(f"{how} {limit:g}" for how, limit in limits if limit is not None)
    return one["what"], value, wanted, _yes(one["met"])


def _yes(met: bool | None) -> str:
    return "" if met is None else "yes" if met else "**no**"


def _spread(values: Sequence[float]) -> dict[str, float]:
    middle = statistics.median(values)
    return {"least": min(values), "median": middle, "most": max(values), "runs": len(values)}


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def _cell(value: Any) -> str:
    if not isinstance(value, float | int) or isinstance(value, bool):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _described(one: dict[str, Any]) -> str:
    gpu = f", {one['gpu']}" if one["gpu"] else ", no GPU"
    versions = ", ".join(f"{name} {one[name]}" for name in ("python", *PACKAGES) if name in one)
    special = f" ({', '.join(one['instructions'])})" if one["instructions"] else ""
    return (
        f"{one['cpu']}, {one['cores']} cores{special}, {one['memory_gb']:g} GB{gpu}, "
        f"{one['system']}; {versions}"
    )


def _from_repository(words: Sequence[str]) -> list[str]:
    """A command line with its script named from the repository's root."""
    script = Path(words[0]).resolve()
    inside = script.is_relative_to(HERE.parent)
    return [str(script.relative_to(HERE.parent)) if inside else script.name, *words[1:]]


def _cpu() -> str:
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def _instructions() -> list[str]:
    flags = _cpuinfo().get("flags", "").split()
    return [name for name in WORTH_NAMING if name in flags]


def _cpuinfo() -> dict[str, str]:
    """The first processor's lines; empty where the system has no such file."""
    file = Path("/proc/cpuinfo")
    if not file.is_file():
        return {}
    first = file.read_text().split("\n\n", maxsplit=1)[0]
    pairs = (line.split(":", maxsplit=1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _gpu() -> str | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    asked = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return "; ".join(done.stdout.split("\n")).strip("; ") if done.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    make_page()
    print(f"Written: {os.path.relpath(PAGE)}")
