"""RFC 6121 §3 and Appendix A: subscriptions."""

from collections.abc import Coroutine
from typing import Any

import pytest

from codec.jid import JID
from codec.stanza import Presence, Stanza
from storage.interface import Commit, StorageFull
from storage.memory import MemoryBackend
from tests.modules.conftest import MakeWorld
from tests.support.world import Client, World
from xmppd.hooks import AccountEvent, account_deleted
from xmppd.modules import rfc_6121_subscription
from xmppd.modules.rfc_6121_roster import FROM, PENDING_IN, PENDING_OUT, TO, Contact, RosterModule

MODULES = ("rfc_6121_roster", "rfc_6121_subscription", "rfc_6121_presence")
JULIET = JID.parse("juliet@example.org")
ROSTER = "<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>"

NAMES = {
    "None": 0,
    "None + Pending Out": PENDING_OUT,
    "None + Pending In": PENDING_IN,
    "None + Pending Out+In": PENDING_OUT | PENDING_IN,
    "To": TO,
    "To + Pending In": TO | PENDING_IN,
    "From": FROM,
    "From + Pending Out": FROM | PENDING_OUT,
    "Both": TO | FROM,
}

# Tables 2 to 9 of Appendix A, row by row: whether the stanza is routed or delivered, and the new state ("" for no change).
OUTBOUND = {
    "subscribe": [
        (True, "None + Pending Out"),
        (True, ""),
        (True, "None + Pending Out+In"),
        (True, ""),
        (True, ""),
        (True, ""),
        (True, "From + Pending Out"),
        (True, ""),
        (True, ""),
    ],
    "unsubscribe": [
        (True, ""),
        (True, "None"),
        (True, ""),
        (True, "None + Pending In"),
        (True, "None"),
        (True, "None + Pending In"),
        (True, ""),
        (True, "From"),
        (True, "From"),
    ],
    "subscribed": [
        (False, ""),
        (False, ""),
        (True, "From"),
        (True, "From + Pending Out"),
        (False, ""),
        (True, "Both"),
        (False, ""),
        (False, ""),
        (False, ""),
    ],
    "unsubscribed": [
        (False, ""),
        (False, ""),
        (True, "None"),
        (True, "None + Pending Out"),
        (False, ""),
        (True, "To"),
        (True, "None"),
        (True, "None + Pending Out"),
        (True, "To"),
    ],
}
INBOUND = {
    "subscribe": [
        (True, "None + Pending In"),
        (True, "None + Pending Out+In"),
        (False, ""),
        (False, ""),
        (True, "To + Pending In"),
        (False, ""),
        (False, ""),
        (False, ""),
        (False, ""),
    ],
    "unsubscribe": [
        (False, ""),
        (False, ""),
        (True, "None"),
        (True, "None + Pending Out"),
        (False, ""),
        (True, "To"),
        (True, "None"),
        (True, "None + Pending Out"),
        (True, "To"),
    ],
    "subscribed": [
        (False, ""),
        (True, "To"),
        (False, ""),
        (True, "To + Pending In"),
        (False, ""),
        (False, ""),
        (False, ""),
        (True, "Both"),
        (False, ""),
    ],
    "unsubscribed": [
        (False, ""),
        (True, "None"),
        (False, ""),
        (True, "None + Pending In"),
        (True, "None"),
        (True, "None + Pending In"),
        (False, ""),
        (True, "From"),
        (True, "From"),
    ],
}


def rows(table: dict[str, list[tuple[bool, str]]]) -> list[tuple[str, str, bool, str]]:
    return [
        (type_, before, goes_on, after or before)
        for type_, cells in table.items()
        for before, (goes_on, after) in zip(NAMES, cells, strict=True)
    ]


class Spy:
    """Sees what the server sends on, in the place of the router."""

    def __init__(self, world: World) -> None:
        self.seen: list[Stanza] = []
        self.router = world.router
        world.shared.route = self

    def __call__(self, stanza: Stanza) -> Coroutine[Any, Any, None] | None:
        self.seen.append(stanza)
        return None


async def prepare(world: World, state: int, is_listed: bool = True, **fields: Any) -> Client:
    """Return Romeo, available and interested, whose roster has Juliet in that state."""
    romeo = await world.client("romeo@example.org/orchard", presence="<presence><show>chat</show></presence>")
    await romeo.send(ROSTER)
    await romeo.drain()
    account = romeo.resource.account
    rosters = world.host().module(RosterModule)
    roster = await rosters.roster(account)
    if state or is_listed:
        await rosters.change(account, roster, JULIET, Contact(state, is_listed=is_listed, **fields))
    await romeo.drain()
    return romeo


async def state_of(world: World, owner: str, contact: str) -> Contact:
    """Return what is stored of a contact."""
    stored = await world.host().module(RosterModule).stores["items"].get(owner, contact)
    return Contact() if stored is None else Contact.decode(stored)


def pushes(stanzas: list[Stanza]) -> list[dict[str, str]]:
    """Return the attributes of pushed items, the version aside."""
    return [
        dict(stanza.elements()[0].elements()[0].attrs)
        for stanza in stanzas
        if stanza.kind == "iq" and stanza.type == "set"
    ]


def types(stanzas: list[Stanza]) -> list[str]:
    return [stanza.type for stanza in stanzas if stanza.kind == "presence"]


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(*MODULES)


@pytest.mark.parametrize(("type_", "before", "goes_on", "after"), rows(OUTBOUND))
async def test_outbound_presence_moves_as_appendix_a_says(
    world: World, type_: str, before: str, goes_on: bool, after: str
) -> None:
    romeo = await prepare(world, NAMES[before])
    spy = Spy(world)
    await romeo.send(f"<presence type='{type_}' to='juliet@example.org/balcony' id='x'><status>hm</status></presence>")
    contact = await state_of(world, "romeo@example.org", JULIET)
    assert contact.state == NAMES[after]
    sent = [stanza for stanza in spy.seen if stanza.type == type_]
    assert [(one.from_, one.to, one.id, one.inner) for one in sent] == (
        [("romeo@example.org", JULIET, "x", b"<status>hm</status>")] if goes_on else []
    )
    pre_approves = type_ == "subscribed" and before in ("None", "None + Pending Out", "To")
    assert contact.approved == pre_approves
    shown_before, shown_after = NAMES[before] & ~PENDING_IN, NAMES[after] & ~PENDING_IN
    assert len(pushes(await romeo.drain())) == int(shown_before != shown_after or pre_approves)
    others = [stanza.type for stanza in spy.seen if stanza.type != type_]
    lost, gained = NAMES[before] & ~NAMES[after] & FROM, NAMES[after] & ~NAMES[before] & FROM
    assert others == ["unavailable"] * bool(lost) + [""] * bool(gained)
    if lost:
        assert types(spy.seen) == ["unavailable", "unsubscribed"]  # while she is still subscribed (§3.2.2)


@pytest.mark.parametrize(("type_", "before", "goes_on", "after"), rows(INBOUND))
async def test_inbound_presence_moves_as_appendix_a_says(
    world: World, type_: str, before: str, goes_on: bool, after: str
) -> None:
    romeo = await prepare(world, NAMES[before])
    spy = Spy(world)
    presence = Presence(JID.parse("romeo@example.org"), JULIET, "x", type_, None, b"<status>hm</status>")
    await spy.router.route(presence)
    assert (await state_of(world, "romeo@example.org", JULIET)).state == NAMES[after]
    stanzas = await romeo.drain()
    assert [(one.type, one.to, one.from_, one.inner) for one in stanzas if one.kind == "presence"] == (
        [(type_, "romeo@example.org", JULIET, b"<status>hm</status>")] if goes_on else []
    )
    changes = (NAMES[before] & ~PENDING_IN) != (NAMES[after] & ~PENDING_IN)
    assert len(pushes(stanzas)) == int(changes)
    assert not changes or stanzas[-1].kind == "iq"  # the push comes behind what it is about (§3.1.6)
    answers = [stanza.type for stanza in spy.seen]
    if type_ == "subscribe" and NAMES[before] & FROM:
        assert answers == ["subscribed", ""]
        assert (spy.seen[0].id, spy.seen[0].from_, spy.seen[0].to) == ("x", "romeo@example.org", JULIET)
    elif type_ == "unsubscribe" and goes_on:
        assert answers == ["unavailable"] * bool(NAMES[before] & FROM) + ["unsubscribed"]
    else:
        assert answers == []


def test_tables_cover_every_state_and_type() -> None:
    assert len(rfc_6121_subscription.steps(rfc_6121_subscription.TABLE)) == 72 == len(rows(OUTBOUND) + rows(INBOUND))


# the whole way, between two accounts of this server


async def couple(world: World) -> tuple[Client, Client]:
    """Return Romeo and Juliet, both available and interested."""
    clients = []
    for name in ("romeo@example.org/orchard", "juliet@example.org/balcony"):
        client = await world.client(name, presence="<presence/>")
        await client.send(ROSTER)
        await client.drain()
        clients.append(client)
    return clients[0], clients[1]


async def befriend(world: World) -> tuple[Client, Client]:
    """Return both, subscribed to each other."""
    romeo, juliet = await couple(world)
    await romeo.send("<presence type='subscribe' to='juliet@example.org'/>")
    await juliet.send("<presence type='subscribed' to='romeo@example.org'/>")
    await juliet.send("<presence type='subscribe' to='romeo@example.org'/>")
    await romeo.send("<presence type='subscribed' to='juliet@example.org'/>")
    await romeo.drain()
    await juliet.drain()
    return romeo, juliet


async def test_request_and_approval_between_two_accounts(world: World) -> None:
    romeo, juliet = await couple(world)
    await romeo.send(
        "<presence type='subscribe' to='juliet@example.org' id='s1'>"
        "<nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick></presence>"
    )
    await juliet.expect(
        "<presence type='subscribe' from='romeo@example.org' to='juliet@example.org' id='s1'>"
        "<nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick></presence>"
    )
    await juliet.expect_nothing()
    assert pushes(await romeo.drain()) == [{"jid": JULIET, "subscription": "none", "ask": "subscribe"}]
    await juliet.send("<presence type='subscribed' to='romeo@example.org'/>")
    assert pushes(await juliet.drain()) == [{"jid": "romeo@example.org", "subscription": "from"}]
    await romeo.expect("<presence type='subscribed' from='juliet@example.org' to='romeo@example.org'/>")
    stanzas = await romeo.drain()
    assert pushes(stanzas[:1]) == [{"jid": JULIET, "subscription": "to"}]
    assert [(stanza.type, stanza.from_) for stanza in stanzas[1:]] == [("", juliet.jid)]


async def test_denied_request_leaves_the_contact_without_subscription(world: World) -> None:
    romeo, juliet = await couple(world)
    await romeo.send("<presence type='subscribe' to='juliet@example.org'/>")
    await romeo.drain()
    await juliet.send("<presence type='unsubscribed' to='romeo@example.org'/>")
    await romeo.expect("<presence type='unsubscribed' from='juliet@example.org' to='romeo@example.org'/>")
    assert pushes(await romeo.drain()) == [{"jid": JULIET, "subscription": "none"}]
    assert (await world.host().module(RosterModule).stores["items"].items("juliet@example.org")) == {}


async def test_cancelled_subscription_shows_unavailable_to_the_other(world: World) -> None:
    romeo, juliet = await befriend(world)
    await romeo.send("<presence type='unsubscribed' to='juliet@example.org'/>")
    await juliet.expect("<presence type='unavailable' from='{romeo}' to='juliet@example.org'/>")
    await juliet.expect("<presence type='unsubscribed' from='romeo@example.org' to='juliet@example.org'/>")
    assert pushes(await juliet.drain()) == [{"jid": "romeo@example.org", "subscription": "from"}]
    assert pushes(await romeo.drain()) == [{"jid": JULIET, "subscription": "to"}]
    await romeo.send("<presence><show>away</show></presence>")
    await juliet.expect_nothing()


async def test_removed_contact_is_parted_from_both_ways(world: World) -> None:
    romeo, juliet = await befriend(world)
    await romeo.send(
        "<iq type='set' id='r'><query xmlns='jabber:iq:roster'>"
        "<item jid='juliet@example.org' subscription='remove'/></query></iq>"
    )
    stanzas = await romeo.drain()
    assert pushes(stanzas) == [{"jid": JULIET, "subscription": "remove"}]
    assert types(stanzas) == ["unavailable"]  # hers, for she is subscribed to no more
    stanzas = await juliet.drain()
    assert types(stanzas) == ["unavailable", "unsubscribe", "unsubscribed"]
    assert pushes(stanzas)[-1] == {"jid": "romeo@example.org", "subscription": "none"}
    assert (await state_of(world, "juliet@example.org", "romeo@example.org")).state == 0
    assert "juliet@example.org" not in await world.host().module(RosterModule).stores["items"].items(
        "romeo@example.org"
    )


async def test_request_waits_for_each_new_client_until_it_is_answered(world: World) -> None:
    await world.account("juliet@example.org")
    romeo = await world.client("romeo@example.org/orchard")
    for _ in range(2):
        await romeo.send(
            "<presence type='subscribe' to='juliet@example.org' id='s1'><status>It is I</status></presence>"
        )
    first = await world.client("juliet@example.org/balcony")
    await first.expect_nothing()
    for resource in ("chamber", "garden"):
        juliet = await world.client(f"juliet@example.org/{resource}")
        await juliet.send("<presence/>")
        requests = [stanza.to_xml() for stanza in await juliet.drain() if stanza.type == "subscribe"]
        assert requests == [
            b"<presence from='romeo@example.org' to='juliet@example.org' id='s1' type='subscribe'>"
            b"<status>It is I</status></presence>"
        ]
        await juliet.send("<presence><show>dnd</show></presence>")
        assert "subscribe" not in types(await juliet.drain())
    await juliet.send("<presence type='unsubscribed' to='romeo@example.org'/>")
    last = await world.client("juliet@example.org/tomb")
    await last.send("<presence/>")
    assert "subscribe" not in types(await last.drain())


async def test_unanswered_request_outlives_the_server_and_no_client_sees_it_in_the_roster(
    make_world: MakeWorld,
) -> None:
    backend = MemoryBackend()
    world = await make_world(*MODULES, backend=backend)
    await world.account("juliet@example.org")
    romeo = await world.client("romeo@example.org/orchard")
    await romeo.send(
        "<presence type='subscribe' to='juliet@example.org' xml:lang='it' xmlns:n='urn:n'><n:nick>Ròmeo</n:nick></presence>"
    )
    world = await make_world(*MODULES, backend=backend)
    juliet = await world.client("juliet@example.org/balcony")
    await juliet.send(ROSTER)
    await juliet.expect("<iq type='result' id='g' to='{juliet}'><query xmlns='jabber:iq:roster' ver='0'/></iq>")
    await juliet.send("<presence/>")
    request = next(stanza for stanza in await juliet.drain() if stanza.type == "subscribe")
    assert request.lang == "it" and request.tags == ("urn:n nick",)
    assert request.elements()[0].text == "Ròmeo"


async def test_long_request_is_kept_without_its_words(world: World) -> None:
    await world.account("juliet@example.org")
    romeo = await world.client("romeo@example.org/orchard")
    await romeo.send(f"<presence type='subscribe' to='juliet@example.org'><status>{'x' * 5000}</status></presence>")
    contact = await state_of(world, "juliet@example.org", "romeo@example.org")
    assert contact.request is not None and contact.request.inner == ""


async def test_requests_of_strangers_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rfc_6121_subscription, "MAX_REQUESTS", 2)
    await world.account("juliet@example.org")
    for name in ("a", "b", "c"):
        client = await world.client(f"{name}@example.org/x")
        await client.send("<presence type='subscribe' to='juliet@example.org'/>")
    stored = await world.host().module(RosterModule).stores["items"].items("juliet@example.org")
    assert sorted(stored) == ["a@example.org", "b@example.org"]
    juliet = await world.client("juliet@example.org/balcony")
    await juliet.send("<presence type='subscribe' to='c@example.org'/>")
    await client.send("<presence type='subscribe' to='juliet@example.org'/>")
    assert (await state_of(world, "juliet@example.org", "c@example.org")).state == PENDING_OUT | PENDING_IN


async def test_approval_given_beforehand_is_shown_and_answers_the_request(world: World) -> None:
    romeo, juliet = await couple(world)
    await juliet.send("<presence type='subscribed' to='romeo@example.org'/>")
    assert pushes(await juliet.drain()) == [{"jid": "romeo@example.org", "subscription": "none", "approved": "true"}]
    await romeo.expect_nothing()
    await romeo.send("<presence type='subscribe' to='juliet@example.org' id='s1'/>")
    stanzas = await romeo.drain()
    assert types(stanzas) == ["subscribed", ""]
    assert pushes(stanzas) == [
        {"jid": JULIET, "subscription": "none", "ask": "subscribe"},
        {"jid": JULIET, "subscription": "to"},
    ]
    stanzas = await juliet.drain()
    assert types(stanzas) == []
    assert pushes(stanzas) == [{"jid": "romeo@example.org", "subscription": "from", "approved": "true"}]


async def test_approval_given_beforehand_can_be_taken_back(world: World) -> None:
    romeo, juliet = await couple(world)
    await juliet.send("<presence type='subscribed' to='romeo@example.org'/>")
    await juliet.send("<presence type='unsubscribed' to='romeo@example.org'/>")
    assert pushes(await juliet.drain())[-1] == {"jid": "romeo@example.org", "subscription": "none"}
    await romeo.expect_nothing()
    await romeo.send("<presence type='subscribe' to='juliet@example.org'/>")
    assert types(await juliet.drain()) == ["subscribe"]


async def test_request_of_a_listed_contact_is_not_pushed(world: World) -> None:
    await prepare(world, 0)
    juliet = await world.client("juliet@example.org/balcony")
    await juliet.send("<presence type='subscribe' to='romeo@example.org'/>")
    contact = await state_of(world, "romeo@example.org", JULIET)
    assert contact.is_listed and contact.state == PENDING_IN


async def test_nobody_subscribes_to_themselves(world: World) -> None:
    romeo = await prepare(world, 0)
    await romeo.send("<presence type='subscribe' to='romeo@example.org'/>")
    await romeo.expect_nothing()


async def test_roster_that_is_full_takes_no_subscription(make_world: MakeWorld) -> None:
    world = await make_world(*MODULES, settings={"limits.roster_items": 1})
    romeo = await prepare(world, 0)
    await romeo.send("<presence type='subscribe' to='nurse@example.org' id='s'/>")
    answer = await romeo.next_stanza()
    assert answer.type == "error" and answer.from_ == "nurse@example.org" and answer.id == "s"
    await romeo.send("<presence type='subscribe' to='juliet@example.org' id='s'/>")
    assert "error" not in types(await romeo.drain())


@pytest.mark.parametrize("type_", ["subscribed", "unsubscribe", "unsubscribed"])
async def test_answer_to_a_resource_that_is_not_there_is_ignored(world: World, type_: str) -> None:
    await prepare(world, FROM | PENDING_OUT)
    await world.router.route(Presence(JID.parse("romeo@example.org/gone"), JULIET, None, type_))
    assert (await state_of(world, "romeo@example.org", JULIET)).state == FROM | PENDING_OUT


async def test_request_to_a_resource_is_for_the_account(world: World) -> None:
    romeo = await prepare(world, 0, is_listed=False)
    await world.router.route(Presence(JID.parse("romeo@example.org/gone"), JULIET, None, "subscribe"))
    await romeo.expect("<presence type='subscribe' from='juliet@example.org' to='romeo@example.org'/>")


async def test_request_that_cannot_be_kept_is_refused(world: World) -> None:
    romeo = await prepare(world, 0)
    rosters = world.host().module(RosterModule)

    class Full:
        def update(self, *_: object) -> Commit:
            raise StorageFull("no room")

    rosters.stores["items"] = Full()
    await romeo.send("<presence type='subscribe' to='juliet@example.org' id='s'/>")
    answer = await romeo.next_stanza()
    assert answer.element("jabber:client error").elements()[0].name == "resource-constraint"
    assert romeo.resource.account.loaded_part(type(await rosters.roster(romeo.resource.account))).get(JULIET).state == 0


async def test_account_that_goes_away_leaves_all_its_contacts(world: World) -> None:
    romeo, juliet = await befriend(world)
    await world.account("nurse@example.org")
    await romeo.send("<presence type='subscribe' to='nurse@example.org'/>")
    await romeo.drain()
    await world.host().signal_waiting(account_deleted, AccountEvent(JID.parse("romeo@example.org")))
    stanzas = await juliet.drain()
    assert types(stanzas) == ["unavailable", "unsubscribe", "unsubscribed"]
    assert pushes(stanzas)[-1] == {"jid": "romeo@example.org", "subscription": "none"}
    items = world.host().module(RosterModule).stores["items"]
    assert await items.items("romeo@example.org") == {}
    assert "romeo@example.org" not in await items.items("nurse@example.org")
