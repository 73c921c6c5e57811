"""Imports in one direction: every import, also one inside a function, goes down."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "bench"

FLOORS = (
    ("errors", "the one error type, and the version"),
    ("files", "YAML with places, writing, checksums, locks, disk"),
    ("metrics", "the catalogue and its NumPy functions"),
    ("systems", "what each system declares: settings, cost, presets, ledger"),
    ("study", "from YAML to trials"),
    ("data", "images, landmarks, attributes, splits"),
    ("models", "layers, losses and optimizers that systems share"),
    ("systems.*.network", "how each system is built"),
    ("paper", "published tables and claims"),
    ("store", "what is kept on disk"),
    ("analysis", "intervals, effects, verdicts"),
    ("train", "one trial"),
    ("tuning", "searches"),
    ("engine", "runs"),
    ("report", "tables, figures, pages"),
    ("trackers", "TensorBoard, MLflow, Weights & Biases"),
    ("cli", "commands"),
    ("notebook", "what `import bench` offers"),
)
"""The packages of `docs/ARCHITECTURE.md`, lowest first: imports are of one's own or a lower one."""

DECLARES = "settings"
"""A system's module that declares it, which is light; its others build and train it, above the
models."""

HEAVY = {"tensorflow", "keras", "ray", "keras_tuner"}
LIGHT = ("errors", "files", "metrics", "systems", "study", "data", "paper", "store", "analysis",
         "report", "trackers", "cli", "notebook")  # fmt: skip
"""Packages that plan, read or report: nothing heavy is imported when they are."""


def floor_of(module: str) -> int:
    """Number of the package that a module of `bench` is in."""
    names = [name for name, _ in FLOORS]
    parts = module.split(".")[1:]
    if not parts:
        return names.index("errors")
    if parts[0] == "systems" and len(parts) == 3 and parts[2] != DECLARES:
        return names.index("systems.*.network")
    return names.index(parts[0])


def imports_of(path: Path) -> Iterator[tuple[str, int, bool]]:
    """Each module of `bench` or of others that a file imports, its line, and whether on import."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    at_import = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            for module in (
                {node.module, *names} if node.module.startswith("bench") else [node.module]
            ):
                if not module.startswith("bench") or _is_module(module):
                    yield module, node.lineno, id(node) in at_import
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, id(node) in at_import


def _is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split(".")[1:])
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


FILES = sorted(ROOT.rglob("*.py"))


def module_of(path: Path) -> str:
    parts = ("bench", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_imports_go_down() -> None:
    up = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in FILES
        for name, line, _ in imports_of(path)
        if name.split(".")[0] == "bench" and floor_of(name) > floor_of(module_of(path))
    ]
    assert not up, "\n".join(up)


def test_the_top_of_the_package_holds_nothing_but_the_error_and_the_version() -> None:
    assert sorted(path.name for path in ROOT.glob("*.py")) == ["__init__.py", "errors.py"]
    packages = {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()}
    assert packages == {name for name, _ in FLOORS if "." not in name} - {"errors"}


@pytest.mark.parametrize("package", LIGHT)
def test_what_plans_reads_or_reports_imports_nothing_heavy(package: str) -> None:
    names = [name for name, _ in FLOORS]
    heavy = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in FILES
        if names[floor_of(module_of(path))] == package
        for name, line, at_import in imports_of(path)
        if at_import and name.split(".")[0] in HEAVY
    ]
    assert not heavy, "\n".join(heavy)


def test_import_bench_imports_nothing_until_it_is_used() -> None:
    script = (
        "import bench, sys\n"
        "assert not {'numpy', 'pandas', 'pydantic'} & set(sys.modules)\n"
        "bench.Results, bench.run\n"
        f"heavy = {HEAVY | {'matplotlib.pyplot'}} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_the_picture_in_the_architecture_is_this_order() -> None:
    text = (ROOT.parent / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    packages = re.findall(r"^\| `bench/(\S+?)(?:\.py|/)` \|", text, re.MULTILINE)
    assert packages == [name.replace(".", "/") for name, _ in FLOORS]
