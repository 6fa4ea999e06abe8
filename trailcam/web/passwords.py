"""
The password to the pages: kept only as what scrypt makes of it.

A line like C{scrypt$16384$8$5$SALT$HASH} says with which parameters, so that these can be raised
later. Nothing here needs Twisted, or an extra. Hashing takes a good part of a second of a small
computer's time, and 16 MiB.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
import secrets
import unicodedata
from base64 import b64decode, b64encode
from pathlib import Path
from typing import NamedTuple

from trailcam.errors import ConfigError, LibraryError
from trailcam.web.private import Kept, changing, remove_private, write_private

__all__ = [
    "check_password",
    "hash_password",
    "password_file",
    "remove_password",
    "set_password",
    "verify",
]

#: Whatever is in a line, it does not cost more memory than this; bytes.
_MOST_MEMORY = 64 * 1024 * 1024
_LINE = re.compile(
    r"scrypt\$([0-9]{1,7})\$([0-9]{1,2})\$([0-9]{1,2})\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)"
)
_SHORTEST, _LONGEST = 8, 1024
_MEND = "set the password anew with `trailcam passwd`"


class _Hashed(NamedTuple):
    """What a line says; C{n}, C{r} and C{p} are the parameters of scrypt."""

    n: int
    r: int
    p: int
    salt: bytes
    hash: bytes

    def of(self, password: bytes) -> bytes:
        """What scrypt makes of a password with the same parameters and salt."""
        return hashlib.scrypt(
            password, salt=self.salt, n=self.n, r=self.r, p=self.p,
            maxmem=_MOST_MEMORY * 2, dklen=32,
        )  # fmt: skip

    def __str__(self) -> str:
        salt, hashed = b64encode(self.salt).decode(), b64encode(self.hash).decode()
        return f"scrypt${self.n}${self.r}${self.p}${salt}${hashed}"


def check_password(text: str) -> None:
    """
    Whether it can be a password.

    @raise ConfigError: when it is too short or too long, or no text.
    """
    if len(text) > _LONGEST:  # before it is normalised, which would take seconds
        raise ConfigError(f"this password is too long: take at most {_LONGEST} bytes")
    try:
        password = _bytes(text)
    except UnicodeEncodeError:
        raise ConfigError("this password is no text: take one of letters and digits") from None
    if len(text) < _SHORTEST:
        raise ConfigError(
            f"this password is too short: take at least {_SHORTEST} characters, or better, "
            "several words"
        )
    if len(password) > _LONGEST:
        raise ConfigError(f"this password is too long: take at most {_LONGEST} bytes")


def hash_password(text: str) -> str:
    """
    The line to keep of a password.

    @raise ConfigError: when it cannot be one; see L{check_password}.
    """
    check_password(text)
    line = _Hashed(2**14, 8, 5, secrets.token_bytes(16), b"")
    return str(line._replace(hash=line.of(_bytes(text))))


def verify(text: str, hashed: str) -> bool:
    """
    Whether it is the password that a line is of.

    @raise LibraryError: when C{hashed} is no such line.
    """
    try:
        line = _read(hashed)
    except ValueError:
        raise LibraryError(f"what is kept of the password is damaged: {_MEND}") from None
    if len(text) > _LONGEST:  # before it is normalised, which would take seconds
        return False
    try:
        password = _bytes(text)
    except UnicodeEncodeError:
        return False
    if len(password) > _LONGEST:
        return False
    return hmac.compare_digest(line.of(password), line.hash)


def set_password(folder: Path, text: str) -> Path:
    """
    From now on this is the password; it ends all sessions.

    @param folder: the web part's in the state folder.
    @return: the file where it is kept.
    @raise ConfigError: when it cannot be one.
    @raise LibraryError: when the folder cannot be written.
    """
    line = hash_password(text)
    path = password_file(folder).path
    with changing(folder):
        write_private(path, f"{line}\n")
    return path


def remove_password(folder: Path) -> bool:
    """
    From now on there is no password; whether there was one.

    @raise LibraryError: when the folder cannot be written.
    """
    with changing(folder):
        return remove_private(password_file(folder).path)


def password_file(folder: Path) -> Kept[str]:
    """The line that is kept, if there is a password."""
    return Kept(folder / "password", lambda text: str(_read(text)), _MEND)


def _bytes(text: str) -> bytes:
    # The same letters are typed as other characters on other devices.
    return unicodedata.normalize("NFC", text).encode()


def _read(line: str) -> _Hashed:
    """
    Take a line apart.

    @raise ValueError: when it is none of ours, or would cost too much.
    """
    match = _LINE.fullmatch(line.removesuffix("\n"))
    if not match:
        raise ValueError("no line of ours")
    n, r, p = (int(match[group]) for group in (1, 2, 3))
    if n < 2**14 or n & (n - 1) or not 1 <= r <= 16 or not 1 <= p <= 16:
        raise ValueError("not our kind of parameters")
    if 128 * n * r > _MOST_MEMORY:
        raise ValueError("parameters that cost too much")
    try:
        salt, hashed = (b64decode(match[group], validate=True) for group in (4, 5))
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if not 16 <= len(salt) <= 64 or len(hashed) != 32:
        raise ValueError("salt or hash of another length")
    return _Hashed(n, r, p, salt, hashed)
