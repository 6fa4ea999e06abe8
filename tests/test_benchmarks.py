"""The benchmarks' own parts: what is asked for, and how results are written. No timing here."""

from __future__ import annotations

import contextlib
import io
import json
import math
import subprocess
import sys
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

from rich.console import Console
from twisted.trial.unittest import TestCase

from benchmarks import __main__ as program
from benchmarks import material, staying, throughput
from benchmarks.growth import Point, plot
from benchmarks.lines import LINES, Line, Result
from benchmarks.processes import ROOT, Broken
from benchmarks.relay import Direction
from benchmarks.report import as_json, as_table, number
from benchmarks.sender import Stream
from benchmarks.svg import Panel, draw
from trailcam.wire import pppp
from trailcam.wire.artemis import Message
from trailcam.wire.media import FILE_HEADER_SIZE, FileHeader, Frame

LOWER = Line("slow", "a thing", "another", 2, "lower")
HIGHER = Line("fast", "a thing", "another", 0.5, "higher", "of it")


class LineTests(TestCase):
    """When a line is reached."""

    def test_lower(self) -> None:
        """Where lower is better, the reach itself is good enough, and no number is not."""
        self.assertTrue(Result(LOWER, 2.0).ok)
        self.assertFalse(Result(LOWER, 2.01).ok)
        self.assertFalse(Result(LOWER, math.nan).ok)

    def test_higher(self) -> None:
        """Where higher is better, likewise."""
        self.assertTrue(Result(HIGHER, 0.5).ok)
        self.assertFalse(Result(HIGHER, 0.49).ok)

    def test_unsound(self) -> None:
        """A good value does not help when something else that the line demands failed."""
        self.assertFalse(Result(LOWER, 1.0, sound=False).ok)

    def test_all_lines(self) -> None:
        """Every line of the table has a benchmark."""
        known = {*throughput.NAMES, *program._ALONE, *program._WAITING}
        self.assertEqual(known, set(LINES))
        self.assertEqual(len(LINES), 12)


class ParserTests(TestCase):
    """What can be asked for."""

    def test_nothing(self) -> None:
        """Without options everything is measured, at length, for a person."""
        asked = program.parser().parse_args([])
        self.assertEqual((asked.quick, asked.only, asked.json, asked.growth),
                         (False, None, False, None))  # fmt: skip

    def test_options(self) -> None:
        """--only may come several times."""
        asked = program.parser().parse_args(
            ["--quick", "--json", "--only", "help-start", "--only", "live-cpu"]
        )
        self.assertTrue(asked.quick and asked.json)
        self.assertEqual(asked.only, ["help-start", "live-cpu"])

    def test_unknown_name(self) -> None:
        """A name that is none is refused, and the names are told."""
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), self.assertRaises(SystemExit) as caught:
            program.parser().parse_args(["--only", "nonsense"])
        self.assertEqual(caught.exception.code, 2)
        self.assertIn("help-start", errors.getvalue())


class ProgramTests(TestCase):
    """The program as a whole, with and without measuring."""

    def run_with(self, result: Result | Exception, *arguments: str) -> tuple[int, str]:
        """Run C{--only help-start}, which gives C{result} at once."""
        measure = mock.Mock(side_effect=[result])
        output = io.StringIO()
        with mock.patch.dict(program._ALONE, {"help-start": measure}), \
                contextlib.redirect_stdout(output), \
                contextlib.redirect_stderr(io.StringIO()):  # fmt: skip
            status = program.main(["--only", "help-start", *arguments])
        return status, output.getvalue()

    def test_exit_status(self) -> None:
        """0 when all is reached, 1 when not, 2 when a benchmark failed."""
        line = LINES["help-start"]
        self.assertEqual(self.run_with(Result(line, 1.0))[0], 0)
        self.assertEqual(self.run_with(Result(line, 2.5))[0], 1)
        self.assertEqual(self.run_with(Broken("it broke"))[0], 2)

    def test_json(self) -> None:
        """With --json standard output has one object and nothing else."""
        status, output = self.run_with(Result(LINES["help-start"], 2.5, "note"), "--json")
        self.assertEqual(status, 1)
        self.assertEqual(json.loads(output)["name"], "help-start")

    def test_end_to_end(self) -> None:
        """One real line, in a process of its own: the name asked for and a positive ratio."""
        command = [sys.executable, "-m", "benchmarks", "--only", "help-start", "--quick", "--json"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        (line,) = done.stdout.splitlines()
        result = json.loads(line)
        self.assertEqual(result["name"], "help-start")
        self.assertGreater(result["value"], 0)
        self.assertEqual(done.returncode, 0 if result["ok"] else 1, done.stderr)


class ReportTests(TestCase):
    """The writers."""

    def test_json(self) -> None:
        """The object has these five members."""
        self.assertEqual(
            json.loads(as_json(Result(HIGHER, 0.123456))),
            {"name": "fast", "value": 0.1235, "reach": 0.5, "better": "higher", "ok": False},
        )

    def test_json_of_no_number(self) -> None:
        """What is no number is null: NaN is not JSON."""
        self.assertIsNone(json.loads(as_json(Result(LOWER, math.nan)))["value"])

    def test_table(self) -> None:
        """The table tells name, value, reach, verdict, and the numbers behind it."""
        output = io.StringIO()
        results = [Result(LOWER, 1.2345, "12 against 10 us"), Result(HIGHER, 0.1)]
        Console(file=output, width=120).print(as_table(results))
        first, second = output.getvalue().splitlines()[1:]
        self.assertEqual(" ".join(first.split()), "slow 1.23 at most 2 times ok 12 against 10 us")
        self.assertEqual(" ".join(second.split()), "fast 0.1 at least 0.5 of it not reached")

    def test_number(self) -> None:
        """Three digits that count."""
        self.assertEqual([number(0.12345), number(12.345), number(12345.6)],
                         ["0.123", "12.3", "12346"])  # fmt: skip


class SvgTests(TestCase):
    """The plots."""

    def test_growth(self) -> None:
        """A well-formed picture with a line and three dots for each series of each panel."""
        points = [
            Point(of, amount, 2.0, 0.4, 5.0) for of in ("files", "cameras")
            for amount in (1, 10, 100)
        ]  # fmt: skip
        root = ElementTree.fromstring(plot(points))
        tags = [element.tag.rpartition("}")[2] for element in root.iter()]
        self.assertEqual(tags.count("polyline"), 6)
        self.assertEqual(tags.count("circle"), 18)

    def test_places(self) -> None:
        """Higher values are higher up, and text is escaped."""
        picture = draw([Panel("a < b", {"s": [(1, 1.0), (10, 4.0)]}, 3.0)])
        root = ElementTree.fromstring(picture)
        low, high = [element for element in root.iter() if element.tag.endswith("circle")]
        self.assertGreater(float(low.attrib["cy"]), float(high.attrib["cy"]))
        self.assertLess(float(low.attrib["cx"]), float(high.attrib["cx"]))
        self.assertIn("a &lt; b", picture)


def indexes(datagrams: list[bytes]) -> list[int]:
    """The indexes of some DRWs."""
    return [drw.index for drw in map(pppp.decode, datagrams) if isinstance(drw, pppp.Drw)]


class SenderTests(TestCase):
    """The scripted camera's streams."""

    def test_window(self) -> None:
        """No more than the window is on its way; acknowledged datagrams make room."""
        stream = Stream(3)
        stream.add(bytes([n % 256]) for n in range(200))
        sent = []
        while burst := stream.burst():
            sent += burst
        self.assertLessEqual(len(sent), 64)
        self.assertEqual(indexes(sent), list(range(len(sent))))
        stream.acknowledge(range(20))
        self.assertEqual(indexes(stream.burst())[0], len(sent))

    def test_wrap(self) -> None:
        """Indexes go on with 0 after 65535, and nothing is left out."""
        stream = Stream(1)
        stream.add(b"x" for _ in range(65540))
        seen: list[int] = []
        while burst := stream.burst():
            stream.acknowledge(indexes(burst))
            seen += indexes(burst)
        self.assertEqual(seen[65534:], [65534, 65535, 0, 1, 2, 3])

    def test_overdue(self) -> None:
        """What got no acknowledgement is sent again, not before its time."""
        stream = Stream(1)
        stream.add([b"x", b"y"])
        burst = stream.burst()
        sent_at = stream._moved_at
        self.assertEqual(stream.overdue(sent_at + 0.01), [])
        self.assertEqual(stream.overdue(sent_at + 1), burst)


class MaterialTests(TestCase):
    """What the scripted camera sends is what a camera sends."""

    def test_photo(self) -> None:
        """A photo fills its datagrams, and its header fits its data."""
        (file,) = material.media(1)
        message = material.photo_message(file)
        self.assertEqual({len(piece) for piece in material.cut(message)}, {1024})
        payload = Message.decode(message).payload
        header = FileHeader.decode(payload)
        data = payload[FILE_HEADER_SIZE:]
        self.assertEqual((header.length, header.tail), (len(data), data[-8:]))

    def test_live_frame(self) -> None:
        """A live frame decrypts to intact H.264."""
        frame = Frame.decode(Message.decode(material.live_frame(0)).payload)
        self.assertTrue(frame.intact and frame.key_frame)
        self.assertTrue(frame.video.startswith(b"\0\0\0\1\x65"))

    def test_video(self) -> None:
        """A video has as many frames as it says, begins with a key frame, and ends with a mark."""
        messages = [Message.decode(each) for each in material.video(1 << 20, 7)]
        frames = [Frame.decode(message.payload) for message in messages]
        self.assertEqual(sum(bool(frame.video) for frame in frames), material.filmed(1 << 20))
        self.assertTrue(frames[0].key_frame and frames[-1].is_end)
        self.assertEqual({frame.session_number for frame in frames}, {7})


class RelayTests(TestCase):
    """What a link does to datagrams."""

    def test_delay(self) -> None:
        """Without loss and rate everything arrives after the delay."""
        self.assertEqual(Direction(delay=0.01).arrival(1000, 5.0), 5.01)

    def test_rate_and_queue(self) -> None:
        """At a rate they queue up; what finds the queue full is lost; the queue drains."""
        way = Direction(rate=8000, queue=2500)
        arrivals = [way.arrival(1000, 0.0) for _ in range(4)]
        self.assertEqual(arrivals, [1.0, 2.0, None, None])
        self.assertEqual(way.arrival(1000, 1.5), 3.0)

    def test_loss(self) -> None:
        """The same seed loses the same datagrams, about as many as asked for."""
        lost = [Direction(loss=0.1, seed=5).arrival(1, 0.0) is None for _ in range(2)]
        self.assertEqual(lost[0], lost[1])
        way = Direction(loss=0.1, seed=5)
        share = sum(way.arrival(1, 0.0) is None for _ in range(2000)) / 2000
        self.assertTrue(0.07 < share < 0.13, share)


class HelpTests(TestCase):
    """What the start is measured with."""

    def test_a_command_that_fails(self) -> None:
        """A command that fails is no measurement."""
        failing = [sys.executable, "-c", "raise SystemExit(3)"]
        self.assertRaises(subprocess.CalledProcessError, staying._took, failing)

    def test_root(self) -> None:
        """Helpers start where the package is."""
        self.assertTrue((Path(ROOT) / "benchmarks" / "sender.py").is_file())
