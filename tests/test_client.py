"""L{Camera}: the client that other programs use, against a simulated camera."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.support import GARDEN, NOW, PlainCard, Process, Stage, kind_of, losing, story
from trailcam.client import Camera, MediaListing
from trailcam.commands import MediaFile, MediaPage, decode_text
from trailcam.errors import (
    CameraBusy,
    CameraLost,
    CommandFailed,
    ConfigError,
    DamagedTransfer,
    DecodeError,
    LibraryError,
    LoginRefused,
    NoCameraAnswered,
)
from trailcam.sinks import Downloaded
from trailcam.target import Policy, Target
from trailcam.wire import pppp
from trailcam.wire.artemis import Message, StreamScanner

CAMERA_PORT = 40611


class BigCard(PlainCard):
    """A card whose photos take some milliseconds."""

    size = 400_000


async def collect(listing: MediaListing) -> list[MediaFile]:
    """All of a listing."""
    return [file async for file in listing]


class ClientTestCase(TestCase):
    """A stage, and a client on it."""

    def setUp(self) -> None:
        """A camera with three photos."""
        self.stage = Stage()
        self.network, self.fake = self.stage.network, self.stage.fake
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def use(self, stage: Stage) -> Stage:
        """Another camera in the place of the first."""
        self.stage.over()
        self.stage, self.network, self.fake = stage, stage.network, stage.fake
        return stage

    def list(self, camera: Camera) -> list[MediaFile]:
        """What is on the card."""
        files: list[MediaFile] = self.stage.run(Deferred.fromCoroutine(collect(camera.media())))
        return files

    def requests(self, command: int | None = None) -> list[tuple[int, dict[str, Any]]]:
        """The commands that were sent, with their numbers, each once in a session."""
        sessions: list[dict[int, bytes]] = [{}]
        for sent in self.network.sent:
            if sent.destination[1] != CAMERA_PORT:
                continue
            value = pppp.decode(sent.data)
            if isinstance(value, pppp.PunchPkt):
                sessions.append({})
            elif isinstance(value, pppp.Drw):
                sessions[-1].setdefault(value.index, value.data)
        scanner, found = StreamScanner(), []
        for pieces in sessions:
            scanner.feed(b"".join(pieces[index] for index in sorted(pieces)))
            while (part := scanner.next_part()) is not None:
                assert isinstance(part, Message)
                found.append((part.sequence, decode_text(part.payload)))
        return [each for each in found if command in (None, each[1]["cmdId"])]


class ComingTests(ClientTestCase):
    """Connecting and logging in."""

    def test_login(self) -> None:
        """The login carries the station's wall clock; the log says that we are in."""
        with capturedLogs() as events:
            camera = self.stage.guest()
        (login,) = self.requests(0)
        self.assertEqual(login[1]["utcTime"], NOW)
        self.assertEqual((login[1]["usrName"], login[1]["password"]), ("admin", "admin"))
        self.assertIn("logged in to garden (127.0.0.1:40611)", story(events))
        self.assertEqual((camera.sessions, camera.address), (1, ("127.0.0.1", CAMERA_PORT)))
        self.stage.over(camera)
        self.assertIsNone(camera.address)

    def test_wall_clock(self) -> None:
        """The camera is told its own zone's wall clock, summer time and all, as if it were UTC."""
        for zone, moment, offset in (
            ("Europe/Berlin", 1_766_529_738, 3600),
            ("Europe/Berlin", 1_780_000_000, 7200),
            ("America/St_Johns", 1_766_529_738, -12600),
            ("Asia/Kathmandu", 1_766_529_738, 20700),
        ):
            self.network.sent.clear()
            camera = self.stage.guest(
                zone=ZoneInfo(zone), wall_clock=lambda moment=moment: moment + 0.9
            )
            self.assertEqual(self.requests(0)[0][1]["utcTime"], moment + offset)
            self.stage.run(camera.close())
            self.stage.wait(0.1)
        self.stage.over()

    def test_refused(self) -> None:
        """A refused login is told at once, not tried again, and the port is free afterwards."""
        camera = self.stage.client(password="wrong")
        self.stage.run(camera.connect())
        error = self.assertRaises(LoginRefused, self.stage.run, camera.login())
        self.assertEqual(
            str(error),
            "the camera refused the login: Username or password error; check user and password",
        )
        self.stage.run(camera.close())
        self.stage.wait(30)
        self.assertEqual(len(self.requests(0)), 1)
        self.assertEqual(self.network.bound, [("127.0.0.1", 40611), ("127.0.0.1", 32108)])
        self.stage.over()

    def test_refused_after_coming_back(self) -> None:
        """A password that was changed meanwhile ends it: no more tries, no port, no timer."""
        camera = self.stage.guest()
        self.fake.faults.refuse_login = True
        self.stage.power_cycle()
        asked = camera.info()
        self.assertRaises(LoginRefused, self.stage.run, asked)
        self.stage.wait(30)
        self.assertEqual(len(self.requests(0)), 2)
        self.assertEqual(len(self.network.bound), 2, "only the camera's ports")
        self.stage.over(camera)

    def test_login_before_connect(self) -> None:
        """Without a session there is nothing to log in to."""
        camera = self.stage.client()
        error = self.assertRaises(CameraLost, self.stage.run, camera.login())
        self.assertIn("connect first", str(error))
        self.stage.over(camera)

    def test_connect_twice(self) -> None:
        """A session that stands is kept."""
        camera = self.stage.guest()
        self.stage.run(camera.connect())
        both = DeferredList([camera.connect(), camera.connect()])
        self.stage.run(both)
        self.assertEqual(camera.sessions, 1)
        self.stage.over(camera)

    def test_two_at_once(self) -> None:
        """Two who connect at the same time get one session."""
        camera = self.stage.client()
        self.stage.run(DeferredList([camera.connect(), camera.connect()], fireOnOneErrback=True))
        self.assertEqual(camera.sessions, 1)
        self.stage.over(camera)

    def test_nobody_there(self) -> None:
        """The time for it can be given; the port is free afterwards."""
        self.stage.run(self.fake.switch_off())
        camera = self.stage.client()
        self.assertRaises(NoCameraAnswered, self.stage.run, camera.connect(timeout=2))
        self.assertApproximates(self.network.seconds(), 2, 0.2)
        self.stage.over(camera)

    def test_login_lost(self) -> None:
        """A session that is lost during the login is replaced, and the next is logged in to."""
        camera = self.stage.client()
        self.stage.run(camera.connect())
        done = camera.login()
        self.stage.power_cycle(0.5)
        self.stage.run(done)
        self.assertEqual(camera.sessions, 2)
        self.assertEqual(self.stage.run(camera.info()).battery_percent, 80)
        self.stage.over(camera)

    def test_successor_of_a_killed_process(self) -> None:
        """Killed at any moment and started again at once: the camera lets the successor in."""
        for step in (0, 2, 4, 6, 8, 12, 15, 20, 50, 500, 2000):
            stage = Stage()
            state = Path(self.mktemp())
            process = Process(stage.network)
            first = stage.client(reactor=process, state=state)
            never = first.connect()
            never.addCallback(lambda _, first=first: first.login())
            stage.wait(step / 1000)
            process.kill()
            first._connector.release()  # a lock ends with its process
            second = stage.guest(state=state)
            self.assertEqual(stage.run(second.info()).battery_percent, 80)
            self.assertEqual(set(stage.fake.sources), {second.local_port}, f"{step} ms")
            stage.over(second)
            never.addErrback(lambda _: None)
            never.cancel()


class InUseTests(ClientTestCase):
    """A camera that somebody is talking to."""

    def test_called_from_its_network(self) -> None:
        """A visit that joined the camera's network holds it for every other program, too."""
        stage, state = Stage(), Path(self.mktemp())
        first, second = stage.client(state=state), stage.client(state=state)
        first.call_from("127.0.0.1")
        stage.run(first.connect())
        self.assertRaises(CameraBusy, stage.run, second.connect())
        stage.run(first.close())
        stage.run(second.connect())
        stage.over(second)


class ComingBackTests(ClientTestCase):
    """A lost session comes back by itself."""

    def test_restart(self) -> None:
        """The camera restarts: the same port, a new login, a new token, and nobody notices."""
        camera = self.stage.guest()
        before = self.stage.run(camera.info())
        self.stage.power_cycle(3)
        after = self.stage.run(camera.info())
        self.assertEqual(after.device_id, before.device_id)
        self.assertEqual(self.fake.sources, [camera.local_port] * 2)
        self.assertEqual(len(self.requests(0)), 2)
        self.stage.over(camera)

    def test_new_token(self) -> None:
        """After coming back the token is the new session's."""
        clock = [float(NOW)]
        camera = self.stage.guest(wall_clock=lambda: clock[0])
        self.stage.run(camera.info())
        clock[0] += 60
        self.stage.power_cycle()
        self.stage.run(camera.info())
        tokens = [fields["token"] for _, fields in self.requests(512)]
        self.assertGreaterEqual(len(tokens), 2)
        self.assertNotEqual(tokens[0], tokens[-1])
        self.stage.over(camera)

    def test_numbers_begin_again(self) -> None:
        """In a new session commands and heartbeats count from the beginning."""
        camera = self.stage.guest()
        self.stage.wait(7)
        self.stage.power_cycle()
        self.network.sent.clear()
        self.stage.run(camera.info())
        self.stage.wait(4)
        numbers = [(number, fields["cmdId"]) for number, fields in self.requests()]
        self.assertIn((1, 0), numbers)
        self.assertIn((2, 512), numbers)
        self.assertIn((0x10001, 525), numbers)
        self.stage.over(camera)

    def test_unasked(self) -> None:
        """It comes back even while nobody asks for anything."""
        camera = self.stage.guest()
        self.stage.power_cycle(8)
        self.stage.wait(10)
        self.assertEqual(camera.sessions, 2)
        self.assertEqual(camera.address, ("127.0.0.1", CAMERA_PORT))
        self.stage.over(camera)

    def test_camera_says_close(self) -> None:
        """A camera that ends the session is called again."""
        camera = self.stage.guest()
        self.stage.run(self.fake.stop())
        self.fake.switch_on()
        self.assertEqual(self.stage.run(camera.info()).battery_percent, 80)
        self.assertEqual(self.fake.sources, [camera.local_port] * 2)
        self.stage.over(camera)

    def test_no_progress(self) -> None:
        """A camera that is alive but does not answer: after 10 s the next session."""
        camera = self.stage.guest()
        self.network.drops = losing("Drw0", CAMERA_PORT)
        began = self.network.seconds()
        asked = camera.info()
        self.stage.wait(10.5)
        self.network.drops = lambda sent: False
        self.stage.run(asked)
        self.assertLess(self.network.seconds() - began, 17)
        self.assertEqual(camera.sessions, 2)
        self.stage.over(camera)

    def test_budget_afresh(self) -> None:
        """Each coming back has the whole budget: off for 50 s, twice."""
        camera = self.stage.guest()
        for sessions in (2, 3):
            self.stage.run(self.fake.switch_off())
            self.network.callLater(50, self.fake.switch_on)
            self.stage.run(camera.info())
            self.assertEqual(camera.sessions, sessions)
        self.stage.over(camera)

    def test_gone_for_good(self) -> None:
        """A camera that does not come back: those who wait are told, once the budget is used up."""
        camera = self.stage.guest()
        self.stage.run(self.fake.switch_off())
        began = self.network.seconds()
        asked = [camera.info() for _ in range(3)]
        outcomes = self.stage.run(DeferredList(asked, consumeErrors=True))
        for _, outcome in outcomes:
            self.assertIsInstance(outcome.value, NoCameraAnswered)
        # 5 s of silence, then the attempts.
        self.assertApproximates(self.network.seconds() - began, 66, 1)
        self.assertEqual(len(self.network.bound), 0)
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.stage.over(camera)

    def test_asked_again_after_it_was_gone(self) -> None:
        """A later question calls it anew, with a new budget."""
        camera = self.stage.guest()
        self.stage.run(self.fake.switch_off())
        self.assertRaises(NoCameraAnswered, self.stage.run, camera.info())
        self.fake.switch_on()
        self.assertEqual(self.stage.run(camera.info()).battery_percent, 80)
        self.assertEqual(self.fake.sources, [camera.local_port] * 2)
        self.stage.over(camera)

    def test_lost_while_coming_back(self) -> None:
        """Lost again between session and login: still one at a time, and it gets there."""
        process = Process(self.network)
        camera = self.stage.guest(reactor=process)
        self.stage.run(self.fake.switch_off())
        asked = camera.info()
        self.stage.until(lambda: len(process.asked) == 2)
        # The login's answer does not come: this session, too, is lost.
        self.fake.switch_on()
        self.network.drops = losing("Drw0", CAMERA_PORT)
        self.stage.wait(0.6)
        self.network.drops = lambda sent: kind_of(sent) == "Drw0" and len(sent.data) > 20 + 4 + 4
        self.stage.wait(12)
        self.network.drops = lambda sent: False
        self.stage.run(asked)
        self.assertEqual(process.refused, [], "never two at the port at once")
        self.assertEqual(len(set(self.fake.sources)), 1)
        self.stage.over(camera)

    def test_never_let_in(self) -> None:
        """A camera whose login answers never come is given up after three sessions."""
        camera = self.stage.guest()
        self.stage.power_cycle()
        self.network.drops = lambda sent: (
            kind_of(sent) == "Drw0" and sent.source[1] == CAMERA_PORT and len(sent.data) > 40
        )
        self.assertRaises(CameraLost, self.stage.run, camera.info())
        self.assertEqual(camera.sessions, 1 + 3)
        self.network.drops = lambda sent: False
        self.stage.wait(1)
        self.assertEqual(len(self.network.bound), 2)
        self.stage.over(camera)

    def test_port_taken_meanwhile(self) -> None:
        """A port given by hand that is taken during the absence is a L{ConfigError}."""
        camera = self.stage.guest(Target("127.0.0.1", CAMERA_PORT, local_port=6000))
        self.network.taken.add(6000)
        self.stage.run(self.fake.stop())
        self.assertRaises(ConfigError, self.stage.run, camera.info())
        self.stage.over(camera)

    def test_before_login(self) -> None:
        """A session that nobody logged in to is not fetched back."""
        camera = self.stage.client()
        self.stage.run(camera.connect())
        self.stage.run(self.fake.stop())
        self.stage.wait(30)
        self.assertEqual(camera.sessions, 1)
        self.assertEqual((self.network.bound, self.network.getDelayedCalls()), ([], []))
        self.stage.over(camera)

    def test_changes_are_not_asked_twice(self) -> None:
        """A raw command may change something: lost with the session, it is not sent again."""
        camera = self.stage.guest()
        asked = camera.send({"cmdId": 641})
        self.stage.run(self.fake.switch_off())
        self.assertRaises(CameraLost, self.stage.run, asked)
        self.fake.switch_on()
        self.stage.run(camera.info())
        self.assertLessEqual(len(self.requests(641)), 1)
        self.stage.over(camera)

    def test_no_close_to_a_camera_that_was_lost(self) -> None:
        """CLOSE might put the camera to sleep, so a session that is replaced ends without it."""
        camera = self.stage.guest()
        self.stage.power_cycle()
        self.stage.run(camera.info())
        self.assertNotIn("Close", {kind_of(sent) for sent in self.network.sent})
        self.stage.over(camera)


class GoingTests(ClientTestCase):
    """C{close()}, whatever is going on."""

    def closed_during(
        self, what: Callable[[Camera], Deferred[Any]], moment: float, logged_in: bool = True
    ) -> Any:
        """Close so many seconds into something; nothing may be left, and all may begin again."""
        camera = self.stage.guest() if logged_in else self.stage.client()
        outcome: list[Any] = []
        what(camera).addBoth(outcome.append)
        self.stage.wait(moment)
        self.stage.run(camera.close())
        ours = [bound for bound in self.network.bound if bound[1] == camera.local_port]
        self.assertEqual(ours, [], f"at {moment}: the port is free once close has fired")
        self.assertEqual(len(outcome), 1, f"at {moment}: whoever waited was told")
        self.stage.wait(0.01)
        idle = self.network.getDelayedCalls()
        if not self.fake.session:
            self.assertEqual(idle, [], f"at {moment}")
        if not self.network.bound:
            self.fake.switch_on()
        self.stage.wait(8)
        self.stage.run(camera.connect())
        self.stage.run(camera.login())
        self.assertEqual(self.stage.run(camera.info()).battery_percent, 80)
        self.stage.run(camera.close())
        self.stage.wait(0.1)
        return outcome[0]

    def lost(self, outcome: Any) -> None:
        """It was told as L{CameraLost}."""
        self.assertIsInstance(outcome, Failure)
        outcome.trap(CameraLost)

    def test_connecting(self) -> None:
        """While it connects."""
        for moment in (0, 0.001, 0.002, 0.003):
            outcome = self.closed_during(lambda camera: camera.connect(), moment, False)
            if outcome is not None:
                self.lost(outcome)
        self.stage.over()

    def test_connecting_to_nobody(self) -> None:
        """While it searches, and in the pauses."""
        self.stage.run(self.fake.switch_off())
        for moment in (0.5, 5.5, 12):
            self.lost(self.closed_during(lambda camera: camera.connect(), moment, False))
            self.stage.run(self.fake.switch_off())
        self.stage.over()

    def test_logging_in(self) -> None:
        """While it logs in."""

        def both(camera: Camera) -> Deferred[None]:
            return camera.connect().addCallback(lambda _: camera.login())

        for moment in (0.004, 0.005, 0.006):
            outcome = self.closed_during(both, moment, False)
            if outcome is not None:
                self.lost(outcome)
        self.stage.over()

    def test_asking(self) -> None:
        """While a question is on its way."""
        self.lost(self.closed_during(lambda camera: camera.info(), 0.001))
        self.stage.over()

    def test_coming_back(self) -> None:
        """While a lost session is being fetched back, those who wait are told."""

        def ask(camera: Camera) -> Deferred[Any]:
            self.fake.switch_off()
            return camera.info()

        for moment in (0.5, 5.1, 5.5, 11, 20):
            self.lost(self.closed_during(ask, moment))
        self.stage.over()

    def test_fetching(self) -> None:
        """While photos come: none is left half-written."""
        self.use(Stage(card=BigCard(3, 0, newest=NOW)))
        files = self.fake.card.files

        def fetch(camera: Camera) -> Deferred[Any]:
            return camera.fetch([(file, self.folder / file.label) for file in files])

        for moment in (0.001, 0.003, 0.004, 0.006, 0.01, 0.03, 1):
            outcome = self.closed_during(fetch, moment)
            whole = {path.name for path in self.folder.iterdir()}
            for path in self.folder.iterdir():
                self.assertEqual(path.stat().st_size, BigCard.size)
                path.unlink()
            if isinstance(outcome, Failure):
                self.lost(outcome)
                self.assertEqual(whole, set())
        self.stage.over()

    def test_twice(self) -> None:
        """Closing twice, at once or later, is no harm."""
        camera = self.stage.guest()
        self.stage.run(DeferredList([camera.close(), camera.close()], fireOnOneErrback=True))
        self.stage.run(camera.close())
        self.stage.over()

    def test_says_close(self) -> None:
        """The camera is told, so that it can sleep."""
        camera = self.stage.guest()
        self.stage.run(camera.close())
        self.stage.wait(0.1)
        self.assertIsNone(self.fake.session)
        self.assertIn("Close", {kind_of(sent) for sent in self.network.sent})
        self.stage.over()

    def test_asked_afterwards(self) -> None:
        """After the end nobody wakes the camera by asking: connect comes first."""
        camera = self.stage.guest()
        self.stage.run(camera.close())
        for ask in (camera.info, camera.live, lambda: camera.send({"cmdId": 512})):
            error = self.assertRaises(CameraLost, self.stage.run, ask())
            self.assertIn("connect first", str(error))
        self.assertEqual(camera.sessions, 1)
        self.stage.over()

    def test_closing_within_an_answer(self) -> None:
        """Who closes as soon as the answer is there does nothing wrong."""
        camera = self.stage.guest()
        self.stage.run(camera.info().addCallback(lambda _: camera.close()))
        self.stage.over(camera)

    def test_closing_when_refused(self) -> None:
        """Nor who closes as soon as connecting or coming back failed."""
        camera = self.stage.guest()
        self.fake.faults.refuse_login = True
        self.stage.power_cycle()
        self.stage.run(camera.info().addErrback(lambda _: camera.close()))
        self.stage.over(camera)

    def test_cancelled_question(self) -> None:
        """Who cancels a question while the camera is away does not disturb its coming back."""
        camera = self.stage.guest()
        self.stage.run(self.fake.switch_off())
        one, two = camera.info(), camera.info()
        self.stage.wait(6)
        one.cancel()
        self.failureResultOf(one, CancelledError)
        self.fake.switch_on()
        self.stage.run(two)
        self.stage.over(camera)


class AskingTests(ClientTestCase):
    """Questions and raw commands."""

    def test_info(self) -> None:
        """Device information, typed."""
        camera = self.stage.guest()
        information = self.stage.run(camera.info())
        self.assertEqual(information.device_id, "C6:00:00:00:00:01")
        self.assertEqual((information.model, information.battery_percent), ("KJK230", 80))
        self.stage.over(camera)

    def test_send(self) -> None:
        """Any command as JSON, with the token; the answer comes as it is."""
        camera = self.stage.guest()
        answer = self.stage.run(camera.send({"cmdId": 512}))
        self.assertEqual((answer["cmdId"], answer["modelName"]), (512, "KJK230"))
        self.assertIn("token", self.requests(512)[0][1])
        refused = self.stage.run(camera.send({"cmdId": 4711, "x": [1]}))
        self.assertEqual(refused["errorMsg"], "Not supported")
        self.stage.over(camera)

    def test_send_heartbeat(self) -> None:
        """A heartbeat gets no answer, and none is waited for."""
        camera = self.stage.guest()
        self.assertIsNone(self.stage.run(camera.send({"cmdId": 525})))
        self.stage.wait(0.1)
        self.assertEqual(self.requests(525), [(0x10001, {"cmdId": 525})])
        self.stage.over(camera)

    def test_send_nonsense(self) -> None:
        """What is no command is refused before it is sent."""
        camera = self.stage.guest()
        for request in ({}, {"cmdId": "1"}, {"cmdId": -1}, {"cmdId": True}, {"cmdId": 70_000}):
            self.assertRaises(DecodeError, camera.send, request)
        self.assertEqual(len(self.requests()), 1)
        self.stage.over(camera)

    def test_not_logged_in(self) -> None:
        """Without login the camera refuses, and that is told."""
        camera = self.stage.client()
        self.stage.run(camera.connect())
        error = self.assertRaises(CommandFailed, self.stage.run, camera.info())
        self.assertEqual(str(error), "the camera refused command 512: Token error")
        self.stage.over(camera)

    def test_sleep(self) -> None:
        """The camera goes to sleep when told."""
        camera = self.stage.guest()
        self.stage.run(camera.sleep())
        self.stage.run(camera.close())
        self.stage.wait(1)
        other = self.stage.client()
        self.assertRaises(NoCameraAnswered, self.stage.run, other.connect(timeout=3))
        self.stage.over(camera, other)

    def test_many_at_once(self) -> None:
        """Questions may overlap."""
        camera = self.stage.guest()
        asked = [camera.info() for _ in range(20)] + [camera.send({"cmdId": 512})]
        outcomes = self.stage.run(DeferredList(asked))
        self.assertTrue(all(good for good, _ in outcomes))
        self.stage.over(camera)


class ListingTests(ClientTestCase):
    """What is on the card."""

    def test_pages(self) -> None:
        """More than one page, each file once, highest number first."""
        for photos in (0, 1, 44, 45, 46, 90, 100):
            self.use(Stage(photos))
            camera = self.stage.guest()
            self.assertEqual(self.list(camera), list(self.fake.card.files))
            self.assertEqual(len(self.requests(768)), photos // 45 + 1)
            self.stage.over(camera)
        self.use(Stage())
        self.stage.over()

    def test_repeated_pages(self) -> None:
        """A camera that gives the first page for ever is left when nothing new comes."""
        self.use(Stage(100))
        self.fake.faults.repeat_pages = True
        camera = self.stage.guest()
        self.assertEqual(self.list(camera), list(self.fake.card.files[:45]))
        self.assertEqual(len(self.requests(768)), 2)
        self.stage.over(camera)

    def test_without_ids(self) -> None:
        """Entries without mediaId and mediaTime are files all the same."""
        self.use(Stage(card=PlainCard(3, 0, newest=NOW, without_ids=True)))
        camera = self.stage.guest()
        files = self.list(camera)
        self.assertEqual(len(files), 3)
        self.assertEqual({(file.media_id, file.media_time) for file in files}, {(None, None)})
        self.stage.over(camera)

    def test_card_changes_meanwhile(self) -> None:
        """A photo taken between two pages shifts them: nothing is left out or told twice."""
        self.use(Stage(60))
        camera = self.stage.guest()
        listing = camera.media()

        async def all_of_it() -> list[MediaFile]:
            files = [await listing.__anext__()]
            self.fake.card.add(0, NOW)
            files += [file async for file in listing]
            return files

        files = self.stage.run(Deferred.fromCoroutine(all_of_it()))
        self.assertEqual(len(files), len(set(files)))
        self.assertEqual(len(files), 60)
        self.stage.over(camera)

    def test_entries_that_make_no_sense(self) -> None:
        """They are counted and left out; the page still counts as full."""
        good = [MediaFile(0, 100, number) for number in range(43)]
        pages = [MediaPage(tuple(good), 2, 45), MediaPage((), 0, 0)]

        async def ask(page: int) -> MediaPage:
            return pages[page]

        listing = MediaListing(ask)
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(collect(listing))), good)
        self.assertEqual(listing.refused, 2)
        self.stage.over()

    def test_endless(self) -> None:
        """A camera that invents files for ever is not listened to for ever."""

        async def ask(page: int) -> MediaPage:
            return MediaPage((MediaFile(0, page // 9999, page % 9999),), 44, 45)

        listing = MediaListing(ask)
        with mock.patch.object(MediaListing, "MOST_PAGES", 200):
            files = self.successResultOf(Deferred.fromCoroutine(collect(listing)))
        self.assertEqual(len(files), 200)
        self.stage.over()

    def test_close(self) -> None:
        """A listing that is closed is over."""
        camera = self.stage.guest()
        listing = camera.media()
        self.stage.run(Deferred.fromCoroutine(listing.__anext__()))
        listing.close()
        self.assertEqual(self.stage.run(Deferred.fromCoroutine(collect(listing))), [])
        self.stage.over(camera)

    def test_lost_between_pages(self) -> None:
        """The session is lost in the middle of the list: it goes on where it was."""
        self.use(Stage(100))
        camera = self.stage.guest()

        async def all_of_it() -> list[MediaFile]:
            files = []
            async for file in camera.media():
                if len(files) == 45:
                    await self.fake.switch_off()
                    self.fake.switch_on()
                files.append(file)
            return files

        files = self.stage.run(Deferred.fromCoroutine(all_of_it()))
        self.assertEqual(files, list(self.fake.card.files))
        self.assertEqual(camera.sessions, 2)
        self.stage.over(camera)


class ThumbnailTests(ClientTestCase):
    """Small pictures."""

    def test_many(self) -> None:
        """However many, 45 at a time, each the right one."""
        self.use(Stage(100))
        camera = self.stage.guest()
        files = list(self.fake.card.files)
        thumbnails = self.stage.run(camera.thumbnails(files))
        self.assertEqual(thumbnails, {file: self.fake.card.thumbnail(file) for file in files})
        asked = [len(fields["thumbnailReqs"]) for _, fields in self.requests(772)]
        self.assertEqual(asked, [45, 45, 10])
        self.stage.over(camera)

    def test_none(self) -> None:
        """None asked for: nothing is said."""
        camera = self.stage.guest()
        self.assertEqual(self.stage.run(camera.thumbnails([])), {})
        self.assertEqual(self.requests(772), [])
        self.stage.over(camera)

    def test_unknown(self) -> None:
        """A file that is not there is the camera's error."""
        camera = self.stage.guest()
        asked = camera.thumbnails([MediaFile(0, 999, 1)])
        self.assertRaises(CommandFailed, self.stage.run, asked)
        self.assertEqual(len(self.stage.run(camera.thumbnails(self.fake.card.files))), 3)
        self.stage.over(camera)

    def test_one_after_the_other(self) -> None:
        """Two who ask at once do not get each other's."""
        camera = self.stage.guest()
        one, two, three = self.fake.card.files
        both = DeferredList([camera.thumbnails([one, two]), camera.thumbnails([three])])
        (_, first), (_, second) = self.stage.run(both)
        self.assertEqual((set(first), set(second)), ({one, two}, {three}))
        self.stage.over(camera)


class DownloadTests(ClientTestCase):
    """Whole photos."""

    def path(self, name: str = "photo.jpg") -> Path:
        """Where to."""
        return self.folder / name

    def big(self) -> list[MediaFile]:
        """Another camera, with three big photos."""
        self.use(Stage(card=BigCard(3, 0, newest=NOW)))
        return list(self.fake.card.files)

    def test_one(self) -> None:
        """Byte for byte, with size and hash; progress is told."""
        camera = self.stage.guest()
        told: list[int] = []
        camera.progress = told.append
        file = self.fake.card.files[1]
        got = self.stage.run(camera.download(file, self.path()))
        data = self.fake.card.photo(file)
        self.assertEqual(self.path().read_bytes(), data)
        digest = hashlib.sha256(data).hexdigest()
        self.assertEqual(got, Downloaded(self.path(), len(data), digest))
        self.assertEqual(sum(told), len(data))
        self.stage.over(camera)

    def test_three_at_once(self) -> None:
        """One request for three."""
        camera = self.stage.guest()
        files = self.fake.card.files
        got = self.stage.run(camera.fetch([(file, self.path(file.label)) for file in files]))
        for file in files:
            self.assertEqual(got[file].path.read_bytes(), self.fake.card.photo(file))
        self.assertEqual(len(self.requests(1285)), 1)
        self.stage.over(camera)

    def test_what_was_there(self) -> None:
        """A file that is at the path already is written anew."""
        self.path().write_bytes(b"x" * 100_000)
        camera = self.stage.guest()
        file = self.fake.card.files[0]
        self.stage.run(camera.download(file, self.path()))
        self.assertEqual(self.path().read_bytes(), self.fake.card.photo(file))
        self.stage.over(camera)

    def test_damaged(self) -> None:
        """A wrong tail, and a length that lies: nothing is left, and the next try is good."""
        camera = self.stage.guest()
        file = self.fake.card.files[0]
        for fault in ("damaged_tails", "wrong_lengths"):
            setattr(self.fake.faults, fault, 1)
            error = self.assertRaises(
                DamagedTransfer, self.stage.run, camera.download(file, self.path())
            )
            self.assertIn(file.label, str(error))
            self.assertFalse(self.path().exists())
            self.stage.run(camera.download(file, self.path()))
            self.path().unlink()
        self.assertEqual(camera.sessions, 1)
        self.stage.over(camera)

    def test_one_of_three_damaged(self) -> None:
        """The others come."""
        for fault in ("damaged_tails", "wrong_lengths"):
            camera = self.stage.guest()
            setattr(self.fake.faults, fault, 1)
            files = self.fake.card.files
            got = self.stage.run(camera.fetch([(file, self.path(file.label)) for file in files]))
            self.assertIsInstance(got[files[0]].value, DamagedTransfer)
            self.assertTrue(all(isinstance(got[file], Downloaded) for file in files[1:]))
            self.assertEqual({path.name for path in self.folder.iterdir()},
                             {file.label for file in files[1:]})  # fmt: skip
            self.stage.run(camera.close())
            self.stage.wait(0.1)
        self.stage.over()

    def test_unknown(self) -> None:
        """One that is not there: the camera refuses the whole request, nothing is left."""
        camera = self.stage.guest()
        wanted = [(file, self.path(file.label)) for file in self.fake.card.files[:2]]
        wanted.append((MediaFile(0, 999, 1), self.path("none")))
        self.assertRaises(CommandFailed, self.stage.run, camera.fetch(wanted))
        self.assertEqual(list(self.folder.iterdir()), [])
        self.stage.over(camera)

    def test_lost_in_the_middle(self) -> None:
        """A session that is lost takes the half file with it."""
        file, *_ = self.big()
        camera = self.stage.guest()
        fetching = camera.download(file, self.path())
        self.stage.until(lambda: self.path().exists())
        self.stage.wait(0.001)
        self.stage.run(self.fake.switch_off())
        self.assertRaises(CameraLost, self.stage.run, fetching)
        self.assertEqual(list(self.folder.iterdir()), [])
        self.fake.switch_on()
        self.stage.run(camera.download(file, self.path()))
        self.stage.over(camera)

    def test_cancelled(self) -> None:
        """Who cancels in the middle leaves nothing, and the next download works."""
        one, two, _ = self.big()
        camera = self.stage.guest()
        for moment in (0, 0.001, 0.002, 0.003, 0.004, 0.008, 0.012):
            fetching = camera.download(one, self.path())
            self.stage.wait(moment)
            if not fetching.called:
                fetching.cancel()
                self.failureResultOf(fetching, CancelledError)
                self.assertEqual(list(self.folder.iterdir()), [])
            self.stage.run(camera.download(two, self.path("two")))
            self.assertEqual(self.path("two").read_bytes(), self.fake.card.photo(two))
            self.path("two").unlink()
            self.path().unlink(missing_ok=True)
        self.assertEqual(camera.sessions, 1)
        self.stage.over(camera)

    def test_one_request_at_a_time(self) -> None:
        """Downloads that are asked for at once follow one another."""
        camera = self.stage.guest()
        files = self.fake.card.files
        each = [camera.download(file, self.path(file.label)) for file in files]
        outcomes = self.stage.run(DeferredList(each))
        self.assertTrue(all(good for good, _ in outcomes))
        for file in files:
            self.assertEqual(self.path(file.label).read_bytes(), self.fake.card.photo(file))
        self.stage.over(camera)

    def test_disk_full(self) -> None:
        """A full disk is a L{LibraryError}; nothing is left, and the session lives on."""
        camera = self.stage.guest()
        file = self.fake.card.files[0]
        full = OSError(errno.ENOSPC, "No space left on device")
        real = open

        def small_disk(path: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            opened = real(path, mode, *args, **options)
            if mode != "wb":
                return opened
            wrapped = mock.MagicMock(wraps=opened)
            wrapped.write.side_effect = full
            return wrapped

        with mock.patch("trailcam.sinks.open", small_disk, create=True):
            error = self.assertRaises(
                LibraryError, self.stage.run, camera.download(file, self.path())
            )
        self.assertEqual(str(error), f"cannot write {self.path()}: No space left on device")
        self.assertEqual(list(self.folder.iterdir()), [])
        self.stage.run(camera.download(file, self.path()))
        self.assertEqual(camera.sessions, 1)
        self.stage.over(camera)

    def test_folder_that_is_not_there(self) -> None:
        """A path that cannot be opened is a L{LibraryError}, too."""
        camera = self.stage.guest()
        asked = camera.download(self.fake.card.files[0], self.folder / "no" / "photo.jpg")
        error = self.assertRaises(LibraryError, self.stage.run, asked)
        self.assertIn("No such file or directory", str(error))
        self.stage.over(camera)


class VideoTests(ClientTestCase):
    """Videos are played, and become MP4."""

    def setUp(self) -> None:
        """A camera with a video."""
        super().setUp()
        self.use(Stage(1, 1))
        (self.video,) = [file for file in self.fake.card.files if not file.is_photo]
        self.path = self.folder / "video.mp4"

    def test_played(self) -> None:
        """It arrives as an MP4, and the playback is stopped."""
        camera = self.stage.guest()
        got = self.stage.run(camera.download(self.video, self.path))
        self.assertEqual(self.path.read_bytes()[4:8], b"ftyp")
        self.assertEqual(got.size, self.path.stat().st_size)
        self.stage.wait(0.1)
        self.assertEqual(len(self.requests(770)), 1)
        self.stage.over(camera)

    def test_damaged(self) -> None:
        """A damaged frame: nothing is left; played again it is whole."""
        camera = self.stage.guest()
        self.fake.faults.damaged_frames = 1
        asked = camera.download(self.video, self.path)
        error = self.assertRaises(DamagedTransfer, self.stage.run, asked)
        self.assertIn(self.video.label, str(error))
        self.assertEqual(list(self.folder.iterdir()), [])
        self.stage.run(camera.download(self.video, self.path))
        numbers = [fields["sessionNo"] for _, fields in self.requests(769)]
        self.assertEqual(numbers, [1, 2], "each playback has a number of its own")
        self.stage.over(camera)

    def test_lost_and_cancelled(self) -> None:
        """Lost in the middle, or cancelled: nothing is left."""
        camera = self.stage.guest()
        asked = camera.download(self.video, self.path)
        self.stage.until(lambda: self.path.exists())
        self.stage.power_cycle()
        self.assertRaises(CameraLost, self.stage.run, asked)
        self.assertEqual(list(self.folder.iterdir()), [])
        asked = camera.download(self.video, self.path)
        self.stage.until(lambda: self.path.exists())
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.assertEqual(list(self.folder.iterdir()), [])
        self.stage.run(camera.download(self.video, self.path))
        self.stage.over(camera)

    def test_end_mark_lost(self) -> None:
        """Without the end mark it is not whole, and that is known soon."""
        camera = self.stage.guest()
        with mock.patch("trailcam.wire.media.Frame.is_end", False):
            asked = camera.download(self.video, self.path)
            error = self.assertRaises(DamagedTransfer, self.stage.run, asked)
        self.assertIn("end mark", str(error))
        self.assertLess(self.network.seconds(), 5)
        self.stage.over(camera)


class LiveTests(ClientTestCase):
    """The live view."""

    def frames(self, view: Any, count: int) -> list[Any]:
        """The next frames."""

        async def some() -> list[Any]:
            return [await view.__anext__() for _ in range(count)]

        found: list[Any] = self.stage.run(Deferred.fromCoroutine(some()))
        return found

    def test_view(self) -> None:
        """It begins with a key frame, goes on in order, and stops when closed."""
        camera = self.stage.guest()
        view = self.stage.run(camera.live())
        frames = self.frames(view, 30)
        self.assertTrue(frames[0].key_frame and frames[0].video)
        self.assertEqual(sorted(f.pts for f in frames), [f.pts for f in frames])
        self.assertTrue(any(frame.audio for frame in frames))
        self.stage.run(view.close())
        self.assertEqual(len(self.requests(259)), 1)
        self.stage.wait(0.2)
        self.network.sent.clear()
        self.stage.wait(1)
        self.assertNotIn("Drw1", {kind_of(sent) for sent in self.network.sent})
        self.assertRaises(StopAsyncIteration, self.frames, view, 1)
        self.stage.run(view.close())
        self.assertEqual(len(self.requests(259)), 0, "once is enough")
        self.stage.over(camera)

    def test_lost(self) -> None:
        """A lost session ends the view, after what had come."""
        camera = self.stage.guest()
        view = self.stage.run(camera.live())
        self.frames(view, 5)
        self.stage.run(self.fake.switch_off())
        self.assertRaises(CameraLost, self.frames, view, 10_000)
        self.assertRaises(CameraLost, self.frames, view, 1)
        self.stage.run(view.close())
        self.stage.over(camera)

    def test_standing_still(self) -> None:
        """A view in which nothing comes for 10 s is lost, not waited for."""
        camera = self.stage.guest()
        view = self.stage.run(camera.live())
        self.frames(view, 5)
        self.fake._guest._stop_live()  # type: ignore[union-attr]
        self.assertRaises(CameraLost, self.frames, view, 10_000)
        self.stage.over(camera)

    def test_next_view(self) -> None:
        """A second view ends the first, which would wait for ever otherwise."""
        camera = self.stage.guest()
        first = self.stage.run(camera.live())
        self.frames(first, 1)

        async def rest() -> int:
            return len([frame async for frame in first])

        ended = Deferred.fromCoroutine(rest())
        second = self.stage.run(camera.live())
        self.stage.run(ended)
        self.assertTrue(self.frames(second, 1)[0].key_frame)
        self.stage.run(second.close())
        self.stage.over(camera)

    def test_refused(self) -> None:
        """A camera that does not do it says so; nothing is left behind."""
        camera = self.stage.client()
        self.stage.run(camera.connect())
        self.assertRaises(CommandFailed, self.stage.run, camera.live())
        self.stage.wait(20)
        self.assertEqual(camera.sessions, 1)
        self.assertIsNotNone(camera.address)
        self.stage.over(camera)

    def test_closed_while_reading(self) -> None:
        """A reader that waits for a frame is told when the view or the camera is closed."""
        for by_view in (True, False):
            camera = self.stage.guest()
            view = self.stage.run(camera.live())
            self.frames(view, 5)

            async def rest(view: Any = view) -> int:
                return len([frame async for frame in view])

            ended = Deferred.fromCoroutine(rest())
            self.stage.wait(0.1)
            if by_view:
                self.stage.run(view.close())
                self.stage.run(ended)
            self.stage.run(camera.close())
            if not by_view:
                self.assertRaises(CameraLost, self.stage.run, ended)
            self.stage.wait(0.1)
        self.stage.over()


class PolicyTests(ClientTestCase):
    """Patience can be configured."""

    def test_request(self) -> None:
        """How long a command may take."""
        camera = self.stage.guest(policy=Policy(request=2))
        self.network.drops = losing("Drw0", CAMERA_PORT)
        asked = camera.send({"cmdId": 512})
        began = self.network.seconds()
        self.assertRaises(CameraLost, self.stage.run, asked)
        self.assertApproximates(self.network.seconds() - began, 2, 0.1)
        self.network.drops = lambda sent: False
        self.stage.over(camera)

    def test_heartbeat(self) -> None:
        """How often it beats."""
        camera = self.stage.guest(policy=Policy(heartbeat=1))
        self.stage.wait(5.5)
        self.assertEqual(len(self.requests(525)), 5)
        self.stage.over(camera)


class LongQuietTests(ClientTestCase):
    """A session that stands with nothing to do."""

    def test_ten_minutes(self) -> None:
        """ALIVE and heartbeats keep it, and nothing grows."""
        camera = self.stage.guest(GARDEN)
        self.stage.wait(600)
        self.assertEqual(camera.sessions, 1)
        self.assertEqual(self.stage.run(camera.info()).battery_percent, 80)
        self.assertLess(len(self.network.getDelayedCalls()), 10)
        self.stage.over(camera)


