"""
Trail-camera pictures, drawn: a forest edge by day, at dusk and in infrared, and who passes by.

A camera hangs on one tree, so its place is painted once; each picture lights
it for its moment, puts the animals in, and stamps it. Everything follows from
seeds: the same L{Shot} is the same picture, always.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from random import Random
from typing import NamedTuple

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps

from trailcam.simulator.animals import KINDS, Animal, figure, visit
from trailcam.simulator.scenery import HORIZON, VIDEO, Colour, Place, Size, blend, curve, place

__all__ = ["KINDS", "PHOTO", "THUMBNAIL", "VIDEO", "Animal", "Shot", "background", "photo", "place",
           "put", "stamp", "thumbnail", "visit"]  # fmt: skip

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
