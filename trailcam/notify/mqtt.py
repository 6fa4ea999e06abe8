"""
MQTT, and with it Home Assistant: what cameras are and have, and what happens.

States are retained, and sent again whenever the broker or Home Assistant is
back: only the newest counts. Events come out of the outbox, each until the
broker has acknowledged it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from trailcam.errors import TrailcamError
from trailcam.happenings import Happening, NewMedia, VisitEnded
from trailcam.library.records import StoredFile
from trailcam.library.visits import Visit
from trailcam.logs import make_logger
from trailcam.notify.broker import Broker
from trailcam.notify.courier import Courier
from trailcam.notify.homeassistant import PRESS, Standing, discovery, discovery_topic
from trailcam.notify.messages import MEDIA
from trailcam.notify.outbox import Entry, Outbox
from trailcam.notify.picture import small_picture
from trailcam.notify.settings import MqttSettings
from trailcam.worker import ThreadWorker, Worker

__all__ = ["MqttService", "Recall"]

#: What is known of a camera from before: its visits, latest first, and its last picture.
Recall = Callable[[str], Deferred[tuple[list[Visit], StoredFile | None]]]

#: The last picture has at most so many pixels on a side.
PICTURE = 960
#: A button that is pressed again within so many seconds is not heard.
PRESS_PAUSE = 10.0


class _Camera:
    """What is told of one camera, whenever it is asked for."""

    def __init__(self) -> None:
        self.standing = Standing()
        self.picture: bytes | None = None
        self.taken: datetime | None = None
        self.pressed: float | None = None


class MqttService(Service):
    """Tells a broker, and visits a camera when its button is pressed."""

    log = make_logger(__name__)
    #: Its name in the outbox.
    destination = "mqtt"

    def __init__(
        self,
        reactor: Any,
        settings: MqttSettings,
        outbox: Outbox,
        cameras: Mapping[str, Callable[[], None]],
        recall: Recall,
        *,
        worker: Worker | None = None,
    ) -> None:
        """
        @param cameras: what visits each of them, by name.
        @param worker: makes small pictures; C{None}: the reactor's threads.
        """
        self._reactor = reactor
        self._settings = settings
        self._visits = {settings.of_camera(name, "visit"): name for name in cameras}
        self._buttons = cameras
        self._recall = recall
        self._worker = worker or ThreadWorker(reactor)
        self._cameras = {name: _Camera() for name in cameras}
        self._undrawn: dict[str, StoredFile] = {}
        self._drawing: Deferred[None] | None = None
        self._starting: Deferred[None] | None = None
        self._birth = f"{settings.discovery_prefix}/status"
        self._broker = Broker(
            reactor, settings, [self._birth, *self._visits], self._announce, self._received
        )
        self._courier = Courier(reactor, outbox, self.destination, self._deliver)

    def startService(self) -> None:
        """Recall what was, then connect."""
        super().startService()
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addErrback(self._failed)

    def stopService(self) -> Deferred[None]:
        """Say that the station is gone."""
        super().stopService()
        for work in (self._starting, self._drawing):
            if work is not None:
                work.cancel()
        self._courier.stop()
        return self._broker.stop()

    def happened(self, what: Happening) -> None:
        """See L{Listener.happened <trailcam.happenings.Listener.happened>}."""
        if what.camera not in self._cameras:
            return
        if isinstance(what, VisitEnded):
            self._cameras[what.camera].standing.ended(what.visit)
            self._tell_state(what.camera)
        elif isinstance(what, NewMedia):
            self._show(what.camera, what.file)

    # -- what is retained --------------------------------------------------

    async def _start(self) -> None:
        for name, camera in self._cameras.items():
            try:
                visits, last = await self._recall(name)
            except TrailcamError as error:
                self.log.warn("what was before is not known: {why}", why=str(error))
                continue
            camera.standing.recall(visits)
            if last is not None:
                self._show(name, last)
        self._broker.start()
        self._courier.start()

    def _announce(self) -> None:
        """Tell all that is so: to a broker, or a Home Assistant, that has forgotten it."""
        for name, camera in self._cameras.items():
            payload = json.dumps(discovery(self._settings, name))
            self._send(discovery_topic(self._settings, name), payload)
            self._tell_state(name)
            if camera.picture is not None:
                self._send(self._settings.of_camera(name, "picture"), camera.picture)

    def _tell_state(self, name: str) -> None:
        state = json.dumps(self._cameras[name].standing.state())
        self._send(self._settings.of_camera(name, "state"), state)

    def _send(self, topic: str, payload: str | bytes) -> None:
        if self._broker.connected:  # else it is told when that is back
            self._broker.publish(topic, payload, retain=True).addErrback(self._failed)

    def _show(self, name: str, file: StoredFile) -> None:
        """Let a picture be the last one, if it is: a camera lists the newest first."""
        camera = self._cameras[name]
        taken = file.taken.utc if file.taken else file.fetched_at
        if camera.taken is not None and taken < camera.taken:
            return
        camera.taken = taken
        self._undrawn[name] = file
        if self._drawing is None or self._drawing.called:
            self._drawing = Deferred.fromCoroutine(self._draw())
            self._drawing.addErrback(self._failed)

    async def _draw(self) -> None:
        """Make small pictures, one after the other, of what is newest by then."""
        while self._undrawn:
            name, file = self._undrawn.popitem()
            picture = await self._worker.call(small_picture, file.path, PICTURE)
            if picture is not None:
                self._cameras[name].picture = picture
                self._send(self._settings.of_camera(name, "picture"), picture)

    def _failed(self, failure: Failure) -> None:
        if failure.check(TrailcamError):
            self.log.warn("{why}", why=failure.getErrorMessage())
        elif not failure.check(CancelledError):
            self.log.failure("a fault of ours, in telling the broker", failure)

    # -- what happens once -------------------------------------------------

    async def _deliver(self, entry: Entry) -> None:
        body = entry.body
        topic = "media" if body["event_type"] in MEDIA else "news"
        await self._broker.publish(
            self._settings.of_camera(body["camera"], topic), json.dumps(body)
        )

    # -- what we are told --------------------------------------------------

    def _received(self, topic: str, payload: bytes) -> None:
        if topic == self._birth and payload == b"online":
            self._announce()
        elif topic in self._visits and payload == PRESS.encode():
            self._press(self._visits[topic])

    def _press(self, name: str) -> None:
        now, camera = self._reactor.seconds(), self._cameras[name]
        if not self.running or (camera.pressed is not None and now < camera.pressed + PRESS_PAUSE):
            return
        camera.pressed = now
        self.log.info("{name}: its button was pressed", name=name)
        self._buttons[name]()
