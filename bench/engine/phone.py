"""A study's models as they would run on a phone: converted to LiteRT, run and timed.

What is measured is stored as it is found, a record a form of a trial, and not measured again.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import bench
from bench.data.manifest import Manifest
from bench.data.sources import open_source
from bench.engine.model import TrainedTrial, train_missing, trained_trial
from bench.engine.process import output_in
from bench.engine.retrain import Retraining, data_of
from bench.errors import BenchError
from bench.files.atomic import new_file
from bench.files.processor import instruction_sets, processor
from bench.store.phone import (
    FORMS,
    FormName,
    PhoneRecord,
    phone_records,
    write_phone,
)
from bench.store.record import TrialRecord
from bench.store.studies import StudyRecord
from bench.store.trials import Store
from bench.study.cost import backbone_flops, head_flops
from bench.study.trial import TrialSpec
from bench.train.litert_process import Answers, NotRunError, answers_of_file, processors
from bench.train.phone import (
    answers_of_model,
    calibration_images,
    changed,
    latencies,
    paired_scores,
    write_test_images,
)

Say = Callable[[str, int, int], None]
"""Called with (phase, done, total)."""


@dataclass(frozen=True)
class PhoneTask:
    """A trial whose forms are to be measured.

    Args:
        trial: Its identity.
        arm: Its arm.
        seed: Its seed.
        timed: Whether latency is measured too: of an arm's lowest seed, since weights make no
            difference to it.
        forms: The forms that no record is there of.
        files: Form -> where its file is to be written; empty for nowhere.
    """

    trial: str
    arm: str
    seed: int
    timed: bool
    forms: tuple[FormName, ...]
    files: dict[FormName, Path] = field(default_factory=dict)

    @property
    def converted(self) -> list[FormName]:
        """The forms that its model is to be converted to."""
        return [form for form in FORMS if form in self.forms or form in self.files]

    @property
    def steps(self) -> int:
        """Conversions, one pass over the test images, and measurements of latency."""
        return len(self.converted) + bool(self.forms) + self.timed * len(self.forms)


@dataclass(frozen=True)
class _Opened:
    """A trial's model with what it is measured by."""

    found: TrainedTrial
    spec: TrialSpec
    manifest: Manifest
    model: Any


def check_installed() -> None:
    """Make sure that LiteRT is there.

    Raises:
        BenchError: It is not; the message names the extra.
    """
    if find_spec("ai_edge_litert") is None:
        raise BenchError(
            "models are run as on a phone with ai-edge-litert, which is not installed",
            where="bench phone",
            fix="run `pip install '.[phone]'` in the bench's folder",
        )


def phone_tasks(
    store: Store, study: StudyRecord, arms: Sequence[str], *, again: bool = False
) -> tuple[list[PhoneTask], list[str]]:
    """The finished trials of a study whose forms are wanted, and what is left out.

    Args:
        store: The store.
        study: Its record.
        arms: Names of arms.
        again: Whether every form is measured, also those that a record is there of.

    Returns:
        The trials, with the forms that are missing of each; and the arms that have none, in words.
    """
    tasks, without = [], []
    for arm in study.arms:
        if arm.name not in arms:
            continue
        finished = [(s, t) for s, t in sorted(arm.trials.items()) if store.has(t)]
        if not finished:
            without.append(f"{arm.name} has no finished trial")
        elif store.summary(finished[0][1])["spec"]["train"] is None:
            without.append(f"{arm.name} is not trained and has no model")
        else:
            for number, (seed, trial) in enumerate(finished):
                timed = number == 0
                known = {} if again else phone_records(store.root, trial)
                forms = tuple(f for f in FORMS if not _is_whole(known.get(f), timed))
                tasks.append(PhoneTask(trial, arm.name, seed, timed, forms))
    return tasks, without


def _is_whole(record: PhoneRecord | None, timed: bool) -> bool:
    return record is not None and bool(record.latency or record.unsupported or not timed)


def measure_phone(store: Store, tasks: Sequence[PhoneTask], how: Retraining, say: Say) -> None:
    """Convert, run, time and store the forms that are missing.

    Args:
        store: The store.
        tasks: The trials; those with nothing to measure or to write are passed by.
        how: How trials are trained again whose weights were not kept.
        say: Called with (phase, done, total).

    Raises:
        BenchError: A trial's weights or data are not to be had. What was measured before is stored.
    """
    tasks = [task for task in tasks if task.converted]
    if not tasks:
        return
    train_missing(store, [task.trial for task in tasks], how)
    log = store.root / "logs" / f"phone.{os.getpid()}.log"
    open_data = functools.cache(functools.partial(open_source, cache=how.cache))
    done, steps = 0, sum(task.steps for task in tasks)
    say("conversions and measurements", done, steps)
    for task in tasks:
        found = trained_trial(store, task.trial, how)
        spec, root = data_of(store, found.record, how)
        with output_in(log):
            from bench.train.whole_model import whole_model

            opened = _Opened(found, spec, open_data(root), whole_model(found.record, found.kept))
        for _ in _measured(store, task, opened, log):
            done += 1
            say("conversions and measurements", done, steps)


def _measured(store: Store, task: PhoneTask, opened: _Opened, log: Path) -> Iterator[None]:
    """Convert a trial's model, and measure what is missing; each step yields."""
    with tempfile.TemporaryDirectory(prefix="ropanet-bench-") as scratch:
        files: dict[FormName, Path] = {}
        ruled_out: dict[FormName, str] = {}
        for form, content in _converted(opened, task.converted, log):
            if isinstance(content, str):
                ruled_out[form] = content
            else:
                files[form] = Path(scratch) / f"{form}.tflite"
                _write(opened, files[form], content)
                if form in task.files:
                    with new_file(task.files[form]) as draft:
                        shutil.copyfile(files[form], draft)
            yield
        if not task.forms:
            return
        model, record, images = opened.model, opened.found.record, Path(scratch) / "images.npy"
        with output_in(log):
            write_test_images(images, record, opened.manifest.root, model.input.shape[1])
            keras = answers_of_model(model, images)
        yield
        for form in task.forms:
            measured = replace(_costs(opened, form), unsupported=ruled_out.get(form, ""))
            if form in files:
                with output_in(log):
                    measured = _run(measured, files[form], keras, record, images, task.timed)
            write_phone(store.root, measured)
            if task.timed:
                yield


def _run(
    costs: PhoneRecord, path: Path, keras: Answers, record: TrialRecord, images: Path, timed: bool
) -> PhoneRecord:
    """A form's record with what its file answers and, if it is to be timed, its latencies.

    By XNNPACK; by LiteRT's plain kernels where it refuses the file.
    """
    refused = ""
    for xnnpack in (True, False):
        try:
            litert = answers_of_file(path, images, xnnpack=xnnpack)
            return replace(
                costs,
                refused=refused,
                bytes=path.stat().st_size,
                images=len(record.predictions.images),
                changed=changed(keras, litert),
                scores=paired_scores(record, keras, litert),
                latency=latencies(path, images, xnnpack=xnnpack) if timed else (),
            )
        except NotRunError as error:
            refused = refused or str(error)
    return replace(costs, unsupported=f"LiteRT itself ({refused})")


def _write(opened: _Opened, path: Path, content: bytes) -> None:
    """Write a file that says of itself what it is, as `bench model` does."""
    from bench.train.forms import append_about
    from bench.train.whole_model import description

    path.write_bytes(content)
    found = opened.found
    append_about(path, description(found.record, found.kept, opened.model))


def _converted(
    opened: _Opened, forms: Sequence[FormName], log: Path
) -> Iterator[tuple[FormName, bytes | str]]:
    """Each form's file, or the operations that rule it out."""
    from bench.train.litert import Unsupported, litert, saved_for_litert

    with ExitStack() as stack:
        with output_in(log):
            images = calibration_images(opened.spec, opened.manifest, opened.model.input.shape[1])
            saved = stack.enter_context(saved_for_litert(opened.model))
        for form in forms:
            with output_in(log):
                try:
                    content: bytes | str = litert(saved, form, images if form == "int8" else None)
                except Unsupported as error:
                    content = str(error)
            yield form, content


def _costs(opened: _Opened, form: FormName) -> PhoneRecord:
    """A form's record before it is converted: what its model is made of."""
    record, spec = opened.found.record, opened.spec
    backbone = spec.model.feature_extractor
    assert backbone is not None, "a model without a backbone sees no image"
    return PhoneRecord(
        trial=record.id,
        form=form,
        epoch=opened.found.kept.epoch,
        parameters=int(opened.model.count_params()),
        flops=backbone_flops(backbone) + head_flops(spec.model, len(record.data["class_names"])),
        environment={
            "bench": bench.__version__,
            "litert": _version("ai-edge-litert"),
            "tensorflow": _version("tensorflow"),
            "processor": processor(),
            "instruction_sets": list(instruction_sets()),
            "threads": processors(),
        },
    )


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:  # TensorFlow comes under other names, too
        return None
