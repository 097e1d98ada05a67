"""Stand-ins for FCM and for a Web Push service, HTTPS each; they check what the real ones check, and misbehave on command."""

import asyncio
import base64
import re
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import http_ece
import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


@dataclass(frozen=True)
class Misdeed:
    """One answer that is not the right one: a status with a body and headers, "silence", "drop" or "endless" (a body without an end)."""

    do: str = "answer"
    status: int = 503
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Server:
    """What the two have in common."""

    def __init__(self, context: ssl.SSLContext, now_s: Callable[[], float]) -> None:
        self.now_s = now_s
        self.tries = 0
        self.misdeeds: deque[Misdeed] = deque()
        self.always: Misdeed | None = None
        self._context = context
        self._over = asyncio.Event()
        self._app = web.Application(client_max_size=100_000)

    async def start(self) -> str:
        """Listen and return the base URL."""
        self._runner = web.AppRunner(self._app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._context)
        await site.start()
        self.url = f"https://127.0.0.1:{self._runner.addresses[0][1]}"
        return self.url

    async def stop(self) -> None:
        self._over.set()
        await self._runner.cleanup()

    async def misbehave(self, request: web.Request) -> web.StreamResponse | None:
        """Count the request, and do what was commanded."""
        self.tries += 1
        misdeed = self.misdeeds.popleft() if self.misdeeds else self.always
        if misdeed is None:
            return None
        if misdeed.do == "silence":
            await self._over.wait()
        elif misdeed.do == "drop":
            request.transport.abort()
        elif misdeed.do == "endless":
            response = web.StreamResponse()
            await response.prepare(request)
            try:
                while not self._over.is_set():
                    await response.write(b"x" * 10_000)
            except ConnectionError:
                pass
            return response
        return web.Response(status=misdeed.status, body=misdeed.body, headers=misdeed.headers)


class FcmServer(Server):
    """FCM v1 and Google's token endpoint.

    Attributes:
        dead: tokens that are unregistered. foreign: of another sender.
        granted: access tokens given out. messages: what was taken.
    """

    def __init__(self, context, now_s, public_key, *, email="push@demo-1.iam.gserviceaccount.com") -> None:
        super().__init__(context, now_s)
        self.public_key, self.email, self.project = public_key, email, "demo-1"
        self.dead: set[str] = set()
        self.foreign: set[str] = set()
        self.granted: dict[str, float] = {}
        self.messages: list[dict] = []
        self.token_misdeeds: deque[Misdeed] = deque()
        self._app.router.add_post("/token", self._grant)
        self._app.router.add_post("/v1/projects/{project}/messages:send", self._send)

    async def _grant(self, request: web.Request) -> web.StreamResponse:
        if self.token_misdeeds:
            misdeed = self.token_misdeeds.popleft()
            return web.Response(status=misdeed.status, body=misdeed.body, headers=misdeed.headers)
        form = await request.post()
        try:
            claims = jwt.decode(
                form["assertion"],
                self.public_key,
                ["RS256"],
                audience=f"{self.url}/token",
                options={"verify_exp": False, "verify_iat": False},
            )
        except (jwt.InvalidTokenError, KeyError):
            return web.json_response({"error": "invalid_grant"}, status=400)
        age_s = self.now_s() - claims["iat"]
        is_right = (
            form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
            and claims["iss"] == self.email
            and claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
            and -60 <= age_s <= claims["exp"] - claims["iat"] <= 3600
        )
        if not is_right:
            return web.json_response({"error": "invalid_grant"}, status=400)
        token = f"ya29.{len(self.granted)}"
        self.granted[token] = self.now_s() + 3600
        return web.json_response({"access_token": token, "expires_in": 3599, "token_type": "Bearer"})

    async def _send(self, request: web.Request) -> web.StreamResponse:
        bad = await self.misbehave(request)
        if bad is not None:
            return bad
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.granted.get(token, 0) <= self.now_s():
            return fcm_error(401, "UNAUTHENTICATED")
        if request.match_info["project"] != self.project:
            return fcm_error(404, "NOT_FOUND")
        message = (await request.json())["message"]
        fault = fcm_fault(message)
        if fault:
            return fcm_error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", fault)
        if message["token"] in self.dead:
            return fcm_error(404, "NOT_FOUND", "UNREGISTERED")
        if message["token"] in self.foreign:
            return fcm_error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH")
        self.messages.append(message)
        return web.json_response({"name": f"projects/{self.project}/messages/{len(self.messages)}"})


def fcm_error(status: int, name: str, code: str = "", field_name: str = "") -> web.Response:
    """Return an error in Google's form."""
    details: list[dict] = []
    if code:
        details.append({"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code})
    if field_name:
        details.append(
            {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": field_name}]}
        )
    error = {"code": status, "message": "no", "status": name, "details": details}
    return web.json_response({"error": error}, status=status)


def fcm_fault(message: dict) -> str:
    """Return the field of a message that Google would not take, "" when it is good."""
    if message.keys() - {"token", "data", "notification", "android"}:
        return "message"
    if not re.fullmatch(r"[A-Za-z0-9_-]{8,}:[A-Za-z0-9_-]{100,}", message["token"]):
        return "message.token"
    data = message.get("data", {})
    for key, value in data.items():
        if not isinstance(value, str):
            return "message.data"
        if key in ("from", "message_type") or key.lower().startswith(("google", "gcm")):
            return "message.data"
    size = sum(
        len(part.encode()) for pair in [*data.items(), *message.get("notification", {}).items()] for part in pair
    )
    if size > 4096:
        return "message.data"
    android = message["android"]
    if android["priority"] not in ("HIGH", "NORMAL") or not re.fullmatch(r"\d+s", android["ttl"]):
        return "message.android"
    if int(android["ttl"][:-1]) > 2_419_200:
        return "message.android.ttl"
    known = {"tag", "default_sound", "notification_count"}
    return "message.android.notification" if android.get("notification", {}).keys() - known else ""


class PushService(Server):
    """A Web Push service, and the browser behind it that can read what comes.

    Attributes:
        gone: paths of subscriptions that are no more. messages: headers and plaintext of what was taken.
        application_key: the only one whose pushes are taken; None: any.
    """

    def __init__(self, context, now_s) -> None:
        super().__init__(context, now_s)
        self.gone: set[str] = set()
        self.messages: list[tuple[dict[str, str], bytes]] = []
        self.faults: list[str] = []
        self.application_key: str | None = None
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._auth = b"0123456789abcdef"
        self._app.router.add_post("/push/{id}", self._push)

    @property
    def subscription(self) -> dict[str, str]:
        """Return p256dh and auth of every subscription here, as `Device` calls them."""
        point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return {"public_key": unpadded(point), "auth": unpadded(self._auth)}

    async def _push(self, request: web.Request) -> web.StreamResponse:
        bad = await self.misbehave(request)
        if bad is not None:
            return bad
        body = await request.read()
        status = self._judge(request.headers, body)
        if status == 201 and request.path in self.gone:
            status = 410
        if status == 201:
            plain = http_ece.decrypt(body, private_key=self._key, auth_secret=self._auth, version="aes128gcm")
            self.messages.append((dict(request.headers), plain))
        return web.Response(status=status)

    def _judge(self, headers, body: bytes) -> int:
        if len(body) > 4096:
            return 413
        found = re.fullmatch(r"vapid t=([^,]+), k=([A-Za-z0-9_-]{87})", headers.get("Authorization", ""))
        if found is None:
            return 401
        token, key = found.groups()
        if self.application_key not in (None, key):
            return 403
        point = base64.urlsafe_b64decode(key + "=")
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        try:
            claims = jwt.decode(token, public, ["ES256"], audience=self.url, options={"verify_exp": False})
        except jwt.InvalidTokenError:
            return 403
        if not 0 < claims["exp"] - self.now_s() <= 86_400 or not claims["sub"].startswith(("mailto:", "https:")):
            return 401
        checks = {
            "TTL": r"\d+",
            "Urgency": "very-low|low|normal|high",
            "Content-Encoding": "aes128gcm",
        }
        is_right = all(re.fullmatch(pattern, headers.get(name, "")) for name, pattern in checks.items())
        return 201 if is_right and re.fullmatch("[A-Za-z0-9_-]{0,32}", headers.get("Topic", "")) else 400


def unpadded(data: bytes) -> str:
    """Return base64url without its padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
