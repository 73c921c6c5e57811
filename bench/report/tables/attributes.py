"""The table of attributes: top-k recall of each arm that predicts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.analysis.arms import Arm
from bench.analysis.attributes import DEPTHS, attribute_records, frequency_recall, recall
from bench.data.attributes import ATTRIBUTE_TYPES
from bench.report.cells import Measured, Table
from bench.store.record import AttributeRecord


def attributes_table(name: str, arms: Sequence[Arm]) -> Table | None:
    """Top-3 and top-5 recall, over all attributes and by type; None where no arm predicts any.

    Args:
        name: Name of the study.
        arms: Its arms as measured.
    """
    columns = {
        f"{what} top-{depth} %": (depth, kind)
        for kind, what in ((None, "all"), *ATTRIBUTE_TYPES.items())
        for depth in DEPTHS
    }
    rows: list[dict[str, Any]] = []
    any_record: AttributeRecord | None = None
    for arm in arms:
        records = attribute_records(arm)
        if records:
            any_record = any_record or records[0]
            cells = {head: Measured(recall(records, *of), True) for head, of in columns.items()}
            rows.append({"arm": arm.name} | cells)
    if any_record is None:
        return None
    rows.append(
        {"arm": "always the commonest attributes"}
        | {head: 100 * frequency_recall(any_record, *of) for head, of in columns.items()}
    )
    return Table(
        f"{name}.attributes",
        "Attributes: top-k recall",
        f"{len(any_record.names):,} attributes. Recall: the share of all positive answers that are "
        "among their image's first k by score; those of one type are ranked among themselves. The "
        "last row ranks by how frequent attributes are in the test images, which scores that were "
        "trained on answers weighted to be alike in sum do not know (pose.attribute_balance).",
        ("arm", *columns),
        tuple(rows),
    )
