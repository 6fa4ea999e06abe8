"""L{StatusBoard}: how a camera is, whatever happens in whatever order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import TestCase

from trailcam.board import CameraState, StatusBoard
from trailcam.cameraservice import CameraService
from trailcam.commands import MediaFile
from trailcam.errors import LoginRefused, NoCameraAnswered, TrailcamError
from trailcam.happenings import NewMedia, PhaseBegan, Transferring, VisitEnded
from trailcam.health import MISSED, SEEN
from trailcam.library import StoredFile, Visit

NOW = datetime(2026, 5, 18, 7, 0, tzinfo=UTC)
WELL = Visit("garden", NOW, NOW + timedelta(seconds=30), "ok", new=2, battery=80,
             card_free_mb=900, temperature=4.0)  # fmt: skip
FILE = StoredFile("C6", MediaFile(0, 100, 1, 0, 1, 1), None, Path("/a.jpg"), 1, "", NOW)


class Service:
    """What the board reads of a camera's service."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.due: datetime | None = None
        self.error: TrailcamError | None = None
        self.viewers = 0
        self.camera = SimpleNamespace(local_port=0, remembered=False, session=None)
        self.visits = 0
        self.over: Deferred[None] = Deferred()

    def visit_now(self) -> None:
        """Counted."""
        self.visits += 1

    def visit(self) -> Deferred[None]:
        """Fires when the test says so."""
        return self.over


class BoardTests(TestCase):
    """A board with a garden and a pond."""

    def setUp(self) -> None:
        self.board = StatusBoard(wall_clock=NOW.timestamp)
        self.garden, self.pond = Service("garden"), Service("pond")
        self.told: list[str] = []
        self.came: list[str] = []
        self.stop_watching = self.board.watch(self)

    def changed(self, camera: str) -> None:
        """As a watcher."""
        self.told.append(camera)

    def arrived(self, what: NewMedia) -> None:
        """As a watcher."""
        self.came.append(what.camera)

    def state(self, service: Service | None = None) -> CameraState:
        """How a camera is."""
        return self.board.state(cast(CameraService, service or self.garden))

    def enter(self, phase: str | None, camera: str = "garden") -> None:
        """A phase begins."""
        self.board.happened(PhaseBegan(camera, phase, NOW))

    def test_a_visit(self) -> None:
        """Phases, the port while connected, the transfer, and how it went are told in turn."""
        self.assertEqual((self.state().word, self.state().since), ("new", None))
        self.enter("connecting")
        self.garden.camera = SimpleNamespace(local_port=40123, remembered=True, session=object())
        self.assertIsNone(self.state().port, "another answer may come")
        for phase in ("login", "information", "syncing"):
            self.enter(phase)
            self.assertEqual((self.state().word, self.state().port), (phase, 40123))
        self.assertTrue(self.state().remembered)
        self.garden.camera.session = None
        self.assertTrue(self.state().lost)
        self.garden.camera.session = object()
        self.assertFalse(self.state().lost)
        progress = Transferring("garden", 1, 4, 1000)
        self.board.happened(progress)
        self.assertEqual(self.state().transfer, progress)
        self.enter("leaving")
        self.assertEqual((self.state().port, self.state().transfer), (None, None))
        self.enter(None)
        self.board.happened(VisitEnded("garden", WELL))
        state = self.state()
        self.assertEqual((state.word, state.last_visit, state.battery), ("asleep", WELL, 80))
        self.assertEqual((state.card_free_mb, state.last_seen), (900, WELL.ended))
        self.assertEqual(self.state(self.pond).word, "new", "nothing of it concerns another")
        self.assertEqual(set(self.told), {"garden"})

    def test_trouble(self) -> None:
        """What failed is told with its reason; a refused login and a missing camera stand out."""
        failed = replace(WELL, outcome="failed", why="nobody there", battery=None)
        self.board.happened(VisitEnded("garden", WELL))
        self.board.happened(VisitEnded("garden", replace(failed, began=NOW)))
        self.assertEqual((self.state().word, self.state().why), ("failed", "nobody there"))
        self.garden.error = NoCameraAnswered("no camera answered")
        self.assertEqual((self.state().trouble, self.state().why), ("silent", "no camera answered"))
        for _ in range(MISSED - 1):
            self.board.happened(VisitEnded("garden", failed))
        state = self.state()
        self.assertEqual((state.word, state.failures, state.battery), ("missing", MISSED, 80))
        self.garden.error = LoginRefused("wrong")
        self.assertEqual((self.state().word, self.state().trouble), ("refused", "login"))
        self.garden.error = None
        self.board.happened(VisitEnded("garden", WELL))
        self.board.happened(VisitEnded("garden", replace(WELL, outcome="interrupted")))
        self.assertEqual((self.state().word, self.state().trouble), ("asleep", None))

    def test_waiting(self) -> None:
        """A visit that is wanted waits for another camera's, or for the live view, until it is
        over; one that is due waits as well."""
        self.enter("syncing", "pond")
        self.board.visit(cast(CameraService, self.garden))
        state = self.state()
        self.assertEqual((state.word, state.waits_for, self.garden.visits), ("waiting", "pond", 1))
        self.enter("connecting")
        self.assertEqual((self.state().word, self.state().waiting), ("connecting", False))
        self.enter("showing")
        self.garden.viewers = 2
        state = self.state()
        self.assertEqual((state.word, state.waiting, state.viewers), ("showing", True, 2))
        self.enter(None)
        self.garden.over.callback(None)
        self.assertEqual((self.state().word, self.told[-1]), ("new", "garden"))
        self.garden.due = NOW - timedelta(seconds=1)
        self.assertEqual(self.state().word, "waiting")
        self.garden.due = NOW + timedelta(seconds=1)
        self.assertEqual((self.state().word, self.state().due), ("new", self.garden.due))

    def test_recall(self) -> None:
        """Visits from before are read once, and put behind those that were told meanwhile."""
        asked: list[Any] = []
        before = [replace(WELL, began=NOW - timedelta(hours=hour), battery=90) for hour in (0, 1)]

        def visits(*arguments: Any) -> Deferred[list[Visit]]:
            asked.append(arguments)
            return succeed(before)

        library: Any = SimpleNamespace(visits=visits)
        self.board.happened(VisitEnded("garden", WELL))
        for _ in range(2):
            self.successResultOf(self.board.recall(library, "garden"))
        self.assertEqual(asked, [("garden", SEEN)])
        self.assertEqual(self.state().battery, 80)
        self.board.happened(VisitEnded("garden", replace(WELL, outcome="failed", battery=None)))
        self.assertEqual((self.state().failures, self.state().battery), (1, 80))

    def test_bounded(self) -> None:
        """However much happens, not more than the last visits are kept; who has left is not told
        any more, and pictures are told by themselves."""
        for number in range(3 * SEEN):
            began = NOW + timedelta(hours=number)
            self.board.happened(VisitEnded("garden", replace(WELL, began=began, battery=None)))
        self.assertIsNone(self.state().battery)
        self.assertEqual(self.state().last_visit and self.state().last_visit.began, began)
        self.assertEqual(len(self.board._of("garden").visits), SEEN)
        self.told.clear()
        self.board.happened(NewMedia("pond", FILE))
        self.stop_watching()
        self.board.happened(NewMedia("pond", FILE))
        self.enter("login")
        self.assertEqual((self.told, self.came), ([], ["pond"]))
