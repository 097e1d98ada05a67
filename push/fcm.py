"""Google's Firebase Cloud Messaging, HTTP v1.

A service account proves who we are: a JWT that it signs buys an access token for an hour. What a notification becomes:

    is_mutable        data only: the app wakes, fetches and shows by itself; title and body are among the data
    not is_mutable    a notification that Android shows by itself, and the data
    Kind.BACKGROUND   data only, priority normal. Kind.CALL: data only, priority high

FCM keeps messages under at most four collapse keys for a device that is off. Those without text (which say no more than "fetch") go under
four keys; those with text go without, or the text of one conversation would take the place of another's.

Spec: firebase.google.com/docs/reference/fcm/rest/v1; RFC 7523 for the access token.
"""

import asyncio
import re
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import google.auth.jwt
from google.auth.exceptions import GoogleAuthError
from google.oauth2.service_account import Credentials

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
from push.http_client import HttpClient, NoReply, Reply
from push.texts import dump, fit, json_of

DATA_BYTES = 4096
ENVELOPE_BYTES = 8192
"""Of the whole request: the data, and what stands around them."""
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
RENEW_BEFORE_S = 120
QUOTA_PAUSE_S = 60.0
"""Google asks for a minute at least after a 429 without Retry-After."""

_TOKEN = re.compile(r"[0-9A-Za-z_:.%=+/~-]{20,4096}")
_BAD_KEY = re.compile(r"from|message_type|google.*|gcm.*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FcmOptions:
    """How to reach Google, and as whom.

    Attributes:
        account: the text of a service account's JSON file.
        endpoint: without a path. token_url: "" takes that of the account.
        timeout_s: for one attempt.
    """

    account: str = field(repr=False)
    endpoint: str = "https://fcm.googleapis.com"
    token_url: str = ""
    timeout_s: float = 20.0


class Refused(Exception):
    """There is no access token; holds the outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class AccessToken:
    """The bearer token by which FCM knows us: asked for once, whoever needs it, and anew before it is too old."""

    def __init__(self, account: dict[str, Any], token_url: str, client: HttpClient, clock: Clock) -> None:
        """Raises BadCredentials when the account is none."""
        try:
            self._credentials = Credentials.from_service_account_info(account)  # type: ignore[no-untyped-call]
        except (ValueError, TypeError, AttributeError, GoogleAuthError) as error:
            raise BadCredentials("the FCM account is not a service account's JSON file") from error
        self._url = token_url or account["token_uri"]
        self._client, self._clock = client, clock
        self._lock = asyncio.Lock()
        self._token = ""
        self._until_us = 0

    async def get(self) -> str:
        """Return a token. Raises Refused."""
        async with self._lock:
            if self._clock.now_us() >= self._until_us:
                await self._fetch()
            return self._token

    def forget(self, token: str) -> None:
        """Fetch another the next time, unless somebody did already."""
        if token == self._token:
            self._until_us = 0

    async def _fetch(self) -> None:
        now_s = self._clock.now_us() // 1_000_000
        claims = {
            "iss": self._credentials.service_account_email,
            "scope": SCOPE,
            "aud": self._url,
            "iat": now_s,
            "exp": now_s + 3600,
        }
        assertion: bytes = google.auth.jwt.encode(self._credentials.signer, claims)  # type: ignore[no-untyped-call]
        form = urlencode({"grant_type": GRANT, "assertion": assertion.decode()}).encode()
        try:
            reply = await self._client.post(self._url, {"Content-Type": "application/x-www-form-urlencoded"}, form)
        except NoReply as error:
            raise Refused(unreachable(f"token-{error}")) from error
        said = json_of(reply.body)
        token, life_s = said.get("access_token"), said.get("expires_in")
        if reply.status != 200:
            reason = reason_of(said.get("error"), f"token-http-{reply.status}")
            if reply.status in (400, 401, 403):
                raise Refused(Outcome(Result.BAD_CREDENTIALS, reason))
            raise Refused(_later(reason, reply, self._clock))
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            raise Refused(unreachable("token-garbage"))
        life_s = life_s if type(life_s) is int and 0 < life_s <= 86_400 else 300
        self._token = token
        self._until_us = self._clock.now_us() + max(life_s - RENEW_BEFORE_S, life_s // 2) * 1_000_000


class FcmGateway:
    """FCM as a gateway."""

    name = "fcm"

    def __init__(self, options: FcmOptions, clock: Clock, context: ssl.SSLContext | None = None) -> None:
        """`context`: whom to trust, None: the system's authorities. Raises BadCredentials."""
        account = json_of(options.account.encode())
        project = account.get("project_id")
        if not isinstance(project, str) or not re.fullmatch("[a-z0-9-]{4,40}", project):
            raise BadCredentials("the FCM account is not a service account's JSON file: it has no project_id")
        self._client = HttpClient(context or ssl.create_default_context(), options.timeout_s)
        self._access = AccessToken(account, options.token_url, self._client, clock)
        self._url = f"{options.endpoint.rstrip('/')}/v1/projects/{project}/messages:send"
        self._clock, self._timeout_s = clock, options.timeout_s
        self._is_proven = False

    def check(self, device: Device) -> None:
        """Raise BadToken for what Google cannot have given out."""
        if not _TOKEN.fullmatch(device.token):
            raise BadToken("an FCM token is 20 to 4096 letters, digits and - _ : . % = + / ~")

    async def send(self, notification: Notification) -> Outcome:
        """Try once; an old access token is replaced at once."""
        try:
            self.check(notification.device)
        except BadToken:
            return Outcome(Result.DEAD, "bad-token")
        if any(_BAD_KEY.fullmatch(key) for key in notification.data):
            return Outcome(Result.REFUSED, "bad-data-key")
        body = request_of(notification, self._clock.now_us())
        if body is None:
            return Outcome(Result.REFUSED, "PayloadTooLarge")
        try:
            async with asyncio.timeout(self._timeout_s):
                outcome = await self._try(body)
                return await self._try(body) if outcome.reason == "UNAUTHENTICATED" else outcome
        except TimeoutError:
            return unreachable("timeout")
        except NoReply as error:
            return unreachable(str(error))
        except Refused as error:
            return error.outcome

    async def _try(self, body: bytes) -> Outcome:
        token = await self._access.get()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        reply = await self._client.post(self._url, headers, body)
        if reply.status == 401:
            self._access.forget(token)
        outcome = self._outcome(reply)
        self._is_proven |= outcome.kind is Result.DELIVERED
        return outcome

    def _outcome(self, reply: Reply) -> Outcome:
        status = reply.status
        if status == 200:
            return delivered()
        error = json_of(reply.body).get("error")
        error = error if isinstance(error, dict) else {}
        code = _fcm_code(error)
        reason = code or reason_of(error.get("status"), f"http-{status}")
        if code == "UNREGISTERED" or (status == 400 and _is_about_token(error)):
            return Outcome(Result.DEAD, reason)
        if code == "SENDER_ID_MISMATCH":
            # Either this token is another sender's or our settings are wrong; they are not when they have reached somebody.
            return Outcome(Result.DEAD if self._is_proven else Result.REFUSED, reason)
        if code == "THIRD_PARTY_AUTH_ERROR":  # of an iPhone behind Firebase: its own APNs key is at fault, not ours
            return Outcome(Result.REFUSED, reason)
        if status == 429:
            after_s = retry_after_s(reply.headers.get("retry-after"), self._clock.now_us())
            is_gateway = "device" not in str(error.get("message", "")).lower()
            return Outcome(Result.RETRY, reason, QUOTA_PAUSE_S if after_s is None else after_s, is_gateway)
        if status in (401, 403, 404):  # a 404 that does not say UNREGISTERED is about the project
            return Outcome(Result.BAD_CREDENTIALS, reason)
        if 400 <= status < 500:
            return Outcome(Result.REFUSED, reason)
        return _later(reason, reply, self._clock)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()


def request_of(notification: Notification, now_us: int) -> bytes | None:
    """Return what Google gets, its text shortened until it fits; None when it is too big without text."""
    kind, data = notification.kind, {"kind": str(notification.kind), **notification.data}
    texts = {name: text for name in ("title", "body") if (text := getattr(notification, name))}
    is_shown = kind is Kind.ALERT and not notification.is_mutable and bool(texts)
    is_high = kind is Kind.CALL or (kind is Kind.ALERT and notification.is_urgent)
    ttl_s = max(0, min((notification.expires_at_us - now_us) // 1_000_000, 2_419_200))
    android: dict[str, Any] = {"priority": "HIGH" if is_high else "NORMAL", "ttl": f"{ttl_s}s"}
    collapse_id = notification.collapse_id
    if collapse_id and not texts and kind is not Kind.CALL:
        android["collapse_key"] = f"fetch-{int(collapse_id[:2], 16) % 4}"
    message: dict[str, Any] = {"token": notification.device.token, "android": android}
    if is_shown:
        message["notification"] = texts
        shown: dict[str, Any] = {"default_sound": notification.sound}
        if collapse_id:
            shown["tag"] = collapse_id
        if notification.badge is not None:
            shown["notification_count"] = notification.badge
        android["notification"] = shown
    elif kind is not Kind.BACKGROUND:
        data |= texts
        texts = data
    if fit([data, message.get("notification", {})], texts, DATA_BYTES) is None:
        return None
    message["data"] = data
    body = dump({"message": message})
    return body if len(body) <= ENVELOPE_BYTES + len(notification.device.token) else None


def _later(reason: str, reply: Reply, clock: Clock) -> Outcome:
    after_s = retry_after_s(reply.headers.get("retry-after"), clock.now_us())
    return Outcome(Result.RETRY, reason, after_s, is_gateway=True)


def _details(error: dict[str, Any]) -> list[dict[str, Any]]:
    details = error.get("details")
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []


def _fcm_code(error: dict[str, Any]) -> str:
    """Return FCM's own code, which stands beside Google's general one; "" without."""
    codes = [
        detail.get("errorCode") for detail in _details(error) if str(detail.get("@type", "")).endswith(".FcmError")
    ]
    return reason_of(codes[0], "") if codes else ""


def _is_about_token(error: dict[str, Any]) -> bool:
    """Whether a bad request is bad because of the token."""
    fields = [
        violation.get("field")
        for detail in _details(error)
        if isinstance(detail.get("fieldViolations"), list)
        for violation in detail["fieldViolations"]
        if isinstance(violation, dict)
    ]
    return "message.token" in fields or (not fields and "registration token" in str(error.get("message", "")))
