"""
The live view for any number of viewers, over one session with the camera.

Example::

    hub = LiveHub(reactor, camera)

    async def show(write):
        viewer = hub.watch()
        try:
            async for piece in viewer:
                if not isinstance(piece, Waiting):
                    await write(piece.data)
        finally:
            viewer.close()
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from trailcam.errors import CameraLost, TrailcamError
from trailcam.fragments import Fragment, Fragmenter, Opening, Piece, jpeg
from trailcam.liveview import LiveCamera, SteadyView
from trailcam.logs import make_logger
from trailcam.viewer import LONGEST_LAG, QUEUE_LIMIT, Viewer, Waiting, size_of
from trailcam.worker import ThreadWorker, Worker

__all__ = ["LiveHub", "Viewer", "Waiting"]

#: After so many seconds without a picture viewers are told.
PATIENCE = 5.0


class LiveHub:
    """
    Shows one camera's live view to any number of viewers.

    The camera's live view starts with the first viewer and stops when the last
    one has left. A lost session comes back by itself; while no picture comes
    viewers are told, and when the camera is given up they are told why. The
    next viewer begins anew.
    """

    log = make_logger(__name__)

    def __init__(
        self,
        reactor: Any,
        camera: LiveCamera,
        *,
        worker: Worker | None = None,
        patience: float = PATIENCE,
        stopped: Callable[[Failure | None], None] = lambda why: None,
    ) -> None:
        """
        @param reactor: provides C{IReactorTime}, and threads unless C{worker} is given.
        @param camera: a L{Camera <trailcam.client.Camera>}, or what can do the same; nobody
            else may start its live view meanwhile.
        @param worker: draws the pictures of L{still}.
        @param patience: after so many seconds without a picture viewers are told.
        @param stopped: is told whenever the camera's live view has stopped, and what ended it if
            that was not us.
        """
        self._reactor = reactor
        self._camera = camera
        self._worker = worker or ThreadWorker(reactor)
        self._patience = patience
        self._stopped = stopped
        self._viewers: set[Viewer] = set()
        self._view: SteadyView | None = None
        self._running = False
        self._closing: list[Deferred[None]] = []
        self._silence: IDelayedCall | None = None
        self._opening: Opening | None = None
        # The last key frame and what follows it: what a new viewer sees at once.
        self._group: deque[Fragment] = deque()
        self._group_size = 0

    @property
    def viewers(self) -> int:
        """How many watch."""
        return len(self._viewers)

    def watch(self) -> Viewer:
        """Begin to watch; close what you get."""
        viewer = Viewer(self._leave)
        if self._opening is not None:
            for fragment in self._group:
                viewer.put(self._opening, fragment)
        self._viewers.add(viewer)
        self._serve_viewers()
        return viewer

    def still(self) -> Deferred[bytes]:
        """
        One picture of now, as JPEG; if nobody watches, the view is started for a moment.

        @return: fails with what ends the view, and with L{DamagedTransfer
            <trailcam.errors.DamagedTransfer>}.
        """
        return Deferred.fromCoroutine(self._still())

    def close(self, why: TrailcamError | None = None) -> Deferred[None]:
        """
        End it for all viewers; L{watch} begins anew.

        @param why: what they are told; C{None}: nothing, their iteration ends.
        @return: fires when the camera's live view has stopped.
        """
        for viewer in list(self._viewers):
            if why is None:
                viewer.close()
            else:
                viewer.fail(Failure(why))
                self._leave(viewer)
        closed: Deferred[None] = Deferred()
        self._closing.append(closed)
        if not self._running:
            self._tell_closed()
        return closed

    # -- one view after another --------------------------------------------

    def _leave(self, viewer: Viewer) -> None:
        self._viewers.discard(viewer)
        if not self._viewers and self._view is not None:
            self._view.close()

    def _serve_viewers(self) -> None:
        """Start the view, if there is somebody to watch and it is not running or stopping."""
        if self._viewers and not self._running:
            self._running = True  # first, for it may end at once
            Deferred.fromCoroutine(self._serve()).addBoth(self._served)

    async def _serve(self) -> None:
        view = self._view = SteadyView(self._camera)
        fragmenter = Fragmenter()
        self._silence = self._reactor.callLater(self._patience, self._silent)
        try:
            async for frame in view:
                for piece in fragmenter.feed(frame):
                    self._show(piece)
        finally:
            self._view = self._opening = None
            self._forget_group()
            if self._silence.active():
                self._silence.cancel()
            await view.close()

    def _served(self, result: Failure | None) -> None:
        self._running = False
        self._stopped(result)
        if isinstance(result, Failure):
            viewers, self._viewers = self._viewers, set()
            for viewer in viewers:
                viewer.fail(result)
            if not result.check(TrailcamError):
                self.log.failure("the live view ended in a fault of ours", result)
        self._tell_closed()
        self._serve_viewers()  # somebody may have come while it was stopping

    def _tell_closed(self) -> None:
        closing, self._closing = self._closing, []
        for closed in closing:
            if not closed.called:  # else it was cancelled
                closed.callback(None)

    # -- pictures ----------------------------------------------------------

    def _show(self, piece: Piece) -> None:
        if isinstance(piece, Opening):
            self._opening = piece
            self._forget_group()
            return
        assert self._opening is not None
        self._keep(piece)
        self._hear()
        for viewer in list(self._viewers):
            viewer.put(self._opening, piece)

    def _keep(self, fragment: Fragment) -> None:
        """Keep it for viewers to come, unless its group is longer than one may wait."""
        if fragment.key:
            self._forget_group()
        elif not self._group:
            return
        self._group.append(fragment)
        self._group_size += size_of(fragment)
        too_long = fragment.time - self._group[0].time > LONGEST_LAG
        if too_long or self._group_size > QUEUE_LIMIT // 2:
            self._forget_group()

    def _forget_group(self) -> None:
        self._group.clear()
        self._group_size = 0

    def _hear(self) -> None:
        assert self._silence is not None
        if self._silence.active():
            self._silence.reset(self._patience)
        else:
            self._silence = self._reactor.callLater(self._patience, self._silent)

    def _silent(self) -> None:
        self._forget_group()  # it does not show what is now
        waiting = Waiting(f"no picture for {self._patience:.0f} s: waiting for the camera")
        for viewer in list(self._viewers):
            viewer.tell(waiting)

    async def _still(self) -> bytes:
        viewer = self.watch()
        try:
            opening, fragment = await _first_picture(viewer)
        finally:
            viewer.close()
        return await self._worker.call(lambda: jpeg(opening, fragment))


async def _first_picture(viewer: Viewer) -> tuple[Opening, Fragment]:
    """The first that a viewer sees: a key frame, and the opening that it needs."""
    opening: Opening | None = None
    async for piece in viewer:
        if isinstance(piece, Opening):
            opening = piece
        elif isinstance(piece, Fragment) and opening is not None:
            return opening, piece
    raise CameraLost("the live view was closed")
