"""XEP-0191: Blocking Command."""

import pytest

from codec.jid import JID
from codec.stanza import IQ, Message, Presence, Stanza
from storage.interface import Commit, StorageFull
from storage.memory import MemoryBackend
from tests.modules.conftest import MakeWorld
from tests.support.world import Client, World
from xmppd.hooks import IQEvent, MessageEvent, PresenceEvent, iq_received, message_received, presence_received
from xmppd.modules.rfc_6121_presence import Directed
from xmppd.modules.rfc_6121_roster import FROM, TO, Contact, RosterModule
from xmppd.modules.xep_0191_blocking import BlockingModule, BlockList

MODULES = (
    "rfc_6121_roster",
    "rfc_6121_subscription",
    "rfc_6121_presence",
    "rfc_6121_message",
    "xep_0191_blocking",
    "xep_0199_ping",
)
NS = "urn:xmpp:blocking"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
ROMEO, JULIET = "romeo@example.org", "juliet@example.org"
LIST = f"<iq type='get' id='l'><blocklist xmlns='{NS}'/></iq>"
REFUSED = f"<error type='cancel'><not-acceptable xmlns='{STANZAS}'/><blocked xmlns='urn:xmpp:blocking:errors'/></error>"
UNAVAILABLE = f"<error type='cancel'><service-unavailable xmlns='{STANZAS}'/></error>"


def command(name: str, *jids: str) -> str:
    items = "".join(f"<item jid='{jid}'/>" for jid in jids)
    return f"<iq type='set' id='b'><{name} xmlns='{NS}'>{items}</{name}></iq>"


def brief(stanzas: list[Stanza]) -> list[tuple[str, str]]:
    return [(stanza.from_, stanza.type) for stanza in stanzas if stanza.kind == "presence"]


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(*MODULES)


async def friends(world: World, presence: str = "<presence/>") -> tuple[Client, Client]:
    """Return Romeo and Juliet, subscribed to each other and available."""
    for owner, contact in ((ROMEO, JULIET), (JULIET, ROMEO)):
        stored = Contact(TO | FROM, is_listed=True).encode()
        await world.host().module(RosterModule).stores["items"].update(owner, {contact: stored})
    romeo = await world.client(f"{ROMEO}/orchard", presence=presence)
    juliet = await world.client(f"{JULIET}/balcony", presence=presence)
    await romeo.drain()
    return romeo, juliet


# the list


async def test_list_is_empty_at_first_then_what_was_blocked(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard")
    await romeo.send(LIST)
    await romeo.expect(f"<iq type='result' id='l' to='{{romeo}}'><blocklist xmlns='{NS}'/></iq>")
    await romeo.send(command("block", "b@example.org", "A@example.org", "spam.example"))
    await romeo.drain()
    await romeo.send(LIST)
    items = "<item jid='a@example.org'/><item jid='b@example.org'/><item jid='spam.example'/>"
    await romeo.expect(f"<iq type='result' id='l' to='{{romeo}}'><blocklist xmlns='{NS}'>{items}</blocklist></iq>")


async def test_changes_are_pushed_to_resources_that_asked_for_the_list(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard")
    asked = await world.client(f"{ROMEO}/street")
    await asked.send(LIST)
    await asked.drain()
    for name, jids in (("block", ["a@b.example", "c@b.example"]), ("unblock", ["a@b.example"]), ("unblock", [])):
        await romeo.send(command(name, *jids))
        await romeo.expect(f"<iq type='result' id='b' to='{romeo.jid}'/>")
        items = "".join(f"<item jid='{jid}'/>" for jid in jids)
        await asked.expect(f"<iq type='set' id='*' to='{asked.jid}'><{name} xmlns='{NS}'>{items}</{name}></iq>")
    await romeo.expect_nothing()
    await romeo.send(LIST)
    await romeo.expect(f"<iq type='result' id='l' to='{romeo.jid}'><blocklist xmlns='{NS}'/></iq>")


@pytest.mark.parametrize(
    ("xml", "condition"),
    [
        (command("block"), "bad-request"),
        (f"<iq type='set' id='b'><block xmlns='{NS}'><item/></block></iq>", "bad-request"),
        (command("block", "@nowhere"), "bad-request"),
        (command("block", ROMEO), "not-allowed"),
        (command("block", f"{ROMEO}/street"), "not-allowed"),
        (command("block", "example.org"), "not-allowed"),
    ],
)
async def test_block_that_makes_no_sense_is_refused(world: World, xml: str, condition: str) -> None:
    romeo = await world.client(f"{ROMEO}/orchard")
    await romeo.send(xml)
    answer = await romeo.next_stanza()
    assert answer.element("jabber:client error").elements()[0].name == condition


async def test_list_has_its_limit(make_world: MakeWorld) -> None:
    world = await make_world(*MODULES, settings={"limits.blocked_jids": 2})
    romeo = await world.client(f"{ROMEO}/orchard")
    await romeo.send(command("block", "a@b", "c@b"))
    await romeo.send(command("block", "d@b"))
    answers = await romeo.drain()
    assert [answer.type for answer in answers] == ["result", "error"]
    assert answers[1].element("jabber:client error").elements()[0].name == "policy-violation"


async def test_list_outlives_the_server_and_empty_ones_are_shared(make_world: MakeWorld) -> None:
    backend = MemoryBackend()
    romeo = await (await make_world(*MODULES, backend=backend)).client(f"{ROMEO}/orchard")
    await romeo.send(command("block", JULIET))
    world = await make_world(*MODULES, backend=backend)
    romeo = await world.client(f"{ROMEO}/orchard")
    assert romeo.resource.account.part(BlockList).jids == {JULIET}
    await romeo.send(command("unblock"))
    juliet = await world.client(f"{JULIET}/balcony")
    assert romeo.resource.account.part(BlockList) is juliet.resource.account.part(BlockList)


@pytest.mark.parametrize("at_once", [True, False])
async def test_block_that_cannot_be_kept_is_refused(world: World, at_once: bool) -> None:
    romeo = await world.client(f"{ROMEO}/orchard")
    stores = world.host().module(BlockingModule).stores
    whole = stores["jids"]

    class Full:
        items = whole.items

        def update(self, *_: object) -> Commit:
            if at_once:
                raise StorageFull("no room")
            commit = Commit()
            commit.finish(StorageFull("no room"))
            return commit

    stores["jids"] = Full()
    await romeo.send(command("block", JULIET))
    answer = await romeo.next_stanza()
    assert answer.element("jabber:client error").elements()[0].name == "resource-constraint"
    assert romeo.resource.account.part(BlockList).jids == frozenset()


@pytest.mark.parametrize(
    ("blocked", "covered", "free"),
    [
        ("a@b/c", ["a@b/c"], ["a@b", "a@b/d", "b", "b/c"]),
        ("a@b", ["a@b", "a@b/c"], ["x@b", "b", "b/c"]),
        ("b/c", ["b/c", "a@b/c"], ["b", "b/d", "a@b", "a@b/d"]),
        ("b", ["b", "b/c", "a@b", "a@b/c"], ["x.b", "a@x.b"]),
    ],
)
def test_matching_goes_from_full_jid_to_domain(blocked: str, covered: list[str], free: list[str]) -> None:
    block_list = BlockList(frozenset((JID.parse(blocked),)))
    assert all(block_list.covers(JID.parse(jid)) for jid in covered)
    assert not any(block_list.covers(JID.parse(jid)) for jid in free)


# what passes


async def test_message_to_the_blocked_comes_back(world: World) -> None:
    romeo, juliet = await friends(world)
    await romeo.send(command("block", JULIET))
    await romeo.drain()
    await juliet.drain()
    await romeo.send(f"<message to='{juliet.jid}' type='chat' id='m'><body>Hi</body></message>")
    await romeo.expect(f"<message type='error' id='m' from='{{juliet}}' to='{{romeo}}'>{REFUSED}</message>")
    await romeo.send(f"<iq to='{juliet.jid}' type='get' id='q'><ping xmlns='urn:xmpp:ping'/></iq>")
    await romeo.expect(f"<iq type='error' id='q' from='{{juliet}}' to='{{romeo}}'>{REFUSED}</iq>")
    for type_ in ("subscribe", "unsubscribed", "probe", "unavailable"):
        await romeo.send(f"<presence to='{JULIET}' type='{type_}' id='p'/>")
        await romeo.expect(f"<presence type='error' id='p' from='{JULIET}' to='{{romeo}}'>{REFUSED}</presence>")
    await juliet.expect_nothing()


async def test_message_and_request_of_the_blocked_find_nobody(world: World) -> None:
    romeo, juliet = await friends(world)
    await romeo.send(command("block", JULIET))
    await romeo.drain()
    await juliet.drain()
    await juliet.send(f"<message to='{ROMEO}' type='chat' id='m'><body>Hi</body></message>")
    await juliet.expect(f"<message type='error' id='m' from='{ROMEO}' to='{{juliet}}'>{UNAVAILABLE}</message>")
    for to in (romeo.jid, ROMEO):
        await juliet.send(f"<iq to='{to}' type='get' id='q'><ping xmlns='urn:xmpp:ping'/></iq>")
        await juliet.expect(f"<iq type='error' id='q' from='{to}' to='{{juliet}}'>{UNAVAILABLE}</iq>")
    for type_ in ("probe", "subscribe", "unavailable"):
        await juliet.send(f"<presence to='{ROMEO}' type='{type_}'/>")
    await juliet.expect_nothing()
    await romeo.expect_nothing()


@pytest.mark.parametrize("type_", ["error", "groupchat"])
async def test_error_and_room_message_of_the_blocked_are_dropped(world: World, type_: str) -> None:
    romeo, juliet = await friends(world)
    await romeo.send(command("block", JULIET))
    await romeo.drain()
    await juliet.drain()
    await juliet.send(f"<message to='{romeo.jid}' type='{type_}'><body>Hi</body></message>")
    await juliet.expect_nothing()
    await romeo.expect_nothing()


async def test_answer_of_the_blocked_is_dropped(world: World) -> None:
    romeo, juliet = await friends(world)
    await romeo.send(command("block", JULIET))
    await romeo.drain()
    await juliet.drain()
    await juliet.send(f"<iq to='{romeo.jid}' type='result' id='q'/>")
    await romeo.expect_nothing()
    await juliet.expect_nothing()


async def test_own_resources_and_own_server_stay_reachable(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard")
    other = await world.client(f"{ROMEO}/street", presence="<presence/>")
    account = romeo.resource.account
    account.set_part(BlockList(frozenset(("example.org",))))
    await romeo.send("<iq to='example.org' type='get' id='q'><ping xmlns='urn:xmpp:ping'/></iq>")
    await romeo.expect(f"<iq type='result' id='q' from='example.org' to='{romeo.jid}'/>")
    await romeo.send(f"<message to='{other.jid}' type='chat'><body>Hi</body></message>")
    assert (await other.next_stanza()).kind == "message"


# presence


async def test_blocked_subscriber_sees_the_account_go_and_come_back(world: World) -> None:
    romeo, juliet = await friends(world, "<presence><show>chat</show></presence>")
    await romeo.send(command("block", JULIET))
    await juliet.expect(f"<presence type='unavailable' from='{{romeo}}' to='{JULIET}'/>")
    await romeo.send("<presence><show>dnd</show></presence>")
    await juliet.send("<presence><show>xa</show></presence>")
    await juliet.expect(f"<presence from='{{juliet}}' to='{JULIET}'><show>xa</show></presence>")
    await juliet.expect_nothing()
    assert all(from_ == romeo.jid for from_, _ in brief(await romeo.drain()))
    await romeo.send(command("unblock", JULIET))
    await juliet.expect(f"<presence from='{{romeo}}' to='{JULIET}'><show>dnd</show></presence>")
    assert (juliet.jid, "") in brief(await romeo.drain())


async def test_block_shows_nothing_to_who_saw_nothing(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", presence="<presence/>")
    juliet = await world.client(f"{JULIET}/balcony", presence="<presence/>")
    await romeo.send(command("block", JULIET), command("unblock"))
    await juliet.expect_nothing()


async def test_account_goes_once_whatever_items_cover_the_subscriber(world: World) -> None:
    romeo, juliet = await friends(world)
    await romeo.send(command("block", juliet.jid))
    await juliet.expect_nothing()  # the subscriber is the bare JID
    await romeo.send(command("block", JULIET))
    assert brief(await juliet.drain()) == [(romeo.jid, "unavailable")]
    await romeo.send(command("block", f"{JULIET}/other", JULIET))
    await juliet.expect_nothing()
    await romeo.send(command("unblock", f"{JULIET}/other"))
    await juliet.expect_nothing()


async def test_who_got_directed_presence_sees_it_end_once(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard")
    juliet = await world.client(f"{JULIET}/balcony", presence="<presence/>")
    await romeo.send(f"<presence to='{juliet.jid}'/>", "<presence to='nurse@example.org'/>")
    await juliet.drain()
    await romeo.send(command("block", JULIET))
    assert brief(await juliet.drain()) == [(romeo.jid, "unavailable")]
    assert list(romeo.resource.state(Directed).targets) == ["nurse@example.org"]
    await romeo.disconnect()
    await juliet.expect_nothing()


async def test_new_session_of_either_side_shows_nothing_to_the_other(world: World) -> None:
    romeo, juliet = await friends(world)
    await romeo.send(command("block", JULIET))
    await juliet.drain()
    again = await world.client(f"{ROMEO}/street")
    await again.send("<presence/>")
    assert juliet.jid not in [from_ for from_, _ in brief(await again.drain())]
    await juliet.expect_nothing()
    hers = await world.client(f"{JULIET}/garden")
    await hers.send("<presence/>")
    assert {JID.parse(from_).bare for from_, _ in brief(await hers.drain())} == {JULIET}


async def test_stanzas_without_sender_pass(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard")
    account = romeo.resource.account
    account.set_part(BlockList(frozenset((JULIET,))))
    host = world.host()
    message = MessageEvent(Message(romeo.jid, None, None, "headline"), recipient=account)
    assert host.run_filter(message_received, message) is message
    iq = IQEvent(IQ(romeo.jid, None, "i", "get"), account)
    assert host.run_filter(iq_received, iq) is iq
    presence = PresenceEvent(Presence(romeo.jid, None, None, ""), account)
    assert await host.run_filter_waiting(presence_received, presence) is presence


async def test_lists_come_out_of_files_as_far_as_blocking_can_say_them(make_world, tmp_path) -> None:
    from tests.support.files import MODULES, export_text, import_text, user

    world = await make_world(*MODULES)
    item = "<item type='{}' value='{}' action='{}' order='{}'>{}</item>"
    default = "".join(
        item.format(*one)
        for one in (
            ("jid", "tybalt@example.com", "deny", 1, ""),
            ("jid", "example.net", "deny", 2, "<message/><iq/><presence-in/><presence-out/>"),
            ("jid", "paris@example.com", "deny", 3, "<message/>"),
            ("subscription", "none", "deny", 4, ""),
            ("jid", "@", "deny", 5, ""),
            ("jid", "juliet@example.org", "deny", 6, ""),
        )
    )
    lists = f"<default name='a'/><list name='a'>{default}<item action='allow' order='7'/></list><list name='b'/>"
    summary = await import_text(world, tmp_path, user(f"<query xmlns='jabber:iq:privacy'>{lists}</query>"))
    assert len(summary.problems) == 4
    ours = "<blocklist xmlns='urn:xmpp:blocking'><item jid='rosaline@example.com'/></blocklist>"
    assert (await import_text(world, tmp_path, user(ours), may_merge=True)).problems == []
    text = await export_text(world)
    assert [one for one in ("tybalt", "value='example.net'", "paris", "rosaline", "juliet@") if one in text] == [
        "tybalt",
        "value='example.net'",
        "rosaline",
    ]
    assert "<default name='blocked'/><list name='blocked'>" in text
