"""Augmentation moves landmarks with the pixels."""

from __future__ import annotations

import numpy as np

from bench.data.ground_truth import GroundTruth
from bench.study.settings.training import Augmentation
from bench.train.augment import augment, crop, flip


def marked(x: float, y: float, landmark: int = 0) -> tuple[np.ndarray, GroundTruth]:
    """A dark image with one bright place, which is a landmark."""
    images = np.zeros((1, 40, 40, 3), np.float32)
    images[0, int(y * 40) - 1 : int(y * 40) + 2, int(x * 40) - 1 : int(x * 40) + 2] = 1
    landmarks = np.full((1, 8, 2), np.nan, np.float32)
    landmarks[0, landmark] = [x, y]
    visibility = np.full((1, 8), -1)
    visibility[0, landmark] = 0
    return images, GroundTruth(landmarks, visibility, np.array([1]), np.array([[300, 200]]))


def brightest(image: np.ndarray) -> np.ndarray:
    row, column = np.unravel_index(image[..., 0].argmax(), image.shape[:2])
    return np.array([column + 0.5, row + 0.5]) / image.shape[0]


def test_a_mirror_swaps_left_and_right_landmarks() -> None:
    images, annotation = flip(*marked(0.25, 0.5, landmark=2), np.array([True]))
    assert annotation.visibility[0].tolist() == [-1, -1, -1, 0, -1, -1, -1, -1]
    np.testing.assert_allclose(annotation.landmarks[0, 3], [0.75, 0.5])
    assert np.abs(brightest(images[0]) - annotation.landmarks[0, 3]).max() < 0.06


def test_a_crop_moves_landmarks_and_puts_those_cut_off_outside() -> None:
    start, extent = np.array([[0.1, 0.2]]), np.array([[0.6, 0.5]])
    images, annotation = crop(*marked(0.4, 0.45), start, extent)
    np.testing.assert_allclose(annotation.landmarks[0, 0], [0.5, 0.5], atol=1e-6)
    assert np.abs(brightest(images[0]) - 0.5).max() < 0.08
    np.testing.assert_allclose(annotation.image_size, [[180, 100]])
    _, gone = crop(*marked(0.05, 0.45), start, extent)
    assert gone.visibility[0, 0] == 2 and (gone.visibility[0, 1:] == -1).all()


def test_each_change_is_drawn_from_the_seed_and_can_be_turned_off() -> None:
    images, annotation = marked(0.4, 0.6)
    images = np.repeat(images, 64, axis=0)
    many = GroundTruth(*(np.repeat(v, 64, axis=0) for v in vars(annotation).values()))
    one, _ = augment(images, many, Augmentation(), np.random.default_rng(1))
    two, _ = augment(images, many, Augmentation(), np.random.default_rng(1))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, images)
    _, still = augment(images, many, Augmentation(flip=False, crop=0.0), np.random.default_rng(1))
    np.testing.assert_allclose(still.landmarks, many.landmarks)
    _, mirrored = augment(images, many, Augmentation(crop=0.0), np.random.default_rng(1))
    assert 16 < (mirrored.visibility[:, 1] == 0).sum() < 48
