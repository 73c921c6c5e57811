"""The command line: finds the commands, and turns errors into one message and an exit code.

Light at import: each command imports what it needs when it is called.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from importlib import import_module
from typing import Annotated, NoReturn

import typer

import bench
from bench.cli.console import err, escape_what_is_lacking
from bench.errors import BenchError, Stopped
from bench.files.signals import StopSignals, stop_signals

GROUPS = {
    "Run": ("run", "plan", "init", "explain", "schema", "ledger"),
    "Look": ("report", "status", "predict", "phone"),
    "Check": ("compare", "verify", "fsck", "audit", "data"),
    "Share": ("export", "model", "log", "mirror"),
}
"""What people do -> modules of `bench.cli.commands`, each with a typer `app`; in the order of
`bench --help`."""

TYPER_INTERRUPTED = 130
"""Exit code that Typer makes of `KeyboardInterrupt`."""

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


def _start_over_in_utf8_mode() -> None:
    """Let no name of a file be lost where the locale knows ASCII alone.

    Such names are text in Python's UTF-8 mode only, which is chosen when it starts.
    """
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        spoken = sys.stdout.encoding if sys.stdout else "ascii"
        told = {"PYTHONUTF8": "1", "PYTHONIOENCODING": f"{spoken}:backslashreplace"}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | told)


def main() -> None:
    """Run a command.

    Bad input is one message and exit code 2, without a traceback. A signal that asks to end is one
    line and 128 plus its number: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.
    """
    _start_over_in_utf8_mode()
    debug = "--debug" in sys.argv
    escape_what_is_lacking()
    with stop_signals() as stop:

        def unless_stopped(said: threading.ExceptHookArgs) -> None:
            if stop.received is None:  # else it misses what the signal ended, too
                threading.__excepthook__(said)

        threading.excepthook = unless_stopped
        try:
            app()
        except (KeyboardInterrupt, Stopped) as stopped:
            _end(stop, str(stopped))
        except SystemExit as end:
            if stop.received is None or end.code != TYPER_INTERRUPTED:
                raise
            _end(stop)
        except BrokenPipeError:
            sys.exit(141)
        except Exception as error:
            if debug:
                raise
            if stop.received is not None:  # a terminal that is gone, a process that was ended too
                _end(stop)
            if not isinstance(error, BenchError | OSError):  # OSError: a full disk, a missing file
                raise
            err.print("[bold red]error:[/] ", end="")
            err.print(str(error), markup=False)
            sys.exit(2)


def _end(stop: StopSignals, kept: str = "") -> NoReturn:
    """Say that the process was stopped, and end it."""
    try:
        err.print(f"\nStopped. {kept}".rstrip())
    except OSError:  # the terminal is gone, and so is whoever would have read it
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.dup2(nowhere, sys.stderr.fileno())
    sys.exit(128 + (stop.received or signal.SIGINT))
