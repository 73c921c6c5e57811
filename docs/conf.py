"""The documentation as a site: `make docs` writes it to build/docs/.

Pages are the Markdown files of this folder. The reference of commands and settings is written from
the code each time, into `reference/`.
"""

import subprocess
import sys
from itertools import groupby
from pathlib import Path

from sphinx.application import Sphinx

import bench
from bench.study.reference import Explained, explain

REFERENCE = Path(__file__).parent / "reference"
ELSEWHERE = {
    "benchmarks/RESULTS.md": "measured.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "CITATION.cff": "../CITATION.cff",
    "LICENSE": "../LICENSE",
}
"""File that pages link to, from the repository's root -> its page or itself, from this folder."""

project = "RopaNet Bench"
author = copyright = "RopaNet Bench contributors"
version = release = bench.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
smartquotes = False  # they make a dash of `--results`
default_role = "code"
html_theme = "furo"
html_title = project
autodoc_typehints = "description"
autodoc_member_order = "bysource"


def setup(app: Sphinx) -> None:
    """Have the reference written before the pages are read, and links lead to pages of the site."""
    app.connect("builder-inited", lambda _: _write_reference())
    app.connect("source-read", lambda _app, _page, text: _redirect(text, "../"))
    app.connect("include-read", lambda _app, _path, _page, text: _redirect(text, ""))


def _redirect(text: list[str], root: str) -> None:
    """Have links to files elsewhere in the repository lead to their pages.

    Args:
        text: A page's text, alone in a list; changed in place, as Sphinx has it.
        root: Path from the page to the repository's root, as its links spell it.
    """
    for path, page in ELSEWHERE.items():
        text[0] = text[0].replace(f"]({root}{path})", f"]({page})")


def _write_reference() -> None:
    REFERENCE.mkdir(exist_ok=True)
    typer = [sys.executable, "-m", "typer", "bench.cli.app", "utils", "docs", "--name", "bench"]
    commands = subprocess.run(typer, check=True, capture_output=True, text=True).stdout
    (REFERENCE / "commands.md").write_text(commands.replace("# `bench`", "# Commands", 1))
    (REFERENCE / "settings.md").write_text(_settings_page())


def _settings_page() -> str:
    """Every setting under its group, in the order of a trial's spec."""
    page = [
        "# Settings",
        "Every setting of a study by its dotted path, as `bench explain` prints it.",
    ]
    for group, settings in groupby(explain(""), lambda one: one.path.partition(".")[0]):
        page += [f"## `{group}`", *map(_setting, settings)]
    return "\n\n".join(page) + "\n"


def _setting(setting: Explained) -> str:
    default = "" if setting.default is None else f"; `{setting.default}` by default"
    lines = [setting.meaning, f"Value: {' or '.join(setting.values)}{default}."]
    if setting.systems:
        lines.append(f"Systems: {', '.join(f'`{name}`' for name in setting.systems)}.")
    body = "\n  ".join(lines)
    return f"`{setting.path}`\n: {body}"
