"""
Pages from templates.

They are Jinja's, in C{templates/}; whatever is put into them is escaped. Times are shown by the
camera's clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined

from trailcam._version import __version__
from trailcam.web.http import Answer, Asked

__all__ = ["add_filter", "asset", "asset_version", "page"]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("trailcam.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["version"] = __version__
    environment.globals["asset"] = asset
    environment.filters.update(_filters)
    return environment


Function = TypeVar("Function", bound=Callable[..., object])
_filters: dict[str, Callable[..., object]] = {}


def add_filter(function: Function) -> Function:
    """Let templates use a function, by its name."""
    _filters[function.__name__] = function
    return function


def page(asked: Asked, template: str, status: int = 200, **values: Any) -> Answer:
    """
    A page.

    @param template: its name in C{templates/}. It also knows C{asked}, C{root} (what links to
        us begin with), C{version} and C{asset}.
    """
    html = _environment().get_template(template).render(asked=asked, root=asked.root, **values)
    return Answer(html.encode(), status)


def asset(name: str) -> str:
    """The URL of a file of C{static/}, from our root; it changes with the file."""
    return f"static/{name}?v={asset_version(name)}"


@cache
def asset_version(name: str) -> str:
    """A few letters that change with a file of C{static/}."""
    data = files("trailcam.web").joinpath("static", name).read_bytes()
    return hashlib.sha256(data).hexdigest()[:10]
