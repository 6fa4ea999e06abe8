"""
What changes at a station, as it happens: server-sent events.

C{camera}: how a camera is now; all of them at first, then whichever has changed. C{media}: how
many pictures are new since it was last told, and what the newest is called. A reader who is slow
gets the newest state later, and nothing in between: what waits for it does not grow.
"""

from __future__ import annotations

import json

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from trailcam.board import CameraState
from trailcam.happenings import NewMedia
from trailcam.web.api.states import camera_json, look_back
from trailcam.web.api.values import Json
from trailcam.web.context import Context
from trailcam.web.gate import Gate
from trailcam.web.http import Answer, Asked, Pipe, Refused
from trailcam.web.routes import Route

__all__ = ["MOST_LISTENERS", "event_routes"]

#: So many are told at once.
MOST_LISTENERS = 40
#: A change is told so soon, together with all that comes until then; seconds.
SOON = 0.2
#: So often it is looked for what changes without anybody saying so.
LOOK = 2.0
#: So often something is written, so that proxies keep the connection; then it is also seen
#: whether the listener still may listen.
HEARTBEAT = 20.0

_KIND = "text/event-stream"


def event_routes(context: Context, gate: Gate) -> list[Route]:
    """The path."""
    listeners: set[_Listener] = set()

    async def events(asked: Asked) -> Answer | None:
        if len(listeners) >= MOST_LISTENERS:
            text = "too many pages are open at once: close some"
            raise Refused(503, text, {"Retry-After": "10"})
        if asked.raw.method == b"HEAD":
            return Answer(kind=_KIND)
        listener = _Listener(context, asked, gate, route)
        listeners.add(listener)
        try:
            await listener.listen()
        finally:
            listeners.discard(listener)
        return None

    route = Route("GET", "/api/v1/events", events)
    return [route]


class _Listener:
    """One who is told."""

    def __init__(self, context: Context, asked: Asked, gate: Gate, route: Route) -> None:
        self._context = context
        self._asked = asked
        self._gate = gate
        self._route = route
        self._reactor = context.reactor
        self._told: dict[str, CameraState] = {}
        self._new = 0
        self._newest: NewMedia | None = None
        self._beat = self._reactor.seconds()
        # Fires when it is over; whoever cancels it ends it.
        self._over: Deferred[None] = Deferred(lambda over: over.callback(None))
        self._timer: IDelayedCall | None = None

    async def listen(self) -> None:
        """Tell until nobody listens any more, or may."""
        await look_back(self._context)
        # X-Accel-Buffering: a proxy that collects would make it useless.
        self._pipe = Pipe(self._asked, _KIND, {"X-Accel-Buffering": "no"})
        self._pipe.put(b"retry: 3000\n\n")
        stop_watching = self._context.board.watch(self)
        self._look()
        try:
            await self._over
        finally:
            stop_watching()
            if self._timer is not None and self._timer.active():
                self._timer.cancel()
            self._pipe.finish()

    def changed(self, camera: str) -> None:
        """See L{Watcher.changed <trailcam.board.Watcher.changed>}."""
        timer = self._timer
        if timer is not None and timer.getTime() > self._reactor.seconds() + SOON:
            timer.reset(SOON)

    def arrived(self, what: NewMedia) -> None:
        """See L{Watcher.arrived <trailcam.board.Watcher.arrived>}."""
        self._new += 1
        self._newest = what
        self.changed(what.camera)

    def _look(self) -> None:
        """Tell what is not as it was told, unless the listener has not yet read that."""
        now = self._reactor.seconds()
        if not self._pipe.full:
            self._tell_cameras()
            self._tell_media()
        if now >= self._beat + HEARTBEAT:
            self._beat = now
            if not self._may_listen():
                self._over.callback(None)
                return
            if not self._pipe.full:
                self._pipe.put(b":\n\n")
        self._timer = self._reactor.callLater(LOOK, self._look)

    def _tell_cameras(self) -> None:
        for name, service in self._context.cameras.items():
            state = self._context.board.state(service)
            if state != self._told.get(name):
                self._told[name] = state
                self._tell("camera", camera_json(state, self._context))

    def _tell_media(self) -> None:
        if self._newest is not None:
            file = self._newest.file.path.name
            self._tell("media", {"count": self._new, "camera": self._newest.camera, "file": file})
            self._new, self._newest = 0, None

    def _tell(self, event: str, value: Json) -> None:
        text = json.dumps(value, separators=(",", ":"))
        self._pipe.put(f"event: {event}\ndata: {text}\n\n".encode())

    def _may_listen(self) -> bool:
        """Not after the session has ended, or its token was removed."""
        try:
            self._gate.admit(self._asked, self._route)
        except Refused:
            return False
        return True
