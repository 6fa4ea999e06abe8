"""The pages of cameras in a browser: they change while things happen, and come back."""

from __future__ import annotations

import signal
import socket

from tests.browser import BrowserCase, Page, Station


def says(page: Page, text: str, camera: str = "garden") -> None:
    """Wait until a camera's state is told so."""
    box = page.locator(f'[data-camera="{camera}"] [data-says]')
    box.filter(has_text=text).wait_for()


class CamerasTests(BrowserCase):
    """The pages of cameras."""

    def test_as_it_happens(self) -> None:
        """A visit is seen as it goes on, without loading the page again: the port, how far the
        transfer is, then what is new, with a picture; and another can be wished for."""
        station = self.station(photos=3, videos=2)
        page = self.open(f"{station.url}cameras", phone=True)
        says(page, "Fetching")
        page.get_by_text("Connected from port").wait_for()
        bar = page.locator("progress")
        self.assertGreater(float(bar.get_attribute("max") or 0), 1)
        self.assertTrue(page.get_by_role("button", name="Visit now").is_disabled())
        self.look(page, "cameras-visiting")
        says(page, "Asleep")
        page.get_by_text("5 new").wait_for()
        page.get_by_text("5 pictures").wait_for()
        self.assertTrue(bar.is_hidden())
        self.look(page, "cameras-done")
        self.cut_radio(page)
        page.get_by_role("button", name="Visit now").click()
        page.get_by_text("nothing new").wait_for()
        page.get_by_role("link", name="garden", exact=True).click()
        page.get_by_role("img", name="Battery: ").wait_for()
        self.assertEqual(page.locator("ol.visits > li").count(), 2)
        self.look(page, "camera")

    def cut_radio(self, page: Page) -> None:
        """A press on what demos have beside the other buttons is answered."""
        page.route("**/outage?*", lambda route: route.fulfill(status=202, json={"seconds": 8}))
        page.eval_on_selector("[data-visit]", """visit => {
            const button = visit.cloneNode();
            button.dataset.post = button.dataset.post.replace(/visit$/, "outage?seconds=8");
            visit.after(button);
            button.click();
            button.remove();
        }""")
        page.get_by_text("The radio is cut for 8 s.").wait_for()

    def test_gone_and_back(self) -> None:
        """When the station goes away the page says so; when it is back, so is the page, with what
        has happened since."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        first = self.station(photos=1, web=f"endpoint = 127.0.0.1:{port}")
        page = self.open(f"{first.url}cameras", dark=True)
        says(page, "Asleep")
        self.expect_complaint("ERR_")
        first.send(signal.SIGTERM)
        first.end()
        page.get_by_text("The station does not answer").wait_for()
        self.look(page, "cameras-gone")
        config = self.home / "tap.conf"
        second = Station(self.home, first.simulators, None, config, cwd=self.home)
        self.addCleanup(second.kill)
        page.get_by_text("The station does not answer").wait_for(state="hidden")
        page.get_by_text("nothing new").wait_for()
        page.get_by_role("button", name="Visit now").click()
        second.visited("garden", 2)
        says(page, "Asleep")

    def test_trouble(self) -> None:
        """A camera that refuses the password says so, with what to do; without JavaScript too,
        where nothing is shown that could not be pressed."""
        station = self.station(options=("--refuse-login",))
        page = self.open(f"{station.url}cameras")
        says(page, "It refuses the password")
        page.get_by_text("What to do").click()
        page.get_by_text("Set its user and password").wait_for()
        plain = self.open(f"{station.url}cameras/garden", javascript=False)
        says(plain, "It refuses the password")
        self.assertTrue(plain.get_by_text("Set its user and password").is_visible())
        self.assertTrue(plain.get_by_role("button", name="Visit now").is_hidden())
        self.look(plain, "camera-refused")
