"""Balancing rules against hand calculations from their papers."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from bench.systems.registry import BALANCING, load
from bench.train.balance import sample

COUNTS = np.array([60, 30, 10, 0])


def rule(name: str, strength: float):
    return load(BALANCING[name].build)(COUNTS, strength)


def test_class_weights_are_inverse_to_the_frequency_and_average_to_one() -> None:
    weights = rule("class_weights", 1.0).class_weights
    assert weights == pytest.approx([100 / 180, 100 / 90, 100 / 30, 0])
    assert (weights * COUNTS).sum() / COUNTS.sum() == pytest.approx(1)
    assert rule("class_weights", 0.5).class_weights[2] == pytest.approx(np.sqrt(100 / 30))


def test_the_effective_number_of_samples_by_hand() -> None:
    # Cui et al. 2019: E_n = (1 - beta^n) / (1 - beta); at beta = 0.9: 9.98, 9.58, 6.51.
    effective = np.array([(1 - 0.9**n) / 0.1 for n in (60, 30, 10)])
    expected = 3 / effective / (1 / effective).sum()
    weights = rule("effective_number", 0.9).class_weights
    assert weights[:3] == pytest.approx(expected) and weights[3] == 0
    assert effective == pytest.approx([9.98, 9.58, 6.51], abs=0.01)


def test_over_sampling_draws_by_a_power_of_the_frequency() -> None:
    assert rule("over_sampling", 1.0).sampling_shares == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    roots = np.sqrt([60, 30, 10])
    assert rule("over_sampling", 0.5).sampling_shares[:3] == pytest.approx(roots / roots.sum())
    labels = np.repeat(np.arange(3), COUNTS[:3])
    shares = rule("over_sampling", 1.0).sampling_shares
    drawn = sample(np.tile(labels, 90), shares, np.random.default_rng(0))
    assert len(drawn) == 9000
    found = np.bincount(np.tile(labels, 90)[drawn]) / 9000
    assert found == pytest.approx([1 / 3] * 3, abs=0.02)


def test_the_focal_loss_by_hand_and_at_gamma_zero_the_cross_entropy() -> None:
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.05, 0.05, 0.9]], "f4"))
    labels = np.array([0, 0])
    by_hand = np.mean([-(0.3**2) * np.log(0.7), -(0.95**2) * np.log(0.05)])
    assert float(rule("focal", 2.0).loss(labels, logits)) == pytest.approx(by_hand, rel=1e-4)
    plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)
    assert float(rule("focal", 0.0).loss(labels, logits)) == pytest.approx(float(plain), rel=1e-4)


def test_logit_adjustment_adds_the_log_frequency_to_training_logits() -> None:
    logits = np.array([[0.5, 0.1, -0.3, 0.0]], "f4")
    shifted = logits[0] + 2 * np.log(np.array([60, 30, 10, 0.5]) / 100)
    by_hand = np.log(np.exp(shifted).sum()) - shifted[2]
    loss = rule("logit_adjustment", 2.0).loss(np.array([2]), logits)
    assert float(loss) == pytest.approx(by_hand, rel=1e-5)


def test_without_a_rule_nothing_is_changed() -> None:
    balance = rule("none", 0.0)
    assert balance.class_weights is balance.sampling_shares is balance.loss is None
