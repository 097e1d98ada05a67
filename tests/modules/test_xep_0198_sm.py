"""XEP-0198: Stream Management."""

import asyncio
from typing import Any

import pytest

from codec.element import Element
from storage.interface import StorageError
from storage.memory import MemoryBackend
from tests.modules.conftest import MakeWorld
from tests.support.chat import (
    MESSAGES,
    SM,
    Phone,
    Timers,
    bodies,
    chat,
    condition,
    conditions,
    delay_of,
    is_closed,
    resume_xml,
    stream_error,
)
from tests.support.world import World
from xmppd.acks import MODULO

ROMEO, JULIET = "romeo@example.org/orchard", "juliet@example.org/balcony"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    world = await make_world(*MESSAGES)
    await world.account("romeo@example.org")
    await world.account("juliet@example.org")
    return world


def backend_of(world: World) -> MemoryBackend:
    backend = world.shared.backend
    assert isinstance(backend, MemoryBackend)
    return backend


def slow_accounts(world: World, error: StorageError | None = None) -> asyncio.Event:
    """Let no account be read until the returned event is set; then let it be read, or fail."""
    go_on = asyncio.Event()
    store = world.host().account_store

    class Slow:
        async def get(self, jid: str) -> Any:
            await go_on.wait()
            if error is not None:
                raise error
            return await store.get(jid)

    world.host().account_store = Slow()  # type: ignore[assignment]
    return go_on


# enabling


async def test_it_is_offered_to_those_who_have_logged_in_and_to_nobody_else(world: World) -> None:
    assert world.stranger().features.find(f"{SM} sm") is None  # type: ignore[union-attr]
    client = await world.login("romeo@example.org")
    assert client.features is not None and client.features.find(f"{SM} sm") is not None


async def test_enabling_without_resume_gives_no_id(world: World) -> None:
    romeo = await world.client(ROMEO)
    await romeo.send(f"<enable xmlns='{SM}'/>")
    assert await romeo.next() == Element(f"{SM} enabled")


@pytest.mark.parametrize("resume", ["true", "1"])
async def test_enabling_with_resume_gives_an_id_and_how_long(world: World, resume: str) -> None:
    romeo = await world.client(ROMEO)
    await romeo.send(f"<enable xmlns='{SM}' resume='{resume}'/>")
    enabled = await romeo.next()
    assert isinstance(enabled, Element)
    assert enabled.get("resume") == "true" and enabled.get("max") == "600" and len(enabled.get("id") or "") >= 16


@pytest.mark.parametrize(("wanted", "given"), [("30", "30"), ("100000", "600"), ("soon", "600"), ("9" * 5000, "600")])
async def test_a_client_may_ask_for_less_time_but_not_for_more(world: World, wanted: str, given: str) -> None:
    romeo = await world.client(ROMEO)
    await romeo.send(f"<enable xmlns='{SM}' resume='true' max='{wanted}'/>")
    enabled = await romeo.next()
    assert isinstance(enabled, Element) and enabled.get("max") == given


async def test_where_resuming_is_not_offered_it_is_enabled_without_and_refused(make_world: MakeWorld) -> None:
    world = await make_world(*MESSAGES, settings={"c2s.resume_s": 0})
    romeo = await world.client(ROMEO)
    await romeo.send(f"<enable xmlns='{SM}' resume='true'/>")
    assert await romeo.next() == Element(f"{SM} enabled")
    again = await world.login("romeo@example.org")
    await again.send(resume_xml("anything", 0))
    failed = await again.next()
    assert isinstance(failed, Element) and conditions(failed) == ["feature-not-implemented"]


async def test_enabling_before_a_resource_is_bound_fails(world: World) -> None:
    romeo = await world.login("romeo@example.org")
    await romeo.send(f"<enable xmlns='{SM}'/>")
    failed = await romeo.next()
    assert isinstance(failed, Element) and failed.name == "failed" and conditions(failed) == ["unexpected-request"]


async def test_enabling_twice_fails_and_leaves_the_count_alone(world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    await romeo.send(f"<enable xmlns='{SM}'/>")
    assert conditions(romeo.nonzas[-1]) == ["unexpected-request"]
    assert await romeo.handled() == 1


@pytest.mark.parametrize("nonza", ["<r xmlns='urn:xmpp:sm:3'/>", "<a xmlns='urn:xmpp:sm:3' h='0'/>"])
async def test_acknowledgements_before_enabling_end_the_stream(world: World, nonza: str) -> None:
    romeo = await world.client(ROMEO)
    await romeo.send(nonza)
    error = stream_error(romeo)
    assert error is not None and conditions(error) == ["unsupported-stanza-type"]


# what the client sends


async def test_the_count_starts_at_enabling_and_counts_every_stanza(world: World) -> None:
    romeo = Phone(world, await world.client(ROMEO, "<presence/>"))
    await romeo.enable("")
    assert await romeo.handled() == 0
    await romeo.send(
        "<presence/>", "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>", chat("nobody@example.org", "x")
    )
    assert await romeo.handled() == 3
    await romeo.send("<presence to='not a jid@@'/>", "<message to='not a jid@@'/>")
    assert await romeo.handled() == 5, "stanzas that cannot be routed were handled too"


async def test_nothing_is_acknowledged_before_it_is_committed(world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    before = await romeo.handled()
    assert before is not None
    backend_of(world).hold()
    await romeo.send(chat("juliet@example.org", "one"))
    assert await romeo.handled() is None
    backend_of(world).release()
    await world.settle()
    romeo.take()
    assert [element.get("h") for element in romeo.nonzas] == [str(before + 1)]


async def test_delivery_does_not_wait_for_the_commit(world: World) -> None:
    romeo, juliet = await Phone.login(world, ROMEO), await Phone.login(world, JULIET)
    backend_of(world).hold()
    await romeo.send(chat("juliet@example.org", "one"))
    assert bodies(await juliet.messages()) == ["one"]
    assert await romeo.handled() is None


async def test_a_stanza_behind_an_uncommitted_one_waits_with_it(world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    backend_of(world).hold()
    await romeo.send(chat("juliet@example.org", "one"), "<presence to='juliet@example.org'/>")
    assert await romeo.handled() is None
    backend_of(world).release()
    await world.settle()
    romeo.take()
    assert [element.get("h") for element in romeo.nonzas] == ["3"]


async def test_each_request_is_answered_however_many_there_are(world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    for count in range(1, 4):
        await romeo.send(chat("juliet@example.org", str(count)))
        assert await romeo.handled() == count + 1


async def test_requests_that_keep_coming_do_not_keep_the_answer_away(world: World) -> None:
    """A client that asks after each message gets acknowledgements while storage is always one commit behind."""
    romeo = await Phone.login(world, ROMEO)
    backend = backend_of(world)
    seen = []
    backend.hold()
    for count in range(5):
        romeo.push(chat("juliet@example.org", str(count)) + f"<r xmlns='{SM}'/>")
        await world.settle()
        held, backend._held = backend._held or [], None
        backend.hold()
        if count:
            for commit, apply in held[:1]:
                backend._finish(commit, apply)
            backend._held = held[1:]
        else:
            backend._held = held
        await world.settle()
        romeo.take()
        seen = [element.get("h") for element in romeo.nonzas if element.name == "a"]
    assert seen, "five requests, four commits, and no answer"
    backend.release()
    await world.settle()
    romeo.take()
    assert romeo.nonzas[-1].get("h") == "6"


async def test_a_failed_commit_ends_the_stream_without_acknowledging(world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    backend = backend_of(world)
    backend.fail_with(StorageError("the disk is broken"))
    romeo.push(chat("juliet@example.org", "one") + f"<r xmlns='{SM}'/>")
    await world.settle()
    error = stream_error(romeo.client)
    assert error is not None and conditions(error)[0] == "internal-server-error"
    romeo.take()
    assert not [element for element in romeo.nonzas if element.name == "a"]
    await romeo.cut()
    assert romeo.resource is None, "it cannot be resumed: the client must send again what was not acknowledged"


async def test_a_commit_that_fails_while_the_client_is_away_ends_its_resource(world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    backend = backend_of(world)
    backend.hold()
    await romeo.send(chat("juliet@example.org", "one"))
    await romeo.cut()
    backend.fail_with(StorageError("the disk is broken"))
    backend.release()
    backend.fail_with(None)
    await world.settle()
    assert romeo.resource is None
    failed = await romeo.resume()
    assert failed is not None and conditions(failed) == ["item-not-found"] and failed.get("h") == "1"


async def test_the_count_wraps_at_two_to_the_32(world: World) -> None:
    romeo, juliet = await Phone.login(world, ROMEO), await Phone.login(world, JULIET)
    for phone in (romeo, juliet):
        await phone.ack()
        acks = phone.resource.acks
        acks.handled = acks.durable = acks.sent = acks.acked = MODULO - 1
        phone.h = MODULO - 1
    await romeo.send(chat(juliet, "one"), chat(juliet, "two"))
    assert await romeo.handled() == 1
    assert bodies(await juliet.messages()) == ["one", "two"]
    await juliet.ack(0)
    assert len(juliet.resource.acks.unacked) == 1
    await juliet.ack(1)
    assert not juliet.resource.acks.unacked
    await juliet.cut()
    await romeo.send(chat(juliet, "three"))
    resumed = await juliet.resume(1)
    assert resumed is not None and resumed.get("h") == str(MODULO - 1)
    assert bodies(await juliet.messages()) == ["three"]


# what the client acknowledges


@pytest.mark.parametrize("h", ["", "h='-1'", "h='x'", "h='4294967296'", "h='1.0'", "h='²'"])
async def test_an_acknowledgement_without_a_number_ends_the_stream(world: World, h: str) -> None:
    romeo = await Phone.login(world, ROMEO)
    romeo.push(f"<a xmlns='{SM}' {h}/>")
    await world.settle()
    error = stream_error(romeo.client)
    assert error is not None and conditions(error)[0] == "bad-format"


async def test_acknowledging_more_than_was_sent_ends_the_stream_and_says_both_numbers(world: World) -> None:
    juliet = await Phone.login(world, JULIET)
    sent = juliet.h
    juliet.push(f"<a xmlns='{SM}' h='{sent + 1}'/>")
    await world.settle()
    error = stream_error(juliet.client)
    assert error is not None and conditions(error) == ["undefined-condition", "text", "handled-count-too-high"]
    too_high = error.find(f"{SM} handled-count-too-high")
    assert too_high is not None and (too_high.get("h"), too_high.get("send-count")) == (str(sent + 1), str(sent))


async def test_more_unacknowledged_stanzas_than_the_limit_end_the_resource_and_lose_nothing(
    make_world: MakeWorld,
) -> None:
    world = await make_world(*MESSAGES, settings={"limits.unacknowledged_stanzas": 5})
    romeo, juliet = await Phone.login(world, ROMEO), await Phone.login(world, JULIET)
    for count in range(8):
        await romeo.send(chat("juliet@example.org", str(count)))
    error = stream_error(juliet.client)
    assert error is not None and conditions(error)[0] == "policy-violation"
    assert juliet.resource is None
    again = await Phone.login(world, JULIET)
    assert bodies(await again.messages()) == [str(count) for count in range(8)]


# resuming


async def test_a_resumed_client_gets_what_it_did_not_acknowledge_and_nothing_twice(world: World) -> None:
    romeo, juliet = await Phone.login(world, ROMEO), await Phone.login(world, JULIET)
    await romeo.send(chat(juliet, "seen"))
    assert bodies(await juliet.messages()) == ["seen"]
    await romeo.send(chat(juliet, "lost on the wire"))
    await juliet.cut()
    await romeo.send(chat("juliet@example.org", "while away"))
    resumed = await juliet.resume()
    assert resumed is not None and resumed.get("previd") == juliet.token
    assert bodies(await juliet.messages()) == ["lost on the wire", "while away"]
    assert not juliet.resource.acks.unacked or juliet.nonzas[-1].name == "r", "it is asked to acknowledge them"
    await romeo.send(chat(juliet, "afterwards"))
    assert bodies(await juliet.messages()) == ["afterwards"]
    await juliet.ack()
    assert not juliet.resource.acks.unacked


async def test_resuming_tells_how_much_was_handled_and_the_count_goes_on(world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    await romeo.send(chat("juliet@example.org", "one"))
    await romeo.cut()
    resumed = await romeo.resume()
    assert resumed is not None and resumed.get("h") == "2"
    await romeo.send(chat("juliet@example.org", "two"))
    assert await romeo.handled() == 3


async def test_a_resumed_client_keeps_its_presence_and_its_contacts_see_nothing(world: World) -> None:
    juliet = await Phone.login(world, JULIET, "<presence><priority>5</priority></presence>")
    await juliet.cut()
    await juliet.resume()
    assert juliet.resource.priority == 5 and juliet.resource.is_available
    assert world.host().accounts[juliet.jid.bare].resources.keys() == {"balcony"}


async def test_resuming_waits_until_all_that_came_is_committed(world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    backend_of(world).hold()
    await romeo.send(chat("juliet@example.org", "one"))
    await romeo.cut()
    assert await romeo.resume() is None
    backend_of(world).release()
    await world.settle()
    romeo.take()
    assert [(element.name, element.get("h")) for element in romeo.nonzas] == [("resumed", "2")]


async def test_resuming_waits_for_a_stanza_that_is_still_being_routed(world: World) -> None:
    """Its account is read from storage when the connection breaks; were it not counted, the client would send it again."""
    romeo = await Phone.login(world, ROMEO)
    await romeo.send(chat("nobody@example.org", "zero"))
    before = await romeo.handled()
    assert before is not None
    go_on = slow_accounts(world)
    romeo.push(chat("juliet@example.org", "one"))
    await world.settle()
    await romeo.cut()
    assert await romeo.resume() is None
    go_on.set()
    await world.settle()
    romeo.take()
    assert [(element.name, element.get("h")) for element in romeo.nonzas] == [("resumed", str(before + 1))]
    await romeo.send(chat("juliet@example.org", "two"))
    assert await romeo.handled() == before + 2


async def test_a_stanza_that_broke_while_the_client_was_away_is_not_acknowledged(world: World) -> None:
    romeo = await Phone.login(world, ROMEO)
    go_on = slow_accounts(world, StorageError("cannot be read"))
    romeo.push(chat("juliet@example.org", "one"))
    await world.settle()
    await romeo.cut()
    go_on.set()
    await world.settle()
    failed = await romeo.resume()
    assert failed is not None and failed.name == "failed" and failed.get("h") == "1"


async def test_an_unknown_id_cannot_be_resumed_but_a_resource_bound(world: World) -> None:
    romeo = await world.login("romeo@example.org")
    await romeo.send(resume_xml("nothing", 0))
    failed = await romeo.next()
    assert isinstance(failed, Element) and conditions(failed) == ["item-not-found"] and failed.get("h") is None
    bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>orchard</resource></bind>"
    await romeo.send(f"<iq type='set' id='b'>{bind}</iq>")
    assert (await romeo.next_stanza()).type == "result"


async def test_nobody_resumes_what_is_another_accounts(world: World) -> None:
    juliet = await Phone.login(world, JULIET)
    await juliet.cut()
    tybalt = await world.login("tybalt@example.org")
    await tybalt.send(resume_xml(juliet.token, juliet.h))
    failed = await tybalt.next()
    assert isinstance(failed, Element) and conditions(failed) == ["item-not-found"] and failed.get("h") is None
    resumed = await juliet.resume()
    assert resumed is not None and resumed.name == "resumed"


async def test_a_client_with_a_resource_cannot_resume_another(world: World) -> None:
    juliet = await Phone.login(world, JULIET)
    await juliet.cut()
    other = await world.client("juliet@example.org/chamber")
    await other.send(resume_xml(juliet.token, juliet.h))
    failed = await other.next()
    assert isinstance(failed, Element) and conditions(failed) == ["unexpected-request"]


@pytest.mark.parametrize("h", ["", "h='x'"])
async def test_resuming_without_a_number_fails(world: World, h: str) -> None:
    juliet = await Phone.login(world, JULIET)
    await juliet.cut()
    client = await world.login("juliet@example.org")
    await client.send(f"<resume xmlns='{SM}' previd='{juliet.token}' {h}/>")
    failed = await client.next()
    assert isinstance(failed, Element) and conditions(failed) == ["bad-request"]


async def test_resuming_with_too_high_a_number_ends_that_stream_and_the_resource_still_ends_in_time(
    world: World,
) -> None:
    timers = Timers(world)
    juliet = await Phone.login(world, JULIET)
    await juliet.cut()
    assert await juliet.resume(juliet.h + 1) is None
    error = juliet.nonzas[-1]
    assert conditions(error) == ["undefined-condition", "text", "handled-count-too-high"]
    assert juliet.resource is not None
    await juliet.cut()
    await timers.advance(600)
    assert juliet.resource is None


async def test_resuming_while_the_old_stream_stands_ends_that_with_conflict(world: World) -> None:
    romeo, juliet = await Phone.login(world, ROMEO), await Phone.login(world, JULIET)
    old = juliet.client
    resumed = await juliet.resume()
    assert resumed is not None and resumed.name == "resumed"
    error = stream_error(old)
    assert error is not None and conditions(error)[0] == "conflict"
    old.stream.receive(chat(romeo, "too late").encode())
    await old.disconnect()
    assert juliet.resource is not None and juliet.resource.stream is juliet.client.stream
    await romeo.send(chat(juliet, "one"))
    assert bodies(await juliet.messages()) == ["one"]
    assert bodies(await romeo.messages()) == []


async def test_of_two_that_resume_at_once_the_last_one_stays(world: World) -> None:
    romeo, juliet = await Phone.login(world, ROMEO), await Phone.login(world, JULIET)
    backend_of(world).hold()
    await juliet.send(chat(romeo, "one"))
    await juliet.cut()
    assert await juliet.resume() is None
    first = juliet.client
    assert await juliet.resume() is None
    backend_of(world).release()
    await world.settle()
    juliet.take()
    assert [element.name for element in juliet.nonzas] == ["resumed"]
    assert is_closed(first)
    await first.disconnect()
    await romeo.send(chat(juliet, "two"))
    assert bodies(await juliet.messages()) == ["two"]
    await juliet.send(chat(romeo, "three"))
    assert bodies(await romeo.messages()) == ["one", "three"]


async def test_a_connection_lost_while_resuming_waits_leaves_the_resource_to_be_resumed(world: World) -> None:
    timers = Timers(world)
    juliet = await Phone.login(world, JULIET)
    backend_of(world).hold()
    await juliet.send(chat("romeo@example.org", "one"))
    await juliet.cut()
    assert await juliet.resume() is None
    await juliet.cut()
    backend_of(world).release()
    await world.settle()
    assert juliet.resource is not None and juliet.resource.stream is None
    resumed = await juliet.resume()
    assert resumed is not None and resumed.get("h") == "2"
    await juliet.cut()
    await timers.advance(599)
    assert juliet.resource is not None, "no timer of an earlier wait ends it"
    await timers.advance(1)
    assert juliet.resource is None


async def test_a_resource_that_ends_while_resuming_waits_is_not_resumed(world: World) -> None:
    romeo, juliet = await Phone.login(world, ROMEO), await Phone.login(world, JULIET)
    backend_of(world).hold()
    await juliet.send(chat("romeo@example.org", "one"))
    await juliet.cut()
    assert await juliet.resume() is None
    other = await world.client(JULIET)
    backend_of(world).release()
    await world.settle()
    juliet.take()
    assert [element.name for element in juliet.nonzas] == ["failed"]
    assert other.stream.resource is not None and world.host().resource(other.jid) is other.stream.resource
    await romeo.send(chat(JULIET, "two"))
    assert bodies(await other.drain()) == ["two"]
    assert bodies(await juliet.messages()) == []


async def test_more_than_can_be_sent_at_once_is_not_resumed_but_waits(make_world: MakeWorld) -> None:
    world = await make_world(*MESSAGES, settings={"limits.outbox_bytes": 100_000})
    romeo, juliet = await Phone.login(world, ROMEO), await Phone.login(world, JULIET)
    await juliet.cut()
    await romeo.send(*(chat(juliet, f"{count} " + "x" * 10_000) for count in range(6)))
    failed = await juliet.resume()
    assert failed is not None and conditions(failed) == ["item-not-found"] and failed.get("h") == "1"
    again = await Phone.login(world, JULIET)
    assert [text.split()[0] for text in bodies(await again.messages())] == [str(count) for count in range(6)]


# ends


async def test_a_resource_that_nobody_resumes_ends_in_time_and_not_before(world: World) -> None:
    timers = Timers(world)
    juliet = await Phone.login(world, JULIET)
    await juliet.cut()
    await timers.advance(599)
    assert juliet.resource is not None
    await timers.advance(1)
    assert juliet.resource is None
    failed = await juliet.resume()
    assert failed is not None and conditions(failed) == ["item-not-found"]


async def test_who_resumes_too_late_learns_how_much_was_handled(world: World) -> None:
    timers = Timers(world)
    juliet = await Phone.login(world, JULIET)
    await juliet.send(chat("romeo@example.org", "one"))
    await juliet.cut()
    await timers.advance(600)
    failed = await juliet.resume()
    assert failed is not None and failed.get("h") == "2"


async def test_of_ended_resources_only_so_many_are_remembered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmppd.modules.xep_0198_sm.MAX_REMEMBERED", 2)
    timers = Timers(world)
    phones = [await Phone.login(world, f"juliet@example.org/{number}") for number in range(3)]
    for phone in phones:
        await phone.cut()
    await timers.advance(600)
    answers = [await phone.resume() for phone in phones]
    assert [answer.get("h") for answer in answers if answer is not None] == [None, "1", "1"]


async def test_a_stream_closed_on_purpose_cannot_be_resumed(world: World) -> None:
    juliet = await Phone.login(world, JULIET)
    await juliet.client.close()
    assert juliet.resource is None
    failed = await juliet.resume()
    assert failed is not None and conditions(failed) == ["item-not-found"]


async def test_without_resume_the_resource_ends_with_its_connection(world: World) -> None:
    juliet = await Phone.login(world, JULIET, resume="")
    await juliet.cut()
    assert juliet.resource is None


async def test_what_was_never_acknowledged_waits_when_the_resource_ends(world: World) -> None:
    timers = Timers(world)
    romeo, juliet = await Phone.login(world, ROMEO), await Phone.login(world, JULIET)
    await romeo.send(chat(juliet, "one"))
    await juliet.cut()
    await timers.advance(600)
    again = await Phone.login(world, JULIET)
    messages = await again.messages()
    assert bodies(messages) == ["one"] and delay_of(messages[0]) is not None


async def test_a_request_that_was_never_acknowledged_is_answered_with_an_error(world: World) -> None:
    timers = Timers(world)
    romeo, juliet = await Phone.login(world, ROMEO), await Phone.login(world, JULIET)
    await juliet.cut()
    romeo.received.clear()
    await romeo.send(f"<iq type='get' id='p' to='{juliet}'><ping xmlns='urn:xmpp:ping'/></iq>")
    await timers.advance(600)
    romeo.take()
    reply = next(stanza for stanza in romeo.received if stanza.id == "p")
    assert condition(reply) == "service-unavailable" and reply.from_ == juliet.jid


async def test_a_client_lost_while_it_is_being_bound_leaves_no_resource(world: World) -> None:
    client = await world.login("romeo@example.org")
    go_on = slow_accounts(world)
    bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>orchard</resource></bind>"
    client.stream.receive(f"<iq type='set' id='b'>{bind}</iq>".encode())
    await world.settle()
    await client.disconnect()
    go_on.set()
    await world.settle()
    assert not world.host().accounts["romeo@example.org"].resources  # type: ignore[index]
