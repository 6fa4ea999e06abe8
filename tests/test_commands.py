"""Tests of L{trailcam.commands} against PROTOCOL, section 3, and the captures."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import platform
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, TestCase

from tests.support import CAPTURES, capture_file, whole_messages
from trailcam import commands
from trailcam.commands import (
    CHANGING,
    Command,
    DeviceInformation,
    Download,
    GetDeviceInformation,
    Heartbeat,
    ListMedia,
    Login,
    MediaFile,
    Play,
    PlaybackInfo,
    Raw,
    Sleep,
    StartLive,
    StopDownload,
    StopLive,
    StopPlaying,
    Thumbnails,
    clean,
    decode_text,
    encode_text,
)
from trailcam.errors import CommandFailed, DecodeError, LoginRefused
from trailcam.simulator.camera import make_token
from trailcam.wire.cipher import decrypt_text, encrypt_text

Json = dict[str, Any]

PHOTO = MediaFile(0, 100, 318)
VIDEO = MediaFile(1, 101, 7, 10_000)

#: Every command that is sent and answered, one of each.
ANSWERED: tuple[Command[Any], ...] = (
    Login(1766505566),
    StartLive(),
    StopLive(),
    GetDeviceInformation(),
    ListMedia(0),
    Play(VIDEO, 5),
    StopPlaying(),
    Thumbnails([PHOTO, VIDEO]),
    Sleep(),
    Download([PHOTO]),
    StopDownload(),
    Raw({"cmdId": 641}),
)


def request(command: Command[Any]) -> Json:
    """What a command sends, without token."""
    return {"cmdId": command.code, **command.fields()}


def compact(fields: Json) -> bytes:
    """As the vendor's app writes JSON."""
    return json.dumps(fields, separators=(",", ":")).encode()


class CaptureTests(TestCase):
    """What the vendor's app and a real camera said to each other."""

    #: Which commands sit whole in the captures, in the order of their first copy.
    SENT = {
        "login": [0, 512, 525],
        "live-view": [0, 512, 525, 258, 259],
        "album": [0, 512, 525, 258, 259, 768],
    }
    ANSWERED = {
        "login": [0],
        "live-view": [0, 258, 259],
        "album": [0, 258, 259, 772],
    }

    def messages(self, name: str, who: str) -> list[tuple[int, bytes]]:
        """Whole commands, or responses, of one capture: sequence number and payload."""
        wanted = 2 if who == "app" else 3
        return [
            (message.sequence, message.payload)
            for sender, drw, message in whole_messages(name)
            if sender == who and message.id == wanted and drw.channel == 0
        ]

    def test_what_they_are(self) -> None:
        """Every whole command and response decrypts to JSON with the C{cmdId} expected."""
        for name in CAPTURES:
            for who, expected in (("app", self.SENT), ("camera", self.ANSWERED)):
                found = [decode_text(payload)["cmdId"] for _, payload in self.messages(name, who)]
                self.assertEqual(list(dict.fromkeys(found)), expected[name], f"{name}: {who}")

    def test_requests(self) -> None:
        """Our requests are the app's: the same fields in the same order, the token last."""
        for name in CAPTURES:
            token = None
            for _, payload in self.messages(name, "camera"):
                token = token or decode_text(payload).get("token")
            for _, payload in self.messages(name, "app"):
                theirs = decode_text(payload)
                ours = request(self.ours(theirs))
                if theirs["cmdId"] not in (0, 525):
                    ours["token"] = token
                self.assertEqual(list(ours.items()), list(theirs.items()))
                self.assertEqual(compact(ours), decrypt_text(payload))
                encoded = encode_text(ours)
                self.assertEqual(len(encoded), len(payload))
                # The last block ends in leftover memory of the app; those before are equal.
                same = (len(decrypt_text(payload)) // 16 * 16) // 3 * 4
                self.assertEqual(encoded[:same], payload[:same])

    def ours(self, theirs: Json) -> Command[Any]:
        """The command of ours that asks the same."""
        made: dict[int, Command[Any]] = {
            0: Login(theirs.get("utcTime", 0)),
            258: StartLive(),
            259: StopLive(),
            512: GetDeviceInformation(),
            525: Heartbeat(),
            768: ListMedia(0),
        }
        return made[theirs["cmdId"]]

    def test_responses(self) -> None:
        """The camera's answers are read, and encode to the same bytes but for their 20 NULs."""
        for name in CAPTURES:
            for _, payload in self.messages(name, "camera"):
                response = decode_text(payload)
                self.assertEqual(encode_text(response) + bytes(20), payload)
                by_id = {command.code: command for command in ANSWERED}
                by_id[response["cmdId"]].reply(response)

    def test_matching(self) -> None:
        """A response repeats the sequence number of its request."""
        for name in CAPTURES:
            sent = {n: decode_text(p)["cmdId"] for n, p in self.messages(name, "app")}
            for sequence, payload in self.messages(name, "camera"):
                answered = decode_text(payload)["cmdId"]
                self.assertEqual(sent.get(sequence, answered), answered)

    def test_tokens(self) -> None:
        """A login's answer gives the token, which is made of its time alone."""
        for name in CAPTURES:
            logins = [decode_text(payload) for _, payload in self.messages(name, "app")]
            login = Login(next(f["utcTime"] for f in logins if f["cmdId"] == 0))
            answers = [decode_text(payload) for _, payload in self.messages(name, "camera")]
            token = login.reply(next(f for f in answers if f["cmdId"] == 0))
            self.assertEqual(token, make_token(login.wall_clock))
            used = {fields["token"] for fields in logins if "token" in fields}
            self.assertEqual(used, {token})

    def test_device_information(self) -> None:
        """The information of a real camera is read."""
        fields = json.loads(capture_file("device-info.json").read_text("utf-8"))
        information = GetDeviceInformation().reply(decode_text(encode_text(fields)))
        self.assertEqual(information.fields, fields)
        self.assertEqual(information.device_id, "C6:00:00:00:00:01")
        self.assertEqual((information.model, information.firmware), ("KJK230", "2.3.0.4"))
        self.assertEqual((information.battery_percent, information.temperature), (20, 19))
        self.assertEqual((information.card_total_mb, information.card_free_mb), (30196, 30034))

    def test_media_list(self) -> None:
        """The media list of a real camera is read, all 45 of it."""
        fields = json.loads(capture_file("media-list.json").read_text("utf-8"))
        page = ListMedia(0).reply(decode_text(encode_text(fields)))
        self.assertEqual((len(page.files), page.refused, page.count), (45, 0, 45))
        self.assertEqual(
            page.files[0], MediaFile(0, 100, 318, 0, media_id=3361310203, media_time=1766527938)
        )
        for file, entry in zip(page.files, fields["mediaFiles"], strict=True):
            names = ("fileType", "mediaDirNum", "mediaNum", "durationMs", "mediaId", "mediaTime")
            told = (*file.key, file.duration_ms, file.media_id, file.media_time)
            self.assertEqual(told, tuple(entry[name] for name in names))
        numbers = [file.number for file in page.files]
        self.assertEqual(numbers, sorted(numbers, reverse=True))


class RequestTests(TestCase):
    """What each command sends, by PROTOCOL's table."""

    def test_requests(self) -> None:
        """The fields of every command."""
        photo, video = ({"fileType": 0, "dirNum": 100, "mediaNum": 318},
                        {"fileType": 1, "dirNum": 101, "mediaNum": 7})  # fmt: skip
        login = {"cmdId": 0, "usrName": "me", "password": "secret", "needVideo": 0,
                 "needAudio": 0, "utcTime": 1766533338, "supportHeartBeat": True}  # fmt: skip
        expected: list[tuple[Command[Any], Json]] = [
            (Login(1766533338, "me", "secret"), login),
            (StartLive(), {"cmdId": 258}),
            (StopLive(), {"cmdId": 259}),
            (GetDeviceInformation(), {"cmdId": 512}),
            (Heartbeat(), {"cmdId": 525}),
            (ListMedia(2), {"cmdId": 768, "itemCntPerPage": 45, "pageNo": 2}),
            (Play(VIDEO, 65535), {"cmdId": 769, **video, "sessionNo": 65535}),
            (StopPlaying(), {"cmdId": 770}),
            (Thumbnails([PHOTO, VIDEO]), {"cmdId": 772, "thumbnailReqs": [photo, video]}),
            (Sleep(), {"cmdId": 1281}),
            (Download([PHOTO]), {"cmdId": 1285, "downloadReqs": [photo]}),
            (StopDownload(), {"cmdId": 1286}),
            (Raw({"mode": 1, "cmdId": 513}), {"cmdId": 513, "mode": 1}),
        ]
        for command, fields in expected:
            self.assertEqual(compact(request(command)), compact(fields))
        self.assertEqual({type(c) for c, _ in expected}, {*map(type, ANSWERED), Heartbeat})

    def test_factory_defaults(self) -> None:
        """Without user and password it is C{admin}; the password is not shown in logs."""
        login = Login(1)
        self.assertEqual((login.user, login.password), ("admin", "admin"))
        self.assertNotIn("secret", repr(Login(1, "me", "secret")))

    def test_changing(self) -> None:
        """What changes something is never sent unconfirmed, and no command of ours does."""
        self.assertLessEqual({513, 514, 517, 518, 773, 774, 1024}, CHANGING)
        self.assertLessEqual({515, 516, 522, 523}, CHANGING)
        self.assertLessEqual({1280, *range(1282, 1293)} - {1285, 1286}, CHANGING)
        ours = {command.code for command in ANSWERED} | {525}
        self.assertEqual(ours & CHANGING, set())
        for harmless in (0, 1, 256, 257, 258, 259, 260, 261, 512, 525, 641, 643, 644, 768, 769,
                         770, 771, 772, 1281, 1285, 1286):  # fmt: skip
            self.assertNotIn(harmless, CHANGING)

    def test_page_size(self) -> None:
        """A page has 45 entries, as the app asks."""
        self.assertEqual(commands.PAGE_SIZE, 45)

    def test_raw(self) -> None:
        """A raw command needs a C{cmdId}, and is otherwise taken as it is."""
        bad: list[Any] = [[], "x", None, {}, {"cmdId": "1"}, {"cmdId": -1}, {"cmdId": 65536},
                          {"cmdId": True}, {"cmdId": 1.0}]  # fmt: skip
        for given_ in bad:
            self.assertRaises(DecodeError, Raw, given_)
        self.assertEqual(Raw({"cmdId": 65535, "a": [1]}).fields(), {"a": [1]})
        self.assertEqual(Raw({"cmdId": 1}).reply({"result": -1}), {"result": -1})


class ReplyTests(TestCase):
    """How answers are read."""

    def test_failed(self) -> None:
        """A result other than 0 is an error with the camera's reason."""
        response = {"errorMsg": "SD card\nnot inserted", "result": -5, "cmdId": 258}
        for command in ANSWERED:
            if isinstance(command, Login | Raw):
                continue
            error = self.assertRaises(CommandFailed, command.reply, response)
            self.assertIn("SD card?not inserted", str(error))
            self.assertIn(str(command.code), str(error))
            self.assertNotIn("\n", str(error))
            self.assertEqual(error.response, response)

    def test_failed_without_reason(self) -> None:
        """Without a reason the number is told."""
        error = self.assertRaises(CommandFailed, StartLive().reply, {"result": 17})
        self.assertIn("result 17", str(error))

    def test_failed_otherwise(self) -> None:
        """The command's own result counts too, as PROTOCOL's table names it."""
        cases: list[tuple[Command[Any], str]] = [
            (ListMedia(0), "getMediaListRet"),
            (Play(VIDEO, 1), "startPbRet"),
            (Thumbnails([PHOTO]), "cmdRet"),
            (Download([PHOTO]), "cmdRet"),
        ]
        for command, name in cases:
            error = self.assertRaises(CommandFailed, command.reply, {name: -1, "result": 0})
            self.assertIn(f"{name} -1", str(error))

    def test_agreed(self) -> None:
        """The answers of PROTOCOL's table are no errors."""
        agreed = {"cmdRet": 0, "result": 0, "errorMsg": "Success"}
        for command in ANSWERED:
            if not isinstance(command, Login | ListMedia | Play | GetDeviceInformation):
                self.assertEqual(command.reply(agreed), agreed)

    def test_login(self) -> None:
        """A login gives the token."""
        answer = {"cmdId": 0, "result": 0, "token": 113034621, "bat_percent": 80}
        self.assertEqual(Login(1).reply(answer), 113034621)

    def test_login_refused(self) -> None:
        """A refused login is an error of its own, one line, with the camera's reason."""
        for answer, reason in (
            ({"result": -1, "errorMsg": "Password\x1b[31m error"}, "Password?[31m error"),
            ({"result": 3, "token": 5}, "result 3"),
            ({"token": 5}, "result"),
        ):
            error = self.assertRaises(LoginRefused, Login(1).reply, answer)
            self.assertIn(reason, str(error))
            self.assertNotIn("\n", str(error))

    def test_login_without_token(self) -> None:
        """A login that succeeds without a token is damage."""
        tokens: list[Any] = [None, "5", -1, 1.5, True, 1 << 63, [], {}]
        for token in tokens:
            self.assertRaises(DecodeError, Login(1).reply, {"result": 0, "token": token})
        self.assertRaises(DecodeError, Login(1).reply, {"result": 0})

    def test_play(self) -> None:
        """What the camera says of a video; without the number of frames nothing can be checked."""
        answer = {"startPbRet": 0, "videoWidth": 1920, "videoHeight": 1080, "totalFrame": 304,
                  "totalTime": 10_000, "result": 0}  # fmt: skip
        self.assertEqual(Play(VIDEO, 1).reply(answer), PlaybackInfo(1920, 1080, 304, 10_000))
        self.assertEqual(Play(VIDEO, 1).reply({"totalFrame": 3}), PlaybackInfo(0, 0, 3, 0))
        for frames in (None, -1, "304", 1e3):
            self.assertRaises(DecodeError, Play(VIDEO, 1).reply, {**answer, "totalFrame": frames})

    def test_odd_entries(self) -> None:
        """Entries that cannot be are left out and counted; the rest is kept."""
        good = {"fileType": 2, "mediaDirNum": 100, "mediaNum": 9}
        odd: list[Any] = [
            None, 5, "x", [], {},
            {**good, "fileType": 3}, {**good, "fileType": -1}, {**good, "fileType": "0"},
            {**good, "fileType": True}, {**good, "mediaNum": 65536}, {**good, "mediaNum": 1.0},
            {**good, "mediaDirNum": None}, {**good, "mediaDirNum": "../../etc"},
            {"fileType": 0, "mediaNum": 1},
        ]  # fmt: skip
        page = ListMedia(0).reply({"mediaFiles": [*odd, good, *odd]})
        self.assertEqual(page.files, (MediaFile(2, 100, 9),))
        self.assertEqual((page.refused, page.count), (2 * len(odd), 2 * len(odd) + 1))

    def test_entry_without(self) -> None:
        """C{mediaId} and C{mediaTime} may be absent, or odd: then they are not known."""
        good = {"fileType": 1, "mediaDirNum": 100, "mediaNum": 9, "durationMs": 5}
        self.assertEqual(MediaFile.from_json(good), MediaFile(1, 100, 9, 5))
        for value in (None, "1", 1.5, True, 1 << 63, -1 << 63, [1]):
            entry = {**good, "mediaId": value, "mediaTime": value, "durationMs": value}
            self.assertEqual(MediaFile.from_json(entry), MediaFile(1, 100, 9, 0))

    def test_no_list(self) -> None:
        """An answer without list is damage; an empty list is a page."""
        no_lists: list[Any] = [None, {}, "x", 0]
        for files in no_lists:
            self.assertRaises(DecodeError, ListMedia(0).reply, {"mediaFiles": files})
        self.assertRaises(DecodeError, ListMedia(0).reply, {"result": 0})
        self.assertEqual(ListMedia(0).reply({"mediaFiles": []}).count, 0)

    def test_odd_information(self) -> None:
        """What is absent or impossible in the information is not known."""
        self.assertEqual(DeviceInformation({}).device_id, "")
        odd: list[Any] = [None, "80", 1.5, True, 1 << 63, [], {}]
        for value in odd:
            fields = dict.fromkeys(("batPercent", "sdTotalMB", "sdFreeMB", "temperature"), value)
            information = DeviceInformation(fields)
            self.assertEqual(
                (information.battery_percent, information.card_total_mb,
                 information.card_free_mb, information.temperature), (None,) * 4,
            )  # fmt: skip
        for percent, known in ((0, 0), (100, 100), (101, None), (255, None), (-1, None)):
            self.assertEqual(DeviceInformation({"batPercent": percent}).battery_percent, known)
        self.assertEqual(DeviceInformation({"temperature": -20}).temperature, -20)

    def test_label(self) -> None:
        """How people read a file's name; what commands call it by."""
        self.assertEqual((PHOTO.label, VIDEO.label), ("photo 100-0318", "video 101-0007"))
        self.assertEqual((PHOTO.file_name, VIDEO.file_name),
                         ("photo-100-0318.jpg", "video-101-0007.mp4"))  # fmt: skip
        self.assertEqual((PHOTO.is_photo, VIDEO.is_photo), (True, False))
        self.assertEqual(VIDEO.key, (1, 101, 7))


class TextTests(TestCase):
    """JSON in encrypted text, as a hostile camera would write it."""

    def check_refused(self, text: bytes) -> None:
        """This text is no command."""
        self.assertRaises(DecodeError, decode_text, encrypt_text(text))

    def test_depth(self) -> None:
        """64 kB of brackets do not exhaust the stack, nor do fewer."""
        for count in (1_000, 20_000, 36_000, 65_000):
            self.check_refused(b"[" * count)
            self.check_refused(b'{"a":' * (count // 5))
            self.check_refused(b"[" * count + b"]" * count)
        for levels, read in ((4, True), (32, True), (33, False), (300, False), (6000, False)):
            for begin, end in ((b'{"a":', b"}"), (b"[", b"]")):
                text = b'{"a":' + begin * (levels - 1) + b"1" + end * (levels - 1) + b"}"
                if read:
                    self.assertEqual(compact(decode_text(encrypt_text(text))), text)
                else:
                    self.check_refused(text)

    def test_numbers(self) -> None:
        """Numbers of any size are refused or read, and never believed where they cannot be."""
        self.check_refused(b'{"token":' + b"9" * 40_000 + b"}")
        longest = b"9" * 4000
        for number in (b"1e999", b"-1e999", b"NaN", b"Infinity", b"-Infinity", b"1e308", b"1.5",
                       longest, b"-" + longest, b"9223372036854775808"):  # fmt: skip
            fields = decode_text(encrypt_text(b'{"result":0,"token":' + number + b"}"))
            self.assertRaises(DecodeError, Login(1).reply, fields)
            entry = {"fileType": 0, "mediaDirNum": 1, "mediaNum": fields["token"]}
            self.assertRaises(DecodeError, MediaFile.from_json, entry)
            refused = decode_text(encrypt_text(b'{"result":' + number + b"}"))
            self.assertRaises(LoginRefused, Login(1).reply, refused)
            error = self.assertRaises(CommandFailed, StopLive().reply, refused)
            self.assertLess(len(str(error)), 200)

    def test_surrogates(self) -> None:
        """Half characters are read, and cannot get into a message."""
        fields = decode_text(encrypt_text(rb'{"result":1,"errorMsg":"\ud800 no","\udfff":0}'))
        for error in (
            self.assertRaises(CommandFailed, StartLive().reply, fields),
            self.assertRaises(LoginRefused, Login(1).reply, fields),
        ):
            self.assertIn("? no", str(error).encode("utf-8").decode())

    def test_not_json(self) -> None:
        """What is not a JSON object in UTF-8 is refused."""
        for text in (b"", b"{", b"[]", b"5", b"null", b'"x"', b'{"a":1}{', b"{'a':1}",
                     b'{"a":\xff}', b'{"a":"\xff\xfe"}', b"\xff\xfe{}", b"\xfe\xff",
                     b'{"a":"\n"}'):  # fmt: skip
            self.check_refused(text)

    def test_not_text(self) -> None:
        """What is not even base64 is refused."""
        for payload in (b"", b"\0", b"{}", b"====", base64.b64encode(bytes(8))):
            self.assertRaises(DecodeError, decode_text, payload)

    def test_utf8(self) -> None:
        """Names in UTF-8 are read."""
        self.assertEqual(decode_text(encrypt_text('{"a":"Füchse"}'.encode())), {"a": "Füchse"})


class CleanTests(TestCase):
    """What a camera says, fit for a screen."""

    def test_clean(self) -> None:
        """Control characters, directions and half characters become question marks."""
        for value, expected in (
            ("KJK230", "KJK230"),
            ("Füchse 🦊", "Füchse 🦊"),
            ("a\x1b[31mb\r\n\0\x7f\x9b", "a?[31mb?????"),
            ("\u202etxt.exe\u2028\ud800\ufeff", "?txt.exe???"),
            (5, "5"),
            (1.5, "1.5"),
            (None, ""),
            ([1], ""),
            ({}, ""),
            (b"x", ""),
        ):
            self.assertEqual(clean(value), expected)

    def test_short(self) -> None:
        """At most 64 characters, and a cut is visible."""
        self.assertEqual(clean("x" * 64), "x" * 64)
        self.assertEqual(clean("x" * 65), "x" * 63 + "…")
        self.assertEqual(clean("x" * 100_000, 10), "x" * 9 + "…")

    @settings(deadline=None)
    @given(st.one_of(st.text(st.characters()), st.integers(), st.floats(), st.none()))
    def test_any(self, value: object) -> None:
        """Anything becomes short and printable."""
        text = clean(value)
        self.assertTrue(text.isprintable() and len(text) <= 64)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(0, 70_000),
    st.floats(),
    st.text(max_size=9),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=10,
)
entry_names = st.sampled_from(
    ["fileType", "mediaDirNum", "mediaNum", "durationMs", "mediaId", "mediaTime"]
)
entries = st.dictionaries(entry_names, st.one_of(values, st.integers(0, 3)))
names = st.sampled_from(
    ["result", "errorMsg", "token", "cmdRet", "delRet", "formatRet", "getMediaListRet",
     "startPbRet", "totalFrame", "totalTime", "videoWidth", "videoHeight", "devId", "batPercent",
     "sdTotalMB"]
)  # fmt: skip
responses = st.builds(
    lambda fields, files: {**fields, **files},
    st.dictionaries(st.one_of(names, st.text(max_size=5)), st.one_of(st.just(0), values)),
    st.fixed_dictionaries({}, optional={"mediaFiles": st.lists(st.one_of(entries, values))}),
)


class PropertyTests(TestCase):
    """What holds whatever a camera says."""

    @settings(deadline=None, max_examples=300)
    @given(responses)
    def test_any_response(self, response: Json) -> None:
        """Every reply to any JSON is a value or one of the errors that callers know."""
        for command in ANSWERED:
            try:
                command.reply(response)
            except (CommandFailed, DecodeError, LoginRefused) as error:
                self.assertTrue(str(error).isprintable())

    @settings(deadline=None)
    @given(st.one_of(entries, values))
    def test_any_entry(self, entry: object) -> None:
        """Any media entry is refused, or is in its bounds."""
        try:
            file = MediaFile.from_json(entry)
        except DecodeError:
            return
        self.assertIn(file.file_type, (0, 1, 2))
        self.assertTrue(0 <= file.directory <= 65535 and 0 <= file.number <= 65535)
        for number in (file.duration_ms, file.media_id or 0, file.media_time or 0):
            self.assertTrue(type(number) is int and abs(number) < 1 << 63)

    @settings(deadline=None)
    @given(st.builds(MediaFile, st.integers(0, 2), st.integers(0, 65535), st.integers(0, 65535),
                     st.integers(0, 2**62), st.none() | st.integers(0, 2**32 - 1),
                     st.none() | st.integers(0, 2**40)))  # fmt: skip
    def test_entry_round_trip(self, file: MediaFile) -> None:
        """Any file comes back from the entry that a camera would list it by."""
        entry: Json = {"fileType": file.file_type, "mediaDirNum": file.directory,
                       "mediaNum": file.number, "durationMs": file.duration_ms,
                       "mediaId": file.media_id, "mediaTime": file.media_time}  # fmt: skip
        present = {name: value for name, value in entry.items() if value is not None}
        self.assertEqual(MediaFile.from_json(present), file)
        self.assertEqual(MediaFile.from_json(decode_text(encode_text(present))), file)

    @settings(deadline=None)
    @given(st.dictionaries(st.text(max_size=8), values))
    def test_text_round_trip(self, fields: Json) -> None:
        """Any JSON object comes back from its encrypted text."""
        again = decode_text(encode_text(fields))
        self.assertEqual(json.dumps(again), json.dumps(fields))  # NaN is not equal to itself

    @settings(deadline=None)
    @given(st.one_of(st.binary(max_size=100), st.text(max_size=50).map(str.encode)))
    def test_any_text(self, text: bytes) -> None:
        """Any payload, and any text in one, is an object or is refused."""
        for payload in (text, encrypt_text(text)):
            with contextlib.suppress(DecodeError):
                self.assertIsInstance(decode_text(payload), dict)


class TokenTests(TestCase):
    """How a camera makes the token, for the simulated one."""

    @settings(deadline=None)
    @given(st.one_of(st.integers(0, 2**32 - 1), st.integers(1_700_000_000, 1_900_000_000)))
    def test_glibc(self, wall_clock: int) -> None:
        """It is what the C library's own srand and rand give."""
        if platform.libc_ver()[0] != "glibc":
            raise SkipTest("another C library has another rand")
        libc = ctypes.CDLL(None)
        libc.srand(ctypes.c_uint(wall_clock))
        self.assertEqual(make_token(wall_clock), libc.rand() % 0x8FFFFFF + 1)
