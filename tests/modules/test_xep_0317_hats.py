"""XEP-0317: hats are made, given, shown and thrown away."""

from typing import Any

import pytest

from codec.payloads.data_form import Form
from storage.memory import MemoryBackend
from tests.modules.conftest import MakeWorld
from tests.support.rooms import MODULES, ask, codes, condition, den, enter, messages, presences
from tests.support.world import Client, World
from xmppd.modules import xep_0317_hats
from xmppd.modules.xep_0050_commands import Command

FORMS = "urn:xmpp:hats:commands"
HATS = "urn:xmpp:hats:0 hats"
TEACHER = "urn:example:teacher"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(*MODULES, "xep_0050_commands", "xep_0317_hats")


async def run(client: Client, name: str, **fields: str) -> Any:
    """Submit a command's form, or only start it; return the answer."""
    inner = ""
    if fields:
        inner = "".join(f"<field var='hats#{var}'><value>{value}</value></field>" for var, value in fields.items())
        inner = (
            f"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{FORMS}</value></field>{inner}</x>"
        )
    command = (
        f"<command xmlns='http://jabber.org/protocol/commands' node='{FORMS}:{name}' action='execute'>{inner}</command>"
    )
    return await ask(client, "set", command)


async def test_hat_is_made_given_shown_and_taken_away(world: World) -> None:
    romeo, juliet, mercutio = await den(world)
    await enter(juliet, "Juliet")
    assert (await run(romeo, "create", title="Teacher", uri=TEACHER, hue="120")).get(Command).status == "completed"
    assert codes(messages(await juliet.drain())[0]) == [104]
    await run(romeo, "assign", jid="juliet@example.org", uri=TEACHER)
    hat = presences(await juliet.drain())[-1].element(HATS).elements()[0]
    assert dict(hat.attrs) == {"title": "Teacher", "uri": TEACHER, "hue": "120"}
    came = presences(await enter(mercutio, "Mercutio"))
    assert [stanza.has(HATS) for stanza in came] == [False, True, False]
    await juliet.drain()
    await run(romeo, "unassign", jid="juliet@example.org", uri=TEACHER)
    assert not presences(await juliet.drain())[-1].has(HATS)


async def test_thrown_away_hat_is_worn_by_nobody(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    await run(romeo, "create", title="Teacher", uri=TEACHER)
    await run(romeo, "assign", jid="juliet@example.org", uri=TEACHER)
    await juliet.drain()
    await run(romeo, "destroy", uri=TEACHER)
    assert not presences(await juliet.drain())[-1].has(HATS)
    assert (await run(romeo, "list-assigned")).get(Command).form.items == ()


async def test_command_without_a_form_returns_one(world: World) -> None:
    romeo, _, _ = await den(world)
    await run(romeo, "create", title="Teacher", uri=TEACHER)
    for name in ("create", "destroy", "assign", "unassign"):
        answer = (await run(romeo, name)).get(Command)
        assert answer.status == "executing" and isinstance(answer.form, Form) and answer.form.form_type == FORMS


async def test_lists_tell_hats_and_wearers(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    await run(romeo, "create", title="Teacher", uri=TEACHER)
    await run(romeo, "assign", jid="juliet@example.org", uri=TEACHER)
    assert [row.fields[1].value for row in (await run(juliet, "list")).get(Command).form.items] == [TEACHER]
    assert [row.fields[0].value for row in (await run(romeo, "list-assigned")).get(Command).form.items] == [
        "juliet@example.org"
    ]


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("create", {"title": "x"}, "bad-request"),
        ("create", {"title": "x" * 256, "uri": "urn:x"}, "bad-request"),
        ("create", {"title": "x", "uri": "urn:x", "hue": "red"}, "bad-request"),
        ("create", {"title": "x", "uri": "urn:x", "hue": "361"}, "bad-request"),
        ("assign", {"jid": "a@b.example", "uri": "urn:none"}, "item-not-found"),
        ("assign", {"jid": "@", "uri": TEACHER}, "bad-request"),
        ("assign", {"uri": TEACHER}, "bad-request"),
        ("unassign", {"jid": "a@b.example", "uri": TEACHER}, "item-not-found"),
        ("destroy", {"uri": "urn:none"}, "item-not-found"),
        ("dye", {}, "item-not-found"),
    ],
)
async def test_command_that_cannot_be_done_is_refused(
    world: World, name: str, fields: dict[str, str], expected: str
) -> None:
    romeo, _, _ = await den(world)
    await run(romeo, "create", title="Teacher", uri=TEACHER)
    assert condition(await run(romeo, name, **fields)) == expected


async def test_hats_are_for_admins_to_give(world: World) -> None:
    _, juliet, mercutio = await den(world)
    await enter(juliet, "Juliet")
    assert condition(await run(juliet, "create", title="x", uri="urn:x")) == "forbidden"
    assert condition(await run(mercutio, "list")) == "forbidden"


async def test_hats_are_limited(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    romeo, _, _ = await den(world)
    monkeypatch.setattr(xep_0317_hats, "MAX_HATS", 1)
    monkeypatch.setattr(xep_0317_hats, "MAX_WORN", 0)
    await run(romeo, "create", title="Teacher", uri=TEACHER)
    assert condition(await run(romeo, "create", title="x", uri="urn:x")) == "policy-violation"
    assert condition(await run(romeo, "assign", jid="a@b.example", uri=TEACHER)) == "policy-violation"


async def test_hats_stay_over_a_restart(make_world: MakeWorld) -> None:
    backend = MemoryBackend()
    world = await make_world(*MODULES, "xep_0050_commands", "xep_0317_hats", backend=backend)
    romeo, _, _ = await den(world, persistentroom=True)
    await run(romeo, "create", title="Teacher", uri=TEACHER)
    await run(romeo, "assign", jid="romeo@example.org", uri=TEACHER)
    again = await make_world(*MODULES, "xep_0050_commands", "xep_0317_hats", backend=backend)
    romeo = await again.client("romeo@example.org/orchard", "<presence/>")
    assert presences(await enter(romeo, "Romeo"))[-1].has(HATS)


async def test_room_offers_hats_and_lists_its_commands(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await run(romeo, "create", title="Teacher", uri=TEACHER)
    info = (await ask(juliet, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>")).inner
    assert b"urn:xmpp:hats:0" in info and b"hats#hash" in info
    items = "<query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/>"
    assert len((await ask(romeo, "get", items)).elements()[0].elements()) == 6
    assert len((await ask(juliet, "get", items)).elements()[0].elements()) == 1
