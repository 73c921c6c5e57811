"""Weights & Biases: a run for each trial, grouped by study, and one for the study's figures.

What was logged from here is known by the folders that W&B itself keeps in `wandb/` (or in
`WANDB_DIR`), which it has offline as well; a run's id is made of its trial, so that there is never
a second one of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wandb

from bench.trackers.tracker import StudyFigures, TrackedTrial

MARK = "ropanet-bench.txt"
"""File in a run's folder that says that the run is whole."""


class WandB:
    """A project.

    Args:
        project: `PROJECT`, or `ENTITY/PROJECT`.
    """

    def __init__(self, project: str) -> None:
        self._entity, _, self._project = project.rpartition("/")

    def known(self, study: str) -> set[str]:
        """Keys of the runs of a study that were logged from here."""
        marks = Path(os.environ.get("WANDB_DIR", "."), "wandb").glob(f"*run-*/files/{MARK}")
        lines = [mark.read_text(encoding="utf-8").splitlines() for mark in marks]
        return {key for project, of, key in lines if (project, of) == (self._project, study)}

    def add_trial(self, trial: TrackedTrial) -> None:
        """Log a trial: settings as its config, curves by epoch, test metrics as its summary."""
        config = trial.settings | trial.tags
        with self._run(trial.study, trial.name, trial.key, config, trial.arm) as run:
            by_epoch: dict[int, dict[str, float]] = {}
            for epoch, name, value in trial.curves:
                by_epoch.setdefault(epoch, {})[name] = value
            for epoch, values in sorted(by_epoch.items()):
                run.log(values, step=epoch)
            run.summary.update(trial.metrics)

    def add_figures(self, figures: StudyFigures) -> None:
        """Log a study's figures as images of a run of their own."""
        config = {"study": figures.study}
        with self._run(figures.study, "figures", figures.key, config, "figures") as run:
            run.log({path.stem: wandb.Image(str(path)) for path in figures.files})

    @contextmanager
    def _run(
        self, study: str, name: str, key: str, config: dict[str, Any], job: str
    ) -> Iterator[Any]:
        with wandb.init(
            entity=self._entity or None,
            project=self._project,
            id=f"{study[:100]}-{key}",
            name=name,
            group=study,
            job_type=job,
            config=config,
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        ) as run:
            yield run
            folder = Path(run.dir)
        mark = f"{self._project}\n{study}\n{key}\n"
        (folder / MARK).write_text(mark, encoding="utf-8")
