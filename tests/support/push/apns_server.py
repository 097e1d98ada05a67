"""A stand-in for APNs: HTTP/2 over TLS; it checks what Apple checks, and misbehaves on command."""

import asyncio
import json
import re
import ssl
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import jwt
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from h2.exceptions import StreamClosedError
from h2.settings import SettingCodes

TYPES = {"alert", "background", "voip", "complication", "fileprovider", "mdm", "liveactivity", "location", "pushtotalk"}


@dataclass(frozen=True)
class Push:
    """What was taken."""

    token: str
    headers: dict[str, str]
    payload: dict


@dataclass(frozen=True)
class Misdeed:
    """One answer that is not the right one.

    Attributes:
        do: "answer" (status, body and headers below), "silence", "reset", "drop", "goaway", "garbage" or "pieces" (the body in many frames).
        forgets: the goaway says that this very request was not looked at.
    """

    do: str = "answer"
    status: int = 503
    reason: str = ""
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    forgets: bool = True


@dataclass
class ApnsServer:
    """One environment of APNs.

    Attributes:
        topics: bundle ids of the team. keys: key id -> public key. team: its id.
        dead: token -> ms since 1970 at which it was found dead. foreign: tokens of another app or environment.
        wants_certificate: clients prove themselves in TLS, no provider token.
        now_s: the time, by which the age of provider tokens is judged.
        misdeeds: what the next requests get. always: what all get.
    """

    context: ssl.SSLContext
    keys: dict[str, object]
    now_s: Callable[[], float]
    topics: tuple[str, ...] = ("org.example.app",)
    team: str = "TEAM123456"
    dead: dict[str, int] = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)
    max_streams: int = 100
    window: int | None = None
    pushes: list[Push] = field(default_factory=list)
    tries: int = 0
    connections: int = 0
    provider_tokens: list[str] = field(default_factory=list)
    misdeeds: deque[Misdeed] = field(default_factory=deque)
    always: Misdeed | None = None
    wants_certificate: bool = False
    faults: list[str] = field(default_factory=list)

    async def start(self) -> int:
        """Listen and return the port."""
        self.context.set_alpn_protocols(["h2"])
        self._links: set[_Link] = set()
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Link(self), "127.0.0.1", 0, ssl=self.context
        )
        return self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for link in list(self._links):
            link.transport.abort()
        await self._server.wait_closed()

    def judge(self, headers: dict[str, str], body: bytes, has_certificate: bool) -> tuple[int, dict]:
        """Return status and body, as Apple would."""
        token = headers[":path"].removeprefix("/3/device/")
        for status, reason in (
            self._credentials(headers, has_certificate),
            _form(headers, token),
            self._topic(headers, token),
            _payload(headers, body),
        ):
            if status != 200:
                return status, {"reason": reason}
        if token in self.dead:
            return 410, {"reason": "Unregistered", "timestamp": self.dead[token]}
        self.pushes.append(Push(token, headers, json.loads(body)))
        return 200, {}

    def _credentials(self, headers: dict[str, str], has_certificate: bool) -> tuple[int, str]:
        if self.wants_certificate:
            return (200, "") if has_certificate else (403, "MissingProviderToken")
        scheme, _, text = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            return 403, "MissingProviderToken"
        try:
            key_id = jwt.get_unverified_header(text)["kid"]
            claims = jwt.decode(text, self.keys[key_id], ["ES256"], options={"verify_iat": False})
        except (jwt.InvalidTokenError, KeyError):
            return 403, "InvalidProviderToken"
        if claims.get("iss") != self.team or set(claims) != {"iss", "iat"}:
            return 403, "InvalidProviderToken"
        if not -60 <= self.now_s() - claims["iat"] <= 3600:
            return 403, "ExpiredProviderToken"
        if text not in self.provider_tokens:
            last = self.provider_tokens[-1:]
            if last and claims["iat"] - jwt.decode(last[0], options={"verify_signature": False})["iat"] < 1200:
                return 429, "TooManyProviderTokenUpdates"
            self.provider_tokens.append(text)
        return 200, ""

    def _topic(self, headers: dict[str, str], token: str) -> tuple[int, str]:
        topic = headers.get("apns-topic", "")
        if not topic:
            return 400, "MissingTopic"
        is_call = headers["apns-push-type"] == "voip"
        if is_call is not topic.endswith(".voip"):
            return 400, "BadTopic"
        if topic.removesuffix(".voip") not in self.topics:
            return 400, "TopicDisallowed"
        return (400, "DeviceTokenNotForTopic") if token in self.foreign else (200, "")


def _form(headers: dict[str, str], token: str) -> tuple[int, str]:
    if headers[":method"] != "POST":
        return 405, "MethodNotAllowed"
    if not headers[":path"].startswith("/3/device/"):
        return 404, "BadPath"
    if not re.fullmatch("[0-9a-f]{64,200}", token):
        return 400, "BadDeviceToken"
    if headers.get("apns-push-type") not in TYPES:
        return 400, "InvalidPushType"
    if headers.get("apns-priority", "10") not in ("1", "5", "10"):
        return 400, "BadPriority"
    if len(headers.get("apns-collapse-id", "").encode()) > 64:
        return 400, "BadCollapseId"
    if not headers.get("apns-expiration", "0").isdigit():
        return 400, "BadExpirationDate"
    try:
        uuid.UUID(headers.get("apns-id", str(uuid.uuid4())))
    except ValueError:
        return 400, "BadMessageId"
    return 200, ""


def _payload(headers: dict[str, str], body: bytes) -> tuple[int, str]:
    push_type = headers["apns-push-type"]
    if not body:
        return 400, "PayloadEmpty"
    if len(body) > (5120 if push_type == "voip" else 4096):
        return 413, "PayloadTooLarge"
    try:
        aps = json.loads(body)["aps"]
    except (ValueError, KeyError, TypeError):
        return 400, "BadPayload"
    if push_type == "background":
        if headers.get("apns-priority") != "5":
            return 400, "BadPriority"
        if aps.get("content-available") != 1 or aps.keys() & {"alert", "sound", "badge"}:
            return 400, "BadPayload"
    if push_type == "alert" and not aps.get("alert"):
        return 400, "BadPayload"
    return 200, ""


class _Link(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, server: ApnsServer) -> None:
        self._server = server
        self._requests: dict[int, tuple[dict[str, str], bytearray]] = {}
        self._h2 = H2Connection(H2Configuration(client_side=False))
        settings = {SettingCodes.MAX_CONCURRENT_STREAMS: server.max_streams}
        if server.window is not None:
            settings[SettingCodes.INITIAL_WINDOW_SIZE] = server.window
        self._h2.local_settings.update(settings)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._server.connections += 1
        self._server._links.add(self)
        if transport.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            self._server.faults.append("no ALPN")
        self._h2.initiate_connection()
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._server._links.discard(self)

    def data_received(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            if isinstance(event, RequestReceived):
                names = [bytes(name).decode() for name, _ in event.headers]
                if len(set(names)) != len(names):
                    self._server.faults.append("DuplicateHeaders")
                self._requests[event.stream_id] = (
                    {bytes(name).decode(): bytes(value).decode() for name, value in event.headers},
                    bytearray(),
                )
            elif isinstance(event, DataReceived):
                self._requests[event.stream_id][1].extend(event.data)
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self._serve(event.stream_id, *self._requests.pop(event.stream_id))
        self._flush()

    def _serve(self, stream_id: int, headers: dict[str, str], body: bytearray) -> None:
        server = self._server
        server.tries += 1
        misdeed = server.misdeeds.popleft() if server.misdeeds else server.always
        has_certificate = bool(self.transport.get_extra_info("peercert"))
        if misdeed is None:
            status, said = server.judge(headers, bytes(body), has_certificate)
            self._answer(stream_id, status, json.dumps(said).encode() if said else b"")
        elif misdeed.do == "answer":
            told = json.dumps({"reason": misdeed.reason}).encode() if misdeed.reason else b""
            self._answer(stream_id, misdeed.status, told if misdeed.body is None else misdeed.body, misdeed.headers)
        elif misdeed.do == "pieces":
            status, said = server.judge(headers, bytes(body), has_certificate)
            self._answer(stream_id, status, json.dumps(said).encode(), piece=3)
        elif misdeed.do == "reset":
            self._h2.reset_stream(stream_id)
        elif misdeed.do == "goaway":
            self._h2.close_connection(last_stream_id=stream_id - 2 if misdeed.forgets else stream_id)
            self._flush()
            self.transport.close()
        elif misdeed.do == "drop":
            self.transport.abort()
        elif misdeed.do == "garbage":
            self.transport.write(bytes(200))

    def _answer(
        self,
        stream_id: int,
        status: int,
        body: bytes,
        headers: tuple[tuple[str, str], ...] = (),
        piece: int = 65_536,
    ) -> None:
        try:
            self._h2.send_headers(stream_id, [(":status", str(status)), *headers], end_stream=not body)
            for start in range(0, len(body), piece):
                self._h2.send_data(stream_id, body[start : start + piece])
            if body:
                self._h2.send_data(stream_id, b"", end_stream=True)
        except StreamClosedError:
            self._server.faults.append("answered a stream that was reset")

    def _flush(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self._h2.data_to_send())
