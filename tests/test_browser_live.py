"""The live view in a browser."""

from __future__ import annotations

from tests.browser import BrowserCase


class LiveTests(BrowserCase):
    """x."""

    def test_x(self) -> None:
        """x."""
        station = self.station(photos=3)
        page = self.open(station.url)
        station.visited("garden")
        page.reload()
        print(page.inner_text("body"), station.url, page.locator("img").count())
        self.look(page, "x")

    def test_y(self) -> None:
        """x."""
        station = self.station(password="owls at night")
        page = self.open(station.url_as("camera.lan"), phone=True, dark=True)
        self.log_in(page, "owls at night")
        print(page.url, page.evaluate("isSecureContext"))
        page.evaluate("console.error('x')")
