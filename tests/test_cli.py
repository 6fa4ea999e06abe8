"""Tests of L{trailcam.cli}: every command but C{sync}, as real processes, to the letter."""

from __future__ import annotations

import io
import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import av
from PIL import Image

from tests.processes import (
    ProcessTestCase,
    Result,
    environment,
    shared_simulator,
    trailcam,
)
from tests.support import capture_file
from trailcam.commands import encode_text
from trailcam.testing import reserve_port
from trailcam.wire import pppp
from trailcam.wire.artemis import Message, MessageId
from trailcam.wire.device_id import FAMILY

COMMANDS = ("demo", "sync", "discover", "info", "list", "live", "still", "delete", "format", "snap",
            "send", "simulate", "decode", "init", "doctor", "rescan", "tidy")  # fmt: skip
STOPS = (signal.SIGINT, signal.SIGTERM)


class HelpTests(ProcessTestCase):
    """What can be asked before anything is done."""

    def test_help_names_every_command(self) -> None:
        """C{--help} lists the commands and the exit statuses, and ends with 0."""
        result = self.run_trailcam("--help")
        self.assertEqual((result.status, result.err), (0, ""))
        for command in COMMANDS:
            self.assertRegex(result.out, rf"(?m)^ +{command} +\w")
        self.assertIn("130 interrupted", result.out)

    def test_help_of_each_command(self) -> None:
        """Every command explains itself and takes C{--json}; none needs Twisted or PyAV for it."""
        code = f"""
import sys
from trailcam.cli import main
for command in {[(), *((each,) for each in COMMANDS)]!r}:
    try:
        main([*command, "--help"])
    except SystemExit as end:
        print("ended", end.code)
heavy = [name for name in sys.modules if name.split(".")[0] in ("twisted", "av", "rich", "PIL")]
print("imported", heavy)
"""
        result = self.finish(self.start_any([sys.executable, "-c", code]))
        lines = result.out.splitlines()
        self.assertEqual(lines.count("ended 0"), len(COMMANDS) + 1)
        self.assertEqual(sum("--json " in line for line in lines), len(COMMANDS) + 1)
        self.assertEqual(lines[-1], "imported []")

    def test_version(self) -> None:
        """C{--version} tells it."""
        self.assertRegex(self.run_trailcam("--version").out, r"^trailcam \d+\.\d+\.\d+$")

    def test_no_command(self) -> None:
        """Without a command it is wrong usage, and the help is no result."""
        result = self.run_trailcam()
        self.assertEqual((result.status, result.out), (2, ""))
        self.assertIn("usage: trailcam", result.err)


#: Runs many commands in one process, for starting Python takes longest; tells status and lines.
MANY = """
import contextlib, io, json, sys
from trailcam.cli import main
for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(arguments)
        except SystemExit as end:
            status = end.code
    print(json.dumps([status, out.getvalue(), err.getvalue()]))
"""


class UsageTests(ProcessTestCase):
    """Nonsense ends with 2 and one line that says what is wrong."""

    def all_wrong(self, *cases: tuple[str, ...]) -> None:
        """Each is refused: the first of a case stands in the line about the rest."""
        commands = [trailcam(*arguments)[3:] for _, *arguments in cases]
        done = self.finish(self.start_any([sys.executable, "-c", MANY, json.dumps(commands)]))
        for (text, *_), (status, out, err) in zip(cases, done.events, strict=True):
            self.assert_complains(Result(status, out, err), 2, text)

    def test_nonsense(self) -> None:
        """As a process of its own."""
        self.assert_complains(self.run_trailcam("fetch"), 2, "invalid choice: 'fetch'")
        self.assert_complains(self.run_trailcam("info", "1.2.3"), 2, "'1.2.3' is neither HOST")

    def test_addresses(self) -> None:
        """What is no address is told from one."""
        self.all_wrong(
            ("'1.2.3' is neither HOST[:PORT] nor the name", "info", "1.2.3"),
            ("127.0.0.1:70000", "sync", "127.0.0.1:70000"),
            ("'elsewhere'", "discover", "--broadcast", "elsewhere"),
            ("'lo'", "list", "127.0.0.1:9", "--interface", "lo"),
        )

    def test_address_that_is_not_ours(self) -> None:
        """An interface that this machine does not have is named."""
        for arguments in (("sync", "127.0.0.1:9"), ("discover",), ("simulate",)):
            result = self.run_trailcam(*arguments, "--interface", "198.51.100.77")
            self.assert_complains(result, 2, "198.51.100.77")

    def test_numbers(self) -> None:
        """Numbers have to be some, within their bounds."""
        self.all_wrong(
            ("'0' is not a number", "sync", "127.0.0.1:9", "--local-port", "0"),
            ("'never' is not a number", "sync", "127.0.0.1:9", "--timeout", "never"),
            ("'0' is not a number", "info", "127.0.0.1:9", "--timeout", "0"),
            ("'nan' is not a number", "discover", "--timeout", "nan"),
            ("'2' is not a number", "simulate", "--loss", "2"),
        )

    def test_options(self) -> None:
        """Unknown commands, options and missing arguments are refused."""
        self.all_wrong(
            ("unrecognized arguments: --fast", "list", "127.0.0.1:9", "--fast"),
            ("-o/--output", "live", "127.0.0.1:9"),
            ("JSON", "send", "127.0.0.1:9"),
            ("'none'", "simulate", "--firewall", "none"),
        )

    def test_output(self) -> None:
        """A live view goes into no file that is there already, and that has no name for it."""
        (self.home / "there.mp4").write_bytes(b"precious")
        (self.home / "there.jpg").write_bytes(b"precious")
        self.all_wrong(
            ("there.mp4 is there already", "live", "127.0.0.1:9", "-o", "there.mp4"),
            ("there.jpg is there already", "still", "127.0.0.1:9", "-o", "there.jpg"),
            (".mp4 or .h264", "live", "127.0.0.1:9", "-o", "view.avi"),
            (".jpg or .jpeg", "still", "127.0.0.1:9", "-o", "view.png"),
        )

    def test_requests(self) -> None:
        """C{send} sends only JSON objects with a command in it."""
        nonsense = ("{", "[]", "17", "{}", '{"cmdId": "512"}', '{"cmdId": true}',
                    '{"cmdId": 65536}', "[" * 5000)  # fmt: skip
        self.all_wrong(*(('like {"cmdId": 512}', "send", "127.0.0.1:9", text) for text in nonsense))

    def test_changing_needs_yes(self) -> None:
        """What formats the card, or erases or changes anything, is not sent by mistake."""
        self.all_wrong(*(
            ("add --yes", "send", "127.0.0.1:9", f'{{"cmdId": {code}}}')
            for code in (513, 518, 773, 774, 1024)
        ))  # fmt: skip

    def test_configuration(self) -> None:
        """A missing or wrong configuration is named, and so is a camera that is not in it."""
        wrong, right = self.home / "wrong.conf", self.home / "right.conf"
        wrong.write_text("[camera garden]\naddres = 127.0.0.1\n")
        right.write_text("[camera garden]\naddress = 127.0.0.1\n")
        self.all_wrong(
            ("no nowhere.conf", "--config", "nowhere.conf", "sync"),
            ("wrong.conf, line 2", "--config", str(wrong), "info", "garden"),
            ("'forest' is neither", "--config", str(right), "info", "forest"),
            ("(garden)", "--config", str(right), "info", "forest"),
        )

    def test_files(self) -> None:
        """Files that cannot be read are named."""
        (self.home / "noise").write_bytes(bytes(range(256)))
        self.all_wrong(
            ("password from nowhere", "info", "127.0.0.1:9", "--password-file", "nowhere"),
            ("nowhere.pcap", "decode", "nowhere.pcap"),
            ("noise", "decode", "noise"),
            (str(self.home), "decode", str(self.home)),
        )


class CameraTests(ProcessTestCase):
    """The commands that call a camera, and it answers."""

    def setUp(self) -> None:
        super().setUp()
        self.camera = shared_simulator("--photos", "3", "--firewall", "off").camera

    def test_info(self) -> None:
        """C{info} shows battery, card and firmware first."""
        result = self.run_trailcam("info", self.camera)
        self.assertEqual(result.status, 0)
        names = [line.split()[0] for line in result.out.splitlines() if line]
        self.assertEqual(names[:3], ["battery", "card", "firmware"])
        self.assertRegex(result.out, r"(?m)^battery +\d+ %$")
        self.assertRegex(result.out, r"(?m)^card +\d+ MB free of \d+ MB$")

    def test_info_as_json(self) -> None:
        """C{info --json} is one object with the camera's own field names."""
        (event,) = self.run_trailcam("info", self.camera, "--json").events
        self.assertEqual((event["event"], event["camera"]), ("info", self.camera))
        self.assertEqual(event["devId"], "C6:00:00:00:00:01")
        self.assertIn("batPercent", event)

    def test_info_in_ascii(self) -> None:
        """What a terminal cannot show ends no command."""
        env = environment(self.home) | {"PYTHONIOENCODING": "ascii"}
        command = trailcam("info", self.camera, "--state", str(self.state))
        done = subprocess.run(command, env=env, capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, rb"(?m)^temperature +-?\d+ \?C$")

    def test_list(self) -> None:
        """C{list} has a line for each, highest number first, and counts them."""
        lines = self.run_trailcam("list", self.camera).out.splitlines()
        self.assertEqual([line[:14] for line in lines[:-1]],
                         ["photo 100-0003", "photo 100-0002", "photo 100-0001"])  # fmt: skip
        self.assertEqual(lines[-1], "3 on the card")

    def test_list_as_json(self) -> None:
        """C{list --json} has an object for each, with what the camera says of it."""
        *media, done = self.run_trailcam("list", self.camera, "--json").events
        self.assertEqual([each["mediaNum"] for each in media], [3, 2, 1])
        self.assertEqual(set(media[0]), {"event", "type", "fileType", "mediaDirNum", "mediaNum",
                                         "durationMs", "mediaId", "mediaTime", "time"})  # fmt: skip
        self.assertEqual((media[0]["event"], media[0]["type"]), ("media", "photo"))
        self.assertRegex(media[0]["time"], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")
        self.assertEqual(done, {"event": "done", "count": 3})

    def test_send(self) -> None:
        """C{send} prints the camera's answer: to read, or on one line."""
        result = self.run_trailcam("send", self.camera, '{"cmdId": 512}')
        self.assertEqual(result.status, 0)
        self.assertGreater(len(result.out.splitlines()), 5)
        answer = json.loads(result.out)
        self.assertEqual((answer["cmdId"], answer["result"]), (512, 0))
        again = self.run_trailcam("send", self.camera, '{"cmdId": 512}', "--json")
        # The camera's clock goes on meanwhile.
        self.assertEqual([{**event, "timeUTC": 0} for event in again.events],
                         [{**answer, "timeUTC": 0}])  # fmt: skip

    def test_send_what_is_refused(self) -> None:
        """A command that the camera refuses is answered, printed, and ends with 1."""
        request = '{"cmdId": 768, "pageNo": 0, "itemCntPerPage": 50}'
        result = self.run_trailcam("send", self.camera, request, "--json")
        self.assertEqual(result.status, 1)
        self.assertNotEqual(result.events[0]["result"], 0)

    def test_send_what_gets_no_answer(self) -> None:
        """A heartbeat is sent and not waited for."""
        result = self.run_trailcam("send", self.camera, '{"cmdId": 525}')
        self.assertEqual((result.status, result.out),
                         (0, "sent; the camera does not answer this one"))  # fmt: skip
        result = self.run_trailcam("send", self.camera, '{"cmdId": 525}', "--json")
        self.assertEqual((result.status, result.events), (0, [None]))

    def test_localhost(self) -> None:
        """C{localhost} is an address too."""
        camera = self.camera.replace("127.0.0.1", "localhost")
        self.assertEqual(self.run_trailcam("list", camera).status, 0)

    def test_live(self) -> None:
        """C{live} writes H.264 for as long as told, from the first frame on."""
        path = self.home / "view.h264"
        result = self.run_trailcam("live", self.camera, "-o", str(path), "--seconds", "0.5",
                                   "--json")  # fmt: skip
        (done,) = result.events
        self.assertEqual((result.status, done["event"], done["path"]), (0, "done", str(path)))
        self.assertEqual(done["bytes"], path.stat().st_size)
        self.assertGreater(done["frames"], 1)
        self.assertEqual(path.read_bytes()[:4], b"\0\0\0\1")
        self.assertLess(abs(done["seconds"] - 0.5), 0.5)

    def test_live_until_interrupted(self) -> None:
        """Without C{--seconds}, Ctrl-C ends the view; what came is in the file."""
        path = self.home / "view.h264"
        simulator = self.simulator("--photos", "0")
        process = self.start("live", simulator.camera, "-o", str(path))
        process.err_line("logged in")
        while not (path.exists() and path.stat().st_size):
            time.sleep(0.02)
        process.send(signal.SIGINT)
        result = self.finish(process)
        self.assertEqual(result.status, 130)
        self.assertRegex(result.out, r"^\d+ frames, ")
        simulator.saw_close()

    def test_live_killed(self) -> None:
        """An MP4 of a recording that was killed hard plays up to then."""
        path = self.home / "view.mp4"
        process = self.start("live", self.camera, "-o", str(path))
        process.err_line("logged in")
        while not (path.exists() and path.stat().st_size > 100_000):
            time.sleep(0.02)
        process.kill()
        with av.open(str(path)) as video:
            pictures = list(video.decode(video=0))
        self.assertGreater(len(pictures), 5)
        self.assertEqual((pictures[0].time, pictures[0].width), (0, 1280))

    def test_standard_output(self) -> None:
        """With C{-o -} nothing but the stream, or the picture, goes to standard output."""
        env = environment(self.home)
        for command, *more in (("live", "--seconds", "0.3"), ("still", "--json")):
            arguments = trailcam(command, self.camera, "-o", "-", "--state", str(self.state), *more)
            done = subprocess.run(arguments, env=env, capture_output=True, check=False,
                                  cwd=self.home)  # fmt: skip
            self.assertEqual(done.returncode, 0, done.stderr)
            if command == "live":
                self.assertEqual(done.stdout[:4], b"\0\0\0\1")
                self.assertRegex(done.stderr, rb"\d frames, .* in standard output")
            else:
                with Image.open(io.BytesIO(done.stdout)) as image:
                    self.assertEqual((image.format, image.size), ("JPEG", (1280, 720)))
        self.assertFalse((self.home / "-").exists())

    def test_live_into_nowhere(self) -> None:
        """A file that cannot be written is told before any camera is called."""
        result = self.run_trailcam("live", "127.0.0.1:9", "-o", "nowhere/view.h264")
        self.assert_complains(result, 5, "cannot write nowhere/view.h264")
        self.assertNotIn("attempt", result.err)

    def test_login_refused(self) -> None:
        """A wrong password ends with 4, wherever it came from."""
        (self.home / "secret").write_text("wrong\n")
        result = self.run_trailcam("info", self.camera, "--password-file", "secret")
        self.assert_complains(result, 4, "check user and password")
        result = self.run_trailcam("info", self.camera, "--user", "nobody")
        self.assert_complains(result, 4, "check user and password")

    def test_password_of_the_environment(self) -> None:
        """TRAILCAM_PASSWORD is used, and shown nowhere."""
        env = environment(self.home) | {"TRAILCAM_PASSWORD": "hunter2"}
        command = trailcam("info", self.camera, "--state", str(self.state), "-v")
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertNotIn("hunter2", done.stdout + done.stderr)

    def test_name_from_the_configuration(self) -> None:
        """A name stands for the section's address, user and password."""
        path = self.home / "tap.conf"
        path.write_text(f"[camera garden]\naddress = {self.camera}\n"
                        "[camera forest]\naddress = 127.0.0.1:9\npassword = wrong\n"
                        f"[camera pond]\naddress = {self.camera}\nuser = eve\n")  # fmt: skip
        self.assertEqual(self.run_trailcam("--config", str(path), "list", "garden").status, 0)
        # The one in the current folder is found by itself.
        self.assertEqual(self.run_trailcam("list", "garden").status, 0)
        self.assertEqual(self.run_trailcam("list", "pond").status, 4)

    def test_state_unusable(self) -> None:
        """Where the port cannot be remembered the camera is called all the same, with a warning."""
        (self.home / "file").write_text("")
        result = self.run_trailcam("info", self.camera, "--state", str(self.home / "file"))
        self.assertEqual(result.status, 0)
        self.assertEqual(result.err.count("warn: "), 1, result.err)
        self.assertIn("switch it off and on", result.err)


class ErasingTests(ProcessTestCase):
    """What only C{--yes} lets through."""

    def test_format(self) -> None:
        """With C{--yes} the card is formatted; without it, it was not."""
        camera = self.simulator("--photos", "2").camera
        self.assertEqual(self.run_trailcam("send", camera, '{"cmdId": 518}').status, 2)
        self.assertEqual(self.run_trailcam("list", camera, "--json").events[-1]["count"], 2)
        sent = self.run_trailcam("send", camera, '{"cmdId": 518}', "--yes", "--json")
        self.assertEqual((sent.status, sent.events[0]["result"]), (0, 0))
        self.assertEqual(self.run_trailcam("list", camera, "--json").events[-1]["count"], 0)


class SearchTests(ProcessTestCase):
    """Cameras that are searched for."""

    def setUp(self) -> None:
        super().setUp()
        self.search_port = str(reserve_port())

    def test_discover(self) -> None:
        """C{discover} tells each camera at once, once, and opens no session."""
        simulator = self.simulator("--photos", "0", "--search-port", self.search_port)
        camera = simulator.camera
        arguments = ("discover", "--search-port", self.search_port, "--timeout")
        process = self.start(*arguments, "60", "--json")
        # It is there while the search goes on.
        event = json.loads(process.out_line("camera"))
        self.assertEqual(event, {"event": "camera", "camera": camera,
                                 "device_id": str(FAMILY)})  # fmt: skip
        process.send(signal.SIGINT)
        self.assertEqual(self.finish(process).status, 130)
        result = self.run_trailcam(*arguments, "0.5")
        self.assertEqual((result.status, result.out), (0, f"{camera}  {FAMILY}"))
        self.assertEqual(simulator.sources, [])

    def test_discovered_cameras_stay_reachable(self) -> None:
        """A camera that was only discovered still lets us in from another port."""
        simulator = self.simulator("--photos", "1", "--search-port", self.search_port)
        camera = simulator.camera
        self.run_trailcam("discover", "--search-port", self.search_port, "--timeout", "0.5")
        self.assertEqual(self.run_trailcam("list", camera, "--timeout", "5").status, 0)

    def test_discover_nobody(self) -> None:
        """Where no camera answers it ends with 3, in time."""
        result = self.run_trailcam("discover", "--search-port", self.search_port,
                                   "--timeout", "0.3")  # fmt: skip
        self.assert_complains(result, 3, "no camera answered")

    def test_no_camera_named(self) -> None:
        """Without CAMERA, the one that answers the search is called."""
        camera = self.simulator("--photos", "1", "--search-port", self.search_port).camera
        result = self.run_trailcam("list", "--search-port", self.search_port, "--json")
        self.assertEqual(result.events[-1], {"event": "done", "count": 1})
        self.assertIn(f"connected to {camera} ", result.err)


class SilenceTests(ProcessTestCase):
    """Nobody answers."""

    def test_within_the_timeout(self) -> None:
        """C{--timeout} bounds the connecting as a whole; then it is 3."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
            nobody.bind(("127.0.0.1", 0))
            camera = f"127.0.0.1:{nobody.getsockname()[1]}"
            began = time.monotonic()
            result = self.run_trailcam("info", camera, "--timeout", "1")
            self.assert_complains(result, 3, f"no camera answered at {camera} within 1 s")
            self.assertLess(time.monotonic() - began, 6)  # starting Python takes some of it
            self.assertEqual(pppp.decode(nobody.recv(100)), pppp.PunchPkt(FAMILY))

    def test_interrupted(self) -> None:
        """SIGINT and SIGTERM end the connecting with 130, at once."""
        for number in STOPS:
            process = self.start("info", "127.0.0.1:9", "--state", str(self.home / number.name))
            process.err_line("source port")
            process.send(number)
            result = self.finish(process)
            self.assertEqual((result.status, result.out), (130, ""))


class SimulateTests(ProcessTestCase):
    """C{trailcam simulate}."""

    def test_ready_and_interrupted(self) -> None:
        """It says where it listens, is a camera until interrupted, and ends with 130."""
        for number in STOPS:
            process = self.start("simulate", "--port", "0", "--search-port", "0",
                                 "--photos", "1", "--videos", "0")  # fmt: skip
            line = process.out_line("listens on")
            camera = re.findall(r"127\.0\.0\.1:\d+", line)[0]
            self.assertEqual(self.run_trailcam("list", camera).out.splitlines()[-1],
                             "1 on the card")  # fmt: skip
            process.send(number)
            self.assertEqual(self.finish(process).status, 130)

    def test_json(self) -> None:
        """C{--json}: one object, C{ready}, with the camera's address."""
        simulator = self.simulator("--photos", "0")
        host, port = simulator.camera.split(":")
        self.assertEqual((host, len(simulator.out)), ("127.0.0.1", 1))
        self.assertGreater(int(port), 0)

    def test_port_held(self) -> None:
        """A port that is held is wrong usage, and the line says which option mends it."""
        port = shared_simulator("--photos", "3", "--firewall", "off").camera.split(":")[1]
        result = self.run_trailcam("simulate", "--port", port, "--search-port", "0")
        self.assert_complains(result, 2, "--port")


class DecodeTests(ProcessTestCase):
    """C{trailcam decode}."""

    def capture(self) -> Path:
        """A login, as JSON lines."""
        said = (
            ("app", MessageId.REQUEST, {"cmdId": 0, "usrName": "admin", "password": "hunter2"}),
            ("camera", MessageId.RESPONSE, {"cmdId": 0, "result": 0, "token": 7}),
        )
        rows = [("camera", pppp.PunchPkt(FAMILY))]
        for source, kind, fields in said:
            rows.append((source, pppp.Drw(0, 0, Message(kind, 1, encode_text(fields)).encode())))
        path = self.home / "login.jsonl"
        path.write_text("".join(
            json.dumps({"n": n, "from": source, "hex": pppp.encode(value).hex()}) + "\n"
            for n, (source, value) in enumerate(rows)
        ))  # fmt: skip
        return path

    def test_json(self) -> None:
        """One object a datagram; commands and responses stand decrypted, as they are."""
        result = self.run_trailcam("decode", str(self.capture()), "--json")
        self.assertEqual(result.status, 0)
        punch, login, welcome = result.events
        self.assertEqual((punch["type"], punch["from"]), ("PUNCH_PKT", "camera"))
        self.assertEqual((login["command"]["cmdId"], login["command"]["usrName"]), (0, "admin"))
        self.assertEqual(welcome["response"]["token"], 7)
        self.assertEqual(login["command"]["password"], "hunter2")

    def test_text(self) -> None:
        """Readable: a line for each, and a summary."""
        result = self.run_trailcam("decode", str(self.capture()))
        self.assertEqual(result.status, 0)
        self.assertIn("login (0)", result.out)
        self.assertNotIn("hunter2", result.out)
        self.assertEqual(result.out.splitlines()[-1], "3 datagrams")

    def test_capture_of_a_real_camera(self) -> None:
        """The capture of a real login shows the commands and the answers."""
        result = self.run_trailcam("decode", str(capture_file("login.jsonl")), "--json")
        self.assertEqual(result.status, 0)
        answered = {row["response"].get("cmdId") for row in result.events if "response" in row}
        asked = {row["command"].get("cmdId") for row in result.events if "command" in row}
        self.assertIn(0, asked & answered)


class OutputTests(ProcessTestCase):
    """Whoever reads goes away, or was never there."""

    def setUp(self) -> None:
        super().setUp()
        camera = shared_simulator("--photos", "3", "--firewall", "off").camera
        self.listing = trailcam("list", camera, "--state", str(self.state))
        self.usual = "photo 100-0003"

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run C{"$@"} within a line of bash."""
        return subprocess.run(
            ["bash", "-c", command, "bash", *self.listing],
            env=environment(self.home), capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def test_reader_goes_away(self) -> None:
        """C{| head -1} gets its line, and nothing is complained about."""
        for command in ('"$@" -q', '"$@" -q --json', f'"{sys.executable}" -m trailcam --help'):
            done = self.shell(f"{command} | head -1")
            self.assertEqual(len(done.stdout.splitlines()), 1)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_no_standard_error(self) -> None:
        """Without a standard error, or with one nobody reads, all is as usual."""
        for command in ('"$@" 2>&-', '"$@" 2> >(exec 0<&-)'):
            done = self.shell(command)
            lines = done.stdout.splitlines()
            self.assertEqual((done.returncode, len(lines)), (0, 4), done.stdout)
            self.assertTrue(lines[0].startswith(self.usual))

    def test_no_standard_error_for_a_complaint(self) -> None:
        """The exit status stays what it is when the complaint cannot be shown."""
        for redirection in ("2>&-", "2> >(exec 0<&-)", ">&- 2>&-"):
            done = self.shell(f'"$@" --password-file nowhere {redirection}')
            self.assertEqual((done.returncode, done.stdout), (2, ""))

    def test_no_standard_output(self) -> None:
        """Without a standard output the work is done, and the log does not take its place."""
        done = self.shell('"$@" >&-')
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertIn("logged in", done.stderr)

    def test_quiet(self) -> None:
        """C{-q}, before or after the command, leaves only results."""
        done = self.shell('"$@" -q')
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        done = subprocess.run(
            [*self.listing[:3], "-q", *self.listing[3:]], env=environment(self.home),
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class DemoTests(ProcessTestCase):
    """C{trailcam demo}."""

    def test_fresh_and_again(self) -> None:
        """A fresh folder fills; a second demo finds all at home; the last line says where."""
        folder = self.home / "trailcam-demo"
        result = self.run_trailcam("demo")
        self.assertEqual(result.status, 0, result.err)
        self.assertEqual(result.out.splitlines()[-1], f"The pictures are in {folder}")
        self.assertIn("10 new", result.out)
        self.assertIn("1 new", result.out)
        pictures = sorted(folder.glob("C*/*/*"))
        self.assertEqual([path.suffix for path in pictures].count(".jpg"), 10)
        self.assertEqual([path.suffix for path in pictures].count(".mp4"), 1)
        again = self.run_trailcam("demo", "--json")
        self.assertEqual([event["event"] for event in again.events],
                         ["connected", "connected", "done"])  # fmt: skip
        first, second, done = again.events
        self.assertEqual((first["remembered"], first["local_port"]), (True, second["local_port"]))
        self.assertEqual((done["new"], done["failed"], done["library"]), (0, 0, str(folder)))
        self.assertEqual(sorted(folder.glob("C*/*/*")), pictures)

    def test_stays(self) -> None:
        """With C{--stay} it goes on until interrupted, and all can be seen in a browser."""
        process = self.start("demo", "--stay", "--folder", "here", "--json", "--web", "0")
        url = json.loads(process.out_line('"web"'))["url"]
        with urlopen(url, timeout=30) as page:  # at once
            self.assertEqual(page.status, 200)
        process.out_line("staying")
        with urlopen(f"{url}api/v1/media", timeout=30) as answer:
            media = json.load(answer)["media"]
        process.send(signal.SIGTERM)
        result = self.finish(process)
        self.assertEqual((result.status, result.events[-1]["event"]), (130, "staying"))
        self.assertEqual(len(result.named("file")), 11)
        self.assertGreaterEqual(len(media), 11)

    def test_place_of_pages(self) -> None:
        """Where others could see it a password is needed; a place that is taken is named."""
        result = self.run_trailcam("demo", "--stay", "--web", "0.0.0.0:0", "--json")
        self.assert_complains(result, 2, "trailcam passwd --state")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            result = self.run_trailcam("demo", "--stay", "--web", port, "--json")
        self.assert_complains(result, 2, port)
        self.assert_complains(self.run_trailcam("demo", "--web", "0", "--json"), 2, "--stay")

    def test_interrupted(self) -> None:
        """Ctrl-C in the middle ends it with 130, and no half file is left."""
        process = self.start("demo", "--json")
        process.out_line('"file"')
        process.send(signal.SIGINT)
        self.assertEqual(self.finish(process).status, 130)
        self.assertEqual(list((self.home / "trailcam-demo").glob("*/*/*.part")), [])

    def test_folder_unusable(self) -> None:
        """A file in the way of the folder ends it with 5."""
        (self.home / "trailcam-demo").write_text("")
        result = self.run_trailcam("demo", "--json")
        self.assert_complains(result, 5, "trailcam-demo")
