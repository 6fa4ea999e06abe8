"""The networks that this machine is on, and where a search on them goes."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface

from trailcam.target import ACCESS_POINT, Target

__all__ = ["Network", "camera_hosts", "local_networks", "search_addresses"]

#: The address that means "everybody here".
LIMITED_BROADCAST = "255.255.255.255"


@dataclass(frozen=True)
class Network:
    """
    One IPv4 network that an interface of ours is on.

    @ivar interface: the interface's name.
    @ivar address: our address, with the network's prefix.
    """

    interface: str
    address: IPv4Interface

    @property
    def broadcast(self) -> str:
        """The network's broadcast address."""
        return str(self.address.network.broadcast_address)


def local_networks() -> list[Network]:
    """All of them but loopback and networks too small to have a broadcast address."""
    import ifaddr

    found = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            if isinstance(ip.ip, str):
                address = IPv4Interface(f"{ip.ip}/{ip.network_prefix}")
                if not address.is_loopback and ip.network_prefix < 31:
                    found.append(Network(adapter.nice_name, address))
    return found


def search_addresses(target: Target, networks: list[Network]) -> list[str]:
    """
    Where LAN_SEARCH is sent.

    255.255.255.255 alone leaves by the default route and misses the camera's
    network (proven); each network's own broadcast address goes out of the
    right interface.
    """
    if target.broadcast is not None:
        return [target.broadcast]
    if target.interface:
        networks = [n for n in networks if str(n.address.ip) == target.interface]
    own = [network.broadcast for network in networks]
    return [LIMITED_BROADCAST, *dict.fromkeys(own)] if own else []


def camera_hosts(networks: list[Network]) -> list[str]:
    """Where a camera's access point would be, if we are on its network."""
    there = IPv4Address(ACCESS_POINT)
    return [ACCESS_POINT] if any(there in n.address.network for n in networks) else []
