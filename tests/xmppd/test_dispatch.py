"""Who answers a request to the domain or an account, and what comes of it when that fails."""

import dataclasses

import pytest

from codec.element import Element
from codec.jid import JID
from codec.payload import Payload, attr
from codec.stanza import IQ
from storage.interface import StorageError, StorageFull
from xmppd.dispatch import answer, answer_before_login, check_iq
from xmppd.errors import StanzaError
from xmppd.module import Target

ROMEO, DOMAIN = JID.parse("romeo@example.org/x"), JID.parse("example.org")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question(Payload, tag=("urn:x", "question")):
    """One required number."""

    number: int = attr(parse=int, required=True)


@pytest.fixture
async def host(make_world):
    return (await make_world()).host()


def question(type_="get", number="5"):
    return IQ.build(Element("urn:x question", {"number": number}), to=DOMAIN, from_=ROMEO, type=type_, id="7")


def handle(host, handler, type_="get", target=Target.DOMAIN, is_open=False):
    host.iq_handlers[type_, Question.TAG, target] = (handler, Question, is_open)


def condition(reply):
    assert (reply.type, reply.to, reply.from_, reply.id) == ("error", ROMEO, DOMAIN, "7")
    return reply.elements()[0].elements()[0].name


@pytest.mark.parametrize("payload", [None, Question(number=6), Element("urn:x answer")])
@pytest.mark.parametrize("is_async", [False, True])
async def test_what_a_handler_returns_is_the_result(host, payload, is_async):
    asked = []

    def plain(iq):
        asked.append(iq.payload)
        return payload

    async def coroutine(iq):
        return plain(iq)

    handle(host, coroutine if is_async else plain)
    reply = await answer(host, question(), Target.DOMAIN, is_own=False)
    assert (reply.type, reply.to, reply.from_, reply.id) == ("result", ROMEO, DOMAIN, "7")
    assert len(reply.elements()) == (payload is not None)
    assert asked == [Question(number=5)]


async def test_request_itself_is_left_as_it_was(host):
    request = question()
    handle(host, lambda iq: None)
    await answer(host, request, Target.DOMAIN, is_own=False)
    assert not hasattr(request, "payload")


@pytest.mark.parametrize(("type_", "target"), [("set", Target.DOMAIN), ("get", Target.ACCOUNT)])
async def test_handler_answers_only_what_it_was_made_for(host, type_, target):
    handle(host, lambda iq: None)
    assert condition(await answer(host, question(type_), target, is_own=True)) == "service-unavailable"


async def test_handler_of_an_account_is_its_own_unless_it_is_open(host):
    handle(host, lambda iq: None, target=Target.ACCOUNT)
    assert condition(await answer(host, question(), Target.ACCOUNT, is_own=False)) == "service-unavailable"
    assert (await answer(host, question(), Target.ACCOUNT, is_own=True)).type == "result"
    handle(host, lambda iq: None, target=Target.ACCOUNT, is_open=True)
    assert (await answer(host, question(), Target.ACCOUNT, is_own=False)).type == "result"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StanzaError("forbidden"), "forbidden"),
        (StorageFull("full"), "resource-constraint"),
        (StorageError("broken"), "internal-server-error"),
        (KeyError("oops"), "internal-server-error"),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
async def test_handler_that_fails_is_an_error_for_the_one_who_asked(host, error, expected, is_async):
    def fail(iq):
        raise error

    async def fail_later(iq):
        raise error

    handle(host, fail_later if is_async else fail)
    assert condition(await answer(host, question(), Target.DOMAIN, is_own=False)) == expected


async def test_answer_that_cannot_be_written_is_an_error_of_ours(host):
    handle(host, lambda iq: Element("urn:x answer", {}, ("\x00",)))
    assert condition(await answer(host, question(), Target.DOMAIN, is_own=False)) == "internal-server-error"


async def test_malformed_payload_is_a_bad_request_and_no_handler_sees_it(host):
    seen = []
    handle(host, seen.append)
    assert condition(await answer(host, question(number="many"), Target.DOMAIN, is_own=False)) == "bad-request"
    assert seen == []


async def test_request_without_a_payload_is_a_bad_request(host):
    empty = IQ.build(to=DOMAIN, from_=ROMEO, type="get", id="7")
    assert condition(await answer(host, empty, Target.DOMAIN, is_own=False)) == "bad-request"


@pytest.mark.parametrize("type_", ["result", "error"])
@pytest.mark.parametrize("payloads", [(), (Element("urn:x a"), Element("urn:x b"))])
def test_answers_may_carry_any_number_of_payloads(type_, payloads):
    check_iq(IQ.build(*payloads, type=type_, id="7"))


@pytest.mark.parametrize(
    "iq",
    [
        IQ.build(Element("urn:x a"), type="get"),
        IQ.build(Element("urn:x a"), type="get", id=""),
        IQ.build(Element("urn:x a"), type="other", id="7"),
        IQ.build(Element("urn:x a"), id="7"),
        IQ.build(type="get", id="7"),
        IQ.build(Element("urn:x a"), Element("urn:x b"), type="set", id="7"),
    ],
)
def test_malformed_iq_is_a_bad_request(iq):
    with pytest.raises(StanzaError, match="bad-request"):
        check_iq(iq)


# before login


async def test_stranger_is_answered_by_who_takes_strangers_and_by_nobody_else(host):
    async def handler(stream, iq):
        return Question(number=iq.payload.number + 1)

    assert await answer_before_login(host, "stream", question()) is None
    host.before_login["get", Question.TAG] = (handler, Question)
    reply = await answer_before_login(host, "stream", question())
    assert reply.get(Question) == Question(number=6)
    assert await answer_before_login(host, "stream", IQ.build(type="get", id="7")) is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [(StanzaError("conflict"), "conflict"), (StorageFull("full"), "resource-constraint")],
)
async def test_stranger_hears_what_went_wrong(host, error, expected):
    async def handler(stream, iq):
        raise error

    host.before_login["get", Question.TAG] = (handler, Question)
    assert condition(await answer_before_login(host, "stream", question())) == expected


async def test_strangers_malformed_request_is_a_bad_request(host):
    host.before_login["get", Question.TAG] = (None, Question)
    assert condition(await answer_before_login(host, "stream", question(number="x"))) == "bad-request"
