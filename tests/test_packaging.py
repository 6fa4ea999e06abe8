"""
Tests of the packaging: what is in the wheel, and what must not be.

That the wheel also works, installed and from another folder, is proven by C{.ci/run}.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from configparser import ConfigParser
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

from twisted.trial.unittest import TestCase

from trailcam._version import __version__

ROOT = Path(__file__).parent.parent
#: What a checkout has and a build could pick up by mistake.
COPIED = ("trailcam", "twisted", "tests", "setup.cfg", "pyproject.toml", "README.md", "LICENSE",
          "tap.conf")  # fmt: skip


class WheelTests(TestCase):
    """The wheel of this checkout."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        # Of a copy: a build leaves things where it was done.
        source = folder / "source"
        source.mkdir(parents=True)
        for name in COPIED:
            if (ROOT / name).is_dir():
                ignore = shutil.ignore_patterns("__pycache__", "dropin.cache")
                shutil.copytree(ROOT / name, source / name, ignore=ignore)
            else:
                shutil.copy(ROOT / name, source / name, follow_symlinks=False)
        done = subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation",
             "--no-index", "--wheel-dir", str(folder), str(source)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        (self.wheel,) = folder.glob("*.whl")

    def test_wheel(self) -> None:
        """It has all that is needed, and nothing that would break Twisted or anybody else."""
        self.assertEqual(self.wheel.name, f"trailcam-{__version__}-py3-none-any.whl")
        with ZipFile(self.wheel) as archive:
            names = set(archive.namelist())
            info = f"trailcam-{__version__}.dist-info"
            metadata = message_from_bytes(archive.read(f"{info}/METADATA"))
            entry_points = ConfigParser()
            entry_points.read_string(archive.read(f"{info}/entry_points.txt").decode())
            template = archive.read("trailcam/tap.conf").decode()
        ours = {name for name in names if not name.startswith(f"{info}/")}
        modules = {str(path.relative_to(ROOT)) for path in (ROOT / "trailcam").rglob("*.py")}
        web = ROOT / "trailcam" / "web"
        shown = [*web.glob("templates/*.html"), *(web / "static").iterdir()]
        modules |= {str(path.relative_to(ROOT)) for path in shown}
        self.assertEqual(ours, modules | {"trailcam/py.typed", "trailcam/tap.conf",
                                          "twisted/plugins/trailcam_plugin.py"})  # fmt: skip
        self.assertEqual(template, (ROOT / "tap.conf").read_text("utf-8"))
        self.assertEqual(entry_points["console_scripts"]["trailcam"], "trailcam.cli:main")
        self.assertEqual(metadata["Requires-Python"], ">=3.11")
        self.assertIn("trailcam", metadata.get_payload())
        base = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
        self.assertNotIn("pytest", " ".join(base))
        self.assertTrue(any(line.startswith("twisted") for line in base))
