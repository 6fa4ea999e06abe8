"""Passwords and tokens as they are kept, and how often a password may be tried."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from base64 import b64encode
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from trailcam.errors import ConfigError, LibraryError
from trailcam.web.passwords import (
    hash_password,
    password_file,
    remove_password,
    set_password,
    verify,
)
from trailcam.web.private import Kept, changing, write_private
from trailcam.web.throttle import Throttle, client_of
from trailcam.web.tokens import add_token, find_token, remove_token, token_file, tokens


def cheap_line(password: str) -> str:
    """The line of a password with the smallest parameters that are taken."""
    salt = b"sixteen bytes of"
    hashed = hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=1, p=1, dklen=32)
    return f"scrypt$16384$1$1${b64encode(salt).decode()}${b64encode(hashed).decode()}"


class HashTests(TestCase):
    """One password, one line."""

    def test_there_and_back(self) -> None:
        """The right one is right, another is wrong; two lines of one password differ."""
        first, second = hash_password("owls at night"), hash_password("owls at night")
        self.assertRegex(first, r"^scrypt\$16384\$8\$5\$[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=$")
        self.assertNotEqual(first, second)
        self.assertTrue(verify("owls at night", first))
        self.assertFalse(verify("owls at nighT", first))

    def test_other_parameters(self) -> None:
        """The line says with which it was made; so they can change."""
        line = cheap_line("owls at night")
        self.assertTrue(verify("owls at night", line))
        self.assertFalse(verify("owls at noon", line))

    def test_typed_elsewhere(self) -> None:
        """One password, whichever way a device writes its letters."""
        self.assertTrue(verify("Mu\u0308cken am See", cheap_line("M\u00fccken am See")))

    def test_refused(self) -> None:
        """Too short, too long, no text: one line that says what to take instead."""
        for text, hint in (("", "at least 8"), ("7 signs", "at least 8"),
                           ("x" * 1025, "at most 1024"), ("ü" * 513, "at most 1024"),
                           ("\ud800" * 9, "letters")):  # fmt: skip
            error = self.assertRaises(ConfigError, hash_password, text)
            self.assertIn(hint, str(error))
            self.assertNotIn("\n", str(error))

    def test_endless(self) -> None:
        """What is too long is refused before it costs anything: to normalise it takes seconds."""
        endless = "a\u0315\u0300" * 20_000
        with mock.patch("unicodedata.normalize", side_effect=AssertionError("normalised")):
            self.assertFalse(verify(endless, cheap_line("owls at night")))
            self.assertRaises(ConfigError, hash_password, endless)

    def test_nonsense_is_wrong(self) -> None:
        """What can be no password is a wrong one, and costs nothing to find out."""
        line = cheap_line("owls at night")
        with mock.patch("hashlib.scrypt", side_effect=AssertionError):
            for text in ("\ud800owls at night", "x" * 1025, "x" * 1_000_000):
                self.assertFalse(verify(text, line))

    def test_damaged_lines(self) -> None:
        """A line that is none of ours is neither believed nor worked on, whatever it asks for."""
        good = cheap_line("owls at night")
        _, n, r, p, salt, hashed = good.split("$")
        # fmt: off
        lines = ["", "\n", "owls at night", good[:-1], good + "x", f"{good}\n\n", f" {good}",
                 good.replace("scrypt", "argon2"), f"scrypt${n}${r}${p}$${hashed}",
                 f"scrypt${n}${r}${p}${salt}$", f"scrypt${n}${r}${p}$YQ==${hashed}",
                 f"scrypt${n}${r}${p}${salt}$YQ==", f"scrypt${n}${r}${p}$a===${hashed}"]
        # fmt: on
        for n, r, p in (("16383", 8, 5), ("8192", 8, 5), ("0", 8, 5), ("16384", 0, 5),
                        ("16384", 8, 0), ("16384", 8, 99), ("16384", 99, 5), ("65536", 16, 1),
                        ("131072", 8, 1), ("9999999", 1, 1), ("١٦٣٨٤", 8, 5)):  # fmt: skip
            lines.append(f"scrypt${n}${r}${p}${salt}${hashed}")
        with mock.patch("hashlib.scrypt", side_effect=AssertionError):
            for line in lines:
                error = self.assertRaises(LibraryError, verify, "owls at night", line)
                self.assertIn("trailcam passwd", str(error))


class PrivateTests(TestCase):
    """Small files that nobody else may read."""

    def setUp(self) -> None:
        """A folder that is not there yet."""
        self.folder = Path(self.mktemp()) / "state" / "web"
        self.path = self.folder / "word"
        self.kept = Kept(self.path, str.strip, "mend it")

    def write(self, text: str) -> None:
        """Replace the file as the product does."""
        with changing(self.folder):
            write_private(self.path, text)

    def test_nobody_else(self) -> None:
        """Folder and files are the owner's alone, also where they were not, whatever the umask."""
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o755)
        self.path.write_text("old")
        self.path.chmod(0o644)
        self.path.with_name("word.part").write_text("left by one that was killed")
        old = os.umask(0)
        try:
            self.write("new")
        finally:
            os.umask(old)
        self.assertEqual(self.folder.stat().st_mode & 0o777, 0o700)
        modes = {each.name: each.stat().st_mode & 0o777 for each in self.folder.iterdir()}
        self.assertEqual(modes, {"word": 0o600, "lock": 0o600})

    def test_as_of_now(self) -> None:
        """Each change is seen, and nothing is read twice."""
        self.assertIsNone(self.kept.get())
        for text in ("one", "two", "six"):
            self.write(text)
            self.assertEqual(self.kept.get(), text)
            with mock.patch("pathlib.Path.open", side_effect=AssertionError):
                self.assertEqual(self.kept.get(), text)
        self.path.write_text("in place")
        self.assertEqual(self.kept.get(), "in place")
        self.path.unlink()
        self.assertIsNone(self.kept.get())

    def test_damage(self) -> None:
        """No text, far too large, a pipe, a folder, no permission: an error, and well again."""
        self.write("good")
        self.kept.get()
        self.path.write_bytes(b"\xff")
        for _ in range(2):
            self.assertIn("mend it", str(self.assertRaises(LibraryError, self.kept.get)))
        self.write("x" * 300_000)
        self.assertRaises(LibraryError, self.kept.get)
        self.path.unlink()
        os.mkfifo(self.path)
        self.assertRaises(LibraryError, self.kept.get)
        self.path.unlink()
        self.path.mkdir()
        self.assertRaises(LibraryError, self.kept.get)
        self.path.rmdir()
        self.write("good")
        denied = PermissionError(errno.EACCES, "Permission denied")
        with mock.patch("pathlib.Path.stat", side_effect=denied):
            self.assertIn("Permission denied", str(self.assertRaises(LibraryError, self.kept.get)))
        self.assertEqual(self.kept.get(), "good")

    def test_lost_disk(self) -> None:
        """A folder that is gone is an error; a file that is gone was taken away."""
        self.write("good")
        self.kept.get()
        self.folder.rename(self.folder.with_name("elsewhere"))
        for _ in range(2):
            self.assertIn("is gone", str(self.assertRaises(LibraryError, self.kept.get)))
        self.folder.with_name("elsewhere").rename(self.folder)
        self.assertEqual(self.kept.get(), "good")

    def test_cannot_write(self) -> None:
        """A full disk or a file in the way is one line, and what was there stays."""
        self.write("old")
        full = OSError(errno.ENOSPC, "No space left on device")
        with mock.patch("os.fsync", side_effect=full):
            self.assertIn("No space", str(self.assertRaises(LibraryError, self.write, "new")))
        self.assertEqual((self.kept.get(), sorted(os.listdir(self.folder))),
                         ("old", ["lock", "word"]))  # fmt: skip
        self.folder = self.path
        self.assertRaises(LibraryError, self.write, "new")


class KeptTests(TestCase):
    """The password and the tokens of a station."""

    def setUp(self) -> None:
        """A folder that is not there yet."""
        self.folder = Path(self.mktemp()) / "web"

    def test_password(self) -> None:
        """It is set, kept as a hash only, and taken away."""
        self.assertFalse(remove_password(self.folder))
        path = set_password(self.folder, "owls at night")
        self.assertEqual(path, self.folder / "password")
        self.assertNotIn("owls", path.read_text())
        self.assertTrue(verify("owls at night", password_file(self.folder).get() or ""))
        self.assertRaises(ConfigError, set_password, self.folder, "short")
        self.assertIsNotNone(password_file(self.folder).get(), "the old one stays")
        self.assertTrue(remove_password(self.folder))
        self.assertIsNone(password_file(self.folder).get())

    def test_tokens(self) -> None:
        """They are made, known by their text, listed without it, and taken back."""
        self.assertEqual(tokens(self.folder), [])
        garden, kitchen = add_token(self.folder, "garden"), add_token(self.folder, "Kitchen_2")
        self.assertRegex(garden, r"^tc_[A-Za-z0-9_-]{43}$")
        text = (self.folder / "tokens.json").read_text()
        self.assertNotIn(garden, text)
        self.assertEqual(json.loads(text)["garden"]["sha256"],
                         hashlib.sha256(garden.encode()).hexdigest())  # fmt: skip
        known = token_file(self.folder).get() or {}
        found = [find_token(known, each)
                 for each in (garden, kitchen, garden[:-1], "", "x" * 300, "\ud800")]  # fmt: skip
        self.assertEqual(found, ["garden", "Kitchen_2", None, None, None, None])
        listed = tokens(self.folder)
        self.assertEqual([name for name, _ in listed], ["Kitchen_2", "garden"])
        self.assertRegex(listed[0][1], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$")
        remove_token(self.folder, "garden")
        self.assertIsNone(find_token(token_file(self.folder).get() or {}, garden))

    def test_wrong_names(self) -> None:
        """A name that is none, or taken, or not there: what to do instead."""
        for name in ("", "a b", "-x", "x" * 33, "a\nb", "gärten"):
            error = self.assertRaises(ConfigError, add_token, self.folder, name)
            self.assertIn("cannot be a token's name", str(error))
        add_token(self.folder, "garden")
        error = self.assertRaises(ConfigError, add_token, self.folder, "garden")
        self.assertIn("trailcam token remove garden", str(error))
        error = self.assertRaises(ConfigError, remove_token, self.folder, "gardn")
        self.assertIn("there are garden", str(error))

    def test_damaged_tokens(self) -> None:
        """A file that is not what we wrote opens nothing, and is not written over."""
        token = add_token(self.folder, "garden")
        path = self.folder / "tokens.json"
        good = path.read_text()
        entry = json.loads(good)["garden"]
        for bad in ("", "[]", "{", "null", "[" * 100_000, '{"garden": 1}', '{"garden": {}}',
                    json.dumps({"a b": entry}), json.dumps({"a": {**entry, "sha256": "0" * 63}}),
                    json.dumps({"a": {**entry, "created": 1}}), good[:-3],
                    json.dumps({"a": {**entry, "created": "long ago"}})):  # fmt: skip
            path.write_text(bad)
            for attempt in (lambda: tokens(self.folder), lambda: add_token(self.folder, "x"),
                            lambda: remove_token(self.folder, "garden")):  # fmt: skip
                error = self.assertRaises(LibraryError, attempt)
                self.assertIn("delete it, and add the tokens anew", str(error))
            self.assertEqual(path.read_text(), bad)
        path.write_text(good)
        self.assertEqual(find_token(token_file(self.folder).get() or {}, token), "garden")


class ThrottleTests(TestCase):
    """How often a password may be tried."""

    def test_growing_pauses(self) -> None:
        """Five for nothing; then 1, 2, 4 … seconds, at most 15 minutes."""
        throttle, now, pauses = Throttle(), 1000.0, []
        for _ in range(20):
            self.assertEqual(throttle.begin("a", now), 0.0)
            if len(pauses) < 4:
                pauses.append(0.0)
                continue
            pauses.append(throttle.begin("a", now))
            now += pauses[-1]
        self.assertEqual(pauses[:8], [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 4.0, 8.0])
        self.assertEqual(pauses[-7:], [512.0] + [900.0] * 6)

    def test_waiting_costs_nothing(self) -> None:
        """To ask too early makes the pause no longer."""
        throttle = Throttle()
        for _ in range(5):
            self.assertEqual(throttle.begin("a", 0.0), 0.0)
        self.assertEqual([throttle.begin("a", 0.25) for _ in range(100)], [0.75] * 100)
        self.assertEqual(throttle.begin("a", 1.0), 0.0)
        self.assertEqual(throttle.begin("a", 1.0), 2.0)

    def test_right_one_forgives(self) -> None:
        """Who knew the password begins anew; others do not."""
        throttle = Throttle()
        for client in ("a", "b"):
            for _ in range(6):
                throttle.begin(client, 0.0)
        throttle.right("a")
        self.assertEqual((throttle.begin("a", 0.0), throttle.begin("b", 0.0)), (0.0, 1.0))

    def test_a_day_later(self) -> None:
        """What somebody mistyped is forgotten in the end."""
        throttle = Throttle()
        for _ in range(5):
            throttle.begin("a", 0.0)
        throttle.begin("a", 86402.0)
        self.assertEqual(throttle.begin("a", 86402.0), 0.0)

    def test_all_together(self) -> None:
        """However many clients there are: 30 attempts in any minute, and little memory."""
        throttle, times = Throttle(), []
        for step in range(5 * 60 * 100):
            now = step / 100
            if throttle.begin(f"client {step}", now) == 0.0:
                times.append(now)
        for index in range(len(times) - 30):
            self.assertGreater(times[index + 30] - times[index], 59.999)
        self.assertEqual(len(times), 150)
        for minute in range(100):
            for number in range(30):
                throttle.begin(f"{minute} {number}", 1000.0 + 60 * minute)
        self.assertEqual(len(throttle), 1000)

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 40)), max_size=200))
    def test_never_faster(self, attempts: list[tuple[int, float]]) -> None:
        """Whatever is tried, who was told to wait and waits so long may try."""
        throttle, now = Throttle(), 0.0
        for client, later in attempts:
            now += later
            wait = throttle.begin(str(client), now)
            self.assertLessEqual(wait, 900.0)
            if wait:
                now += wait + 1e-6
                self.assertEqual(throttle.begin(str(client), now), 0.0)

    def test_clients(self) -> None:
        """An IPv4 address is one client, and so is a whole /64 network of IPv6."""
        for address, client in (
            ("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("2001:db8:1:2::", "2001:db8:1:2::/64"),
            ("fe80::1%eth0", "fe80::/64"), ("::1", "::/64"), ("", "elsewhere"),
            ("/run/x.sock", "elsewhere"), ("a\nb" * 1000, "elsewhere"),
        ):  # fmt: skip
            self.assertEqual(client_of(address), client)
