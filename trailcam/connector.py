"""
Connecting, and connecting again: which source port, which address, how often, how long.

This is the story the project began with: take whatever port the system gives
the first time, remember it, and come back from it every time after that.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.defer import TimeoutError as TwistedTimeout
from twisted.internet.error import CannotListenError
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from trailcam.discovery import Found, first_answer, plan
from trailcam.errors import ConfigError, NoCameraAnswered
from trailcam.interfaces import ICameraReactor, LinkListener
from trailcam.locks import CameraLocks
from trailcam.logs import make_logger
from trailcam.portmemory import PortMemory, Remembered
from trailcam.protocol import CameraProtocol
from trailcam.target import Policy, Target
from trailcam.worker import Worker

__all__ = ["Connector"]


class Connector:
    """
    Brings about connections to one camera.

    @ivar target: which camera it is.
    @ivar local_port: the source port of the last attempt; 0 before the first.
    """

    log = make_logger(__name__)

    def __init__(
        self,
        reactor: ICameraReactor,
        target: Target,
        policy: Policy,
        memory: PortMemory | None,
        worker: Worker,
        make_protocol: Callable[[ICameraReactor], CameraProtocol] = CameraProtocol,
        locks: CameraLocks | None = None,
    ) -> None:
        """
        @param memory: where the port is remembered; C{None} to remember it in this object only.
        @param locks: keep other programs away from the camera until L{release}.
        @param worker: does what touches the disk.
        """
        self._reactor = reactor
        self.target = target
        self._policy = policy
        self._memory = memory
        self._worker = worker
        self._make_protocol = make_protocol
        self._locks = locks
        # Beyond an interface that somebody has chosen, another camera may have this address.
        self._beyond = f" beyond {target.interface}" if target.interface else ""
        self._known: Remembered | None = None
        self._recalled = memory is None
        self._written: Remembered | None = None
        self._warned = False
        self._stand_in = 0
        self._before = 0
        self.local_port = 0

    def connect(
        self, listener: LinkListener, total: float | None = None
    ) -> Deferred[CameraProtocol]:
        """
        Find the camera and open a session with it.

        @param listener: hears of the session once it stands.
        @param total: seconds for all attempts; C{None} for the policy's.
        @return: fires with the protocol, and the camera is ours until L{release}; fails with
            L{NoCameraAnswered}, and with L{CameraBusy <trailcam.errors.CameraBusy>} when it is
            another program's. May be cancelled.
        """

        def failed(failure: Failure) -> Failure:
            self.release()
            return failure

        connecting = self._connect(listener, total or self._policy.total)
        return Deferred.fromCoroutine(connecting).addErrback(failed)

    def release(self) -> Deferred[None]:
        """Let other programs talk to the camera."""
        return succeed(None) if self._locks is None else self._worker.call(self._locks.release)

    @property
    def remembered(self) -> bool:
        """Whether that port was the camera's already before L{connect} was called last."""
        return self.local_port == self._before != 0

    async def _connect(self, listener: LinkListener, total: float) -> CameraProtocol:
        if self.target.key != "any":
            await self._hold(self.target.key)
        await self._recall()
        if self._known is not None and self._known.address is not None:
            await self._hold(_label(self._known.address))
        self._before = self._known.port if self._known else 0
        began = self._reactor.seconds()
        deadline = began + total
        attempts = len(self._policy.pauses) + 1
        for attempt, pause in enumerate((0.0, *self._policy.pauses), 1):
            if self._reactor.seconds() + pause >= deadline:
                break
            if pause:
                await deferLater(self._reactor, pause)
            self.log.info("attempt {n} of {all}: looking for {target}", n=attempt, all=attempts,
                          target=str(self.target))  # fmt: skip
            protocol = await self._attempt(listener, deadline)
            if protocol is not None:
                return protocol
        waited = self._reactor.seconds() - began
        raise NoCameraAnswered(_advice(self.target, waited, self.local_port))

    async def _attempt(self, listener: LinkListener, deadline: float) -> CameraProtocol | None:
        """One discovery and one handshake; C{None} when nobody answered."""
        protocol = await self._listen(deadline)
        found, connected = None, False
        try:
            if not (self.target.local_port or self._stand_in):
                # Before anything is sent: a kill from here on must not forget it.
                await self._remember(self._known or Remembered(protocol.local_port))
            where = plan(self.target, self._known.address if self._known else None)
            self.log.debug("{plan}", plan=str(where))
            found = await first_answer(self._reactor, protocol, where, self._time_left(deadline))
            await self._hold(_label(found.address))
            # A timeout of its own: a camera that talks, but never accepts, is not silent.
            opening = protocol.open(found.address, found.device_id, self._policy.silence, listener,
                                    ready=found.ready)  # fmt: skip
            await opening.addTimeout(self._time_left(deadline), self._reactor)
            await self._connected(protocol, found)
            connected = True
            return protocol
        except TwistedTimeout:
            self.log.info("{found}", found=f"{found} answered, but accepted no session"
                          if found else "no answer")  # fmt: skip
        except ConnectionError as error:
            self.log.info("{found} answered, but then: {why}", found=str(found), why=str(error))
        finally:
            if not connected:
                await protocol.close()
        return None

    def _time_left(self, deadline: float) -> float:
        return max(0.1, min(self._policy.discovery, deadline - self._reactor.seconds()))

    async def _hold(self, key: str) -> None:
        """Keep other programs away from the camera that has this name or address."""
        if self._locks is None:
            return
        try:
            await self._worker.call(self._locks.hold, key + self._beyond)
        except OSError as error:  # the port memory, which is in the same folder, says more
            self.log.debug("cannot lock the camera: {error}", error=_reason(error))

    # -- the port ----------------------------------------------------------

    async def _listen(self, deadline: float) -> CameraProtocol:
        """Bind the remembered port; where it cannot be had, another, and say so."""
        by_hand = self.target.local_port
        try:
            if by_hand:
                return self._bind(by_hand, "using source port {port}, as told")
            if self._known is None:
                return self._bind(0, "first connection: the system assigned source port {port}")
        except CannotListenError as error:
            raise self._unusable(by_hand, error) from None
        known = await self._listen_again(self._known.port, deadline)
        return known or self._listen_elsewhere(self._known.port)

    async def _listen_again(self, port: int, deadline: float) -> CameraProtocol | None:
        """Bind the remembered port; C{None} when another program keeps it."""
        now = self._reactor.seconds()
        patience = min(self._policy.port_patience, (deadline - now) / 3)
        # Who has waited for it once does not wait again.
        give_up = now if self._stand_in else now + patience
        waiting = False
        while True:
            try:
                protocol = self._bind(port, "using source port {port} again")
                self._stand_in = 0
                return protocol
            except CannotListenError as error:
                if not _is_taken(error):
                    raise self._unusable(None, error) from None
                if self._reactor.seconds() >= give_up:
                    return None
                if not waiting:
                    waiting = True
                    self.log.info("source port {port} is busy; waiting for it, at most {n:.0f} s",
                                  port=port, n=patience)  # fmt: skip
            await deferLater(self._reactor, 0.5)

    def _listen_elsewhere(self, wanted: int) -> CameraProtocol:
        """Bind a port that stands in for the remembered one, the same on every attempt."""
        if not self._stand_in:
            self.log.warn(
                "source port {port}, which the camera knows, is held by another program; "
                "going on from a new one. If the camera does not answer, switch it off and on.",
                port=wanted,
            )
        for port in dict.fromkeys((self._stand_in, 0)):
            try:
                protocol = self._bind(port, "using source port {port} for the time being")
                self._stand_in = protocol.local_port
                return protocol
            except CannotListenError as error:
                trouble = error
        raise self._unusable(None, trouble)

    def _bind(self, port: int, story: str) -> CameraProtocol:
        protocol = self._make_protocol(self._reactor)
        self._reactor.listenUDP(port, protocol, self.target.interface, 65536)
        self.local_port = protocol.local_port
        self.log.info(story, port=self.local_port)
        return protocol

    def _unusable(self, by_hand: int | None, error: CannotListenError) -> ConfigError:
        if by_hand:
            return ConfigError(
                f"source port {by_hand} cannot be used: {_reason(error)}; "
                "choose another with --local-port, or none"
            )
        where = self.target.interface or "this machine"
        return ConfigError(f"no UDP port can be opened on {where}: {_reason(error)}")

    async def _connected(self, protocol: CameraProtocol, found: Found) -> None:
        self.log.info("connected to {camera} ({id}) from source port {port}", camera=str(found),
                      id=str(found.device_id), port=protocol.local_port)  # fmt: skip
        if not self.target.local_port:
            self._stand_in = 0
            await self._remember(Remembered(protocol.local_port, found.address))

    async def _recall(self) -> None:
        if self._recalled:
            return
        for key in self.target.recalled:
            try:
                self._known = await self._worker.call(cast(PortMemory, self._memory).recall, key)
            except (OSError, ValueError) as error:
                self._warn("read", error)
            if self._known is not None:
                # What was remembered under another key is written under this one too.
                self._written = self._known if key == self.target.key else None
                break
        self._recalled = True

    async def _remember(self, what: Remembered) -> None:
        self._known = what
        if self._memory is None or what == self._written:
            return
        try:
            # What is recalled first is written last: once it is there, so are the others.
            for key in reversed(self.target.keys(what.address)):
                await self._worker.call(self._memory.remember, key, what)
            self._written = what
        except OSError as error:
            self._warn("remember", error)

    def _warn(self, verb: str, error: Exception) -> None:
        """Once: the connection comes about all the same."""
        if not self._warned:
            self._warned = True
            self.log.warn(
                "cannot {verb} the source port in {folder}: {error}; going on without. After a "
                "restart another port is used: if the camera then does not answer, "
                "switch it off and on.",
                verb=verb,
                folder=str(cast(PortMemory, self._memory).folder),
                error=_reason(error),
            )


def _label(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"


def _is_taken(error: CannotListenError) -> bool:
    """Whether another program has the port; else the address is not ours, say."""
    return getattr(error.socketError, "errno", None) == errno.EADDRINUSE


def _reason(error: Exception) -> str:
    inner = getattr(error, "socketError", error)
    return getattr(inner, "strerror", None) or str(inner) or type(inner).__name__


def _advice(target: Target, waited: float, port: int) -> str:
    where = f"at {target}" if target.host else "here"
    return (
        f"no camera answered {where} within {waited:.0f} s. Is it awake, and is this machine on "
        f"its Wi-Fi? It was called from source port {port}; a camera that remembers another "
        "port must be switched off and on."
    )
