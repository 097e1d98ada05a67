"""Who gets a stanza, and what its sender hears when nobody does. What a message does inside an account is its module's test."""

import asyncio
import dataclasses

import pytest

from codec.jid import JID
from codec.payload import Payload
from codec.stanza import IQ, Message, Presence
from storage.interface import ArchiveCopy, Commit, StorageFull
from tests.support.chat import MESSAGES
from xmppd import hooks
from xmppd.errors import StanzaError
from xmppd.module import Target

ROMEO, JULIET = "romeo@example.org/orchard", "juliet@example.org/balcony"
COPY = ArchiveCopy("romeo@example.org", "juliet@example.org", "", True, False, True, 0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question(Payload, tag=("urn:x", "question")):
    """Empty."""


@pytest.fixture
async def world(make_world):
    world = await make_world("rfc_6121_message")
    await world.account("romeo@example.org")
    await world.account("juliet@example.org")
    return world


@pytest.fixture
async def romeo(world):
    return await world.client(ROMEO)


@pytest.fixture
async def juliet(world):
    return await world.client(JULIET)


def listen(world, hook, handler):
    host = world.host()
    host.handlers[hook] = (*host.handlers.get(hook, ()), handler)


def refused(stanza, condition, from_):
    """Check that this is the error to a stanza of romeo's."""
    error = stanza.element("jabber:client error")
    assert (stanza.type, stanza.to, stanza.from_) == ("error", ROMEO, from_)
    assert error.elements()[0].name == condition


def answers(world, handler, target=Target.DOMAIN, is_open=False):
    """Have a handler answer questions."""
    world.host().iq_handlers["get", Question.TAG, target] = (handler, Question, is_open)


def ask(to, type_="get"):
    to = "" if to is None else f"to='{to}'"
    return f"<iq type='{type_}' id='7' {to}><question xmlns='urn:x'/></iq>"


# messages


@pytest.mark.parametrize(
    ("to", "condition"),
    [
        ("nobody@example.org", "service-unavailable"),
        ("nobody@example.org/x", "service-unavailable"),
        ("example.org", "service-unavailable"),
        ("example.org/x", "service-unavailable"),
        ("juliet@elsewhere.example", "remote-server-not-found"),
        ("elsewhere.example", "remote-server-not-found"),
    ],
)
async def test_message_that_nobody_can_get_is_refused(romeo, to, condition):
    await romeo.send(f"<message to='{to}' type='chat' id='7'><body>x</body></message>")
    answer = await romeo.next_stanza()
    refused(answer, condition, to)
    assert answer.id == "7"


@pytest.mark.parametrize("to", ["nobody@example.org", "example.org", "elsewhere.example", "juliet@example.org/nowhere"])
async def test_error_that_nobody_can_get_is_dropped(romeo, to):
    error = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    await romeo.send(
        f"<message to='{to}' type='error'>{error}</message>",
        f"<iq to='{to}' type='error' id='1'>{error}</iq>",
        f"<iq to='{to}' type='result' id='1'/>",
        f"<presence to='{to}' type='error'>{error}</presence>",
    )
    await romeo.expect_nothing()


async def test_message_to_nobody_is_for_the_senders_own_account(world, romeo):
    seen = []
    listen(world, hooks.message_received, lambda event: seen.append(event.recipient))
    await romeo.send("<message type='chat'/>")
    assert [account.jid for account in seen] == ["romeo@example.org"]


async def test_account_that_must_be_read_first_gets_the_message_all_the_same(world, romeo):
    listen(world, hooks.message_received, lambda event: seen.append(event.recipient.jid))
    seen = []
    assert JID.parse("juliet@example.org") not in world.host().accounts
    await romeo.send("<message to='juliet@example.org'/>")
    assert seen == ["juliet@example.org"]


async def test_first_message_of_an_account_waits_for_who_wants_to_know(world, romeo, juliet):
    may_go, order = asyncio.Event(), []

    async def slowly(event):
        order.append(("asked", event.jid))
        await may_go.wait()

    listen(world, hooks.account_sends, slowly)
    romeo.stream.receive(f"<message to='{JULIET}' id='1'/><message to='{JULIET}' id='2'/>".encode())
    await world.settle()
    assert juliet.connection.events == []
    may_go.set()
    assert [(await juliet.next_stanza()).id for _ in range(2)] == ["1", "2"]
    assert order == [("asked", "romeo@example.org")]


async def test_handler_may_refuse_a_message_before_it_is_routed(world, romeo, juliet):
    def refuse(event):
        raise StanzaError("policy-violation")

    listen(world, hooks.message_sent, refuse)
    await romeo.send(f"<message to='{JULIET}'/>")
    refused(await romeo.next_stanza(), "policy-violation", JULIET)
    await juliet.expect_nothing()


async def test_handler_that_breaks_refuses_the_message_and_leaves_the_stream(world, romeo, juliet):
    def break_down(event):
        raise KeyError("a mistake of ours")

    listen(world, hooks.message_received, break_down)
    await romeo.send(f"<message to='{JULIET}'/>")
    refused(await romeo.next_stanza(), "internal-server-error", JULIET)
    assert romeo.stream.is_connected


async def test_handler_may_end_the_way_of_a_message_in_silence(world, romeo, juliet):
    listen(world, hooks.message_sent, lambda event: None)
    await romeo.send(f"<message to='{JULIET}'/>")
    await romeo.expect_nothing()
    await juliet.expect_nothing()


async def test_acknowledgement_waits_for_the_commit_that_handlers_name(world, romeo, juliet):
    commit = Commit()

    def keep(event):
        event.copies.append(COPY)
        return event

    def write(event):
        event.commit = commit
        return event

    listen(world, hooks.message_sent, keep)
    listen(world, hooks.message_routed, write)
    await romeo.send(f"<message to='{JULIET}'/>")
    message = Message.build(to=JID.parse(JULIET), from_=JID.parse(ROMEO))
    assert world.router.message(romeo.resource, message) is commit


async def test_what_a_refused_message_left_behind_is_written_too(world, romeo):
    written = []

    def keep(event):
        event.copies.append(COPY)
        return event

    listen(world, hooks.message_sent, keep)
    listen(world, hooks.message_routed, lambda event: written.append(event.copies))
    await romeo.send("<message to='nobody@example.org'/>")
    refused(await romeo.next_stanza(), "service-unavailable", "nobody@example.org")
    assert written == [[COPY]]


async def test_message_that_there_is_no_room_for_is_refused(world, romeo, juliet):
    def keep(event):
        event.copies.append(COPY)
        return event

    def no_room(event):
        raise StanzaError("resource-constraint")

    listen(world, hooks.message_sent, keep)
    listen(world, hooks.message_routed, no_room)
    await romeo.send(f"<message to='{JULIET}'/>")
    refused(await romeo.next_stanza(), "resource-constraint", JULIET)


# iq


@pytest.mark.parametrize(
    "iq",
    [
        "<iq type='get' to='{to}'><question xmlns='urn:x'/></iq>",
        "<iq type='get' id='' to='{to}'><question xmlns='urn:x'/></iq>",
        "<iq id='7' to='{to}'><question xmlns='urn:x'/></iq>",
        "<iq type='other' id='7' to='{to}'><question xmlns='urn:x'/></iq>",
        "<iq type='get' id='7' to='{to}'/>",
        "<iq type='set' id='7' to='{to}'>text</iq>",
        "<iq type='set' id='7' to='{to}'><a xmlns='urn:x'/><b xmlns='urn:x'/></iq>",
    ],
)
@pytest.mark.parametrize("to", ["example.org", "romeo@example.org", JULIET])
async def test_malformed_request_is_a_bad_request_whoever_it_is_for(romeo, juliet, iq, to):
    await romeo.send(iq.format(to=to))
    refused(await romeo.next_stanza(), "bad-request", to)
    await juliet.expect_nothing()


async def test_request_to_nobody_is_answered_by_the_account_without_from(world, romeo):
    seen = []
    answers(world, lambda iq: seen.append((iq.from_, iq.to)), Target.ACCOUNT)
    await romeo.send(ask(None))
    await romeo.expect("<iq type='result' id='7' to='{romeo}'/>")
    assert seen == [(ROMEO, "romeo@example.org")]


async def test_request_to_the_own_account_is_answered_in_its_name(world, romeo):
    answers(world, lambda iq: None, Target.ACCOUNT)
    await romeo.send(ask("romeo@example.org"))
    await romeo.expect("<iq type='result' id='7' to='{romeo}' from='romeo@example.org'/>")


async def test_request_to_another_account_reaches_only_handlers_open_to_others(world, romeo):
    answers(world, lambda iq: None, Target.ACCOUNT)
    await romeo.send(ask("juliet@example.org"))
    refused(await romeo.next_stanza(), "service-unavailable", "juliet@example.org")
    answers(world, lambda iq: None, Target.ACCOUNT, is_open=True)
    await romeo.send(ask("juliet@example.org"))
    await romeo.expect("<iq type='result' id='7' to='{romeo}' from='juliet@example.org'/>")


async def test_request_to_the_domain_is_answered_by_the_domain(world, romeo):
    answers(world, lambda iq: None)
    await romeo.send(ask("example.org"))
    await romeo.expect("<iq type='result' id='7' to='{romeo}' from='example.org'/>")


@pytest.mark.parametrize("to", ["example.org", "juliet@example.org", "nobody@example.org", "romeo@example.org"])
async def test_request_that_nobody_answers_is_refused_the_same_for_all(romeo, to):
    await romeo.send(ask(to))
    refused(await romeo.next_stanza(), "service-unavailable", to)


@pytest.mark.parametrize("to", ["juliet@example.org/nowhere", "nobody@example.org/x", "example.org/x"])
async def test_request_to_a_resource_that_is_not_there_is_refused(romeo, juliet, to):
    await romeo.send(ask(to))
    refused(await romeo.next_stanza(), "service-unavailable", to)


async def test_request_elsewhere_is_refused(romeo):
    await romeo.send(ask("elsewhere.example"))
    refused(await romeo.next_stanza(), "remote-server-not-found", "elsewhere.example")


async def test_request_to_a_full_address_is_delivered_and_its_answer_comes_back(world, romeo, juliet):
    answers(world, lambda iq: None, Target.ACCOUNT, is_open=True)
    await romeo.send(ask(JULIET))
    await juliet.expect("<iq type='get' id='7' from='{romeo}' to='{juliet}'><question xmlns='urn:x'/></iq>")
    await juliet.send(f"<iq type='result' id='7' to='{ROMEO}'/>")
    await romeo.expect("<iq type='result' id='7' from='{juliet}' to='{romeo}'/>")


async def test_request_for_a_resource_that_hibernates_waits_for_it(make_world):
    world = await make_world(*MESSAGES)
    romeo, juliet = await world.client(ROMEO), await world.client(JULIET)
    await juliet.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
    await juliet.disconnect()
    await romeo.send(ask(JULIET))
    assert [stanza.id for stanza, _ in world.host().resource(JID.parse(JULIET)).acks.unacked] == ["7"]
    await romeo.expect_nothing()


@pytest.mark.parametrize("hook", [hooks.iq_sent, hooks.iq_received])
async def test_handler_may_refuse_a_request_or_take_it(world, romeo, juliet, hook):
    def refuse(event):
        raise StanzaError("not-allowed")

    listen(world, hook, refuse)
    await romeo.send(ask(JULIET))
    refused(await romeo.next_stanza(), "not-allowed", JULIET)
    world.host().handlers[hook] = (lambda event: None,)
    await romeo.send(ask(JULIET))
    await romeo.expect_nothing()
    await juliet.expect_nothing()


async def test_resource_that_goes_away_while_its_request_is_answered_disturbs_nobody(world, romeo):
    may_answer = asyncio.Event()

    async def slowly(iq):
        await may_answer.wait()

    answers(world, slowly)
    romeo.stream.receive(ask("example.org").encode())
    await romeo.disconnect()
    may_answer.set()
    await world.settle()
    assert not world.tasks


# what modules send


async def test_modules_request_is_answered_by_the_one_it_was_for_and_by_nobody_else(world, romeo, juliet):
    request = IQ.build(Question(), to=JID.parse(JULIET), from_=world.host().domain, type="get", id="asked")
    asking = asyncio.create_task(world.host().request(request, 5))
    assert (await juliet.next_stanza()).id == "asked"
    await romeo.send("<iq type='result' id='asked' to='example.org'/>")
    assert not asking.done()
    await juliet.send("<iq type='result' id='asked' to='example.org'/>")
    assert (await asking).from_ == JULIET


async def test_modules_request_to_nobody_gets_its_error_at_once(world):
    request = IQ.build(Question(), to=JID.parse(JULIET), from_=world.host().domain, type="get", id="asked")
    answer = await world.host().request(request, 5)
    assert (answer.type, answer.from_) == ("error", JULIET)


async def test_modules_request_that_is_not_answered_times_out_and_is_forgotten(world, juliet):
    request = IQ.build(Question(), to=JID.parse(JULIET), from_=world.host().domain, type="get", id="asked")
    with pytest.raises(TimeoutError):
        await world.host().request(request, 0)
    await juliet.send("<iq type='result' id='asked' to='example.org'/>")
    assert juliet.stream.is_connected


def test_stanza_without_an_address_cannot_be_routed_by_itself(world):
    with pytest.raises(ValueError, match="without `to`"):
        world.host().route(Message.build())


async def test_message_of_a_module_for_nobody_comes_back_to_nobody(world, romeo):
    for to in ("nobody@example.org", "elsewhere.example", "example.org"):
        await world.host().send(Message.build(to=JID.parse(to), from_=JID.parse("example.org")))
    await world.settle()
    await romeo.expect_nothing()


async def test_error_to_a_routed_message_goes_to_its_sender(world, romeo):
    await world.host().send(Message.build(to=JID.parse("nobody@example.org"), from_=JID.parse(ROMEO)))
    await world.settle()
    refused(await romeo.next_stanza(), "service-unavailable", "nobody@example.org")


async def test_request_without_a_payload_that_was_routed_past_the_check_is_refused(world, romeo):
    await world.host().send(IQ.build(to=JID.parse("example.org"), from_=JID.parse(ROMEO), type="get", id="7"))
    await world.settle()
    refused(await romeo.next_stanza(), "bad-request", "example.org")


# presence


async def test_presence_to_a_resource_is_delivered_also_when_it_is_not_available(romeo, juliet):
    await romeo.send(f"<presence to='{JULIET}'/>")
    await juliet.expect("<presence from='{romeo}' to='{juliet}'/>")


async def test_presence_to_an_account_goes_to_its_available_resources(world, romeo, juliet):
    other = await world.client("juliet@example.org/other")
    other.resource.presence = Presence.build()
    await romeo.send("<presence to='juliet@example.org'/>")
    assert (await other.next_stanza()).from_ == ROMEO
    await juliet.expect_nothing()


@pytest.mark.parametrize("to", ["nobody@example.org", "example.org", "elsewhere.example", "juliet@example.org/nowhere"])
async def test_presence_to_nobody_is_dropped(romeo, to):
    await romeo.send(f"<presence to='{to}'/>", f"<presence to='{to}' type='unavailable'/>")
    await romeo.expect_nothing()


async def test_presence_to_an_account_that_is_not_in_memory_reads_nothing(world, romeo):
    await romeo.send("<presence to='juliet@example.org'/>")
    assert JID.parse("juliet@example.org") not in world.host().accounts


async def test_subscription_elsewhere_is_refused(romeo):
    await romeo.send("<presence to='juliet@elsewhere.example' type='subscribe' id='7'/>")
    refused(await romeo.next_stanza(), "remote-server-not-found", "juliet@elsewhere.example")


async def test_probe_of_nobody_is_answered_as_by_one_who_shares_nothing(romeo):
    await romeo.send("<presence to='nobody@example.org' type='probe'/>")
    await romeo.expect("<presence from='nobody@example.org' to='{romeo}' type='unsubscribed'/>")


async def test_presence_that_there_is_no_room_for_is_refused(world, romeo, juliet):
    async def no_room(event):
        raise StorageFull("full")

    listen(world, hooks.presence_received, no_room)
    await romeo.send(f"<presence to='{JULIET}' type='subscribe'/>")
    refused(await romeo.next_stanza(), "resource-constraint", JULIET)


async def test_handler_may_refuse_a_presence(world, romeo, juliet):
    def refuse(event):
        if event.presence.type == "error":
            return event
        raise StanzaError("forbidden")

    listen(world, hooks.presence_received, refuse)
    await romeo.send(f"<presence to='{JULIET}'/>")
    refused(await romeo.next_stanza(), "forbidden", JULIET)
    await juliet.expect_nothing()
