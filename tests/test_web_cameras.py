"""The pages and the API of cameras, and the events: over HTTP, on a network in memory."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SkipTest, TestCase

from tests.test_board import FILE
from tests.test_cameraservice import ServiceTestCase
from tests.webstation import Reply, read_reply
from trailcam.board import StatusBoard
from trailcam.cameraservice import CameraService
from trailcam.config import CameraConfig
from trailcam.errors import LibraryError
from trailcam.extras import missing
from trailcam.happenings import NewMedia, PhaseBegan, Transferring, VisitEnded
from trailcam.library import Visit
from trailcam.target import Target
from trailcam.web.charts import WIDTH, battery_chart, segments
from trailcam.web.private import changing, write_private
from trailcam.web.settings import WebSettings
from trailcam.web.tokens import add_token, remove_token
from trailcam.worker import InlineWorker

NOW = datetime(2026, 6, 1, 5, tzinfo=UTC)
WELL = Visit("garden", NOW, NOW + timedelta(seconds=40), "ok", None,
             {"waking": 4.0, "joining": 6.0, "syncing": 30.0, "leaving": 0.01}, 40.0, 29.0,
             2_000_000, 3, 0, 77, 12_345, -3.0, 0.2)  # fmt: skip
FAILED = replace(WELL, outcome="failed", why="no <camera> answered", phases={}, new=0, battery=None,
                 card_free_mb=None, temperature=None)  # fmt: skip


class WebCase(ServiceTestCase):
    """
    A station with a camera that is simulated, whose pages are asked for in memory.

    @ivar fell: for how long the radio fell silent.
    """

    def setUp(self) -> None:
        if missing("web"):
            raise SkipTest("needs the extra web")
        from trailcam.web.access import Access
        from trailcam.web.context import Context
        from trailcam.web.service import web_resource
        from trailcam.web.site import WebSite

        super().setUp()
        self.fell: list[float] = []
        self.board = StatusBoard(wall_clock=self.wall_clock)
        host, port = self.fake.address
        config = CameraConfig("garden", Target(host=host, port=port, name="garden"), interval=600.0)
        self.garden = CameraService(
            self.network, config, self.library, worker=InlineWorker(), radios=self.radios,
            listener=self.board, wall_clock=self.wall_clock,
        )  # fmt: skip
        self.access_folder = Path(self.mktemp())
        self.access_folder.mkdir()
        access = Access(self.access_folder, InlineWorker())
        self.context = Context(
            self.network, WebSettings(), self.library, {"garden": self.garden}, access, self.board
        )
        self.site = WebSite(self.network, web_resource(self.context))

    def open(self, method: str, path: str, **headers: str) -> StringTransport:
        """Ask for something."""
        transport = StringTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 40000))
        transport.protocol = self.site.buildProtocol(None)
        transport.protocol.makeConnection(transport)
        lines = {"Host": "localhost", "Connection": "close", "Content-Length": "0", **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        transport.protocol.dataReceived(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())
        return transport

    def leave(self, transport: StringTransport) -> None:
        """The browser is gone."""
        from twisted.internet.error import ConnectionDone
        from twisted.python.failure import Failure

        transport.protocol.connectionLost(Failure(ConnectionDone()))

    def ask(self, method: str, path: str, **headers: str) -> Reply:
        """The same, to its end."""
        transport = self.open(method, path, **headers)
        self.leave(transport)
        return read_reply(transport.value())

    def post(self, path: str) -> Reply:
        """As a machine."""
        if not hasattr(self, "token"):
            self.token = add_token(self.access_folder, "test")
        return self.ask("POST", path, Authorization=f"Bearer {self.token}")

    def page(self, path: str) -> str:
        """A page, as a person sees it without scripts; nothing in it breaks the policy."""
        reply = self.ask("GET", path, Accept="text/html")
        self.assertEqual(reply.status, 200, reply.text)
        for forbidden in (r"\sstyle=", r"\son\w+=", r"<style", r"<script(?![^>]* src=)",
                          r"""(href|src)=["']/"""):  # fmt: skip
            self.assertIsNone(re.search(forbidden, reply.text), forbidden)
        return reply.text

    def write_down(self, *visits: Visit) -> None:
        """Visits of an earlier life."""
        for visit in visits:
            self.network.run_until(self.library.ready())
            self.network.run_until(self.library.library.record_visit(visit))


class ApiTests(WebCase):
    """The API of cameras."""

    def test_a_camera(self) -> None:
        """What is told of a camera before, during and after a visit; by itself and among all."""
        one = self.ask("GET", "/api/v1/cameras/garden").json
        self.assertEqual((one["name"], one["state"], one["last_visit"]), ("garden", "new", None))
        self.assertEqual(self.post("/api/v1/cameras/garden/visit").status, 202)
        self.network.run_until(self.garden.visit())
        one = self.ask("GET", "/api/v1/cameras/garden").json
        self.assertEqual((one["state"], one["mark"], one["text"]), ("asleep", "good", "Asleep"))
        self.assertEqual((one["last_visit"]["new"], one["last_visit"]["outcome"]), (2, "ok"))
        self.assertTrue(one["last_seen"].endswith("Z"))
        self.assertIsInstance(one["battery"], int)
        self.assertEqual(self.ask("GET", "/api/v1/cameras").json, {"cameras": [one]})
        self.stop(self.garden)

    def test_visit_now(self) -> None:
        """A visit begins at once, and whoever looks sees its phases; asked for again it is the
        same visit."""
        for _ in range(2):
            self.assertEqual(self.post("/api/v1/cameras/garden/visit").json["state"], "connecting")
        seen = set()
        while not (state := self.board.state(self.garden)).last_visit:
            seen.add(state.word)
            if state.word == "syncing":
                self.assertEqual(state.port, self.garden.camera.local_port)
            self.network.advance(0.001)
        self.assertLessEqual({"connecting", "login", "information", "syncing"}, seen)
        self.assertEqual(len(self.fake.sources), 1)
        self.settle()
        self.assertFalse(self.board.state(self.garden).waiting)
        self.stop(self.garden)

    def test_visits(self) -> None:
        """Visits come latest first, and as many as are wanted; all of a visit is there."""
        self.write_down(*(replace(WELL, new=number) for number in range(60)), FAILED)
        visits = self.ask("GET", "/api/v1/cameras/garden/visits").json["visits"]
        self.assertEqual((len(visits), visits[0]["why"], visits[1]["new"]),
                         (50, FAILED.why, 59))  # fmt: skip
        self.assertLessEqual(set(Visit.__dataclass_fields__), set(visits[0]))
        self.assertEqual(len(self.ask("GET", "/api/v1/cameras/garden/visits?limit=3")
                             .json["visits"]), 3)  # fmt: skip
        for wrong in ("limit=0", "limit=1001", "limit=x", "limt=3"):
            self.assertEqual(self.ask("GET", f"/api/v1/cameras/garden/visits?{wrong}").status, 400)
        self.stop(self.garden)

    def test_outage(self) -> None:
        """Only a simulated camera falls silent, for 8 s or for as long as is said."""
        path = "/api/v1/cameras/garden/outage"
        self.assertEqual(self.post(path).status, 404)
        self.context.outages = {"garden": self.fell.append}
        self.assertEqual(self.post(path).json, {"seconds": 8})
        self.assertEqual(self.post(f"{path}?seconds=30").status, 202)
        self.assertEqual(self.post(f"{path}?seconds=601").status, 400)
        self.assertEqual(self.fell, [8, 30])
        self.assertIn("Simulate an outage", self.page("/cameras"))
        self.stop(self.garden)

    def test_who_may(self) -> None:
        """A camera that is not there is not found, and without a token nothing is begun."""
        self.assertEqual(self.ask("GET", "/api/v1/cameras/pond").status, 404)
        self.assertEqual(self.post("/api/v1/cameras/pond/visit").status, 404)
        for action in ("visit", "outage"):
            self.assertEqual(self.ask("POST", f"/api/v1/cameras/garden/{action}").status, 403)
        self.assertEqual(self.fake.sources, [])
        self.stop(self.garden)


class EventTests(WebCase):
    """The events."""

    def listener(self, **headers: str) -> StringTransport:
        """Begin to listen; what came at first is forgotten."""
        transport = self.open("GET", "/api/v1/events", **headers)
        self.assertEqual(self.events(transport)[0][0], "camera")
        return transport

    def events(self, transport: StringTransport) -> list[tuple[str, Any]]:
        """What came since it was last looked."""
        text = re.sub(r"(^|\r\n)[0-9a-f]+\r\n", r"\1", transport.value().decode())
        transport.clear()
        found = re.findall(r"event: (\w+)\ndata: (.*)\n\n", text)
        return [(kind, json.loads(data)) for kind, data in found]

    def test_as_it_happens(self) -> None:
        """All cameras at first, then what changes; much at once becomes one event."""
        transport = self.open("GET", "/api/v1/events")
        self.assertIn(b"text/event-stream", transport.value())
        self.assertIn(b"retry: 3000\n\n", transport.value())
        self.assertEqual([kind for kind, _ in self.events(transport)], ["camera"])
        self.network.pump([1.0] * 15)
        self.assertEqual(transport.value(), b"", "nothing has changed")
        done = self.garden.visit()
        self.network.run_until(done)
        self.network.pump([0.1] * 30)
        events = self.events(transport)
        states = [each["state"] for kind, each in events if kind == "camera"]
        self.assertEqual(states[-1], "asleep")
        self.assertEqual(sum(each["count"] for kind, each in events if kind == "media"), 2)
        for number in range(1000):
            self.board.happened(Transferring("garden", number, 1000, 9))
        self.network.advance(0.5)
        ((kind, told),) = self.events(transport)
        self.assertEqual((kind, told["transfer"]["done"]), ("camera", 999))
        self.leave(transport)
        self.stop(self.garden)

    def test_without_a_happening(self) -> None:
        """What changes silently, like when the next visit is due, is told within seconds."""
        transport = self.listener()
        self.garden.due = self.now() + timedelta(hours=1)
        self.network.advance(2.1)
        self.assertEqual([each["due"] for _, each in self.events(transport)],
                         [self.garden.due.strftime("%Y-%m-%dT%H:%M:%SZ")])  # fmt: skip
        self.garden.due = None
        self.leave(transport)
        self.stop(self.garden)

    def test_slow_reader(self) -> None:
        """For who does not read nothing is kept but the newest: it comes once there is room."""
        transport = self.listener()
        transport.producer.pauseProducing()
        for number in range(500):
            self.board.happened(Transferring("garden", number, 500, 9))
            self.board.happened(NewMedia("garden", FILE))
            self.network.advance(0.1)
        self.assertEqual(transport.value(), b"")
        transport.producer.resumeProducing()
        self.network.pump([0.1] * 25)
        (_, camera), (_, media) = self.events(transport)
        self.assertEqual(camera["transfer"]["done"], 499)
        self.assertEqual(media, {"count": 500, "camera": "garden", "file": "a.jpg"})
        self.leave(transport)
        self.stop(self.garden)

    def test_heartbeat_and_leaving(self) -> None:
        """Something is written every 20 s; who leaves leaves no timer, and nobody behind."""
        transport = self.listener()
        self.network.pump([0.5] * 82)
        self.assertEqual(transport.value().count(b":\n\n"), 2)
        self.leave(transport)
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.assertEqual(self.board._watchers, [])
        head = self.ask("HEAD", "/api/v1/events")
        self.assertEqual((head.status, self.network.getDelayedCalls()), (200, []))
        self.stop(self.garden)

    def test_not_too_many(self) -> None:
        """One listener too many is asked to come back later; when one has left there is room."""
        from trailcam.web.api.events import MOST_LISTENERS

        listeners = [self.listener() for _ in range(MOST_LISTENERS)]
        reply = self.ask("GET", "/api/v1/events")
        self.assertEqual((reply.status, reply.headers["retry-after"]), (503, "10"))
        self.leave(listeners.pop())
        listeners.append(self.listener())
        for each in listeners:
            self.leave(each)
        self.stop(self.garden)

    def test_who_may_no_more(self) -> None:
        """When a token is removed, or a password set, its events end within a heartbeat."""
        from tests.test_web_passwords import cheap_line

        token = add_token(self.access_folder, "viewer")
        machine = self.listener(Authorization=f"Bearer {token}")
        guest = self.listener()
        self.network.pump([1.0] * 21)
        self.assertNotIn(b"\r\n0\r\n", machine.value() + guest.value())
        remove_token(self.access_folder, "viewer")
        self.network.pump([1.0] * 21)
        self.assertTrue(machine.value().endswith(b"0\r\n\r\n") and machine.disconnecting)
        self.assertFalse(guest.disconnecting)
        with changing(self.access_folder):
            write_private(self.access_folder / "password", cheap_line("owls") + "\n")
        self.network.pump([1.0] * 21)
        self.assertTrue(guest.disconnecting)
        self.assertEqual(self.board._watchers, [])
        for each in (machine, guest):
            self.leave(each)
        self.stop(self.garden)


class PageTests(WebCase):
    """The pages, as they are without scripts."""

    def test_never_visited(self) -> None:
        """A new camera is there, with what can be done, and without numbers nobody knows."""
        html = self.page("/cameras")
        for text in ("Not visited yet", "No pictures yet", 'href="./cameras/garden/live"',
                     "Visit now", "never"):  # fmt: skip
            self.assertIn(text, html)
        self.assertNotIn("Simulate", html)
        self.assertNotIn("Battery", html)
        self.assertIn("After two visits", self.page("/cameras/garden"))
        self.assertEqual(self.ask("GET", "/cameras/pond", Accept="text/html").status, 404)
        self.stop(self.garden)

    def test_visiting(self) -> None:
        """While files come: how many, from which port, and no second visit can be begun. Before,
        it is told when that will be."""
        self.post("/api/v1/cameras/garden/visit")
        for phase, when in (("showing", "when the live view is over"), (None, "in a moment"),
                            ("waking", "going on")):  # fmt: skip
            self.board.happened(PhaseBegan("garden", phase, NOW))
            self.assertRegex(self.page("/cameras"), f"<dt>Next visit</dt><dd>\\s*{when}")
        while self.board.state(self.garden).phase != "syncing":
            self.network.advance(0.001)
        self.board.happened(Transferring("garden", 1, 4, 1_500_000))
        html = self.page("/cameras")
        for text in ("Fetching 2 of 4", 'max="4" value="1"', "1.5 MB so far", "data-visit disabled",
                     f'port <b class="num">{self.garden.camera.local_port}</b>'):  # fmt: skip
            self.assertIn(text, html)
        self.settle()
        html = self.page("/cameras")
        self.assertIn("2 new", html)
        self.assertRegex(html, r'<img [^>]*src="\./api/v1/media/\d+/thumbnail')
        self.assertRegex(html, r'href="\./\?camera=[\w%]+"')
        self.stop(self.garden)

    def test_history(self) -> None:
        """Visits with their phases, charts with words for who cannot see them, and what failed
        with its reason and what to do; what is low by tap.conf stands out; what a camera says is no
        HTML."""
        day = timedelta(days=1)
        visits = [replace(WELL, began=NOW + n * day, ended=NOW + n * day, battery=90 - n,
                          card_free_mb=9000 - 100 * n) for n in range(12)]  # fmt: skip
        self.write_down(*visits)
        self.board._known.clear()
        html = self.page("/cameras/garden")
        for text in ("Battery: 90 % on", "79 % on", "the least was 79 %", "waking", "4.0 s",
                     "2.0 MB", "went well", "\N{MINUS SIGN}3 °C", "7.9 GB free",
                     "More visits"):  # fmt: skip
            self.assertIn(text, html)
        self.assertNotIn("leaving", html, "too short to tell")
        self.assertNotIn("meter low", html)
        self.garden.config = replace(self.garden.config, battery_low=80)
        self.assertIn("meter low", self.page("/cameras/garden"))
        self.assertNotIn("More visits", self.page("/cameras/garden?visits=all"))
        for _ in range(3):
            self.board.happened(VisitEnded("garden", FAILED))
        html = self.page("/cameras")
        for text in ("Missing: 3 visits failed in a row", "No &lt;camera&gt; answered.",
                     "switch the camera off and on", "trailcam doctor"):  # fmt: skip
            self.assertIn(text, html)
        self.assertNotIn("<camera>", html)
        self.stop(self.garden)

    def test_broken_library(self) -> None:
        """Where the library cannot be used, the page says so, and still shows how cameras are."""
        async def fail() -> None:
            raise LibraryError("the disk is gone: plug it in")

        self.patch(self.context, "open_library", fail)
        for path in ("/cameras", "/cameras/garden"):
            html = self.page(path)
            self.assertIn("The disk is gone: plug it in.", html)
            self.assertIn("Not visited yet", html)
        self.assertEqual(self.ask("GET", "/api/v1/cameras/garden").json["state"], "new")
        self.stop(self.garden)


class ShapeTests(TestCase):
    """Charts, and words for times."""

    @given(st.lists(st.tuples(st.integers(-10**7, 10**7), st.none() | st.integers(0, 100)),
                    max_size=400))  # fmt: skip
    @settings(deadline=None, max_examples=40)
    def test_chart(self, values: list[tuple[int, int | None]]) -> None:
        """Whatever was noted down in whatever order, a chart stays within its bounds, goes from
        left to right, and is of a bounded size."""
        visits = [replace(WELL, ended=NOW + timedelta(seconds=at), battery=value)
                  for at, value in values]  # fmt: skip
        chart = battery_chart(visits)
        if chart is None:
            self.assertLessEqual(len({at for at, value in values if value is not None}), 1)
            return
        points = [tuple(map(float, each.split())) for each in chart.line[1:].split("L")]
        self.assertLessEqual(len(points), 240)
        self.assertEqual([x for x, _ in points], sorted(x for x, _ in points))
        self.assertEqual((points[0][0], points[-1][0]), (0, WIDTH))
        self.assertTrue(all(0 <= y <= 100 for _, y in points))

    def test_segments(self) -> None:
        """The phases of a visit fill its bar; those that took no time are left out."""
        parts = segments(WELL)
        self.assertEqual([part.phase for part in parts], ["waking", "joining", "syncing"])
        self.assertEqual([part.x for part in parts], [0, 100, 250])
        self.assertEqual(parts[-1].x + parts[-1].width, WIDTH)
        self.assertEqual(segments(FAILED), [])

    def test_words(self) -> None:
        """Times from afar, durations, and room on a card."""
        from trailcam.web.pages.words import duration, from_now, megabytes

        cases = {-5: "just now", 5: "in a moment", 60 * 23: "in 23 min (", -3600 * 3: "3 h ago (",
                 86400 * 3: "in 3 days (4 Jun, ", -80000: "22 h ago (31 May, "}  # fmt: skip
        for seconds, text in cases.items():
            when = NOW + timedelta(seconds=seconds)
            self.assertTrue(from_now(when, NOW).startswith(text), from_now(when, NOW))
        self.assertEqual([duration(each) for each in (0.44, 41.2, 125)],
                         ["0.4 s", "41 s", "2 min 5 s"])  # fmt: skip
        self.assertEqual([megabytes(850), megabytes(12_345)], ["850 MB", "12.3 GB"])
