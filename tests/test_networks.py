"""The networks that this machine is on."""

from __future__ import annotations

from ipaddress import IPv4Interface
from types import SimpleNamespace
from unittest import mock

from twisted.trial.unittest import TestCase

from trailcam.networks import Network, camera_hosts, local_networks, search_addresses
from trailcam.target import Target

HOME = Network("eth0", IPv4Interface("10.0.0.7/16"))
CAMERA = Network("wlan0", IPv4Interface("192.168.43.100/24"))


def adapter(name: str, *ips: tuple[object, int]) -> SimpleNamespace:
    """As L{ifaddr} describes one."""
    return SimpleNamespace(
        nice_name=name, ips=[SimpleNamespace(ip=ip, network_prefix=prefix) for ip, prefix in ips]
    )


class LocalNetworksTests(TestCase):
    """What the system says."""

    def test_only_where_a_broadcast_goes(self) -> None:
        """Loopback, IPv6 and point-to-point links have no camera behind a broadcast."""
        adapters = [
            adapter("lo", ("127.0.0.1", 8), (("::1", 0, 0), 128)),
            adapter("eth0", ("10.0.0.7", 16), (("fe80::1", 0, 2), 64)),
            adapter("wlan0", ("192.168.43.100", 24)),
            adapter("tun0", ("10.9.0.1", 32), ("10.9.0.2", 31)),
        ]
        with mock.patch("ifaddr.get_adapters", return_value=adapters):
            self.assertEqual(local_networks(), [HOME, CAMERA])

    def test_this_machine(self) -> None:
        """It can be asked, whatever networks it is on."""
        for network in local_networks():
            self.assertFalse(network.address.is_loopback)

    def test_broadcast(self) -> None:
        """A network's own broadcast address leaves by the right interface."""
        self.assertEqual(HOME.broadcast, "10.0.255.255")
        self.assertEqual(CAMERA.broadcast, "192.168.43.255")


class SearchAddressesTests(TestCase):
    """Where LAN_SEARCH goes."""

    def test_everywhere(self) -> None:
        """To everybody, and to each network: the first alone misses the camera's."""
        self.assertEqual(
            search_addresses(Target(), [HOME, CAMERA]),
            ["255.255.255.255", "10.0.255.255", "192.168.43.255"],
        )

    def test_each_once(self) -> None:
        """Two addresses in one network are one network."""
        twin = Network("eth1", IPv4Interface("10.0.0.8/16"))
        self.assertEqual(
            search_addresses(Target(), [HOME, twin]), ["255.255.255.255", "10.0.255.255"]
        )

    def test_one_interface(self) -> None:
        """With an interface given, the other networks hear nothing."""
        self.assertEqual(
            search_addresses(Target(interface="192.168.43.100"), [HOME, CAMERA]),
            ["255.255.255.255", "192.168.43.255"],
        )

    def test_one_broadcast(self) -> None:
        """With a broadcast address given, it is the only one."""
        target = Target(broadcast="192.168.43.255")
        self.assertEqual(search_addresses(target, [HOME, CAMERA]), ["192.168.43.255"])

    def test_nowhere(self) -> None:
        """Without a network there is nowhere to search."""
        self.assertEqual(search_addresses(Target(), []), [])
        self.assertEqual(search_addresses(Target(interface="10.1.1.1"), [HOME]), [])


class CameraHostsTests(TestCase):
    """Where a direct punch goes when no address was given."""

    def test_on_its_access_point(self) -> None:
        """On the camera's own network it is known where the camera is."""
        self.assertEqual(camera_hosts([HOME, CAMERA]), ["192.168.43.1"])

    def test_elsewhere(self) -> None:
        """Elsewhere it is not, and nobody is bothered."""
        self.assertEqual(camera_hosts([HOME]), [])
