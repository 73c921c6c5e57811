"""Where a study's numbers come from: the ML reproducibility checklist, and the audit's findings.

The checklist's items are those of Pineau et al. 2021 (JMLR 22:164, version 2.0) that a record can
answer; each answer is read from the stored trials, and what was not recorded says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from bench.analysis.arms import Arm
from bench.display import duration
from bench.paper.audit import Finding
from bench.record import TrialRecord
from bench.report.cells import Table

NOT_RECORDED = "not recorded"


def checklist_table(study: dict[str, Any], arms: Sequence[Arm]) -> Table | None:
    """The reproducibility checklist of a study, filled from what was recorded.

    Args:
        study: Its record.
        arms: Its arms as measured.
    """
    records = [trial.record for arm in arms for trial in arm.trials.values()]
    if not records:
        return None
    rows = [{"item": item, "answer": answer} for item, answer in _items(study, arms, records)]
    return Table(
        f"{study['name']}.checklist",
        "Reproducibility checklist",
        "Items of the Machine Learning Reproducibility Checklist (Pineau et al. 2021), answered "
        "from the stored trials.",
        ("item", "answer"),
        tuple(rows),
    )


def _items(
    study: dict[str, Any], arms: Sequence[Arm], records: Sequence[TrialRecord]
) -> Iterator[tuple[str, str]]:
    specs = [record.spec for record in records]
    trained = [spec["train"] for spec in specs if spec.get("train")]
    yield "models", _listed(spec["model"]["kind"] for spec in specs if spec.get("model"))
    yield "parameters trained or kept above a frozen backbone", _range(records, "parameters")
    yield "data", f"{study['data']['label']}, fingerprint {study['data']['fingerprint'][:16]}"
    for part in ("train", "val", "test"):
        counts = sorted({record.data["images"][part] for record in records})
        yield f"{part} images", ", ".join(f"{count:,}" for count in counts)
    yield "how they were divided", _settings(specs, "data", ("split", "sampling", "split_seed"))
    unreadable = {image["image"] for record in records for image in record.data["unreadable"]}
    yield "images left out as unreadable", f"{len(unreadable):,}"
    yield "backbone weights", _listed(_environment(records, "backbone_weights"))
    yield "optimiser", _listed(train["optimizer"] for train in trained)
    for name in ("learning_rate", "batch_size", "epochs", "patience", "selection"):
        yield name.replace("_", " "), _listed(train.get(name) for train in trained)
    yield "how hyper-parameters were chosen", _tuned(study)
    yield "design", f"{study['design']}, {len(arms)} arms, control {study['control']}"
    yield "seeds", ", ".join(str(seed) for seed in study["seeds"])
    yield "evaluation", _settings(specs, "eval", ("protocol", "precision_recall"))
    yield "intervals", "95 %, over seeds and test images; p-values corrected by Holm's method"
    seconds = [record.timings["total"] for record in records if "total" in record.timings]
    yield "time a trial, median", duration(float(np.median(seconds))) if seconds else NOT_RECORDED
    yield "time of all trials", duration(sum(seconds)) if seconds else NOT_RECORDED
    yield "machine", _listed(_environment(records, "machine"))
    yield "cores of the machine", _listed(_environment(records, "cores"))
    yield "threads a trial", _listed(_environment(records, "threads"))
    yield "Python", _listed(_environment(records, "python"))
    yield "Keras", _listed(_environment(records, "keras"))
    yield "backend", _listed(_environment(records, "backend"))
    yield "bench", _listed(_environment(records, "bench"))
    yield "commit of the bench", _listed(_environment(records, "commit"))
    dates = sorted(_environment(records, "begun"))
    yield "dates", f"{dates[0]} to {dates[-1]}" if dates else NOT_RECORDED
    failed = {f"{arm.name}, seed {seed}" for arm in arms for seed in arm.failed}
    yield "failed trials", ", ".join(sorted(failed)) or "none"
    missing = sum(arm.planned - len(arm.trials) - len(arm.failed) for arm in arms)
    yield "trials still missing", f"{missing:,}"


def _tuned(study: dict[str, Any]) -> str:
    tuning = study.get("tuning")
    if tuning is None:
        return "as the study says; none was tuned here"
    return (
        f"{', '.join(tuning['space'])} by {tuning['algorithm']} search (KerasTuner), the same "
        f"budget for every arm, judged by {tuning['metric']} on the validation images at seeds "
        f"{', '.join(str(seed) for seed in tuning['seeds'])}; the others as the study says"
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


def _environment(records: Iterable[TrialRecord], name: str) -> list[str]:
    found = (record.environment.get(name) for record in records)
    return [str(value) for value in found if value is not None]


def _settings(specs: Iterable[dict[str, Any]], group: str, names: Sequence[str]) -> str:
    found = (
        ", ".join(f"{name.replace('_', ' ')} {spec[group][name]}" for name in names)
        for spec in specs
        if spec.get(group)
    )
    return _listed(found, "; ")


def _range(records: Iterable[TrialRecord], name: str) -> str:
    values = sorted({int(value) for value in _environment(records, name)})
    if not values:
        return NOT_RECORDED
    return f"{values[0]:,}" + (f" to {values[-1]:,}" if len(values) > 1 else "")


def _listed(values: Iterable[Any], separator: str = ", ") -> str:
    found = dict.fromkeys("–" if value is None else str(value) for value in values)
    return separator.join(found) or NOT_RECORDED
