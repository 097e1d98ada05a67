"""XEP-0163: Personal Eventing Protocol."""

import pytest

from codec.element import parse_element
from codec.jid import JID
from codec.payloads.disco import Info
from codec.stanza import IQ, Presence, Stanza
from tests.modules.conftest import MakeWorld
from tests.support.pep import (
    MODULES,
    answer_of,
    ask,
    befriend,
    caps_of,
    configure,
    info_of,
    interested,
    items,
    own,
    payload,
    publish,
    told,
    wish,
)
from tests.support.world import World
from xmppd.modules import xep_0163_pep
from xmppd.modules.xep_0163_pep import MAX_INTERESTS, new_wishes, wishes

TUNE = "http://jabber.org/protocol/tune"
NICK = "http://jabber.org/protocol/nick"
ROMEO, JULIET = "romeo@example.org", "juliet@example.org"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(*MODULES)


@pytest.fixture
async def friends(world: World) -> World:
    await befriend(world, ROMEO, JULIET)
    return world


async def test_contact_who_wants_to_know_is_told_with_the_payload(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    await juliet.drain()
    assert await publish(romeo, TUNE, payload("song"), "a") == ""
    await juliet.expect(
        f"<message from='{ROMEO}' to='{{juliet}}' id='*' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'>"
        f"<items node='{TUNE}'><item id='a'><p xmlns='urn:example:p'>song</p></item></items></event></message>"
    )


async def test_contact_who_does_not_want_to_know_is_not_told(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await interested(friends, f"{JULIET}/balcony", NICK)
    await juliet.drain()
    await publish(romeo, TUNE, payload())
    assert await told(juliet) == []


async def test_own_clients_who_want_to_know_are_told_the_publishing_one_too(world: World) -> None:
    one = await interested(world, f"{ROMEO}/one", TUNE)
    two = await interested(world, f"{ROMEO}/two", TUNE)
    await publish(one, TUNE, payload(), "a")
    assert await told(two) == [f"{ROMEO} {TUNE} items a"]
    assert await told(one) == [f"{ROMEO} {TUNE} items a"]


async def test_last_item_comes_when_the_interest_becomes_known(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    await publish(romeo, TUNE, payload(), "a")
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    assert await told(juliet) == [f"{ROMEO} {TUNE} items a"]


async def test_last_item_of_a_contact_who_is_away_comes_too(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    await publish(romeo, TUNE, payload(), "a")
    await romeo.close()
    friends.host().forget(romeo.jid.bare)
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    assert await told(juliet) == [f"{ROMEO} {TUNE} items a"]


async def test_stranger_is_not_told(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await interested(world, f"{JULIET}/balcony", TUNE)
    await publish(romeo, TUNE, payload(), "a", access_model="open")
    assert await told(juliet) == []


async def test_retraction_purge_and_deletion_are_told(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    await publish(romeo, TUNE, payload(), "a")
    await juliet.drain()
    await ask(romeo, f"<retract node='{TUNE}'><item id='a'/></retract>")
    assert await told(juliet) == [f"{ROMEO} {TUNE} items -a"]
    await own(romeo, f"<purge node='{TUNE}'/>")
    assert await told(juliet) == [f"{ROMEO} {TUNE} purge"]
    await own(romeo, f"<delete node='{TUNE}'/>")
    assert await told(juliet) == [f"{ROMEO} {TUNE} delete"]


# who is told


async def test_account_is_a_service_of_personal_events(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard")
    await romeo.send("<iq type='get' id='d'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
    (query,) = (await answer_of(romeo, "d")).elements()
    identities = {(one.get("category"), one.get("type")) for one in query.elements()}
    assert {("pubsub", "pep"), ("account", "registered")} <= identities


async def test_whitelist_is_told_to_its_members_alone(friends: World) -> None:
    romeo = await interested(friends, f"{ROMEO}/orchard", TUNE)
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    await publish(romeo, TUNE, payload(), "a", access_model="whitelist")
    assert await told(romeo) == [f"{ROMEO} {TUNE} items a"]
    assert await told(juliet) == []
    await own(romeo, f"<affiliations node='{TUNE}'><affiliation jid='{JULIET}' affiliation='member'/></affiliations>")
    await publish(romeo, TUNE, payload(), "b")
    assert await told(juliet) == [f"{ROMEO} {TUNE} items b"]


async def test_node_that_needs_approval_is_told_to_subscribers_alone(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    await publish(romeo, TUNE, payload(), "a", access_model="authorize")
    assert await told(juliet) == []


async def test_contact_outside_the_groups_of_a_node_is_not_told(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    await publish(romeo, TUNE, payload(), "a", access_model="roster", roster_groups_allowed="Friends")
    assert await told(juliet) == []
    item = f"<item jid='{JULIET}'><group>Friends</group></item>"
    await romeo.send(f"<iq type='set' id='r'><query xmlns='jabber:iq:roster'>{item}</query></iq>")
    await publish(romeo, TUNE, payload(), "b")
    assert await told(juliet) == [f"{ROMEO} {TUNE} items b"]


async def test_blocked_contact_is_not_told(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    await romeo.send(f"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='{JULIET}'/></block></iq>")
    await juliet.drain()
    await publish(romeo, TUNE, payload(), "a")
    assert await told(juliet) == []
    await juliet.close()
    assert await told(await interested(friends, f"{JULIET}/garden", TUNE)) == []


async def test_one_who_subscribed_and_wants_to_know_is_told_once(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    await publish(romeo, TUNE, payload(), "a")
    await ask(juliet, f"<subscribe node='{TUNE}' jid='{JULIET}'/>", to=ROMEO)
    await juliet.drain()
    await publish(romeo, TUNE, payload(), "b")
    assert await told(juliet) == [f"{ROMEO} {TUNE} items b"]


async def test_one_who_subscribed_twice_is_told_once(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await friends.client(f"{JULIET}/balcony", "<presence/>")
    await publish(romeo, TUNE, payload(), "a")
    for jid in (JULIET, juliet.jid):
        await ask(juliet, f"<subscribe node='{TUNE}' jid='{jid}'/>", to=ROMEO)
    await juliet.drain()
    await publish(romeo, TUNE, payload(), "b")
    assert await told(juliet) == [f"{ROMEO} {TUNE} items b"]


async def test_client_that_has_gone_is_not_told(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    await juliet.send("<presence type='unavailable'/>")
    await juliet.drain()
    await publish(romeo, TUNE, payload(), "a")
    assert await told(juliet) == []


async def test_configuration_is_told_where_the_node_says_so(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    await publish(romeo, TUNE, payload(), "a")
    await juliet.drain()
    await configure(romeo, TUNE, title="T")
    assert await told(juliet) == []
    await configure(romeo, TUNE, title="U", notify_config="true")
    assert await told(juliet) == [f"{ROMEO} {TUNE} configuration x"]


async def test_nothing_is_told_that_the_node_keeps_to_itself(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    options = {"notify_retract": "false", "notify_delete": "false"}
    await publish(romeo, TUNE, payload(), "a", **options)
    await juliet.drain()
    await ask(romeo, f"<retract node='{TUNE}'><item id='a'/></retract>")
    await own(romeo, f"<delete node='{TUNE}'/>")
    assert await told(juliet) == []
    await publish(romeo, TUNE, payload(), "a", deliver_notifications="false")
    assert await told(juliet) == []


async def test_retraction_is_told_where_its_publisher_wants_it(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    await publish(romeo, TUNE, payload(), "a", notify_retract="false")
    await juliet.drain()
    await ask(romeo, f"<retract node='{TUNE}' notify='1'><item id='a'/></retract>")
    assert await told(juliet) == [f"{ROMEO} {TUNE} items -a"]


async def test_item_is_told_without_its_payload_where_the_node_says_so(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    await juliet.drain()
    await publish(romeo, TUNE, payload(), "a", deliver_payloads="false", notification_type="normal")
    await juliet.expect(
        f"<message from='{ROMEO}' to='{{juliet}}' id='*'><event xmlns='http://jabber.org/protocol/pubsub#event'>"
        f"<items node='{TUNE}'><item id='a'/></items></event></message>"
    )


async def test_item_that_is_not_kept_is_told_all_the_same(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    await publish(romeo, TUNE, payload(), "a", persist_items="false")
    assert await told(juliet) == [f"{ROMEO} {TUNE} items a"]


async def test_items_of_many_clients_are_told_in_the_order_in_which_they_were_taken(world: World) -> None:
    watcher = await interested(world, f"{ROMEO}/watcher", TUNE)
    clients = [await world.client(f"{ROMEO}/c{number}") for number in range(5)]
    for turn in range(4):
        for number, client in enumerate(clients):
            item = f"<item id='{turn}-{number}'>{payload()}</item>"
            xml = f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{TUNE}'>{item}</publish></pubsub>"
            client.stream.receive(f"<iq type='set' id='p{turn}'>{xml}</iq>".encode())
    found = [line.rpartition(" ")[2] for line in await told(watcher)]
    assert len(found) == 20 and await items(watcher, TUNE) == [found[-1]]
    for number in range(5):
        mine = [id_ for id_ in found if id_.endswith(f"-{number}")]
        assert mine == [f"{turn}-{number}" for turn in range(4)]


# last items


async def test_last_item_comes_with_the_time_at_which_it_was_published(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    await publish(romeo, TUNE, payload(), "a")
    friends.clock.advance(3600)
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    await juliet.expect(
        f"<message from='{ROMEO}' to='{{juliet}}' id='*' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'>"
        f"<items node='{TUNE}'><item id='a'><p xmlns='urn:example:p'>1</p></item></items></event>"
        f"<delay xmlns='urn:xmpp:delay' from='{ROMEO}' stamp='2026-01-02T03:04:05Z'/></message>"
    )


@pytest.mark.parametrize("when", ["never", "on_sub"])
async def test_last_item_does_not_come_where_the_node_says_so(friends: World, when: str) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    await publish(romeo, TUNE, payload(), "a", send_last_published_item=when)
    assert await told(await interested(friends, f"{JULIET}/balcony", TUNE)) == []


async def test_last_item_comes_once_however_often_presence_is_sent(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    await publish(romeo, TUNE, payload(), "a")
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    await juliet.drain()
    await wish(juliet, TUNE)
    assert await told(juliet) == []
    await wish(juliet, TUNE, NICK)
    assert await told(juliet) == []
    await publish(romeo, NICK, payload(), "n")
    assert await told(juliet) == [f"{ROMEO} {NICK} items n"]


async def test_last_item_comes_again_to_a_client_that_comes_again(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    await publish(romeo, TUNE, payload(), "a")
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    await juliet.send("<presence type='unavailable'/>")
    await juliet.drain()
    await wish(juliet, TUNE)
    assert await told(juliet) == [f"{ROMEO} {TUNE} items a"]


async def test_last_item_of_the_account_itself_comes_too_and_private_ones_to_it_alone(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    await publish(romeo, TUNE, payload(), "a", access_model="whitelist")
    assert await told(await interested(friends, f"{ROMEO}/garden", TUNE)) == [f"{ROMEO} {TUNE} items a"]
    assert await told(await interested(friends, f"{JULIET}/balcony", TUNE)) == []


async def test_last_item_comes_when_somebody_may_see_the_presence_from_now_on(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", "<presence/>")
    await publish(romeo, TUNE, payload(), "a")
    juliet = await interested(world, f"{JULIET}/balcony", TUNE)
    await juliet.send(f"<presence to='{ROMEO}' type='subscribe'/>")
    assert await told(juliet) == []
    await romeo.send(f"<presence to='{JULIET}' type='subscribed'/>")
    assert await told(juliet) == [f"{ROMEO} {TUNE} items a"]


async def test_client_with_a_thousand_wishes_has_some_of_them(world: World) -> None:
    nodes = [f"urn:node:{number:04}" for number in range(1000)]
    assert len(wishes([f"{node}+notify" for node in nodes])) == MAX_INTERESTS
    assert wishes(None) == wishes(["urn:x"]) == frozenset()


async def test_client_that_changes_its_mind_again_and_again_gets_each_last_item_once(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    await publish(romeo, TUNE, payload(), "a")
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    await juliet.drain()
    for _ in range(3):
        await wish(juliet, NICK)
        await wish(juliet, TUNE)
    assert await told(juliet) == []


def test_no_more_last_items_are_given_than_one_may_wish_for() -> None:
    many = frozenset(f"{number:04}" for number in range(MAX_INTERESTS))
    assert new_wishes(frozenset("a"), frozenset("ab")) == {"b"}
    assert len(new_wishes(frozenset("a"), many)) == MAX_INTERESTS - 1
    assert new_wishes(many, frozenset("ab")) == frozenset()


# other servers


FAR = JID("juliet@far.example/balcony")


class Elsewhere:
    """Takes what is for other servers."""

    def __init__(self) -> None:
        self.taken: list[Stanza] = []

    def take(self, stanza: Stanza) -> None:
        self.taken.append(stanza)

    def told(self) -> list[str]:
        """Return what was told, and forget it: "TO NODE IDS" each."""
        found, self.taken = self.taken, []
        lines = []
        for stanza in found:
            event = stanza.element("http://jabber.org/protocol/pubsub#event event")
            if event is not None:
                part = event.elements()[0]
                lines.append(
                    f"{stanza.to} {part.get('node')} {' '.join(one.get('id') or '' for one in part.elements())}"
                )
        return lines


async def arrive(world: World, stanza: Stanza) -> None:
    """Have a stanza come from another server."""
    await world.host().send(stanza)
    await world.settle()


async def far_presence(world: World, elsewhere: Elsewhere, *nodes: str) -> None:
    """Have a client elsewhere be available with a wish for nodes, and answer when it is asked."""
    caps = parse_element(caps_of(*nodes).encode())
    await arrive(world, Presence.build(caps, to=JID(ROMEO), from_=FAR))
    for stanza in [one for one in elsewhere.taken if one.kind == "iq"]:
        elsewhere.taken.remove(stanza)
        info = info_of(*nodes)
        answer = Info(node=stanza.get(Info).node, identities=info.identities, features=info.features)  # type: ignore[union-attr]
        assert stanza.from_ == ROMEO and isinstance(stanza, IQ)
        await arrive(world, stanza.reply(answer))


@pytest.fixture
async def elsewhere(world: World) -> Elsewhere:
    """A contact on another server who sees romeo's presence."""
    elsewhere = Elsewhere()
    world.shared.components.remote = elsewhere  # type: ignore[assignment]
    romeo = await world.client(f"{ROMEO}/befriend", "<presence/>")
    await arrive(world, Presence.build(to=JID(ROMEO), from_=FAR.bare, type="subscribe"))
    await romeo.send(f"<presence to='{FAR.bare}' type='subscribed'/>")
    elsewhere.taken.clear()
    return elsewhere


async def test_contact_on_another_server_is_told(world: World, elsewhere: Elsewhere) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", "<presence/>")
    await far_presence(world, elsewhere, TUNE)
    await publish(romeo, TUNE, payload(), "a")
    assert elsewhere.told() == [f"{FAR} {TUNE} a"]
    await publish(romeo, NICK, payload(), "n")
    assert elsewhere.told() == []


async def test_contact_on_another_server_gets_the_last_item_once(world: World, elsewhere: Elsewhere) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", "<presence/>")
    await publish(romeo, TUNE, payload(), "a")
    await far_presence(world, elsewhere, TUNE)
    assert elsewhere.told() == [f"{FAR} {TUNE} a"]
    await far_presence(world, elsewhere, TUNE)
    assert elsewhere.told() == []


async def test_client_on_another_server_that_has_gone_is_not_told(world: World, elsewhere: Elsewhere) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", "<presence/>")
    await far_presence(world, elsewhere, TUNE)
    await arrive(world, Presence.build(to=JID(ROMEO), from_=FAR, type="unavailable"))
    await publish(romeo, TUNE, payload(), "a")
    assert elsewhere.told() == []


async def test_contact_on_another_server_who_may_see_the_presence_later_gets_the_last_item_then(
    world: World, elsewhere: Elsewhere
) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", "<presence/>")
    await publish(romeo, TUNE, payload(), "a")
    await romeo.send(
        f"<presence to='{FAR.bare}' type='unsubscribed'/>", f"<presence to='{FAR.bare}' type='subscribe'/>"
    )
    await far_presence(world, elsewhere, TUNE)
    assert elsewhere.told() == []
    await arrive(world, Presence.build(to=JID(ROMEO), from_=FAR.bare, type="subscribe"))
    await romeo.send(f"<presence to='{FAR.bare}' type='subscribed'/>")
    assert elsewhere.told() == [f"{FAR} {TUNE} a"]


async def test_stranger_on_another_server_is_neither_asked_nor_told(world: World, elsewhere: Elsewhere) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", "<presence/>")
    stranger = JID("tybalt@far.example/hall")
    caps = parse_element(caps_of(TUNE).encode())
    await arrive(world, Presence.build(caps, to=JID(ROMEO), from_=stranger))
    assert all(one.to.bare == FAR.bare for one in elsewhere.taken)  # romeo's own presence
    await publish(romeo, TUNE, payload(), "a", access_model="open")
    assert elsewhere.told() == []


async def test_request_from_another_server_finds_what_it_may_read(world: World, elsewhere: Elsewhere) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", "<presence/>")
    await publish(romeo, TUNE, payload(), "a")
    inner = parse_element(f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{TUNE}'/></pubsub>".encode())
    elsewhere.taken.clear()
    for asker, expected in ((FAR, "result"), (JID("tybalt@far.example/hall"), "error")):
        await arrive(world, IQ.build(inner, to=JID(ROMEO), from_=asker, type="get", id="far"))
        (answer,) = elsewhere.taken
        assert (answer.to, answer.type) == (asker, expected)
        elsewhere.taken.clear()


async def test_no_more_clients_elsewhere_are_known_than_the_limit(
    world: World, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xep_0163_pep, "MAX_ELSEWHERE", 0)
    romeo = await world.client(f"{ROMEO}/orchard", "<presence/>")
    await far_presence(world, elsewhere, TUNE)
    await publish(romeo, TUNE, payload(), "a")
    assert elsewhere.told() == []
