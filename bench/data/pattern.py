"""The pattern a garment is cut to, and how patterns are distributed in each category.

Lengths are in the garment's own frame: x to the image's right from the body's middle, y down from
the shoulders at 0 over the waist at 1 to the ankles at 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from bench.data.categories import categories

Range = tuple[float, float]

WAIST, CROTCH, ANKLE = 1.0, 1.5, 3.1
TEXTURES = ("plain", "stripes", "checks", "dots", "floral", "denim", "knit")


@dataclass(frozen=True)
class Pattern:
    """Parameters of one product.

    Args:
        sleeve: Sleeve length, 0 none to 1 at the wrist.
        length: Height of the hem.
        chest: Half the width at the chest.
        waist: Half the width at the waist.
        flare: Half the hem's width (of one leg, with legs) over half the waist's.
        neck_width: Half the width of the neck opening.
        neck_depth: Its depth.
        v_neck: 1 for a pointed opening.
        collar: Height of a standing collar.
        hood: 1 with a hood.
        lapel: 1 with lapels or a shirt collar.
        buttons: 1 with a row of buttons.
        zip: 1 with a zip.
        open: Width of an open front.
        belt: 1 with a belt or drawstring.
        straps: 1 where straps take the shoulders' place.
        legs: 1 with legs.
        cuffs: 1 with ribbed cuffs and hem.
        pockets: 1 with patch pockets.
        bell: How much the sleeve widens.
    """

    sleeve: float = 0.0
    length: float = 1.5
    chest: float = 0.45
    waist: float = 0.38
    flare: float = 1.1
    neck_width: float = 0.18
    neck_depth: float = 0.15
    v_neck: float = 0.0
    collar: float = 0.0
    hood: float = 0.0
    lapel: float = 0.0
    buttons: float = 0.0
    zip: float = 0.0
    open: float = 0.0
    belt: float = 0.0
    straps: float = 0.0
    legs: float = 0.0
    cuffs: float = 0.0
    pockets: float = 0.0
    bell: float = 0.0


NAMES = tuple(field.name for field in fields(Pattern))
_SWITCHES = {
    "v_neck",
    "hood",
    "lapel",
    "buttons",
    "zip",
    "belt",
    "straps",
    "legs",
    "cuffs",
    "pockets",
}

_TYPES: dict[int, dict[str, Range]] = {
    1: {"length": (1.25, 1.55), "chest": (0.44, 0.52), "waist": (0.38, 0.48), "flare": (1.0, 1.15),
        "neck_width": (0.15, 0.24), "neck_depth": (0.1, 0.28)},
    2: {"length": (2.0, 3.0), "waist": (0.32, 0.38), "flare": (0.5, 0.6), "pockets": (0.4, 0.4)},
    3: {"length": (1.9, 2.6), "chest": (0.42, 0.5), "waist": (0.32, 0.44), "flare": (1.2, 2.0),
        "neck_width": (0.15, 0.26), "neck_depth": (0.1, 0.35)},
}  # fmt: skip
"""Ranges by clothes type; of a switch, the probability that it is on."""

_SHORT, _LONG = (0.18, 0.4), (0.85, 1.0)


def _on(*switches: str, often: float = 0.9) -> dict[str, Range]:
    return dict.fromkeys(switches, (often, often))


_KINDS: dict[str, dict[str, Range]] = {
    "Anorak": {"sleeve": _LONG, "chest": (0.52, 0.6), **_on("hood", "zip", "belt")},
    "Blazer": {"sleeve": _LONG, "neck_depth": (0.5, 0.8), "open": (0.0, 0.1), **_on("lapel", "v_neck", "pockets")},
    "Blouse": {"sleeve": (0.3, 1.0), "bell": (0.2, 0.9), "flare": (1.05, 1.3), **_on("v_neck", "buttons", often=0.4)},
    "Bomber": {"sleeve": _LONG, "length": (1.15, 1.35), "collar": (0.06, 0.1), "chest": (0.5, 0.58), **_on("zip", "cuffs")},
    "Button-Down": {"sleeve": _LONG, **_on("buttons", "lapel"), **_on("pockets", often=0.6)},
    "Cardigan": {"sleeve": _LONG, "length": (1.4, 1.9), "open": (0.05, 0.2), "neck_depth": (0.4, 0.8), **_on("v_neck"), **_on("buttons", "cuffs", often=0.6)},
    "Flannel": {"sleeve": _LONG, "chest": (0.48, 0.55), **_on("buttons", "lapel", "pockets")},
    "Halter": {"chest": (0.38, 0.42), "neck_width": (0.08, 0.12), "neck_depth": (0.05, 0.1), "collar": (0.05, 0.08), **_on("straps")},
    "Henley": {"sleeve": (0.5, 1.0), "neck_depth": (0.12, 0.16), **_on("buttons")},
    "Hoodie": {"sleeve": _LONG, "chest": (0.5, 0.58), **_on("hood", "cuffs"), **_on("zip", "belt", "pockets", often=0.6)},
    "Jacket": {"sleeve": _LONG, "chest": (0.48, 0.56), "collar": (0.0, 0.1), **_on("zip"), **_on("lapel", "pockets", often=0.5), **_on("hood", often=0.1)},
    "Jersey": {"sleeve": (0.3, 0.5), "chest": (0.52, 0.6), **_on("v_neck", often=0.6)},
    "Parka": {"sleeve": _LONG, "length": (1.7, 2.0), "chest": (0.52, 0.62), **_on("hood", "zip", "pockets"), **_on("belt", often=0.6)},
    "Peacoat": {"sleeve": _LONG, "length": (1.55, 1.75), "chest": (0.5, 0.56), **_on("lapel", "buttons", "pockets")},
    "Poncho": {"sleeve": (0.1, 0.2), "chest": (0.8, 1.0), "waist": (0.85, 1.05), "flare": (1.0, 1.2), **_on("v_neck", often=0.5)},
    "Sweater": {"sleeve": _LONG, "chest": (0.48, 0.58), "neck_depth": (0.08, 0.18), **_on("cuffs")},
    "Tank": {"chest": (0.38, 0.46), "neck_width": (0.18, 0.26), "neck_depth": (0.22, 0.4), **_on("straps", often=0.7)},
    "Tee": {"sleeve": _SHORT, "neck_depth": (0.08, 0.22), **_on("v_neck", "pockets", often=0.2)},
    "Top": {"sleeve": (0.0, 0.6), "length": (1.05, 1.45), "flare": (0.95, 1.4), **_on("straps", "v_neck", often=0.35)},
    "Turtleneck": {"sleeve": _LONG, "collar": (0.18, 0.26), "neck_depth": (0.02, 0.05), "neck_width": (0.14, 0.17)},
    "Capris": {"length": (2.35, 2.6), **_on("legs", often=1)},
    "Chinos": {"length": (2.95, 3.1), "flare": (0.5, 0.6), **_on("legs", often=1), **_on("pockets", "belt")},
    "Culottes": {"length": (2.1, 2.4), "flare": (0.85, 1.05), **_on("legs", often=1)},
    "Cutoffs": {"length": (1.6, 1.8), "flare": (0.58, 0.72), **_on("legs", often=1), **_on("pockets")},
    "Gauchos": {"length": (2.3, 2.6), "flare": (0.9, 1.1), **_on("legs", often=1), **_on("belt")},
    "Jeans": {"length": (2.85, 3.1), "flare": (0.4, 0.6), **_on("legs", often=1), **_on("pockets")},
    "Jeggings": {"length": (2.85, 3.05), "flare": (0.33, 0.4), **_on("legs", often=1), **_on("pockets", often=0.6)},
    "Jodhpurs": {"length": (2.7, 2.9), "flare": (0.33, 0.4), "waist": (0.4, 0.46), **_on("legs", often=1)},
    "Joggers": {"length": (2.75, 2.95), "flare": (0.45, 0.55), **_on("legs", often=1), **_on("cuffs", "belt")},
    "Leggings": {"length": (2.75, 3.05), "flare": (0.32, 0.38), "pockets": (0.0, 0.0), **_on("legs", often=1)},
    "Sarong": {"length": (2.2, 2.8), "flare": (1.0, 1.25), "open": (0.1, 0.2), **_on("belt")},
    "Shorts": {"length": (1.62, 2.0), "flare": (0.6, 0.8), **_on("legs", often=1), **_on("belt", often=0.4)},
    "Skirt": {"length": (1.65, 2.6), "flare": (1.0, 1.9), "pockets": (0.1, 0.1)},
    "Sweatpants": {"length": (2.8, 3.05), "flare": (0.55, 0.7), **_on("legs", often=1), **_on("belt"), **_on("cuffs", often=0.5)},
    "Sweatshorts": {"length": (1.75, 2.0), "flare": (0.65, 0.8), **_on("legs", "belt", often=1), **_on("cuffs", often=0.7)},
    "Trunks": {"length": (1.7, 1.95), "flare": (0.7, 0.85), **_on("legs", "belt", often=1)},
    "Caftan": {"sleeve": (0.5, 0.8), "chest": (0.6, 0.75), "waist": (0.6, 0.75), "flare": (1.0, 1.3), "length": (2.3, 3.0), "bell": (0.6, 1.2), **_on("v_neck")},
    "Coat": {"sleeve": _LONG, "length": (1.9, 2.4), "chest": (0.5, 0.58), "waist": (0.45, 0.55), "flare": (1.05, 1.3), **_on("lapel", "buttons", "pockets"), **_on("belt", often=0.5)},
    "Coverup": {"sleeve": (0.3, 0.7), "chest": (0.55, 0.65), "waist": (0.5, 0.6), "flare": (1.0, 1.2), "open": (0.0, 0.15)},
    "Dress": {"sleeve": (0.0, 0.8), "length": (1.85, 2.7), "flare": (1.05, 2.2), **_on("straps", often=0.45), **_on("v_neck", "belt", often=0.35)},
    "Jumpsuit": {"sleeve": (0.0, 0.5), "length": (2.8, 3.1), "flare": (0.55, 0.8), **_on("legs", often=1), **_on("straps", "belt", "v_neck", often=0.5)},
    "Kaftan": {"sleeve": (0.5, 0.9), "chest": (0.62, 0.8), "waist": (0.62, 0.8), "flare": (1.0, 1.2), "length": (2.0, 2.8), "bell": (0.6, 1.2), **_on("v_neck", often=0.7)},
    "Kimono": {"sleeve": (0.5, 0.9), "chest": (0.52, 0.64), "waist": (0.5, 0.62), "flare": (1.0, 1.2), "length": (1.6, 2.3), "bell": (0.8, 1.4), "open": (0.15, 0.3), "neck_depth": (0.6, 0.9), **_on("v_neck", often=1)},
    "Onesie": {"sleeve": _LONG, "length": (2.8, 3.05), "flare": (0.5, 0.65), "chest": (0.5, 0.58), "waist": (0.46, 0.54), **_on("legs", often=1), **_on("zip", "cuffs"), **_on("hood", often=0.6)},
    "Robe": {"sleeve": _LONG, "length": (2.1, 2.9), "chest": (0.5, 0.58), "waist": (0.44, 0.52), "flare": (1.1, 1.4), "neck_depth": (0.5, 0.8), "bell": (0.2, 0.6), **_on("v_neck", "belt", often=1), **_on("lapel", often=0.6)},
    "Romper": {"sleeve": (0.0, 0.5), "length": (1.65, 1.95), "flare": (0.65, 0.95), **_on("legs", often=1), **_on("straps", "belt", "v_neck", often=0.5)},
}  # fmt: skip

_TEXTURED: dict[str, dict[str, float]] = {
    "denim": dict.fromkeys(("Jeans", "Jeggings", "Cutoffs"), 8.0) | {"Jacket": 1.5, "Skirt": 0.8},
    "checks": {"Flannel": 12.0, "Button-Down": 2.0, "Shorts": 0.8, "Coat": 0.7},
    "knit": {"Sweater": 6.0, "Cardigan": 4.0, "Turtleneck": 5.0, "Poncho": 3.0, "Hoodie": 0.8},
    "floral": dict.fromkeys(("Kimono", "Caftan", "Kaftan", "Coverup", "Sarong"), 5.0)
    | {"Dress": 1.6, "Romper": 1.8, "Blouse": 1.2, "Trunks": 2.5, "Skirt": 1.2},
    "stripes": {"Jersey": 2.0, "Tee": 1.5, "Tank": 1.2, "Sweater": 1.2},
    "dots": {"Blouse": 0.8, "Dress": 0.7},
}


def sample_pattern(category: int, rng: np.random.Generator) -> Pattern:
    """Sample a pattern of a category.

    Args:
        category: 0-based index into `categories()`; one that occurs in DeepFashion.
        rng: The product's generator.
    """
    kind = categories()[category]
    ranges = _TYPES[kind.clothes_type] | _KINDS[kind.name]
    values = {}
    for name in NAMES:
        low, high = ranges.get(name, (0.0, 0.0))
        position = rng.random()
        values[name] = float(position < low) if name in _SWITCHES else low + (high - low) * position
    if values["straps"]:
        values["sleeve"] = 0.0
    return Pattern(**values)


def sample_texture(category: int, rng: np.random.Generator) -> str:
    """Sample a texture of a category: mostly plain, unless the category has one of its own."""
    name = categories()[category].name
    floor = {"plain": 4.0, "denim": 0.02, "knit": 0.2}
    weights = np.array([_TEXTURED.get(t, {}).get(name, floor.get(t, 0.35)) for t in TEXTURES])
    return TEXTURES[int(rng.choice(len(TEXTURES), p=weights / weights.sum()))]
