"""The command line: finds the commands, and turns errors into one message and an exit code.

Light at import: each command imports what it needs when it is called.
"""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from typing import Annotated

import typer

import bench
from bench.cli.console import err
from bench.errors import BenchError

GROUPS = {
    "Run": ("run", "plan", "init", "explain", "schema", "ledger"),
    "Look": ("report", "status", "predict", "phone"),
    "Check": ("compare", "verify", "fsck", "audit", "data"),
    "Share": ("export", "model", "log", "mirror"),
}
"""What people do -> modules of `bench.cli.commands`, each with a typer `app`; in the order of
`bench --help`."""

COMMANDS = tuple(name for names in GROUPS.values() for name in names)

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Reproduce a vision paper's tables and take its claims apart: from a YAML study to a "
    "report.",
    epilog="Start with: bench run mask_gate, then: bench report --out report/",
)
for _group, _names in GROUPS.items():
    for _name in _names:
        _commands = import_module(f"bench.cli.commands.{_name}").app
        if len(_commands.registered_commands) == 1:  # it becomes a command of `bench` itself
            _commands.registered_commands[0].rich_help_panel = _group
        app.add_typer(_commands, rich_help_panel=_group)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"bench {bench.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option(help="Show tracebacks.")] = False,
) -> None:
    del version, debug  # `--debug` is read in `main`, where errors arrive


def _speak_text() -> None:
    """Let no name of a file or class be lost where the terminal or the locale knows ASCII alone.

    What the terminal has no letters for is escaped. Names of files are text in UTF-8 mode only,
    which Python chooses when it starts: where it did not, the command starts over in it.
    """
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        spoken = sys.stdout.encoding if sys.stdout else "ascii"
        told = {"PYTHONUTF8": "1", "PYTHONIOENCODING": f"{spoken}:backslashreplace"}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | told)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def main() -> None:
    """Run a command; bad input is one message and exit code 2, without a traceback."""
    _speak_text()
    debug = "--debug" in sys.argv
    try:
        app()
    except KeyboardInterrupt:
        err.print("\nStopped.")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except (BenchError, OSError) as error:  # OSError: a full disk, a folder that is read-only
        if debug:
            raise
        err.print("[bold red]error:[/] ", end="")
        err.print(str(error), markup=False)
        sys.exit(2)
