"""The commands that change the card: their bytes, the client's methods, and a second opinion."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests import independent
from tests.support import NOW, PlainCard, Stage, losing
from trailcam.cardcommands import Delete, Format, Snap
from trailcam.client import Camera
from trailcam.commands import CHANGING, MediaFile
from trailcam.errors import CameraLost, CommandFailed
from trailcam.library import Library
from trailcam.library.sync import sync
from trailcam.simulator.camera import Visit
from trailcam.target import Target
from trailcam.testing import FakeCamera

PHOTO = MediaFile(0, 100, 318, 0, 3361310203, 1766527938)
SUCCESS = {"result": 0, "errorMsg": "Success"}


class CommandTests(TestCase):
    """What is said, and what an answer comes to."""

    def test_fields(self) -> None:
        """As PROTOCOL's table has them: 773 names one file, 518 and 641 say nothing more."""
        self.assertEqual((Delete(PHOTO).code, Delete(PHOTO).fields()),
                         (773, {"fileType": 0, "dirNum": 100, "mediaNum": 318}))  # fmt: skip
        self.assertEqual((Format().code, Format().fields()), (518, {}))
        self.assertEqual((Snap().code, Snap().fields()), (641, {}))
        self.assertLessEqual({Delete.cmd_id, Format.cmd_id}, CHANGING)

    def test_replies(self) -> None:
        """An error in any of the answer's fields is one; a card may not tell its size."""
        self.assertEqual(Format().reply({**SUCCESS, "formatRet": 0, "sdFreeMB": 30190}), 30190)
        self.assertIsNone(Format().reply({"result": 0}))
        Delete(PHOTO).reply({"delRet": 0, "result": 0})
        Snap().reply(SUCCESS)
        for command, answer in (
            (Delete(PHOTO), {"delRet": -1, "result": 0}),
            (Delete(PHOTO), {"delRet": 0, "result": -1}),
            (Format(), {"formatRet": 1, "result": 0, "sdFreeMB": 1}),
            (Format(), {"result": -1, "errorMsg": "no card"}),
            (Snap(), {"result": 7}),
        ):
            self.assertRaises(CommandFailed, command.reply, answer)


class ClientTests(TestCase):
    """L{Camera.delete}, L{Camera.format_card} and L{Camera.snap}."""

    def setUp(self) -> None:
        """A camera with three photos, and a client that is logged in."""
        self.stage = Stage()
        self.card = self.stage.fake.card
        self.camera = self.stage.guest()

    def test_all_three(self) -> None:
        """One photo is deleted, one is taken, all are erased; what is not there is an error."""
        first, second, third = self.card.files
        self.assertIsNone(self.stage.run(self.camera.delete(second)))
        self.assertEqual(self.card.files, (first, third))
        error = self.assertRaises(CommandFailed, self.stage.run, self.camera.delete(second))
        self.assertEqual(str(error), "the camera refused command 773: File not found")
        self.assertIsNone(self.stage.run(self.camera.snap()))
        self.assertEqual(self.card.files[1:], (first, third))
        self.assertGreater(self.stage.run(self.camera.format_card()), 30_000)
        self.assertEqual(self.card.files, ())
        self.stage.over(self.camera)

    def test_asked_once(self) -> None:
        """When the camera is lost over it, nothing is asked for a second time."""
        asked: list[int] = []
        real = Visit._answer

        def answer(visit: Visit, code: int, sequence: int, request: dict[str, Any]) -> Any:
            asked.append(code)
            return real(visit, code, sequence, request) if code in (0, 512) else iter(())

        self.patch(Visit, "_answer", answer)
        for work in (self.camera.snap, self.camera.format_card,
                     lambda: self.camera.delete(self.card.files[0])):  # fmt: skip
            self.assertRaises(CameraLost, self.stage.run, work())
            self.stage.run(self.camera.info())
        self.assertEqual([code for code in asked if code in (518, 641, 773)], [641, 518, 773])
        self.stage.over(self.camera)

    def test_only_in_this_session(self) -> None:
        """In another session than the one that is meant, nothing is asked for at all."""
        session = self.camera.sessions
        self.stage.network.drops = losing("Drw0", 40611)
        deleting = self.camera.delete(self.card.files[0], session)
        self.stage.until(lambda: len(self.card.files) == 2)
        self.assertRaises(CameraLost, self.stage.run, deleting)
        self.stage.network.drops = lambda sent: False
        self.stage.run(self.camera.info())
        self.assertEqual(self.camera.sessions, session + 1)
        for deferred in (self.camera.delete(self.card.files[0], session),
                         self.camera.format_card(session)):  # fmt: skip
            error = self.assertRaises(CameraLost, self.stage.run, deferred)
            self.assertEqual(str(error), "the camera was lost meanwhile")
        self.assertEqual(len(self.card.files), 2)
        self.stage.over(self.camera)


class SecondOpinionTests(TestCase):
    """The same against somebody else's reading of the protocol, over real sockets."""

    timeout = 60

    async def test_their_camera(self) -> None:
        """A sync that clears the card, a photo taken, the card formatted: no complaints."""
        from twisted.internet import reactor

        media = [
            independent.Media(n, b"\xff\xd8" + bytes([n]) * 5000 + b"\xff\xd9",
                              n + 10**9 if n != 2 else None, 1766527938 + n)
            for n in range(1, 5)
        ]  # fmt: skip
        library = Library(Path(self.mktemp()), reactor)
        await library.open()
        with independent.Camera(media, noise=False) as theirs:
            camera = Camera(reactor, Target("127.0.0.1", theirs.port, "garden"), zone=UTC)
            await camera.connect()
            await camera.login()
            watcher = Quiet()
            first = await sync(reactor, camera, library, watcher, UTC)  # type: ignore[arg-type]
            self.assertEqual((first.new, first.cleared, theirs.deletions), (4, 0, []))
            await camera.snap()
            second = await sync(
                reactor, camera, library, watcher, UTC, clear=True  # type: ignore[arg-type]
            )  # fmt: skip
            # Number 2 does not tell its id, and was not fetched just now.
            self.assertEqual((second.new, second.cleared, theirs.deletions), (1, 4, [5, 4, 3, 1]))
            self.assertEqual([one.number for one in theirs.media], [2])
            self.assertEqual(await camera.format_card(), 30190)
            self.assertEqual(theirs.media, [])
            await camera.close()
        self.assertEqual(theirs.complaints, [])
        marked = {row.file.number for row in await library.files() if row.deleted}
        self.assertEqual(marked, {1, 3, 4, 5})
        await library.close()

    async def test_their_client(self) -> None:
        """Ours answers theirs as the table says, and what is not there with an error."""
        from twisted.internet import reactor

        card = PlainCard(3, 0, newest=NOW)
        fake = FakeCamera(reactor, card=card, port=0, search_port=None)
        fake.start()
        _, second, _ = card.files
        name = {"fileType": 0, "dirNum": second.directory, "mediaNum": second.number}

        def talk() -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
            with independent.Client(fake.address) as client:
                client.connect()
                client.login()
                answers = [client.command(773, **name), client.command(773, **name),
                           client.command(641)]  # fmt: skip
                left = client.media()
                answers.append(client.command(518))
                client.close()
                return answers, left, client.complaints

        try:
            answers, left, complaints = await deferToThread(talk)
        finally:
            await fake.stop()
        self.assertEqual(complaints, [])
        self.assertEqual([answer["result"] for answer in answers], [0, -1, 0, 0])
        self.assertEqual([answers[0]["delRet"], answers[3]["formatRet"]], [0, 0])
        self.assertLessEqual({"sdTotalMB", "sdFreeMB"}, set(answers[3]))
        self.assertEqual([each["mediaNum"] for each in left], [4, 3, 1])
        self.assertEqual(card.files, ())


class Quiet:
    """An observer that does not care."""

    def informed(self, information: Any) -> None: ...

    def found(self, new: int, known: int) -> None: ...

    def stored(self, file: Any) -> None: ...

    def failed(self, file: MediaFile, why: str) -> None: ...
