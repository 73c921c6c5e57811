"""What varies with a seed, in the report's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.analysis.arms import Arm
from bench.study.trial import USUALLY_VARIES

IN_WORDS = {
    "weights": "initial weights",
    "order": "order of the training images",
    "sampling": "the training, validation and test images themselves",
}

OWN_IMAGES = (
    "Where each seed draws its own images, intervals count the seeds, whose spread holds that of "
    "the images, and beside it only images that several seeds were tested on."
)


def varied(spec: dict[str, Any]) -> str:
    """What a seed changes in a trial; a record of before `vary` was a setting has the usual."""
    return ", ".join(IN_WORDS[name] for name in spec.get("vary", USUALLY_VARIES))


def explained(text: str, arms: Sequence[Arm]) -> str:
    """A note that speaks of intervals, with what they count where seeds draw their own images.

    Args:
        text: The note of a table, or the caption of a figure.
        arms: The arms that it shows.
    """
    if "interval" not in text.lower() or not any(arm.own_images for arm in arms):
        return text
    return f"{text.rstrip()} {OWN_IMAGES}"
