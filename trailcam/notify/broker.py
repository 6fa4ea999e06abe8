"""
The connection to an MQTT broker: paho-mqtt, with its own thread, seen from the reactor's.

It comes back by itself, for ever; what was sent and not acknowledged is sent again then.
"""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.defer import TimeoutError as TwistedTimeout

from trailcam.logs import make_logger
from trailcam.notify.courier import Undelivered
from trailcam.notify.settings import MqttSettings

__all__ = ["OFFLINE", "ONLINE", "Broker"]

ONLINE, OFFLINE = "online", "offline"
#: Nothing that we are told is longer.
_LONGEST = 64
#: So many messages may be unacknowledged; who wants to send more is told to come again.
_QUEUE = 1000
_REFUSES = "refuses us"
#: How long the broker is waited for in the end, twice, in seconds.
_FAREWELL = 1.0
#: The pauses between attempts to connect, in seconds: from, to.
_PAUSES = (1, 30)


class Broker:
    """
    One connection, for as long as it is wanted.

    @ivar connected: whether it stands now.
    """

    log = make_logger(__name__)

    def __init__(
        self,
        reactor: Any,
        settings: MqttSettings,
        topics: list[str],
        arrived: Callable[[], None],
        received: Callable[[str, bytes], None],
    ) -> None:
        """
        @param topics: what to hear.
        @param arrived: is called whenever the connection stands, anew.
        @param received: is called with topic and payload of what was said, now, and is short.
        """
        self.connected = False
        self._reactor = reactor
        self._settings = settings
        self._topics = topics
        self._arrived = arrived
        self._received = received
        self._waiting: dict[int, Deferred[None]] = {}
        self._trouble: str | None = ""  # neither there nor away yet
        self._stopped = False
        self._client = self._make()

    def start(self) -> None:
        """Connect, and come back whenever that is lost."""
        settings = self._settings
        self._client.connect_async(settings.host, settings.port, keepalive=30)
        self._client.loop_start()

    def stop(self) -> Deferred[None]:
        """Say that we are gone, and go; a broker that does not answer is not waited for."""
        return Deferred.fromCoroutine(self._stop())

    def publish(self, topic: str, payload: str | bytes, retain: bool = False) -> Deferred[None]:
        """
        Send something, now or as soon as the connection stands.

        @return: fires when the broker has acknowledged it, however long that takes; fails with
            L{Undelivered} when too much waits already.
        """
        info = self._client.publish(topic, payload, 1, retain)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            return fail(Undelivered(f"the broker {self._settings.host} acknowledges nothing"))
        done: Deferred[None] = Deferred()
        self._waiting[info.mid] = done
        return done

    # -- in the reactor's thread -------------------------------------------

    def _opened(self, refusal: str | None) -> None:
        if self._stopped:
            return
        if refusal is not None:
            self._tell(f"{_REFUSES}: {refusal}")
            return
        self.connected = True
        self._tell(None)
        for topic in self._topics:
            self._client.subscribe(topic, 1)
        self._send_status(ONLINE).addErrback(lambda failure: failure.trap(Undelivered) and None)
        self._arrived()

    def _lost(self, why: str) -> None:
        self.connected = False
        if not self._stopped:
            self._tell(why)

    def _acknowledged(self, number: int) -> None:
        done = self._waiting.pop(number, None)
        if done is not None and not done.called:  # else whoever waited has given up
            done.callback(None)

    def _tell(self, trouble: str | None) -> None:
        """One line for each change."""
        refused = trouble is not None and trouble.startswith(_REFUSES)
        # Being away has a line of its own only when it begins; so has each refusal.
        if trouble == self._trouble or (self._trouble and trouble and not refused):
            return
        self._trouble, broker = trouble, f"{self._settings.host}:{self._settings.port}"
        if trouble is None:
            self.log.info("connected to the broker {broker}", broker=broker)
        else:
            self.log.warn("the broker {broker} {trouble}; it is tried again and again",
                          broker=broker, trouble=trouble)  # fmt: skip

    def _send_status(self, status: str) -> Deferred[None]:
        return self.publish(self._settings.status, status, retain=True)

    async def _stop(self) -> None:
        self._stopped = True
        if self.connected:
            with suppress(TwistedTimeout, CancelledError, Undelivered):  # then its will says so
                await self._send_status(OFFLINE).addTimeout(_FAREWELL, self._reactor)
        ended: Deferred[None] = Deferred()
        # Not of the reactor's threads: one that looks up a name cannot be hurried.
        threading.Thread(target=self._end, args=(ended,), daemon=True).start()
        with suppress(TwistedTimeout):
            await ended.addTimeout(_FAREWELL, self._reactor)
        self.connected = False

    def _end(self, ended: Deferred[None]) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._reactor.callFromThread(_fire, ended)

    # -- in paho's thread --------------------------------------------------

    def _make(self) -> Client:
        settings, call = self._settings, self._reactor.callFromThread
        client = Client(CallbackAPIVersion.VERSION2, client_id=_client_id(settings))
        if settings.user is not None:
            client.username_pw_set(settings.user, settings.password)
        if settings.tls:
            client.tls_set()
        client.will_set(settings.status, OFFLINE, qos=1, retain=True)
        client.reconnect_delay_set(*_PAUSES)
        client.max_queued_messages_set(_QUEUE)
        client.on_connect = lambda _c, _u, _f, code, _p: call(
            self._opened, str(code) if code.is_failure else None
        )
        client.on_connect_fail = lambda _c, _u: call(self._lost, "cannot be reached")
        client.on_disconnect = lambda *_: call(self._lost, "is gone")
        client.on_publish = lambda _c, _u, number, _r, _p: call(self._acknowledged, number)
        client.on_message = self._heard
        return client

    def _heard(self, client: object, userdata: object, message: MQTTMessage) -> None:
        # What is retained was said at some other time, perhaps long ago.
        if not message.retain and len(message.payload) <= _LONGEST:
            self._reactor.callFromThread(self._received, message.topic, message.payload)


def _fire(ended: Deferred[None]) -> None:
    if not ended.called:  # else it was too long
        ended.callback(None)


def _client_id(settings: MqttSettings) -> str:
    """
    The same after every start, so that the broker ends our old connection before it takes the
    new one: else its will could come after we are back.
    """
    known = f"{socket.gethostname()} {settings.topic}"
    return f"trailcam-{hashlib.sha256(known.encode()).hexdigest()[:12]}"
