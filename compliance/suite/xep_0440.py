"""XEP-0440: SASL Channel-Binding Type Capability, and the channel binding itself (RFC 5802 §6)."""

from __future__ import annotations

import base64
import ssl

from compliance.check import MUST, SHOULD, Failed, NotPossible, checks_of, require, require_equal
from compliance.client import AuthenticationFailed, Client
from compliance.names import PREFIXES, condition
from compliance.sasl import HASHES, Scram, channel_binding
from compliance.scene import Scene

check = checks_of("XEP-0440")
FEATURE = f"{{{PREFIXES['cb']}}}sasl-channel-binding"


async def _started(scene: Scene, newest: ssl.TLSVersion | None = None) -> Client:
    """Return a client before login; end the check unless -PLUS mechanisms are offered inside TLS."""
    client = scene.client()
    await client.start(newest=newest)
    if client.tls is None:
        raise NotPossible("the server does not offer TLS")
    if not any(mechanism.endswith("-PLUS") for mechanism in client.mechanisms()):
        raise NotPossible("no mechanism with channel binding is offered")
    return client


def _plus(client: Client) -> str:
    known = [m for m in client.mechanisms() if m.endswith("-PLUS") and m.removesuffix("-PLUS") in HASHES]
    if not known:
        raise NotPossible(f"none of {client.mechanisms()} is a SCRAM with channel binding")
    return known[0]


async def _try(client: Client, exchange: Scram, mechanism: str) -> str:
    """Run an exchange to its end; return "success" or the condition of the failure."""
    first = base64.b64encode(exchange.first()).decode()
    await client.send(f"<auth xmlns='{PREFIXES['sasl']}' mechanism='{mechanism}'>{first}</auth>")
    while True:
        answer = await client.expect("*", where=lambda el: PREFIXES["sasl"] in str(el.tag))
        if answer.tag.endswith("}success"):
            return "success"
        if answer.tag.endswith("}failure"):
            return condition(answer) or "a failure without a condition"
        reply = base64.b64encode(exchange.answer(base64.b64decode(answer.text or ""))).decode()
        await client.send(f"<response xmlns='{PREFIXES['sasl']}'>{reply}</response>")


@check("2", MUST, "The feature names one type of channel binding at least.")
async def types_are_announced(scene: Scene) -> None:
    scene.needs_stream_feature(FEATURE)
    client = scene.client()
    await client.start()
    require(client.bindings(), "the feature names no type of channel binding")
    require(all(client.bindings()), "a <channel-binding/> has no type")


@check("3", MUST, "tls-server-end-point is among the types.")
async def server_end_point_is_announced(scene: Scene) -> None:
    scene.needs_stream_feature(FEATURE)
    client = scene.client()
    await client.start()
    require("tls-server-end-point" in client.bindings(), f"the types are {client.bindings()}")


@check("3", MUST, "A login bound by tls-server-end-point succeeds, with each mechanism that is offered for it.")
async def server_end_point_login_works(scene: Scene) -> None:
    client = await _started(scene)
    mechanisms = [m for m in client.mechanisms() if m.endswith("-PLUS") and m.removesuffix("-PLUS") in HASHES]
    for mechanism in mechanisms:
        client = await _started(scene)
        if "tls-server-end-point" not in client.bindings():
            raise NotPossible("tls-server-end-point is not announced")
        try:
            await client.enter(mechanism=mechanism)
        except AuthenticationFailed as error:
            raise Failed(f"{mechanism} was refused with {error.condition}") from error


@check("3", MUST, "A login bound to another TLS connection is refused: somebody sits in between.")
async def wrong_binding_is_refused(scene: Scene) -> None:
    client = await _started(scene, ssl.TLSVersion.TLSv1_2)
    assert client.account is not None and client.tls is not None
    kinds = [kind for kind in client.bindings() or ["tls-unique"] if channel_binding(client.tls, kind) is not None]
    if not kinds:
        raise NotPossible(f"none of the types {client.bindings()} can be made here")
    mechanism = _plus(client)
    exchange = Scram(
        mechanism, client.account.username, client.account.password, binding=(kinds[0], b"another connection")
    )
    require(await _try(client, exchange, mechanism) != "success", "a login bound to another connection was accepted")


@check("3", MUST, "A client that says it saw no channel binding is refused: the offer was taken out on the way.")
async def downgrade_is_refused(scene: Scene) -> None:
    client = await _started(scene, ssl.TLSVersion.TLSv1_2)
    assert client.account is not None
    mechanism = _plus(client).removesuffix("-PLUS")
    if mechanism not in client.mechanisms():
        raise NotPossible(f"{mechanism} is offered only with channel binding")
    exchange = Scram(mechanism, client.account.username, client.account.password, flag="y")
    require(await _try(client, exchange, mechanism) != "success", "a login that reports a downgrade was accepted")


@check("3", SHOULD, "A type that the server does not know is refused, and the stream lives on.")
async def unknown_type_is_refused(scene: Scene) -> None:
    client = await _started(scene, ssl.TLSVersion.TLSv1_2)
    assert client.account is not None
    mechanism = _plus(client)
    exchange = Scram(mechanism, client.account.username, client.account.password, binding=("x-unheard-of", b"x"))
    require(await _try(client, exchange, mechanism) != "success", "an unknown type of channel binding was accepted")
    await client.enter(mechanism=mechanism.removesuffix("-PLUS"))
    require_equal(bool(client.jid), True, "whether the later login worked")
