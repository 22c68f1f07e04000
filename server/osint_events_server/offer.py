"""What the server offers to a client that says `hello` (NEG-1), made from the settings."""

from dataclasses import dataclass

from osint_events import WelcomeHeartbeat, WelcomeLimits
from osint_events.features import FEATURES, Feature

from osint_events_server.settings import Settings

PROTOCOL = 1
"""The highest version of the capabilities that this server knows (NEG-3)."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a welcome may say.

    Attributes:
        features: what the server has, in the order in which it says so.
        heartbeat: the times of `heartbeat`.
        limits: what the server allows.

    """

    features: tuple[Feature, ...]
    heartbeat: WelcomeHeartbeat
    limits: WelcomeLimits

    @classmethod
    def of(cls, settings: Settings) -> "Offer":
        """Return what a server with these settings offers."""
        return cls(
            tuple(feature for feature in FEATURES if feature in settings.features),
            WelcomeHeartbeat(
                interval_ms=_milliseconds(settings.ping_interval),
                timeout_ms=_milliseconds(settings.pong_timeout),
            ),
            WelcomeLimits(
                max_message_bytes=settings.max_message_bytes,
                max_subscriptions=settings.max_subscriptions,
                max_queue_bytes=settings.max_queue_bytes,
                max_replay_events=settings.max_replay_events,
                history_ttl_ms=_milliseconds(settings.history_ttl),
                messages_per_second=settings.messages_per_second,
                burst=settings.burst,
            ),
        )


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
