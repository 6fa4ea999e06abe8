"""
A mock BlueZ on a private bus: an adapter, and cameras that sleep until they are woken.

It says what bleak needs to hear, in the order in which BlueZ says it, and
goes wrong on request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dbus_fast import DBusError, ErrorType, Message, Variant

from trailcam.simulator.dbusobjects import BusObjects, Method, Properties
from trailcam.wire.wakeup import NOTIFY, SERVICE, WRITE, Access, answer, is_wake_up

__all__ = ["BluezFaults", "MockBlueZ", "MockDevice"]

ADAPTER = "/org/bluez/hci0"
_ADAPTER = "org.bluez.Adapter1"
_DEVICE = "org.bluez.Device1"
_SERVICE = "org.bluez.GattService1"
_CHARACTERISTIC = "org.bluez.GattCharacteristic1"
_WRITE, _NOTIFY = "/service0010/char0011", "/service0010/char0013"

#: Between two announcements of a device, from connected to services resolved, and between two
#: notifications, in seconds.
_ANNOUNCE, _RESOLVE, _NOTIFICATION = 0.05, 0.02, 0.002


@dataclass
class MockDevice:
    """
    A Bluetooth device.

    @ivar access: what it answers when it is woken; C{None} if it is no camera.
    @ivar woken: is called in the loop's thread when the right bytes were written. From Twisted,
        give something that goes through C{callFromThread}.
    """

    address: str
    name: str
    rssi: int = -60
    access: Access | None = None
    woken: Callable[[], None] = lambda: None

    @property
    def path(self) -> str:
        """Its path on the bus."""
        return f"{ADAPTER}/dev_{self.address.replace(':', '_')}"


@dataclass
class BluezFaults:
    """
    Faults to simulate. Counts are counted down as they happen.

    @ivar no_adapter: whether there is none.
    @ivar switched_off: whether it is not powered.
    @ivar busy_scans: how many scans cannot begin, because another is in progress.
    @ivar busy_connects: how many connections, likewise.
    @ivar failed_connects: how many connections fail.
    @ivar hanging_connects: how many get no answer.
    @ivar unresolved: after how many the services stay unknown.
    @ivar failed_writes: how many writes fail.
    @ivar silent: how many wake-ups get no answer.
    @ivar repeated: how many are answered twice.
    @ivar cut: how many answers break off after the first half.
    @ivar damaged: how many answers are refusals.
    @ivar hang_ups: how many connections end when the wake-up has come.
    @ivar vanish: how often BlueZ goes away when the wake-up has come.
    @ivar absence: and for how long, in seconds.
    """

    no_adapter: bool = False
    switched_off: bool = False
    busy_scans: int = 0
    busy_connects: int = 0
    failed_connects: int = 0
    hanging_connects: int = 0
    unresolved: int = 0
    failed_writes: int = 0
    silent: int = 0
    repeated: int = 0
    cut: int = 0
    damaged: int = 0
    hang_ups: int = 0
    vanish: int = 0
    absence: float = 0.3

    def strikes(self, name: str) -> bool:
        """Whether a counted fault happens now; counts it down."""
        left: int = getattr(self, name)
        if left:
            setattr(self, name, left - 1)
        return bool(left)


class MockBlueZ:
    """
    BlueZ, as far as waking a camera needs it. All of it in one asyncio loop.

    @ivar faults: may be changed at any time.
    @ivar calls: the last methods that were called, by name.
    """

    def __init__(
        self, bus_address: str, devices: list[MockDevice], faults: BluezFaults | None = None
    ) -> None:
        self.faults = faults or BluezFaults()
        self.calls: deque[str] = deque(maxlen=1000)
        self._devices = {device.path: device for device in devices}
        self._bus = BusObjects(bus_address, "org.bluez", self._methods())
        self._bus.client_left = self._client_left
        self._scanners: set[str] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._restart: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Come onto the bus, as after booting: no device has been seen yet."""
        self._bus.objects.clear()
        if not self.faults.no_adapter:
            self._bus.add(ADAPTER, {_ADAPTER: _adapter(not self.faults.switched_off)})
        await self._bus.start()

    async def stop(self) -> None:
        """Leave it."""
        if self._restart is not None:
            self._restart.cancel()
            await asyncio.wait({self._restart})
        await self._leave()

    @property
    def scanning(self) -> bool:
        """Whether somebody scans."""
        return bool(self._scanners)

    @property
    def connected(self) -> list[str]:
        """The names of the devices that are connected."""
        return [
            device.name
            for path, device in self._devices.items()
            if path in self._bus.objects and self._bus.value(path, _DEVICE, "Connected")
        ]

    def _methods(self) -> dict[tuple[str, str], Method]:
        methods: dict[tuple[str, str], Callable[[Message], bool | None]] = {
            (_ADAPTER, "SetDiscoveryFilter"): lambda message: None,
            (_ADAPTER, "StartDiscovery"): self._start_discovery,
            (_ADAPTER, "StopDiscovery"): self._stop_discovery,
            (_DEVICE, "Connect"): self._connect,
            (_DEVICE, "Disconnect"): lambda message: self._hang_up(message.path or ""),
            (_CHARACTERISTIC, "StartNotify"): lambda message: self._notify(message, True),
            (_CHARACTERISTIC, "StopNotify"): lambda message: self._notify(message, False),
            (_CHARACTERISTIC, "WriteValue"): self._write,
        }
        return {key: self._noted(*key, method) for key, method in methods.items()}

    def _noted(
        self, interface: str, member: str, method: Callable[[Message], bool | None]
    ) -> Method:
        def noted(message: Message) -> bool | None:
            self.calls.append(member)
            if interface not in self._bus.objects.get(message.path or "", {}):
                raise DBusError(ErrorType.UNKNOWN_OBJECT, f"no {interface} at {message.path}")
            return method(message)

        return noted

    def _start_discovery(self, message: Message) -> None:
        if not self._bus.value(ADAPTER, _ADAPTER, "Powered"):
            raise DBusError("org.bluez.Error.NotReady", "Resource Not Ready")
        if self.faults.strikes("busy_scans"):
            raise DBusError("org.bluez.Error.InProgress", "Operation already in progress")
        if not self._scanners:
            self._bus.change(ADAPTER, _ADAPTER, Discovering=True)
            self._later(_ANNOUNCE, self._announce)
        self._scanners.add(message.sender or "")

    def _stop_discovery(self, message: Message) -> None:
        if message.sender not in self._scanners:
            raise DBusError("org.bluez.Error.Failed", "No discovery started")
        self._client_left(message.sender)

    def _client_left(self, client: str) -> None:
        if client in self._scanners:
            self._scanners.remove(client)
            if not self._scanners:
                self._bus.change(ADAPTER, _ADAPTER, Discovering=False)

    def _announce(self) -> None:
        """Every device is heard of again."""
        if not self._scanners:
            return
        for path, device in self._devices.items():
            if path not in self._bus.objects:
                self._bus.add(path, {_DEVICE: _device(device)})
            else:
                rssi = self._bus.value(path, _DEVICE, "RSSI")
                self._bus.change(path, _DEVICE, RSSI=device.rssi - (rssi == device.rssi))
        self._later(_ANNOUNCE, self._announce)

    def _connect(self, message: Message) -> bool | None:
        path = message.path or ""
        if self.faults.strikes("busy_connects"):
            raise DBusError("org.bluez.Error.InProgress", "Operation already in progress")
        if self.faults.strikes("failed_connects"):
            raise DBusError("org.bluez.Error.Failed", "Software caused connection abort")
        if self.faults.strikes("hanging_connects"):
            return True
        self._bus.change(path, _DEVICE, Connected=True)
        for end, interface, properties in _gatt(path):
            if self._devices[path].access is not None:
                self._bus.add(path + end, {interface: properties})
        if not self.faults.strikes("unresolved"):
            self._later(_RESOLVE, lambda: self._resolve(path))
        return None

    def _resolve(self, path: str) -> None:
        if self._bus.value(path, _DEVICE, "Connected"):
            self._bus.change(path, _DEVICE, ServicesResolved=True)

    def _hang_up(self, path: str) -> None:
        self._bus.change(path, _DEVICE, Connected=False, ServicesResolved=False)
        for end, _, _ in _gatt(path):
            self._bus.remove(path + end)

    def _notify(self, message: Message, wanted: bool) -> None:
        self._bus.change(message.path or "", _CHARACTERISTIC, Notifying=wanted)

    def _write(self, message: Message) -> bool | None:
        path = (message.path or "").removesuffix(_WRITE)
        if self.faults.strikes("failed_writes"):
            raise DBusError("org.bluez.Error.Failed", "Operation failed with ATT error: 0x0e")
        device = self._devices.get(path)
        if device is None or device.access is None or not is_wake_up(message.body[0]):
            return None
        device.woken()
        if self.faults.strikes("hang_ups"):
            self._hang_up(path)
        elif self.faults.strikes("vanish"):
            self._restart = asyncio.ensure_future(self._vanish())
            return True
        else:
            self._say(path + _NOTIFY, self._answer(device.access))
        return None

    def _answer(self, access: Access) -> list[bytes]:
        notifications = answer(access)
        if self.faults.strikes("silent"):
            return []
        if self.faults.strikes("repeated"):
            return notifications * 2
        if self.faults.strikes("cut"):
            return notifications[: len(notifications) // 2]
        if self.faults.strikes("damaged"):
            return [notifications[0].replace(b'"ret":0', b'"ret":1'), *notifications[1:]]
        return notifications

    def _say(self, path: str, notifications: list[bytes]) -> None:
        def notify(value: bytes) -> None:
            if path in self._bus.objects and self._bus.value(path, _CHARACTERISTIC, "Notifying"):
                self._bus.change(path, _CHARACTERISTIC, Value=value)

        for number, value in enumerate(notifications):
            self._later(_NOTIFICATION * (number + 1), partial(notify, value))

    async def _vanish(self) -> None:
        await self._leave()
        await asyncio.sleep(self.faults.absence)
        await self.start()

    async def _leave(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._scanners.clear()
        await self._bus.stop()
        self._bus.objects.clear()

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        def now() -> None:
            self._timers.discard(timer)
            what()

        timer = asyncio.get_running_loop().call_later(seconds, now)
        self._timers.add(timer)


def _adapter(powered: bool) -> Properties:
    return {
        "Address": Variant("s", "00:01:02:03:04:05"),
        "Name": Variant("s", "mock"),
        "Powered": Variant("b", powered),
        "Discovering": Variant("b", False),
        "Roles": Variant("as", ["central"]),
    }


def _device(device: MockDevice) -> Properties:
    return {
        "Address": Variant("s", device.address),
        "AddressType": Variant("s", "random"),
        "Name": Variant("s", device.name),
        "Alias": Variant("s", device.name),
        "Adapter": Variant("o", ADAPTER),
        "RSSI": Variant("n", device.rssi),
        "Paired": Variant("b", False),
        "Connected": Variant("b", False),
        "ServicesResolved": Variant("b", False),
        "UUIDs": Variant("as", []),
        "ManufacturerData": Variant("a{qv}", {}),
    }


def _gatt(path: str) -> list[tuple[str, str, Properties]]:
    """A camera's service and its two characteristics: where below the device, what, and how."""

    def characteristic(uuid: str, *flags: str) -> Properties:
        return {
            "UUID": Variant("s", uuid),
            "Service": Variant("o", f"{path}/service0010"),
            "Flags": Variant("as", list(flags)),
            "Notifying": Variant("b", False),
            "Value": Variant("ay", b""),
            "MTU": Variant("q", 23),
        }

    service = {
        "UUID": Variant("s", SERVICE),
        "Device": Variant("o", path),
        "Primary": Variant("b", True),
    }
    return [
        ("/service0010", _SERVICE, service),
        (_WRITE, _CHARACTERISTIC, characteristic(WRITE, "write")),
        (_NOTIFY, _CHARACTERISTIC, characteristic(NOTIFY, "notify")),
    ]
