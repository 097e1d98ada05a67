import pytest

from compliance.check import Failed
from compliance.commands import ADMIN, execute, fill_in, listed
from tests.compliance.fake_server import FakeServer

NODE = f"{ADMIN}#add-user"
COMMAND = "{http://jabber.org/protocol/commands}command"
FORM = "<x xmlns='jabber:x:data' type='form'><field var='accountjid'/><field var='a'><value>1</value></field></x>"


def reply(stanza, status: str, inner: str = "") -> str:
    return (
        f"<iq type='result' id='{stanza.get('id')}'><command xmlns='http://jabber.org/protocol/commands' "
        f"node='{NODE}' sessionid='s1' status='{status}'>{inner}</command></iq>"
    )


def two_stages(stanza):
    if not len(stanza) or stanza[0].tag != COMMAND:
        return None
    if stanza[0].get("sessionid") == "s1" and stanza[0].get("action") == "complete":
        return reply(stanza, "completed")
    return reply(stanza, "executing", FORM)


async def logged_in(server):
    client = server.client()
    await client.login()
    return client


async def test_a_command_gives_its_stage_and_form():
    async with FakeServer(two_stages) as server:
        stage = await execute(await logged_in(server), NODE)
    assert (stage.node, stage.session, stage.status) == (NODE, "s1", "executing")
    assert stage.fields == {"accountjid": [], "a": ["1"]}


async def test_a_form_is_filled_in_within_its_session():
    async with FakeServer(two_stages) as server:
        stage = await fill_in(await logged_in(server), NODE, {"accountjid": ["a&b"]})
        assert stage.status == "completed"
        assert any('<field var="accountjid"><value>a&amp;b</value></field>' in text for text in server.received)


async def test_a_refused_command_fails():
    async with FakeServer() as server:
        with pytest.raises(Failed, match="service-unavailable"):
            await execute(await logged_in(server), NODE)


async def test_a_command_that_reports_an_error_fails():
    note = "<note type='error'>no such account</note>"
    async with FakeServer(lambda s: reply(s, "completed", note) if len(s) and s[0].tag == COMMAND else None) as server:
        with pytest.raises(Failed, match="no such account"):
            await execute(await logged_in(server), NODE)


async def test_commands_are_listed_by_node():
    items = (
        "<query xmlns='http://jabber.org/protocol/disco#items' node='x'><item jid='a' node='n1'/>"
        "<item jid='a' node='n2'/></query>"
    )

    def answer(stanza):
        if len(stanza) and stanza[0].tag.endswith("disco#items}query"):
            return f"<iq type='result' id='{stanza.get('id')}'>{items}</iq>"
        return None

    async with FakeServer(answer) as server:
        assert await listed(await logged_in(server)) == ["n1", "n2"]
