"""Checks a source before anything is trained on it: what is in it, and its issues."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from bench.data.archives import packed
from bench.data.attributes import (
    ANSWERS_FILE,
    ATTRIBUTE_TYPES,
    NAMES_FILE,
    YES,
    Attributes,
    load_attributes,
)
from bench.data.images import decode_batch
from bench.data.issues import IssueLog
from bench.data.item_counts import ItemCounts, Table, count_items
from bench.data.layout import ANNOTATION_FOLDERS, locate
from bench.data.manifest import (
    ABSENT,
    CLOTHES_TYPES,
    LANDMARKS,
    OCCLUDED,
    OUTSIDE,
    PARTITIONS,
    VARIATIONS,
    VISIBLE,
    DataIssue,
    Manifest,
)
from bench.data.sources import data_label
from bench.errors import BenchError

MOST_EMPTY = 5
"""Classes without an image that are listed; of more, there is one row that counts them."""

UNREADABLE_SHARE = 0.01
"""The share of images that cannot be decoded above which a source counts as faulty."""

SPLITS = (*PARTITIONS, "none")
"""Columns of the counts: the official partition, and the images it does not name."""

TYPES = ("unknown", *CLOTHES_TYPES.values())
VISIBILITIES = {"visible": VISIBLE, "occluded": OCCLUDED, "outside": OUTSIDE, "absent": ABSENT}

_DECODED_SIZE = 64
_CHUNK = 256


@dataclass(frozen=True)
class CheckReport:
    """What is in a source.

    Args:
        source: Kind of source.
        data: The data as every table and figure names it.
        root: Its folder.
        fingerprint: Its content's hash.
        images: How many images can be used.
        decoded: Whether every image was decoded.
        classes: Images by class name, then by split (`SPLITS`).
        types: Images by clothes type, then by split.
        variations: Images by pose and zoom, then by split; empty where the source does not say.
        landmarks: Landmarks by channel, then by visibility.
        attributes: By type of attribute, how many there are, and how many of them an image has
            on average; empty without attributes.
        items: What there is of items; None where each image has one garment.
        issues: Its issues, blocking kinds first.
    """

    source: str
    data: str
    root: str
    fingerprint: str
    images: int
    decoded: bool
    classes: dict[str, dict[str, int]]
    types: dict[str, dict[str, int]]
    variations: dict[str, dict[str, int]]
    landmarks: dict[str, dict[str, int]]
    attributes: dict[str, dict[str, float]]
    items: ItemCounts | None
    issues: tuple[DataIssue, ...]

    @property
    def blocking(self) -> bool:
        """Whether training on the source as it stands would be wrong."""
        return any(issue.blocking for issue in self.issues)

    def to_json(self) -> dict[str, object]:
        """Everything as plain values, for `json.dumps`."""
        return {
            "source": self.source,
            "data": self.data,
            "root": self.root,
            "fingerprint": self.fingerprint,
            "images": self.images,
            "decoded": self.decoded,
            "classes": self.classes,
            "types": self.types,
            "landmarks": self.landmarks,
            "attributes": self.attributes,
            "items": None if self.items is None else asdict(self.items),
            "oddities": [
                {
                    "kind": issue.kind,
                    "count": issue.count,
                    "examples": list(issue.examples),
                    "harmful": issue.blocking,
                }
                for issue in self.issues
            ],
            "harmful": self.blocking,
        } | ({"variations": self.variations} if self.variations else {})

    def tables(self) -> list[Table]:
        """Title, headers and rows of each table, as text ready to print."""
        tables = [] if self.items is None else self.items.tables()
        if self.items is None:
            tables.append(_counts("Images by class", "class", self.classes))
            tables.append(_counts("Images by clothes type", "type", self.types))
        if self.variations:
            tables.append(_counts("Images by variation", "variation", self.variations))
        if any(row["absent"] < self.images for row in self.landmarks.values()):
            rows = [
                [channel, *(f"{row[name]:,}" for name in VISIBILITIES)]
                for channel, row in self.landmarks.items()
            ]
            tables.append(("Landmarks", ["landmark", *VISIBILITIES], rows))
        if self.attributes:
            rows = [
                [kind, f"{row['attributes']:,}", f"{row['an image']:.2f}"]
                for kind, row in self.attributes.items()
            ]
            tables.append(("Attributes", ["type", "attributes", "an image"], rows))
        rows = [
            [i.kind, f"{i.count:,}", "yes" if i.blocking else "no", "\n".join(i.examples)]
            for i in self.issues
        ]
        tables.append(("Issues", ["what", "count", "blocking", "examples"], rows))
        return tables


def check(
    manifest: Manifest,
    *,
    decode: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Count what is in a source, and report its issues.

    Args:
        manifest: The source.
        decode: Also decode every image, which finds truncated ones.
        progress: Called with (images decoded, images).

    Returns:
        The report.
    """
    issues = manifest.issues
    attributes, fault = _attributes(manifest)
    issues += fault if attributes is None else attributes.issues
    if attributes is not None and attributes.left_out:
        kind = "attribute line that is malformed or names no image (left out)"
        issues += (DataIssue(kind, attributes.left_out),)
    if decode:
        issues += _undecodable(manifest, progress)
    split = np.where(manifest.partition < 0, len(PARTITIONS), manifest.partition)
    types = _cross(manifest.clothes_type, TYPES, split)
    items = count_items(manifest)
    return CheckReport(
        source=manifest.source,
        data=data_label(manifest),
        root=str(manifest.root),
        fingerprint=manifest.fingerprint,
        images=len(manifest),
        decoded=decode,
        classes={} if items else _cross(manifest.category, manifest.class_names, split),
        types={} if items else _occurring(types),
        variations={}
        if manifest.variation is None
        else _occurring(_cross(manifest.variation, ("unknown", *VARIATIONS.values()), split)),
        landmarks={
            channel: {
                name: int((manifest.visibility[:, index] == flag).sum())
                for name, flag in VISIBILITIES.items()
            }
            for index, channel in enumerate(LANDMARKS)
        },
        attributes={} if attributes is None else _by_type(attributes),
        items=items,
        issues=tuple(sorted(issues, key=lambda issue: not issue.blocking)),
    )


def _attributes(manifest: Manifest) -> tuple[Attributes | None, tuple[DataIssue, ...]]:
    """The attributes, or why they cannot be read: all else is still counted."""
    log = IssueLog()
    try:
        attributes = load_attributes(manifest)
    except BenchError as error:
        kind = "attribute files that no system can be trained on"
        log.add(kind, f"{error.where}: {error.what}", blocking=True)
        return None, log.issues()
    if attributes is None and locate(manifest.root, ANNOTATION_FOLDERS, NAMES_FILE) is not None:
        hint = packed(manifest.root, ANNOTATION_FOLDERS)
        log.add("names of attributes without the images' answers", hint or ANSWERS_FILE)
    return attributes, log.issues()


def _by_type(attributes: Attributes) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for number, kind in ATTRIBUTE_TYPES.items():
        of_kind = attributes.answers[:, attributes.types == number]
        had = float((of_kind == YES).sum(axis=1).mean()) if of_kind.size else 0.0
        found[kind] = {"attributes": of_kind.shape[1], "an image": had}
    return found


def _undecodable(
    manifest: Manifest, progress: Callable[[int, int], None] | None
) -> tuple[DataIssue, ...]:
    faults: list[str] = []
    paths = manifest.paths.tolist()
    for at in range(0, len(paths), _CHUNK):
        part = paths[at : at + _CHUNK]
        _, unreadable = decode_batch(manifest.root, part, _DECODED_SIZE, upright=manifest.upright)
        faults += [f"{part[row]}: {reason}" for row, reason in unreadable]
        if progress is not None:
            progress(at + len(part), len(paths))
    log = IssueLog()
    for reason in faults:
        log.add(
            "image that cannot be decoded",
            reason,
            blocking=len(faults) > UNREADABLE_SHARE * len(paths),
        )
    return log.issues()


def _cross(
    values: np.ndarray, names: tuple[str, ...], split: np.ndarray
) -> dict[str, dict[str, int]]:
    table = np.zeros((len(names), len(SPLITS)), dtype=np.int64)
    np.add.at(table, (values.astype(np.int64), split.astype(np.int64)), 1)
    return {
        name: dict(zip(SPLITS, row, strict=True))
        for name, row in zip(names, table.tolist(), strict=True)
    }


def _occurring(counts: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {name: row for name, row in counts.items() if any(row.values())}


def _counts(title: str, what: str, counts: dict[str, dict[str, int]]) -> Table:
    empty = sum(not any(row.values()) for row in counts.values())
    folded = empty > MOST_EMPTY
    rows = [
        [name, *(f"{row[split]:,}" for split in SPLITS), f"{sum(row.values()):,}"]
        for name, row in counts.items()
        if not folded or any(row.values())
    ]
    if folded:
        nothing = ["0"] * (len(SPLITS) + 1)
        rows.append([f"{empty} more without an image", *nothing])
    totals = [sum(row[split] for row in counts.values()) for split in SPLITS]
    rows.append(["total", *(f"{total:,}" for total in totals), f"{sum(totals):,}"])
    return title, [what, *SPLITS, "total"], rows
