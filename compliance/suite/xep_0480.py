"""XEP-0480: SASL Upgrade Tasks."""

from __future__ import annotations

import base64
import hashlib

from lxml import etree

from compliance import sasl
from compliance.check import MUST, Failed, NotPossible, checks_of, require, require_equal, require_in
from compliance.client import Client
from compliance.names import PREFIXES, Element, condition, find, find_all, text
from compliance.sasl2 import NS, mechanisms, outcome, request, start
from compliance.scene import Scene

check = checks_of("XEP-0480")
HASHES = {"SHA-1": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}


def _offered(client: Client) -> list[str]:
    assert client.features is not None
    return [(el.text or "").strip() for el in find_all(client.features, "sasl2:authentication/upgrade:upgrade")]


async def _start(scene: Scene) -> Client:
    client = await start(scene)
    if not _offered(client):
        raise NotPossible("no upgrade is offered")
    return client


def _wishes(names: list[str]) -> str:
    return "".join(f"<upgrade xmlns='{PREFIXES['upgrade']}'>{name}</upgrade>" for name in names)


async def _log_in(client: Client, inner: str) -> Element:
    """Log in by SCRAM without channel binding; return <success/> or <continue/>."""
    assert client.account is not None
    name = next((name for name in ("SCRAM-SHA-1", "SCRAM-SHA-256") if name in mechanisms(client)), None)
    if name is None:
        raise NotPossible("neither SCRAM-SHA-1 nor SCRAM-SHA-256 is offered")
    exchange = sasl.Scram(name, client.account.username, client.account.password)
    await client.send(request(name, exchange.first(), inner))
    challenge = await outcome(client)
    reply = exchange.answer(base64.b64decode(challenge.text or ""))
    await client.send(f"<response xmlns='{NS}'>{base64.b64encode(reply).decode()}</response>")
    answer = await outcome(client)
    if etree.QName(answer).localname == "failure":
        raise Failed(f"the login failed: {condition(answer)}")
    exchange.verify(base64.b64decode(text(answer, "sasl2:additional-data") or ""))
    return answer


@check(
    "2.1", MUST, "Upgrades are offered within <authentication/>, by the names of mechanisms without channel binding."
)
async def upgrades_are_offered(scene: Scene) -> None:
    client = await _start(scene)
    require(not any(name.endswith("-PLUS") for name in _offered(client)), f"they are {_offered(client)}")


@check("2.2", MUST, "A client that asks for no upgrade, or for one that nobody knows, is let in as ever.")
async def unknown_upgrade_is_passed_over(scene: Scene) -> None:
    for wishes in ("", _wishes(["UPGR-NOBODY-KNOWS"])):
        client = await _start(scene)
        require_equal(etree.QName(await _log_in(client, wishes)).localname, "success", "the answer")


@check("2.2", MUST, "When an upgrade is due, <continue/> names one task, and the login ends well after it.")
async def upgrade_is_done(scene: Scene) -> None:
    client = await _start(scene)
    assert client.account is not None
    names = [name for name in _offered(client) if name.removeprefix("UPGR-SCRAM-") in HASHES]
    answer, asked = await _log_in(client, _wishes(names)), 0
    while etree.QName(answer).localname == "continue":
        tasks = [(el.text or "").strip() for el in find_all(answer, "sasl2:tasks/sasl2:task")]
        require_equal(len(tasks), 1, "the number of tasks")
        require_in(tasks[0], tuple(names), "the task")
        await client.send(f"<next xmlns='{NS}' task='{tasks[0]}'/>")
        given = find(await outcome(client), "scramupgrade:salt")
        require(given is not None and given.text, "there is no salt")
        assert given is not None
        salt, count = base64.b64decode(given.text or ""), int(given.get("iterations", "0"))
        require(count >= 4096, f"the count is {count}")
        algorithm = HASHES[tasks[0].removeprefix("UPGR-SCRAM-")]
        salted = hashlib.pbkdf2_hmac(algorithm, client.account.password.encode(), salt, count)
        hashed = f"<hash xmlns='{PREFIXES['scramupgrade']}'>{base64.b64encode(salted).decode()}</hash>"
        await client.send(f"<task-data xmlns='{NS}'>{hashed}</task-data>")
        answer, asked = await outcome(client), asked + 1
    require_equal(etree.QName(answer).localname, "success", "the end")
    again = await start(scene)
    require_equal(etree.QName(await _log_in(again, _wishes(names))).localname, "success", "the next login")
    if not asked:
        raise NotPossible("the account has all keys")
