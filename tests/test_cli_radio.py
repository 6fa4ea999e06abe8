"""C{trailcam scan}, C{wake}, C{join}, C{leave}, C{visit}, C{visits}: real processes and a bus."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from typing import Any

from tests.processes import (
    Process,
    ProcessTestCase,
    Simulator,
    eventually,
    only_once,
    shared_simulator,
)
from tests.test_simulator_asleep import need_radio
from trailcam.library.files import lock_path
from trailcam.library.visits import read_visits
from trailcam.locks import who_holds

#: Its network is there at once, or the first scan misses it and the next is 4 s later.
ASLEEP = ("--asleep", "--boot", "0", "--stay-awake", "2", "--photos", "6")
#: No camera by its looks, and when it is woken, no network comes.
LAMP = ("--asleep", "--never-appears", "--boot", "0", "--stay-awake", "0.5", "--photos", "1",
        "--bluetooth-name", "Lamp", "--bluetooth-address", "11:22:33:44:55:66")  # fmt: skip
#: Visits that nobody sees.
SELDOM = "times = 0 0 29 2 *\n"
#: C{twistd}, as the program that it is.
TWISTD = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"
#: What is on the bus, and how it is, when nobody uses the radios.
UNUSED = {"clients": 2, "scanning": 0, "connected": 0, "profiles": 1, "active": ["Home"]}

#: What the profile is called with which the camera's network is joined.
OURS = "trailcam KJK_1234"


async def on_the_bus(address: str) -> dict[str, Any]:
    """Who is on the bus, and what the mocks do for them."""
    from dbus_fast import Message, unpack_variants
    from dbus_fast.aio import MessageBus

    bus = await MessageBus(address).connect()

    async def ask(name: str, path: str, interface: str, member: str) -> Any:
        answer = await bus.call(Message(name, path, interface, member))
        assert answer is not None
        return unpack_variants(answer.body[0])

    dbus = "org.freedesktop.DBus"
    network_manager = "org.freedesktop.NetworkManager"
    try:
        names = await ask(dbus, "/", dbus, "ListNames")
        found = []
        for name, path in (("org.bluez", "/"), (network_manager, "/org/freedesktop")):
            objects = await ask(name, path, f"{dbus}.ObjectManager", "GetManagedObjects")
            found += [pair for each in objects.values() for pair in each.items()]
    finally:
        bus.disconnect()
        await bus.wait_for_disconnect()
    kinds = Counter(kind for kind, _ in found)
    return {
        "clients": sum(name.startswith(":") for name in names) - 1,
        "scanning": sum(has.get("Discovering", 0) for _, has in found),
        "connected": sum(has.get("Connected", 0) for _, has in found),
        "profiles": kinds[f"{network_manager}.Settings.Connection"],
        "active": [has["Id"] for kind, has in found if kind.endswith(".Connection.Active")],
    }


class RadioTestCase(ProcessTestCase):
    """Commands that meet one sleeping camera, which every test leaves asleep."""

    options = ASLEEP

    def setUp(self) -> None:
        super().setUp()
        need_radio()
        self.air: Simulator = shared_simulator(*self.options)
        self.bus = self.air.ready["bus"]
        self.variables["DBUS_SYSTEM_BUS_ADDRESS"] = self.bus
        self.configure()

    def configure(self, more: str = SELDOM, **changed: str) -> None:
        """Write a C{tap.conf} that has the camera, called garden."""
        keys = {"address": self.air.camera, "wake": "yes", "wifi": "yes", **changed}
        (self.home / "tap.conf").write_text(
            "[trailcam]\nlibrary = library\nstate = state\n[camera garden]\n" + more
            + "".join(f"{key} = {value}\n" for key, value in keys.items())
        )  # fmt: skip

    def told(self, text: str) -> int:
        """How often the simulator has said so."""
        return sum(text in line for line in list(self.air.err))

    def assert_unused(self) -> None:
        """The camera sleeps, the station is in its own network, and nothing is left on the bus."""
        eventually(self.asleep, "the camera does not sleep")
        eventually(lambda: self.look() == UNUSED, f"it is not {UNUSED}")

    def asleep(self) -> bool:
        """Whether the camera has gone to sleep as often as it has woken up."""
        return self.told("wakes up") == self.told("sleeps again")

    def look(self) -> dict[str, Any]:
        """What is on the bus."""
        return asyncio.run(on_the_bus(self.bus))

    def outcomes(self) -> list[str]:
        """How the visits went, the first one first."""
        return [visit.outcome for visit in reversed(read_visits(self.library, "garden", -1))]


class BluetoothTests(RadioTestCase):
    """A camera is near."""

    def test_scan(self) -> None:
        """A camera is found by its looks; C{--json} tells all of it."""
        result = self.run_trailcam("scan", "--seconds", "0.3")
        self.assertRegex(result.out, r"^C6:1E:0D:00:12:34   -6\d dBm  KJK230_1234$")
        self.assertEqual(result.status, 0)
        (device,) = self.run_trailcam("scan", "--seconds", "0.3", "--json", "--all").events
        self.assertIn(device.pop("rssi"), (-60, -61))
        self.assertEqual(device, {"event": "device", "address": "C6:1E:0D:00:12:34",
                                  "name": "KJK230_1234", "camera": True})  # fmt: skip
        self.assert_unused()

    def test_doctor(self) -> None:
        """It is content with the radios."""
        found = self.run_trailcam("doctor", "--json").events
        status = {each.get("name"): each.get("status") for each in found}
        radios = ("radio", "bluetooth", "wifi", "rights", "network")
        self.assertEqual({name: status[name] for name in radios}, dict.fromkeys(radios, "ok"))


class LampTests(RadioTestCase):
    """What is there is no camera, or not a good one."""

    options = LAMP

    def test_scan(self) -> None:
        """No camera is near: that is an error, which says how to see what is."""
        self.assert_complains(self.run_trailcam("scan", "--seconds", "0.3"), 3, "--all shows")
        (device,) = self.run_trailcam("scan", "--seconds", "0.3", "--json", "--all").events
        self.assertEqual((device["name"], device["camera"]), ("Lamp", False))

    def test_wake(self) -> None:
        """By any of its names; the passphrase is for programs only."""
        self.configure(wake="Lamp")
        for which in "garden", "La":
            result = self.run_trailcam("wake", which)
            self.assertEqual(result.out, "awake; network KJK_1234 (02:00:00:00:12:34), passphrase "
                             "******** (--json shows it)")  # fmt: skip
            self.assertNotIn("12345678", result.err)
        result = self.run_trailcam("wake", "11:22:33:44:55:66", "--json")
        self.assertEqual(result.events, [
            {"event": "awake", "network": "KJK_1234", "bssid": "02:00:00:00:12:34",
             "passphrase": "12345678"}
        ])  # fmt: skip
        self.assert_unused()

    def test_never_appears(self) -> None:
        """Interrupted while it waits for a network that does not come."""
        self.configure(wake="Lamp")
        visit = self.start("visit", "-v")
        visit.err_line("garden: joining")
        self.air.err_line("wakes up", self.told("sleeps again") + 1)
        visit.send(signal.SIGINT)
        self.assertEqual(self.finish(visit).status, 130)
        self.assertEqual(self.outcomes(), ["interrupted"])
        self.assert_unused()


class VisitTests(RadioTestCase):
    """Whole visits."""

    def pictures(self) -> int:
        """How many are at home."""
        return len(list(self.library.glob("*/*/*.jpg")))

    def test_visits(self) -> None:
        """The pictures come home once; what is told of the visits, as text and JSON."""
        self.assert_complains(self.run_trailcam("visits"), 5, "there is no library")
        done = self.run_trailcam("visit", "--json")
        self.assertEqual(done.status, 0, done.err)
        self.assertEqual((self.pictures(), len(done.named("file"))), (6, 6))
        again = self.run_trailcam("visit", "garden")
        self.assertEqual(again.out, "0 new (0 B), 6 here already, 0 failed, in 0.0 s")
        self.assertEqual(again.status, 0)
        told = self.run_trailcam("visits").out
        self.assertRegex(told, r"^20.*  garden  ok  6 new, .* MB  awake .* battery 80 %\n"
                         r" +waking .*, joining .*, leaving .*\n20.*  garden  ok  0")  # fmt: skip
        first, second = self.run_trailcam("visits", "garden", "--json").events
        self.assertEqual((first["new"], second["new"], first["battery"]), (6, 0, 80))
        self.assertEqual(list(first["phases"]), ["waking", "joining", "connecting", "login",
                                                 "information", "syncing", "leaving"])  # fmt: skip
        self.assertGreater(first["awake"], first["transferring"])
        last = self.run_trailcam("visits", "--last", "1", "--json").events
        self.assertEqual(last, [second])
        nobody = self.run_trailcam("visits", "pond")
        self.assertEqual((nobody.status, nobody.out),
                         (0, f"no visit to pond is written down in {self.library}"))  # fmt: skip
        self.assert_unused()

    def test_not_to_be_woken(self) -> None:
        """A camera that is not to be woken is not, and no other in its place."""
        self.configure(wake="no", wifi="no")
        before = self.told("wakes up")
        for command in ("wake", "join"):
            result = self.run_trailcam(command, "garden")
            self.assertEqual((result.status, result.out), (2, ""))
        self.assertEqual(self.told("wakes up"), before)

    def test_join_and_leave(self) -> None:
        """One process joins, another one ends that; meanwhile the radios are in use."""
        self.assert_complains(self.run_trailcam("leave"), 6, "there is nothing to leave")
        joining = self.start("join", "--json")
        joining.out_line('"joined"')
        self.assertEqual(self.look()["active"], [OURS])
        busy = f"the radios are in use by process {joining.pid} "
        refused = self.run_trailcam("visit", "--json")
        (unvisited,) = refused.events
        self.assertEqual((refused.status, unvisited["event"]), (6, "unvisited"))
        self.assertIn(busy, unvisited["reason"])
        (left,) = self.run_trailcam("leave", "--json").events
        self.assertEqual(left, {"event": "left", "pid": joining.pid})
        result = self.finish(joining)
        self.assertEqual(result.status, 130)
        self.assertEqual([event["event"] for event in result.events], ["awake", "joined"])
        self.assert_unused()

    def test_service_is_asked(self) -> None:
        """While a service has the library, it makes the visit."""
        service = self.start_any([sys.executable, "-c", TWISTD, "-n", "--pidfile=", "trailcam",
                                  "--config", "tap.conf"])  # fmt: skip
        eventually(lambda: who_holds(lock_path(self.library)) is not None, "it has no library")
        before = self.told("wakes up")
        (asked,) = self.run_trailcam("visit", "--json").events
        self.assertEqual(asked, {"event": "asked", "pid": service.pid})
        service.out_line("garden: 6 new, 0 here already, 0 failed")
        self.assertEqual((self.outcomes(), self.told("wakes up")), (["ok"], before + 1))
        service.send(signal.SIGTERM)
        service.end()
        self.assertNotIn("Traceback", "\n".join(service.out + service.err))
        self.assert_unused()


class EndTests(RadioTestCase):
    """Visits that end before their end."""

    def setUp(self) -> None:
        only_once()
        super().setUp()

    def visiting(self) -> Process:
        """A visit that tells its phases."""
        return self.start("visit", "-v", "--json")

    def interrupt(self, visit: Process, number: signal.Signals) -> None:
        """It ends, and everything is as it was before."""
        visit.send(number)
        self.assertEqual(self.finish(visit).status, 130)
        self.assertEqual(self.look()["active"], ["Home"], "it did not wait for that")
        self.assert_unused()
        self.assertEqual(self.outcomes()[-1], "interrupted")

    def test_waking(self) -> None:
        """While it looks for a camera that is not there."""
        self.configure(wake="Nobody")
        for number in (signal.SIGTERM, signal.SIGINT):
            visit = self.visiting()
            eventually(lambda: bool(self.look()["scanning"]), "it does not scan")
            self.interrupt(visit, number)

    def test_joining(self) -> None:
        """While NetworkManager activates what it was asked for."""
        visit = self.visiting()
        eventually(lambda: self.look()["active"] == [OURS], "it does not join")
        self.interrupt(visit, signal.SIGTERM)

    def test_connecting(self) -> None:
        """While nobody answers."""
        self.configure(address="127.0.0.1:9")
        visit = self.visiting()
        visit.err_line("attempt 1")
        self.interrupt(visit, signal.SIGINT)

    def test_syncing(self) -> None:
        """While pictures come, by a signal or a kill; the next visit brings the rest."""
        visit = self.visiting()
        visit.out_line('"file"')
        self.interrupt(visit, signal.SIGTERM)
        self.assertIn('"unfinished"', visit.out[-1])
        self.assertIn("closed by the other side", "".join(self.air.err[-4:]))
        visit = self.visiting()
        visit.out_line('"file"')
        back = self.told("the station is in Home")
        visit.send(signal.SIGKILL)
        self.assertEqual(visit.end(), -signal.SIGKILL)
        # Its network went with its connection to the bus.
        self.air.err_line("the station is in Home", back + 1)
        self.assert_unused()
        (done,) = self.run_trailcam("visit", "--json").named("done")
        self.assertEqual((done["new"] + done["skipped"], done["failed"]), (6, 0))
        self.assertEqual(self.outcomes(), ["interrupted", "ok"])
        self.assertEqual(len(list(self.library.glob("*/*/*.jpg"))), 6)
        self.assert_unused()
