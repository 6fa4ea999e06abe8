"""What C{tap.conf} means, and how it is refused when it means nothing."""

import os
import re
import subprocess
import sys
from dataclasses import fields, replace
from datetime import time
from pathlib import Path
from unittest import mock
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from trailcam.config import CameraConfig, Config, default_library, default_state, load, parse
from trailcam.configkeys import EXTRAS, KEYS, check_name, check_value
from trailcam.errors import ConfigError
from trailcam.firststeps import example
from trailcam.schedule import Schedule
from trailcam.target import Policy, Target

#: A commented key, as the example shows it.
COMMENTED = re.compile(r"^#(\w+) = (.*)$")


class ConfigCase(TestCase):
    """A test whose environment is its own."""

    def setUp(self) -> None:
        """Give the test a home folder and no systemd."""
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir()
        environment = mock.patch.dict(os.environ, {"HOME": str(self.home)})
        environment.start()
        self.addCleanup(environment.stop)
        for name in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
            os.environ.pop(name, None)

    def camera(self, *lines: str) -> CameraConfig:
        """The camera of a file with these lines in its section."""
        return parse("\n".join(["[camera garden]", *lines]), "tap.conf").cameras[0]

    def refusal(self, *lines: str) -> str:
        """The message that a file with these lines is refused with."""
        return str(self.assertRaises(ConfigError, parse, "\n".join(lines), "tap.conf"))


class MeaningTests(ConfigCase):
    """What a right file comes to."""

    def test_defaults(self) -> None:
        """A file that only names a camera is enough: everything else has its default."""
        self.assertEqual(
            parse("[camera garden]", "tap.conf"),
            Config(
                library=self.home / "Pictures/trailcam",
                state=self.home / ".local/state/trailcam",
                log_level="info",
                policy=Policy(),
                cameras=(
                    CameraConfig(
                        name="garden",
                        target=Target(name="garden"),
                        user="admin",
                        password="admin",
                        zone=None,
                        interval=3600.0,
                    ),
                ),
                warnings=(),
            ),
        )

    def test_everything(self) -> None:
        """Every key arrives where it belongs, minutes as seconds."""
        config = parse(
            """
            [trailcam]
            library = /pictures
            state = /memory
            log_level = DEBUG
            [connection]
            discovery = 4
            pauses = 1, 2 3.5
            total = 80
            silence = 6
            request = 7
            heartbeat = 2.5
            port_patience = 0
            [camera garden]
            address = 192.168.43.1:40611
            interface = 192.168.43.2
            broadcast = 192.168.43.255
            search_port = 1
            local_port = 65535
            user = me
            password = p#ss;w%rd = x
            zone = Europe/Paris
            interval = 1.5
            quiet = 22:00-05:30
            jitter = 2.5
            battery_floor = 30
            [camera Pond-2]
            interval = 0
            """,
            "tap.conf",
        )
        self.assertEqual((config.library, config.state), (Path("/pictures"), Path("/memory")))
        self.assertEqual(config.log_level, "debug")
        self.assertEqual(config.policy, Policy(4, (1, 2, 3.5), 80, 6, 7, 2.5, 0))
        garden, pond = config.cameras
        self.assertEqual(
            garden,
            CameraConfig(
                "garden",
                Target("192.168.43.1", 40611, "garden", "192.168.43.2", "192.168.43.255", 1, 65535),
                "me",
                "p#ss;w%rd = x",
                ZoneInfo("Europe/Paris"),
                90.0,
                (),
                (time(22), time(5, 30)),
                150.0,
                30,
            ),
        )
        self.assertEqual((pond.name, pond.interval), ("Pond-2", 0))

    def test_schedule(self) -> None:
        """The keys that say when make a schedule, in the station's zone, by default every hour."""
        self.assertEqual(self.camera().schedule, Schedule(interval=3600.0, seed="garden"))
        camera = self.camera("times = 0 6 * * *;  0 12 * * sun", "quiet = 22:00-05:30",
                             "jitter = 2", "battery_floor = 30", "zone = Asia/Kolkata")  # fmt: skip
        expected = Schedule(0.0, ("0 6 * * *", "0 12 * * sun"), (time(22), time(5, 30)), 120.0, 30,
                            None, "garden")  # fmt: skip
        self.assertEqual(camera.schedule, expected)
        self.assertEqual(replace(camera, interval=90.0, times=()).schedule.interval, 90.0)

    def test_after_visit(self) -> None:
        """Pictures stay on the card unless the file says otherwise; what else it says is wrong."""
        self.assertEqual(self.camera().after_visit, "keep")
        self.assertEqual(self.camera("after_visit = Delete").after_visit, "delete")
        self.assertEqual(self.camera("after_visit = keep").after_visit, "keep")
        self.assertEqual(self.refusal("[camera garden]", "after_visit = format"),
                         "tap.conf, line 2: after_visit must be keep or delete, not 'format'")

    def test_live_limit(self) -> None:
        """A live view is ended after ten minutes, or after as many as the file says."""
        self.assertEqual(self.camera().live_limit, 600.0)
        self.assertEqual(self.camera("live_limit = 1.5").live_limit, 90.0)
        for wrong in ("0", "1441", "never"):
            self.assertIn("live_limit must be a number from 1 to 1440",
                          self.refusal("[camera garden]", f"live_limit = {wrong}"))  # fmt: skip

    def test_dashes(self) -> None:
        """A key may be written with dashes, and is the same key; its line is still told."""
        camera = self.camera("after-visit = delete", "Local-Port = 4000", "battery-floor = 5")
        self.assertEqual((camera.after_visit, camera.target.local_port, camera.battery_floor),
                         ("delete", 4000, 5))  # fmt: skip
        self.assertIn("line 3: there is a second 'after_visit'",
                      self.refusal("[camera garden]", "after_visit = keep", "after-visit = keep"))
        self.assertIn("line 3: search_port must be a number",
                      self.refusal("[camera garden]", "", "search-port = x"))  # fmt: skip
        self.assertIn("'pot_gold' is not a key", self.refusal("[camera garden]", "pot-gold = 1"))

    def test_empty_value_is_the_default(self) -> None:
        """A key without a value is as good as no key."""
        text = "[camera garden]\n" + "\n".join(f"{key} =" for key in KEYS["camera"])
        self.assertEqual(parse(text, "tap.conf"), parse("[camera garden]", "tap.conf"))

    def test_address_without_port(self) -> None:
        """An address alone leaves the port open."""
        target = self.camera("address = 10.0.0.7").target
        self.assertEqual((target.host, target.port), ("10.0.0.7", None))

    def test_blank_left_when_uncommenting(self) -> None:
        """A key that still has a blank before it is a key, not more of the line before."""
        camera = self.camera("user = me", "  search_port = 7")
        self.assertEqual((camera.user, camera.target.search_port), ("me", 7))

    def test_other_editors(self) -> None:
        """A byte order mark and any line ends are fine."""
        for end in ("\n", "\r\n", "\r"):
            camera = parse(f"\ufeff[camera a]{end}user = me{end}", "tap.conf").cameras[0]
            self.assertEqual(camera.user, "me")

    def test_password_is_not_shown(self) -> None:
        """The password is in no repr, so in no log."""
        self.assertNotIn("secret", repr(parse("[camera a]\npassword = secret", "tap.conf")))

    def test_paths(self) -> None:
        """C{~} is the home folder, and a relative path counts from the file's folder."""
        config = parse(
            "[trailcam]\nlibrary = ~/a\nstate = b/c\n[camera x]", "/etc/trailcam/tap.conf"
        )
        self.assertEqual(config.library, self.home / "a")
        self.assertEqual(config.state, Path("/etc/trailcam/b/c"))
        here = parse("[trailcam]\nstate = b\n[camera x]", "tap.conf")
        self.assertEqual(here.state, Path("b").absolute())


class DefaultFolderTests(ConfigCase):
    """Where things go unless the file says otherwise."""

    def test_systemd(self) -> None:
        """Under systemd, the first of the service's state folders holds both."""
        os.environ["STATE_DIRECTORY"] = "/var/lib/trailcam:/var/lib/other"
        self.assertEqual(default_state(), Path("/var/lib/trailcam"))
        self.assertEqual(default_library(), Path("/var/lib/trailcam/library"))

    def test_xdg(self) -> None:
        """XDG_STATE_HOME counts when it is absolute, and not under systemd."""
        os.environ["XDG_STATE_HOME"] = "/state"
        self.assertEqual(default_state(), Path("/state/trailcam"))
        os.environ["XDG_STATE_HOME"] = "state"
        self.assertEqual(default_state(), self.home / ".local/state/trailcam")
        os.environ.update(STATE_DIRECTORY="/var/lib/trailcam", XDG_STATE_HOME="/state")
        self.assertEqual(default_state(), Path("/var/lib/trailcam"))

    def test_no_home(self) -> None:
        """Without a home folder, the message says what to set; set, nobody needs one."""
        self.patch(Path, "home", mock.Mock(side_effect=RuntimeError))
        self.assertIn("set library and state in tap.conf", self.refusal("[camera a]"))
        parse("[trailcam]\nlibrary = /a\nstate = /b\n[camera a]", "tap.conf")


class RefusalTests(ConfigCase):
    """What a wrong file is told: file, line, what is wrong, what to do."""

    def test_misspelt_key(self) -> None:
        """The key that was probably meant is named."""
        self.assertEqual(
            self.refusal("# mine", "", "[camera garden]", "adress = 10.0.0.1"),
            "tap.conf, line 4: 'adress' is not a key of [camera garden]; did you mean 'address'?",
        )

    def test_unknown_key(self) -> None:
        """When nothing comes near, the keys that there are are listed."""
        self.assertEqual(
            self.refusal("[trailcam]", "colour = red", "[camera a]"),
            "tap.conf, line 2: 'colour' is not a key of [trailcam],"
            " which has library, state, log_level, metrics_file, keep_free, keep_days",
        )

    def test_key_of_another_section(self) -> None:
        """A key in the wrong section is sent to the right one."""
        self.assertEqual(
            self.refusal("[camera a]", "library = /x"),
            "tap.conf, line 2: 'library' is not a key of [camera a]; it belongs to [trailcam]",
        )
        self.assertIn(
            "belongs to [camera NAME]", self.refusal("[trailcam]", "zone=x", "[camera a]")
        )

    def test_wrong_values(self) -> None:
        """For each kind of value, the message says what it must be and what it was."""
        long = "9" * 5000
        cases = {
            "search_port = x": "search_port must be a number from 1 to 65535, not 'x'",
            "local_port = 0": "local_port must be a number from 1 to 65535, not '0'",
            "local_port = 65536": "local_port must be a number from 1 to 65535, not '65536'",
            "local_port = 80.5": "local_port must be a number from 1 to 65535, not '80.5'",
            f"local_port = {long}": f"a number from 1 to 65535, not '{long[:60]}…'",
            "interval = -1": "interval must be a number from 0 to 43200, not '-1'",
            "interval = nan": "interval must be a number from 0 to 43200, not 'nan'",
            "interval = inf": "interval must be a number from 0 to 43200, not 'inf'",
            "times = 0 6 * * *; 0 25 * * *": "times must be cron expressions like 0 6,18 * * *,"
            " with ; between several, not '0 25 * * *' (bad hour)",
            "quiet = 22-5": "quiet must be from one time to another like 22:00-05:00, not '22-5'",
            "jitter = 1441": "jitter must be a number from 0 to 1440, not '1441'",
            "battery_floor = 20%": "battery_floor must be a number from 0 to 100, not '20%'",
            "address = garden.local": "address must be a camera's address like 192.168.43.1 or",
            "address = 10.0.0.1:0": "address must be a camera's address",
            "interface = wlan0": "interface must be an IPv4 address like",
            "zone = Europe/Pariss": "not 'Europe/Pariss'; did you mean 'Europe/Paris'?",
            "zone = America": "zone must be a time zone like Europe/Paris, not 'America'",
            "zone = ../../etc/passwd": "zone must be a time zone like Europe/Paris",
            "user = a\x00b": r"user must be text, not 'a\x00b'",
            "password_file = ~nobody-at-all/x": "whose ~ is the home folder of someone known",
        }
        for line, expected in cases.items():
            message = self.refusal("[camera a]", line)
            self.assertTrue(message.startswith("tap.conf, line 2: "), message)
            self.assertIn(expected, message)

    def test_wrong_values_of_the_station(self) -> None:
        """The other sections are checked as strictly."""
        cases = {
            ("trailcam", "log_level = warning"): "not 'warning'; did you mean 'warn'?",
            ("connection", "pauses = 1 two"): "pauses must be numbers from 0 to 3600 with blanks",
            ("connection", "discovery = 0"): "discovery must be a number from 0.1 to 600, not '0'",
        }
        for (section, line), expected in cases.items():
            message = self.refusal(f"[{section}]", line, "[camera a]")
            self.assertTrue(message.startswith("tap.conf, line 2: "), message)
            self.assertIn(expected, message)

    def test_wrong_sections(self) -> None:
        """A section is one of three kinds, and a camera's has a name."""
        cases = {
            "[conection]": "[conection] is not a section; did you mean 'connection'?",
            "[DEFAULT]": "there are [trailcam], [connection], [camera NAME], [web], [mqtt] and",
            "[Camera pond]": "[Camera pond] is not a section; did you mean 'camera'?",
            "[camera]": "the camera needs a name, like [camera garden]",
            "[camera my pond]": "'my pond' cannot be a camera's name",
            "[camera ../pond]": "'../pond' cannot be a camera's name",
            f"[camera {'x' * 33}]": "cannot be a camera's name",
            "[camera Garden]": "there is a second camera 'Garden'; capitals make no difference",
            "[camera  garden]": "there is a second camera 'garden'",
            "[camera garden]": "there is a second [camera garden]",
        }
        for section, expected in cases.items():
            message = self.refusal("[camera garden]", "", section)
            self.assertTrue(message.startswith("tap.conf, line 3: "), message)
            self.assertIn(expected, message)

    def test_not_ini(self) -> None:
        """Lines that are neither comment nor section nor key are refused, and not repeated."""
        message = self.refusal("[camera a]", "password hunter2")
        self.assertIn("line 2: this is neither a comment nor [section] nor key = value", message)
        self.assertNotIn("hunter2", message)
        self.assertIn("line 1: a section must come first", self.refusal("user = me"))
        self.assertIn("line 2: this is neither", self.refusal("[camera a]", "= 5"))
        self.assertIn("line 2: this is neither", self.refusal("[camera a]", "[camera b"))

    def test_twice(self) -> None:
        """A key that is there twice is refused, whatever its capitals."""
        self.assertEqual(
            self.refusal("[camera a]", "user = x", "User = y"),
            "tap.conf, line 3: there is a second 'user' in [camera a]",
        )

    def test_one_local_port_for_two(self) -> None:
        """Two cameras cannot be called from one port."""
        self.assertEqual(
            self.refusal("[camera a]", "local_port = 7", "[camera b]", "local_port = 7"),
            "tap.conf, line 4: local_port 7 is taken by [camera a]; choose another",
        )

    def test_two_schedules(self) -> None:
        """It is an interval or times, whichever is first."""
        for lines in (("interval = 5", "times = 0 6 * * *"), ("times = 0 6 * * *", "interval = 0")):
            message = self.refusal("[camera a]", *lines)
            self.assertRegex(message, r"^tap.conf, line [23]: give interval or times, not both$")

    def test_no_camera(self) -> None:
        """A station without a camera has nothing to do."""
        for text in ("", "# nothing", "[trailcam]"):
            self.assertIn("tap.conf names no camera", self.refusal(text))

    @settings(deadline=None, max_examples=200)
    @given(st.text(alphabet=st.sampled_from("[]camer =:#;\n\r\t\x00\x1b\x85\u2028x1.~/%$é")))
    def test_any_text(self, text: str) -> None:
        """Whatever the file holds, it is read or refused in one printable line."""
        try:
            parse("[camera a]\n" + text, "tap.conf")
        except ConfigError as error:
            self.assertTrue(str(error).isprintable(), str(error))

    @settings(deadline=None, max_examples=200)
    @given(st.sampled_from([(kind, key) for kind in KEYS for key in KEYS[kind]]), st.text())
    def test_any_value(self, where: tuple[str, str], text: str) -> None:
        """Whatever a value is, it is read or refused in one printable line."""
        try:
            check_value(*where, text)
        except ConfigError as error:
            self.assertTrue(str(error).isprintable(), str(error))

    def test_names(self) -> None:
        """The rule for names, for those who take one from elsewhere."""
        for name in ("garden", "a", "Pond_2-b", "_x", "7", "x" * 32):
            self.assertEqual(check_name(name), name)
        for name in ("", "-rf", "a b", "a/b", ".", "jardín", "x" * 33, "a\n"):
            self.assertRaises(ConfigError, check_name, name)


class FileTests(ConfigCase):
    """What the file system may do to us."""

    def setUp(self) -> None:
        """Choose a place for the file."""
        super().setUp()
        self.path = self.home / "tap.conf"

    def write(self, text: str, mode: int = 0o600) -> Path:
        """Write the file."""
        self.path.write_text(text, encoding="utf-8")
        self.path.chmod(mode)
        return self.path

    def refused(self, path: Path) -> str:
        """The message that loading is refused with: one line that names the file."""
        message = str(self.assertRaises(ConfigError, load, path))
        self.assertIn(str(path), message)
        self.assertEqual(len(message.splitlines()), 1)
        return message

    def test_loads(self) -> None:
        """A file is read, and its folder is where relative paths start."""
        config = load(self.write("[trailcam]\nlibrary = lib\n[camera a]"))
        self.assertEqual(config.library, self.home / "lib")

    def test_cannot_be_read(self) -> None:
        """No file, a folder, a file as a folder: each has its message."""
        self.assertIn("`trailcam init` writes one", self.refused(self.path))
        self.assertIn("is a folder", self.refused(self.home))
        self.write("[camera a]")
        self.assertIn("cannot be read: Not a directory", self.refused(self.path / "tap.conf"))

    def test_not_utf8(self) -> None:
        """The line that is not UTF-8 is named."""
        self.path.write_bytes(b"[camera a]\n\nuser = J\xfcrgen\n")
        self.assertIn("line 3: not UTF-8 text", self.refused(self.path))

    def test_wrong_line(self) -> None:
        """Messages name the file as it was named to us."""
        self.assertIn(
            f"{self.path}, line 2: 'x' is not", self.refused(self.write("[camera a]\nx=1"))
        )

    def test_open_password(self) -> None:
        """A password that every user can read deserves a warning, with its remedy."""
        text = "[camera a]\npassword = secret"
        self.assertEqual(load(self.write(text, 0o640)).warnings, ())
        (warning,) = load(self.write(text, 0o644)).warnings
        self.assertEqual(
            warning,
            f"every user can read the password of [camera a]: chmod o-r {self.path}",
        )
        self.assertEqual(load(self.write("[camera a]", 0o644)).warnings, ())

    def test_password_file(self) -> None:
        """The first line of the file is the password; others reading it is warned of."""
        secret = self.home / "a.password"
        secret.write_text("pass word \nnot this\n", encoding="utf-8")
        secret.chmod(0o600)
        config = load(self.write("[camera a]\npassword_file = a.password", 0o644))
        self.assertEqual((config.cameras[0].password, config.warnings), ("pass word ", ()))
        secret.chmod(0o604)
        (warning,) = load(self.path).warnings
        self.assertIn(f"of [camera a]: chmod o-r {secret}", warning)

    def test_bad_password_file(self) -> None:
        """A password file that gives no password is refused, at its line."""
        self.write("[camera a]\npassword_file = secret")
        secret = self.home / "secret"
        start = f"{self.path}, line 2: password_file {secret} "
        self.assertEqual(
            self.refused(self.path), f"{start}cannot be read: No such file or directory"
        )
        secret.write_bytes(b"\nlater")
        self.assertEqual(self.refused(self.path), f"{start}has no password in its first line")
        secret.write_bytes(b"\xff\xfe")
        self.assertEqual(self.refused(self.path), f"{start}is not UTF-8 text")
        secret.unlink()
        secret.mkdir()
        self.assertEqual(self.refused(self.path), f"{start}cannot be read: Is a directory")

    def test_two_passwords(self) -> None:
        """It is one or the other."""
        self.write("[camera a]\npassword = x\npassword_file = secret")
        self.assertIn("line 3: give password or password_file, not both", self.refused(self.path))


class RadioTests(TestCase):
    """What the sections say of waking and joining."""

    def one(self, *lines: str) -> tuple[CameraConfig, tuple[str, ...]]:
        """The only camera of a file, and the warnings."""
        config = parse("\n".join(("[camera garden]", *lines)), "tap.conf")
        return config.cameras[0], config.warnings

    def test_wake(self) -> None:
        """No, any camera, an address, or how a name begins; what is meant as an address is one."""
        for text, value in (("no", None), ("yes", ""), ("c6:1e:0d:00:12:34", "C6:1E:0D:00:12:34"),
                            ("KJK230", "KJK230")):  # fmt: skip
            camera, warnings = self.one(f"wake = {text}")
            self.assertEqual((camera.wake, warnings), (value, ()))
        self.assertRaises(ConfigError, self.one, "wake = C6:1E:0D:00:12")
        _, (warning,) = self.one("wake = ja")
        self.assertIn("trailcam scan", warning)

    def test_wifi(self) -> None:
        """A network to join is told by the camera that is woken, or by its owner."""
        self.assertRaises(ConfigError, self.one, "wifi = yes")
        camera, warnings = self.one("wifi = wlan1", "network = KJK_1234")
        self.assertEqual((camera.wifi, camera.network, warnings), ("wlan1", "KJK_1234", ()))
        self.assertEqual(self.one("wake = yes", "wifi = yes")[1], ())
        for lines in (("network = KJK",), ("network = KJK", "wake = yes", "wifi = yes")):
            self.assertEqual(len(self.one(*lines)[1]), 1)

    def test_whichever_is_seen_first(self) -> None:
        """Several cameras with wake = yes are a risk."""
        config = parse("[camera a]\nwake = yes\n[camera b]\nwake = yes", "tap.conf")
        self.assertIn("whichever is seen first", config.warnings[0])


class ExampleTests(ConfigCase):
    """The packaged C{tap.conf}."""

    def keys(self) -> list[tuple[str, str, str]]:
        """Its commented keys: kind of section, key, value."""
        found, kind = [], ""
        for line in example().splitlines():
            if line.startswith(("[", "#[")):  # what a section switches on is off at first
                kind = line.strip("#[]").split()[0]
            elif match := COMMENTED.match(line):
                found.append((kind, match[1], match[2]))
        return found

    def test_works_as_it_stands(self) -> None:
        """It has one camera that is searched for, and no surprises."""
        self.assertEqual(parse(example(), "tap.conf"), parse("[camera garden]", "tap.conf"))

    def test_explains_every_key(self) -> None:
        """Every key is there, in its section, once, with a comment above it."""
        everything = [(kind, key) for kind in KEYS for key in KEYS[kind]]
        self.assertEqual([(kind, key) for kind, key, _ in self.keys()], everything)
        before = ""
        for line in example().splitlines():
            if (match := COMMENTED.match(line)) and match[1] != "password":
                self.assertTrue(before.startswith("# "), f"no comment above {line}")
            before = line

    def test_uncommented(self) -> None:
        """Each key works when its # is taken away, and shows the default if there is one."""
        for name in ("garden.password", "garden.network", "mqtt.password", "webhook.token"):
            (self.home / name).write_text("x")
            (self.home / name).chmod(0o600)
        plain = parse(example(), str(self.home / "tap.conf"))
        samples = {"address", "interface", "broadcast", "local_port", "password_file", "zone",
                   "times", "quiet", "network", "network_password_file",
                   "metrics_file"}  # fmt: skip
        for kind, key, value in self.keys():
            text = example().replace(f"\n#{key} = {value}", f"\n{key} = {value}")
            text = text.replace(f"\n#[{kind}]", f"\n[{kind}]")
            self.assertNotEqual(text, example())
            config = parse(text, str(self.home / "tap.conf"))
            self.assertEqual(config != plain, key in samples or kind in EXTRAS, key)

    def test_knows_what_can_be_said(self) -> None:
        """No field of Target or Policy was forgotten."""
        here = {"host", "port", "name"}  # said by address, and by the section
        self.assertEqual({field.name for field in fields(Policy)}, set(KEYS["connection"]))
        self.assertLessEqual({field.name for field in fields(Target)} - here, set(KEYS["camera"]))


class WeightTests(TestCase):
    """What reading a file costs."""

    def test_imports(self) -> None:
        """Neither Twisted nor PyAV is loaded, so that --help is instant."""
        code = (
            "import sys, trailcam.config, trailcam.firststeps, trailcam.doctor;"
            "print([m for m in ('twisted', 'av', 'ifaddr', 'zope.interface') if m in sys.modules])"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment
        )
        self.assertEqual((done.stdout.strip(), done.stderr), ("[]", ""))
