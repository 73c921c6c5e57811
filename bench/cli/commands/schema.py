"""`bench schema`: the JSON Schema of a study."""

from __future__ import annotations

import typer

from bench.cli.console import print_json

app = typer.Typer()


@app.command(
    epilog="Example:\n\n  bench schema > ablations/study.schema.json\n\nEditors then complete and "
    "check a study that begins with `# yaml-language-server: $schema=study.schema.json`."
)
def schema() -> None:
    """Print the JSON Schema of a study."""
    from bench.study.schema import study_schema

    print_json(study_schema())
