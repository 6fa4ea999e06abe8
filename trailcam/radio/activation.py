"""
Activating a camera's network, ending that, and making sense of what NetworkManager says.

A passphrase goes into the profile, and nowhere else.
"""

from __future__ import annotations

import re
import time

from trailcam.errors import NetworkVanished, RadioError
from trailcam.radio.devices import find
from trailcam.radio.networkmanager import Active, NetworkManager, Refused, Settings, Snapshot
from trailcam.radio.nmnames import ACTIVE, DEVICE, MANAGER, ActiveState, DeviceState, Reason

__all__ = ["activated", "check", "deactivate", "explain", "profile", "restore"]

STOPPED = "NetworkManager was stopped or restarted meanwhile: try again"
#: What NetworkManager does with a passphrase: 8 to 63 characters, or the key itself.
_PASSPHRASE = re.compile(r"[ -~]{8,63}|[0-9A-Fa-f]{64}")
_BSSID = re.compile(r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")
#: Between two looks, when nothing is signalled, in seconds.
_LOOK = 0.5
#: How long NetworkManager is given to do something by itself, or again, in seconds.
_PATIENCE = 3.0

_WRONG = "{} did not accept the passphrase: check it, or wake the camera and try again"
_NO_ADDRESS = "{} gave us no address (DHCP): wake the camera and try again"
_VANISHED = "{} vanished: wake the camera again, or move nearer to it"
_NOT_LET_IN = "{} did not let us in: move nearer to the camera and try again"
_ENDED = "somebody or something else ended our joining of {}: try again"
_FAILURES = {
    Reason.NO_SECRETS: _WRONG,
    Reason.IP_CONFIG_UNAVAILABLE: _NO_ADDRESS,
    Reason.IP_CONFIG_EXPIRED: _NO_ADDRESS,
    Reason.DHCP_START_FAILED: _NO_ADDRESS,
    Reason.DHCP_ERROR: _NO_ADDRESS,
    Reason.DHCP_FAILED: _NO_ADDRESS,
    Reason.SSID_NOT_FOUND: _VANISHED,
}


def check(ssid: str, bssid: str | None, passphrase: str) -> None:
    """
    Look at what came from outside, before NetworkManager gets to see it.

    @raise RadioError: when no network can have it.
    """
    if not 1 <= len(ssid.encode()) <= 32:
        raise RadioError("a network's name has 1 to 32 bytes: check it")
    if bssid is not None and not _BSSID.fullmatch(bssid):
        raise RadioError("a network's address is written 02:00:00:00:12:34: check it")
    if passphrase and not _PASSPHRASE.fullmatch(passphrase):
        raise RadioError("a Wi-Fi passphrase has 8 to 63 characters: check it")


def profile(ssid: str, bssid: str | None, passphrase: str) -> Settings:
    """A profile for a network without an internet: no default route, no names, not by itself."""
    settings: Settings = {
        "connection": {
            "id": ("s", f"trailcam {ssid}"),
            "type": ("s", "802-11-wireless"),
            "autoconnect": ("b", False),
            # Each profile is a new one. The camera knows its client by its address: where
            # NetworkManager makes one up for us, it shall be the same every time.
            "stable-id": ("s", f"trailcam {ssid}"),
        },
        "802-11-wireless": {
            "ssid": ("ay", ssid.encode()),
            "mode": ("s", "infrastructure"),
        },
        "ipv4": {
            "method": ("s", "auto"),
            "never-default": ("b", True),
            "ignore-auto-dns": ("b", True),
            "ignore-auto-routes": ("b", True),
            "may-fail": ("b", False),
        },
        "ipv6": {"method": ("s", "disabled")},
    }
    if bssid is not None:
        settings["802-11-wireless"]["bssid"] = ("ay", bytes.fromhex(bssid.replace(":", "")))
    if passphrase:
        settings["802-11-wireless-security"] = {
            "key-mgmt": ("s", "wpa-psk"),
            "psk": ("s", passphrase),
        }
    return settings


def explain(error: Refused, ssid: str, passphrase: str) -> RadioError:
    """What a refused profile means; NetworkManager's own words, unless they say too much."""
    if passphrase and passphrase in str(error):
        return RadioError(f"NetworkManager refused the settings for {ssid}: {error.name}")
    return error


async def activated(
    manager: NetworkManager, active: str, device: str, ssid: str, limit: float
) -> None:
    """
    Wait until our connection is active.

    @param active: its path.
    @param device: the device's path.
    @raise NetworkVanished: when the network is not there.
    @raise RadioError: when that comes to nothing for another reason, saying which.
    """
    state = int(DeviceState.UNKNOWN)
    up = (ACTIVE, active, ActiveState.ACTIVATED)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        signal = await manager.signal(_LOOK)
        if signal is None:
            if _state(await manager.snapshot(), active, ssid) == ActiveState.ACTIVATED:
                return
        elif signal.interface == MANAGER:
            raise RadioError(STOPPED)
        elif (signal.interface, signal.path) == (DEVICE, device):
            state, _, reason = signal.body
            _check_device(state, reason, ssid)
        elif (signal.interface, signal.path, signal.body[0]) == up:
            return
        # An active connection's end tells no reason: its device does, just before or after.
    raise RadioError(_too_late(state).format(ssid))


async def deactivate(manager: NetworkManager, active: str, limit: float) -> bool:
    """
    End our connection, and wait until it is over.

    @return: whether it was still there.
    @raise RadioError: when NetworkManager refuses.
    """
    end = time.monotonic() + limit
    try:
        if not _is_up(await manager.snapshot(), active):
            return False
        await manager.deactivate(active)
        while _is_up(await manager.snapshot(), active) and time.monotonic() < end:
            await manager.changed(_LOOK)
    except Refused as error:
        if error.absent or error.name.endswith(".ConnectionNotActive"):
            return False
        raise
    return True


async def restore(
    manager: NetworkManager, displaced: Active, interface: str, asking: bool, limit: float
) -> None:
    """
    Wait until the connection that made room for ours is active again.

    NetworkManager does that by itself, unless told otherwise. Whoever has taken the device for
    something else meanwhile is left alone.

    @param asking: whether it was us who just freed the device: then NetworkManager is asked
        for the connection, whatever else it begins.
    @raise RadioError: when it is not active in time.
    """
    now = time.monotonic()
    end, ask_at = now + limit, now + (0 if asking else _PATIENCE)
    last: RadioError | None = None
    while (now := time.monotonic()) < end:
        try:
            snapshot = await manager.snapshot()
            device = find(snapshot, interface)
            active = snapshot.active(device.active)
            if active is not None and active.uuid == displaced.uuid:
                if active.state == ActiveState.ACTIVATED:
                    return
            elif active is not None and not asking:
                return
            elif (asking or device.idle) and now >= ask_at:
                asking, ask_at = False, now + _PATIENCE
                await manager.activate(displaced.uuid, device)
        except RadioError as error:
            last = error  # NetworkManager may be just starting
        await manager.changed(_LOOK)
    why = f" ({last})" if last else ""
    raise RadioError(f"not after {limit:g} s{why}: nmcli connection up '{displaced.name}'")


def _check_device(state: int, reason: int, ssid: str) -> None:
    """
    @raise RadioError: when the device says that it is over.
    """
    # Keys are asked for on every way up. With this reason it is because those it had are wrong;
    # a desktop would now put up a window.
    if (state, reason) == (DeviceState.NEED_AUTH, Reason.SUPPLICANT_DISCONNECT):
        raise RadioError(_WRONG.format(ssid))
    if state == DeviceState.FAILED:
        text = next((text for known, text in _FAILURES.items() if known == reason), _NOT_LET_IN)
        raise (NetworkVanished if text is _VANISHED else RadioError)(text.format(ssid))


def _state(snapshot: Snapshot, active: str, ssid: str) -> int:
    """
    @raise RadioError: when our connection is no longer there.
    """
    if not _is_up(snapshot, active):
        raise RadioError(_ENDED.format(ssid))
    now = snapshot.active(active)
    return now.state if now else ActiveState.UNKNOWN


def _is_up(snapshot: Snapshot, active: str) -> bool:
    now = snapshot.active(active)
    return now is not None and now.state != ActiveState.DEACTIVATED


def _too_late(state: int) -> str:
    """What it was waiting for, by the device's last state."""
    if state == DeviceState.NEED_AUTH:
        return _WRONG
    return _NO_ADDRESS if state >= DeviceState.IP_CONFIG else _NOT_LET_IN
