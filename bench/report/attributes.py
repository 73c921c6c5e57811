"""The table of attributes: top-k recall of each arm that predicts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.analysis.arms import Arm
from bench.analysis.attributes import DEPTHS, frequency_recall, recall
from bench.data.attributes import ATTRIBUTE_TYPES
from bench.report.cells import Measured, Table


def attributes_table(name: str, arms: Sequence[Arm]) -> Table | None:
    """Top-3 and top-5 recall, over all attributes and by type; None where no arm predicts any.

    Args:
        name: Name of the study.
        arms: Its arms as measured.
    """
    predicting = [
        arm
        for arm in arms
        if any(trial.record.attributes is not None for trial in arm.trials.values())
    ]
    if not predicting:
        return None
    asked = {
        f"{what} top-{depth} %": (depth, kind)
        for kind, what in ((None, "all"), *ATTRIBUTE_TYPES.items())
        for depth in DEPTHS
    }
    rows: list[dict[str, Any]] = [
        {"arm": arm.name}
        | {head: Measured(recall(arm, *wanted), True) for head, wanted in asked.items()}
        for arm in predicting
    ]
    answered = next(
        record
        for trial in predicting[0].trials.values()
        if (record := trial.record.attributes) is not None
    )
    rows.append(
        {"arm": "always the commonest attributes"}
        | {head: 100 * frequency_recall(answered, *wanted) for head, wanted in asked.items()}
    )
    return Table(
        f"{name}.attributes",
        "Attributes: top-k recall",
        f"{len(answered.names):,} attributes. Recall: the share of all positive answers that are "
        "among their image's first k by score; those of one type are ranked among themselves. The "
        "last row ranks by how frequent attributes are in the test images, which scores that were "
        "trained on answers weighted to be alike in sum do not know (pose.attribute_balance).",
        ("arm", *asked),
        tuple(rows),
    )
