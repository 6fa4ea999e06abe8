"""What a station gives to those who want too much, or too slowly."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred

from tests.webstation import WebTestCase, reactor

GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


class SiteTests(WebTestCase):
    """A real station on loopback, and clients without manners."""

    @property
    def connections(self) -> list[Any]:
        """Those that there are; the oldest first."""
        return list(self.web._visitors.protocols)

    async def pause(self, seconds: float) -> None:
        """Let others have their turn."""
        waited: Deferred[None] = Deferred()
        reactor.callLater(seconds, waited.callback, None)
        await waited

    async def test_all_connections(self) -> None:
        """
        Who takes all connections and asks for nothing keeps nobody out: the oldest of those goes.
        What is being answered stays.
        """
        from trailcam.web import site

        self.patch(site, "MOST_CONNECTIONS", 4)
        await self.serve()
        listens = await self.talk()
        listens.transport.write(GET % b"/api/v1/events")
        await self.until(lambda: b"retry" in listens.came)
        slow = [await self.talk() for _ in range(3)]
        slow[0].transport.write(b"GET / HTTP/1.1\r\nX: y")
        await self.until(lambda: len(self.connections) == 4)
        self.assertEqual((await self.get("/healthz")).status, 200)
        self.assertEqual(await slow[0].over, b"")
        self.assertFalse(listens.over.called)
        await self.web.stopService()
        for talk in (listens, *slow[1:]):
            await talk.over

    async def test_one_address(self) -> None:
        """One address, unless it is loopback's, does not get all connections."""
        from trailcam.web.site import MOST_FROM_ONE

        class Far:
            def getPeer(self) -> IPv4Address:
                return IPv4Address("TCP", "192.0.2.1", 1)

        await self.serve()
        visitors: Any = self.web._visitors
        far = [Far() for _ in range(MOST_FROM_ONE)]
        visitors.protocols.update(dict.fromkeys(far, 1))
        self.addCleanup(lambda: [visitors.protocols.pop(each) for each in far])
        self.assertIsNone(visitors.buildProtocol(IPv4Address("TCP", "192.0.2.1", 2)))
        self.assertIsNotNone(visitors.buildProtocol(IPv4Address("TCP", "192.0.2.2", 2)))
        self.assertEqual((await self.get("/healthz")).status, 200)

    async def test_bit_by_bit(self) -> None:
        """A byte now and then keeps no connection: a request has its time, and no more."""
        from trailcam.web import site

        self.patch(site.WebSite, "timeOut", 0.5)
        await self.serve()
        self.web._visitors.wrappedFactory.timeOut = 0.5
        talk = await self.talk()
        talk.transport.write(b"GET / HTTP/1.1\r\n")
        for number in range(100):
            if talk.over.called:
                break
            talk.transport.write(b"X-%d: y\r\n" % number)
            await self.pause(0.05)
        self.assertLess(number, 60)
        await talk.over

    async def test_asks_and_reads_nothing(self) -> None:
        """Who asks again and again and reads nothing is not answered for ever."""
        await self.serve()
        talk = await self.talk()
        talk.transport.pauseProducing()
        talk.transport.write(GET % b"/api/v1/openapi.json" * 3000)  # 100 MB of answers
        await self.pause(0.5)
        talk.transport.resumeProducing()
        self.assertLess(len(await talk.over), 20e6)

    async def test_reads_nothing(self) -> None:
        """Who does not go on reading what was asked for is let go after a while."""
        from trailcam.web import site

        self.patch(site, "STALLED", 0.3)
        await self.serve()
        await self.bring(1, 30_000_000)
        talk = await self.talk()
        talk.transport.pauseProducing()
        talk.transport.write(GET % b"/api/v1/media/1/file")
        await self.until(lambda: bool(self.connections))
        await self.until(lambda: not self.connections)
        talk.transport.resumeProducing()
        self.assertLess(len(await talk.over), 30_000_000)

    async def test_reads_slowly(self) -> None:
        """Who reads slowly gets it all."""
        from trailcam.web import site

        self.patch(site, "STALLED", 0.5)
        await self.serve()
        await self.bring(1, 20_000_000)
        talk = await self.talk()
        ask = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        talk.transport.write(ask % b"/api/v1/media/1/file")
        for _ in range(5):
            talk.transport.pauseProducing()
            await self.pause(0.2)
            talk.transport.resumeProducing()
            await self.pause(0.02)
        self.assertGreater(len(await talk.over), 20_000_000)

    async def test_strange_forms(self) -> None:
        """Forms in parts are not taken, be they whole, broken or nested; it is no fault of ours."""
        await self.serve()
        named = b"--x\r\nContent-Disposition: form-data; name%s\r\n%s\r\n\r\nword\r\n--x--\r\n"
        for body in (named % (b"=csrf", b""), named % (b"*=utf-8''csrf", b""), b"--x\r\n", b"",
                     named % (b"=csrf", b"Content-Type: message/rfc822"), b"\xff" * 1000):
            headers = {"Content-Type": "Multipart/form-data; boundary=x"}
            reply = await self.ask("POST", "/logout", headers, body)
            self.assertEqual(reply.status, 415)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_strange_lengths(self) -> None:
        """A length that is none ends the connection, and is no fault of ours."""
        await self.serve()
        for length in (b"9" * 6000, b"-1", b"1, 2", b"0x10", b""):
            said = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: %b\r\n\r\n" % length
            came = await self.say(said)
            self.assertIn(came[:12], (b"HTTP/1.1 400", b"HTTP/1.1 413"))
        self.assertEqual(self.flushLoggedErrors(), [])
