"""Which camera, and how patiently."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from trailcam.errors import ConfigError
from trailcam.target import KNOWN_PORTS, SEARCH_PORT, Policy, Target, parse_address


class ParseAddressTests(TestCase):
    """C{HOST[:PORT]}."""

    def test_host_alone(self) -> None:
        """Without a port there is none."""
        self.assertEqual(parse_address("192.168.43.1"), ("192.168.43.1", None))

    def test_host_and_port(self) -> None:
        """With a port it is a number; blanks around do no harm."""
        self.assertEqual(parse_address(" 192.168.43.1:40611 "), ("192.168.43.1", 40611))

    def test_localhost(self) -> None:
        """The one name that needs no look-up."""
        self.assertEqual(parse_address("localhost:40611"), ("127.0.0.1", 40611))

    def test_what_is_no_address(self) -> None:
        """Everything else is refused with a line that shows how to write one."""
        for text in ("", ":", ":40611", "garden", "192.168.43", "192.168.43.256", "1.2.3.4:0",
                     "1.2.3.4:65536", "1.2.3.4:", "1.2.3.4:x", "::1", "1.2.3.4:5:6",
                     "01.2.3.4", "1.2.3.4:-1", "http://1.2.3.4"):  # fmt: skip
            error = self.assertRaises(ConfigError, parse_address, text)
            self.assertIn("HOST:PORT", str(error), text)
            self.assertNotIn("\n", str(error))

    @settings(deadline=None)
    @given(st.ip_addresses(v=4), st.integers(1, 65535))
    def test_round_trip(self, host: IPv4Address, port: int) -> None:
        """Every IPv4 address and port is read as it is written, if one camera can be there."""
        assume(not host.is_multicast and not host.is_unspecified and int(host) != 0xFFFFFFFF)
        self.assertEqual(parse_address(f"{host}:{port}"), (str(host), port))

    def test_nobody_in_particular(self) -> None:
        """Addresses of nobody or of many are no camera's."""
        for text in ("0.0.0.0", "255.255.255.255:1", "224.0.0.1"):
            self.assertRaises(ConfigError, parse_address, text)

    @settings(deadline=None)
    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """No text does anything but give an address or a L{ConfigError}."""
        try:
            host, port = parse_address(text)
        except ConfigError:
            return
        self.assertEqual(host.count("."), 3)
        self.assertTrue(port is None or 0 < port < 65536)


class TargetTests(TestCase):
    """What is said about one camera."""

    def test_defaults(self) -> None:
        """Nothing said: search everywhere, at the port where cameras listen."""
        target = Target()
        self.assertEqual((target.host, target.local_port, target.broadcast), (None, None, None))
        self.assertEqual(target.search_port, SEARCH_PORT)
        self.assertEqual(KNOWN_PORTS, (40611, 32108, 3333, 32100, 10000))

    def test_key(self) -> None:
        """The port is remembered under the name, else the address: it outlives both."""
        self.assertEqual(Target("192.168.43.1", 40611, "garden").key, "garden")
        self.assertEqual(Target("192.168.43.1", 40611).key, "192.168.43.1:40611")
        self.assertEqual(Target("192.168.43.1").key, "192.168.43.1")
        self.assertEqual(Target().key, "any")

    def test_text(self) -> None:
        """What stands in the log."""
        target = Target("192.168.43.1", 40611, "garden")
        self.assertEqual(str(target), "garden (192.168.43.1:40611)")
        self.assertEqual(str(Target("192.168.43.1")), "192.168.43.1")
        self.assertEqual(str(Target(name="garden")), "garden")
        self.assertEqual(str(Target()), "any camera")

    def test_names_are_refused(self) -> None:
        """What is no IPv4 address is refused at once, not in the middle of a search."""
        for field in ("host", "interface", "broadcast"):
            error = self.assertRaises(ConfigError, Target, **{field: "camera.local"})
            self.assertIn("'camera.local' is not an IPv4 address", str(error))


class PolicyTests(TestCase):
    """How patiently."""

    def test_defaults_of_the_seed(self) -> None:
        """One attempt and up to 5 retries, 1 to 16 s apart, 5 s each, 90 s in all."""
        policy = Policy()
        self.assertEqual(policy.pauses, (1, 2, 4, 8, 16))
        self.assertEqual((policy.discovery, policy.total), (5, 90))
        self.assertEqual((policy.silence, policy.request, policy.heartbeat), (5, 10, 3))
