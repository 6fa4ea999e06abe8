"""
The camera's encryption (PROTOCOL, section 3).

The same fixed key serves every camera of the family, so it hides nothing
from anyone: treat everything that crosses the camera's Wi-Fi as readable.
"""

from __future__ import annotations

import base64
import binascii

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from trailcam.errors import DecodeError

__all__ = ["decrypt_frame", "decrypt_text", "encrypt_frame", "encrypt_text"]

_CIPHER = Cipher(algorithms.AES(b"xs38nul7cqf7m1va"), modes.CBC(bytes(16)))
_BLOCK = 16

#: Of every so many bytes of a frame …
_STRIDE = 4096
#: … the first so many are encrypted, if there are that many.
_COVERED = 96


def encrypt_text(text: bytes) -> bytes:
    """Plain command text to base64 with its closing NUL."""
    padded = text + b"\0"
    padded += bytes(-len(padded) % _BLOCK)
    encryptor = _CIPHER.encryptor()
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize()) + b"\0"


def decrypt_text(payload: bytes) -> bytes:
    """
    The payload of a command or response to its plain text.

    The base64 ends at the first NUL (a response has 20 more), the text
    likewise: what lies behind is leftover memory of the sender.

    @raise DecodeError: when it is not base64 of whole AES blocks.
    """
    try:
        encrypted = base64.b64decode(payload.split(b"\0", 1)[0], validate=True)
    except (binascii.Error, ValueError):
        raise DecodeError("command text that is not base64") from None
    if not encrypted or len(encrypted) % _BLOCK:
        raise DecodeError("command text that is not whole AES blocks")
    return _decrypt(encrypted).split(b"\0", 1)[0]


def encrypt_frame(data: bytes) -> bytes:
    """Encrypt the covered parts of a frame's video and audio."""
    return _cover(data, encrypt=True)


def decrypt_frame(data: bytes) -> bytes:
    """Decrypt the covered parts of a frame's video and audio; the rest is plain."""
    return _cover(data, encrypt=False)


def _decrypt(data: bytes) -> bytes:
    decryptor = _CIPHER.decryptor()
    return decryptor.update(data) + decryptor.finalize()


def _cover(data: bytes, *, encrypt: bool) -> bytes:
    out = bytearray(data)
    for start in range(0, len(data) - _COVERED + 1, _STRIDE):
        # The vector is zero each time, so each part has a context of its own.
        context = _CIPHER.encryptor() if encrypt else _CIPHER.decryptor()
        out[start : start + _COVERED] = context.update(data[start : start + _COVERED])
    return bytes(out)
