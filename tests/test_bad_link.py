"""
Tests over a bad link: two hosts in network namespaces, and every file whole.

They need root, and are skipped elsewhere. A seeded sample of them runs
always, in about a minute; C{TRAILCAM_LONG=1} runs all, which takes twelve, and
C{TRAILCAM_SEED=N} takes another sample and other chances.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from twisted.trial.unittest import SkipTest, TestCase

from tests.impairment import BadLink, Conditions, Cut, Link
from tests.namespaces import Namespace, Running, unavailable
from tests.processes import only_once
from trailcam.commands import MediaFile
from trailcam.movie import MovieWriter
from trailcam.simulator.card import Card
from trailcam.simulator.streams import play
from trailcam.wire.artemis import Message, MessageId, encode_header
from trailcam.wire.media import Frame

SEED = int(os.environ.get("TRAILCAM_SEED", "1"))
LONG = os.environ.get("TRAILCAM_LONG") == "1"

CAMERA, CLIENT = "192.168.43.1", "192.168.43.2"
#: A sync that takes longer is stuck: the worst conditions, and a minute without a link.
PATIENCE = 170.0
#: More than a client ever needs, whatever the link does.
MOST_MEMORY, MOST_DESCRIPTORS = 120 << 20, 40
#: On the worst link the camera sends so much for each byte of a file; more would be a flood.
MOST_SENT = 4.0


def response(sequence: int) -> bytes:
    """What the camera's response to the client's nth request begins with."""
    return encode_header(MessageId.RESPONSE, sequence, 0)[:16]


def stream(kind: MessageId) -> bytes:
    """What every message of a kind begins with."""
    return encode_header(kind, 0, 0)[:12]


#: A link without faults, and a good Wi-Fi link.
PERFECT, GOOD = Conditions(), Conditions(delay=(0.002, 0.004), rate=16e6)

#: In the middle of what the link goes away: from what datagram on.
PLACES = {
    "the_login": (response(1), 0),
    "the_listing": (response(3), 0),
    "a_long_listing": (response(3), 2),
    "a_photo": (stream(MessageId.FILE), 100),
    "a_video": (stream(MessageId.PLAYBACK), 100),
}


@dataclass(frozen=True)
class Scenario:
    """
    What one sync has to cope with.

    @ivar group: of each group the sample has one.
    @ivar conditions: of the link, all the time.
    @ivar outage: how long the link is gone, in seconds; 0 for never.
    @ivar place: in the middle of what; one of L{PLACES}.
    @ivar photos: on the card.
    @ivar videos: on the card.
    """

    group: str
    conditions: Conditions = PERFECT
    outage: float = 0.0
    place: str = ""
    photos: int = 3
    videos: int = 1


SCENARIOS = {
    **{
        f"loss_{percent}": Scenario("loss", Conditions(loss=percent / 100, delay=(0.005, 0.005)))
        for percent in (0, 5, 10, 20, 30)
    },
    **{
        f"delay_{ms}_ms": Scenario("delay", Conditions(delay=(ms / 1000, ms / 1000)), photos=1)
        for ms in (5, 50, 200)
    },
    "delay_5_to_200_ms": Scenario("delay", Conditions(delay=(0.005, 0.2)), photos=1),
    "reordering_20": Scenario("order", Conditions(delay=(0.005, 0.005), reorder=0.2)),
    "duplicates_10": Scenario("order", Conditions(delay=(0.005, 0.005), duplicate=0.1)),
    **{
        f"rate_{mbit}_mbit": Scenario(
            "rate", Conditions(delay=(0.005, 0.005), rate=mbit * 1e6), photos=1
        )
        for mbit in (1, 2, 4, 8, 16)
    },
    "everything": Scenario(
        "order", Conditions(0.1, (0.02, 0.04), reorder=0.2, duplicate=0.1, rate=8e6), photos=2
    ),
    "everything_at_its_worst": Scenario(
        "long", Conditions(0.3, (0.005, 0.2), reorder=0.2, duplicate=0.1, rate=1e6), photos=1
    ),
    **{
        f"{seconds}_s_without_a_link_in_{place}": Scenario(
            "long" if seconds == 60 else f"{seconds} s", GOOD, seconds, place, photos=2
        )
        for seconds in (3, 15, 60)
        for place in PLACES
    },
}


def sample() -> set[str]:
    """The scenarios that run always: one of each group but the long ones."""
    groups: dict[str, list[str]] = {}
    for name, scenario in SCENARIOS.items():
        groups.setdefault(scenario.group, []).append(name)
    groups.pop("long")
    random = Random(SEED)
    return {random.choice(names) for names in groups.values()}


class LinkTests(TestCase):
    """The bad link itself, with a clock of numbers."""

    FRAME = bytes(12) + b"\x08\x00" + bytes(9) + b"\x11" + bytes(976)

    def carried(self, conditions: Conditions, frames: int = 1000) -> list[tuple[float, bytes]]:
        """What comes of so many frames, one each millisecond: when, and which."""
        link = Link(7)
        link.conditions = conditions
        for number in range(frames):
            link.take(0, self.FRAME + number.to_bytes(2, "big"), number / 1000)
        arrived = []
        while (due := link.next_timer()) is not None:
            arrived += [(due, frame[-2:]) for _, frame in link.deliver(due)]
        return arrived

    def test_perfect(self) -> None:
        """Without conditions each frame comes at once, in order."""
        expected = [(n / 1000, n.to_bytes(2, "big")) for n in range(1000)]
        self.assertEqual(self.carried(Conditions()), expected)

    def test_seeded(self) -> None:
        """The same seed has the same fates; a fifth lost and a tenth twice are about that."""
        conditions = Conditions(loss=0.2, duplicate=0.1, delay=(0.01, 0.05), reorder=0.2)
        arrived = self.carried(conditions)
        self.assertEqual(arrived, self.carried(conditions))
        self.assertApproximates(len({frame for _, frame in arrived}), 800, 40)
        self.assertApproximates(len(arrived), 880, 50)

    def test_late(self) -> None:
        """What is reordered comes 20 ms late, behind those that follow."""
        times = {frame: due for due, frame in self.carried(Conditions(reorder=0.2))}
        late = [times[n.to_bytes(2, "big")] - n / 1000 > 0.01 for n in range(1000)]
        self.assertApproximates(sum(late), 200, 40)

    def test_rate(self) -> None:
        """A slow link sends at its rate; what its queue cannot hold is dropped."""
        arrived = self.carried(Conditions(rate=1e6))
        for (sooner, _), (later, _) in pairwise(arrived):
            self.assertApproximates(later - sooner, 0.008, 0.0001)
        # A second's worth of the rate, and what waits in the queue then.
        self.assertApproximates(len(arrived), 125 + 64, 2)

    def test_cut(self) -> None:
        """An outage begins so many frames after a certain one, takes what is under way, ends."""
        link = Link(7)
        link.conditions = Conditions(delay=(0.5, 0.5))
        link.expect(Cut(3.0, b"now", 2))
        for number, frame in enumerate([b"before", b"it is now", b"one", b"two", b"three"]):
            link.take(0, frame.ljust(60), number / 10)
            self.assertEqual(link.is_down, number >= 3)
        self.assertEqual(list(link.deliver(3.29)), [])
        self.assertEqual(list(link.deliver(3.31)), [])
        link.take(0, b"after".ljust(60), 3.4)
        self.assertEqual(list(link.deliver(4.0)), [(0, b"after".ljust(60))])


class BadLinkTests(TestCase):
    """A simulated camera on one host, the client on another; one test for each scenario."""

    def setUp(self) -> None:
        """Two hosts, and the link between them."""
        only_once("links")
        reason = unavailable()
        if reason is not None:
            raise SkipTest(reason)
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.camera_host, self.client_host = Namespace("camera"), Namespace("client")
        for host in (self.camera_host, self.client_host):
            host.add()
            self.addCleanup(host.remove)
        self.link = BadLink(SEED, (self.camera_host, "ap0"), (self.client_host, "wlan0"))
        self.addCleanup(self.link.stop)
        self.camera_host.address("ap0", f"{CAMERA}/24")
        self.client_host.address("wlan0", f"{CLIENT}/24")

    # -- the two programs --------------------------------------------------

    def simulate(self, photos: int, videos: int) -> Running:
        """A camera that lets in only the port it knows."""
        camera = self.camera_host.trailcam(
            "simulate", "--interface", CAMERA, "--json", "--seed", str(SEED),
            "--photos", str(photos), "--videos", str(videos),
        )  # fmt: skip
        self.addCleanup(camera.stop)
        camera.wait_for('"ready"', 20)
        return camera

    def client(self, command: str, *arguments: str) -> Running:
        """Run one command to its end, which must be a good one."""
        client = self.client_host.trailcam(
            command, CAMERA, "--json", "--state", str(self.folder / "state"), *arguments
        )
        self.addCleanup(client.stop)
        self.assertEqual(client.finish(PATIENCE), 0, client)
        self.assertLess(client.memory, MOST_MEMORY, client)
        self.assertLess(client.descriptors, MOST_DESCRIPTORS, client)
        return client

    def sync(self, library: str = "library") -> dict[str, Any]:
        """Bring home what is new: how it went."""
        client = self.client("sync", "--library", str(self.folder / library))
        done: dict[str, Any] = json.loads(client.output[-1])
        self.assertEqual(done["event"], "done", client)
        return done

    # -- what must be true -------------------------------------------------

    def check_library(self, scenario: Scenario) -> None:
        """Every file is there once, byte for byte, and the index knows it; nothing else is."""
        root = self.folder / "library"
        with closing(sqlite3.connect(root / ".trailcam" / "index.sqlite")) as index:
            index.row_factory = sqlite3.Row
            rows = {
                (row["file_type"], row["directory"], row["number"]): dict(row)
                for row in index.execute("SELECT * FROM media")
            }
        card = self.card(scenario, rows)
        self.assertEqual(rows.keys(), {file.key for file in card.files})
        for file in card.files:
            row, expected = rows[file.key], self.expected(card, file)
            self.assertEqual(sha256(expected).hexdigest(), row["sha256"], file.label)
            self.assertEqual((root / row["path"]).read_bytes(), expected, file.label)
            self.assertEqual(row["size"], len(expected))
        there = set(root.glob("*/*/*"))
        self.assertEqual(there, {root / row["path"] for row in rows.values()})

    def card(self, scenario: Scenario, rows: dict[Any, dict[str, Any]]) -> Card:
        """The camera's card. It all follows from the seed and the time of the newest."""
        newest = rows[max(rows, key=lambda key: key[1:])]["media_time"]
        return Card(scenario.photos, scenario.videos, newest=newest, seed=SEED)

    def expected(self, card: Card, file: MediaFile) -> bytes:
        """A photo as the card draws it; an MP4 of the video as the camera plays it."""
        if file.is_photo:
            return card.photo(file)
        path = self.folder / "expected.mp4"
        writer = MovieWriter(path)
        for message in play(card.recording(file), 1, None):
            frame = Frame.decode(Message.decode(message).payload)
            if frame.video or frame.audio:
                writer.write(frame)
        writer.close()
        return path.read_bytes()

    def check_camera(self, camera: Running, descriptors: int) -> None:
        """The camera was always called from one port; nothing piled up in it."""
        opened = [line for line in camera.errors if "a client opened a session" in line]
        ports = {line.split()[-1] for line in opened}
        self.assertEqual(len(ports), 1, opened)
        self.assertEqual({port.split(":")[0] for port in ports}, {CLIENT})
        self.assertLessEqual(camera.descriptors, descriptors + 2)
        self.assertNotIn("Traceback", str(camera))

    def bring_home(self, name: str) -> None:
        """One scenario: a first sync, and a second that finds nothing new."""
        scenario = SCENARIOS[name]
        camera = self.simulate(scenario.photos, scenario.videos)
        self.link.set(scenario.conditions)
        if scenario.outage:
            self.link.expect(Cut(scenario.outage, *PLACES[scenario.place]))
        total = scenario.photos + scenario.videos
        first = self.sync()
        self.assertEqual((first["new"], first["skipped"], first["failed"]), (total, 0, 0))
        if scenario.outage:
            self.assertEqual(self.link.outages(), ["down", "up"])
        descriptors = camera.descriptors
        second = self.sync()
        self.assertEqual((second["new"], second["skipped"], second["failed"]), (0, total, 0))
        self.check_library(scenario)
        self.check_camera(camera, descriptors)
        self.assertLess(self.link.end()["bytes there"], MOST_SENT * first["bytes"])

    def list_all(self, name: str) -> None:
        """A list of three pages, and the link cut in the middle of the second."""
        scenario = SCENARIOS[name]
        camera = self.simulate(99, 0)
        self.link.set(scenario.conditions)
        self.link.expect(Cut(scenario.outage, *PLACES[scenario.place]))
        client = self.client("list")
        *media, done = [json.loads(line) for line in client.output]
        self.assertEqual(self.link.outages(), ["down", "up"])
        self.assertEqual(done, {"event": "done", "count": 99})
        self.assertEqual(
            sorted((each["mediaDirNum"], each["mediaNum"]) for each in media),
            [(100, number) for number in range(1, 100)],
        )
        self.check_camera(camera, camera.descriptors)


def _test(name: str) -> Callable[[BadLinkTests], None]:
    """The test of one scenario."""

    def test(self: BadLinkTests) -> None:
        if SCENARIOS[name].place == "a_long_listing":
            self.list_all(name)
        else:
            self.bring_home(name)

    test.__name__ = f"test_{name}"
    test.__qualname__ = f"BadLinkTests.{test.__name__}"
    test.__doc__ = f"All comes home whole, once, from one port: {name.replace('_', ' ')}."
    if not LONG and name not in sample():
        # Trial looks for this before it sets anything up.
        test.skip = "not in this sample; TRAILCAM_LONG=1 runs all"  # type: ignore[attr-defined]
    return test


for _name in SCENARIOS:
    setattr(BadLinkTests, f"test_{_name}", _test(_name))
