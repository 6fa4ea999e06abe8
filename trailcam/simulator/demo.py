"""C{trailcam demo}: the main job, on a simulated camera; and how it looks in a browser."""

from __future__ import annotations

import argparse
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from trailcam.board import StatusBoard
from trailcam.cameraservice import CameraService, LibraryService, LogListener
from trailcam.config import CameraConfig
from trailcam.console import Console, ProgressBar, SyncTeller, human_bytes, start_logging
from trailcam.errors import ConfigError
from trailcam.extras import missing
from trailcam.happenings import Listeners
from trailcam.library import Library
from trailcam.library.sync import SyncReport
from trailcam.runner import run
from trailcam.simulator.card import Card
from trailcam.simulator.server import SimulatedCamera
from trailcam.target import Policy, Target
from trailcam.web.settings import DEFAULT_ENDPOINT, WebSettings, check_access, folder
from trailcam.worker import ThreadWorker

if TYPE_CHECKING:
    from trailcam.web.service import WebService

__all__ = ["demo"]

#: What is on the simulated card: the same each time, so that a second demo finds it all at home.
PHOTOS, VIDEOS, NEWEST = 9, 1, 1_779_091_200
#: Who stays is visited so often, in seconds, and each time another animal has come by: …
INTERVAL = 60.0
#: … so many in all, for nobody may be there to see them.
MOST_GUESTS = 50


def demo(arguments: argparse.Namespace) -> int:
    """
    The main job, on a simulated camera: fetch everything; then the camera is switched
    off and on, takes another picture, and is called again from the same port.

    Who stays can look at it all in a browser.
    """
    if arguments.web and not arguments.stay:
        raise ConfigError("--web goes with --stay: the pages are there as long as the demo")
    bar = ProgressBar(not arguments.json and not arguments.quiet)
    console = Console(arguments.json, bar)
    start_logging(0 if arguments.quiet else 1 + arguments.verbose, lambda: bar.write)

    async def main(reactor: Any) -> int:
        shown = _Demo(reactor, console, bar, arguments.folder)
        try:
            if arguments.stay:
                await shown.open(arguments.web)
            status = await shown.run()
            if arguments.stay and not status:
                await shown.stay()
            return status
        finally:
            await shown.close()

    try:
        return run(main)
    finally:
        bar.stop()


class _Demo:
    """One run of the demo."""

    def __init__(self, reactor: Any, console: Console, bar: ProgressBar, folder: Path) -> None:
        self._reactor = reactor
        self._console = console
        self._bar = bar
        self._folder = folder.absolute()
        self._state = self._folder / ".trailcam" / "state"
        self._teller = SyncTeller(console, bar)
        self._total = SyncReport()
        self._card = Card(PHOTOS, VIDEOS, newest=NEWEST)
        self._camera = SimulatedCamera(
            reactor, self._card, ThreadWorker(reactor), port=0, search_port=None
        )
        self._camera.start()
        self._board = StatusBoard()
        self._library = LibraryService(Library(self._folder, reactor))
        self._service = self._make_service()
        self._web: WebService | None = None
        self._guests = LoopingCall(self._another)
        self._guests.clock = reactor
        self._library.startService()

    async def open(self, endpoint: str | None) -> None:
        """
        Show the pages.

        @param endpoint: where; C{None}: at the usual place, else anywhere.
        @raise ConfigError: when that cannot be.
        """
        if mend := missing("web"):
            if endpoint is not None:
                raise ConfigError(f"the pages need an extra that is not installed: {mend}")
            self._console.event("story", f"There would be pages too, with an extra: {mend}")
            return
        try:
            self._web = await self._listen(endpoint or DEFAULT_ENDPOINT)
        except ConfigError:
            if endpoint is not None:
                raise
            self._web = await self._listen("tcp:0:interface=127.0.0.1")
        where = self._web.url or endpoint
        self._console.event("web", f"The pictures can be seen at {where}", url=where)

    async def run(self) -> int:
        """Tell the story."""
        host, port = self._camera.address
        self._tell(f"A simulated camera with {PHOTOS} photos and {VIDEOS} video is at "
                   f"{host}:{port}.")  # fmt: skip
        self._count(await self._service.visit())
        self._tell("The camera is switched off and on again, and takes another photo.")
        await self._camera.switch_off()
        self._card.add(0, NEWEST + 3600)
        self._camera.switch_on()
        self._count(await self._service.visit())
        self._bar.stop()
        return self._end()

    async def stay(self) -> None:
        """Go on, with a visit every minute, until interrupted."""
        where = f" Open {self._web.url} in a browser." if self._web and self._web.url else ""
        text = f"Another animal comes by every minute; Ctrl-C ends it.{where}"
        self._console.event("staying", text)
        self._guests.start(INTERVAL).addErrback(lambda _: None)
        self._service.startService()
        await Deferred()

    async def close(self) -> None:
        """End it all."""
        if self._guests.running:
            self._guests.stop()
        if self._web is not None:
            await self._web.stopService()
        await self._service.stopService()
        await self._library.stopService()
        await self._camera.stop()

    async def _listen(self, endpoint: str) -> WebService:
        from trailcam.web.access import Access
        from trailcam.web.context import Context
        from trailcam.web.service import WebService

        check_access(endpoint, self._state)
        access = Access(folder(self._state), ThreadWorker(self._reactor))
        web = WebService(Context(
            self._reactor, WebSettings(endpoint), self._library, {"demo": self._service}, access,
            self._board, outages={"demo": self._fall_silent},
        ))  # fmt: skip
        await web.listen()
        web.startService()
        return web

    def _make_service(self) -> CameraService:
        host, port = self._camera.address
        # Its port is new each time, so it is remembered under a name.
        target = Target(host=host, port=port, name="demo")
        return CameraService(
            self._reactor,
            CameraConfig("demo", target, zone=UTC, interval=INTERVAL),
            self._library,
            policy=Policy(),
            state=self._state,
            observer=self._teller,
            connected=self._teller.connected,
            listener=Listeners(LogListener(), self._board),
        )

    def _another(self) -> None:
        """Another animal has come by: at the same time in each demo, so that it is known."""
        number = len(self._card.files) - PHOTOS - VIDEOS
        if number <= MOST_GUESTS:
            self._card.add(0, NEWEST + 3600 + 600 * number)

    def _fall_silent(self, seconds: float) -> None:
        self._camera.faults.silence = seconds
        self._camera.link.fall_silent()

    def _count(self, report: SyncReport) -> None:
        for each in ("new", "skipped", "failed", "bytes", "seconds"):
            setattr(self._total, each, getattr(self._total, each) + getattr(report, each))
        self._tell(f"{report.new} new ({human_bytes(report.bytes)}), {report.skipped} here "
                   f"already, {report.failed} failed.")  # fmt: skip

    def _end(self) -> int:
        ports = sorted(set(self._camera.sources))
        self._tell(f"The camera was called {len(self._camera.sources)} times, from source port "
                   f"{', '.join(map(str, ports))}.")  # fmt: skip
        status = 0
        if self._console.as_json:
            status = self._teller.done(self._total, library=str(self._folder))
        if self._web is None:
            self._tell("See them in a browser, with another animal every minute: "
                       "trailcam demo --stay")  # fmt: skip
        self._tell(f"The pictures are in {self._folder}")
        return status or int(self._total.failed > 0)

    def _tell(self, text: str) -> None:
        if not self._console.as_json:
            self._console.event("story", text)
