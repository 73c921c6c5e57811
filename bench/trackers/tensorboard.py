"""TensorBoard: a folder of event files for each trial, `<study>/<arm>/seed-<n>.<trial>`.

Written by tensorboardX, which comes with Ray and needs no TensorFlow.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from matplotlib.image import imread
from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from bench.files.atomic import new_folder
from bench.trackers.tracker import StudyFigures, TrackedTrial


class TensorBoard:
    """A log folder, as `tensorboard --logdir` takes it.

    Args:
        folder: The folder; made on the first trial.
    """

    def __init__(self, folder: str) -> None:
        self._root = Path(folder)

    def known(self, study: str) -> set[str]:
        """Keys of the trials and figures of a study that have a folder."""
        places = (self._root / study).glob("*/seed-*.*"), (self._root / study).glob("figures.*")
        return {path.name.rpartition(".")[2] for found in places for path in found}

    def add_trial(self, trial: TrackedTrial) -> None:
        """Log a trial: settings in HPARAMS, curves by epoch, test metrics at the last one."""
        arm = re.sub(r"[^A-Za-z0-9=.,_ -]+", "-", trial.arm).strip(". ") or "arm"
        place = self._root / trial.study / arm / f"seed-{trial.seed}.{trial.key}"
        begun = trial.begun or time.time()
        with new_folder(place) as draft, SummaryWriter(str(draft)) as writer:
            for summary in hparams(trial.settings, trial.metrics):
                writer.file_writer.add_summary(summary, walltime=begun)
            for epoch, tag, value in trial.curves:
                writer.add_scalar(tag, value, epoch, walltime=begun)
            for tag, value in trial.metrics.items():
                writer.add_scalar(tag, value, trial.last_epoch, walltime=begun)

    def add_figures(self, figures: StudyFigures) -> None:
        """Log a study's figures as images."""
        place = self._root / figures.study / f"figures.{figures.key}"
        with new_folder(place) as draft, SummaryWriter(str(draft)) as writer:
            for path in figures.files:
                writer.add_image(path.stem, imread(path)[..., :3], dataformats="HWC")
