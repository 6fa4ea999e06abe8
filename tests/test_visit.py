"""L{CameraVisit}: a visit from waking to sleep, whatever comes between; time is virtual."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.support import GARDEN, NOW, PASSPHRASE, FakeRadios, PlainCard, Stage, story
from trailcam.client import Camera
from trailcam.commands import DeviceInformation, MediaFile
from trailcam.config import CameraConfig
from trailcam.errors import (
    CameraLost,
    LibraryError,
    LoginRefused,
    NetworkVanished,
    NoCameraAnswered,
    RadioError,
)
from trailcam.happenings import Happening, NewMedia, PhaseBegan
from trailcam.library import Library, StoredFile
from trailcam.library.sync import SyncReport
from trailcam.library.visits import Visit
from trailcam.session.events import CloseReason
from trailcam.simulator.camera import Visit as Answers
from trailcam.target import Policy
from trailcam.testing import FakeCamera
from trailcam.visit import PHASES, CameraVisit

#: With it, a visit is over its budget in whatever phase it hangs.
BUDGET = 8.0
#: What the camera is asked in a phase.
CODES = {"login": {0}, "information": {512}, "syncing": {1285, 768}}
WORKING = PHASES[:-1]


class Nobody:
    """An observer that counts."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def informed(self, information: DeviceInformation) -> None:
        self.told.append("informed")

    def found(self, new: int, known: int) -> None:
        self.told.append("found")

    def stored(self, file: StoredFile) -> None:
        self.told.append("stored")

    def failed(self, file: MediaFile, why: str) -> None:
        self.told.append("failed")


class VisitTestCase(TestCase):
    """A sleeping camera, radios, and a library."""

    def setUp(self) -> None:
        self.mute: set[int] = set()
        real = Answers._answer

        def answer(visit: Answers, code: int, sequence: int, request: dict[str, Any]) -> Any:
            return iter(()) if code in self.mute else real(visit, code, sequence, request)

        self.patch(Answers, "_answer", answer)
        self.begin()

    def begin(self, **options: Any) -> None:
        """A stage of its own; C{options} are for the camera."""
        self.stage = Stage(7, 0, **options)
        self.network, self.fake = self.stage.network, self.stage.fake
        self.overs: list[CloseReason] = []
        self.fake.over = self.overs.append
        self.radios = FakeRadios(self.network)
        self.library = Library(Path(self.mktemp()), self.network, inline=True)
        self.stage.run(self.library.open())
        self.told: list[Happening] = []
        self.observer = Nobody()
        self.clients: list[Camera] = []
        self.mute.clear()

    def finish(self) -> None:
        """Close everything; nothing is left, and nobody has the radios."""
        self.stage.run(self.library.close())
        self.stage.over(*self.clients)
        self.assertFalse(self.radios.turn.locked)

    def again(self, **options: Any) -> None:
        """Another stage."""
        self.finish()
        self.begin(**options)

    def wall_clock(self) -> float:
        """Of the station."""
        return NOW + self.network.seconds()

    def visit(self, policy: Policy | None = None, **config: Any) -> CameraVisit:
        """One to the camera, which must be woken and has a network, unless told otherwise."""
        settings = {"wake": "", "wifi": "", "zone": UTC, "target": GARDEN, "password": "admin"}
        chosen = CameraConfig("garden", **{**settings, **config})
        camera = self.stage.client(
            chosen.target, policy=policy, zone=chosen.zone, password=chosen.password,
            wall_clock=self.wall_clock,
        )  # fmt: skip
        self.clients.append(camera)
        return CameraVisit(self.network, camera, chosen, self.library, self.radios, self.observer,
                           tell=self.told.append, wall_clock=self.wall_clock)  # fmt: skip

    def result_of(self, visiting: Deferred[SyncReport]) -> SyncReport | Failure:
        """What becomes of it."""
        result: SyncReport | Failure = self.stage.run(visiting.addErrback(lambda why: [why]))
        return result[0] if isinstance(result, list) else result

    def make(self, visit: CameraVisit) -> Visit:
        """Make it, and what is then remembered."""
        return visit.record(self.result_of(visit.begin()))

    def phases(self) -> list[str | None]:
        """Those that were told of."""
        return [each.phase for each in self.told if isinstance(each, PhaseBegan)]

    def hang_in(self, phase: str) -> None:
        """Let a phase take for ever."""
        if phase in CODES:
            self.mute |= CODES[phase]
        elif phase == "connecting":
            self.network.drops = lambda sent: True
        else:
            self.radios.takes["wake" if phase == "waking" else "join"] = float("inf")

    def assert_left(self, phase: str) -> None:
        """After it had come to C{phase}, the camera was told and the radios were put back."""
        come = PHASES[: PHASES.index(phase) + 1]
        self.assertEqual(self.phases(), [*come, "leaving", None])
        asked = ["wake", "leave"] if phase == "waking" else ["wake", "join", "leave"]
        self.assertEqual(self.radios.asked, asked)
        self.assertEqual(self.radios.cancelled, [
            what for what, where in (("wake", "waking"), ("join", "joining")) if where == phase
        ])  # fmt: skip
        stood = PHASES.index(phase) > PHASES.index("connecting")
        self.assertEqual(self.overs, [CloseReason.PEER] if stood else [])


class GoodTests(VisitTestCase):
    """All goes well."""

    def test_phases(self) -> None:
        """The phases come in order, each as long as it takes; the record says what came home."""
        visit = self.visit()
        record = self.make(visit)
        self.assertEqual(self.phases(), [*PHASES, None])
        self.assertEqual(tuple(record.phases), PHASES)
        self.assertEqual([record.phases[each] for each in ("waking", "joining")], [2.0, 3.0])
        self.assertApproximates(record.phases["leaving"], 1.0, 0.01)
        whole = (record.ended - record.began).total_seconds()
        self.assertApproximates(sum(record.phases.values()), whole, 0.01)
        self.assertEqual((record.camera, record.outcome, record.why), ("garden", "ok", None))
        self.assertEqual((record.new, record.failed, record.bytes), (7, 0, 7 * PlainCard.size))
        self.assertEqual((record.battery, record.temperature), (80, 9))
        self.assertEqual(record.card_free_mb, self.fake.card.free_mb)
        self.assertGreater(record.transferring, 0)
        self.assertLess(record.transferring, record.phases["syncing"])
        self.assertEqual(self.overs, [CloseReason.PEER])
        self.assertEqual(len([each for each in self.told if isinstance(each, NewMedia)]), 7)
        self.assertEqual(self.observer.told.count("stored"), 7)
        self.finish()

    def test_what_radios_are_told(self) -> None:
        """What the camera said on Bluetooth is what is joined, with the device of the settings."""
        self.make(self.visit(wake="aa:bb:cc:dd:ee:ff", wifi="wlan1"))
        self.assertEqual(self.radios.asked, ["wake", "join", "leave"])
        (which,), join, _ = self.radios.given
        self.assertEqual(which.address, "AA:BB:CC:DD:EE:FF")
        self.assertEqual(join, ("CAM-1234", PASSPHRASE, "02:00:00:00:12:34", "wlan1"))
        self.finish()

    def test_awake(self) -> None:
        """The camera is awake from when it was woken, else from the session on, until CLOSE."""
        for config, since in (({}, "joining"), ({"wake": None, "network": "CAM"}, "login"),
                              ({"wake": None, "wifi": None}, "login"), ({"wifi": None}, "joining")):
            record = self.make(self.visit(**config))
            spent = [record.phases.get(each, 0.0) for each in PHASES[PHASES.index(since) : -1]]
            self.assertApproximates(record.awake, sum(spent), 0.01)
            self.assertGreater(record.awake, record.transferring)
            self.again()
        self.finish()

    def test_skipped(self) -> None:
        """What is not needed is not done: no waking, no joining, no radios at all."""
        for config, skipped, asked in (
            ({"wake": None, "network": "CAM", "network_password": PASSPHRASE}, {"waking"},
             ["join", "leave"]),
            ({"wifi": None}, {"joining"}, ["wake"]),
            ({"wake": None, "wifi": None}, {"waking", "joining"}, []),
        ):  # fmt: skip
            record = self.make(self.visit(**config))
            self.assertEqual(tuple(record.phases), tuple(p for p in PHASES if p not in skipped))
            self.assertEqual((self.radios.asked, record.outcome), (asked, "ok"))
            if "network" in config:
                self.assertEqual(self.radios.given[0], ("CAM", PASSPHRASE, None, None))
            self.again()
        self.finish()

    def test_drift(self) -> None:
        """By how much the camera's clock is ahead, whatever the zones."""
        for zone, ahead in ((UTC, 0), (ZoneInfo("Asia/Tokyo"), 0), (ZoneInfo("Asia/Tokyo"), 7200),
                            (ZoneInfo("America/New_York"), -90), (None, 30)):  # fmt: skip
            self.clock_is_ahead(ahead)
            record = self.make(self.visit(zone=zone))
            assert record.clock_drift is not None
            self.assertApproximates(record.clock_drift, ahead, 1.0)
            self.again()
        self.finish()

    def clock_is_ahead(self, seconds: int) -> None:
        """Of the time that it is given."""
        self.informing(lambda fields: {**fields, "timeUTC": fields["timeUTC"] + seconds})

    def informing(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Let the camera say something else of itself, at the next visit."""
        from trailcam.simulator.information import device_information as real

        self.patch_once("trailcam.simulator.camera.device_information",
                        lambda *args: change(real(*args)))  # fmt: skip

    def patch_once(self, name: str, value: object) -> None:
        """Until the next one, or the end of the test."""
        mock.patch.stopall()
        mock.patch(name, value).start()
        self.addCleanup(mock.patch.stopall)

    def test_says_little(self) -> None:
        """A camera that leaves out what it is asked, or lies, is visited all the same."""
        for wrong in (None, "x", -1 << 62, 1 << 200, 2.5, True):
            self.informing(lambda fields, wrong=wrong: {
                **fields, **dict.fromkeys(("batPercent", "sdFreeMB", "temperature", "timeUTC"),
                                          wrong),
            })  # fmt: skip
            record = self.make(self.visit())
            self.assertEqual((record.outcome, record.new, record.battery), ("ok", 7, None))
            if not isinstance(wrong, int) or wrong is True or wrong > 0:
                self.assertEqual((record.card_free_mb, record.clock_drift), (None, None))
            self.stage.run(self.library.record_visit(record))
            self.assertEqual(self.stage.run(self.library.last_visit("garden")), record)
            self.again()
        self.finish()

    def test_shared_radios(self) -> None:
        """Two cameras share the radios: one after the other, and waiting costs no budget."""
        pond = FakeCamera(self.network, card=PlainCard(2, 0, newest=NOW), port=40700,
                          search_port=None)  # fmt: skip
        pond.start()
        self.radios.takes["join"] = 6.0
        first = self.visit(budget=10.0)
        second = self.visit(budget=10.0, target=replace(GARDEN, port=40700, name="pond"))
        one, two = first.begin(), second.begin()
        self.stage.wait(5)
        self.assertEqual(self.radios.asked, ["wake", "join"])
        records = [visit.record(self.result_of(d)) for visit, d in ((first, one), (second, two))]
        self.assertEqual([(each.outcome, each.new) for each in records], [("ok", 7), ("ok", 2)])
        self.assertEqual(self.radios.asked, ["wake", "join", "leave"] * 2)
        self.assertGreaterEqual(records[1].began, records[0].ended)
        self.assertLess(records[1].awake, 7)
        self.stage.run(pond.stop())
        self.finish()

    def test_given_up_waiting(self) -> None:
        """Who is cancelled while waiting for the radios has touched nothing."""
        first, second = self.visit(), self.visit()
        one, two = first.begin(), second.begin()
        two.cancel()
        record = second.record(self.failureResultOf(two, CancelledError))
        self.assertEqual((record.outcome, dict(record.phases)), ("interrupted", {}))
        self.assertEqual(first.record(self.result_of(one)).new, 7)
        self.assertEqual(self.radios.asked, ["wake", "join", "leave"])
        self.finish()

    def test_passphrases(self) -> None:
        """No password is in the log, in what is told, or in the record, whatever happens."""
        with capturedLogs() as events:
            for trouble in ([], [RadioError("not joined")], [RadioError("not joined")] * 2):
                self.radios.trouble["join"] = list(trouble)
                visit = self.visit(password="admin", network_password="other secret")
                record = self.make(visit)
                texts = [repr(record), repr(self.told), repr(vars(visit)["_config"])]
                self.again()
        texts += [formatEvent(event) for event in events]
        texts += [repr(value) for event in events for value in event.values()]
        for secret in (PASSPHRASE, "other secret"):
            self.assertEqual([text for text in texts if secret in text], [])
        self.finish()


class EndedEarlyTests(VisitTestCase):
    """A clean way out of every state."""

    def everywhere(self) -> Iterator[tuple[str, CameraVisit]]:
        """A visit that hangs in each of the phases in turn, with a stage of its own."""
        for phase in WORKING:
            self.hang_in(phase)
            yield phase, self.visit(budget=BUDGET)
            self.again()
        self.finish()

    def test_budget(self) -> None:
        """Over its budget, in whatever phase: the camera is told, the radios are put back."""
        for phase, visit in self.everywhere():
            visiting = visit.begin()
            result = self.result_of(visiting)
            assert isinstance(result, Failure)
            self.assertIs(result.type, CameraLost)
            record = visit.record(result)
            self.assertEqual(record.outcome, "failed")
            self.assertEqual(record.why,
                             "the visit took more than its budget of 0.133333 minutes")  # fmt: skip
            self.assert_left(phase)
            self.assertApproximates(sum(record.phases[each] for each in WORKING
                                       if each in record.phases), BUDGET, 0.01)  # fmt: skip
            awake = 0.0 if phase == "waking" else BUDGET - 2.0
            self.assertApproximates(record.awake, awake, 0.01)

    def test_cancelled(self) -> None:
        """Cancelled, in whatever phase: likewise, and it was not the camera's fault."""
        for phase, visit in self.everywhere():
            visiting = visit.begin()
            self.stage.until(lambda phase=phase: self.phases()[-1:] == [phase])
            self.stage.wait(0.5)
            visiting.cancel()
            record = visit.record(self.result_of(visiting))
            self.assertEqual((record.outcome, record.why), ("interrupted", None))
            self.assert_left(phase)
            self.assertIn("leaving", record.phases)
            self.assertEqual(self.network.getDelayedCalls(), [])

    def test_cancelled_at_any_moment(self) -> None:
        """Cancelled any number of milliseconds after it was joined: never a session left open."""
        for step in range(0, 36, 3):
            visit = self.visit()
            visiting = visit.begin()
            self.stage.wait(5 + step / 1000)
            visiting.cancel()
            record = visit.record(self.result_of(visiting))
            self.assertEqual(self.radios.asked[-1], "leave")
            self.assertIn(record.outcome, ("ok", "interrupted"))
            self.assertEqual(record.new, len(self.stage.run(self.library.files(limit=-1))))
            self.stage.wait(0.1)
            self.assertFalse(self.fake.session is not None and self.fake.session.is_open)
            self.again()
        self.assertEqual(record.outcome, "ok", "it never came to leaving")
        self.finish()

    def test_leaving_is_not_cut_short(self) -> None:
        """Neither the budget nor whoever cancels cuts short the way back; what was done is done."""
        for count in (0, 1, 3):
            self.radios.takes["leave"] = 20.0
            visit = self.visit(budget=BUDGET)
            visiting = visit.begin()
            self.stage.until(lambda: "leave" in self.radios.asked)
            for _ in range(count):
                visiting.cancel()
                self.stage.wait(1)
                self.assertNoResult(visiting)
            record = visit.record(self.result_of(visiting))
            self.assertEqual((record.outcome, record.new, self.radios.cancelled), ("ok", 7, []))
            self.assertApproximates(record.phases["leaving"], 20.0, 0.01)
            self.assertLess(record.awake, BUDGET)
            self.again()
        self.finish()

    def test_cancelled_again(self) -> None:
        """Cancelled twice in the middle, it is still put back before it is over."""
        self.radios.takes["leave"] = 20.0
        self.hang_in("syncing")
        visit = self.visit(budget=BUDGET)
        visiting = visit.begin()
        self.stage.wait(6)
        for _ in range(2):
            visiting.cancel()
            self.stage.wait(9)  # beyond the budget
        record = visit.record(self.result_of(visiting))
        self.assertEqual((record.outcome, self.radios.cancelled), ("interrupted", []))
        self.finish()


class TroubleTests(VisitTestCase):
    """What may be in the way."""

    def fails(self, error: type[Exception], visit: CameraVisit) -> Visit:
        """It does so, and the radios are put back."""
        result = self.result_of(visit.begin())
        assert isinstance(result, Failure)
        self.assertTrue(result.check(error), result)
        self.assertEqual(self.phases()[-2:], ["leaving", None])
        self.assertEqual(self.radios.asked[-1], "leave")
        record = visit.record(result)
        self.assertEqual((record.outcome, record.why), ("failed", str(result.value)))
        return record

    def test_not_woken(self) -> None:
        """A camera that cannot be woken is not looked for."""
        self.radios.trouble["wake"] = [RadioError("no camera is near")]
        record = self.fails(RadioError, self.visit())
        self.assertEqual((record.why, record.awake), ("no camera is near", 0.0))
        self.assertEqual(list(record.phases), ["waking", "leaving"])
        self.assertEqual(self.network.sent, [])
        self.finish()

    def test_not_joined_at_first(self) -> None:
        """Its network is not there: it is woken once more, and the story says why."""
        self.radios.trouble["join"] = [NetworkVanished("CAM-1234 vanished")]
        with capturedLogs() as events:
            record = self.make(self.visit())
        self.assertIn("CAM-1234 vanished; waking it once more", story(events))
        self.assertEqual(self.radios.asked, ["wake", "join", "wake", "join", "leave"])
        self.assertEqual((record.outcome, record.new), ("ok", 7))
        self.assertEqual(tuple(record.phases), PHASES)
        self.assertEqual((record.phases["waking"], record.phases["joining"]), (4.0, 6.0))
        self.finish()

    def test_not_joined(self) -> None:
        """Not the second time either: that is an error. Without waking, the first time is."""
        for config, asked in (({}, ["wake", "join"] * 2),
                              ({"wake": None, "network": "CAM"}, ["join"])):  # fmt: skip
            self.radios.trouble["join"] = [NetworkVanished("CAM-1234 vanished"), RadioError("gone")]
            self.fails(RadioError, self.visit(**config))
            self.assertEqual(self.radios.asked, [*asked, "leave"])
            self.again()
        self.finish()

    def test_no_use_to_wake_again(self) -> None:
        """What waking cannot mend costs no battery: it is woken once."""
        self.radios.trouble["join"] = [RadioError("not allowed to control Wi-Fi")]
        self.fails(RadioError, self.visit())
        self.assertEqual(self.radios.asked, ["wake", "join", "leave"])
        self.finish()

    def test_not_woken_again(self) -> None:
        """Not joined, and then not woken: what is told is the latter."""
        self.radios.trouble["join"] = [NetworkVanished("CAM-1234 vanished")]
        self.radios.trouble["wake"] = [None, RadioError("no camera is near")]
        self.assertEqual(self.fails(RadioError, self.visit()).why, "no camera is near")
        self.finish()

    def test_nobody_there(self) -> None:
        """Woken and joined, but nobody answers."""
        self.network.drops = lambda sent: True
        policy = Policy(discovery=1.0, pauses=(1.0,), total=5.0)
        record = self.fails(NoCameraAnswered, self.visit(policy))
        self.assertEqual(list(record.phases), ["waking", "joining", "connecting", "leaving"])
        self.assertApproximates(record.awake, 3.0 + 3.0, 0.1)
        self.finish()

    def test_login_refused(self) -> None:
        """A wrong password: CLOSE is said at once."""
        record = self.fails(LoginRefused, self.visit(password="wrong"))
        self.assertEqual(list(record.phases)[-2:], ["login", "leaving"])
        self.assertEqual(self.overs, [CloseReason.PEER])
        self.assertLess(record.awake, 4)
        self.finish()

    def test_library_full(self) -> None:
        """No room for more in the middle: what is home is counted, and the camera may sleep."""
        left = [3]

        def take(part: Path, path: Path) -> bool:
            if not left[0]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            left[0] -= 1
            part.rename(path)
            return True

        with mock.patch("trailcam.library.files._take", take):
            record = self.fails(LibraryError, self.visit())
        self.assertEqual((record.new, record.bytes), (3, 3 * PlainCard.size))
        self.assertEqual((record.battery, self.overs), (80, [CloseReason.PEER]))
        self.finish()

    def vanish_in_the_middle(self, visit: CameraVisit) -> Deferred[SyncReport]:
        """Switch the camera off after the first files."""
        visiting = visit.begin()
        self.stage.until(lambda: visit.report.new >= 3)
        self.stage.run(self.fake.switch_off())
        return visiting

    def test_comes_back(self) -> None:
        """A camera that is lost and comes back is none that failed."""
        visit = self.visit()
        visiting = self.vanish_in_the_middle(visit)
        self.stage.wait(4)
        self.fake.switch_on()
        record = visit.record(self.result_of(visiting))
        self.assertEqual((record.outcome, record.new, record.failed), ("ok", 7, 0))
        self.assertEqual(tuple(record.phases), PHASES)
        self.assertEqual(len(self.fake.sources), 2)
        self.assertGreater(record.awake, 7)
        self.finish()

    def test_never_comes_back(self) -> None:
        """One that does not: why, and what came home, with the time that this took."""
        visit = self.visit(Policy(total=20.0))
        visiting = self.vanish_in_the_middle(visit)
        record = visit.record(self.result_of(visiting))
        self.assertEqual(record.outcome, "failed")
        self.assertIn("no camera answered", record.why or "")
        self.assertGreaterEqual(record.new, 3)
        self.assertEqual(record.bytes, record.new * PlainCard.size)
        self.assertGreater(record.transferring, 0)
        self.assertEqual(record.battery, 80)
        self.assertEqual(self.radios.asked[-1], "leave")
        self.finish()

    def test_not_left(self) -> None:
        """What is wrong with going back hides nothing: it is told in the log."""
        for password, outcome in (("admin", "ok"), ("wrong", "failed")):
            self.radios.trouble["leave"] = [RadioError("wlan0 may not be back in home")]
            with capturedLogs() as events:
                record = self.make(self.visit(password=password))
            self.assertIn("garden: wlan0 may not be back in home", story(events, LogLevel.warn))
            self.assertEqual(record.outcome, outcome)
            self.assertNotIn("wlan0", record.why or "")
            self.again()
        self.finish()

    def test_radios_in_use(self) -> None:
        """Another program has the radios: nothing is touched, and the next may try."""
        state = Path(self.mktemp())
        other = FakeRadios(self.network, state=state)
        held: Deferred[None] = Deferred()
        holding = other.borrow(lambda: held)
        self.radios = FakeRadios(self.network, state=state)
        visit = self.visit()
        record = visit.record(self.failureResultOf(visit.begin(), RadioError))
        self.assertIn("the radios are in use by", record.why or "")
        self.assertEqual(self.radios.asked, [])
        held.callback(None)
        self.successResultOf(holding)
        self.assertEqual(self.make(self.visit()).outcome, "ok")
        self.finish()


class RecordTests(VisitTestCase):
    """What is remembered."""

    def test_when(self) -> None:
        """It begins and ends by the clock on the wall, in UTC."""
        before = self.wall_clock()
        record = self.make(self.visit())
        moments = [datetime.fromtimestamp(at, UTC) for at in (before, self.wall_clock())]
        for found, meant in zip((record.began, record.ended), moments, strict=True):
            self.assertLess(abs(found - meant), timedelta(seconds=0.01))
        first = self.told[0]
        assert isinstance(first, PhaseBegan)
        self.assertEqual(first.when, record.began)
        self.finish()

    def test_kept(self) -> None:
        """As it is made, the library gives it back."""
        record = self.make(self.visit())
        self.stage.run(self.library.record_visit(record))
        self.assertEqual(self.stage.run(self.library.last_visit("garden")), record)
        self.finish()

    def test_interrupted_in_a_transfer(self) -> None:
        """Of one that was cut short: what came, for how long it was coming, and who it was."""
        visit = self.visit()
        visiting = visit.begin()
        self.stage.until(lambda: visit.report.new >= 3)
        visiting.cancel()
        record = visit.record(self.result_of(visiting))
        self.assertEqual((record.outcome, record.battery, record.failed), ("interrupted", 80, 0))
        self.assertEqual(record.bytes, record.new * PlainCard.size)
        self.assertGreater(record.transferring, 0)
        self.assertLessEqual(record.transferring, record.phases["syncing"])
        self.finish()
