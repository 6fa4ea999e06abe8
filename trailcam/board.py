"""How the cameras of a station are just now, for whoever shows it."""

from __future__ import annotations

from collections.abc import Callable

from trailcam.happenings import Happening

__all__ = ["StatusBoard"]


class StatusBoard:
    """Hears what happens, and remembers how things stand."""

    def __init__(self) -> None:
        self._watchers: list[Callable[[Happening], None]] = []

    def happened(self, what: Happening) -> None:
        """See L{Listener.happened <trailcam.happenings.Listener.happened>}."""
        for watcher in list(self._watchers):
            watcher(what)

    def watch(self, watcher: Callable[[Happening], None]) -> Callable[[], None]:
        """
        Be told what happens.

        @return: what ends it.
        """
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)
