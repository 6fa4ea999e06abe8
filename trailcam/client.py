"""
L{Camera}: talking to one camera, for programs that use Twisted.

Example::

    async def main(reactor):
        camera = Camera(reactor, Target(host="192.168.43.1"), state=Path("state"))
        await camera.connect()
        await camera.login()
        print((await camera.info()).battery_percent)
        async for file in camera.media():
            await camera.download(file, Path(file.file_name))
        await camera.close()
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import tzinfo
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from trailcam.cardcommands import Delete, Format, Snap
from trailcam.commands import (
    PAGE_SIZE,
    Command,
    DeviceInformation,
    GetDeviceInformation,
    Heartbeat,
    ListMedia,
    MediaFile,
    Raw,
    Sleep,
)
from trailcam.connector import Connector
from trailcam.errors import CameraLost
from trailcam.fetching import Fetcher, Outcomes
from trailcam.locks import CameraLocks
from trailcam.playback import LiveFrames
from trailcam.portmemory import PortMemory
from trailcam.presence import TRIES, Presence
from trailcam.session.session import Session
from trailcam.sinks import Downloaded
from trailcam.target import Policy, Target
from trailcam.worker import ThreadWorker, Worker

__all__ = ["BATCH", "Camera", "MediaListing"]

Reply = TypeVar("Reply")

#: A camera sends at most so many photos for one request (W).
BATCH = 3


class Camera:
    """
    One camera, for as long as it is wanted.

    After L{login} a lost session comes back by itself, from the same source
    port: whoever asks for something meanwhile waits for it. Errors are those
    of L{trailcam.errors}: a refused login is L{LoginRefused}, an error result
    L{CommandFailed <trailcam.errors.CommandFailed>}, a lost session
    L{CameraLost}, nobody there L{NoCameraAnswered
    <trailcam.errors.NoCameraAnswered>}, and a camera that another program is
    talking to L{CameraBusy <trailcam.errors.CameraBusy>}.

    @ivar target: which camera it is.
    """

    def __init__(
        self,
        reactor: Any,
        target: Target,
        *,
        user: str = "admin",
        password: str = "admin",
        zone: tzinfo | None = None,
        policy: Policy | None = None,
        state: Path | None = None,
        worker: Worker | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """
        @param reactor: provides L{ICameraReactor <trailcam.interfaces.ICameraReactor>}, and
            threads unless C{worker} is given.
        @param zone: the camera's time zone; C{None} for the station's.
        @param state: the folder where the source port is remembered, and where programs see
            that the camera is in use; C{None}: neither.
        @param worker: does what touches the disk.
        @param wall_clock: the time in seconds since 1970, in UTC.
        """
        self.target = target
        policy, worker = policy or Policy(), worker or ThreadWorker(reactor)
        memory = PortMemory(state) if state is not None else None
        locks = CameraLocks(state) if state is not None else None
        self._connector = Connector(reactor, target, policy, memory, worker, locks=locks)
        self._presence = Presence(
            reactor, self._connector, policy, (user, password), zone, wall_clock
        )
        self._fetcher = Fetcher(reactor, worker, self._presence.ready)

    # -- coming and going --------------------------------------------------

    def connect(self, timeout: float | None = None) -> Deferred[None]:
        """
        Find the camera and open a session with it; one that stands is kept.

        @param timeout: seconds for all attempts; C{None} for the policy's.
        """
        return self._presence.connect(timeout)

    def login(self) -> Deferred[None]:
        """
        Log in, with the wall clock that the camera sets its own by.

        When the session is lost meanwhile, it is tried again in the next one.
        """
        return self._presence.login()

    def close(self) -> Deferred[None]:
        """
        End the session with CLOSE, or stop trying to have one.

        Whoever waits for something is told with L{CameraLost}; the next is L{connect}.

        @return: fires when the source port is free again.
        """
        return self._presence.close()

    def call_from(self, interface: str) -> None:
        """
        From the next connection on, use the network on which we have this address.

        @param interface: our own IPv4 address there.
        """
        self.target = self._connector.target = replace(self.target, interface=interface)

    @property
    def sessions(self) -> int:
        """How many sessions have been opened."""
        return self._presence.sessions

    @property
    def local_port(self) -> int:
        """The source port in use, or used last; 0 before the first attempt."""
        return self._connector.local_port

    @property
    def remembered(self) -> bool:
        """Whether the source port was known before this attempt."""
        return self._connector.remembered

    @property
    def address(self) -> tuple[str, int] | None:
        """Where the camera is, while there is a session."""
        return self._presence.address

    @property
    def session(self) -> Session | None:
        """The session, while there is one: what it has counted, and its round-trip time."""
        return self._presence.session

    @property
    def progress(self) -> Callable[[int], None]:
        """What is called with every number of bytes of media that arrive; may be set."""
        return self._fetcher.progress

    @progress.setter
    def progress(self, told: Callable[[int], None]) -> None:
        self._fetcher.progress = told

    # -- asking ------------------------------------------------------------

    def info(self) -> Deferred[DeviceInformation]:
        """What the camera says of itself: battery, card, firmware, settings."""
        return Deferred.fromCoroutine(self._ask(GetDeviceInformation()))

    def media(self) -> MediaListing:
        """What is on the card, as an asynchronous iteration; highest number first."""
        return MediaListing(lambda page: Deferred.fromCoroutine(self._ask(ListMedia(page))))

    def thumbnails(self, files: Sequence[MediaFile]) -> Deferred[dict[MediaFile, bytes]]:
        """
        Small JPEG pictures of photos and videos.

        @return: fires with the data of each.
        """
        return Deferred.fromCoroutine(self._fetcher.thumbnails(list(files)))

    def download(self, file: MediaFile, path: Path) -> Deferred[Downloaded]:
        """
        Bring one photo or video home; a video becomes an MP4, not re-encoded.

        It is written to C{path} while it arrives; memory does not grow with it.

        @return: fails with L{DamagedTransfer <trailcam.errors.DamagedTransfer>}
            when it came damaged; nothing is left at C{path} then.
        """

        async def one() -> Downloaded:
            outcome = (await self._fetcher.fetch([(file, path)]))[file]
            if isinstance(outcome, Failure):
                outcome.raiseException()
            return outcome

        return Deferred.fromCoroutine(one())

    def fetch(self, wanted: Sequence[tuple[MediaFile, Path]]) -> Deferred[Outcomes]:
        """
        Bring several home with one request: up to L{BATCH} photos, or one video.

        @return: fires with what became of each; fails when none could be asked for.
        """
        return Deferred.fromCoroutine(self._fetcher.fetch(wanted))

    def live(self) -> Deferred[LiveFrames]:
        """Start the live view; close what you get to stop it."""
        return Deferred.fromCoroutine(self._fetcher.live())

    def send(self, request: dict[str, Any]) -> Deferred[dict[str, Any] | None]:
        """
        Send any command as JSON, the token added.

        @return: fires with the camera's answer, whatever it says; with C{None}
            for a command that gets none.
        """
        answer: Deferred[dict[str, Any] | None] = Deferred.fromCoroutine(self._send(Raw(request)))
        return answer

    def sleep(self) -> Deferred[Any]:
        """Tell the camera to sleep now (evidence P)."""
        return Deferred.fromCoroutine(self._send(Sleep()))

    # -- changing the card -------------------------------------------------

    def delete(self, file: MediaFile, session: int | None = None) -> Deferred[None]:
        """
        Delete one photo or video from the card. It is asked for once: when the camera is lost
        over it, with L{CameraLost}, the list tells whether it is still there.

        @param session: only while this is the number of L{sessions}: in the next one, another
            card may lie in the camera. C{None}: in any.
        """

        async def work() -> None:
            await self._once(Delete(file), session)

        return Deferred.fromCoroutine(work())

    def format_card(self, session: int | None = None) -> Deferred[int | None]:
        """
        Erase the whole card. It is asked for once.

        @param session: as for L{delete}.
        @return: fires with how many MB are free then; C{None} where the camera does not say.
        """
        return Deferred.fromCoroutine(self._once(Format(), session))

    def snap(self) -> Deferred[None]:
        """Take a photo now (evidence P). It is asked for once."""

        async def work() -> None:
            await self._once(Snap())

        return Deferred.fromCoroutine(work())

    # -- inside ------------------------------------------------------------

    async def _ask(self, command: Command[Reply]) -> Reply:
        """Ask for what changes nothing: again, if the session is lost meanwhile."""
        for tries_left in reversed(range(TRIES)):
            conversation = await self._presence.ready()
            try:
                return await conversation.request(command)
            except CameraLost:
                if not tries_left or not self._presence.wanted:
                    raise
        raise AssertionError("unreachable")

    async def _once(self, command: Command[Reply], session: int | None = None) -> Reply:
        """Ask for what changes something: never a second time."""
        conversation = await self._presence.ready()
        if session is not None and session != self.sessions:
            raise CameraLost("the camera was lost meanwhile")
        return await conversation.request(command)

    async def _send(self, command: Command[dict[str, Any]]) -> dict[str, Any] | None:
        conversation = await self._presence.ready()
        if command.code == Heartbeat.cmd_id:
            conversation.beat()
            return None
        return await conversation.request(command)


class MediaListing:
    """
    An asynchronous iteration over all that is on the card, page by page.

    Some cameras repeat pages, and pictures taken meanwhile shift them: each
    file comes once, and when a page brings nothing new the list is over.

    @ivar refused: how many entries made no sense.
    @ivar repeated: whether it ended because a full page brought nothing new: the end of
        the list for some cameras, but another may keep its older pictures from us so.
    """

    #: 65535 numbers in each of 900 directories would be more; no card holds so many.
    MOST_PAGES = 20_000

    def __init__(self, ask: Callable[[int], Awaitable[Any]]) -> None:
        self._ask = ask
        self._page = 0
        self._files: list[MediaFile] = []
        self._seen: set[MediaFile] = set()
        self._more = True
        self.refused = 0
        self.repeated = False

    def __aiter__(self) -> MediaListing:
        return self

    async def __anext__(self) -> MediaFile:
        while not self._files and self._more:
            await self._next_page()
        if not self._files:
            raise StopAsyncIteration
        return self._files.pop(0)

    def close(self) -> None:
        """Ask for no more pages."""
        self._more = False
        self._files.clear()

    async def _next_page(self) -> None:
        page = await self._ask(self._page)
        self._page += 1
        self.refused += page.refused
        new = [file for file in dict.fromkeys(page.files) if file not in self._seen]
        self._seen.update(new)
        self._files = new
        self.repeated = not new and page.count >= PAGE_SIZE
        self._more = bool(new) and page.count >= PAGE_SIZE and self._page < self.MOST_PAGES
