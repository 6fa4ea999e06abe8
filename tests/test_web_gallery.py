"""The gallery and the pages around it, as they come over HTTP: all of it works without scripts."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin
from zoneinfo import ZoneInfo

from tests.webstation import PAGE, Reply, WebTestCase, picture
from trailcam.commands import MediaFile
from trailcam.library import Filter, Source, Visit

EVIL = "<script>alert('&\"')</script>"
GARDEN = Source("C60000000001", "garden", ZoneInfo("Europe/Berlin"))
#: The camera's clock, as if it were UTC.
MAY = int(datetime(2026, 5, 18, tzinfo=UTC).timestamp())


class Seen(HTMLParser):
    """
    What a page shows.

    @ivar days: the headings of days, each with the ids of its pictures.
    @ivar links: where links lead, by their C{rel}; those without one have their text.
    @ivar tags: all of them, with their attributes.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.days: list[tuple[str, list[int]]] = []
        self.links: dict[str, str] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._link: tuple[str, str] | None = None
        self.feed(html)

    @property
    def ids(self) -> list[int]:
        """Of all pictures, in their order."""
        return [id for _, ids in self.days for id in ids]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag == "section" and "data-day" in given:
            self.days.append((given["data-day"] or "", []))
        if "tile" in (given.get("class") or "").split() and self.days:
            self.days[-1][1].append(int((given["id"] or "")[1:]))
        if tag == "a" and given.get("href") is not None:
            self._link = (given.get("rel") or "", given["href"] or "")

    def handle_data(self, data: str) -> None:
        """The text of a link is its name."""
        self.text += data
        if self._link and data.strip():
            rel, href = self._link
            self.links[rel or data.strip()] = href
            self._link = None


class GalleryCase(WebTestCase):
    """A station that is asked for pages."""

    async def take(self, hours: float | None, kind: int = 0, source: Source = GARDEN,
                   data: bytes = b"") -> int:  # fmt: skip
        """
        A picture comes home.

        @param hours: after midnight of 18 May 2026; C{None}: nobody knows when.
        @return: its id.
        """
        number = getattr(self, "_number", 0) + 1
        self._number = number
        when = None if hours is None else MAY + int(hours * 3600)
        file = MediaFile(kind, 100, number, 5000 * kind, number if when else None, when)
        data = data or picture(number % 250)
        await self.context.open_library()
        part = await self.library.part_path(source, file)
        part.write_bytes(data)
        stored = await self.library.commit(source, file, part, len(data), sha256(data).hexdigest())
        found = await self.library.browse(limit=1000)
        return next(each.id for each in found.media if each.path == stored.path)

    async def page(self, path: str = "", status: int = 200) -> Seen:
        """Look at a page."""
        reply = await self.html(path, status)
        return Seen(reply.text)

    async def html(self, path: str = "", status: int = 200) -> Reply:
        """The same, as it comes."""
        reply = await self.ask("GET", "/" + path, PAGE)
        self.assertEqual(reply.status, status, reply.text)
        return reply


class GalleryTests(GalleryCase):
    """All pictures, by day."""

    async def test_days(self) -> None:
        """Days are those of the camera's clock, newest first, with their counts; no time: last."""
        await self.serve()
        abroad = Source("C60000000002", "island", ZoneInfo("Pacific/Kiritimati"))
        late = await self.take(23.9)
        next_day = await self.take(24.1)
        early = await self.take(0.1)
        there = await self.take(24.2, source=abroad)  # the 19th there, the 18th by UTC
        film = await self.take(2, kind=1)
        bare = await self.take(None)
        seen = await self.page()
        self.assertEqual(
            seen.days,
            [("2026-05-19", [next_day]), ("2026-05-18", [late]), ("2026-05-19", [there]),
             ("2026-05-18", [film, early]), ("", [bare])],
        )  # fmt: skip
        for text in ("Tuesday, 19 May 2026", "Monday, 18 May 2026", "Time unknown", "0:05"):
            self.assertIn(text, seen.text)
        counts = re.findall(r"<small>(.*?)</small>", (await self.html()).text)
        self.assertEqual(counts, ["2", "3", "2", "3"])

    async def test_paging(self) -> None:
        """Following "Older pictures" shows each once, though others come and go meanwhile."""
        await self.serve()
        wanted = [await self.take(-hour / 2) for hour in range(130)]
        url, shown, pages = "", [], 0
        while True:
            seen = await self.page(url)
            shown += seen.ids
            pages += 1
            self.assertLessEqual(len(seen.ids), 60)
            if "next" not in seen.links:
                break
            await self.take(24 + pages)  # newer than all
            await self.library.remove(shown[0])
            url = urljoin("/" + url, seen.links["next"]).lstrip("/")
        self.assertEqual((shown, pages), (wanted, 3))
        self.assertIn("Back to the newest pictures", seen.links)

    async def test_filters(self) -> None:
        """Each narrows what is shown, is kept by links, and is still chosen in the form."""
        await self.serve()
        other = Source("C60000000002", EVIL, UTC)
        first, film, last = await self.take(0), await self.take(24, kind=1), await self.take(48)
        there = await self.take(30, source=other)
        await self.library.set_favourite(film, True)
        for query, ids in (
            ("", [last, there, film, first]),
            ("camera=C60000000002", [there]),
            ("camera=garden", [last, film, first]),
            ("kind=video", [film]),
            ("kind=photo&camera=&from=&to=", [last, there, first]),
            ("favourite=true", [film]),
            ("from=2026-05-19", [last, there, film]),
            ("from=2026-05-19&to=2026-05-19", [there, film]),
        ):
            self.assertEqual((await self.page(f"?{query}")).ids, ids, query)
        query = "camera=C60000000002&from=2026-05-19&kind=photo"
        seen = await self.page(f"?{query}")
        chosen = [given["value"] for _, given in seen.tags if "selected" in given]
        self.assertEqual(chosen, ["C60000000002", "photo"])
        self.assertIn(("input", {"type": "date", "min": "2000-01-01", "name": "from",
                                 "value": "2026-05-19"}), seen.tags)  # fmt: skip
        tile = next(given for tag, given in seen.tags if given.get("class") == "tile")
        self.assertEqual(tile["href"], f"./media/{there}?{query}")

    async def test_nonsense(self) -> None:
        """What makes no sense is told, with a way back, and is not shown as markup."""
        await self.serve()
        for query in ("from=yesterday", "to=2026-02-30", "kind=fox", "favourite=maybe",
                      "before=%3Cb%3E"):  # fmt: skip
            seen = await self.page(f"?{query}", 400)
            self.assertIn("To the pictures", seen.links)
        self.assertEqual((await self.page("?camera=%3Cb%3E")).ids, [])
        self.assertNotIn("b", [tag for tag, _ in (await self.page("?camera=%3Cb%3E")).tags])

    async def test_nothing(self) -> None:
        """An empty library says what to do; a filter that finds nothing can be taken off."""
        await self.serve()
        seen = await self.page()
        self.assertIn("No pictures yet", seen.text)
        self.assertEqual(seen.links["To the cameras"], "./cameras")
        await self.take(1)
        seen = await self.page("?kind=video")
        self.assertIn("No pictures like that", seen.text)
        self.assertEqual(seen.links["Show all pictures"], "./")

    async def test_no_library(self) -> None:
        """A library that cannot be opened is told of, on a page."""
        self.library.path.mkdir(parents=True)
        (self.library.path / ".trailcam").write_text("in the way")
        await self.serve()
        seen = await self.page("", 503)
        self.assertIn("a file is in the way: choose another folder.", seen.text)
        self.assertNotIn("Traceback", seen.text)

    async def test_weight(self) -> None:
        """The first view is under 60 kB without its pictures, and needs nothing else."""
        await self.serve()
        for number in range(61):
            await self.take(-number, kind=number % 20 == 0)
        reply = await self.html()
        seen = Seen(reply.text)
        self.assertEqual(len(seen.ids), 60)
        files = [given["href"] for tag, given in seen.tags
                 if tag == "link" and given["rel"] == "stylesheet"]  # fmt: skip
        files += [given["src"] for tag, given in seen.tags if tag == "script"]
        weight, loaded = len(reply.body), set[str]()
        while files:
            name = (files.pop() or "").removeprefix("./").partition("?")[0]
            if name not in loaded:
                loaded.add(name)
                file = await self.ask("GET", "/" + name)
                self.assertEqual(file.status, 200, name)
                weight += len(file.body)
                files += [f"static/{each}" for each in re.findall(r'from "\./(.+?)"', file.text)]
        self.assertIn("static/viewer.js", loaded)
        self.assertLess(weight, 60_000, loaded)

    async def test_policy(self) -> None:
        """No page has anything inline that the policy forbids; all links are relative."""
        await self.serve()
        id = await self.take(1)
        await self.take(2, kind=1)
        await self.library.remove(await self.take(3))
        for path in ("", f"media/{id}", "trash", "media/999", "login"):
            reply = await self.ask("GET", "/" + path, PAGE)
            for tag, given in Seen(reply.text).tags:
                self.assertNotIn("style", given)
                self.assertNotEqual(tag, "style")
                self.assertEqual([name for name in given if name.startswith("on")], [])
                self.assertTrue(tag != "script" or given.get("src"))
                for name in ("href", "src", "action", "poster"):
                    self.assertNotRegex(given.get(name) or "", "^(/|[a-z]+:)")


class MediumTests(GalleryCase):
    """One picture, and the trash."""

    async def test_facts(self) -> None:
        """All that is known of a picture is there: also how the camera fared when it came."""
        await self.serve()
        began = datetime.now(UTC) - timedelta(seconds=5)
        id = await self.take(7.25)
        ended = datetime.now(UTC) + timedelta(seconds=5)
        await self.library.record_visit(
            Visit("garden", began, ended, "ok", battery=64, temperature=-7.5)
        )
        medium = await self.library.medium(id)
        assert medium is not None
        text = " ".join((await self.page(f"media/{id}")).text.split())
        for fact in ("Monday, 18 May 2026", "07:15:00", "Europe/Berlin", "garden", "64 %",
                     "\N{MINUS SIGN}7.5 °C", medium.path.name):  # fmt: skip
            self.assertIn(fact, text)

    async def test_neighbours(self) -> None:
        """Newer and older lead on, within what was chosen."""
        await self.serve()
        first, film, last = await self.take(0), await self.take(24, kind=1), await self.take(48)
        links = (await self.page(f"media/{film}")).links
        self.assertEqual((links["prev"], links["next"]), (f"../media/{last}", f"../media/{first}"))
        links = (await self.page(f"media/{last}?kind=photo")).links
        self.assertEqual(links["next"], f"../media/{first}?kind=photo")
        self.assertEqual(links["All pictures"], "../?kind=photo")
        self.assertNotIn("prev", links)

    async def test_video(self) -> None:
        """A video plays where it is, and can be sought in: its file comes in ranges."""
        await self.serve()
        id = await self.take(1, kind=1, data=b"0123456789")
        seen = await self.page(f"media/{id}")
        (video,) = [given for tag, given in seen.tags if tag == "video"]
        self.assertLessEqual({"controls", "playsinline", "poster"}, set(video))
        url = urljoin(f"/media/{id}", str(video["src"]))
        reply = await self.ask("GET", url, {"Range": "bytes=2-4"})
        self.assertEqual((reply.status, reply.body), (206, b"234"))

    async def test_hostile(self) -> None:
        """Names and notes are text, wherever they are shown."""
        await self.serve()
        id = await self.take(1, source=Source("C60000000002", EVIL, UTC))
        await self.take(2)
        gone = await self.take(3, source=Source("C60000000002", EVIL, UTC))
        await self.library.remove(gone)
        await self.library.set_note(id, f'"{EVIL}</textarea>')
        for path in ("", f"media/{id}", "trash", f"media/{gone}", f"?camera={EVIL}"):
            reply = await self.html(path)
            self.assertNotIn("<script>", reply.text)
            self.assertIn("&lt;script&gt;alert(", reply.text)
            seen = Seen(reply.text)
            self.assertEqual(sum(tag == "html" for tag, _ in seen.tags), 1)
            if path == f"media/{id}":
                self.assertIn(f'"{EVIL}</textarea>', seen.text)

    async def test_unknown(self) -> None:
        """A picture that is not there is told of, with a way back."""
        await self.serve()
        for number in (1, 10**17):
            seen = await self.page(f"media/{number}", 404)
            self.assertEqual(seen.links["To the pictures"], "../")

    async def test_trash(self) -> None:
        """What was deleted is in the trash until the next day, and nowhere else."""
        await self.serve()
        id, other = await self.take(1), await self.take(2)
        self.assertNotIn("Deleted", (await self.page()).links)
        self.assertIn("Nothing was deleted", (await self.page("trash")).text)
        await self.library.remove(id)
        seen = await self.page()
        self.assertEqual((seen.ids, seen.links["Deleted"]), ([other], "./trash"))
        seen = await self.page("trash")
        self.assertIn(("li", {"data-medium": str(id)}), seen.tags)
        (medium,) = (await self.library.browse(Filter(removed=True))).media
        assert medium.removed is not None
        until = (medium.removed + timedelta(days=1)).astimezone()
        for path in ("trash", f"media/{id}"):
            self.assertIn(f"{until:%B %Y, %H:%M}", (await self.page(path)).text)

    async def test_login(self) -> None:
        """The form is in the same clothes, for whoever is not known; they come back after it."""
        self.set_password()
        await self.serve()
        reply: Any = await self.html("media/5?kind=photo", 303)
        self.assertEqual(reply.headers["location"], "../login?next=media%2F5%3Fkind%3Dphoto")
        seen = await self.page("login?next=media%2F5")
        self.assertIn(("input", {"type": "hidden", "name": "next", "value": "media/5"}), seen.tags)
        self.assertNotIn("Log out", seen.text)
