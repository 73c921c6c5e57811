"""MLflow: an experiment for each study, a run for each trial and for the study's figures."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunStatus

from bench.trackers.tracker import StudyFigures, TrackedTrial

KEY = "ropanet_bench.key"
"""Tag of what a run was made of."""

MOST = 100
"""Settings, or metrics, that a request may hold: MLflow's own limit of settings."""


class MLflow:
    """A tracking server, or a folder of one.

    Args:
        uri: As MLflow's `--backend-store-uri` or `MLFLOW_TRACKING_URI`.
    """

    def __init__(self, uri: str) -> None:
        # Of its own accord it asks a server that does not answer for minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        # And prints two lines a run, also into what `--json` prints.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        self._client = MlflowClient(tracking_uri=uri)

    def known(self, study: str) -> set[str]:
        """Keys of the runs of a study's experiment that were ended."""
        experiment = self._client.get_experiment_by_name(study)
        found: set[str] = set()
        token: str | None = ""
        while experiment is not None and token is not None:
            page = self._client.search_runs(
                [experiment.experiment_id],
                filter_string="attributes.status = 'FINISHED'",
                page_token=token or None,
            )
            found |= {run.data.tags[KEY] for run in page if KEY in run.data.tags}
            token = page.token or None
        return found

    def add_trial(self, trial: TrackedTrial) -> None:
        """Log a trial: settings as parameters, curves by epoch, test metrics at the last one."""
        begun = round(1000 * (trial.begun or time.time()))
        took = round(1000 * trial.record.timings.get("total", 0.0))
        metrics = [Metric(name, value, begun, epoch) for epoch, name, value in trial.curves]
        metrics += [Metric(k, v, begun + took, trial.last_epoch) for k, v in trial.metrics.items()]
        params = [Param(name, str(value)) for name, value in trial.settings.items()]
        with self._run(trial.study, trial.name, trial.key, trial.tags, begun, took) as run:
            for part in _parts(params):
                self._client.log_batch(run, params=part)
            for part in _parts(metrics):
                self._client.log_batch(run, metrics=part)

    def add_figures(self, figures: StudyFigures) -> None:
        """Log a study's figures as artifacts of a run of their own."""
        now = round(1000 * time.time())
        with self._run(figures.study, "figures", figures.key, {"study": figures.study}, now) as run:
            for path in figures.files:
                self._client.log_artifact(run, str(path))

    @contextmanager
    def _run(
        self, study: str, name: str, key: str, tags: dict[str, str], begun: int, took: int = 0
    ) -> Iterator[str]:
        """A run of a study's experiment; it counts once it has ended without an error."""
        experiment = self._client.get_experiment_by_name(study)
        place = experiment.experiment_id if experiment else self._client.create_experiment(study)
        run = self._client.create_run(place, begun, tags | {KEY: key}, run_name=name).info.run_id
        status = RunStatus.FAILED
        try:
            yield run
            status = RunStatus.FINISHED
        finally:
            ended = begun + took if took else None
            self._client.set_terminated(run, RunStatus.to_string(status), ended)


def _parts(every: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(every), MOST):
        yield every[start : start + MOST]
