"""A stream that we open: what it asks for when, how it proves our domain, and what a server says that leads nowhere."""

import asyncio
from datetime import timedelta

import pytest

from codec.element import Element
from tests.support.s2s import (
    DIALBACK,
    OURS,
    SASL,
    SM,
    THEIRS,
    TLS,
    Owner,
    Wire,
    certificate,
    claim,
    header,
    message,
    names,
    ping,
    turns,
)
from xmppd.config import S2SConfig
from xmppd.errors import StreamError
from xmppd.s2s.outgoing import FINAL, CannotTalk, OutgoingStream

LOGIN_TIMEOUT_S = int(S2SConfig().login_timeout_s)
OFFERS_TLS = f"<starttls xmlns='{TLS}'><required/></starttls>"
OFFERS_EXTERNAL = f"<mechanisms xmlns='{SASL}'><mechanism>PLAIN</mechanism><mechanism>EXTERNAL</mechanism></mechanisms>"
OFFERS_DIALBACK = "<dialback xmlns='urn:xmpp:features:dialback'/>"
OFFERS_SM = f"<sm xmlns='{SM}'/>"
OFFERS_BIDI = "<bidi xmlns='urn:xmpp:features:bidi'/>"
PROCEED, SUCCESS = f"<proceed xmlns='{TLS}'/>", f"<success xmlns='{SASL}'/>"
ENABLED = f"<enabled xmlns='{SM}'/>"
NOT_FOUND, TIMEOUT = "remote-server-not-found", "remote-server-timeout"


def features(*offers):
    return f"<stream:features>{''.join(offers)}</stream:features>"


def greeting(*offers, id_="s1"):
    return header(THEIRS, OURS, id_=id_) + features(*offers)


def valid(type_="valid", content=""):
    return f"<db:result from='{THEIRS}' to='{OURS}' type='{type_}'>{content}</db:result>"


@pytest.fixture
async def ours(net):
    return await net.island(OURS)


def calling(ours, shown=None, owner=None, is_direct=False):
    """Return a stream that has sent its header, its connection, and its owner."""
    wire, owner = Wire(ours.loop, shown), owner or Owner()
    stream = wire.stream = OutgoingStream(wire, ours.federation.service, owner, OURS, THEIRS, is_direct)
    return stream, wire, owner


def inside(ours, *offers, shown=None, owner=None):
    """Return the same inside TLS, with what was sent after these features."""
    stream, wire, owner = calling(ours, shown or certificate(THEIRS), owner)
    wire.say(greeting(OFFERS_TLS), PROCEED)
    stream.secured()
    wire.take()
    return stream, wire, owner, wire.say(greeting(*offers))


def refusal(stream):
    """Return how it came to nothing."""
    error = stream.outcome.exception()
    assert isinstance(error, CannotTalk)
    return error.condition


# TLS


async def test_the_header_names_both_domains_and_tls_is_taken_first(ours):
    stream, wire, _ = calling(ours)
    (opened,) = wire.take()
    assert (opened.from_, opened.to, opened.version) == (OURS, THEIRS, "1.0")
    assert names(wire.say(greeting(OFFERS_TLS, OFFERS_DIALBACK, OFFERS_EXTERNAL))) == ["starttls"]
    assert wire.say(PROCEED) == [] and len(wire.engines) == 1
    stream.secured()
    (opened,) = wire.take()
    assert (opened.from_, opened.to, stream.outcome.done()) == (OURS, THEIRS, False)


async def test_with_direct_tls_nothing_is_said_before_it(ours):
    stream, wire, _ = calling(ours, is_direct=True)
    assert wire.take() == []
    stream.secured()
    assert names(wire.take()) == ["StreamOpened"]


@pytest.mark.parametrize("offers", [(), (OFFERS_DIALBACK, OFFERS_EXTERNAL)])
async def test_a_server_without_tls_is_not_talked_to(ours, offers):
    stream, wire, _ = calling(ours)
    wire.stream.receive(greeting(*offers).encode())
    assert wire.condition == "policy-violation"
    assert refusal(stream) == NOT_FOUND and not stream.is_usable


async def test_where_tls_is_not_required_a_server_without_it_is_shown_a_key(net):
    ours = await net.island(OURS, settings={"s2s.require_tls": False})
    stream, wire, _ = calling(ours)
    wire.take()
    (result,) = wire.say(greeting(OFFERS_DIALBACK, OFFERS_EXTERNAL))
    assert (result.name, stream.is_usable) == ("result", True)


async def test_tls_that_is_refused_may_be_well_later(ours):
    stream, wire, _ = calling(ours)
    wire.say(greeting(OFFERS_TLS), f"<failure xmlns='{TLS}'/>")
    assert refusal(stream) == TIMEOUT and wire.is_closing


async def test_tls_is_begun_once_and_only_when_we_have_asked(ours):
    stream, wire, _ = calling(ours)
    wire.say(header(THEIRS, OURS), PROCEED)
    assert wire.engines == [] and wire.is_closing
    stream, wire, _, _ = inside(ours, OFFERS_DIALBACK)
    wire.say(PROCEED)
    assert len(wire.engines) == 1 and wire.is_closing
    stream, wire, _ = calling(ours)
    wire.say(greeting(OFFERS_TLS), PROCEED)
    stream.secured()
    wire.say(header(THEIRS, OURS), PROCEED)
    assert len(wire.engines) == 1 and wire.is_closing


async def test_an_old_version_is_not_talked_to(ours):
    stream, wire, _ = calling(ours)
    wire.stream.receive(header(THEIRS, OURS, version=None).encode())
    assert (wire.condition, refusal(stream)) == ("unsupported-version", NOT_FOUND)


# proof by certificate


async def test_external_names_our_domain_and_is_followed_by_a_new_header(ours):
    stream, wire, owner, (auth,) = inside(ours, OFFERS_EXTERNAL, OFFERS_DIALBACK)
    assert auth == Element(f"{SASL} auth", {"mechanism": "EXTERNAL"}, ("ZXhhbXBsZS5vcmc=",))
    assert names(wire.say(SUCCESS)) == ["StreamOpened"]
    assert not stream.is_ready
    assert wire.say(greeting(OFFERS_DIALBACK)) == []
    assert stream.is_ready and stream.outcome.result() is None and owner.told == ["ready"]


@pytest.mark.parametrize("shown", [certificate("other.example"), certificate(THEIRS, fault="nobody signed it")])
async def test_a_server_that_does_not_prove_itself_is_shown_a_key_and_no_certificate_of_ours(ours, shown):
    stream, _, _, (result,) = inside(ours, OFFERS_EXTERNAL, OFFERS_DIALBACK, shown=shown)
    assert (result.name, stream.is_ready) == ("result", False)


async def test_where_certificates_alone_count_a_server_without_one_is_not_talked_to(net):
    ours = await net.island(OURS, settings={"s2s.authentication": "certificate"})
    stream, wire, _ = calling(ours, certificate("other.example"))
    wire.say(greeting(OFFERS_TLS), PROCEED)
    stream.secured()
    wire.take()
    wire.stream.receive(greeting(OFFERS_EXTERNAL, OFFERS_DIALBACK).encode())
    assert (wire.condition, refusal(stream), stream.is_usable) == ("policy-violation", NOT_FOUND, False)


async def test_where_certificates_alone_count_a_server_that_does_not_take_ours_is_given_up(net):
    ours = await net.island(OURS, settings={"s2s.authentication": "certificate"})
    stream, *_ = inside(ours, OFFERS_DIALBACK)
    assert refusal(stream) == NOT_FOUND


async def test_where_dialback_alone_counts_certificates_are_not_offered(net):
    ours = await net.island(OURS, settings={"s2s.authentication": "dialback"})
    *_, (result,) = inside(ours, OFFERS_EXTERNAL, OFFERS_DIALBACK)
    assert result.name == "result"


async def test_a_certificate_that_is_refused_is_followed_by_a_key(ours):
    _, wire, _, _ = inside(ours, OFFERS_EXTERNAL, OFFERS_DIALBACK)
    (result,) = wire.say(f"<failure xmlns='{SASL}'><not-authorized/></failure>")
    assert result.tag == f"{DIALBACK} result"


async def test_a_server_that_takes_certificates_alone_and_not_ours_is_given_up(ours):
    stream, wire, _, _ = inside(ours, OFFERS_EXTERNAL)
    wire.say(f"<failure xmlns='{SASL}'><not-authorized/></failure>")
    assert refusal(stream) == NOT_FOUND and "not-authorized" in str(stream.outcome.exception())


@pytest.mark.parametrize("text", [SUCCESS, valid(), ENABLED, f"<failure xmlns='{SASL}'><not-authorized/></failure>"])
async def test_answers_to_what_was_not_asked_end_the_stream(ours, text):
    stream, wire, _, _ = inside(ours, OFFERS_DIALBACK, owner=Owner(wants_to_send=False))
    wire.stream.receive(text.encode())
    assert wire.condition == "unsupported-stanza-type" and not stream.is_ready


# proof by dialback


async def test_the_key_is_for_this_stream_and_a_server_can_ask_about_it(ours):
    *_, (result,) = inside(ours, OFFERS_DIALBACK, OFFERS_SM)
    assert (result.get("from"), result.get("to")) == (OURS, THEIRS)
    keys = ours.federation.service.keys
    assert keys.is_ours(result.text, THEIRS, OURS, "s1") and not keys.is_ours(result.text, THEIRS, OURS, "s2")


async def test_a_valid_key_makes_it_ready_without_another_header(ours):
    stream, wire, owner, _ = inside(ours, OFFERS_DIALBACK)
    assert wire.say(valid()) == []
    assert stream.is_ready and owner.told == ["ready"]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        (valid("invalid"), NOT_FOUND),
        (valid("error", "<error type='wait'><resource-constraint/></error>"), TIMEOUT),
        (valid("error"), TIMEOUT),
    ],
)
async def test_a_key_that_is_not_believed_ends_the_stream(ours, text, condition):
    stream, wire, owner, _ = inside(ours, OFFERS_DIALBACK)
    wire.say(text)
    assert (refusal(stream), wire.is_closing, owner.told) == (condition, True, ["ended"])


async def test_a_server_that_offers_nothing_is_shown_a_key_all_the_same(ours):
    *_, (result,) = inside(ours)
    assert result.name == "result"


# what follows


async def test_counting_is_asked_for_where_it_is_offered_and_waited_for(ours):
    stream, wire, _, _ = inside(ours, OFFERS_DIALBACK, OFFERS_SM)
    assert names(wire.say(valid())) == ["enable"]
    assert not stream.is_ready
    wire.say(ENABLED)
    assert stream.is_ready and stream.is_managed


async def test_without_counting_it_goes_on_where_that_is_refused(ours):
    stream, wire, _, _ = inside(ours, OFFERS_DIALBACK, OFFERS_SM)
    wire.say(valid(), f"<failed xmlns='{SM}'/>")
    assert stream.is_ready and not stream.is_managed


async def test_with_bidi_their_stanzas_are_heard_and_without_it_they_are_not(ours):
    stream, wire, _, sent = inside(ours, OFFERS_DIALBACK, OFFERS_BIDI)
    assert names(sent) == ["bidi", "result"]
    wire.say(valid())
    await wire.ask(message("m1", to=f"nobody@{OURS}"))
    assert not wire.is_closing and stream.heard == {(THEIRS, OURS)}
    stream, wire, _, sent = inside(ours, OFFERS_DIALBACK)
    wire.say(valid())
    wire.stream.receive(ping("p1").encode())
    assert wire.condition == "not-authorized"


async def test_bidi_that_is_switched_off_is_not_asked_for(net):
    ours = await net.island(OURS, settings={"s2s.bidi": False})
    *_, sent = inside(ours, OFFERS_DIALBACK, OFFERS_BIDI)
    assert names(sent) == ["result"]


async def test_with_bidi_they_bring_nothing_for_another_domain_or_from_one(ours):
    for text in (message(1, "x@third.example/r"), ping("p1", to="elsewhere.example")):
        _, wire, _, _ = inside(ours, OFFERS_DIALBACK, OFFERS_BIDI)
        wire.say(valid())
        wire.stream.receive(text.encode())
        assert wire.condition in ("invalid-from", "host-unknown")


async def test_how_large_a_stanza_may_be_is_remembered(ours):
    limits = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>12345</max-bytes></limits>"
    stream, *_ = inside(ours, OFFERS_DIALBACK, limits)
    assert stream.max_bytes == 12345


# asking about keys


async def test_a_stream_that_has_nothing_to_send_proves_nothing_until_it_has(ours):
    owner = Owner(wants_to_send=False)
    stream, wire, _, sent = inside(ours, OFFERS_DIALBACK, owner=owner)
    assert (sent, stream.is_usable, stream.outcome.done(), stream.is_ready) == ([], True, True, False)
    owner.wants_to_send = True
    stream.prove()
    stream.prove()
    assert names(wire.take()) == ["result"]


async def test_a_key_is_asked_about_and_the_answer_goes_to_who_asked(ours):
    stream, wire, owner, _ = inside(ours, OFFERS_DIALBACK, owner=Owner(wants_to_send=False))
    stream.ask_about("their-id", "their-key")
    (verify,) = wire.take()
    assert verify == Element(f"{DIALBACK} verify", {"from": OURS, "to": THEIRS, "id": "their-id"}, ("their-key",))
    for type_ in ("valid", "invalid", "error"):
        wire.say(f"<db:verify from='{THEIRS}' to='{OURS}' id='their-id' type='{type_}'/>")
    assert owner.told == [("their-id", "valid"), ("their-id", "invalid"), ("their-id", "error")]


async def test_we_answer_no_claims_on_a_stream_that_we_opened(ours):
    _, wire, _, _ = inside(ours, OFFERS_DIALBACK, owner=Owner(wants_to_send=False))
    wire.stream.receive(claim().encode())
    assert wire.condition == "unsupported-stanza-type"


# the end


@pytest.mark.parametrize("condition", [*sorted(FINAL), "system-shutdown", "resource-constraint", "undefined-condition"])
async def test_an_error_of_the_server_is_the_reason_and_some_are_final(ours, condition):
    stream, wire, owner = calling(ours)
    error = f"<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    wire.say(header(THEIRS, OURS) + error)
    assert refusal(stream) == (NOT_FOUND if condition in FINAL else TIMEOUT)
    assert condition in str(stream.outcome.exception()) and owner.told == ["ended"]


async def test_a_connection_that_breaks_during_login_is_told_once(ours):
    stream, wire, owner, _ = inside(ours, OFFERS_EXTERNAL)
    wire.lose()
    stream.close()
    assert (refusal(stream), owner.told) == (TIMEOUT, ["ended"])


async def test_a_login_nobody_waits_for_any_more_ends_quietly(ours):
    stream, wire, owner, _ = inside(ours, OFFERS_DIALBACK)
    stream.outcome.cancel()
    wire.lose()
    await turns(2)
    assert owner.told == ["ended"] and stream.outcome.cancelled()


async def test_a_server_that_stops_answering_during_login_is_given_up(ours):
    stream, wire, _, _ = inside(ours, OFFERS_DIALBACK)
    ours.loop.seconds += LOGIN_TIMEOUT_S
    stream.tick(LOGIN_TIMEOUT_S, LOGIN_TIMEOUT_S)
    assert not wire.is_closing
    ours.loop.seconds += 1
    stream.tick(LOGIN_TIMEOUT_S + 1, LOGIN_TIMEOUT_S + 1)
    assert wire.condition == "connection-timeout" and refusal(stream) == TIMEOUT


async def test_a_login_ends_in_time_though_spaces_come_now_and_then(ours):
    stream, wire, _, _ = inside(ours, OFFERS_DIALBACK)
    ours.loop.seconds += LOGIN_TIMEOUT_S + 1
    stream.tick(1, LOGIN_TIMEOUT_S + 1)
    assert wire.condition == "connection-timeout"


async def test_where_certificates_alone_count_a_stream_ends_with_theirs(net):
    ours = await net.island(OURS, settings={"s2s.authentication": "certificate"})
    ends = ours.world.clock.now() + timedelta(seconds=5)
    stream, wire, _, _ = inside(ours, OFFERS_EXTERNAL, shown=certificate(THEIRS, not_after=ends))
    wire.say(SUCCESS, greeting())
    ours.world.clock.advance(4)
    stream.tick(0, 4)
    assert stream.is_ready and not wire.is_closing
    ours.world.clock.advance(1)
    stream.tick(0, 5)
    assert wire.condition == "reset"


async def test_the_outcome_can_be_waited_for(ours):
    stream, wire, _, _ = inside(ours, OFFERS_DIALBACK)
    waiting = asyncio.ensure_future(asyncio.wait_for(stream.outcome, 5))
    wire.say(valid())
    assert await waiting is None


def test_a_reason_is_no_stream_error():
    assert not issubclass(CannotTalk, StreamError)
