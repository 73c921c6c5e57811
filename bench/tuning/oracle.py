"""KerasTuner's oracles, asked and told through a search's file.

An oracle is a pure function of its seed and of what it was asked and told, in order. Each of these
events is on disk before it is acted on; after a kill they are replayed to a new oracle, which makes
the same proposals again, or the search stops with an error. KerasTuner's own `save` and `reload`
would not do: they forget the order of a grid and the state of the Gaussian process' random numbers.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from pydantic import ValidationError

from bench.errors import BenchError
from bench.store.searches import Proposal, SearchLog, SearchPlan
from bench.study.budget import epochs_of
from bench.study.tuning import EPOCHS
from bench.tuning.hyperparameters import declare, decoded

SCORE = "score"
NO_LIMIT = 10**9


def quiet_keras_tuner() -> Any:
    """KerasTuner, imported without the messages of TensorFlow's C++."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            import keras_tuner
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    return keras_tuner


def make_oracle(plan: SearchPlan) -> Any:
    """The KerasTuner oracle that a search asks for, at the beginning of its search."""
    keras_tuner = quiet_keras_tuner()
    tuning, budget = plan.tuning, plan.budget
    hyperparameters = keras_tuner.HyperParameters()
    declare(plan.space, hyperparameters)
    options: dict[str, Any] = {
        "objective": keras_tuner.Objective(SCORE, tuning.direction),
        "hyperparameters": hyperparameters,
        # To KerasTuner, seed 0 means any seed.
        "seed": tuning.seed + 1,
        # A proposal that fails is counted, and not tried again.
        "max_retries_per_trial": 0,
        "max_consecutive_failed_trials": NO_LIMIT,
    }
    oracles = keras_tuner.oracles
    if tuning.algorithm == "hyperband":
        return oracles.HyperbandOracle(
            max_epochs=epochs_of(plan.spec),
            factor=tuning.rung_factor,
            hyperband_iterations=budget.passes,
            **options,
        )
    kinds = {
        "random": oracles.RandomSearchOracle,
        "grid": oracles.GridSearchOracle,
        "bayesian": oracles.BayesianOptimizationOracle,
    }
    # A budget of epochs has at most as many proposals.
    most = budget.proposals if budget.proposals is not None else budget.epochs
    return kinds[tuning.algorithm](max_trials=most, **options)


class ArmSearch:
    """One arm's search: KerasTuner proposes, the file remembers.

    Args:
        plan: The search.
        log: Its file; the events in it are replayed to the oracle first.

    Raises:
        BenchError: This KerasTuner does not propose what is in the file.
    """

    def __init__(self, plan: SearchPlan, log: SearchLog) -> None:
        self.plan, self.search = plan, log.search
        self._log, self._budget, self._space = log, plan.budget, plan.space
        self._oracle = make_oracle(plan)
        self._oracle.verbose = 0
        # KerasTuner writes its state after each event; nobody reads it.
        self._scratch = tempfile.TemporaryDirectory(prefix="ropanet-bench-")
        self._oracle._set_project_dir(self._scratch.name, "oracle")
        self._idle = False
        try:
            self._replay()
        except BenchError:
            self.close()
            raise

    def pending(self) -> list[Proposal]:
        """Proposals whose outcome is not known yet, in order."""
        return [proposal for proposal in self.search.proposals if not proposal.answered]

    def ask(self) -> Proposal | None:
        """The next proposal.

        Returns:
            None where there is none before another has its score, or none at all: then
            `search.ended` says why.
        """
        if self.search.ended is not None or self._idle:
            return None
        if self._spent_all():
            self._log.append({"event": "ended", "why": "the budget is spent"})
            return None
        status, plain = self._propose(len(self.search.proposals))
        if status == "STOPPED":
            self._log.append({"event": "ended", "why": "the oracle has no more to propose"})
            return None
        if status == "IDLE":
            self._log.append({"event": "idle"})
            self._idle = True
            return None
        self._log.append({"event": "proposed", **plain})
        proposal = self.search.proposals[-1]
        if not proposal.trials:
            self.tell(proposal.number, None, "these values do not go together")
        return proposal

    def tell(self, number: int, score: float | None, error: str | None = None) -> None:
        """Record a proposal's score.

        Args:
            number: The proposal's number.
            score: Mean of the metric over the tuning seeds; None where it failed.
            error: Why it failed.
        """
        if score is None and error is None:
            error = "no score"
        self._log.append({"event": "answered", "number": number, "score": score, "error": error})
        self._tell(number, score, error)
        # What was not possible before may be now; and where it was the last, this ends the search.
        if self._spent_all() and self.search.ended is None:
            self.ask()

    def close(self) -> None:
        """Let other runs have the search."""
        self._log.close()
        self._scratch.cleanup()

    def _spent_all(self) -> bool:
        if self._budget.proposals is not None:
            return len(self.search.proposals) >= self._budget.proposals
        return self.search.spent >= (self._budget.epochs or 0)

    def _propose(self, number: int) -> tuple[str, dict[str, Any]]:
        trial = self._oracle.create_trial(f"proposal {number}")
        if trial.status != "RUNNING":
            return str(trial.status), {}
        assert int(trial.trial_id) == number, "KerasTuner numbers its trials from 0"
        raw = dict(trial.hyperparameters.values)
        values = decoded(self._space, raw)
        epochs = raw.get("tuner/epochs")
        own = values.get(EPOCHS, epochs_of(self.plan.spec))
        if epochs is None and self._budget.epochs is not None:
            left = self._budget.epochs - self.search.spent
            epochs = left if own > left else None
        climbed = raw.get("tuner/trial_id")
        try:
            ids = self.plan.ids(self.plan.trials(values, epochs))
        except ValidationError:
            ids = []
        return "RUNNING", {
            "number": number,
            "values": values,
            "epochs": epochs,
            "spent": own if epochs is None else epochs,
            "trials": ids,
            "rung": raw.get("tuner/round"),
            "climbed": None if climbed is None else int(climbed),
        }

    def _tell(self, number: int, score: float | None, error: str | None) -> None:
        self._idle = False
        trial = next(t for t in self._oracle.trials.values() if int(t.trial_id) == number)
        if score is not None:
            self._oracle.update_trial(trial.trial_id, {SCORE: score})
        trial.status = "FAILED" if score is None else "COMPLETED"
        trial.message = error
        self._oracle.end_trial(trial)

    def _replay(self) -> None:
        """Bring a new oracle to the state of the last one."""
        recorded, self.search.proposals = self.search.proposals, []
        for event in self.search.events:
            match event["event"]:
                case "proposed":
                    self._same(event, *self._propose(event["number"]))
                    self.search.proposals.append(recorded[event["number"]])
                case "idle":
                    self._same(event, *self._propose(len(self.search.proposals)))
                    self._idle = True
                case "answered":
                    self._tell(event["number"], event["score"], event["error"])

    def _same(self, event: dict[str, Any], status: str, plain: dict[str, Any]) -> None:
        wanted = {"event": "proposed", **plain} if status == "RUNNING" else {"event": "idle"}
        if event == json.loads(json.dumps(wanted)) and (status == "IDLE" or plain):
            return
        there, here = self.search.versions, versions()
        raise BenchError(
            "cannot be continued: at "
            + (f"proposal {event['number']}" if "number" in event else "a pause")
            + " KerasTuner does otherwise than it did (it was proposed by "
            + f"{_named(there)}; here are {_named(here)})",
            where=str(self._log.path),
            fix="use those versions, or move the file away: the search then begins anew, and what "
            "is in the store is not trained again",
        )


def versions() -> dict[str, str]:
    """Versions of what decides a proposal."""
    return {name: version(name) for name in ("keras-tuner", "scikit-learn", "scipy", "numpy")}


def _named(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in found.items())
