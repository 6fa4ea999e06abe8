"""Cameras that sleep: woken by bleak, joined by our Wi-Fi, called by our client, all on mocks."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase

from tests.processes import Process, ProcessTestCase, eventually, trailcam
from tests.support import NOW, PlainCard
from trailcam.client import Camera
from trailcam.errors import ConfigError, RadioError
from trailcam.radio.background import Background
from trailcam.radio.bluetooth import Bluetooth, Candidate, Patience, WakeTarget
from trailcam.radio.wifi import Joined, Limits, Wifi
from trailcam.simulator import asleep
from trailcam.simulator.asleep import State
from trailcam.simulator.privatebus import PrivateBus
from trailcam.target import Target
from trailcam.testing import Air, FakeCamera, InlineWorker, MemoryNetwork, SleepingCamera
from trailcam.wire.wakeup import Access

PATIENCE = Patience(find=5.0, connect=5.0, pause=0.03)
LIMITS = Limits(appear=5.0, rescan=0.05, look=0.02)
OTHER = Access("KJK_5678", "02:00:00:00:56:78", "87654321")


def need_radio() -> None:
    """Skip where there is nothing to mock the radios with."""
    if shutil.which("dbus-daemon") is None:
        raise SkipTest("needs dbus-daemon: install the package dbus")
    for module in ("bleak", "dbus_fast"):
        if importlib.util.find_spec(module) is None:
            raise SkipTest("needs the extra radio: pip install 'trailcam[radio]'")


def is_open(address: tuple[str, int]) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(address)
        except OSError:
            return True
    return False


class Stage(TestCase):
    """Cameras in an air of their own, and a station that meets them."""

    timeout = 30

    def setUp(self) -> None:
        need_radio()
        self.air = Air(reactor, pace=0.01)
        self.addCleanup(self.air.stop)
        self.station = Background(reactor)
        self.addCleanup(self.station.close)
        self.wifi = Wifi(LIMITS)

    def put(self, access: Access | None = None, **how: Any) -> SleepingCamera:
        """A camera with its card."""
        how = {"boot": 0.1, "linger": 0.1, **how}
        fake = FakeCamera(reactor, card=PlainCard(3, 0, newest=NOW), port=0, search_port=None)
        return SleepingCamera(self.air, fake, access, **how)

    async def begin(self) -> None:
        """From now on there is a system bus, and on it the mocks."""
        await self.air.start()
        bus = mock.patch.dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.air.bus_address)
        bus.start()
        self.addCleanup(bus.stop)

    def wake(self, address: str | None = None) -> Deferred[Access]:
        """Wake a camera."""
        return self.station.run(Bluetooth(PATIENCE).wake(WakeTarget(address)))

    def join(self, access: Access) -> Deferred[Joined]:
        """Join its network."""
        return self.station.run(self.wifi.join(access.ssid, access.bssid, access.passphrase))

    def leave(self) -> Deferred[str | None]:
        """Leave it."""
        return self.station.run(self.wifi.leave())

    async def call(self, sleeping: SleepingCamera) -> Camera:
        """A client that is logged in."""
        host, port = sleeping.camera.address
        client = Camera(reactor, Target(host=host, port=port))
        self.addCleanup(client.close)
        await client.connect(10.0)
        await client.login()
        return client

    async def visit(self, sleeping: SleepingCamera) -> Camera:
        """Wake it, join it, call it."""
        await self.join(await self.wake(sleeping.address))
        return await self.call(sleeping)

    async def networks(self) -> list[str]:
        """What is in the air."""
        return sorted(network.ssid for network in await self.station.run(self.wifi.scan()))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for it, not for ever."""
        for _ in range(500):
            if condition():
                return
            await deferLater(reactor, 0.01)
        self.fail("it did not come about")

    async def falls_asleep(self, sleeping: SleepingCamera) -> None:
        """It does: the port is closed then, and the network gone."""
        await self.until(lambda: sleeping.state is State.ASLEEP)
        await self.until(lambda: not is_open(sleeping.camera.address))
        self.assertNotIn(sleeping.access.ssid, await self.networks())


class VisitTests(Stage):
    """How it goes when all is well."""

    async def test_whole_visit(self) -> None:
        """Asleep, woken, joined, called, left, asleep; and so again, its time awake counted."""
        sleeping = self.put(boot=0.2)
        await self.begin()
        self.assertFalse(is_open(sleeping.camera.address))
        self.assertEqual(await self.networks(), ["Home"])
        for visits in (1, 2):
            before = sleeping.awake
            began = reactor.seconds()
            access = await self.wake()
            self.assertEqual(access, sleeping.access)
            self.assertEqual(sleeping.wake_ups, visits)
            self.assertFalse(is_open(sleeping.camera.address))
            joined = await self.join(access)
            self.assertEqual((joined.ssid, joined.address), ("KJK_1234", "127.0.0.1"))
            await self.until(lambda: is_open(sleeping.camera.address))
            client = await self.call(sleeping)
            self.assertEqual((await client.info()).battery_percent, 80)
            await client.close()
            self.assertIsNone(await self.leave())
            await self.falls_asleep(sleeping)
            took = reactor.seconds() - began
            self.assertTrue(0.2 <= sleeping.awake - before <= took, (sleeping.awake, before, took))
        self.assertEqual(self.air.network_manager.active, {"wlan0": "Home"})
        awake = sleeping.awake
        await deferLater(reactor, 0.05)
        self.assertEqual(sleeping.awake, awake)

    async def test_close(self) -> None:
        """After CLOSE, or the command to sleep, it sleeps by itself: the station loses it."""
        sleeping = self.put()
        await self.begin()
        for end in (Camera.close, Camera.sleep):
            client = await self.visit(sleeping)
            self.assertEqual(sleeping.state, State.JOINED)
            await end(client)
            await self.falls_asleep(sleeping)
            await self.until(lambda: self.air.network_manager.active == {"wlan0": "Home"})
            await client.close()
            await self.leave()

    async def test_left(self) -> None:
        """When its network is left without a word, it sleeps."""
        sleeping = self.put()
        await self.begin()
        client = await self.visit(sleeping)
        await self.leave()
        await self.falls_asleep(sleeping)
        await client.close()

    async def test_two(self) -> None:
        """Two cameras share one air: each is woken by its own address, and has its own network."""
        one = self.put()
        other = self.put(OTHER, address="AA:00:00:00:00:02", name="KJK230_5678")
        await self.begin()
        for this, that in ((one, other), (other, one)):
            before = that.wake_ups
            client = await self.visit(this)
            self.assertEqual((this.state, that.state), (State.JOINED, State.ASLEEP))
            self.assertEqual((this.camera.sources, that.wake_ups), ([client.local_port], before))
            self.assertEqual(await self.networks(), sorted(["Home", this.access.ssid]))
            await client.close()
            await self.leave()
            await self.falls_asleep(this)
        self.assertNotEqual(one.camera.address, other.camera.address)


class ThinAir(Air):
    """
    An air without mocks, for virtual time.

    @ivar shown: the networks that are there.
    """

    def __init__(self, network: MemoryNetwork) -> None:
        super().__init__(network)
        self.shown: list[str] = []

    def show(self, access: Access) -> None:
        """It is there."""
        self.shown.append(access.ssid)

    def hide(self, access: Access) -> None:
        """It is not."""
        self.shown = [ssid for ssid in self.shown if ssid != access.ssid]


class TimeTests(TestCase):
    """When it sleeps, in virtual time."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.air = ThinAir(self.network)
        self.fake = FakeCamera(self.network, card=PlainCard(3, 0, newest=NOW), search_port=None)
        self.sleeping = SleepingCamera(self.air, self.fake, boot=8.0)
        self.network.run_until(Deferred.fromCoroutine(self.sleeping.find_port()))

    def wait(self, seconds: float) -> None:
        """Let time pass, with everything that happens in it at its own time."""
        self.network.run_until(deferLater(self.network, seconds), seconds + 1)

    def see(self, state: State, networks: list[str], open_: bool, awake: float) -> None:
        """It is like that."""
        seen = self.sleeping.state, self.air.shown, bool(self.network.bound)
        self.assertEqual(seen, (state, networks, open_))
        self.assertAlmostEqual(self.sleeping.awake, awake, 1)

    def test_unused(self) -> None:
        """Woken and not joined, or joined and not called, it sleeps after a minute."""
        self.see(State.ASLEEP, [], False, 0)
        self.sleeping.woken()
        self.wait(7.9)
        self.see(State.BOOTING, [], False, 7.9)
        self.wait(0.2)
        self.see(State.AWAKE, ["KJK_1234"], False, 8.1)
        self.wait(59.8)
        self.sleeping.woken()  # which makes the minute begin again
        self.wait(59.9)
        self.see(State.AWAKE, ["KJK_1234"], False, 127.8)
        self.sleeping.joined()  # which does, too
        self.wait(59.9)
        self.see(State.JOINED, ["KJK_1234"], True, 187.7)
        self.wait(0.2)
        self.see(State.ASLEEP, [], False, 187.7 + 0.1)
        self.wait(100)
        self.sleeping.joined()  # a station that is late
        self.see(State.ASLEEP, [], False, 187.8)
        self.assertEqual(self.sleeping.wake_ups, 2)

    def test_session(self) -> None:
        """A session keeps it awake; a client that falls silent has a minute to come back."""
        self.sleeping.woken()
        self.wait(8)
        self.sleeping.joined()
        client = Camera(self.network, Target(host="127.0.0.1", port=40611), worker=InlineWorker())
        self.network.run_until(client.connect())
        self.network.run_until(client.login())
        self.wait(300)
        self.see(State.JOINED, ["KJK_1234"], True, self.network.seconds())
        self.network.drops = lambda sent: sent.destination[1] == 40611
        self.network.run_until(client.close())
        self.wait(60)
        self.see(State.JOINED, ["KJK_1234"], True, self.network.seconds())
        self.wait(10)
        self.assertEqual(self.sleeping.state, State.ASLEEP)

    def test_back_in_time(self) -> None:
        """A station that left and is back in a moment finds it awake, at the same port."""
        self.sleeping.woken()
        self.wait(8)
        for _ in range(3):
            self.sleeping.joined()
            self.sleeping.left()
            self.sleeping.joined()
            self.wait(0.1)
            self.see(State.JOINED, ["KJK_1234"], True, self.network.seconds())
            self.assertEqual(self.network.bound, [("127.0.0.1", 40611)])
            self.sleeping.left()
            self.wait(0.4)
            self.see(State.AWAKE, ["KJK_1234"], False, self.network.seconds())
        self.wait(0.2)
        self.assertEqual((self.sleeping.state, self.air.shown), (State.ASLEEP, []))
        self.assertEqual(self.network.getDelayedCalls(), [])


class TroubleTests(Stage):
    """How it goes when something is wrong."""

    async def test_never_appears(self) -> None:
        """A camera whose network does not come is awake in vain, and is asleep again."""
        sleeping = self.put(patience=0.4)
        sleeping.never_appears = True
        self.wifi = Wifi(Limits(appear=0.3, rescan=0.05, look=0.02))
        await self.begin()
        access = await self.wake()
        error = await self.assertFailure(self.join(access), RadioError)
        self.assertIn("KJK_1234 is not seen", str(error))
        await self.falls_asleep(sleeping)
        self.assertGreaterEqual(sleeping.awake, 0.5)

    async def test_faults_of_the_mocks(self) -> None:
        """The mocks' own faults can be had, before the start and later."""
        from trailcam.simulator.bluez import BluezFaults

        self.air = Air(reactor, pace=0.01, faults=BluezFaults(busy_scans=1))
        self.addCleanup(self.air.stop)
        sleeping = self.put()
        await self.begin()
        self.air.bluez.faults.damaged = 1
        await self.wake()
        self.assertEqual(sleeping.wake_ups, 2)
        self.air.network_manager.refused.add("network-control")
        error = await self.assertFailure(self.join(sleeping.access), RadioError)
        self.assertNotIn("\n", str(error))

    async def test_bus_dies(self) -> None:
        """When the bus is gone, all the same nothing is left when it is over."""
        sleeping = self.put()
        await self.begin()
        client = await self.visit(sleeping)
        assert self.air._bus is not None
        self.air._bus.close()
        await self.air.stop()
        self.assertFalse(is_open(sleeping.camera.address))
        self.assertIn("may not be back", str(await self.leave()))
        await client.close()

    async def test_start_fails(self) -> None:
        """What is missing is named, and nothing is left: no bus, no thread, no port."""
        buses: list[PrivateBus] = []

        def bus() -> PrivateBus:
            buses.append(PrivateBus())
            return buses[-1]

        self.patch(asleep, "PrivateBus", bus)
        sleeping = self.put()
        with mock.patch.dict(sys.modules, {"trailcam.simulator.bluez": None}):
            error = await self.refused(RadioError)
        self.assertIn("pip install 'trailcam[radio]'", str(error))
        with mock.patch.dict(os.environ, PATH="/nowhere"):
            error = await self.refused(RadioError)
        self.assertIn("install the package dbus", str(error))
        taken = ConfigError("its port is taken")
        with mock.patch.object(sleeping.camera, "start", side_effect=taken):
            self.assertIs(await self.refused(ConfigError), taken)
        starting: Deferred[Any] = self.air.start()
        starting.cancel()
        await self.assertFailure(starting, CancelledError)
        folders = [Path(bus.address.removeprefix("unix:path=")).parent for bus in buses]
        self.assertEqual([folder.exists() for folder in folders], [False, False])
        self.assertFalse(is_open(sleeping.camera.address))
        await self.begin()  # and now it can
        await self.wake()

    async def refused(self, kind: type[Exception]) -> Exception:
        """The start fails like this."""
        starting: Deferred[Any] = self.air.start()
        return await self.assertFailure(starting, kind)

    def test_alike(self) -> None:
        """Two cameras that could not be told apart are refused."""
        self.put()
        error = self.assertRaises(ConfigError, self.put, OTHER)
        self.assertIn("C6:1E:0D:00:12:34", str(error))
        self.assertRaises(ConfigError, self.put, address="AA:00:00:00:00:02")


class CommandTests(ProcessTestCase):
    """C{trailcam simulate --asleep}, as a process."""

    def setUp(self) -> None:
        super().setUp()
        need_radio()

    def simulate(self, *options: str, way: tuple[str, ...] = ()) -> Process:
        """Start it, on a port that the system chooses."""
        usual = ("--json", "--port", "0", "--search-port", "0", "--videos", "0", *options)
        return self.start_any([*way, *trailcam("simulate", "--asleep", *usual)])

    @staticmethod
    def left(folder: Path) -> list[str]:
        """The folder of a bus, and the processes that have to do with it."""
        found = [str(folder)] if folder.exists() else []
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                text = line.read_text("utf-8", "replace")
            except OSError:
                continue
            if str(folder) in text:
                found.append(text)
        return found

    def nothing_left(self, folder: Path) -> bool:
        """Whether all that is gone."""
        return not self.left(folder)

    async def scan(self, bus: str) -> list[Candidate]:
        """Who is seen on this bus."""
        background = Background(reactor)
        with mock.patch.dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=bus):
            try:
                return await background.run(Bluetooth(PATIENCE).scan(0.2))
            finally:
                await background.close()

    async def test_there_and_gone(self) -> None:
        """It says where its bus is; the camera is seen there; no signal leaves anything behind."""
        for number, status in ((signal.SIGTERM, 130), (signal.SIGKILL, -9)):
            process = self.simulate("--bluetooth-name", "KJK_test", "--ssid", "KJK_0001")
            ready = json.loads(process.out_line("ready"))
            self.assertEqual((ready["network"], ready["bluetooth"]), ("KJK_0001",
                             "C6:1E:0D:00:12:34"))  # fmt: skip
            folder = Path(ready["bus"].removeprefix("unix:path=")).parent
            self.assertEqual(len(self.left(folder)), 3)  # the folder, the daemon, who watches it
            if number is signal.SIGTERM:
                self.assertEqual([one.name for one in await self.scan(ready["bus"])], ["KJK_test"])
            process.send(number)
            self.assertEqual(process.end(), status)
            self.assertNotIn("Traceback", "\n".join(process.err))
            eventually(partial(self.nothing_left, folder), f"left over: {self.left(folder)}")

    def test_cannot(self) -> None:
        """Without dbus-daemon, and with nonsense, one line says what to do."""
        processes = [
            (self.simulate(way=("env", "PATH=/nowhere")), 6, "install the package dbus"),
            (self.simulate("--passphrase", "short"), 2, "8 to 63 bytes"),
            (self.simulate("--bluetooth-address", "nonsense"), 2, "is not an address like"),
        ]
        for process, status, text in processes:
            self.assert_complains(self.finish(process), status, text)
