"""What a trained model predicts for image files that belong to no data set. Light at import."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.categories import categories
from bench.data.images import decode_batch
from bench.data.manifest import CHANNELS_OF_TYPE, LANDMARKS, OUTSIDE

BATCH = 32
BEST = 5
"""Classes that are named of an image."""


@dataclass(frozen=True)
class Prediction:
    """What a model predicts for an image.

    Args:
        image: Its file.
        fault: Why it cannot be read; empty where it can, and all else is empty where it cannot.
        classes: The best classes and their probabilities, the most probable first.
        landmarks: Name -> (x, y) as shares of the upright image's width and height, of the
            landmarks that a garment of the most probable class has.
        gate: `(h, w)` what the gate lets through at each place; None without a gate.
    """

    image: Path
    fault: str = ""
    classes: tuple[tuple[str, float], ...] = ()
    landmarks: dict[str, tuple[float, float]] | None = None
    gate: np.ndarray | None = None

    def to_json(self) -> dict[str, Any]:
        """The prediction as `--json` prints it; what a system does not predict is left out."""
        if self.fault:
            return {"image": str(self.image), "fault": self.fault}
        plain: dict[str, Any] = {
            "image": str(self.image),
            "classes": [{"name": n, "probability": p} for n, p in self.classes],
        }
        if self.landmarks is not None:
            plain["landmarks"] = {n: {"x": x, "y": y} for n, (x, y) in self.landmarks.items()}
        if self.gate is not None:
            plain["gate"] = self.gate.tolist()
        return plain


def predict_images(
    model: Any, class_names: Sequence[str], images: Sequence[Path]
) -> Iterator[Prediction]:
    """Predict for image files, in their order, a batch at a time.

    An image is turned upright by its EXIF orientation, as whoever took it sees it.

    Args:
        model: A whole model (`bench.train.whole_model`).
        class_names: Names of its classes.
        images: The files.
    """
    from bench.models.network import predict

    side = model.input.shape[1]
    for begin in range(0, len(images), BATCH):
        paths = images[begin : begin + BATCH]
        pixels, unreadable = decode_batch(Path(), [str(path) for path in paths], side, upright=True)
        faults = dict(unreadable)
        outputs = predict(model, np.rint(pixels * 255).astype(np.uint8))
        for row, path in enumerate(paths):
            if row in faults:
                yield Prediction(path, faults[row])
            else:
                own = {name: values[row] for name, values in outputs.items()}
                yield _prediction(path, own, class_names)


def _prediction(
    image: Path, outputs: dict[str, np.ndarray], class_names: Sequence[str]
) -> Prediction:
    probabilities = outputs["probabilities"]
    best = np.argsort(-probabilities, kind="stable")[:BEST]
    classes = tuple((class_names[index], float(probabilities[index])) for index in best)
    landmarks = None
    if "landmarks" in outputs:
        landmarks = {
            LANDMARKS[index]: (float(x), float(y))
            for index, (x, y) in enumerate(outputs["landmarks"])
            if index in _channels(classes[0][0]) and not _is_outside(outputs, index)
        }
    return Prediction(image, "", classes, landmarks, outputs.get("gate"))


def _channels(class_name: str) -> tuple[int, ...]:
    """The landmarks that a class's garments have; all where DeepFashion has no such class."""
    types = {category.name: category.clothes_type for category in categories()}
    return CHANNELS_OF_TYPE.get(types.get(class_name, 0), tuple(range(len(LANDMARKS))))


def _is_outside(outputs: dict[str, np.ndarray], landmark: int) -> bool:
    """Whether the model, where it says so, takes a landmark to lie outside the image."""
    states = outputs.get("visibility")
    return states is not None and int(states[landmark].argmax()) == OUTSIDE
