"""A results folder as a notebook sees it: studies, and of each its frames, figures and trials."""

from __future__ import annotations

from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from bench.analysis import frames
from bench.analysis.answers import answer
from bench.analysis.arms import Arm
from bench.analysis.load import load_arms
from bench.errors import BenchError
from bench.files.yaml import did_you_mean
from bench.store.find import trial_in
from bench.store.record import TrialRecord
from bench.store.studies import StudyRecord
from bench.store.trials import Store
from bench.systems.registry import load_plugins

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bench.report.drawing import FigureMaker


class Results:
    """A results folder.

    Args:
        folder: The folder, as `bench run --results` takes it.

    Example::

        results = bench.Results("results/reference")
        results.studies                              # ["mask_gate"]
        gates = results.study("mask_gate")
        gates.frame().groupby("arm")["accuracy"].mean()
    """

    def __init__(self, folder: str | PathLike[str] = "results") -> None:
        self._store = Store(Path(folder))

    def __repr__(self) -> str:
        return f"Results({str(self._store.root)!r})"

    @property
    def studies(self) -> list[str]:
        """Names of the studies.

        Raises:
            BenchError: The folder holds none, or one cannot be read.
        """
        return [study.name for study in self._store.chosen(None)]

    def study(self, name: str) -> StudyResults:
        """A study, as the folder has it now.

        Raises:
            BenchError: The folder holds no such study.
        """
        (record,) = self._store.chosen([name])
        return StudyResults(self._store, record)

    def frame(self) -> pd.DataFrame:
        """The trials of all studies, a row each, as `StudyResults.frame` has them.

        A trial that several studies have is in it once for each.

        Raises:
            BenchError: The folder holds no study, or a trial cannot be read.
        """
        return frames.trials_of(self._store)


class StudyResults:
    """A study of a results folder; `Results.study` and `bench.run` give it.

    Its trials are read when they are first needed, and kept. Metrics are in the unit that the store
    keeps them in: an accuracy is a share of 1, and its difference a hundredth of the report's
    points.
    """

    def __init__(self, store: Store, record: StudyRecord) -> None:
        self._store, self._record = store, record

    def __repr__(self) -> str:
        arms = len(self._record.arms)
        return f"StudyResults({self.name!r}: {arms} arms, {len(self._record.trial_names())} trials)"

    @property
    def name(self) -> str:
        """Its short name, as in `bench report --study`."""
        return self._record.name

    @property
    def title(self) -> str:
        """Its title, a line."""
        return self._record.title

    @cached_property
    def _arms(self) -> list[Arm]:
        load_plugins()  # their metrics are columns
        return load_arms(self._store, self._record)

    def frame(self) -> pd.DataFrame:
        """Every planned trial, a row each.

        Returns:
            Columns `study`, `arm`, `seed`, `trial` (its identity) and `status`: `finished`,
            `missing`, or how it failed. Then, of finished trials, the metrics by their names
            (`accuracy`), the settings by their dotted paths (`model.gate`), `images.*` of each
            split, `seconds.*` of each phase and `environment.*` (versions, hardware, profile).

        Raises:
            BenchError: A stored trial cannot be read; so for the other frames.
        """
        return frames.trial_frame(self._record, self._arms)

    def history(self) -> pd.DataFrame:
        """Losses and metrics by epoch: columns arm, seed, epoch, split, metric, value."""
        return frames.history_frame(self._arms)

    def predictions(self) -> pd.DataFrame:
        """What each trial says of each test image that its evaluation protocol scores.

        Returns:
            Columns `arm`, `seed`, `image`, `label` and `predicted` (names of classes),
            `probability` (of the true class) and `rank` (of the true class, 0 for the first).
        """
        return frames.prediction_frame(self._arms)

    def means(self) -> pd.DataFrame:
        """Each arm's mean of each metric: columns arm, metric, mean, low, high, seeds, images.

        `low` and `high` are the report's 95 % interval, over seeds and, where `images` is not 0,
        over test images.
        """
        return frames.arm_frame(self._arms)

    def effects(self) -> pd.DataFrame:
        """Each arm against its control, as the report compares them.

        Returns:
            Columns `control`, `arm`, `metric`, `difference` (arm minus control, paired by seed),
            `low` and `high` (95 % interval), `seeds`, `images`, `p_holm` (corrected over the arms),
            `margin` (largest difference that does not matter) and `verdict`.
        """
        return frames.effect_frame(self._record, self._arms)

    def answer(self) -> list[str]:
        """What the comparisons say, in sentences."""
        return answer(self._record, self._arms)

    def trial(self, arm: str, seed: int) -> TrialRecord:
        """A finished trial, whole: its spec, and its predictions and landmarks as arrays.

        Raises:
            BenchError: There is no such trial, or it is not finished.
        """
        return self._store.read(trial_in(self._store, self._record, arm, str(seed)))

    @property
    def figures(self) -> dict[str, str]:
        """What `plot` can draw, and what each shows."""
        return {name: (make.__doc__ or "").partition("\n")[0] for name, make in _makers().items()}

    def plot(self, figure: str = "differences") -> list[Axes]:
        """Draw a figure of the report, in its style, to be changed or saved.

        Args:
            figure: One of `figures`.

        Returns:
            The axes of all panels. `axes[0].figure` is the first one's figure.

        Raises:
            BenchError: There is no such figure, or the study has nothing for it.
        """
        import matplotlib.pyplot as plt

        from bench.report.drawing import draw

        makers = _makers()
        if figure not in makers:
            fix = did_you_mean(figure, makers, f"figures: {', '.join(makers)}")
            raise BenchError(f"there is no figure `{figure}`", where=self.name, fix=fix)
        finished = any(arm.trials for arm in self._arms)
        # Before the context: a notebook's backend turns on, when it is chosen, what shows figures.
        plt.draw_if_interactive()
        with plt.rc_context():
            drawn = draw(makers[figure], self._record, self._arms) if finished else ()
            axes = [axis for one in drawn for axis in one.figure.axes]
        if not axes:
            raise BenchError(
                f"has nothing to draw for `{figure}`" if finished else "has no finished trial",
                where=self.name,
                fix="see `.figures`" if finished else "bench.run(...), or `bench run`",
            )
        return axes


def _makers() -> dict[str, FigureMaker]:
    """The report's figures by the names of their functions."""
    # First, so that the notebook's own backend stays.
    import matplotlib.pyplot  # noqa: F401

    from bench.report.figures.catalogue import FIGURES

    return {make.__name__: make for make in FIGURES}
