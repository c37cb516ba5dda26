"""The settings of alerts: when they are sent, how many, and by which mail server."""

from __future__ import annotations

from dataclasses import dataclass

from kargoweb import setting_values as values
from kargoweb.email_server import EmailServer, email_server
from kargoweb.environment import Environment, boolean, integer, seconds
from kargoweb.setting_values import HOUR


@dataclass(frozen=True, slots=True)
class AlertConfiguration:
    """When a problem is reported (`after` seconds), and how many messages a channel gets.

    Alerts within `group` seconds become one message, of which a channel gets `rate` per minute. `events` says whether
    failed pushes are also recorded as Events of their Warehouses.
    """

    email: EmailServer | None
    email_from: str
    after: float
    group: float
    rate: int
    events: bool


def read_alerts(env: Environment, host: str) -> AlertConfiguration:
    """Read the settings. Reports invalid ones to `env`. E-mail comes from `host` unless an address is set."""
    return AlertConfiguration(
        email=env.read("KARGOWEB_EMAIL_URL", None, email_server, secret=True),
        email_from=env.read("KARGOWEB_EMAIL_FROM", f"kargoweb@{host}", values.email_address),
        after=env.read("KARGOWEB_ALERT_AFTER", 60.0, seconds(0, HOUR)),
        group=env.read("KARGOWEB_ALERT_GROUP", 15.0, seconds(0, HOUR)),
        rate=env.read("KARGOWEB_ALERT_RATE", 6, integer(1, 1000)),
        events=env.read("KARGOWEB_EVENTS", False, boolean),
    )
