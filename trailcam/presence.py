"""
Being in touch with a camera: a session that is opened, logged in to, lost,
and comes back by itself from the same source port.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, tzinfo
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredLock, fail, succeed
from twisted.python.failure import Failure

from trailcam.commands import Login
from trailcam.connector import Connector
from trailcam.conversation import Conversation
from trailcam.errors import CameraLost, TrailcamError
from trailcam.interfaces import ICameraReactor
from trailcam.logs import make_logger
from trailcam.session.session import Session
from trailcam.target import Policy
from trailcam.waiting import when_over

__all__ = ["TRIES", "Presence"]

#: When it is lost while coming back, so many sessions are tried.
TRIES = 3


class Presence:
    """
    At most one session with one camera, and the wish to have one.

    @ivar connector: brings the sessions about.
    @ivar sessions: how many have been opened.
    @ivar wanted: whether a lost one comes back by itself: from the first login on.
    """

    log = make_logger(__name__)

    def __init__(
        self,
        reactor: ICameraReactor,
        connector: Connector,
        policy: Policy,
        credentials: tuple[str, str],
        zone: tzinfo | None,
        wall_clock: Callable[[], float],
    ) -> None:
        """
        @param credentials: user name and password.
        @param zone: the camera's time zone; C{None} for the station's.
        @param wall_clock: the time in seconds since 1970, in UTC.
        """
        self.connector = connector
        self.sessions = 0
        self.wanted = False
        self._reactor = reactor
        self._policy = policy
        self._credentials = credentials
        self._zone, self._wall_clock = zone, wall_clock
        self._conversation: Conversation | None = None
        self._door = DeferredLock()
        # What close() interrupts, and what then tells that it is over.
        self._attempts: dict[Deferred[None], Deferred[None]] = {}
        self._arriving: Deferred[None] | None = None
        self._waiting: list[Deferred[Conversation]] = []
        # Fires when the port of the last session is free.
        self._closing: Deferred[None] = succeed(None)
        self._closed = False

    def connect(self, timeout: float | None) -> Deferred[None]:
        """Open a session; one that stands is kept. See L{trailcam.client.Camera.connect}."""
        self._closed = False
        return self._attempt(self._connect(timeout))

    def login(self) -> Deferred[None]:
        """Log in; when the session is lost meanwhile, in the next one."""
        return Deferred.fromCoroutine(self._log_in())

    def close(self) -> Deferred[None]:
        """End it all; fires when the source port is free again."""
        return Deferred.fromCoroutine(self._close())

    @property
    def address(self) -> tuple[str, int] | None:
        """Where the camera is, while there is a session."""
        conversation = self._conversation
        return conversation.protocol.peer if conversation and conversation.protocol else None

    @property
    def session(self) -> Session | None:
        """The state of the session, while there is one."""
        conversation = self._conversation
        return conversation.protocol.session if conversation and conversation.protocol else None

    def ready(self) -> Deferred[Conversation]:
        """A session that is logged in; coming back if need be."""
        conversation = self._conversation
        if conversation is not None and self._arriving is None:
            return succeed(conversation)
        if self._closed:
            return fail(CameraLost("the camera was closed: connect first"))
        waiting: Deferred[Conversation] = Deferred()
        self._waiting.append(waiting)
        if self._arriving is None:
            self._arrive()
        return waiting

    def _attempt(self, work: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        """Begin what L{close} interrupts."""
        attempt = Deferred.fromCoroutine(work)
        over = self._attempts[attempt] = Deferred()

        def ended(result: Failure | None) -> Failure | None:
            del self._attempts[attempt]
            over.callback(None)
            if self._closed and isinstance(result, Failure) and result.check(CancelledError):
                return Failure(CameraLost("the camera was closed"))
            return result

        return attempt.addBoth(ended)

    async def _close(self) -> None:
        self.wanted, self._closed = False, True
        for attempt, over in list(self._attempts.items()):
            attempt.cancel()
            await over
        await self._hang_up()
        await self.connector.release()

    async def _hang_up(self) -> None:
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            self._closing = conversation.hang_up() or self._closing
        await when_over(self._closing)

    async def _connect(self, timeout: float | None) -> None:
        await self._door.acquire()
        try:
            if self._conversation is None:
                await when_over(self._closing)
                await self._open_session(timeout)
        finally:
            self._door.release()

    async def _open_session(self, timeout: float | None) -> None:
        conversation = Conversation(self._reactor, self._policy.request, self._policy.heartbeat)
        protocol = await self.connector.connect(conversation, timeout)
        try:
            conversation.attach(protocol, self._lost)
        except CameraLost:
            await protocol.close()
            raise
        self._conversation = conversation
        self.sessions += 1

    async def _log_in(self) -> None:
        if self._conversation is None and self._arriving is None:
            raise CameraLost("there is no session to log in to: connect first")
        try:
            await self._login()
        except CameraLost:
            await self.ready()

    async def _login(self) -> None:
        conversation = self._conversation
        if conversation is None:
            raise CameraLost("there is no session to log in to")
        await conversation.log_in(Login(self._wall_time(), *self._credentials))
        self.wanted = True
        self.log.info("logged in to {target}", target=str(self.connector.target))

    def _wall_time(self) -> int:
        """The camera's local time, counted as if it were UTC ("Times are local")."""
        local = datetime.fromtimestamp(self._wall_clock(), UTC).astimezone(self._zone)
        return int(local.replace(tzinfo=UTC).timestamp())

    def _lost(self, why: CameraLost) -> None:
        conversation, self._conversation = self._conversation, None
        if conversation is not None and conversation.protocol is not None:
            # No CLOSE: it might put the camera to sleep. The new session replaces the old.
            conversation.protocol.drop()
            self._closing = conversation.protocol.close()
        self.log.warn("{why}", why=str(why))
        if self.wanted and self._arriving is None:
            self._arrive()

    def _arrive(self) -> None:
        self._arriving = self._attempt(self._come_back())
        self._arriving.addBoth(self._arrived)

    async def _come_back(self) -> None:
        for tries_left in reversed(range(TRIES)):
            try:
                await self._connect(None)
                await self._login()
                return
            except CameraLost:
                if not tries_left:
                    raise
            except TrailcamError:
                await self._hang_up()  # a camera that is of no use shall not stay awake
                raise

    def _arrived(self, result: Failure | None) -> None:
        self._arriving = None
        waiting, self._waiting = self._waiting, []
        if isinstance(result, Failure):
            self.wanted = False
            self.connector.release()
            self.log.debug("not back: {why}", why=result.getErrorMessage())
        for deferred in waiting:
            if deferred.called:
                continue
            if isinstance(result, Failure):
                deferred.errback(result)
            elif self._conversation is not None:
                deferred.callback(self._conversation)
            else:
                deferred.errback(CameraLost("the camera was lost again"))
