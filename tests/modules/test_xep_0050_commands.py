"""XEP-0050: Ad-Hoc Commands."""

from typing import Any

import pytest

from codec.jid import JID
from codec.payloads.data_form import Field, Form
from codec.payloads.disco import Info, Items
from tests.modules.conftest import MakeWorld
from tests.support.world import Client, World
from xmppd.errors import StanzaError
from xmppd.modules import xep_0050_commands
from xmppd.modules.xep_0050_commands import SESSION_S, Command, CommandsModule, Note

NS = "http://jabber.org/protocol/commands"
ASK = Form(type="form", title="Name?", fields=(Field(var="name", label="Your name", required=True), Field(var="age")))
RESULT = Form.result(None, {"answer": "42"})


class Commands:
    """Some commands; `calls` are the forms that they got."""

    def __init__(self) -> None:
        self.calls: list[tuple[JID, Form | None]] = []

    async def note(self, asker: JID, form: Form | None) -> str:
        self.calls.append((asker, form))
        return "Done."

    async def silent(self, asker: JID, form: Form | None) -> None:
        """Complete without a word."""

    async def result(self, asker: JID, form: Form | None) -> Form:
        return RESULT

    async def ask(self, asker: JID, form: Form | None) -> Form | str:
        self.calls.append((asker, form))
        if form is None:
            return ASK
        if form.value("name") == "nobody":
            raise StanzaError("conflict")
        form.integer("age", 0, 150)
        return ASK if form.value("name") == "again" else f"Hello {form.value('name')}"


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
async def world(make_world: MakeWorld, commands: Commands) -> World:
    world = await make_world("xep_0030_disco", "xep_0050_commands")
    module = world.host().module(CommandsModule)
    for name in ("note", "silent", "result", "ask"):
        module.add(name, name.title(), lambda jid: jid.localpart == "romeo", getattr(commands, name))
    return world


@pytest.fixture
async def romeo(world: World) -> Client:
    return await world.client("romeo@example.org/orchard")


async def run(client: Client, node: str, *, form: Form | None = None, **attributes: str) -> Any:
    """Send a step; return the `Command` that comes back, or "condition" or "condition app-condition" of the error."""
    written = "".join(f" {name}='{value}'" for name, value in attributes.items())
    inner = "" if form is None else form.to_xml().decode()
    await client.send(
        f"<iq type='set' id='c' to='example.org'><command xmlns='{NS}' node='{node}'{written}>{inner}</command></iq>"
    )
    answer = await client.next_stanza()
    if answer.type == "error":
        parts = answer.element("jabber:client error").elements()
        return " ".join(part.name for part in parts if part.name != "text")
    return answer.get(Command)


def submit(**values: str) -> Form:
    return Form.submit(None, values)


async def start(client: Client) -> str:
    """Start the command that asks, and return its session."""
    command = await run(client, "ask")
    assert command.status == "executing"
    return str(command.sessionid)


async def test_command_without_a_form_completes_at_once_with_a_note(romeo: Client, commands: Commands) -> None:
    command = await run(romeo, "note", action="execute")
    assert (command.node, command.status, command.notes) == ("note", "completed", (Note(text="Done."),))
    assert command.sessionid
    assert commands.calls == [(romeo.jid, None)]


async def test_command_may_complete_with_results_or_without_a_word(romeo: Client) -> None:
    assert (await run(romeo, "result")).form == RESULT
    silent = await run(romeo, "silent")
    assert (silent.status, silent.notes, silent.form) == ("completed", (), None)


async def test_command_that_asks_goes_on_with_the_submitted_form(romeo: Client, commands: Commands) -> None:
    asked = await run(romeo, "ask")
    assert (asked.status, asked.form) == ("executing", ASK)
    assert (asked.actions.execute, asked.actions.complete, asked.actions.prev) == ("complete", True, False)
    done = await run(romeo, "ask", sessionid=asked.sessionid, form=submit(name="Romeo"))
    assert (done.status, done.sessionid, done.notes) == ("completed", asked.sessionid, (Note(text="Hello Romeo"),))
    assert commands.calls[1] == (romeo.jid, submit(name="Romeo"))


async def test_command_may_ask_again_in_the_same_session(romeo: Client) -> None:
    session = await start(romeo)
    again = await run(romeo, "ask", sessionid=session, form=submit(name="again"), action="next")
    assert (again.status, again.sessionid) == ("executing", session)
    done = await run(romeo, "ask", sessionid=session, form=submit(name="Romeo"), action="complete")
    assert done.status == "completed"


async def test_completed_session_is_over(romeo: Client) -> None:
    session = await start(romeo)
    await run(romeo, "ask", sessionid=session, form=submit(name="Romeo"))
    assert await run(romeo, "ask", sessionid=session, form=submit(name="Romeo")) == "bad-request bad-sessionid"


async def test_cancelled_session_is_over(romeo: Client, commands: Commands) -> None:
    session = await start(romeo)
    command = await run(romeo, "ask", sessionid=session, action="cancel")
    assert (command.status, command.sessionid) == ("canceled", session)
    assert await run(romeo, "ask", sessionid=session, action="cancel") == "bad-request bad-sessionid"
    assert len(commands.calls) == 1


async def test_form_left_lying_too_long_expires(world: World, romeo: Client) -> None:
    session = await start(romeo)
    world.clock.advance(SESSION_S)
    assert await run(romeo, "ask", sessionid=session, form=submit(name="x")) == "not-allowed session-expired"
    assert await run(romeo, "ask", sessionid=session, form=submit(name="x")) == "bad-request bad-sessionid"


@pytest.mark.parametrize("form", [None, submit(age="3"), submit(name=""), Form(type="result")])
async def test_form_without_what_is_required_is_refused_and_may_be_corrected(
    romeo: Client, commands: Commands, form: Form | None
) -> None:
    session = await start(romeo)
    assert await run(romeo, "ask", sessionid=session, form=form) == "bad-request bad-payload"
    assert len(commands.calls) == 1
    assert (await run(romeo, "ask", sessionid=session, form=submit(name="Romeo"))).status == "completed"


@pytest.mark.parametrize(
    ("form", "error"), [(submit(name="nobody"), "conflict"), (submit(name="Romeo", age="old"), "bad-request")]
)
async def test_form_that_cannot_be_done_may_be_corrected(romeo: Client, form: Form, error: str) -> None:
    session = await start(romeo)
    assert await run(romeo, "ask", sessionid=session, form=form) == error
    assert (await run(romeo, "ask", sessionid=session, form=submit(name="Romeo"))).status == "completed"


async def test_session_is_of_no_use_to_another_client_or_command(world: World, romeo: Client) -> None:
    session = await start(romeo)
    garden = await world.client("romeo@example.org/garden")
    assert await run(garden, "ask", sessionid=session, form=submit(name="x")) == "bad-request bad-sessionid"
    assert await run(romeo, "note", sessionid=session) == "bad-request bad-sessionid"
    assert (await run(romeo, "ask", sessionid=session, form=submit(name="x"))).status == "completed"


async def test_actions_that_there_are_not_are_refused(romeo: Client) -> None:
    assert await run(romeo, "ask", action="dance") == "bad-request malformed-action"
    assert await run(romeo, "ask", action="cancel") == "bad-request bad-action"
    session = await start(romeo)
    assert await run(romeo, "ask", sessionid=session, action="prev") == "bad-request bad-action"


async def test_unknown_command_is_not_found(romeo: Client) -> None:
    assert await run(romeo, "what") == "item-not-found"


async def test_who_may_not_run_a_command_is_forbidden_it(world: World, commands: Commands) -> None:
    juliet = await world.client("juliet@example.org/balcony")
    assert await run(juliet, "note") == "forbidden"
    assert commands.calls == []


async def test_oldest_form_of_an_asker_with_too_many_is_forgotten(
    world: World, romeo: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xep_0050_commands, "MAX_SESSIONS_PER_ASKER", 2)
    first, second, third = [await start(romeo) for _ in range(3)]
    assert await run(romeo, "ask", sessionid=first, form=submit(name="x")) == "bad-request bad-sessionid"
    for session in (second, third):
        assert (await run(romeo, "ask", sessionid=session, form=submit(name="x"))).status == "completed"


async def test_oldest_form_of_all_is_forgotten_when_there_are_too_many(
    world: World, romeo: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xep_0050_commands, "MAX_SESSIONS", 1)
    first, second = [await start(romeo) for _ in range(2)]
    assert await run(romeo, "ask", sessionid=first, form=submit(name="x")) == "bad-request bad-sessionid"
    assert (await run(romeo, "ask", sessionid=second, form=submit(name="x"))).status == "completed"


async def ask(client: Client, what: str, node: str) -> Any:
    await client.send(
        f"<iq type='get' id='d' to='example.org'><query xmlns='http://jabber.org/protocol/disco#{what}' node='{node}'/></iq>"
    )
    answer = await client.next_stanza()
    if answer.type == "error":
        return answer.element("jabber:client error").elements()[0].name
    return answer.get(Info if what == "info" else Items)


async def test_list_has_the_commands_that_the_asker_may_run(world: World, romeo: Client) -> None:
    juliet = await world.client("juliet@example.org/balcony")
    listed = await ask(romeo, "items", NS)
    assert [(item.jid, item.node, item.name) for item in listed.items][:2] == [
        ("example.org", "note", "Note"),
        ("example.org", "silent", "Silent"),
    ]
    assert (await ask(juliet, "items", NS)).items == ()


async def test_list_and_commands_describe_themselves(world: World, romeo: Client) -> None:
    whole = await ask(romeo, "info", NS)
    assert [(one.category, one.type) for one in whole.identities] == [("automation", "command-list")]
    one = await ask(romeo, "info", "ask")
    assert [(found.category, found.type, found.name) for found in one.identities] == [
        ("automation", "command-node", "Ask")
    ]
    assert one.features == (NS, "jabber:x:data")


async def test_command_is_not_described_to_who_may_not_run_it(world: World) -> None:
    juliet = await world.client("juliet@example.org/balcony")
    assert await ask(juliet, "info", "ask") == "forbidden"


async def test_account_has_no_commands(romeo: Client) -> None:
    await romeo.send(f"<iq type='get' id='d'><query xmlns='http://jabber.org/protocol/disco#info' node='{NS}'/></iq>")
    assert (await romeo.next_stanza()).type == "error"


def test_two_commands_of_one_name_are_a_mistake_in_the_program(world: World, commands: Commands) -> None:
    with pytest.raises(ValueError, match="two commands"):
        world.host().module(CommandsModule).add("note", "Note", lambda _: True, commands.note)


async def test_domain_and_other_nodes_list_no_commands(romeo: Client) -> None:
    await romeo.send(
        "<iq type='get' id='d' to='example.org'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>"
    )
    assert (await romeo.next_stanza()).get(Items).items == ()
    assert await ask(romeo, "info", "what") == "item-not-found"
