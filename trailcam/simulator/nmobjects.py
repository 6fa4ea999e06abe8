"""
What the mock NetworkManager has on the bus: devices, access points, profiles, active connections.

Names, signatures, states and the order of signals are the real one's (1.42).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from dbus_fast import Variant

from trailcam.radio.nmnames import (
    ACCESS_POINT,
    ACTIVE,
    DEVICE,
    IP4_CONFIG,
    MANAGER,
    MANAGER_PATH,
    NOTHING,
    PROFILE,
    WIFI,
    WIRELESS,
    ActiveReason,
    ActiveState,
    DeviceState,
    Reason,
)
from trailcam.simulator.dbusobjects import BusObjects, Properties

__all__ = ["HOME", "Activation", "Device", "NetworkManagerObjects", "Profile", "SimulatedNetwork"]

_ETHERNET = 1  # NMDeviceType
_INFRASTRUCTURE = 2  # NM80211Mode
_PRIVACY = 0x01  # NM80211ApFlags
_VOLATILE = 0x04  # NMSettingsConnectionFlags
#: What becomes of an active connection when its device changes its state.
_FOLLOWS = {
    DeviceState.PREPARE: ActiveState.ACTIVATING,
    DeviceState.ACTIVATED: ActiveState.ACTIVATED,
    DeviceState.DEACTIVATING: ActiveState.DEACTIVATING,
    DeviceState.FAILED: ActiveState.DEACTIVATED,
    DeviceState.DISCONNECTED: ActiveState.DEACTIVATED,
}


@dataclass(frozen=True, slots=True)
class SimulatedNetwork:
    """
    A network in the air.

    @ivar passphrase: empty for an open one.
    @ivar address: that it gives to whoever joins.
    @ivar dhcp: whether it gives any.
    @ivar strength: percent.
    @ivar frequency: MHz.
    """

    ssid: str
    passphrase: str = field(default="", repr=False)
    bssid: str = "02:00:00:00:12:34"
    address: str = "127.0.0.1"
    dhcp: bool = True
    strength: int = 70
    frequency: int = 2437


#: The network that the station is in at first.
HOME = SimulatedNetwork("Home", "at home here", "02:00:00:00:00:01")


@dataclass(eq=False, slots=True)
class Profile:
    """
    A connection profile.

    @ivar bssid: C{None} means any.
    @ivar volatile: goes when it is no longer active.
    @ivar never_default: is never the way out.
    """

    path: str
    name: str
    uuid: str
    ssid: str
    bssid: str | None = None
    passphrase: str = field(default="", repr=False)
    autoconnect: bool = False
    volatile: bool = False
    never_default: bool = False


@dataclass(eq=False, slots=True)
class Device:
    """
    A network device.

    @ivar seen: paths of the access points that it saw at the last scan, by BSSID.
    """

    path: str
    interface: str
    state: int = DeviceState.DISCONNECTED
    seen: dict[str, str] = field(default_factory=dict)
    activation: Activation | None = None

    @property
    def wifi(self) -> bool:
        """Whether it is for Wi-Fi."""
        return self.interface.startswith("wl")


@dataclass(eq=False, slots=True)
class Activation:
    """
    An active connection.

    @ivar client: the name of the client that it is bound to.
    @ivar task: brings it up.
    @ivar ip4: the path of what DHCP gave.
    """

    path: str
    profile: Profile
    device: Device
    client: str | None = None
    task: asyncio.Task[None] | None = None
    ip4: str = ""


class NetworkManagerObjects(BusObjects):
    """The objects, and the signals of their changes."""

    _numbers = count(1)

    def path(self, kind: str) -> str:
        """A path that was never used before."""
        return f"{MANAGER_PATH}/{kind}/{next(self._numbers)}"

    def add_manager(self, radio_on: bool) -> None:
        """The main object."""
        properties = {
            "WirelessEnabled": Variant("b", radio_on),
            "WirelessHardwareEnabled": Variant("b", True),
            "Version": Variant("s", "1.42.4"),
        }
        self.add(MANAGER_PATH, {MANAGER: properties})

    def add_device(self, device: Device) -> None:
        """A device that has seen nothing yet."""
        common: Properties = {
            "Interface": Variant("s", device.interface),
            "DeviceType": Variant("u", WIFI if device.wifi else _ETHERNET),
            "State": Variant("u", device.state),
            "StateReason": Variant("(uu)", [device.state, Reason.NONE]),
            "ActiveConnection": Variant("o", NOTHING),
            "Ip4Config": Variant("o", NOTHING),
            "Managed": Variant("b", device.state != DeviceState.UNMANAGED),
        }
        wireless: Properties = {
            "AccessPoints": Variant("ao", []),
            "ActiveAccessPoint": Variant("o", NOTHING),
            "LastScan": Variant("x", -1),
        }
        interfaces = {DEVICE: common, WIRELESS: wireless} if device.wifi else {DEVICE: common}
        self.add(device.path, interfaces)

    def add_profile(self, profile: Profile) -> None:
        """A profile."""
        flags = _VOLATILE if profile.volatile else 0
        properties = {"Unsaved": Variant("b", profile.volatile), "Flags": Variant("u", flags)}
        self.add(profile.path, {PROFILE: properties})

    def add_activation(self, activation: Activation) -> None:
        """An active connection, which its device now belongs to."""
        profile, device = activation.profile, activation.device
        properties = {
            "Connection": Variant("o", profile.path),
            "Id": Variant("s", profile.name),
            "Uuid": Variant("s", profile.uuid),
            "Type": Variant("s", "802-11-wireless"),
            "Devices": Variant("ao", [device.path]),
            "State": Variant("u", ActiveState.UNKNOWN),
            "Default": Variant("b", False),
            "Default6": Variant("b", False),
            "Ip4Config": Variant("o", NOTHING),
        }
        self.add(activation.path, {ACTIVE: properties})
        self.change(device.path, DEVICE, ActiveConnection=activation.path)
        device.activation = activation

    def remove_activation(self, activation: Activation) -> None:
        """It is over."""
        device = activation.device
        self.change(device.path, DEVICE, ActiveConnection=NOTHING, Ip4Config=NOTHING)
        self.change(device.path, WIRELESS, ActiveAccessPoint=NOTHING)
        self.remove(activation.path)
        self.remove(activation.ip4)
        if activation.profile.volatile:
            self.remove(activation.profile.path)
        device.activation = None

    def give_address(
        self, activation: Activation, network: SimulatedNetwork, default: bool
    ) -> None:
        """
        What DHCP brought, and where from.

        @param default: whether it is the way out now.
        """
        device = activation.device
        activation.ip4 = self.path("IP4Config")
        address = {"address": Variant("s", network.address), "prefix": Variant("u", 24)}
        self.add(activation.ip4, {IP4_CONFIG: {"AddressData": Variant("aa{sv}", [address])}})
        self.change(device.path, DEVICE, Ip4Config=activation.ip4)
        self.change(activation.path, ACTIVE, Ip4Config=activation.ip4, Default=default)
        seen = device.seen.get(network.bssid, NOTHING)
        self.change(device.path, WIRELESS, ActiveAccessPoint=seen)

    def look_around(self, device: Device, air: dict[str, SimulatedNetwork]) -> None:
        """
        The result of a scan.

        @param air: the networks by BSSID.
        """
        for bssid in device.seen.keys() - air.keys():
            self.remove(device.seen.pop(bssid))
        for bssid in sorted(air.keys() - device.seen.keys()):
            path = device.seen[bssid] = self.path("AccessPoint")
            self.add(path, {ACCESS_POINT: _described(air[bssid])})
            self._signal(device.path, WIRELESS, "AccessPointAdded", "o", path)
        last = self.value(device.path, WIRELESS, "LastScan")
        paths = list(device.seen.values())
        self.change(device.path, WIRELESS, AccessPoints=paths, LastScan=last + 1)

    def go(self, device: Device, state: DeviceState, reason: int = Reason.NONE) -> None:
        """A device changes its state, and its active connection follows."""
        old, device.state = device.state, state
        self.change(device.path, DEVICE, State=state, StateReason=[state, reason])
        self._state_changed(device.path, DEVICE, "uuu", state, old, reason)
        follows = _FOLLOWS.get(state)
        if device.activation is None or follows is None:
            return
        path = device.activation.path
        if self.value(path, ACTIVE, "State") != follows:
            over = follows == ActiveState.DEACTIVATED
            why = ActiveReason.DEVICE_DISCONNECTED if over else ActiveReason.UNKNOWN
            self.change(path, ACTIVE, State=follows)
            self._state_changed(path, ACTIVE, "uu", follows, why)

    def _state_changed(self, path: str, interface: str, signature: str, *body: Any) -> None:
        self._signal(path, interface, "StateChanged", signature, *body)


def _described(network: SimulatedNetwork) -> Properties:
    return {
        "Flags": Variant("u", _PRIVACY if network.passphrase else 0),
        "Ssid": Variant("ay", network.ssid.encode()),
        "HwAddress": Variant("s", network.bssid),
        "Frequency": Variant("u", network.frequency),
        "Mode": Variant("u", _INFRASTRUCTURE),
        "Strength": Variant("y", network.strength),
    }
