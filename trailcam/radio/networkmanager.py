"""
A thin client of NetworkManager's D-Bus interface.

It asks for everything at once (L{Snapshot}) rather than for property after
property: what it then reads belongs together, and nothing vanishes between
two questions.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from trailcam.errors import RadioError
from trailcam.radio.nmnames import (
    ACCESS_POINT,
    ACTIVE,
    DEVICE,
    IP4_CONFIG,
    MANAGER,
    MANAGER_PATH,
    NOTHING,
    OBJECT_MANAGER,
    OBJECT_MANAGER_PATH,
    SETTINGS,
    SETTINGS_PATH,
    WIFI,
    WIRELESS,
    DeviceState,
)

try:
    from dbus_fast import BusType, Message, MessageFlag, MessageType, Variant, unpack_variants
    from dbus_fast.aio import MessageBus

    INSTALLED = True
except ImportError:  # without the extra; told by NetworkManager.connect
    INSTALLED = False

__all__ = [
    "AccessPoint",
    "Active",
    "Device",
    "NetworkManager",
    "Refused",
    "Settings",
    "Signal",
    "Snapshot",
]

MISSING = "joining a camera's network needs the extra radio: pip install 'trailcam[radio]'"
NO_BUS = "there is no D-Bus system bus: install and start the package dbus"
NOT_RUNNING = (
    "NetworkManager is not running: install network-manager, "
    "then systemctl enable --now NetworkManager"
)
NOT_AUTHORISED = "not allowed to control Wi-Fi: install the polkit rule: see docs/raspberry-pi.md"

_BUS = "org.freedesktop.DBus"
_ABSENT = {f"{_BUS}.Error.{name}" for name in ("ServiceUnknown", "NameHasNoOwner", "NoReply")}
_SIGNALS = (
    f"type='signal',sender='{MANAGER}',interface='{ACTIVE}',member='StateChanged'",
    f"type='signal',sender='{MANAGER}',interface='{DEVICE}',member='StateChanged'",
    f"type='signal',sender='{MANAGER}',interface='{WIRELESS}',member='AccessPointAdded'",
    f"type='signal',sender='{_BUS}',member='NameOwnerChanged',arg0='{MANAGER}'",
)
#: A profile: signature and value, by section and key.
Settings: TypeAlias = dict[str, dict[str, tuple[str, Any]]]
#: Signals kept for whoever waits; what comes beyond is dropped, and looked up instead.
_SIGNALS_KEPT = 1000


class Refused(RadioError):
    """
    NetworkManager, or D-Bus, answered with an error.

    @ivar name: its D-Bus name.
    """

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        if self.absent:
            text = NOT_RUNNING
        elif name.endswith((".PermissionDenied", ".AccessDenied")):
            text = NOT_AUTHORISED
        else:
            text = f"NetworkManager refused: {text or name}"
        super().__init__(text)

    @property
    def absent(self) -> bool:
        """Whether there was nobody to ask."""
        return self.name in _ABSENT


class Signal(NamedTuple):
    """
    Something changed.

    @ivar path: of the object.
    @ivar interface: that of a device, an active connection or a wireless device; C{MANAGER}
        when NetworkManager itself came or went.
    @ivar body: of the first two: new state, (for a device: old state,) reason.
    """

    path: str
    interface: str
    body: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """
    A network that a device sees.

    @ivar bssid: as C{02:00:00:00:12:34}.
    @ivar strength: percent.
    @ivar frequency: MHz.
    """

    path: str
    ssid: str
    bssid: str
    strength: int
    frequency: int


@dataclass(frozen=True, slots=True)
class Active:
    """
    A connection that is active, or on its way there or back.

    @ivar state: an L{ActiveState<trailcam.radio.nmnames.ActiveState>}.
    """

    path: str
    name: str
    uuid: str
    state: int


@dataclass(frozen=True, slots=True)
class Device:
    """
    A Wi-Fi device.

    @ivar state: a L{DeviceState}.
    @ivar active: the path of its active connection.
    @ivar access_point: the path of the access point that it is joined to.
    @ivar address: its first IPv4 address, or nothing.
    @ivar last_scan: when it last finished a scan.
    """

    path: str
    interface: str
    state: int
    active: str
    access_point: str
    access_points: tuple[str, ...]
    address: str
    last_scan: int

    @property
    def idle(self) -> bool:
        """Whether it may be taken without anything else being lost."""
        return self.state == DeviceState.DISCONNECTED


class Snapshot:
    """Everything that NetworkManager has, at one moment."""

    def __init__(self, objects: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        """
        @param objects: properties by path and interface.
        """
        self._objects = objects

    def radio_is_on(self) -> bool:
        """Whether Wi-Fi is switched on, in software and in hardware."""
        manager = self._properties(MANAGER_PATH, MANAGER)
        return all(manager.get(f"Wireless{part}Enabled", True) for part in ("", "Hardware"))

    def wifi_devices(self) -> list[Device]:
        """The Wi-Fi devices, by the names of their interfaces."""
        return sorted(self._wifi_devices(), key=lambda device: device.interface)

    def access_points(self, device: Device) -> list[AccessPoint]:
        """What a device sees."""
        found = (self.access_point(path) for path in device.access_points)
        return [access_point for access_point in found if access_point is not None]

    def access_point(self, path: str) -> AccessPoint | None:
        """One access point, while it is there."""
        seen = self._properties(path, ACCESS_POINT)
        if not seen:
            return None
        return AccessPoint(
            path,
            bytes(seen["Ssid"]).decode("utf-8", "replace"),
            seen["HwAddress"],
            seen["Strength"],
            seen["Frequency"],
        )

    def active(self, path: str) -> Active | None:
        """One active connection, while it is there."""
        active = self._properties(path, ACTIVE)
        return Active(path, active["Id"], active["Uuid"], active["State"]) if active else None

    def _wifi_devices(self) -> Iterator[Device]:
        for path in self._objects:
            device = self._properties(path, DEVICE)
            wireless = self._properties(path, WIRELESS)
            if not wireless or device.get("DeviceType") != WIFI:
                continue
            addresses = self._properties(device["Ip4Config"], IP4_CONFIG).get("AddressData", ())
            yield Device(
                path,
                device["Interface"],
                device["State"],
                device["ActiveConnection"],
                wireless["ActiveAccessPoint"],
                tuple(wireless["AccessPoints"]),
                addresses[0]["address"] if addresses else "",
                wireless["LastScan"],
            )

    def _properties(self, path: str, interface: str) -> Mapping[str, Any]:
        return self._objects.get(path, {}).get(interface, {})


class NetworkManager:
    """One connection to the bus. What it activates lives no longer than this connection."""

    def __init__(self, bus: MessageBus, limit: float) -> None:
        self._bus = bus
        self._limit = limit
        self._signals: asyncio.Queue[Signal] = asyncio.Queue(_SIGNALS_KEPT)
        bus.add_message_handler(self._heard)

    @classmethod
    async def connect(cls, address: str | None, limit: float) -> NetworkManager:
        """
        @param address: of the bus; C{None} means the system bus.
        @param limit: seconds that an answer may take.
        @raise RadioError: when the extra, the bus or NetworkManager is missing.
        """
        if not INSTALLED:
            raise RadioError(MISSING)
        try:
            async with asyncio.timeout(limit):
                bus = await MessageBus(address, BusType.SYSTEM).connect()
        except Exception:  # dbus-fast and the operating system have many
            raise RadioError(NO_BUS) from None
        manager = cls(bus, limit)
        try:
            for rule in _SIGNALS:
                await manager._call(_BUS, "/org/freedesktop/DBus", _BUS, "AddMatch", "s", rule)
        except BaseException:
            await manager.close()
            raise
        return manager

    async def close(self) -> None:
        """Leave the bus; NetworkManager then drops what is bound to us."""
        if self._bus.connected:
            self._bus.disconnect()
        with contextlib.suppress(Exception):  # how it ended does not matter
            await self._bus.wait_for_disconnect()

    async def snapshot(self) -> Snapshot:
        """
        @raise Refused: when NetworkManager is not running.
        """
        (objects,) = await self._call(
            MANAGER, OBJECT_MANAGER_PATH, OBJECT_MANAGER, "GetManagedObjects"
        )
        return Snapshot(unpack_variants(objects))

    async def request_scan(self, device: Device, ssid: str | None = None) -> None:
        """
        Let a device look around, also by name. That it just did so is no error.

        @raise Refused: when we may not.
        """
        options = {} if ssid is None else {"ssids": Variant("aay", [ssid.encode()])}
        try:
            await self._call(MANAGER, device.path, WIRELESS, "RequestScan", "a{sv}", options)
        except Refused as error:
            if not error.name.endswith(".NotAllowed"):
                raise

    async def add_and_activate(
        self, settings: Settings, device: Device, access_point: AccessPoint
    ) -> str:
        """
        Activate a profile that goes with its activation, and at the latest with us.

        @return: the path of the active connection.
        """
        options = {
            "persist": Variant("s", "volatile"),
            "bind-activation": Variant("s", "dbus-client"),
        }
        typed = {
            section: {key: Variant(*value) for key, value in values.items()}
            for section, values in settings.items()
        }
        _, active, _ = await self._manage(
            "AddAndActivateConnection2", "a{sa{sv}}ooa{sv}",
            typed, device.path, access_point.path, options,
        )  # fmt: skip
        return str(active)

    async def activate(self, uuid: str, device: Device) -> None:
        """Activate a profile that is there."""
        (profile,) = await self._call(
            MANAGER, SETTINGS_PATH, SETTINGS, "GetConnectionByUuid", "s", uuid
        )
        await self._manage("ActivateConnection", "ooo", profile, device.path, NOTHING)

    async def deactivate(self, active: str) -> None:
        """End an active connection."""
        await self._manage("DeactivateConnection", "o", active)

    async def signal(self, seconds: float) -> Signal | None:
        """
        The next signal.

        @return: C{None} when there was none for so long.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._signals.get()
        except TimeoutError:
            return None

    async def changed(self, seconds: float) -> None:
        """Wait until something was signalled, whatever it was, but not longer than this."""
        await self.signal(seconds)
        self.forget_signals()

    def forget_signals(self) -> None:
        """What was signalled so far is of no interest."""
        while not self._signals.empty():
            self._signals.get_nowait()

    async def _manage(self, member: str, signature: str, *body: Any) -> Any:
        return await self._call(MANAGER, MANAGER_PATH, MANAGER, member, signature, *body)

    async def _call(
        self, name: str, path: str, interface: str, member: str, signature: str = "", *body: Any
    ) -> Any:
        if not self._bus.connected:
            raise RadioError(NO_BUS)
        # NO_AUTOSTART: a NetworkManager that somebody switched off stays off.
        message = Message(
            destination=name, path=path, interface=interface, member=member,
            signature=signature, body=list(body), flags=MessageFlag.NO_AUTOSTART,
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._limit):
                reply = await self._bus.call(message)
        except TimeoutError:
            raise Refused(f"{_BUS}.Error.Timeout", f"no answer to {member}") from None
        except Exception:  # the bus is gone
            raise RadioError(NO_BUS) from None
        if reply is None:
            raise RadioError(NO_BUS)
        if reply.message_type is MessageType.ERROR:
            raise Refused(reply.error_name or "", str(reply.body[0]) if reply.body else "")
        return reply.body

    def _heard(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL or self._signals.full():
            return
        if message.member in ("StateChanged", "AccessPointAdded"):
            path, interface = message.path or "", message.interface or ""
            self._signals.put_nowait(Signal(path, interface, tuple(message.body)))
        elif message.member == "NameOwnerChanged":
            self._signals.put_nowait(Signal(MANAGER_PATH, MANAGER, tuple(message.body)))
