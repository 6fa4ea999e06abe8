"""
Tokens for machines, like Home Assistant: of each, only the SHA-256 is kept.

They are 32 random bytes, which nobody guesses: neither salt nor scrypt are needed. Nothing here
needs Twisted, or an extra.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from trailcam.configkeys import check_name
from trailcam.errors import ConfigError
from trailcam.web.private import Kept, changing, write_private

__all__ = ["Token", "Tokens", "add_token", "find_token", "remove_token", "token_file", "tokens"]

_MOST = 100
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: No token is longer; characters.
_LONGEST = 200


class Token(NamedTuple):
    """
    What is kept of a token.

    @ivar sha256: of its text, in hexadecimal.
    @ivar created: when, in UTC, as ISO 8601 has it.
    """

    sha256: str
    created: str


Tokens = Mapping[str, Token]


def add_token(folder: Path, name: str) -> str:
    """
    Make a token; this is the only time that it is seen.

    @param folder: the web part's in the state folder.
    @param name: for people, to know it by.
    @raise ConfigError: when it cannot be called so, or one is already.
    @raise LibraryError: when the file is damaged, or cannot be written.
    """
    _check_name(name)
    token = f"tc_{secrets.token_urlsafe(32)}"
    with changing(folder):
        known = dict(token_file(folder).get() or {})
        if name in known:
            raise ConfigError(
                f"there is a token {name!r} already: take another name, or remove it first with"
                f" `trailcam token remove {name}`"
            )
        if len(known) >= _MOST:
            raise ConfigError(f"there are {_MOST} tokens: remove one that is not used any more")
        known[name] = Token(_hash(token), datetime.now(UTC).isoformat(timespec="seconds"))
        _write(folder, known)
    return token


def remove_token(folder: Path, name: str) -> None:
    """
    From now on a token opens nothing.

    @raise ConfigError: when there is none of this name.
    @raise LibraryError: when the file is damaged, or cannot be written.
    """
    with changing(folder):
        known = dict(token_file(folder).get() or {})
        if name not in known:
            names = f"there are {', '.join(sorted(known))}" if known else "there are none"
            raise ConfigError(f"there is no token {name[:60]!r}: {names}")
        del known[name]
        _write(folder, known)


def tokens(folder: Path) -> list[tuple[str, str]]:
    """
    Name, and when it was made, of each token.

    @raise LibraryError: when the file is damaged, or cannot be read.
    """
    known = token_file(folder).get() or {}
    return [(name, known[name].created) for name in sorted(known)]


def token_file(folder: Path) -> Kept[Tokens]:
    """What is kept of the tokens, by name."""
    return Kept(folder / "tokens.json", _read, "delete it, and add the tokens anew")


def find_token(known: Tokens, text: str) -> str | None:
    """The name of the token that has this text; C{None} when none has."""
    found = None
    if len(text) <= _LONGEST:
        hashed = _hash(text)
        for name, token in known.items():  # all of them: nobody learns anything from the time
            if hmac.compare_digest(hashed, token.sha256):
                found = name
    return found


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest()


def _check_name(name: str) -> None:
    try:
        check_name(name)
    except ConfigError:
        raise ConfigError(
            f"{name[:60]!r} cannot be a token's name: take 1 to 32 of a to z, digits, - and _, "
            "not beginning with -"
        ) from None


def _write(folder: Path, known: Tokens) -> None:
    entries = {name: token._asdict() for name, token in known.items()}
    write_private(folder / "tokens.json", json.dumps(entries, indent=1) + "\n")


def _read(text: str) -> Tokens:
    """
    Take the file apart.

    @raise ValueError: when it is not what we wrote.
    """
    try:
        entries = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(entries, dict):
        raise ValueError("no object")
    try:
        return {check_name(name): _entry(entry) for name, entry in entries.items()}
    except ConfigError as error:
        raise ValueError(str(error)) from None


def _entry(entry: Any) -> Token:
    if not isinstance(entry, dict):
        raise ValueError("no object")
    hashed, created = entry.get("sha256"), entry.get("created")
    if not isinstance(hashed, str) or not _SHA256.fullmatch(hashed):
        raise ValueError("no SHA-256")
    if not isinstance(created, str):
        raise ValueError("no time")
    return Token(hashed, datetime.fromisoformat(created).isoformat())
