"""
Waking a camera over Bluetooth LE, with bleak.

This is the asyncio side: run its coroutines on a
L{trailcam.radio.background.Background}. Between two of them nothing is left:
no scan, no connection, neither to a camera nor to D-Bus. (A Raspberry Pi's
Bluetooth and Wi-Fi share one radio.)
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from trailcam.commands import clean
from trailcam.errors import DecodeError, RadioError
from trailcam.radio.bleakcare import let_go_of_the_bus, prepare
from trailcam.radio.blueztrouble import Hope, Trouble, explain
from trailcam.radio.limits import limited, surely
from trailcam.wire.wakeup import NOTIFY, SERVICE, WAKE_UP, WRITE, Access, Assembler

if TYPE_CHECKING:
    from bleak import BleakClient
    from bleak.backends.characteristic import BleakGATTCharacteristic
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData

__all__ = ["ADDRESS_PREFIX", "NAME_PREFIXES", "Bluetooth", "Candidate", "Patience", "WakeTarget"]

Result = TypeVar("Result")
Seen = Callable[["BLEDevice", "AdvertisementData"], None]

#: How the names of such cameras begin, and the addresses of some (evidence C, W).
NAME_PREFIXES = ("KJK", "TrailCam")
ADDRESS_PREFIX = "C6:1E:0D"

_ADDRESS = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")


#: Who may use the radio now. By loop, as what bleak keeps is by loop.
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


@dataclass(frozen=True)
class Patience:
    """
    How long each step may take, in seconds, and how often it is tried.

    @ivar find: until the camera is seen.
    @ivar connect: to connect and learn its services.
    @ivar call: anything else that is asked of BlueZ or the camera.
    @ivar answer: from the wake-up until the answer is whole.
    @ivar tidy: to stop scanning, to unsubscribe, to disconnect.
    @ivar pause: between two tries.
    @ivar tries: how many there are.
    @ivar waits: how many pauses more, where Bluetooth is busy or about to come back.
    """

    find: float = 30.0
    connect: float = 20.0
    call: float = 10.0
    answer: float = 10.0
    tidy: float = 5.0
    pause: float = 1.0
    tries: int = 3
    waits: int = 10


@dataclass(frozen=True)
class Candidate:
    """
    A device that was seen.

    @ivar address: like C{C6:1E:0D:00:12:34}.
    @ivar name: printable; empty where it tells none.
    @ivar rssi: in dBm; near 0 is near.
    @ivar is_camera: whether it looks like a camera of this family.
    """

    address: str
    name: str
    rssi: int
    is_camera: bool


@dataclass(frozen=True)
class WakeTarget:
    """
    Which camera to wake: by address, else by name, else the first that looks like one.

    @ivar address: its Bluetooth address.
    @ivar name_prefix: how its name begins.
    """

    address: str | None = None
    name_prefix: str | None = None

    @classmethod
    def parse(cls, text: str) -> WakeTarget:
        """From what a person says: an address, or how a name begins; empty for any camera."""
        is_address = _ADDRESS.fullmatch(text) is not None
        return cls(text.upper() if is_address else None, text if text and not is_address else None)

    def __str__(self) -> str:
        return self.address or self.name_prefix or "any"

    def matches(self, candidate: Candidate) -> bool:
        """Whether this is the one."""
        if self.address:
            return candidate.address == self.address.upper()
        if self.name_prefix:
            return candidate.name.startswith(self.name_prefix)
        return candidate.is_camera


class Bluetooth:
    """Finds and wakes cameras, one at a time."""

    def __init__(
        self,
        patience: Patience | None = None,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        """
        @param tell: is told what goes on, line by line, in the loop's thread.
        @raise RadioError: when bleak is not installed.
        """
        prepare()
        self._patience = patience or Patience()
        self._tell = tell

    async def scan(self, seconds: float = 10.0, everything: bool = False) -> list[Candidate]:
        """
        See who is there.

        @param everything: also what does not look like a camera.
        @return: the nearest first.
        @raise RadioError: when Bluetooth does not work here.
        """
        found: dict[str, Candidate] = {}

        def seen(device: BLEDevice, advertisement: AdvertisementData) -> None:
            candidate = _candidate(device, advertisement)
            if everything or candidate.is_camera:
                found[candidate.address] = candidate

        async def look() -> None:
            async with self._scanning(seen):
                await asyncio.sleep(seconds)

        await self._persist(look)
        return sorted(found.values(), key=lambda candidate: -candidate.rssi)

    async def wake(self, which: WakeTarget) -> Access:
        """
        Find a camera, wake it, and learn the way into its network, which is up 5 to 15 s later.

        @raise RadioError: when it is not there, does not answer, or Bluetooth does not work.
        """

        self._tell(f"looking for {_shown(which)} over Bluetooth, {self._patience.find:g} s at most")

        async def attempt() -> Access:
            return await self._ask(await self._find(which))

        return await self._persist(attempt)

    async def _persist(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do it, again where that is any use."""
        patience = self._patience
        left = {Hope.LUCK: patience.tries - 1, Hope.SOON: patience.waits}
        while True:
            try:
                async with self._radio():
                    return await work()
            except Trouble as trouble:
                if not left.get(trouble.hope):
                    raise
                left[trouble.hope] -= 1
                if trouble.hope is Hope.LUCK:  # what was there once may come back
                    left.setdefault(Hope.RETURN, patience.waits)
                self._tell(f"trying again: {trouble}")
            await asyncio.sleep(patience.pause)

    @asynccontextmanager
    async def _radio(self) -> AsyncIterator[None]:
        """Have the radio for oneself."""
        async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            try:
                yield
            except RadioError:
                raise
            except Exception as error:
                raise explain(error) from error
            finally:
                await surely(self._patience.tidy, let_go_of_the_bus())

    @asynccontextmanager
    async def _scanning(self, seen: Seen) -> AsyncIterator[None]:
        from bleak import BleakScanner

        scanner = BleakScanner(detection_callback=seen)
        try:
            await self._call("starting a scan", scanner.start())
            yield
        finally:
            await surely(self._patience.tidy, scanner.stop())

    async def _find(self, which: WakeTarget) -> BLEDevice:
        found: asyncio.Future[BLEDevice] = asyncio.get_running_loop().create_future()

        def seen(device: BLEDevice, advertisement: AdvertisementData) -> None:
            candidate = _candidate(device, advertisement)
            if not found.done() and which.matches(candidate):
                self._tell(f"found {candidate.name} ({candidate.address}), {candidate.rssi} dBm")
                found.set_result(device)

        async with self._scanning(seen):
            try:
                async with asyncio.timeout(self._patience.find):
                    return await found
            except TimeoutError:
                raise RadioError(
                    f"no camera to wake was seen over Bluetooth within {self._patience.find:g} s "
                    f"({which}): go within 10 m, check its batteries, and that no phone is on it"
                ) from None

    async def _ask(self, device: BLEDevice) -> Access:
        from bleak import BleakClient

        patience = self._patience
        answer = _Answer()
        client = BleakClient(device, answer.hung_up, timeout=2 * patience.connect)
        connected = asyncio.Event()

        async def connect() -> None:
            await client.connect()
            connected.set()

        try:
            await self._call("connecting to the camera", connect(), patience.connect)
            to, back = _characteristics(client)
            await self._call("subscribing", client.start_notify(back, answer.came))
            await self._call("writing the wake-up", client.write_gatt_char(to, WAKE_UP))
            return await answer.wait(patience.answer)
        finally:
            if connected.is_set():  # else bleak has tidied up, and disconnecting might never end
                await surely(2 * patience.tidy, self._leave(client))

    async def _leave(self, client: BleakClient) -> None:
        try:
            if client.is_connected:
                await limited(self._patience.tidy, client.stop_notify(NOTIFY))
        finally:
            await client.disconnect()

    async def _call(
        self, what: str, step: Coroutine[Any, Any, object], seconds: float | None = None
    ) -> None:
        """Do a step within its time."""
        seconds = self._patience.call if seconds is None else seconds
        try:
            await limited(seconds, step)
        except TimeoutError:
            raise Trouble(
                f"{what} took longer than {seconds:g} s: go nearer to the camera; if that does "
                "not help, sudo systemctl restart bluetooth"
            ) from None


class _Answer:
    """What a camera says, until it is whole or cannot become so."""

    def __init__(self) -> None:
        self._assembler = Assembler()
        self._over = asyncio.Event()
        self._result: Access | Trouble | None = None

    def came(self, _: BleakGATTCharacteristic, notification: bytearray) -> None:
        """A notification."""
        try:
            access = self._assembler.feed(bytes(notification))
        except DecodeError as error:
            self._end(Trouble(f"the camera's answer to the wake-up is damaged: {error}; try again"))
        else:
            if access is not None:
                self._end(access)

    def hung_up(self, _: BleakClient) -> None:
        """The connection has ended."""
        self._end(Trouble("the camera hung up before it answered: go nearer to it, try again"))

    async def wait(self, seconds: float) -> Access:
        """
        What it said.

        @raise Trouble: when it did not say it in time, or not well.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            what = "was cut off" if self._assembler.has_begun else "did not come"
            self._end(
                Trouble(
                    f"the camera's answer to the wake-up {what} within {seconds:g} s: go nearer "
                    "to it; if that does not help, take its batteries out for a moment"
                )
            )
        if isinstance(self._result, Access):
            return self._result
        raise self._result or Trouble("the camera did not answer")

    def _end(self, result: Access | Trouble) -> None:
        if self._result is None:
            self._result = result
            self._over.set()


def _candidate(device: BLEDevice, advertisement: AdvertisementData) -> Candidate:
    address = device.address.upper()
    name = clean(advertisement.local_name or device.name or "")
    looks_like_one = (
        name.startswith(NAME_PREFIXES)
        or address.startswith(ADDRESS_PREFIX)
        or SERVICE in advertisement.service_uuids
    )
    return Candidate(address, name, advertisement.rssi, looks_like_one)


def _characteristics(
    client: BleakClient,
) -> tuple[BleakGATTCharacteristic, BleakGATTCharacteristic]:
    """Where to write, and where the answer comes from."""
    service = client.services.get_service(SERVICE)
    if service is not None:
        to, back = service.get_characteristic(WRITE), service.get_characteristic(NOTIFY)
        if to is not None and back is not None:
            return to, back
    raise RadioError(
        f"{client.address} is no camera that can be woken, or of an unknown kind: "
        "name the right one by its address"
    )


def _shown(which: WakeTarget) -> str:
    return str(which) if which.address or which.name_prefix else "a camera"
