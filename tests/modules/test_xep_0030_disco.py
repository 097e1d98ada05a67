"""XEP-0030: Service Discovery."""

from collections.abc import Sequence

import pytest

from codec.jid import JID
from codec.payloads.data_form import Form
from codec.payloads.disco import Identity, Info, Item, Items
from tests.modules.conftest import MakeWorld
from tests.support.world import Client, World
from xmppd.hooks import AccessEvent, DiscoEvent, DiscoItemsEvent, disco_info, disco_items, presence_access
from xmppd.modules.xep_0030_disco import DiscoModule

INFO_NS = "http://jabber.org/protocol/disco#info"
ITEMS_NS = "http://jabber.org/protocol/disco#items"
ERROR = "<error type='cancel'><{} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world("xep_0030_disco", "xep_0199_ping")


@pytest.fixture
async def romeo(world: World) -> Client:
    return await world.client("romeo@example.org/orchard")


async def ask(client: Client, to: str, ns: str, node: str | None = None) -> object:
    """Ask and return the answer: `Info`, `Items`, or the condition of an error."""
    attribute = f" node='{node}'" if node is not None else ""
    await client.send(f"<iq type='get' id='d1' to='{to}'><query xmlns='{ns}'{attribute}/></iq>")
    answer = await client.next_stanza()
    if answer.type == "error":
        return answer.element("jabber:client error").elements()[0].name
    return answer.get(Info if ns == INFO_NS else Items)


async def test_domain_is_an_im_server_with_the_features_of_its_modules(world: World, romeo: Client) -> None:
    answer = await ask(romeo, "example.org", INFO_NS)
    assert answer == Info(
        identities=(Identity(category="server", type="im", name="xmppd"),),
        features=(INFO_NS, ITEMS_NS, "urn:xmpp:ping"),
    )


async def test_own_account_is_a_registered_account(world: World, romeo: Client) -> None:
    answer = await ask(romeo, "romeo@example.org", INFO_NS)
    assert isinstance(answer, Info)
    assert answer.identities == (Identity(category="account", type="registered"),)
    assert answer.features == (INFO_NS, ITEMS_NS, "urn:xmpp:ping")


async def test_request_without_to_is_for_the_own_account(world: World, romeo: Client) -> None:
    await romeo.send(f"<iq type='get' id='d1'><query xmlns='{INFO_NS}'/></iq>")
    answer = await romeo.next_stanza()
    assert answer.from_ is None
    assert answer.get(Info).identities == (Identity(category="account", type="registered"),)


@pytest.mark.parametrize("ns", [INFO_NS, ITEMS_NS])
async def test_stranger_cannot_tell_an_account_from_none(world: World, romeo: Client, ns: str) -> None:
    await world.account("juliet@example.org")
    assert await ask(romeo, "juliet@example.org", ns) == "service-unavailable"
    assert await ask(romeo, "nobody@example.org", ns) == "service-unavailable"


async def test_who_sees_the_presence_of_an_account_may_ask(world: World, romeo: Client) -> None:
    await world.account("juliet@example.org")

    def allow(event: AccessEvent) -> None:
        event.is_allowed = event.account.jid == "juliet@example.org" and event.asker.bare == "romeo@example.org"

    world.host().handlers[presence_access] = (allow,)
    assert isinstance(await ask(romeo, "juliet@example.org", INFO_NS), Info)
    assert await ask(romeo, "juliet@example.org", ITEMS_NS) == Items()
    tybalt = await world.client("tybalt@example.org/x")
    assert await ask(tybalt, "juliet@example.org", INFO_NS) == "service-unavailable"


async def test_hooks_add_features_and_forms_and_each_feature_is_listed_once(world: World, romeo: Client) -> None:
    form = Form.result("urn:example:form", {"a": "b"})

    def add(event: DiscoEvent) -> None:
        assert (event.account, event.asker) == (None, romeo.jid)
        event.features += ["urn:xmpp:ping", "a"]
        event.forms.append(form)

    world.host().handlers[disco_info] = (add,)
    answer = await ask(romeo, "example.org", INFO_NS)
    assert isinstance(answer, Info)
    assert answer.features == ("a", INFO_NS, ITEMS_NS, "urn:xmpp:ping")
    assert answer.forms == (form,)


@pytest.mark.parametrize("ns", [INFO_NS, ITEMS_NS])
async def test_node_that_nobody_knows_is_not_found(world: World, romeo: Client, ns: str) -> None:
    assert await ask(romeo, "example.org", ns, "what") == "item-not-found"


async def test_node_is_described_by_who_knows_it(world: World, romeo: Client) -> None:
    identity = Identity(category="automation", type="command-node")

    def add(event: DiscoEvent) -> None:
        if event.node == "mine":
            event.identities.append(identity)
        elif event.node == "secret":
            event.error = "forbidden"

    world.host().handlers[disco_info] = (add,)
    assert await ask(romeo, "example.org", INFO_NS, "mine") == Info(node="mine", identities=(identity,))
    assert await ask(romeo, "example.org", INFO_NS, "secret") == "forbidden"


async def test_items_come_from_hooks(world: World, romeo: Client) -> None:
    item = Item(jid=JID.parse("conference.example.org"), name="Rooms")

    async def add(event: DiscoItemsEvent) -> None:
        if event.node is None:
            event.items.append(item)
        elif event.node == "empty":
            event.is_known = True

    assert await ask(romeo, "example.org", ITEMS_NS) == Items()
    world.host().handlers[disco_items] = (add,)
    assert await ask(romeo, "example.org", ITEMS_NS) == Items(items=(item,))
    assert await ask(romeo, "example.org", ITEMS_NS, "empty") == Items(node="empty")


async def test_info_is_also_for_other_modules(world: World) -> None:
    info = world.host().module(DiscoModule).info()
    features: Sequence[str] = info.features
    assert "urn:xmpp:ping" in features
