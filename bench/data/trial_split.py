"""From a trial's spec to its images. Light: the plan and the training loop both ask here."""

from __future__ import annotations

from dataclasses import replace

from bench.data.manifest import Manifest
from bench.data.split import Split, make_split
from bench.errors import BenchError
from bench.study.trial import TrialSpec


def split_of(spec: TrialSpec, manifest: Manifest) -> Split:
    """The images that a trial trains on, watches and is tested on.

    The same for every model: an image without landmarks stays in and has no landmark loss, so
    that arms are tested on the same images. A trial that is scored on the validation images has
    them in the place of the test images, which it never sees.

    Raises:
        BenchError: The data cannot give what the spec asks for.
    """
    if spec.model.has_landmarks and not manifest.has_landmarks:
        raise BenchError(
            f"the model {spec.model.kind} is trained on landmarks, and this data has none",
            where=str(manifest.root),
            fix="use a model without a landmark branch (base: ropanet_baseline), or data with "
            "landmarks in DeepFashion's layout",
        )
    data = spec.data
    drawn = make_split(
        manifest,
        merge_collisions=data.colliding_paths == "merged",
        by=data.split,
        sampling=data.sampling,
        train=data.train_size,
        val=data.validation_size,
        test=data.test_size,
        seed=data.split_seed,
    )
    return replace(drawn, test=drawn.val) if spec.eval.split == "validation" else drawn
