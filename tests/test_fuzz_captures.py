"""
Damaged and hostile capture files, by the thousand, in a plain loop with a fixed seed.

20,000 files; C{TRAILCAM_LONG=1} makes it 1,000,000.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import cast

import dpkt
from twisted.trial.unittest import TestCase

from tests.test_decode import APP, CAMERA, ethernet, udp
from tests.test_fuzz import INPUTS, Fuzzer, pieces_in_use
from trailcam.decode import Capture, format_json, format_text
from trailcam.errors import ConfigError

PORTS = {CAMERA: (40611, 51000), APP: (51000, 40611)}
#: So many objects more are no leak: caches fill.
LEAK = 1000


def lines(sent: list[tuple[str, bytes]]) -> bytes:
    """A capture as JSON lines."""
    entries = ({"n": n, "from": side, "hex": data.hex()} for n, (side, data) in enumerate(sent))
    return "".join(json.dumps(entry) + "\n" for entry in entries).encode()


def pcap(sent: list[tuple[str, bytes]], *, ng: bool = False) -> bytes:
    """A capture as tcpdump saves it, or Wireshark."""
    file = io.BytesIO()
    writer = (dpkt.pcapng if ng else dpkt.pcap).Writer(file)
    for number, (side, data) in enumerate(sent):
        packet = ethernet(udp("10.0.0.1", "10.0.0.2", data, PORTS[side]))
        writer.writepkt(packet, 1_780_000_000 + number / 100)
    return file.getvalue()


class InMemory:
    """In the place of a file's path: the disk takes longer than all the rest."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def is_file(self) -> bool:
        return True

    def open(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


class FileFuzzer:
    """
    Makes bad files of good ones that hold a few datagrams, some of which are bad too.
    """

    def __init__(self, seed: int) -> None:
        self._inner = Fuzzer(seed)
        self._rng = self._inner.rng
        self._formats: tuple[Callable[[list[tuple[str, bytes]]], bytes], ...] = (
            lines, pcap, lambda sent: pcap(sent, ng=True),
        )  # fmt: skip
        self._ways: tuple[Callable[[bytearray], bytes], ...] = (
            bytes, self._flip, self._cut, self._splice, self._repeat, self._lie, self._lie,
        )  # fmt: skip
        self._good = self._other = b""

    def file(self) -> bytes:
        """The next one."""
        if not self._good or self._rng.random() < 0.2:  # making one takes longest
            self._good, self._other = self._make(), self._good
        return self._rng.choice(self._ways)(bytearray(self._good))

    def _make(self) -> bytes:
        sent = [
            (self._rng.choice((CAMERA, APP)), self._inner.datagram())
            for _ in range(self._rng.randint(1, 3))
        ]
        return self._rng.choice(self._formats)(sent)

    def _flip(self, data: bytearray) -> bytes:
        for _ in range(self._rng.randint(1, 8)):
            data[self._rng.randrange(len(data))] ^= 1 << self._rng.randrange(8)
        return bytes(data)

    def _cut(self, data: bytearray) -> bytes:
        return bytes(data[: self._rng.randrange(len(data))])

    def _splice(self, data: bytearray) -> bytes:
        other = self._other
        return bytes(data[: self._place(data)]) + other[self._place(other) :]

    def _repeat(self, data: bytearray) -> bytes:
        begin, end = sorted((self._place(data), self._place(data)))
        return bytes(data[:end] + data[begin:])

    def _lie(self, data: bytearray) -> bytes:
        """Another number where a length, a type or a time may be."""
        value = self._rng.choice((0, 1, 4, 12, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
        size = self._rng.choice((2, 4, 4))
        at = min(self._place(data), len(data) // size * size - size)
        order = self._rng.choice(("little", "big"))
        data[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, order)
        return bytes(data)

    def _place(self, data: bytes | bytearray) -> int:
        """Near the beginning, where the headers are, or anywhere; mostly between the fields."""
        most = self._rng.choice((100, len(data)))
        return self._rng.randrange(min(most, len(data)) + 1) & self._rng.choice((~3, ~3, ~0))


class CaptureFuzzTests(TestCase):
    """What prints a capture."""

    def test_files(self) -> None:
        """Bad files are refused in one line, or read as far as possible; nothing is kept."""
        fuzzer, ends, kept = FileFuzzer(4), Counter[str](), 0
        for count in range(INPUTS):
            ends[self.read(fuzzer.file())] += 1
            if count == INPUTS // 10:
                kept = pieces_in_use()
        self.assertLess(pieces_in_use() - kept, LEAK)
        # Each end was often met, or this would prove little.
        for end in ("refused", "passed over", "nothing", "read"):
            self.assertGreater(ends[end], INPUTS // 100, f"{end} of {ends}")

    def read(self, data: bytes) -> str:
        """Print it both ways; how that ended."""
        try:
            capture = Capture(cast(Path, InMemory(data)))
            for row in capture:
                for line in (format_json(row), *format_text(row).split("\n")):
                    self.assertTrue(line.isprintable(), ascii(line))
        except ConfigError as error:
            self.assertNotIn("\n", str(error))
            return "refused"
        self.assertLess(len(capture.summary()), 300)
        if not capture.count:
            return "nothing"
        return "passed over" if capture.passed else "read"
