"""Leafing through the library, saying something of a picture, and deleting it at home."""

from __future__ import annotations

import base64
import contextlib
import os
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from tests.test_library import BARE, CAMERA, PHOTO, VIDEO, LibraryCase
from tests.test_library_visits import NOW, VISIT
from trailcam.commands import MediaFile
from trailcam.errors import LibraryError, UnknownMedium, WrongRequest
from trailcam.library import (
    Filter,
    Library,
    Medium,
    Page,
    RescanReport,
    Source,
    StoredFile,
    browse,
    remarks,
    trash,
)
from trailcam.library import index as index_module
from trailcam.library.cursors import read_cursor, write_cursor
from trailcam.library.index import Index
from trailcam.library.times import Moment

#: An index that version 2 wrote: a photo, a video that was deleted from the card, a photo
#: without a time, and two visits. Zlib, base 85.
VERSION_2 = (
    "c-rlo-*4Mg6vu6+Y0^$vR>l-6A!hA?t*lA>>pFHMSi3Aj)v|8uGO_g~vVE^pZ;2focO{$l&<O;O@XTKVFHGYF@"
    "i!nb!PAfsAR%5RF|O^TO`0D(AfX}7N3orI&hfGD*C&ZiWZ$@6a{|KKp5HbCUS>`(9LKEjJi{;vy38|&r06m?G-"
    "m0-F|$c91&htlH_64%naoeeemM5l;xqad000000001vQcKR~&Mvb}$HnA>drsF0x(&-{6W@pj^OddYdcDeTY+k"
    "C~;zt7btDAiTe=fGHT$r2BozAiEMcLW}J4RzSu%b7~kwgc+FiAAv&(YD!K1!r=D>?R2X()w*i5oaUFB;AD^W5C"
    "rxPEgq-5_o#=OW(+lY5RuXvivGxw>Af-l$a14fa~)^Ww^wJ#gBj@4=2wtibbotGv70Hi^H=+fIu#f?kJ2M_BnV"
    "$)$43%k0M_Fw7Q-Wr^2`{t4IDFV?CDf*qWggXtXV)px5~{I#u(E9+ag`ODSYs|WtR*7fSGI=^|9E;nnnL$67ih"
    "C9tksDyZ$)1z{GZ8FWhx6_MUhnCKc(Iwq!@y4EUm+*9^wF%C^H{7mGeBW`K(_+kCK(h~|827tmZ-&=4==H!e0!"
    "$+ah~FDT4D0LThV2v5Xq)5SfV4YQ{$SUSCpWZT%d_q_u<zJG<muPJNj8<s<=9V>Q5{5;6s@?CDmYr5e^&$t)jL"
    "i8K`D>V;INp-eFt?tOZTYYXGuT!B+Q7xyHrERa~thhmw3-;wT={B_zf{;X?V8XCBgW7?t3mdTD3;7GflLvbAQ%"
    "JcXtd4snd40Nnq^|+@KBpNJJDszcNUR1pQCnO4yqxG8yLhubC&A4E*Q-000000002+KVe@=oMeg&!*c0#IPS6g"
    "8N^i7vLFn-M9i*NRAGQv+;y=*8>-^4vC%g+L_x?4vLqJnbeeOzsYx0}vLZ-WC9*6LTR?_n6G0YK*_4qk>Jlo6r"
    "lIS$g=JGiLP@a|)hJ0eE)hwP)Vv_(1*tB`WkD$mX#3H5?p3CkoMX8KPDb3>{kOxjMq_8qFu(oz%Z79L<O|GRC_"
    "JU9P+pYsl3bUhvM877k%vrTY}!74qPpvQ9a6kV{FdX6%=<8Ybn2m9l%g!6OmmzUs0e)_L_KedHX*j6(_LwJyIW"
    "{?l%!x8rfBJ^SW*PVHf+h16e39?5jEX1kggz2l!>Td*)FN7tRPdMc2PD>B5Ag5O;To}S{b&lRyrN2m7jc#8Rnb"
    "YA3djPJ;CfdN3^0Z?TA*P=^tw)(HtXMX?aUSx`u2stezx7ma1TZ7KUo;7}+I@R+FI18Y&Ul#x^!oO(|)nsSw@7"
    "l7baYB(|)JR!I{SqD|5xZ27t4UozPuT>$_9000000002MOGlSmVop^m%U71tA)%?`xj1fe<-DYYjd|407eq-`k"
    "h(p?72l-c1Uz;y?|K0r-ZN6>oi0ypj?4Ro+awnrJlx-8UtyLjl_h2$rBX?Df#p)Err~4a9_g;-vaA$P)a8%=5h"
    "0>N{0G3cclW^=dMw9no+<Nc0j=_9?s$$HkF|n8$Cl^1#0p}QSdhY)ZqK!10}`U37BTL{2BCl+u3h^y(rE3{<5("
    ">2`|n;yOKb0c{rHX8@YV0}c9AZL>}O2&Y4!`c0RR91000000002s-{5RIzL$fYeFF#gW*nDZn0@QQ>2#50Y1nw"
    "W7c|X!BJTgcWwOt+Khg~V0000000000001vFuO$#W=?M-lmp}`X9#@!4Fl^NSbJ?Gn>>qRm0000000000006*$"
    "pLF6B8$Kh!EhLr~;-?n=0sw%uHv"
)

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
ROOT = Path("/library")


def memory() -> Index:
    """An empty index."""
    connection = sqlite3.connect(":memory:")
    for migration in index_module._MIGRATIONS:
        connection.executescript(migration)
    return Index(connection.cursor(), ROOT)


class Model:
    """What is in an index, and what a list in Python says of it."""

    def __init__(self) -> None:
        self.index = memory()
        self.number = 0

    def close(self) -> None:
        """Close the index."""
        self.index.cursor.connection.close()  # type: ignore[attr-defined]

    def add(self, hours: int | None, device: int, kind: int, favourite: bool) -> None:
        """One more picture, so long after L{FIRST}."""
        self.number += 1
        zone = ZoneInfo(("Pacific/Kiritimati", "Pacific/Pago_Pago")[device])
        taken = None
        if hours is not None:
            wall = (FIRST + timedelta(hours=hours)).astimezone(zone).replace(tzinfo=None)
            taken = Moment.from_wall(wall, zone)
        file = MediaFile(kind, 100, self.number)
        path = ROOT / f"{self.number}.jpg"
        self.index.add([StoredFile(f"C{device}", file, taken, path, 1, "ab", NOW)])
        self.index.cursor.execute("UPDATE media SET favourite = ? WHERE number = ?",
                                  (favourite, self.number))  # fmt: skip

    def all(self, wanted: Filter) -> list[Medium]:
        """What is wanted, in the order of pages."""
        everything = [browse.must_find(self.index, id + 1) for id in range(self.number)]
        found = [medium for medium in everything if self.fits(medium, wanted)]
        return sorted(found, key=browse.place_of, reverse=True)

    @staticmethod
    def fits(medium: Medium, wanted: Filter) -> bool:
        """Whether a picture is wanted."""
        day = medium.taken and medium.taken.wall.date()
        return (
            wanted.device_id in (None, medium.device_id)
            and wanted.kind in (None, "photo" if medium.file.is_photo else "video")
            and wanted.favourite in (None, medium.favourite)
            and (wanted.first_day is None or bool(day and day >= wanted.first_day))
            and (wanted.last_day is None or bool(day and day <= wanted.last_day))
        )

    def leaf(self, wanted: Filter, limit: int, meanwhile: Callable[[Medium], None]) -> list[int]:
        """All ids, page by page; C{meanwhile} is called with the last of each page."""
        ids: list[int] = []
        cursor = None
        while True:
            page, gone = browse.page(self.index, wanted, cursor, limit)
            ids += [medium.id for medium in page.media]
            assert not gone and len(page.media) <= limit
            if page.next is None:
                return ids
            assert len(page.media) == limit
            cursor = page.next
            meanwhile(page.media[-1])


PICTURES = st.lists(st.tuples(
    st.one_of(st.none(), st.integers(0, 60)), st.integers(0, 1), st.integers(0, 2), st.booleans(),
), max_size=25)  # fmt: skip
DAYS = st.one_of(st.none(), st.dates(date(2026, 2, 27), date(2026, 3, 5)))
FILTERS = st.builds(Filter, st.sampled_from([None, "C0", "C1", "C2"]), DAYS, DAYS,
                    st.sampled_from([None, "photo", "video"]),
                    st.sampled_from([None, True, False]))  # fmt: skip


class PagingTests(TestCase):
    """The order of pages, against a list that was sorted."""

    @settings(deadline=None, max_examples=60)
    @given(PICTURES, FILTERS, st.integers(1, 9))
    def test_paging(self, pictures: Any, wanted: Filter, limit: int) -> None:
        """
        Whatever is wanted: every picture comes once and in order, also when newer ones come in
        between two pages; neighbours and days say the same.
        """
        with mock.patch("trailcam.library.browse.is_file", return_value=True), \
                mock.patch("trailcam.library.medium.is_file", return_value=True), \
                contextlib.closing(Model()) as model:  # fmt: skip
            for picture in pictures:
                model.add(*picture)
            expected = [medium.id for medium in model.all(wanted)]

            def arrive(last: Medium) -> None:
                for kind in (0, 1):
                    model.add(100 + model.number, 0, kind, True)  # newer than all
                if last.taken is None:
                    model.add(0, 1, 0, True)  # they come before those without a time

            ids = model.leaf(wanted, limit, lambda last: None)
            self.assertEqual(ids, expected)
            for newer, id, older in zip([None, *ids], ids, [*ids[1:], None], strict=False):
                self.assertEqual(browse.neighbours(model.index, id, wanted), (newer, older))
            days: dict[date, int] = {}
            for medium in model.all(wanted):
                if medium.taken:
                    day = medium.taken.wall.date()
                    days[day] = days.get(day, 0) + 1
            self.assertEqual(browse.days(model.index, wanted), sorted(days.items(), reverse=True))
            self.assertEqual(model.leaf(wanted, limit, arrive), expected)

    @settings(deadline=None)
    @given(st.text(max_size=60))
    def test_nonsense(self, text: str) -> None:
        """A place that we did not name is refused."""
        self.assertRaises(WrongRequest, read_cursor, text)

    def test_cursors(self) -> None:
        """A place comes back as it was; one that was changed in any letter is refused."""
        for place in (("2026-03-01T00:00:00Z", 7), ("", 10**17)):
            text = write_cursor(place)
            self.assertRegex(text, r"^[A-Za-z0-9_-]+$")
            self.assertEqual(read_cursor(text), place)
            for at in range(len(text)):
                other = "B" if text[at] == "A" else "A"
                self.assertRaises(WrongRequest, read_cursor, text[:at] + other + text[at + 1 :])
        for place in (("2026-03-01' OR 1", 7), ("", -1)):
            self.assertRaises(WrongRequest, read_cursor, write_cursor(place))

    def test_indexes(self) -> None:
        """Whatever is wanted, an index is searched, and nothing is sorted."""
        with contextlib.closing(Model()) as model:
            plans: list[str] = []
            cursor = model.index.cursor

            class Spy:
                """Shows the plan of what is asked."""

                def execute(self, sql: str, parameters: Any) -> None:
                    rows = cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
                    plans.extend(row[3] for row in rows)

                def fetchmany(self, _: int) -> list[Any]:
                    return []

            spied = Index(Spy(), ROOT)  # type: ignore[arg-type]
            for wanted in (Filter(), Filter("C0"), Filter(kind="video"), Filter(favourite=True),
                           Filter(removed=True), Filter("C0", date(2026, 3, 1), kind="photo"),
                           Filter(last_day=date(2026, 3, 1), favourite=False)):  # fmt: skip
                for place in (None, ("", 7)):
                    browse.select(spied, wanted, place, 60)
            self.assertEqual([plan for plan in plans if "TEMP B-TREE" in plan], [])
            self.assertEqual([plan for plan in plans if plan.startswith("SCAN media")], [])
            for plan in plans:
                self.assertRegex(plan, r"^(SEARCH|SCAN) (m|v|w) USING|^CORRELATED SCALAR")


class BrowseTests(LibraryCase):
    """What L{Library} says of pictures, in real threads."""

    async def ids(self, wanted: Filter | None = None) -> list[int]:
        """What is on the first page."""
        return [medium.id for medium in (await self.library.browse(wanted)).media]

    async def test_whole(self) -> None:
        """A medium has all that the camera, the visit and the person say of it."""
        await self.library.open()
        self.assertEqual(await self.library.browse(), Page((), None))
        self.assertEqual(await self.library.cameras(), [])
        photo, video = await self.fetch(PHOTO, b"photo"), await self.fetch(VIDEO, b"video")
        await self.fetch(BARE)
        await self.library.mark_deleted(video, NOW)
        came = photo.fetched_at
        visit = replace(VISIT, began=came - timedelta(seconds=9.5), ended=came)
        early = replace(VISIT, began=came - timedelta(hours=2), ended=came - timedelta(hours=1))
        for each in (early, visit, replace(visit, camera="pond", battery=1)):
            await self.library.record_visit(each)
        page = await self.library.browse()
        self.assertEqual([medium.file for medium in page.media], [VIDEO, PHOTO, BARE])
        self.assertIsNone(page.next)
        film, medium, last = page.media
        expected = Medium(
            medium.id, CAMERA.device_id, "garden", PHOTO, photo.taken, str(photo.path), photo.size,
            photo.sha256, came, battery=64, temperature=-7.5,
        )  # fmt: skip
        self.assertEqual(medium, expected)
        self.assertEqual(medium.path, photo.path)
        self.assertEqual((film.deleted_from_card, last.taken), (NOW, None))
        self.assertEqual(await self.library.medium(medium.id), medium)
        self.assertEqual(await self.library.neighbours(medium.id), (film.id, last.id))
        self.assertEqual(await self.library.days(), [(date(2025, 12, 23), 2)])
        (camera,) = await self.library.cameras()
        self.assertEqual((camera.device_id, camera.name, camera.count, camera.newest),
                         (CAMERA.device_id, "garden", 3, film))  # fmt: skip
        first = await self.library.browse(limit=2)
        self.assertEqual(first.media, page.media[:2])
        self.assertEqual((await self.library.browse(cursor=first.next)).media, page.media[2:])
        await self.assertFailure(self.library.browse(cursor="x"), WrongRequest)

    async def test_said(self) -> None:
        """Favourite and note are kept, through another run and a rescan; others are refused."""
        await self.library.open()
        await self.fetch(PHOTO)
        (id,) = await self.ids()
        await self.library.set_favourite(id, True)
        await self.library.set_note(id, " a fox,\r\nat last \N{FOX FACE} ")
        for bad in ("x" * 2001, "a\0b", "a\rb", "\ud800", "\x9b"):
            await self.assertFailure(self.library.set_note(id, bad), WrongRequest)
        for call in (self.library.set_note(99, ""), self.library.set_favourite(-1, True),
                     self.library.remove(2**70), self.library.restore(0),
                     self.library.neighbours(99), self.library.thumbnail(99)):  # fmt: skip
            await self.assertFailure(call, UnknownMedium)
        self.assertIsNone(await self.library.medium(99))
        await self.reopen()
        await self.library.rescan()
        await self.fetch(PHOTO)  # once more, by mistake
        medium = await self.library.medium(id)
        assert medium is not None
        self.assertEqual((medium.favourite, medium.note), (True, "a fox,\nat last \N{FOX FACE}"))
        self.assertEqual(await self.ids(Filter(favourite=True)), [id])
        await self.library.set_favourite(id, False)
        await self.library.set_note(id, "y" * 2000)
        self.assertEqual(await self.ids(Filter(favourite=True)), [])

    async def test_deleted_by_hand(self) -> None:
        """A file that a person deleted is not listed nor counted, until it is put back."""
        await self.library.open()
        photo = await self.fetch(PHOTO)
        await self.fetch(VIDEO)
        film, id = await self.ids()
        await self.library.set_note(id, "a fox")
        photo.path.rename(photo.path.with_suffix(".aside"))
        self.assertEqual(await self.ids(), [film])
        self.assertIsNone(await self.library.medium(id))
        # It is written down by and by.
        await self.assertFailure(self.library.remove(id), UnknownMedium)
        self.assertEqual(await self.library.days(), [(date(2025, 12, 23), 1)])
        self.assertEqual((await self.library.cameras())[0].count, 1)
        self.assertEqual(await self.library.rescan(), RescanReport(0, 1, 1))
        photo.path.with_suffix(".aside").rename(photo.path)
        self.assertEqual(await self.library.rescan(), RescanReport(0, 0, 2))
        medium = await self.library.medium(id)
        assert medium is not None
        self.assertEqual(medium.note, "a fox")
        self.assertEqual(await self.ids(), [film, id])

    async def test_names(self) -> None:
        """Pictures of a library from before names were written down get those of its cards."""
        await self.library.open()
        await self.fetch(PHOTO)
        await self.fetch(PHOTO, b"other", Source("C7"))
        await self.library.close()
        with closing(sqlite3.connect(self.path / ".trailcam" / "index.sqlite")) as base, base:
            base.execute("UPDATE media SET camera = NULL")
        self.library = self.make()
        await self.library.open()
        cameras = await self.library.cameras()
        self.assertEqual([(camera.device_id, camera.name) for camera in cameras],
                         [("C7", None), (CAMERA.device_id, "garden")])  # fmt: skip


class TrashTests(LibraryCase):
    """Deleted at home."""

    #: What the clock of the library shows.
    time = NOW.timestamp()

    def make(self, path: Path | None = None, **options: Any) -> Library:
        return super().make(path, **{"wall_clock": lambda: self.time, **options})

    async def listed(self, **wanted: Any) -> list[MediaFile]:
        """The files of the first page."""
        return [medium.file for medium in (await self.library.browse(Filter(**wanted))).media]

    async def two(self) -> tuple[StoredFile, int]:
        """A photo and a video; the photo, and its id."""
        await self.library.open()
        photo = await self.fetch(PHOTO)
        await self.fetch(VIDEO, b"film")
        return photo, (await self.library.browse()).media[1].id

    async def test_there_and_back(self) -> None:
        """What was removed is in the trash and nowhere else, is not fetched, and comes back."""
        photo, id = await self.two()
        await self.library.set_note(id, "dull")
        await gatherResults([self.library.remove(id), self.library.remove(id)])
        for _ in range(2):
            self.assertEqual(len(self.tree()), 1)
            self.assertEqual(await self.listed(), [VIDEO])
            self.assertEqual(await self.listed(removed=True), [PHOTO])
            self.assertEqual(await self.library.missing(CAMERA, [PHOTO, VIDEO]), [])
            self.assertEqual(await self.library.copies(CAMERA, [PHOTO]), {})
            self.assertEqual(await self.library.days(), [(date(2025, 12, 23), 1)])
            medium = await self.library.medium(id)
            assert medium is not None
            self.assertEqual((medium.removed, medium.note), (NOW, "dull"))
            self.assertEqual(medium.path.read_bytes(), b"data")
            await self.reopen()
            await self.library.rescan()
        await self.library.restore(id)
        await self.library.restore(id)
        self.assertEqual(photo.path.read_bytes(), b"data")
        self.assertEqual(await self.listed(), [VIDEO, PHOTO])
        self.assertEqual(await self.listed(removed=True), [])
        self.assertFalse((self.path / trash.TRASH).exists())

    async def test_purge(self) -> None:
        """After a day it is deleted for good, by the next start too, and never fetched again."""
        await self.two()
        for start in (False, True):
            id = (await self.library.browse()).media[0].id
            await self.library.remove(id)
            self.assertEqual(await self.library.purge(), 0)
            self.time += 86_390
            await self.reopen()
            self.assertEqual(len(await self.listed(removed=True)), 1)
            self.time += 20
            if start:
                await self.reopen()
            else:
                self.assertEqual(await self.library.purge(), 1)
            self.assertEqual(await self.listed(removed=True), [])
            self.assertFalse((self.path / trash.TRASH).exists())
            await self.assertFailure(self.library.restore(id), UnknownMedium)
            await self.library.rescan()
            self.assertEqual(await self.library.missing(CAMERA, [PHOTO, VIDEO]), [])
        self.assertEqual(self.tree(), [])

    async def test_put_back_by_hand(self) -> None:
        """What was deleted for good and lies there again, from a backup, is listed again."""
        photo, id = await self.two()
        await self.library.remove(id)
        await self.library.purge(NOW + timedelta(days=2))
        photo.path.write_bytes(b"data")
        await self.reopen()
        self.assertEqual(await self.listed(), [VIDEO, PHOTO])

    async def test_put_back_too_early(self) -> None:
        """What was put back by hand from the trash can be had back for a day again."""
        photo, id = await self.two()
        await self.library.remove(id)
        await self.library.close()
        buried = self.path / trash.TRASH / photo.path.relative_to(self.path)
        buried.rename(photo.path)
        self.time += 90_000
        await self.reopen()
        (medium,) = (await self.library.browse(Filter(removed=True))).media
        self.assertEqual((medium.removed, medium.path), (NOW + timedelta(seconds=90_000), buried))
        await self.library.restore(id)
        self.assertEqual(photo.path.read_bytes(), b"data")

    async def test_never_buried_over(self) -> None:
        """What lies in the trash is not replaced: neither by a start, nor by removing."""
        photo, id = await self.two()
        await self.library.remove(id)
        buried = self.path / trash.TRASH / photo.path.relative_to(self.path)
        photo.path.write_bytes(b"theirs")
        await self.reopen()
        self.assertEqual((photo.path.read_bytes(), buried.read_bytes()), (b"theirs", b"data"))
        error = self.assertRaises(LibraryError, trash.bury, self.path, str(photo.path.relative_to(
            self.path)))  # fmt: skip
        self.assertIn("is there already", str(error))
        self.assertEqual((photo.path.read_bytes(), buried.read_bytes()), (b"theirs", b"data"))

    async def test_cancelled_while_purging(self) -> None:
        """An open that is cancelled at the very end leaves the library to the next one."""
        await self.library.open()
        await self.library.close()
        begun: Deferred[None] = Deferred()

        async def purge(now: datetime) -> int:
            reactor.callLater(0, begun.callback, None)  # not from within what is cancelled
            return await Deferred()

        patch = self.patch(self.library, "_purge", purge)
        opening = self.library.open()
        await begun
        opening.cancel()
        await self.assertFailure(opening, CancelledError)
        patch.restore()
        await self.library.open()

    async def test_place_taken(self) -> None:
        """Nothing is replaced: restoring fails, and the picture stays in the trash."""
        photo, id = await self.two()
        await self.library.remove(id)
        photo.path.write_bytes(b"theirs")
        await self.assertTrouble(self.library.restore(id), "is there already")
        self.assertEqual(await self.listed(removed=True), [PHOTO])
        self.assertEqual(photo.path.read_bytes(), b"theirs")

    async def test_disk_fails(self) -> None:
        """When the disk refuses, it is as before."""
        _, id = await self.two()

        def refuse(*arguments: object) -> None:
            raise PermissionError(1, "Operation not permitted", "here")

        patch = self.patch(trash, "_move", refuse)
        await self.assertTrouble(self.library.remove(id), "may not be used")
        self.assertEqual(await self.listed(), [VIDEO, PHOTO])
        patch.restore()
        await self.library.remove(id)
        self.patch(trash, "_move", refuse)
        await self.assertTrouble(self.library.restore(id), "may not be used")
        self.assertEqual(await self.listed(removed=True), [PHOTO])

    async def test_cancelled(self) -> None:
        """Whoever does not wait for the end of it leaves nothing half done."""
        _, id = await self.two()
        removing = self.library.remove(id)
        removing.addErrback(lambda failure: None)
        removing.cancel()
        await self.library.restore(id)  # its turn comes after
        self.assertEqual(await self.listed(), [VIDEO, PHOTO])

    async def test_index_lost(self) -> None:
        """Without the index nobody knows what was to go: it comes back, and is not fetched."""
        _, id = await self.two()
        await self.library.remove(id)
        await self.library.close()
        (self.path / ".trailcam" / "index.sqlite").unlink()
        await self.reopen()
        self.assertEqual(await self.listed(), [VIDEO, PHOTO])
        self.assertEqual(await self.library.missing(CAMERA, [PHOTO]), [])


class KillTests(TestCase):
    """Killed between the row and the file: the next start makes them agree."""

    def setUp(self) -> None:
        self.path = Path(os.path.abspath(self.mktemp()))
        self.clock = NOW.timestamp()
        self.library = self.opened()
        part = self.successResultOf(self.library.part_path(CAMERA, PHOTO))
        part.write_bytes(b"data")
        self.stored = self.successResultOf(self.library.commit(CAMERA, PHOTO, part, 4, "abcd"))
        self.id = self.listed()[0]

    def opened(self) -> Library:
        """The library, without threads."""
        library = Library(self.path, Clock(), inline=True, wall_clock=lambda: self.clock)
        self.addCleanup(library.close)
        self.successResultOf(library.open())
        return library

    def listed(self, removed: bool = False) -> list[int]:
        """The ids on the first page."""
        page = self.successResultOf(self.library.browse(Filter(removed=removed)))
        return [medium.id for medium in page.media]

    def killed(self, where: Any, name: str, act: Callable[[], Any]) -> None:
        """The program ends where it would call a function, and is started again."""

        def die(*arguments: object) -> None:
            raise SystemExit

        patch = self.patch(where, name, die)
        self.failureResultOf(act(), SystemExit)
        patch.restore()
        self.successResultOf(self.library.close())
        self.library = self.opened()

    def files(self) -> tuple[bool, bool]:
        """Whether it is at its place, and in the trash."""
        buried = self.path / trash.TRASH / self.stored.path.relative_to(self.path)
        return self.stored.path.exists(), buried.exists()

    def test_removing(self) -> None:
        """Once it is written down it is done."""
        self.killed(trash, "_move", lambda: self.library.remove(self.id))
        self.assertEqual((self.listed(), self.listed(True)), ([], [self.id]))
        self.assertEqual(self.files(), (False, True))

    def test_restoring(self) -> None:
        """Likewise."""
        self.successResultOf(self.library.remove(self.id))
        self.killed(trash, "_move", lambda: self.library.restore(self.id))
        self.assertEqual((self.listed(), self.listed(True)), ([self.id], []))
        self.assertEqual(self.files(), (True, False))

    def test_purging(self) -> None:
        """What was deleted, but is not written down, is not listed nor fetched again."""
        self.successResultOf(self.library.remove(self.id))
        self.clock += 90_000
        self.killed(remarks, "set_gone", self.library.purge)
        self.assertEqual((self.listed(), self.listed(True)), ([], []))
        self.assertEqual(self.files(), (False, False))
        self.assertEqual(self.successResultOf(self.library.missing(CAMERA, [PHOTO])), [])

    def test_really(self) -> None:
        """A process that ends at once in the middle, with its transactions."""
        script = (
            "import os, sys\n"
            "from pathlib import Path\n"
            "from twisted.internet.task import Clock\n"
            "from trailcam.library import Library, trash\n"
            "library = Library(Path(sys.argv[1]), Clock(), inline=True)\n"
            "library.open()\n"
            "trash._move = lambda *args: os._exit(9)\n"
            f"library.remove({self.id})\n"
        )
        self.successResultOf(self.library.close())
        run = subprocess.run([sys.executable, "-c", script, str(self.path)], check=False,
                             cwd=Path(__file__).parents[1], timeout=60)  # fmt: skip
        self.assertEqual(run.returncode, 9)
        self.assertEqual(self.files(), (True, False))
        self.library = self.opened()
        self.assertEqual((self.listed(), self.listed(True)), ([], [self.id]))
        self.assertEqual(self.files(), (False, True))


class MigrationTests(LibraryCase):
    """A library that version 2 left."""

    async def test_version_2(self) -> None:
        """It opens with all that it has, and has the new things; what lay there is listed."""
        index = self.path / ".trailcam" / "index.sqlite"
        index.parent.mkdir(parents=True)
        index.write_bytes(zlib.decompress(base64.b85decode(VERSION_2)))
        with closing(sqlite3.connect(index)) as base:
            self.assertEqual(base.execute("PRAGMA user_version").fetchone(), (2,))
            paths = [path for (path,) in base.execute("SELECT path FROM media ORDER BY id")]
        for path in paths[:2]:  # the third was deleted by hand since
            (self.path / path).parent.mkdir(parents=True, exist_ok=True)
            (self.path / path).write_bytes(b"here")
        card = '{"devId": "C6:00:00:00:00:01", "name": "garden", "zone": "Europe/Berlin"}'
        (self.path / "C60000000001" / "camera.json").write_text(card)
        await self.library.open()
        self.assertEqual(len(await self.library.files()), 3)
        self.assertEqual(len(await self.library.visits()), 2)
        film, photo = (await self.library.browse()).media
        self.assertEqual((film.file, photo.file), (VIDEO, PHOTO))
        self.assertEqual(film.deleted_from_card, datetime.fromtimestamp(1767323045, UTC))
        # The name came from the folder's card, and with it the visit is found.
        self.assertEqual((photo.camera, photo.battery, photo.temperature), ("garden", 64, -7.5))
        self.assertEqual(await self.library.missing(CAMERA, [PHOTO, VIDEO, BARE]), [])
        await self.library.set_favourite(photo.id, True)
        await self.library.remove(film.id)
        await self.reopen()
        self.assertEqual([medium.favourite for medium in (await self.library.browse()).media],
                         [True])  # fmt: skip
        self.assertEqual(list(index.parent.glob("*corrupt*")), [])

    async def test_error(self) -> None:
        """A library that is not open says so, whatever is asked."""
        for call in (self.library.browse(), self.library.medium(1), self.library.thumbnail(1),
                     self.library.remove(1), self.library.purge()):  # fmt: skip
            await self.assertFailure(call, LibraryError)
