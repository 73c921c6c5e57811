"""Top-k recall of attributes, as DeepFashion's benchmark has it, from stored logits alone.

An image's attributes are ranked by their logits; the recall is the share of all positive answers,
over the whole test set, that are among the first k of their image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.analysis.arms import Arm
from bench.analysis.intervals import Estimate
from bench.analysis.landmarks import ratio
from bench.store.record import AttributeRecord

DEPTHS = (3, 5)


def hits(record: AttributeRecord, depth: int, kind: int | None = None) -> tuple[np.ndarray, ...]:
    """Positive answers among the first of each image, and all of them.

    Args:
        record: A model's predictions of the attributes.
        depth: k of the top-k.
        kind: Only attributes of this type, ranked among themselves; None for all.

    Returns:
        Two of `(n,)` integers.
    """
    columns = slice(None) if kind is None else record.types == kind
    logits, positive = record.logits[:, columns].astype(np.float32), record.true[:, columns] > 0
    # Ties go to the attribute that is named first: a stable sort of what is to be small.
    first = np.argsort(-logits, axis=1, kind="stable")[:, :depth]
    found = np.take_along_axis(positive, first, axis=1)
    return found.sum(axis=1), positive.sum(axis=1)


def attribute_records(arm: Arm) -> list[AttributeRecord]:
    """An arm's predictions of the attributes, seed by seed, read from the store.

    Returns:
        Empty for an arm whose model predicts none, or whose data has none.
    """
    trials = arm.trials.values()
    if not all(t.spec.get("model", {}).get("attributes") == "where_annotated" for t in trials):
        return []
    return [record for trial in trials if (record := trial.read().attributes) is not None]


def recall(records: Sequence[AttributeRecord], depth: int, kind: int | None = None) -> Estimate:
    """Top-k recall with its interval over seeds and test images.

    Args:
        records: Each seed's predictions.
        depth: k of the top-k.
        kind: Only attributes of this type, ranked among themselves; None for all.
    """
    found = [hits(record, depth, kind) for record in records]
    images = [record.images for record in records]
    return ratio([total for total, _ in found], [count for _, count in found], images)


def frequency_recall(record: AttributeRecord, depth: int, kind: int | None = None) -> float:
    """The recall of ranking by how frequent attributes are in these very images.

    No model that predicts the same for every image does better.
    """
    frequency = (record.true > 0).sum(axis=0)
    same = np.broadcast_to(frequency.astype(np.float32), record.true.shape)
    constant = AttributeRecord(record.images, record.names, record.types, record.true, same)
    found, among = hits(constant, depth, kind)
    total = int(among.sum())
    return int(found.sum()) / total if total else float("nan")
