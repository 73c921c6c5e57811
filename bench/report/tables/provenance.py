"""Where a study's numbers come from: the ML reproducibility checklist, and the audit's findings.

The checklist's items are those of Pineau et al. 2021 (JMLR 22:164, version 2.0) that a record can
answer; each answer is read from the stored trials, and what was not recorded says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from bench.analysis.arms import Arm, Trial
from bench.paper.audit import Finding
from bench.report.cells import Table
from bench.report.seeds import OWN_IMAGES, varied
from bench.report.units import duration
from bench.store.studies import RecordedTuning, StudyRecord
from bench.store.trials import FailureKind

NOT_RECORDED = "not recorded"


def checklist_table(study: StudyRecord, arms: Sequence[Arm]) -> Table | None:
    """The reproducibility checklist of a study, filled from what was recorded.

    Args:
        study: Its record.
        arms: Its arms as measured.
    """
    trials = [trial for arm in arms for trial in arm.trials.values()]
    if not trials:
        return None
    rows = [{"item": item, "answer": answer} for item, answer in _items(study, arms, trials)]
    return Table(
        f"{study.name}.checklist",
        "Reproducibility checklist",
        "Items of the Machine Learning Reproducibility Checklist (Pineau et al. 2021), answered "
        "from the stored trials.",
        ("item", "answer"),
        tuple(rows),
    )


def _items(
    study: StudyRecord, arms: Sequence[Arm], trials: Sequence[Trial]
) -> Iterator[tuple[str, str]]:
    specs = [trial.spec for trial in trials]
    trained = [spec["train"] for spec in specs if spec.get("train")]
    yield "models", _listed(spec["model"]["kind"] for spec in specs if spec.get("model"))
    yield "parameters trained or kept above a frozen backbone", _range(trials, "parameters")
    yield "data", f"{study.data.label}, fingerprint {study.data.fingerprint[:16]}"
    if study.data.release_differences:
        differs = "; ".join(study.data.release_differences)
        yield "how it differs from DeepFashion's official release", differs
    for part in ("train", "val", "test"):
        counts = sorted({trial.data["images"][part] for trial in trials})
        yield f"{part} images", ", ".join(f"{count:,}" for count in counts)
    yield "how they were divided", _settings(specs, "data", ("split", "sampling", "split_seed"))
    unreadable = {image["image"] for trial in trials for image in trial.data["unreadable"]}
    yield "images left out as unreadable", f"{len(unreadable):,}"
    yield "backbone weights", _listed(_environment(trials, "backbone_weights"))
    yield "optimiser", _listed(train["optimizer"] for train in trained)
    for name in ("learning_rate", "batch_size", "epochs", "patience", "selection"):
        yield name.replace("_", " "), _listed(train.get(name) for train in trained)
    yield "how hyper-parameters were chosen", _tuned(study.tuning)
    yield "design", f"{study.design}, {len(arms)} arms, control {study.control}"
    yield "seeds", ", ".join(str(seed) for seed in study.seeds)
    yield "what varies with a seed", _listed((varied(spec) for spec in specs), "; ")
    yield "evaluation", _settings(specs, "eval", ("protocol", "precision_recall"))
    yield "intervals", _intervals(arms)
    seconds = [trial.timings["total"] for trial in trials if "total" in trial.timings]
    yield "time a trial, median", duration(float(np.median(seconds))) if seconds else NOT_RECORDED
    yield "time of all trials", duration(sum(seconds)) if seconds else NOT_RECORDED
    yield "arithmetic", _listed(train.get("arithmetic", "native") for train in trained)
    yield "processor", _listed(_environment(trials, "processor"))
    yield "machine", _listed(_environment(trials, "machine"))
    yield "cores of the machine", _listed(_environment(trials, "cores"))
    yield "threads a trial", _listed(_environment(trials, "threads"))
    yield "Python", _listed(_environment(trials, "python"))
    yield "Keras", _listed(_environment(trials, "keras"))
    yield "backend", _listed(_environment(trials, "backend"))
    for backend, name in {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}.items():
        if versions := _environment(trials, backend):
            yield name, _listed(versions)
    yield "bench", _listed(_environment(trials, "bench"))
    yield "commit of the bench", _listed(_environment(trials, "commit"))
    dates = sorted(_environment(trials, "begun"))
    yield "dates", f"{dates[0]} to {dates[-1]}" if dates else NOT_RECORDED
    for what, diverged in (("diverged trials", True), ("failed trials", False)):
        named = {
            f"{arm.name}, seed {seed}"
            for arm in arms
            for seed, failure in arm.failed.items()
            if (failure.kind == FailureKind.DIVERGED) == diverged
        }
        yield what, ", ".join(sorted(named)) or "none"
    missing = sum(arm.planned - len(arm.trials) - len(arm.failed) for arm in arms)
    yield "trials still missing", f"{missing:,}"


def _intervals(arms: Sequence[Arm]) -> str:
    text = "95 %, over seeds and test images; p-values corrected by Holm's method"
    return f"{text}. {OWN_IMAGES}" if any(arm.own_images for arm in arms) else text


def _tuned(tuning: RecordedTuning | None) -> str:
    if tuning is None:
        return "as the study says; none was tuned here"
    return (
        f"{', '.join(tuning.space)} by {tuning.algorithm} search (KerasTuner), the same "
        f"budget for every arm, judged by {tuning.metric} on the validation images at seeds "
        f"{', '.join(str(seed) for seed in tuning.seeds)}; the others as the study says"
    )


def audit_table(paper: str, findings: Sequence[Finding]) -> Table:
    """What arithmetic alone says of the published figures.

    Args:
        paper: The paper's name.
        findings: The audit's findings.
    """
    order = ("impossible", "suspicious", "cannot tell", "possible", "consistent")
    rows = [
        {
            "check": finding.check,
            "row": finding.row or "–",
            "metric": finding.metric or "–",
            "verdict": finding.verdict,
            "calculation": finding.calculation,
            "source": finding.source,
        }
        for finding in sorted(findings, key=lambda found: order.index(found.verdict))
    ]
    return Table(
        "audit",
        "The audit: what arithmetic alone says",
        f"{paper}. No data and no model, only the figures as printed, the sizes as stated and the "
        "class counts; a verdict is about figures, never about who printed them. Impossible: it "
        "contradicts itself under every usual rounding; suspicious: it asks for an explanation.",
        ("check", "row", "metric", "verdict", "calculation", "source"),
        tuple(rows),
    )


def _environment(trials: Iterable[Trial], name: str) -> list[str]:
    found = (trial.environment.get(name) for trial in trials)
    return [str(value) for value in found if value is not None]


def _settings(specs: Iterable[dict[str, Any]], group: str, names: Sequence[str]) -> str:
    found = (
        ", ".join(f"{name.replace('_', ' ')} {spec[group][name]}" for name in names)
        for spec in specs
        if spec.get(group)
    )
    return _listed(found, "; ")


def _range(trials: Iterable[Trial], name: str) -> str:
    values = sorted({int(value) for value in _environment(trials, name)})
    if not values:
        return NOT_RECORDED
    return f"{values[0]:,}" + (f" to {values[-1]:,}" if len(values) > 1 else "")


def _listed(values: Iterable[Any], separator: str = ", ") -> str:
    found = dict.fromkeys("–" if value is None else str(value) for value in values)
    return separator.join(found) or NOT_RECORDED
