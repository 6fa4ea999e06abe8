"""Who passes a simulated camera: how each animal looks from its side, and how it walks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from typing import NamedTuple

from PIL import Image, ImageChops, ImageDraw, ImageOps

from trailcam.simulator.scenery import HORIZON, Colour, Points, Size, blend, curve, fractal

__all__ = ["KINDS", "Animal", "figure", "visit"]


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
