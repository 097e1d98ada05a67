"""XEP-0357: who registers, and who is woken of what."""

from collections.abc import AsyncIterator

import pytest

from codec.jid import JID
from codec.stanza import Message
from push.gateway import Kind
from storage.interface import StorageFull
from tests.support.chat import SM, Phone, Timers
from tests.support.push.world import APP_SERVER, OURS, PUSH, PushWorld
from xmppd import accounts
from xmppd.hooks import ClientsEvent, clients_ended

JULIET = "juliet@example.org"
ROMEO = "romeo@example.org"
OPTIONS = (
    "<x xmlns='jabber:x:data'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
    "<field var='secret'><value>s3cret</value></field></x>"
)
OMEMO = (
    "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'><iv>AA==</iv></header>{payload}</encrypted>"
    "<body>I sent you an OMEMO message</body>"
)


def enable(node: str = "n1", jid: str = APP_SERVER, inner: str = "") -> str:
    return f"<enable xmlns='{PUSH}' jid='{jid}' node='{node}'>{inner}</enable>"


@pytest.fixture
async def push() -> AsyncIterator[PushWorld]:
    made = await PushWorld.create()
    yield made
    await made.service.close()


async def away(push: PushWorld, gateway: str = "apns", **more: str) -> str:
    """Register a device for juliet, who then leaves; return its id."""
    juliet = await push.world.client(f"{JULIET}/phone", "<presence/>")
    key = await push.register(juliet, gateway, **more)
    await juliet.close()
    return key


async def register(push: PushWorld, phone: Phone) -> None:
    """Register a device of a client that counts."""
    await push.register(phone.client)
    phone.h += 1  # the answer


async def romeo(push: PushWorld):
    return await push.world.client(f"{ROMEO}/orchard", "<presence/>")


async def use(push: PushWorld, xml: str, jid: str = f"{JULIET}/phone"):
    """Have juliet do something, and leave; return the answer."""
    juliet = await push.world.client(jid, "<presence/>")
    answer = await push.ask(juliet, "set", xml)
    await juliet.close()
    return answer


def condition(answer) -> str:
    return answer.element("jabber:client error").elements()[0].name


def summary(iq) -> dict[str, str]:
    """Return the summary of a notification that came to the app server."""
    (pubsub,) = iq.elements()
    form = pubsub.elements()[0].elements()[0].elements()[0].elements()
    return {field.get("var"): field.elements()[0].text for field in form[0].elements()} if form else {}


# registrations of app servers


async def test_message_to_absent_account_is_published_at_its_app_server(push):
    assert (await use(push, enable(inner=OPTIONS))).type == "result"
    await push.say(await romeo(push), JULIET)
    (iq,) = push.published
    assert (iq.type, iq.from_, iq.to) == ("set", JULIET, APP_SERVER)
    pubsub = iq.elements()[0]
    publish, options = pubsub.elements()
    assert publish.get("node") == "n1" and publish.elements()[0].elements()[0].tag == f"{PUSH} notification"
    assert b"s3cret" in options.to_xml()
    assert summary(iq) == {
        "FORM_TYPE": "urn:xmpp:push:summary",
        "message-count": "1",
        "last-message-body": "New message",
    }


async def test_notification_without_summary_is_empty():
    push = await PushWorld.create(settings={"push.app_server_summary": False})
    await use(push, enable())
    await push.say(await romeo(push), JULIET)
    assert summary(push.published[0]) == {}
    await push.service.close()


async def test_disabling_ends_one_node_or_all(push):
    await use(push, enable("n1"))
    await use(push, enable("n2"))
    await use(push, f"<disable xmlns='{PUSH}' jid='{APP_SERVER}' node='n1'/>")
    await push.say(await romeo(push), JULIET)
    assert [iq.elements()[0].elements()[0].get("node") for iq in push.published] == ["n2"]
    await use(push, f"<disable xmlns='{PUSH}' jid='{APP_SERVER}'/>")
    await push.say(await push.world.client(f"{ROMEO}/2", "<presence/>"), JULIET)
    assert len(push.published) == 1


async def test_enabling_again_takes_the_last_options(push):
    await use(push, enable(inner=OPTIONS))
    await use(push, enable(inner=OPTIONS.replace("s3cret", "other")))
    await push.say(await romeo(push), JULIET)
    (iq,) = push.published
    assert b"other" in iq.to_xml() and b"s3cret" not in iq.to_xml()


async def test_final_error_disables_and_a_passing_one_is_tried_again(push):
    await use(push, enable())
    wait = "<error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    cancel = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    push.app_server.answers = [wait, cancel]
    sender = await romeo(push)
    await push.say(sender, JULIET)
    assert len(push.wakings(JULIET).registrations) == 1
    push.world.clock.advance(2)
    await push.say(sender, JULIET)
    assert len(push.published) == 2
    assert not push.wakings(JULIET).registrations
    assert not push.module.registrar.has_devices(JULIET)
    await push.say(sender, JULIET)
    assert len(push.published) == 2


async def test_app_server_that_takes_no_more_is_disabled(push):
    await use(push, enable())
    inner = f"<pubsub xmlns='http://jabber.org/protocol/pubsub' node='n1'><affiliation jid='{JULIET}' affiliation='none'/></pubsub>"
    message = Message(JID.parse(JULIET), JID.parse(APP_SERVER), None, "normal").adding_raw(
        inner.encode(), "http://jabber.org/protocol/pubsub pubsub"
    )
    await push.world.host().send(message)
    await push.settle()
    assert not push.wakings(JULIET).registrations


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        (f"<enable xmlns='{PUSH}' node='n'/>", "bad-request"),
        (enable(jid="@@"), "jid-malformed"),
        (enable(jid="example.org"), "not-allowed"),
        (enable(jid=ROMEO), "not-allowed"),
        (enable("n" * 1001), "policy-violation"),
        (enable(inner="<x xmlns='jabber:x:data'/>"), "bad-request"),
        (enable(inner=OPTIONS.replace("s3cret", "s" * 4000)), "policy-violation"),
        (f"<disable xmlns='{PUSH}' jid='@@'/>", "jid-malformed"),
    ],
)
async def test_enabling_that_cannot_be_is_refused(push, xml, expected):
    assert condition(await use(push, xml)) == expected
    assert not push.wakings(JULIET).registrations


async def test_only_allowed_app_servers_may_be_named():
    push = await PushWorld.create(settings={"push.app_servers": ["good.example"]})
    assert condition(await use(push, enable())) == "not-allowed"
    assert (await use(push, enable(jid="good.example"))).type == "result"
    await push.service.close()


async def test_too_many_registrations_are_refused_with_a_reason():
    push = await PushWorld.create(settings={"push.max_devices": 3})
    answers = [await use(push, enable(f"n{number}")) for number in range(4)]
    assert [answer.type for answer in answers] == ["result"] * 3 + ["error"]
    assert condition(answers[3]) == "resource-constraint"
    assert "at most 3" in answers[3].element("jabber:client error").elements()[1].text
    assert (await use(push, enable("n1"))).type == "result"
    await push.service.close()


async def test_registering_all_the_time_is_refused():
    push = await PushWorld.create(settings={"push.registrations_per_hour": 2, "push.max_devices": 100})
    answers = [await use(push, enable(f"n{number}")) for number in range(4)]
    assert [answer.type for answer in answers] == ["result"] * 2 + ["error"] * 2
    push.world.clock.advance(1801)
    assert (await use(push, enable("n9"))).type == "result"
    await push.service.close()


async def test_nobody_else_can_register_for_an_account(push):
    await push.world.client(f"{JULIET}/phone", "<presence/>")
    other = await romeo(push)
    await other.send(f"<iq type='set' id='e' to='{JULIET}'>{enable()}</iq>")
    assert (await other.next_stanza()).type == "error"
    await push.settle()
    assert not push.wakings(JULIET).registrations


async def test_account_offers_push(push):
    juliet = await push.world.client(f"{JULIET}/phone", "<presence/>")
    answer = await push.ask(juliet, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
    assert {PUSH, OURS} <= {one.get("var") for one in answer.elements()[0].elements()}


async def test_registrations_outlive_a_restart_and_go_with_the_account(push):
    await away(push)
    again = await PushWorld.create(backend=push.world.shared.backend)
    await again.say(await romeo(again), JULIET)
    assert len(again.apns.sent) == 1
    await accounts.remove(again.world.host(), JID.parse(JULIET))
    assert not again.module.registrar.has_devices(JULIET)
    assert await again.world.shared.backend.map("push.registrations").items(JULIET) == {}
    await again.service.close()


async def test_client_that_loses_its_access_is_woken_no_more(push):
    await away(push)
    host = push.world.host()
    await host.signal_waiting(clients_ended, ClientsEvent(JID.parse(JULIET), ("other",), ("desk",)))
    assert push.wakings(JULIET).registrations
    await host.signal_waiting(clients_ended, ClientsEvent(JID.parse(JULIET), (), ("phone",)))
    assert not push.wakings(JULIET).registrations


async def test_request_of_somebody_who_may_see_already_wakes_nobody(push):
    await away(push)
    sender = await romeo(push)
    juliet = await push.world.client(f"{JULIET}/desk", "<presence><show>away</show></presence>")
    await sender.send(f"<presence type='subscribe' to='{JULIET}'/>")
    await juliet.send(f"<presence type='subscribed' to='{ROMEO}'/>")
    await push.settle()
    assert len(push.apns.sent) == 1
    await sender.send(f"<presence type='subscribe' to='{JULIET}'/>")
    await push.settle()
    assert len(push.apns.sent) == 1


# who is woken


async def test_device_of_absent_account_is_woken_once_with_its_registration(push):
    key = await away(push)
    await push.say(await romeo(push), JULIET)
    (sent,) = push.apns.sent
    assert (sent.kind, sent.badge, sent.title, sent.body) == (Kind.ALERT, 1, "", "")
    assert dict(sent.data) == {"registration": key, "type": "message", "count": "1"}


async def test_device_whose_session_is_active_sleeps_on(push):
    juliet = await push.world.client(f"{JULIET}/phone", "<presence/>")
    await push.register(juliet)
    await push.say(await romeo(push), JULIET)
    assert push.apns.sent == []


async def test_hibernating_session_is_woken(push):
    phone = await Phone.login(push.world, f"{JULIET}/phone")
    await register(push, phone)
    await phone.cut()
    await push.say(await romeo(push), JULIET)
    assert len(push.apns.sent) == 1


@pytest.mark.parametrize("state", ["", "<inactive xmlns='urn:xmpp:csi:0'/>"])
async def test_connected_client_that_acknowledges_sleeps_on_and_one_that_does_not_is_woken(push, state):
    timers = Timers(push.world)
    phone = await Phone.login(push.world, f"{JULIET}/phone")
    await register(push, phone)
    if state:
        await phone.send(state)
    sender = await romeo(push)
    await push.say(sender, JULIET)
    await phone.ack()
    await timers.advance(11)
    await push.settle()
    assert push.apns.sent == []
    await push.say(sender, JULIET)
    await timers.advance(9)
    await push.settle()
    assert push.apns.sent == []
    await timers.advance(2)
    await push.settle()
    assert len(push.apns.sent) == 1


async def test_burst_that_is_acknowledged_late_but_in_time_wakes_nobody(push):
    timers = Timers(push.world)
    phone = await Phone.login(push.world, f"{JULIET}/phone")
    await register(push, phone)
    phone.take()
    sender = await romeo(push)
    await push.say(sender, JULIET)
    first_h = len(phone.take()) and phone.h
    await timers.advance(6)
    await push.say(sender, JULIET)
    await phone.ack(first_h)
    await timers.advance(6)
    await push.settle()
    assert push.apns.sent == []
    await phone.ack()
    await timers.advance(20)
    await push.settle()
    assert push.apns.sent == []


async def test_connection_that_breaks_with_something_unacknowledged_wakes_at_once(push):
    Timers(push.world)
    phone = await Phone.login(push.world, f"{JULIET}/phone")
    await register(push, phone)
    await push.say(await romeo(push), JULIET)
    assert push.apns.sent == []
    await phone.cut()
    await push.settle()
    assert len(push.apns.sent) == 1


async def test_client_in_use_lets_the_phone_sleep_until_it_does_not_answer(push):
    timers = Timers(push.world)
    await away(push)
    desk = await Phone.login(push.world, f"{JULIET}/desk")
    sender = await romeo(push)
    await push.say(sender, JULIET)
    await desk.ack()
    await timers.advance(30)
    await push.settle()
    assert push.apns.sent == []
    await push.say(sender, JULIET)
    await timers.advance(11)
    await push.settle()
    assert len(push.apns.sent) == 1


@pytest.mark.parametrize("presence", ["<show>away</show>", "<show>xa</show>", "<show>dnd</show>"])
async def test_client_that_nobody_sits_before_lets_nobody_sleep(push, presence):
    await away(push)
    await push.world.client(f"{JULIET}/desk", f"<presence>{presence}</presence>")
    await push.say(await romeo(push), JULIET)
    assert len(push.apns.sent) == 1


async def test_account_may_want_to_be_woken_beside_a_client_in_use(push):
    await away(push)
    desk = await push.world.client(f"{JULIET}/desk", "<presence/>")
    await push.say(await romeo(push), JULIET)
    assert push.apns.sent == []
    await push.ask(desk, "set", f"<settings xmlns='{OURS}' quiet-in-use='false'/>")
    await push.say(await push.world.client(f"{ROMEO}/2", "<presence/>"), JULIET)
    assert len(push.apns.sent) == 1


async def test_call_rings_everywhere_and_at_once(push):
    await away(push, "apns", call_token="bb" * 32)
    await push.world.client(f"{JULIET}/desk", "<presence/>")
    propose = "<propose xmlns='urn:xmpp:jingle-message:0' id='c'/><store xmlns='urn:xmpp:hints'/>"
    await push.say(await romeo(push), JULIET, propose)
    (sent,) = push.apns.sent
    assert (sent.kind, sent.device.token, sent.data["type"]) == (Kind.CALL, "bb" * 32, "call")
    assert push.wakings(JULIET).unread == {}


async def test_call_without_a_token_for_calls_is_an_urgent_alert(push):
    await away(push)
    await push.say(await romeo(push), JULIET, "<propose xmlns='urn:xmpp:jingle-message:0' id='c'/>")
    assert (push.apns.sent[0].kind, push.apns.sent[0].is_urgent) == (Kind.ALERT, True)


@pytest.mark.parametrize(
    ("inner", "type_"),
    [
        ("<received xmlns='urn:xmpp:receipts' id='1'/>", "chat"),
        ("<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", "chat"),
        ("<composing xmlns='http://jabber.org/protocol/chatstates'/>", "chat"),
        ("<body>psst</body><no-store xmlns='urn:xmpp:hints'/>", "chat"),
        ("<body>psst</body><no-push xmlns='urn:xmpp:hints'/>", "chat"),
        ("<body>news</body>", "headline"),
        ("<body>x</body><error type='cancel'/>", "error"),
        (OMEMO.format(payload=""), "chat"),
    ],
)
async def test_what_nobody_should_be_woken_for_wakes_nobody(push, inner, type_):
    await away(push)
    await push.say(await romeo(push), JULIET, inner, type_)
    assert push.apns.sent == []


async def test_own_messages_wake_nobody(push):
    await away(push)
    desk = await push.world.client(f"{JULIET}/desk", "<presence><show>away</show></presence>")
    await push.say(desk, JULIET)
    await push.say(desk, ROMEO)
    assert push.apns.sent == []


async def test_headlines_wake_who_wants_them(push):
    await away(push)
    await use(push, f"<settings xmlns='{OURS}' headlines='true'/>")
    await push.say(await romeo(push), JULIET, "<body>news</body>", "headline")
    assert len(push.apns.sent) == 1


async def test_muted_conversation_wakes_nobody(push):
    await away(push)
    await use(push, f"<settings xmlns='{OURS}'><chat jid='{ROMEO}' wake='never'/></settings>")
    sender = await romeo(push)
    await push.say(sender, JULIET)
    assert push.apns.sent == []
    await use(push, f"<settings xmlns='{OURS}'><chat jid='{ROMEO}'/></settings>")
    await push.say(sender, JULIET)
    assert len(push.apns.sent) == 1


async def test_retry_of_a_message_wakes_nobody_twice(push):
    await away(push)
    sender = await romeo(push)
    inner = "<body>hello</body><origin-id xmlns='urn:xmpp:sid:0' id='o1'/>"
    await push.say(sender, JULIET, inner)
    await push.say(sender, JULIET, inner)
    assert len(push.apns.sent) == 1


async def test_request_to_see_presence_wakes_once(push):
    await away(push)
    sender = await romeo(push)
    for _ in range(2):
        await sender.send(f"<presence type='subscribe' to='{JULIET}'/>")
        await push.settle()
    (sent,) = push.apns.sent
    assert (sent.data["type"], sent.data["requests"]) == ("subscription", "1")


# what is told


async def test_content_policy_says_what_gateways_read(push):
    await away(push)
    sender = await romeo(push)
    for content in ("none", "sender", "full"):
        await use(push, f"<settings xmlns='{OURS}' content='{content}'/>")
        await push.say(sender, JULIET, "<body>the nightingale</body>")
    assert [(one.title, one.body) for one in push.apns.sent] == [("", ""), (ROMEO, ""), (ROMEO, "the nightingale")]
    assert ["id" in one.data for one in push.apns.sent] == [False, True, True]


async def test_omemo_is_passed_encrypted_only_where_all_may_be_read_and_it_fits(push):
    await away(push)
    sender = await romeo(push)
    small, large = (OMEMO.format(payload=f"<payload>{'A' * size}</payload>") for size in (400, 4000))
    await push.say(sender, JULIET, small)
    await use(push, f"<settings xmlns='{OURS}' content='full'/>")
    await push.say(sender, JULIET, small)
    await push.say(sender, JULIET, large)
    assert ["encrypted" in one.data for one in push.apns.sent] == [False, True, False]
    assert {one.body for one in push.apns.sent} == {""}


async def test_unread_messages_are_counted_until_somebody_looks(push):
    await away(push)
    sender = await romeo(push)
    for _ in range(3):
        await push.say(sender, JULIET)
    assert [one.badge for one in push.apns.sent] == [1, 2, 3]
    await push.world.client(f"{JULIET}/phone", "<presence/>")
    assert push.wakings(JULIET).unread == {}


async def test_background_fetch_does_not_count_as_reading_but_an_answer_does(push):
    await away(push)
    await push.say(await romeo(push), JULIET)
    phone = await push.world.client(f"{JULIET}/phone")
    await phone.send("<inactive xmlns='urn:xmpp:csi:0'/>", "<presence/>")
    assert push.wakings(JULIET).unread == {ROMEO: 1}
    await push.say(phone, ROMEO, "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>")
    assert push.wakings(JULIET).unread == {}


async def test_becoming_active_reads_everything(push):
    await away(push)
    await push.say(await romeo(push), JULIET)
    phone = await push.world.client(f"{JULIET}/phone")
    await phone.send("<inactive xmlns='urn:xmpp:csi:0'/>", "<presence/>", "<active xmlns='urn:xmpp:csi:0'/>")
    assert push.wakings(JULIET).unread == {}
    assert await push.world.shared.backend.map("push.unread").items(JULIET) == {}


async def test_count_of_unread_outlives_a_restart(push):
    await away(push)
    await push.say(await romeo(push), JULIET)
    again = await PushWorld.create(backend=push.world.shared.backend)
    await again.say(await romeo(again), JULIET)
    assert again.apns.sent[0].badge == 2
    await again.service.close()


async def test_acknowledgement_of_a_message_waits_for_its_notification(push):
    await away(push)
    backend = push.world.shared.backend
    order = []
    put, append = backend.work.put, backend.archive.append
    backend.work.put = lambda *a, **k: (order.append("notification"), put(*a, **k))[1]
    backend.archive.append = lambda *a, **k: (order.append("message"), append(*a, **k))[1]
    await push.say(await romeo(push), JULIET)
    assert order == ["notification", "message"]


async def test_full_storage_costs_the_notification_not_the_message(push):
    await away(push)

    def full(*_: object, **__: object):
        raise StorageFull("no room")

    push.world.shared.backend.work.put = full
    sender = await Phone.login(push.world, f"{ROMEO}/orchard")
    await sender.send(f"<message type='chat' to='{JULIET}'><body>hello</body></message>", f"<r xmlns='{SM}'/>")
    assert await sender.handled() is not None
    assert push.apns.sent == []
