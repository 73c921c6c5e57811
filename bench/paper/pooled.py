"""What precision and recall, pooled over all classes above a threshold, say together.

Of one true class an image: recall is hits / images, precision is hits / answers, so recall /
precision is answers / images, a number that neither figure shows.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

from bench.paper.rounding import RULES, Figure, percent
from bench.paper.statements import Verdict

MOST_HITS = 10_000
"""How many numbers of hits are tried from either end: few hits leave room for answers among the
images, many hits leave a wide choice of answers."""


def answered(
    precision: Figure, recall: Figure, size: int | None, threshold: float
) -> tuple[Verdict, str]:
    """How many images were answered at all.

    Args:
        precision: Of all answers, the share that is right.
        recall: Of all images, the share that is answered right.
        size: Test images, where stated.
        threshold: Probability above which a class is an answer; 0.5 or more.

    Returns:
        The verdict, and the calculation in words.
    """
    (p_low, p_high), (r_low, r_high) = precision.ends, recall.ends
    for figure in (precision, recall):
        if not 0 <= figure.value <= 1:
            return "impossible", f"{figure} is not a share: it lies outside 0 to {figure.show(1)}"
    if p_low <= 0:
        return "cannot tell", f"a precision of {precision} may be 0, and nothing is divided by that"
    r_low = max(r_low, Fraction(0))
    text = (
        f"recall is hits / images and precision is hits / answers, so answers / images is recall / "
        f"precision: {recall} / {precision} = {percent(recall.value / precision.value)}"
    )
    if recall.hull[0] > precision.hull[1]:
        return "impossible", f"{text}; but above {threshold:g} an image has at most one answer"
    low, high = r_low / p_high, min(r_high / p_low, Fraction(1))
    text += (
        f"; with rounding, [{recall.show(r_low)}, {recall.show(r_high)}) / "
        f"[{precision.show(p_low)}, {precision.show(p_high)}) = {percent(low)} to {percent(high)}"
    )
    if size is not None:
        if not _some_hits(precision, recall, size):
            return "impossible", f"{text}; but no whole numbers of hits and answers give both"
        text += f", {ceil(low * size):,} to {floor(high * size):,} of {size:,} images"
    text += (
        f". Only so many images got any class above {threshold:g}; accuracy is at least the recall"
    )
    if high < Fraction(1, 2):
        text += ". An unconfident model, not a precise one"
    return "possible", text


def _some_hits(precision: Figure, recall: Figure, size: int) -> bool:
    """Whether some hits of `size` images, and some answers, are printed as both figures."""
    low, high = precision.hull
    ranges = [recall.counts(size, rule) for rule in RULES]
    hits = {k for r in ranges for k in (*r[:MOST_HITS], *r[-MOST_HITS:])}
    return any(ceil(k / high) <= min(floor(k / low), size) for k in hits)
