"""The HTTP API of pictures and of the station, as programs use it."""

from __future__ import annotations

import json
import shutil
from typing import Any

from tests.webstation import Reply, WebTestCase
from trailcam.extras import missing

LIST = "/api/v1/media"


class ApiTestCase(WebTestCase):
    """A station with a password, and a program with a token."""

    async def begin(self, count: int = 5, **options: Any) -> None:
        """Serve so many pictures; the newest has the highest id."""
        self.set_password()
        self.machine = self.token()
        await self.serve()
        await self.bring(count, **options)

    async def call(self, method: str, path: str, body: object = None) -> Reply:
        """As a program does, with JSON."""
        headers, data = dict(self.machine), b""
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.ask(method, path, headers, data)

    async def ids(self, query: str = "") -> list[int]:
        """The ids of a list."""
        reply = await self.call("GET", LIST + query)
        self.assertEqual(reply.status, 200, reply.body)
        return [medium["id"] for medium in reply.json["media"]]

    async def refused(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        """The status and the one line of a problem."""
        reply = await self.call(method, path, body)
        self.assertEqual(reply.headers["content-type"], "application/problem+json")
        self.assertEqual(reply.json["status"], reply.status)
        self.assertNotIn("\n", reply.json["detail"])
        self.assertNotIn("Traceback", reply.text)
        return reply.status, reply.json["detail"]


class MediaTests(ApiTestCase):
    """Pictures: what is listed, shown, changed, deleted."""

    async def test_one(self) -> None:
        """A picture is told with all that is known of it, and its files are where it says."""
        await self.begin(1)
        (medium,) = (await self.call("GET", LIST)).json["media"]
        self.assertEqual(medium, (await self.call("GET", f"{LIST}/1")).json)
        self.assertEqual(
            (medium["kind"], medium["camera"], medium["device_id"], medium["favourite"],
             medium["note"], medium["removed"], medium["duration"]),
            ("photo", "garden", "C60000000001", False, "", None, None),
        )  # fmt: skip
        self.assertEqual(
            medium["taken"], {"local": "2026-05-02T07:14:33", "utc": "2026-05-02T07:14:33Z"}
        )
        file = await self.call("GET", "/" + medium["file"])
        self.assertEqual(len(file.body), medium["size"])
        thumbnail = await self.call("GET", "/" + medium["thumbnail"])
        self.assertEqual((thumbnail.status, thumbnail.headers["content-type"]), (200, "image/jpeg"))
        for reply in (file, thumbnail):
            self.assertIn("immutable", reply.headers["cache-control"])

    async def test_video(self) -> None:
        """A video has a length, in seconds."""
        await self.begin(1, videos=True)
        medium = (await self.call("GET", f"{LIST}/1")).json
        self.assertEqual((medium["kind"], medium["duration"]), ("video", 5.0))

    async def test_pages(self) -> None:
        """Following C{next} shows each picture once, newest first; the last page has none."""
        await self.begin(5)
        seen, before = [], ""
        while True:
            page = (await self.call("GET", f"{LIST}?limit=2{before}")).json
            seen.append([medium["id"] for medium in page["media"]])
            if page["next"] is None:
                break
            before = f"&before={page['next']}"
        self.assertEqual(seen, [[5, 4], [3, 2], [1]])

    async def test_filters(self) -> None:
        """Each parameter leaves out what it says, alone and with others; an empty one does not."""
        await self.begin(4)
        await self.bring(1, device="C60000000002", name="creek", videos=True)
        await self.call("PATCH", f"{LIST}/2", {"favourite": True})
        await self.call("DELETE", f"{LIST}/4")
        for query, ids in (
            ("", [3, 2, 5, 1]),
            ("?kind=video", [5]),
            ("?kind=photo&camera=garden", [3, 2, 1]),
            ("?camera=creek", [5]),
            ("?camera=C60000000001&favourite=false", [3, 1]),
            ("?camera=nobody", []),
            ("?favourite=true", [2]),
            ("?from=2026-05-03", [3, 2]),
            ("?to=2026-05-02", [5, 1]),
            ("?from=2026-05-03&to=2026-05-03", [2]),
            ("?removed=true", [4]),
            ("?removed=false&kind=&camera=", [3, 2, 5, 1]),
        ):
            self.assertEqual(await self.ids(query), ids, query)
        days = (await self.call("GET", "/api/v1/days?camera=garden")).json["days"]
        self.assertEqual(days, [{"day": f"2026-05-0{day}", "count": 1} for day in (4, 3, 2)])
        path = f"{LIST}/2/neighbours"
        self.assertEqual((await self.call("GET", path)).json, {"newer": 3, "older": 5})
        path += "?camera=garden&from=2026-05-03"
        self.assertEqual((await self.call("GET", path)).json, {"newer": 3, "older": None})

    async def test_one_name_of_two(self) -> None:
        """Where two cameras have had one name, the program has to say which it means."""
        await self.begin(1)
        await self.bring(1, device="C60000000002", name="garden")
        status, why = await self.refused("GET", f"{LIST}?camera=garden")
        self.assertEqual(status, 400)
        self.assertIn("C60000000002", why)
        self.assertEqual(await self.ids("?camera=C60000000002"), [2])

    async def test_change(self) -> None:
        """Favourite and note can be changed, each for itself, and are there the next time."""
        await self.begin(1)
        changed = await self.call("PATCH", f"{LIST}/1", {"favourite": True, "note": "a fox\r\n"})
        self.assertEqual((changed.json["favourite"], changed.json["note"]), (True, "a fox"))
        await self.call("PATCH", f"{LIST}/1", {"note": "zwei Füchse 🦊"})
        medium = (await self.call("GET", f"{LIST}/1")).json
        self.assertEqual((medium["favourite"], medium["note"]), (True, "zwei Füchse 🦊"))

    async def test_wrong_changes(self) -> None:
        """What cannot be changed, or not so, changes nothing, and is said in one line."""
        await self.begin(1)
        bodies: tuple[object, ...] = (
            {}, [], "text", b"{", b"\xff", b"[" * 50_000, {"favorite": True}, {"favourite": 1},
            {"favourite": None}, {"note": None}, {"note": 5}, {"note": "x" * 2001},
            {"note": "bell\a"}, b'{"note": "\\ud800"}', {"favourite": True, "note": "\0"},
            {"favourite": True, "size": 1},
        )  # fmt: skip
        for body in bodies:
            status, _ = await self.refused("PATCH", f"{LIST}/1", body)
            self.assertEqual(status, 400, body)
        reply = await self.ask("PATCH", f"{LIST}/1", self.machine, b'{"note": "form"}')
        self.assertEqual(reply.status, 415)
        medium = (await self.call("GET", f"{LIST}/1")).json
        self.assertEqual((medium["favourite"], medium["note"]), (False, ""))

    async def test_delete(self) -> None:
        """What is deleted is in the trash, again and again; from there it can be had back."""
        await self.begin(2)
        for _ in range(2):
            gone = await self.call("DELETE", f"{LIST}/1")
            self.assertEqual((gone.status, gone.body), (204, b""))
        self.assertEqual((await self.ids(), await self.ids("?removed=true")), ([2], [1]))
        medium = (await self.call("GET", f"{LIST}/1")).json
        self.assertTrue(medium["removed"].endswith("Z"))
        self.assertEqual((await self.call("GET", f"{LIST}/1/file")).status, 200)
        for _ in range(2):
            back = await self.call("POST", f"{LIST}/1/restore")
            self.assertEqual((back.status, back.json["removed"]), (200, None))
        self.assertEqual(await self.ids(), [2, 1])

    async def test_wrong_parameters(self) -> None:
        """A wrong parameter is named, and nothing is found instead of everything."""
        await self.begin(1)
        for query, word in (
            ("limit=0", "limit"), ("limit=501", "limit"), ("limit=-1", "limit"),
            ("limit=ten", "limit"), ("limit=%D9%A1", "limit"), ("limit=" + "9" * 5000, "limit"),
            ("kind=bird", "photo, video"), ("favourite=yes", "true, false"),
            ("favorite=true", "favourite"), ("from=2026-13-01", "from"), ("to=20260501", "to"),
            ("from=0000-00-00", "from"), ("from=2026-05-02&to=2026-05-01", "after"),
            ("kind=photo&kind=video", "more than once"), ("camera=%ff", "UTF-8"),
            ("before=nonsense", "first"), ("before=%00", "first"),
        ):  # fmt: skip
            status, why = await self.refused("GET", f"{LIST}?{query}")
            self.assertEqual(status, 400, query)
            self.assertIn(word, why)
            self.assertLess(len(why), 300)

    async def test_nobody(self) -> None:
        """Of a picture that is not there every path says so; what is no number is no path."""
        await self.begin(1)
        for id in ("2", "9" * 18):
            for method, path, body in (
                ("GET", "", None), ("DELETE", "", None), ("PATCH", "", {"note": "x"}),
                ("POST", "/restore", None), ("GET", "/neighbours", None), ("GET", "/file", None),
                ("GET", "/thumbnail", None),
            ):  # fmt: skip
                status, _ = await self.refused(method, f"{LIST}/{id}{path}", body)
                self.assertEqual(status, 404, path)
        for id in ("0", "-1", "01", "1.5", "x", "9" * 19, "%31%00", "..", "1/../1"):
            status, _ = await self.refused("GET", f"{LIST}/{id}")
            self.assertEqual(status, 404, id)

    async def test_methods(self) -> None:
        """Another method is refused with those that there are."""
        await self.begin(1)
        for method in ("POST", "PUT", "OPTIONS", "TRACE", "BREW"):
            reply = await self.call(method, f"{LIST}/1")
            self.assertEqual(reply.status, 405)
            self.assertEqual(reply.headers["allow"], "DELETE, GET, HEAD, PATCH")
        head = await self.call("HEAD", f"{LIST}/1")
        whole = await self.call("GET", f"{LIST}/1")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["content-length"], str(len(whole.body)))


class StationTests(ApiTestCase):
    """The station as a whole."""

    async def test_station(self) -> None:
        """It tells its version, what it has, and how much room there is."""
        await self.begin(2)
        station = (await self.call("GET", "/api/v1/station")).json
        self.assertEqual(station["library"], {"media": 2})
        self.assertEqual((station["cameras"], station["access"]), ([], {"password": True}))
        self.assertGreater(station["disk"]["total_bytes"], station["disk"]["free_bytes"])
        self.assertRegex(station["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

    async def test_health(self) -> None:
        """Anybody learns whether it works, and nothing else."""
        await self.begin(0)
        self.assertEqual((await self.get("/healthz")).body, b"ok\n")
        await self.library.close()
        shutil.rmtree(self.library.path)
        self.library.path.write_text("in the way")
        self.context.library._open = False
        sick = await self.get("/healthz")
        self.assertEqual(sick.status, 503)
        self.assertNotIn(str(self.library.path), sick.text)
        status, why = await self.refused("GET", LIST)
        self.assertEqual(status, 503)
        self.assertIn("choose another folder", why)

    async def test_metrics(self) -> None:
        """Prometheus gets its text with a token only; where there is none, how to have one."""
        await self.begin(0)
        status, why = await self.refused("GET", "/metrics")
        self.assertEqual(status, 404)
        if missing("metrics"):
            self.assertIn("pip install", why)
            return
        from prometheus_client.parser import text_string_to_metric_families

        from trailcam.metrics import Metrics

        self.context.metrics = Metrics({"garden": lambda: None})
        reply = await self.call("GET", "/metrics")
        self.assertTrue(reply.headers["content-type"].startswith("text/plain"))
        names = {family.name for family in text_string_to_metric_families(reply.text)}
        self.assertIn("trailcam_files", names)
        self.assertEqual((await self.get("/metrics")).status, 401)

    async def test_fault(self) -> None:
        """A fault of ours is told in the log, and tells whoever asked nothing of our inside."""
        await self.begin(0)
        self.patch(self.library, "cameras", lambda: [][1])
        status, why = await self.refused("GET", "/api/v1/station")
        self.assertEqual((status, why), (500, "a fault of ours: see the log"))
        self.assertEqual(len(self.flushLoggedErrors(IndexError)), 1)
