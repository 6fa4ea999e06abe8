"""Which handler is for which path."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from trailcam.web.http import Asked, Handler, Refused

__all__ = ["Route", "Routes"]

#: What may stand for C{{name:kind}} in a path.
_KINDS = {
    "id": r"[1-9][0-9]{0,17}",
    "name": r"[A-Za-z0-9_][A-Za-z0-9_-]{0,31}",
    "file": r"[a-z0-9][a-z0-9_-]{0,63}\.[a-z0-9]{1,16}",
}
_FIELD = re.compile(r"\{(\w+):(\w+)\}")


@dataclass(frozen=True)
class Route:
    """
    A path.

    @ivar method: C{GET}, C{POST}, …
    @ivar pattern: the path, like C{/media/{id:id}}; kinds are C{id}, C{name} and C{file}.
    @ivar public: whether it is for everybody, also without a password.
    """

    method: str
    pattern: str
    handler: Handler
    public: bool = False


class Routes:
    """All of them."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = [(_compile(route.pattern), route) for route in routes]

    def find(self, asked: Asked) -> tuple[Route, Asked]:
        """
        Whose turn it is, and the request with its L{Asked.parts}.

        @raise Refused: when there is no such path, or not with this method.
        """
        allowed = []
        for pattern, route in self._routes:
            if match := pattern.fullmatch(asked.path):
                if route.method == asked.method:
                    return route, replace(asked, parts=match.groupdict())
                allowed.append(route.method)
        if allowed:
            if "GET" in allowed:
                allowed.append("HEAD")
            text = f"{asked.method} cannot be done here"
            raise Refused(405, text, {"Allow": ", ".join(sorted(set(allowed)))})
        raise Refused(404, "there is no such page")


def _compile(pattern: str) -> re.Pattern[str]:
    text, end = "", 0
    for match in _FIELD.finditer(pattern):
        text += re.escape(pattern[end : match.start()])
        text += f"(?P<{match[1]}>{_KINDS[match[2]]})"
        end = match.end()
    return re.compile(text + re.escape(pattern[end:]), re.ASCII)
