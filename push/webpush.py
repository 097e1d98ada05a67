"""Web Push: browsers, and Android without Google by UnifiedPush.

Each device brings the URL of a push service of its own choice, so this gateway is many: trouble with one service pauses what goes to that
service alone, and no answer of one says anything of our credentials. The URLs come from users: they lead to public addresses only.

What is sent is encrypted for the device (RFC 8291); the service sees sizes, times and an opaque topic.

Spec: RFC 8030 (the request), RFC 8291 (encryption), RFC 8292 (VAPID).
"""

import base64
import binascii
import re
import ssl
from collections import OrderedDict
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import http_ece  # type: ignore[import-untyped]
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

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
    retry_after_s,
)
from push.http_client import HttpClient, NoReply, Reply, is_public
from push.rates import backoff_s
from push.texts import fit

PLAINTEXT_BYTES = 3993
"""RFC 8291 §4: services need not take more than 4096 bytes, of which 103 are ours."""
TOKEN_LIFE_S = 12 * 3600
"""RFC 8292 §2 allows 24 hours."""
MAX_ORIGINS = 10_000
"""Push services that are remembered; the one used longest ago is forgotten first."""
FIRST_PAUSE_S, LAST_PAUSE_S = 5.0, 600.0
MAX_URL = 2_048

_ADDRESS_LIKE = re.compile(r"[0-9.]+|0x.*|.*:.*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class WebPushOptions:
    """Who we are for push services.

    Attributes:
        key: the text of a PEM file with a P-256 key (VAPID); devices subscribe to its public part, so it stays the same for ever.
        contact: "mailto:" or "https:" URI of the operator.
        public_only: reach nothing in the server's own networks. timeout_s: for one attempt.
        max_at_once: on their way to one service.
    """

    key: str = field(repr=False)
    contact: str
    public_only: bool = True
    timeout_s: float = 20.0
    max_at_once: int = 10


@dataclass(slots=True)
class _Service:
    """One push service: scheme, host and port of its URLs."""

    token: str = ""
    token_until_us: int = 0
    failures: int = 0
    paused_until_s: float = 0.0
    at_once: int = 0


class WebPushGateway:
    """All push services as one gateway."""

    name = "webpush"

    def __init__(self, options: WebPushOptions, clock: Clock, context: ssl.SSLContext | None = None) -> None:
        """`context`: whom to trust, None: the system's authorities. Raises BadCredentials."""
        self._key = _private_key(options.key)
        if not options.contact.startswith(("mailto:", "https:")):
            raise BadCredentials('Web Push needs a contact: a "mailto:" or "https:" URI')
        self._options, self._clock = options, clock
        self._client = HttpClient(
            context or ssl.create_default_context(), options.timeout_s, public_only=options.public_only
        )
        self._services: OrderedDict[str, _Service] = OrderedDict()
        point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.application_key = base64.urlsafe_b64encode(point).rstrip(b"=").decode()
        """The public key, base64url: what a browser calls applicationServerKey."""

    def check(self, device: Device) -> None:
        """Raise BadToken for what can be no subscription."""
        _origin(device.token, self._options.public_only)
        _keys(device)

    async def send(self, notification: Notification) -> Outcome:
        """Try once, unless the device's push service is in trouble or has enough to do."""
        device = notification.device
        try:
            origin = _origin(device.token, self._options.public_only)
            point, auth = _keys(device)
        except BadToken:
            return Outcome(Result.DEAD, "bad-token")
        plaintext = plaintext_of(notification)
        if plaintext is None:
            return Outcome(Result.REFUSED, "PayloadTooLarge")
        service = self._service(origin)
        wait_s = service.paused_until_s - self._clock.monotonic()
        if wait_s > 0:
            return Outcome(Result.RETRY, "service-paused", wait_s)
        if service.at_once >= self._options.max_at_once or (service.failures and service.at_once):
            return Outcome(Result.RETRY, "service-busy", 1.0)
        own = ec.generate_private_key(ec.SECP256R1())
        body: bytes = http_ece.encrypt(plaintext, private_key=own, dh=point, auth_secret=auth, version="aes128gcm")
        service.at_once += 1
        try:
            reply = await self._client.post(device.token, self._headers(notification, origin, service), body)
        except NoReply as error:
            return self._trouble(origin, service, str(error), None)
        finally:
            service.at_once -= 1
        return self._outcome(reply, origin, service)

    def _service(self, origin: str) -> _Service:
        service = self._services.get(origin)
        if service is None:
            service = self._services[origin] = _Service()
            if len(self._services) > MAX_ORIGINS:
                self._services.popitem(last=False)
        else:
            self._services.move_to_end(origin)
        return service

    def _headers(self, notification: Notification, origin: str, service: _Service) -> dict[str, str]:
        now_us = self._clock.now_us()
        headers = {
            "TTL": str(max(0, (notification.expires_at_us - now_us) // 1_000_000)),
            "Urgency": _urgency(notification),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "Authorization": f"vapid t={self._vapid(origin, service)}, k={self.application_key}",
        }
        if notification.collapse_id and notification.kind is not Kind.CALL:
            headers["Topic"] = notification.collapse_id
        return headers

    def _vapid(self, origin: str, service: _Service) -> str:
        """Return a token for one push service, good for half its life at least."""
        now_us = self._clock.now_us()
        if now_us >= service.token_until_us:
            claims = {"aud": origin, "exp": now_us // 1_000_000 + TOKEN_LIFE_S, "sub": self._options.contact}
            service.token = jwt.encode(claims, self._key, "ES256")
            service.token_until_us = now_us + TOKEN_LIFE_S * 500_000
        return service.token

    def _outcome(self, reply: Reply, origin: str, service: _Service) -> Outcome:
        status, reason = reply.status, f"http-{reply.status}"
        after_s = retry_after_s(reply.headers.get("retry-after"), self._clock.now_us())
        if status >= 500 or status < 200:
            return self._trouble(origin, service, reason, after_s)
        service.failures = 0
        if status < 300:
            return delivered()
        if status in (404, 410):
            return Outcome(Result.DEAD, reason)
        if status == 429:
            if after_s:
                service.paused_until_s = self._clock.monotonic() + after_s
            return Outcome(Result.RETRY, reason, after_s)
        if status == 401:  # our token may be too old for its clock
            service.token_until_us = 0
        return Outcome(Result.REFUSED, "PayloadTooLarge" if status == 413 else reason)

    def _trouble(self, origin: str, service: _Service, reason: str, after_s: float | None) -> Outcome:
        now_s = self._clock.monotonic()
        if now_s >= service.paused_until_s:
            service.failures += 1
            pause_s = backoff_s(FIRST_PAUSE_S, LAST_PAUSE_S, service.failures, origin)
            service.paused_until_s = now_s + max(pause_s, after_s or 0.0)
        return Outcome(Result.RETRY, reason, service.paused_until_s - now_s)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()


def plaintext_of(notification: Notification) -> bytes | None:
    """Return what the device decrypts, JSON, its text shortened until it fits; None when it is too big without text."""
    texts = {name: text for name in ("title", "body") if (text := getattr(notification, name))}
    whole: dict[str, object] = {"kind": str(notification.kind)}
    if notification.data:
        whole["data"] = dict(notification.data)
    if notification.badge is not None:
        whole["badge"] = notification.badge
    if notification.kind is not Kind.BACKGROUND and texts:
        whole["text"] = texts
    return fit(whole, texts, PLAINTEXT_BYTES)


def _urgency(notification: Notification) -> str:
    if notification.kind is Kind.CALL or (notification.kind is Kind.ALERT and notification.is_urgent):
        return "high"
    return "normal" if notification.kind is Kind.ALERT else "low"


def new_key() -> str:
    """Return a new VAPID key as the text of a PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _private_key(text: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError) as error:
        raise BadCredentials("the Web Push key is no PEM file") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadCredentials("the Web Push key is not a P-256 key")
    return key


def _origin(url: str, public_only: bool) -> str:
    """Return scheme, host and port of an endpoint (RFC 6454 §6). Raises BadToken."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadToken("the endpoint is no URL") from None
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise BadToken("the endpoint is no URL of at most 2048 characters")
    if parts.scheme != "https" or not host or parts.username is not None or parts.fragment:
        raise BadToken("the endpoint must be a https URL without user and fragment")
    if public_only and _ADDRESS_LIKE.fullmatch(host) and not is_public(host):
        raise BadToken("the endpoint leads to no public address")
    shown = f"[{host}]" if ":" in host else host
    return f"https://{shown}" if port in (None, 443) else f"https://{shown}:{port}"


def _keys(device: Device) -> tuple[ec.EllipticCurvePublicKey, bytes]:
    """Return a subscription's public key and secret. Raises BadToken."""
    try:
        point, auth = (
            base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            for text in (device.public_key, device.auth)
        )
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except (ValueError, binascii.Error):
        raise BadToken("p256dh is no point of P-256 in base64url, or auth no base64url") from None
    if len(auth) != 16 or len(point) != 65:
        raise BadToken("p256dh has 65 bytes, auth 16")
    return key, auth
