"""The command line: the only room that prints, asks or exits."""

from bench.cli.app import main

__all__ = ["main"]
