"""Whom a command calls: from configuration, environment and arguments to one value."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from pathlib import Path
from typing import Any

from trailcam.client import Camera
from trailcam.config import Config, default_library, default_state, load
from trailcam.errors import ConfigError
from trailcam.target import Policy, Target, parse_address

__all__ = ["Call", "find_config", "make_call"]

Arguments = argparse.Namespace


@dataclass(frozen=True)
class Call:
    """
    Whom to call, how, and what is ours.

    @ivar clear: whether a sync deletes from the card what is safe at home.
    """

    target: Target
    policy: Policy
    user: str
    password: str = field(repr=False)
    zone: tzinfo | None
    state: Path
    library: Path
    clear: bool = False

    def camera(self, reactor: Any) -> Camera:
        """The client for it."""
        return Camera(
            reactor,
            self.target,
            user=self.user,
            password=self.password,
            zone=self.zone,
            policy=self.policy,
            state=self.state,
        )


def find_config(arguments: Arguments, *, always: bool = False) -> Config | None:
    """
    The configuration, if one was named or lies here.

    @param always: also where no camera is named: whoever shares what it says, like the folder
        where programs see who uses the radios, must find the same.
    """
    if arguments.config is not None:
        return load(arguments.config)
    here = Path("tap.conf")
    camera = getattr(arguments, "camera", None)
    # Only a name needs it: what lies in the current folder shall not surprise anybody.
    if (always or (camera and not _is_address(camera))) and here.exists():
        return load(here)
    return None


def _is_address(text: str) -> bool:
    try:
        parse_address(text)
    except ConfigError:
        return False
    return True


def make_call(arguments: Arguments) -> Call:
    """
    What configuration, environment and arguments say of a call.

    @raise ConfigError: when they make no sense.
    """
    config = find_config(arguments)
    policy = config.policy if config else Policy()
    if arguments.timeout is not None:
        policy = replace(policy, total=arguments.timeout)
    call = Call(
        Target(),
        policy,
        "admin",
        os.environ.get("TRAILCAM_PASSWORD", "admin"),
        None,
        config.state if config else default_state(),
        config.library if config else default_library(),
    )
    call = _named(call, arguments.camera, config)
    given = {
        name: getattr(arguments, name)
        for name in ("interface", "broadcast", "search_port", "local_port")
        if getattr(arguments, name) is not None
    }
    call = replace(call, target=replace(call.target, **given))
    if arguments.state is not None:
        call = replace(call, state=arguments.state)
    if getattr(arguments, "library", None) is not None:
        call = replace(call, library=arguments.library)
    if arguments.user is not None:
        call = replace(call, user=arguments.user)
    if arguments.password_file is not None:
        call = replace(call, password=_read_password(arguments.password_file))
    return call


def _named(call: Call, camera: str | None, config: Config | None) -> Call:
    if camera is None:
        return call
    for known in config.cameras if config else ():
        if known.name == camera:
            return replace(call, target=known.target, user=known.user, password=known.password,
                           zone=known.zone, clear=known.after_visit == "delete")  # fmt: skip
    if not _is_address(camera):
        names = ", ".join(known.name for known in config.cameras) if config else ""
        raise ConfigError(
            f"{camera!r} is neither HOST[:PORT] nor the name of a camera"
            + (f" in the configuration ({names})" if names else "; name a --config FILE")
        )
    host, port = parse_address(camera)
    return replace(call, target=Target(host=host, port=port))


def _read_password(path: Path) -> str:
    try:
        return path.read_text("utf-8").split("\n", 1)[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ConfigError(f"cannot read the password from {path}: {reason}") from None
