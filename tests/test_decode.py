"""Tests of L{trailcam.decode}: captures of every kind become readable, and safe to read."""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import tracemalloc
from collections.abc import Iterable
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any
from unittest import SkipTest

import dpkt
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from trailcam.commands import encode_text
from trailcam.decode import Capture, format_json, format_text, run
from trailcam.errors import ConfigError
from trailcam.wire import pppp
from trailcam.wire.artemis import Message, MessageId
from trailcam.wire.device_id import FAMILY
from trailcam.wire.media import FileHeader, Frame, ThumbnailHeader

CAMERA, APP = "camera", "app"
Row = dict[str, Any]
Sent = tuple[str, pppp.Datagram]


def request(sequence: int, **fields: object) -> bytes:
    """A command, as its message."""
    return Message(MessageId.REQUEST, sequence, encode_text(fields)).encode()


def response(sequence: int, **fields: object) -> bytes:
    """An answer, as its message."""
    return Message(MessageId.RESPONSE, sequence, encode_text(fields) + bytes(20)).encode()


def drws(message: bytes, channel: int = 0, index: int = 0, size: int = 1024) -> list[pppp.Drw]:
    """A message cut into DRWs."""
    return [
        pppp.Drw(channel, (index + number) % 65536, message[at : at + size])
        for number, at in enumerate(range(0, len(message), size))
    ]


LOGIN = request(1, cmdId=0, usrName="admin", password="hunter2", utcTime=1766505566)
WELCOME = response(1, cmdId=0, result=0, token=7, errorMsg="Success")
#: A session with every kind of datagram.
SESSION: list[Sent] = [
    (APP, pppp.LanSearch()),
    (CAMERA, pppp.PunchPkt(FAMILY)),
    (APP, pppp.PunchPkt(FAMILY)),
    (CAMERA, pppp.P2PRdyTcp(FAMILY, IPv4Address("192.168.43.1"), 40611)),
    (CAMERA, pppp.P2PRdy(FAMILY)),
    (APP, pppp.Alive()),
    (CAMERA, pppp.AliveAck()),
    (CAMERA, pppp.Drw(0, 0, b"ACK")),
    (APP, pppp.DrwAck(0, (0, 0, 0, 1, 2, 3, 9))),
    (APP, pppp.Drw(0, 0, LOGIN)),
    (CAMERA, pppp.DrwAck(0, (0,))),
    (CAMERA, pppp.Drw(0, 1, WELCOME)),
    (CAMERA, pppp.Drw(0, 1, WELCOME)),
    (APP, pppp.ReportSessionReady(bytes(84))),
    (APP, pppp.Hello()),
    (CAMERA, pppp.HelloAck()),
    (CAMERA, pppp.Unknown(0x77, b"???")),
    (APP, pppp.Close()),
]


def lines(sent: Iterable[Sent]) -> str:
    """As JSON lines."""
    return "".join(
        json.dumps({"n": n, "from": source, "hex": pppp.encode(value).hex()}) + "\n"
        for n, (source, value) in enumerate(sent)
    )


def udp(source: str, target: str, data: bytes, ports: tuple[int, int] = (51000, 40611)) -> bytes:
    """An IP packet."""
    segment = struct.pack(">HHHH", *ports, 8 + len(data), 0) + data
    hosts = ip_address(source).packed + ip_address(target).packed
    if ":" in source:
        return struct.pack(">IHBB", 6 << 28, len(segment), 17, 64) + hosts + segment
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0x4000, 64, 17, 0)
    return head + hosts + segment


def packet(source: str, value: pppp.Datagram) -> bytes:
    """An IP packet from the camera or the app."""
    if source == APP:
        return udp("192.168.43.2", "192.168.43.1", pppp.encode(value))
    return udp("192.168.43.1", "192.168.43.2", pppp.encode(value), (40611, 51000))


def ethernet(ip: bytes, tags: bytes = b"") -> bytes:
    """A frame around it."""
    kind = b"\x08\x00" if ip[0] >> 4 == 4 else b"\x86\xdd"
    return bytes(12) + tags + kind + ip


class DecodeTestCase(TestCase):
    """What all tests of decoding share."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def rows(self, sent: Iterable[Sent]) -> list[Row]:
        """What comes of JSON lines."""
        self.path.write_text(lines(sent))
        return list(Capture(self.path))

    def pcap(self, packets: Iterable[bytes], link: int = 1, *, ng: bool = False) -> Path:
        """A file with these packets, 10 ms apart."""
        with self.path.open("wb") as file:
            kind = dpkt.pcapng.Writer if ng else dpkt.pcap.Writer
            writer = kind(file, linktype=link)
            for number, each in enumerate(packets):
                writer.writepkt(each, 1766505566 + number / 100)
        return self.path

    def text(self, path: Path, *, as_json: bool = False) -> str:
        """What the command prints."""
        out = io.StringIO()
        self.assertEqual(run(path, as_json=as_json, out=out), 0)
        return out.getvalue()

    def messages(self, sent: Iterable[Sent]) -> list[tuple[int, str, int]]:
        """Datagram, name and sequence number of each message told."""
        return [
            (row["n"], each["message"], each["sequence"])
            for row in self.rows(sent)
            for each in row.get("messages", [row] if "message" in row else [])
        ]


class RowTests(DecodeTestCase):
    """What a datagram becomes."""

    def test_types(self) -> None:
        """Each datagram has its name, its number, and who sent it."""
        rows = self.rows(SESSION)
        self.assertEqual(
            [row["type"] for row in rows],
            ["LAN_SEARCH", "PUNCH_PKT", "PUNCH_PKT", "P2P_RDY_TCP", "P2P_RDY", "ALIVE", "ALIVE_ACK",
             "DRW", "DRW_ACK", "DRW", "DRW_ACK", "DRW", "DRW", "REPORT_SESSION_READY", "HELLO",
             "HELLO_ACK", "UNKNOWN", "CLOSE"],
        )  # fmt: skip
        self.assertEqual([row["n"] for row in rows], list(range(len(SESSION))))
        self.assertEqual([row["from"] for row in rows], [source for source, _ in SESSION])
        self.assertEqual({row["time"] for row in rows}, {None})

    def test_fields(self) -> None:
        """What the types say."""
        rows = self.rows(SESSION)
        self.assertEqual(rows[1]["device_id"], "LBCS-000000-CCCJJ")
        self.assertEqual((rows[3]["address"], rows[3]["port"]), ("192.168.43.1", 40611))
        self.assertEqual(rows[8]["indexes"], [0, 0, 0, 1, 2, 3, 9])
        drw = {key: rows[7][key] for key in ("channel", "index", "size", "again", "text")}
        self.assertEqual(drw, {"channel": 0, "index": 0, "size": 3, "again": False, "text": "ACK"})
        self.assertEqual((rows[16]["code"], rows[16]["size"]), (0x77, 3))

    def test_commands(self) -> None:
        """Commands and responses are decrypted, and given as they are."""
        rows = self.rows(SESSION)
        self.assertEqual(
            rows[9]["command"],
            {"cmdId": 0, "usrName": "admin", "password": "hunter2", "utcTime": 1766505566},
        )
        self.assertEqual((rows[9]["message"], rows[9]["sequence"]), ("REQUEST", 1))
        self.assertEqual(rows[11]["response"]["token"], 7)

    def test_copies(self) -> None:
        """A copy is marked, and carries the whole command again."""
        rows = self.rows(SESSION)
        self.assertEqual([rows[11]["again"], rows[12]["again"]], [False, True])
        self.assertEqual(rows[12]["response"], rows[11]["response"])

    def test_several_in_one(self) -> None:
        """A datagram that completes two messages has the first, and all of them."""
        [row] = self.rows([(APP, pppp.Drw(0, 0, request(1, cmdId=1) + request(2, cmdId=512)))])
        self.assertEqual(row["command"], {"cmdId": 1})
        self.assertEqual([each["command"]["cmdId"] for each in row["messages"]], [1, 512])

    def test_frames(self) -> None:
        """Of a frame its numbers are shown, and whether it came whole."""
        for intact in (True, False):
            frame = Frame(5, 12345, b"\0\0\0\1e" * 400, b"aac!", True, 1280, 720, intact=intact)
            message = Message(MessageId.LIVE, 3, frame.encode()).encode()
            row = self.rows((CAMERA, drw) for drw in drws(message, channel=1))[-1]
            shown = row["frame"]
            self.assertEqual(
                [shown[key] for key in ("counter", "pts", "video", "audio", "key", "intact")],
                [5, 12345, 2000, 4, True, intact],
            )

    def test_thumbnails_and_files(self) -> None:
        """Of pictures it is shown which they are; a file when it begins and when it ends."""
        thumbnail = ThumbnailHeader("C6:00:00:00:00:01", 100, 318, 900, 0).encode() + bytes(900)
        photo = FileHeader("C6:00:00:00:00:01", 100, 318, 3000, b"", 77).encode() + bytes(3000)
        rows = self.rows(
            [
                *((CAMERA, d) for d in drws(Message(8, 1, thumbnail).encode(), channel=4)),
                *((CAMERA, d) for d in drws(Message(5, 2, photo).encode(), channel=3)),
            ]
        )
        medium = {"camera": "C6:00:00:00:00:01", "directory": 100, "number": 318}
        self.assertEqual(rows[0]["thumbnail"], medium | {"length": 900, "file_type": 0})
        shown = medium | {"length": 3000, "media_id": 77}
        self.assertEqual(
            [row["file"] for row in rows if "file" in row],
            [{"part": "begin", **shown}, {"part": "end", **shown}],
        )

    def test_file_of_damage(self) -> None:
        """A file message whose header is no text says so."""
        rows = self.rows([(CAMERA, pppp.Drw(3, 0, Message(5, 2, b"\xff" * 90).encode()))])
        self.assertIn("damaged", rows[0]["file"])

    def test_events(self) -> None:
        """The event of the protocol text, byte for byte."""
        data = bytes.fromhex(
            "f1d00024d1060000415254454d49537709000000010000000c0000007b226576744964223a347d00"
        )
        [row] = self.rows([(CAMERA, pppp.decode(data))])
        self.assertEqual((row["message"], row["event"]), ("EVENT", {"evtId": 4}))

    def test_damaged_commands(self) -> None:
        """What cannot be decrypted is told, and so is a message nobody has named."""
        rows = self.rows(
            [(APP, pppp.Drw(0, 0, Message(2, 1, b"!?").encode())), (APP, pppp.Drw(0, 1, Message(
                99, 1, b"!?").encode())),
             (CAMERA, pppp.Drw(1, 0, Message(0, 1, b"short").encode()))]
        )  # fmt: skip
        self.assertIn("command text", rows[0]["damaged"])
        self.assertEqual(rows[1]["message"], "UNKNOWN_99")
        self.assertIn("shorter", rows[2]["damaged"])
        self.assertIn("request 1: damaged: command text", format_text(rows[0]))
        self.assertTrue(format_text(rows[1]).endswith("unknown_99 1: 2 bytes"))


class StreamTests(DecodeTestCase):
    """Messages that run over several datagrams."""

    def setUp(self) -> None:
        super().setUp()
        self.long = [(CAMERA, drw) for drw in drws(response(4, text="x" * 3700), index=1)]

    def test_in_order(self) -> None:
        """A long answer is shown with the datagram that completes it."""
        found = self.messages([(CAMERA, pppp.Drw(0, 0, b"ACK")), *self.long])
        self.assertEqual(found, [(5, "RESPONSE", 4)])

    def test_out_of_order_and_doubled(self) -> None:
        """So it is when they come backwards, and twice."""
        sent = [*reversed(self.long), *self.long, (CAMERA, pppp.Drw(0, 0, b"ACK")), *self.long]
        self.assertEqual(self.messages(sent), [(10, "RESPONSE", 4)])
        self.assertEqual([row["again"] for row in self.rows(sent)], [False] * 5 + [True] * 5
                         + [False] + [True] * 5)  # fmt: skip

    def test_whole_one_behind_a_gap(self) -> None:
        """A command that is whole in its datagram does not wait, and is not told twice."""
        late = (CAMERA, pppp.Drw(0, 6, WELCOME))
        found = self.messages([late, *self.long, (CAMERA, pppp.Drw(0, 0, b"ACK"))])
        self.assertEqual(found, [(0, "RESPONSE", 1), (6, "RESPONSE", 4)])

    def test_gap_that_was_acknowledged(self) -> None:
        """What the other side has and the capture has not is not waited for."""
        found = self.messages([(APP, pppp.DrwAck(0, (0,))), (CAMERA, pppp.Drw(0, 9, b"?")),
                               (APP, pppp.DrwAck(0, (0,))), *self.long])  # fmt: skip
        self.assertEqual(found, [(7, "RESPONSE", 4)])

    def test_gap_that_never_fills(self) -> None:
        """After 256 datagrams beyond it, the stream goes on with the next message."""
        filler = [(CAMERA, pppp.Drw(0, index, b"-")) for index in range(6, 300)]
        found = self.messages([*self.long, *filler])
        self.assertEqual([each[1:] for each in found], [("RESPONSE", 4)])

    def test_lost_middle(self) -> None:
        """A message that lacks a piece is not shown; the next is."""
        del self.long[2]
        filler = [(CAMERA, pppp.Drw(0, index, b"-")) for index in range(11, 300)]
        after = [(CAMERA, drw) for drw in drws(response(5, text="y" * 3700), index=6)]
        sent = [(CAMERA, pppp.Drw(0, 0, b"ACK")), *self.long, *after, *filler]
        self.assertEqual([each[1:] for each in self.messages(sent)], [("RESPONSE", 5)])

    def test_wrap(self) -> None:
        """Indexes go on from 65535 to 0."""
        message = Message(8, 1, ThumbnailHeader("", 1, 2, 5000, 0).encode() + bytes(5000)).encode()
        sent = [(CAMERA, drw) for drw in drws(message, channel=4, index=65533)]
        self.assertEqual(self.messages(sent), [(4, "THUMBNAIL", 1)])

    def test_far_index(self) -> None:
        """An index from nowhere does not end the stream."""
        sent = [(CAMERA, pppp.Drw(0, 0, b"ACK")), (CAMERA, pppp.Drw(0, 30000, b"?")), *self.long]
        self.assertEqual(self.messages(sent), [(6, "RESPONSE", 4)])

    def test_new_session(self) -> None:
        """When the app punches again, or a side closed, all indexes start again."""
        first = [s for s in SESSION if isinstance(s[1], pppp.Drw)]
        for between in ((APP, pppp.PunchPkt(FAMILY)), (CAMERA, pppp.Close())):
            rows = self.rows([*first, between, *first])
            again = [row["again"] for row in rows if row["type"] == "DRW"]
            self.assertEqual(again, [False, False, False, True] * 2)

    def test_punch_of_the_camera(self) -> None:
        """A camera repeats its punch while a session stands: that is no new one."""
        first = [s for s in SESSION if isinstance(s[1], pppp.Drw)]
        rows = self.rows([*first, (CAMERA, pppp.PunchPkt(FAMILY)), *first])
        self.assertEqual([row["again"] for row in rows[5:]], [True] * 4)

    def test_new_session_unseen(self) -> None:
        """The same index with other data is a new session, though nothing announced it."""
        rows = self.rows(
            (APP, pppp.Drw(0, index, request(number, cmdId=512, token=token)))
            for token in (5, 6)
            for index, number in enumerate((1, 2))
        )
        self.assertEqual([row["again"] for row in rows], [False] * 4)

    def test_unknown_channels(self) -> None:
        """A channel that no camera has is shown, and not followed."""
        rows = self.rows([(CAMERA, pppp.Drw(200, 0, WELCOME))])
        self.assertEqual((rows[0]["channel"], rows[0]["again"]), (200, False))

    def test_memory(self) -> None:
        """Gaps without end, on every channel, do not pile up in memory."""
        self.path.write_text(
            lines(
                (CAMERA, pppp.Drw(index % 8, index % 65536, os.urandom(8) + bytes(900)))
                for index in range(0, 24000, 3)
            )
        )
        capture = Capture(self.path)
        tracemalloc.start()
        try:
            for _ in capture:
                pass
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        self.assertEqual(capture.count, 8000)  # of 7 MB together
        self.assertLess(peak, 4 << 20)


class PcapTests(DecodeTestCase):
    """Packets as tcpdump and Wireshark save them."""

    def check(self, packets: list[bytes], link: int = 1) -> None:
        """Both formats give what the JSON lines give, and times."""
        expected = self.rows(SESSION)
        for ng in (False, True):
            rows = list(Capture(self.pcap(packets, link, ng=ng)))
            self.assertEqual([row.pop("time") for row in rows], [n / 100 for n in range(len(rows))])
            for row in expected:
                row.pop("time", None)
            self.assertEqual(rows, expected)

    def test_ethernet(self) -> None:
        """Ethernet, also with a VLAN tag."""
        self.check([ethernet(packet(*sent)) for sent in SESSION])
        self.check([ethernet(packet(*sent), b"\x81\x00\x00\x05") for sent in SESSION])

    def test_other_links(self) -> None:
        """Raw IP, loopback, and Linux' captures of all interfaces."""
        for link, head in (
            (101, b""),
            (12, b""),
            (0, b"\2\0\0\0"),
            (108, b"\0\0\0\2"),
            (113, bytes(14) + b"\x08\x00"),
            (276, b"\x08\x00" + bytes(18)),
        ):
            self.check([head + packet(*sent) for sent in SESSION], link)

    def test_ipv6(self) -> None:
        """IPv6 is read like IPv4."""
        ends = {CAMERA: ("fe80::1", "fe80::2"), APP: ("fe80::2", "fe80::1")}
        self.check(
            [
                ethernet(
                    udp(*ends[source], pppp.encode(value),
                        (40611, 51000) if source == CAMERA else (51000, 40611))
                )
                for source, value in SESSION
            ]
        )  # fmt: skip

    def test_who_is_who(self) -> None:
        """On unknown ports the camera is the side that acts like one, from the first datagram."""
        sent = [(APP, pppp.PunchPkt(FAMILY)), (CAMERA, pppp.P2PRdy(FAMILY)), *SESSION[5:]]
        packets = [
            ethernet(
                udp("127.0.0.1", "127.0.0.1", pppp.encode(value),
                    (41000, 52000) if source == CAMERA else (52000, 41000))
            )
            for source, value in sent
        ]  # fmt: skip
        rows = list(Capture(self.pcap(packets)))
        self.assertEqual([row["from"] for row in rows], [source for source, _ in sent])

    def test_login_tells(self) -> None:
        """A capture that begins in the middle knows them by request and response."""
        for told in ((APP, pppp.Drw(0, 5, LOGIN)), (CAMERA, pppp.Drw(0, 5, WELCOME))):
            sent = [(APP, pppp.Alive()), told]
            packets = [
                ethernet(
                    udp("127.0.0.1", "127.0.0.1", pppp.encode(value),
                        (41000, 52000) if source == CAMERA else (52000, 41000))
                )
                for source, value in sent
            ]  # fmt: skip
            rows = list(Capture(self.pcap(packets)))
            self.assertEqual([row["from"] for row in rows], [APP, told[0]])

    def test_nobody_knows(self) -> None:
        """Where nothing tells them apart, the known port does, and else the address stands."""
        data = pppp.encode(pppp.Alive())
        packets = [
            ethernet(udp("10.0.0.1", "10.0.0.2", data, (40611, 5000))),
            ethernet(udp("10.0.0.2", "10.0.0.1", data, (5000, 40611))),
            ethernet(udp("10.0.0.3", "10.0.0.4", data, (5000, 5001))),
        ]
        rows = list(Capture(self.pcap(packets)))
        self.assertEqual([row["from"] for row in rows], [CAMERA, APP, "10.0.0.3:5000"])

    def test_two_cameras(self) -> None:
        """The streams of two cameras do not mix."""
        packets = [
            ethernet(udp(host, "10.0.0.9", pppp.encode(drw), (40611, 5000)))
            for drw in drws(response(4, text="x" * 3700))
            for host in ("10.0.0.1", "10.0.0.2")
        ]
        rows = list(Capture(self.pcap(packets)))
        self.assertEqual([row["n"] for row in rows if "response" in row], [8, 9])
        self.assertFalse(any(row["again"] for row in rows))

    def test_passed_over(self) -> None:
        """What is not a camera's, or not whole, is counted by its kind."""
        good = packet(APP, pppp.Alive())
        later, first = bytearray(good), bytearray(good)
        first[6], later[7] = 0x20, 0x10
        tcp = bytearray(good)
        tcp[9] = 6
        packets = [
            ethernet(good),
            ethernet(bytes(first)),
            ethernet(bytes(later)),
            ethernet(good)[:-2],
            ethernet(good)[:20],
            ethernet(bytes(tcp)),
            ethernet(udp("10.0.0.1", "10.0.0.2", b"a DNS question")),
            ethernet(udp("10.0.0.1", "10.0.0.2", b"\xf1\xd0\0\x09short")),
            bytes(12) + b"\x08\x06" + bytes(28),
            b"",
        ]
        capture = Capture(self.pcap(packets))
        self.assertEqual(len(list(capture)), 1)
        self.assertEqual(capture.passed, {"fragments": 2, "truncated": 2, "not of a camera": 5})
        self.assertEqual(
            capture.summary(),
            "1 datagrams; passed over: 2 fragments, 5 not of a camera, 2 truncated",
        )

    def test_unknown_link(self) -> None:
        """Packets of a link type that we cannot read are counted."""
        capture = Capture(self.pcap([packet(APP, pppp.Alive())], 147))
        self.assertEqual(list(capture), [])
        self.assertEqual(capture.passed, {"of an unknown link type": 1})

    def test_truncated_file(self) -> None:
        """A file that ends in the middle gives what it has, wherever it was cut."""
        packets = [ethernet(packet(*sent)) for sent in SESSION]
        for ng in (False, True):
            whole = self.pcap(packets, ng=ng).read_bytes()
            for cut in range(1, 70, 4):
                self.path.write_bytes(whole[:-cut])
                capture = Capture(self.path)
                self.assertGreaterEqual(len(list(capture)), len(SESSION) - 2)
                self.assertEqual(capture.count + capture.passed["truncated"] <= len(SESSION), True)

    def test_length_of_gigabytes(self) -> None:
        """A packet that claims gigabytes ends the capture and takes no memory."""
        path = self.pcap([ethernet(packet(APP, pppp.Alive()))])
        with path.open("ab") as file:
            file.write(struct.pack("<IIII", 0, 0, 0xFFFFFFF0, 0xFFFFFFF0) + bytes(100))
        capture = Capture(path)
        self.assertEqual((len(list(capture)), capture.passed["truncated"]), (1, 1))


class TextTests(DecodeTestCase):
    """Lines for people and for programs."""

    def test_text(self) -> None:
        """Each datagram has a line that says what it is; messages follow, indented."""
        self.path.write_text(lines(SESSION))
        text = self.text(self.path)
        self.assertEqual(
            [line for line in text.splitlines() if line[:6].strip().isdigit()][7:13],
            [
                "     7  camera  DRW         channel 0  index 0  3 bytes  ACK",
                "     8  app     DRW_ACK     channel 0  index 0 x3, 1-3, 9",
                f"     9  app     DRW         channel 0  index 0  {len(LOGIN)} bytes",
                "    10  camera  DRW_ACK     channel 0  index 0",
                f"    11  camera  DRW         channel 0  index 1  {len(WELCOME)} bytes",
                f"    12  camera  DRW         channel 0  index 1  {len(WELCOME)} bytes  again"
                "  response 1, login (0)",
            ],
        )
        indent = " " * 28
        self.assertIn(f'\n{indent}request 1, login (0): usrName "admin", password "***"', text)
        self.assertIn(f"\n{indent}response 1, login (0): result 0, token 7, errorMsg", text)
        self.assertTrue(text.endswith("\n18 datagrams\n"))

    def test_times(self) -> None:
        """Seconds from the first, where the capture has them."""
        path = self.pcap(ethernet(packet(*sent)) for sent in SESSION[:3])
        self.assertIn("     2      0.020  app     PUNCH_PKT   LBCS", self.text(path))

    def test_json(self) -> None:
        """One object a line, and nothing else."""
        self.path.write_text(lines(SESSION))
        objects = [json.loads(line) for line in self.text(self.path, as_json=True).splitlines()]
        self.assertEqual(objects, self.rows(SESSION))

    def test_secrets(self) -> None:
        """No password appears in the text, however deep it is; programs get all of it."""
        secret = request(1, cmdId=0, password="hunter2", wifi=[{"ssid": "home2", "pwd": "hunter2"}])
        event = Message(9, 1, b'{"pwd":"hunter2"}\0').encode()
        self.path.write_text(lines([(APP, pppp.Drw(0, 0, secret)), (APP, pppp.Drw(6, 0, event))]))
        text = self.text(self.path)
        self.assertNotIn("hunter2", text)
        self.assertNotIn("home2", text)
        self.assertIn("***", text)
        self.assertEqual(next(iter(Capture(self.path)))["command"]["wifi"][0]["pwd"], "hunter2")

    def test_evil_text(self) -> None:
        """Nothing from a capture reaches the terminal as a control character."""
        evil = "\x1b]0;owned\x07\x9b31m\u202e\x7f\r\n\ud800"
        sent = [
            (CAMERA, pppp.Drw(6, 0, Message(9, 1, b"\x1b[2J" + b"\xff\x07\x7f").encode())),
            (CAMERA, pppp.Drw(6, 1, Message(9, 2, json.dumps({evil: evil}).encode()).encode())),
            (CAMERA, pppp.Drw(0, 0, response(1, cmdId=evil, errorMsg=evil))),
            (CAMERA, pppp.Drw(4, 0, Message(8, 1, ThumbnailHeader(
                "\x1b[31m", 1, 1, 1, 0).encode()).encode())),
        ]  # fmt: skip
        self.path.write_text(
            lines(sent) + json.dumps({"n": 9, "from": evil, "hex": "f1e00000"}) + "\n"
        )
        for as_json in (False, True):
            text = self.text(self.path, as_json=as_json).replace("\n", "")
            self.assertTrue(text.isprintable(), ascii(text))
            self.assertIn("owned", text)

    def test_narrow_terminals(self) -> None:
        """A terminal without Unicode gets question marks, not a traceback."""
        self.path.write_text(lines([(CAMERA, pppp.Drw(0, 0, response(1, errorMsg="größer…")))]))
        with io.TextIOWrapper(io.BytesIO(), encoding="ascii") as out:
            run(self.path, as_json=False, out=out)
            out.flush()
            self.assertIn(b"gr??er?", out.buffer.getvalue())  # type: ignore[attr-defined]

    def test_strange_json(self) -> None:
        """Deep nesting and numbers that JSON does not have are still written as JSON."""
        deep = "[" * 400 + "]" * 400
        for text in (f'{{"a":{deep}}}', '{"a":NaN,"b":-Infinity}', '{"a":1e999}'):
            message = Message(9, 1, text.encode()).encode()
            [row] = self.rows([(CAMERA, pppp.Drw(6, 0, message))])
            json.loads(format_json(row), parse_constant=self.fail)
            format_text(row)


class RefusalTests(DecodeTestCase):
    """Files that are no captures."""

    def refuse(self, path: Path, reason: str) -> None:
        """It is one clear error, before anything is printed."""
        with self.assertRaisesRegex(ConfigError, f"is not a capture: .*{reason}") as caught:
            run(path, as_json=False, out=io.StringIO())
        self.assertIn(str(path), str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))

    def test_missing(self) -> None:
        """A file that is not there, and a folder."""
        self.refuse(self.path, "no such file")
        self.path.mkdir()
        self.refuse(self.path, "no such file")

    def test_empty(self) -> None:
        """An empty file."""
        self.path.touch()
        self.refuse(self.path, "empty")

    def test_foreign(self) -> None:
        """A photo, a text, JSON of another kind, a pcap of four bytes."""
        for data in (b"\xff\xd8\xff\xe0\0\x10JFIF", b"hello\n", b'{"cmdId": 0}\n', b"[]", b"1"):
            self.path.write_bytes(data)
            self.refuse(self.path, "neither pcap")
        for data in (b"\xd4\xc3\xb2\xa1", b"\x0a\x0d\x0d\x0a" + bytes(60)):
            self.path.write_bytes(data)
            self.refuse(self.path, "damaged")

    def test_damaged_lines(self) -> None:
        """A damaged line among good ones is counted."""
        good = lines(SESSION[:1])
        bad = ["{", '{"hex": 5, "from": "app"}', '{"hex": "zz", "from": "app"}', "x" * 3000]
        self.path.write_text(good + "\n".join(bad) + "\n" + good)
        capture = Capture(self.path)
        self.assertEqual(len(list(capture)), 2)
        self.assertEqual(capture.passed, {"damaged lines": 4})

    @given(
        st.sampled_from([b"", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x0a\x0d\x0d\x0a", b"{"]),
        st.binary(max_size=400),
    )
    @settings(deadline=None, max_examples=150)
    def test_any_bytes(self, head: bytes, data: bytes) -> None:
        """Whatever a file holds, only L{ConfigError} comes out."""
        self.check(head + data)

    @given(st.booleans(), st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255))))
    @settings(deadline=None, max_examples=150)
    def test_damaged_captures(self, ng: bool, changes: list[tuple[int, int]]) -> None:
        """So with a capture some of whose bytes were changed."""
        path = self.pcap([ethernet(packet(*sent)) for sent in SESSION], ng=ng)
        data = bytearray(path.read_bytes())
        for at, value in changes:
            data[at % len(data)] = value
        self.check(bytes(data))

    @given(st.lists(st.tuples(st.sampled_from([CAMERA, APP]), st.integers(0, 9),
                              st.integers(0, 65535), st.binary(min_size=1, max_size=60),
                              st.sampled_from([0, 2, 3, 4, 5, 8, 9, 11, None]))))  # fmt: skip
    @settings(deadline=None, max_examples=100)
    def test_any_messages(self, sent: list[tuple[str, int, int, bytes, int | None]]) -> None:
        """So with messages of any content."""
        self.check(
            lines(
                (
                    source,
                    pppp.Drw(
                        channel,
                        index,
                        data if kind is None else Message(kind, 1, data).encode(),
                    ),
                )
                for source, channel, index, data, kind in sent
            ).encode()
        )

    def check(self, data: bytes) -> None:
        """Both ways to print it end well, or in L{ConfigError}."""
        self.path.write_bytes(data)
        for as_json in (False, True):
            with contextlib.suppress(ConfigError):
                run(self.path, as_json=as_json, out=io.StringIO())


class RealCaptureTests(DecodeTestCase):
    """The vendor's app and a real camera; C{TRAILCAM_CAPTURES} names the folder of the captures."""

    def setUp(self) -> None:
        super().setUp()
        folder = os.environ.get("TRAILCAM_CAPTURES")
        if not folder:
            raise SkipTest("TRAILCAM_CAPTURES does not name a folder of captures")
        self.folder = Path(folder)

    def check(self, name: str) -> list[Row]:
        """Every datagram has its line, every whole command its text, copies too."""
        path = self.folder / name
        sent = [json.loads(line) for line in path.read_text().splitlines()]
        rows = list(Capture(path))
        self.assertEqual(
            [(row["n"], row["from"]) for row in rows], [(s["n"], s["from"]) for s in sent]
        )
        for row, each in zip(rows, sent, strict=True):
            data = bytes.fromhex(each["hex"])[8:]
            if data.startswith(b"ARTEMIS") and row["channel"] == 0:
                length = int.from_bytes(data[16:20], "little")
                if length == len(data) - 20:
                    self.assertIn({2: "command", 3: "response"}[data[8]], row)
        numbered = [line for line in self.text(path).splitlines() if line[:6].strip().isdigit()]
        self.assertEqual(len(numbered), len(sent))
        self.assertFalse(any("damaged" in row for row in rows))
        logins = [row for row in rows if row.get("command", {}).get("cmdId") == 0]
        self.assertEqual({row["command"]["password"] for row in logins}, {"admin"})
        self.assertEqual(logins[0]["command"]["usrName"], "admin")
        welcome = next(row for row in rows if row.get("response", {}).get("cmdId") == 0)
        self.assertEqual(welcome["response"]["errorMsg"], "Success")
        return rows

    def commands(self, rows: list[Row]) -> list[int]:
        """The commands in order, heartbeats and copies aside."""
        first = [row for row in rows if "command" in row and not row["again"]]
        codes = [row["command"]["cmdId"] for row in first]
        return [code for code in codes if code != 525]

    def test_login(self) -> None:
        """Log in, and ask what the camera is."""
        self.assertEqual(self.commands(self.check("login.jsonl")), [0, 512])

    def test_live_view(self) -> None:
        """Start and stop live view."""
        commands = self.commands(self.check("live-view.jsonl"))
        self.assertEqual(commands[:3], [0, 512, 258])
        self.assertIn(259, commands)

    def test_album(self) -> None:
        """A live frame that is whole, the list, the thumbnails."""
        rows = self.check("album.jsonl")
        self.assertEqual(self.commands(rows), [0, 512, 258, 512, 259, 768])
        answers = [row["response"]["cmdId"] for row in rows if "response" in row]
        self.assertIn(772, answers)
        frame = next(row["frame"] for row in rows if "frame" in row)
        self.assertEqual((frame["width"], frame["height"], frame["intact"]), (1280, 720, True))
