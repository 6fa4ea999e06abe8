"""The product against somebody else's reading of the protocol: L{tests.independent}."""

from __future__ import annotations

import io
import json
import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from twisted.trial.unittest import SkipTest, TestCase

from tests.independent import Address, Camera, Client, Media, Movie


@cache
def a_movie(pictures: int = 50, width: int = 320, height: int = 192) -> Movie:
    """H.264 with a key frame every 10 pictures, and AAC with an ADTS header on each sound."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "10", "bf": "0"}
    video: list[tuple[bytes, bool]] = []
    for n in range(pictures):
        picture = VideoFrame(width, height, "yuv420p")
        for plane in picture.planes:
            line = random.Random(n // 3).randbytes(plane.line_size)
            plane.update(line * (plane.buffer_size // plane.line_size))
        picture.pts = n
        video += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(picture)]
    video += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(None)]
    return Movie(video, sounds(pictures * 640), width, height)


def sounds(samples: int) -> list[bytes]:
    """AAC of 16 kHz, one channel: silence, one ADTS frame each."""
    file = io.BytesIO()
    with av.open(file, "w", format="adts") as container:
        stream = container.add_stream("aac", rate=16000)
        assert isinstance(stream, AudioStream)
        stream.layout = "mono"
        for n in range(samples // 1024):
            sound = AudioFrame(format="fltp", layout="mono", samples=1024)
            sound.planes[0].update(bytes(4096))
            sound.sample_rate, sound.pts = 16000, 1024 * n
            container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    data, found = file.getvalue(), []
    while data:
        size = int.from_bytes(data[3:6], "big") >> 5 & 0x1FFF
        found.append(data[:size])
        data = data[size:]
    return found


def a_photo(number: int, size: int) -> bytes:
    """Bytes that end as a JPEG does, with something inside that looks like a message."""
    noise = random.Random(number)
    trap = b"ARTEMIS\0" + struct.pack("<III", 3, 1, 40)
    return b"\xff\xd8" + noise.randbytes(size) + trap + noise.randbytes(size) + b"\xff\xd9"


class FromAnotherReading(TestCase):
    """What both classes below need: a movie, a card, and the program in a process of its own."""

    def setUp(self) -> None:
        """A movie, and a folder for the library, the state and the process."""
        self.movie = a_movie()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)

    def card(self, photos: int = 7, size: int = 30_000, video: bool = True) -> list[Media]:
        """Photos, some without C{mediaId} or C{mediaTime}, and a video."""
        media = [
            Media(n, a_photo(n, size + n), n + 10**9 if n % 3 else None,
                  1766527938 - n % 4 * 1000 if n % 4 else None)
            for n in range(1, photos + 1)
        ]
        return media + [Media(photos + 1, self.movie, 5, 1766527938)] * video

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start C{trailcam}, in a zone 5:30 hours east of Greenwich."""
        root = str(Path(__file__).resolve().parent.parent)
        surroundings = os.environ | {
            "PYTHONPATH": root, "TZ": "Asia/Kolkata", "HOME": str(self.folder),
            "XDG_STATE_HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder),
        }
        command = [sys.executable, "-m", "trailcam", "--json", *arguments]
        process = subprocess.Popen(command, cwd=self.folder, env=surroundings, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.finish, process)
        return process

    @staticmethod
    def finish(process: subprocess.Popen[str]) -> None:
        """Leave no process behind."""
        process.kill()
        process.communicate()

    def result(self, process: subprocess.Popen[str], status: int = 0) -> list[dict[str, Any]]:
        """Wait for the program; the lines of its output."""
        output, log = process.communicate(timeout=60)
        self.assertEqual(process.returncode, status, output + log)
        return [json.loads(line) for line in output.splitlines()]


class CameraTests(FromAnotherReading):
    """C{trailcam} at a camera that somebody else has written."""

    def camera(self, media: list[Media] | None = None, **faults: Any) -> Camera:
        """A running camera, ended with the test."""
        card = self.card() if media is None else media
        camera = Camera(card, live=self.movie, **faults)
        camera.__enter__()
        self.addCleanup(camera.__exit__)
        return camera

    def call(self, command: str, camera: Camera, *more: str,
             search: bool = False) -> subprocess.Popen[str]:
        """Start a command for a camera, by its address or by search."""
        search_at = ["--broadcast", "127.0.0.1", "--search-port", str(camera.search_port)]
        where = search_at if search else [f"127.0.0.1:{camera.port}"]
        return self.start(command, *where, "--state", f"state-{camera.port}", *more)

    def sync(self, camera: Camera, search: bool = False) -> subprocess.Popen[str]:
        """Start C{sync}, into a library of this camera's."""
        return self.call("sync", camera, "--library", f"library-{camera.port}", search=search)

    def check_library(self, camera: Camera) -> None:
        """Every photo byte for byte, every video with all frames, and nothing else."""
        library = self.folder / f"library-{camera.port}"
        files = [path for path in library.glob("[!.]*/*/*") if path.is_file()]
        self.assertEqual(len(files), len(camera.media), files)
        for media in camera.media:
            (path,) = [p for p in files if f"_100-{media.number:04d}" in p.name]
            if isinstance(media.content, bytes):
                self.assertEqual(path.read_bytes(), media.content, path)
            else:
                self.check_video(path, media.content)

    def check_video(self, path: Path, movie: Movie) -> None:
        """All pictures and sounds are in the MP4, and can be decoded."""
        with av.open(str(path)) as container:
            times = [round((f.time or 0) * 1000) for f in container.decode(video=0)]
        with av.open(str(path)) as container:
            sounds = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
        self.assertEqual(times, [40 * n for n in range(len(movie.video))])
        self.assertEqual(sounds, [sound[7:] for sound in movie.audio])

    def check_manners(self, camera: Camera, sessions: list[str] | None) -> None:
        """Nothing to complain about; the sessions ended like this; always the same port."""
        self.assertTrue(_eventually(lambda: camera.session is None, 8.0), "no CLOSE")
        self.assertEqual(camera.complaints, [])
        if sessions is not None:
            self.assertEqual([session.ended for session in camera.sessions], sessions)
        self.assertEqual(len(camera.ports), 1, camera.ports)
        self.assertEqual(camera.strangers, [])

    def test_discover_opens_no_session(self) -> None:
        """C{discover} names the camera once, and leaves it free for any other port."""
        camera = self.camera()
        lines = self.result(self.start(
            "discover", "--timeout", "1", "--broadcast", "127.0.0.1",
            "--search-port", str(camera.search_port), "--state", "state"))
        address = f"127.0.0.1:{camera.port}"
        self.assertEqual([(line["camera"], line["device_id"]) for line in lines],
                         [(address, "LBCS-000000-CCCJJ")])
        self.assertEqual((camera.sessions, camera.client, camera.complaints), ([], None, []))

    def test_info_by_search(self) -> None:
        """A search ends in one session; the login says the wall clock of the zone."""
        camera = self.camera()
        (line,) = self.result(self.call("info", camera, search=True))
        self.assertEqual((line["devId"], line["setting39"]), ("C6:00:00:00:00:01", 39))
        self.check_manners(camera, ["client"])
        self.assertTrue(camera.sessions[0].searched)
        ahead = camera.logins[0]["utcTime"] - time.time()
        self.assertApproximates(ahead, 5.5 * 3600, 15)

    def test_sync_twice(self) -> None:
        """All comes home, what came damaged is asked for again, and nothing comes twice."""
        camera = self.camera(spoil=(3, 8))
        done = self.result(self.sync(camera))[-1]
        self.assertEqual((done["new"], done["failed"]), (8, 0))
        self.check_library(camera)
        self.assertEqual((camera.fetched[3], camera.fetched[8]), (2, 2))
        before = camera.fetched.copy()
        done = self.result(self.sync(camera))[-1]
        self.assertEqual((done["new"], done["skipped"]), (0, 8))
        self.assertEqual(camera.fetched, before)
        self.check_manners(camera, ["client", "client"])

    def test_address_and_search_are_one_camera(self) -> None:
        """Whether it is called by address or searched for, the same port is used."""
        camera = self.camera()
        self.result(self.call("info", camera))
        self.result(self.call("info", camera, search=True))
        self.check_manners(camera, ["client", "client"])

    def test_punches_every_half_second(self) -> None:
        """A client that begins punches every 0.5 s, not more often."""
        camera = self.camera()
        self.result(self.call("info", camera))
        pauses = [after - before for before, after in pairwise(camera.punches)]
        self.assertEqual([pause for pause in pauses if pause < 0.4], [])

    def test_live_twice(self) -> None:
        """The live view's pictures, without the one that is damaged and those that need it."""
        camera = self.camera(spoil_live=4)
        for _ in range(2):
            camera.live_sent.clear()
            output = self.folder / "live.h264"
            self.result(self.call("live", camera, "--seconds", "0.6", "--force", "-o", str(output)))
            sent = [f.video for n, f in enumerate(camera.live_sent) if not 4 <= n < 10]
            recorded = output.read_bytes()
            self.assertTrue(b"".join(sent).startswith(recorded))
            self.assertGreater(len(recorded), sum(map(len, sent[:6])))
        self.check_manners(camera, ["client", "client"])

    def check_slow_list(self) -> None:
        """A list of two pages, of which the first takes 3.2 s and the last comes again."""
        media = self.card(90, 10, video=False)
        camera = self.camera(media, repeat_last_page=True, listing=3.2)
        *lines, done = self.result(self.call("list", camera))
        fields = "fileType", "mediaDirNum", "mediaNum", "durationMs", "mediaId", "mediaTime"
        listed = [{name: line[name] for name in fields if line[name] is not None}
                  for line in lines]
        self.assertEqual(listed, [m.listed() for m in camera.media])
        self.assertEqual(done["count"], 90)
        self.check_manners(camera, ["client"])
        self.assertGreater(camera.sessions[0].heartbeat_number, 0x10000)

    def test_interruptions(self) -> None:
        """
        A bad link, and four accidents in the middle of a photo: CLOSE, nine seconds of silence,
        the client killed with C{kill -9}, the camera switched off and on. All comes home whole,
        from the same port. They run side by side, and while the silence lasts, another camera is
        slow, so that ALIVE and heartbeats must be kept up: most of it all is waiting.
        """
        bad_link = self.camera(loss=0.1, duplicates=0.05)
        closed, silent = self.camera(close_after=100), self.camera(silence_after=100)
        killed, restarted = self.camera(every=0.03), self.camera(every=0.03)
        cameras = [bad_link, closed, silent, killed, restarted]
        runs = [self.sync(camera, search=camera in (bad_link, killed)) for camera in cameras]
        for camera in (killed, restarted):
            self.assertTrue(camera.busy.wait(20))
            camera.perfect, camera.every = False, 0.007  # from here on, silence is excused
        self.finish(runs[3])
        runs[3] = self.sync(killed, search=True)
        restarted.restart()
        for camera in (bad_link, closed, killed, restarted, silent):
            if camera is silent:
                self.check_slow_list()
            self.result(runs[cameras.index(camera)])
            self.check_library(camera)
        self.check_manners(closed, ["fault", "client"])
        for camera in (silent, killed, restarted):
            self.check_manners(camera, [camera.sessions[0].ended, "client"])
        self.check_manners(bad_link, None)

    def test_wrong_password(self) -> None:
        """A refused login is not tried again."""
        camera = self.camera(password="secret")
        self.result(self.call("info", camera), status=4)
        self.check_manners(camera, ["client"])
        self.assertEqual(len(camera.logins), 1)

    def test_photo_of_70_megabytes(self) -> None:
        """Indexes pass 65535 and begin again at 0 within a photo."""
        if not os.environ.get("TRAILCAM_LONG"):
            raise SkipTest("takes a minute; set TRAILCAM_LONG=1")
        camera = self.camera([Media(1, a_photo(1, 35_000_000), 1, 1766527938)])
        self.result(self.sync(camera))
        self.check_library(camera)
        self.check_manners(camera, ["client"])


class AgreementTests(FromAnotherReading):
    """The camera and the client of the other reading, before they meet the product."""

    def test_they_agree(self) -> None:
        """What either complains of later is not its own doing."""
        media = self.card()
        with Camera(media, live=self.movie, noise=False) as camera:
            address = "127.0.0.1", camera.port
            with Client(address) as client, Client(address) as other:
                self.assertTrue(client.connect())
                self.assertFalse(other.connect(0.1))
                client.login()
                files = client.media()
                self.assertEqual(files, [m.listed() for m in camera.media])
                self.assertEqual(client.photos(files[1:4]), [m.content for m in camera.media[1:4]])
                pictures, sounds = client.play(files[0], 17)
                self.assertEqual([p.video for p in pictures], [v for v, _ in self.movie.video])
                self.assertEqual([s.audio for s in sounds], self.movie.audio)
                client.close()
            self.assertTrue(_eventually(lambda: camera.session is None))
        self.assertEqual((client.complaints, camera.complaints), ([], []))
        self.assertEqual(camera.strangers, [((other.address[0], other.port), 0x41)])


class ClientTests(FromAnotherReading):
    """C{trailcam simulate}, and a client that somebody else has written."""

    def simulator(self, *arguments: str) -> Address:
        """Start a simulated camera; its address."""
        process = self.start("simulate", "--port", "0", "--search-port", "0", *arguments)
        assert process.stdout is not None
        host, port = json.loads(process.stdout.readline())["camera"].split(":")
        return host, int(port)

    def test_everything_once(self) -> None:
        """Login, information, list, thumbnails, photos, a video, the live view, ALIVE."""
        address = self.simulator("--photos", "46", "--videos", "1")
        with Client(address) as client:
            self.assertTrue(client.connect())
            client.login()
            self.assertGreater(len(client.command(512)), 30)
            files = client.media()
            self.assertEqual(len(files), 47)
            self.assertEqual(len(client.thumbnails(files[:9])), 9)
            photos = [one for one in files if one["fileType"] == 0]
            for data in client.photos(photos[:2]) + client.photos(photos[-1:]):
                self.assertEqual((data[:2], data[-2:]), (b"\xff\xd8", b"\xff\xd9"))
            (video,) = [one for one in files if one["fileType"] == 1]
            client.play(video, 4711)
            client.live(8)
            for _ in range(40):  # a second of quiet, and more on a machine that is busy
                if not client.alive_acks:
                    client.idle(0.25)
            client.close()
        self.assertEqual(client.complaints, [])
        self.assertGreaterEqual(client.alive_acks, 1)

    def test_only_the_port_it_knows(self) -> None:
        """Until CLOSE the camera hears nobody else; the known port gets a new session."""
        address = self.simulator("--photos", "3", "--videos", "0")
        with Client(address) as client, Client(address) as other:
            self.assertTrue(client.connect())
            client.login()
            client.idle(1.1)
            self.assertFalse(other.connect(1.0))
            self.assertTrue(client.connect())
            self.assertEqual(client.login()["result"], 0)
            client.close()
            self.assertTrue(other.connect())
            other.login()
            other.close()
        self.assertEqual((client.complaints, other.complaints), ([], []))

    def test_wrong_password(self) -> None:
        """A wrong password gets an answer that says so, and no token."""
        with Client(self.simulator()) as client:
            self.assertTrue(client.connect())
            answer = client.login("wrong")
            self.assertNotEqual(answer["result"], 0)
            self.assertNotIn("token", answer)
            client.close()
        self.assertEqual(client.complaints, [])


def _eventually(condition: Callable[[], bool], seconds: float = 2.0) -> bool:
    """Whether something that another thread does is done within some seconds."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()
