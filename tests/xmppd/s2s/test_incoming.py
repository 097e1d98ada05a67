"""A stream that another server opens: what it is offered when, how it proves a domain, and what it may not do."""

import asyncio
import base64
from datetime import timedelta

import pytest

from codec.element import Element
from codec.events import StreamClosed, StreamOpened
from tests.support.s2s import (
    ASKS_BIDI,
    AUTH,
    ENABLE,
    OURS,
    SASL,
    STARTTLS,
    THEIRS,
    TLS,
    certificate,
    claim,
    header,
    ids,
    message,
    names,
    turns,
)
from xmppd.config import S2SConfig
from xmppd.errors import StanzaError
from xmppd.s2s.limits import PAIRS_PER_STREAM, PENDING_IN_ALL, PENDING_PER_ADDRESS, PENDING_PER_STREAM, UNPROVEN_S

LOGIN_TIMEOUT_S = int(S2SConfig().login_timeout_s)


@pytest.fixture
async def ours(net):
    return await net.island(OURS)


@pytest.fixture
def asked(ours, monkeypatch):
    """Domains that were asked about keys; each answer is what the test puts into `asked.answers`, True where nothing is."""
    calls = Asked()
    monkeypatch.setattr(ours.federation, "ask", calls.ask)
    return calls


class Asked(list):
    def __init__(self):
        super().__init__()
        self.answers = {}

    async def ask(self, ours, theirs, stream_id, key):
        self.append((ours, theirs, stream_id, key))
        answer = self.answers.get(theirs, True)
        if isinstance(answer, asyncio.Event):
            await answer.wait()
            return True
        if isinstance(answer, StanzaError):
            raise answer
        return answer


def offered(events):
    assert isinstance(events[0], StreamOpened)
    return names(list(events[1].elements()))


def auth(text):
    return f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>{text}</auth>"


def encoded(text):
    return base64.b64encode(text.encode()).decode()


# header and features


async def test_before_tls_nothing_but_tls_is_offered_and_it_is_required(ours):
    opened, features = ours.called().say(header())
    assert (opened.from_, opened.to, len(opened.id) >= 16) == (OURS, THEIRS, True)
    starttls, limits = features.elements()
    assert starttls == Element(f"{TLS} starttls", {}, (Element(f"{TLS} required"),))
    assert limits.name == "limits"


async def test_where_tls_is_not_required_login_is_offered_beside_it(net):
    ours = await net.island(OURS, settings={"s2s.require_tls": False})
    assert offered(ours.called().say(header())) == ["starttls", "bidi", "dialback", "sm", "limits"]


async def test_after_tls_a_certificate_of_that_domain_may_log_in_and_tls_is_offered_no_more(ours):
    wire = ours.called(certificate(THEIRS))
    wire.say(header(), STARTTLS)
    events = wire.say(header())
    assert offered(events) == ["mechanisms", "bidi", "dialback", "sm", "limits"]
    (mechanism,) = events[1].elements()[0].elements()
    assert mechanism.text == "EXTERNAL"


@pytest.mark.parametrize(
    ("shown", "from_"),
    [
        (certificate("other.example"), THEIRS),
        (certificate(THEIRS, fault="nobody signed it"), THEIRS),
        (certificate(THEIRS), None),
        (None, THEIRS),
    ],
)
async def test_external_is_not_offered_where_the_certificate_does_not_prove_the_domain(ours, shown, from_):
    wire = ours.called(shown)
    wire.say(header(), STARTTLS)
    assert "mechanisms" not in offered(wire.say(header(from_)))


async def test_after_login_neither_login_nor_bidi_is_offered(ours):
    wire = ours.greeted(certificate(THEIRS))
    wire.say(AUTH)
    assert offered(wire.say(header())) == ["dialback", "sm", "limits"]


async def test_bidi_that_is_switched_off_is_not_offered_and_refused(net):
    ours = await net.island(OURS, settings={"s2s.bidi": False})
    wire = ours.called()
    wire.say(header(), STARTTLS)
    assert "bidi" not in offered(wire.say(header()))
    wire.stream.receive(ASKS_BIDI.encode())
    assert wire.condition == "policy-violation"


async def test_limits_are_told(net):
    ours = await net.island(OURS, settings={"s2s.idle_s": 333, "limits.stanza_bytes": 54_321})
    limits = ours.called().say(header())[1].elements()[-1]
    assert limits.tag == "urn:xmpp:stream-limits:0 limits"
    assert [(child.name, child.text) for child in limits.elements()] == [
        ("max-bytes", "54321"),
        ("idle-seconds", "333"),
    ]


@pytest.mark.parametrize(
    ("first", "condition"),
    [
        (header(to="elsewhere.example"), "host-unknown"),
        (header(to=None), "host-unknown"),
        (header(to="a b"), "host-unknown"),
        (header(version=None), "unsupported-version"),
        (header(version="2.0"), "unsupported-version"),
        (header(from_="sub.bad.example"), "policy-violation"),
    ],
)
async def test_headers_that_lead_nowhere_end_the_stream_behind_ours(net, first, condition):
    ours = await net.island(OURS, settings={"s2s.block": ["bad.example"]})
    wire = ours.called()
    wire.stream.receive(first.encode())
    assert isinstance(wire.events[0], StreamOpened)
    assert wire.condition == condition


@pytest.mark.parametrize("from_", [OURS, "second.example"])
async def test_nobody_comes_from_a_domain_of_ours(net, from_):
    ours = await net.island(OURS, "second.example")
    wire = ours.greeted(certificate(from_), from_)
    (failure,) = wire.say(AUTH)
    assert failure.elements()[0].name == "not-authorized"
    (answer,) = await wire.ask(claim(from_=from_))
    assert (answer.get("type"), answer.elements()[0].elements()[0].name) == ("error", "not-allowed")
    assert net.dialled == []


async def test_a_restarted_stream_stays_between_the_same_domains(ours):
    wire = ours.greeted(certificate(THEIRS))
    wire.say(AUTH)
    wire.stream.receive(header("other.example").encode())
    assert wire.condition == "invalid-from"


# STARTTLS


async def test_tls_is_begun_with_what_came_behind_it_dropped(ours):
    wire = ours.called(certificate(THEIRS))
    wire.say(header())
    events = wire.say(f"{STARTTLS}{claim()}{header()}")
    assert names(events) == ["proceed"] and len(wire.engines) == 1


async def test_tls_inside_tls_fails(ours):
    wire = ours.greeted()
    assert names(wire.say(STARTTLS)) == ["failure", "StreamClosed"]
    assert len(wire.engines) == 1


@pytest.mark.parametrize("text", [AUTH, claim(), ASKS_BIDI])
async def test_where_tls_is_required_nothing_is_proven_before_it(ours, asked, text):
    wire = ours.called(certificate(THEIRS))
    wire.say(header())
    wire.stream.receive(text.encode())
    assert wire.condition == "policy-violation"
    assert not asked and not wire.stream.heard


async def test_tls_that_one_domain_requires_is_required_of_a_claim_to_it_whatever_the_header_says(net, monkeypatch):
    ours = await net.island(OURS, settings={"s2s.require_tls": False})
    terms = ours.federation.policy.terms

    def strict(domain):
        found = terms(domain)
        return found if domain != "strict.example" else type(found)(True, True, True, (), 0)

    monkeypatch.setattr(type(ours.federation.policy), "terms", lambda _, domain: strict(domain))
    asked = Asked()
    monkeypatch.setattr(ours.federation, "ask", asked.ask)
    wire = ours.called()
    wire.say(header())
    (answer,) = await wire.ask(claim(from_="strict.example"))
    assert (answer.get("type"), answer.elements()[0].elements()[0].name, asked) == ("error", "policy-violation", [])


async def test_bidi_that_was_asked_for_in_plain_text_is_forgotten_with_tls(net):
    ours = await net.island(OURS, settings={"s2s.require_tls": False})
    wire = ours.called(certificate(THEIRS))
    wire.say(header(), ASKS_BIDI, STARTTLS)
    wire.say(header(), AUTH)
    wire.say(header())
    assert wire.stream.heard and not ours.routes()


# EXTERNAL


@pytest.mark.parametrize("text", ["=", "", encoded(THEIRS), encoded("VERONA.example")])
async def test_the_certificate_logs_the_domain_of_the_header_in(ours, text):
    wire = ours.greeted(certificate(THEIRS))
    assert names(wire.say(auth(text))) == ["success"]
    assert wire.stream.heard == {(THEIRS, OURS)}


@pytest.mark.parametrize(
    ("shown", "text", "condition"),
    [
        (certificate(THEIRS), encoded("other.example"), "invalid-authzid"),
        (certificate(THEIRS, "other.example"), encoded("other.example"), "invalid-authzid"),
        (certificate(THEIRS), encoded("a b"), "invalid-authzid"),
        (certificate(THEIRS), "%%%", "incorrect-encoding"),
        (certificate(THEIRS), base64.b64encode(b"\xff\xfe").decode(), "incorrect-encoding"),
        (certificate("other.example"), "=", "not-authorized"),
        (certificate(THEIRS, fault="nobody signed it"), encoded(THEIRS), "not-authorized"),
        (None, "=", "not-authorized"),
    ],
)
async def test_a_login_that_the_certificate_does_not_prove_fails(ours, shown, text, condition):
    wire = ours.greeted(shown)
    (failure,) = wire.say(auth(text))
    assert (failure.name, failure.elements()[0].name) == ("failure", condition)
    assert not wire.stream.heard


async def test_without_a_domain_in_the_header_there_is_no_login(ours):
    wire = ours.called(certificate(THEIRS))
    wire.say(header(), STARTTLS)
    wire.say(header(None))
    (failure,) = wire.say(AUTH)
    assert failure.elements()[0].name == "not-authorized"


async def test_other_mechanisms_are_refused(ours):
    (failure,) = ours.greeted(certificate(THEIRS)).say(AUTH.replace("EXTERNAL", "PLAIN"))
    assert failure.elements()[0].name == "invalid-mechanism"


async def test_where_dialback_alone_counts_certificates_do_not(net, monkeypatch):
    ours = await net.island(OURS, settings={"s2s.authentication": "dialback"})
    asked = Asked()
    monkeypatch.setattr(ours.federation, "ask", asked.ask)
    wire = ours.called(certificate(THEIRS))
    wire.say(header(), STARTTLS)
    assert "mechanisms" not in offered(wire.say(header()))
    (failure,) = wire.say(AUTH)
    assert failure.elements()[0].name == "invalid-mechanism"
    (answer,) = await wire.ask(claim())
    assert (answer.get("type"), len(asked)) == ("valid", 1)


async def test_who_has_logged_in_does_not_log_in_again(ours):
    wire = ours.proven()
    wire.stream.receive(AUTH.encode())
    assert wire.condition == "policy-violation"


# dialback


async def test_a_key_is_shown_to_the_server_of_the_domain_that_is_claimed(ours, asked):
    wire = ours.greeted()
    (answer,) = await wire.ask(claim("the key"))
    assert asked == [(OURS, THEIRS, wire.stream.stream_id, "the key")]
    assert answer == Element("jabber:server:dialback result", {"from": OURS, "to": THEIRS, "type": "valid"})
    assert wire.stream.heard == {(THEIRS, OURS)}


async def test_a_wrong_key_is_invalid_and_ends_a_stream_that_brings_nothing_else(ours, asked):
    asked.answers[THEIRS] = False
    wire = ours.greeted()
    answer, closed = await wire.ask(claim())
    assert (answer.get("type"), type(closed), wire.stream.heard) == ("invalid", StreamClosed, set())
    assert wire.is_closing


async def test_a_wrong_key_leaves_a_stream_that_brings_another_domain(ours, asked):
    asked.answers["other.example"] = False
    wire = ours.proven()
    (answer,) = await wire.ask(claim(from_="other.example"))
    assert (answer.get("type"), wire.is_closing, wire.stream.heard) == ("invalid", False, {(THEIRS, OURS)})


async def test_a_server_that_cannot_be_asked_is_an_error_and_the_stream_goes_on(ours, asked):
    asked.answers[THEIRS] = StanzaError("remote-server-not-found")
    wire = ours.greeted()
    (answer,) = await wire.ask(claim())
    (error,) = answer.elements()
    assert (answer.get("type"), error.elements()[0].name) == ("error", "remote-server-not-found")
    assert not wire.is_closing and not wire.stream.heard and ours.federation.service.waiting == 0


async def test_several_domains_share_a_stream_and_each_is_proven_by_itself(ours, asked):
    asked.answers["bad.example"] = StanzaError("remote-server-timeout")
    wire = ours.greeted()
    events = await wire.ask(*(claim(from_=domain) for domain in ("one.example", "bad.example", "two.example")))
    assert [event.get("type") for event in events] == ["valid", "error", "valid"]
    assert wire.stream.heard == {("one.example", OURS), ("two.example", OURS)}
    wire.stream.receive(message(1, "x@bad.example/r").encode())
    assert wire.condition == "invalid-from"


async def test_a_domain_that_is_proven_already_is_not_asked_again(ours, asked):
    wire = ours.greeted()
    events = await wire.ask(claim(), claim("another"))
    assert ([event.get("type") for event in events], len(asked)) == (["valid", "valid"], 1)


async def test_the_same_claim_twice_is_asked_about_once(ours, asked):
    asked.answers[THEIRS] = asyncio.Event()
    wire = ours.greeted()
    assert await wire.ask(claim(), claim()) == []
    assert len(asked) == 1
    asked.answers[THEIRS].set()
    await turns(5)
    assert [event.get("type") for event in wire.take()] == ["valid"]


async def test_a_certificate_of_the_domain_makes_the_question_needless(ours, asked):
    wire = ours.greeted(certificate(THEIRS, "second.example"))
    events = await wire.ask(claim(), claim(from_="second.example"), claim(from_="third.example"))
    assert [event.get("type") for event in events] == ["valid"] * 3
    assert [call[1] for call in asked] == ["third.example"]


@pytest.mark.parametrize("text", [claim(from_="a b"), claim(to=""), claim().replace("from='verona.example'", "")])
async def test_a_claim_without_domains_ends_the_stream(ours, asked, text):
    wire = ours.greeted()
    wire.stream.receive(text.encode())
    assert wire.condition == "improper-addressing" and not asked


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        (claim(to="elsewhere.example"), "item-not-found"),
        (claim(from_="sub.bad.example"), "policy-violation"),
    ],
)
async def test_claims_that_are_refused_at_once(net, monkeypatch, text, condition):
    ours = await net.island(OURS, settings={"s2s.block": ["bad.example"]})
    asked = Asked()
    monkeypatch.setattr(ours.federation, "ask", asked.ask)
    (answer,) = await ours.greeted().ask(text)
    assert (answer.get("type"), answer.elements()[0].elements()[0].name, asked) == ("error", condition, [])


async def test_where_certificates_alone_count_a_key_is_refused_without_asking(net, monkeypatch):
    ours = await net.island(OURS, settings={"s2s.authentication": "certificate"})
    asked = Asked()
    monkeypatch.setattr(ours.federation, "ask", asked.ask)
    (answer,) = await ours.greeted(certificate("other.example")).ask(claim())
    assert answer.elements()[0].elements()[0].name == "not-authorized" and not asked


async def test_pending_claims_of_one_stream_are_bounded(ours, asked):
    wire = ours.greeted()
    for number in range(PENDING_PER_STREAM + 1):
        asked.answers[f"d{number}.example"] = asyncio.Event()
    (answer,) = await wire.ask(*(claim(from_=f"d{number}.example") for number in range(PENDING_PER_STREAM + 1)))
    assert answer.elements()[0].elements()[0].name == "resource-constraint"
    assert len(asked) == PENDING_PER_STREAM == ours.federation.service.waiting
    asked.answers["d0.example"].set()
    await turns(5)
    (answer,) = wire.take()
    assert answer.get("type") == "valid"
    asked.answers.clear()
    (answer,) = await wire.ask(claim(from_="late.example"))
    assert answer.get("type") == "valid"


async def test_pending_claims_of_all_streams_are_bounded(ours, asked):
    ours.federation.service.waiting = PENDING_IN_ALL
    (answer,) = await ours.greeted().ask(claim())
    assert answer.elements()[0].elements()[0].name == "resource-constraint" and not asked


async def test_an_address_that_has_claimed_much_leaves_half_of_them_to_others(ours, asked):
    wire = ours.greeted()
    service = ours.federation.service
    service.waiting = PENDING_IN_ALL // 2
    (answer,) = await wire.ask(claim(from_="first.example"))
    assert answer.get("type") == "valid" and not service.waiting_by
    service.waiting_by[wire.stream.address] = PENDING_PER_ADDRESS
    (answer,) = await wire.ask(claim(from_="second.example"))
    assert answer.elements()[0].elements()[0].name == "resource-constraint"
    service.waiting -= 1
    (answer,) = await wire.ask(claim(from_="third.example"))
    assert answer.get("type") == "valid"


async def test_proven_domains_of_one_stream_are_bounded(ours, asked):
    wire = ours.greeted()
    wire.stream.heard |= {(f"d{number}.example", OURS) for number in range(PAIRS_PER_STREAM)}
    refused, known = await wire.ask(claim(), claim(from_="d1.example"))
    assert refused.elements()[0].elements()[0].name == "resource-constraint"
    assert known.get("type") == "valid"


async def test_an_answer_that_comes_after_the_stream_has_ended_is_for_nobody(ours, asked):
    asked.answers[THEIRS] = asyncio.Event()
    wire = ours.greeted()
    stream = wire.stream
    await wire.ask(claim())
    wire.lose()
    asked.answers[THEIRS].set()
    await turns(5)
    assert not stream.heard and ours.federation.service.waiting == 0


async def test_an_answer_about_the_stream_before_tls_proves_nothing_inside(net, monkeypatch):
    ours = await net.island(OURS, settings={"s2s.require_tls": False})
    asked = Asked()
    asked.answers[THEIRS] = asyncio.Event()
    monkeypatch.setattr(ours.federation, "ask", asked.ask)
    wire = ours.called()
    wire.say(header())
    await wire.ask(claim(), STARTTLS, header())
    asked.answers[THEIRS].set()
    await turns(5)
    assert wire.take() == [] and not wire.stream.heard


# questions about our keys


def question(key, id_="s1", from_=THEIRS, to=OURS):
    return f"<db:verify from='{from_}' to='{to}' id='{id_}'>{key}</db:verify>"


async def test_our_own_key_is_valid_and_every_other_is_not(ours):
    key = ours.federation.service.keys.make(THEIRS, OURS, "s1")
    wire = ours.greeted()
    answers = wire.say(question(key), question(key, "s2"), question(key, from_="other.example"), question("x"))
    assert [answer.get("type") for answer in answers] == ["valid", "invalid", "invalid", "invalid"]
    assert answers[0] == Element(
        "jabber:server:dialback verify", {"from": OURS, "to": THEIRS, "id": "s1", "type": "valid"}
    )


async def test_a_key_of_a_domain_that_is_not_ours_is_an_error(ours):
    (answer,) = ours.greeted().say(question("x", to="elsewhere.example"))
    assert (answer.get("type"), answer.elements()[0].elements()[0].name) == ("error", "item-not-found")


@pytest.mark.parametrize("text", [question("x", id_=""), question("x", from_=""), question("x", to="a b")])
async def test_a_question_without_id_or_domains_ends_the_stream(ours, text):
    wire = ours.greeted()
    wire.stream.receive(text.encode())
    assert wire.condition == "improper-addressing"


# XEP-0198, bidi


async def test_counting_begins_after_a_domain_is_proven_and_once(ours):
    wire = ours.greeted(certificate(THEIRS))
    assert names(wire.say(ENABLE)) == ["failed"]
    wire.say(AUTH)
    wire.say(header())
    assert names(wire.say(ENABLE, ENABLE)) == ["enabled", "failed"]
    assert wire.stream.is_managed


async def test_with_bidi_our_stanzas_leave_behind_the_header_that_follows_login_and_not_before(ours):
    romeo = await ours.client("romeo@example.org/orchard")
    wire = ours.greeted(certificate(THEIRS))
    await _put_while_unreachable(ours, romeo)
    assert names(wire.say(ASKS_BIDI, AUTH)) == ["success"]
    events = wire.say(header())
    assert names(events)[:3] == ["StreamOpened", "features", "message"]


async def test_with_bidi_our_stanzas_leave_behind_the_answer_to_the_key(ours, asked):
    romeo = await ours.client("romeo@example.org/orchard")
    wire = ours.greeted()
    await _put_while_unreachable(ours, romeo)
    answer, sent, asks = await wire.ask(ASKS_BIDI, claim())
    assert (answer.get("type"), sent.id, asks.type) == ("valid", "m1", "get")  # not counted: a ping follows


async def test_without_bidi_nothing_of_ours_leaves_on_their_stream(ours, asked):
    romeo = await ours.client("romeo@example.org/orchard")
    wire = ours.greeted()
    await _put_while_unreachable(ours, romeo)
    events = await wire.ask(claim())
    assert ids(events) == [] and len(events) == 1


async def test_with_bidi_theirs_is_heard_even_where_there_is_no_room_for_another_way_to_them(ours, asked, monkeypatch):
    monkeypatch.setattr("xmppd.s2s.federation.ROUTES", 0)
    wire = ours.proven(ASKS_BIDI)
    assert wire.stream.heard and not wire.is_closing and not ours.routes()
    wire = ours.greeted()
    (answer,) = await wire.ask(ASKS_BIDI, claim())
    assert answer.get("type") == "valid" and wire.stream.heard


async def test_bidi_comes_too_late_once_a_domain_is_proven(ours):
    wire = ours.proven()
    wire.stream.receive(ASKS_BIDI.encode())
    assert wire.condition == "policy-violation"


async def _put_while_unreachable(ours, romeo):
    ours.federation._dialling.is_stopping = True  # nothing is connected: it waits
    await romeo.send("<message to='juliet@verona.example' id='m1' type='chat'><body>hi</body></message>")
    assert len(ours.stored()) == 1


# bad order, time


async def test_elements_nobody_knows_end_the_stream(ours):
    wire = ours.greeted()
    wire.stream.receive(b"<x xmlns='y'/>")
    assert wire.condition == "not-authorized"
    wire = ours.proven()
    wire.stream.receive(b"<x xmlns='y'/>")
    assert wire.condition == "unsupported-stanza-type"


async def test_who_proves_nothing_is_sent_away(ours):
    wire = ours.greeted()
    ours.loop.seconds += LOGIN_TIMEOUT_S
    wire.stream.tick(1, LOGIN_TIMEOUT_S)
    assert not wire.is_closing
    wire.stream.receive(b" ")
    ours.loop.seconds += 1
    wire.stream.tick(0, LOGIN_TIMEOUT_S + 1)
    assert wire.condition == "connection-timeout"


async def test_who_asks_about_our_keys_may_do_so_for_a_while(ours):
    wire = ours.greeted()
    ours.loop.seconds += LOGIN_TIMEOUT_S
    wire.say(question("nonsense"))
    ours.loop.seconds += LOGIN_TIMEOUT_S
    wire.stream.tick(LOGIN_TIMEOUT_S, UNPROVEN_S)
    assert not wire.is_closing
    wire.stream.tick(1, UNPROVEN_S + 1)
    assert wire.condition == "connection-timeout"


async def test_a_stream_that_lives_longer_than_the_certificate_that_proved_it_ends(ours):
    now = ours.world.clock.now()
    wire = ours.proven(shown=certificate(THEIRS, not_after=now + timedelta(seconds=10)))
    ours.world.clock.advance(9)
    wire.stream.tick(0, 9)
    assert not wire.is_closing
    ours.world.clock.advance(1)
    wire.stream.tick(0, 10)
    assert wire.condition == "reset"


async def test_a_stream_that_a_key_proved_outlives_the_certificate(ours, asked):
    now = ours.world.clock.now()
    wire = ours.greeted(certificate("other.example", not_after=now + timedelta(seconds=10)))
    await wire.ask(claim())
    ours.world.clock.advance(11)
    wire.stream.tick(0, 11)
    assert not wire.is_closing


async def test_an_expired_certificate_proves_no_other_domain_on_a_stream_that_stands(ours, asked):
    now = ours.world.clock.now()
    wire = ours.greeted(certificate(THEIRS, not_after=now + timedelta(seconds=10)))
    ours.world.clock.advance(11)
    await wire.ask(claim())
    assert len(asked) == 1
