"""XEP-0494: the commands for one's own clients."""

from typing import Any

import pytest

from codec.jid import JID
from codec.payloads.data_form import Form
from codec.payloads.disco import Items
from tests.modules.conftest import MakeWorld
from tests.support.sasl2 import BIND, FAST, OTHER_AGENT, account, ended_with, login
from tests.support.world import Client, World
from xmppd.modules.xep_0050_commands import Command, CommandsModule
from xmppd.modules.xep_0484_fast import FastModule
from xmppd.modules.xep_0494_commands import END, END_OTHERS, LIST

WISH = f"<request-token xmlns='{FAST}' mechanism='HT-SHA-256-NONE'/>"
MODULES = (
    *("xep_0030_disco", "xep_0050_commands", "xep_0386_bind2"),
    *("xep_0388_sasl2", "xep_0484_fast", "xep_0494_access"),
)


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    world = await make_world(*MODULES)
    await account(world, "romeo@example.org")
    await account(world, "juliet@example.org")
    return world


async def command(client: Client, node: str, session: str = "", form: Form | None = None) -> Any:
    shown = f" sessionid='{session}'" if session else ""
    inner = "" if form is None else form.to_xml("").decode()
    xml = f"<command xmlns='http://jabber.org/protocol/commands' node='{node}'{shown}>{inner}</command>"
    await client.send(f"<iq type='set' id='c' to='example.org'>{xml}</iq>")
    answer = await client.next_stanza()
    return answer.get(Command) if answer.type == "result" else answer


async def others(world: World) -> tuple[Client, Client]:
    """Return a client of Romeo's, and another that has a token."""
    other, _ = await login(world, BIND + WISH, agent=OTHER_AGENT)
    client, _ = await login(world)
    return client, other


async def tokens(world: World) -> int:
    return len(await world.host().modules[FastModule].lifetimes(JID.parse("romeo@example.org")))


async def test_commands_are_offered_to_accounts_of_the_host_alone(world: World) -> None:
    client, _ = await login(world)
    query = "<query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/>"
    await client.send(f"<iq type='get' id='i' to='example.org'>{query}</iq>")
    items = (await client.next_stanza()).get(Items)
    assert [item.node for item in items.items] == [LIST, END, END_OTHERS]


async def test_list_tells_which_one_asks(world: World) -> None:
    client, other = await others(world)
    rows = [{f.var: f.value for f in row.fields} for row in (await command(client, LIST)).form.items]
    assert {(row["this"], row["sessions"]) for row in rows} == {
        ("true", client.jid.resourcepart),
        ("false", other.jid.resourcepart),
    }
    assert {row["access"] for row in rows} == {"password", "password, token"}
    assert all(row["software"] == "Test" and row["address"] == "127.0.0.1" for row in rows)


async def test_chosen_client_loses_session_and_token(world: World) -> None:
    client, other = await others(world)
    asked = await command(client, END)
    (field,) = [field for field in asked.form.fields if field.var == "clients"]
    (mine, his) = sorted(field.options, key=lambda option: "this one" not in option.label)
    assert "connected" in his.label and await tokens(world) == 1
    done = await command(client, END, asked.sessionid, Form.submit(None, {"clients": [his.value]}))
    assert done.status == "completed" and "Sessions ended: 1" in done.notes[0].text
    assert ended_with(other) == "not-authorized" and await tokens(world) == 0
    assert not ended_with(client) and mine.value != his.value


async def test_ending_all_others_leaves_the_one_that_asks(world: World) -> None:
    client, other = await others(world)
    third, _ = await login(world, agent="")
    asked = await command(client, END_OTHERS)
    assert asked.status == "executing" and not ended_with(other)
    await command(client, END_OTHERS, asked.sessionid, Form.submit(None, {}))
    assert ended_with(other) == ended_with(third) == "not-authorized" and await tokens(world) == 0
    assert len((await command(client, LIST)).form.items) == 1


async def test_client_that_is_not_there_cannot_be_chosen(world: World) -> None:
    client, other = await others(world)
    asked = await command(client, END)
    answer = await command(client, END, asked.sessionid, Form.submit(None, {"clients": ["made up"]}))
    assert answer.type == "error" and b"item-not-found" in answer.inner and not ended_with(other)


async def test_account_elsewhere_has_no_such_command(world: World) -> None:
    entries = world.host().modules[CommandsModule]._commands
    for jid in ("romeo@example.net/x", "example.org", "example.org/x"):
        assert not any(entries[node].may_run(JID.parse(jid)) for node in (LIST, END, END_OTHERS))


async def test_whoever_ends_themselves_loses_the_token_and_stays_for_the_answer(world: World) -> None:
    client, _ = await login(world, BIND + WISH)
    asked = await command(client, END)
    (option,) = asked.form.field("clients").options
    done = await command(client, END, asked.sessionid, Form.submit(None, {"clients": [option.value]}))
    assert done.status == "completed" and not ended_with(client) and await tokens(world) == 0
