"""Tests of L{trailcam.wire.pppp} against PROTOCOL, sections 1 and 2, and the captures."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from tests.support import CAPTURES, capture
from trailcam.errors import DecodeError
from trailcam.wire import pppp
from trailcam.wire.artemis import Message, encode_header
from trailcam.wire.device_id import FAMILY, DeviceId
from trailcam.wire.pppp import (
    Alive,
    AliveAck,
    Close,
    Datagram,
    Drw,
    DrwAck,
    Hello,
    HelloAck,
    LanSearch,
    P2PRdy,
    P2PRdyTcp,
    PunchPkt,
    ReportSessionReady,
    Unknown,
    decode,
    decode_drws,
    encode,
    encode_drw,
    split,
)

#: The whole datagrams that PROTOCOL prints.
HEARTBEAT = bytes.fromhex(
    "f1d00031 d1000002 415254454d495300 02000000 01000100 19000000"
    "4d7a6c423336582f49566f385a7a49357247396a31773d3d 00"
)
EVENT = bytes.fromhex(
    "f1d00024 d1060000 415254454d495377 09000000 01000000 0c000000 7b226576744964223a347d 00"
)
FAMILY_BYTES = bytes.fromhex("4c42435300000000 00000000 4343434a4a000000")

NAMED = (0x00, 0x01, 0x30, 0x41, 0x42, 0x43, 0xD0, 0xD1, 0xE0, 0xE1, 0xF0, 0xF9)


def number(value: int, size: int = 2) -> bytes:
    """A big-endian number."""
    return bytes((value >> 8 * place) & 0xFF for place in reversed(range(size)))


def written(value: Datagram) -> bytes:
    """A datagram by PROTOCOL's tables: a second writing, which shares nothing with the first."""

    def id_bytes(device_id: DeviceId) -> bytes:
        prefix, check = device_id.prefix.encode(), device_id.check.encode()
        return prefix.ljust(8, b"\0") + number(device_id.serial, 4) + check.ljust(8, b"\0")

    payload = b""
    match value:
        case Drw():
            payload = b"\xd1" + number(value.channel, 1) + number(value.index) + value.data
        case DrwAck():
            payload = b"\xd1" + number(value.channel, 1) + number(len(value.indexes))
            payload += b"".join(map(number, value.indexes))
        case PunchPkt() | P2PRdy():
            payload = id_bytes(value.device_id)
        case P2PRdyTcp():
            host = bytes(int(part) for part in reversed(str(value.address).split(".")))
            payload = id_bytes(value.device_id) + b"\x00\x02"
            payload += bytes(reversed(number(value.port))) + host + bytes(16)
        case Hello() | HelloAck() | ReportSessionReady() | Unknown():
            payload = value.data
    return b"\xf1" + number(value.code, 1) + number(len(payload)) + payload


def read(datagram: bytes) -> dict[str, object]:
    """The fields of a datagram by PROTOCOL's offsets: a second reading."""

    def at(offset: int, size: int) -> int:
        return sum(byte << 8 * place for place, byte in enumerate(datagram[offset:][:size][::-1]))

    def text(offset: int) -> str:
        return datagram[offset : offset + 8].decode("ascii").rstrip("\0")

    code = datagram[1]
    fields: dict[str, object] = {"code": code}
    if code in (0xD0, 0xD1):
        fields["channel"] = datagram[5]
    if code == 0xD0:
        fields |= {"index": at(6, 2), "data": datagram[8:]}
    elif code == 0xD1:
        fields["indexes"] = tuple(at(8 + 2 * place, 2) for place in range(at(6, 2)))
    elif code in (0x41, 0x42, 0x43):
        fields["device_id"] = DeviceId(text(4), at(12, 4), text(16))
    elif code in (0x00, 0x01, 0xF9) or code not in NAMED:
        fields["data"] = datagram[4:]
    if code == 0x43:
        fields["port"] = datagram[26] + 256 * datagram[27]
        fields["address"] = IPv4Address(".".join(str(byte) for byte in datagram[28:32][::-1]))
    return fields


def fields_of(value: Datagram) -> dict[str, object]:
    """What a value says, by the names of its attributes."""
    names = ("channel", "index", "data", "indexes", "device_id", "address", "port")
    named = {name: getattr(value, name) for name in names if hasattr(value, name)}
    return {"code": value.code, **named}


part = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="-"),
               max_size=8)  # fmt: skip
ids = st.builds(DeviceId, part, st.integers(0, 2**32 - 1), part)
words = st.integers(0, 0xFFFF)
octets = st.integers(0, 0xFF)
payloads = st.binary(max_size=100)
datagrams: st.SearchStrategy[Datagram] = st.one_of(
    st.sampled_from([LanSearch(), Alive(), AliveAck(), Close()]),
    st.builds(Drw, octets, words, st.binary(min_size=1, max_size=1024)),
    st.builds(DrwAck, octets, st.lists(words, max_size=40).map(tuple)),
    st.builds(PunchPkt, ids),
    st.builds(P2PRdy, ids),
    st.builds(P2PRdyTcp, ids, st.ip_addresses(v=4), words),
    st.builds(Hello, payloads),
    st.builds(HelloAck, payloads),
    st.builds(ReportSessionReady, st.binary(min_size=84, max_size=84)),
    st.builds(Unknown, octets.filter(lambda code: code not in NAMED), payloads),
)


class CaptureTests(TestCase):
    """What the vendor's app and a real camera said to each other."""

    def test_same_bytes(self) -> None:
        """Every datagram of the captures decodes, and encodes to the same bytes."""
        for name in CAPTURES:
            for n, (_, datagram) in enumerate(capture(name)):
                value = decode(datagram)
                self.assertNotEqual(type(value), Unknown, f"{name} {n}")
                self.assertEqual(encode(value), datagram, f"{name} {n}")
                if isinstance(value, Drw):
                    drw = encode_drw(value.channel, value.index, value.data)
                    self.assertEqual(drw, datagram, f"{name} {n}")

    def test_second_reading(self) -> None:
        """A reading by the offsets alone finds the same in every datagram of the captures."""
        for name in CAPTURES:
            for n, (_, datagram) in enumerate(capture(name)):
                self.assertEqual(fields_of(decode(datagram)), read(datagram), f"{name} {n}")

    def test_tcp_offer(self) -> None:
        """The camera offers TCP at its own address, 51 times in each session."""
        for name in CAPTURES:
            offers = [decode(data) for _, data in capture(name) if data[1] == 0x43]
            offer = P2PRdyTcp(FAMILY, IPv4Address("192.168.43.1"), 40611)
            self.assertEqual(offers, [offer] * 51)

    def test_family(self) -> None:
        """Every id in the captures is the family's."""
        for name in CAPTURES:
            values = [decode(data) for _, data in capture(name)]
            named = [value.device_id for value in values if isinstance(value, PunchPkt | P2PRdy)]
            self.assertEqual(set(named), {FAMILY})

    def test_what_there_is(self) -> None:
        """Each capture holds what a session consists of, from both sides."""
        for name in CAPTURES:
            kinds = Counter((sender, type(decode(data))) for sender, data in capture(name))
            for sender in ("camera", "app"):
                for kind in (PunchPkt, Drw, DrwAck):
                    self.assertGreater(kinds[sender, kind], 0, f"{name}: {kind}")
            self.assertGreater(kinds["camera", P2PRdy], 4)
            self.assertEqual(kinds["app", ReportSessionReady], 3)

    def test_accepted(self) -> None:
        """The first DRW of each session is the camera's C{ACK}."""
        for name in CAPTURES:
            drws = [(who, decode(data)) for who, data in capture(name) if data[1] == 0xD0]
            self.assertEqual(drws[0], ("camera", Drw(0, 0, b"ACK")))


class VectorTests(TestCase):
    """The datagrams that PROTOCOL prints, byte for byte."""

    def test_heartbeat(self) -> None:
        """The heartbeat reads as PROTOCOL says, and is written the same."""
        drw = decode(HEARTBEAT)
        assert isinstance(drw, Drw)
        self.assertEqual((drw.channel, drw.index), (0, 2))
        message = Message.decode(drw.data)
        self.assertEqual((message.id, message.sequence, len(message.payload)), (2, 0x10001, 25))
        self.assertEqual(encode(Drw(0, 2, message.encode())), HEARTBEAT)

    def test_event(self) -> None:
        """The event reads as PROTOCOL says, and is written the same."""
        drw = decode(EVENT)
        assert isinstance(drw, Drw)
        self.assertEqual((drw.channel, drw.index), (6, 0))
        text = b'{"evtId":4}\0'
        self.assertEqual(Message.decode(drw.data), Message(9, 1, text))
        again = encode_header(9, 1, len(text), flag=0x77) + text
        self.assertEqual(encode(Drw(6, 0, again)), EVENT)

    def test_by_hand(self) -> None:
        """One of each kind, written out by hand."""
        offer = P2PRdyTcp(FAMILY, IPv4Address("192.168.43.1"), 40611)
        expected: list[tuple[Datagram, str]] = [
            (LanSearch(), "f1300000"),
            (PunchPkt(FAMILY), "f1410014" + FAMILY_BYTES.hex()),
            (P2PRdy(FAMILY), "f1420014" + FAMILY_BYTES.hex()),
            (offer, "f143002c" + FAMILY_BYTES.hex() + "0002 a39e 012ba8c0" + "00" * 16),
            (Drw(0, 0, b"ACK"), "f1d00007 d1000000 41434b"),
            (Drw(7, 0xFFFE, b"\0"), "f1d00005 d107fffe 00"),
            (DrwAck(4, (1, 65535, 1)), "f1d1000a d1040003 0001 ffff 0001"),
            (DrwAck(0, ()), "f1d10004 d1000000"),
            (Alive(), "f1e00000"),
            (AliveAck(), "f1e10000"),
            (Close(), "f1f00000"),
            (Unknown(0x20, b"\1\2"), "f1200002 0102"),
        ]
        for value, text in expected:
            self.assertEqual(encode(value).hex(), text.replace(" ", ""))
            self.assertEqual(decode(bytes.fromhex(text)), value)


class RefusalTests(TestCase):
    """What is no datagram, or not a whole one."""

    def test_damaged(self) -> None:
        """Each of these disagrees with PROTOCOL in one point, and is refused."""
        cases = {
            "nothing": "",
            "half a header": "f1e000",
            "another magic": "f2e00000",
            "longer than it says": "f1e0000000",
            "shorter than it says": "f1e00001",
            "a search with a payload": "f130000100",
            "an ALIVE with a payload": "f1e0000100",
            "an ALIVE_ACK with a payload": "f1e1000100",
            "a CLOSE with a payload": "f1f0000100",
            "an id of 19 bytes": "f1410013" + FAMILY_BYTES[:19].hex(),
            "an id of 21 bytes": "f1420015" + FAMILY_BYTES.hex() + "00",
            "an id that is not text": "f1410014" + FAMILY_BYTES.hex().replace("4c", "ff"),
            "a TCP offer without address": "f1430014" + FAMILY_BYTES.hex(),
            "a TCP offer of family 3": "f143002c" + FAMILY_BYTES.hex() + "0003" + "00" * 22,
            "a TCP offer with more": "f143002c" + FAMILY_BYTES.hex() + "0002" + "00" * 21 + "01",
            "a DRW without data": "f1d00004d1000000",
            "a DRW without header": "f1d00003d10000",
            "a DRW with another magic": "f1d00005d200000041",
            "a DRW with too much": "f1d00405d1000000" + "00" * 1025,
            "an acknowledgement without header": "f1d10003d10000",
            "an acknowledgement with another magic": "f1d10006d00000010001",
            "an acknowledgement that promises more": "f1d10006d10000020001",
            "an acknowledgement that promises less": "f1d10008d100000100010002",
            "an acknowledgement of half an index": "f1d10005d100000100",
            "a report of 83 bytes": "f1f90053" + "00" * 83,
        }
        for name, text in cases.items():
            try:
                value = decode(bytes.fromhex(text))
            except DecodeError as error:
                self.assertNotIn("\n", str(error))
            else:
                self.fail(f"{name} was taken for {value!r}")

    def test_impossible_values(self) -> None:
        """A value that the format cannot hold is refused when it is written."""
        offer = P2PRdyTcp(FAMILY, IPv4Address("192.168.43.1"), 65536)
        values: list[Datagram] = [
            Drw(0, 0, b""),
            Drw(0, 0, bytes(1025)),
            Drw(256, 0, b"x"),
            Drw(-1, 0, b"x"),
            Drw(0, 65536, b"x"),
            DrwAck(256, (1,)),
            DrwAck(0, (65536,)),
            DrwAck(0, (1,) * 40000),
            offer,
            Hello(bytes(65536)),
            ReportSessionReady(bytes(83)),
            Unknown(256, b""),
        ]
        for value in values:
            self.assertRaises(DecodeError, encode, value)

    def test_largest(self) -> None:
        """A DRW of 1024 bytes is whole; so is an acknowledgement longer than anyone sends."""
        for value in (Drw(0, 0, bytes(1024)), DrwAck(0, tuple(range(700)))):
            self.assertEqual(decode(encode(value)), value)
        self.assertEqual((pppp.MAX_DRW_DATA, pppp.MAX_ACK_INDEXES), (1024, 17))


class RunTests(TestCase):
    """What the kernel hands over in one piece."""

    FULL = tuple(encode_drw(3, index, bytes([index % 256]) * 1024) for index in range(65530, 65536))

    def test_split(self) -> None:
        """Datagrams of one size, the last of which may be shorter, whatever their types."""
        short = encode_drw(3, 0, b"the end")
        for run in (
            (*self.FULL, short),
            (short,),
            (encode(PunchPkt(FAMILY)), encode(P2PRdy(FAMILY)), encode(Alive())),
            (encode(Alive()), encode(AliveAck()), encode(Close())),
        ):
            self.assertEqual(split(b"".join(run)), list(run))

    def test_no_run(self) -> None:
        """What cannot come from the kernel so is one datagram; most will then be refused."""
        full, small = self.FULL[0], encode(Alive())
        for whole in (
            b"", b"\xf1", b"\xf1\xe0\0", small + b"x", small + full, full + bytes(1032),
            full + b"\xf1", full + small + b"\xf1", full + full[:-1], small + b"\xf1\xe0\0\1",
        ):  # fmt: skip
            self.assertEqual(split(whole), [whole])

    def test_full(self) -> None:
        """A run of full DRW of one channel is read at once, as one by one."""
        for count in range(1, len(self.FULL) + 1):
            values = [decode(datagram) for datagram in self.FULL[:count]]
            expected = (3, *zip(*((drw.index, drw.data) for drw in values), strict=True))  # type: ignore[union-attr]
            self.assertEqual(decode_drws(b"".join(self.FULL[:count])), expected)

    def test_not_full(self) -> None:
        """Anything else is not: shorter ones, two channels, other types, a wrong length."""
        full = self.FULL[0]
        for run in (
            b"", full[:-1], full + b"x", encode_drw(3, 0, b"short"),
            full + encode_drw(4, 1, bytes(1024)), full + b"\xf2" + full[1:],
            full + full[:2] + b"\x04\x05" + full[4:],
            b"\xf1\xd1" + full[2:], full[:4] + b"\xd2" + full[5:], bytes(1032),
        ):  # fmt: skip
            self.assertIsNone(decode_drws(run))

    @settings(deadline=None)
    @given(st.binary(max_size=40), st.integers(1, 4))
    def test_any_bytes(self, data: bytes, times: int) -> None:
        """Nothing is lost or added by splitting, and nothing raises."""
        self.assertEqual(b"".join(split(data * times)), data * times)
        self.assertIsNone(decode_drws(data * times))


class PropertyTests(TestCase):
    """What holds for every value, and for all bytes."""

    @settings(deadline=None)
    @given(datagrams)
    def test_round_trip(self, value: Datagram) -> None:
        """Any value is written as PROTOCOL's tables say, and comes back."""
        datagram = encode(value)
        self.assertEqual(datagram, written(value))
        self.assertEqual(decode(datagram), value)
        self.assertEqual(fields_of(value), read(datagram))

    @settings(deadline=None)
    @given(octets, words, st.binary(min_size=1, max_size=1024))
    def test_fast_path(self, channel: int, index: int, data: bytes) -> None:
        """C{encode_drw} writes what C{encode} writes."""
        self.assertEqual(encode_drw(channel, index, data), encode(Drw(channel, index, data)))

    def check_any(self, datagram: bytes) -> None:
        """Bytes are refused with L{DecodeError}, or nothing of them is lost."""
        try:
            value = decode(datagram)
        except DecodeError:
            return
        self.assertEqual(encode(value), datagram)

    @settings(deadline=None)
    @given(st.binary(max_size=120))
    def test_any_bytes(self, datagram: bytes) -> None:
        """Any bytes decode without loss, or are refused."""
        self.check_any(datagram)

    @settings(deadline=None, max_examples=300)
    @given(st.one_of(octets, st.sampled_from(NAMED)), st.binary(max_size=120))
    def test_any_payload(self, code: int, payload: bytes) -> None:
        """Any payload behind a right header decodes without loss, or is refused."""
        self.check_any(b"\xf1" + number(code, 1) + number(len(payload)) + payload)

    @settings(deadline=None, max_examples=300)
    @given(datagrams, st.data())
    def test_damage(self, value: Datagram, data: st.DataObject) -> None:
        """A datagram with one byte changed, or cut short, is refused or says what it says."""
        datagram = bytearray(encode(value))
        at = data.draw(st.integers(0, len(datagram) - 1))
        if data.draw(st.booleans()):
            self.assertRaises(DecodeError, decode, bytes(datagram[:at]))
        else:
            datagram[at] ^= data.draw(st.integers(1, 255))
            self.check_any(bytes(datagram))
