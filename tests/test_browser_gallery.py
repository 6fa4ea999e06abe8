"""The gallery in a browser: with thumbs, with keys, with scripts and without."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from twisted.internet.task import Clock

from tests.browser import BrowserCase, Page, Station
from tests.webstation import picture
from trailcam.commands import MediaFile
from trailcam.library import Library, Source

#: The camera's clock at the newest picture, as if it were UTC.
NEWEST = int(datetime(2026, 5, 18, 21, tzinfo=UTC).timestamp())


def _shot(number: int, age: int) -> tuple[MediaFile, bytes]:
    """A photo, so many hours older than the newest; they differ."""
    file = MediaFile(0, 100, number, 0, number, NEWEST - age * 3600)
    return file, picture(number % 250) + bytes([number % 251])


#: Wish for a visit, as the button does.
VISIT = """async () => {
    const { call } = await import(document.baseURI + "static/api.js");
    await call("POST", "api/v1/cameras/garden/visit");
}"""


class GalleryTests(BrowserCase):
    """A person looks at pictures."""

    def gallery(self, count: int, settings: str = "interval = 0", photos: int = 0) -> Station:
        """A station with so many pictures, one each hour; picture C{count} is the newest."""
        library = Library(self.library, Clock(), inline=True)
        self.now(library.open())
        source = Source("C60000000009", "wood", UTC)
        for number in range(1, count + 1):
            file, data = _shot(number, count - number)
            part = self.now(library.part_path(source, file))
            part.write_bytes(data)
            self.now(library.commit(source, file, part, len(data), sha256(data).hexdigest()))
        self.now(library.close())
        return self.station(settings=settings, photos=photos)

    def now(self, done: Any) -> Any:
        """What a C{Deferred} has come to, that waits for nothing."""
        return self.successResultOf(done)

    def tiles(self, page: Page) -> list[int]:
        """The ids of all pictures in the grid."""
        ids = page.eval_on_selector_all("#days .tile", "tiles => tiles.map(tile => tile.id)")
        return [int(id[1:]) for id in ids]

    def shows(self, page: Page, id: int) -> None:
        """Wait until the viewer shows a picture, the large one."""
        page.wait_for_selector(f'.stage img[src*="media/{id}/file"]')
        self.assertTrue(page.url.endswith(f"#m{id}"), page.url)

    def swipe(self, page: Page, x: int, y: int) -> None:
        """With a thumb, from the middle of the screen."""
        devtools = page.context.new_cdp_session(page)
        for kind, points in self.touches(x, y):
            devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    @staticmethod
    def touches(x: int, y: int) -> Iterator[tuple[str, list[dict[str, int]]]]:
        """What a thumb does."""
        yield "touchStart", [{"x": 195, "y": 420}]
        for part in range(1, 6):
            yield "touchMove", [{"x": 195 + x * part // 5, "y": 420 + y * part // 5}]
        yield "touchEnd", []

    def test_scrolling(self) -> None:
        """Older pictures come while one scrolls: each once, in order, a day in one piece."""
        page = self.open(self.gallery(200).url)
        self.assertEqual(len(self.tiles(page)) % 60, 0)
        while page.locator(".more").count():
            page.mouse.wheel(0, 4000)
            page.wait_for_timeout(50)
        self.assertEqual(self.tiles(page), list(range(200, 0, -1)))
        days = page.eval_on_selector_all(".day", "days => days.map(day => day.dataset.day)")
        self.assertEqual(len(days), len(set(days)))
        for day in page.query_selector_all(".day"):
            count = day.query_selector("small")
            assert count is not None
            self.assertEqual(int(count.inner_text()), len(day.query_selector_all(".tile")))
        self.look(page, "gallery-end")
        self.come_back(page)

    def come_back(self, page: Page) -> None:
        """The place in the list is found again: after another page, and after a reload in
        the viewer, which then closes near its picture."""
        place = page.evaluate("scrollTo(0, document.body.scrollHeight - 1500), scrollY")
        here = "place => Math.abs(scrollY - place) < 2"
        page.eval_on_selector("nav [href$=cameras]", "link => link.click()")
        page.wait_for_url("**/cameras")
        page.go_back()
        page.wait_for_function(here, arg=place)
        self.assertEqual(len(self.tiles(page)), 200)
        page.eval_on_selector("#m20", "tile => tile.click()")
        page.reload()
        self.shows(page, 20)
        page.wait_for_selector("#m1", state="attached")
        page.keyboard.press("Escape")
        page.wait_for_selector("#viewer", state="hidden")
        page.wait_for_function("() => document.activeElement.id === 'm20' && scrollY > 3000")

    def test_modules(self) -> None:
        """All modules of a page are asked for at once, and no others: nobody waits for a chain."""
        station = self.gallery(1)
        page = self.open(station.url)
        for path in ("", "media/1", "trash", "cameras", "cameras/garden", "cameras/garden/live"):
            page.goto(station.url + path, wait_until="networkidle" if not path else "load")
            early = page.eval_on_selector_all(
                "link[rel=modulepreload], script[src]",
                "all => all.map(each => each.href || each.src)",
            )
            page.wait_for_function("() => document.readyState === 'complete'")
            loaded = page.evaluate(
                "performance.getEntriesByType('resource').map(each => each.name)"
                ".filter(name => /[.]js($|[?])/.test(name))"
            )
            self.assertEqual(sorted(loaded), sorted(early), path)

    def test_keys(self) -> None:
        """Arrows turn, f marks, Delete deletes, what was deleted can be had back, Back closes."""
        station = self.gallery(70)
        page = self.open(station.url)
        page.click("#m69")
        self.shows(page, 69)
        page.keyboard.press("ArrowRight")
        self.shows(page, 68)
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        self.shows(page, 70)
        self.assertTrue(page.locator("[data-do=newer]").is_hidden())
        page.keyboard.press("f")
        page.wait_for_selector("#m70.loved", state="attached")
        page.keyboard.press("i")
        page.fill(".side textarea", "a fox <b>")
        page.click(".side form button")
        page.wait_for_selector("#m70.noted", state="attached")
        page.fill(".side textarea", "a vixen")
        page.keyboard.press("Escape")
        page.wait_for_selector("#viewer", state="hidden")
        page.get_by_text("The note is saved.").wait_for()
        page.wait_for_url(station.url)
        page.click("#m69")
        page.wait_for_selector(".side:not([inert]) [data-medium='69']")
        page.fill(".side textarea", "a hare")
        page.click("[data-do=older]")
        page.wait_for_selector("#m69.noted", state="attached")
        page.wait_for_selector(".side:not([inert]) [data-medium='68']")
        page.fill(".side textarea", "an owl")
        page.go_back()
        page.wait_for_selector("#m68.noted", state="attached")
        page.goto(f"{station.url}media/70")
        self.assertEqual(page.input_value("textarea"), "a vixen")
        page.fill("textarea", "a fox")
        page.go_back()
        page.click("#m70")
        page.keyboard.press("i")
        page.wait_for_function("() => document.querySelector('textarea')?.value === 'a fox'")
        page.keyboard.press("i")
        page.keyboard.press("ArrowRight")
        self.shows(page, 69)
        page.keyboard.press("Delete")
        self.shows(page, 68)
        self.assertNotIn(69, self.tiles(page))
        self.assertFalse(list(self.library.glob("*/*/*_100-0069-*")))
        page.keyboard.press("u")
        self.shows(page, 69)
        self.assertEqual(self.tiles(page)[:3], [70, 69, 68])
        self.assertTrue(list(self.library.glob("*/*/*_100-0069-*")))
        page.keyboard.press("ArrowLeft")
        self.shows(page, 70)
        page.go_back()
        page.wait_for_selector("#viewer", state="hidden")
        page.reload()
        page.select_option("[name=kind]", "video")
        page.wait_for_selector("text=No pictures like that")
        page.go_back()
        page.wait_for_selector("#m70")
        self.assertEqual(page.input_value("[name=kind]"), "")
        self.assertEqual(page.locator(".tile.loved.noted").get_attribute("id"), "m70")

    def test_beyond(self) -> None:
        """One leafs on past what is loaded; a reload, also far from the grid, shows the same."""
        page = self.open(self.gallery(200).url + "#m12")
        self.shows(page, 12)
        self.assertNotIn(12, self.tiles(page))
        page.keyboard.press("ArrowRight")
        self.shows(page, 11)
        page.keyboard.press("ArrowLeft")
        self.shows(page, 12)
        page.keyboard.press("ArrowLeft")
        self.shows(page, 13)
        page.goto(page.url.partition("#")[0] + "?kind=photo")
        page.click("#m200")
        for id in range(199, 138, -1):  # the first page ends at 141
            page.keyboard.press("ArrowRight")
            page.wait_for_url(f"**#m{id}")
        self.shows(page, 139)

    def test_thumbs(self) -> None:
        """On a phone one swipes: sideways to turn, down to close; nothing is wider than it."""
        page = self.open(self.gallery(8).url, phone=True)
        wide = "document.documentElement.scrollWidth"
        self.assertEqual(page.evaluate(wide), 390)
        self.look(page, "gallery-phone")
        page.tap("#m7")
        self.shows(page, 7)
        self.swipe(page, -150, 10)
        self.shows(page, 6)
        self.swipe(page, 150, 10)
        self.shows(page, 7)
        self.swipe(page, 10, 200)
        page.wait_for_selector("#viewer", state="hidden")
        page.wait_for_url(lambda url: "#" not in url)
        self.assertTrue(page.locator("[name=from]").is_hidden())
        page.check(".dates input", force=True)
        page.fill("input[name=from]", "2026-05-18")
        page.wait_for_url(re.compile("from=2026-05-18$"))
        self.assertEqual(page.evaluate(wide), 390)

    def test_without_scripts(self) -> None:
        """Looking, choosing and leafing need none; what does need them is not offered."""
        page = self.open(self.gallery(70).url, javascript=False)
        page.check("[title='Favourites only'] input", force=True)
        page.click("noscript button, .choices button")
        self.assertIn("favourite=true", page.url)
        page.click("text=Show all pictures")
        page.click("text=Older pictures")
        self.assertEqual(self.tiles(page), list(range(10, 0, -1)))
        page.click("#m10")
        self.assertIn("/media/10", page.url)
        page.click("text=Newer")
        self.assertIn("/media/11", page.url)
        self.assertEqual(page.locator("button:visible").count(), 0)
        self.assertTrue(page.evaluate("document.querySelector('.picture').naturalWidth > 0"))

    def test_trouble(self) -> None:
        """A station that is gone while one looks is told of, and a press tries again."""
        self.expect_complaint("Failed to load resource|ERR_")
        page = self.open(self.gallery(130).url)
        page.context.set_offline(True)
        page.click("text=Older pictures")
        page.wait_for_selector(".more [role=alert]")
        self.assertIn("the station does not answer", page.inner_text(".more"))
        page.context.set_offline(False)
        page.click("text=Try again")
        page.click("text=Older pictures")
        page.wait_for_selector(".more", state="detached")
        self.assertEqual(len(self.tiles(page)), 130)
        page.wait_for_selector(".broken", state="detached")

    def test_fresh(self) -> None:
        """What comes home shows by itself to who is at the top; who has scrolled down is told, is
        not disturbed, and sees it when that is wished."""
        now = datetime.now()
        quiet = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=6):%H:%M}"
        station = self.gallery(70, settings=f"quiet = {quiet}", photos=2)
        top, page = self.open(station.url), self.open(station.url, phone=True)
        first = self.tiles(page)[0]
        page.evaluate("scrollTo(0, 2000)")
        page.evaluate(VISIT)
        shown = f"() => document.querySelector('.tile').id !== 'm{first}'"
        top.wait_for_function(shown)
        page.get_by_role("button", name="2 new pictures").wait_for()
        self.assertEqual(self.tiles(page)[0], first)
        page.get_by_role("button", name="2 new pictures").click()
        page.wait_for_function(shown)
        self.assertEqual(page.evaluate("scrollY"), 0)
        for each in (top, page):
            tiles = self.tiles(each)
            self.assertEqual((len(tiles), tiles[2]), (len(set(tiles)), first))

    def test_trash(self) -> None:
        """On its own page a picture is deleted, and had back from the trash."""
        station = self.gallery(3)
        page = self.open(station.url + "media/2", dark=True)
        page.keyboard.press("ArrowRight")
        page.wait_for_url("**/media/1")
        page.keyboard.press("ArrowLeft")
        page.wait_for_url("**/media/2")
        page.click("text=Delete")
        page.click("text=Have it back")
        page.click("text=Delete")
        page.wait_for_selector("text=It can be had back until")
        page.click("text=Deleted pictures")
        self.look(page, "trash")
        page.click("text=Have it back")
        page.wait_for_selector("text=Nothing was deleted")
        page.click("text=Show it")
        page.wait_for_url("**/media/2")
        page.goto(station.url)
        self.assertEqual(self.tiles(page), [3, 2, 1])
