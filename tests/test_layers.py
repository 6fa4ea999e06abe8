"""
Tests of the house itself: imports point down only, and modules stay small.

They read the source; nothing is imported.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from twisted.trial.unittest import TestCase

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "trailcam"

#: The house, from the ground up. A module may import what stands before it here, on its own
#: line or on one above, and nothing else of ours. A new module gets its place in this list.
HOUSE = (
    # The ground: what everybody may know.
    "_version trailcam errors target",
    # Bytes to values and back.
    "wire wire.device_id wire.pppp wire.artemis wire.cipher wire.media wire.wakeup",
    # The state of a session.
    "session session.sequence session.roundtrip session.events",
    "session.channel session.link session.session",
    # What is said in it.
    "commands cardcommands",
    # Files, settings and captures: synchronous, without Twisted.
    "durable wishes locks networks schedule endpoint configkeys config extras movie shrinking",
    "fragments livefile",
    "capturefile capturestream decode",
    # Twisted begins here.
    "logs interfaces worker waiting portmemory pump protocol discovery connector",
    "sinks photos playback conversation presence fetching client liveview viewer livehub",
    # Bluetooth LE and Wi-Fi, with the extra C{radio}.
    "radio radio.background radio.nmnames radio.networkmanager radio.devices radio.activation",
    "radio.inspection radio.limits radio.wifi radio.blueztrouble radio.bleakcare radio.bluetooth",
    # Pictures at home. Only the last two know a camera.
    "library.times library.names library.records library.exif library.files library.folders",
    "library.trash library.thumbnails library.index library.visits library.cursors library.medium",
    "library.browse library.remarks library.quota library.shelf library.database library.base",
    "library.gallery library.library library",
    "library.clearing library.sync",
    # What runs it all, for people and for twistd.
    "happenings health radio.station stay visit showing",
    # Word to others, each with an extra of its own; and metrics.
    "notify notify.messages notify.settings notify.picture notify.outbox notify.courier",
    "notify.homeassistant notify.broker notify.mqtt notify.webhook notify.service metrics",
    "console runner libraryservice cameraservice board",
    # What is seen of it in a browser, with an extra of its own.
    "web web.private web.passwords web.settings web.throttle web.tokens web.access",
    "web.http web.routes",
    "web.templating web.gate web.context web.resource web.site web.conditions web.files web.warmer",
    "web.api.values web.api.filters",
    "web.api.states web.charts",
    "web.pages.words",
    "web.pages.medium web.pages.gallery web.pages.cameras web.pages.live web.pages.login web.pages",
    "web.api.media web.api.cameras web.api.events web.api.live web.api.station web.api web.service",
    "service",
    "checks radiochecks notifychecks webchecks doctor firststeps calling asking tasks hometasks",
    "accesstasks",
    "cardtasks radiotasks",
    "visittasks",
    "livetasks",
    # The simulated camera.
    "simulator simulator.privatebus simulator.dbusobjects simulator.nmobjects",
    "simulator.networkmanager",
    "simulator.bluez",
    "simulator.information simulator.scenery simulator.animals simulator.pictures",
    "simulator.recording simulator.faults simulator.card simulator.camera simulator.streams",
    "simulator.server simulator.asleep simulator.command simulator.demo",
    "testing",
    # The command line, and C{python -m trailcam}.
    "commandline commandline.arguments commandline.simulator commandline.camera commandline.radio",
    "commandline.card commandline.files commandline.access cli __main__",
)
ORDER = " ".join(HOUSE).split()

#: What these import from elsewhere than Python's own library. The rest is free.
FOREIGN = {"wire": {"cryptography"}, "session": {"automat"}}
#: Twisted is not even loaded for these.
WITHOUT_TWISTED = (
    *("wire", "session", "commands", "networks", "configkeys", "config", "firststeps", "decode"),
    *("library.times", "library.names", "library.records", "library.index", "simulator.card"),
    *("schedule", "endpoint", "extras", "library.visits", "library.browse", "library.remarks"),
    "library.quota",
    "library.thumbnails",
    *("fragments", "livefile", "shrinking"),
    *("web.private", "web.passwords", "web.settings", "web.throttle", "web.tokens"),
)
#: The only places that take the global reactor, both inside a function.
GLOBAL_REACTOR = {("service", "makeService"), ("runner", "run")}
#: A module has about 150 lines, none far over 400.
FAR_OVER = 500


@cache
def sources() -> dict[str, Path]:
    """All modules, by name without C{trailcam.}; the package itself is C{trailcam}."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        names = path.relative_to(PACKAGE).with_suffix("").parts
        names = names[:-1] if names[-1] == "__init__" else names
        found[".".join(names) or "trailcam"] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    """A module's source, parsed."""
    return ast.parse(sources()[module].read_text("utf-8"))


def imported(nodes: ast.AST) -> Iterator[str]:
    """What is imported anywhere below, by its full name: C{a.b} for C{from a import b} too."""
    for node in ast.walk(nodes):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def shared_name(name: str) -> str:
    """The module of ours that an import means: C{commands} for C{trailcam.commands.Login}."""
    inside = name.partition("trailcam")[2].lstrip(".")
    while inside and inside not in sources():
        inside = inside.rpartition(".")[0]
    return inside or "trailcam"


@cache
def ours(module: str) -> frozenset[str]:
    """The modules of ours that a module imports."""
    names = imported(tree(module))
    return frozenset(shared_name(name) for name in names if name.split(".")[0] == "trailcam")


@cache
def foreign(module: str) -> frozenset[str]:
    """The top-level packages that it imports from elsewhere; Python's own are left out."""
    tops = {name.split(".")[0] for name in imported(tree(module))}
    return frozenset(tops - {"trailcam"} - set(sys.stdlib_module_names))


def within(package: str) -> list[str]:
    """A module, or a package with all its modules."""
    return [name for name in sources() if name == package or name.startswith(f"{package}.")]


def reached(module: str) -> set[str]:
    """A module and all of ours that it loads."""
    found: set[str] = set()
    waiting = {module}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= ours(name) - found
    return found


class LayerTests(TestCase):
    """Imports point down only."""

    def test_everything_has_a_place(self) -> None:
        """Every module stands in the list once, and everything in the list exists."""
        self.assertEqual(sorted(ORDER), sorted(set(ORDER)))
        without = sorted(set(sources()) - set(ORDER))
        self.assertEqual(without, [], "give these modules a place in HOUSE")
        self.assertEqual(sorted(set(ORDER) - set(sources())), [], "these modules are gone")

    def test_down_only(self) -> None:
        """No module imports one that stands after it."""
        wrong = [
            f"{module} imports {other}"
            for module in sources()
            for other in sorted(ours(module))
            if module in ORDER and other in ORDER and ORDER.index(other) >= ORDER.index(module)
        ]
        self.assertEqual(wrong, [])

    def test_the_test_sees(self) -> None:
        """The imports that are known to be there are found, also those inside functions."""
        self.assertIn("wire.pppp", ours("session.session"))
        self.assertIn("tasks", ours("commandline.camera"))
        self.assertIn("twisted", foreign("protocol"))
        self.assertIn("wire.device_id", reached("session.channel"))

    def test_wire(self) -> None:
        """The wire layer knows itself, the errors, and C{cryptography}."""
        for module in within("wire"):
            self.assertLessEqual(ours(module), {"errors", *within("wire")}, module)
            self.assertLessEqual(foreign(module), FOREIGN["wire"], module)

    def test_session(self) -> None:
        """The session layer knows itself, the wire, the errors, and C{automat}."""
        for module in within("session"):
            allowed = {"errors", *within("wire"), *within("session")}
            self.assertLessEqual(ours(module), allowed, module)
            self.assertLessEqual(foreign(module), FOREIGN["session"], module)

    def test_no_clock_no_socket(self) -> None:
        """Neither has a clock, a socket or a file: time and bytes are arguments."""
        forbidden = {"time", "datetime", "socket", "select", "asyncio", "threading", "os", "random"}
        for module in (*within("wire"), *within("session"), "commands"):
            tops = {name.split(".")[0] for name in imported(tree(module))}
            self.assertEqual(tops & forbidden, set(), module)

    def test_without_twisted(self) -> None:
        """These work where Twisted is not loaded, and load nothing that loads it."""
        for name in WITHOUT_TWISTED:
            for module in within(name):
                loads = [other for other in sorted(reached(module)) if "twisted" in foreign(other)]
                self.assertEqual(loads, [], f"{module} loads these, which import Twisted")

    def test_client_without_library(self) -> None:
        """Talking to a camera needs no library; of the library only two modules talk to one."""
        self.assertEqual(reached("client") & set(within("library")), set())
        for module in within("library"):
            if module not in ("library.clearing", "library.sync"):
                self.assertNotIn("client", reached(module), module)

    def test_simulator_apart(self) -> None:
        """The product works without the simulated camera: only these know it."""
        for module in sources():
            if any(other in within("simulator") for other in ours(module)):
                allowed = {"testing", "commandline.simulator", *within("simulator")}
                self.assertIn(module, allowed, f"{module} imports the simulator")

    def test_testing_apart(self) -> None:
        """Nothing of the product imports the fakes for tests."""
        for module in sources():
            self.assertNotIn("testing", ours(module), module)


class ReactorTests(TestCase):
    """The reactor is a parameter."""

    @staticmethod
    def takes_reactor(node: ast.AST) -> bool:
        """Whether a node imports the global reactor."""
        if not isinstance(node, ast.Import | ast.ImportFrom):
            return False
        return "twisted.internet.reactor" in imported(node)

    def test_never_at_module_level(self) -> None:
        """Nobody takes the global reactor but the two that start it, inside a function."""
        found = set()
        for module in sources():
            inside: set[ast.AST] = set()
            for function in ast.walk(tree(module)):
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    taken = set(filter(self.takes_reactor, ast.walk(function)))
                    found |= {(module, function.name) for _ in taken}
                    inside |= taken
            for node in ast.walk(tree(module)):
                self.assertFalse(self.takes_reactor(node) and node not in inside, module)
        self.assertEqual(found, GLOBAL_REACTOR)


class PackagingTests(TestCase):
    """What would break an installation."""

    def test_no_init(self) -> None:
        """C{twisted/} and C{twisted/plugins/} are Twisted's: no C{__init__.py} of ours."""
        self.assertTrue((ROOT / "twisted" / "plugins" / "trailcam_plugin.py").is_file())
        self.assertEqual(list((ROOT / "twisted").rglob("__init__.py")), [])

    def test_plugin_imports_nothing_of_ours(self) -> None:
        """C{twistd} loads every plugin to list them: ours loads nothing else."""
        source = (ROOT / "twisted" / "plugins" / "trailcam_plugin.py").read_text("utf-8")
        names = list(imported(ast.parse(source)))
        self.assertEqual(names, ["twisted.application.service.ServiceMaker"])

    def test_sizes(self) -> None:
        """No module is far over 400 lines."""
        lines = {
            module: len(path.read_text("utf-8").splitlines()) for module, path in sources().items()
        }
        large = {module: count for module, count in lines.items() if count > FAR_OVER}
        self.assertEqual(large, {}, "take these apart")
