"""Tests of L{trailcam.wire.cipher} against PROTOCOL, section 3, and a second implementation."""

from __future__ import annotations

import base64
import random

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from trailcam.errors import DecodeError
from trailcam.wire.cipher import decrypt_frame, decrypt_text, encrypt_frame, encrypt_text

#: The heartbeat that PROTOCOL prints.
HEARTBEAT = bytes.fromhex("4d7a6c423336582f49566f385a7a49357247396a31773d3d")
#: Lengths around the edges of the coverage rule.
EDGES = (0, 1, 15, 16, 94, 95, 96, 97, 4095, 4096, 4097, 4190, 4191, 4192, 4193, 4200, 8191, 8192,
         8287, 8288, 8289, 12288 + 95, 12288 + 96, 20000)  # fmt: skip


def block(data: bytes, *, encrypt: bool) -> bytes:
    """One block of 16 bytes, and nothing but that: the chaining is done by hand."""
    cipher = Cipher(algorithms.AES(b"xs38nul7cqf7m1va"), modes.ECB())
    context = cipher.encryptor() if encrypt else cipher.decryptor()
    return context.update(data)


def chained(data: bytes, *, encrypt: bool) -> bytes:
    """AES-CBC with a vector of zeros, block by block."""
    out, before = b"", bytes(16)
    for at in range(0, len(data), 16):
        given = data[at : at + 16]
        if encrypt:
            before = block(bytes(a ^ b for a, b in zip(given, before, strict=True)), encrypt=True)
            out += before
        else:
            plain = block(given, encrypt=False)
            out += bytes(a ^ b for a, b in zip(plain, before, strict=True))
            before = given
    return out


def covered(data: bytes, *, encrypt: bool) -> bytes:
    """The coverage rule, walked through: the first 96 of every 4096, if 96 remain."""
    out = b""
    while data:
        stretch, data = data[:4096], data[4096:]
        if len(stretch) >= 96:
            out += chained(stretch[:96], encrypt=encrypt) + stretch[96:]
        else:
            out += stretch
    return out


class TextTests(TestCase):
    """Commands and responses."""

    def test_heartbeat(self) -> None:
        """The heartbeat of PROTOCOL decrypts, leftover memory and all, and encrypts back."""
        self.assertEqual(decrypt_text(HEARTBEAT + b"\0"), b'{"cmdId":525}')
        plain = chained(base64.b64decode(HEARTBEAT), encrypt=False)
        self.assertEqual(plain[:14], b'{"cmdId":525}\0')
        self.assertEqual(len(plain), 16)
        self.assertEqual(base64.b64encode(chained(plain, encrypt=True)), HEARTBEAT)

    def test_padding(self) -> None:
        """Text, one NUL, zeros up to a whole block, base64, one NUL."""
        for length in range(50):
            text = b"x" * length
            payload = encrypt_text(text)
            self.assertTrue(payload.endswith(b"\0") and payload.count(b"\0") == 1)
            plain = chained(base64.b64decode(payload[:-1], validate=True), encrypt=False)
            self.assertEqual(len(plain), length // 16 * 16 + 16)
            self.assertEqual(plain, text.ljust(len(plain), b"\0"))

    def test_what_lies_behind(self) -> None:
        """What comes after the first NUL is not looked at: not of the base64, not of the text."""
        payload = encrypt_text(b'{"a":1}')
        for rest in (b"", bytes(20), b"\xff\xfe leftover", payload):
            self.assertEqual(decrypt_text(payload + rest), b'{"a":1}')
        leftover = chained(b'{"a":1}\0\xff\xffmemory', encrypt=True)
        self.assertEqual(decrypt_text(base64.b64encode(leftover) + b"\0"), b'{"a":1}')

    def test_without_nul(self) -> None:
        """Text that fills its blocks, and base64 that ends without NUL, are whole."""
        full = base64.b64encode(chained(b"0123456789abcdef", encrypt=True))
        self.assertEqual(decrypt_text(full), b"0123456789abcdef")

    def test_damaged(self) -> None:
        """What is not base64 of whole blocks is refused."""
        good = encrypt_text(b"x")[:-1]
        for payload in (
            b"",
            b"\0",
            b"\0" + good,
            b"=",
            b"====",
            good[:-1],
            good[:-4],
            good + b"AAAA",
            good + b"\n",
            b" " + good,
            b"-_" + good[2:],
            b"\xff" * 24,
            "ä".encode() * 12,
            base64.b64encode(bytes(15)),
            base64.b64encode(bytes(17)),
        ):
            self.assertRaises(DecodeError, decrypt_text, payload)

    @settings(deadline=None)
    @given(st.binary(max_size=200).map(lambda text: text.replace(b"\0", b"")))
    def test_round_trip(self, text: bytes) -> None:
        """Any text without NUL comes back."""
        self.assertEqual(decrypt_text(encrypt_text(text)), text)

    base64_like = st.binary(max_size=96).map(base64.b64encode)

    @settings(deadline=None)
    @given(st.one_of(st.binary(max_size=100), base64_like, base64_like.map(lambda t: t[:-1])))
    def test_any_bytes(self, payload: bytes) -> None:
        """Any payload decrypts to text without NUL, or is refused."""
        try:
            text = decrypt_text(payload)
        except DecodeError:
            return
        self.assertNotIn(b"\0", text)


class FrameTests(TestCase):
    """The partly encrypted data of frames."""

    def test_edges(self) -> None:
        """At every edge of the coverage rule a second implementation gives the same bytes."""
        rng = random.Random(7)
        for length in EDGES:
            data = rng.randbytes(length)
            self.assertEqual(encrypt_frame(data), covered(data, encrypt=True), f"{length}")
            self.assertEqual(decrypt_frame(data), covered(data, encrypt=False), f"{length}")

    def test_which_bytes(self) -> None:
        """Of so many bytes just these are changed."""
        for length, encrypted in {
            0: (),
            95: (),
            96: (0,),
            97: (0,),
            4096: (0,),
            4191: (0,),
            4192: (0, 4096),
            4200: (0, 4096),
            8192 + 95: (0, 4096),
            8192 + 96: (0, 4096, 8192),
        }.items():
            data = bytes(length)
            result = encrypt_frame(data)
            self.assertEqual(len(result), length)
            blocks = {at // 16 * 16 for at, byte in enumerate(result) if byte}
            expected = {start + at for start in encrypted for at in range(0, 96, 16)}
            self.assertEqual(blocks, expected, f"{length}")

    def test_short_rest_is_plain(self) -> None:
        """A rest of fewer than 96 bytes is not touched: that would damage the picture."""
        data = random.Random(3).randbytes(4096 + 95)
        self.assertEqual(encrypt_frame(data)[96:], data[96:])
        self.assertEqual(decrypt_frame(data[:95]), data[:95])

    def test_each_part_alone(self) -> None:
        """The vector is zero for each part: equal parts look equal."""
        result = encrypt_frame(bytes(4096) * 3)
        self.assertEqual(result[:4096], result[4096:8192])
        self.assertEqual(result[:4096], result[8192:])

    @settings(deadline=None, max_examples=200)
    @given(st.one_of(st.sampled_from(EDGES), st.integers(0, 20_000)), st.randoms())
    def test_round_trip(self, length: int, rng: random.Random) -> None:
        """Any data comes back, and is encrypted as the second implementation does it."""
        data = bytes(rng.getrandbits(8) for _ in range(32)) * (length // 32 + 1)
        data = data[:length]
        encrypted = encrypt_frame(data)
        self.assertEqual(encrypted, covered(data, encrypt=True))
        self.assertEqual(decrypt_frame(encrypted), data)
        self.assertEqual(encrypt_frame(decrypt_frame(data)), data)
