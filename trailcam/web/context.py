"""What the web part knows of its station."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trailcam.board import StatusBoard
from trailcam.cameraservice import CameraService, LibraryService
from trailcam.errors import UnknownMedium
from trailcam.library import Library, Medium
from trailcam.web.access import Access
from trailcam.web.http import Asked, Refused
from trailcam.web.settings import WebSettings

if TYPE_CHECKING:
    from trailcam.metrics import Metrics

__all__ = ["Context", "medium_id"]


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

    async def medium(self, asked: Asked) -> Medium:
        """
        The picture that the path names, in the trash or not.

        @raise UnknownMedium: when there is none of that number.
        """
        library = await self.open_library()
        medium = await library.medium(medium_id(asked))
        if medium is None:
            raise UnknownMedium(
                f"there is no picture {medium_id(asked)} in the library: it was deleted, or never "
                "here"
            )
        return medium


def medium_id(asked: Asked) -> int:
    """The number of the picture that the path names; the route lets only small ones pass."""
    return int(asked.parts["id"])
