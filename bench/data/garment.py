"""Renders a photograph of a garment from its pattern: pose, cloth, light, background, occlusion.

A pure function of the two generators it is given. "Left" is the image's left, as the first point
of each pair in DeepFashion's annotation lines is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from bench.data.categories import categories
from bench.data.manifest import ABSENT, CHANNELS_OF_TYPE, OCCLUDED, OUTSIDE, VISIBLE
from bench.data.pattern import CROTCH, WAIST, Pattern, sample_pattern, sample_texture

LONGEST = 300
OVERSAMPLING = 2
SEAM, CLOTH = 90, 200
ARM = 1.5
"""Length of a sleeve that reaches the wrist."""

SIDES = {-1: "left", 1: "right"}
"""Sides of the image by the sign of x."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Photograph:
    """A rendered photograph.

    Args:
        pixels: `(height, width, 3)` uint8, longest side 300.
        landmarks: `(8, 2)` float32 (x, y) in pixels, NaN where absent.
        visibility: `(8,)` int8: 0 visible, 1 occluded, 2 outside the image, -1 absent.
        box: Garment's bounding box (x1, y1, x2, y2) in pixels, within the image.
    """

    pixels: np.ndarray
    landmarks: np.ndarray
    visibility: np.ndarray
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Cloth:
    """What all photographs of a product share: pattern, texture and colours."""

    category: int
    pattern: Pattern
    texture: str
    colour: np.ndarray
    second: np.ndarray
    accent: np.ndarray
    scale: float
    phase: float


@dataclass
class Drawing:
    """Outlines in the garment's frame, in painting order: (points, shade of 0..255, accent).

    `landmarks` are DeepFashion's, by channel; `lines` are the edges and seams, by name, that
    DeepFashion2's lie along.
    """

    parts: list[tuple[list[Point], int, bool]] = field(default_factory=list)
    seams: list[tuple[list[Point], float]] = field(default_factory=list)
    knobs: list[tuple[Point, float]] = field(default_factory=list)
    holes: list[list[Point]] = field(default_factory=list)
    landmarks: dict[int, Point] = field(default_factory=dict)
    lines: dict[str, list[Point]] = field(default_factory=dict)


def sample_cloth(category: int, rng: np.random.Generator) -> Cloth:
    """Sample a product of a category.

    Args:
        category: 0-based index into `categories()`.
        rng: The product's generator.
    """
    pattern = sample_pattern(category, rng)
    texture = sample_texture(category, rng)
    colour = rng.uniform(25, 235, 3)
    if texture == "denim":
        colour = np.array([60.0, 85.0, 130.0]) * rng.uniform(0.5, 1.5) + rng.uniform(-12, 12, 3)
    elif rng.random() < 0.4:
        colour = np.full(3, rng.uniform(20, 240)) + rng.uniform(-15, 15, 3)
    return Cloth(
        category=category,
        pattern=pattern,
        texture=texture,
        colour=np.clip(colour, 5, 250),
        second=np.clip(colour + rng.choice([-1.0, 1.0]) * rng.uniform(35, 110, 3), 5, 250),
        accent=rng.uniform(15, 245, 3),
        scale=float(rng.uniform(0.6, 1.6)),
        phase=float(rng.uniform(0, 6.28)),
    )


def render_photograph(cloth: Cloth, rng: np.random.Generator) -> Photograph:
    """Render a photograph of a product.

    Args:
        cloth: The product.
        rng: The photograph's generator.
    """
    aspect = rng.uniform(0.55, 1.0) if rng.random() < 0.85 else rng.uniform(1.0, 1.4)
    width, height = (
        (max(round(LONGEST * aspect), 120), LONGEST)
        if aspect <= 1
        else (LONGEST, round(LONGEST / aspect))
    )
    drawing = cut(cloth, rng)
    to_pixels = _pose(drawing, width, height, rng)

    scene = background(cloth.colour, width, height, rng)
    if rng.random() < 0.5:
        body(scene, to_pixels, rng)
    pixels, cover = paint(np.asarray(scene, np.float32), cloth, drawing, to_pixels)
    pixels = light(pixels, rng)
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    hidden = _occlude(picture, rng)

    landmarks = np.full((8, 2), np.nan, np.float32)
    visibility = np.full(8, ABSENT, np.int8)
    for channel, point in drawing.landmarks.items():
        x, y = to_pixels(np.array([point]))[0]
        landmarks[channel] = np.clip((x, y), 0, (width - 1, height - 1))
        if not (0 <= x < width and 0 <= y < height):
            visibility[channel] = OUTSIDE
        else:
            visibility[channel] = OCCLUDED if hidden[int(y), int(x)] else VISIBLE
    return Photograph(
        pixels=np.asarray(picture),
        landmarks=landmarks,
        visibility=visibility,
        box=_box(cover),
    )


def paint(
    pixels: np.ndarray, cloth: Cloth, drawing: Drawing, to_pixels: Affine
) -> tuple[np.ndarray, np.ndarray]:
    """Paint a garment over a picture.

    Args:
        pixels: `(height, width, 3)` float32, the picture so far.
        cloth: The product.
        drawing: Its outlines.
        to_pixels: Where they are in the picture.

    Returns:
        The picture, and how much of each pixel the garment covers, `(height, width)` in [0, 1].
    """
    height, width = pixels.shape[:2]
    cover, shade, accent = _masks(drawing, to_pixels, width, height)
    texture = _weave(cloth, to_pixels, width, height)
    texture = texture * (1 - accent[..., None]) + cloth.accent * accent[..., None]
    garment = texture * (shade[..., None] / CLOTH)
    return pixels * (1 - cover[..., None]) + garment * cover[..., None], cover


def cut(cloth: Cloth, rng: np.random.Generator) -> Drawing:
    """The garment's outlines in a pose of the arms and legs."""
    kind = categories()[cloth.category].clothes_type
    pattern = cloth.pattern
    drawing = Drawing()
    if kind != 2 and pattern.hood:
        rim = [
            (0.34 * np.cos(t), -0.16 + 0.36 * np.sin(t)) for t in np.linspace(np.pi, 2 * np.pi, 12)
        ]
        drawing.parts.append(([*rim, (0.3, 0.12), (-0.3, 0.12)], 150, False))
        drawing.holes.append([(x * 0.62, (y + 0.16) * 0.6 - 0.12) for x, y in rim])
    if kind != 2:
        _sleeves(drawing, pattern, rng)
        _torso(drawing, pattern, kind, rng)
    if kind != 1:
        _below_waist(drawing, pattern, kind, rng)
    if kind != 2:
        _front(drawing, pattern, kind)
    drawing.landmarks = {c: drawing.landmarks[c] for c in CHANNELS_OF_TYPE[kind]}
    return drawing


def _sleeves(drawing: Drawing, pattern: Pattern, rng: np.random.Generator) -> None:
    lift, asymmetry = rng.uniform(0.12, 0.75), rng.normal(0, 0.12, 2)
    shoulder = min(pattern.chest * 0.86, 0.52)
    for side, channel, tilt in ((-1, 2, asymmetry[0]), (1, 3, asymmetry[1])):
        angle = max(lift + tilt, 0.05)
        along = np.array([side * np.sin(angle), np.cos(angle)])
        across = np.array([side * np.cos(angle), -np.sin(angle)])
        top = np.array([side * shoulder, 0.07])
        length = ARM * pattern.sleeve
        end = top + along * length
        wide, narrow = 0.15 + 0.12 * (pattern.chest - 0.4), 0.11 + 0.2 * pattern.bell
        if pattern.sleeve > 0.05:
            narrow = wide + (narrow - wide) * min(pattern.sleeve + 0.3, 1)
            inner = top + np.array([-side * 0.02, 0.16])
            outline = [top + across * wide * 0.4, end + across * narrow, end - across * narrow]
            outline += [inner - across * wide, inner - np.array([side * 0.16, 0.1])]
            drawing.parts.append(([tuple(p) for p in outline], 178, False))
            armpit = (side * pattern.chest, 0.42)
            drawing.lines[f"{SIDES[side]} upper sleeve"] = [tuple(p) for p in outline[:2]]
            drawing.lines[f"{SIDES[side]} lower sleeve"] = [tuple(outline[2]), armpit]
            if pattern.cuffs:
                back = end - along * 0.09
                cuff = [end + across * narrow, end - across * narrow]
                cuff += [back - across * narrow, back + across * narrow]
                drawing.parts.append(([tuple(p) for p in cuff], 150, False))
        place = end if pattern.sleeve > 0.05 else top + np.array([0.0, 0.05])
        if pattern.straps:
            place = np.array([side * pattern.chest * 0.9, 0.32])
        drawing.landmarks[channel] = (float(place[0]), float(place[1]))


def _torso(drawing: Drawing, pattern: Pattern, kind: int, rng: np.random.Generator) -> None:
    shoulder = min(pattern.chest * 0.86, 0.52)
    bottom = pattern.length if kind == 1 else WAIST
    hem = pattern.waist * pattern.flare if kind == 1 else pattern.waist
    neck = min(pattern.neck_width, shoulder - 0.04)
    if pattern.straps:
        neck = max(neck, 0.2)
        right = [(pattern.chest * 0.75, 0.22), (pattern.chest, 0.42)]
        for side in (-1, 1):
            x = side * neck
            strap = [
                (x - 0.03, 0.0),
                (x + 0.03, 0.0),
                (x * 1.15 + 0.03, 0.3),
                (x * 1.15 - 0.03, 0.3),
            ]
            drawing.parts.append((strap, 185, False))
        top = [(-neck * 1.1, 0.26), (0.0, 0.26 + pattern.neck_depth * 0.5), (neck * 1.1, 0.26)]
    else:
        right = [(shoulder, 0.06), (shoulder * 0.96, 0.32), (pattern.chest, 0.42)]
        top = _neckline(neck, pattern)
    right += [(pattern.waist, 0.95)] if kind == 1 else []
    right += [(hem, bottom)]
    left = [(-x, y) for x, y in reversed(right)]
    sag = rng.uniform(0.0, 0.05)
    drawing.parts.append(([*top, *right, (0.0, bottom + sag), *left], CLOTH, False))
    drawing.lines["neckline"] = top
    for side, edge in ((-1, left[::-1]), (1, right)):
        armpit = edge.index((side * pattern.chest, 0.42))
        drawing.lines[f"{SIDES[side]} armhole"] = edge[: armpit + 1]
        drawing.lines[f"{SIDES[side]} side"] = edge[armpit:]
    drawing.lines["hem"] = [left[0], (0.0, bottom + sag), right[-1]]
    drawing.landmarks |= {0: (-neck, 0.0), 1: (neck, 0.0)}
    drawing.landmarks |= {4: (-pattern.waist, WAIST), 5: (pattern.waist, WAIST)}
    if kind == 1:
        drawing.landmarks |= {6: (-hem, bottom), 7: (hem, bottom)}
        if pattern.cuffs:
            band = [(-hem, bottom - 0.1), (hem, bottom - 0.1), (hem, bottom), (-hem, bottom)]
            drawing.parts.append((band, 150, False))


def _neckline(neck: float, pattern: Pattern) -> list[Point]:
    if pattern.v_neck:
        return [(-neck, 0.0), (0.0, pattern.neck_depth), (neck, 0.0)]
    turn = np.linspace(np.pi, 0, 9)
    return [(neck * np.cos(t), pattern.neck_depth * np.sin(t)) for t in turn]


def _below_waist(drawing: Drawing, pattern: Pattern, kind: int, rng: np.random.Generator) -> None:
    waist, hem = pattern.waist, pattern.waist * pattern.flare
    hip = max(waist * 1.12, 0.4)
    if pattern.legs:
        spread = rng.uniform(0.02, 0.3) * (pattern.length - CROTCH + 0.2)
        for side, channel in ((-1, 6), (1, 7)):
            middle = side * (hip * 0.5 + spread)
            outer, inner = middle + side * hem * 0.5, middle - side * hem * 0.5
            leg = [(0.0, WAIST), (side * waist, WAIST), (side * hip, 1.3), (outer, pattern.length)]
            leg += [(inner, pattern.length), (0.0, CROTCH)]
            drawing.parts.append((leg, CLOTH - 8 * (side > 0), False))
            drawing.lines[f"{SIDES[side]} outseam"] = leg[1:4]
            drawing.lines[f"{SIDES[side]} inseam"] = leg[4:]
            drawing.landmarks[channel] = (outer, pattern.length)
            if pattern.cuffs:
                up = pattern.length - 0.1
                cuff = [(outer, up), (inner, up), (inner, pattern.length), (outer, pattern.length)]
                drawing.parts.append((cuff, 150, False))
        drawing.seams.append(([(0.0, WAIST), (0.0, CROTCH)], 0.02))
    else:
        sway = rng.normal(0, 0.06)
        folds = np.linspace(-1, 1, 9)
        edge = [
            (hem * f + sway, pattern.length + 0.05 * (1 - f * f) + 0.02 * np.sin(9 * f))
            for f in folds
        ]
        hips = [(waist, WAIST), (max(hip, waist + (hem - waist) * 0.3), 1.3)]
        outline = [*hips, *reversed(edge), *[(-x, y) for x, y in reversed(hips)]]
        drawing.parts.append((outline, CLOTH - 6 * (kind == 3), False))
        drawing.lines["hem"] = edge
        drawing.lines["left outseam"] = [*((-x, y) for x, y in hips), edge[0]]
        drawing.lines["right outseam"] = [*hips, edge[-1]]
        drawing.landmarks |= {6: edge[0], 7: edge[-1]}
        if pattern.flare > 1.25:
            for f in folds[2:-2:2]:
                drawing.seams.append(
                    ([(waist * f * 0.8, 1.1), (hem * f + sway, pattern.length)], 0.015)
                )
        if kind == 2 and pattern.open:
            slit = [(hem * 0.2, 1.3), (hem * (0.2 + pattern.open), pattern.length + 0.1)]
            drawing.holes.append([*slit, (hem * 0.15 + sway, pattern.length + 0.1)])
    if kind == 2:
        band = [(-waist, 0.93), (waist, 0.93), (waist, 1.02), (-waist, 1.02)]
        drawing.parts.append((band, 165, bool(pattern.belt) and not pattern.cuffs))
        drawing.lines["waistline"] = band[:2]
        drawing.landmarks |= {4: (-waist, 0.95), 5: (waist, 0.95)}
    if pattern.pockets:
        for side in (-1, 1):
            drawing.seams.append(([(side * waist * 0.9, 1.08), (side * waist * 0.5, 1.26)], 0.02))


def _front(drawing: Drawing, pattern: Pattern, kind: int) -> None:
    """Collar, closure and belt."""
    low = pattern.length if kind == 1 or not pattern.legs else CROTCH
    throat = pattern.neck_depth
    if pattern.open:
        half = pattern.open
        drawing.holes.append(
            [(-0.02, throat * 0.7), (0.02, throat * 0.7), (half, low + 0.1), (-half, low + 0.1)]
        )
    if pattern.collar > 0.02:
        neck = pattern.neck_width * 1.05
        stand = [
            (-neck, 0.04),
            (-neck * 0.92, -pattern.collar),
            (neck * 0.92, -pattern.collar),
            (neck, 0.04),
        ]
        drawing.parts.append(([*stand, (0.0, 0.09)], 165, False))
    if pattern.lapel:
        for side in (-1, 1):
            x = side * pattern.neck_width
            reach = max(throat, 0.16)
            flap = [
                (x, -0.02),
                (x * 1.9, reach * 0.55),
                (x * 1.1, reach * 0.72),
                (side * 0.01, reach),
            ]
            drawing.parts.append((flap, 150, False))
    if pattern.zip:
        drawing.seams.append(([(0.0, throat), (0.0, low)], 0.035))
    if pattern.buttons:
        bottom = low if pattern.neck_depth > 0.17 or pattern.lapel else throat + 0.25
        drawing.seams.append(([(0.05, throat), (0.05, bottom)], 0.012))
        count = max(int((bottom - throat) / 0.17), 2)
        for y in np.linspace(throat + 0.06, bottom - 0.05, count).tolist():
            drawing.knobs.append(((0.0, y), 0.03))
    if pattern.belt:
        if kind == 1:
            for side in (-1, 1):
                drawing.seams.append(([(side * 0.06, throat), (side * 0.09, throat + 0.4)], 0.018))
        else:
            w = pattern.waist * 1.02
            belt = [(-w, WAIST - 0.05), (w, WAIST - 0.05), (w, WAIST + 0.05), (-w, WAIST + 0.05)]
            drawing.parts.append((belt, CLOTH, True))
    if pattern.pockets:
        for side in (-1, 1):
            x, y, half = side * pattern.chest * 0.55, min(low - 0.35, 1.1), 0.11
            pocket = [
                (x - half, y),
                (x + half, y),
                (x + half, y + 0.2),
                (x - half, y + 0.2),
                (x - half, y),
            ]
            drawing.seams.append((pocket, 0.014))


class Affine:
    """Garment frame -> pixels, and back."""

    def __init__(self, matrix: np.ndarray, offset: np.ndarray) -> None:
        self.matrix, self.offset = matrix, offset

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return np.asarray(points, np.float64) @ self.matrix.T + self.offset

    def back(self, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """The garment's x and y at every pixel, `(height, width)` each."""
        (a, b), (c, d) = np.linalg.inv(self.matrix).astype(np.float32)
        x = np.arange(width, dtype=np.float32)[None, :] - np.float32(self.offset[0])
        y = np.arange(height, dtype=np.float32)[:, None] - np.float32(self.offset[1])
        return a * x + b * y, c * x + d * y


def _pose(drawing: Drawing, width: int, height: int, rng: np.random.Generator) -> Affine:
    points = np.array([point for part, _, _ in drawing.parts for point in part])
    low, high = points.min(axis=0), points.max(axis=0)
    size = min(width / (high[0] - low[0]), height / (high[1] - low[1])) * rng.uniform(0.74, 1.02)
    turn, shear, squeeze = rng.normal(0, 0.06), rng.normal(0, 0.05), rng.uniform(0.92, 1.08)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = size * rotation @ np.array([[squeeze, shear], [0.0, 1.0]])
    centre = np.array([width, height]) * (0.5 + rng.normal(0, 0.03, 2))
    return Affine(matrix, centre - matrix @ ((low + high) / 2))


def _masks(
    drawing: Drawing, to_pixels: Affine, width: int, height: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coverage in [0, 1], shade in 0..255 and accent in [0, 1], each `(height, width)`."""
    full = (width * OVERSAMPLING, height * OVERSAMPLING)
    layers = [Image.new("L", full, value) for value in (0, CLOTH, 0)]
    cover, shade, accent = (ImageDraw.Draw(layer) for layer in layers)
    unit = float(np.sqrt(abs(np.linalg.det(to_pixels.matrix)))) * OVERSAMPLING

    def placed(points: list[Point]) -> list[Point]:
        return [(x, y) for x, y in to_pixels(np.array(points)) * OVERSAMPLING]

    for points, tone, accented in drawing.parts:
        outline = placed(points)
        cover.polygon(outline, fill=255)
        shade.polygon(outline, fill=tone)
        shade.line([*outline, outline[0]], fill=SEAM + 40, width=max(int(0.012 * unit), 1))
        accent.polygon(outline, fill=255 if accented else 0)
    for points, thick in drawing.seams:
        shade.line(placed(points), fill=SEAM, width=max(int(thick * unit), 1))
    for centre, radius in drawing.knobs:
        ((x, y),) = placed([centre])
        disc = (x - radius * unit, y - radius * unit, x + radius * unit, y + radius * unit)
        accent.ellipse(disc, fill=255)
        shade.ellipse(disc, outline=SEAM, fill=CLOTH)
    for points in drawing.holes:
        cover.polygon(placed(points), fill=0)
    small = [np.asarray(layer.reduce(OVERSAMPLING), np.float32) for layer in layers]
    return small[0] / 255, small[1], small[2] / 255


def _weave(cloth: Cloth, to_pixels: Affine, width: int, height: int) -> np.ndarray:
    """The cloth's colour at every pixel, `(height, width, 3)`; it moves with the garment."""
    u, v = to_pixels.back(width, height)
    k, p = 12.0 * cloth.scale, cloth.phase
    match cloth.texture:
        case "stripes":
            mix = (np.sin((v if p < 4.2 else u) * 2 * k + p) > 0.2) * 1.0
        case "checks":
            mix = 0.5 * (np.sin(u * k + p) > 0) + 0.5 * (np.sin(v * k + p) > 0)
        case "dots":
            mix = (np.sin(u * 1.6 * k + p) * np.sin(v * 1.6 * k) > 0.55) * 1.0
        case "floral":
            waves = np.sin(u * k + 2 * np.sin(v * 0.7 * k + p)) + np.sin(
                v * k + 2 * np.cos(u * 0.8 * k)
            )
            mix = np.clip(waves - 0.4, 0, 1)
        case "denim":
            mix = 0.12 + 0.12 * np.sin((u + v) * 90) + 0.1 * np.cos(u * 9 + p)
        case "knit":
            mix = 0.16 * (1 + np.sin(v * 70 + 2.5 * np.abs(np.sin(u * 35))))
        case _:
            mix = 0.04 * (1 + np.sin(u * 3 + p))
    return cloth.colour + (cloth.second - cloth.colour) * mix[..., None].astype(np.float32)


def background(
    colour: np.ndarray, width: int, height: int, rng: np.random.Generator
) -> Image.Image:
    """A wall or a street, of another lightness or hue than the cloth."""
    while True:
        base = rng.uniform(30, 250, 3) if rng.random() < 0.5 else np.full(3, rng.uniform(170, 252))
        if np.abs(base - colour).mean() > 55:
            break
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    slope = rng.uniform(-40, 40, 3)
    pixels = np.broadcast_to(base + slope * ramp, (height, width, 3))
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(0, 5))):
        x, y = rng.uniform(-0.1, 1.0, 2) * (width, height)
        w, h = rng.uniform(0.05, 0.6, 2) * (width, height)
        tint = tuple(int(c) for c in np.clip(base + rng.normal(0, 22, 3), 0, 255))
        shape = pen.rectangle if rng.random() < 0.6 else pen.ellipse
        shape((x, y, x + w, y + h), fill=tint)
    return picture


def body(scene: Image.Image, to_pixels: Affine, rng: np.random.Generator) -> None:
    """Head, arms and legs of whoever wears it."""
    pen = ImageDraw.Draw(scene)
    tone = np.array([1.0, 0.78, 0.64]) * rng.uniform(70, 240)
    skin = tuple(int(c) for c in np.clip(tone, 0, 255))
    hair = tuple(int(c) for c in rng.uniform(10, 130, 3))
    unit = float(np.sqrt(abs(np.linalg.det(to_pixels.matrix))))
    lift = rng.uniform(0.1, 0.6)

    def limb(points: list[Point], thick: float) -> None:
        pen.line(
            [(x, y) for x, y in to_pixels(np.array(points))], fill=skin, width=int(thick * unit)
        )

    for side in (-1, 1):
        hand = (side * (0.36 + 1.55 * np.sin(lift)), 0.1 + 1.5 * np.cos(lift))
        limb([(side * 0.36, 0.1), hand], 0.17)
        limb([(side * 0.2, 1.2), (side * 0.26, 3.25)], 0.24)
    limb([(0.0, -0.35), (0.0, 0.3)], 0.22)
    pen.polygon(
        [
            (x, y)
            for x, y in to_pixels(np.array([(-0.36, 0.06), (0.36, 0.06), (0.3, 1.2), (-0.3, 1.2)]))
        ],
        fill=skin,
    )
    (x, y), r = to_pixels(np.array([(0.0, -0.42)]))[0], 0.24 * unit
    pen.ellipse((x - r, y - 1.35 * r, x + r, y + 1.1 * r), fill=hair)
    pen.ellipse((x - 0.78 * r, y - r, x + 0.78 * r, y + 1.15 * r), fill=skin)


def light(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = pixels.shape[:2]
    across, down = rng.normal(0, 0.15, 2).astype(np.float32)
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    gain = np.float32(rng.uniform(0.75, 1.2)) * (1 + across * x + down * y)
    noise = rng.standard_normal((height // 2 + 1, width // 2 + 1, 1), np.float32)
    grain = noise.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return pixels * gain + grain * np.float32(rng.uniform(1, 5))


def _occlude(picture: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """Put a bag, a hand or a post in front; returns where, `(height, width)` bool."""
    hidden = Image.new("1", picture.size)
    if rng.random() < 0.3:
        width, height = picture.size
        tint = tuple(int(c) for c in rng.uniform(10, 245, 3))
        x, y = rng.uniform(0.1, 0.9, 2) * (width, height)
        w, h = rng.uniform(0.05, 0.17, 2) * (width, height)
        box = (x - w, y - h, x + w, y + h)
        round_ = rng.random() < 0.5
        for pen, fill in ((ImageDraw.Draw(picture), tint), (ImageDraw.Draw(hidden), 1)):
            (pen.ellipse if round_ else pen.rectangle)(box, fill=fill)
    return np.asarray(hidden)


def _box(cover: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = (np.flatnonzero((cover > 0.5).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, cover.shape[1] - 1, cover.shape[0] - 1
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])
