"""
What C{trailcam doctor} checks of Bluetooth and Wi-Fi: whether this computer could wake its
cameras and join their networks.

Only where that is asked for: by C{tap.conf}; or, where there is none yet, by the extra C{radio}
being installed, and then nothing is worse than a warning. Nothing is changed, and no radio is
used. It blocks for L{LIMIT} at most.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from trailcam.checks import Finding, Station
from trailcam.errors import RadioError

if TYPE_CHECKING:  # what the radios need is loaded where it is wanted
    from trailcam.radio.inspection import Inspection

__all__ = ["EXTRA", "LIMIT", "Wishes", "check_radio"]

#: What the extra C{radio} brings, as in C{setup.cfg}.
EXTRA = ("bleak>=3", "dbus-fast>=4")

#: How long D-Bus, BlueZ and NetworkManager may take, in seconds.
LIMIT = 3.0

_GUIDE = "see docs/raspberry-pi.md"


@dataclass(frozen=True)
class Wishes:
    """
    What is wanted of the radios.

    @ivar bluetooth: whether cameras are to be woken.
    @ivar devices: the Wi-Fi devices to join networks with; C{None} among them means any.
    @ivar certain: whether C{tap.conf} wants it.
    """

    bluetooth: bool
    devices: tuple[str | None, ...]
    certain: bool

    @classmethod
    def of(cls, station: Station) -> Wishes:
        """What this station wants."""
        if station.config is None:
            there = _installed()
            return cls(there, (None,) if there else (), certain=False)
        cameras = station.config.cameras
        devices = dict.fromkeys(one.wifi or None for one in cameras if one.wifi is not None)
        return cls(any(one.wake is not None for one in cameras), tuple(devices), certain=True)


def check_radio(station: Station) -> Iterator[Finding]:
    """Could this computer wake its cameras, and join their networks?"""
    wishes = Wishes.of(station)
    if not wishes.bluetooth and not wishes.devices:
        return
    for finding in _findings(wishes):
        if finding.status == "problem" and not wishes.certain:
            finding = replace(finding, status="warning")
        yield finding


def _findings(wishes: Wishes) -> Iterator[Finding]:
    yield _machine()
    if not _installed():
        packages = " ".join(map(shlex.quote, EXTRA))
        mend = f"{shlex.quote(sys.executable)} -m pip install {packages}"
        yield Finding("radio", "problem", "the extra radio is not installed", mend)
        return
    import asyncio

    from trailcam.radio.inspection import inspect

    found = asyncio.run(inspect(LIMIT))
    if not found.bus:
        mend = "sudo apt install dbus, then sudo systemctl start dbus (a container needs /run/dbus)"
        yield Finding("radio", "problem", "the D-Bus system bus cannot be reached", mend)
        return
    yield Finding("radio", "ok", "the extra radio is installed, D-Bus answers")
    if wishes.bluetooth:
        yield _bluetooth(found)
    if wishes.devices:
        yield from _wifi(found, wishes.devices)


def _installed() -> bool:
    return all(find_spec(module) is not None for module in ("bleak", "dbus_fast"))


def _machine() -> Finding:
    if sys.maxsize > 2**32:
        return Finding("machine", "ok", "64 bits")
    mend = f"install the 64-bit system: {_GUIDE}"
    return Finding("machine", "warning", "32 bits: what trailcam needs is not made for it", mend)


def _bluetooth(found: Inspection) -> Finding:
    """BlueZ, and its adapter."""
    if found.bluez:
        return Finding("bluetooth", "problem", *_no_bluez(found.bluez))
    if not found.adapters:
        mend = f"plug one in; on a Raspberry Pi: {_GUIDE} (dtoverlay=disable-bt)"
        return Finding("bluetooth", "problem", "there is no Bluetooth adapter", mend)
    able = [adapter for adapter in found.adapters if adapter.low_energy]
    if not able:
        text = f"{found.adapters[0].name} cannot do Low Energy"
        return Finding("bluetooth", "problem", text, "use another adapter, 4.0 or later")
    on = [adapter.name for adapter in able if adapter.powered]
    if not on:
        mend = "sudo rfkill unblock bluetooth, then bluetoothctl power on"
        return Finding("bluetooth", "problem", f"{able[0].name} is switched off", mend)
    return Finding("bluetooth", "ok", f"{on[0]} is on")


def _no_bluez(why: str) -> tuple[str, str]:
    if why.endswith((".AccessDenied", ".NotAuthorized")):
        mend = f"sudo usermod -aG bluetooth {_user()}, then log in again, or restart the service"
        return f"the user {_user()} may not use Bluetooth", mend
    start = "sudo apt install bluez, then sudo systemctl enable --now bluetooth"
    return _unanswered(why, "BlueZ, the Bluetooth service,", "bluetooth", start)


def _unanswered(why: str, service: str, unit: str, start: str) -> tuple[str, str]:
    """What it means that a service could not be asked, and what to do."""
    from trailcam.radio.inspection import ABSENT, NO_ANSWER

    if why == ABSENT:
        return f"{service} does not run", start
    if why == NO_ANSWER:
        return f"{service} does not answer", f"sudo systemctl restart {unit}"
    return f"{service} answers {why}", f"look at journalctl -u {unit}"


def _wifi(found: Inspection, devices: tuple[str | None, ...]) -> Iterator[Finding]:
    """NetworkManager, its Wi-Fi devices, and what we may do with them."""
    if found.manager:
        start = f"sudo apt install network-manager, then let it have the Wi-Fi: {_GUIDE}"
        told = _unanswered(found.manager, "NetworkManager", "NetworkManager", start)
        yield Finding("wifi", "problem", *told)
        return
    for device in devices:
        yield _wifi_device(found, device)
    yield _rights(found)


def _wifi_device(found: Inspection, name: str | None) -> Finding:
    """The device that networks would be joined with, and what that costs."""
    from trailcam.radio.devices import choose

    assert found.wifi is not None, "NetworkManager has answered"
    try:
        device = choose(found.wifi, name)
    except RadioError as error:
        text, _, mend = str(error).partition(": ")
        return Finding("wifi", "problem", text, mend)
    if device.active in found.ways_out:
        text = f"{device.interface} is how others reach this computer: not during a visit (SSH!)"
        mend = "use Ethernet, or another Wi-Fi device with wifi = wlan1; else it comes back after"
        return Finding("wifi", "warning", text, mend)
    return Finding("wifi", "ok", f"{device.interface} can join a camera's network")


def _rights(found: Inspection) -> Finding:
    user = _user()
    if not found.missing:
        return Finding("rights", "ok", f"the user {user} may join networks")
    missing = ", ".join(right.removeprefix("org.freedesktop.NetworkManager.")
                        for right in found.missing)  # fmt: skip
    mend = f"ask as the service's user (sudo -u trailcam), or install the polkit rule: {_GUIDE}"
    return Finding("rights", "problem", f"the user {user} may not: {missing}", mend)


def _user() -> str:
    """Our name, as far as it is known."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number that no user has
        return "of this process"
