"""
What is only there when an extra is installed, and whether it is.

Nothing here needs Twisted, or an extra.
"""

from __future__ import annotations

from importlib.util import find_spec

from trailcam.config import Config
from trailcam.errors import ConfigError

__all__ = ["EXTRAS", "check_extras", "missing", "wanted"]

#: What each extra brings: a package, and the module to know it by; as in C{setup.cfg}.
EXTRAS = {
    "web": {"jinja2": "jinja2", "itsdangerous": "itsdangerous"},
    "mqtt": {"paho-mqtt": "paho.mqtt"},
    "webhook": {"pyopenssl": "OpenSSL", "service-identity": "service_identity"},
    "metrics": {"prometheus-client": "prometheus_client"},
}


def check_extras(config: Config) -> None:
    """
    Whether all is installed that a configuration needs.

    @raise ConfigError: when it is not.
    """
    for extra, why in wanted(config).items():
        if mend := missing(extra):
            raise ConfigError(f"{why} needs an extra that is not installed: {mend}")


def missing(extra: str) -> str | None:
    """How to install an extra that is not; C{None} when it is."""
    absent = [name for name, module in EXTRAS[extra].items() if not _there(module)]
    return f"pip install 'trailcam[{extra}]'" if absent else None


def wanted(config: Config) -> dict[str, str]:
    """Which extras are needed, and what for."""
    found = {}
    if "web" in config.extras:
        found["web"] = "[web]"
    if "mqtt" in config.extras:
        found["mqtt"] = "[mqtt]"
    if config.extras.get("webhook", {}).get("url", "").lower().startswith("https:"):
        found["webhook"] = "the https of [webhook]"
    if config.metrics_file is not None:
        found["metrics"] = "metrics_file"
    return found


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False
