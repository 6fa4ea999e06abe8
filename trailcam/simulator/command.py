"""C{trailcam simulate}."""

from __future__ import annotations

import argparse
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred

from trailcam.console import Console, start_logging
from trailcam.errors import ConfigError, DecodeError
from trailcam.runner import run
from trailcam.simulator.asleep import Air, SleepingCamera
from trailcam.simulator.card import Card
from trailcam.simulator.faults import EVIL_ID, Faults
from trailcam.simulator.server import Firewall, SimulatedCamera
from trailcam.target import parse_address
from trailcam.wire.wakeup import Access
from trailcam.worker import ThreadWorker

__all__ = ["simulate"]

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
