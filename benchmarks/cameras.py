"""Simulated cameras, the product's own, with cards whose photos are quickly made."""

from __future__ import annotations

import json
import sys
from typing import Any

from benchmarks.processes import Json, serve
from trailcam.commands import MediaFile
from trailcam.simulator.card import Card
from trailcam.simulator.server import SimulatedCamera
from trailcam.worker import ThreadWorker

__all__ = ["PlainCard"]


class PlainCard(Card):
    """
    A card of plain bytes.

    @ivar size: bytes of each photo.
    """

    size = 0

    def photo(self, file: MediaFile) -> bytes:
        """C{size} bytes that end as a JPEG does."""
        return b"\xff\xd8" + bytes([file.number % 251 + 1]) * (self.size - 4) + b"\xff\xd9"


def main(options: Json) -> None:
    """Be so many C{cameras} with C{photos} of C{size} bytes, until standard input ends."""
    from twisted.internet import reactor

    cameras = []
    for _ in range(options["cameras"]):
        card = PlainCard(options.get("photos", 3), 0, newest=1_780_000_000)
        card.size = options.get("size", 1000)
        camera = SimulatedCamera(reactor, card, ThreadWorker(reactor), port=0, search_port=None)
        camera.start()
        cameras.append(camera)

    async def nothing(reactor: Any, command: Json) -> Json:
        return {}

    serve(nothing, {"ports": [camera.address[1] for camera in cameras]})


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
