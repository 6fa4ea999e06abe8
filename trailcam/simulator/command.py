"""C{trailcam simulate} and C{trailcam demo}."""

from __future__ import annotations

import argparse
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from trailcam.config import CameraConfig
from trailcam.console import Console, ProgressBar, SyncTeller, human_bytes, start_logging
from trailcam.errors import ConfigError, DecodeError
from trailcam.library import Library
from trailcam.library.sync import SyncReport
from trailcam.runner import run
from trailcam.service import CameraService, LibraryService
from trailcam.simulator.asleep import Air, SleepingCamera
from trailcam.simulator.card import Card
from trailcam.simulator.faults import EVIL_ID, Faults
from trailcam.simulator.server import Firewall, SimulatedCamera
from trailcam.target import Policy, Target, parse_address
from trailcam.wire.wakeup import Access
from trailcam.worker import ThreadWorker

__all__ = ["demo", "simulate"]

#: The shortest passphrase of a Wi-Fi network, in bytes.
SHORTEST_PASSPHRASE = 8


def simulate(arguments: argparse.Namespace) -> int:
    """Be a camera, until interrupted."""
    console = Console(arguments.json)
    start_logging(0 if arguments.quiet else 1 + arguments.verbose)
    interface = parse_address(arguments.interface)[0]

    async def main(reactor: Any) -> int:
        camera = SimulatedCamera(
            reactor,
            Card(arguments.photos, arguments.videos, newest=_wall_clock(), seed=arguments.seed,
                 without_ids=arguments.without_ids),
            ThreadWorker(reactor),
            interface=interface,
            port=arguments.port,
            search_port=arguments.search_port or None,
            firewall=Firewall(arguments.firewall),
            faults=_faults(arguments),
        )  # fmt: skip
        if arguments.asleep:
            await _sleep(reactor, camera, arguments, console)
        else:
            await _listen(camera, console)
        return 0

    return run(main)


async def _listen(camera: SimulatedCamera, console: Console) -> None:
    camera.start()
    try:
        where = _where(camera)
        console.event("ready", f"a simulated camera listens on {where}; Ctrl-C ends it",
                      camera=where)  # fmt: skip
        await Deferred()
    finally:
        await camera.stop()


async def _sleep(
    reactor: Any, camera: SimulatedCamera, arguments: argparse.Namespace, console: Console
) -> None:
    air = Air(reactor)
    sleeping = SleepingCamera(
        air, camera, _access(arguments), address=arguments.bluetooth_address,
        name=arguments.bluetooth_name, boot=arguments.boot, patience=arguments.stay_awake,
    )  # fmt: skip
    sleeping.never_appears = arguments.never_appears
    await air.start()
    try:
        where, bus = _where(camera), air.bus_address
        text = (
            f"a simulated camera sleeps; woken, and joined by Wi-Fi, it listens on {where}; "
            f"Ctrl-C ends it\nmeet it with: DBUS_SYSTEM_BUS_ADDRESS={bus} trailcam wake"
        )
        console.event("ready", text, camera=where, bus=bus, bluetooth=sleeping.address,
                      network=sleeping.access.ssid)  # fmt: skip
        await Deferred()
    finally:
        await air.stop()


def _where(camera: SimulatedCamera) -> str:
    return f"{camera.address[0]}:{camera.address[1]}"


def _access(arguments: argparse.Namespace) -> Access:
    passphrase = arguments.passphrase
    if passphrase and len(passphrase.encode()) < SHORTEST_PASSPHRASE:
        raise ConfigError(f"a passphrase has {SHORTEST_PASSPHRASE} to 63 bytes, or none at all")
    try:
        return Access(arguments.ssid, arguments.bssid, passphrase)
    except DecodeError as error:
        raise ConfigError(f"no camera would give {error}") from None


def _faults(arguments: argparse.Namespace) -> Faults:
    faults = Faults(**{
        each.name: getattr(arguments, each.name)
        for each in fields(Faults)
        if hasattr(arguments, each.name)
    })  # fmt: skip
    if arguments.evil_id:
        faults.unit = EVIL_ID
    return faults


def _wall_clock() -> int:
    """The local time, counted as if it were UTC."""
    return int(datetime.now().replace(tzinfo=UTC).timestamp())


# -- the demo --------------------------------------------------------------

#: What is on the simulated card: the same each time, so that a second demo finds it all at home.
PHOTOS, VIDEOS, NEWEST = 9, 1, 1_779_091_200


def demo(arguments: argparse.Namespace) -> int:
    """
    The main job, on a simulated camera: fetch everything; then the camera is switched
    off and on, takes another picture, and is called again from the same port.
    """
    bar = ProgressBar(not arguments.json and not arguments.quiet)
    console = Console(arguments.json, bar)
    start_logging(0 if arguments.quiet else 1 + arguments.verbose, lambda: bar.write)

    async def main(reactor: Any) -> int:
        status = await _Demo(reactor, console, bar, arguments.folder).run()
        if arguments.stay and not status:
            console.event("staying", "Ctrl-C ends it.")
            await Deferred()
        return status

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
        self._teller = SyncTeller(console, bar)
        self._total = SyncReport()

    async def run(self) -> int:
        card = Card(PHOTOS, VIDEOS, newest=NEWEST)
        simulated = SimulatedCamera(
            self._reactor, card, ThreadWorker(self._reactor), port=0, search_port=None
        )
        simulated.start()
        host, port = simulated.address
        self._tell(f"A simulated camera with {PHOTOS} photos and {VIDEOS} video is at "
                   f"{host}:{port}.")  # fmt: skip
        library = LibraryService(Library(self._folder, self._reactor))
        service = self._service(simulated, library)
        library.startService()
        try:
            self._count(await service.visit())
            self._tell("The camera is switched off and on again, and takes another photo.")
            await simulated.switch_off()
            card.add(0, NEWEST + 3600)
            simulated.switch_on()
            self._count(await service.visit())
        finally:
            await service.stopService()
            await library.stopService()
            await simulated.stop()
        self._bar.stop()
        return self._end(simulated)

    def _service(self, simulated: SimulatedCamera, library: LibraryService) -> CameraService:
        host, port = simulated.address
        # Its port is new each time, so it is remembered under a name.
        target = Target(host=host, port=port, name="demo")
        return CameraService(
            self._reactor,
            CameraConfig("demo", target, zone=UTC),
            library,
            policy=Policy(),
            state=self._folder / ".trailcam" / "state",
            observer=self._teller,
            connected=self._teller.connected,
        )

    def _count(self, report: SyncReport) -> None:
        for each in ("new", "skipped", "failed", "bytes", "seconds"):
            setattr(self._total, each, getattr(self._total, each) + getattr(report, each))
        self._tell(f"{report.new} new ({human_bytes(report.bytes)}), {report.skipped} here "
                   f"already, {report.failed} failed.")  # fmt: skip

    def _end(self, simulated: SimulatedCamera) -> int:
        ports = sorted(set(simulated.sources))
        self._tell(f"The camera was called {len(simulated.sources)} times, from source port "
                   f"{', '.join(map(str, ports))}.")  # fmt: skip
        status = 0
        if self._console.as_json:
            status = self._teller.done(self._total, library=str(self._folder))
        self._tell(f"The pictures are in {self._folder}")
        return status or int(self._total.failed > 0)

    def _tell(self, text: str) -> None:
        if not self._console.as_json:
            self._console.event("story", text)
