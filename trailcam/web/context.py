"""What the web part knows of its station."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trailcam.board import StatusBoard
from trailcam.cameraservice import CameraService, LibraryService
from trailcam.errors import UnknownMedium
from trailcam.library import Library
from trailcam.web.access import Access
from trailcam.web.http import Asked, Refused
from trailcam.web.settings import WebSettings

if TYPE_CHECKING:
    from trailcam.metrics import Metrics

__all__ = ["Context"]


@dataclass
class Context:
    """
    A station, as handlers need it.

    @ivar library: shared with the visits.
    @ivar cameras: the service of each camera, by name.
    @ivar board: how they are.
    @ivar metrics: C{None} where they are not kept.
    @ivar outages: what makes the radio of a simulated camera fall silent for so many seconds, by
        name.
    """

    reactor: Any
    settings: WebSettings
    library: LibraryService
    cameras: Mapping[str, CameraService]
    access: Access
    board: StatusBoard
    metrics: Metrics | None = None
    outages: Mapping[str, Callable[[float], None]] = field(default_factory=dict)

    async def open_library(self) -> Library:
        """
        The library, open.

        @raise LibraryError: when it cannot be.
        """
        await self.library.ready()
        return self.library.library

    def camera(self, asked: Asked) -> CameraService:
        """
        The camera that the path names.

        @raise Refused: when there is none of that name.
        """
        service = self.cameras.get(asked.parts["name"])
        if service is None:
            raise Refused(404, f"there is no camera {asked.parts['name']}")
        return service


def medium_id(asked: Asked) -> int:
    """
    The picture that the path names.

    @raise UnknownMedium: when there can be none of that number.
    """
    number = int(asked.parts["id"])
    if number >= 1 << 63:
        raise UnknownMedium(f"there is no picture {number} in the library")
    return number
