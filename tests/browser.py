"""
Real browsers at a real station: the base of all tests that look at pages.

Playwright's synchronous API drives one headless Chromium for all tests of a run; each test has
profiles of its own. It wants a thread in which no event loop runs, and greenlets of its own, so a
test's method runs in a thread for that while the main one waits; set-up and clean-up do not. The
station is a process of its own. Nothing leaves loopback: no other name is known to the browser,
but for those that end in C{.lan}, which are 127.0.0.1.

The pages' Content-Security-Policy is in force: give C{wait_for_function} a function, C{"() => …"}.

C{TRAILCAM_BROWSER=1}: a browser that is missing is a failure, not a reason to skip.
C{TRAILCAM_SCREENSHOTS=FOLDER}: where L{BrowserCase.look} puts what it sees.
"""

from __future__ import annotations

import atexit
import os
import queue
import re
import shutil
import sys
import threading
from collections.abc import Callable
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, TypeVar

from twisted.trial.unittest import SkipTest

from tests.processes import (
    PATIENCE,
    Process,
    ProcessTestCase,
    Simulator,
    eventually,
)
from tests.test_web_passwords import cheap_line
from trailcam.extras import missing
from trailcam.web.private import changing, write_private

try:
    from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright
except ModuleNotFoundError:  # each test says so, and is skipped
    sync_playwright = None  # type: ignore[assignment]
    Browser = BrowserContext = Page = Playwright = Any  # type: ignore[assignment,misc]

__all__ = ["BrowserCase", "Page", "Station"]

Result = TypeVar("Result")

#: C{twistd}, as the program that it is.
TWISTD = "from twisted.scripts.twistd import run; run()"
#: What a Chromium may be called.
NAMES = ("chromium", "chromium-browser", "google-chrome")
#: Nothing of it goes beyond loopback.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
    "--host-resolver-rules=MAP *.lan 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.*, "
    "EXCLUDE localhost, EXCLUDE [::1]",
)  # fmt: skip
#: What is seen by what.
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844}, "device_scale_factor": 2,
    "is_mobile": True, "has_touch": True,
}  # fmt: skip


class _BrowserThread:
    """A thread of its own, and in it the one browser; both end with the program."""

    def __init__(self) -> None:
        self._asked: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="browser", daemon=True)
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None

    def run(self, function: Callable[..., Result], *args: Any) -> Result:
        """Call something there, and wait for it."""
        if not self._thread.is_alive():
            self._thread.start()
            atexit.register(self._end)
        over = threading.Event()
        got: list[Result] = []
        failed: list[BaseException] = []

        def call() -> None:
            try:
                got.append(function(*args))
            except BaseException as error:
                failed.append(error)
            finally:
                over.set()

        self._asked.put(call)
        over.wait()
        if failed:
            raise failed.pop()
        return got.pop()

    def browser(self) -> Browser:
        """The browser, once more if it has died; only in the thread."""
        if self._playwright is None:
            self._playwright = sync_playwright().start()
        if self._browser is None or not self._browser.is_connected():
            self._browser = self._playwright.chromium.launch(
                executable_path=_found(), args=list(FLAGS)
            )
        return self._browser

    def _work(self) -> None:
        for call in iter(self._asked.get, None):
            call()
        if self._browser is not None:
            self._browser.close()
        if self._playwright is not None:
            self._playwright.stop()

    def _end(self) -> None:
        self._asked.put(None)
        self._thread.join(PATIENCE)


_thread = _BrowserThread()


def _found() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


def _need_browser() -> None:
    """Skip without one, or fail where there has to be one."""
    why = "there is no chromium" if _found() is None else None
    if sync_playwright is None:
        why = "playwright is not installed"
    if missing("web"):
        why = "the extra web is not installed"
    if why is not None and os.environ.get("TRAILCAM_BROWSER") == "1":
        raise AssertionError(f"TRAILCAM_BROWSER=1, but {why}")
    if why is not None:
        raise SkipTest(why)


class Station(Process):
    """
    C{twistd trailcam} with a library, and a simulated camera for each name.

    @ivar simulators: the cameras, by name.
    @ivar password: to its pages; C{None}: it has none.
    """

    def __init__(
        self, home: Path, simulators: dict[str, Simulator], password: str | None, config: Path,
        **options: Any,
    ) -> None:  # fmt: skip
        self.simulators = simulators
        self.password = password
        self.library = home / "library"
        command = [sys.executable, "-c", TWISTD, "-n", "--pidfile=", "trailcam"]
        super().__init__([*command, "--config", str(config)], home, **options)

    @cached_property
    def url(self) -> str:
        """Where its pages are, as a browser on this computer finds them; ends with a slash."""
        return re.sub(r".*pages are at (\S+)$", r"\1", self.out_line("pages are at "))

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rstrip("/").rpartition(":")[2])

    def url_as(self, host: str) -> str:
        """Its pages by another name, which needs a password; C{camera.lan} is one, not secure."""
        return f"http://{host}:{self.port}/"

    def visited(self, name: str, times: int = 1) -> None:
        """Wait until a camera has been visited so often; each is once, at the start."""

        def visits() -> int:
            return sum(re.search(rf"\b{name}: \d+ new, ", line) is not None for line in self.out)

        eventually(lambda: visits() >= times, f"{name} was not visited: {self.out[-10:]}")


class BrowserCase(ProcessTestCase):
    """
    Looks at pages with Chromium.

    A test fails in the end when a page has complained: an error on the console, an uncaught
    exception, something that the Content-Security-Policy forbids.

    @ivar complaints: what pages have complained of so far.
    """

    kind = "browser"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, method in list(vars(cls).items()):
            if name.startswith("test") and callable(method):
                setattr(cls, name, _in_browser_thread(method))

    def setUp(self) -> None:
        """Skip without a browser."""
        super().setUp()
        _need_browser()
        self.complaints: list[str] = []
        self._expected: list[str] = []
        self._contexts: list[BrowserContext] = []

    # -- stations ----------------------------------------------------------

    def station(
        self,
        *cameras: str,
        photos: int = 0,
        videos: int = 0,
        settings: str = "interval = 0",
        web: str = "",
        password: str | None = None,
        options: tuple[str, ...] = (),
    ) -> Station:
        """
        Run a station, which visits its cameras at once.

        @param cameras: their names; for each there is a simulator. Without: C{garden}.
        @param photos: on each card.
        @param videos: on each card; each takes a second to come home.
        @param settings: lines for each camera in C{tap.conf}.
        @param web: lines for the section C{[web]}.
        @param password: to its pages, so that it may be called by other names than loopback's.
        @param options: for each simulator.
        """
        card = ("--photos", str(photos), "--videos", str(videos))
        simulators = {
            name: self.simulator(*card, *options) for name in cameras or ("garden",)
        }  # fmt: skip
        lines = ["[trailcam]", f"library = {self.library}", f"state = {self.state}"]
        for name, simulator in simulators.items():
            lines += [f"[camera {name}]", f"address = {simulator.camera}", settings]
        lines += ["[web]", *([] if "endpoint" in web else ["endpoint = 127.0.0.1:0"]), web]
        config = self.home / "tap.conf"
        config.write_text("\n".join(lines) + "\n")
        if password is not None:
            with changing(self.state / "web"):
                write_private(self.state / "web" / "password", cheap_line(password) + "\n")
        station = Station(self.home, simulators, password, config, cwd=self.home)
        self.addCleanup(station.kill)
        return station

    # -- pages -------------------------------------------------------------

    def open(
        self,
        url: str,
        phone: bool = False,
        dark: bool = False,
        javascript: bool = True,
        script: str = "",
        **options: Any,
    ) -> Page:
        """
        Open a page in a new profile.

        @param script: runs in each page before anything of its own.
        @param options: for playwright's C{new_context}.
        """
        context = _thread.browser().new_context(
            **(PHONE if phone else DESKTOP), color_scheme="dark" if dark else "light",
            java_script_enabled=javascript, **options,
        )  # fmt: skip
        context.set_default_timeout(20_000)
        self._contexts.append(context)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(f"uncaught: {error.error}"))
        if script:
            context.add_init_script(script)
        page = context.new_page()
        page.goto(url)
        return page

    def log_in(self, page: Page, password: str) -> None:
        """Fill in the form that is shown."""
        page.fill("input[name=password]", password)
        page.click("main button")
        page.wait_for_url(lambda url: "/login" not in url)

    def expect_complaint(self, pattern: str) -> None:
        """What pages may complain of in this test, as a regular expression."""
        self._expected.append(pattern)

    def look(self, page: Page, name: str) -> None:
        """Take a screenshot, if somebody wants to see one."""
        if folder := os.environ.get("TRAILCAM_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")

    def _unexpected(self) -> list[str]:
        return [
            each for each in self.complaints
            if not any(re.search(pattern, each) for pattern in self._expected)
        ]  # fmt: skip

    def _leave(self) -> None:
        contexts, self._contexts = self._contexts, []
        for context in contexts:
            context.close()


def _in_browser_thread(method: Callable[[BrowserCase], None]) -> Callable[[BrowserCase], None]:
    """The test, in the browser's thread; what it has opened is closed, and was content."""

    @wraps(method)
    def test(self: BrowserCase) -> None:
        def whole() -> None:
            try:
                method(self)
            except BaseException as error:
                for complaint in self.complaints:
                    error.add_note(f"a page complained: {complaint}")
                raise
            finally:
                self._leave()
            self.assertEqual(self._unexpected(), [])

        _thread.run(whole)

    return test
