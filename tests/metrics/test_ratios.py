"""Ratios laid out as means over images, against their definitions and the bootstrap."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from bench.analysis.intervals import over_seeds_and_images
from bench.metrics.catalogue import classification
from bench.metrics.ratios import macro_matrix, macro_precision, pooled_precision

N, CLASSES = 400, 5


@pytest.fixture(scope="module")
def said() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels of a model that is often sure, with one class never answered."""
    rng = np.random.default_rng(0)
    labels = rng.choice(CLASSES, N, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    logits = rng.normal(0, 1, (N, CLASSES))
    logits[np.arange(N), labels] += 2.0 * (rng.random(N) < 0.6)
    logits[:, 4] -= 9
    odds = np.exp(logits)
    return odds / odds.sum(axis=1, keepdims=True), labels


def laid_out(metric: str, probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    answers, true = probabilities.argmax(axis=1), probabilities[np.arange(len(labels)), labels]
    if metric == "precision_pooled":
        return pooled_precision(true > 0.5, (probabilities > 0.5).any(axis=1))
    if metric == "precision_macro":
        return macro_precision(answers == labels, answers, labels)
    return macro_matrix((answers == labels)[None], labels)[0]


@pytest.mark.parametrize("metric", ["precision_pooled", "precision_macro", "recall_macro"])
def test_the_mean_is_the_metric_and_the_spread_that_of_the_bootstrap(
    said: tuple[np.ndarray, np.ndarray], metric: str
) -> None:
    values = laid_out(metric, *said)
    assert values.mean() == pytest.approx(classification(*said)[metric])

    def resampled(rows: np.ndarray) -> float:
        return classification(said[0][rows], said[1][rows])[metric]

    # Macro recall takes its classes' sizes as they are: images are drawn within each class.
    strata = said[1] if metric == "recall_macro" else np.zeros(N, int)
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(1500):
        parts = [np.flatnonzero(strata == stratum) for stratum in set(strata)]
        drawn.append(resampled(np.concatenate([rng.choice(rows, len(rows)) for rows in parts])))
    error = values.std(ddof=1) / np.sqrt(N)
    assert error == pytest.approx(np.std(drawn), rel=0.12)


def test_the_variance_by_images_is_that_of_every_resample_by_hand() -> None:
    # Three images, two right: the 27 resamples have means 0, 1/3, 2/3 and 1 at 1, 6, 12 and 8 of
    # them; their variance is 2/27, which is the estimate's by a factor of 2/3 (Bessel's).
    right = np.array([1.0, 1.0, 0.0])
    means = [right[list(rows)].mean() for rows in itertools.product(range(3), repeat=3)]
    counts = np.bincount(np.rint(3 * np.array(means)).astype(int))
    assert counts.tolist() == [1, 6, 12, 8] and np.var(means) == pytest.approx(2 / 27)
    estimate = over_seeds_and_images(np.stack([right, right]))
    assert estimate.image_variance == pytest.approx(2 / 27 * 3 / 2)
    bootstrap = stats.bootstrap((right,), np.mean, n_resamples=20_000, rng=np.random.default_rng(0))
    assert bootstrap.standard_error**2 == pytest.approx(2 / 27, rel=0.05)


def test_where_nothing_is_answered_there_is_no_precision() -> None:
    none = np.zeros(4, bool)
    assert np.isnan(pooled_precision(none, none)).all()
