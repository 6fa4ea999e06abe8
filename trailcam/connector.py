"""
Connecting, and connecting again: which source port, which address, how often, how long.

This is the story the project began with: take whatever port the system gives
the first time, remember it, and come back from it every time after that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.error import TimeoutError as TwistedTimeout
from twisted.internet.task import deferLater
from twisted.logger import Logger

from trailcam.discovery import Found, first_answer, plan
from trailcam.errors import ConfigError, NoCameraAnswered
from trailcam.interfaces import ICameraReactor, LinkListener
from trailcam.portmemory import PortMemory, Remembered
from trailcam.protocol import CameraProtocol
from trailcam.target import Policy, Target
from trailcam.worker import Worker

__all__ = ["Connector"]


class Connector:
    """
    Brings about connections to one camera.

    @ivar local_port: the source port of the last attempt; 0 before the first.
    """

    log = Logger()

    def __init__(
        self,
        reactor: ICameraReactor,
        target: Target,
        policy: Policy,
        memory: PortMemory | None,
        worker: Worker,
        make_protocol: Callable[[ICameraReactor], CameraProtocol] = CameraProtocol,
    ) -> None:
        """
        @param memory: where the port is remembered; C{None} to remember it in this object only.
        @param worker: does what touches the disk.
        """
        self._reactor = reactor
        self._target = target
        self._policy = policy
        self._memory = memory
        self._worker = worker
        self._make_protocol = make_protocol
        self._known: Remembered | None = None
        self._recalled = memory is None
        self._written: Remembered | None = None
        self._warned = False
        self._stand_in = False
        self._before = 0
        self.local_port = 0

    def connect(
        self, listener: LinkListener, total: float | None = None
    ) -> Deferred[CameraProtocol]:
        """
        Find the camera and open a session with it.

        @param listener: hears of the session once it stands.
        @param total: seconds for all attempts; C{None} for the policy's.
        @return: fires with the protocol; fails with L{NoCameraAnswered}. May be cancelled.
        """
        return Deferred.fromCoroutine(self._connect(listener, total or self._policy.total))

    @property
    def remembered(self) -> bool:
        """Whether that port was the camera's already before L{connect} was called last."""
        return self.local_port == self._before != 0

    async def _connect(self, listener: LinkListener, total: float) -> CameraProtocol:
        await self._recall()
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
                          target=str(self._target))  # fmt: skip
            protocol = await self._attempt(listener, deadline)
            if protocol is not None:
                return protocol
        waited = self._reactor.seconds() - began
        raise NoCameraAnswered(_advice(self._target, waited, self.local_port))

    async def _attempt(self, listener: LinkListener, deadline: float) -> CameraProtocol | None:
        """One discovery and one handshake; C{None} when nobody answered."""
        protocol = await self._listen(deadline)
        connected = False
        try:
            left = min(self._policy.discovery, deadline - self._reactor.seconds())
            where = plan(self._target, self._known.address if self._known else None)
            self.log.debug("{plan}", plan=str(where))
            found = await first_answer(self._reactor, protocol, where, max(left, 0.1))
            silence = min(self._policy.silence, max(deadline - self._reactor.seconds(), 0.1))
            await protocol.open(found.address, found.device_id, silence, listener)
            await self._connected(protocol, found)
            connected = True
            return protocol
        except TwistedTimeout:
            self.log.info("no answer")
        except ConnectionError as error:
            self.log.info("{found} answered, but then: {why}", found=str(found), why=str(error))
        finally:
            if not connected:
                await protocol.close()
        return None

    # -- the port ----------------------------------------------------------

    async def _listen(self, deadline: float) -> CameraProtocol:
        """Bind the remembered port; where it cannot be had, another, and say so."""
        wanted = self._target.local_port or (self._known.port if self._known else 0)
        patience = min(self._policy.port_patience, (deadline - self._reactor.seconds()) / 3)
        give_up = self._reactor.seconds() + patience
        while True:
            try:
                return await self._bind(wanted)
            except CannotListenError as error:
                if self._target.local_port:
                    raise ConfigError(
                        f"source port {wanted} cannot be used: {_reason(error)}; "
                        "choose another with --local-port, or none"
                    ) from None
                if not wanted:
                    raise ConfigError(
                        f"no UDP port can be opened on {self._target.interface or 'this machine'}:"
                        f" {_reason(error)}"
                    ) from None
                if self._reactor.seconds() < give_up:
                    await deferLater(self._reactor, 0.5)
                    continue
                self.log.warn(
                    "source port {port}, which the camera knows, is held by another program; "
                    "going on from a new one. If the camera does not answer, switch it off and on.",
                    port=wanted,
                )
                wanted, self._stand_in = 0, True

    async def _bind(self, port: int) -> CameraProtocol:
        protocol = self._make_protocol(self._reactor)
        self._reactor.listenUDP(port, protocol, self._target.interface, 65536)
        self.local_port = protocol.local_port
        if self._target.local_port:
            self.log.info("using source port {port}, as told", port=port)
        elif port:
            self.log.info("using source port {port} again", port=port)
        else:
            self.log.info("first connection: the system assigned source port {port}",
                          port=self.local_port)  # fmt: skip
            if not self._stand_in:
                # Before anything is sent: a kill from here on must not forget it.
                await self._remember(Remembered(self.local_port))
        return protocol

    async def _connected(self, protocol: CameraProtocol, found: Found) -> None:
        self.log.info("connected to {camera} ({id}) from source port {port}", camera=str(found),
                      id=str(found.device_id), port=protocol.local_port)  # fmt: skip
        if not self._target.local_port:
            self._stand_in = False
            await self._remember(Remembered(protocol.local_port, found.address))

    async def _recall(self) -> None:
        if self._recalled:
            return
        self._recalled = True
        try:
            self._known = self._written = await self._worker.call(
                cast(PortMemory, self._memory).recall, self._target.key
            )
        except (OSError, ValueError) as error:
            self._warn("read", error)

    async def _remember(self, what: Remembered) -> None:
        self._known = what
        if self._memory is None or what == self._written:
            return
        try:
            await self._worker.call(self._memory.remember, self._target.key, what)
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


def _reason(error: Exception) -> str:
    inner = getattr(error, "socketError", error)
    return getattr(inner, "strerror", None) or str(inner) or type(inner).__name__


def _advice(target: Target, waited: float, port: int) -> str:
    where = f"at {target}" if target.host else "here"
    return (
        f"no camera answered {where} within {waited:.0f} s. Is it awake, and is this machine on "
        f"its Wi-Fi? It listens to source port {port} of ours; a camera that remembers another "
        "port must be switched off and on."
    )
