"""A trial's trained weights: as they were kept with it, or of the same trial trained again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.engine.retrain import Retraining, named, train_again
from bench.engine.verify import compare_again
from bench.errors import BenchError
from bench.store.agreement import Verdict, Verification
from bench.store.record import EPOCHS, Epoch, KeptWeights, TrialRecord
from bench.store.trials import Store


@dataclass(frozen=True)
class TrainedTrial:
    """A trial with its trained weights.

    Args:
        record: The stored trial.
        name: Study, arm and seed, where a study's record names it.
        kept: Its weights.
        again: How far the trial that was trained again agrees with the stored one; None where the
            weights were kept with the trial itself.
    """

    record: TrialRecord
    name: str
    kept: KeptWeights
    again: Verification | None


def trained_trial(
    store: Store, trial: str, how: Retraining, epoch: Epoch | None = None
) -> TrainedTrial:
    """A trial's weights; where they were not kept, it is trained again.

    What is trained again is kept in the cache, `models/<epoch>/`, for the next time.

    Args:
        store: The store.
        trial: Its identity.
        how: How it is trained again.
        epoch: The epoch whose weights are meant; None for those that were kept, or else those that
            the trial was tested with.

    Raises:
        BenchError: The trial cannot be read, has no weights, or cannot be trained again.
    """
    record = store.read(trial)
    if record.spec["train"] is None:
        raise BenchError(
            f"the system {record.spec['model']['kind']} is not trained and has no model",
            where=f"trial {trial}",
            fix="name a trial of another system",
        )
    if epoch == "best" and not record.data["images"]["val"]:
        raise BenchError(
            "has no best epoch: it was trained without validation images",
            where=f"trial {trial}",
            fix="leave out `--epoch`, or give `--epoch last`",
        )
    wanted = epoch or _usual_epoch(store, record)
    name = named(store)[0].get(trial, "")
    if store.keeps(trial, wanted):
        kept = store.read(trial, weights=True).weights
        assert kept is not None, "what is kept is read"
        return TrainedTrial(record, name, kept, None)
    again = Store(how.cache / "models" / wanted)
    kept = _cached(again, trial) or _trained_again(store, record, again, how, wanted)
    return TrainedTrial(record, name, kept, replace(compare_again(record, again), name=name))


def train_missing(store: Store, trials: Sequence[str], how: Retraining) -> None:
    """Train again, all together, those of some trials that neither store nor cache has weights of.

    `trained_trial` then finds them in the cache, and says of one that failed why.

    Args:
        store: The store.
        trials: Identities of trials of systems that are trained.
        how: How they are trained again.

    Raises:
        BenchError: A trial cannot be read, or its data is missing.
    """
    missing: dict[Epoch, dict[str, TrialRecord]] = {}
    for trial in trials:
        record = store.read(trial, gates=False)
        epoch = _usual_epoch(store, record)
        again = Store(how.cache / "models" / epoch)
        if not store.keeps(trial, epoch) and _cached(again, trial) is None:
            missing.setdefault(epoch, {})[trial] = record
    for epoch, records in missing.items():
        train_again(store, records, Store(how.cache / "models" / epoch), how, epoch)


def _usual_epoch(store: Store, record: TrialRecord) -> Epoch:
    """The epoch whose weights were kept, or else the one that the trial was tested with."""
    kept = [epoch for epoch in EPOCHS if store.keeps(record.id, epoch)]
    return kept[0] if kept else record.spec["train"]["selection"]


def _cached(again: Store, trial: str) -> KeptWeights | None:
    """What an earlier call trained; a damaged one is moved away, to be trained anew."""
    if not again.has(trial):
        return None
    try:
        return again.read(trial, weights=True).weights
    except BenchError:
        again.quarantine(again.trials / trial)
        return None


def _trained_again(
    store: Store, record: TrialRecord, again: Store, how: Retraining, epoch: Epoch
) -> KeptWeights:
    refused = train_again(store, {record.id: record}, again, how, epoch)
    found = refused.get(record.id) or compare_again(record, again)
    kept = again.read(record.id, weights=True).weights if again.has(record.id) else None
    if kept is None or found.verdict is Verdict.NOT_COMPARED:
        changed = "; ".join(found.changes())
        raise BenchError(
            f"its weights were not kept, and it cannot be trained again: {found.where}"
            + (f" ({changed})" if changed else ""),
            where=f"trial {record.id}",
            fix="run its study again with `--keep-models`",
        )
    return kept
