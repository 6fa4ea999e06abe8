"""Where pages are listened for, as people write it."""

from __future__ import annotations

import re
from ipaddress import ip_address

from trailcam.errors import ConfigError

__all__ = ["host_and_port", "is_local", "is_loopback", "read_endpoint", "shown"]

_PORT = re.compile(r"[0-9]{1,5}")
_HOST_PORT = re.compile(
    r"(?:(?P<host>[A-Za-z0-9.-]+)|\[(?P<six>[0-9A-Fa-f:]+)\]):(?P<port>[0-9]{1,5})"
)
_KNOWN = ("tcp", "tcp6", "ssl", "unix", "systemd")
_MUST = (
    "a port, an address like 127.0.0.1:8080, or an endpoint as Twisted has it, like "
    "unix:/run/trailcam.sock"
)


def read_endpoint(text: str) -> str:
    """
    A place to listen at: a port, C{HOST:PORT}, or what Twisted calls an endpoint.

    @raise ConfigError: when it is none: what it must be.
    """
    if _PORT.fullmatch(text):
        return _tcp("tcp", _port(text), "127.0.0.1")
    if match := _HOST_PORT.fullmatch(text):
        if match["host"] in _KNOWN:  # tcp:8080 listens everywhere, as Twisted has it
            return f"{match['host']}:{_port(match['port'])}"
        host = match["six"] or ("127.0.0.1" if match["host"] == "localhost" else match["host"])
        try:
            address = ip_address(host)
        except ValueError:
            raise _wrong() from None
        return _tcp("tcp6" if address.version == 6 else "tcp", _port(match["port"]), host)
    kind, arguments, named = _split(text)
    if kind not in _KNOWN or not any((*arguments, *named)):
        raise _wrong()
    if kind in ("tcp", "tcp6", "ssl") and host_and_port(text) is None:
        raise _wrong()
    return text


def is_local(endpoint: str) -> bool:
    """Whether only this computer can reach it."""
    if endpoint.startswith("unix:"):
        return True
    host, _ = host_and_port(endpoint) or ("", 0)
    return is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether something is an address of this computer that no other can reach."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def shown(endpoint: str) -> str:
    """An endpoint as people write it."""
    where = host_and_port(endpoint)
    if where is None or endpoint.startswith("ssl:"):
        return endpoint
    host, port = where
    return f"[{host}]:{port}" if ":" in host else f"{host or '0.0.0.0'}:{port}"


def host_and_port(endpoint: str) -> tuple[str, int] | None:
    """Where an endpoint listens, its host empty for everywhere; C{None}: not at a port."""
    kind, arguments, named = _split(endpoint)
    port = named.get("port", arguments[0] if arguments else "")
    if kind not in ("tcp", "tcp6", "ssl") or not _PORT.fullmatch(port):
        return None
    return named.get("interface", ""), int(port)


def _tcp(kind: str, port: int, host: str) -> str:
    return f"{kind}:{port}:interface={host.replace(':', chr(92) + ':')}"


def _port(text: str) -> int:
    if int(text) > 65535:
        raise _wrong()
    return int(text)


def _split(endpoint: str) -> tuple[str, list[str], dict[str, str]]:
    """Kind, arguments, and arguments with names; a backslash takes a colon's meaning."""
    kind, *rest = [
        re.sub(r"\\(.)", r"\1", part) for part in re.split(r"(?<!\\):", endpoint)
    ]
    named = dict(part.split("=", 1) for part in rest if "=" in part)
    return kind, [part for part in rest if "=" not in part], named


def _wrong() -> ConfigError:
    return ConfigError(_MUST)
