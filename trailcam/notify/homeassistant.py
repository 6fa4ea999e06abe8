"""
How a camera shows in Home Assistant: its state, and the discovery of its entities. Pure.

A sleeping camera is not unavailable: what it last said still holds. Unavailable is all of it
only while the station does not run.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from trailcam._version import __version__
from trailcam.health import SEEN, assess
from trailcam.library.visits import Visit
from trailcam.notify.messages import MEDIA, NEWS, stamp
from trailcam.notify.settings import MqttSettings

__all__ = ["PRESS", "Standing", "discovery", "discovery_topic"]

#: What the button "Visit now" sends.
PRESS = "PRESS"


class Standing:
    """How a camera stands, as its visits told."""

    def __init__(self) -> None:
        self._visits: list[Visit] = []
        self._pictures = 0

    def recall(self, visits: Sequence[Visit]) -> None:
        """Take in the visits of an earlier life, latest first; those since are known already."""
        since = {visit.began for visit in self._visits}
        earlier = [visit for visit in visits if visit.began not in since]
        self._pictures += sum(visit.new for visit in earlier)
        self._visits = (self._visits + earlier)[:SEEN]

    def ended(self, visit: Visit) -> None:
        """A visit is over."""
        self._pictures += visit.new
        self._visits = [visit, *self._visits][:SEEN]

    def state(self) -> dict[str, Any]:
        """What the entities are made of; C{None} is what is not known."""
        health = assess(self._visits)
        last = self._visits[0] if self._visits else None
        return {
            "battery": health.battery,
            "card_free_mb": health.card_free_mb,
            "temperature": health.temperature,
            "last_visit": _moment(last.ended if last else None),
            "last_seen": _moment(health.last_seen),
            "outcome": last.outcome if last else None,
            "why": last.why if last else None,
            "pictures": self._pictures,
            "in_range": health.last_seen is not None and not health.failures,
        }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else stamp(moment)


def discovery_topic(settings: MqttSettings, camera: str) -> str:
    """Where Home Assistant hears of a camera."""
    return f"{settings.discovery_prefix}/device/{settings.key}_{camera}/config"


def discovery(settings: MqttSettings, camera: str) -> dict[str, Any]:
    """What Home Assistant is to know of a camera: one device with its entities."""
    device = f"{settings.key}_{camera}"
    entities = _entities(settings, camera)
    return {
        "device": {
            "identifiers": [device],
            "name": camera,
            "manufacturer": "trailcam",
            "model": "Trail camera",
        },
        "origin": {"name": "trailcam", "sw_version": __version__},
        "availability": [{"topic": settings.status}],
        "qos": 1,
        "components": {
            key: {"unique_id": f"{device}_{key}"} | entity for key, entity in entities.items()
        },
    }


def _entities(settings: MqttSettings, camera: str) -> dict[str, dict[str, Any]]:
    def shown(platform: str, name: str, key: str, **more: Any) -> dict[str, Any]:
        topic = settings.of_camera(camera, "state")
        value = {"state_topic": topic, "value_template": f"{{{{ value_json.{key} }}}}"}
        return {"platform": platform, "name": name} | value | more

    def event(name: str, key: str, types: Sequence[str]) -> dict[str, Any]:
        topic = settings.of_camera(camera, key)
        return {"platform": "event", "name": name, "state_topic": topic, "event_types": list(types)}

    attributes = {"json_attributes_topic": settings.of_camera(camera, "state")}
    measured = {"state_class": "measurement", "entity_category": "diagnostic"}
    return {
        "battery": shown("sensor", "Battery", "battery", device_class="battery",
                         unit_of_measurement="%", **measured),
        "card": shown("sensor", "Card free", "card_free_mb", device_class="data_size",
                      unit_of_measurement="MB", **measured),
        "last_visit": shown("sensor", "Last visit", "last_visit", device_class="timestamp",
                            **attributes),
        "pictures": shown("sensor", "Pictures", "pictures", state_class="total_increasing"),
        "in_range": shown(
            "binary_sensor", "In range", "in_range", device_class="connectivity",
            entity_category="diagnostic",
        ) | {"value_template": "{{ 'ON' if value_json.in_range else 'OFF' }}"},
        "last_picture": {
            "platform": "image",
            "name": "Last picture",
            "image_topic": settings.of_camera(camera, "picture"),
            "content_type": "image/jpeg",
        },
        "media": event("New media", "media", MEDIA),
        "news": event("News", "news", NEWS),
        "visit": {
            "platform": "button",
            "name": "Visit now",
            "command_topic": settings.of_camera(camera, "visit"),
            "payload_press": PRESS,
        },
    }  # fmt: skip
