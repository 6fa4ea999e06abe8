"""What the simulated camera answers: PROTOCOL's table of commands, and its quirks."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from tests.support import NOW, PlainCard, capture_file
from trailcam.commands import MediaFile, decode_text, encode_text
from trailcam.simulator.camera import (
    Deed,
    Do,
    SendFiles,
    SendThumbnails,
    Show,
    Speak,
    Visit,
    make_token,
)
from trailcam.simulator.faults import Faults
from trailcam.wire import pppp
from trailcam.wire.artemis import Message, MessageId


class VisitTestCase(TestCase):
    """A client's session with a camera."""

    def setUp(self) -> None:
        """60 pictures, two of them videos; not logged in."""
        self.card = PlainCard(58, 2, newest=NOW)
        self.faults = Faults()
        self.visit = Visit(self.card, self.faults, "admin", "secret")
        self.sequence = 0

    def say(self, fields: object) -> list[Deed]:
        """Send a command; what is to be done about it."""
        self.sequence += 1
        payload = fields if isinstance(fields, bytes) else encode_text(fields)  # type: ignore[arg-type]
        message = Message(MessageId.REQUEST, self.sequence, payload)
        return list(self.visit.receive(message.encode()))

    def answer(self, deed: Deed) -> dict[str, Any]:
        """The response in a deed; its form is checked."""
        assert isinstance(deed, Speak)
        self.assertEqual(deed.channel, 0)
        message = Message.decode(deed.data)
        self.assertEqual((message.id, message.sequence), (MessageId.RESPONSE, self.sequence))
        self.assertTrue(message.payload.endswith(bytes(21)), "20 NULs behind the closing one")
        self.assertNotEqual(message.payload[-22], 0)
        return decode_text(message.payload)

    def log_in(self, **changes: object) -> list[Deed]:
        """Log in."""
        fields = {"cmdId": 0, "usrName": "admin", "password": "secret", "needVideo": 0,
                  "needAudio": 0, "utcTime": NOW, "supportHeartBeat": True}  # fmt: skip
        return self.say({**fields, **changes})

    def ask(self, code: int, **fields: object) -> tuple[dict[str, Any], list[Deed]]:
        """A command with token: its answer, and what else is to be done."""
        first, *rest = self.say({"cmdId": code, "token": self.visit.token, **fields})
        answer = self.answer(first)
        self.assertEqual(answer["cmdId"], code)
        return answer, rest

    def names(self, *files: MediaFile) -> list[dict[str, Any]]:
        """Files as commands name them."""
        return [file.request() for file in files]


class LoginTests(VisitTestCase):
    """Command 0."""

    def test_let_in(self) -> None:
        """Result, token, battery; then the event, byte for byte as it was seen."""
        answer, event = self.log_in()
        self.assertEqual(
            self.answer(answer),
            {"cmdId": 0, "result": 0, "token": make_token(NOW), "bat_percent": 80,
             "errorMsg": "Success"},
        )  # fmt: skip
        assert isinstance(event, Speak)
        self.assertEqual(event.channel, 6)
        datagram = pppp.encode(pppp.Drw(6, 0, event.data))
        self.assertEqual(
            datagram.hex(),
            "f1d00024d1060000415254454d49537709000000010000000c000000"
            "7b226576744964223a347d00",
        )

    def test_refused(self) -> None:
        """Another password or user, or a camera that lets nobody in: no token, no event."""
        for changes in ({"password": "x"}, {"usrName": "x"}, {"password": None}, {"usrName": 7}):
            (deed,) = self.log_in(**changes)
            answer = self.answer(deed)
            self.assertEqual(answer["result"], -1)
            self.assertNotIn("token", answer)
        self.faults.refuse_login = True
        (deed,) = self.log_in()
        self.assertEqual(self.answer(deed)["result"], -1)
        self.assertIsNone(self.visit.token)

    def test_token_is_glibcs(self) -> None:
        """C{srand(t); rand() % 0x8FFFFFF + 1}, as computed by glibc."""
        # From a C program: srand(seed), rand().
        for seed, rand in ((1, 1804289383), (0, 1804289383), (2, 1505335290), (42, 71876166),
                           (1780000100, 857539834), (3000000000, 2058147116)):  # fmt: skip
            self.assertEqual(make_token(seed), rand % 0x8FFFFFF + 1)

    def test_token_of_a_capture(self) -> None:
        """Real logins got just these tokens."""
        from tests.support import whole_messages

        capture_file("login.jsonl")
        times: dict[int, int] = {}
        checked = 0
        for _, drw, message in whole_messages("login"):
            if drw.channel == 0 and message.id in (MessageId.REQUEST, MessageId.RESPONSE):
                fields = decode_text(message.payload)
                if fields.get("cmdId") == 0 and "utcTime" in fields:
                    times[message.sequence] = fields["utcTime"]
                elif "token" in fields and message.id == MessageId.RESPONSE:
                    self.assertEqual(fields["token"], make_token(times[message.sequence]))
                    checked += 1
        self.assertGreater(checked, 0)

    def test_strange_clock(self) -> None:
        """A time that is none does not break the camera."""
        for time in ("now", None, 1.5, -1, 1 << 70, [], True):
            answer, _ = self.log_in(utcTime=time)
            self.assertEqual(self.answer(answer)["result"], 0)

    def test_token_is_needed(self) -> None:
        """Everything but login and heartbeat needs the token, and the right one."""
        for token in (None, 0, "1", make_token(NOW) + 1):
            (deed,) = self.say({"cmdId": 512, "token": token})
            self.assertEqual(self.answer(deed), {"errorMsg": "Token error", "result": -1,
                                                 "cmdId": 512})  # fmt: skip
            self.log_in()

    def test_new_login_new_token(self) -> None:
        """The token before is void."""
        self.log_in()
        old = self.visit.token
        self.log_in(utcTime=NOW + 60)
        (deed,) = self.say({"cmdId": 512, "token": old})
        self.assertEqual(self.answer(deed)["errorMsg"], "Token error")


class CommandTests(VisitTestCase):
    """Everything else in the table."""

    def setUp(self) -> None:
        """Logged in."""
        super().setUp()
        self.log_in()

    def test_heartbeat(self) -> None:
        """525 gets no answer, with or without token or login."""
        self.assertEqual(self.say({"cmdId": 525}), [])
        visit = Visit(self.card, self.faults, "admin", "secret")
        self.visit = visit
        self.assertEqual(self.say({"cmdId": 525}), [])

    def test_information(self) -> None:
        """512: about 70 fields, the clock that the client set among them."""
        answer, rest = self.ask(512)
        self.assertEqual(rest, [])
        self.assertGreater(len(answer), 60)
        self.assertEqual(answer["devId"], "C6:00:00:00:00:01")
        self.assertEqual((answer["timeUTC"], answer["batPercent"], answer["result"]), (NOW, 80, 0))
        self.assertLess(answer["sdFreeMB"], answer["sdTotalMB"])

    def test_information_has_the_fields_of_a_real_camera(self) -> None:
        """Not one field is missing, and each has the type that the real one has."""
        import json

        real = json.loads(capture_file("device-info.json").read_text())
        answer, _ = self.ask(512)
        for name, value in real.items():
            self.assertIn(name, answer)
            self.assertIs(type(answer[name]), type(value), name)

    def test_list(self) -> None:
        """768: pages from 0, highest number first, the last one shorter, one after it empty."""
        found: list[tuple[int, int]] = []
        for page, count in ((0, 45), (1, 15), (2, 0)):
            answer, _ = self.ask(768, itemCntPerPage=45, pageNo=page)
            self.assertEqual((answer["cnt"], answer["pageNo"]), (count, page))
            self.assertEqual((answer["getMediaListRet"], answer["result"]), (0, 0))
            found += [(e["mediaDirNum"], e["mediaNum"]) for e in answer["mediaFiles"]]
        self.assertEqual(found, [(file.directory, file.number) for file in self.card.files])
        self.assertEqual(found, sorted(found, reverse=True))

    def test_list_entries(self) -> None:
        """An entry has no size and no name, and reads back as the file that it is."""
        answer, _ = self.ask(768, itemCntPerPage=3, pageNo=0)
        entries = answer["mediaFiles"]
        self.assertEqual(
            set(entries[0]),
            {"fileType", "mediaDirNum", "mediaNum", "durationMs", "mediaId", "mediaTime"},
        )
        self.assertEqual(
            [MediaFile.from_json(entry) for entry in entries], list(self.card.files[:3])
        )

    def test_list_as_real(self) -> None:
        """A page has the fields of a real one."""
        import json

        real = json.loads(capture_file("media-list.json").read_text())
        answer, _ = self.ask(768, itemCntPerPage=45, pageNo=0)
        self.assertLessEqual(set(real), set(answer) | {"token"})
        self.assertLessEqual(set(real["mediaFiles"][0]), set(answer["mediaFiles"][0]))

    def test_list_page_too_large(self) -> None:
        """50 and more is refused with an C{errorMsg}; 49 is not."""
        for size in (50, 1000, 0):
            answer, _ = self.ask(768, itemCntPerPage=size, pageNo=0)
            self.assertEqual((answer["result"], answer["getMediaListRet"]), (-1, -1))
            self.assertTrue(answer["errorMsg"])
            self.assertNotIn("mediaFiles", answer)
        self.assertEqual(self.ask(768, itemCntPerPage=49, pageNo=0)[0]["cnt"], 49)

    def test_list_repeats(self) -> None:
        """A camera with that fault gives the first page for every one."""
        self.faults.repeat_pages = True
        first, second = (self.ask(768, itemCntPerPage=45, pageNo=n)[0] for n in (0, 7))
        self.assertEqual(first, second)

    def test_list_without_ids(self) -> None:
        """Some cameras leave out mediaId and mediaTime."""
        self.visit = Visit(
            PlainCard(2, 0, newest=NOW, without_ids=True), self.faults, "admin", "secret"
        )
        self.log_in()
        answer, _ = self.ask(768, itemCntPerPage=45, pageNo=0)
        self.assertEqual(
            set(answer["mediaFiles"][0]), {"fileType", "mediaDirNum", "mediaNum", "durationMs"}
        )

    def test_download(self) -> None:
        """1285: agreed at once, then the files, with the request's number; videos are not sent."""
        files = self.card.files[:5]
        answer, rest = self.ask(1285, downloadReqs=self.names(*files))
        self.assertEqual((answer["cmdRet"], answer["result"]), (0, 0))
        photos = tuple(file for file in files if file.is_photo)
        self.assertEqual(rest, [SendFiles(self.sequence, photos)])

    def test_thumbnails(self) -> None:
        """772: agreed at once, then a thumbnail for each, videos too."""
        files = self.card.files[:45]
        answer, rest = self.ask(772, thumbnailReqs=self.names(*files))
        self.assertEqual((answer["cmdRet"], answer["result"]), (0, 0))
        self.assertEqual(rest, [SendThumbnails(files)])

    def test_play(self) -> None:
        """769: the answer comes with the frames, for it says how many there are."""
        (video, *_) = (file for file in self.card.files if not file.is_photo)
        deeds = self.say(
            {"cmdId": 769, "token": self.visit.token, **video.request(), "sessionNo": 65535}
        )
        self.assertEqual(deeds, [Show(self.sequence, video, 65535)])

    def test_what_is_not_there(self) -> None:
        """Unknown files, photos to be played, and requests that make no sense are refused."""
        photo = next(file for file in self.card.files if file.is_photo)
        video = next(file for file in self.card.files if not file.is_photo)
        nowhere = MediaFile(0, 999, 1)
        for code, fields in (
            (1285, {"downloadReqs": self.names(photo, nowhere)}),
            (1285, {}),
            (1285, {"downloadReqs": "all"}),
            (1285, {"downloadReqs": [7, None]}),
            (1285, {"downloadReqs": [{}]}),
            (772, {"thumbnailReqs": self.names(nowhere)}),
            (772, {"thumbnailReqs": {}}),
            (773, nowhere.request()),
            (769, {**photo.request(), "sessionNo": 1}),
            (769, {**video.request(), "sessionNo": 65536}),
            (769, video.request()),
            (768, {"pageNo": 0}),
            (768, {"itemCntPerPage": 45, "pageNo": -1}),
            (768, {"itemCntPerPage": "45", "pageNo": 0}),
        ):
            answer, rest = self.ask(code, **fields)  # type: ignore[arg-type]
            self.assertEqual((answer["result"], rest), (-1, []), f"{code} {fields}")
            self.assertTrue(answer["errorMsg"])

    def test_live(self) -> None:
        """258 and 259: agreed, then begun and stopped."""
        self.assertEqual(self.ask(258)[1], [Do("live")])
        self.assertEqual(self.ask(259)[1], [Do("stop-live")])

    def test_stops(self) -> None:
        """770 and 1286 stop, 1281 goes to sleep."""
        for code, what in ((770, "stop-playing"), (1286, "stop-files"), (1281, "sleep")):
            answer, rest = self.ask(code)
            self.assertEqual((answer["result"], rest), (0, [Do(what)]))

    def test_take(self) -> None:
        """641 takes a photo, 643 and 644 a video: they are on the card then."""
        before = len(self.card.files)
        for code, more in ((641, 1), (643, 1), (644, 2)):
            self.assertEqual(self.ask(code)[0]["result"], 0)
            self.assertEqual(len(self.card.files), before + more)
        self.assertEqual([file.file_type for file in self.card.files[:2]], [1, 0])

    def test_delete(self) -> None:
        """773 deletes one, 774 all."""
        photo = self.card.files[3]
        answer, _ = self.ask(773, **photo.request())
        self.assertEqual((answer["delRet"], answer["result"]), (0, 0))
        self.assertNotIn(photo, self.card.files)
        answer, _ = self.ask(773, **photo.request())
        self.assertEqual((answer["delRet"], answer["result"], answer["errorMsg"]),
                         (-1, -1, "File not found"))  # fmt: skip
        before = self.card.files
        for fields in ({}, {"fileType": 0, "dirNum": "100", "mediaNum": 1}):
            self.assertEqual(self.ask(773, **fields)[0]["result"], -1)  # type: ignore[arg-type]
        self.assertEqual(self.card.files, before)
        self.ask(774)
        self.assertEqual(self.card.files, ())

    def test_format(self) -> None:
        """518: the card is empty, and its size is told."""
        answer, _ = self.ask(518)
        self.assertEqual((answer["formatRet"], answer["result"]), (0, 0))
        self.assertGreater(answer["sdFreeMB"], 30_000)
        self.assertEqual(self.card.files, ())

    def test_agreed(self) -> None:
        """Logout and settings are agreed to."""
        for code in (1, 513):
            answer, rest = self.ask(code)
            self.assertEqual((answer["result"], rest), (0, []))

    def test_unknown(self) -> None:
        """Commands that nobody knows are refused."""
        for code in (2, 514, 517, 1024, 65535):
            self.assertEqual(self.ask(code)[0]["errorMsg"], "Not supported")


class StreamTests(VisitTestCase):
    """Channel 0 is a stream, and comes from outside."""

    def test_cut_anywhere(self) -> None:
        """Requests that come in pieces, or two in one."""
        stream = b"".join(
            Message(MessageId.REQUEST, n, encode_text({"cmdId": 512})).encode() for n in (1, 2)
        )
        for step in (1, 7, 20, 50, 10_000):
            visit = Visit(self.card, self.faults, "admin", "secret")
            deeds = [
                deed
                for start in range(0, len(stream), step)
                for deed in visit.receive(stream[start : start + step])
            ]
            self.assertEqual(len(deeds), 2)

    def test_nonsense(self) -> None:
        """What is no request gets no answer."""
        for payload in (b"", b"\0", b"!!", encode_text({}), encode_text({"cmdId": "0"}),
                        encode_text({"cmdId": -1}), encode_text({"cmdId": True})):  # fmt: skip
            self.assertEqual(self.say(payload), [])
        message = Message(MessageId.RESPONSE, 1, encode_text({"cmdId": 0}))
        self.assertEqual(list(self.visit.receive(message.encode())), [])

    @settings(deadline=None, max_examples=150)
    @given(
        st.sampled_from([0, 512, 518, 641, 768, 769, 772, 773, 1285]),
        st.dictionaries(
            st.sampled_from(["usrName", "utcTime", "token", "itemCntPerPage", "pageNo", "fileType",
                             "dirNum", "mediaNum", "sessionNo", "downloadReqs", "thumbnailReqs"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
                | st.text(max_size=5),
                lambda inner: st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=8), inner, max_size=3),
                max_leaves=5,
            ),
        ),
    )  # fmt: skip
    def test_any_fields(self, code: int, fields: dict[str, Any]) -> None:
        """Whatever a client says: an answer or none, never an exception."""
        self.setUp()
        self.log_in()
        for deed in self.say({"token": self.visit.token, **fields, "cmdId": code}):
            self.assertIsInstance(deed, Speak | SendFiles | SendThumbnails | Show | Do)
