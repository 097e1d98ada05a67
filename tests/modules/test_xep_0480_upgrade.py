"""XEP-0480: SASL Upgrade Tasks."""

import asyncio
import base64
import dataclasses
import hashlib
from typing import Any

import pytest

from codec.element import Element
from compliance.sasl import Scram
from storage.interface import StorageFull
from tests.modules.conftest import MakeWorld
from tests.support.sasl2 import (
    AGENT,
    FAST,
    SASL2,
    account,
    answers,
    authenticate,
    b64,
    ended_with,
    failure_of,
    hashed,
    knock,
    plain,
    success_of,
)
from tests.support.world import Client, World
from xmppd.modules.xep_0480_upgrade import NS, SCRAM_NS
from xmppd.sasl.keys import verify_password

ROMEO = "romeo@example.org"
WISH = f"<upgrade xmlns='{NS}'>UPGR-SCRAM-SHA-256</upgrade>"
NEXT = f"<next xmlns='{SASL2}' task='UPGR-SCRAM-SHA-256'/>"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    world = await make_world("xep_0386_bind2", "xep_0388_sasl2", "xep_0480_upgrade", "xep_0484_fast")
    await account(world, ROMEO)
    await keep_only(world, "SHA-1")
    return world


async def keep_only(world: World, *names: str) -> None:
    """Leave the account with keys for these hashes alone."""
    record = await world.shared.backend.accounts.get(ROMEO)
    keys = {name: record.keys[name] for name in names}
    await world.shared.backend.accounts.replace(dataclasses.replace(record, keys=keys))


async def hashes(world: World) -> list[str]:
    return sorted((await world.shared.backend.accounts.get(ROMEO)).keys)


async def begun(world: World, inner: str = WISH) -> tuple[Client, Element]:
    """Return a client that has logged in by SCRAM-SHA-1, and what came then."""
    client = knock(world)
    exchange = Scram("SCRAM-SHA-1", "romeo", "pencil")
    (challenge,) = await answers(client, authenticate("SCRAM-SHA-1", b64(exchange.first()), inner))
    final = exchange.answer(base64.b64decode(challenge.text))
    found = await answers(client, f"<response xmlns='{SASL2}'>{b64(final)}</response>")
    exchange.verify(base64.b64decode(found[0].find(f"{SASL2} additional-data").text))
    return client, found[0]


def salted(answer: Element, password: str = "pencil", algorithm: str = "sha256") -> str:
    """Return the client's <task-data/> to the server's."""
    salt = answer.find(f"{SCRAM_NS} salt")
    made = hashlib.pbkdf2_hmac(algorithm, password.encode(), base64.b64decode(salt.text), int(salt.get("iterations")))
    return task_data(b64(made))


def task_data(text: str) -> str:
    return f"<task-data xmlns='{SASL2}'><hash xmlns='{SCRAM_NS}'>{text}</hash></task-data>"


async def test_upgrades_are_offered_beside_the_mechanisms(world: World) -> None:
    feature = knock(world).features.find(f"{SASL2} authentication")
    assert [el.text for el in feature.find_all(f"{NS} upgrade")] == ["UPGR-SCRAM-SHA-256", "UPGR-SCRAM-SHA-1"]


async def test_imported_account_gets_keys_for_the_other_hash(world: World) -> None:
    client, asked = await begun(world, WISH + "<bind xmlns='urn:xmpp:bind:0'/>")
    assert asked.tag == f"{SASL2} continue"
    assert [task.text for task in asked.find(f"{SASL2} tasks").elements()] == ["UPGR-SCRAM-SHA-256"]
    assert await hashes(world) == ["SHA-1"] and client.stream.jid is None
    (given,) = await answers(client, NEXT)
    success = success_of(await answers(client, salted(given)))
    assert success.find(f"{SASL2} additional-data") is None  # <continue/> had it
    assert success.find("urn:xmpp:bind:0 bound") is not None and client.stream.resource is not None
    await keep_only(world, "SHA-256")
    assert verify_password(await world.shared.backend.accounts.get(ROMEO), "pencil")
    assert not verify_password(await world.shared.backend.accounts.get(ROMEO), "pen")


async def test_only_what_is_lacking_is_asked_for(world: World) -> None:
    both = WISH + f"<upgrade xmlns='{NS}'>UPGR-SCRAM-SHA-1</upgrade>"
    client, asked = await begun(world, both)
    (given,) = await answers(client, NEXT)
    success_of(await answers(client, salted(given)))  # SHA-1 is there already
    assert asked.name == "continue" and await hashes(world) == ["SHA-1", "SHA-256"]


async def test_account_that_has_all_keys_is_let_in_at_once(world: World) -> None:
    await account(world, ROMEO)
    _, answer = await begun(world)
    assert answer.tag == f"{SASL2} success"


@pytest.mark.parametrize("inner", ["", f"<upgrade xmlns='{NS}'>UPGR-BLOOP</upgrade>", f"<upgrade xmlns='{NS}'/>"])
async def test_client_that_asks_for_nothing_known_is_let_in_at_once(world: World, inner: str) -> None:
    _, answer = await begun(world, inner)
    assert answer.tag == f"{SASL2} success" and await hashes(world) == ["SHA-1"]


async def test_token_does_not_give_the_right_to_make_keys(world: World) -> None:
    _, success = await begun(world, f"<request-token xmlns='{FAST}' mechanism='HT-SHA-256-NONE'/>")
    token = success.find(f"{FAST} token").get("token")
    inner = f"<fast xmlns='{FAST}'/>{WISH}"
    found = await answers(knock(world), authenticate("HT-SHA-256-NONE", hashed(token), inner, AGENT))
    success_of(found)
    assert await hashes(world) == ["SHA-1"]


async def test_tokens_outlive_an_upgrade(world: World) -> None:
    _, success = await begun(world, f"<request-token xmlns='{FAST}' mechanism='HT-SHA-256-NONE'/>")
    token = success.find(f"{FAST} token").get("token")
    client, _ = await begun(world)
    (given,) = await answers(client, NEXT)
    success_of(await answers(client, salted(given)))
    inner = f"<fast xmlns='{FAST}'/>"
    success_of(await answers(knock(world), authenticate("HT-SHA-256-NONE", hashed(token), inner, AGENT)))


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (task_data("!"), "incorrect-encoding"),
        (task_data(""), "malformed-request"),
        (task_data(b64(b"x" * 31)), "malformed-request"),
        (task_data(b64(b"x" * 1000)), "malformed-request"),
        (f"<task-data xmlns='{SASL2}'/>", "malformed-request"),
    ],
)
async def test_what_is_no_salted_password_fails_and_changes_nothing(world: World, data: str, condition: str) -> None:
    client, _ = await begun(world)
    await answers(client, NEXT)
    assert failure_of(await answers(client, data)) == condition
    assert await hashes(world) == ["SHA-1"] and client.stream.jid is None
    success_of(await answers(client, authenticate("PLAIN", plain())))  # the stream is as it was


async def test_task_that_was_not_asked_for_fails(world: World) -> None:
    client, _ = await begun(world)
    assert failure_of(await answers(client, f"<next xmlns='{SASL2}' task='UPGR-SCRAM-SHA-1'/>")) == "malformed-request"


async def test_client_may_give_up(world: World) -> None:
    client, _ = await begun(world)
    assert failure_of(await answers(client, f"<abort xmlns='{SASL2}'/>")) == "aborted"


@pytest.mark.parametrize(
    "early",
    [
        authenticate("PLAIN", plain()),
        task_data(b64(b"x" * 32)),
        "<iq type='get' id='p' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>",
    ],
)
async def test_nothing_else_may_come_in_between(world: World, early: str) -> None:
    client, _ = await begun(world)
    await client.send(early)
    assert ended_with(client) == "policy-violation"
    assert await hashes(world) == ["SHA-1"]


@pytest.mark.parametrize("early", [NEXT, task_data(b64(b"x" * 32))])
async def test_nobody_begins_with_a_task(world: World, early: str) -> None:
    client = knock(world)
    await client.send(early)
    assert ended_with(client) == "policy-violation"


async def test_password_changed_meanwhile_wins(world: World) -> None:
    client, _ = await begun(world)
    (given,) = await answers(client, NEXT)
    await account(world, ROMEO, "another")
    assert failure_of(await answers(client, salted(given))) == "temporary-auth-failure"
    assert not verify_password(await world.shared.backend.accounts.get(ROMEO), "pencil")


async def test_keys_that_cannot_be_kept_fail_the_login(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = await begun(world)
    (given,) = await answers(client, NEXT)

    def full(_: Any) -> Any:
        raise StorageFull("no room")

    monkeypatch.setattr(world.shared.backend.accounts, "replace", full)
    assert failure_of(await answers(client, salted(given))) == "temporary-auth-failure"


async def test_password_in_plain_text_gives_the_keys_by_itself(world: World) -> None:
    success_of(await answers(knock(world), authenticate("PLAIN", plain())))
    await asyncio.gather(*world.tasks)
    assert await hashes(world) == ["SHA-1", "SHA-256"]
    await keep_only(world, "SHA-256")
    assert verify_password(await world.shared.backend.accounts.get(ROMEO), "pencil")
