"""What the commands do that use the station's radios: scan, wake, join, leave."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from trailcam.calling import find_config
from trailcam.config import CameraConfig, Config, default_state
from trailcam.console import Console, start_logging
from trailcam.errors import ConfigError, NoCameraAnswered, RadioError
from trailcam.locks import who_holds
from trailcam.radio.bluetooth import WakeTarget
from trailcam.radio.station import Radios, lock_path
from trailcam.runner import run
from trailcam.wire.wakeup import Access

__all__ = ["join", "leave", "scan", "wake"]

Arguments = argparse.Namespace


class Network(NamedTuple):
    """What is to be joined."""

    ssid: str
    passphrase: str
    bssid: str | None = None


#: What holds the radios while a network is joined by hand.
JOIN = "trailcam join"
#: So many seconds another program is given to leave its network.
LEAVING = 90.0


def scan(arguments: Arguments) -> int:
    """List what is near over Bluetooth."""

    async def work(reactor: Any, radios: Radios, console: Console) -> int:
        found = await radios.borrow(lambda: radios.scan(arguments.seconds, arguments.all))
        for device in found:
            console.event("device", f"{device.address}  {device.rssi:4} dBm  {device.name}",
                          address=device.address, name=device.name, rssi=device.rssi,
                          camera=device.is_camera)  # fmt: skip
        if not found:
            raise NoCameraAnswered(
                f"no camera was seen over Bluetooth in {arguments.seconds:g} s. Is it within 10 m, "
                "and are its batteries full? --all shows every device"
            )
        return 0

    return _with_radios(arguments, work)


def wake(arguments: Arguments) -> int:
    """Wake a camera, and tell which network it opens."""
    which = _which(arguments)

    async def work(reactor: Any, radios: Radios, console: Console) -> int:
        access = await radios.borrow(lambda: radios.wake(which))
        _tell(console, access)
        return 0

    return _with_radios(arguments, work)


def join(arguments: Arguments) -> int:
    """Join a camera's network, and stay in it until interrupted."""
    camera = _configured(arguments)
    if camera is not None and camera.wake is None and camera.network is None:
        raise ConfigError(f"the configuration names neither wake nor network for {camera.name}")
    device = arguments.device or (camera.wifi if camera else None) or None

    async def stay(radios: Radios, console: Console) -> int:
        if camera is not None and camera.wake is None:
            network = Network(camera.network or "", camera.network_password)
        else:
            access = await radios.wake(_which(arguments))
            _tell(console, access)
            network = Network(access.ssid, access.passphrase, access.bssid)
        try:
            joined = await radios.join(*network, device)
            console.event("joined", f"in {joined.ssid} with {joined.interface}, as "
                          f"{joined.address}; Ctrl-C, or `trailcam leave`, leaves it",
                          network=joined.ssid, device=joined.interface,
                          address=joined.address)  # fmt: skip
            await radios.lasts()  # until we are told to end
            console.event("left", f"{joined.ssid} is gone: the camera sleeps again, or is too far",
                          network=joined.ssid)  # fmt: skip
        finally:
            await radios.leave()
        return 0

    async def work(reactor: Any, radios: Radios, console: Console) -> int:
        return await radios.borrow(lambda: Deferred.fromCoroutine(stay(radios, console)))

    return _with_radios(arguments, work, JOIN)


def leave(arguments: Arguments) -> int:
    """Have the C{trailcam join} that is running leave its network."""
    console = Console(arguments.json)
    path = lock_path(_state(arguments, find_config(arguments, always=True)))
    holder = _held(path)
    if holder is None:
        raise RadioError("no network is joined: there is nothing to leave")
    if holder.pid is None or holder.program != JOIN:
        raise RadioError(f"the radios are in use by {holder}, which leaves when it is done")
    start_logging(0 if arguments.quiet else 1)
    try:
        os.kill(holder.pid, signal.SIGTERM)
    except OSError as error:
        raise RadioError(f"{holder} cannot be told to leave: {error.strerror}") from None

    async def work(reactor: Any) -> int:
        end = reactor.seconds() + LEAVING
        while _held(path) == holder:
            if reactor.seconds() > end:
                raise RadioError(f"{holder} has not left its network in {LEAVING:g} s")
            await deferLater(reactor, 0.1)
        console.event("left", f"{holder} has left its network", pid=holder.pid)
        return 0

    return run(work)


def _held(path: Path) -> Any:
    try:
        return who_holds(path)
    except OSError as error:
        raise RadioError(f"cannot read {path}: {error.strerror}") from None


def _with_radios(
    arguments: Arguments, work: Callable[[Any, Radios, Console], Awaitable[int]], what: str = ""
) -> int:
    console = Console(arguments.json)
    state = _state(arguments, find_config(arguments, always=True))
    start_logging(0 if arguments.quiet else min(2, 1 + arguments.verbose))

    async def main(reactor: Any) -> int:
        radios = Radios(reactor, state=state, what=what)
        try:
            return await work(reactor, radios, console)
        finally:
            await radios.close()

    return run(main)


def _state(arguments: Arguments, config: Config | None) -> Path:
    state: Path | None = arguments.state
    return state or (config.state if config else default_state())


def _configured(arguments: Arguments) -> CameraConfig | None:
    """The camera of the configuration that is meant, if one is."""
    config = find_config(arguments, always=True)
    named = getattr(arguments, "camera", None)
    for camera in config.cameras if config else ():
        if camera.name == named:
            return camera
    return None


def _which(arguments: Arguments) -> WakeTarget:
    """Whom to wake: what the configuration says of a camera, else what was given."""
    camera = _configured(arguments)
    if camera is None:
        return WakeTarget.parse(arguments.camera or "")
    if camera.wake is None:
        raise ConfigError(f"the configuration says wake = no for {camera.name}: give its Bluetooth "
                          "address instead")  # fmt: skip
    return WakeTarget.parse(camera.wake)


def _tell(console: Console, access: Access) -> None:
    hidden = "*" * 8 if access.passphrase else "none"
    console.event("awake", f"awake; network {access.ssid} ({access.bssid}), passphrase {hidden} "
                  "(--json shows it)", network=access.ssid, bssid=access.bssid,
                  passphrase=access.passphrase)  # fmt: skip
