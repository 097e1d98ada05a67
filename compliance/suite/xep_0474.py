"""XEP-0474: SASL SCRAM Downgrade Protection."""

from __future__ import annotations

import base64
import hashlib

from compliance.check import MUST, NotPossible, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import PREFIXES, condition
from compliance.sasl import HASHES, Scram
from compliance.sasl2 import mechanisms, outcome, request, start
from compliance.scene import Scene

check = checks_of("XEP-0474")


def _hash(client: Client, offered: list[str], algorithm: str) -> str:
    """Return what the server must say of what it offered (§5.1)."""
    text = "\x1e".join(sorted(offered))
    if client.bindings():
        text += "\x1f" + "\x1e".join(sorted(client.bindings()))
    return base64.b64encode(hashlib.new(algorithm, text.encode()).digest()).decode()


def _said(challenge: str | None) -> str:
    """Return attribute h of a server-first-message; the check ends where there is none."""
    fields = dict(part.split("=", 1) for part in base64.b64decode(challenge or "").decode().split(","))
    if "h" not in fields:
        raise NotPossible("the server's first message has no h")
    return fields["h"]


def _names(offered: list[str]) -> list[str]:
    names = [name for name in HASHES if name in offered]
    if not names:
        raise NotPossible(f"no SCRAM without channel binding is offered, but {offered}")
    return names


@check("5.1", MUST, "SCRAM's first message has the hash of the mechanisms and channel bindings that were offered.")
async def hash_is_that_of_the_offer(scene: Scene) -> None:
    for name in _names(scene.profile.mechanisms):
        client = scene.client(label=f"romeo {name}")
        await client.start()
        first = base64.b64encode(Scram(name, "romeo", "").first()).decode()
        await client.send(f"<auth xmlns='{PREFIXES['sasl']}' mechanism='{name}'>{first}</auth>")
        challenge = await client.expect("sasl:challenge")
        require_equal(_said(challenge.text), _hash(client, client.mechanisms(), HASHES[name]), f"h of {name}")


@check("5.1", MUST, "In a login by SASL2 it is the hash of what SASL2 offered.")
async def hash_is_that_of_the_profile_in_use(scene: Scene) -> None:
    client = await start(scene)
    name = _names(mechanisms(client))[0]
    await client.send(request(name, Scram(name, "romeo", "").first()))
    challenge = await outcome(client)
    require_equal(_said(challenge.text), _hash(client, mechanisms(client), HASHES[name]), f"h of {name}")


@check("6", MUST, "The hash is signed: who did not see it as it was sent is refused.")
async def hash_is_signed(scene: Scene) -> None:
    client = scene.client()
    await client.start()
    assert client.account is not None
    name = _names(client.mechanisms())[0]
    exchange = Scram(name, client.account.username, client.account.password)
    first = base64.b64encode(exchange.first()).decode()
    await client.send(f"<auth xmlns='{PREFIXES['sasl']}' mechanism='{name}'>{first}</auth>")
    challenge = await client.expect("sasl:challenge")
    said = _said(challenge.text)
    shortened = base64.b64decode(challenge.text or "").replace(f",h={said}".encode(), b"")
    final = base64.b64encode(exchange.answer(shortened)).decode()
    await client.send(f"<response xmlns='{PREFIXES['sasl']}'>{final}</response>")
    answer = await client.expect("*", where=lambda el: PREFIXES["sasl"] in str(el.tag))
    require(answer.tag == f"{{{PREFIXES['sasl']}}}failure", "a login went through although the hash was taken out")
    require_equal(condition(answer), "not-authorized", "the condition")
