"""The seed: come back from the port that the camera knows, whatever happens."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import udp
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.error import CannotListenError, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.support import GARDEN, Process, Stage, kind_of, losing, story
from trailcam.connector import Connector
from trailcam.errors import CameraBusy, CameraLost, ConfigError, NoCameraAnswered, TrailcamError
from trailcam.locks import CameraLocks
from trailcam.portmemory import PortMemory, Remembered
from trailcam.protocol import CameraProtocol
from trailcam.session.events import CloseReason
from trailcam.simulator.server import Firewall
from trailcam.target import Policy, Target
from trailcam.testing import FakeCamera, InlineWorker, MemoryNetwork

CAMERA_PORT = 40611


class Listener:
    """Hears what happens on a link."""

    def __init__(self) -> None:
        self.lost: list[CloseReason] = []

    def link_received(self, channel: int, data: bytes) -> None:
        """Nobody cares here."""

    def link_lost(self, reason: CloseReason) -> None:
        self.lost.append(reason)


class SlowWorker:
    """A disk that takes half a second for everything."""

    pending = 0

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network

    def call(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred(lambda _: call.cancel())

        def work() -> None:
            try:
                result = function(*args)
            except Exception:
                done.errback()
            else:
                done.callback(result)

        call = self._network.callLater(0.5, work)
        return done


class ConnectorTestCase(TestCase):
    """A stage, and a folder where the port is remembered."""

    def setUp(self) -> None:
        """The camera listens; nothing is remembered."""
        self.stage = Stage()
        self.network, self.fake = self.stage.network, self.stage.fake
        self.state = Path(self.mktemp())
        self.memory = PortMemory(self.state)

    def connector(
        self, target: Target = GARDEN, reactor: Any = None, policy: Policy | None = None,
        worker: Any = None,
    ) -> Connector:  # fmt: skip
        """A connector that remembers on disk."""
        return Connector(
            reactor or self.network, target, policy or Policy(), self.memory,
            worker or InlineWorker(),
        )  # fmt: skip

    def connect(self, connector: Connector, total: float | None = None) -> CameraProtocol:
        """Connect, whatever time that takes, and let the camera hear of it."""
        protocol: CameraProtocol = self.stage.run(connector.connect(Listener(), total))
        self.stage.wait(0.02)
        return protocol

    def remembered(self) -> int | None:
        """The port that is on the disk."""
        what = self.memory.recall("garden")
        return what.port if what else None

    def settle(self) -> None:
        """Nothing of the client is left: no port, no delayed call."""
        self.stage.over()


class RememberedPortTests(ConnectorTestCase):
    """Points 1 to 3 of the seed."""

    def test_first_connection(self) -> None:
        """Port 0, the system chooses, and what it chose is on disk before anything is sent."""
        process = Process(self.network)
        at_first_word: list[int | None] = []

        def drops(sent: Any) -> bool:
            at_first_word.append(self.remembered())
            return False

        self.network.drops = drops
        protocol = self.connect(self.connector(reactor=process))
        self.assertEqual(process.asked, [0])
        self.assertEqual(at_first_word[0], protocol.local_port)
        self.assertEqual(self.fake.sources, [protocol.local_port])
        self.assertEqual(
            self.memory.recall("garden"),
            Remembered(protocol.local_port, ("127.0.0.1", CAMERA_PORT)),
        )
        self.stage.run(protocol.close())
        self.settle()

    def test_name_and_address(self) -> None:
        """Called by its address first and given a name later, or the reverse: it is one camera."""
        unnamed = Target(host="127.0.0.1", port=CAMERA_PORT)
        for first, then in ((unnamed, GARDEN), (GARDEN, unnamed)):
            self.memory = PortMemory(Path(self.mktemp()))
            port = self.killed_after_connecting(first)
            protocol = self.connect(self.connector(then))
            self.assertEqual(protocol.local_port, port)
            self.stage.run(protocol.close())
            self.assertEqual(self.memory.recall(then.key), self.memory.recall(first.key))

    def killed_after_connecting(self, target: Target) -> int:
        """Connect, and be gone without a word: the camera remembers the port. Which one it was."""
        process = Process(self.network)
        protocol = self.connect(self.connector(target, process))
        port = protocol.local_port
        process.kill()
        self.stage.wait(2.0)
        return port

    def test_broken_memory_of_one_key(self) -> None:
        """Where the file of the name is damaged, the one of the address still knows."""
        port = self.killed_after_connecting(GARDEN)
        (self.state / "ports" / "garden.json").write_text("{")
        protocol = self.connect(self.connector())
        self.assertEqual(protocol.local_port, port)
        self.stage.run(protocol.close())

    def test_first_connection_without_a_camera(self) -> None:
        """Even if nobody answers the port is kept: it may be the camera's that did not hear."""
        self.stage.run(self.fake.switch_off())
        process = Process(self.network)
        connector = self.connector(reactor=process)
        self.assertRaises(NoCameraAnswered, self.connect, connector)
        self.assertEqual(process.asked, [0, *[connector.local_port] * 5])
        self.assertEqual(self.remembered(), connector.local_port)
        self.settle()

    def test_again_from_the_same_port(self) -> None:
        """A second connection of the same connector comes from the first one's port."""
        process = Process(self.network)
        connector = self.connector(reactor=process)
        for _ in range(3):
            self.stage.run(self.connect(connector).close())
        port = connector.local_port
        self.assertEqual(process.asked, [0, port, port])
        self.assertEqual(self.fake.sources, [port] * 3)
        self.settle()

    def test_remembered_property(self) -> None:
        """Callers can tell a port that was known before from one that is new."""
        connector = self.connector()
        self.stage.run(self.connect(connector).close())
        self.assertFalse(connector.remembered)
        self.stage.run(self.connect(connector).close())
        self.assertTrue(connector.remembered)
        self.settle()

    def test_camera_restarts(self) -> None:
        """The camera is switched off and on: it sees us come from the same port."""
        connector, listener = self.connector(), Listener()
        protocol = self.stage.run(connector.connect(listener))
        self.stage.wait(0.02)
        self.stage.power_cycle(8)
        self.assertEqual(listener.lost, [CloseReason.SILENT])
        self.stage.run(protocol.close())
        self.stage.run(self.connect(connector).close())
        self.assertEqual(self.fake.sources, [connector.local_port] * 2)
        self.settle()

    def test_after_kill(self) -> None:
        """A process that is killed says no word; the next one is known to the camera at once."""
        first = Process(self.network)
        protocol = self.connect(self.connector(reactor=first))
        port = protocol.local_port
        first.kill()
        self.stage.wait(1.1)
        began = self.network.seconds()
        second = Process(self.network)
        protocol = self.connect(self.connector(reactor=second))
        self.assertLess(self.network.seconds() - began, 1)
        self.assertEqual(second.asked, [port])
        self.assertEqual(self.fake.sources, [port, port])
        self.stage.run(protocol.close())
        self.settle()

    def test_killed_before_any_answer(self) -> None:
        """Killed in the first attempt: the next process still calls from that port."""
        self.stage.run(self.fake.switch_off())
        first = Process(self.network)
        never = self.connector(reactor=first).connect(Listener())
        self.stage.wait(0.2)
        (port,) = first.bound
        first.kill()
        self.fake.switch_on()
        second = Process(self.network)
        protocol = self.connect(self.connector(reactor=second))
        self.assertEqual(second.asked, [port])
        self.stage.run(protocol.close())
        never.cancel()  # it lies in its grave, and is not to be dug up by the garbage collector
        self.failureResultOf(never)
        self.settle()

    def test_counter_proof(self) -> None:
        """A strict camera does not say a word to another port, and knows ours again at once."""
        first = Process(self.network)
        port = self.connect(self.connector(reactor=first)).local_port
        first.kill()
        self.stage.wait(60)  # its session is long over, and it remembers us all the same
        self.network.sent.clear()
        stranger = Connector(
            self.network, Target("127.0.0.1", CAMERA_PORT, local_port=50_000), Policy(), None,
            InlineWorker(),
        )  # fmt: skip
        error = self.assertRaises(NoCameraAnswered, self.connect, stranger)
        self.assertIn("source port 50000", str(error))
        heard = [sent for sent in self.network.sent if sent.source[1] == CAMERA_PORT]
        self.assertEqual(heard, [])
        protocol = self.connect(self.connector())
        self.assertEqual(self.fake.sources, [port, port])
        self.stage.run(protocol.close())
        self.settle()

    def test_only_in_this_object(self) -> None:
        """Without a state folder the port is remembered as long as the connector lives."""
        process = Process(self.network)
        connector = Connector(process, GARDEN, Policy(), None, InlineWorker())
        for _ in range(2):
            self.stage.run(self.connect(connector).close())
        self.assertEqual(process.asked, [0, connector.local_port])
        self.settle()

    def test_cameras_do_not_share(self) -> None:
        """Two cameras, two ports."""
        other = FakeCamera(self.network, port=40700, search_port=None)
        other.start()
        one = self.connect(self.connector())
        two = self.connect(self.connector(Target("127.0.0.1", 40700, "stream")))
        self.assertNotEqual(one.local_port, two.local_port)
        self.assertEqual(self.remembered(), one.local_port)
        self.assertEqual(self.memory.recall("stream").port, two.local_port)  # type: ignore[union-attr]
        self.stage.run(gatherResults([one.close(), two.close(), other.stop()]))
        self.settle()


class HeldTests(ConnectorTestCase):
    """A camera that another program is talking to."""

    def held_connector(self, target: Target, policy: Policy | None = None) -> Connector:
        """A program of its own, with the same state folder."""
        return Connector(
            self.network, target, policy or Policy(), self.memory, InlineWorker(),
            locks=CameraLocks(self.state),
        )  # fmt: skip

    def test_who(self) -> None:
        """Called by name, by address, without a port, or searched for: the second hears who."""
        first = self.held_connector(GARDEN)
        protocol = self.connect(first)
        self.network.sent.clear()
        others = (GARDEN, Target("127.0.0.1", CAMERA_PORT), Target("127.0.0.1"),
                  Target(broadcast="127.0.0.1"), Target("127.0.0.1", name="pond"))  # fmt: skip
        for target in others:
            error = self.failureResultOf(self.held_connector(target).connect(Listener())).value
            self.assertIsInstance(error, CameraBusy)
            self.assertIn(f"is in use by process {os.getpid()}", str(error))
        self.assertEqual(self.network.sent, [], "not a datagram disturbed the camera")
        self.stage.run(protocol.close())
        self.successResultOf(first.release())
        for target in others:
            connector = self.held_connector(target)
            self.stage.run(self.connect(connector).close())
            self.successResultOf(connector.release())
        self.settle()

    def test_found_to_be_held(self) -> None:
        """One that turns out to be somebody's only when it answers."""
        self.stage = Stage(firewall=Firewall.OFF)
        self.network = self.stage.network
        first = self.held_connector(GARDEN)
        protocol = self.connect(first)
        second = Connector(
            self.network, Target("127.0.0.1"), Policy(), None, InlineWorker(),
            locks=CameraLocks(self.state),
        )  # fmt: skip
        self.assertRaises(CameraBusy, self.stage.run, second.connect(Listener()))
        self.stage.run(protocol.close())
        first.release()
        self.settle()

    def test_given_back(self) -> None:
        """Who did not get through, or gave up, holds nothing."""
        self.stage.run(self.fake.switch_off())
        hasty = self.held_connector(GARDEN, Policy(pauses=(), discovery=0.5))
        self.assertRaises(NoCameraAnswered, self.stage.run, hasty.connect(Listener()))
        connecting = self.held_connector(GARDEN).connect(Listener())
        self.stage.wait(2)
        connecting.cancel()
        self.assertRaises(CancelledError, self.stage.run, connecting)
        self.fake.switch_on()
        connector = self.held_connector(GARDEN)
        self.stage.run(self.connect(connector).close())
        connector.release()
        self.settle()

    def test_beyond_another_interface(self) -> None:
        """All cameras have the same address: beyond another interface it is another camera."""
        near = CameraLocks(self.state)
        near.hold("192.168.43.1:40611")
        far = self.held_connector(Target("192.168.43.1", interface="127.0.0.1"),
                                  Policy(pauses=(), discovery=0.5))  # fmt: skip
        self.assertRaises(NoCameraAnswered, self.stage.run, far.connect(Listener()))
        near.release()
        self.settle()

    def test_state_is_a_file(self) -> None:
        """Where nothing can be locked, the connection comes about all the same."""
        Path(self.state).write_text("")
        connector = self.held_connector(GARDEN)
        self.stage.run(self.connect(connector).close())
        self.settle()


class BudgetTests(ConnectorTestCase):
    """Point 5 of the seed: how often, how long."""

    def setUp(self) -> None:
        """The camera is switched off."""
        super().setUp()
        self.stage.run(self.fake.switch_off())
        self.began = self.network.seconds()

    def attempts(self, connector: Connector, total: float | None = None) -> list[float]:
        """When each attempt sent its first word, until it is given up."""
        self.network.sent.clear()
        times: list[float] = []

        def drops(sent: Any) -> bool:
            now = self.network.seconds() - self.began
            if not times or now - self.last > 0.9:
                times.append(round(now, 3))
            self.last = now
            return True

        self.network.drops = drops
        self.assertRaises(NoCameraAnswered, self.connect, connector, total)
        return times

    def elapsed(self) -> float:
        """Seconds since it began."""
        return self.network.seconds() - self.began

    def test_defaults(self) -> None:
        """Six attempts of 5 s, with 1, 2, 4, 8 and 16 s between them."""
        self.assertEqual(self.attempts(self.connector()), [0, 6, 13, 22, 35, 56])
        self.assertAlmostEqual(self.elapsed(), 61, places=1)
        self.settle()

    def test_budget_starts_afresh(self) -> None:
        """The next connect has all of it again."""
        connector = self.connector()
        self.attempts(connector)
        self.began = self.network.seconds()
        self.assertEqual(self.attempts(connector), [0, 6, 13, 22, 35, 56])
        self.settle()

    def test_total(self) -> None:
        """The total ends it in the middle of an attempt, and in a pause."""
        self.assertEqual(self.attempts(self.connector(), 15), [0, 6, 13])
        self.assertAlmostEqual(self.elapsed(), 15, places=1)
        self.began = self.network.seconds()
        self.assertEqual(self.attempts(self.connector(), 20), [0, 6, 13])
        self.assertAlmostEqual(self.elapsed(), 18, places=1)
        self.settle()

    def test_configured(self) -> None:
        """Everything about it can be configured."""
        policy = Policy(discovery=2, pauses=(3.0,), total=60)
        self.assertEqual(self.attempts(self.connector(policy=policy)), [0, 5])
        self.assertAlmostEqual(self.elapsed(), 7, places=1)
        self.settle()

    def test_ninety_seconds_whatever_the_camera_does(self) -> None:
        """A camera that answers, but never accepts a session, keeps nobody beyond the budget."""
        self.fake.switch_on()
        self.network.drops = losing("Drw0", CAMERA_PORT)
        with capturedLogs() as events:
            self.assertRaises(NoCameraAnswered, self.connect, self.connector())
        self.assertApproximates(self.elapsed(), 61, 1)
        told = [text for text in story(events) if "answered" in text]
        self.assertEqual(told, ["127.0.0.1:40611 answered, but accepted no session"] * 6)
        self.network.drops = lambda sent: False
        self.settle()

    def test_answer_in_the_last_moment(self) -> None:
        """A session that begins at the end of the budget lives as long as any other."""
        self.network.callLater(4.3, self.fake.switch_on)
        listener = Listener()
        protocol = self.stage.run(self.connector().connect(listener, 4.7))
        self.stage.wait(20)
        self.assertEqual(listener.lost, [])
        self.stage.run(protocol.close())
        self.settle()

    def test_answer_to_a_later_attempt(self) -> None:
        """The camera wakes up while we pause: the next attempt finds it, from the same port."""
        self.network.callLater(20, self.fake.switch_on)
        process = Process(self.network)
        protocol = self.connect(self.connector(reactor=process))
        self.assertApproximates(self.elapsed(), 22, 0.2)
        self.assertEqual(set(process.asked), {0, protocol.local_port})
        self.assertEqual(process.refused, [], "each port was given back before it was bound again")
        self.stage.run(protocol.close())
        self.settle()

    def test_what_people_are_told(self) -> None:
        """The error says where, how long, what to look at, and from which port we called."""
        error = self.assertRaises(NoCameraAnswered, self.connect, self.connector())
        self.assertRegex(
            str(error),
            r"^no camera answered at garden \(127.0.0.1:40611\) within 61 s\. .*Wi-Fi\?.*"
            r"source port 49152; .*switched off and on\.$",
        )
        self.assertEqual(error.exit_status, 3)
        with mock.patch("trailcam.discovery.local_networks", return_value=[]):
            error = self.assertRaises(NoCameraAnswered, self.connect, self.connector(Target()), 3)
        self.assertIn("no camera answered here within 3 s", str(error))
        self.settle()


class StoryTests(ConnectorTestCase):
    """Point 7 of the seed: the log tells the story."""

    def told(self, events: list[Any]) -> list[str]:
        """What the connector had to tell."""
        namespace = "trailcam.connector.Connector"
        return story(event for event in events if event["log_namespace"] == namespace)

    def test_story(self) -> None:
        """First attempt, port assigned, connected; no answer; port reused, connected."""
        connector = self.connector()
        with capturedLogs() as events:
            self.stage.run(self.connect(connector).close())
        port = connector.local_port
        self.assertEqual(self.told(events), [
            "attempt 1 of 6: looking for garden (127.0.0.1:40611)",
            f"first connection: the system assigned source port {port}",
            f"connected to 127.0.0.1:40611 (LBCS-000000-CCCJJ) from source port {port}",
        ])  # fmt: skip
        self.stage.run(self.fake.switch_off())
        self.network.callLater(5.5, self.fake.switch_on)
        with capturedLogs() as events:
            self.stage.run(self.connect(self.connector()).close())
        self.assertEqual(self.told(events), [
            "attempt 1 of 6: looking for garden (127.0.0.1:40611)",
            f"using source port {port} again",
            "no answer",
            "attempt 2 of 6: looking for garden (127.0.0.1:40611)",
            f"using source port {port} again",
            f"connected to 127.0.0.1:40611 (LBCS-000000-CCCJJ) from source port {port}",
        ])  # fmt: skip
        self.settle()


class TakenPortTests(ConnectorTestCase):
    """When the remembered port cannot be had."""

    def setUp(self) -> None:
        """5000 is remembered, and another program holds it."""
        super().setUp()
        self.memory.remember("garden", Remembered(5000))
        self.network.taken.add(5000)

    def warnings(self, events: list[Any]) -> list[str]:
        """What was warned of."""
        return story(events, LogLevel.warn)

    def test_goes_on_from_another(self) -> None:
        """After waiting, one warning, a fresh port, and from then on that is the one."""
        process = Process(self.network)
        with capturedLogs() as events:
            protocol = self.connect(self.connector(reactor=process))
        self.assertApproximates(self.network.seconds(), 10, 0.6)
        self.assertEqual(process.asked[:-1], [5000] * (len(process.asked) - 1))
        self.assertEqual(process.asked[-1], 0)
        (warning,) = self.warnings(events)
        self.assertIn("source port 5000, which the camera knows, is held by another", warning)
        self.assertIn("switch it off and on", warning)
        self.assertEqual(self.remembered(), protocol.local_port)
        self.assertEqual(self.fake.sources, [protocol.local_port])
        self.stage.run(protocol.close())
        self.settle()

    def test_comes_free_in_time(self) -> None:
        """A port that comes free within the patience is used, without a warning."""
        self.network.callLater(3.2, self.network.taken.clear)
        with capturedLogs() as events:
            protocol = self.connect(self.connector())
        self.assertEqual(protocol.local_port, 5000)
        self.assertEqual(self.warnings(events), [])
        self.stage.run(protocol.close())
        self.settle()

    def test_not_forgotten_until_another_works(self) -> None:
        """While nobody answers the stand-in, the old port stays the remembered one."""
        self.stage.run(self.fake.switch_off())
        process = Process(self.network)
        with capturedLogs() as events:
            self.assertRaises(NoCameraAnswered, self.connect, self.connector(reactor=process))
        self.assertEqual(len(self.warnings(events)), 1, "once, not at every attempt")
        got = [port for port in process.asked if port not in process.refused]
        self.assertEqual(len(got), 6)
        self.assertEqual(got[0], 0)
        self.assertEqual(len(set(got[1:])), 1, "the stand-in is the same on every attempt")
        self.assertEqual(self.remembered(), 5000)
        self.settle()

    def test_old_port_comes_back(self) -> None:
        """As soon as the old port is free it is the one again."""
        self.stage.run(self.fake.switch_off())
        self.network.callLater(15.5, self.network.taken.clear)
        self.network.callLater(17, self.fake.switch_on)
        protocol = self.connect(self.connector())
        self.assertEqual(protocol.local_port, 5000)
        self.assertEqual(self.remembered(), 5000)
        self.stage.run(protocol.close())
        self.settle()

    def test_stand_in_taken_too(self) -> None:
        """Bad luck twice costs another port, not the connection."""
        self.stage.run(self.fake.switch_off())
        connector = self.connector()
        connecting = connector.connect(Listener())
        self.stage.wait(15.9)  # in the pause after the first attempt
        self.network.taken.add(connector.local_port)
        self.fake.switch_on()
        protocol = self.stage.run(connecting)
        self.assertNotIn(protocol.local_port, self.network.taken)
        self.stage.run(protocol.close())
        self.settle()

    def test_by_hand(self) -> None:
        """A port that a person chose is not exchanged for another: the error says what to do."""
        target = Target("127.0.0.1", CAMERA_PORT, local_port=5000)
        error = self.assertRaises(ConfigError, self.connect, self.connector(target))
        self.assertEqual(
            str(error),
            "source port 5000 cannot be used: Address already in use; "
            "choose another with --local-port, or none",
        )
        self.assertEqual(error.exit_status, 2)
        self.settle()

    def test_by_hand_free(self) -> None:
        """A port that a person chose is used, told of, and not remembered."""
        target = Target("127.0.0.1", CAMERA_PORT, "garden", local_port=6000)
        with capturedLogs() as events:
            protocol = self.connect(self.connector(target))
        self.assertIn("using source port 6000, as told", story(events))
        self.assertEqual(self.fake.sources, [6000])
        self.assertEqual(self.remembered(), 5000)
        self.stage.run(protocol.close())
        self.settle()

    def test_no_port_at_all(self) -> None:
        """Where the system gives no port, the error says why."""
        process = Process(self.network)
        trouble = CannotListenError("10.9.9.9", 0, OSError(99, "Cannot assign requested address"))
        target = Target("127.0.0.1", CAMERA_PORT, "other", "10.9.9.9")
        with mock.patch.object(process, "listenUDP", side_effect=trouble):
            error = self.assertRaises(
                ConfigError, self.connect, self.connector(target, reactor=process)
            )
        self.assertEqual(
            str(error), "no UDP port can be opened on 10.9.9.9: Cannot assign requested address"
        )
        self.memory.remember("other", Remembered(5000))
        with mock.patch.object(process, "listenUDP", side_effect=trouble):
            error = self.assertRaises(
                ConfigError, self.connect, self.connector(target, reactor=process)
            )
        self.assertIn("no UDP port can be opened", str(error))
        self.settle()


class BadMemoryTests(ConnectorTestCase):
    """A state folder that cannot be used costs a warning, not the connection."""

    def connects(self, warnings: int) -> list[str]:
        """It connects twice, from one port; what was warned of."""
        process = Process(self.network)
        connector = self.connector(reactor=process)
        with capturedLogs() as events:
            for _ in range(2):
                self.stage.run(self.connect(connector).close())
        self.assertEqual(self.fake.sources, [connector.local_port] * 2)
        told = story(events, LogLevel.warn)
        self.assertEqual(len(told), warnings)
        self.settle()
        return told

    def test_cannot_be_written(self) -> None:
        """Read-only, full, or a file in its place: one warning, that says what it means."""
        for number in (errno.EROFS, errno.ENOSPC, errno.EACCES):
            trouble = OSError(number, os.strerror(number))
            with mock.patch.object(PortMemory, "remember", side_effect=trouble):
                self.setUp()
                (warning,) = self.connects(1)
            self.assertIn(f"cannot remember the source port in {self.state}/ports: ", warning)
            self.assertIn(os.strerror(number), warning)
            self.assertIn("switch it off and on", warning)

    def test_file_in_the_way(self) -> None:
        """Neither to be read nor written: still one warning."""
        self.state.write_bytes(b"")
        (warning,) = self.connects(1)
        self.assertIn("cannot read the source port", warning)

    def test_corrupt(self) -> None:
        """A file that was damaged is told of, and made good."""
        self.memory.remember("garden", Remembered(5000))
        (self.state / "ports" / "garden.json").write_bytes(b"\0" * 100)
        (warning,) = self.connects(1)
        self.assertIn("cannot read the source port", warning)
        self.assertEqual(self.remembered(), self.fake.sources[0])

    def test_silent_otherwise(self) -> None:
        """With a good folder nothing is warned of."""
        self.assertEqual(self.connects(0), [])

    def test_slow(self) -> None:
        """Nothing is sent before a slow disk has the port."""
        at_first_word: list[int | None] = []

        def drops(sent: Any) -> bool:
            at_first_word.append(self.remembered())
            return False

        self.network.drops = drops
        protocol = self.connect(self.connector(worker=SlowWorker(self.network)))
        self.assertEqual(at_first_word[0], protocol.local_port)
        self.assertGreater(self.network.seconds(), 1.4)  # recall, port, address
        self.stage.run(protocol.close())
        self.settle()

    def test_slow_and_lost_meanwhile(self) -> None:
        """A session that ends while the disk is busy is told to the listener all the same."""
        listener = Listener()
        connecting = self.connector(worker=SlowWorker(self.network)).connect(listener)
        self.stage.until(lambda: bool(self.fake.sources))
        self.stage.run(self.fake.stop())  # which says CLOSE
        protocol = self.stage.run(connecting)
        self.assertEqual(listener.lost, [CloseReason.PEER])
        self.stage.run(protocol.close())
        self.settle()


class HardWaysTests(ConnectorTestCase):
    """Point 4 of the seed, and networks that lose just what is needed."""

    def lossy(self, kind: str, source: int, times: float) -> float:
        """Connect while some are lost; how long it took."""
        self.network.drops = losing(kind, source, times)
        began = self.network.seconds()
        protocol = self.connect(self.connector(Target("127.0.0.1", name="garden")))
        seconds = self.network.seconds() - began
        self.network.drops = lambda sent: False
        self.assertEqual(self.fake.sources, [protocol.local_port])
        self.stage.run(protocol.close())
        self.settle()
        return seconds

    def test_ready_lost(self) -> None:
        """P2P_RDY lost, ten times."""
        self.assertLess(self.lossy("P2PRdy", CAMERA_PORT, 10), 2)

    def test_every_ready_lost(self) -> None:
        """All P2P_RDY lost after the first, but ACK comes through."""
        seen = []

        def drops(sent: Any) -> bool:
            if kind_of(sent) == "P2PRdy":
                seen.append(sent)
            return kind_of(sent) == "P2PRdy" and len(seen) > 1

        self.network.drops = drops
        self.stage.run(self.connect(self.connector()).close())
        self.settle()

    def test_ack_lost(self) -> None:
        """The C{ACK} that says that the session stands lost, twenty times."""
        self.assertLess(self.lossy("Drw0", CAMERA_PORT, 20), 2)

    def test_punch_lost(self) -> None:
        """Our PUNCH_PKT lost, seven times (which is once to each known port, and more)."""
        self.assertLess(self.lossy("PunchPkt", 49152, 7), 2)

    def test_acknowledgement_lost(self) -> None:
        """Our acknowledgements of the C{ACK} lost."""
        self.network.drops = losing("DrwAck", 49152, 5)
        protocol = self.connect(self.connector())
        self.stage.until(lambda: bool(self.fake.sources))
        self.stage.run(protocol.close())
        self.settle()

    def test_only_search(self) -> None:
        """A camera on a port that nobody knows is found by search alone."""
        self.stage.run(self.fake.stop())
        self.fake = FakeCamera(self.network, port=45454, search_port=32108)
        self.stage.fake = self.fake
        self.fake.start()
        protocol = self.connect(self.connector(Target(broadcast="127.0.0.1")))
        self.assertEqual(protocol.peer, ("127.0.0.1", 45454))
        kinds = {kind_of(sent) for sent in self.network.sent if sent.source[1] == 49152}
        self.assertIn("LanSearch", kinds)
        self.stage.run(protocol.close())
        self.settle()

    def test_only_search_and_lossy(self) -> None:
        """The answers to the first searches are lost: the search goes on."""
        self.network.drops = losing("PunchPkt", CAMERA_PORT, 12)
        protocol = self.connect(self.connector(Target(broadcast="127.0.0.1")))
        self.assertLess(self.network.seconds(), 3)
        self.stage.run(protocol.close())
        self.settle()

    def test_only_punch(self) -> None:
        """A camera that does not hear searches is found by a punch at its port."""
        for port in (40611, 32108, 3333, 32100, 10000):
            self.stage.run(self.fake.stop())
            self.fake = self.stage.fake = FakeCamera(self.network, port=port, search_port=None)
            self.fake.start()
            protocol = self.connect(self.connector(Target("127.0.0.1")))
            self.assertEqual(protocol.peer, ("127.0.0.1", port))
            self.stage.run(protocol.close())
            self.stage.wait(0.1)
        self.settle()

    def test_host_is_never_searched_for(self) -> None:
        """A camera given as HOST: not one LAN_SEARCH, not one datagram to anybody else."""
        self.stage.run(self.fake.switch_off())
        self.network.callLater(30, self.fake.switch_on)
        protocol = self.connect(self.connector(Target("127.0.0.1")))
        self.assertFalse(protocol.transport.getBroadcastAllowed())  # type: ignore[union-attr]
        ours = [sent for sent in self.network.sent if sent.source[1] == protocol.local_port]
        self.assertEqual({sent.destination[0] for sent in ours}, {"127.0.0.1"})
        self.assertNotIn("LanSearch", {kind_of(sent) for sent in ours})
        self.stage.run(protocol.close())
        self.settle()

    def test_nothing_to_any_cloud(self) -> None:
        """HELLO and the session report are never sent."""
        protocol = self.connect(self.connector(Target(broadcast="127.0.0.1")))
        self.stage.wait(5)
        self.stage.run(protocol.close())
        kinds = {kind_of(sent) for sent in self.network.sent if sent.source[1] == 49152}
        self.assertLessEqual(
            kinds, {"LanSearch", "PunchPkt", "Alive", "AliveAck", "DrwAck", "Close"}
        )
        self.settle()

    def test_ten_percent(self) -> None:
        """On a link that loses one in five each way, it connects within a few seconds."""
        for seed in range(10):
            stage = Stage()
            stage.fake.faults.loss, stage.fake.faults.seed = 0.2, seed
            stage.fake.link.__init__(stage.network, stage.fake.faults)  # type: ignore[misc]
            connector = Connector(stage.network, GARDEN, Policy(), None, InlineWorker())
            protocol = stage.run(connector.connect(Listener()))
            self.assertLess(stage.network.seconds(), 6, f"seed {seed}")
            stage.run(protocol.close())
            stage.over()

    def test_camera_says_close_at_once(self) -> None:
        """A camera that ends the session before it stands: the next attempt is made."""
        connecting = self.connector().connect(Listener())
        self.network.drops = losing("Drw0", CAMERA_PORT)
        self.stage.wait(0.02)
        self.stage.run(self.fake.stop())
        self.network.drops = lambda sent: False
        self.stage.wait(0.1)
        self.fake.switch_on()
        protocol = self.stage.run(connecting)
        self.assertApproximates(self.network.seconds(), 1, 0.3)
        self.stage.run(protocol.close())
        self.settle()

    def test_camera_that_lets_everybody_in(self) -> None:
        """A friendly camera works just the same, and still sees one port."""
        stage = Stage(firewall=Firewall.OFF)
        connector = Connector(stage.network, GARDEN, Policy(), self.memory, InlineWorker())
        for _ in range(2):
            protocol = stage.run(connector.connect(Listener()))
            stage.wait(0.02)
            stage.run(protocol.close())
        self.assertEqual(stage.fake.sources, [connector.local_port] * 2)
        stage.over()


class CancelTests(TestCase):
    """Who cancels gets rid of everything."""

    def cancelled_at(self, moment: float, **options: Any) -> None:
        """Connect, cancel so many seconds later, and see that nothing is left."""
        stage = Stage()
        network = stage.network
        power = options.pop("power", True)
        if not power:
            stage.run(stage.fake.switch_off())
        network.drops = options.pop("drops", network.drops)
        network.taken = set(options.pop("taken", ()))
        worker = SlowWorker(network) if options.pop("slow", False) else InlineWorker()
        memory = PortMemory(Path(self.mktemp()))
        memory.remember("garden", Remembered(5000))
        if options.pop("first", True):
            memory = PortMemory(Path(self.mktemp()))
        process = Process(network)
        connector = Connector(process, GARDEN, Policy(), memory, worker)
        connecting = connector.connect(Listener())
        outcome: list[Any] = []
        connecting.addBoth(outcome.append)
        stage.wait(moment)
        if outcome:
            stage.run(outcome[0].close())
        else:
            connecting.cancel()
            stage.wait(0.01)
            self.assertEqual(len(outcome), 1, f"at {moment}")
            self.assertIsInstance(outcome[0], Failure)
            self.assertIsInstance(outcome[0].value, CancelledError)
        self.assertEqual(process.getDelayedCalls(), [], f"at {moment}")
        self.assertEqual(process.bound, [], f"at {moment}")
        network.drops = lambda sent: False
        # And it can be done again: nothing was spoiled.
        network.taken.clear()
        if not power:
            stage.fake.switch_on()
        protocol = stage.run(connector.connect(Listener()))
        stage.run(protocol.close())
        stage.over()

    def test_while_connecting(self) -> None:
        """Every millisecond of a connection that comes about."""
        for step in range(12):
            self.cancelled_at(step / 1000)

    def test_while_nobody_answers(self) -> None:
        """In attempts and in pauses."""
        for moment in (0, 0.05, 0.3, 4.99, 5.0, 5.001, 5.5, 6.0, 6.3, 11.5, 30, 60):
            self.cancelled_at(moment, power=False)

    def test_while_it_does_not_accept(self) -> None:
        """In the handshake."""
        for moment in (0.003, 0.1, 1, 4.9, 5.001, 7):
            self.cancelled_at(moment, drops=losing("Drw0", CAMERA_PORT))

    def test_while_the_disk_works(self) -> None:
        """While the port is read, while it is written, while the address is written."""
        for moment in (0, 0.2, 0.499, 0.501, 0.9, 0.999, 1.001, 1.004, 1.2, 1.6):
            for first in (True, False):
                self.cancelled_at(moment, slow=True, first=first)

    def test_while_waiting_for_the_port(self) -> None:
        """While another program holds it."""
        for moment in (0, 0.2, 0.5, 3, 9.9, 10.2):
            self.cancelled_at(moment, taken=[5000], first=False, power=False)

    def test_recall_is_not_skipped(self) -> None:
        """Who was cancelled while reading the port reads it the next time, and keeps it."""
        stage = Stage()
        memory = PortMemory(Path(self.mktemp()))
        memory.remember("garden", Remembered(5000))
        connector = Connector(
            stage.network, GARDEN, Policy(), memory, SlowWorker(stage.network)
        )
        connecting = connector.connect(Listener())
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        protocol = stage.run(connector.connect(Listener()))
        self.assertEqual(protocol.local_port, 5000)
        stage.run(protocol.close())
        stage.over()


#: Connects, says from which port, and waits to be killed.
CHILD = """
import sys
from pathlib import Path
from twisted.internet import reactor
from trailcam.client import Camera
from trailcam.target import Target

camera = Camera(reactor, Target("127.0.0.1", int(sys.argv[1]), "garden"), state=Path(sys.argv[2]))

def say(_):
    print("port", camera.local_port, "known" if camera.remembered else "new", flush=True)

camera.connect().addCallback(lambda _: camera.login()).addCallback(say)
reactor.run()
"""


class _Child(ProcessProtocol):
    """A process that says one line."""

    def __init__(self) -> None:
        self.line: Deferred[str] = Deferred()
        self.ended: Deferred[ProcessTerminated] = Deferred()
        self._text = ""

    def outReceived(self, data: bytes) -> None:
        self._text += data.decode()
        if "\n" in self._text and not self.line.called:
            self.line.callback(self._text.strip())

    def errReceived(self, data: bytes) -> None:
        sys.stderr.write(data.decode())

    def processEnded(self, reason: Failure) -> None:
        if not self.line.called:
            self.line.errback(reason)
        self.ended.callback(reason.value)  # type: ignore[arg-type]


class RealSocketTests(TestCase):
    """The same with real processes, real sockets and a real SIGKILL."""

    timeout = 30

    async def test_kill(self) -> None:
        """A killed process's successor comes from the same port, and is let in."""
        from twisted.internet import reactor

        fake = FakeCamera(reactor, port=0, search_port=None)
        fake.start()
        state = Path(self.mktemp()).absolute()
        lines = []
        try:
            for _ in range(2):
                child = _Child()
                process = reactor.spawnProcess(  # type: ignore[attr-defined]
                    child, sys.executable,
                    [sys.executable, "-c", CHILD, str(fake.address[1]), str(state)],
                    env=os.environ,
                )  # fmt: skip
                lines.append(await child.line)
                process.signalProcess(signal.SIGKILL)
                reason = await child.ended
                self.assertEqual(reason.signal, signal.SIGKILL)
        finally:
            await fake.stop()
        port = fake.sources[0]
        self.assertEqual(lines, [f"port {port} new", f"port {port} known"])
        # (Once only if the second came within a second, for then the session goes on.)
        self.assertEqual(set(fake.sources), {port})
        entry = json.loads((state / "ports" / "garden.json").read_text())
        self.assertEqual(entry["port"], port)

    async def test_port_given_back(self) -> None:
        """With real sockets, too, a port can be bound as soon as C{close} has fired."""
        from twisted.internet import reactor

        fake = FakeCamera(reactor, port=0, search_port=None)
        fake.start()
        target = Target("127.0.0.1", fake.address[1], "garden")
        connector = Connector(reactor, target, Policy(), None, InlineWorker())  # type: ignore[arg-type]
        with capturedLogs() as events:
            for _ in range(5):
                protocol = await connector.connect(Listener())
                protocol.send(0, b"hello")
                await protocol.close()
        await fake.stop()
        self.assertEqual(set(fake.sources), {connector.local_port})
        self.assertEqual(story(events, LogLevel.warn), [])

    async def test_taken_by_hand(self) -> None:
        """With real sockets, too, the reason of the system is in the error."""
        from twisted.internet import reactor

        made: list[socket.socket] = []
        create = udp.Port.createInternetSocket

        def creating(port: udp.Port) -> socket.socket:
            made.append(create(port))
            return made[-1]

        # Twisted leaves a socket that it could not bind to the garbage collector.
        self.patch(udp.Port, "createInternetSocket", creating)
        self.addCleanup(lambda: [each.close() for each in made])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            port = other.getsockname()[1]
            target = Target("127.0.0.1", 9, interface="127.0.0.1", local_port=port)
            connector = Connector(reactor, target, Policy(), None, InlineWorker())  # type: ignore[arg-type]
            with self.assertRaisesRegex(ConfigError, "cannot be used: .*in use"):
                await connector.connect(Listener())
        self.assertEqual(len(made), 1)


class ErrorTests(TestCase):
    """Errors of connecting are ours to explain."""

    def test_family(self) -> None:
        """All of them are L{TrailcamError}s with a status for the command line."""
        for error, status in ((NoCameraAnswered, 3), (CameraLost, 3), (ConfigError, 2)):
            self.assertTrue(issubclass(error, TrailcamError))
            self.assertEqual(error.exit_status, status)
