"""C{trailcam doctor}: what it finds, and how it tells."""

import configparser
import io
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from ipaddress import IPv4Interface
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from twisted.trial.unittest import TestCase

import trailcam
from trailcam import checks, doctor
from trailcam.checks import CHECKS, PACKAGES, Finding, Station
from trailcam.config import parse
from trailcam.networks import Network
from trailcam.portmemory import PortMemory, Remembered

FULL = shutil.disk_usage(".")._replace(free=10**8)


class DoctorCase(TestCase):
    """A test with folders of its own."""

    def setUp(self) -> None:
        """Make a C{tap.conf} whose folders do not exist yet."""
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir()
        self.path = self.home / "tap.conf"
        self.write("[camera garden]")

    def write(self, cameras: str) -> None:
        """Write the C{tap.conf}."""
        self.path.write_text(f"[trailcam]\nlibrary = lib\nstate = state\n{cameras}")

    def station(self, cameras: str = "[camera garden]") -> Station:
        """What there is to check with these cameras."""
        config = parse(cameras, str(self.path))
        return Station(config, self.home / "lib", self.home / "state")

    def one(self, findings: Iterator[Finding]) -> Finding:
        """The only finding."""
        (finding,) = findings
        return finding

    def networks(self, *networks: str) -> None:
        """Put this computer on these networks."""
        found = [Network(f"wlan{n}", IPv4Interface(one)) for n, one in enumerate(networks)]
        self.patch(checks, "local_networks", lambda: found)


class InstallationTests(DoctorCase):
    """Python, packages and PyAV."""

    def test_python(self) -> None:
        """Our version and Python's are told."""
        finding = self.one(checks.check_python(self.station()))
        self.assertEqual(finding.status, "ok")
        self.assertIn(f"trailcam {trailcam.__version__} on Python 3.", finding.text)

    def test_packages(self) -> None:
        """All packages are told with their versions."""
        finding = self.one(checks.check_packages(self.station()))
        self.assertEqual(finding.status, "ok")
        for package in PACKAGES:
            self.assertRegex(finding.text, rf"\b{re.escape(package)} \d")

    def test_missing_package(self) -> None:
        """What is missing is named, with the command that installs it."""
        real = metadata.version

        def version(name: str) -> str:
            if name in ("av", "dpkt"):
                raise metadata.PackageNotFoundError(name)
            return real(name)

        self.patch(metadata, "version", version)
        finding = self.one(checks.check_packages(self.station()))
        self.assertEqual((finding.status, finding.text), ("problem", "not installed: av, dpkt"))
        self.assertTrue(str(finding.mend).endswith(" -m pip install av dpkt"))

    def test_packages_are_those_of_setup_cfg(self) -> None:
        """The list of packages and C{setup.cfg} do not drift apart."""
        setup = configparser.ConfigParser()
        file = Path(__file__).parent.parent / "setup.cfg"
        setup.read(file)
        wanted = [line.split()[0] for line in setup["options"]["install_requires"].split("\n")[1:]]
        self.assertEqual(list(PACKAGES), wanted)

    def test_video(self) -> None:
        """PyAV is there and writes MP4."""
        finding = self.one(checks.check_video(self.station()))
        self.assertEqual((finding.name, finding.status), ("video", "ok"))

    def test_no_video(self) -> None:
        """A PyAV that cannot be loaded, or knows no MP4, is a problem."""
        for av, expected in (
            (None, "cannot be loaded"),
            (SimpleNamespace(formats_available=set(), __version__="1"), "cannot write MP4"),
        ):
            with mock.patch.dict("sys.modules", {"av": av}):
                finding = self.one(checks.check_video(self.station()))
            self.assertEqual(finding.status, "problem")
            self.assertIn(expected, finding.text)
            self.assertIn("pip install", str(finding.mend))


class FolderTests(DoctorCase):
    """The library and the state folder."""

    def test_not_there_yet(self) -> None:
        """Folders that will be made are fine, and looking makes nothing."""
        library, state = checks.check_folders(self.station())
        self.assertEqual((library.name, library.status), ("library", "ok"))
        self.assertEqual((state.name, state.status), ("state", "ok"))
        self.assertIn(f"{self.home / 'lib'} (will be made), ", library.text)
        self.assertEqual(list(self.home.iterdir()), [self.path])

    def test_there(self) -> None:
        """A folder that is there is written to, and nothing stays behind."""
        folder = self.home / "lib"
        folder.mkdir()
        with mock.patch.object(tempfile, "TemporaryFile", wraps=tempfile.TemporaryFile) as made:
            finding, _ = checks.check_folders(self.station())
        self.assertEqual(made.call_args_list[0], mock.call(dir=folder))
        self.assertNotIn("will be made", finding.text)
        self.assertRegex(finding.text, r", \d+\.\d GB free$")
        self.assertEqual(list(folder.iterdir()), [])

    def test_not_a_folder(self) -> None:
        """A file where the folder should be, or a link to nowhere, is a problem."""
        (self.home / "lib").write_text("")
        (self.home / "state").symlink_to("nowhere")
        library, state = checks.check_folders(self.station())
        self.assertEqual((library.status, state.status), ("problem", "problem"))
        self.assertIn("lib cannot be written: Not a directory", library.text)
        self.assertIn("set library in tap.conf", str(library.mend))
        self.assertIn("set state in tap.conf", str(state.mend))

    def test_cannot_be_written(self) -> None:
        """What the system says when we write is what we say."""
        error = PermissionError(13, "Permission denied")
        self.patch(tempfile, "TemporaryFile", mock.Mock(side_effect=error))
        library, _ = checks.check_folders(self.station())
        self.assertEqual(library.status, "problem")
        self.assertIn("cannot be written: Permission denied", library.text)

    def test_write_fails(self) -> None:
        """A disk that only fails when the bytes go to it is found out."""
        self.patch(os, "fsync", mock.Mock(side_effect=OSError(5, "Input/output error")))
        library, _ = checks.check_folders(self.station())
        self.assertIn("cannot be written: Input/output error", library.text)

    def test_little_space(self) -> None:
        """Less than a gigabyte free is a warning."""
        self.patch(shutil, "disk_usage", lambda path: FULL)
        library, _ = checks.check_folders(self.station())
        self.assertEqual(library.status, "warning")
        self.assertTrue(library.text.endswith("0.1 GB free"))
        self.assertIn("make room", str(library.mend))


class PortTests(DoctorCase):
    """The ports that cameras know us by."""

    def setUp(self) -> None:
        """Hold a port."""
        super().setUp()
        self.held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.held.close)
        self.held.bind(("127.0.0.1", 0))
        self.port = self.held.getsockname()[1]
        self.memory = PortMemory(self.home / "state")

    def test_none(self) -> None:
        """Before the first call there is nothing to find."""
        finding = self.one(checks.check_ports(self.station()))
        self.assertEqual((finding.status, finding.text), ("ok", "none remembered yet"))

    def test_taken_and_free(self) -> None:
        """A port that somebody holds is a warning; let go, it is free, and we let go too."""
        self.memory.remember("garden", Remembered(self.port))
        finding = self.one(checks.check_ports(self.station()))
        self.assertEqual(finding.status, "warning")
        self.assertIn(f"{self.port}, which garden knows, cannot be used now", finding.text)
        self.assertIn(f"ss -ulpn sport = :{self.port}", str(finding.mend))
        self.held.close()
        for _ in range(2):
            finding = self.one(checks.check_ports(self.station()))
            self.assertEqual(finding.status, "ok")
            self.assertEqual(finding.text, f"{self.port}, which garden knows, is free")

    def test_names(self) -> None:
        """The camera is named as it is called, not as its file is."""
        self.memory.remember("back yard/2", Remembered(self.port))
        finding = self.one(checks.check_ports(self.station()))
        self.assertIn("which back yard/2 knows", finding.text)

    def test_fixed_port(self) -> None:
        """A port fixed in C{tap.conf} is checked too, once."""
        self.memory.remember("garden", Remembered(self.port))
        station = self.station(f"[camera garden]\nlocal_port = {self.port}")
        self.assertEqual(self.one(checks.check_ports(station)).status, "warning")

    def test_damaged(self) -> None:
        """Files that hold no port are warned of, and never trip us."""
        folder = self.home / "state" / "ports"
        folder.mkdir(parents=True)
        for n, text in enumerate(
            (
                "",
                "{",
                "[]",
                "{}",
                '{"port": "x"}',
                '{"port": true}',
                '{"port": 0}',
                '{"port": 65536}',
                '{"port": 1.5}',
                "[" * 60000,
                "\x00",
            )
        ):
            (folder / f"{n}.json").write_text(text)
        (folder / "a folder.json").mkdir()
        (folder / "half.1234.part").write_text("")
        *damaged, last = checks.check_ports(self.station())
        self.assertEqual(len(damaged), 12)
        self.assertEqual({finding.status for finding in damaged}, {"warning"})
        self.assertEqual(damaged[0].mend, f"rm {folder}/0.json")
        self.assertEqual(damaged[-1].mend, f"rm '{folder}/a folder.json'")
        self.assertEqual(last.text, "none remembered yet")


class SystemTests(DoctorCase):
    """Buffer, network, clock and zone."""

    def given(self, size: int) -> Finding:
        """The finding when the kernel gives a receive buffer of so many bytes."""
        factor = 2 if sys.platform == "linux" else 1
        with mock.patch.object(socket.socket, "getsockopt", lambda *_: size * factor):
            return self.one(checks.check_buffer(self.station()))

    def test_buffer(self) -> None:
        """A mebibyte is enough; a Linux default is not, and the mend is a sysctl."""
        self.assertEqual(self.given(1 << 20).status, "ok")
        finding = self.given(212992)
        self.assertEqual(finding.status, "warning")
        self.assertIn("208 KiB", finding.text)
        self.assertIn("net.core.rmem_max=1048576", str(finding.mend))

    def test_real_buffer(self) -> None:
        """What this kernel gives is told, whatever it is."""
        finding = self.one(checks.check_buffer(self.station()))
        self.assertRegex(finding.text, r"^\d+ KiB for datagrams that wait")

    def test_on_the_cameras_network(self) -> None:
        """The interface that is on the camera's own network is named."""
        self.networks("10.0.0.5/24", "192.168.43.23/24")
        finding = self.one(checks.check_network(self.station()))
        self.assertEqual(finding.status, "ok")
        self.assertEqual(finding.text, "wlan1 (192.168.43.23/24) is on the network of 192.168.43.1")

    def test_not_on_the_cameras_network(self) -> None:
        """Elsewhere, the mend names the network to join."""
        for networks in ([], ["10.0.0.5/24"]):
            self.networks(*networks)
            finding = self.one(checks.check_network(self.station()))
            self.assertEqual(
                (finding.status, finding.text), ("warning", "not on a camera's network")
            )
            self.assertIn("KJK_", str(finding.mend))

    def test_cameras_elsewhere(self) -> None:
        """An address or a broadcast address in C{tap.conf} is what counts, each once."""
        self.networks("10.0.0.5/24")
        cameras = (
            "[camera a]\naddress = 10.0.0.9:40611\n[camera b]\nbroadcast = 10.0.0.255\n"
            "[camera c]\naddress = 10.1.0.9\n[camera d]\naddress = 10.1.0.9\n"
            "[camera e]\naddress = 127.0.0.1"
        )
        found = list(checks.check_network(self.station(cameras)))
        self.assertEqual([finding.status for finding in found], ["ok", "ok", "warning", "ok"])
        self.assertEqual(found[2].text, "not on the network of 10.1.0.9")

    def test_interface(self) -> None:
        """An interface in C{tap.conf} that is not ours is a warning."""
        self.networks("192.168.43.23/24")
        for own, count in (("192.168.43.23", 1), ("192.168.43.2", 2)):
            found = list(checks.check_network(self.station(f"[camera a]\ninterface = {own}")))
            self.assertEqual(len(found), count)
        self.assertEqual(found[1].text, "no interface has 192.168.43.2 now")
        self.assertIn("[camera a]", str(found[1].mend))

    def test_clock(self) -> None:
        """A clock that was never set is a problem: the camera would be set by it."""
        self.assertEqual(self.one(checks.check_clock(self.station())).status, "ok")
        self.patch(time, "time", lambda: 86400.0 * 365)
        finding = self.one(checks.check_clock(self.station()))
        self.assertEqual(finding.status, "problem")
        self.assertIn("1971-01-01", finding.text)
        self.assertIn("date -s", str(finding.mend))

    def zone(self, name: str | None, cameras: str = "[camera a]") -> Finding:
        """The finding when C{TZ} is this; without one, when the system has none either."""
        change = {"TZ": name} if name is not None else {}
        try:
            with (
                mock.patch.dict(os.environ, change),
                mock.patch("os.path.exists", lambda path: False),
            ):
                if name is None:
                    os.environ.pop("TZ", None)
                time.tzset()
                return self.one(checks.check_zone(self.station(cameras)))
        finally:
            time.tzset()

    def test_zone(self) -> None:
        """A zone by name, or written out, is known."""
        for name in ("Europe/Paris", ":Europe/Paris", "CET-1CEST,M3.5.0,M10.5.0/3", "UTC"):
            self.assertEqual(self.zone(name).status, "ok", name)
        self.assertRegex(self.zone("Europe/Paris").text, r"^CES?T, UTC\+0[12]00$")

    def test_no_zone(self) -> None:
        """No zone, or one that does not exist, is a warning."""
        for name in (None, "Europe/Pariss", ""):
            finding = self.zone(name)
            self.assertEqual(finding.status, "warning", name)
            self.assertIn("set zone in tap.conf", str(finding.mend))

    def test_cameras_have_zones(self) -> None:
        """No zone is fine as soon as every camera has its own."""
        own = "[camera a]\nzone = Europe/Paris"
        self.assertEqual(self.zone(None, own).status, "ok")
        self.assertEqual(self.zone(None, f"{own}\n[camera b]").status, "warning")


class TellingTests(DoctorCase):
    """What C{run} prints, and what it ends with."""

    def setUp(self) -> None:
        """Let everything be well, unless a test says otherwise."""
        super().setUp()
        self.out = io.StringIO()
        self.findings = [Finding("buffer", "ok", "fine")]
        self.patch(doctor, "CHECKS", (checks.check_folders, lambda station: iter(self.findings)))
        environment = mock.patch.dict(os.environ)
        environment.start()
        self.addCleanup(environment.stop)
        os.environ.pop("NO_COLOR", None)

    def run_text(self) -> str:
        """Run for a person."""
        self.status = doctor.run(self.path, as_json=False, out=self.out)
        return self.out.getvalue()

    def run_json(self) -> list[dict[str, object]]:
        """Run for a program."""
        self.status = doctor.run(self.path, as_json=True, out=self.out)
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    def test_all_is_well(self) -> None:
        """Aligned lines, one for each finding, and a summary."""
        lines = self.run_text().splitlines()
        self.assertEqual(self.status, 0)
        self.assertEqual(lines[0], f"✓ config    {self.path} names garden")
        self.assertTrue(lines[1].startswith(f"✓ library   {self.home}/lib "))
        self.assertEqual(lines[3:], ["✓ buffer    fine", "All is well."])

    def test_problems(self) -> None:
        """The mend stands under its finding, and the summary counts."""
        self.findings += [
            Finding("clock", "problem", "wrong", "set it"),
            Finding("network", "warning", "none", "join it"),
            Finding("ports", "warning", "none", "free it"),
        ]
        lines = self.run_text().splitlines()
        self.assertEqual(self.status, 1)
        self.assertEqual(lines[4:8], [
            "✗ clock     wrong",
            "            → set it",
            "! network   none",
            "            → join it",
        ])  # fmt: skip
        self.assertEqual(lines[-1], "1 problem and 2 warnings; what follows the arrow mends it.")

    def test_only_warnings(self) -> None:
        """Warnings do not fail."""
        self.findings = [Finding("network", "warning", "none", "join it")]
        self.assertIn("\n1 warning; what", self.run_text())
        self.assertEqual(self.status, 0)

    def test_json(self) -> None:
        """An object for each finding, and one at the end."""
        self.findings = [Finding("clock", "problem", "wrong", "set it")]
        *found, last, done = self.run_json()
        self.assertEqual(
            last,
            {
                "event": "check",
                "name": "clock",
                "status": "problem",
                "text": "wrong",
                "mend": "set it",
            },
        )
        self.assertEqual(done, {"event": "done", "problems": 1, "warnings": 0})
        self.assertEqual([one["name"] for one in found], ["config", "library", "state"])
        self.assertIsNone(found[0]["mend"])
        self.assertEqual(self.status, 1)

    def test_wrong_config(self) -> None:
        """It ends with 2, nobody guesses at folders, and the rest is checked all the same."""
        self.path.write_text("[camera garden]\nadress = 1")
        config, buffer, done = self.run_json()
        self.assertEqual(config["status"], "problem")
        self.assertIn("line 2: 'adress' is not a key", str(config["text"]))
        self.assertEqual((buffer["name"], done["problems"]), ("buffer", 1))
        self.assertEqual(self.status, 2)

    def test_no_config_where_named(self) -> None:
        """A file that was named and is not there is wrong, too."""
        self.path.unlink()
        self.assertIn("✗ config    there is no ", self.run_text())
        self.assertEqual(self.status, 2)

    def test_no_config_here(self) -> None:
        """Before the first C{tap.conf}, the default folders are looked at."""
        os.environ["STATE_DIRECTORY"] = str(self.home / "service")
        self.patch(doctor, "HERE", self.home / "none.conf")
        status = doctor.run(None, as_json=False, out=self.out)
        told = self.out.getvalue()
        self.assertIn("! config    no tap.conf here\n            → trailcam init\n", told)
        self.assertIn(f"✓ library   {self.home}/service/library ", told)
        self.assertEqual(status, 0)

    def test_config_here(self) -> None:
        """Without a name, it is the C{tap.conf} of this folder."""
        self.patch(doctor, "HERE", self.path)
        doctor.run(None, as_json=False, out=self.out)
        self.assertIn(f"✓ config    {self.path} names garden", self.out.getvalue())

    def test_config_warnings(self) -> None:
        """What is unwise in C{tap.conf} is a warning, with its remedy as the mend."""
        self.write("[camera garden]\npassword = secret")
        self.path.chmod(0o644)
        warning = self.run_json()[1]
        self.assertEqual((warning["name"], warning["status"]), ("config", "warning"))
        self.assertEqual(warning["text"], "every user can read the password of [camera garden]")
        self.assertEqual(warning["mend"], f"chmod o-r {self.path}")

    def test_unusable_folder(self) -> None:
        """It ends with 5, whatever else is wrong, unless C{tap.conf} is."""
        (self.home / "lib").write_text("")
        self.findings = [Finding("clock", "problem", "wrong", "set it")]
        self.run_text()
        self.assertEqual(self.status, 5)

    def test_failing_check(self) -> None:
        """A check that raises is a finding, not a traceback."""

        def check_moon(station: Station) -> Iterator[Finding]:
            yield Finding("moon", "ok", "there")
            raise ValueError("eclipse")

        self.patch(doctor, "CHECKS", (check_moon, lambda station: iter(self.findings)))
        found = [(one.get("name"), one.get("text")) for one in self.run_json()[1:-1]]
        self.assertEqual(found, [
            ("moon", "there"),
            ("moon", "this check itself failed: ValueError: eclipse"),
            ("buffer", "fine"),
        ])  # fmt: skip
        self.assertEqual(self.status, 1)

    def test_colour(self) -> None:
        """Marks are coloured on a terminal, unless NO_COLOR asks for none."""
        self.assertNotIn("\x1b", self.run_text())
        self.out.isatty = lambda: True  # type: ignore[method-assign]
        self.assertIn("\x1b[32m✓\x1b[0m buffer    fine", self.run_text())
        os.environ["NO_COLOR"] = "1"
        self.out.truncate(0)
        self.assertNotIn("\x1b", self.run_text())

    def test_ascii(self) -> None:
        """Where only ASCII can be shown, only ASCII is: aligned still, the rest escaped."""
        raw = io.BytesIO()
        out = io.TextIOWrapper(raw, encoding="ascii")
        self.findings = [
            Finding("ports", "warning", "Jürgen knows", "end it"),
            Finding("clock", "problem", "wrong"),
        ]
        doctor.run(self.path, as_json=False, out=out)
        out.flush()
        lines = raw.getvalue().decode("ascii").splitlines()
        self.assertTrue(lines[0].startswith("+ config    "))
        self.assertEqual(lines[3:6], [
            "! ports     J\\xfcrgen knows",
            "            -> end it",
            "x clock     wrong",
        ])  # fmt: skip


class WholeTests(DoctorCase):
    """All checks together, on this computer."""

    def test_sends_nothing(self) -> None:
        """No check sends a datagram, connects, or leaves anything behind."""

        def refuse(*arguments: object) -> None:
            raise AssertionError("a check sent something")

        verbs = ("send", "sendto", "sendall", "sendmsg", "connect", "connect_ex")
        silent = type("Silent", (socket.socket,), dict.fromkeys(verbs, refuse))
        self.patch(socket, "socket", silent)
        out = io.StringIO()
        doctor.run(self.path, as_json=True, out=out)
        found = [json.loads(line) for line in out.getvalue().splitlines()]
        self.assertNotIn("itself failed", out.getvalue())
        self.assertEqual(list(self.home.iterdir()), [self.path])
        names = ["config", "python", "packages", "library", "state", "tidy", "ports", "buffer",
                 "network", "clock", "zone", "video"]  # fmt: skip
        self.assertEqual([one["name"] for one in found[:-1]], names)
        self.assertEqual(found[-1]["event"], "done")

    def test_findings_are_one_line(self) -> None:
        """Every check is listed, and what it says fits a line and the column of names."""
        self.assertEqual(
            [check.__name__ for check in CHECKS],
            [name for name in vars(checks) if name.startswith("check_")],
        )
        for check in CHECKS:
            for finding in check(self.station()):
                self.assertLessEqual(len(finding.name), 9)
                self.assertEqual(len(f"{finding.text} {finding.mend}".splitlines()), 1)
                self.assertEqual(finding.mend is None, finding.status == "ok")
