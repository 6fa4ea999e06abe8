"""
Leafing through what is at home: pages, days, cameras.

A page begins where the one before ended, at a time and an id, and not after so many pictures:
the last one comes as quickly as the first, and what arrives meanwhile shifts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple, TypeAlias

from trailcam.library.cursors import Place, read_cursor, write_cursor
from trailcam.library.index import Index
from trailcam.library.medium import COLUMNS, KEY, VISIT, Medium, must_find, place_of, read_medium
from trailcam.library.trash import is_file

__all__ = [
    "CameraSummary",
    "Filter",
    "Page",
    "Slice",
    "cameras",
    "days",
    "neighbours",
    "page",
    "select",
]

Kind: TypeAlias = Literal["photo", "video"]

#: So many pictures a page may have.
_LARGEST_PAGE = 1000


@dataclass(frozen=True)
class Filter:
    """
    Which pictures are wanted.

    @ivar device_id: of one camera only.
    @ivar first_day: taken on that day or later, by the camera's clock.
    @ivar last_day: taken on that day or before. With either, none without a time.
    @ivar kind: C{photo} or C{video} only.
    @ivar favourite: only those that are marked, or only those that are not.
    @ivar removed: those in the trash instead of those that are here.
    """

    device_id: str | None = None
    first_day: date | None = None
    last_day: date | None = None
    kind: Kind | None = None
    favourite: bool | None = None
    removed: bool = False


@dataclass(frozen=True)
class Page:
    """
    Some pictures, newest first, those without a time last.

    @ivar next: where the next page begins; C{None} when there is none.
    """

    media: tuple[Medium, ...]
    next: str | None


@dataclass(frozen=True)
class CameraSummary:
    """
    A camera that there are pictures of.

    @ivar name: what people called it when the newest came.
    @ivar count: how many there are.
    @ivar newest: the newest.
    """

    device_id: str
    name: str | None
    count: int
    newest: Medium


class Slice(NamedTuple):
    """
    What was found.

    @ivar media: what is here.
    @ivar gone: the ids of those whose files have been deleted by hand.
    """

    media: list[Medium]
    gone: list[int]


def page(index: Index, wanted: Filter, cursor: str | None, limit: int) -> tuple[Page, list[int]]:
    """
    A page, and the ids of those whose files have been deleted by hand.

    @param cursor: L{Page.next} of the page before; C{None} for the first.
    @param limit: at most so many, 1 to 1000.
    @raise WrongRequest: when C{cursor} is none.
    """
    limit = max(1, min(limit, _LARGEST_PAGE))
    place = None if cursor is None else read_cursor(cursor)
    media, gone = select(index, wanted, place, limit + 1)
    more = len(media) > limit
    media = media[:limit]
    return Page(tuple(media), write_cursor(place_of(media[-1])) if more else None), gone


def select(
    index: Index, wanted: Filter, place: Place | None, limit: int, *, newer: bool = False
) -> Slice:
    """
    The pictures that follow a place.

    @param place: C{None} for where the order begins.
    @param newer: in the opposite order.
    """
    found = Slice([], [])
    for medium in _rows(index, wanted, place, limit, newer):
        # Otherwise who deletes pictures by hand would see them until the next start.
        if not is_file(medium.where):
            found.gone.append(medium.id)
            continue
        found.media.append(medium)
        if len(found.media) == limit:
            break
    return found


def neighbours(index: Index, id: int, wanted: Filter) -> tuple[int | None, int | None]:
    """The pictures before and after one, in the order of pages: newer, older."""
    place = place_of(must_find(index, id))
    newer = select(index, wanted, place, 1, newer=True).media
    older = select(index, wanted, place, 1).media
    return newer[0].id if newer else None, older[0].id if older else None


def days(index: Index, wanted: Filter) -> list[tuple[date, int]]:
    """How many pictures there are of each day, by the camera's clock; the last day first."""
    table, where, parameters = _where(wanted)
    index.cursor.execute(
        f"SELECT substr(m.wall, 1, 10) AS day, COUNT(*) FROM {table} WHERE {where}"
        " AND m.wall IS NOT NULL GROUP BY day ORDER BY day DESC",
        parameters,
    )
    return [(date.fromisoformat(day), count) for day, count in index.cursor.fetchall()]


def cameras(index: Index) -> list[CameraSummary]:
    """The cameras that there are pictures of, by their names."""
    index.cursor.execute(
        "SELECT device_id, COUNT(*) FROM media INDEXED BY media_camera"
        " WHERE removed IS NULL AND gone = 0 GROUP BY device_id"
    )
    found = [
        CameraSummary(device_id, newest.camera, count, newest)
        for device_id, count in index.cursor.fetchall()
        for newest in select(index, Filter(device_id), None, 1).media
    ]
    return sorted(found, key=lambda camera: (camera.name or camera.device_id, camera.device_id))


def _rows(
    index: Index, wanted: Filter, place: Place | None, limit: int, newer: bool
) -> Iterator[Medium]:
    """Those after a place; what lies in the same second first, for which an index can be used."""
    order, beyond = ("ASC", ">") if newer else ("DESC", "<")
    table, where, parameters = _where(wanted)
    bounds = _bounds(wanted)
    parts: list[tuple[str, tuple[object, ...]]] = []
    if place is not None:
        parts.append((f"AND {KEY} = ? AND m.id {beyond} ? ORDER BY m.id {order}", place))
        # Instead of the day, which is further away.
        bounds[beyond] = place[0]
    limits = "".join(f" AND {KEY} {sign} ?" for sign in bounds)
    parts.append((f"{limits} ORDER BY {KEY} {order}, m.id {order}", tuple(bounds.values())))
    for more, values in parts:
        index.cursor.execute(
            f"SELECT {COLUMNS} FROM {table} {VISIT} WHERE {where} {more}",
            (*parameters, *values),
        )
        while rows := index.cursor.fetchmany(limit):
            for row in rows:
                yield read_medium(index, row)


def _where(wanted: Filter) -> tuple[str, str, list[object]]:
    """Table and index, conditions, and their parameters."""
    terms = ["m.gone = 0", f"m.removed IS {'NOT ' * wanted.removed}NULL"]
    parameters: list[object] = []
    if wanted.device_id is not None:
        terms.append("m.device_id = ?")
        parameters.append(wanted.device_id.encode("utf-8", "replace").decode())
    if wanted.kind is not None:
        terms.append("m.file_type = 0" if wanted.kind == "photo" else "m.file_type <> 0")
    if wanted.favourite is not None:
        terms.append(f"m.favourite = {wanted.favourite:d}")
    if wanted.first_day is not None:
        terms.append("m.wall >= ?")
        parameters.append(_day(wanted.first_day, 0))
    if wanted.last_day is not None:
        terms.append("m.wall < ?")
        parameters.append(_day(wanted.last_day, 1))
    return f"media AS m INDEXED BY {_best_index(wanted)}", " AND ".join(terms), parameters


def _bounds(wanted: Filter) -> dict[str, str]:
    """
    Where the days that are wanted begin and end by UTC, at the widest: no clock is a day away.

    @return: by C{>} and C{<}.
    """
    bounds = {}
    if wanted.first_day is not None:
        bounds[">"] = _day(wanted.first_day, -1)
    if wanted.last_day is not None:
        bounds["<"] = _day(wanted.last_day, 2)
    return bounds


def _best_index(wanted: Filter) -> str:
    """The smallest one that has all that is wanted, in the order of pages."""
    if wanted.removed:
        return "media_removed"
    if wanted.favourite:
        return "media_favourite"
    if wanted.device_id is not None:
        return "media_camera"
    return "media_video" if wanted.kind == "video" else "media_here"


def _day(day: date, more: int) -> str:
    """So many days later, as far as there are days."""
    ordinal = day.toordinal() + more
    return date.fromordinal(max(1, min(ordinal, date.max.toordinal()))).isoformat()


