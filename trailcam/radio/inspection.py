"""
What this computer has to wake and join cameras with, for C{trailcam doctor}.

It asks D-Bus, BlueZ and NetworkManager, and changes nothing: no scan is begun, and a service
that does not run stays as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trailcam.radio.networkmanager import Snapshot
from trailcam.radio.nmnames import (
    ACTIVE,
    MANAGER,
    MANAGER_PATH,
    OBJECT_MANAGER,
    OBJECT_MANAGER_PATH,
)

if TYPE_CHECKING:
    from dbus_fast.aio import MessageBus

__all__ = ["ABSENT", "NO_ANSWER", "RIGHTS", "Adapter", "Inspection", "inspect"]

#: Why nothing is known of a service: it does not run; it says nothing; or its own error's name.
ABSENT = "absent"
NO_ANSWER = "no answer"

#: What joining a network needs, in NetworkManager's words.
RIGHTS = tuple(
    f"{MANAGER}.{right}" for right in ("network-control", "wifi.scan", "settings.modify.system")
)
_ADAPTER = "org.bluez.Adapter1"
_BUS_ERROR = "org.freedesktop.DBus.Error."
#: How D-Bus says that nobody has a name.
_NOBODY = {f"{_BUS_ERROR}ServiceUnknown", f"{_BUS_ERROR}NameHasNoOwner"}

_Objects = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Adapter:
    """
    A Bluetooth adapter.

    @ivar name: as C{hci0}.
    @ivar powered: whether it is switched on.
    @ivar low_energy: whether it can look for cameras.
    """

    name: str
    powered: bool
    low_energy: bool


@dataclass
class Inspection:
    """
    What was found out.

    @ivar bus: whether the system bus could be reached.
    @ivar bluez: why BlueZ could not be asked: L{ABSENT}, L{NO_ANSWER} or its error; else empty.
    @ivar adapters: the Bluetooth adapters.
    @ivar manager: why NetworkManager could not be asked, likewise.
    @ivar wifi: what NetworkManager has; C{None} unless it could be asked.
    @ivar ways_out: the paths of the active connections that a default route goes through.
    @ivar missing: those of L{RIGHTS} that whoever asks does not have.
    """

    bus: bool = False
    bluez: str = NO_ANSWER
    adapters: list[Adapter] = field(default_factory=list)
    manager: str = NO_ANSWER
    wifi: Snapshot | None = None
    ways_out: set[str] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)


class _Refused(Exception):
    """There is no answer, or an error for one; its argument is why, as in L{Inspection}."""


async def inspect(limit: float, address: str | None = None) -> Inspection:
    """
    Find out.

    @param limit: so many seconds at most; what nobody has told by then is not known.
    @param address: of the bus; C{None} means the system bus.
    """
    found = Inspection()
    with suppress(TimeoutError, _Refused):
        async with asyncio.timeout(limit), _connected(address) as bus:
            found.bus = True
            await asyncio.gather(_ask_bluez(bus, found), _ask_manager(bus, found))
    return found


@asynccontextmanager
async def _connected(address: str | None) -> AsyncIterator[MessageBus]:
    """
    A connection to the bus.

    @raise _Refused: when there is none to be had.
    """
    from dbus_fast import BusType
    from dbus_fast.aio import MessageBus

    try:
        bus = await MessageBus(address, BusType.SYSTEM).connect()
    except Exception:  # dbus-fast and the operating system have many
        raise _Refused(NO_ANSWER) from None
    try:
        yield bus
    finally:
        bus.disconnect()
        with suppress(Exception):  # how it ended does not matter
            await bus.wait_for_disconnect()


async def _ask_bluez(bus: MessageBus, found: Inspection) -> None:
    try:
        objects: _Objects = await _ask(bus, "org.bluez", "/", OBJECT_MANAGER, "GetManagedObjects")
    except _Refused as error:
        found.bluez = str(error)
        return
    found.bluez = ""
    for path, interfaces in sorted(objects.items()):
        if (adapter := interfaces.get(_ADAPTER)) is not None:
            # BlueZ before 5.48 told no roles.
            low_energy = "central" in adapter.get("Roles", ["central"])
            powered = bool(adapter.get("Powered"))
            found.adapters.append(Adapter(path.rpartition("/")[2], powered, low_energy))


async def _ask_manager(bus: MessageBus, found: Inspection) -> None:
    try:
        rights: Mapping[str, str] = await _ask(
            bus, MANAGER, MANAGER_PATH, MANAGER, "GetPermissions"
        )
        objects: _Objects = await _ask(
            bus, MANAGER, OBJECT_MANAGER_PATH, OBJECT_MANAGER, "GetManagedObjects"
        )
    except _Refused as error:
        found.manager = str(error)
        return
    found.manager = ""
    found.wifi = Snapshot(objects)
    for path, interfaces in objects.items():
        active = interfaces.get(ACTIVE, {})
        if active.get("Default") or active.get("Default6"):
            found.ways_out.add(path)
    # "auth" would have somebody type a password: a service cannot.
    found.missing = [right for right in RIGHTS if rights.get(right) != "yes"]


async def _ask(bus: MessageBus, name: str, path: str, interface: str, member: str) -> Any:
    """
    The one value of an answer, without variants.

    @raise _Refused: when it is an error.
    """
    from dbus_fast import Message, MessageFlag, MessageType, unpack_variants

    question = Message(
        destination=name, path=path, interface=interface, member=member,
        flags=MessageFlag.NO_AUTOSTART,
    )  # fmt: skip
    try:
        answer = await bus.call(question)
    except Exception:  # the bus is gone
        raise _Refused(NO_ANSWER) from None
    if answer is None:
        raise _Refused(NO_ANSWER)
    if answer.message_type is MessageType.ERROR:
        error = answer.error_name or NO_ANSWER
        raise _Refused(ABSENT if error in _NOBODY else error)
    return unpack_variants(answer.body[0])
