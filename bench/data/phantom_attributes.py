"""The attributes of the phantom's garments, in DeepFashion's `list_attr_*` files.

Each follows from the pattern and the texture of a product, so that it can be seen in the picture.
They are written next to the phantom's other files, and nothing is rendered for them: the images,
and the identity of a trial that does not train on attributes, stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.data.attributes import ANSWERS_FILE, NAMES_FILE, NO, YES
from bench.data.categories import categories
from bench.data.pattern import ANKLE, Pattern
from bench.files.atomic import new_file

ATTRIBUTES_VERSION = 1
"""Raised by hand whenever the same product would have other attributes than before."""

ATTRIBUTES_MARK = "phantom-attributes.json"
"""Beside the phantom's own mark; written last, so that attributes with it are whole."""

UPPER, LOWER = 1, 2
_KNEE, _CALF, _HIP = 2.15, 2.6, 1.3


@dataclass(frozen=True)
class Look:
    """What an attribute depends on.

    Args:
        kind: Clothes type, 1 upper, 2 lower, 3 full body.
        pattern: The product's pattern.
        texture: Its texture.
    """

    kind: int
    pattern: Pattern
    texture: str

    @property
    def top(self) -> bool:
        """Whether it has what is worn above the waist."""
        return self.kind != LOWER

    @property
    def bottom(self) -> bool:
        """Whether it reaches below the waist as more than a hem."""
        return self.kind != UPPER


TEXTURE, FABRIC, SHAPE, PART, STYLE = 1, 2, 3, 4, 5

Rule = Callable[[Look], bool]


def _texture(*names: str) -> Rule:
    return lambda look: look.texture in names


def _part(name: str) -> Rule:
    return lambda look: bool(getattr(look.pattern, name))


PHANTOM_ATTRIBUTES: dict[str, tuple[int, Rule]] = {
    "solid": (TEXTURE, _texture("plain")),
    "striped": (TEXTURE, _texture("stripes")),
    "checked": (TEXTURE, _texture("checks")),
    "dotted print": (TEXTURE, _texture("dots")),
    "floral print": (TEXTURE, _texture("floral")),
    "printed": (TEXTURE, _texture("dots", "floral")),
    "denim": (FABRIC, _texture("denim")),
    "knit": (FABRIC, _texture("knit")),
    "woven": (FABRIC, _texture("plain", "stripes", "checks", "dots", "floral")),
    "cropped": (SHAPE, lambda look: look.kind == UPPER and look.pattern.length < _HIP),
    "longline": (SHAPE, lambda look: look.kind == UPPER and look.pattern.length > 1.6),
    "mini": (SHAPE, lambda look: look.bottom and look.pattern.length < 2.0),
    "knee length": (SHAPE, lambda look: look.bottom and 2.0 <= look.pattern.length < _KNEE),
    "midi": (SHAPE, lambda look: look.bottom and _KNEE <= look.pattern.length < _CALF),
    "ankle length": (SHAPE, lambda look: look.bottom and look.pattern.length >= 0.9 * ANKLE),
    "fitted": (SHAPE, lambda look: look.top and look.pattern.chest < 0.45),
    "oversized": (SHAPE, lambda look: look.top and look.pattern.chest > 0.55),
    "a-line": (SHAPE, lambda look: not look.pattern.legs and look.pattern.flare > 1.4),
    "skinny leg": (SHAPE, lambda look: bool(look.pattern.legs) and look.pattern.flare < 0.45),
    "wide leg": (SHAPE, lambda look: bool(look.pattern.legs) and look.pattern.flare > 0.75),
    "sleeveless": (PART, lambda look: look.top and look.pattern.sleeve <= 0.05),
    "short sleeve": (PART, lambda look: look.top and 0.05 < look.pattern.sleeve < 0.45),
    "half sleeve": (PART, lambda look: look.top and 0.45 <= look.pattern.sleeve < 0.8),
    "long sleeve": (PART, lambda look: look.top and look.pattern.sleeve >= 0.8),
    "bell sleeve": (PART, lambda look: look.top and look.pattern.bell > 0.5),
    "spaghetti strap": (PART, lambda look: look.top and bool(look.pattern.straps)),
    "v-neck": (PART, lambda look: look.top and bool(look.pattern.v_neck)),
    "round neck": (PART, lambda look: look.top and not look.pattern.v_neck),
    "deep neckline": (PART, lambda look: look.top and look.pattern.neck_depth > 0.3),
    "high neck": (PART, lambda look: look.top and look.pattern.collar > 0.05),
    "hooded": (PART, lambda look: look.top and bool(look.pattern.hood)),
    "lapel": (PART, lambda look: look.top and bool(look.pattern.lapel)),
    "button front": (PART, lambda look: look.top and bool(look.pattern.buttons)),
    "zip front": (PART, lambda look: look.top and bool(look.pattern.zip)),
    "open front": (PART, lambda look: look.top and look.pattern.open > 0.03),
    "belted": (PART, _part("belt")),
    "pocket": (PART, _part("pockets")),
    "ribbed cuff": (PART, _part("cuffs")),
    "sporty": (STYLE, lambda look: bool(look.pattern.cuffs or look.pattern.hood)),
    "tailored": (STYLE, lambda look: bool(look.pattern.lapel and look.pattern.buttons)),
    "summer": (STYLE, lambda look: look.pattern.length < 2.2 and look.pattern.sleeve < 0.45),
}  # fmt: skip
"""Attribute -> its type, and what a garment must be to have it."""


def has_attributes(root: Path) -> bool:
    """Whether a phantom's attribute files are there, of this version and whole."""
    try:
        mark = json.loads((root / ATTRIBUTES_MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(mark == {"version": ATTRIBUTES_VERSION})


def answers_of(category: int, pattern: Pattern, texture: str) -> list[int]:
    """-1 or 1 for each of `PHANTOM_ATTRIBUTES`.

    Args:
        category: 0-based index into `categories()`.
        pattern: The product's pattern.
        texture: Its texture.
    """
    look = Look(categories()[category].clothes_type, pattern, texture)
    return [YES if rule(look) else NO for _, rule in PHANTOM_ATTRIBUTES.values()]


def write_attributes(root: Path, images: Iterable[tuple[str, list[int]]]) -> None:
    """Write a phantom's attribute files; each appears whole, their mark last.

    Args:
        root: The phantom.
        images: Path of each image, as the label file writes it, and its answers.
    """
    names = [f"{name:<30} {kind}" for name, (kind, _) in PHANTOM_ATTRIBUTES.items()]
    rows = [f"{path:<70} {' '.join(f'{a:2d}' for a in answers)}" for path, answers in images]
    for file, header, lines in (
        (NAMES_FILE, "attribute_name  attribute_type", names),
        (ANSWERS_FILE, "image_name  attribute_labels", rows),
    ):
        _write(root / "Anno" / file, "\n".join([str(len(lines)), header, *lines]) + "\n")
    _write(root / ATTRIBUTES_MARK, json.dumps({"version": ATTRIBUTES_VERSION}) + "\n")


def _write(path: Path, text: str) -> None:
    with new_file(path) as draft:
        draft.write_text(text, encoding="utf-8")
