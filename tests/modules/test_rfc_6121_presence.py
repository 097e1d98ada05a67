"""RFC 6121 §4: presence."""

from collections.abc import Coroutine
from typing import Any

import pytest

from codec.jid import JID
from codec.stanza import Presence, Stanza
from tests.modules.conftest import MakeWorld
from tests.support.world import World
from xmppd import sessions
from xmppd.errors import StanzaError
from xmppd.hooks import PresenceChangedEvent, RecipientsEvent, presence_changed, presence_recipients
from xmppd.modules import rfc_6121_presence
from xmppd.modules.rfc_6121_presence import Directed, PresenceModule, priority_of
from xmppd.modules.rfc_6121_roster import FROM, TO, Contact, RosterModule

BOTH = TO | FROM
ROMEO, JULIET = "romeo@example.org", "juliet@example.org"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world("rfc_6121_roster", "rfc_6121_subscription", "rfc_6121_presence")


async def relate(world: World, owner: str, contact: str, state: int) -> None:
    """Put a contact into a roster in storage, before the account is in memory."""
    await world.account(owner)
    stored = Contact(state, is_listed=True).encode()
    await world.host().module(RosterModule).stores["items"].update(owner, {contact: stored})


async def friends(world: World) -> None:
    await relate(world, ROMEO, JULIET, BOTH)
    await relate(world, JULIET, ROMEO, BOTH)


def brief(stanzas: list[Stanza]) -> list[tuple[str, str]]:
    """Return (from, type) of each presence."""
    return [(stanza.from_, stanza.type) for stanza in stanzas if stanza.kind == "presence"]


class Outside:
    """Notes what would go to other servers."""

    def __init__(self, world: World) -> None:
        self.seen: list[Stanza] = []
        self._world = world
        world.shared.route = self

    def __call__(self, stanza: Stanza) -> Coroutine[Any, Any, None] | None:
        if stanza.to.domainpart in self._world.shared.hosts:
            return self._world.router.route(stanza)
        self.seen.append(stanza)
        return None


# broadcast


async def test_initial_presence_comes_back_to_the_resource_itself(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard")
    await romeo.send("<presence id='p' xml:lang='en'><show>away</show><x xmlns='urn:x'/></presence>")
    await romeo.expect(
        f"<presence from='{{romeo}}' to='{ROMEO}' id='p' xml:lang='en'><show>away</show><x xmlns='urn:x'/></presence>"
    )
    await romeo.expect_nothing()


async def test_friends_see_each_other_whoever_comes_first(world: World) -> None:
    await friends(world)
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence id='r'><status>here</status></presence>")
    juliet = await world.client(f"{JULIET}/balcony")
    await juliet.send("<presence id='j'><show>chat</show></presence>")
    await romeo.expect(f"<presence from='{{juliet}}' to='{ROMEO}' id='j'><show>chat</show></presence>")
    await juliet.expect(f"<presence from='{{juliet}}' to='{JULIET}' id='j'><show>chat</show></presence>")
    await juliet.expect("<presence from='{romeo}' to='{juliet}' id='r'><status>here</status></presence>")
    await juliet.expect_nothing()
    await romeo.send("<presence><show>dnd</show></presence>")
    await juliet.expect(f"<presence from='{{romeo}}' to='{JULIET}'><show>dnd</show></presence>")
    await romeo.send("<presence type='unavailable'><status>bye</status></presence>")
    await juliet.expect(f"<presence from='{{romeo}}' to='{JULIET}' type='unavailable'><status>bye</status></presence>")
    assert brief(await romeo.drain())[-1] == (romeo.jid, "unavailable")
    assert not romeo.resource.is_available


@pytest.mark.parametrize("state", [0, TO])
async def test_presence_is_not_for_contacts_without_subscription(world: World, state: int) -> None:
    await relate(world, ROMEO, JULIET, state)
    await relate(world, JULIET, ROMEO, 0)
    juliet = await world.client(f"{JULIET}/balcony", presence="<presence/>")
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    await romeo.send("<presence type='unavailable'/>")
    await juliet.expect_nothing()


async def test_connected_resource_that_is_not_available_sees_nothing(world: World) -> None:
    await friends(world)
    juliet = await world.client(f"{JULIET}/balcony")
    await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    await juliet.expect_nothing()


async def test_own_resources_see_each_other(world: World) -> None:
    first = await world.client(f"{ROMEO}/orchard", presence="<presence id='1'><show>xa</show></presence>")
    second = await world.client(f"{ROMEO}/street")
    await second.send("<presence id='2'/>")
    assert brief(await second.drain()) == [(second.jid, ""), (first.jid, "")]
    assert brief(await first.drain()) == [(second.jid, "")]
    await second.send("<presence type='unavailable'/>")
    assert brief(await second.drain()) == [(second.jid, "unavailable")]
    assert brief(await first.drain()) == [(second.jid, "unavailable")]


async def test_lost_connection_makes_the_resource_unavailable_to_all(world: World) -> None:
    await friends(world)
    juliet = await world.client(f"{JULIET}/balcony", presence="<presence/>")
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    other = await world.client(f"{ROMEO}/street", presence="<presence/>")
    await romeo.drain()
    await juliet.drain()
    await romeo.disconnect()
    await juliet.expect(f"<presence from='{{romeo}}' to='{JULIET}' type='unavailable'/>".replace("{romeo}", romeo.jid))
    assert brief(await other.drain()) == [(romeo.jid, "unavailable")]


async def test_unavailable_without_having_been_available_is_told_to_nobody(world: World) -> None:
    await friends(world)
    juliet = await world.client(f"{JULIET}/balcony", presence="<presence/>")
    romeo = await world.client(f"{ROMEO}/orchard")
    await romeo.send("<presence type='unavailable'/>")
    await juliet.expect_nothing()
    await romeo.expect_nothing()


async def test_contacts_that_are_not_in_memory_stay_there(world: World) -> None:
    await relate(world, ROMEO, JULIET, BOTH)
    await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    assert JULIET not in world.host().accounts


async def test_contacts_elsewhere_get_probes_and_presence(world: World) -> None:
    await relate(world, ROMEO, "nurse@capulet.example", BOTH)
    outside = Outside(world)
    romeo = await world.client(f"{ROMEO}/orchard")
    await romeo.send("<presence/>")
    seen = [(one.to, one.from_, one.type) for one in outside.seen]
    assert seen == [("nurse@capulet.example", romeo.jid, ""), ("nurse@capulet.example", ROMEO, "probe")]
    error = Presence(JID.parse(ROMEO), outside.seen[1].to, outside.seen[1].id, "error")
    await romeo.drain()
    await world.router.route(error)
    await romeo.expect_nothing()


async def test_friends_on_two_hosts_of_this_server_see_each_other(make_world: MakeWorld) -> None:
    names = ("rfc_6121_roster", "rfc_6121_subscription", "rfc_6121_presence")
    world = await make_world(*names, domains=("example.org", "example.net"))
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    juliet = await world.client("juliet@example.net/balcony", presence="<presence/>")
    await romeo.send("<presence type='subscribe' to='juliet@example.net'/>")
    await juliet.send(f"<presence type='subscribed' to='{ROMEO}'/>", f"<presence type='subscribe' to='{ROMEO}'/>")
    await romeo.send("<presence type='subscribed' to='juliet@example.net'/>")
    await romeo.drain()
    await juliet.drain()
    again = await world.client("juliet@example.net/garden")
    await again.send("<presence/>")
    assert brief(await again.drain()) == [(again.jid, ""), (juliet.jid, ""), (romeo.jid, "")]
    assert brief(await romeo.drain()) == [(again.jid, "")]


async def test_who_may_not_be_dealt_with_is_left_out(world: World) -> None:
    await relate(world, ROMEO, "nurse@capulet.example", BOTH)

    def leave_out(event: RecipientsEvent) -> RecipientsEvent:
        event.recipients = [one for one in event.recipients if not one.startswith("nurse@")]
        return event

    world.host().handlers[presence_recipients] = (leave_out,)
    outside = Outside(world)
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    await romeo.send("<presence type='unavailable'/>")
    assert outside.seen == []


async def test_presence_that_was_overtaken_by_the_end_is_told_no_more(world: World) -> None:
    await friends(world)
    juliet = await world.client(f"{JULIET}/balcony", presence="<presence/>")
    romeo = await world.client(f"{ROMEO}/orchard")
    late = Presence(None, romeo.jid, None, "")
    await sessions.end(romeo.resource)
    await world.host().signal_waiting(presence_changed, PresenceChangedEvent(romeo.resource, False, late))
    await juliet.expect_nothing()
    await world.router.presence(romeo.resource, late)
    assert romeo.resource.presence is None
    await juliet.expect_nothing()


# priority and types


@pytest.mark.parametrize(
    ("xml", "priority"),
    [
        ("", 0),
        ("<priority>5</priority>", 5),
        ("<priority>-128</priority>", -128),
        ("<priority> +127\n</priority>", 127),
        ("<x xmlns='urn:x'><priority>9</priority></x><priority>1</priority>", 1),
        ("<x xmlns='urn:x'><priority>9</priority></x>", 0),
    ],
)
async def test_priority_is_read(world: World, xml: str, priority: int) -> None:
    romeo = await world.client(f"{ROMEO}/orchard")
    await romeo.send(f"<presence>{xml}</presence>")
    assert romeo.resource.priority == priority and romeo.resource.is_available


@pytest.mark.parametrize(
    "xml",
    [
        "<priority>128</priority>",
        "<priority>-129</priority>",
        "<priority/>",
        "<priority>high</priority>",
        "<priority>1</priority><priority>1</priority>",
        "<priority>٣</priority>",
    ],
)
async def test_bad_priority_is_refused_and_changes_nothing(world: World, xml: str) -> None:
    romeo = await world.client(f"{ROMEO}/orchard")
    await romeo.send(f"<presence id='p'>{xml}</presence>")
    answer = await romeo.next_stanza()
    assert answer.type == "error" and answer.id == "p"
    assert answer.element("jabber:client error").elements()[0].name == "bad-request"
    assert not romeo.resource.is_available


def test_prefixed_priority_is_read_too() -> None:
    presence = Presence(
        None,
        None,
        None,
        "",
        None,
        b"<c:priority>7</c:priority>",
        ("jabber:client priority",),
        b" xmlns:c='jabber:client'",
    )
    assert priority_of(presence) == 7


@pytest.mark.parametrize(
    "attributes", ["type='invisible'", "type='available' to='juliet@example.org'", "type='probe'", "type='subscribe'"]
)
async def test_presence_of_no_known_meaning_is_a_bad_request(world: World, attributes: str) -> None:
    romeo = await world.client(f"{ROMEO}/orchard")
    await romeo.send(f"<presence id='p' {attributes}/>")
    answer = await romeo.next_stanza()
    assert answer.element("jabber:client error").elements()[0].name == "bad-request"


async def test_unknown_type_from_elsewhere_is_refused(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    juliet = await world.client(f"{JULIET}/balcony", presence="<presence/>")
    await world.router.route(Presence(JID.parse(ROMEO), juliet.jid, "p", "invisible"))
    assert brief(await juliet.drain()) == [(ROMEO, "error")]
    await romeo.expect_nothing()


# directed presence


async def test_directed_presence_goes_there_alone_and_ends_with_the_session(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    juliet = await world.client(f"{JULIET}/balcony", presence="<presence/>")
    nurse = await world.client("nurse@example.org/room", presence="<presence/>")
    await romeo.send(f"<presence to='{juliet.jid}'><status>psst</status></presence>")
    await juliet.expect("<presence from='{romeo}' to='{juliet}'><status>psst</status></presence>")
    await romeo.send("<presence><show>away</show></presence>")
    await juliet.expect_nothing()
    await romeo.send("<presence type='unavailable'><status>gone</status></presence>")
    await juliet.expect("<presence from='{romeo}' to='{juliet}' type='unavailable'><status>gone</status></presence>")
    await romeo.send("<presence/>", "<presence type='unavailable'/>")
    await juliet.expect_nothing()
    await nurse.expect_nothing()


async def test_directed_unavailable_is_not_said_twice(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    juliet = await world.client(f"{JULIET}/balcony", presence="<presence/>")
    await romeo.send(f"<presence to='{JULIET}'/>", f"<presence to='{JULIET}' type='unavailable'/>")
    assert brief(await juliet.drain()) == [(romeo.jid, ""), (romeo.jid, "unavailable")]
    await romeo.disconnect()
    await juliet.expect_nothing()


async def test_subscriber_with_directed_presence_is_told_once(world: World) -> None:
    await friends(world)
    juliet = await world.client(f"{JULIET}/balcony", presence="<presence/>")
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    await romeo.send(f"<presence to='{juliet.jid}'/>")
    await juliet.drain()
    await romeo.disconnect()
    assert brief(await juliet.drain()) == [(romeo.jid, "unavailable")]


@pytest.mark.parametrize("how", ["lost", "unavailable"])
async def test_directed_presence_of_a_resource_never_available_ends_too(world: World, how: str) -> None:
    romeo = await world.client(f"{ROMEO}/orchard")
    juliet = await world.client(f"{JULIET}/balcony", presence="<presence/>")
    await romeo.send(f"<presence to='{JULIET}'/>")
    await juliet.drain()
    if how == "lost":
        await romeo.disconnect()
    else:
        await romeo.send("<presence type='unavailable'/>")
    assert brief(await juliet.drain()) == [(romeo.jid, "unavailable")]


async def test_who_says_goodbye_first_is_told_nothing(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    juliet = await world.client(f"{JULIET}/balcony", presence="<presence/>")
    await romeo.send(f"<presence to='{juliet.jid}'/>")
    await juliet.drain()
    await juliet.send(f"<presence to='{romeo.jid}' type='unavailable'/>")
    await romeo.disconnect()
    await juliet.expect_nothing()


async def test_directed_presence_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rfc_6121_presence, "MAX_DIRECTED", 2)
    romeo = await world.client(f"{ROMEO}/orchard")
    for name in ("a", "b", "a", "c"):
        await romeo.send(f"<presence to='{name}@example.org'/>")
    answer = await romeo.next_stanza()
    assert answer.from_ == "c@example.org"
    assert answer.element("jabber:client error").elements()[0].name == "policy-violation"
    await romeo.expect_nothing()


async def test_presence_to_the_own_account_reaches_its_resources(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    other = await world.client(f"{ROMEO}/street", presence="<presence/>")
    await romeo.drain()
    await romeo.send(f"<presence to='{ROMEO}'><show>dnd</show></presence>")
    for client in (romeo, other):
        await client.expect(f"<presence from='{romeo.jid}' to='{ROMEO}'><show>dnd</show></presence>")
    assert not romeo.resource.has_state(Directed)


# probes


async def probe(world: World, from_: str, to: str) -> list[tuple[str, str, str, bytes]]:
    """Send a probe from elsewhere; return (from, to, type, inner) of what comes back."""
    outside = Outside(world)
    await world.router.route(Presence(JID.parse(to), JID.parse(from_), "p", "probe"))
    return [(one.from_, one.to, one.type, one.inner) for one in outside.seen]


NURSE = "nurse@capulet.example"


async def test_probe_of_a_subscriber_gets_each_presence_as_it_was(world: World) -> None:
    await relate(world, ROMEO, NURSE, FROM)
    first = await world.client(f"{ROMEO}/a")
    Outside(world)
    await first.send("<presence id='1'><show>away</show></presence>")
    second = await world.client(f"{ROMEO}/b")
    await second.send("<presence id='2'/>")
    await world.client(f"{ROMEO}/c")
    assert await probe(world, NURSE, ROMEO) == [
        (first.jid, NURSE, "", b"<show>away</show>"),
        (second.jid, NURSE, "", b""),
    ]


async def test_probe_of_nobody_available_gets_unavailable(world: World) -> None:
    await relate(world, ROMEO, NURSE, BOTH)
    assert await probe(world, NURSE, ROMEO) == [(ROMEO, NURSE, "unavailable", b"")]


@pytest.mark.parametrize("state", [0, TO])
async def test_probe_of_a_stranger_gets_unsubscribed(world: World, state: int) -> None:
    await relate(world, ROMEO, NURSE, state)
    romeo = await world.client(f"{ROMEO}/orchard")
    Outside(world)
    await romeo.send("<presence/>")
    assert await probe(world, f"{NURSE}/room", ROMEO) == [(ROMEO, NURSE, "unsubscribed", b"")]
    assert await probe(world, NURSE, romeo.jid) == [(ROMEO, NURSE, "unsubscribed", b"")]


async def test_probe_of_a_resource_gets_mere_presence(world: World) -> None:
    await relate(world, ROMEO, NURSE, FROM)
    romeo = await world.client(f"{ROMEO}/orchard")
    Outside(world)
    await romeo.send("<presence><show>dnd</show></presence>")
    assert await probe(world, NURSE, romeo.jid) == [(romeo.jid, NURSE, "", b"")]
    assert await probe(world, NURSE, f"{ROMEO}/gone") == [(f"{ROMEO}/gone", NURSE, "unavailable", b"")]


async def test_probe_of_one_who_got_directed_presence_gets_mere_presence(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard")
    Outside(world)
    await romeo.send("<presence to='room@muc.example/Romeo'><show>dnd</show></presence>")
    assert await probe(world, "room@muc.example/Romeo", romeo.jid) == [(romeo.jid, "room@muc.example/Romeo", "", b"")]
    assert await probe(world, "other@muc.example", romeo.jid) == [(ROMEO, "other@muc.example", "unsubscribed", b"")]


async def test_account_may_probe_itself_and_strangers_learn_nothing(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    juliet = await world.client(f"{JULIET}/balcony", presence="<presence/>")
    await romeo.send(f"<presence type='probe' to='{ROMEO}'/>")
    assert brief(await romeo.drain()) == [(romeo.jid, "")]
    await romeo.send(f"<presence type='probe' to='{JULIET}'/>")
    await romeo.expect_nothing()
    await juliet.expect_nothing()


async def test_subscription_that_one_side_forgot_ends_at_the_next_probe(world: World) -> None:
    await relate(world, ROMEO, JULIET, TO)
    await world.client(f"{JULIET}/balcony", presence="<presence/>")
    romeo = await world.client(f"{ROMEO}/orchard")
    await romeo.send("<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>", "<presence/>")
    stanzas = await romeo.drain()
    assert (JULIET, "unsubscribed") in brief(stanzas)
    assert stanzas[-1].elements()[0].elements()[0].get("subscription") == "none"


# errors


async def test_error_reaches_the_resource_it_is_for_and_contacts_errors_reach_all(world: World) -> None:
    await relate(world, ROMEO, NURSE, 0)
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    for from_, to, arrives in [
        ("stranger@b.example", romeo.jid, True),
        (NURSE, ROMEO, True),
        ("stranger@b.example", ROMEO, False),
    ]:
        await world.router.route(Presence(JID.parse(to), JID.parse(from_), "e", "error"))
        assert brief(await romeo.drain()) == ([(from_, "error")] if arrives else [])


async def test_error_without_recipient_is_dropped(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    await romeo.send("<presence type='error'/>")
    await romeo.expect_nothing()


def test_breaking_the_bound_raises_before_anything_is_noted() -> None:
    class Resource:
        state_ = Directed({JID.parse(f"a{n}@b"): None for n in range(rfc_6121_presence.MAX_DIRECTED)})

        def state(self, _: type) -> Directed:
            return self.state_

    with pytest.raises(StanzaError):
        rfc_6121_presence.note_directed(Resource(), JID.parse("x@y"), is_available=True)  # type: ignore[arg-type]


async def test_presence_that_the_server_renews_is_seen_by_all_who_may(world: World) -> None:
    await friends(world)
    romeo = await world.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await world.client(f"{JULIET}/balcony", "<presence/>")
    await romeo.drain()
    renewed = Presence(None, romeo.jid, None, "", None, b"<x xmlns='urn:x'/>", ("urn:x x",))
    module = world.host().module(PresenceModule)
    await module.renew(romeo.stream.resource, renewed)
    for client in (juliet, romeo):
        (seen,) = await client.drain()
        assert seen.has("urn:x x") and seen.from_ == romeo.jid
    await romeo.send("<presence type='unavailable'/>")
    await juliet.drain()
    await module.renew(romeo.stream.resource, renewed)
    assert await juliet.drain() == [] and romeo.stream.resource.presence is None
