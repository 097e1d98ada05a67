"""Push beside rooms and bookmarks: who is woken of what is said in a room."""

from collections.abc import AsyncIterator

import pytest

from tests.support.chat import Phone, Timers
from tests.support.push.world import OURS, PushWorld
from tests.support.rooms import ROOM, admin, ask, configure, enter
from tests.support.world import Client

JULIET = "juliet@example.org"
ROOMS = ("xep_0045_muc", "xep_0191_blocking", "xep_0199_ping")
BOOKMARKS = ("xep_0049_private", "xep_0060_pubsub", "xep_0163_pep", "xep_0115_caps", "xep_0402_bookmarks")
ALWAYS = f"<settings xmlns='{OURS}' rooms='always'/>"


@pytest.fixture
async def push() -> AsyncIterator[PushWorld]:
    made = await PushWorld.create((*ROOMS, *BOOKMARKS))
    yield made
    await made.service.close()


@pytest.fixture
async def romeo(push) -> Client:
    """The owner of a room of which juliet is a member."""
    client = await push.world.client("romeo@example.org/orchard", "<presence/>")
    await enter(client, "Romeo")
    await configure(client, membersonly=True)
    await push.world.account(JULIET)
    await admin(client, f"jid='{JULIET}' affiliation='member'")
    return client


async def away(push: PushWorld, *requests: str) -> None:
    """Register juliet's phone, do what is asked, and leave."""
    phone = await push.world.client(f"{JULIET}/phone", "<presence/>")
    await push.register(phone)
    for request in requests:
        answer = await push.ask(phone, "set", request)
        assert answer.type == "result", answer.to_xml()
    await phone.close()


async def say(push: PushWorld, client: Client, text: str, more: str = "") -> None:
    await push.say(client, ROOM, f"<body>{text}</body>{more}", "groupchat")


async def test_absent_member_is_woken_by_mentions_alone_and_by_everything_if_they_want(push, romeo):
    await away(push)
    await say(push, romeo, "anybody here?")
    assert push.apns.sent == []
    await say(push, romeo, "juliet, are you there?")
    (sent,) = push.apns.sent
    assert (sent.conversation, sent.data["type"], sent.title) == (ROOM, "message", "")
    await away(push, ALWAYS)
    await say(push, romeo, "anybody here?")
    assert len(push.apns.sent) == 2


async def test_reserved_nickname_is_a_name(push, romeo):
    phone = await push.world.client(f"{JULIET}/phone", "<presence/>")
    form = (
        "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>"
        "<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#register</value></field>"
        "<field var='muc#register_roomnick'><value>Capulet</value></field></x></query>"
    )
    assert (await ask(phone, "set", form)).type == "result"
    await phone.close()
    await away(push)
    await say(push, romeo, "what says Capulet?")
    assert len(push.apns.sent) == 1


async def test_mention_by_reference_wakes(push, romeo):
    await away(push)
    await say(push, romeo, "you!", f"<reference xmlns='urn:xmpp:reference:0' type='mention' uri='xmpp:{JULIET}'/>")
    assert len(push.apns.sent) == 1


async def test_muted_room_wakes_nobody_even_by_name(push, romeo):
    await away(push, f"<settings xmlns='{OURS}' rooms='always'><chat jid='{ROOM}' wake='never'/></settings>")
    await say(push, romeo, "juliet!")
    assert push.apns.sent == []


async def test_bookmarks_rule_counts_and_goes_with_the_bookmark(push, romeo):
    def bookmark(rule: str) -> str:
        notify = f"<notify xmlns='urn:xmpp:notification-settings:1'><{rule}/></notify>"
        return (
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:bookmarks:1'>"
            f"<item id='{ROOM}'><conference xmlns='urn:xmpp:bookmarks:1'><extensions>{notify}</extensions></conference></item>"
            "</publish></pubsub>"
        )

    retract = (
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><retract node='urn:xmpp:bookmarks:1'>"
        f"<item id='{ROOM}'/></retract></pubsub>"
    )
    await away(push, bookmark("always"))
    await say(push, romeo, "anybody?")
    assert len(push.apns.sent) == 1
    await away(push, bookmark("never"))
    await say(push, romeo, "juliet?")
    assert len(push.apns.sent) == 1
    await away(push, retract)
    await say(push, romeo, "juliet?")
    assert len(push.apns.sent) == 2


async def test_who_is_in_the_room_sleeps_on_and_whose_connection_is_lost_is_woken(push, romeo):
    phone = await Phone.login(push.world, f"{JULIET}/phone")
    await push.register(phone.client)
    await push.ask(phone.client, "set", ALWAYS)
    await enter(phone.client, "Juliet")
    await say(push, romeo, "hello")
    assert push.apns.sent == []
    await phone.cut()
    await say(push, romeo, "still there?")
    assert len(push.apns.sent) == 1


async def test_inactive_client_in_a_room_is_woken_when_it_does_not_acknowledge(push, romeo):
    timers = Timers(push.world)
    phone = await Phone.login(push.world, f"{JULIET}/phone")
    await push.register(phone.client)
    await push.ask(phone.client, "set", ALWAYS)
    phone.h += 2
    await enter(phone.client, "Juliet")
    await phone.send("<inactive xmlns='urn:xmpp:csi:0'/>")
    phone.h = push.world.host().accounts[phone.jid.bare].resources["phone"].acks.sent
    await say(push, romeo, "one")
    await phone.ack()
    await timers.advance(11)
    await push.settle()
    assert push.apns.sent == []
    await say(push, romeo, "two")
    await timers.advance(11)
    await push.settle()
    assert len(push.apns.sent) == 1


async def test_subject_wakes_nobody(push, romeo):
    await away(push, ALWAYS)
    await push.say(romeo, ROOM, "<subject>roses</subject>", "groupchat")
    assert push.apns.sent == []


async def test_member_whose_account_is_not_in_memory_is_woken(push, romeo):
    await away(push)
    push.world.host().forget(push.world.host().accounts[next(j for j in push.world.host().accounts if j == JULIET)].jid)
    await say(push, romeo, "juliet?")
    assert len(push.apns.sent) == 1
