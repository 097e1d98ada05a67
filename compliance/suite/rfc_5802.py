"""RFC 5802: SCRAM, with what RFC 7677 (SHA-256) and RFC 5929 (channel bindings) add."""

from __future__ import annotations

import base64
import secrets
import ssl

from compliance.check import MUST, SHOULD, NotPossible, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import PREFIXES, condition
from compliance.sasl import HASHES, Scram, channel_binding
from compliance.scene import Scene

check = checks_of("RFC 5802")
core = checks_of("RFC 6120")


async def _bindable(scene: Scene) -> Client:
    """Return a client before login; end the check unless -PLUS mechanisms are offered inside TLS."""
    client = scene.client()
    await client.start(newest=ssl.TLSVersion.TLSv1_2)  # for newer ones not every type can be made here
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


async def _scram(scene: Scene) -> tuple[Client, str]:
    """Return a client before login and the best SCRAM without channel binding."""
    client = scene.client()
    await client.start()
    for mechanism in reversed(HASHES):
        if mechanism in client.mechanisms():
            return client, mechanism
    raise NotPossible("no SCRAM is offered")


async def _first_challenge(client: Client, mechanism: str, username: str) -> dict[str, str]:
    """Begin an exchange and return the fields of the server's first message."""
    exchange = Scram(mechanism, username, "")
    first = base64.b64encode(exchange.first()).decode()
    await client.send(f"<auth xmlns='{PREFIXES['sasl']}' mechanism='{mechanism}'>{first}</auth>")
    challenge = await client.expect("sasl:challenge")
    fields = base64.b64decode(challenge.text or "").decode().split(",")
    return {key: value for key, _, value in (part.partition("=") for part in fields)}


@check("5", MUST, "The server proves with its signature that it knows the keys of the password.")
async def server_proves_itself(scene: Scene) -> None:
    client, mechanism = await _scram(scene)
    await client.enter(mechanism=mechanism)  # the client verifies the signature and fails otherwise


@check("5.1", MUST, "The iteration count is 4096 at least.")
async def iteration_count_is_high_enough(scene: Scene) -> None:
    client, mechanism = await _scram(scene)
    assert client.account is not None
    fields = await _first_challenge(client, mechanism, client.account.username)
    require(int(fields.get("i", "0")) >= 4096, f"the iteration count is {fields.get('i')}")


@core("6.5.10", SHOULD, "An account that does not exist looks like one that does: it has a salt, the same each time.")
async def unknown_account_looks_like_a_known_one(scene: Scene) -> None:
    nobody = f"nobody-{secrets.token_hex(5)}"
    salts = []
    for _ in range(2):
        client, mechanism = await _scram(scene)
        salts.append((await _first_challenge(client, mechanism, nobody)).get("s"))
    require(all(salts), "the challenge has no salt")
    require_equal(salts[1], salts[0], "the salt of the second attempt")


@check("6", MUST, "A login bound to another TLS connection is refused: somebody sits in between.")
async def wrong_binding_is_refused(scene: Scene) -> None:
    client = await _bindable(scene)
    assert client.account is not None and client.tls is not None
    kinds = [kind for kind in client.bindings() or ["tls-unique"] if channel_binding(client.tls, kind) is not None]
    if not kinds:
        raise NotPossible(f"none of the types {client.bindings()} can be made here")
    mechanism = _plus(client)
    exchange = Scram(
        mechanism, client.account.username, client.account.password, binding=(kinds[0], b"another connection")
    )
    require(await _try(client, exchange, mechanism) != "success", "a login bound to another connection was accepted")


@check("6", MUST, "A client that says it saw no channel binding is refused: the offer was taken out on the way.")
async def downgrade_is_refused(scene: Scene) -> None:
    client = await _bindable(scene)
    assert client.account is not None
    mechanism = _plus(client).removesuffix("-PLUS")
    if mechanism not in client.mechanisms():
        raise NotPossible(f"{mechanism} is offered only with channel binding")
    exchange = Scram(mechanism, client.account.username, client.account.password, flag="y")
    require(await _try(client, exchange, mechanism) != "success", "a login that reports a downgrade was accepted")


@check("6", SHOULD, "A type that the server does not know is refused, and the stream lives on.")
async def unknown_type_is_refused(scene: Scene) -> None:
    client = await _bindable(scene)
    assert client.account is not None
    mechanism = _plus(client)
    exchange = Scram(mechanism, client.account.username, client.account.password, binding=("x-unheard-of", b"x"))
    require(await _try(client, exchange, mechanism) != "success", "an unknown type of channel binding was accepted")
    await client.enter(mechanism=mechanism.removesuffix("-PLUS"))
    require_equal(bool(client.jid), True, "whether the later login worked")
