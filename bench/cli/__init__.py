"""The command line: the only package that prints, asks or exits."""

from bench.cli.app import main

__all__ = ["main"]
