"""
Trail-camera pictures, drawn: a forest edge by day, at dusk and in infrared, and who passes by.

A camera hangs on one tree, so its place is painted once; each picture lights
it for its moment, puts the animals in, and stamps it. Everything follows from
seeds: the same L{Shot} is the same picture, always.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from random import Random
from typing import NamedTuple, TypeAlias

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps

__all__ = ["KINDS", "PHOTO", "THUMBNAIL", "VIDEO", "Animal", "Shot", "background", "photo", "place",
           "put", "stamp", "thumbnail", "visit"]  # fmt: skip

Size: TypeAlias = tuple[int, int]
Colour: TypeAlias = tuple[int, int, int]
Points: TypeAlias = list[tuple[float, float]]

#: The size of live view and videos, and of a place before it is scaled.
VIDEO: Size = (1280, 720)
#: Where eye level is, as a fraction from the top; the camera hangs one metre high.
HORIZON = 0.46


# ---- the place where the camera hangs


class Place(NamedTuple):
    """
    What the camera sees, not yet lit.

    @ivar land: its colours in plain light.
    @ivar near: 0 for the sky, 1 far away, 255 close.
    @ivar mask: where land is, and not sky.
    @ivar front: what stands before every animal.
    @ivar clouds: for half the height, and twice as wide: the day chooses a part.
    """

    land: Image.Image
    near: Image.Image
    mask: Image.Image
    front: Image.Image
    clouds: Image.Image


@lru_cache(6)
def place(seed: int, size: Size) -> Place:
    """Paint it, once for each camera; that takes half a second."""
    if size != VIDEO:
        across, down = size[0] / VIDEO[0], size[1] / VIDEO[1]
        return Place(*(image.resize((round(image.width * across), round(image.height * down)))
                       for image in place(seed, VIDEO)))  # fmt: skip
    rng = Random(seed)
    brush = _Brush(rng)
    brush.hills()
    brush.forest()
    brush.meadow()
    brush.tree()
    mask = curve(brush.near, lambda v: 255 * v)
    shade = curve(fractal(rng, brush.size, 5, 6), lambda v: 0.55 + 0.6 * v)
    land = ImageChops.multiply(brush.land, Image.merge("RGB", [shade] * 3))
    clouds = fractal(rng, (VIDEO[0] * 2, VIDEO[1] // 2), 3, 6)
    land, near, mask, front = (image.reduce(2) for image in (land, brush.near, mask, brush.front))
    return Place(land, near, mask, front, clouds)


def curve(image: Image.Image, change: Callable[[float], float]) -> Image.Image:
    """Change brightness; C{change} is told and answers 0 to 1, beyond which it is cut off."""
    return image.point([max(0, min(255, int(255 * change(v / 255)))) for v in range(256)])


def blend(first: Colour, second: Colour, share: float) -> Colour:
    """The colour between two; beyond the second for a share above 1."""
    red, green, blue = (int(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def fractal(rng: Random, size: Size, cells: int, octaves: int) -> Image.Image:
    """Clouds of brightness, coarse and fine."""
    image = Image.new("L", size, 128)
    for octave in reversed(range(octaves)):
        high = cells << octave
        layer = Image.frombytes("L", (high * 2, high), rng.randbytes(high * high * 2))
        image = Image.blend(image, layer.resize(size, Image.Resampling.BICUBIC), 0.5)
    return ImageOps.autocontrast(image)


#: Of the meadow and of the path, far and close.
_GROUND = (((142, 146, 84), (70, 88, 42)), ((160, 146, 104), (112, 96, 66)))


class _Brush:
    """
    Paints from far to near, colour and nearness at once, at twice the size: that smooths edges.

    @ivar gap: where the wood is low and the path comes out, 0 to 1 from the left.
    """

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.size = self.width, self.height = VIDEO[0] * 2, VIDEO[1] * 2
        self.horizon = HORIZON * self.height
        self.gap = rng.uniform(0.3, 0.7)
        self.land = Image.new("RGB", self.size)
        self.near, self.front = Image.new("L", self.size), Image.new("L", self.size)
        self._colours, self._depths = ImageDraw.Draw(self.land), ImageDraw.Draw(self.near)
        self._fronts: ImageDraw.ImageDraw | None = None

    def _fill(self, points: Points, colour: Colour, near: float) -> None:
        self._colours.polygon(points, colour)
        self._depths.polygon(points, min(255, int(near)))
        if self._fronts:
            self._fronts.polygon(points, 255)

    def _oval(self, x: float, y: float, size: float, colour: Colour, near: int) -> None:
        box = x - size, y - size * 0.8, x + size, y + size * 0.8
        self._colours.ellipse(box, colour)
        self._depths.ellipse(box, near)

    def _varied(self, colour: Colour, spread: float) -> Colour:
        return blend((0, 0, 0), colour, self.rng.uniform(1 - spread, 1 + spread))

    def hills(self) -> None:
        """Three ridges, each darker and greener than the one behind."""
        rng = self.rng
        for index, colour in enumerate(((134, 158, 172), (104, 134, 128), (76, 108, 84))):
            base = self.horizon - self.height * (0.1 - 0.035 * index)
            waves = [(rng.uniform(0.5, 1) * 60 / k, k * rng.uniform(2, 4), rng.uniform(0, math.tau))
                     for k in (1, 2, 5, 11, 30)]  # fmt: skip
            edge = [(x, base - sum(a * math.sin(f * x / self.width + p) for a, f, p in waves))
                    for x in range(0, self.width + 9, 8)]  # fmt: skip
            self._fill([*edge, self.size, (0, self.height)], colour, 4 + 6 * index)

    def forest(self) -> None:
        """The edge of the wood, low where the gap is."""
        rng = self.rng
        for row, count in enumerate((90, 60, 34)):
            for _ in range(count):
                x = rng.uniform(-0.03, 1.03)
                tall = 0.1 + 0.05 * row + 0.5 * abs(x - self.gap) ** 1.4 * rng.uniform(0.5, 1)
                foot = self.horizon + (14 + 22 * row) * rng.uniform(0.8, 1.3)
                grow = self._conifer if rng.random() < 0.6 else self._broadleaf
                grow(x * self.width, foot, tall * self.height, 24 + 10 * row)

    def _conifer(self, x: float, foot: float, tall: float, near: int) -> None:
        colour = self._varied((40, 66, 42), 0.3)
        for tier in range(9):
            top, half = foot - tall * (1 - tier / 10), tall * 0.03 * (tier + 1.5)
            low, drop = top + tall * 0.2, self.rng.uniform(-0.02, 0.02) * tall
            left, right = (x - half, low - drop), (x + half, low + drop)
            outline = [(x, top), right, (x, low - tall * 0.03), left]
            self._fill(outline, self._varied(colour, 0.12), near)

    def _broadleaf(self, x: float, foot: float, tall: float, near: int) -> None:
        rng, tall = self.rng, tall * 0.8
        colour = self._varied((78, 104, 48), 0.3)
        self._fill([(x - 6, foot), (x + 6, foot), (x, foot - tall * 0.7)], (58, 48, 40), near)
        for index in range(80):
            angle, reach = rng.uniform(0, math.tau), rng.random() ** 0.5
            up, size = math.sin(angle) * reach, tall * rng.uniform(0.02, 0.07)
            lit = self._varied(blend((0, 0, 0), colour, 0.7 + 0.3 * up + index / 250), 0.15)
            at = x + math.cos(angle) * reach * tall * 0.3, foot - tall * (0.62 + 0.3 * up)
            self._oval(*at, size, lit, near)

    def meadow(self) -> None:
        """Ground in bands with a path that animals use, bushes at its far edge, and grass."""
        rng, depth, edge = self.rng, self.height - self.horizon, int(self.horizon + 30)
        for y in range(edge, self.height, 4):
            share = (y - self.horizon) / depth
            middle, half = self._path(share)
            grass, earth = (blend(far, close, share) for far, close in _GROUND)
            self._band(y, 0, self.width, grass, share)
            self._band(y, middle - half, middle + half, earth, share)
        for _ in range(330):
            at = rng.uniform(0, self.width), edge + rng.uniform(-26, 4)
            self._oval(*at, rng.uniform(6, 30), self._varied((62, 80, 44), 0.3), 30)
        for index in range(9000):
            share = 1.1 * float((index / 9000) ** 0.8)
            x, (middle, half) = rng.uniform(0, self.width), self._path(share)
            if abs(x - middle) > half * rng.uniform(0.5, 1.2) or index % 9 == 0:
                self._blade(x, self.horizon + 36 + depth * share, share)

    def _path(self, share: float) -> tuple[float, float]:
        """Its middle and half its width, from the edge of the wood (0) to the camera (1)."""
        bend = 0.13 * math.sin(5 * share + self.gap * 20) * (1 - share * 0.5)
        return self.width * (self.gap + bend), self.width * (0.006 + 0.06 * share)

    def _band(self, y: int, left: float, right: float, colour: Colour, share: float) -> None:
        corners: Points = [(left, y), (right, y), (right, y + 4), (left, y + 4)]
        self._fill(corners, self._varied(colour, 0.025), 30 + 225 * share)

    def _blade(self, x: float, y: float, share: float) -> None:
        tall = (6 + 90 * share) * self.rng.uniform(0.5, 1.3)
        lean, half = self.rng.gauss(0, 0.25) * tall, 1 + 2.4 * share
        colour = self._varied(blend((98, 124, 58), (196, 184, 116), self.rng.random() ** 3), 0.25)
        self._fill([(x - half, y), (x + half, y), (x + lean, y - tall)], colour, 34 + 225 * share)

    def tree(self) -> None:
        """One thick trunk beside the camera, lit from one side; animals pass behind it."""
        rng, left = self.rng, self.rng.random() < 0.5
        self._fronts = ImageDraw.Draw(self.front)
        middle = self.width * (rng.uniform(0.02, 0.1) if left else rng.uniform(0.9, 0.98))
        wide = self.width * rng.uniform(0.07, 0.11)
        for strip in range(150 * 24):  # 150 columns of bark from left to right, 24 pieces each
            across, top = strip // 24 / 149, self.height * (strip % 24 - rng.random()) / 22
            low = top + self.height / 16
            shade = 0.35 + 0.75 * math.sin(math.pi * (0.12 + 0.7 * across)) ** 1.5
            flare = (1 + 0.9 * math.exp(9 * y / self.height - 9) for y in (top, low))
            x, below = (middle + (across - 0.5) * wide * wider for wider in flare)
            colour = self._varied(blend((0, 0, 0), (112, 92, 72), shade), 0.22)
            piece = [(x - 5, top), (x + 6, top), (below + 6, low), (below - 5, low)]
            self._fill(piece, colour, 190)
        self._twigs(middle, self.width * (0.34 if left else -0.34))

    def _twigs(self, x: float, reach: float) -> None:
        """Branches into the corner of the sky, and their leaves."""
        rng = self.rng
        for _ in range(9):
            angle, far, base = rng.uniform(0.05, 1.0), rng.uniform(0.5, 1), rng.uniform(-60, 30)
            tip = x + math.cos(angle) * far * reach, math.sin(angle) * far * self.height * 0.24
            self._fill([(x, base - 9), (x, base + 9), tip], (66, 54, 44), 130)
            for _ in range(170):
                along = rng.uniform(0.25, 1.05)
                a = x + (tip[0] - x) * along + rng.gauss(0, 34)
                b = tip[1] * along + rng.gauss(8, 26)
                lean, size = rng.gauss(0, 14), rng.uniform(8, 22)
                leaf = [(a, b), (a + lean - size / 3, b + size / 2), (a + lean, b + size),
                        (a + size / 2, b + size / 3)]  # fmt: skip
                self._fill(leaf, self._varied((84, 114, 48), 0.4), 130)


# ---- the animals


@dataclass(frozen=True)
class Animal:
    """
    Who is in the picture, and where.

    @ivar kind: a name in L{KINDS}.
    @ivar x: its middle: 0 at the left edge of the picture, 1 at the right one.
    @ivar ground: where its feet are, as a fraction of the height from the top.
    @ivar right: whether it walks to the right.
    @ivar strides: how many it has made.
    """

    kind: str
    x: float
    ground: float
    right: bool
    strides: float = 0.0

    def later(self, seconds: float) -> Animal:
        """The same animal after some more walking, or before for negative seconds."""
        kind = KINDS[self.kind]
        metres = kind.pace * seconds
        shift = metres * (self.ground - HORIZON) * 9 / 16
        strides = self.strides + metres / (1.3 * kind.legs[0][1])
        return replace(self, x=self.x + (shift if self.right else -shift), strides=strides)


def visit(seed: str, night: bool, seconds: float) -> tuple[Animal, ...]:
    """
    Who comes by, so long after the camera woke up; at times it was only the wind.

    @param seed: names the visit: the same for all pictures of a burst.
    """
    rng = Random(seed)
    if rng.random() < 0.2:
        return ()
    kind = rng.choices(list(KINDS), (3, 4, 4, 3, 3, 0 if night else 3))[0]
    right, ground = rng.random() < 0.5, min(0.9, KINDS[kind].ground + rng.uniform(-0.06, 0.05))
    x = rng.uniform(0.2, 0.5)
    group = [Animal(kind, x if right else 1 - x, ground, right, rng.random())]
    if rng.random() < 0.3:
        x, ground = x - rng.uniform(0.18, 0.3), ground - rng.uniform(0.06, 0.1)
        group.insert(0, Animal(kind, x if right else 1 - x, ground, right, rng.random()))
    return tuple(animal.later(seconds) for animal in group)


class Kind(NamedTuple):
    """
    An animal from its side, facing right; metres, y upwards from the ground.

    @ivar outline: of body, neck and head.
    @ivar legs: of each pair where it begins, and how thick: x, y, thickness.
    @ivar eye: where the lamp shines back from.
    @ivar back: the colour on top.
    @ivar belly: the colour below.
    @ivar extras: what else there is, with a colour of its own.
    @ivar pace: metres a second.
    @ivar ground: where in the picture it likes to walk: see L{Animal}.
    """

    outline: Points
    legs: tuple[tuple[float, float, float], ...]
    eye: tuple[float, float]
    back: Colour
    belly: Colour
    extras: tuple[tuple[Colour, Points], ...]
    pace: float
    ground: float


def _points(text: str) -> Points:
    """Read C{x,y x,y} in centimetres."""
    pairs = (pair.split(",") for pair in text.split())
    return [(int(x) / 100, int(y) / 100) for x, y in pairs]


_HIND = Kind(
    _points("-81,95 -73,108 -43,104 -3,103 25,110 42,124 54,142 60,149 68,152 88,138 92,133 82,127 "
            "70,128 64,115 56,94 45,76 30,64 -3,56 -33,60 -50,68 -62,56 -78,56 -84,74 -85,88"),
    ((-0.68, 0.8, 0.3), (0.34, 0.84, 0.26)),
    (0.71, 1.43), (150, 104, 66), (104, 76, 56),
    (((226, 214, 190), _points("-80,100 -75,92 -80,76 -87,80")),
     ((124, 88, 60), _points("62,146 54,149 42,162 54,161")),
     ((36, 30, 28), _points("86,139 93,136 90,130"))),
    1.1, 0.75,
)  # fmt: skip
_BONE = (204, 184, 148)
_ANTLERS = tuple((_BONE, _points(text)) for text in (
    "61,150 53,172 63,202 58,172 66,150", "55,161 74,174 79,185 71,176 56,166",
    "55,178 73,190 75,200 69,192 57,184", "55,176 44,188 42,200 47,190 57,182",
))  # fmt: skip
_FOX = Kind(
    _points("-36,34 -30,41 -10,40 12,42 22,46 28,54 36,57 44,50 58,43 56,40 44,39 34,37 28,28 "
            "20,20 0,20 -15,22 -25,19 -36,25"),
    ((-0.26, 0.29, 0.13), (0.2, 0.28, 0.1)),
    (0.42, 0.485), (206, 108, 44), (140, 72, 40),
    (((196, 100, 44), _points("-30,39 -50,34 -72,22 -84,12 -72,6 -52,12 -34,26")),
     ((232, 224, 210), _points("-70,20 -90,9 -70,7")),
     ((60, 40, 32), _points("26,52 25,68 36,55")),
     ((232, 222, 206), _points("31,38 54,40 40,36 29,25")),
     ((30, 26, 26), _points("55,45 60,42 56,40"))),
    1.6, 0.84,
)  # fmt: skip
_BOAR = Kind(
    _points("-68,60 -60,74 -30,80 0,88 20,90 38,80 55,62 76,42 79,36 72,31 55,35 40,35 25,28 "
            "-10,25 -40,28 -60,32 -72,45"),
    ((-0.5, 0.46, 0.26), (0.22, 0.44, 0.22)),
    (0.56, 0.55), (86, 72, 62), (56, 48, 44),
    (((60, 50, 44), _points("36,74 40,94 52,70")),
     ((236, 230, 214), _points("62,39 68,48 68,38")),
     ((60, 50, 44), _points("-68,62 -80,42 -78,36 -70,50")),
     ((120, 96, 88), _points("75,43 81,38 76,31"))),
    1.0, 0.8,
)  # fmt: skip
_HARE = Kind(
    _points("-28,18 -24,28 -12,33 4,29 14,32 20,39 28,38 35,31 30,27 20,23 17,12 5,8 -10,7 -26,9"),
    ((-0.16, 0.17, 0.17), (0.13, 0.15, 0.06)),
    (0.275, 0.34), (160, 126, 86), (128, 108, 86),
    (((150, 116, 80), _points("16,36 4,56 9,62 22,38")),
     ((128, 98, 70), _points("19,37 15,60 21,62 25,37")),
     ((236, 230, 220), _points("-25,17 -36,22 -30,28 -24,26"))),
    0.9, 0.87,
)  # fmt: skip
_PHEASANT = Kind(
    _points("-22,30 -5,40 12,42 20,50 23,60 29,64 35,59 42,56 34,54 31,45 29,32 18,21 0,19 "
            "-15,24"),
    ((0.04, 0.25, 0.07),),
    (0.3, 0.6), (168, 96, 44), (92, 52, 34),
    (((150, 104, 60), _points("-10,38 -50,42 -85,50 -50,36 -16,26")),
     ((30, 78, 60), _points("20,50 22,61 29,65 35,59 32,50")),
     ((180, 44, 36), _points("27,61 32,61 32,57 28,57")),
     ((236, 230, 216), _points("19,50 33,50 32,46 18,47"))),
    0.6, 0.86,
)  # fmt: skip
KINDS = {"stag": _HIND._replace(extras=_HIND.extras + _ANTLERS), "hind": _HIND, "fox": _FOX,
         "boar": _BOAR, "hare": _HARE, "pheasant": _PHEASANT}  # fmt: skip


@lru_cache(24)
def figure(name: str, metre: int, step: int) -> tuple[Image.Image, tuple[int, int]]:
    """
    An animal facing right, cut out, its feet on the lower edge; and where its eye is.

    @param metre: in pixels.
    @param step: twelfths of a stride.
    """
    kind, scale = KINDS[name], metre * 2
    points = [*kind.outline, *(point for _, part in kind.extras for point in part)]
    half, high = max(abs(x) for x, _ in points) + 0.05, max(y for _, y in points) + 0.05
    size = int(half * scale) // 2 * 4 + 4, int(high * scale) // 2 * 2 + 2

    def onto(shape: Points) -> Points:
        return [((x + half) * scale, size[1] - y * scale) for x, y in shape]

    alpha, shade = Image.new("L", size), Image.new("L", size)
    masks, shades = ImageDraw.Draw(alpha), ImageDraw.Draw(shade)
    for shape, brightness in _shapes(kind, math.tau * step / 12):
        masks.polygon(onto(shape), 255)
        shades.polygon(onto(shape), brightness)
    image = ImageChops.multiply(_fur(size, kind.back, kind.belly), Image.merge("RGB", [shade] * 3))
    image.putalpha(alpha)
    draw = ImageDraw.Draw(image)
    for colour, part in kind.extras:
        draw.polygon(onto(_rounded(part)), (*colour, 255))
    (x, y), *_ = onto([kind.eye])
    dot = scale * 0.012
    draw.ellipse((x - dot, y - dot, x + dot, y + dot), (16, 12, 10, 255))
    return image.reduce(2), (round(x / 2), round(y / 2))


def _shapes(kind: Kind, swing: float) -> Iterator[tuple[Points, int]]:
    """The far legs, the near ones, the body, and how bright each is."""
    for lag, brightness in ((math.pi, 140), (0.0, 230)):
        for index, leg in enumerate(kind.legs):
            yield _leg(*leg, swing + lag + 1.4 * index), brightness
    yield _rounded(kind.outline), 255


def _leg(x: float, y: float, thick: float, swing: float) -> Points:
    """A leg from the hip down to the hoof, at that point of its swing."""
    foot_x, foot_y = x + 0.26 * y * math.sin(swing), max(0.0, 0.1 * y * math.cos(swing))
    knee = (x + foot_x) / 2 + 0.05 * y, y * 0.5 + foot_y * 0.6
    joints = (x, y, thick * 0.5), (*knee, thick * 0.15), (foot_x, foot_y, thick * 0.12)
    return [*((a - w, b) for a, b, w in joints), *((a + w, b) for a, b, w in reversed(joints))]


def _rounded(points: Points) -> Points:
    """The same outline with its corners cut (Chaikin), three times."""
    for _ in range(3):
        sides = zip(points, [*points[1:], points[0]], strict=True)
        points = [(a + (c - a) * share, b + (d - b) * share)
                  for (a, b), (c, d) in sides for share in (0.25, 0.75)]  # fmt: skip
    return points


@lru_cache(4)
def _fur(size: Size, back: Colour, belly: Colour) -> Image.Image:
    ramp = Image.linear_gradient("L").resize(size)
    light, dark = blend((255, 240, 220), back, 0.9), blend((0, 0, 0), belly, 0.8)
    coat = Image.merge("RGB", [_coat().resize(size, Image.Resampling.BILINEAR)] * 3)
    return ImageChops.multiply(ImageOps.colorize(ramp, light, dark), coat)


@lru_cache(1)
def _coat() -> Image.Image:
    return curve(fractal(Random(5), (512, 512), 24, 4), lambda v: 0.72 + 0.36 * v)


# ---- the pictures

PHOTO: Size = (2304, 1296)
THUMBNAIL: Size = (320, 180)
#: Below this sine of the sun's height the camera takes infrared pictures.
_DARK = -0.09
_WHITE = (236, 236, 236)


@dataclass(frozen=True)
class Shot:
    """
    What a picture shows.

    @ivar place: the seed of the place.
    @ivar wall_clock: seconds, counted as if they were UTC.
    @ivar camera: the model's name, for stamp and EXIF.
    """

    place: int
    wall_clock: int
    camera: str
    animals: tuple[Animal, ...] = ()

    @property
    def moment(self) -> datetime:
        """The wall clock, to be read off."""
        return datetime.fromtimestamp(self.wall_clock, UTC)

    @property
    def day_of_year(self) -> int:
        """From 1 on."""
        return self.moment.timetuple().tm_yday

    @property
    def sun(self) -> float:
        """The sine of the sun's height at 50 degrees north."""
        tilt = -0.409 * math.cos(math.tau * (self.day_of_year + 10) / 365)
        hour = math.tau * (self.wall_clock / 3600 - 12.3) / 24
        return 0.766 * math.sin(tilt) + 0.643 * math.cos(tilt) * math.cos(hour)

    @property
    def night(self) -> bool:
        """Whether it is too dark for colours."""
        return self.sun < _DARK

    def weather(self, what: str) -> float:
        """From 0 to 1, the same all day long."""
        return Random(f"{self.place}/{self.wall_clock // 86400}/{what}").random()


def photo(shot: Shot) -> bytes:
    """A whole photo with its EXIF: JPEG, 2304 by 1296, about 250 to 500 kB."""
    image = _picture(shot, VIDEO).resize(PHOTO, Image.Resampling.BILINEAR)
    rng, (grain, mean) = Random(shot.wall_clock), _grain(shot.night)
    left, top = rng.randrange(64), rng.randrange(64)
    grain = grain.crop((left, top, left + PHOTO[0], top + PHOTO[1]))
    image = ImageChops.add(image, grain, 1, -mean)
    stamp(image, shot)
    return _jpeg(image, 76, _exif(shot))


def thumbnail(shot: Shot) -> bytes:
    """The same, small: JPEG, 320 by 180, about 6 to 15 kB."""
    image = _picture(shot, THUMBNAIL)
    stamp(image, shot)
    return _jpeg(image, 80, Image.Exif())


def _picture(shot: Shot, size: Size) -> Image.Image:
    image = background(shot, size)
    for animal in shot.animals:
        put(image, animal, shot)
    return image


def _exif(shot: Shot) -> Image.Exif:
    taken = f"{shot.moment:%Y:%m:%d %H:%M:%S}"
    exif = Image.Exif()
    exif.update({0x010F: "trailcam", 0x0110: shot.camera, 0x0131: "simulator", 0x0132: taken})
    exif[0x8769] = {0x9003: taken, 0x9004: taken}
    return exif


def _jpeg(image: Image.Image, quality: int, exif: Image.Exif) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, exif=exif)
    return buffer.getvalue()


@lru_cache(2)
def _grain(night: bool) -> tuple[Image.Image, int]:
    """What a small sensor adds, somewhat larger than a photo, and its mean."""
    size, strength = (PHOTO[0] + 64, PHOTO[1] + 64), 0.13 if night else 0.1
    noise = Image.frombytes("L", size, Random(1).randbytes(size[0] * size[1]))
    noise = curve(ImageChops.add(noise, ImageOps.flip(noise), 2), lambda v: v * strength)
    return Image.merge("RGB", [noise] * 3), int(128 * strength)


# ---- the stamp


def stamp(image: Image.Image, shot: Shot, time: str | None = None) -> None:
    """
    Put the black strip at the foot of a picture: maker, temperature, moon, time, model.

    @param time: what to write in the place of date and time.
    """
    width, height = image.size
    tall = round(height * 0.06)
    strip = Image.new("RGB", (width, tall), (8, 8, 8))
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(tall * 0.56)
    for x, y, size in ((30, 42, 10), (47, 28, 11), (67, 28, 11), (84, 42, 10), (57, 66, 22)):
        _dot(draw, x * tall / 100, y * tall / 100, size * tall / 100, (240, 150, 40))  # a paw
    for at, anchor, text in (
        (tall * 1.1, "lm", "TRAILCAM"),
        (width * 0.25, "lm", _temperature(shot)),
        (width * 0.63, "mm", time or f"{shot.moment:%Y-%m-%d  %H:%M:%S}"),
        (width - tall * 0.4, "rm", shot.camera),
    ):
        draw.text((at, tall * 0.5), text, _WHITE, font, anchor)
    _moon(draw, width * 0.44, tall, shot.wall_clock)
    image.paste(strip, (0, height - tall))


def _temperature(shot: Shot) -> str:
    year = math.cos(math.tau * (shot.day_of_year - 20) / 365)
    celsius = round(9 - 8 * year + 9 * shot.sun + 8 * (shot.weather("warmth") - 0.5))
    return f"{celsius}°C  {round(celsius * 1.8 + 32)}°F"


def _moon(draw: ImageDraw.ImageDraw, x: float, tall: int, wall_clock: int) -> None:
    age = (wall_clock - 947_182_440) / 86400 / 29.530588 % 1  # since a new moon in January 2000
    y, size, dark = tall / 2, tall * 0.3, (60, 60, 66)
    _dot(draw, x, y, size, dark)
    start = 270 if age < 0.5 else 90
    draw.pieslice((x - size, y - size, x + size, y + size), start, start + 180, _WHITE)
    bulge = math.cos(math.tau * age)
    half = abs(bulge) * size
    draw.ellipse((x - half, y - size, x + half, y + size), dark if bulge > 0 else _WHITE)


def _dot(draw: ImageDraw.ImageDraw, x: float, y: float, size: float, colour: Colour) -> None:
    draw.ellipse((x - size, y - size, x + size, y + size), colour)


# ---- the light

#: The sine of the sun's height; the sky above and below; what the light makes of white.
_SKIES: tuple[tuple[float, tuple[Colour, Colour, Colour]], ...] = (
    (-0.10, ((36, 46, 84), (142, 108, 116), (62, 66, 92))),
    (0.00, ((78, 96, 148), (246, 168, 118), (128, 112, 110))),
    (0.12, ((104, 148, 204), (252, 222, 176), (228, 202, 164))),
    (0.35, ((84, 146, 220), (206, 228, 244), (262, 254, 240))),
    (1.00, ((70, 134, 218), (196, 222, 244), (276, 270, 260))),
)
#: What a season makes of red, green and blue: each from red, green and blue.
_SUMMER = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_AUTUMN = (0.85, 0.34, 0.0, 0.22, 0.7, 0.0, 0.06, 0.1, 0.7)
_WINTER = (0.55, 0.46, 0.1, 0.36, 0.5, 0.12, 0.3, 0.34, 0.36)
#: How much of autumn and of winter there is in each month.
_SEASONS = ((0, 1), (0, 1), (0, 0.7), (0, 0.25), (0, 0), (0, 0),
            (0, 0), (0.1, 0), (0.4, 0), (1, 0), (0.6, 0.5), (0, 0.9))  # fmt: skip


class _Sky(NamedTuple):
    """Its colours above and below, what its light makes of white, how clouded it is (0 to 1)."""

    above: Colour
    below: Colour
    light: Colour
    clouded: float


def _sky(shot: Shot) -> _Sky:
    sun, clouded = min(shot.sun, 0.99), shot.weather("clouds") ** 1.5
    index = max(1, sum(height <= sun for height, _ in _SKIES))
    (low, first), (high, second) = _SKIES[index - 1], _SKIES[index]
    share = (sun - low) / (high - low)
    colours = [blend(a, b, share) for a, b in zip(first, second, strict=True)]
    greys = [(sum(colour) // 3,) * 3 for colour in colours]
    above, below, light = (blend(c, g, clouded * 0.7) for c, g in zip(colours, greys, strict=True))
    return _Sky(above, below, light, clouded)


def _season(month: int) -> tuple[float, ...]:
    autumn, winter = _SEASONS[month - 1]
    warm = (s + (a - s) * autumn for s, a in zip(_SUMMER, _AUTUMN, strict=True))
    return tuple(s + (w - s) * winter for s, w in zip(warm, _WINTER, strict=True))


def _under(light: Colour, season: tuple[float, ...] = _SUMMER) -> tuple[float, ...]:
    """Light and season as the matrix of C{Image.convert}."""
    rows = zip(light, (season[:3], season[3:6], season[6:]), strict=True)
    return tuple(value * part / 256 for part, row in rows for value in (*row, 0.0))


def background(shot: Shot, size: Size) -> Image.Image:
    """The place in its light, without animals and stamp."""
    scene = place(shot.place, size)
    return _infrared(scene) if shot.night else _daylight(scene, shot)


def _daylight(scene: Place, shot: Shot) -> Image.Image:
    sky, (width, height) = _sky(shot), scene.land.size
    image = Image.new("RGB", (width, height), sky.below)
    ramp = Image.linear_gradient("L").resize((width, height // 2))
    image.paste(ImageOps.colorize(ramp, sky.above, sky.below))
    drift = int(shot.weather("wind") * width)
    clouds = scene.clouds.crop((drift, 0, drift + width, height))
    clouds = curve(clouds, lambda v: 0.9 * min(1.0, 2.4 * (v - 0.72 + 0.5 * sky.clouded)))
    image.paste(blend(sky.below, sky.light, 0.55), mask=clouds)
    land = scene.land.convert("RGB", _under(sky.light, _season(shot.moment.month)))
    foggy = shot.weather("fog") < 0.35 and shot.moment.hour < 11 and shot.sun < 0.4
    dense, depth = (0.92, 3) if foggy else (0.3, 6)
    land.paste(sky.below, mask=curve(scene.near, lambda v: dense * float((1 - v) ** depth)))
    return Image.composite(land, image, scene.mask)


def _infrared(scene: Place) -> Image.Image:
    """Grey, in the light of the camera's own lamp: grass shines, the distance is lost."""
    grey = curve(scene.land.convert("L", (0.5, 0.6, 0.2, 0)), lambda v: 1.5 * v)
    spot = curve(Image.radial_gradient("L"), lambda v: 0.08 + 1.5 * float((1 - v) ** 1.3))
    lamp = ImageChops.multiply(curve(scene.near, _reach), spot.resize(grey.size))
    grey = ImageChops.multiply(grey, lamp)
    return Image.merge("RGB", [curve(grey, lambda v: v + 0.035)] * 3)


def _reach(near: float) -> float:
    """How much of the lamp's light comes back."""
    return 0.05 + 1.5 * float(near**1.2)


# ---- the animals in it


def put(image: Image.Image, animal: Animal, shot: Shot) -> None:
    """Put an animal into a L{background}: in its light, its feet in the grass, behind the tree."""
    width, height = image.size
    metre = round((animal.ground - HORIZON) * height)
    shape, (eye_x, eye_y) = figure(animal.kind, metre, round(animal.strides * 12) % 12)
    if not animal.right:
        shape, eye_x = ImageOps.mirror(shape), shape.width - eye_x
    left, foot = round(animal.x * width) - shape.width // 2, round(animal.ground * height)
    top, tall = foot - shape.height, max(2, round(0.22 * metre))
    front, low = place(shot.place, image.size).front, foot - round(0.7 * tall)
    under = front.crop((left, low, left + shape.width, low + tall))
    shadow = ImageChops.subtract(_shadow(shape.width, tall), under)
    image.paste((0, 0, 0), (left, low), shadow)
    box = left, top, left + shape.width, foot
    before, hidden = image.crop(box), front.crop(box)
    hidden.paste(255, (-left, shape.height - tall), _blades(width, tall))
    image.paste(_in_light(shape, animal, shot), (left, top), shape.getchannel("A"))
    if shot.night:
        _shine(image, left + eye_x, top + eye_y, metre * 0.02)
    image.paste(before, (left, top), hidden)


def _in_light(shape: Image.Image, animal: Animal, shot: Shot) -> Image.Image:
    plain = shape.convert("RGB")
    if not shot.night:
        return plain.convert("RGB", _under(_sky(shot).light))
    middle = max(0.25, 1.1 - 1.3 * abs(animal.x - 0.5))
    light = 1.2 * middle * _reach((animal.ground - HORIZON) / (1 - HORIZON))
    return Image.merge("RGB", [curve(plain.convert("L"), lambda v: 0.06 + light * v)] * 3)


def _shine(image: Image.Image, x: int, y: int, size: float) -> None:
    """An eye, shining in the lamp."""
    wide = max(3, round(size * 8))
    halo = Image.radial_gradient("L").resize((wide, wide))
    halo = curve(halo, lambda v: max(0, 1 - 1.5 * v) ** 2)
    image.paste((255, 255, 255), (x - wide // 2, y - wide // 2), halo)
    _dot(ImageDraw.Draw(image), x, y, max(0.8, size), (255, 255, 255))


@lru_cache(8)
def _blades(width: int, tall: int) -> Image.Image:
    """A row of grass to stand behind, as a mask."""
    rng, mask = Random(width), Image.new("L", (width, tall))
    draw, half = ImageDraw.Draw(mask), max(1, tall * 0.04)
    for _ in range(48 * width // max(6, tall)):
        x, high = rng.uniform(0, width), tall * rng.uniform(0.2, 1) ** 1.5
        tip = x + rng.gauss(0, 0.2) * tall, tall - high
        draw.polygon([(x - half, tall), (x + half, tall), tip], 255)
    return mask


@lru_cache(8)
def _shadow(width: int, tall: int) -> Image.Image:
    mask = Image.new("L", (width, tall))
    ImageDraw.Draw(mask).ellipse((width * 0.2, tall * 0.2, width * 0.8, tall * 0.75), 130)
    return mask.filter(ImageFilter.BoxBlur(tall * 0.12))
