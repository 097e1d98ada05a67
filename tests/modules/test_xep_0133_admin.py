"""XEP-0133: Service Administration."""

from typing import Any

import pytest

from codec.element import Element
from codec.payloads.data_form import Form, Values
from codec.payloads.disco import Items
from storage.interface import AccountRecord
from tests.modules.conftest import MakeWorld
from tests.support.world import Client, World
from xmppd.hooks import presence_sent
from xmppd.modules import xep_0133_admin
from xmppd.modules.xep_0050_commands import NS as COMMANDS_NS
from xmppd.modules.xep_0050_commands import Command
from xmppd.sasl.keys import verify_password

NS = "http://jabber.org/protocol/admin"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    world = await make_world(
        "xep_0030_disco",
        "xep_0050_commands",
        "xep_0133_admin",
        settings={"admin.jids": ["bard@example.org"], "scram.iterations": 4096},
        domains=("example.org", "example.net"),
    )

    def become_available(event: Any) -> None:
        event.resource.presence = event.presence

    world.host().handlers[presence_sent] = (become_available,)
    return world


@pytest.fixture
async def bard(world: World) -> Client:
    return await world.client("bard@example.org/globe")


async def step(client: Client, name: str, session: str | None = None, form: Form | None = None) -> Any:
    command = Command(node=f"{NS}#{name}", sessionid=session, form=form).to_xml().decode()
    await client.send(f"<iq type='set' id='c' to='example.org'>{command}</iq>")
    answer = await client.next_stanza()
    if answer.type == "error":
        return answer.element("jabber:client error").elements()[0].name
    return answer.get(Command)


async def run(client: Client, name: str, **values: Values) -> Any:
    """Run a command that asks for a form; return the `Command` that completes it, or the condition of the error."""
    asked = await step(client, name)
    assert asked.status == "executing" and asked.form.form_type == NS
    fields = {name.replace("_verify", "-verify"): value for name, value in values.items()}
    assert set(fields) <= {field.var for field in asked.form.fields}
    answer = await step(client, name, asked.sessionid, Form.submit(NS, fields))
    assert isinstance(answer, str) or answer.status == "completed"
    return answer


async def record(world: World, jid: str) -> AccountRecord | None:
    return await world.shared.backend.accounts.get(jid)


async def test_administrators_see_the_commands_and_others_do_not(world: World, bard: Client) -> None:
    iago = await world.client("iago@example.org/x")
    query = f"<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS_NS}'/>"
    for client, seen in ((bard, True), (iago, False)):
        await client.send(f"<iq type='get' id='d' to='example.org'>{query}</iq>")
        nodes = [item.node for item in (await client.next_stanza()).get(Items).items]
        assert (f"{NS}#add-user" in nodes) is seen


@pytest.mark.parametrize("jid", ["iago@example.org/x", "bard@example.net/globe"])
async def test_others_are_forbidden_every_command(world: World, jid: str) -> None:
    other = await world.client(jid)
    for name in ("add-user", "delete-user", "announce", "get-registered-users-num"):
        assert await step(other, name) == "forbidden"


async def test_user_is_added(world: World, bard: Client) -> None:
    added = await run(bard, "add-user", accountjid="juliet@example.org", password="pw", password_verify="pw")
    assert added.notes[0].type == "info"
    made = await record(world, "juliet@example.org")
    assert made is not None and verify_password(made, "pw")


@pytest.mark.parametrize(
    ("jid", "again", "error"),
    [
        ("juliet@example.org", "other", "not-acceptable"),
        ("juliet@example.net", "pw", "not-acceptable"),
        ("juliet@example.org/balcony", "pw", "not-acceptable"),
        ("example.org", "pw", "not-acceptable"),
        ("@", "pw", "not-acceptable"),
        ("bard@example.org", "pw", "conflict"),
    ],
)
async def test_user_that_cannot_be_is_not_added(world: World, bard: Client, jid: str, again: str, error: str) -> None:
    assert await run(bard, "add-user", accountjid=jid, password="pw", password_verify=again) == error
    assert await record(world, "juliet@example.org") is None


async def test_users_are_deleted_with_their_sessions(world: World, bard: Client) -> None:
    juliet = await world.client("juliet@example.org/balcony")
    await world.account("nurse@example.org")
    await run(bard, "delete-user", accountjids=["juliet@example.org", "nurse@example.org"])
    assert juliet.connection.is_closing
    assert await record(world, "juliet@example.org") is None
    assert await record(world, "nurse@example.org") is None


async def test_of_several_users_none_is_deleted_when_one_does_not_exist(world: World, bard: Client) -> None:
    await world.account("nurse@example.org")
    wanted = ["nurse@example.org", "nobody@example.org"]
    assert await run(bard, "delete-user", accountjids=wanted) == "item-not-found"
    assert await record(world, "nurse@example.org") is not None


async def test_user_is_disabled_and_enabled_again(world: World, bard: Client) -> None:
    juliet = await world.client("juliet@example.org/balcony")
    await run(bard, "disable-user", accountjids=["juliet@example.org"])
    disabled = await record(world, "juliet@example.org")
    assert disabled is not None and disabled.disabled
    assert juliet.connection.is_closing
    await run(bard, "reenable-user", accountjids=["juliet@example.org"])
    enabled = await record(world, "juliet@example.org")
    assert enabled is not None and not enabled.disabled


async def test_another_password_ends_the_sessions_of_the_old_one(world: World, bard: Client) -> None:
    juliet = await world.client("juliet@example.org/balcony")
    await run(bard, "change-user-password", accountjid="juliet@example.org", password="new")
    changed = await record(world, "juliet@example.org")
    assert changed is not None and verify_password(changed, "new")
    assert juliet.connection.is_closing
    nobody = await run(bard, "change-user-password", accountjid="nobody@example.org", password="new")
    assert nobody == "item-not-found"


async def test_sessions_end_one_by_one_or_all_of_an_account(world: World, bard: Client) -> None:
    clients = [await world.client(f"juliet@example.org/{name}") for name in "abc"]
    done = await run(bard, "end-user-session", accountjids=["juliet@example.org/b"])
    assert done.notes[0].text == "Sessions ended: 1."
    assert [client.connection.is_closing for client in clients] == [False, True, False]
    error = await clients[1].next()
    assert isinstance(error, Element) and error.elements()[0].name == "policy-violation"
    await run(bard, "end-user-session", accountjids=["juliet@example.org"])
    assert all(client.connection.is_closing for client in clients)
    assert await run(bard, "end-user-session", accountjids=["juliet@example.net"]) == "not-acceptable"
    assert await run(bard, "end-user-session", accountjids=["@"]) == "not-acceptable"


async def test_statistics_name_addresses_and_resources(world: World, bard: Client) -> None:
    await world.client("juliet@example.org/balcony")
    await world.client("juliet@example.org/chamber")
    await world.account("nurse@example.org")
    form = (await run(bard, "user-stats", accountjid="juliet@example.org")).form
    assert form.values("ipaddresses") == ("127.0.0.1",)
    assert form.values("onlineresources") == ("balcony", "chamber")
    assert (await run(bard, "user-stats", accountjid="nurse@example.org")).form.values("onlineresources") == ()
    assert await run(bard, "user-stats", accountjid="nobody@example.org") == "item-not-found"


async def test_registered_and_online_users_are_counted(world: World, bard: Client) -> None:
    await world.client("juliet@example.org/balcony", "<presence/>")
    await world.client("nurse@example.org/hall")
    await world.account("juliet@example.net")
    assert (await step(bard, "get-registered-users-num")).form.value("registeredusersnum") == "3"
    assert (await step(bard, "get-online-users-num")).form.value("onlineusersnum") == "1"


async def test_registered_users_are_listed_up_to_the_number_asked_for(
    world: World, bard: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xep_0133_admin, "PAGE", 2)
    for name in "cdae":
        await world.account(f"{name}@example.org")
    everybody = tuple(f"{name}@example.org" for name in ("a", "bard", "c", "d", "e"))
    for wanted, count in (("none", 5), ("25", 5), ("3", 3)):
        form = (await run(bard, "get-registered-users-list", max_items=wanted)).form
        assert form.values("registereduserjids") == everybody[:count]
    assert (await run(bard, "get-registered-users-list")).form.values("registereduserjids") == everybody
    assert await run(bard, "get-registered-users-list", max_items="many") == "bad-request"


async def test_online_users_are_those_with_an_available_resource(world: World, bard: Client) -> None:
    await world.client("nurse@example.org/hall", "<presence/>")
    await world.client("juliet@example.org/a", "<presence/>")
    await world.client("juliet@example.org/b", "<presence/>")
    await world.client("romeo@example.org/orchard")
    form = (await run(bard, "get-online-users-list", max_items="none")).form
    assert form.values("onlineuserjids") == ("juliet@example.org", "nurse@example.org")


async def test_announcement_reaches_every_available_resource(world: World, bard: Client) -> None:
    juliet = await world.client("juliet@example.org/balcony", "<presence/>")
    romeo = await world.client("romeo@example.org/orchard")
    done = await run(bard, "announce", announcement=["Down for an hour", "from noon & on."])
    assert done.notes[0].text == "Clients reached: 1."
    await juliet.expect(
        "<message from='example.org' to='{juliet}' type='headline'><body>Down for an hour\nfrom noon &amp; on.</body></message>"
    )
    await romeo.expect_nothing()
