"""
Which Wi-Fi device a camera's network is joined with.

One that is idle, so that nothing is lost; else the only one, and what it was used for is
restored afterwards.
"""

from __future__ import annotations

from trailcam.errors import RadioError
from trailcam.radio.networkmanager import Device, Snapshot
from trailcam.radio.nmnames import DeviceState

__all__ = ["choose", "find", "joined_already", "same"]


def choose(snapshot: Snapshot, interface: str | None, busy_too: bool = False) -> Device:
    """
    The device to join a network with.

    @param interface: the one to take, idle or not; C{None} means one that is idle, else the
        only one.
    @param busy_too: take the first of several that are busy; fit for scanning.
    @raise RadioError: when there is none, or none may be taken.
    """
    devices = snapshot.wifi_devices()
    if interface is not None:
        return _ready(find(snapshot, interface), snapshot)
    if not devices:
        raise RadioError("there is no Wi-Fi device: plug one in, and see nmcli device")
    ready = [device for device in devices if device.state >= DeviceState.DISCONNECTED]
    if not ready:
        return _ready(devices[0], snapshot)
    idle = [device for device in ready if device.idle]
    if not idle and len(ready) > 1 and not busy_too:
        names = ", ".join(device.interface for device in ready)
        raise RadioError(f"all Wi-Fi devices are in use ({names}): say which one may be taken")
    return (idle or ready)[0]


def find(snapshot: Snapshot, interface: str) -> Device:
    """
    The device with this name.

    @raise RadioError: when it is not, or no longer, there.
    """
    devices = {device.interface: device for device in snapshot.wifi_devices()}
    if interface not in devices:
        there = ", ".join(devices) or "none"
        raise RadioError(f"there is no Wi-Fi device {interface}, only {there}: is it plugged in?")
    return devices[interface]


def joined_already(
    snapshot: Snapshot, ssid: str, bssid: str | None, interface: str | None
) -> Device | None:
    """The device that is in this network, if one is."""
    for device in snapshot.wifi_devices():
        at = snapshot.access_point(device.access_point)
        if (
            device.state == DeviceState.ACTIVATED
            and device.address
            and interface in (None, device.interface)
            and at is not None
            and at.ssid == ssid
            and same(at.bssid, bssid)
        ):
            return device
    return None


def same(bssid: str, wanted: str | None) -> bool:
    """Whether an access point is the one wanted, or any will do."""
    return wanted is None or bssid.lower() == wanted.lower()


def _ready(device: Device, snapshot: Snapshot) -> Device:
    name = device.interface
    if device.state >= DeviceState.DISCONNECTED:
        return device
    if not snapshot.radio_is_on():
        raise RadioError("Wi-Fi is switched off: nmcli radio wifi on, or rfkill unblock wifi")
    if device.state == DeviceState.UNMANAGED:
        raise RadioError(f"NetworkManager leaves {name} alone: nmcli device set {name} managed yes")
    raise RadioError(f"{name} is not ready: is wpasupplicant installed? See nmcli device")
