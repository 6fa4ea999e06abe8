"""Waking a camera: bleak against a mock BlueZ on a bus of our own, in the real reactor."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar
from unittest import mock

from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakError,
)
from dbus_fast import AuthError, DBusError
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase

from trailcam.errors import RadioError
from trailcam.radio.background import Background
from trailcam.radio.bluetooth import Bluetooth, Candidate, Patience, WakeTarget
from trailcam.radio.blueztrouble import Hope, explain
from trailcam.simulator.bluez import BluezFaults, MockBlueZ, MockDevice
from trailcam.simulator.privatebus import PrivateBus
from trailcam.wire.wakeup import Access

Result = TypeVar("Result")

PASSPHRASE = "s3cretpassphrase"
ACCESS = Access("KJK_1234", "02:00:00:00:12:34", PASSPHRASE)
OTHER = Access("TrailCam_00AF", "02:00:00:00:00:AF", PASSPHRASE)
#: What a test waits for on purpose is short; the rest is long, for a computer that is busy.
PATIENCE = Patience(find=5.0, connect=5.0, answer=0.4, pause=0.03, waits=20)


class Stage(TestCase):
    """A private bus, a mock BlueZ with three devices, and a client, each on a loop of its own."""

    def setUp(self) -> None:
        if not shutil.which("dbus-daemon"):
            raise SkipTest("there is no dbus-daemon: install the package dbus")
        self.use_bus(PrivateBus())
        self.woken: list[str] = []
        self.told: list[str] = []
        self.logged: list[str] = []
        self.listen_to_logs()
        self.faults = BluezFaults()
        devices = [
            self.device("C6:1E:0D:00:00:01", "KJK230", -70, ACCESS),
            self.device("AA:00:00:00:00:02", "TrailCam_00AF", -50, OTHER),
            self.device("AA:00:00:00:00:03", "Toothbrush\x1b[31m", -40, None),
        ]
        self.bluez = MockBlueZ(self.bus.address, devices, self.faults)
        self.mock_side = Background(reactor)
        self.addCleanup(lambda: self.mock_side.close())
        self.background = Background(reactor)
        self.addCleanup(lambda: self.background.close())
        self.bluetooth = Bluetooth(PATIENCE, self.told.append)

    def use_bus(self, bus: PrivateBus) -> None:
        """Let this be the system's bus."""
        self.bus = bus
        self.addCleanup(bus.close)
        patched = mock.patch.dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=bus.address)
        patched.start()
        self.addCleanup(patched.stop)

    def device(self, address: str, name: str, rssi: int, access: Access | None) -> MockDevice:
        """A device that says when it was woken."""
        return MockDevice(address, name, rssi, access, lambda: self.woken.append(name))

    def listen_to_logs(self) -> None:
        """Gather whatever asyncio, bleak and dbus-fast log, at any level."""
        handler = logging.Handler()

        def note(record: logging.LogRecord) -> None:
            self.logged.append(f"{record.name}: {record.getMessage()}")

        handler.emit = note  # type: ignore[method-assign]
        root = logging.getLogger()
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        self.addCleanup(root.setLevel, level)
        self.addCleanup(root.removeHandler, handler)

    def be_patient(self, **steps: Any) -> None:
        """Wait for these steps so long."""
        self.bluetooth = Bluetooth(replace(PATIENCE, **steps), self.told.append)

    async def begin(self, **faults: Any) -> None:
        """Start the mock with these faults."""
        for name, value in faults.items():
            setattr(self.faults, name, value)
        await self.mock_side.run(self.bluez.start())
        self.addCleanup(lambda: self.mock_side.run(self.bluez.stop()))

    async def run_there(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run something of the client's."""
        return await self.background.run(work)

    async def wake(self, which: WakeTarget | None = None) -> Access:
        """Wake a camera."""
        return await self.run_there(self.bluetooth.wake(which or WakeTarget()))

    async def refused(self, *words: str, which: WakeTarget | None = None) -> str:
        """Wake a camera, which fails with one line that has these words. Nothing is left over."""
        waking: Deferred[Any] = self.background.run(self.bluetooth.wake(which or WakeTarget()))
        error = await self.assertFailure(waking, RadioError)
        text = str(error)
        self.assertNotIn("\n", text)
        self.assertNotIn(PASSPHRASE, text + repr(error.__cause__) + repr(self.told))
        self.assertLess(len(text), 220)
        for word in words:
            self.assertIn(word, text)
        await self.nothing_left()
        return text

    async def nothing_left(self) -> None:
        """BlueZ neither scans nor is connected."""
        for _ in range(100):  # it hears from the bus, in a moment, who has gone
            if not self.bluez.scanning and not self.bluez.connected:
                return
            await deferLater(reactor, 0.01)
        self.fail(f"scanning {self.bluez.scanning}, connected {self.bluez.connected}")


class ScanTests(Stage):
    """Who is there?"""

    async def test_scan(self) -> None:
        """A scan finds what looks like a camera, the nearest first; on request everything."""
        await self.begin()
        cameras = await self.run_there(self.bluetooth.scan(0.25))
        kjk = Candidate("C6:1E:0D:00:00:01", "KJK230", -70, True)
        other = Candidate("AA:00:00:00:00:02", "TrailCam_00AF", -50, True)
        self.assertEqual([one.address for one in cameras], [other.address, kjk.address])
        self.assertEqual([one.name for one in cameras], [other.name, kjk.name])
        everything = await self.run_there(self.bluetooth.scan(0.25, everything=True))
        self.assertEqual(everything[0].name, "Toothbrush?[31m")
        self.assertEqual([one.is_camera for one in everything], [False, True, True])
        self.assertFalse(self.bluez.scanning)

    async def test_busy(self) -> None:
        """A scan begins when the one before it is over, somebody else's or our own."""
        await self.begin(busy_scans=2)
        both = [self.background.run(self.bluetooth.scan(0.25)) for _ in range(2)]
        for scan in both:
            self.assertEqual(len(await scan), 2)
        self.assertEqual(self.bluez.calls.count("StartDiscovery"), 4)

    async def test_cancel(self) -> None:
        """A scan that is cancelled ends."""
        await self.begin()
        scan = self.background.run(self.bluetooth.scan(30.0))
        while not self.bluez.scanning:
            await deferLater(reactor, 0.01)
        scan.cancel()
        await self.assertFailure(scan, CancelledError)
        await self.nothing_left()


class WakeTests(Stage):
    """All goes well."""

    async def test_wake(self) -> None:
        """The camera is found, woken, and answers; it is done in this order, and tidily."""
        await self.begin()
        self.assertEqual(await self.wake(WakeTarget(address="c6:1e:0d:00:00:01")), ACCESS)
        self.assertEqual(self.woken, ["KJK230"])
        calls = [call for call in self.bluez.calls if call != "SetDiscoveryFilter"]
        expected = "StartDiscovery StopDiscovery Connect StartNotify WriteValue StopNotify"
        self.assertEqual(calls, [*expected.split(), "Disconnect"])
        await self.nothing_left()

    async def test_which(self) -> None:
        """A camera is chosen by its address or its name; no secret is told or logged."""
        await self.begin()
        self.assertEqual(await self.wake(WakeTarget(name_prefix="TrailCam_")), OTHER)
        self.assertEqual(await self.wake(WakeTarget("AA:00:00:00:00:02", "KJK")), OTHER)
        self.assertIn(await self.wake(), (ACCESS, OTHER))
        self.assertEqual(len([line for line in self.told if line.startswith("found")]), 3)
        self.assertNotIn(PASSPHRASE, repr(self.told))
        self.assertEqual([line for line in self.logged if not line.startswith("asyncio:")], [])

    async def test_answered_twice(self) -> None:
        """An answer that comes twice is one."""
        await self.begin(repeated=1)
        self.assertEqual(await self.wake(WakeTarget(name_prefix="KJK")), ACCESS)

    async def test_nothing_leaks(self) -> None:
        """However often it is done, no file stays open, no task, and no complaint."""
        await self.begin()

        async def tasks() -> int:
            return len(asyncio.all_tasks())

        def files() -> int:
            return len(os.listdir("/proc/self/fd"))

        await self.wake()
        before = files()
        for _ in range(5):
            await self.wake()
            await self.run_there(self.bluetooth.scan(0.01))
        self.assertEqual(files(), before)
        self.assertEqual(await self.run_there(tasks()), 1)
        self.logged.clear()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            await self.background.close()
            gc.collect()
        self.assertEqual([str(one.message) for one in caught], [])
        self.assertEqual(self.logged, [])
        self.assertLess(files(), before)


class TroubleTests(Stage):
    """All goes wrong."""

    async def test_passing(self) -> None:
        """What passes is tried again: busy, failed connections and writes, damaged answers."""
        for faults in (
            {"busy_scans": 2, "busy_connects": 3},
            {"failed_connects": 1, "failed_writes": 1},
            {"damaged": 1, "hang_ups": 1},
            {"cut": 1, "silent": 1},
        ):
            await self.begin(**faults)
            self.assertEqual(await self.wake(WakeTarget(name_prefix="KJK")), ACCESS)
            again = [line for line in self.told if line.startswith("trying again: ")]
            self.assertEqual(len(again), sum(faults.values()), again)
            self.told.clear()
            await self.nothing_left()
            await self.mock_side.run(self.bluez.stop())

    async def test_lasting(self) -> None:
        """What does not pass is told after so many tries."""
        self.be_patient(answer=0.2, tries=2)
        for fault, words in (
            ("failed_connects", "Software caused connection abort"),
            ("failed_writes", "Unlikely Error"),
            ("silent", "did not come within 0.2 s"),
            ("cut", "was cut off"),
            ("damaged", "refuses, with ret 1"),
            ("hang_ups", "hung up"),
        ):
            await self.begin(**{fault: 2})
            await self.refused(words, which=WakeTarget(name_prefix="KJK"))
            self.assertEqual(getattr(self.faults, fault), 0)
            await self.mock_side.run(self.bluez.stop())

    async def test_not_found(self) -> None:
        """A camera that is not there is looked for as long as was said, once."""
        self.be_patient(find=0.3)
        await self.begin()
        await self.refused("within 0.3 s (C6:00)", "batteries", which=WakeTarget(address="C6:00"))
        self.assertEqual(self.bluez.calls.count("StartDiscovery"), 1)

    async def test_no_camera(self) -> None:
        """A device without the service is named as such, and disconnected."""
        await self.begin()
        await self.refused("AA:00:00:00:00:03", "no camera", which=WakeTarget(name_prefix="Tooth"))
        self.assertEqual(self.bluez.calls.count("Connect"), 1)

    async def test_no_adapter(self) -> None:
        """Without an adapter, one is asked for."""
        await self.begin(no_adapter=True)
        await self.refused("no Bluetooth adapter", "plug one in")

    async def test_switched_off(self) -> None:
        """An adapter that is off is to be switched on."""
        await self.begin(switched_off=True)
        await self.refused("rfkill unblock bluetooth", "bluetoothctl power on")

    async def test_no_bluez(self) -> None:
        """Without BlueZ, it is to be installed and started."""
        await self.refused("BlueZ", "systemctl enable --now bluetooth")

    async def test_no_bus(self) -> None:
        """Without a D-Bus system bus, that is said."""
        self.bus.close()
        await self.refused("no D-Bus system bus")
        with mock.patch.dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS="nonsense:path=x"):
            await self.refused("no D-Bus system bus")

    async def test_bus_dies(self) -> None:
        """A bus that ends in the middle ends the try; nothing hangs."""
        await self.begin(hanging_connects=9)
        waking = self.background.run(self.bluetooth.wake(WakeTarget()))
        failing = self.assertFailure(waking, RadioError)
        while "Connect" not in self.bluez.calls:
            await deferLater(reactor, 0.01)
        self.bus.close()
        await failing

    async def test_bluez_restarts(self) -> None:
        """BlueZ goes away in the middle and comes back: the camera is woken all the same."""
        await self.begin(vanish=1)
        self.assertEqual(await self.wake(WakeTarget(name_prefix="KJK")), ACCESS)
        self.assertEqual(self.woken, ["KJK230", "KJK230"])
        await self.nothing_left()

    async def test_bluez_goes(self) -> None:
        """BlueZ goes away in the middle and does not come back: that is said."""
        await self.begin(vanish=1, absence=60.0)
        await self.refused("BlueZ", "systemctl")

    async def test_hangs(self) -> None:
        """A camera that lets us connect half, or not at all, is not waited for for ever."""
        self.be_patient(connect=0.3, tries=2)
        await self.begin(hanging_connects=1, unresolved=1)
        await self.refused("connecting to the camera took longer than 0.3 s")

    async def test_without_bleak(self) -> None:
        """Without the extra, one line says how to get it."""
        missing = {name: None for name in sys.modules if name.split(".")[0] == "bleak"}
        with mock.patch.dict(sys.modules, missing):
            error = self.assertRaises(RadioError, Bluetooth)
        self.assertIn("pip install 'trailcam[radio]'", str(error))
        self.assertEqual(error.exit_status, 6)


class ExplainTests(TestCase):
    """What cannot be shown on a bus of our own."""

    def test_rights(self) -> None:
        """Who may not use Bluetooth is told how he may, and it is not tried again."""
        denied = BleakBluetoothNotAvailableReason.DENIED_BY_SYSTEM
        for error in (
            BleakDBusError("org.freedesktop.DBus.Error.AccessDenied", ["Rejected send message"]),
            DBusError("org.freedesktop.DBus.Error.AccessDenied", "Rejected send message"),
            BleakBluetoothNotAvailableError("denied", denied),
            AuthError("REJECTED"),
            PermissionError(13, "Permission denied"),
        ):
            trouble = explain(error)
            self.assertIn("usermod -aG bluetooth", str(trouble))
            self.assertIs(trouble.hope, Hope.NONE)

    def test_anything(self) -> None:
        """Whatever bleak raises becomes one line without anything that a terminal obeys."""
        for error in (BleakError("a\nb\x1b[31m" + "c" * 500), AssertionError(), KeyError("Roles")):
            text = str(explain(error))
            self.assertTrue(text.isprintable())
            self.assertLess(len(text), 220)


class CancelTests(Stage):
    """Whoever cancels leaves nothing behind, wherever it was."""

    async def cancel_at(self, call: str, twice: bool = False) -> None:
        """Cancel when this has been called, and see that the next wake-up is undisturbed."""
        self.bluez.calls.clear()
        waking = self.background.run(self.bluetooth.wake(WakeTarget(name_prefix="KJK")))
        while call not in self.bluez.calls:
            await deferLater(reactor, 0.001)
        waking.cancel()
        waking.addErrback(lambda failure: failure.trap(CancelledError))
        await waking  # which may just have been over
        if twice:
            await self.background.close()
        await self.nothing_left()

    async def test_everywhere(self) -> None:
        """Cancelled at any call, it stops to scan and disconnects; the next one works."""
        await self.begin()
        calls = ("SetDiscoveryFilter", "StartDiscovery", "StopDiscovery", "Connect", "StartNotify",
                 "WriteValue", "StopNotify", "Disconnect")  # fmt: skip
        for call in calls:
            await self.cancel_at(call)
        self.assertEqual(await self.wake(WakeTarget(name_prefix="KJK")), ACCESS)

    async def test_closed_as_well(self) -> None:
        """Cancelled, and the loop closed while that is tidied up: nothing is left all the same."""
        await self.begin(silent=9)
        for call in ("StartDiscovery", "Connect", "WriteValue"):
            await self.cancel_at(call, twice=True)
        self.assertEqual([line for line in self.logged if "never" in line or "pending" in line], [])
