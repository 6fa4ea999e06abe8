"""
The HTTP API, of the live view: a stream that browsers and players show, and a picture of now.

The stream is fragmented MP4 without an end. What a person should know meanwhile stands in it as
boxes of type C{free}, which players skip: a JSON object with C{waiting} (no picture comes for the
time being, and why) or C{over} (why this is the end). It ends as a file does when the live view was
ended to spare the battery, or when the camera's coding changed and whoever still wants to see it
should ask again. After anything else it is broken off.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.python.failure import Failure

from trailcam.cameraservice import CameraService
from trailcam.errors import CameraBusy, CameraLost, LiveViewOver, NoCameraAnswered, TrailcamError
from trailcam.fragments import Opening
from trailcam.library import Filter
from trailcam.viewer import Viewer, Waiting
from trailcam.web.api.values import version_of
from trailcam.web.context import Context
from trailcam.web.gate import Gate
from trailcam.web.http import Answer, Asked, Pipe, Refused, redirect
from trailcam.web.routes import Route

__all__ = ["MOST_VIEWERS", "live_routes"]

#: So many may watch at a station at once.
MOST_VIEWERS = 30
#: So long, in seconds, a picture of now is waited for: time to wake the camera, and to join it.
STILL_PATIENCE = 90.0
#: So often, in seconds, it is seen whether who watches still may.
LOOK = 20.0
#: So many bytes at most wait in the system to be sent: more would only be more to be late by.
_UNSENT = 64 << 10

_KIND = "video/mp4"


def live_routes(context: Context, gate: Gate) -> list[Route]:
    """The paths."""
    own = _Live(context, gate)
    own.route = Route("GET", "/api/v1/cameras/{name:name}/live.mp4", own.stream)
    return [
        own.route,
        Route("GET", "/api/v1/cameras/{name:name}/still.jpg", own.still),
        Route("GET", "/cameras/{name:name}/still.jpg", own.still),
    ]


class _Live:
    route: Route

    def __init__(self, context: Context, gate: Gate) -> None:
        self._context = context
        self._reactor = context.reactor
        self._gate = gate
        # The picture of each camera that is being taken, for all who want it.
        self._stills: dict[str, Deferred[bytes]] = {}

    # -- the stream

    async def stream(self, asked: Asked) -> Answer | None:
        """The live view; it begins when there is a picture. The camera is brought for it."""
        service = self._context.camera(asked)
        if asked.raw.method == b"HEAD":
            return Answer(kind=_KIND)
        self._check(asked)
        viewer = service.live.watch()
        try:
            opening = await _first(viewer)
            # X-Accel-Buffering: a proxy that collects would make it late.
            pipe = Pipe(asked, opening.mime, {"X-Accel-Buffering": "no"})
            _hold_little(asked)
            with contextlib.suppress(CancelledError):  # whoever watched has gone
                await self._show(asked, viewer, pipe, opening)
        finally:
            viewer.close()
        return None

    async def _show(self, asked: Asked, viewer: Viewer, pipe: Pipe, opening: Opening) -> None:
        """Write what comes, no faster than it is read; the viewer skips what is too late."""
        looked = self._reactor.seconds()
        await pipe.write(opening.data)
        try:
            async for piece in viewer:
                if isinstance(piece, Opening):
                    pipe.finish()
                    return
                told = _note("waiting", piece.why) if isinstance(piece, Waiting) else piece.data
                await pipe.write(told)
                if self._reactor.seconds() >= looked + LOOK:
                    looked = self._reactor.seconds()
                    # As if it was asked for now: what it was admitted with may be over.
                    self._gate.admit(asked, self.route)
        except LiveViewOver as why:
            pipe.put(_note("over", str(why)))
            pipe.finish()
        except TrailcamError as why:
            pipe.put(_note("over", str(why)))
        pipe.abort()

    def _check(self, asked: Asked) -> None:
        """
        Whether this one may watch, too.

        @raise Refused: when it may not.
        """
        if (asked.header("sec-fetch-site") or "none") not in ("none", "same-origin"):
            # Be it a picture there or a link: it would cost battery that nobody here has offered.
            raise Refused(403, "the pages of others may not call the camera: open ours")
        viewers = sum(service.viewers for service in self._context.cameras.values())
        if viewers >= MOST_VIEWERS:
            text = f"{viewers} are watching already: try again when one has left"
            raise Refused(503, text, {"Retry-After": "10"})

    # -- a picture of now

    async def still(self, asked: Asked) -> Answer:
        """
        A picture of now, as JPEG.

        Programs ask for it again and again. So a camera that sleeps is woken for it only with
        C{wake=yes}; else, and while it is visited, the newest photo that is at home is shown.
        """
        service = self._context.camera(asked)
        wake = asked.choice("wake", "yes", "no")
        if asked.raw.method == b"HEAD":
            return Answer(kind="image/jpeg")
        if not service.viewers and wake != "yes" and (wake == "no" or _sleeps(service)):
            return await self._newest(asked, str(service.name))
        self._check(asked)
        try:
            return Answer(await self._shared_still(service), kind="image/jpeg")
        except CameraBusy:  # programs that ask again and again need not know of each visit
            if wake == "yes":
                raise
            return await self._newest(asked, str(service.name))

    async def _newest(self, asked: Asked, name: str) -> Answer:
        library = await self._context.open_library()
        known = {camera.name: camera.device_id for camera in await library.cameras()}
        if name in known:
            found = await library.browse(Filter(known[name], kind="photo"), limit=1)
            for medium in found.media:
                version = version_of(medium.sha256)
                return redirect(asked, f"api/v1/media/{medium.id}/file?v={version}")
        raise Refused(404, f"no photo of {name} is here yet; ?wake=yes asks the camera for one")

    def _shared_still(self, service: CameraService) -> Deferred[bytes]:
        """The picture that is being taken, or else one; who gives up spoils it for nobody."""
        name = str(service.name)
        taking = self._stills.get(name)
        if taking is None:
            taking = service.live.still().addTimeout(STILL_PATIENCE, self._reactor)
            self._stills[name] = taking
            taking.addBoth(self._taken, name)
        waiting: Deferred[bytes] = Deferred()

        def pass_on(result: bytes | Failure) -> bytes | Failure:
            if not waiting.called:
                waiting.callback(result)
            return result

        taking.addBoth(pass_on).addErrback(lambda _: b"")
        return waiting

    def _taken(self, result: bytes | Failure, name: str) -> bytes | Failure:
        del self._stills[name]
        if isinstance(result, Failure) and result.check(TimeoutError):
            return Failure(NoCameraAnswered("no picture came: is the camera near enough?"))
        return result


def _sleeps(service: CameraService) -> bool:
    """Whether it has to be woken, or its network joined, to see anything."""
    config = service.config
    return config.wake is not None or config.wifi is not None


async def _first(viewer: Viewer) -> Opening:
    """
    What a viewer sees first.

    @raise TrailcamError: why it sees nothing.
    """
    try:
        async for piece in viewer:
            if isinstance(piece, Opening):
                return piece
    except LiveViewOver as why:
        raise Refused(503, str(why)) from None
    raise CameraLost("the live view was closed")


def _note(kind: str, text: str) -> bytes:
    """Something for a person, in a box that players skip."""
    body = json.dumps({kind: text}).encode()
    return struct.pack(">I4s", len(body) + 8, b"free") + body


def _hold_little(asked: Asked) -> None:
    """Let little wait in the system for one who reads slowly; where that cannot be, so be it."""
    with contextlib.suppress(AttributeError, OSError):
        handle = asked.raw.channel.transport.getHandle()
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
