"""The notebook in docs/, executed: every cell runs, and gives what the page shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

PAGE = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


def outputs(page: Any) -> list[tuple[str, list[str]]]:
    """Source of each cell, and its outputs as text; of a figure, its size."""
    return [
        (
            cell.source,
            [out.get("text") or out.data["text/plain"] for out in cell.get("outputs", [])],
        )
        for cell in page.cells
    ]


def test_the_notebook_runs_and_shows_what_it_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PAGE.parents[1]))
    shown = nbformat.read(PAGE, as_version=4)
    told = outputs(shown)
    assert sum("Figure size" in text for _, texts in told for text in texts) == 2
    NotebookClient(shown, resources={"metadata": {"path": str(PAGE.parent)}}).execute()
    # After a change that is meant: jupyter execute --inplace docs/notebook.ipynb
    assert outputs(shown) == told
