"""
What C{trailcam doctor} finds out about Bluetooth and Wi-Fi.

Only against mocks on a private bus: the machine's own is never asked.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from configparser import ConfigParser
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, TestCase

from trailcam import checks, doctor, radiochecks
from trailcam.checks import Finding, Station
from trailcam.config import parse
from trailcam.radio.background import Background
from trailcam.simulator.privatebus import PrivateBus

try:
    from dbus_fast import DBusError, Message, Variant

    from trailcam.simulator.bluez import ADAPTER, BluezFaults, MockBlueZ
    from trailcam.simulator.networkmanager import MockNetworkManager
except ImportError:
    MockBlueZ = MockNetworkManager = object  # type: ignore[assignment, misc]

BOTH = "[camera garden]\nwake = yes\nwifi = yes\n"
#: What stands for every other bus: nobody is there.
NOWHERE = "unix:path=/nonexistent/trailcam"


class NoBusTests(TestCase):
    """Where there is no bus, or nothing is to be done with it."""

    def setUp(self) -> None:
        """Whatever happens: nothing of the machine's own bus is touched."""
        patched = mock.patch.dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=NOWHERE)
        patched.start()
        self.addCleanup(patched.stop)

    def examine(self, cameras: str | None) -> list[Finding]:
        """What is found where C{tap.conf} has these sections; C{None}: where there is none."""
        config = None if cameras is None else parse(cameras, "tap.conf")
        return list(radiochecks.check_radio(Station(config, None, None)))

    def test_not_wanted(self) -> None:
        """A configuration that uses no radio: nothing is looked at, nothing said."""
        self.patch(radiochecks, "_findings", lambda wishes: self.fail("it looked"))
        self.assertEqual(self.examine("[camera garden]"), [])
        self.patch(radiochecks, "_installed", lambda: False)
        self.assertEqual(self.examine(None), [])

    def test_what_is_wanted(self) -> None:
        """Waking needs Bluetooth, joining Wi-Fi devices; each is asked about once."""

        def wishes(cameras: str) -> tuple[bool, tuple[str | None, ...]]:
            found = radiochecks.Wishes.of(Station(parse(cameras, "tap.conf"), None, None))
            return found.bluetooth, found.devices

        self.assertEqual(wishes("[camera a]\nwake = KJK"), (True, ()))
        given = "[camera a]\nwifi = yes\nnetwork = KJK_1\n[camera b]\nwifi = wlan1\nnetwork = K\n"
        self.assertEqual(wishes(given), (False, (None, "wlan1")))
        self.assertEqual(wishes(f"{BOTH}[camera b]\nwake = no"), (True, (None,)))

    def test_network_of_a_visit(self) -> None:
        """That this computer is not on a network that visits join is as it should be."""
        self.patch(checks, "local_networks", list)
        for cameras, status in ((BOTH, ["ok"]), (f"{BOTH}[camera b]", ["warning"])):
            station = Station(parse(cameras, "tap.conf"), None, None)
            found = [finding.status for finding in checks.check_network(station)]
            self.assertEqual(found, status)

    def test_extra_missing(self) -> None:
        """The mend installs what C{setup.cfg} has for the extra."""
        self.patch(radiochecks, "_installed", lambda: False)
        _, radio = self.examine(BOTH)
        self.assertEqual((radio.name, radio.status), ("radio", "problem"))
        setup = ConfigParser()
        setup.read(Path(__file__).parent.parent / "setup.cfg")
        wanted = setup["options.extras_require"]["radio"].split("\n")[1:]
        self.assertEqual([one.replace(" ", "") for one in wanted], list(radiochecks.EXTRA))
        self.assertTrue(str(radio.mend).endswith("-m pip install 'bleak>=3' 'dbus-fast>=4'"))

    def test_32_bits(self) -> None:
        """A 32-bit system is warned of: there are no wheels for it."""
        self.patch(radiochecks, "_installed", lambda: False)
        self.assertEqual(self.examine(BOTH)[0].status, "ok")
        with mock.patch("sys.maxsize", 2**31 - 1):
            machine = self.examine(BOTH)[0]
        self.assertEqual((machine.name, machine.status), ("machine", "warning"))
        self.assertIn("64-bit", str(machine.mend))

    def test_no_bus(self) -> None:
        """Without a bus it is a problem; where nobody asked for the radio, a warning."""
        if MockBlueZ is object:
            raise SkipTest("needs the extra radio")
        for cameras, status in ((BOTH, "problem"), (None, "warning")):
            _, radio = self.examine(cameras)
            self.assertEqual(radio.status, status)
            self.assertIn("D-Bus system bus cannot be reached", radio.text)

    def test_silent_bus(self) -> None:
        """A bus that accepts and says nothing is given up in time."""
        if MockBlueZ is object:
            raise SkipTest("needs the extra radio")
        folder = tempfile.mkdtemp(dir="/tmp")  # a socket's path is short
        self.addCleanup(shutil.rmtree, folder)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(f"{folder}/socket")
            listening.listen(1)
            self.patch(radiochecks, "LIMIT", 0.2)
            os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={folder}/socket"
            began = time.monotonic()
            _, radio = self.examine(BOTH)
        self.assertLess(time.monotonic() - began, 2.0)
        self.assertIn("cannot be reached", radio.text)


class BusTests(TestCase):
    """With BlueZ and NetworkManager, or one of them, on a bus of our own."""

    timeout = 20

    def setUp(self) -> None:
        """Let a private bus be the system's."""
        if MockBlueZ is object:
            raise SkipTest("needs the extra radio")
        if shutil.which("dbus-daemon") is None:
            raise SkipTest("needs dbus-daemon")
        self.bus = PrivateBus()
        self.addCleanup(self.bus.close)
        patched = mock.patch.dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.bus.address)
        patched.start()
        self.addCleanup(patched.stop)
        self.daemons = Background(reactor)
        self.addCleanup(self.daemons.close)

    async def bluez(self, **faults: Any) -> MockBlueZ:
        """Start BlueZ."""
        daemon = MockBlueZ(self.bus.address, [], BluezFaults(**faults))
        await self.daemons.run(daemon.start())
        self.addCleanup(lambda: self.daemons.run(daemon.stop()))
        return daemon

    async def manager(
        self, way_out: bool = False, radio_on: bool = True, unmanaged: str = "", **how: Any
    ) -> MockNetworkManager:
        """Start NetworkManager."""
        daemon = MockNetworkManager(self.bus.address, pace=0.01, **how)
        daemon.way_out = "wlan0" if way_out else "eth0"
        daemon.radio_on = radio_on
        daemon.unmanaged = set(unmanaged.split())
        await self.daemons.run(daemon.start())
        self.addCleanup(lambda: self.daemons.run(daemon.stop()))
        return daemon

    async def examine(self, cameras: str | None = BOTH) -> dict[str, Finding]:
        """What is found, by name; every finding is whole, on one line."""
        config = None if cameras is None else parse(cameras, "tap.conf")
        station = Station(config, None, None)
        found = await deferToThread(lambda: list(radiochecks.check_radio(station)))
        for finding in found:
            self.assertLessEqual(len(finding.name), 9)
            self.assertEqual(len(f"{finding.text} {finding.mend}".splitlines()), 1)
            self.assertEqual(finding.mend is None, finding.status == "ok", finding)
        named = {finding.name: finding for finding in found}
        self.assertEqual(len(named), len(found))
        return named

    def wrong(self, finding: Finding, text: str, mend: str, status: str = "problem") -> None:
        """It is a finding that says this."""
        self.assertEqual(finding.status, status, finding)
        self.assertIn(text, finding.text)
        self.assertIn(mend, str(finding.mend))

    async def test_all_is_well(self) -> None:
        """All is there. Nothing was scanned, activated or changed."""
        bluez = await self.bluez()
        manager = await self.manager()
        found = await self.examine()
        self.assertEqual(list(found), ["machine", "radio", "bluetooth", "wifi", "rights"])
        self.assertEqual({finding.status for finding in found.values()}, {"ok"})
        self.assertEqual(found["bluetooth"].text, "hci0 is on")
        self.assertEqual(found["wifi"].text, "wlan0 can join a camera's network")
        self.assertEqual([call.member for call in manager.calls], ["GetPermissions"])
        self.assertEqual((list(bluez.calls), manager.active), ([], {"wlan0": "Home"}))

    async def test_only_what_is_wanted(self) -> None:
        """Who wakes only is not told of Wi-Fi, and the other way round."""
        await self.bluez()
        woken = await self.examine("[camera a]\nwake = yes")
        self.assertEqual(list(woken), ["machine", "radio", "bluetooth"])
        joined = await self.examine("[camera a]\nwifi = yes\nnetwork = KJK_1234")
        self.assertEqual(list(joined), ["machine", "radio", "wifi"])

    async def test_nobody_there(self) -> None:
        """Neither service runs, and neither is started by the question."""
        found = await self.examine()
        self.wrong(found["bluetooth"], "does not run", "sudo apt install bluez")
        self.wrong(found["wifi"], "NetworkManager does not run", "apt install network-manager")
        self.assertNotIn("rights", found)
        asked = await self.examine(None)
        self.assertEqual({asked[name].status for name in ("bluetooth", "wifi")}, {"warning"})

    async def test_no_adapter(self) -> None:
        """BlueZ without an adapter."""
        await self.bluez(no_adapter=True)
        found = await self.examine()
        self.wrong(found["bluetooth"], "no Bluetooth adapter", "disable-bt")

    async def test_switched_off(self) -> None:
        """Both radios are switched off."""
        await self.bluez(switched_off=True)
        await self.manager(radio_on=False)
        found = await self.examine()
        self.wrong(found["bluetooth"], "hci0 is switched off", "rfkill unblock bluetooth")
        self.wrong(found["wifi"], "Wi-Fi is switched off", "nmcli radio wifi on")

    async def test_old_adapter(self) -> None:
        """An adapter without Low Energy cannot see cameras."""
        bluez = await self.bluez()
        adapter = bluez._bus.objects[ADAPTER]["org.bluez.Adapter1"]
        adapter["Roles"] = Variant("as", ["peripheral"])
        self.wrong((await self.examine())["bluetooth"], "Low Energy", "another adapter")

    async def test_bluetooth_refused(self) -> None:
        """Where D-Bus or BlueZ refuses, or says nothing in time."""
        bluez = await self.bluez()
        answers: list[Any] = []

        def answer(message: Message) -> Any:
            if isinstance(answers[0], Exception):
                raise answers[0]
            return answers[0]

        methods: Any = bluez._bus._methods
        methods["org.freedesktop.DBus.ObjectManager", "GetManagedObjects"] = answer
        answers[:] = [DBusError("org.freedesktop.DBus.Error.AccessDenied", "no")]
        found = await self.examine()
        self.wrong(found["bluetooth"], "may not use Bluetooth", "usermod -aG bluetooth")
        answers[:] = [DBusError("org.bluez.Error.Failed", "odd")]
        self.wrong((await self.examine())["bluetooth"], "org.bluez.Error.Failed", "journalctl")
        answers[:] = [True]  # none at all
        self.patch(radiochecks, "LIMIT", 0.3)
        await self.manager()
        found = await self.examine()
        self.wrong(found["bluetooth"], "does not answer", "systemctl restart bluetooth")
        self.assertEqual(found["wifi"].status, "ok")  # one that hangs hides nothing of the other

    async def test_wifi_devices(self) -> None:
        """No device, one that is left alone, and one that is not there."""
        await self.manager(interfaces=("eth0",), home=None)
        self.wrong((await self.examine())["wifi"], "there is no Wi-Fi device", "plug one in")
        given = "[camera a]\nwifi = wlan1\nnetwork = KJK_1234"
        self.wrong((await self.examine(given))["wifi"], "no Wi-Fi device wlan1", "plugged in")

    async def test_unmanaged(self) -> None:
        """A device that NetworkManager leaves alone, as on older systems."""
        await self.manager(unmanaged="wlan0")
        self.wrong((await self.examine())["wifi"], "leaves wlan0 alone", "managed yes")

    async def test_only_way_out(self) -> None:
        """The only Wi-Fi has the default route: SSH will be cut off. A second one helps."""
        await self.manager(way_out=True)
        finding = (await self.examine())["wifi"]
        self.wrong(finding, "SSH", "wifi = wlan1", "warning")
        self.assertIn("wlan0", finding.text)

    async def test_second_device(self) -> None:
        """With an idle second device all is well, unless the first is named."""
        await self.manager(way_out=True, interfaces=("wlan0", "wlan1"))
        for name, status in (("yes", "ok"), ("wlan1", "ok"), ("wlan0", "warning")):
            cameras = f"[camera a]\nwifi = {name}\nnetwork = KJK_1234"
            self.assertEqual((await self.examine(cameras))["wifi"].status, status, name)

    async def test_rights(self) -> None:
        """Being asked for a password is not being allowed to."""
        manager = await self.manager()
        manager.refused = {"network-control", "settings.modify.system"}
        finding = (await self.examine())["rights"]
        self.wrong(finding, "network-control, settings.modify.system", "polkit rule")
        self.assertNotIn("wifi.scan", finding.text)

    async def test_doctor_tells(self) -> None:
        """It is among what doctor checks, at the end, and nothing of it is in the way."""
        await self.bluez()
        await self.manager()
        path = Path(self.mktemp())
        path.write_text(BOTH)
        self.patch(doctor, "CHECKS", doctor.CHECKS[-1:])
        found = await deferToThread(lambda: list(doctor.examine(path)))
        names = [finding.name for finding in found]
        self.assertEqual(names, ["config", "machine", "radio", "bluetooth", "wifi", "rights"])

    async def test_bus_goes_away(self) -> None:
        """The bus ends while it is asked: no answer, no traceback."""
        bluez = await self.bluez()
        methods: Any = bluez._bus._methods

        def answer(message: Message) -> bool:
            self.bus.close()
            return True

        methods["org.freedesktop.DBus.ObjectManager", "GetManagedObjects"] = answer
        found = await self.examine()
        self.assertEqual(found["bluetooth"].status, "problem")
        self.assertIn("does not", found["bluetooth"].text)
