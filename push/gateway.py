"""What a push gateway is: APNs, FCM and Web Push look the same from here.

Nothing in this folder knows XMPP. Who wants a phone woken makes a `Notification` and gives it to the outbox (`push/outbox.py`), which
gives it to the gateway that the device names:

    outcome = await gateway.send(notification)
    if outcome.kind is Result.DEAD: ...

A gateway never raises for what its peer does: every answer, and none, is an `Outcome`.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

MAX_RETRY_AFTER_S = 6 * 3600
"""A peer cannot silence us for longer, whatever its Retry-After says."""

_REASON = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,59}")


class Clock(Protocol):
    """The time, as `xmppd.clock.Clock` gives it."""

    def now_us(self) -> int:
        """Return microseconds since 1970."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""


class Kind(StrEnum):
    """What the device does with it: show it, run the app for a moment, or ring."""

    ALERT = "alert"
    BACKGROUND = "background"
    CALL = "call"


class Result(StrEnum):
    """What became of a notification."""

    DELIVERED = "delivered"
    """The gateway took it."""
    DEAD = "dead"
    """The token will never work again: forget it (but see `Outcome.kills`)."""
    RETRY = "retry"
    """Not now."""
    REFUSED = "refused"
    """Never, in this form; the token may be good."""
    BAD_CREDENTIALS = "bad-credentials"
    """The gateway does not know us: nothing goes out until an operator looks."""
    EXPIRED = "expired"
    """It was not sent in time; the outbox says so, no gateway does."""


class BadCredentials(ValueError):
    """What is configured cannot be a key, a certificate or an account; the text says what is wrong, without it."""


class BadToken(ValueError):
    """A device token that its gateway cannot have given out; the text says why, without the token."""


@dataclass(frozen=True, slots=True)
class Device:
    """An app on a device, as it registered.

    Attributes:
        id: whose it is: any text that its owner chose, unique, without secrets (it is logged, and rates are counted by it).
        gateway: the name of a gateway: "apns", "fcm" or "webpush".
        token: what the gateway knows it by: APNs: hex digits; FCM: a registration token; Web Push: the URL of its endpoint.
        topic: APNs: the app's bundle id, "" takes that of the settings. Others: "".
        environment: APNs: "production" or "sandbox", "" takes that of the settings. Others: "".
        public_key, auth: Web Push: `p256dh` and `auth` of its subscription, base64url. Others: "".
        registered_at_us: when its owner last said that this token is good, in µs since 1970.
    """

    id: str
    gateway: str
    token: str = field(repr=False)
    topic: str = ""
    environment: str = ""
    public_key: str = field(default="", repr=False)
    auth: str = field(default="", repr=False)
    registered_at_us: int = 0

    @property
    def mark(self) -> str:
        """Eight hex digits that stand for the token in logs and reports."""
        return hashlib.sha256(self.token.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Notification:
    """What a device is told.

    Attributes:
        device: whom.
        kind: what it should do with it.
        conversation: notifications of one device and one conversation are one: the newest. "" is one of its own.
        data: for the app: names and texts.
        title, body: what the system shows by itself; both "": the app decides.
        badge: the number on the app's icon, None leaves it.
        sound: whether the system makes a noise with what it shows.
        is_urgent: wake the device now, also from its sleep; else when it suits its battery.
        is_mutable: let the app's extension change it before it is shown (it fetches and decrypts).
        expires_at_us: after this it is not sent, nor kept by the gateway, in µs since 1970.
    """

    device: Device
    kind: Kind = Kind.ALERT
    conversation: str = field(default="", repr=False)
    data: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    title: str = field(default="", repr=False)
    body: str = field(default="", repr=False)
    badge: int | None = None
    sound: bool = True
    is_urgent: bool = True
    is_mutable: bool = True
    expires_at_us: int = 0

    @property
    def collapse_id(self) -> str:
        """32 URL-safe characters that stand for the conversation: the gateway learns nothing by them. "" without one.

        The device's id is the salt: the same contact has another id at each device.
        """
        if not self.conversation:
            return ""
        return hashlib.sha256(f"{self.device.id}\0{self.conversation}".encode()).hexdigest()[:32]

    def to_bytes(self) -> bytes:
        """Return the form in which the outbox keeps it."""
        device = {name: getattr(self.device, name) for name in Device.__slots__}
        own = {name: getattr(self, name) for name in Notification.__slots__ if name not in ("device", "data")}
        return json.dumps(own | {"device": device, "data": dict(self.data)}, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Notification":
        """Read what `to_bytes` wrote. Raises ValueError when it is something else."""
        try:
            found: dict[str, Any] = json.loads(data)
            device = Device(**found.pop("device"))
            return cls(device=device, kind=Kind(found.pop("kind")), **found)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"no notification: {type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt.

    Attributes:
        kind: the answer in one word.
        reason: one word more, the gateway's own where it gave one ("Unregistered", "QUOTA_EXCEEDED", "timeout"); fit for metrics.
        after_s: RETRY: not before, in seconds; None when the gateway does not say.
        is_gateway: RETRY: the gateway as a whole is in trouble, so nothing else should be sent either.
        dead_at_us: DEAD: since when, in µs since 1970; None: the gateway does not say.
    """

    kind: Result
    reason: str = ""
    after_s: float | None = None
    is_gateway: bool = False
    dead_at_us: int | None = None

    def kills(self, registered_at_us: int) -> bool:
        """Whether a token that was registered then is dead by this outcome.

        APNs says since when a token does not work; an app that registered the same token later has it for good again.
        """
        return self.kind is Result.DEAD and (self.dead_at_us is None or registered_at_us <= self.dead_at_us)


class Gateway(Protocol):
    """A way to reach devices."""

    @property
    def name(self) -> str:
        """Return the name that devices call it by."""

    def check(self, device: Device) -> None:
        """Raise `BadToken` when this device can never be reached: call it before a registration is taken."""

    async def send(self, notification: Notification) -> Outcome:
        """Try once, within the gateway's own time limit. Raises nothing but CancelledError."""

    async def close(self) -> None:
        """Let go of connections. `send` afterwards opens new ones."""


def delivered() -> Outcome:
    """Return the outcome of a notification that the gateway took."""
    return Outcome(Result.DELIVERED)


def unreachable(reason: str) -> Outcome:
    """Return the outcome of an attempt that got no answer: the gateway is in trouble, or the way to it is."""
    return Outcome(Result.RETRY, reason, is_gateway=True)


def reason_of(text: object, otherwise: str) -> str:
    """Return a peer's word for what happened when it is a short plain one, else ours."""
    return text if isinstance(text, str) and _REASON.fullmatch(text) else otherwise


def retry_after_s(value: str | None, now_us: int) -> float | None:
    """Return what a Retry-After header says, in seconds from now: 0 to MAX_RETRY_AFTER_S. None when it says nothing we know.

    Spec: RFC 9110 §10.2.3, seconds or a date.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:9]), MAX_RETRY_AFTER_S))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        seconds = moment.timestamp() - now_us / 1e6
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), float(MAX_RETRY_AFTER_S))


def moment_of(us: int) -> datetime:
    """Return µs since 1970 as a moment in UTC."""
    return datetime.fromtimestamp(us / 1e6, UTC)
