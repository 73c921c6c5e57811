"""Tables that look inside a comparison: by how rare a class is, image by image, seed by seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.analysis.arms import ALPHA, Arm, shared_seeds
from bench.analysis.intervals import Estimate
from bench.analysis.mcnemar import ImageEffect, image_effects
from bench.analysis.paired import compared, paired_results
from bench.analysis.superiority import superiority
from bench.analysis.tails import TailEffect, tail_effects
from bench.metrics.catalogue import ACCURACY, COMPARED, TOP_K
from bench.report.cells import Measured, Table

MOST_NAMES = 10
"""A note names no more classes than these and counts the rest."""


def tails_table(name: str, arms: Sequence[Arm], control: str) -> Table | None:
    """Every arm's recall on head, middle and tail classes against its control's.

    Args:
        name: File name without ending.
        arms: Arms of the study.
        control: The arm that others are compared with.

    Returns:
        None where no arm shares finished seeds and test images with the control.
    """
    found = tail_effects(arms, control)
    if not found:
        return None
    rows = [
        {
            "arm": effect.arm,
            "kind of class": effect.group,
            "classes": len(effect.classes),
            "not tested": len(effect.untested),
            "training images": effect.train_images,
            "test images": effect.test_images,
            "recall % (macro)": _percent(effect.recall),
            "recall % of the control": _percent(effect.control_recall),
            "difference (points)": _percent(effect.difference, signed=True),
            "p (Holm)": effect.p_holm,
            "paired seeds": effect.seeds,
        }
        for effect in found
    ]
    return Table(
        name,
        f"Frequent and rare classes against {control}",
        "Head: the fewest most frequent classes that together hold at least half of the control's "
        "training images; tail: the most of the rarest that together hold at most a tenth; middle: "
        "the rest; classes of the same count go together. Recall is that of the first answer, "
        "averaged over the classes of a group, each class alike, so a rare class weighs as much as "
        "a frequent one. 95 % intervals count seeds and test images; they are rough where a group "
        "has few test images a class. p-values are corrected by Holm's method over all rows."
        + _untested(found)
        + _left_out(arms, control),
        tuple(rows[0]),
        tuple(rows),
    )


def images_table(name: str, arms: Sequence[Arm], control: str) -> Table | None:
    """Every arm against its control image by image (McNemar) and seed by seed (superiority).

    Args:
        name: File name without ending.
        arms: Arms of the study.
        control: The arm that others are compared with.

    Returns:
        None where no arm shares a finished seed with the control.
    """
    rows = []
    for metric in COMPARED.values():
        by_image = (
            {effect.arm: effect for effect in image_effects(arms, control, metric.name)}
            if metric.name in TOP_K
            else {}
        )
        for effect in superiority(arms, control, metric.name):
            rows.append(
                {
                    "arm": effect.arm,
                    "metric": metric.short,
                    **_by_image(by_image.get(effect.arm)),
                    "seeds won %": Measured(effect.share, True),
                    "paired seeds": effect.share.seeds,
                }
            )
    if not rows:
        return None
    return Table(
        name,
        f"Image by image and seed by seed against {control}",
        "Only arm right, only control right: images that one of two models of the same seed gets "
        "right and the other does not, counted once a seed. Gained, lost: images that the arm "
        "gets right at more, or fewer, seeds than the control. Seeds with p < 0.05: those whose "
        "two models differ by McNemar's exact test, uncorrected. p over images: McNemar's test "
        "over all seeds, each image counting once (its sum over seeds, signs flipped), corrected "
        "by Holm's method over the arms of a metric. These take the trained models as they are "
        "and say whether those differ on other images like these, not whether training again "
        "would show it. Seeds won: share of seeds at which the arm is better than the control, "
        "ties counting half, with Clopper and Pearson's 95 % interval; it asks the reverse, other "
        "seeds on these images, and lies above 50 only from 6 seeds on. For both at once, read "
        f"the differences against {control}." + _left_out(arms, control),
        (
            "arm",
            "metric",
            *_by_image(None),
            "seeds won %",
            "paired seeds",
        ),
        tuple(rows),
    )


def _by_image(effect: ImageEffect | None) -> dict[str, Any]:
    if effect is None:
        heads = (
            "only arm right",
            "only control right",
            "gained",
            "lost",
            "seeds with p < 0.05",
            "p over images (Holm)",
        )
        return dict.fromkeys(heads)
    return {
        "only arm right": effect.arm_only,
        "only control right": effect.control_only,
        "gained": effect.gained,
        "lost": effect.lost,
        "seeds with p < 0.05": sum(seed.p < ALPHA for seed in effect.by_seed),
        "p over images (Holm)": effect.p_holm,
    }


def _percent(estimate: Estimate | None, *, signed: bool = False) -> Measured | None:
    return None if estimate is None else Measured(estimate, True, signed=signed)


def _untested(found: Sequence[TailEffect]) -> str:
    names = list(dict.fromkeys(name for effect in found for name in effect.untested))
    if not names:
        return ""
    more = len(names) - MOST_NAMES
    shown = ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    return f" Trained on but without test images, so left out: {shown}."


def _left_out(arms: Sequence[Arm], control: str) -> str:
    """Says which arms could not be compared on the same images."""
    names = [
        arm.name
        for arm, baseline in compared(arms, control)
        if shared_seeds(arm, baseline) and paired_results(arm, baseline, ACCURACY.name) is None
    ]
    return f" Tested on other images, so not compared by them: {', '.join(names)}." if names else ""
