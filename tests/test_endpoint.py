"""Where pages are, as people write it."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.trial.unittest import TestCase

from trailcam.config import parse
from trailcam.endpoint import host_and_port, is_local, read_endpoint
from trailcam.errors import ConfigError


class EndpointTests(TestCase):
    """L{trailcam.endpoint}."""

    def test_read(self) -> None:
        """Ports, addresses and Twisted's own descriptions are all understood, also by Twisted."""
        for text, meant, local in (
            ("8080", "tcp:8080:interface=127.0.0.1", True),
            ("localhost:80", "tcp:80:interface=127.0.0.1", True),
            ("127.0.0.2:8080", "tcp:8080:interface=127.0.0.2", True),
            ("0.0.0.0:8080", "tcp:8080:interface=0.0.0.0", False),
            ("192.168.1.5:80", "tcp:80:interface=192.168.1.5", False),
            ("[::1]:8080", r"tcp6:8080:interface=\:\:1", True),
            ("[::]:8080", r"tcp6:8080:interface=\:\:", False),
            ("tcp:8080", "tcp:8080", False),
            ("tcp:8080:interface=127.0.0.1", "tcp:8080:interface=127.0.0.1", True),
            ("tcp:port=8080", "tcp:port=8080", False),
            ("unix:/run/trailcam.sock", "unix:/run/trailcam.sock", True),
        ):
            endpoint = read_endpoint(text)
            self.assertEqual((endpoint, is_local(endpoint)), (meant, local))
            serverFromString(reactor, endpoint)

    def test_where(self) -> None:
        """Host and port are found wherever there are some."""
        self.assertEqual(host_and_port(read_endpoint("[::1]:80")), ("::1", 80))
        self.assertEqual(host_and_port("tcp:port=81:interface=127.0.0.1"), ("127.0.0.1", 81))
        self.assertEqual(host_and_port("ssl:443"), ("", 443))
        self.assertIsNone(host_and_port("unix:/run/x"))

    def test_no_place_is_loopback_by_its_looks(self) -> None:
        """Only addresses of loopback count as local: no name that looks like it, no other kind."""
        for endpoint in ("tcp:80:interface=127.0.0.1.example.org", "tcp:80:interface=localhosts",
                         "ssl:443:interface=", "systemd:domain=INET:index=0", "tcp:80:127.0.0.1",
                         "tcp:80:interface=::ffff"):  # fmt: skip
            self.assertFalse(is_local(endpoint), endpoint)

    def test_refused(self) -> None:
        """What is none is refused in one line that says what it must be."""
        for text in ("99999", "localhost:99999", "example.org:80", "nowhere", "http:80", "tcp:",
                     ":", "tcp:all", "carrier-pigeon:coop=1", "[::1]", "1.2.3.4:"):  # fmt: skip
            error = self.assertRaises(ConfigError, read_endpoint, text)
            self.assertIn("a port, an address like 127.0.0.1:8080", str(error))

    def test_section(self) -> None:
        """C{[web]} takes all of it, and refuses what is unsafe in headers and links."""
        values = parse(
            "[camera a]\n[web]\nendpoint = 0.0.0.0:80\nprefix = /cam/\n"
            "trusted_proxies = 172.30.32.2, ::1\nframes = self https://ha.local:8123\n",
            "tap.conf",
        ).extras["web"]
        self.assertEqual(values, {
            "endpoint": "tcp:80:interface=0.0.0.0",
            "prefix": "/cam",
            "trusted_proxies": frozenset({"172.30.32.2", "::1"}),
            "frames": ("self", "https://ha.local:8123"),
        })  # fmt: skip
        for line in ("endpoint = x", "prefix = cam", "prefix = /a//b", "prefix = /a;b",
                     "frames = *", "frames = https://x.org; script-src *",
                     "trusted_proxies = home"):  # fmt: skip
            self.assertRaises(ConfigError, parse, f"[camera a]\n[web]\n{line}", "tap.conf")
