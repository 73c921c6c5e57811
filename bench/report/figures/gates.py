"""What the gates let through, by class, by epoch and by image, and how it goes with accuracy.

Energy is the sum of squares of a feature map; the share that passes is above 1 for a gate that
amplifies. All test images count, under any evaluation protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from bench.analysis.arms import Arm, Trial
from bench.analysis.intervals import over_seeds, wilson
from bench.metrics.catalogue import GATE_ENERGY
from bench.report.drawing import (
    GREY,
    MOST_COLOURS,
    Figure,
    colours_of,
    count,
    literal,
    settle,
    span,
)
from bench.report.figures.chosen import true_ranks
from bench.store.studies import StudyRecord

BINS, LEAST_IN_BIN = 6, 5
"""Bins of openness, fewer where a bin would hold less than so many images."""

MOST_CLASSES = 60
"""Classes of the most test images that are drawn."""

ENERGY = "energy passed (share of the feature map's sum of squares)"


def gate_energy(study: StudyRecord, arms: Sequence[Arm]) -> Figure | None:
    """The energy that each gate lets through of the images of each class.

    Args:
        study: The study's record.
        arms: Its arms as measured.

    Returns:
        Data: `arm`, `class`, `images` (test images of the class), `seeds`, `energy passed` (the
        mean over seeds and the class' images) and the `lowest` and `highest` mean of a seed, in
        the order of the first gated arm's energy. None where no arm has a gate on record.
    """
    shown, left_out = _shown(arms)
    if not shown:
        return None
    table = pd.concat([_by_class(arm) for arm in shown], ignore_index=True)
    if table.empty:
        return None
    first = table[table["arm"] == shown[0].name].set_index("class")["energy passed"]
    images = table.groupby("class")["images"].max()
    frequent = images.sort_values(ascending=False, kind="stable").index[:MOST_CLASSES]
    # Highest first; a class that the first arm was not tested on comes last.
    order = first.reindex(sorted(frequent)).sort_values(ascending=False, kind="stable").index
    table = table[table["class"].isin(order)]
    ranked = {name: place for place, name in enumerate(order)}
    table = table.assign(place=table["class"].map(ranked), number=table["arm"].map(_places(shown)))
    table = table.sort_values(["number", "place"], ignore_index=True).drop(columns="number")

    colours = colours_of(arms)
    figure, axes = plt.subplots(
        1, len(shown), figsize=(2.2 + 1.9 * len(shown), 0.17 * len(order) + 1.6),
        sharey=True, squeeze=False, layout="constrained",
    )  # fmt: skip
    for axis, arm in zip(axes[0], shown, strict=True):
        rows = table[table["arm"] == arm.name]
        axis.hlines(rows["place"], rows["lowest"], rows["highest"], color=colours[arm.name], lw=1.2)
        axis.plot(rows["energy passed"], rows["place"], "o", color=colours[arm.name], ms=4)
        axis.set_title(literal(arm.name, 24), fontsize=9)
        axis.tick_params(axis="x", labelsize=8)
        axis.locator_params(axis="x", nbins=4)
    labels = [f"{literal(name)} ({images[name]:,})" for name in order]
    axes[0, 0].set_yticks(range(len(order)), labels, fontsize=8)
    axes[0, 0].set_ylim(len(order) - 0.4, -0.6)
    figure.supxlabel(ENERGY, fontsize=9)
    settle(figure)
    hidden = len(images) - len(order)
    caption = (
        "Horizontal: energy passed, each panel on its own scale; vertical: classes (number of "
        f"test images), by the energy that passes in {shown[0].name}. Dots: mean over seeds and "
        f"the class' images; lines: from the lowest to the highest seed ({_seeds(shown)}, "
        f"{_images(shown)} test images). "
        + (f"Not drawn: the {hidden} classes of the fewest images. " if hidden else "")
        + f"{_of_others(left_out)}"
    )
    name, title = f"{study.name}.gate_energy_classes", "Energy that the gates pass, by class"
    return Figure(name, title, caption, figure, table.drop(columns="place"))


def gate_energy_by_epoch(study: StudyRecord, arms: Sequence[Arm]) -> Figure | None:
    """The energy that each gate lets through of the validation images, epoch by epoch.

    Args:
        study: The study's record.
        arms: Its arms as measured.

    Returns:
        Data: `arm`, `seed`, `epoch`, `energy passed`. None where no arm's history has it, such as
        in records of an older version.
    """
    gated = [
        arm
        for arm in arms
        if any(GATE_ENERGY.name in t.history["metric"] for t in arm.trials.values())
    ]
    shown, left_out = _told_apart(arms, gated)
    if not shown:
        return None
    history = pd.concat([arm.history() for arm in shown], ignore_index=True)
    found = history[(history["metric"] == GATE_ENERGY.name) & (history["split"] == "val")]
    colours = colours_of(arms)
    figure, axis = plt.subplots(figsize=(8.5, 4))
    handles = []
    for arm in shown:
        rows = found[found["arm"] == arm.name]
        by_seed = rows.pivot_table(index="epoch", columns="seed", values="value")
        axis.plot(by_seed.index, by_seed, color=colours[arm.name], lw=0.6, alpha=0.45)
        handles += axis.plot(by_seed.index, by_seed.mean(axis=1), "o-", color=colours[arm.name],
                             lw=2, ms=4)  # fmt: skip
    axis.set(xlabel="epoch")
    axis.set_ylabel("energy passed (share)")
    axis.xaxis.get_major_locator().set_params(integer=True)
    _legend(figure, handles, [arm.name for arm in shown])
    counts = [found[found["arm"] == arm.name]["seed"].nunique() for arm in shown]
    caption = (
        "Share of the feature map's energy (sum of squares) that the gate lets through of the "
        "validation images, by epoch; thick: mean over seeds, thin: each seed "
        f"(n = {span(counts)} an arm, {_split_images(shown, 'val')} validation images). "
        f"{_of_others(left_out)}"
    )
    data = found.rename(columns={"value": "energy passed"}).drop(columns=["split", "metric"])
    name, title = f"{study.name}.gate_energy_epochs", "Energy that the gates pass, by epoch"
    return Figure(name, title, caption, figure, data.reset_index(drop=True))


def openness(study: StudyRecord, arms: Sequence[Arm]) -> Figure | None:
    """Accuracy on images whose gate is little or far open.

    The test images of each seed are ranked by the mean of their gate and cut into bins of equal
    size. The interval of a bin reaches to the further of two ends: Wilson's over the images of
    one seed's bin (the seeds share their images, so more seeds are not more images), and the t
    interval over the seeds.

    Args:
        study: The study's record.
        arms: Its arms as measured.

    Returns:
        Data: `arm`, `bin` from 1 (least open), `from %` and `to %` (quantiles), `gate mean`,
        `images` (of one seed), `seeds`, `accuracy`, `low`, `high`. None where no arm has a gate
        on record that differs between images.
    """
    shown, left_out = _shown(arms)
    tables = {arm.name: _by_openness(arm) for arm in shown}
    shown = [arm for arm in shown if not tables[arm.name].empty]
    if not shown:
        return None
    colours = colours_of(arms)
    figure, axis = plt.subplots(figsize=(8.5, 4.5))
    handles, labels = [], []
    for number, arm in enumerate(shown):
        table = tables[arm.name]
        # Side by side, so that no interval hides another's.
        x = (table["from %"] + table["to %"]) / 2 + 1.2 * (number - (len(shown) - 1) / 2)
        low, high, mean = (100 * table[column] for column in ("low", "high", "accuracy"))
        axis.vlines(x, low, high, color=colours[arm.name], lw=1.5, alpha=0.7)
        handles += axis.plot(x, mean, "o-", color=colours[arm.name], ms=5, lw=1.5)
        ends = table["gate mean"].iloc[[0, -1]]
        labels.append(f"{arm.name} (gate {ends.iloc[0]:.3f} to {ends.iloc[-1]:.3f})")
    axis.set_xlim(0, 100)
    axis.set_xlabel("test images by openness of their gate: quantile (%), least open first")
    axis.set_ylabel("top-1 accuracy (%)")
    axis.xaxis.label.set_size(10)
    axis.yaxis.label.set_size(10)
    _legend(figure, handles, labels)
    bins = span([len(tables[arm.name]) for arm in shown])
    caption = (
        "Horizontal: each seed's test images, ranked by the mean of their gate and cut into "
        f"{bins} bins of equal size (points: middle of a bin, set side by side); vertical: top-1 "
        f"accuracy, mean over seeds ({_seeds(shown)}, {_images(shown)} test images). Bars: 95 %, "
        "to the further end of Wilson's interval over one seed's images of the bin and the t "
        "interval over seeds. In brackets: the gate's mean in the first and the last bin. Images "
        "are not put into bins by chance, so this shows what goes with openness, not its effect. "
        f"{_of_others(left_out)}"
    )
    data = pd.concat([tables[arm.name] for arm in shown], ignore_index=True)
    name, title = f"{study.name}.openness", "Accuracy by openness of the gate"
    return Figure(name, title, caption, figure, data)


def _shown(arms: Sequence[Arm]) -> tuple[list[Arm], int]:
    """The arms with a gate on record that are drawn, and how many more there are."""
    return _told_apart(arms, [arm for arm in arms if _gated(arm)])


def _told_apart(arms: Sequence[Arm], wanted: list[Arm]) -> tuple[list[Arm], int]:
    colours = colours_of(arms) if wanted else {}
    shown = [arm for arm in wanted if colours[arm.name] != GREY] or wanted[:MOST_COLOURS]
    return shown, len(wanted) - len(shown)


def _gated(arm: Arm) -> dict[int, Trial]:
    return {seed: trial for seed, trial in arm.trials.items() if trial.gated}


def _places(arms: Sequence[Arm]) -> dict[str, int]:
    return {arm.name: place for place, arm in enumerate(arms)}


def _passed(trial: Trial) -> pd.DataFrame:
    """`image`, `class`, `right`, `gate` and `energy` of each test image with a gate on record."""
    record = trial.read()
    predictions, gate = record.predictions, record.gate
    assert gate is not None  # of the caller's choice
    labels = predictions.labels.astype(np.int64)
    images = pd.DataFrame(
        {
            "image": predictions.images,
            "class": np.array(trial.data["class_names"], dtype=object)[labels],
            "right": true_ranks(predictions) == 0,
        }
    )
    passed = pd.DataFrame({"image": gate.images, "gate": gate.mean, "energy": gate.energy})
    passed = passed.astype({"gate": np.float64, "energy": np.float64})
    # A path that a source lists twice is one image.
    return images.drop_duplicates("image").merge(passed.drop_duplicates("image"), on="image")


def _by_class(arm: Arm) -> pd.DataFrame:
    every = pd.concat(
        [_passed(trial).assign(seed=seed) for seed, trial in _gated(arm).items()], ignore_index=True
    ).dropna(subset="energy")
    by_seed = every.groupby(["class", "seed"])["energy"].mean().groupby("class")
    by_class = every.groupby("class")
    table = pd.DataFrame(
        {
            "images": by_class["image"].nunique(),
            "seeds": by_class["seed"].nunique(),
            "energy passed": by_class["energy"].mean(),
            "lowest": by_seed.min(),
            "highest": by_seed.max(),
        }
    ).reset_index()
    table.insert(0, "arm", arm.name)
    return table


def _by_openness(arm: Arm) -> pd.DataFrame:
    seeds = [_passed(trial).dropna(subset="gate") for trial in _gated(arm).values()]
    bins = min(BINS, min(len(images) for images in seeds) // LEAST_IN_BIN)
    if bins < 2 or all(images["gate"].nunique() < 2 for images in seeds):
        return pd.DataFrame()
    cut = [
        np.array_split(images.sort_values(["gate", "image"])[["gate", "right"]].to_numpy(float),
                       bins)
        for images in seeds
    ]  # fmt: skip
    rows = []
    for number in range(bins):
        parts = [seed[number] for seed in cut]
        accuracies = [part[:, 1].mean() for part in parts]
        accuracy, images = float(np.mean(accuracies)), len(parts[0])
        ends = wilson(round(accuracy * images), images)
        of_seeds = over_seeds(accuracies)
        rows.append(
            {
                "arm": arm.name,
                "bin": number + 1,
                "from %": 100 * number / bins,
                "to %": 100 * (number + 1) / bins,
                "gate mean": float(np.mean([part[:, 0].mean() for part in parts])),
                "images": images,
                "seeds": len(parts),
                "accuracy": accuracy,
                # fmin and fmax pass over the NaN ends of a single seed.
                "low": max(0.0, float(np.fmin(ends[0], of_seeds.low))),
                "high": min(1.0, float(np.fmax(ends[1], of_seeds.high))),
            }
        )
    return pd.DataFrame(rows)


def _legend(figure: Any, handles: list[Any], names: Sequence[str]) -> None:
    figure.legend(handles, [literal(name, 60) for name in names], frameon=False, fontsize="small",
                  loc="center left", bbox_to_anchor=(1.0, 0.5))  # fmt: skip
    figure.tight_layout()


def _seeds(arms: Sequence[Arm]) -> str:
    return f"n = {span([len(_gated(arm)) for arm in arms])} seeds an arm"


def _images(arms: Sequence[Arm]) -> str:
    return span([t.data["images"]["test"] for arm in arms for t in _gated(arm).values()])


def _split_images(arms: Sequence[Arm], split: str) -> str:
    return span([arm.sizes[split] for arm in arms])


def _of_others(left_out: int) -> str:
    return f"Not drawn: {count(left_out, 'gated arm')} with smaller effects. " if left_out else ""
