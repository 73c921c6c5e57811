"""Names from strangers: no terminal acts on them, and none becomes a path that leads elsewhere."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.cli.commands.status import print_status
from bench.cli.console import SafeConsole
from bench.cli.progress import TrialDisplay, phase_bar
from bench.data.sources import data_label, open_source
from bench.errors import BenchError
from bench.files.atomic import write_json
from bench.store.plan import PlannedTrial
from bench.store.status import StudyStatus, TrialFailure
from bench.store.studies import STUDY_RECORD
from bench.store.trials import Store
from bench.train.status import TrialStatus
from tests.command import BENCH
from tests.specs import spec_of

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\b\u202e[red]x[/] [link=file:///etc/passwd]y[/link]"
OWN_STYLE = re.compile(r"\x1b\[[0-9;?]*[mKAhl]")
"""What Rich itself writes: colours, and the moves of a live display."""


def acts(shown: str) -> str:
    """Characters of some output that a terminal would act on, Rich's own aside."""
    assert "31m\r" not in shown  # a live display goes back to the start of its own lines
    plain = OWN_STYLE.sub("", shown)
    return "".join(c for c in plain if not c.isprintable() and c not in "\n\r")


@pytest.fixture(params=[True, False], ids=["terminal", "file"])
def console(request: pytest.FixtureRequest) -> SafeConsole:
    return SafeConsole(
        file=io.StringIO(), force_terminal=request.param, width=200, color_system="standard"
    )


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_what_is_printed_of_a_stranger_is_escaped(console: SafeConsole, tmp_path: Path) -> None:
    console.print(HOSTILE, markup=False)
    console.print(f"[bold]{escape(HOSTILE)}[/]")
    table = Table(escape(HOSTILE), title=escape(HOSTILE))
    table.add_row(escape(HOSTILE))
    console.print(table)
    print_status(
        console,
        [
            StudyStatus(
                study=HOSTILE, profile=HOSTILE, data=HOSTILE, trials=1, done=0, missing=0,
                errors=(TrialFailure("0", HOSTILE, HOSTILE, HOSTILE),),
            )
        ],
        tmp_path / HOSTILE.replace("/", "_"),
    )  # fmt: skip
    assert acts(shown(console)) == "" and "\\x1b]0;owned" in shown(console)


def test_a_live_display_shows_no_strangers_escapes(console: SafeConsole) -> None:
    with phase_bar(console) as say:
        say(escape(HOSTILE), 1, 2)
        say(escape(HOSTILE), 2, 2)
    spec = spec_of("prior")
    trial = PlannedTrial("0", f"{HOSTILE}[/x]", 0, spec, stored=False)
    with TrialDisplay(console, 1, 0) as display:
        display.event(trial, TrialStatus.STARTED)
        display.event(trial, TrialStatus.FAILED)
    assert acts(shown(console)) == "" and "\\x1b]0;owned" in shown(console)


def test_an_error_quotes_nothing_that_acts() -> None:
    error = BenchError(HOSTILE, where=HOSTILE, fix=HOSTILE)
    assert str(error).replace("\n", "").isprintable()


def test_a_folder_of_hostile_names_is_checked_counted_and_shown(tmp_path: Path) -> None:
    root = tmp_path / f"da{HOSTILE.replace('/', '_')}ta"
    for kind in ("<script>alert(1)<", "[bold]shoe[", "$(touch sprung)", "`id`", "=1+1", "..."):
        (root / kind).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(root / kind / "a b;c.png")
    for kind in ("\x1b[2J", "new\nline", "tab\t", "\u202e"):
        (root / f"x{kind}").mkdir()
        Image.new("RGB", (9, 9)).save(root / f"x{kind}" / "0.png")
    os.mkdir(os.fsencode(root) + b"/\xff\xfe")  # noqa: PTH102 - no text, so no Path
    done = subprocess.run(
        [*BENCH, "data", "check", str(root), "--decode"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert (done.stdout + done.stderr).replace("\n", "").isprintable()
    assert "<script>alert(1)<" in done.stdout and "[bold]shoe[" in done.stdout
    assert not (tmp_path / "sprung").exists()
    manifest = open_source(root)
    assert len(manifest.class_names) == 5 and all(n.isprintable() for n in manifest.class_names)
    assert data_label(manifest).isprintable()


@pytest.mark.parametrize(
    ("name", "identity"),
    [("../../evil", "0" * 16), ("/etc/evil", "0" * 16), ("asked", "../../../evil"), ("a\nb", "0")],
)
def test_a_record_whose_names_lead_elsewhere_is_refused(
    tmp_path: Path, name: str, identity: str
) -> None:
    (tmp_path / "studies").mkdir()
    study = {"name": name, "arms": [{"name": "a", "trials": {"0": identity}}]}
    write_json(tmp_path / "studies" / "asked.json", study | {"record": STUDY_RECORD})
    with pytest.raises(BenchError, match="no plain file name"):
        Store(tmp_path).studies()


def test_records_of_any_other_shape_are_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    for plain in ([], 3, None, {"arms": 3}, {"arms": [3]}, {"name": 3}, {"arms": [{"trials": 3}]}):
        record = plain | {"record": STUDY_RECORD} if isinstance(plain, dict) else plain
        (tmp_path / "studies" / "asked.json").write_text(json.dumps(record))
        with pytest.raises(BenchError, match=r"asked\.json"):
            Store(tmp_path).studies()
    (tmp_path / "studies" / "asked.json").write_text("[" * 100_000)
    with pytest.raises(BenchError, match="nested too deeply"):
        Store(tmp_path).studies()


def test_a_terminal_that_knows_ascii_alone_shows_every_name(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(
        "base: ropanet\nseeds: 1\ntitle: Größe — 大小\n"
        "axes: {größe: {klein: {data.train_size: 16}, 大きい: {data.train_size: 32}}}\n",
        encoding="utf-8",
    )
    ascii_alone = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    done = subprocess.run(
        [*BENCH, "plan", "study.yaml", "--profile", "smoke"], cwd=tmp_path,
        env=os.environ | ascii_alone, capture_output=True, check=False,
    )  # fmt: skip
    said = " ".join((done.stdout + done.stderr).decode("ascii").split())
    assert done.returncode == 0 and "Traceback" not in said, said
    assert r"Gr\xf6\xdfe \u2014 \u5927\u5c0f" in said and "klein" in said
