"""
What C{contrib/} has for a system: a unit, a user, and what that user may do.

Nothing is installed or started; what a test needs and is not there, it is skipped without.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SkipTest, TestCase

from trailcam.config import parse

ROOT = Path(__file__).resolve().parent.parent
CONTRIB = ROOT / "contrib"
GUIDE = ROOT / "docs" / "raspberry-pi.md"
#: What polkit would answer, asked by nobody: a stub of its one global object.
STUB = """
let rule;
const polkit = {addRule: given => { rule = given; }, Result: {YES: "yes", NOT_HANDLED: null}};
%s
const said = JSON.parse(process.argv[1]).map(([id, user]) => rule({id}, {user}) ?? null);
console.log(JSON.stringify(said));
"""


def needed(tool: str) -> str:
    """A program's path."""
    path = shutil.which(tool)
    if path is None:
        raise SkipTest(f"needs {tool}")
    return path


def output(*command: str) -> str:
    """What a program says; it must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)
    return done.stdout + done.stderr


class ContribTests(TestCase):
    """Each file does what it is for."""

    def test_polkit_rule(self) -> None:
        """Our user may do the three things that joining needs, and nothing else; others, none."""
        actions = "network-control", "wifi.scan", "settings.modify.system"
        manager = "org.freedesktop.NetworkManager"
        asked = [(f"{manager}.{action}", "trailcam") for action in actions]
        asked += [(f"{manager}.{action}", user) for action in actions for user in ("pi", "trail")]
        asked += [(f"{manager}.{other}", "trailcam") for other in ("reload", "wifi.share.open")]
        asked += [("org.freedesktop.systemd1.manage-units", "trailcam")]
        rule = (CONTRIB / "50-trailcam.rules").read_text("utf-8")
        said = output(needed("node"), "-e", STUB % rule, json.dumps(asked))
        self.assertEqual(json.loads(said), ["yes"] * 3 + [None] * (len(asked) - 3))

    def test_unit(self) -> None:
        """systemd understands every line, and finds it well locked up."""
        analyze = needed("systemd-analyze")
        unit = Path(self.mktemp()).absolute() / "trailcam.service"
        unit.parent.mkdir()
        text = (CONTRIB / unit.name).read_text("utf-8")
        unit.write_text(text.replace("/opt/trailcam/bin/twistd", sys.executable))
        said = output(analyze, "verify", "--man=no", "--recursive-errors=no", str(unit))
        self.assertEqual(said, "")
        said = output(analyze, "security", "--offline=yes", "--threshold=20", str(unit))
        self.assertIn("Overall exposure level", said)

    def test_user(self) -> None:
        """The user is made, without a shell, and is in the group of Bluetooth."""
        make = needed("systemd-sysusers")
        root = Path(self.mktemp()).absolute()
        (root / "etc" / "sysusers.d").mkdir(parents=True)
        shutil.copy(CONTRIB / "trailcam.sysusers", root / "etc" / "sysusers.d" / "trailcam.conf")
        output(make, f"--root={root}")
        user = (root / "etc" / "passwd").read_text().strip()
        self.assertRegex(user, r"^trailcam:.*:/var/lib/trailcam:/usr/sbin/nologin$")
        self.assertRegex((root / "etc" / "group").read_text(), r"(?m)^bluetooth:.*:trailcam$")

    def test_one_user(self) -> None:
        """Unit, user and rule mean the same one."""
        self.assertIn("\nUser=trailcam\n", (CONTRIB / "trailcam.service").read_text("utf-8"))
        self.assertIn("\nu trailcam ", (CONTRIB / "trailcam.sysusers").read_text("utf-8"))
        rule = (CONTRIB / "50-trailcam.rules").read_text("utf-8")
        self.assertIn('subject.user == "trailcam"', rule)


class GuideTests(TestCase):
    """C{docs/raspberry-pi.md} says what is so."""

    def setUp(self) -> None:
        self.guide = GUIDE.read_text("utf-8")

    def test_files(self) -> None:
        """What is to be pasted without a checkout is what the checkout has."""
        pasted = dict(re.findall(r"(?m)^sudo tee (\S+) > /dev/null <<'END'\n((?s:.*?))^END\n```$",
                                 self.guide[self.guide.index("## The files") :]))  # fmt: skip
        copied = re.findall(r"(?m)^sudo install -D -m 644 (contrib/\S+) (\S+)$", self.guide)
        self.assertEqual(len(copied), len(list(CONTRIB.iterdir())))
        for file, place in copied:
            self.assertEqual(pasted[place], (ROOT / file).read_text("utf-8"), file)

    def test_configuration(self) -> None:
        """Its C{tap.conf} can be read, and keeps everything where the service may write."""
        text = self.guide.split("sudo tee /etc/trailcam/tap.conf > /dev/null <<'END'\n")[1]
        config = parse(text.split("END\n")[0], "/etc/trailcam/tap.conf")
        state = Path("/var/lib/trailcam")
        self.assertEqual((config.state, config.library), (state, state / "library"))
        (camera,) = config.cameras
        self.assertEqual((camera.wake, camera.wifi), ("", ""))

    def test_shell(self) -> None:
        """Its blocks are shell that can be read."""
        for block in re.findall(r"(?s)```sh\n(.*?)```", self.guide):
            output("bash", "-n", "-c", block)
