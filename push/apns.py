"""Apple's Push Notification service.

A token key (.p8) or a certificate proves who we are. What a notification becomes:

    Kind.ALERT        apns-push-type alert, priority 10 (urgent) or 5; shown by the system, after the app's extension had a look
    Kind.BACKGROUND   background, always priority 5; runs the app for a moment, when iOS thinks fit
    Kind.CALL         voip, priority 10, to the topic with ".voip" added; the app must show a call at once

Spec: Apple, "Sending notification requests to APNs" and "Handling notification responses from APNs".
"""

import asyncio
import re
import ssl
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from push.apns_connection import Answer, ApnsPool, Lost
from push.gateway import (
    BadCredentials,
    BadToken,
    Clock,
    Device,
    Kind,
    Notification,
    Outcome,
    Result,
    delivered,
    reason_of,
    retry_after_s,
    unreachable,
)
from push.texts import fit, json_of

PAYLOAD_BYTES, CALL_PAYLOAD_BYTES = 4096, 5120
TOKEN_RENEW_S, TOKEN_REST_S = 2400, 1200
"""Apple takes a provider token for an hour, and wants no new one within 20 minutes."""

_TOKEN = re.compile(r"(?:[0-9a-fA-F]{2}){32,100}")
_TYPES = {Kind.ALERT: "alert", Kind.BACKGROUND: "background", Kind.CALL: "voip"}
_NOT_HERE = {"BadDeviceToken", "DeviceTokenNotForTopic"}


@dataclass(frozen=True, slots=True)
class ApnsOptions:
    """How to reach Apple, and as whom.

    Attributes:
        topics: the bundle ids of our apps; the first one is that of devices that name none.
        key, key_id, team_id: the text of a .p8 file (a P-256 key), and what Apple calls it and us.
        certificate: path of a PEM file with a certificate and its key, instead of a token key; "" without.
        environment: "production" or "sandbox", of devices that name none.
        production, sandbox: host and port of each.
        placeholder: what is shown of a message of which nothing may be shown.
        timeout_s: for one attempt. max_connections: to each environment.
    """

    topics: tuple[str, ...]
    key: str = field(default="", repr=False)
    key_id: str = ""
    team_id: str = ""
    certificate: str = ""
    environment: str = "production"
    production: tuple[str, int] = ("api.push.apple.com", 443)
    sandbox: tuple[str, int] = ("api.sandbox.push.apple.com", 443)
    placeholder: str = "New message"
    timeout_s: float = 20.0
    max_connections: int = 2


class ProviderToken:
    """The JWT by which Apple knows us: one for all connections, renewed before it is too old."""

    def __init__(self, key: str, key_id: str, team_id: str, clock: Clock) -> None:
        """Raises BadCredentials when the key is none."""
        try:
            loaded = load_pem_private_key(key.encode(), None)
        except (ValueError, TypeError) as error:
            raise BadCredentials("the APNs key is not the text of a .p8 file") from error
        if not isinstance(loaded, ec.EllipticCurvePrivateKey) or not isinstance(loaded.curve, ec.SECP256R1):
            raise BadCredentials("the APNs key is not a P-256 key")
        if not key_id or not team_id:
            raise BadCredentials("an APNs key needs key_id and team_id")
        self._key, self._key_id, self._team_id, self._clock = loaded, key_id, team_id, clock
        self._made_at_s = -TOKEN_RENEW_S
        self._token = ""

    def header(self) -> str:
        """Return the value of an authorization header."""
        if self._now_s() - self._made_at_s >= TOKEN_RENEW_S:
            self._make()
        return f"bearer {self._token}"

    def renew(self) -> bool:
        """Make a new token, unless Apple would be offended; say whether there is one."""
        if self._now_s() - self._made_at_s < TOKEN_REST_S:
            return False
        self._make()
        return True

    def _now_s(self) -> int:
        return self._clock.now_us() // 1_000_000

    def _make(self) -> None:
        self._made_at_s = self._now_s()
        claims = {"iss": self._team_id, "iat": self._made_at_s}
        self._token = jwt.encode(claims, self._key, "ES256", {"kid": self._key_id, "typ": None})


class ApnsGateway:
    """APNs as a gateway."""

    name = "apns"

    def __init__(self, options: ApnsOptions, clock: Clock, context: ssl.SSLContext | None = None) -> None:
        """`context`: whom to trust, None: the system's authorities. Raises BadCredentials."""
        if not options.topics:
            raise BadCredentials("APNs needs a topic: the bundle id of the app")
        self._options, self._clock = options, clock
        self._context = context or ssl.create_default_context()
        self._context.set_alpn_protocols(["h2"])
        self._token: ProviderToken | None = None
        if options.certificate:
            try:
                self._context.load_cert_chain(options.certificate)
            except (OSError, ssl.SSLError) as error:
                raise BadCredentials(f"{options.certificate}: no certificate with its key") from error
        else:
            self._token = ProviderToken(options.key, options.key_id, options.team_id, clock)
        self._endpoints = {"production": options.production, "sandbox": options.sandbox}
        self._pools: dict[str, ApnsPool] = {}
        self._proven: set[tuple[str, str]] = set()

    def check(self, device: Device) -> None:
        """Raise BadToken for what Apple cannot have given out, and for apps that are not ours."""
        if not _TOKEN.fullmatch(device.token):
            raise BadToken("an APNs token is 64 to 200 hex digits")
        if device.topic and device.topic not in self._options.topics:
            raise BadToken("the app is not one of push.apns.topics")
        if device.environment not in ("", *self._endpoints):
            raise BadToken('environment: "production" or "sandbox"')

    async def send(self, notification: Notification) -> Outcome:
        """Try once; a lost connection and an old provider token are made good at once."""
        try:
            self.check(notification.device)
        except BadToken:
            return Outcome(Result.DEAD, "bad-token")
        body = payload_of(notification, self._options.placeholder)
        if body is None:
            return Outcome(Result.REFUSED, "PayloadTooLarge")
        try:
            async with asyncio.timeout(self._options.timeout_s):
                outcome = await self._try(notification, body)
                if outcome.reason == "ExpiredProviderToken" and self._token is not None and self._token.renew():
                    outcome = await self._try(notification, body)
                return outcome
        except TimeoutError:
            return unreachable("timeout")

    async def _try(self, notification: Notification, body: bytes) -> Outcome:
        environment = notification.device.environment or self._options.environment
        pool = self._pool(environment)
        for _ in range(2):
            try:
                answer = await pool.post(self._headers(notification, environment), body)
            except Lost as error:
                lost = error
                if str(error) == "connect":
                    break
            else:
                return self._outcome(answer, notification, environment)
        return unreachable(str(lost))

    def _pool(self, environment: str) -> ApnsPool:
        pool = self._pools.get(environment)
        if pool is None:
            host, port = self._endpoints[environment]
            pool = self._pools[environment] = ApnsPool(host, port, self._context, self._options.max_connections)
        return pool

    def _topic(self, device: Device) -> str:
        return device.topic or self._options.topics[0]

    def _headers(self, notification: Notification, environment: str) -> list[tuple[str, str]]:
        device, kind = notification.device, notification.kind
        topic = self._topic(device) + (".voip" if kind is Kind.CALL else "")
        is_high = kind is Kind.CALL or (kind is Kind.ALERT and notification.is_urgent)
        headers = [
            (":method", "POST"),
            (":scheme", "https"),
            (":path", f"/3/device/{device.token.lower()}"),
            (":authority", self._endpoints[environment][0]),
            ("apns-topic", topic),
            ("apns-push-type", _TYPES[kind]),
            ("apns-priority", "10" if is_high else "5"),
            ("apns-expiration", str(notification.expires_at_us // 1_000_000)),
        ]
        if notification.collapse_id:
            headers.append(("apns-collapse-id", notification.collapse_id))
        if self._token is not None:
            headers.append(("authorization", self._token.header()))
        return headers

    def _outcome(self, answer: Answer, notification: Notification, environment: str) -> Outcome:
        place = (environment, self._topic(notification.device))
        status = answer.status
        if status == 200:
            self._proven.add(place)
            return delivered()
        said = json_of(bytes(answer.body))
        reason = reason_of(said.get("reason"), f"http-{status}")
        after_s = retry_after_s(answer.headers.get("retry-after"), self._clock.now_us())
        if status == 410:
            self._proven.add(place)
            dead_at = said.get("timestamp")
            if type(dead_at) is not int or not 10**12 < dead_at < 10**14:  # ms since 1970, after 2001
                return Outcome(Result.DEAD, reason)
            return Outcome(Result.DEAD, reason, dead_at_us=dead_at * 1000)
        if reason in _NOT_HERE:
            # Either this token is wrong or our settings are; they are not when they have reached somebody.
            return Outcome(Result.DEAD if place in self._proven else Result.REFUSED, reason)
        if status == 429:
            if reason == "TooManyProviderTokenUpdates":
                return Outcome(Result.RETRY, reason, max(after_s or 0, TOKEN_REST_S), is_gateway=True)
            return Outcome(Result.RETRY, reason, after_s)
        if status in (401, 403):
            return Outcome(Result.BAD_CREDENTIALS, reason)
        if 400 <= status < 500 and reason != "IdleTimeout":
            return Outcome(Result.REFUSED, reason)
        return Outcome(Result.RETRY, reason, after_s, is_gateway=True)

    async def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()


def payload_of(notification: Notification, placeholder: str) -> bytes | None:
    """Return what Apple gets, its text shortened until it fits; None when it is too big without text."""
    limit = CALL_PAYLOAD_BYTES if notification.kind is Kind.CALL else PAYLOAD_BYTES
    aps: dict[str, Any] = {}
    alert: dict[str, str] = {}
    if notification.kind is Kind.BACKGROUND:
        aps["content-available"] = 1
    elif notification.kind is Kind.ALERT:
        if notification.title:
            alert["title"] = notification.title
        if notification.body or not alert:
            alert["body"] = notification.body or placeholder
        aps["alert"] = alert
        if notification.sound:
            aps["sound"] = "default"
        if notification.badge is not None:
            aps["badge"] = notification.badge
        if notification.is_mutable:
            aps["mutable-content"] = 1
        if notification.collapse_id:
            aps["thread-id"] = notification.collapse_id
    whole = {**notification.data, "aps": aps}
    return fit(whole, alert, limit)
