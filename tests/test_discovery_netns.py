"""
Tests of the search by broadcast on a machine with two networks: it must go out of the right one.

They need root for network namespaces, and are skipped elsewhere.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from twisted.trial.unittest import SkipTest, TestCase

from tests.namespaces import Namespace, Running, unavailable
from trailcam.wire import pppp

CLIENT = "192.168.43.2"
SEARCH = pppp.encode(pppp.LanSearch()).hex()

#: Tells of every datagram that comes to port 32108, and of where it was sent to.
LISTENER = """
import json, socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
    listener.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
    listener.bind(("", 32108))
    print("listening", flush=True)
    while True:
        data, extra, _, (source, _) = listener.recvmsg(2048, 64)
        to = socket.inet_ntoa(extra[0][2][8:12])
        print(json.dumps({"data": data.hex(), "from": source, "to": to}), flush=True)
"""


class DiscoveryTests(TestCase):
    """A station with the camera's Wi-Fi on wlan0, and the default route on eth0."""

    def setUp(self) -> None:
        """Three hosts, and somebody at home who hears whatever arrives there."""
        reason = unavailable()
        if reason is not None:
            raise SkipTest(reason)
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.camera, self.client, self.home = map(Namespace, ("camera", "client", "home"))
        for host in (self.camera, self.client, self.home):
            host.add()
            self.addCleanup(host.remove)
        self.client.join("wlan0", self.camera, "ap0")
        self.client.join("eth0", self.home, "lan0")
        self.home.address("lan0", "10.77.0.1/24")
        self.client.address("wlan0", f"{CLIENT}/24")
        self.client.address("eth0", "10.77.0.2/24")
        self.client.ip("route", "add", "default", "via", "10.77.0.1")
        self.listener = self.home.run(sys.executable, "-c", LISTENER)
        self.addCleanup(self.listener.stop)
        self.listener.wait_for("listening", 10)

    def simulate(self, address: str) -> Running:
        """A camera on its own network that lets in only the port it knows."""
        self.camera.address("ap0", f"{address}/24")
        camera = self.camera.trailcam(
            "simulate", "--interface", address, "--json", "--photos", "1", "--videos", "0"
        )
        self.addCleanup(camera.stop)
        camera.wait_for('"ready"', 20)
        return camera

    def run_client(self, *arguments: str, status: int = 0) -> Running:
        """Run one command to its end."""
        client = self.client.trailcam(*arguments, "--json", "--state", str(self.folder / "state"))
        self.addCleanup(client.stop)
        self.assertEqual(client.finish(60), status, client)
        return client

    def discover(self, *arguments: str) -> list[str]:
        """The addresses of the cameras that were found."""
        client = self.run_client("discover", "--timeout", "1", *arguments)
        return [json.loads(line)["camera"] for line in client.output]

    def sync(self, *arguments: str) -> None:
        """Find the camera and bring its photo home."""
        client = self.run_client("sync", "--library", str(self.folder / "library"), *arguments)
        done = json.loads(client.output[-1])
        self.assertEqual((done["event"], done["new"], done["failed"]), ("done", 1, 0), client)

    def heard_at_home(self) -> list[dict[str, str]]:
        """All that has come to the home network."""
        marker = "import socket; s = socket.socket(2, 2); s.sendto(b'END', ('127.0.0.1', 32108))"
        sender = self.home.run(sys.executable, "-W", "ignore", "-c", marker)
        self.addCleanup(sender.stop)
        # Nothing overtakes on the way to one socket.
        self.listener.wait_for(b"END".hex(), 10)
        heard = [json.loads(line) for line in self.listener.output[1:]]
        return [each for each in heard if each["from"] != "127.0.0.1"]

    def check_home(self) -> None:
        """What came to the home network was its own search by broadcast and nothing else."""
        heard = self.heard_at_home()
        self.assertEqual({(each["data"], each["from"]) for each in heard}, {(SEARCH, "10.77.0.2")})
        self.assertLessEqual({each["to"] for each in heard}, {"10.77.0.255", "255.255.255.255"})

    def test_broadcast_alone(self) -> None:
        """A camera that is not at the usual address is found by the search on its network."""
        self.simulate("192.168.43.77")
        self.assertEqual(self.discover(), ["192.168.43.77:40611"])
        self.sync()
        self.check_home()

    def test_usual_address(self) -> None:
        """Discovery leaves a strict camera free, and a sync calls it from one port after that."""
        camera = self.simulate("192.168.43.1")
        self.assertEqual(self.discover(), ["192.168.43.1:40611"])
        self.sync()
        opened = [line for line in camera.errors if "a client opened a session" in line]
        self.assertEqual(len(opened), 1, camera)
        self.check_home()

    def test_own_address(self) -> None:
        """From a given address of ours, nothing at all goes to another network."""
        self.simulate("192.168.43.77")
        self.assertEqual(self.discover("--interface", CLIENT), ["192.168.43.77:40611"])
        self.sync("--interface", CLIENT)
        self.assertEqual(self.heard_at_home(), [])

    def test_address_given(self) -> None:
        """A camera given by its address is called there and nowhere else."""
        self.simulate("192.168.43.77")
        self.sync("192.168.43.77")
        self.assertEqual(self.heard_at_home(), [])

    def test_nobody_there(self) -> None:
        """Where no camera is, the search ends with status 3, and one line that helps."""
        client = self.run_client("discover", "--timeout", "0.5", status=3)
        self.assertEqual(len(client.errors), 1, client)
        self.check_home()
