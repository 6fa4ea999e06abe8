"""
Who may see the pages of a station: one password for people, tokens for machines.

A session is a signed cookie, made with a key that depends on the password: whoever changes that
ends all sessions. What ended before its time is remembered in a file. What the command line
changes in the folder acts at once. Where a file is damaged, nobody is let in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from itsdangerous import BadSignature, TimestampSigner
from twisted.internet.defer import Deferred

from trailcam.errors import ConfigError, LibraryError, TrailcamError
from trailcam.logs import make_logger
from trailcam.web.passwords import password_file, verify
from trailcam.web.private import Kept, changing, remove_private, write_private
from trailcam.web.throttle import Throttle, client_of
from trailcam.web.tokens import find_token, token_file
from trailcam.worker import Worker

__all__ = ["SESSION_SECONDS", "Access", "Session", "TooManyAttempts", "WrongPassword"]

_log = make_logger(__name__)

#: A session ends after so many seconds, whatever is done with it.
SESSION_SECONDS = 30 * 86400
#: When so many have ended before their time, all of them end, and the list is empty again.
_MOST_ENDED = 1000
#: No cookie of ours is longer; characters.
_LONGEST_COOKIE = 200
#: No clock that was ever set is later: the year 2106.
_LAST_TIME = (1 << 32) - 1
_GUEST, _MEMBER = "g", "m"
_SECRET = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[A-Za-z0-9_-]{22}")


class WrongPassword(TrailcamError):
    """This is not the password."""

    def __init__(self) -> None:
        super().__init__("this is not the password: try again")


class TooManyAttempts(TrailcamError):
    """
    The password was tried too often.

    @ivar seconds: after so many one may try again.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, math.ceil(seconds))
        wait = f"{self.seconds} s" if self.seconds < 100 else f"{-(-self.seconds // 60)} minutes"
        super().__init__(f"the password was tried too often: try again in {wait}")


@dataclass(frozen=True)
class Session:
    """
    One browser's.

    @ivar id: nobody can guess it.
    @ivar guest: whether it began without a password: it opens nothing that needs one.
    @ivar began: when.
    """

    id: str = field(repr=False)
    guest: bool
    began: datetime


class Access:
    """
    The doorkeeper.

    Its files are small: they are read by the reactor's thread, when they were changed.

    @ivar folder: the web part's in the state folder.
    """

    def __init__(
        self,
        folder: Path,
        worker: Worker,
        *,
        wall_clock: Callable[[], float] = time.time,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        @param worker: hashes passwords, one at a time, and writes.
        @param wall_clock: seconds since 1970: sessions outlive a restart.
        @param seconds: of a clock that nobody sets.
        """
        self.folder = folder
        self._worker = worker
        self._wall_clock = wall_clock
        self._seconds = seconds
        self._throttle = Throttle()
        self._password = password_file(folder)
        self._tokens = token_file(folder)
        self._secret = Kept(folder / "secret", _read_secret, "everybody has to log in again")
        self._kept_ended = Kept(folder / "ended.json", _read_ended, "everybody has to log in again")
        self._ended: set[str] | None = None
        self._told: set[str] = set()  # bounded: each file can say three things

    @property
    def has_password(self) -> bool:
        """Whether one must log in; so it is, too, where the password cannot be read."""
        try:
            return self._password.get() is not None
        except LibraryError as error:
            self._tell(error)
            return True

    # -- coming and going

    def login(self, password: str, client: str) -> Deferred[str]:
        """
        Begin a session.

        @param client: its address.
        @return: fires with the cookie's value; fails with L{WrongPassword}, L{TooManyAttempts},
            with L{ConfigError} where there is no password, or with L{LibraryError} where
            it cannot be read.
        """
        return Deferred.fromCoroutine(self._login(password, client_of(client)))

    async def _login(self, password: str, client: str) -> str:
        hashed = self._password.get()
        if hashed is None:
            raise ConfigError("this station has no password: set one with `trailcam passwd`")
        wait = self._throttle.begin(client, self._seconds())
        if wait:
            raise TooManyAttempts(wait)
        if not await self._worker.call(verify, password, hashed):
            _log.warn("web: a wrong password from {client}", client=client)
            raise WrongPassword
        self._throttle.right(client)
        # Of the password that was given: if it was changed meanwhile, the session is over.
        return self._begin(_MEMBER, hashed)

    def new_guest(self) -> str:
        """
        The value of a cookie for somebody who gave no password: for forms, also that of the login.
        It opens nothing where there is a password, and ends with it, or when there is a new one.

        @raise LibraryError: when our files can neither be read nor written.
        """
        return self._begin(_GUEST, self._password.get())

    def session(self, cookie: str | None) -> Session | None:
        """
        The session of a cookie; C{None} when it is none, or none any more. Whether it may see
        anything: see L{Session.guest} and L{has_password}.
        """
        if cookie is None or len(cookie) > _LONGEST_COOKIE or not cookie.isascii():
            return None
        try:
            return self._read(cookie)
        except BadSignature:
            return None
        except LibraryError as error:
            self._tell(error)
            return None

    def _read(self, cookie: str) -> Session | None:
        hashed = self._password.get()
        ended = self._all_ended()  # first: it may make the key anew
        signer = self._signer(hashed)
        # Not by its own idea of age: who logged in before the clock was set back stays.
        value, began = signer.unsign(cookie, return_timestamp=True)
        kind, ident = chr(value[0]), value[1:].decode()
        if ident in ended or signer.get_timestamp() - began.timestamp() > SESSION_SECONDS:
            return None
        return Session(ident, kind == _GUEST, began)

    def end(self, cookie: str | None) -> Deferred[None]:
        """
        End a session at once, and for good.

        @return: fires when it will also be over after a restart; fails with L{LibraryError} when
            that could not be written down.
        """
        return Deferred.fromCoroutine(self._end(cookie))

    async def _end(self, cookie: str | None) -> None:
        session = self.session(cookie)
        if session is None or session.guest:  # anybody may begin a guest's: nothing to protect
            return
        ended = self._all_ended()
        ended.add(session.id)
        if len(ended) > _MOST_ENDED:
            self._new_secret()
        else:
            await self._worker.call(self._write_ended, sorted(ended))

    # -- forms and machines

    def csrf(self, session: Session) -> str:
        """
        What a form has to send along, so that it can only be one of our own pages.

        @raise LibraryError: when our files can neither be read nor written.
        """
        message = f"trailcam form {session.id}".encode()
        return hmac.new(self._key(), message, hashlib.sha256).hexdigest()

    def check_csrf(self, session: Session, given: str | None) -> bool:
        """Whether it is what L{csrf} says."""
        try:
            expected = self.csrf(session)
        except LibraryError as error:
            self._tell(error)
            return False
        return hmac.compare_digest(expected.encode(), (given or "").encode("utf-8", "replace"))

    def token(self, bearer: str) -> str | None:
        """The name of a machine's token; C{None} when it is none."""
        try:
            return find_token(self._tokens.get() or {}, bearer)
        except LibraryError as error:
            self._tell(error)
            return None

    # -- the files

    def _begin(self, kind: str, hashed: str | None) -> str:
        return self._signer(hashed).sign(kind + secrets.token_urlsafe(16)).decode()

    def _signer(self, hashed: str | None) -> _Signer:
        of_password = hashlib.sha256((hashed or "").encode()).hexdigest()
        return _Signer(self._key(), f"trailcam session {of_password}", self._wall_clock)

    def _key(self) -> bytes:
        try:
            secret = self._secret.get()
        except LibraryError as error:
            self._tell(error)
            secret = None
        return (secret or self._new_secret()).encode()

    def _new_secret(self) -> str:
        """End all sessions; none has to be remembered as ended then. Once in years: it blocks."""
        secret = secrets.token_hex(32)
        with changing(self.folder):
            write_private(self._secret.path, f"{secret}\n")
            remove_private(self._kept_ended.path)
        self._ended = set()
        return secret

    def _all_ended(self) -> set[str]:
        if self._ended is None:
            try:
                self._ended = self._kept_ended.get() or set()
            except LibraryError as error:  # which of them had ended, nobody knows
                self._tell(error)
                self._new_secret()
                self._ended = set()
        return self._ended

    def _write_ended(self, ended: Collection[str]) -> None:
        with changing(self.folder):
            write_private(self._kept_ended.path, json.dumps(list(ended)) + "\n")

    def _tell(self, error: LibraryError) -> None:
        """Log what is wrong, but not for each request."""
        if str(error) not in self._told:
            self._told.add(str(error))
            _log.warn("web: {error}", error=str(error))


class _Signer(TimestampSigner):
    """Signs with SHA-256, and with the time of our own clock."""

    def __init__(self, key: bytes, salt: str, wall_clock: Callable[[], float]) -> None:
        super().__init__(key, salt, key_derivation="hmac", digest_method=hashlib.sha256)
        self._wall_clock = wall_clock

    def get_timestamp(self) -> int:
        return max(0, min(int(self._wall_clock()), _LAST_TIME))


def _read_secret(text: str) -> str:
    """
    @raise ValueError: when it is none.
    """
    if not _SECRET.fullmatch(text.removesuffix("\n")):
        raise ValueError("no secret of ours")
    return text.removesuffix("\n")


def _read_ended(text: str) -> set[str]:
    """
    @raise ValueError: when it is not what we wrote.
    """
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(found, list) or not all(
        isinstance(ident, str) and _ID.fullmatch(ident) for ident in found
    ):
        raise ValueError("no list of ours")
    return set(found)
