"""The pages of a whole station: C{twistd trailcam} with C{[web]}, and in somebody's own site."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from twisted.internet import reactor
from twisted.trial.unittest import SkipTest, TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.processes import Process, ProcessTestCase, shared_simulator
from tests.webstation import WebTestCase
from trailcam.checks import Station as Checked
from trailcam.config import load, parse
from trailcam.extras import missing
from trailcam.service import Station
from trailcam.web.passwords import set_password
from trailcam.webchecks import check_web

TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]


class TwistdTests(ProcessTestCase):
    """C{twistd trailcam} with C{[web]}, as a real process."""

    def setUp(self) -> None:
        super().setUp()
        if missing("web"):
            raise SkipTest("needs the extra web")

    def begin(self, endpoint: str, camera: str = "127.0.0.1:9") -> Process:
        """A station whose pages are there."""
        config = self.home / "tap.conf"
        config.write_text(
            f"[trailcam]\nlibrary = {self.library}\nstate = {self.state}\n"
            f"[camera garden]\naddress = {camera}\ninterval = 0\n[web]\nendpoint = {endpoint}\n"
        )
        command = [*TWISTD, "-n", "--pidfile=", "trailcam", "--config", str(config)]
        return self.start_any(command)

    def test_seen(self) -> None:
        """What a visit brings home is seen at once, and looks the same after a restart."""
        camera = shared_simulator("--photos", "3", "--firewall", "off").camera
        ids = []
        for _ in range(2):
            process = self.begin("0", camera)
            url = process.out_line("pages are at").split()[-1]
            process.out_line("failed, in")
            with urlopen(f"{url}api/v1/media", timeout=30) as answer:
                media = json.load(answer)["media"]
            ids.append([medium["id"] for medium in media])
            with urlopen(f"{url}api/v1/media/{media[0]['id']}/thumbnail", timeout=30) as answer:
                self.assertEqual(answer.read(3), b"\xff\xd8\xff")
            process.kill()
        self.assertEqual(len(ids[0]), 3)
        self.assertEqual(ids[0], ids[1])

    def test_others(self) -> None:
        """Where others could see it, it does not start without a password; with one, it asks."""
        process = self.begin("0.0.0.0:0")
        result = self.finish(process)
        self.assertEqual(result.status, 2)
        self.assertIn("trailcam passwd --state", result.err)
        set_password(self.state / "web", "owls at night")
        process = self.begin("0.0.0.0:0")
        url = process.out_line("pages are at").split()[-1]
        page = Request(url, headers={"Accept": "text/html"})
        with urlopen(page, timeout=30) as answer:
            self.assertIn("/login", answer.url)
        error = self.assertRaises(HTTPError, urlopen, f"{url}api/v1/media", timeout=30)
        self.assertEqual(error.code, 401)
        error.close()
        process.kill()

    def test_taken(self) -> None:
        """Where the port is somebody else's, the log says so, and cameras are visited."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            process = self.begin(str(taken.getsockname()[1]))
            process.out_line("choose another endpoint")
            process.out_line("looking for garden")
            process.kill()


class OwnSiteTests(WebTestCase):
    """L{Station.resource}."""

    async def test_mounted(self) -> None:
        """In a site of one's own it is all there, wherever it was put, without C{[web]}."""
        home = Path(self.mktemp()).absolute()
        home.mkdir()
        (home / "tap.conf").write_text(
            "[trailcam]\nlibrary = library\nstate = state\n[camera garden]\naddress = 127.0.0.1:9\n"
        )
        station = Station(reactor, load(home / "tap.conf"))
        self.assertIsNone(station.web)
        self.addCleanup(station.library.stopService)
        root = Resource()
        root.putChild(b"wild", station.resource())
        site = Site(root, reactor=reactor)
        port = reactor.listenTCP(0, site, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        self.port = port.getHost().port
        reply = await self.ask("GET", "/wild/api/v1/cameras")
        self.assertEqual([camera["name"] for camera in reply.json["cameras"]], ["garden"])
        self.assertEqual((await self.ask("GET", "/wild")).status, 308)


class DoctorTests(TestCase):
    """What C{trailcam doctor} says of the pages."""

    def test_doctor(self) -> None:
        """It says who could see them, whether there is a password, and whether the port is free."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            for line, status, words in (
                ("endpoint = 127.0.0.1:0", "ok", "for this computer only"),
                ("endpoint = unix:/run/trailcam.sock", "ok", "for this computer only"),
                ("endpoint = 0.0.0.0:0", "problem", "needs a password"),
                (f"endpoint = {port}", "warning", "cannot be at"),
            ):
                state = Path(self.mktemp()).absolute()
                text = f"[trailcam]\nstate = {state}\n[camera a]\n[web]\n{line}"
                station = Checked(parse(text, "tap.conf"), None, None)
                (finding,) = check_web(station)
                self.assertEqual((finding.name, finding.status), ("web", status))
                self.assertIn(words, finding.text)
        set_password(state / "web", "owls at night")
        config = parse(text.replace(str(port), "0.0.0.0:0"), "tap.conf")
        (finding,) = check_web(Checked(config, None, None))
        self.assertEqual((finding.status, "with a password" in finding.text), ("ok", True))
        (state / "web" / "password").write_text("nonsense")
        (finding,) = check_web(Checked(config, None, None))
        self.assertEqual((finding.status, finding.mend), ("problem", "trailcam passwd"))
        self.assertEqual(list(check_web(Checked(parse("[camera a]", "t"), None, None))), [])
