"""
A mock NetworkManager on a private bus: what of it a station meets that joins networks.

What the real one does by itself, it does too: a client that leaves the bus loses what is bound to
it, volatile profiles go with their activations, a device that becomes idle goes back to a network
that it knows, and access points stay in the list until the next scan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from dbus_fast import DBusError, ErrorType, Message, unpack_variants

from trailcam.radio.nmnames import MANAGER, SETTINGS, WIRELESS, DeviceState, Reason
from trailcam.simulator.dbusobjects import Method
from trailcam.simulator.nmobjects import (
    HOME,
    Activation,
    Device,
    NetworkManagerObjects,
    Profile,
    SimulatedNetwork,
)

__all__ = ["HOME", "Call", "MockNetworkManager", "SimulatedNetwork"]

#: What an activation goes through before an address is asked for: with keys, and without.
_SECURED = (
    *(DeviceState.PREPARE, DeviceState.CONFIG, DeviceState.NEED_AUTH),
    *(DeviceState.PREPARE, DeviceState.CONFIG),
)
_OPEN = (DeviceState.PREPARE, DeviceState.CONFIG)
_ADDRESSED = (DeviceState.IP_CHECK, DeviceState.SECONDARIES, DeviceState.ACTIVATED)
#: What polkit may refuse.
_RIGHTS = ("network-control", "wifi.scan", "settings.modify.system")


@dataclass(frozen=True, slots=True)
class Call:
    """
    What a client asked for.

    @ivar client: its name on the bus.
    @ivar body: without variants; it may hold a passphrase.
    """

    client: str
    member: str
    path: str
    body: list[Any] = field(repr=False)


class MockNetworkManager:
    """
    The daemon. All but L{appear} and L{vanish} is for the asyncio loop that it was started on.

    @ivar calls: what clients asked for.
    @ivar activated: the names of the profiles that clients activated.
    @ivar deactivated: the names of the profiles that clients deactivated.
    @ivar refused: what polkit refuses: C{network-control}, C{wifi.scan},
        C{settings.modify.system}.
    @ivar stuck_at: a state that no activation gets beyond.
    @ivar autoconnect: whether idle devices go back to the home network by themselves.
    @ivar radio_on: whether Wi-Fi is switched on; to be set before L{start}.
    @ivar unmanaged: the interfaces that are left alone; likewise.
    @ivar way_out: the interface that the default route goes through; likewise.
    """

    def __init__(
        self,
        bus_address: str,
        interfaces: tuple[str, ...] = ("wlan0", "eth0"),
        home: SimulatedNetwork | None = HOME,
        pace: float = 0.1,
        joined: Callable[[str], None] = lambda ssid: None,
        left: Callable[[str], None] = lambda ssid: None,
    ) -> None:
        """
        @param interfaces: those that begin with C{wl} are Wi-Fi devices; the first of them is in
            the home network at first.
        @param pace: seconds that each step of an activation takes, and a scan.
        @param joined: called on the asyncio loop when a network is joined, with its SSID.
        @param left: likewise when it is left.
        """
        self.calls: list[Call] = []
        self.activated: list[str] = []
        self.deactivated: list[str] = []
        self.refused: set[str] = set()
        self.stuck_at: int | None = None
        self.autoconnect = True
        self.radio_on = True
        self.unmanaged: set[str] = set()
        self.way_out = "eth0"
        self._objects = NetworkManagerObjects(bus_address, MANAGER, self._methods())
        self._objects.client_left = self._client_left
        self._interfaces = interfaces
        self._home = home
        self._home_uuid = str(uuid4())
        self._pace = pace
        self._joined = joined
        self._left = left
        self._air = {home.bssid: home} if home else {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._devices: dict[str, Device] = {}
        self._profiles: dict[str, Profile] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def active(self) -> dict[str, str]:
        """The names of the profiles that are active, by interface."""
        return {
            device.interface: device.activation.profile.name
            for device in self._devices.values()
            if device.activation and device.state == DeviceState.ACTIVATED
        }

    @property
    def profiles(self) -> list[str]:
        """The names of the profiles that are there."""
        return [profile.name for profile in self._profiles.values()]

    async def start(self) -> None:
        """Come onto the bus, in the home network."""
        self._loop = asyncio.get_running_loop()
        self._objects.add_manager(self.radio_on)
        for interface in self._interfaces:
            self._add_device(interface)
        if self._home is not None:
            home = Profile(
                self._objects.path("Settings"), self._home.ssid, self._home_uuid, self._home.ssid,
                passphrase=self._home.passphrase, autoconnect=True,
            )  # fmt: skip
            self._add_profile(home)
            device = next(device for device in self._devices.values() if device.wifi)
            if device.state == DeviceState.DISCONNECTED:
                self._settle(self._begin(home, device, None), self._home)
        await self._objects.start()

    async def stop(self) -> None:
        """Go, as a daemon that is killed."""
        for device in self._devices.values():
            if device.activation and device.state == DeviceState.ACTIVATED:
                self._left(device.activation.profile.ssid)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._objects.stop()
        for things in (self._objects.objects, self._devices, self._profiles):
            things.clear()

    async def restart(self, pause: float = 0.0) -> None:
        """Go and come again: what was in memory is lost, every object has another path."""
        await self.stop()
        await asyncio.sleep(pause)
        await self.start()

    def appear(self, network: SimulatedNetwork) -> None:
        """A network is in the air, and will be seen by the next scan. From any thread."""
        self._air[network.bssid] = network

    def vanish(self, ssid: str) -> None:
        """It no longer is: whoever is in it loses it. From any thread."""
        for network in [network for network in self._air.values() if network.ssid == ssid]:
            del self._air[network.bssid]
        if self._loop is not None and self._devices:
            self._loop.call_soon_threadsafe(self._lose, ssid)

    # What it does by itself.

    def _add_device(self, interface: str) -> None:
        device = Device(self._objects.path("Devices"), interface)
        if interface in self.unmanaged:
            device.state = DeviceState.UNMANAGED
        elif device.wifi and not self.radio_on:
            device.state = DeviceState.UNAVAILABLE
        self._devices[device.path] = device
        self._objects.add_device(device)
        if device.wifi and device.state == DeviceState.DISCONNECTED:
            self._objects.look_around(device, self._air)

    def _add_profile(self, profile: Profile) -> None:
        self._profiles[profile.path] = profile
        self._objects.add_profile(profile)

    def _begin(self, profile: Profile, device: Device, client: str | None) -> Activation:
        if device.activation is not None:
            self._end(device.activation, Reason.NEW_ACTIVATION)
        path = self._objects.path("ActiveConnection")
        activation = Activation(path, profile, device, client)
        self._objects.add_activation(activation)
        return activation

    def _activate(self, profile: Profile, device: Device, client: str | None) -> str:
        activation = self._begin(profile, device, client)
        activation.task = self._do(self._climb(activation))
        return activation.path

    async def _climb(self, activation: Activation) -> None:
        """One state after the other, until it is activated or has failed."""
        profile, device = activation.profile, activation.device
        for state in _SECURED if profile.passphrase else _OPEN:
            await self._step(device, state)
        network = self._in_the_air(profile)
        if network is None:
            self._end(activation, Reason.SSID_NOT_FOUND, failed=True)
        elif network.passphrase != profile.passphrase:
            await self._step(device, DeviceState.NEED_AUTH, Reason.SUPPLICANT_DISCONNECT)
            self._end(activation, Reason.NO_SECRETS, failed=True)
        else:
            await self._step(device, DeviceState.IP_CONFIG)
            if network.dhcp:
                self._settle(activation, network)
            else:
                self._end(activation, Reason.IP_CONFIG_UNAVAILABLE, failed=True)

    async def _step(self, device: Device, state: DeviceState, reason: int = Reason.NONE) -> None:
        self._objects.go(device, state, reason)
        await asyncio.sleep(self._pace)
        if state == self.stuck_at:
            await asyncio.Event().wait()

    def _settle(self, activation: Activation, network: SimulatedNetwork) -> None:
        self._objects.give_address(activation, network, self._is_default(activation))
        for state in _ADDRESSED:
            self._objects.go(activation.device, state)
        self._joined(network.ssid)

    def _end(self, activation: Activation, reason: int, failed: bool = False) -> None:
        """An activation is over, wherever it had come to."""
        device, profile = activation.device, activation.profile
        if activation.task is not None and activation.task is not asyncio.current_task():
            activation.task.cancel()
        was_up = device.state == DeviceState.ACTIVATED
        self._objects.go(device, DeviceState.FAILED if failed else DeviceState.DEACTIVATING, reason)
        self._objects.go(device, DeviceState.DISCONNECTED, Reason.NONE if failed else reason)
        self._objects.remove_activation(activation)
        if profile.volatile:
            del self._profiles[profile.path]
        if was_up:
            self._left(profile.ssid)
        if reason != Reason.NEW_ACTIVATION:
            self._do(self._go_back(device))

    async def _go_back(self, device: Device) -> None:
        """A device that is idle takes a network that it knows."""
        await asyncio.sleep(self._pace)
        if not self.autoconnect or device.state != DeviceState.DISCONNECTED:
            return
        for profile in self._profiles.values():
            if profile.autoconnect and self._in_the_air(profile):
                self._activate(profile, device, None)
                return

    def _lose(self, ssid: str) -> None:
        for device in self._devices.values():
            activation = device.activation
            if activation and activation.profile.ssid == ssid:
                self._end(activation, Reason.SSID_NOT_FOUND, failed=True)

    def _client_left(self, client: str) -> None:
        for device in self._devices.values():
            if device.activation and device.activation.client == client:
                self._end(device.activation, Reason.CONNECTION_REMOVED)

    def _is_default(self, activation: Activation) -> bool:
        profile = activation.profile
        return activation.device.interface == self.way_out and not profile.never_default

    def _in_the_air(self, profile: Profile) -> SimulatedNetwork | None:
        for network in self._air.values():
            if network.ssid == profile.ssid and profile.bssid in (None, network.bssid.upper()):
                return network
        return None

    def _do(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # What it is asked for.

    def _methods(self) -> dict[tuple[str, str], Method]:
        """All methods, with the signatures of questions and answers."""
        return {
            (MANAGER, "GetPermissions"): self._method("", "a{ss}", self._get_permissions),
            (MANAGER, "GetDevices"): self._method("", "ao", self._get_devices),
            (MANAGER, "GetDeviceByIpIface"): self._method("s", "o", self._get_device),
            (MANAGER, "ActivateConnection"): self._method("ooo", "o", self._activate_known),
            (MANAGER, "AddAndActivateConnection2"): self._method(
                "a{sa{sv}}ooa{sv}", "ooa{sv}", self._add_and_activate
            ),
            (MANAGER, "DeactivateConnection"): self._method("o", "", self._deactivate),
            (WIRELESS, "RequestScan"): self._method("a{sv}", "", self._request_scan),
            (WIRELESS, "GetAllAccessPoints"): self._method("", "ao", self._get_access_points),
            (SETTINGS, "ListConnections"): self._method("", "ao", self._list_profiles),
            (SETTINGS, "GetConnectionByUuid"): self._method("s", "o", self._get_profile),
        }

    def _method(self, asked: str, answered: str, answer: Callable[[Call], list[Any]]) -> Method:
        def method(message: Message) -> Message:
            if message.signature != asked:
                raise DBusError(ErrorType.INVALID_ARGS, f"not {asked}: {message.signature}")
            body = unpack_variants(message.body)
            call = Call(message.sender or "", message.member or "", message.path or "", body)
            self.calls.append(call)
            return Message.new_method_return(message, answered, answer(call))

        return method

    def _get_permissions(self, call: Call) -> list[Any]:
        # What is refused could be had for a password, as everywhere.
        answers = {right: "auth" if right in self.refused else "yes" for right in _RIGHTS}
        return [{f"{MANAGER}.{right}": answer for right, answer in answers.items()}]

    def _get_devices(self, call: Call) -> list[Any]:
        return [list(self._devices)]

    def _get_device(self, call: Call) -> list[Any]:
        for device in self._devices.values():
            if device.interface == call.body[0]:
                return [device.path]
        raise _error("UnknownDevice", "No device found for the requested iface.")

    def _get_access_points(self, call: Call) -> list[Any]:
        return [list(self._device(call.path).seen.values())]

    def _list_profiles(self, call: Call) -> list[Any]:
        return [list(self._profiles)]

    def _get_profile(self, call: Call) -> list[Any]:
        for profile in self._profiles.values():
            if profile.uuid == call.body[0]:
                return [profile.path]
        raise _error("Settings.InvalidConnection", "No connection with the UUID was found.")

    def _request_scan(self, call: Call) -> list[Any]:
        self._permit("wifi.scan")
        device = self._device(call.path)
        if device.state < DeviceState.DISCONNECTED:
            raise _error("Device.NotAllowed", "Scanning not allowed while unavailable")
        self._do(self._scan(device))
        return []

    async def _scan(self, device: Device) -> None:
        await asyncio.sleep(self._pace)
        self._objects.look_around(device, self._air)

    def _activate_known(self, call: Call) -> list[Any]:
        self._permit("network-control")
        path, device, _ = call.body
        profile = self._profiles.get(path)
        if profile is None:
            raise _error("UnknownConnection", "Connection '' does not exist.")
        self.activated.append(profile.name)
        return [self._activate(profile, self._device(device), None)]

    def _add_and_activate(self, call: Call) -> list[Any]:
        self._permit("network-control")
        settings, path, _, options = call.body
        device = self._device(path)
        profile = self._profile(settings, options.get("persist") == "volatile")
        bound = options.get("bind-activation", "none")
        if bound not in ("none", "dbus-client"):
            raise _error("InvalidArguments", f"Option 'bind-activation' is not {bound}")
        self.activated.append(profile.name)
        self._add_profile(profile)
        active = self._activate(profile, device, call.client if bound == "dbus-client" else None)
        return [profile.path, active, {}]

    def _profile(self, settings: dict[str, dict[str, Any]], volatile: bool) -> Profile:
        wireless = settings["802-11-wireless"]
        psk = settings.get("802-11-wireless-security", {}).get("psk", "")
        if "802-11-wireless-security" in settings and not 8 <= len(psk) <= 64:
            text = "802-11-wireless-security.psk: property is invalid"
            raise _error("Settings.Connection.InvalidProperty", text)
        return Profile(
            self._objects.path("Settings"),
            settings["connection"]["id"],
            str(uuid4()),
            wireless["ssid"].decode(),
            wireless["bssid"].hex(":").upper() if "bssid" in wireless else None,
            psk,
            settings["connection"].get("autoconnect", True),
            volatile,
            settings.get("ipv4", {}).get("never-default", False),
        )

    def _deactivate(self, call: Call) -> list[Any]:
        self._permit("network-control")
        for device in self._devices.values():
            activation = device.activation
            if activation is not None and activation.path == call.body[0]:
                self.deactivated.append(activation.profile.name)
                self._end(activation, Reason.USER_REQUESTED)
                return []
        raise _error("ConnectionNotActive", "The connection was not active.")

    def _device(self, path: str) -> Device:
        if path not in self._devices:
            raise _error("UnknownDevice", "Device not found")
        return self._devices[path]

    def _permit(self, action: str) -> None:
        if action in self.refused:
            raise _error("PermissionDenied", "Not authorized to control networking.")


def _error(name: str, text: str) -> DBusError:
    return DBusError(f"{MANAGER}.{name}", text)
