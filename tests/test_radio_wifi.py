"""Tests of trailcam.radio.wifi against a mock NetworkManager on a private bus."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase

from trailcam.errors import RadioError
from trailcam.radio import activation, networkmanager
from trailcam.radio.background import Background
from trailcam.radio.nmnames import DeviceState
from trailcam.radio.wifi import Joined, Limits, Wifi
from trailcam.simulator.privatebus import PrivateBus

try:
    from trailcam.simulator.networkmanager import HOME, MockNetworkManager, SimulatedNetwork
except ImportError:
    MockNetworkManager = None  # type: ignore[assignment, misc]

PASSPHRASE = "12345678"
LIMITS = Limits(
    appear=0.6, rescan=0.05, look=0.02, scan=0.5, activate=1.0, leave=0.5, restore=0.6, answer=2.0
)
OURS = "trailcam KJK_1234"


def camera(**how: Any) -> SimulatedNetwork:
    """The camera's network."""
    return SimulatedNetwork("KJK_1234", PASSPHRASE, **how)


class WifiTestCase(TestCase):
    """A bus, a mock on it, and a client, each asyncio part on a loop of its own."""

    timeout = 20

    def setUp(self) -> None:
        """Nothing of the machine's own bus is touched."""
        if MockNetworkManager is None:
            raise SkipTest("needs the extra radio")
        if shutil.which("dbus-daemon") is None:
            raise SkipTest("needs dbus-daemon")
        self.bus = PrivateBus()
        self.addCleanup(self.bus.close)
        self.patch(activation, "_LOOK", 0.02)
        self.patch(activation, "_PATIENCE", 0.3)
        self.daemon = Background(reactor)
        self.addCleanup(self.daemon.close)
        self.station = Background(reactor)
        self.addCleanup(self.station.close)
        self.wifi = Wifi(LIMITS, self.bus.address)
        self.story: list[str] = []

    async def begin(self, **how: Any) -> MockNetworkManager:
        """Start the mock; keywords are its arguments or attributes."""
        attributes = {
            name: how.pop(name)
            for name in ("radio_on", "unmanaged", "refused", "stuck_at", "autoconnect")
            if name in how
        }
        mock = MockNetworkManager(
            self.bus.address,
            pace=0.01,
            joined=lambda ssid: self.story.append(f"joined {ssid}"),
            left=lambda ssid: self.story.append(f"left {ssid}"),
            **how,
        )
        for name, value in attributes.items():
            setattr(mock, name, value)
        await self.daemon.run(mock.start())
        self.addCleanup(lambda: self.daemon.run(mock.stop()))
        return mock

    def join(
        self,
        ssid: str = "KJK_1234",
        bssid: str | None = "02:00:00:00:12:34",
        passphrase: str = PASSPHRASE,
        **how: Any,
    ) -> Deferred[Joined]:
        """Join the camera's network."""
        return self.station.run(self.wifi.join(ssid, bssid, passphrase, **how))

    def leave(self) -> Deferred[str | None]:
        """Leave it."""
        return self.station.run(self.wifi.leave())

    async def refused(self, joining: Deferred[Joined], text: str) -> None:
        """It fails with a line that has this in it, and no passphrase."""
        with self.assertRaises(RadioError) as caught:
            await joining
        self.assertIn(text, str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))
        self.assertNotIn(PASSPHRASE, repr(caught.exception))

    async def until(self, condition: Any) -> None:
        """Wait for it, not for ever."""
        for _ in range(200):
            if condition():
                return
            await deferLater(reactor, 0.01)
        self.fail("it did not come about")


class JoiningTests(WifiTestCase):
    """How it goes when all is well."""

    async def test_there_and_back(self) -> None:
        """A network that appears late is joined; leaving it brings back the one from before."""
        mock = await self.begin()
        joining = self.join()
        await deferLater(reactor, 0.1)
        mock.appear(camera(address="127.0.0.9"))
        self.assertEqual(await joining, Joined("wlan0", "127.0.0.9", "KJK_1234"))
        self.assertEqual(mock.active, {"wlan0": OURS})
        self.assertIsNone(await self.leave())
        self.assertEqual(mock.active, {"wlan0": "Home"})
        self.assertEqual(mock.profiles, ["Home"])
        self.assertEqual(mock.deactivated, [OURS])
        self.assertEqual(self.story[1:], ["left Home", "joined KJK_1234", "left KJK_1234",
                                          "joined Home"])  # fmt: skip

    async def test_what_is_asked_for(self) -> None:
        """The profile is kept nowhere, bound to us, has no default route, no DNS and no IPv6."""
        mock = await self.begin()
        mock.appear(camera())
        await self.join()
        (call,) = [call for call in mock.calls if call.member == "AddAndActivateConnection2"]
        settings, _, _, options = call.body
        self.assertEqual(options, {"persist": "volatile", "bind-activation": "dbus-client"})
        self.assertFalse(settings["connection"]["autoconnect"])
        self.assertEqual(settings["802-11-wireless"]["ssid"], b"KJK_1234")
        self.assertEqual(settings["802-11-wireless"]["bssid"], bytes.fromhex("020000001234"))
        for key in ("never-default", "ignore-auto-dns", "ignore-auto-routes"):
            self.assertTrue(settings["ipv4"][key], key)
        self.assertEqual(settings["ipv6"], {"method": "disabled"})
        security = settings["802-11-wireless-security"]
        self.assertEqual(security, {"key-mgmt": "wpa-psk", "psk": PASSPHRASE})
        await self.leave()

    async def test_lasts(self) -> None:
        """It is noticed when the camera has gone to sleep; and not before."""
        mock = await self.begin()
        mock.appear(camera())
        await self.join()
        lasting = self.station.run(self.wifi.lasts())
        await deferLater(reactor, 0.2)
        self.assertNoResult(lasting)
        mock.vanish("KJK_1234")
        await lasting
        self.assertIsNone(await self.leave())
        self.assertEqual(mock.active, {"wlan0": "Home"})

    async def test_open_network(self) -> None:
        """Without a passphrase there is no security; without an address, any will do."""
        mock = await self.begin()
        mock.appear(SimulatedNetwork("KJK_1234"))
        self.assertEqual((await self.join(bssid=None, passphrase="")).address, "127.0.0.1")
        await self.leave()

    async def test_idle_device_first(self) -> None:
        """With a second Wi-Fi device that is idle, the home network stays as it is."""
        mock = await self.begin(interfaces=("wlan0", "wlan1", "eth0"))
        mock.appear(camera())
        self.assertEqual((await self.join()).interface, "wlan1")
        self.assertEqual(mock.active, {"wlan0": "Home", "wlan1": OURS})
        another = Wifi(LIMITS, self.bus.address)
        busy = self.station.run(another.join("KJK_5678", None, PASSPHRASE))
        await self.refused(busy, "say which one")
        self.assertIsNone(await self.leave())
        self.assertEqual((mock.activated, mock.deactivated), ([OURS], [OURS]))
        self.assertNotIn("left Home", self.story)

    async def test_given_device(self) -> None:
        """A device that is named is taken, and given back."""
        mock = await self.begin(interfaces=("wlan0", "wlan1"))
        mock.appear(camera())
        self.assertEqual((await self.join(interface="wlan0")).interface, "wlan0")
        self.assertIsNone(await self.leave())
        self.assertEqual(mock.active["wlan0"], "Home")

    async def test_there_already(self) -> None:
        """A network that the station is in is used as it is, and not left."""
        mock = await self.begin()
        joined = await self.join("Home", HOME.bssid, HOME.passphrase)
        self.assertEqual(joined, Joined("wlan0", "127.0.0.1", "Home"))
        self.assertIsNone(await self.leave())
        self.assertEqual((mock.active, mock.calls), ({"wlan0": "Home"}, []))

    async def test_scan(self) -> None:
        """A scan tells what is in the air, the strongest first."""
        mock = await self.begin()
        mock.appear(camera(strength=90))
        networks = await self.station.run(self.wifi.scan())
        self.assertEqual([network.ssid for network in networks], ["KJK_1234", "Home"])
        self.assertEqual((networks[0].bssid, networks[0].frequency), ("02:00:00:00:12:34", 2437))

    async def test_system_bus(self) -> None:
        """Without an address it is the system bus; one network at a time; nothing leaks."""
        self.patch(os, "environ", {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.bus.address})
        mock = await self.begin(interfaces=("wlan0",))
        mock.appear(camera())
        self.wifi = Wifi(LIMITS)
        before: list[str] = []
        for _ in range(5):
            await self.join()
            await self.refused(self.join(), "leave it first")
            self.assertIsNone(await self.leave())
            self.assertIsNone(await self.leave())
            before = before or os.listdir("/proc/self/fd")
        self.assertEqual(len(os.listdir("/proc/self/fd")), len(before))
        self.assertEqual(await self.station.run(tasks()), 1)


async def tasks() -> int:
    """How many there are, this one included."""
    return len(asyncio.all_tasks())


add_and_activate = networkmanager.NetworkManager.add_and_activate


async def slow_answer(manager: networkmanager.NetworkManager, *how: Any) -> str:
    """What is asked for begins before we know its name."""
    active = await add_and_activate(manager, *how)
    await asyncio.sleep(0.2)
    return active


class TroubleTests(WifiTestCase):
    """What may go wrong while joining: one line, and the network from before is back."""

    async def in_vain(self, text: str, network: SimulatedNetwork | None, **how: Any) -> None:
        """Joining fails, and leaves nothing behind."""
        mock = await self.begin(**how)
        if network is not None:
            mock.appear(network)
        await self.refused(self.join(), text)
        self.assertIsNone(await self.leave())
        self.assertEqual(mock.active, {"wlan0": "Home"})
        self.assertEqual(mock.profiles, ["Home"])
        self.assertLessEqual(set(mock.deactivated), {OURS})

    async def test_wrong_passphrase(self) -> None:
        """NetworkManager asks for another passphrase, and there is none."""
        await self.in_vain("did not accept the passphrase", SimulatedNetwork("KJK_1234", "another"))

    async def test_no_address(self) -> None:
        """DHCP brings nothing."""
        await self.in_vain("no address (DHCP)", camera(dhcp=False))

    async def test_not_seen(self) -> None:
        """The network never appears."""
        await self.in_vain("KJK_1234 is not seen after 0.6 s: wake the camera again", None)

    async def test_another_one(self) -> None:
        """A network of that name is there, but it is another camera's."""
        await self.in_vain("but at 02:00:00:00:56:78", camera(bssid="02:00:00:00:56:78"))

    async def test_takes_too_long(self) -> None:
        """Where it got stuck says what is wrong."""
        self.wifi = Wifi(Limits(activate=0.2, restore=2.0), self.bus.address)
        mock = await self.begin()
        mock.appear(camera())
        for state, text in (
            (DeviceState.CONFIG, "did not let us in"),
            (DeviceState.NEED_AUTH, "did not accept the passphrase"),
            (DeviceState.IP_CONFIG, "no address"),
        ):
            mock.stuck_at = state
            joining = self.join()
            await self.until(lambda: OURS in mock.profiles)
            await deferLater(reactor, 0.15)
            mock.stuck_at = None
            await self.refused(joining, text)
            self.assertEqual(mock.active, {"wlan0": "Home"})

    async def test_vanishes(self) -> None:
        """The network goes while we are about to join it; only the cause is told."""
        mock = await self.begin(stuck_at=DeviceState.IP_CONFIG)
        mock.appear(camera())
        joining = self.join()
        await self.until(lambda: mock.activated)
        mock.stuck_at = None
        mock.vanish("KJK_1234")
        await self.refused(joining, "KJK_1234 is not seen after")
        self.assertEqual(mock.active, {"wlan0": "Home"})

    async def test_vanishes_and_comes_again(self) -> None:
        """What was seen was left from the camera's last time awake; a moment later it is there."""
        mock = await self.begin(stuck_at=DeviceState.IP_CONFIG)
        mock.appear(camera())
        joining = self.join()
        await self.until(lambda: mock.activated)
        mock.stuck_at = None
        mock.vanish("KJK_1234")
        await self.until(lambda: OURS not in mock.profiles)
        mock.appear(camera())
        self.assertEqual((await joining).ssid, "KJK_1234")
        self.assertEqual(mock.active, {"wlan0": OURS})
        self.assertIsNone(await self.leave())
        self.assertEqual(mock.active, {"wlan0": "Home"})
        self.assertEqual(mock.profiles, ["Home"])

    async def test_ended_by_somebody(self) -> None:
        """Somebody ends what we began, and gets their way."""
        mock = await self.begin(stuck_at=DeviceState.CONFIG)
        mock.appear(camera())
        joining = self.join()
        await self.until(lambda: mock.activated)
        mock.stuck_at = None
        await self.station.run(self.end_it())
        await self.refused(joining, "somebody or something else ended our joining of KJK_1234")
        self.assertIsNone(await self.leave())
        self.assertEqual((mock.active, mock.activated), ({"wlan0": "Home"}, [OURS]))

    async def end_it(self) -> None:
        """What C{nmcli} does when it is told to disconnect."""
        nmcli = await networkmanager.NetworkManager.connect(self.bus.address, 1.0)
        (device,) = (await nmcli.snapshot()).wifi_devices()
        await nmcli.deactivate(device.active)
        await nmcli.close()

    async def test_restarted(self) -> None:
        """NetworkManager is restarted in the middle: all its objects have other names then."""
        mock = await self.begin(stuck_at=DeviceState.CONFIG)
        mock.appear(camera())
        joining = self.join()
        await self.until(lambda: mock.activated)
        mock.stuck_at = None
        await self.daemon.run(mock.restart(0.05))
        await self.refused(joining, "restarted meanwhile")
        self.assertIsNone(await self.leave())
        self.assertEqual(mock.active, {"wlan0": "Home"})

    async def test_cancelled(self) -> None:
        """Cancelled at any moment, twice even, nothing stays behind."""
        mock = await self.begin()
        for appears in (False, True):
            if appears:
                mock.appear(camera())
            for pause in (0.0, 0.005, 0.03, 0.06):
                joining = self.join()
                await deferLater(reactor, pause)
                joining.cancel()
                with contextlib.suppress(CancelledError):
                    await joining
                self.assertIsNone(await self.leave())
                self.assertEqual((mock.active, mock.profiles), ({"wlan0": "Home"}, ["Home"]))
        self.patch(networkmanager.NetworkManager, "add_and_activate", slow_answer)
        joining = self.join()
        await self.until(lambda: OURS in mock.profiles)
        joining.cancel()
        with contextlib.suppress(CancelledError):
            await joining
        self.assertIsNone(await self.leave())
        self.assertEqual((mock.active, mock.deactivated[-1]), ({"wlan0": "Home"}, OURS))
        joining = self.join()
        await self.until(lambda: mock.active == {"wlan0": OURS})
        joining.cancel()
        await self.station.close()
        with contextlib.suppress(CancelledError):
            await joining
        self.assertEqual((mock.active, mock.profiles), ({"wlan0": "Home"}, ["Home"]))

    async def test_nonsense(self) -> None:
        """What no network can have does not get as far as NetworkManager."""
        mock = await self.begin()
        await self.refused(self.join(passphrase="1234567"), "8 to 63 characters")
        await self.refused(self.join(bssid="nonsense"), "02:00:00:00:12:34")
        await self.refused(self.join(ssid=""), "1 to 32 bytes")
        self.assertEqual(mock.calls, [])
        error = networkmanager.Refused("a.InvalidProperty", f"psk {PASSPHRASE} is invalid")
        text = str(activation.explain(error, "KJK_1234", PASSPHRASE))
        self.assertEqual(
            text, "NetworkManager refused the settings for KJK_1234: a.InvalidProperty"
        )


class LeavingTests(WifiTestCase):
    """What may go wrong while we are there, and on the way back."""

    async def joined(self, **how: Any) -> MockNetworkManager:
        """We are in the camera's network."""
        mock = await self.begin(**how)
        mock.appear(camera())
        await self.join()
        return mock

    async def test_asks_for_it(self) -> None:
        """A network that does not come back by itself is asked for."""
        mock = await self.joined(autoconnect=False)
        self.assertIsNone(await self.leave())
        self.assertEqual(mock.active, {"wlan0": "Home"})
        self.assertEqual(mock.activated, [OURS, "Home"])

    async def test_does_not_come_back(self) -> None:
        """If it does not come back, the warning says so, once."""
        mock = await self.joined()
        mock.vanish("Home")
        warning = await self.leave()
        self.assertIn("wlan0 may not be back in Home: not after 0.6 s", str(warning))
        self.assertIn("nmcli connection up 'Home'", str(warning))
        self.assertIsNone(await self.leave())
        self.assertEqual(mock.profiles, ["Home"])

    async def test_killed(self) -> None:
        """Killed without a word, our profile goes, and the network from before comes back."""
        mock = await self.joined()
        assert self.wifi._manager is not None
        await self.station.run(self.wifi._manager.close())
        await self.until(lambda: mock.active == {"wlan0": "Home"})
        self.assertEqual((mock.profiles, mock.deactivated), (["Home"], []))
        await self.leave()

    async def test_camera_sleeps(self) -> None:
        """A network that is gone before we leave it needs nothing but patience."""
        mock = await self.joined()
        mock.vanish("KJK_1234")
        self.assertIsNone(await self.leave())
        self.assertEqual((mock.active, mock.activated), ({"wlan0": "Home"}, [OURS]))

    async def test_restarted(self) -> None:
        """Leaving waits for a NetworkManager that is being restarted."""
        mock = await self.joined()
        await self.daemon.run(mock.stop())
        leaving = self.leave()
        await deferLater(reactor, 0.1)
        await self.daemon.run(mock.start())
        self.assertIsNone(await leaving)
        self.assertEqual((mock.active, mock.deactivated), ({"wlan0": "Home"}, []))

    async def test_stopped(self) -> None:
        """If it does not come again, the warning says so."""
        mock = await self.joined()
        await self.daemon.run(mock.stop())
        self.assertIn("NetworkManager is not running", str(await self.leave()))

    async def test_bus_is_gone(self) -> None:
        """Nor is there more than a warning when even the bus has gone."""
        await self.joined()
        self.bus.close()
        self.assertIn("there is no D-Bus system bus", str(await self.leave()))


class MissingTests(WifiTestCase):
    """What a station may lack."""

    async def test_permission(self) -> None:
        """Polkit refuses: where it says how to change that."""
        rule = "install the polkit rule: see docs/raspberry-pi.md"
        mock = await self.begin(refused={"wifi.scan"})
        await self.refused(self.join(), rule)
        mock.refused = {"network-control"}
        mock.appear(camera())
        await self.refused(self.join(), rule)
        self.assertEqual((mock.active, mock.activated), ({"wlan0": "Home"}, []))

    async def test_switched_off(self) -> None:
        """Wi-Fi is switched off."""
        await self.begin(radio_on=False)
        await self.refused(self.join(), "Wi-Fi is switched off: nmcli radio wifi on")

    async def test_unmanaged(self) -> None:
        """NetworkManager leaves the device alone."""
        await self.begin(unmanaged={"wlan0"})
        await self.refused(self.join(), "nmcli device set wlan0 managed yes")

    async def test_no_device(self) -> None:
        """There is none, or not that one."""
        await self.begin(interfaces=("eth0",), home=None)
        await self.refused(self.join(), "there is no Wi-Fi device: plug one in")
        await self.refused(self.join(interface="wlan7"), "there is no Wi-Fi device wlan7")

    async def test_not_running(self) -> None:
        """There is no NetworkManager, or no bus."""
        await self.refused(self.join(), "NetworkManager is not running")
        self.wifi = Wifi(LIMITS, "unix:path=/nonexistent")
        await self.refused(self.join(), "there is no D-Bus system bus")

    async def test_no_extra(self) -> None:
        """Without dbus-fast, the line says what to install."""
        self.patch(networkmanager, "INSTALLED", False)
        await self.refused(self.join(), "needs the extra radio: pip install 'trailcam[radio]'")
