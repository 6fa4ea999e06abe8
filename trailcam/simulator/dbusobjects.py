"""
Objects on a D-Bus: what the mock BlueZ and the mock NetworkManager have in common.

Properties and the object manager are answered here, methods by whoever mocks.
All of it runs in one asyncio loop.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from dbus_fast import DBusError, ErrorType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

__all__ = ["BusObjects", "Method", "Properties"]

#: The properties of one interface.
Properties = dict[str, Variant]
#: A method: C{None} is an empty answer, C{True} none at all, a C{DBusError} an error.
Method = Callable[[Message], "Message | bool | None"]

_DBUS = "org.freedesktop.DBus"


class BusObjects:
    """
    Objects under one bus name.

    @ivar objects: the properties, by path and interface. Only to look at.
    """

    def __init__(self, address: str, name: str, methods: Mapping[tuple[str, str], Method]) -> None:
        """
        @param address: of the bus.
        @param name: to be known by, like C{org.bluez}.
        @param methods: by interface and member. The path is in the message.
        """
        self._address = address
        self._name = name
        self._methods: dict[tuple[str, str], Method] = {
            (f"{_DBUS}.ObjectManager", "GetManagedObjects"): self._get_managed_objects,
            (f"{_DBUS}.Properties", "GetAll"): self._get_all,
            (f"{_DBUS}.Properties", "Get"): self._get,
            **methods,
        }
        self._bus: MessageBus | None = None
        self.objects: dict[str, dict[str, Properties]] = {}
        self.client_left: Callable[[str], None] = lambda client: None

    async def start(self) -> None:
        """Come onto the bus."""
        bus = await MessageBus(self._address).connect()
        bus.add_message_handler(self._handle)
        rule = f"type='signal',sender='{_DBUS}',member='NameOwnerChanged'"
        await bus.call(Message(_DBUS, "/", _DBUS, "AddMatch", signature="s", body=[rule]))
        self._bus = bus
        await bus.request_name(self._name)

    async def stop(self) -> None:
        """Leave it, without a word, as a service that crashes."""
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.disconnect()
            with contextlib.suppress(Exception):  # what ended the bus before, if anything did
                await bus.wait_for_disconnect()

    def add(self, path: str, interfaces: dict[str, Properties]) -> None:
        """Add an object, and say so."""
        self.objects[path] = interfaces
        member = "InterfacesAdded"
        self._signal("/", f"{_DBUS}.ObjectManager", member, "oa{sa{sv}}", path, interfaces)

    def remove(self, path: str) -> None:
        """Remove an object, if it is there, and say so."""
        gone = self.objects.pop(path, None)
        if gone is not None:
            member = "InterfacesRemoved"
            self._signal("/", f"{_DBUS}.ObjectManager", member, "oas", path, list(gone))

    def change(self, path: str, interface: str, **values: Any) -> None:
        """Change properties that are there already, and say so."""
        properties = self.objects[path][interface]
        changed = {name: Variant(properties[name].signature, new) for name, new in values.items()}
        properties.update(changed)
        body: list[Any] = [interface, changed, []]
        self._signal(path, f"{_DBUS}.Properties", "PropertiesChanged", "sa{sv}as", *body)

    def value(self, path: str, interface: str, name: str) -> Any:
        """A property's value."""
        return self.objects[path][interface][name].value

    def _signal(self, path: str, interface: str, member: str, signature: str, *body: Any) -> None:
        if self._bus is not None and self._bus.connected:
            self._bus.send(Message.new_signal(path, interface, member, signature, list(body)))

    def _handle(self, message: Message) -> Message | bool | None:
        if message.message_type is MessageType.SIGNAL and message.member == "NameOwnerChanged":
            client, _, owner = message.body
            if not owner:
                self.client_left(client)
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        method = self._methods.get((message.interface or "", message.member or ""))
        if method is None:
            return None  # an error is made of that
        return method(message) or Message.new_method_return(message)

    def _get_managed_objects(self, message: Message) -> Message:
        return Message.new_method_return(message, "a{oa{sa{sv}}}", [self.objects])

    def _get_all(self, message: Message) -> Message:
        properties = self._of(message.path, message.body[0])
        return Message.new_method_return(message, "a{sv}", [properties])

    def _get(self, message: Message) -> Message:
        interface, name = message.body
        properties = self._of(message.path, interface)
        if name not in properties:
            raise DBusError(ErrorType.UNKNOWN_PROPERTY, f"{interface} has no {name}")
        return Message.new_method_return(message, "v", [properties[name]])

    def _of(self, path: str | None, interface: str) -> Properties:
        try:
            return self.objects[path or ""][interface]
        except KeyError:
            raise DBusError(ErrorType.UNKNOWN_OBJECT, f"no {interface} at {path}") from None
