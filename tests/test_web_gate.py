"""Who may see and change what: passwords, tokens, forms, names, proxies, and what is no request."""

from __future__ import annotations

import base64
import re
import warnings
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SkipTest, TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.webstation import PAGE, PASSWORD, Reply, WebTestCase, reactor
from trailcam.extras import missing
from trailcam.web.tokens import remove_token

LIST = "/api/v1/media"
FORM = {"Content-Type": "application/x-www-form-urlencoded", **PAGE}


def csrf_of(page: Reply) -> str:
    """The secret word of a page's session."""
    found = re.search(r'name="csrf" (?:content|value)="([0-9a-f]{64})"', page.text)
    assert found, page.text
    return found[1]


class GateTestCase(WebTestCase):
    """What all of these do."""

    async def log_in(self, password: str = PASSWORD, where: str = "", **headers: str) -> Reply:
        """As a person does: load the form, send it back."""
        form = await self.get("/login", **PAGE, **headers)
        body = f"csrf={csrf_of(form)}&password={quote(password)}&next={quote(where, safe='')}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.ask(
            "POST", "/login", {**FORM, **named, "Cookie": form.cookie}, body.encode()
        )


class HostTests(GateTestCase):
    """A station without a password is for its own computer only."""

    async def test_names(self) -> None:
        """Only the names of loopback are answered to: no page can let its own name point here."""
        await self.serve()
        for host, status in (
            ("localhost:8080", 200), ("127.0.0.1", 200), ("[::1]:99", 200), ("127.9.9.9", 200),
            ("trail.localhost", 200), ("LOCALHOST", 200),
            ("evil.example", 403), ("127.0.0.1.evil.example", 403), ("localhost.evil.example", 403),
            ("127.0.0.1@evil.example", 403), ("192.0.2.7:8080", 403), ("0.0.0.0", 403),
            ("[::ffff:192.0.2.1]", 403), ("evil.example:127.0.0.1", 400), ("[::1", 400),
            ("2130706433", 403), ("evil.example#localhost", 403), ("evil\\localhost", 403),
        ):  # fmt: skip
            for path in ("/", LIST, "/healthz", "/static/trailcam.css"):
                reply = await self.ask("GET", path, {"Host": host})
                self.assertEqual(reply.status, status, host)

    async def test_proxies(self) -> None:
        """Who comes through a proxy comes from elsewhere, whatever the proxy says."""
        await self.serve()
        for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Host",
                     "X-Forwarded-Proto", "CF-Connecting-IP"):  # fmt: skip
            reply = await self.ask("GET", LIST, {name: "127.0.0.1"})
            self.assertEqual(reply.status, 403, name)
            self.assertIn("trailcam passwd", reply.json["detail"])

    async def test_trusted(self) -> None:
        """A proxy that is trusted lets people see and change things, by any name."""
        await self.serve(trusted_proxies=frozenset({"127.0.0.1"}))
        for password in (False, True):
            if password:
                self.set_password()
            headers = {"Host": "garden.example", "X-Forwarded-For": "192.0.2.7"}
            page = await self.ask("GET", "/", {**headers, **PAGE})
            self.assertEqual(page.status, 200)
            form = {**headers, "Cookie": page.cookie, "X-CSRF-Token": csrf_of(page)}
            self.assertEqual((await self.ask("DELETE", f"{LIST}/1", form)).status, 404)
            self.assertEqual((await self.ask("DELETE", f"{LIST}/1", headers)).status, 403)
            login = await self.ask("GET", "/login", {**headers, **PAGE})
            self.assertEqual((login.status, login.headers["location"]), (303, "./"))


    async def test_beside_a_trusted_proxy(self) -> None:
        """A browser beside it is not taken for it, when a page lets its own name point here."""
        await self.serve(trusted_proxies=frozenset({"127.0.0.1"}))
        for host, status in ((f"evil.example:{self.port}", 403), ("garden.example", 200),
                             ("garden.example:443", 200), (f"localhost:{self.port}", 200)):
            reply = await self.ask("GET", LIST, {"Host": host})
            self.assertEqual(reply.status, status, host)


class PasswordTests(GateTestCase):
    """Where there is a password."""

    async def begin(self) -> None:
        """Set it."""
        self.set_password()
        await self.serve()
        await self.bring(1)

    async def test_strangers(self) -> None:
        """Nobody sees anything: a program is told how, a person is led to the form and back."""
        await self.begin()
        for path in (LIST, f"{LIST}/1", f"{LIST}/1/file", f"{LIST}/1/thumbnail", "/metrics",
                     "/api/v1/station", "/api/v1/days"):  # fmt: skip
            for method in ("GET", "HEAD"):
                reply = await self.ask(method, path, {"Host": "any.example"})
                self.assertEqual(reply.status, 401, path)
                self.assertIn("Bearer", reply.headers["www-authenticate"])
                self.assertNotIn("set-cookie", reply.headers)
        page = await self.get("/?kind=video&from=2026-05-01", **PAGE)
        self.assertEqual(page.status, 303)
        where = page.headers["location"]
        self.assertEqual(where, "./login?next=%3Fkind%3Dvideo%26from%3D2026-05-01")
        form = await self.get(where[1:], **PAGE)
        self.assertIn("kind=video&amp;from=2026-05-01", form.text)
        deep = await self.get("/media/1%3F?x=%ff", **PAGE)
        self.assertIn(deep.status, (303, 404))

    async def test_login(self) -> None:
        """The right password opens everything, and leads to what was wanted; a wrong one not."""
        await self.begin()
        self.assertEqual((await self.log_in("wrong")).status, 403)
        done = await self.log_in(where="?kind=video")
        self.assertEqual((done.status, done.headers["location"]), (303, "./?kind=video"))
        flags = done.headers["set-cookie"].split("; ")[1:]
        self.assertEqual(flags, ["Path=/", "Max-Age=2592000", "HttpOnly", "SameSite=Lax"])
        cookie = {"Cookie": done.cookie}
        self.assertEqual((await self.get(LIST, **cookie)).status, 200)
        page = await self.get("/", **cookie, **PAGE)
        self.assertEqual(page.status, 200)
        again = await self.get("/login?next=cameras", **cookie, **PAGE)
        self.assertEqual(again.headers["location"], "./cameras")
        word = f"csrf={csrf_of(page)}".encode()
        out = await self.ask("POST", "/logout", {**FORM, **cookie}, word)
        self.assertEqual((out.status, out.headers["location"]), (303, "./login"))
        self.assertIn("Max-Age=0", out.headers["set-cookie"])
        self.assertEqual((await self.get(LIST, **cookie)).status, 401)

    async def test_behind_tls(self) -> None:
        """Where the browser talks TLS the cookie never goes without."""
        await self.begin()
        for proto in ("https", "HTTPS", "https, http"):
            done = await self.log_in(X_Forwarded_Proto=proto)
            self.assertTrue(done.headers["set-cookie"].endswith("; Secure"), proto)

    async def test_too_often(self) -> None:
        """Who tries too often has to wait, and is told how long; the right one waits as well."""
        await self.begin()
        for _ in range(6):
            reply = await self.log_in("wrong")
        self.assertEqual(reply.status, 429)
        self.assertGreaterEqual(int(reply.headers["retry-after"]), 1)
        self.assertIn("try again", reply.text)
        self.assertEqual((await self.log_in()).status, 429)

    async def test_too_often_behind_a_proxy(self) -> None:
        """Behind a proxy on this computer, a stranger's attempts do not keep the owner out."""
        await self.begin()
        for _ in range(6):
            reply = await self.log_in("wrong", X_Forwarded_For="10.0.0.1, 192.0.2.1")
        self.assertEqual(reply.status, 429)
        owner = await self.log_in(X_Forwarded_For="192.0.2.1, 192.0.2.2")
        self.assertEqual(owner.status, 303)

    async def test_next(self) -> None:
        """A link that leads to the form leads nowhere else but to us, and never in circles."""
        await self.begin()
        here = f"http://127.0.0.1:{self.port}/"
        cookie = {"Cookie": (await self.log_in()).cookie}
        for where in (
            "//evil.example", "https:evil.example", "https://evil.example", "\\evil.example",
            "/\\evil.example", "javascript:alert(1)", "data:text/html,x", "../../x", "..%2f..",
            "x\r\nSet-Cookie: a=b", "\u2028x", "/\t/evil.example", "\t//evil.example", "login",
            "login?next=login", "logout", "http:", ":", "[", "//[", "?\x00", "%0d%0aA: b", "@evil",
            ".//evil.example", " //evil.example", "ä", "https:/\\evil", "\u0085//evil.example",
        ):  # fmt: skip
            reply = await self.get(f"/login?next={quote(where, safe='')}", **cookie, **PAGE)
            self.assertEqual(reply.status, 303, where)
            target = urljoin(here + "login", reply.headers["location"])
            self.assertTrue(target.startswith(here), (where, target))
            self.assertNotIn(urlsplit(target).path, ("/login", "/logout"))
            self.assertTrue(reply.headers["location"].startswith("./"), where)
            self.assertNotIn("a=b", reply.headers.get("set-cookie", ""))

    async def test_tokens(self) -> None:
        """A token opens everything, and changes things; an old one nothing, and it is said."""
        await self.begin()
        machine = self.token()
        self.assertEqual((await self.ask("GET", LIST, machine)).status, 200)
        self.assertEqual((await self.ask("DELETE", f"{LIST}/1", machine)).status, 204)
        token = machine["Authorization"].split()[1]
        for value in (f"bearer   {token} ", f"BEARER {token}"):
            self.assertEqual((await self.get(LIST, Authorization=value)).status, 200, value)
        for value in (f"Bearer {token}x", "Bearer", "Bearer ", f"Bearer {'x' * 5000}",
                      "Bearer \xff\xfe", token, f"Token {token}", f"Digest {token}"):  # fmt: skip
            reply = await self.get(LIST, Authorization=value)
            self.assertEqual(reply.status, 401, value)
        self.assertEqual((await self.get(f"{LIST}?token={token}")).status, 401)
        remove_token(self.folder, "test")
        gone = await self.ask("GET", LIST, machine)
        self.assertEqual(gone.status, 401)
        self.assertIn("invalid_token", gone.headers["www-authenticate"])
        self.assertIn("trailcam token list", gone.json["detail"])

    async def test_basic(self) -> None:
        """
        A program that can only send a name and a password has the token as the password. That
        looks, and changes nothing: browsers send it by themselves.
        """
        await self.begin()
        token = self.token()["Authorization"].split()[1]
        basic = "Basic " + base64.b64encode(f"ha:{token}".encode()).decode()
        self.assertEqual((await self.get(LIST, Authorization=basic)).status, 200)
        refused = await self.ask("DELETE", f"{LIST}/1", {"Authorization": basic})
        self.assertEqual(refused.status, 403)
        cookie = (await self.log_in()).cookie
        for value in ("Basic", "Basic x", "Basic /+8=", "Basic " + "A" * 4000,
                      "Basic " + base64.b64encode(b"proxy:its own").decode()):  # fmt: skip
            self.assertEqual((await self.get(LIST, Authorization=value)).status, 401, value)
            with_cookie = await self.get(LIST, Authorization=value, Cookie=cookie)
            self.assertEqual(with_cookie.status, 200, "it may be for a proxy")

    async def test_forms(self) -> None:
        """What changes something needs the word of this very session, wherever it comes from."""
        await self.begin()
        mine, other = (await self.log_in()).cookie, (await self.log_in()).cookie
        words = {}
        for cookie in (mine, other):
            words[cookie] = csrf_of(await self.get("/", Cookie=cookie, **PAGE))
        self.assertNotEqual(words[mine], words[other])
        guest = csrf_of(await self.get("/login", **PAGE))
        path = f"{LIST}/1"
        for word in (None, "", "x", words[other], guest, words[mine][:-1], words[mine].upper()):
            headers = {"Cookie": mine, **({} if word is None else {"X-CSRF-Token": word})}
            for method, where in (("DELETE", path), ("PATCH", path), ("POST", f"{path}/restore"),
                                  ("POST", "/logout")):  # fmt: skip
                reply = await self.ask(method, where, headers, b"{}")
                self.assertEqual(reply.status, 403, (word, method))
        self.assertEqual((await self.get(path, Cookie=mine)).json["removed"], None)
        right = {"Cookie": mine, "X-CSRF-Token": words[mine]}
        self.assertEqual((await self.ask("DELETE", path, right)).status, 204)
        bad = await self.ask("POST", "/login", FORM, f"password={PASSWORD}".encode())
        self.assertEqual(bad.status, 403)
        self.assertNotIn("set-cookie", bad.headers)

    async def test_cookies(self) -> None:
        """What is no cookie of ours is none; a guest's opens nothing."""
        await self.begin()
        guest = (await self.get("/login", **PAGE)).cookie
        name = guest.partition("=")[0]
        for cookie in (guest, f"{name}=", name, f"{name}={'x' * 3000}", f"{name}=\xff\xfe",
                       f"{name}=m.x.y", ";;;=;", f"{guest}; {guest}"):  # fmt: skip
            self.assertEqual((await self.get(LIST, Cookie=cookie)).status, 401, cookie)

    async def test_headers(self) -> None:
        """Every answer says what browsers may do with it, also that of an error."""
        await self.begin()
        cookie = {"Cookie": (await self.log_in()).cookie}
        for path in ("/", "/nothing", LIST, f"{LIST}/1/file", f"{LIST}/9", "/login",
                     "/static/trailcam.css"):  # fmt: skip
            reply = await self.get(path, **cookie, **PAGE)
            policy = reply.headers["content-security-policy"]
            self.assertIn("default-src 'none'", policy)
            self.assertNotIn("unsafe", policy)
            self.assertIn("frame-ancestors 'none'", policy)
            self.assertEqual(reply.headers["x-frame-options"], "DENY")
            self.assertEqual(reply.headers["x-content-type-options"], "nosniff")
            self.assertEqual(reply.headers["server"], "trailcam")
        framed = await self.get("/", **cookie, **PAGE, X_Ingress_Path="/api/hassio_ingress/abc")
        self.assertIn("frame-ancestors 'self'", framed.headers["content-security-policy"])
        self.assertNotIn("x-frame-options", framed.headers)


class WireTests(GateTestCase):
    """What is hardly a request, or too much of one."""

    async def test_long_bodies(self) -> None:
        """A body that is too long is refused, announced or not, before it was all there."""
        await self.serve()
        head = b"POST /login HTTP/1.1\r\nHost: localhost\r\n"
        kind = b"Content-Type: application/x-www-form-urlencoded\r\n"
        piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        for raw in (
            head + b"Content-Length: 65537\r\n\r\n",
            head + b"Content-Length: 65537\r\n\r\n" + b"x" * 65537,
            head + b"Content-Length: 99999999999999\r\n\r\nx",
            head + kind + b"Content-Length: 65537\r\nExpect: 100-continue\r\n\r\n",
            head + b"Transfer-Encoding: chunked\r\n\r\n" + piece * 2,
            head + b"Transfer-Encoding: chunked\r\n\r\n" + piece * 2 + b"0\r\n\r\n",
        ):
            came = await self.say(raw)
            self.assertTrue(came.startswith(b"HTTP/1.1 413 "), came[:60])
            self.assertEqual(came.count(b"HTTP/1.1 413"), 1)
            self.assertNotIn(b" 403 ", came)
        fits = await self.ask("POST", "/login", FORM, b"x" * 65536)
        self.assertEqual(fits.status, 403)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_broken(self) -> None:
        """What is broken or a bomb is refused, and the next request is answered."""
        await self.serve()
        get = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
        for raw in (
            b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n", b"GET " + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
            get + b"A: b\r\n" * 2000 + b"\r\n", get + b"A: " + b"b" * 100_000 + b"\r\n\r\n",
            get + b"no colon\r\n\r\n", get + b"Content-Length: -5\r\n\r\n",
            get + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxxx",
            get + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            get + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n\r\n",
        ):  # fmt: skip
            talk = await self.talk()
            talk.transport.write(raw)
            talk.transport.loseWriteConnection()
            came = await talk.over
            self.assertNotIn(b" 200 ", came.split(b"\r\n", 1)[0], raw[:60])
            self.assertNotIn(b"Traceback", came)
        self.assertEqual((await self.get("/healthz")).status, 200)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_paths(self) -> None:
        """A path is unquoted once, and is none of ours unless it is exactly that."""
        await self.serve()
        for path, status in (
            ("/api/v1/medi%61", 200), ("/api/v1/medi%2561", 404), ("/api/v1%2Fmedia", 404),
            ("//api/v1/media", 404), ("/api/v1/media/", 404), ("/api/v1/../v1/media", 404),
            ("/%ff%fe", 404), ("/\xff", 400), ("/api/v1/media;x", 404), ("*", 200),
            ("http://localhost/api/v1/media", 404), ("/api/v1/media%00", 404),
            ("/api/v1/media%0a", 404), ("/api/v1/media?", 200), ("/api/v1/media?&&", 200),
        ):  # fmt: skip
            method = "OPTIONS" if path == "*" else "GET"
            self.assertEqual((await self.ask(method, path)).status, status, path)
        lost = await self.get("/a%2Fb/c", **PAGE)
        self.assertIn('data-root="../"', lost.text)

    async def test_cancelled(self) -> None:
        """What is cancelled inside is told; who is gone is told nothing, and it is no fault."""
        await self.serve()
        hanging: list[Deferred[Any]] = []

        def cameras() -> Deferred[Any]:
            hanging.append(Deferred())
            return hanging[-1]

        self.patch(self.library, "cameras", cameras)
        asking = Deferred.fromCoroutine(self.get("/api/v1/station"))
        await self.until(lambda: len(hanging) == 1)
        hanging[0].errback(CancelledError())
        self.assertEqual((await asking).status, 503)
        talk = await self.talk()
        talk.transport.write(b"GET /api/v1/station HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await self.until(lambda: len(hanging) == 2)
        talk.transport.abortConnection()
        await self.until(lambda: hanging[1].called)
        self.assertEqual(self.flushLoggedErrors(), [])


    async def test_no_words(self) -> None:
        """Where even the page that tells of an error fails, nobody waits for ever."""
        from trailcam.web import resource

        await self.serve()
        self.patch(resource, "page", lambda *_, **__: [][1])
        head = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"
        self.assertEqual(await self.say(head), b"")
        self.assertEqual(len(self.flushLoggedErrors(IndexError)), 1)

    async def test_stopped(self) -> None:
        """A station that is stopped breaks off what it is sending, and it is no fault."""
        await self.serve()
        await self.bring(1, size=30 << 20)
        talk = await self.talk()
        talk.transport.pauseProducing()
        talk.transport.write(f"GET {LIST}/1/file HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await self.until(lambda: bool(self.web._visitors.protocols))
        await self.web.stopService()
        talk.transport.resumeProducing()
        self.assertLess(len(await talk.over), 30 << 20)
        self.assertEqual(self.flushLoggedErrors(), [])


class ElsewhereTests(GateTestCase):
    """Pages below a prefix, and in somebody else's site."""

    async def follow(self, base: str, path: str, port: int, cookie: str = "") -> Reply:
        """GET, like a browser that is shown C{base + path}."""
        headers = {**PAGE, **({"Cookie": cookie} if cookie else {})}
        return await self.ask("GET", base + path, headers, port=port)

    def assert_links(self, page: Reply, url: str, base: str) -> None:
        """Every link of a page stays below C{base}."""
        links = re.findall(r'(?:href|src|action)="([^"#][^"]*)"', page.text)
        self.assertTrue(links)
        for link in links:
            self.assertTrue(urljoin(url, link).startswith(base), (url, link))

    async def behind(self, base: str, port: int) -> None:
        """Log in, look, and log out, below C{base}."""
        site = f"http://127.0.0.1:{port}"
        first = await self.follow(base, "/", port)
        self.assertEqual(first.status, 303)
        where = urljoin(f"{site}{base}/", first.headers["location"])
        self.assertEqual(where, f"{site}{base}/login")
        form = await self.follow(base, "/login", port)
        self.assert_links(form, where, f"{site}{base}/")
        body = f"csrf={csrf_of(form)}&password={quote(PASSWORD)}&next=".encode()
        done = await self.ask("POST", f"{base}/login", {**FORM, "Cookie": form.cookie}, body,
                              port=port)  # fmt: skip
        self.assertEqual(urljoin(where, done.headers["location"]), f"{site}{base}/")
        for path in ("/", "/nothing/at/all"):
            page = await self.follow(base, path, port, done.cookie)
            self.assert_links(page, f"{site}{base}{path}", f"{site}{base}/")
        (style,) = re.findall(r'href="([^"]*trailcam.css[^"]*)"', page.text)
        path = urlsplit(urljoin(f"{site}{base}/nothing/at/all", style)).path
        self.assertEqual((await self.ask("GET", path, port=port)).status, 200)

    async def listen(self, resource: Resource) -> int:
        """Somebody else's site."""
        port = reactor.listenTCP(0, Site(resource), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    async def test_ingress(self) -> None:
        """A proxy that takes its prefix away, as Home Assistant does, shows all of it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # twisted warns of its own
            from twisted.web.proxy import ReverseProxyResource

        self.set_password()
        await self.serve()
        root = Resource()
        at = root
        for name in (b"api", b"hassio_ingress"):
            at.putChild(name, Resource())
            at = at.children[name]
        at.putChild(b"abc", ReverseProxyResource("127.0.0.1", self.port, b"", reactor))
        await self.behind("/api/hassio_ingress/abc", await self.listen(root))

    async def test_prefix(self) -> None:
        """A proxy that leaves its prefix is told in the settings; without its slash it leads on."""
        self.set_password()
        await self.serve(prefix="/cam/era")
        await self.behind("/cam/era", self.port)
        for path in ("/cam/era", "/cam/era?kind=video"):
            reply = await self.get(path, **PAGE)
            self.assertEqual(reply.status, 308)
            self.assertEqual(
                urljoin(f"http://x{path}", reply.headers["location"]),
                f"http://x{path.replace('/era', '/era/')}",
            )
        self.assertEqual((await self.get("/cam/erase", **PAGE)).status, 404)

    async def test_mounted(self) -> None:
        """In a site of twisted.web it is a resource like any other."""
        from trailcam.web.service import web_resource

        self.set_password()
        await self.serve()
        root = Resource()
        root.putChild(b"cam", web_resource(self.context))
        port = await self.listen(root)
        await self.behind("/cam", port)
        bare = await self.follow("", "/cam", port)
        self.assertEqual((bare.status, bare.headers["location"]), (308, "./cam/"))


class LocalTests(TestCase):
    """Where one goes after logging in: pure."""

    def setUp(self) -> None:
        """Skip where there is no web part."""
        if missing("web"):
            raise SkipTest("needs the extra web")

    @settings(deadline=None, max_examples=300)
    @given(st.one_of(st.text(max_size=20), st.text(alphabet="/\\:.?#@ \t\nahtps%", max_size=12)))
    def test_never_elsewhere(self, where: str) -> None:
        """Whatever a link says, it is a place of ours."""
        from trailcam.web.pages.login import _local

        found = "./" + _local(where)
        here = "https://here.example/station/"
        self.assertTrue(urljoin(here + "login", found).startswith(here), found)
        self.assertTrue(found.isascii() and found.isprintable())
