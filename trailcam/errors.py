"""
What can go wrong, and whose fault it is.

Every error that a caller may meet is a L{TrailcamError} whose text is one
line for a person, saying what to do next where there is something to do.
C{exit_status} is what the command line ends with.
"""

from __future__ import annotations

__all__ = [
    "CameraBusy",
    "CameraLost",
    "CommandFailed",
    "ConfigError",
    "DamagedTransfer",
    "DecodeError",
    "LibraryError",
    "LiveViewOver",
    "LoginRefused",
    "NetworkVanished",
    "NoCameraAnswered",
    "RadioError",
    "SendBufferFull",
    "TrailcamError",
    "UnknownMedium",
    "WrongRequest",
]


class TrailcamError(Exception):
    """
    The base of all errors that are ours to explain.

    @cvar exit_status: what the command line ends with.
    """

    exit_status = 1


class DecodeError(TrailcamError, ValueError):
    """Bytes from outside are not what the protocol says; they are dropped and counted."""


class SendBufferFull(TrailcamError):
    """More was given to a session to send than it is willing to hold."""


class ConfigError(TrailcamError):
    """A wrong key or value in C{tap.conf} or on the command line."""

    exit_status = 2


class NoCameraAnswered(TrailcamError):
    """Nothing answered within the time allowed."""

    exit_status = 3


class CameraBusy(TrailcamError):
    """Another program, or another part of this one, is talking to the camera."""

    exit_status = 3


class CameraLost(TrailcamError):
    """The session ended before the work did: silence, CLOSE, or no progress."""

    exit_status = 3


class LiveViewOver(TrailcamError):
    """The live view was ended to spare the camera's battery; nothing was wrong with it."""


class LoginRefused(TrailcamError):
    """The camera does not accept the user name and password; it is not tried again."""

    exit_status = 4


class CommandFailed(TrailcamError):
    """
    The camera answered a command with an error.

    @ivar response: the camera's whole answer, as decoded from JSON.
    """

    def __init__(self, message: str, response: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.response = response or {}


class DamagedTransfer(TrailcamError):
    """A photo or video arrived, but not whole; nothing of it was kept."""


class LibraryError(TrailcamError):
    """The library or the state folder cannot be used: full, read-only, gone, or corrupt."""

    exit_status = 5


class UnknownMedium(LibraryError):
    """There is no such picture or video in the library, or none any more."""

    exit_status = 1


class WrongRequest(TrailcamError):
    """What was asked of the library makes no sense: a place in the list, a note."""

    exit_status = 2


class RadioError(TrailcamError):
    """The camera could not be woken over Bluetooth, or its Wi-Fi network not be joined."""

    exit_status = 6


class NetworkVanished(RadioError):
    """The camera's network is not there: not any more, or not yet again."""
