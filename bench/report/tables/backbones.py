"""The table of backbones: what each costs beside what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.analysis.arms import Arm
from bench.metrics.catalogue import ACCURACY
from bench.report.cells import Measured, Table
from bench.report.units import disk_size, operations
from bench.study.cost import backbone_flops
from bench.systems.registry import BACKBONES
from bench.systems.settings import BackboneSettings

BYTES = 4
"""Of a weight in float32."""


def backbones_table(name: str, arms: Sequence[Arm]) -> Table | None:
    """Each arm's backbone; None where all arms stand on the same.

    Args:
        name: Name of the study.
        arms: Its arms as measured.
    """
    measured = [(arm, trial) for arm in arms for trial in list(arm.trials.values())[:1]]
    found = [(arm, trial, trial.spec.get("model", {}).get("backbone")) for arm, trial in measured]
    found = [(arm, trial, backbone) for arm, trial, backbone in found if backbone]
    if len({tuple(sorted(backbone.items())) for _, _, backbone in found}) < 2:
        return None
    rows = [
        {
            "arm": arm.name,
            ACCURACY.label: Measured(arm.estimate(ACCURACY.name), True),
            "weights": backbone["weights"],
            **_cost(backbone),
            "images a second": trial.environment.get("backbone_images_per_second"),
        }
        for arm, trial, backbone in found
    ]
    return Table(
        f"{name}.backbones",
        "Backbones",
        "Of the backbone alone, at the arm's image size: operations of one image, two a "
        "multiplication-and-addition; weights, and their size in float32; images a second on the "
        "machine that extracted the maps, all of its cores together, decoding left out.",
        tuple(rows[0]),
        tuple(rows),
    )


def _cost(backbone: dict[str, Any]) -> dict[str, Any]:
    """What is known of a backbone of this version; gaps for any other."""
    entry = BACKBONES.get(backbone["name"])
    if entry is None:
        return {"side": None, "operations": None, "parameters": None, "size": None}
    asked = {key: backbone[key] for key in ("name", "input_size")}
    settings = BackboneSettings(**asked, weights="none")
    return {
        "side": settings.side,
        "operations": operations(backbone_flops(settings)),
        "parameters": entry.parameters,
        "size": disk_size(BYTES * entry.parameters),
    }
