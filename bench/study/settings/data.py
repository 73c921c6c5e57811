"""The settings of data: where images come from, how they are divided and sampled."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bench.systems.settings import ADDED, Settings


class PhantomSource(Settings):
    """Generated garments in the layout of DeepFashion or DeepFashion2; never presented as either.

    Args:
        images: How many photographs are generated.
        seed: Seed of the generator.
        layout: `deepfashion`, one garment an image, or `deepfashion2`, several.
    """

    kind: Literal["phantom"] = "phantom"
    images: int = Field(default=6000, ge=50)
    seed: int = Field(default=0, ge=0)
    layout: Annotated[Literal["deepfashion", "deepfashion2"], ADDED] = "deepfashion"


class DeepFashionSource(Settings):
    """DeepFashion's Category and Attribute Prediction Benchmark (§3), or other photographs in its
    layout, from `--data DIR`."""

    kind: Literal["deepfashion"] = "deepfashion"


class FolderSource(Settings):
    """A folder of classes, `DIR/<class>/*.jpg`, without landmarks, from `--data DIR`."""

    kind: Literal["folder"] = "folder"


class DeepFashion2Source(Settings):
    """DeepFashion2, or other photographs in its layout, from `--data DIR`."""

    kind: Literal["deepfashion2"] = "deepfashion2"


Source = Annotated[
    PhantomSource | DeepFashionSource | DeepFashion2Source | FolderSource,
    Field(discriminator="kind"),
]
Size = Annotated[int, Field(ge=1)] | Literal["all"]


class DataSpec(Settings):
    """Which images a trial trains on and is tested on.

    Args:
        source: Where the images come from.
        colliding_paths: Images whose paths differ by case alone are all `kept`, or `merged`: of
            each such set the last one stays (ledger row 19).
        split: `official` partition (the default), by `image`, or by `product` so that no product
            has photographs on both sides (ledger row 18).
        sampling: `stratified` keeps the class proportions, `plain` does not.
        train_size: Training images; `all` for all there are.
        validation_size: Validation images, 0 for none.
        test_size: Test images.
        split_seed: Seed of the split and of the sampling; apart from the trial's seed, so that
            all seeds of an arm are tested on the same images, unless `vary` names `sampling`.
    """

    source: Source = PhantomSource()
    colliding_paths: Literal["kept", "merged"] = "kept"
    split: Literal["official", "image", "product"] = "official"
    sampling: Literal["stratified", "plain"] = "stratified"
    train_size: Size = "all"
    validation_size: Annotated[int, Field(ge=0)] | Literal["all"] = "all"
    test_size: Size = "all"
    split_seed: int = Field(default=0, ge=0)
