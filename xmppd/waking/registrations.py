"""What is known of an account's devices, and how it wants to be woken: values, and their form in storage."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, cast

from push.gateway import Device, Kind

APP_SERVER = "xmpp"
"""The gateway of registrations by XEP-0357: the app server of a client."""
OURS = ("apns", "fcm", "webpush")
"""Gateways that the server itself can reach."""

Content = Literal["none", "sender", "full"]
Mode = Literal["always", "on-mention", "never"]
CONTENTS = ("none", "sender", "full")
MODES = ("always", "on-mention", "never")

MAX_CHATS = 1_000
"""Conversations with a rule of their own, some 60 bytes each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A device, or a client's app server.

    Attributes:
        key: names it within its account.
        gateway: "apns", "fcm", "webpush", or "xmpp".
        token: as `push.gateway.Device` has it; of "xmpp" the JID of the app server.
        call_token: APNs: the token for calls (PushKit), "" when the app has none.
        topic, environment, public_key, auth: as `Device` has them.
        node, options: of "xmpp": where to publish, and the form that goes with it as XML, "" for none.
        resource: which resource registered. agent: the id of its installation (XEP-0388), "" when not known.
        name: for people.
        registered_at_us: when it last did.
    """

    key: str
    gateway: str
    token: str = field(repr=False)
    call_token: str = field(default="", repr=False)
    topic: str = ""
    environment: str = ""
    public_key: str = field(default="", repr=False)
    auth: str = field(default="", repr=False)
    node: str = field(default="", repr=False)
    options: str = field(default="", repr=False)
    resource: str = ""
    agent: str = ""
    name: str = ""
    registered_at_us: int = 0

    def device(self, owner: str, kind: Kind = Kind.ALERT) -> Device:
        """Return it as gateways know it; `owner` is the account's bare JID."""
        token = self.call_token if kind is Kind.CALL and self.call_token else self.token
        if self.gateway == APP_SERVER:
            target = {"account": owner, "jid": self.token, "node": self.node, "options": self.options}
            token = json.dumps(target, ensure_ascii=False)
        return Device(
            f"{owner}/{self.key}",
            self.gateway,
            token,
            self.topic,
            self.environment,
            self.public_key,
            self.auth,
            self.registered_at_us,
        )

    def is_same(self, other: "Registration") -> bool:
        """Whether another one takes its place: the same target, or the same installation with a new token."""
        if self.gateway != other.gateway:
            return False
        if (self.token, self.node) == (other.token, other.node):
            return True
        place = self.token if self.gateway == APP_SERVER else self.topic
        its_place = other.token if other.gateway == APP_SERVER else other.topic
        return bool(self.agent) and self.agent == other.agent and place == its_place

    def to_bytes(self) -> bytes:
        """Return the form in which it is kept: what is not empty."""
        kept = {name: value for name, value in asdict(self).items() if value and name != "key"}
        return json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, key: str, data: bytes) -> "Registration":
        """Read what `to_bytes` wrote; what another version wrote beside it is left out."""
        known = {one.name for one in fields(cls)}
        return cls(key=key, **{name: value for name, value in json.loads(data).items() if name in known})


@dataclass(frozen=True, slots=True)
class Settings:
    """How an account wants to be woken; None: as the server's settings have it.

    Attributes:
        content: what gateways may read of a message.
        rooms: of rooms without a rule of their own.
        headlines: whether headlines wake.
        quiet: while another client is in use, devices stay asleep.
        chats: bare JID -> a rule of its own.
    """

    content: Content | None = None
    rooms: Mode | None = None
    headlines: bool | None = None
    quiet: bool | None = None
    chats: Mapping[str, Mode] = field(default_factory=dict)

    def with_chat(self, jid: str, mode: Mode | None) -> "Settings":
        """Return settings with another rule for a conversation; None: none.

        Raises:
            ValueError: there are too many.
        """
        chats = {other: rule for other, rule in self.chats.items() if other != jid}
        if mode is not None:
            if len(chats) >= MAX_CHATS:
                raise ValueError(f"at most {MAX_CHATS} conversations can have rules of their own")
            chats[jid] = mode
        return replace(self, chats=chats)

    def to_bytes(self) -> bytes:
        """Return the form in which they are kept."""
        own = {one.name: getattr(self, one.name) for one in fields(self)}
        own["chats"] = dict(self.chats)
        return json.dumps({name: value for name, value in own.items() if value not in (None, {})}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Settings":
        """Read what `to_bytes` wrote."""
        found: dict[str, Any] = json.loads(data)
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in found.items() if name in known})


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last result of a device. `at_us`: when; `result`: a word of `push.gateway.Result`; `waited_ms`: since it was put."""

    at_us: int
    result: str
    reason: str = ""
    waited_ms: int = 0

    def to_bytes(self) -> bytes:
        """Return the form in which it is kept."""
        return json.dumps([self.at_us, self.result, self.reason, self.waited_ms]).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Attempt":
        """Read what `to_bytes` wrote."""
        return cls(*json.loads(data))


def as_mode(text: str) -> Mode:
    """Return a mode. Raises ValueError."""
    if text not in MODES:
        raise ValueError(f"one of {', '.join(MODES)}")
    return cast(Mode, text)


def as_content(text: str) -> Content:
    """Return a content policy. Raises ValueError."""
    if text not in CONTENTS:
        raise ValueError(f"one of {', '.join(CONTENTS)}")
    return cast(Content, text)
