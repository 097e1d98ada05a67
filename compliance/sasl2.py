"""The client's side of XEP-0388 for the suites that log in by it: SASL2 itself, Bind 2, FAST, and what is signed in SCRAM."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from xml.sax.saxutils import quoteattr

from lxml import etree

from compliance import sasl
from compliance.check import Failed, NotPossible
from compliance.client import STREAM_OPEN, Client
from compliance.names import PREFIXES, Element, condition, find, find_all, text
from compliance.scene import Scene

NS = PREFIXES["sasl2"]
FEATURE = f"{{{NS}}}authentication"
FAST_BINDINGS = {"HT-SHA-256-NONE": "", "HT-SHA-256-ENDP": "tls-server-end-point"}


async def start(scene: Scene, name: str = "romeo", *, label: str = "", from_: str | None = None) -> Client:
    """Return a client on a stream that offers SASL2; the check ends as not possible when the server does not.

    Args:
        from_: what its header names itself inside TLS, the account's bare JID when None, nothing when "".
    """
    scene.needs_stream_feature(FEATURE)
    client = scene.client(name, label=label)
    await client.connect()
    await client.open_stream()
    features = await client.read_features()
    if find(features, "tls:starttls") is not None:
        await client.send(f"<starttls xmlns='{PREFIXES['tls']}'/>")
        await client.expect("tls:proceed")
        await client.handshake()
        source = scene.jid(name) if from_ is None else from_
        header = STREAM_OPEN.format(to=quoteattr(scene.domain))
        if source:
            header = header.replace(" xml:lang=", f" from={quoteattr(source)} xml:lang=")
        await client.open_stream(header)
        await client.read_features()
    return client


def mechanisms(client: Client) -> list[str]:
    """Return what <authentication/> offers."""
    return [(el.text or "").strip() for el in _features(client, "sasl2:authentication/sasl2:mechanism")]


def inline(client: Client, path: str) -> list[Element]:
    """Return the elements at a path below <inline/>."""
    return _features(client, f"sasl2:authentication/sasl2:inline/{path}")


def _features(client: Client, path: str) -> list[Element]:
    return [] if client.features is None else find_all(client.features, path)


def needs_inline(client: Client, path: str) -> list[Element]:
    """Return what is offered inline at a path, or end the check as not possible."""
    found = inline(client, path)
    if not found:
        raise NotPossible(f"<inline/> does not hold {path}")
    return found


def new_agent() -> str:
    """Return the id of an installation that the server has not seen."""
    return str(uuid.uuid4())


def request(mechanism: str, initial: bytes | None, inner: str = "", agent: str = "") -> str:
    """Return an <authenticate/>."""
    response = "" if initial is None else f"<initial-response>{base64.b64encode(initial).decode()}</initial-response>"
    user_agent = f"<user-agent id='{agent}'><software>compliance</software></user-agent>" if agent else ""
    return f"<authenticate xmlns='{NS}' mechanism='{mechanism}'>{response}{user_agent}{inner}</authenticate>"


async def try_password(client: Client, inner: str = "", agent: str = "", *, password: str | None = None) -> Element:
    """Log in by password; return <success/> or <failure/>. Without a `password` the account's own.

    The features that follow a success are not waited for.
    """
    assert client.account is not None
    exchange = _mechanism(client, client.account.password if password is None else password)
    shown = request(exchange.name, b"[left out]", inner, agent)
    await client.send(request(exchange.name, exchange.first(), inner, agent), shown=shown)
    while True:
        answer = await outcome(client)
        kind = etree.QName(answer).localname
        if kind == "failure":
            return answer
        try:
            if kind == "success":
                exchange.verify(base64.b64decode(text(answer, "sasl2:additional-data") or ""))
                client.jid = text(answer, "sasl2:authorization-identifier") or ""
                return answer
            reply = exchange.answer(base64.b64decode(answer.text or ""))
        except (sasl.SaslError, ValueError) as error:
            raise Failed(f"{exchange.name}: {error}") from error
        await client.send(f"<response xmlns='{NS}'>{base64.b64encode(reply).decode()}</response>")


async def outcome(client: Client) -> Element:
    """Wait for the next element of SASL2."""
    return await client.expect("*", where=lambda el: etree.QName(el).namespace == NS)


async def log_in(client: Client, inner: str = "", agent: str = "") -> Element:
    """Log in by password and return <success/>."""
    answer = await try_password(client, inner, agent)
    if etree.QName(answer).localname != "success":
        raise Failed(f"the login failed: {condition(answer)}")
    return answer


def _mechanism(client: Client, password: str) -> sasl.Plain | sasl.Scram:
    assert client.account is not None
    offered = mechanisms(client)
    for name in sasl.PREFERRED:
        if name in offered and name == "PLAIN":
            return sasl.Plain(client.account.username, password)
        if name in offered and not name.endswith("-PLUS"):
            return sasl.Scram(name, client.account.username, password)
        if name in offered and client.tls is not None:
            data = sasl.channel_binding(client.tls, "tls-server-end-point")
            if data is not None and "tls-server-end-point" in client.bindings():
                return sasl.Scram(name, client.account.username, password, binding=("tls-server-end-point", data))
    raise NotPossible(f"no mechanism in common; the server offers {', '.join(offered) or 'none'}")


def hashed_token(client: Client, mechanism: str, token: str, role: bytes) -> bytes:
    """Return HMAC(token, role and channel binding) (draft-schmaus-kitten-sasl-ht-09 §3)."""
    binding = b""
    if FAST_BINDINGS[mechanism]:
        assert client.tls is not None
        binding = sasl.channel_binding(client.tls, FAST_BINDINGS[mechanism]) or b""
    return hmac.new(token.encode(), role + binding, hashlib.sha256).digest()


async def try_token(
    client: Client, mechanism: str, token: str, inner: str = "", agent: str = "", *, attributes: str = ""
) -> Element:
    """Log in by a FAST token; return whatever element of SASL2 comes first."""
    assert client.account is not None
    initial = client.account.username.encode() + b"\0" + hashed_token(client, mechanism, token, b"Initiator")
    fast = f"<fast xmlns='{PREFIXES['fast']}'{attributes}/>"
    await client.send(request(mechanism, initial, fast + inner, agent))
    answer = await outcome(client)
    client.jid = text(answer, "sasl2:authorization-identifier") or ""
    return answer
