"""Who may see the pages: sessions, forms and machines, whatever the command line changes."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.trial.unittest import SkipTest, TestCase

from tests.test_web_passwords import cheap_line
from trailcam.errors import ConfigError, LibraryError
from trailcam.web.passwords import remove_password
from trailcam.web.private import changing, write_private
from trailcam.web.tokens import add_token, remove_token
from trailcam.worker import InlineWorker

try:
    from trailcam.web import access as access_module
    from trailcam.web.access import (
        SESSION_SECONDS,
        Access,
        Session,
        TooManyAttempts,
        WrongPassword,
    )
except ImportError:
    access_module = None  # type: ignore[assignment]

PASSWORD = "owls at night"
HOME = "192.0.2.7"

#: As base64 is written in URLs.
SAFE = str.maketrans("+/", "-_")


class SlowWorker:
    """
    Does what is asked only when it is told to.

    @ivar waiting: what is to be done.
    """

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    @property
    def pending(self) -> int:
        """How much there is to do."""
        return len(self.waiting)

    def call(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Note it."""
        result: Deferred[Any] = Deferred()
        self.waiting.append((lambda: function(*args), result))
        return result

    def work(self) -> None:
        """Do it all."""
        while self.waiting:
            function, result = self.waiting.pop(0)
            if not result.called:
                maybeDeferred(function).chainDeferred(result)


class AccessTestCase(TestCase):
    """A station with a password, and two clocks that stand still."""

    def setUp(self) -> None:
        """Make it."""
        if access_module is None:
            raise SkipTest("needs the extra web")
        self.folder = Path(self.mktemp()) / "state" / "web"
        self.wall = 1_795_000_000.0
        self.now = 5.0
        self.set_password(PASSWORD)
        self.access = self.start()

    def start(self, worker: Any = None) -> Access:
        """The service starts, once more."""
        return Access(self.folder, worker or InlineWorker(), wall_clock=lambda: self.wall,
                      seconds=lambda: self.now)  # fmt: skip

    def set_password(self, password: str) -> None:
        """As C{trailcam passwd} does, but cheaper."""
        with changing(self.folder):
            write_private(self.folder / "password", cheap_line(password) + "\n")

    def login(self, password: str = PASSWORD, client: str = HOME) -> str:
        """Log in: the cookie's value."""
        return self.successResultOf(self.access.login(password, client))

    def session(self, cookie: str | None) -> Session:
        """The session of a cookie, which there must be."""
        session = self.access.session(cookie)
        assert session is not None
        return session

    def write(self, name: str, text: str) -> Path:
        """Somebody writes into one of our files."""
        (self.folder / name).write_text(text)
        return self.folder / name


class SessionTests(AccessTestCase):
    """From login to logout."""

    def test_login(self) -> None:
        """The right password begins a session, which a restart does not end."""
        cookie = self.login()
        self.assertRegex(cookie, r"^[A-Za-z0-9._-]{40,120}$")
        session = self.session(cookie)
        self.assertEqual((session.guest, session.began.timestamp()), (False, self.wall))
        self.assertNotIn(session.id, repr(session))
        self.assertNotEqual(self.session(self.login()).id, session.id)
        self.assertEqual(self.start().session(cookie), session)

    def test_wrong_password(self) -> None:
        """Another is none, whatever it is."""
        for password in ("owls at noon", "", "\ud800", "x" * 100_000):
            self.failureResultOf(self.access.login(password, HOME), WrongPassword)

    def test_nonsense(self) -> None:
        """What is no cookie of ours is no session, however much it looks like one."""
        cookie = self.login()
        other = self.login()
        mixed = cookie.split(".")[0] + "." + other.split(".", 1)[1]
        for value in (None, "", ".", "..", "m", cookie[:-1], cookie + "x", "g" + cookie[1:], mixed,
                      cookie.upper(), "ü" + cookie, "\ud800", "x" * 100_000, "a.b.c"):  # fmt: skip
            self.assertIsNone(self.access.session(value), value)

    @settings(deadline=None, max_examples=50)
    @given(st.integers(0, 200), st.characters())
    def test_any_change(self, place: int, sign: str) -> None:
        """A cookie with one other character, anywhere, is none, or was the same."""
        self.now += 10  # or it would be too many attempts
        cookie = self.login()
        place %= len(cookie)
        changed = cookie[:place] + sign + cookie[place + 1 :]
        found = self.access.session(changed)
        # The last character of base64 has bits to spare, and some have two ways to be written.
        if place < len(cookie) - 1 and changed.translate(SAFE) != cookie:
            self.assertIsNone(found)

    def test_clock(self) -> None:
        """A clock that is set back, as on a Pi that has just started, logs nobody out."""
        cookie = self.login()
        self.wall -= 10 * 365 * 86400
        self.assertIsNotNone(self.access.session(cookie))
        for wall in (-1e9, 0.0, 1e12):  # no clock should say that; they begin anew, no more
            self.wall = wall
            self.assertIsNotNone(self.access.session(self.access.new_guest()))

    def test_it_ends(self) -> None:
        """After 30 days, by a new password, by none, and by a deleted secret."""
        cookie = self.login()
        self.wall += SESSION_SECONDS
        self.assertIsNotNone(self.access.session(cookie))
        self.wall += 1
        self.assertIsNone(self.access.session(cookie))
        cookie = self.login()
        self.set_password("badgers by day")
        self.assertIsNone(self.access.session(cookie))
        cookie = self.login("badgers by day")
        remove_password(self.folder)
        self.assertIsNone(self.access.session(cookie))
        self.set_password(PASSWORD)
        cookie = self.login()
        (self.folder / "secret").unlink()
        self.assertIsNone(self.access.session(cookie))
        self.assertIsNotNone(self.access.session(self.login()))

    def test_logout(self) -> None:
        """A session that was ended stays so, also after a restart; the others go on."""
        first, second = self.login(), self.login()
        self.successResultOf(self.access.end(first))
        for access in (self.access, self.start()):
            self.assertIsNone(access.session(first))
            self.assertIsNotNone(access.session(second))
        for cookie in (first, None, "nonsense"):
            self.successResultOf(self.access.end(cookie))

    def test_logout_at_once(self) -> None:
        """It is over before the disk knows it; where the disk cannot, one is told."""
        worker = SlowWorker()
        cookie = self.login()
        self.access = self.start(worker)
        ending = self.access.end(cookie)
        self.assertIsNone(self.access.session(cookie))
        self.assertNoResult(ending)
        with mock.patch("os.fsync", side_effect=OSError(errno.EROFS, "Read-only file system")):
            worker.work()
        self.failureResultOf(ending, LibraryError)
        self.assertIsNone(self.access.session(cookie))

    def test_many_logouts(self) -> None:
        """What is remembered of ended sessions is bounded; none of them ever comes back."""
        self.patch(access_module, "_MOST_ENDED", 3)
        cookies = [self.login() for _ in range(6)]
        for cookie in cookies[:4]:
            self.successResultOf(self.access.end(cookie))
        for access in (self.access, self.start()):
            self.assertEqual([access.session(each) for each in cookies], [None] * 6)
        cookie = self.login()
        self.successResultOf(self.access.end(cookie))
        self.assertEqual(len(json.loads((self.folder / "ended.json").read_text())), 1)
        self.assertIsNone(self.start().session(cookie))

    def test_changed_meanwhile(self) -> None:
        """Who logs in with a password that is being changed has gained nothing."""
        worker = SlowWorker()
        self.access = self.start(worker)
        logging_in = self.access.login(PASSWORD, HOME)
        self.set_password("badgers by day")
        worker.work()
        self.assertIsNone(self.access.session(self.successResultOf(logging_in)))


class GuestTests(AccessTestCase):
    """Who gave no password."""

    def test_guest(self) -> None:
        """It has a session for forms, and stays a guest; it ends when the password changes."""
        early = self.access.new_guest()
        self.assertTrue(self.session(early).guest)
        self.assertIsNone(self.access.session("m" + early[1:]))
        remove_password(self.folder)
        self.assertFalse(self.access.has_password)
        self.assertIsNone(self.access.session(early))
        cookie = self.access.new_guest()
        self.assertTrue(self.session(cookie).guest)
        self.assertEqual(self.session(cookie), self.start().session(cookie))
        self.successResultOf(self.access.end(cookie))
        self.failureResultOf(self.access.login(PASSWORD, HOME), ConfigError)
        self.set_password(PASSWORD)
        self.assertTrue(self.access.has_password)
        self.assertIsNone(self.access.session(cookie))

    def test_fresh_station(self) -> None:
        """Where there is nothing yet, what is needed is made, for nobody else to read."""
        self.folder = Path(self.mktemp()) / "new" / "web"
        access = self.start()
        self.assertFalse(access.has_password)
        self.assertFalse(self.folder.exists())
        self.assertIsNotNone(access.session(access.new_guest()))
        modes = {each.name: each.stat().st_mode & 0o777 for each in self.folder.iterdir()}
        self.assertEqual(modes, {"secret": 0o600, "lock": 0o600})


class AttemptTests(AccessTestCase):
    """How often one may try."""

    def fail(self, client: str = HOME) -> None:
        """Try a wrong one."""
        self.failureResultOf(self.access.login("wrong", client), WrongPassword)

    def refused(self, client: str = HOME, password: str = PASSWORD) -> int:
        """Try, and be refused; for so many seconds."""
        error = self.failureResultOf(self.access.login(password, client), TooManyAttempts).value
        self.assertIn(f"try again in {error.seconds} s", str(error))
        seconds: int = error.seconds
        return seconds

    def test_pauses(self) -> None:
        """After five failures one has to wait, also with the right one; another client has not."""
        for _ in range(5):
            self.fail()
        self.assertEqual(self.refused(), 1)
        self.login(client="192.0.2.8")
        self.now += 1
        self.fail()
        self.assertEqual(self.refused(), 2)
        self.now += 2
        self.login()
        for _ in range(5):
            self.fail()
        self.wall += 1_000_000  # this clock is no help
        self.assertEqual(self.refused(), 1)

    def test_one_network(self) -> None:
        """With all the addresses of an IPv6 network one gains nothing."""
        for number in range(5):
            self.fail(f"2001:db8::{number}")
        self.assertEqual(self.refused("2001:db8::aaaa"), 1)
        self.fail("2001:db8:0:1::1")

    def test_all_at_once(self) -> None:
        """Attempts that are still running count, also when nobody waits for them any more."""
        worker = SlowWorker()
        self.access = self.start(worker)
        attempts = [self.access.login(PASSWORD, HOME) for _ in range(5)]
        self.assertEqual(self.refused(), 1)
        self.assertEqual(worker.pending, 5)
        for attempt in attempts:
            attempt.cancel()
            self.failureResultOf(attempt, CancelledError)
        self.assertEqual(self.refused(), 1)
        waiting = self.access.login(PASSWORD, "192.0.2.8")
        worker.work()
        self.assertIsNotNone(self.access.session(self.successResultOf(waiting)))

    def test_all_together(self) -> None:
        """A thousand clients have thirty attempts a minute, and scrypt no more to do."""
        worker = SlowWorker()
        self.access = self.start(worker)
        attempts = [self.access.login("wrong", f"10.0.{n}.1") for n in range(30)]
        for n in range(30, 200):
            self.assertEqual(self.refused(f"10.0.{n}.1"), 60)
        self.assertEqual(worker.pending, 30)
        worker.work()
        for attempt in attempts:
            self.failureResultOf(attempt, WrongPassword)
        self.now += 60
        self.successResultOf(self.start().login(PASSWORD, "10.0.0.1"))


class FormTests(AccessTestCase):
    """What forms have to send along."""

    def test_csrf(self) -> None:
        """It is the session's, and nobody else's; nonsense is none."""
        first, second = self.session(self.login()), self.session(self.login())
        given = self.access.csrf(first)
        self.assertTrue(self.access.check_csrf(first, given))
        self.assertEqual(self.start().csrf(first), given)
        for session, wrong in ((second, given), (first, given[:-1]), (first, ""), (first, None),
                               (first, "ü"), (first, "\ud800"), (first, first.id)):  # fmt: skip
            self.assertFalse(self.access.check_csrf(session, wrong))


class TokenTests(AccessTestCase):
    """Machines."""

    def test_at_once(self) -> None:
        """A token works as soon as it was made, until it is taken back; and only itself."""
        self.assertIsNone(self.access.token("tc_x"))
        token = add_token(self.folder, "homeassistant")
        self.assertEqual(self.access.token(token), "homeassistant")
        for wrong in ("", token[:-1], token.upper(), "ü", "\ud800", PASSWORD):
            self.assertIsNone(self.access.token(wrong))
        remove_token(self.folder, "homeassistant")
        self.assertIsNone(self.access.token(token))


class DamageTests(AccessTestCase):
    """No damaged file opens the door."""

    def test_password(self) -> None:
        """No one gets in, and is told what to do, until it is set anew."""
        cookie = self.login()
        for text in ("", "\0", "scrypt$1$1$1$x$x\n", "x" * 1_000_000):
            self.write("password", text)
            for access in (self.access, self.start()):
                self.assertTrue(access.has_password)
                self.assertIsNone(access.session(cookie))
                error = self.failureResultOf(access.login(PASSWORD, HOME), LibraryError).value
                self.assertIn("trailcam passwd", str(error))
                self.assertRaises(LibraryError, access.new_guest)
        self.set_password(PASSWORD)
        self.assertIsNotNone(self.access.session(self.login()))

    def test_unreadable(self) -> None:
        """Another user's file, or a disk that is gone, is not a station without a password."""
        self.login()
        denied = PermissionError(errno.EACCES, "Permission denied")
        with mock.patch("pathlib.Path.stat", side_effect=denied):
            self.assertTrue(self.access.has_password)
            self.failureResultOf(self.access.login(PASSWORD, HOME), LibraryError)
        self.folder.rename(self.folder.with_name("unplugged"))
        self.assertTrue(self.access.has_password)
        self.assertRaises(LibraryError, self.access.new_guest)

    def test_secret(self) -> None:
        """It is made anew, and all sessions end."""
        for text in ("", "0" * 63, "\0" * 64, "ü", "A" * 64):
            cookie = self.login()
            path = self.write("secret", text)
            self.assertIsNone(self.access.session(cookie))
            self.assertIsNone(self.start().session(cookie))
            self.assertRegex(path.read_text(), r"^[0-9a-f]{64}\n$")
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertIsNotNone(self.access.session(self.login()))

    def test_ended(self) -> None:
        """Where nobody knows which sessions had ended, all have, once."""
        for text in ("", "{}", "[1]", '["x"]', "[" * 100_000, "\0"):
            first, second = self.login(), self.login()
            self.successResultOf(self.access.end(first))
            self.write("ended.json", text)
            self.access = self.start()
            self.assertEqual([self.access.session(each) for each in (first, second)], [None] * 2)
            third = self.login()
            self.assertIsNotNone(self.start().session(third))
            self.assertIsNone(self.start().session(first))

    def test_tokens(self) -> None:
        """None of them works."""
        token = add_token(self.folder, "homeassistant")
        self.write("tokens.json", "{")
        self.assertIsNone(self.access.token(token))

    def test_full_disk(self) -> None:
        """Where no secret can be made, there is one clear error, and no session."""
        cookie = self.login()
        (self.folder / "secret").unlink()
        session = self.start()
        with mock.patch("os.fsync", side_effect=OSError(errno.ENOSPC, "No space left on device")):
            self.assertIsNone(session.session(cookie))
            error = self.failureResultOf(session.login(PASSWORD, HOME), LibraryError).value
            self.assertIn("No space left", str(error))
