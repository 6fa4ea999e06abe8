"""The place where a simulated camera hangs: hills, the edge of a wood, a meadow, one thick tree."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from random import Random
from typing import NamedTuple, TypeAlias

from PIL import Image, ImageChops, ImageDraw, ImageOps

__all__ = ["HORIZON", "VIDEO", "Colour", "Place", "Points", "Size", "blend", "curve", "fractal",
           "place"]  # fmt: skip

Size: TypeAlias = tuple[int, int]
Colour: TypeAlias = tuple[int, int, int]
Points: TypeAlias = list[tuple[float, float]]

#: The size of live view and videos, and of a place before it is scaled.
VIDEO: Size = (1280, 720)
#: Where eye level is, as a fraction from the top; the camera hangs one metre high.
HORIZON = 0.46


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
