"""
Joining a camera's Wi-Fi network through NetworkManager, and leaving it again.

What is joined here is a profile that NetworkManager keeps in memory, for as
long as it is active, and drops with our D-Bus connection: if we are killed,
the camera's network is left, its battery spared, and NetworkManager goes back
to the network that it knows. No other connection is ever touched, but that
the one which had to make room is activated again.

This runs on an asyncio loop: L{trailcam.radio.background}.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from trailcam.errors import NetworkVanished, RadioError
from trailcam.radio.activation import (
    activated,
    check,
    deactivate,
    explain,
    profile,
    restore,
)
from trailcam.radio.devices import choose, find, joined_already, same
from trailcam.radio.limits import surely
from trailcam.radio.networkmanager import (
    AccessPoint,
    Active,
    Device,
    NetworkManager,
    Refused,
    Settings,
)
from trailcam.radio.nmnames import ActiveState

__all__ = ["Joined", "Limits", "Network", "Wifi"]


@dataclass(frozen=True, slots=True)
class Limits:
    """
    How long things may take, in seconds.

    @ivar appear: until the network is seen. A camera's comes 5 to 15 s after its waking.
    @ivar rescan: between two scans meanwhile.
    @ivar look: between two looks at what there is, when nothing is signalled.
    @ivar scan: one scan.
    @ivar activate: association, keys and DHCP.
    @ivar leave: until our connection is down.
    @ivar restore: until the connection that made room for ours is up again.
    @ivar answer: one answer of NetworkManager.
    """

    appear: float = 45.0
    rescan: float = 4.0
    look: float = 1.0
    scan: float = 10.0
    activate: float = 45.0
    leave: float = 10.0
    restore: float = 30.0
    answer: float = 10.0


@dataclass(frozen=True, slots=True)
class Network:
    """
    A network that is seen.

    @ivar bssid: as C{02:00:00:00:12:34}.
    @ivar strength: percent.
    @ivar frequency: MHz.
    """

    ssid: str
    bssid: str
    strength: int
    frequency: int


@dataclass(frozen=True, slots=True)
class Joined:
    """
    We are in a network.

    @ivar interface: as C{wlan0}.
    @ivar address: our IPv4 address there.
    """

    interface: str
    address: str
    ssid: str


class Wifi:
    """
    The station's Wi-Fi: in one camera's network at a time.

    A L{join} that fails or is cancelled tidies up before it ends. L{leave} may always be called.
    """

    def __init__(self, limits: Limits | None = None, bus_address: str | None = None) -> None:
        """
        @param bus_address: C{None} means the system bus.
        """
        self._limits = limits or Limits()
        self._bus_address = bus_address
        self._manager: NetworkManager | None = None
        self._interface = ""
        self._activation: asyncio.Future[str] | None = None  # the path of our active connection
        self._displaced: Active | None = None  # what was active where ours is
        self._warning: str | None = None

    async def scan(self, interface: str | None = None) -> list[Network]:
        """
        What networks there are, the strongest first.

        @param interface: C{None} means any.
        @raise RadioError: with what to do about it.
        """
        manager = await self._connect()
        try:
            device = choose(await manager.snapshot(), interface, busy_too=True)
            await manager.request_scan(device)
            seen = await self._scanned(manager, device)
        finally:
            await manager.close()
        networks = [Network(at.ssid, at.bssid, at.strength, at.frequency) for at in seen]
        return sorted(networks, key=lambda network: -network.strength)

    async def join(
        self, ssid: str, bssid: str | None, passphrase: str, interface: str | None = None
    ) -> Joined:
        """
        Wait for a network, and join it. If we are in it already, it is used as it is.

        @param bssid: the one access point, if it is known.
        @param passphrase: empty for an open network.
        @param interface: C{None} means a Wi-Fi device that is idle, else the only one.
        @raise RadioError: with what to do about it; the network from before is back then, or
            L{leave} says why not.
        """
        if self._manager is not None:
            raise RadioError("another camera's network is joined: leave it first")
        check(ssid, bssid, passphrase)
        self._warning = None
        self._manager = await self._connect()
        try:
            return await self._join(self._manager, ssid, bssid, passphrase, interface)
        except BaseException:  # cancelled, too
            await self._surely_put_back()
            raise

    async def lasts(self) -> None:
        """Wait until what L{join} joined is there no more: the camera sleeps, or is too far."""
        active = await _came_of(self._activation)
        while active and self._manager is not None:
            try:
                connection = (await self._manager.snapshot()).active(active)
            except RadioError:
                return  # NetworkManager itself is gone
            if connection is None or connection.state != ActiveState.ACTIVATED:
                return
            await self._manager.changed(self._limits.look)
        await asyncio.Event().wait()  # a network that we were in already: not ours to watch

    async def leave(self) -> str | None:
        """
        Leave the network if it was L{join} that brought us there, and go back to that from before.

        @return: a warning when that is not to be had, also after a L{join} that came to nothing.
        """
        await self._surely_put_back()
        warning, self._warning = self._warning, None
        return warning

    async def _connect(self) -> NetworkManager:
        return await NetworkManager.connect(self._bus_address, self._limits.answer)

    async def _scanned(self, manager: NetworkManager, before: Device) -> list[AccessPoint]:
        """What is seen once the scan is over, or has taken too long."""
        end = time.monotonic() + self._limits.scan
        while True:
            snapshot = await manager.snapshot()
            device = find(snapshot, before.interface)
            if device.last_scan != before.last_scan or time.monotonic() > end:
                return snapshot.access_points(device)
            await manager.changed(self._limits.look)

    async def _join(
        self,
        manager: NetworkManager,
        ssid: str,
        bssid: str | None,
        passphrase: str,
        interface: str | None,
    ) -> Joined:
        snapshot = await manager.snapshot()
        if (device := joined_already(snapshot, ssid, bssid, interface)) is not None:
            await self._put_back()
            return Joined(device.interface, device.address, ssid)
        self._interface = choose(snapshot, interface).interface
        settings = profile(ssid, bssid, passphrase)
        end = time.monotonic() + self._limits.appear
        while True:
            device, access_point = await self._appeared(manager, ssid, bssid, end)
            try:
                await self._activate(manager, device, access_point, settings)
                break
            except NetworkVanished:
                # What was seen may be left from the camera's last time awake: it comes again.
                if time.monotonic() > end:
                    raise
            await self._forget_activation(manager)
            await manager.request_scan(device, ssid)
            await self._scanned(manager, device)
        device = find(await manager.snapshot(), self._interface)
        if not device.address:
            raise RadioError(f"{ssid} gave us no IPv4 address: wake the camera and try again")
        return Joined(device.interface, device.address, ssid)

    async def _activate(
        self, manager: NetworkManager, device: Device, access_point: AccessPoint, settings: Settings
    ) -> None:
        """Have NetworkManager join it, and wait until it has."""
        manager.forget_signals()
        asking = manager.add_and_activate(settings, device, access_point)
        self._activation = asyncio.ensure_future(asking)
        try:
            # Even if we are cancelled now, we need to know what came of it, to undo it.
            active = await asyncio.shield(self._activation)
        except Refused as error:
            _, passphrase = settings.get("802-11-wireless-security", {}).get("psk", ("s", ""))
            raise explain(error, access_point.ssid, passphrase) from None
        limit = self._limits.activate
        await activated(manager, active, device.path, access_point.ssid, limit)

    async def _forget_activation(self, manager: NetworkManager) -> None:
        """See that what came to nothing is gone."""
        if active := await _came_of(self._activation):
            await deactivate(manager, active, self._limits.leave)
        self._activation = None

    async def _appeared(
        self, manager: NetworkManager, ssid: str, bssid: str | None, end: float
    ) -> tuple[Device, AccessPoint]:
        """Scan until the network is seen, or it is too late."""
        scan_at = 0.0
        while True:
            snapshot = await manager.snapshot()
            device = find(snapshot, self._interface)
            seen = [at for at in snapshot.access_points(device) if at.ssid == ssid]
            for access_point in seen:
                if same(access_point.bssid, bssid):
                    self._displaced = self._displaced or snapshot.active(device.active)
                    return device, access_point
            if time.monotonic() > end:
                raise _unseen(ssid, bssid, seen, self._limits.appear)
            if time.monotonic() >= scan_at:
                await manager.request_scan(device, ssid)
                scan_at = time.monotonic() + self._limits.rescan
            await manager.changed(self._limits.look)

    async def _surely_put_back(self) -> None:
        limits = self._limits
        await surely(limits.leave + limits.restore + limits.answer, self._put_back())

    async def _put_back(self) -> None:
        """Undo what L{_join} did. What could not be undone becomes the warning."""
        manager, self._manager = self._manager, None
        activation, self._activation = self._activation, None
        displaced, self._displaced = self._displaced, None
        limits = self._limits
        if manager is None:
            return
        try:
            if active := await _came_of(activation):
                ours = await deactivate(manager, active, limits.leave)
                if displaced is not None:
                    await restore(manager, displaced, self._interface, ours, limits.restore)
        except RadioError as error:
            if displaced is not None:
                self._warning = f"{self._interface} may not be back in {displaced.name}: {error}"
        finally:
            await manager.close()


async def _came_of(activation: asyncio.Future[str] | None) -> str:
    """The path of our active connection, if there was one."""
    try:
        return await activation if activation is not None else ""
    except RadioError:
        return ""


def _unseen(ssid: str, bssid: str | None, seen: list[AccessPoint], waited: float) -> RadioError:
    if seen:
        others = ", ".join(sorted(access_point.bssid for access_point in seen))
        return NetworkVanished(
            f"{ssid} is not seen at {bssid} after {waited:g} s, but at {others}: "
            "wake the camera again, or leave out the address if it has changed"
        )
    return NetworkVanished(
        f"{ssid} is not seen after {waited:g} s: wake the camera again, or move nearer to it"
    )
