"""Top-k recall of attributes, as the benchmark asks for it, from stored logits alone.

An image's attributes are ranked by their logits; the recall is the share of all positive answers,
over the whole test set, that are among the first k of their image (Liu et al. 2016, §5).
"""

from __future__ import annotations

import numpy as np

from bench.analysis.arms import Arm
from bench.analysis.intervals import Estimate, over_seeds
from bench.analysis.landmarks import ratio
from bench.record import AttributeRecord

DEPTHS = (3, 5)


def hits(answered: AttributeRecord, depth: int, kind: int | None = None) -> tuple[np.ndarray, ...]:
    """Positive answers among the first of each image, and all of them.

    Args:
        answered: What a model said of the attributes.
        depth: k of the top-k.
        kind: Only attributes of this type, ranked among themselves; None for all.

    Returns:
        Two of `(n,)` integers.
    """
    asked = slice(None) if kind is None else answered.types == kind
    logits, positive = answered.logits[:, asked].astype(np.float32), answered.true[:, asked] > 0
    # Ties go to the attribute that is named first: a stable sort of what is to be small.
    first = np.argsort(-logits, axis=1, kind="stable")[:, :depth]
    found = np.take_along_axis(positive, first, axis=1)
    return found.sum(axis=1), positive.sum(axis=1)


def recall(arm: Arm, depth: int, kind: int | None = None) -> Estimate:
    """Top-k recall with its interval over seeds and test images.

    Args:
        arm: An arm as measured.
        depth: k of the top-k.
        kind: Only attributes of this type, ranked among themselves; None for all.
    """
    answered = [trial.record.attributes for trial in arm.trials.values()]
    known = [record for record in answered if record is not None]
    if not known or len(known) < len(answered):
        return over_seeds([])
    totals, counts = zip(*(hits(record, depth, kind) for record in known), strict=True)
    same = len({tuple(record.images) for record in known}) == 1
    return ratio(totals, counts, paired=same)


def frequency_recall(answered: AttributeRecord, depth: int, kind: int | None = None) -> float:
    """The recall of ranking by how frequent attributes are in these very images.

    No model that answers every image alike does better.
    """
    frequency = (answered.true > 0).sum(axis=0)
    same = np.broadcast_to(frequency.astype(np.float32), answered.true.shape)
    constant = AttributeRecord(answered.images, answered.names, answered.types, answered.true, same)
    found, among = hits(constant, depth, kind)
    return float(found.sum() / among.sum()) if among.sum() else float("nan")
