"""The live view of a camera, coming back by itself."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, succeed

from trailcam.errors import CameraBusy, CameraLost
from trailcam.playback import LiveFrames
from trailcam.wire.media import Frame

__all__ = ["LiveCamera", "SteadyView"]

#: Lost so many times in a row without a single frame, a camera is given up.
TRIES = 5


class LiveCamera(Protocol):
    """What is needed of L{Camera <trailcam.client.Camera>}."""

    def live(self) -> Deferred[LiveFrames]:
        """Start the live view, in a new session if need be."""


class SteadyView:
    """
    The live view as an asynchronous iteration over L{Frame}s that goes on in
    the next session when one is lost. It begins with a key frame each time.

    @ivar closed: whether it was closed; the iteration has ended then.
    """

    def __init__(self, camera: LiveCamera) -> None:
        """@param camera: its view is started with the first frame that is asked for."""
        self.closed = False
        self._camera = camera
        self._view: LiveFrames | None = None
        self._starting: Deferred[LiveFrames] | None = None
        self._stopped: Deferred[Any] = succeed(None)
        self._lost = 0

    def __aiter__(self) -> SteadyView:
        return self

    async def __anext__(self) -> Frame:
        """
        The next frame.

        @raise StopAsyncIteration: when it was closed.
        @raise CameraLost: when the camera is lost again and again.
        @raise CameraBusy: when somebody else here started the camera's live view.
        @raise TrailcamError: what L{LiveCamera.live} fails with.
        """
        while not self.closed:
            try:
                frame = await (self._view or await self._start()).__anext__()
            except CameraLost:
                self._view = None
                self._lost += 1
                if self._lost >= TRIES and not self.closed:
                    raise
            except StopAsyncIteration:
                if not self.closed:
                    raise CameraBusy(
                        "another part of this program has taken over the camera's live view"
                    ) from None
            except CancelledError:
                if not self.closed:
                    raise
            else:
                self._lost = 0
                return frame
        raise StopAsyncIteration

    def close(self) -> Deferred[Any]:
        """
        Stop it, here and on the camera.

        @return: fires when the camera has said that it stopped, or is lost.
        """
        if not self.closed:
            self.closed = True
            if self._starting is not None:
                self._starting.cancel()
            if self._view is not None:
                # Known before it is closed: whoever reads ends then, and may ask for it.
                self._stopped = Deferred()
                self._view.close().chainDeferred(self._stopped)
        return self._stopped

    async def _start(self) -> LiveFrames:
        self._starting = self._camera.live()
        try:
            self._view = await self._starting
        finally:
            self._starting = None
        return self._view
