"""`bench init`: the shipped studies and their schema, to be read and changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.console import out, print_json
from bench.cli.options import AsJson
from bench.errors import BenchError

app = typer.Typer()


@app.command(epilog="Examples:\n\n  bench init\n\n  bench init my_studies/ --force")
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.")] = Path("ablations"),
    force: Annotated[bool, typer.Option(help="Overwrite files that were changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the studies that come with the bench, and what editors check them with."""
    from bench.files.atomic import new_file
    from bench.study.schema import study_schema
    from bench.study.shipped import shipped_studies

    texts = {path.name: path.read_bytes() for path in shipped_studies().values()}
    schema = json.dumps(study_schema(), indent=1) + "\n"
    texts["study.schema.json"] = schema.encode()
    there = {name: folder / name for name in texts if (folder / name).exists()}
    unlike = [name for name, path in there.items() if not _holds(path, texts[name])]
    if unlike and not force:
        raise BenchError(
            f"would overwrite files that were changed: {', '.join(unlike)}",
            where=str(folder),
            fix="give another folder, or --force; nothing was written",
        )
    written = [name for name in texts if name not in there or name in unlike]
    for name in written:
        with new_file(folder / name) as draft:
            draft.write_bytes(texts[name])
    if as_json:
        print_json({"folder": str(folder), "written": written})
        return
    same = len(texts) - len(written)
    out.print(
        f"{folder}: {len(texts) - 1} studies and their schema"
        + (f" ({same} files were there already)" if same else "")
    )
    out.print("Next: bench plan mask_gate")


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content
