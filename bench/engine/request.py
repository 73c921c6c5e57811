"""What the user asked for, resolved over its data: the study's design, and where the data is."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.manifest import PARTITIONS, Manifest
from bench.data.phantoms import generate_once, generated_as, is_generated, phantom_folder
from bench.data.sources import open_source
from bench.engine.sizes import scale_to_data
from bench.errors import BenchError
from bench.files.yaml import Located, did_you_mean
from bench.study.design import Design
from bench.study.overlays import base_overlays, too_large
from bench.study.resolve import resolve_study
from bench.study.scale import PARTS
from bench.study.settings.data import PhantomSource
from bench.study.settings.training import Backend
from bench.study.study import KeepModels, Study, load_study

Say = Callable[[str, int, int], None]


@dataclass(frozen=True)
class StudyRequest:
    """A study that the user asked for.

    Args:
        study: The study's YAML.
        data: Folder of the data; None for the phantom.
        profile: `smoke`, `laptop` or `paper`; None for `paper` with data and `laptop` without.
        only: Names of the only arms to run; empty for all.
        settings: Dotted path -> value, above the study's own.
        until_settled: Whether to go on after the study's fixed seeds until it is settled.
        backend: What Keras is to compute with; None for what the study says.
        keep_models: Whose trained weights are kept with each trial; None for what the study says.
        scale_to_data: Whether sizes that are more than the data has are made to fit it.
    """

    study: Path
    data: Path | None = None
    profile: str | None = None
    only: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    until_settled: bool = False
    backend: Backend | None = None
    keep_models: KeepModels | None = None
    scale_to_data: bool = False


@dataclass(frozen=True)
class ResolvedStudy:
    """A study resolved over its data.

    Args:
        design: The study under its profile.
        manifest: The data; None for a phantom that does not exist yet.
        data_root: Where the data is, or will be.
    """

    design: Design
    manifest: Manifest | None
    data_root: Path

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of how the study met its data."""
        design, there = self.design, self.design.there or {}
        if design.scale is not None:
            return (str(design.scale),)
        below = base_overlays(design.preset, design.profile, None)
        named = {path: size for overlay in below for path, size in overlay.settings.items()}
        spec = design.control.spec.data
        return tuple(
            f"the profile's {size:,} {PARTS[path]} images are more than the {there[path]:,} there: "
            "all are used"
            for path, size in too_large(named, there).items()
            if getattr(spec, path.removeprefix("data.")) == "all"
        )


def resolve(request: StudyRequest, cache: Path, *, generate: Say | None = None) -> ResolvedStudy:
    """Read the study and open its data.

    Args:
        request: What the user asked for.
        cache: Cache folder.
        generate: Generate the phantom if it is missing, reporting progress to this; None leaves it
            out, for a plan.

    Raises:
        BenchError: The study is at fault: with file, line and column.
    """
    return resolve_read(*load_study(request.study), request, cache, generate=generate)


def resolve_read(
    study: Study,
    file: Located,
    request: StudyRequest,
    cache: Path,
    *,
    generate: Say | None = None,
) -> ResolvedStudy:
    """Open the data of a study that is read already.

    Args:
        study: The study.
        file: Its file, for the positions of what is wrong.
        request: What the user asked for.
        cache: Cache folder.
        generate: As in `resolve`.

    Raises:
        BenchError: The study is at fault: with file, line and column.
    """
    profile = request.profile or ("paper" if request.data else "laptop")
    manifest, there = None, None
    data_source: dict[str, Any] | None = None
    if request.data is not None:
        manifest = open_source(request.data, cache=cache, progress=_named(generate, "sizes"))
        data_source = {"kind": manifest.source}
        # What is scaled must be known as it is asked for.
        there = None if request.scale_to_data else _there(manifest)
        if manifest.source == "phantom":
            data_source |= generated_as(request.data)
    design = resolve_study(
        study,
        file,
        profile=profile,
        data_source=data_source,
        there=there,
        settings=request.settings,
        until_settled=request.until_settled,
        backend=request.backend,
        keep_models=request.keep_models,
    )
    if request.data is not None:
        assert manifest is not None
        if request.scale_to_data:
            design = scale_to_data(design, manifest)
        return ResolvedStudy(design, manifest, request.data.resolve())
    root = _phantom_root(design, cache, request.study)
    source = design.control.spec.data.source
    assert isinstance(source, PhantomSource)
    if generate is not None:
        generate_once(source, root, cache, _named(generate, "generating"))
    if is_generated(source, root):
        manifest = open_source(root, cache=cache)
        if request.scale_to_data:
            design = scale_to_data(design, manifest)
    return ResolvedStudy(design, manifest, root.resolve())


def _there(manifest: Manifest) -> dict[str, int] | None:
    """Images of each part of an official partition."""
    if not manifest.has_partition:
        return None
    counts = np.bincount(manifest.partition[manifest.partition >= 0], minlength=len(PARTITIONS))
    return dict(zip(PARTS, counts.tolist(), strict=True))


def check_only(design: Design, request: StudyRequest) -> None:
    """Make sure that every arm named by `--only` is in the design.

    Raises:
        BenchError: One is not.
    """
    if not request.only:
        return
    known = [arm.name for arm in design.arms()]
    for name in request.only:
        if name not in known:
            raise BenchError(
                f"the study has no arm `{name}`",
                where=str(request.study),
                fix=did_you_mean(name, known, f"its arms: {'; '.join(known[:20])}"),
            )


def _phantom_root(design: Design, cache: Path, study: Path) -> Path:
    sources = {arm.spec.data.source for arm in itertools.islice(design.arms(), 1000)}
    other = next((source for source in sources if not isinstance(source, PhantomSource)), None)
    if other is not None:
        raise BenchError(
            f"the study asks for {other.kind} data, and no folder was given",
            where=str(study),
            fix="add `--data DIR`",
        )
    if len(sources) > 1:
        raise BenchError(
            "the arms ask for different phantoms; a run has one data source",
            where=str(study),
            fix="set data.source in `base`, and run the study once for each phantom",
        )
    source = next(iter(sources))
    assert isinstance(source, PhantomSource)
    return cache / phantom_folder(source)


def _named(say: Say | None, phase: str) -> Callable[[int, int], None] | None:
    return None if say is None else lambda done, total: say(phase, done, total)
