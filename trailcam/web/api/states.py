"""How a camera is, as pages and programs are told: in a word, in words, and as JSON."""

from __future__ import annotations

from trailcam.board import CameraState
from trailcam.console import human_bytes
from trailcam.errors import LibraryError
from trailcam.web.api.values import Json, time_json, visit_json
from trailcam.web.context import Context

__all__ = ["advice_of", "camera_json", "look_back", "mark_of", "note_of", "text_of"]

_TEXTS = {
    "waking": "Waking it over Bluetooth",
    "joining": "Joining its Wi-Fi",
    "connecting": "Calling it",
    "login": "Logging in",
    "information": "Asking how it is",
    "syncing": "Looking for new pictures",
    "showing": "Live view",
    "leaving": "Letting it sleep",
    "waiting": "Waiting for its turn",
    "refused": "It refuses the password",
    "missing": "Missing",
    "failed": "The last visit failed",
    "new": "Not visited yet",
    "asleep": "Asleep",
}
#: Good, worth a look, bad; whatever is not named here is busy.
_MARKS = {"asleep": "good", "new": "idle", "failed": "warn", "missing": "bad", "refused": "bad"}

_SILENT = (
    "Is it switched on, charged, and near enough? Where it does not wake by itself: press its "
    "Wi-Fi button.",
    "It may answer only the port that it was called from before. If the phone app has been at it "
    "meanwhile: switch the camera off and on, and visit it again.",
    "Run “trailcam doctor” on the station: it says what it sees.",
)
_ADVICE = {
    "login": (
        "Set its user and password in tap.conf (the factory's are admin and admin), and restart "
        "the station. Until then it is not called by itself.",
    ),
    "radio": (
        "Is the camera near enough, and charged? Bluetooth reaches a few metres through walls.",
        "Run “trailcam doctor” on the station: it checks Bluetooth, Wi-Fi and the rights to use "
        "them.",
    ),
    "busy": ("Another program is talking to it: wait until it is done, or stop it.",),
    "library": ("Is the disk full, or gone? What is new is fetched at the next visit.",),
    "silent": _SILENT,
}


async def look_back(context: Context) -> str | None:
    """
    Have the board know the visits from before our time.

    @return: why that cannot be, for a person; C{None} when it is done.
    """
    try:
        library = await context.open_library()
        for name in context.cameras:
            await context.board.recall(library, name)
    except LibraryError as error:
        return str(error)
    return None


def text_of(state: CameraState) -> str:
    """A few words for a person."""
    transfer, word = state.transfer, state.word
    if state.lost:
        return "Lost it: calling it again"
    if word == "syncing" and transfer is not None and transfer.total:
        return f"Fetching {min(transfer.done + 1, transfer.total)} of {transfer.total}"
    if word == "showing" and state.viewers:
        return f"Live view, {state.viewers} watching"
    if word == "missing":
        return f"Missing: {state.failures} visits failed in a row"
    return _TEXTS.get(word, word)


def note_of(state: CameraState) -> str:
    """What there is to add; may be empty."""
    if state.lost and state.port:
        return f"From port {state.port}, the one that it knows."
    if state.phase == "showing" and state.waiting:
        return "A visit follows when the live view is over."
    if state.word == "waiting" and state.waits_for is not None:
        return f"{state.waits_for} comes first: one radio, one camera at a time."
    if state.transfer is not None and state.transfer.bytes:
        return f"{human_bytes(state.transfer.bytes)} so far"
    return ""


def mark_of(state: CameraState) -> str:
    """C{good}, C{busy}, C{idle}, C{warn} or C{bad}."""
    if state.lost:
        return "warn"
    return _MARKS.get(state.word, "busy")


def advice_of(state: CameraState) -> tuple[str, ...]:
    """What a person can do, where something is wrong."""
    if state.trouble is None:
        return ()
    return _ADVICE.get(state.trouble, _SILENT if state.missing else ())


def camera_json(state: CameraState, context: Context) -> Json:
    """All of it."""
    transfer, visit = state.transfer, state.last_visit
    drift = state.clock_drift
    return {
        "name": state.name,
        "state": state.word,
        "text": text_of(state),
        "mark": mark_of(state),
        "note": note_of(state),
        "phase": state.phase,
        "since": time_json(state.since),
        "lost": state.lost,
        "port": state.port,
        "remembered": state.remembered,
        "transfer": transfer
        and {"done": transfer.done, "total": transfer.total, "bytes": transfer.bytes},
        "waiting": state.waiting,
        "viewers": state.viewers,
        "due": time_json(state.due),
        "missing": state.missing,
        "failures": state.failures,
        "trouble": state.trouble,
        "why": state.why,
        "advice": list(advice_of(state)),
        "last_seen": time_json(state.last_seen),
        "last_visit": visit and visit_json(visit),
        "battery": state.battery,
        "card_free_mb": state.card_free_mb,
        "temperature": state.temperature,
        "clock_drift": None if drift is None else round(drift, 1),
        "simulated": state.name in context.outages,
    }
