"""MQTT and Home Assistant: with a real broker, that is stopped, killed and started."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock, deferLater
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SkipTest, TestCase

from tests.processes import PATIENCE, Process, ProcessTestCase, eventually, only_once
from tests.support import story
from tests.test_service import TWISTD
from trailcam.commands import MediaFile
from trailcam.config import Config, parse
from trailcam.happenings import BatteryLow, NewMedia, VisitEnded
from trailcam.library import StoredFile
from trailcam.library.times import Moment
from trailcam.library.visits import Visit
from trailcam.notify.homeassistant import Standing, discovery, discovery_topic
from trailcam.notify.service import Notifier
from trailcam.notify.settings import MqttSettings
from trailcam.testing import InlineWorker

try:
    from paho.mqtt.client import Client, MQTTMessage
    from paho.mqtt.enums import CallbackAPIVersion

    from trailcam.notify import broker as broker_module
    from trailcam.notify import mqtt as mqtt_module
except ImportError:
    Client = None  # type: ignore[assignment, misc]

NOW = datetime(2026, 6, 1, 5, tzinfo=UTC)
#: Where Debian has it; not on everybody's path.
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


def free_port() -> int:
    """A TCP port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """
    A broker that can be stopped and started; it remembers who subscribed to what.

    @ivar port: where it listens, on 127.0.0.1.
    """

    def __init__(self, folder: Path, *more: str) -> None:
        if Client is None:
            raise SkipTest("needs the extra mqtt")
        if MOSQUITTO is None:
            raise SkipTest("needs the Debian package mosquitto")
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        lines = (f"listener {self.port} 127.0.0.1", "user root", "persistence true",
                 f"persistence_location {folder.absolute()}/", "allow_anonymous true",
                 "max_queued_messages 0", "max_inflight_messages 0", *more)  # fmt: skip
        self._config = folder / "mosquitto.conf"
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it listens then."""
        assert MOSQUITTO is not None
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self._config)], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        eventually(self._listens, "the broker does not listen")

    def stop(self) -> None:
        """Stop it; what it must not forget is on its disk."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(PATIENCE)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


class Watcher:
    """
    Another client of the broker, like Home Assistant. It misses nothing that is not retained.

    @ivar messages: what came so far: topic, payload, whether it was retained.
    """

    def __init__(self, port: int) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self.there = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, "watcher", clean_session=False)
        self.client.reconnect_delay_set(0.1, 0.1)  # type: ignore[arg-type]
        self.client.on_connect = lambda *_: self.client.subscribe("#", 1)
        self.client.on_subscribe = lambda *_: self.there.set()
        self.client.on_message = self._heard
        self.client.connect_async("127.0.0.1", port)
        self.client.loop_start()
        assert self.there.wait(PATIENCE)

    def stop(self) -> None:
        """Go."""
        self.client.disconnect()
        self.client.loop_stop()

    def said(self, topic: str) -> list[Any]:
        """What came to a topic, decoded from JSON."""
        return [json.loads(payload) for name, payload, _ in list(self.messages) if name == topic]

    def texts(self, topic: str) -> list[str]:
        """What came to a topic, as text."""
        return [payload.decode() for name, payload, _ in list(self.messages) if name == topic]

    def _heard(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        said = (message.topic, message.payload, message.retain)
        # What the broker says again, as it did not hear that it had come, is between us two.
        if not (message.dup and said in self.messages):
            self.messages.append(said)


# -- the shape of it ---------------------------------------------------------

#: What Home Assistant asks of each platform besides C{unique_id}.
REQUIRED = {
    "sensor": {"state_topic"},
    "binary_sensor": {"state_topic"},
    "event": {"state_topic", "event_types"},
    "image": {"image_topic"},
    "button": {"command_topic"},
}
#: Its device classes, as far as they are used, with the unit of each.
CLASSES = {
    ("sensor", "battery"): "%", ("sensor", "data_size"): "MB", ("sensor", "timestamp"): None,
    ("binary_sensor", "connectivity"): None,
}  # fmt: skip


class DiscoveryTests(TestCase):
    """What Home Assistant is told of a camera, by its own rules."""

    def setUp(self) -> None:
        self.settings = MqttSettings(topic="home/cams")
        self.payload = discovery(self.settings, "garden-1")

    def test_topic(self) -> None:
        """It goes where devices are discovered, under an id of allowed letters."""
        topic = discovery_topic(self.settings, "garden-1")
        self.assertEqual(topic, "homeassistant/device/home_cams_garden-1/config")
        self.assertTrue(re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", topic))

    def test_device(self) -> None:
        """It names device and origin; availability is the station's; ids are nobody else's."""
        self.assertLessEqual({"device", "origin", "components"}, set(self.payload))
        self.assertEqual(self.payload["device"]["identifiers"], ["home_cams_garden-1"])
        self.assertTrue(self.payload["origin"]["name"])
        self.assertEqual(self.payload["availability"], [{"topic": "home/cams/status"}])
        entities = self.payload["components"]
        ids = {entity["unique_id"] for entity in entities.values()}
        other = discovery(replace(self.settings, topic="b"), "garden-1")["components"]
        ids |= {entity["unique_id"] for entity in other.values()}
        self.assertEqual(len(ids), 2 * len(entities))

    def test_entities(self) -> None:
        """Each has what its platform wants, a class that there is, and a topic of its camera."""
        for key, entity in self.payload["components"].items():
            platform, kind = entity["platform"], entity.get("device_class")
            self.assertLessEqual(REQUIRED[platform] | {"name", "unique_id"}, set(entity), key)
            self.assertTrue(re.fullmatch(r"[a-zA-Z0-9_-]+", key))
            if kind is not None:
                unit = CLASSES[platform, kind]
                self.assertEqual(entity.get("unit_of_measurement"), unit, key)
            for name, value in entity.items():
                if name.endswith("_topic"):
                    self.assertTrue(value.startswith("home/cams/garden-1/"), value)
            if kind == "timestamp":
                self.assertNotIn("state_class", entity)
        for wanted in ("battery", "card", "last_visit", "pictures", "in_range", "last_picture",
                       "media", "visit"):  # fmt: skip
            self.assertIn(wanted, self.payload["components"])

    def test_templates(self) -> None:
        """What a template looks at is in the state, also before the first visit."""
        state = Standing().state()
        for entity in self.payload["components"].values():
            for key in re.findall(r"value_json\.(\w+)", entity.get("value_template", "")):
                self.assertIn(key, state)

    def test_standing(self) -> None:
        """A camera that sleeps is in range if the last visit went well; ours to break is none."""
        standing = Standing()
        self.assertFalse(standing.state()["in_range"])
        earlier = [self.visit(2, "interrupted", new=1), self.visit(1, "ok", new=3, battery=50)]
        standing.ended(self.visit(3, "ok", new=2))
        standing.recall([self.visit(3, "ok", new=2), *earlier])
        state = standing.state()
        self.assertEqual((state["pictures"], state["battery"], state["in_range"]), (6, 50, True))
        self.assertEqual(state["last_visit"], "2026-06-01T08:00:00Z")
        standing.ended(self.visit(4, "interrupted"))
        self.assertTrue(standing.state()["in_range"])
        standing.ended(self.visit(5, "failed", why="nobody answered"))
        self.assertFalse(standing.state()["in_range"])
        self.assertEqual(standing.state()["last_seen"], "2026-06-01T08:00:00Z")

    def visit(self, hour: int, outcome: Any, **more: Any) -> Visit:
        """One visit."""
        when = NOW + timedelta(hours=hour)
        return Visit("garden-1", when, when, outcome, **more)


# -- within this process -----------------------------------------------------


class NotifierTestCase(TestCase):
    """A broker, a watcher, and a notifier that can be restarted."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.pressed: list[str] = []

    def begin(self) -> None:
        """Start the broker, and watch."""
        self.broker = Mosquitto(self.folder / "broker")
        self.addCleanup(self.broker.stop)
        self.broker.start()
        self.watcher = Watcher(self.broker.port)
        self.addCleanup(self.watcher.stop)
        self.patch(broker_module, "_PAUSES", (0.1, 0.1))

    def config(self, *lines: str) -> Config:
        """With one camera."""
        text = "\n".join(["[camera garden]", "[mqtt]", f"port = {self.broker.port}", *lines])
        return replace(parse(text, "tap.conf"), state=self.folder / "state")

    def notifier(self, *lines: str) -> Notifier:
        """As after a start."""
        buttons = {"garden": lambda: self.pressed.append("garden")}
        known: tuple[list[Visit], StoredFile | None] = ([], None)
        notifier = Notifier(reactor, self.config(*lines), buttons, lambda name: succeed(known))
        notifier.startService()
        self.addCleanup(notifier.stopService)
        return notifier

    async def until(self, check: Any) -> None:
        """Wait for it, while the reactor runs."""
        for _ in range(1500):
            if check():
                return
            await deferLater(reactor, 0.01)
        raise AssertionError("it never came about")


class OutageTests(NotifierTestCase):
    """A broker that comes and goes."""

    async def test_nothing_lost_nothing_twice(self) -> None:
        """
        The broker is stopped in the middle of messages, more come meanwhile, and the station is
        started again: each message arrives once, in order.
        """
        only_once()
        self.begin()
        notifier = self.notifier()
        await self.until(lambda: "online" in self.watcher.texts("trailcam/status"))
        self.tell(notifier, 0, 100)
        await self.until(lambda: len(self.heard()) >= 20)
        self.broker.stop()
        assert notifier.outbox is not None
        self.assertGreater(notifier.outbox.waiting("mqtt"), 0, "too quick: this proves nothing")
        self.tell(notifier, 100, 150)
        await notifier.stopService()
        notifier = self.notifier()
        self.tell(notifier, 150, 200)
        await deferLater(reactor, 0.1)
        self.broker.start()
        await self.until(lambda: len({n for n, _ in self.heard()}) == 200)
        outbox = notifier.outbox
        assert outbox is not None
        await self.until(lambda: outbox.waiting("mqtt") == 0)
        heard = list(dict.fromkeys(self.heard()))
        self.assertEqual([n for n, _ in heard], list(range(200)))
        self.assertEqual(len({key for _, key in heard}), 200)
        # The one that was on its way may have come, and its acknowledgement not; same id.
        self.assertLessEqual(len(self.heard()) - len(heard), 1)
        await self.until(lambda: self.watcher.texts("trailcam/status")[-1:] == ["online"])

    def tell(self, notifier: Notifier, first: int, last: int) -> None:
        """Something happens, with these numbers."""
        for number in range(first, last):
            notifier.happened(BatteryLow("garden", number))

    def heard(self) -> list[tuple[int, str]]:
        """What came: numbers and ids."""
        return [(one["battery"], one["id"]) for one in self.watcher.said("trailcam/garden/news")]

    async def test_states_come_again(self) -> None:
        """What is retained comes again, the newest, when the broker or Home Assistant is back."""
        self.begin()
        notifier = self.notifier()
        topic, config = "trailcam/garden/state", "homeassistant/device/trailcam_garden/config"
        await self.until(lambda: self.watcher.said(topic))
        self.broker.stop()
        with capturedLogs() as events:
            await deferLater(reactor, 0.5)
        self.assertEqual(len(story(events, LogLevel.warn)), 1, events)
        visit = Visit("garden", NOW, NOW, "ok", battery=66)
        notifier.happened(VisitEnded("garden", visit))
        self.broker.start()
        await self.until(lambda: self.watcher.said(topic)[-1]["battery"] == 66)
        before = len(self.watcher.said(config))
        self.watcher.client.publish("homeassistant/status", "online", 1)
        await self.until(lambda: len(self.watcher.said(config)) > before)
        await notifier.stopService()
        await self.until(lambda: self.watcher.texts("trailcam/status")[-1:] == ["offline"])

    async def test_refused(self) -> None:
        """A broker that wants another password is told of in one line; nothing is lost."""
        self.broker = Mosquitto(self.folder / "broker", "allow_anonymous false")
        self.addCleanup(self.broker.stop)
        self.broker.start()
        self.patch(broker_module, "_PAUSES", (0.1, 0.1))
        with capturedLogs() as events:
            notifier = self.notifier()
            notifier.happened(BatteryLow("garden", 1))
            await deferLater(reactor, 0.5)
        (line,) = story(events, LogLevel.warn)
        self.assertIn(f"127.0.0.1:{self.broker.port} refuses us: Not authorized", line)
        assert notifier.outbox is not None
        self.assertEqual(notifier.outbox.waiting("mqtt"), 1)


class ListeningTests(TestCase):
    """What the service makes of what it is told: nothing of it is trusted."""

    def setUp(self) -> None:
        if Client is None:
            raise SkipTest("needs the extra mqtt")
        self.sent: list[tuple[str, Any]] = []
        self.visits: list[str] = []
        self.patch(mqtt_module, "Broker", lambda *args: self)
        self.clock = Clock()
        self.service = mqtt_module.MqttService(
            self.clock, MqttSettings(), self,  # type: ignore[arg-type]
            {"garden": lambda: self.visits.append("garden")}, lambda name: succeed(([], None)),
            worker=InlineWorker(),
        )  # fmt: skip
        self.service.startService()

    # A broker, and an outbox with nothing in it.
    connected = True

    def start(self) -> None: ...

    def stop(self) -> Deferred[None]:
        """Nothing to do."""
        return succeed(None)

    def publish(self, topic: str, payload: Any, retain: bool = False) -> Deferred[None]:
        """Keep it."""
        self.sent.append((topic, payload))
        return succeed(None)

    def first(self, destination: str, after: int = 0) -> Deferred[None]:
        """Nothing waits."""
        return succeed(None)

    def changed(self, destination: str) -> Deferred[None]:
        """Nothing comes."""
        return Deferred()

    def test_button(self) -> None:
        """The button visits, once; whatever else comes does not."""
        for topic, payload in (("trailcam/pond/visit", b"PRESS"), ("trailcam/garden/visit", b""),
                               ("trailcam/garden/visit", b"\xff\x00PRESS"), ("", b"PRESS"),
                               ("homeassistant/status", b"offline")):  # fmt: skip
            self.service._received(topic, payload)
        self.assertEqual((self.visits, self.sent), ([], []))
        for _ in range(100):
            self.service._received("trailcam/garden/visit", b"PRESS")
        self.assertEqual(self.visits, ["garden"])
        self.clock.advance(mqtt_module.PRESS_PAUSE)
        self.service._received("trailcam/garden/visit", b"PRESS")
        self.assertEqual(self.visits, ["garden"] * 2)
        self.successResultOf(self.service.stopService())
        self.clock.advance(100)
        self.service._received("trailcam/garden/visit", b"PRESS")
        self.assertEqual(self.visits, ["garden"] * 2)

    def test_last_picture(self) -> None:
        """It is a small JPEG of the newest; older ones, and damaged ones, change nothing."""
        folder = Path(self.mktemp())
        folder.mkdir()
        for name, minutes, colour in (
            ("b", 2, "blue"), ("a", 1, "green"), ("c", 3, None), ("d", 4, "red")
        ):  # fmt: skip
            path = folder / f"{name}.jpg"
            if colour:
                Image.new("RGB", (4000, 2250), colour).save(path)
            else:
                path.write_bytes(b"\xff\xd8 no picture")
            self.service.happened(NewMedia("garden", stored(path, minutes)))
        (topic, _), (_, payload) = self.sent
        self.assertEqual(topic, "trailcam/garden/picture")
        with Image.open(io.BytesIO(payload)) as image:
            self.assertEqual((image.format, image.size), ("JPEG", (960, 540)))
            red = image.getpixel((5, 5))
            self.assertGreater(red[0], 200)  # type: ignore[index]
        self.service.happened(NewMedia("pond", stored(path, 9)))
        self.assertEqual(len(self.sent), 2)


def stored(path: Path, minutes: int) -> StoredFile:
    """A picture that is at home."""
    taken = Moment(NOW.replace(tzinfo=None) + timedelta(minutes=minutes), timedelta(0), "UTC")
    return StoredFile("C1", MediaFile(0, 100, minutes), taken, path, 1, "00", NOW)


# -- a whole station ---------------------------------------------------------


class StationTests(ProcessTestCase):
    """C{twistd trailcam} with a camera and a broker."""

    def setUp(self) -> None:
        super().setUp()
        self.broker = Mosquitto(self.home / "broker")
        self.addCleanup(self.broker.stop)
        self.broker.start()
        self.watcher = Watcher(self.broker.port)
        self.addCleanup(self.watcher.stop)
        only_once()

    def station(self, camera: str) -> Process:
        """Start one that visits the camera once."""
        lines = ["[trailcam]", "library = library", "state = state",
                 f"metrics_file = {self.home}/trailcam.prom",
                 "[camera garden]", f"address = {camera}", "interval = 0",
                 "[mqtt]", f"port = {self.broker.port}"]  # fmt: skip
        (self.home / "tap.conf").write_text("\n".join(lines))
        return self.start_any([*TWISTD, "-n", "--pidfile=", "trailcam", "-c", "tap.conf"])

    def photos(self) -> list[str]:
        """Of the photos that were told of: the ids."""
        return [one["id"] for one in self.watcher.said("trailcam/garden/media")]

    def test_story(self) -> None:
        """Discovery, states, events, the last picture; the button; the will, when it is killed."""
        simulator = self.simulator("--photos", "3")
        station = self.station(simulator.camera)
        station.out_line("garden: 3 new")
        eventually(lambda: len(self.photos()) == 3, "no news")
        self.assertEqual(len(set(self.photos())), 3)
        state = "trailcam/garden/state"
        eventually(lambda: [one["pictures"] for one in self.watcher.said(state)][-1:] == [3],
                   "no state")  # fmt: skip
        self.assertTrue(self.watcher.said(state)[-1]["in_range"])
        said = self.watcher.said("homeassistant/device/trailcam_garden/config")[-1]
        self.assertEqual(said, discovery(MqttSettings(), "garden"))
        eventually(lambda: any(t == "trailcam/garden/picture" for t, _, _ in self.watcher.messages),
                   "no picture")  # fmt: skip
        self.watcher.client.publish("trailcam/garden/visit", "PRESS", 1)
        station.out_line("garden: its button was pressed")
        station.out_line("garden: 0 new, 3 here already")
        eventually(lambda: len(self.watcher.said("trailcam/garden/news")) == 2, "no news")
        text = (self.home / "trailcam.prom").read_text()
        self.assertIn('trailcam_visits_total{camera="garden",outcome="ok"} ', text)
        eventually(lambda: self.watcher.texts("trailcam/status") == ["online"], "not online")
        station.kill()
        eventually(lambda: self.watcher.texts("trailcam/status")[-1:] == ["offline"], "no will")
        for topic in (state, "trailcam/status", "trailcam/garden/picture"):
            self.assertTrue(self.retained(topic), topic)
        self.assertFalse(self.retained("trailcam/garden/media"))

    def retained(self, topic: str) -> bool:
        """Whether who comes later is told it too."""
        came = threading.Event()
        client = Client(CallbackAPIVersion.VERSION2)
        client.on_message = lambda *_: came.set()
        client.on_connect = lambda *_: client.subscribe(topic)
        client.connect("127.0.0.1", self.broker.port)
        client.loop_start()
        try:
            return came.wait(PATIENCE if topic != "trailcam/garden/media" else 0.2)
        finally:
            client.disconnect()
            client.loop_stop()

    def test_killed_while_the_broker_is_away(self) -> None:
        """What happened while the broker was away outlives a kill -9, and is told once."""
        self.broker.stop()
        simulator = self.simulator("--photos", "3")
        station = self.station(simulator.camera)
        station.out_line("garden: 3 new")
        eventually(lambda: self.waiting() == 4, "not all is in the outbox")
        station.kill()
        self.broker.start()
        station = self.station(simulator.camera)
        eventually(lambda: len(self.watcher.said("trailcam/garden/news")) == 2, "no news")
        self.assertEqual((len(self.photos()), len(set(self.photos()))), (3, 3))
        eventually(lambda: self.waiting() == 0, "something still waits")
        station.send(signal.SIGTERM)
        station.end()
        eventually(lambda: self.watcher.texts("trailcam/status")[-1:] == ["offline"], "no farewell")

    def waiting(self) -> int:
        """How many messages wait."""
        with closing(sqlite3.connect(self.state / "outbox.sqlite")) as base:
            return int(base.execute("SELECT count(*) FROM outbox").fetchone()[0])
