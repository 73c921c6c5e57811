"""A small DeepFashion layout that a test can make odd in one way at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image

from bench.data.manifest import DataIssue, Manifest

UPPER = "1  0 020 030  0 180 030  1 010 150  0 190 150  0 030 270  2 000 000"
LOWER = "2  0 020 030  0 180 030  0 030 270  0 170 270"
FULL = "3  0 020 030  0 180 030  0 010 150  0 190 150  0 040 160  0 160 160  0 030 270  0 170 270"


@dataclass
class Layout:
    """Annotation lines and images, to be changed before `write`."""

    root: Path
    anno: str = "Anno"
    evaluation: str = "Eval"
    images: str = "Img"
    newline: str = "\n"
    categories: list[str] = field(
        default_factory=lambda: ["Anorak         1", "Jeans          2", "Dress          3"]
    )
    labels: list[str] = field(default_factory=list)
    landmarks: list[str] = field(default_factory=list)
    partition: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def add(
        self,
        path: str,
        category: str = "1",
        landmarks: str | None = UPPER,
        part: str | None = "train",
        *,
        on_disk: str | None = "",
        size: tuple[int, int] = (200, 300),
    ) -> None:
        """Add an image with its lines; `on_disk` renames its file, None leaves it out."""
        self.labels.append(f"{path}      {category}")
        if landmarks is not None:
            self.landmarks.append(f"{path}     {landmarks}")
        if part is not None:
            self.partition.append(f"{path}    {part}")
        if on_disk is not None:
            self.image(on_disk or path, size)

    def image(self, path: str, size: tuple[int, int] = (200, 300)) -> Path:
        """Write an image file."""
        file = self.root / self.images / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, "grey").save(file, quality=10)
        return file

    def fill(self, count: int, folder: str = "img/Plain_Top") -> None:
        """Add ordinary images, where a test needs one fault to be below one in a hundred."""
        for index in range(count):
            self.add(f"{folder}/img_{index:08d}.jpg")

    def write(self) -> Path:
        """Write the annotation files; gives the data folder back."""
        for folder, name, header, lines in (
            (self.anno, "list_category_cloth.txt", "category_name  category_type", self.categories),
            (self.anno, "list_category_img.txt", "image_name  category_label", self.labels),
            (self.anno, "list_landmarks.txt", "image_name  clothes_type", self.landmarks),
            (
                self.evaluation,
                "list_eval_partition.txt",
                "image_name  evaluation_status",
                self.partition,
            ),
        ):
            file = self.root / folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            text = [str(self.counts.get(name, len(lines))), header, *lines, ""]
            file.write_bytes(self.newline.join(text).encode("utf-8", "surrogateescape"))
        return self.root


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty layout."""
    return Layout(tmp_path / "data")


def find_oddity(manifest: Manifest, kind: str) -> DataIssue:
    """The one oddity whose kind starts so."""
    found = [oddity for oddity in manifest.issues if oddity.kind.startswith(kind)]
    assert len(found) == 1, [oddity.kind for oddity in manifest.issues]
    return found[0]


@pytest.fixture
def oddity():
    """The function that finds an oddity by the start of its kind."""
    return find_oddity
