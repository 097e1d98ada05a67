"""XEP-0060: Publish-Subscribe, at accounts."""

import pytest

from codec.jid import JID
from codec.payloads.pubsub import NS, NS_NODE_CONFIG, NS_OWNER, NS_PUBLISH_OPTIONS
from storage.interface import Commit, StorageFull
from storage.memory import MemoryBackend
from tests.modules.conftest import MakeWorld
from tests.support.pep import (
    MODULES,
    answer_of,
    ask,
    befriend,
    configure,
    form,
    items,
    own,
    payload,
    payloads,
    problem,
    publish,
    told,
)
from tests.support.world import Client, World
from xmppd.modules.xep_0060_pubsub import PubSubModule
from xmppd.pubsub.limits import PUBLISH_BURST
from xmppd.pubsub.store import Nodes

ROMEO, JULIET = "romeo@example.org", "juliet@example.org"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    world = await make_world(*MODULES)
    await befriend(world, ROMEO, JULIET)
    return world


@pytest.fixture
async def romeo(world: World) -> Client:
    return await world.client(f"{ROMEO}/orchard")


@pytest.fixture
async def juliet(world: World) -> Client:
    return await world.client(f"{JULIET}/balcony")


@pytest.fixture
async def tybalt(world: World) -> Client:
    return await world.client("tybalt@example.org/hall")


async def fill(client: Client, node: str, count: int, **options: str) -> None:
    for number in range(count):
        assert await publish(client, node, payload(str(number)), f"i{number}", max_items="max", **options) == ""


# items


async def test_item_that_was_published_comes_back(romeo: Client) -> None:
    assert await publish(romeo, "n", payload("one"), "a") == ""
    assert await payloads(romeo, "n") == [payload("one")]
    assert await items(romeo, "n", to=ROMEO) == ["a"]


async def test_publisher_is_told_the_id_that_an_item_got(romeo: Client) -> None:
    answer = await ask(romeo, f"<publish node='n'><item>{payload()}</item></publish>")
    publish_ = answer.element(f"{NS} pubsub").find(f"{NS} publish")
    (item,) = publish_.elements()
    assert publish_.get("node") == "n" and len(item.get("id")) >= 16
    assert await items(romeo, "n") == [item.get("id")]


async def test_items_come_newest_first_by_number_by_id_and_by_page(romeo: Client) -> None:
    await fill(romeo, "n", 5)
    assert await items(romeo, "n") == ["i4", "i3", "i2", "i1", "i0"]
    assert await items(romeo, "n", max_items="2") == ["i4", "i3"]
    assert await items(romeo, "n", inner="<item id='i1'/><item id='i3'/><item id='none'/>") == ["i1", "i3"]
    assert await items(romeo, "n", inner="<item id='none'/>") == "item-not-found"
    page = "<set xmlns='http://jabber.org/protocol/rsm'><max>2</max><after>i3</after></set>"
    assert await items(romeo, "n", more=page) == ["i2", "i1"]


async def test_item_that_is_published_again_is_the_newest(romeo: Client) -> None:
    await fill(romeo, "n", 3)
    await publish(romeo, "n", payload("again"), "i0")
    assert await items(romeo, "n") == ["i0", "i2", "i1"]


async def test_items_of_another_account_are_asked_for_there(romeo: Client, juliet: Client) -> None:
    await publish(romeo, "n", payload("his"), "a")
    assert await payloads(juliet, "n", to=ROMEO) == [payload("his")]
    assert await items(juliet, "n") == "item-not-found"


async def test_nobody_has_nodes(romeo: Client) -> None:
    assert await items(romeo, "n", to="nobody@example.org") == "service-unavailable"


async def test_payload_comes_back_as_it_was_whatever_is_in_it(romeo: Client) -> None:
    xml = "<a xmlns='urn:a' b='&lt;&amp;&apos;' xml:lang='it'>x&amp;<c xmlns='jabber:client'/><d xmlns=''>è</d> y</a>"
    await publish(romeo, "n", xml)
    assert await payloads(romeo, "n") == [xml]


async def test_names_of_nodes_and_items_may_hold_anything(romeo: Client) -> None:
    await publish(romeo, "a b/è&amp;&#10;", payload(), "1 x&lt;y")
    assert await items(romeo, "a b/è&amp;&#10;") == ["1 x<y"]


async def test_retracted_item_is_gone(romeo: Client) -> None:
    await fill(romeo, "n", 2)
    assert problem(await ask(romeo, "<retract node='n'><item id='i0'/></retract>")) == ""
    assert await items(romeo, "n") == ["i1"]
    assert problem(await ask(romeo, "<retract node='n'><item id='i0'/></retract>")) == "item-not-found"
    assert problem(await ask(romeo, "<retract node='n'/>")) == "bad-request/item-required"


async def test_item_of_1_mb_is_too_big_and_disturbs_nobody(make_world: MakeWorld) -> None:
    world = await make_world(*MODULES, settings={"limits.stanza_bytes": 3_000_000})
    romeo = await world.client(f"{ROMEO}/orchard")
    big = payload("x" * 1_000_000)
    assert await publish(romeo, "n", big) == "not-acceptable/payload-too-big"
    assert await items(romeo, "n") == "item-not-found"
    assert await publish(romeo, "n", payload("x" * 190_000)) == ""


async def test_flood_is_stopped_for_that_account_alone(world: World, romeo: Client, juliet: Client) -> None:
    place = await world.host().module(PubSubModule).place(world.host().accounts[JID(ROMEO)])
    place.nodes.allowance.left = 3.0
    found = [await publish(romeo, "n", payload()) for _ in range(5)]
    assert found == ["", "", "", "resource-constraint", "resource-constraint"]
    assert await publish(juliet, "n", payload()) == ""
    world.clock.advance(1)
    assert await publish(romeo, "n", payload()) == ""
    assert PUBLISH_BURST > 100


# who may


async def test_stranger_reads_what_is_open_and_nothing_else(romeo: Client, tybalt: Client) -> None:
    await publish(romeo, "open", payload(), "a", access_model="open")
    await publish(romeo, "presence", payload(), "a")
    await publish(romeo, "whitelist", payload(), "a", access_model="whitelist")
    await publish(romeo, "roster", payload(), "a", access_model="roster", roster_groups_allowed="Friends")
    await publish(romeo, "authorize", payload(), "a", access_model="authorize")
    assert await items(tybalt, "open", to=ROMEO) == ["a"]
    assert await items(tybalt, "presence", to=ROMEO) == "not-authorized/presence-subscription-required"
    assert await items(tybalt, "whitelist", to=ROMEO) == "not-allowed/closed-node"
    assert await items(tybalt, "roster", to=ROMEO) == "not-authorized/not-in-roster-group"
    assert await items(tybalt, "authorize", to=ROMEO) == "not-authorized/not-subscribed"


async def test_contact_of_the_right_group_reads_a_roster_node(romeo: Client, juliet: Client) -> None:
    await publish(romeo, "n", payload(), "a", access_model="roster", roster_groups_allowed="Friends")
    assert await items(juliet, "n", to=ROMEO) == "not-authorized/not-in-roster-group"
    item = f"<item jid='{JULIET}'><group>Friends</group></item>"
    await romeo.send(f"<iq type='set' id='r'><query xmlns='jabber:iq:roster'>{item}</query></iq>")
    assert await items(juliet, "n", to=ROMEO) == ["a"]


async def test_contact_whose_subscription_ends_reads_no_more(romeo: Client, juliet: Client) -> None:
    await publish(romeo, "n", payload(), "a")
    assert await items(juliet, "n", to=ROMEO) == ["a"]
    await romeo.send(f"<presence to='{JULIET}' type='unsubscribed'/>")
    assert await items(juliet, "n", to=ROMEO) == "not-authorized/presence-subscription-required"


@pytest.mark.parametrize(
    "inner",
    [
        "<publish node='n'><item id='a'><p xmlns='urn:p'/></item></publish>",
        "<retract node='n'><item id='a'/></retract>",
        "<create node='m'/>",
    ],
)
async def test_nobody_else_changes_items_and_nodes(romeo: Client, juliet: Client, inner: str) -> None:
    await publish(romeo, "n", payload("his"), "a", access_model="open")
    assert problem(await ask(juliet, inner, to=ROMEO)) == "forbidden"
    assert await payloads(romeo, "n") == [payload("his")]


@pytest.mark.parametrize(
    ("type_", "part"), [("get", "configure"), ("set", "configure"), ("set", "delete"), ("set", "purge")]
)
@pytest.mark.parametrize("node", ["n", "none"])
async def test_nobody_else_is_the_owner(romeo: Client, juliet: Client, type_: str, part: str, node: str) -> None:
    await publish(romeo, "n", payload(), "a", access_model="open")
    submitted = form(NS_NODE_CONFIG, access_model="open") if part == "configure" and type_ == "set" else ""
    inner = f"<{part} node='{node}'>{submitted}</{part}>"
    assert problem(await own(juliet, inner, type_, to=ROMEO)) == "forbidden"
    assert await items(romeo, "n") == ["a"]


async def test_blocked_contact_gets_nothing(romeo: Client, juliet: Client) -> None:
    await publish(romeo, "n", payload(), "a", access_model="open")
    await romeo.send(f"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='{JULIET}'/></block></iq>")
    assert await items(juliet, "n", to=ROMEO) == "service-unavailable"


# nodes


async def test_node_is_made_once_with_its_configuration(romeo: Client, tybalt: Client) -> None:
    inner = f"<create node='n'/><configure>{form(NS_NODE_CONFIG, access_model='open')}</configure>"
    assert problem(await ask(romeo, inner)) == ""
    assert problem(await ask(romeo, inner)) == "conflict"
    assert await items(tybalt, "n", to=ROMEO) == []


async def test_node_without_a_name_gets_one(romeo: Client) -> None:
    answer = await ask(romeo, "<create/>")
    name = answer.element(f"{NS} pubsub").find(f"{NS} create").get("node")
    assert await items(romeo, name) == []


async def test_owner_sees_and_changes_the_configuration(romeo: Client) -> None:
    await publish(romeo, "n", payload())
    assert await configure(romeo, "n", title="Mine", access_model="whitelist") == ""
    values = await configuration(romeo, "n")
    assert (values["pubsub#title"], values["pubsub#access_model"]) == (["Mine"], ["whitelist"])
    assert values["pubsub#max_items"] == ["1"]


async def configuration(client: Client, node: str) -> dict[str, list[str]]:
    answer = await own(client, f"<configure node='{node}'/>", "get")
    (shown,) = answer.element(f"{NS_OWNER} pubsub").elements()[0].elements()
    return {
        field.get("var"): [value.text for value in field.find_all("jabber:x:data value")] for field in shown.elements()
    }


async def test_default_configuration_is_shown(romeo: Client) -> None:
    answer = await own(romeo, "<default/>", "get")
    assert answer.element(f"{NS_OWNER} pubsub").elements()[0].elements()[0].name == "x"


@pytest.mark.parametrize(
    ("submitted", "expected"),
    [
        (form(NS_NODE_CONFIG, access_model="everybody"), "not-acceptable"),
        (form(NS_NODE_CONFIG, max_items="1000000"), "not-acceptable"),
        (form(NS_PUBLISH_OPTIONS, access_model="open"), "bad-request"),
        ("<x xmlns='jabber:x:data' type='form'/>", "bad-request"),
        ("<x xmlns='jabber:x:data' type='nothing'/>", "bad-request"),
        ("", "bad-request"),
        ("<x xmlns='jabber:x:data' type='cancel'/>", ""),
    ],
)
async def test_form_that_is_wrong_changes_nothing(romeo: Client, submitted: str, expected: str) -> None:
    await publish(romeo, "n", payload())
    before = await configuration(romeo, "n")
    assert problem(await own(romeo, f"<configure node='n'>{submitted}</configure>")) == expected
    assert await configuration(romeo, "n") == before


async def test_purged_node_is_empty_and_deleted_one_gone(romeo: Client) -> None:
    await fill(romeo, "n", 3)
    assert problem(await own(romeo, "<purge node='n'/>")) == ""
    assert await items(romeo, "n") == []
    assert problem(await own(romeo, "<delete node='n'/>")) == ""
    assert await items(romeo, "n") == "item-not-found"


async def test_node_that_keeps_nothing_says_so(romeo: Client) -> None:
    await publish(romeo, "n", payload(), persist_items="false")
    assert await items(romeo, "n") == "feature-not-implemented/unsupported"
    assert (
        problem(await ask(romeo, "<retract node='n'><item id='a'/></retract>")) == "feature-not-implemented/unsupported"
    )
    assert problem(await own(romeo, "<purge node='n'/>")) == "feature-not-implemented/unsupported"


# preconditions


async def test_preconditions_that_are_not_met_refuse_the_item(romeo: Client) -> None:
    await publish(romeo, "n", payload("old"), access_model="open")
    assert await publish(romeo, "n", payload("new"), access_model="whitelist") == "conflict/precondition-not-met"
    assert await publish(romeo, "n", payload("new"), max_items="7") == "conflict/precondition-not-met"
    assert await payloads(romeo, "n") == [payload("old")]
    assert await publish(romeo, "n", payload("new"), access_model="open", max_items="1") == ""
    assert await payloads(romeo, "n") == [payload("new")]


async def test_precondition_that_no_node_can_meet_makes_none(romeo: Client) -> None:
    assert await publish(romeo, "n", payload(), surprise="1") == "conflict/precondition-not-met"
    assert await publish(romeo, "n", payload(), max_items="1000000") == "not-acceptable"
    assert await publish(romeo, "n", payload(), access_model="nonsense") == "not-acceptable"
    assert await items(romeo, "n") == "item-not-found"


async def test_options_of_another_form_are_a_bad_request(romeo: Client) -> None:
    options = form(NS_NODE_CONFIG, access_model="open")
    inner = f"<publish node='n'><item>{payload()}</item></publish><publish-options>{options}</publish-options>"
    assert problem(await ask(romeo, inner)) == "bad-request"


# those who want to know


def subscription(answer: object) -> tuple[str, str]:
    found = answer.element(f"{NS} pubsub").find(f"{NS} subscription")  # type: ignore[attr-defined]
    return found.get("jid"), found.get("subscription")


async def test_subscriber_is_told_and_gets_the_last_item(world: World, romeo: Client, tybalt: Client) -> None:
    await publish(romeo, "n", payload(), "a", access_model="open")
    answer = await ask(tybalt, f"<subscribe node='n' jid='{tybalt.jid}'/>", to=ROMEO)
    assert subscription(answer) == (tybalt.jid, "subscribed")
    assert await told(tybalt) == [f"{ROMEO} n items a"]
    await publish(romeo, "n", payload(), "b")
    assert await told(tybalt) == [f"{ROMEO} n items b"]
    assert problem(await ask(tybalt, f"<unsubscribe node='n' jid='{tybalt.jid}'/>", to=ROMEO)) == ""
    await publish(romeo, "n", payload(), "c")
    assert await told(tybalt) == []


async def test_subscriber_that_may_not_read_any_more_is_not_told(romeo: Client, tybalt: Client) -> None:
    await publish(romeo, "n", payload(), "a", access_model="open")
    await ask(tybalt, f"<subscribe node='n' jid='{tybalt.jid}'/>", to=ROMEO)
    await configure(romeo, "n", access_model="whitelist")
    await tybalt.drain()
    await publish(romeo, "n", payload(), "b")
    assert await told(tybalt) == []


@pytest.mark.parametrize("jid", [" jid='juliet@example.org'", ""])
async def test_nobody_subscribes_another(romeo: Client, tybalt: Client, jid: str) -> None:
    await publish(romeo, "n", payload(), access_model="open")
    assert problem(await ask(tybalt, f"<subscribe node='n'{jid}/>", to=ROMEO)) == "bad-request/invalid-jid"


async def test_unsubscribing_is_for_subscribers_themselves(romeo: Client, tybalt: Client, juliet: Client) -> None:
    await publish(romeo, "n", payload(), access_model="open")
    await ask(juliet, f"<subscribe node='n' jid='{JULIET}'/>", to=ROMEO)
    unsubscribe = f"<unsubscribe node='n' jid='{JULIET}'/>"
    assert problem(await ask(tybalt, unsubscribe, to=ROMEO)) == "forbidden"
    own_ = f"<unsubscribe node='n' jid='{tybalt.jid}'/>"
    assert problem(await ask(tybalt, own_, to=ROMEO)) == "unexpected-request/not-subscribed"
    assert problem(await ask(tybalt, "<unsubscribe node='n'/>", to=ROMEO)) == "bad-request/jid-required"


async def test_owner_approves_who_asked(romeo: Client, tybalt: Client) -> None:
    await tybalt.send("<presence/>")
    await tybalt.drain()
    await publish(romeo, "n", payload(), "a", access_model="authorize")
    subscribe = f"<subscribe node='n' jid='{tybalt.jid.bare}'/>"
    assert subscription(await ask(tybalt, subscribe, to=ROMEO)) == (tybalt.jid.bare, "pending")
    assert problem(await ask(tybalt, subscribe, to=ROMEO)) == "not-authorized/pending-subscription"
    assert await items(tybalt, "n", to=ROMEO) == "not-authorized/not-subscribed"
    answer = await own(romeo, "<subscriptions node='n'/>", "get")
    (found,) = answer.element(f"{NS_OWNER} pubsub").elements()[0].elements()
    assert (found.get("jid"), found.get("subscription")) == (tybalt.jid.bare, "pending")
    approved = f"<subscription jid='{tybalt.jid.bare}' subscription='subscribed'/>"
    assert problem(await own(romeo, f"<subscriptions node='n'>{approved}</subscriptions>")) == ""
    assert await told(tybalt) == [f"{ROMEO} n subscription", f"{ROMEO} n items a"]
    assert await items(tybalt, "n", to=ROMEO) == ["a"]
    denied = f"<subscription jid='{tybalt.jid.bare}' subscription='none'/>"
    await own(romeo, f"<subscriptions node='n'>{denied}</subscriptions>")
    assert await items(tybalt, "n", to=ROMEO) == "not-authorized/not-subscribed"


async def test_everybody_sees_their_own_subscriptions_and_affiliations_alone(
    romeo: Client, juliet: Client, tybalt: Client
) -> None:
    await publish(romeo, "n", payload(), access_model="open")
    await ask(juliet, f"<subscribe node='n' jid='{JULIET}'/>", to=ROMEO)
    await affiliate(romeo, "n", JULIET, "member")
    found = await ask(juliet, "<subscriptions/>", "get", to=ROMEO)
    (one,) = found.element(f"{NS} pubsub").elements()[0].elements()
    assert (one.get("node"), one.get("jid"), one.get("subscription")) == ("n", JULIET, "subscribed")
    found = await ask(juliet, "<affiliations/>", "get", to=ROMEO)
    (one,) = found.element(f"{NS} pubsub").elements()[0].elements()
    assert (one.get("node"), one.get("affiliation")) == ("n", "member")
    for inner in ("<subscriptions/>", "<affiliations/>"):
        found = await ask(tybalt, inner, "get", to=ROMEO)
        assert found.element(f"{NS} pubsub").elements()[0].elements() == ()


async def affiliate(client: Client, node: str, jid: str, affiliation: str) -> str:
    one = f"<affiliation jid='{jid}' affiliation='{affiliation}'/>"
    return problem(await own(client, f"<affiliations node='{node}'>{one}</affiliations>"))


async def test_members_publishers_and_outcasts_are_what_the_owner_says(
    romeo: Client, juliet: Client, tybalt: Client
) -> None:
    await publish(romeo, "n", payload(), "a", access_model="whitelist")
    assert await affiliate(romeo, "n", "tybalt@example.org", "publisher") == ""
    assert await publish(tybalt, "n", payload("his"), "b", to=ROMEO) == ""
    assert await items(tybalt, "n", to=ROMEO) == ["b"]
    answer = await ask(romeo, "<items node='n'/>", "get")
    (item,) = answer.element(f"{NS} pubsub").elements()[0].elements()
    assert item.get("publisher") == "tybalt@example.org"
    await configure(romeo, "n", access_model="open")
    await ask(juliet, f"<subscribe node='n' jid='{JULIET}'/>", to=ROMEO)
    await affiliate(romeo, "n", JULIET, "outcast")
    assert await items(juliet, "n", to=ROMEO) == "forbidden"
    answer = await own(romeo, "<subscriptions node='n'/>", "get")
    assert answer.element(f"{NS_OWNER} pubsub").elements()[0].elements() == ()
    answer = await own(romeo, "<affiliations node='n'/>", "get")
    listed = answer.element(f"{NS_OWNER} pubsub").elements()[0].elements()
    assert {(one.get("jid"), one.get("affiliation")) for one in listed} == {
        (ROMEO, "owner"),
        ("tybalt@example.org", "publisher"),
        (JULIET, "outcast"),
    }


async def test_publisher_retracts_their_own_items_alone(romeo: Client, tybalt: Client) -> None:
    await publish(romeo, "n", payload(), "a", access_model="whitelist", max_items="max")
    await affiliate(romeo, "n", "tybalt@example.org", "publisher")
    await publish(tybalt, "n", payload(), "b", to=ROMEO)
    assert problem(await ask(tybalt, "<retract node='n'><item id='a'/></retract>", to=ROMEO)) == "forbidden"
    assert problem(await ask(tybalt, "<retract node='n'><item id='b'/></retract>", to=ROMEO)) == ""
    assert await items(romeo, "n") == ["a"]


@pytest.mark.parametrize("affiliation", ["owner", "none"])
async def test_account_stays_the_one_owner(romeo: Client, affiliation: str) -> None:
    await publish(romeo, "n", payload())
    assert await affiliate(romeo, "n", JULIET, "owner") == "not-acceptable"
    assert await affiliate(romeo, "n", ROMEO, affiliation) == "not-acceptable"


# discovery


async def disco(client: Client, kind: str, node: str = "", to: str = ROMEO) -> object:
    node_ = f" node='{node}'" if node else ""
    await client.send(
        f"<iq type='get' id='d' to='{to}'><query xmlns='http://jabber.org/protocol/disco#{kind}'{node_}/></iq>"
    )
    return await answer_of(client, "d")


async def test_account_lists_what_it_can_do(romeo: Client) -> None:
    query = (await disco(romeo, "info")).elements()[0]  # type: ignore[attr-defined]
    found = {child.get("var") for child in query.elements()}
    assert {NS, f"{NS}#publish-options", f"{NS}#config-node-max", f"{NS}#persistent-items", f"{NS}#rsm"} <= found


async def test_nodes_are_listed_to_those_who_may_read_them(romeo: Client, juliet: Client) -> None:
    await publish(romeo, "shown", payload(), "a")
    await configure(romeo, "shown", title="Title")
    await publish(romeo, "hidden", payload(), "a", access_model="whitelist")
    query = (await disco(juliet, "items")).elements()[0]  # type: ignore[attr-defined]
    assert [(one.get("node"), one.get("name")) for one in query.elements()] == [("shown", "Title")]
    query = (await disco(romeo, "items")).elements()[0]  # type: ignore[attr-defined]
    assert {one.get("node") for one in query.elements()} == {"shown", "hidden"}
    query = (await disco(juliet, "items", "shown")).elements()[0]  # type: ignore[attr-defined]
    assert [one.get("name") for one in query.elements()] == ["a"]
    assert problem(await disco(juliet, "items", "hidden")) == "item-not-found"


async def test_node_tells_what_it_is_to_those_who_may_read_it(world: World, romeo: Client, juliet: Client) -> None:
    await publish(romeo, "n", payload())
    await configure(romeo, "n", title="Title")
    world.host().accounts[JID(ROMEO)].drop_part(Nodes)
    query = (await disco(juliet, "info", "n")).elements()[0]  # type: ignore[attr-defined]
    identity = query.elements()[0]
    assert (identity.get("category"), identity.get("type")) == ("pubsub", "leaf")
    shown = query.find("jabber:x:data x")
    values = {field.get("var"): field.elements()[0].text for field in shown.elements() if field.elements()}
    assert values["FORM_TYPE"] == f"{NS}#meta-data" and values["pubsub#title"] == "Title"
    await configure(romeo, "n", access_model="whitelist")
    assert problem(await disco(juliet, "info", "n")) == "forbidden"
    assert problem(await disco(romeo, "info", "none")) == "item-not-found"


# storage


async def test_everything_is_there_after_a_restart(make_world: MakeWorld) -> None:
    backend = MemoryBackend()
    first = await make_world(*MODULES, backend=backend)
    romeo = await first.client(f"{ROMEO}/orchard")
    await fill(romeo, "n", 3, access_model="whitelist")
    await affiliate(romeo, "n", "tybalt@example.org", "member")
    second = await make_world(*MODULES, backend=backend)
    tybalt = await second.client("tybalt@example.org/hall")
    assert await items(tybalt, "n", to=ROMEO) == ["i2", "i1", "i0"]
    romeo = await second.client(f"{ROMEO}/orchard")
    assert (await configuration(romeo, "n"))["pubsub#max_items"] == ["max"]


async def test_item_that_could_not_be_written_is_refused_and_not_there(
    world: World, romeo: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(romeo, "n", payload("old"), "a")
    store = world.host().module(PubSubModule).stores["nodes"]

    def full(*_: object) -> Commit:
        commit = Commit()
        commit.finish(StorageFull("full"))
        return commit

    with monkeypatch.context() as broken:
        broken.setattr(store, "update", full)
        assert await publish(romeo, "n", payload("lost"), "b") == "resource-constraint"
        assert await publish(romeo, "m", payload("lost"), "b") == "resource-constraint"
    assert await items(romeo, "n") == ["a"]
    assert await items(romeo, "m") == "item-not-found"
    assert await publish(romeo, "n", payload("new"), "b") == ""


async def test_item_that_storage_refuses_at_once_is_not_there(
    world: World, romeo: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(romeo, "n", payload("old"), "a")
    store = world.host().module(PubSubModule).stores["nodes"]

    def full(*_: object) -> Commit:
        raise StorageFull("full")

    with monkeypatch.context() as broken:
        broken.setattr(store, "update", full)
        assert await publish(romeo, "n", payload("lost"), "b") == "resource-constraint"
        assert problem(await own(romeo, "<delete node='n'/>")) == "resource-constraint"
    assert await payloads(romeo, "n") == [payload("old")]


async def test_nodes_of_an_account_that_left_memory_are_the_same_while_a_request_holds_them(world: World) -> None:
    module = world.host().module(PubSubModule)
    await world.account(ROMEO)
    account = await world.host().load_account(JID(ROMEO))
    assert account is not None
    place = await module.place(account)
    world.host().forget(JID(ROMEO))
    again = await world.host().load_account(JID(ROMEO))
    assert again is not None and again is not account
    assert (await module.place(again)).nodes is place.nodes
