"""XEP-0388: Extensible SASL Profile."""

import base64

import pytest

from codec.element import Element
from codec.events import StreamClosed
from codec.jid import JID
from compliance.sasl import Scram
from tests.modules.conftest import MakeWorld
from tests.support.sasl2 import (
    AGENT,
    END_POINT_HASH,
    SASL2,
    account,
    answers,
    authenticate,
    b64,
    ended_with,
    failure_of,
    identifier,
    knock,
    login,
    plain,
    success_of,
)
from tests.support.world import Client, World
from xmppd.errors import StanzaError
from xmppd.hooks import AuthenticatedEvent, UserAgent, sasl2_authenticated, sasl2_inline
from xmppd.login import MAX_FAILURES

SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
PING = "<iq type='get' id='p' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    world = await make_world("xep_0388_sasl2", "xep_0199_ping")
    await account(world, "romeo@example.org")
    return world


def offered(client: Client) -> Element | None:
    assert client.features is not None
    return client.features.find(f"{SASL2} authentication")


def asked(world: World) -> list[AuthenticatedEvent]:
    """Note what modules are asked to do."""
    events: list[AuthenticatedEvent] = []

    def note(event: AuthenticatedEvent) -> AuthenticatedEvent:
        events.append(event)
        return event

    world.host().handlers[sasl2_authenticated] = (note,)
    return events


async def scram(client: Client, password: str = "pencil", name: str = "SCRAM-SHA-256", inner: str = "") -> list[object]:
    """Go through SCRAM and return what came at the end."""
    binding = ("tls-server-end-point", END_POINT_HASH) if name.endswith("-PLUS") else None
    exchange = Scram(name, "romeo", password, binding=binding)
    (challenge,) = await answers(client, authenticate(name, b64(exchange.first()), inner))
    assert challenge.tag == f"{SASL2} challenge"
    final = exchange.answer(base64.b64decode(challenge.text))
    found = await answers(client, f"<response xmlns='{SASL2}'>{b64(final)}</response>")
    if found[0].name == "success":
        data = found[0].find(f"{SASL2} additional-data")
        exchange.verify(base64.b64decode(data.text))
    return found


# offering


async def test_it_offers_the_mechanisms_of_the_other_profile(world: World) -> None:
    client = knock(world)
    feature, other = offered(client), client.features and client.features.find(f"{SASL} mechanisms")
    assert feature is not None and other is not None
    names = [el.text for el in feature.find_all(f"{SASL2} mechanism")]
    assert names == [el.text for el in other.elements()] and "PLAIN" in names


async def test_without_tls_it_is_offered_only_where_tls_is_not_required(make_world: MakeWorld) -> None:
    open_world = await make_world("xep_0388_sasl2")
    feature = offered(knock(open_world, tls=False))
    assert feature is not None and "PLAIN" not in [el.text for el in feature.elements()]
    strict = await make_world("xep_0388_sasl2", settings={"c2s.require_tls": True, "tls.certificate": "some.pem"})
    client = knock(strict, tls=False)
    assert offered(client) is None
    await client.send(authenticate("PLAIN", plain()))
    assert ended_with(client) == "policy-violation"


async def test_nothing_inline_is_offered_where_no_module_has_any(world: World) -> None:
    feature = offered(knock(world))
    assert feature is not None and feature.find(f"{SASL2} inline") is None


async def test_modules_add_to_what_is_offered_inline(world: World) -> None:
    world.host().handlers[sasl2_inline] = (lambda event: event.features.append(Element("urn:x y")),)
    feature = offered(knock(world))
    inline = None if feature is None else feature.find(f"{SASL2} inline")
    assert inline is not None and [el.tag for el in inline.elements()] == ["urn:x y"]


async def test_it_is_not_offered_once_logged_in(world: World) -> None:
    client = await world.login("romeo@example.org")
    assert offered(client) is None


# logging in


async def test_success_names_the_account_and_features_follow_without_a_restart(world: World) -> None:
    client = knock(world)
    success, features = await answers(client, authenticate("PLAIN", plain()))
    assert success == Element(
        f"{SASL2} success", {}, (Element(f"{SASL2} authorization-identifier", {}, ("romeo@example.org",)),)
    )
    assert features.name == "features" and features.find("urn:ietf:params:xml:ns:xmpp-bind bind") is not None
    await client.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
    assert client.stream.resource is not None


@pytest.mark.parametrize("name", ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"])
async def test_scram_ends_with_the_servers_signature_in_success(world: World, name: str) -> None:
    found = await scram(knock(world), name=name)
    assert identifier(success_of(found)) == "romeo@example.org"


async def test_without_an_initial_response_the_client_is_asked_for_it(world: World) -> None:
    client = knock(world)
    (challenge,) = await answers(client, authenticate("PLAIN", None))
    assert challenge == Element(f"{SASL2} challenge")
    found = await answers(client, f"<response xmlns='{SASL2}'>{plain()}</response>")
    assert success_of(found)


async def test_white_space_around_base64_does_no_harm(world: World) -> None:
    assert success_of(await answers(knock(world), authenticate("PLAIN", f"\n  {plain()}\n")))


async def test_a_whole_login_can_be_sent_at_once_with_the_stream_header(world: World) -> None:
    client = knock(world)
    bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
    found = await answers(client, authenticate("PLAIN", plain()) + bind + PING)
    assert [event.name if isinstance(event, Element) else event.id for event in found] == [
        "success",
        "features",
        "b",
        "p",
    ]


async def test_larger_stanzas_are_allowed_after_it(world: World) -> None:
    client, _ = await login(world, "<bind xmlns='urn:xmpp:bind:0'/>")
    await client.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
    client.connection.events.clear()
    await client.send(f"<message to='romeo@example.org'><body>{'x' * 50_000}</body></message>")
    assert client.stream.is_connected


@pytest.mark.parametrize("from_", ["romeo@example.org", "romeo@example.org/x", "", "example.org", "@@"])
async def test_header_that_names_the_account_or_none_is_fine(world: World, from_: str) -> None:
    assert success_of(await answers(knock(world, from_=from_), authenticate("PLAIN", plain())))


async def test_header_that_names_another_account_fails_the_login(world: World) -> None:
    client = knock(world, from_="juliet@example.org")
    assert failure_of(await answers(client, authenticate("PLAIN", plain()))) == "invalid-authzid"
    assert client.stream.jid is None


async def test_header_that_names_another_domain_ends_the_stream(world: World) -> None:
    assert ended_with(knock(world, from_="romeo@example.com")) == "invalid-from"


# what a request carries


async def test_modules_see_the_request_and_who_sent_it(world: World) -> None:
    events = asked(world)
    agent = f"<user-agent id='{AGENT.upper()}'><software> Test </software><device>Phone</device></user-agent>"
    await answers(knock(world), authenticate("PLAIN", plain(), agent + "<x xmlns='urn:x'/>", agent=""))
    (event,) = events
    assert event.jid == JID.parse("romeo@example.org") and event.mechanism == "PLAIN"
    assert event.agent == UserAgent(AGENT, "Test", "Phone") and event.request.find("urn:x x") is not None


async def test_request_is_remembered_over_challenges(world: World) -> None:
    events = asked(world)
    await scram(knock(world), inner="<x xmlns='urn:x'/>")
    assert events[0].request.find("urn:x x") is not None and events[0].mechanism == "SCRAM-SHA-256"


@pytest.mark.parametrize("id_", ["", "me", AGENT + "0", "../../../etc/passwd", "x" * 5000])
async def test_id_that_is_no_uuid_counts_as_none(world: World, id_: str) -> None:
    events = asked(world)
    await answers(knock(world), authenticate("PLAIN", plain(), f"<user-agent id='{id_}'/>", agent=""))
    assert events[0].agent == UserAgent()


async def test_long_names_of_software_and_device_are_cut(world: World) -> None:
    events = asked(world)
    agent = f"<user-agent><software>{'s' * 4000}</software><device>{'d' * 4000}</device></user-agent>"
    await answers(knock(world), authenticate("PLAIN", plain(), agent, agent=""))
    assert events[0].agent == UserAgent("", "s" * 100, "d" * 100)


async def test_request_larger_than_the_limit_before_login_ends_the_stream(world: World) -> None:
    client = knock(world)
    await client.send(authenticate("PLAIN", plain(), f"<x xmlns='urn:x'>{'x' * 20_000}</x>"))
    assert ended_with(client) == "policy-violation"


async def test_unknown_requests_are_ignored(world: World) -> None:
    found = await answers(knock(world), authenticate("PLAIN", plain(), "<megabind xmlns='urn:example:megabind'/>"))
    assert [el.name for el in success_of(found).elements()] == ["authorization-identifier"]


async def test_nothing_is_done_for_a_login_that_fails(world: World) -> None:
    events = asked(world)
    await answers(knock(world), authenticate("PLAIN", plain(password="pen"), "<x xmlns='urn:x'/>"))
    assert events == []


async def test_module_that_cannot_do_its_part_fails_the_login(world: World) -> None:
    def refuse(event: AuthenticatedEvent) -> AuthenticatedEvent:
        raise StanzaError("resource-constraint", text="Too many.")

    world.host().handlers[sasl2_authenticated] = (refuse,)
    client = knock(world)
    (failure,) = await answers(client, authenticate("PLAIN", plain()))
    assert failure_of([failure]) == "temporary-auth-failure" and failure.elements()[1].text == "Too many."
    assert client.stream.jid is None and client.stream.login is not None


# failing


async def test_wrong_password_fails_and_another_try_may_succeed(world: World) -> None:
    client = knock(world)
    assert failure_of(await answers(client, authenticate("PLAIN", plain(password="pen")))) == "not-authorized"
    assert failure_of(await scram(client, "pen")) == "not-authorized"  # type: ignore[arg-type]
    assert success_of(await answers(client, authenticate("PLAIN", plain())))


@pytest.mark.parametrize(
    ("request_", "condition"),
    [
        (authenticate("DIGEST-MD5", plain()), "invalid-mechanism"),
        (authenticate("", plain()), "invalid-mechanism"),
        (authenticate("HT-SHA-256-NONE", plain()), "invalid-mechanism"),
        (f"<authenticate xmlns='{SASL2}'/>", "invalid-mechanism"),
        (authenticate("PLAIN", "???"), "incorrect-encoding"),
        (authenticate("PLAIN", "="), "incorrect-encoding"),
        (authenticate("PLAIN", "ä"), "incorrect-encoding"),
        (authenticate("PLAIN", b64(b"nonsense")), "malformed-request"),
        (f"<response xmlns='{SASL2}'/>", "malformed-request"),
        (f"<abort xmlns='{SASL2}'/>", "aborted"),
    ],
)
async def test_request_that_cannot_be_served_fails(world: World, request_: str, condition: str) -> None:
    client = knock(world)
    assert failure_of(await answers(client, request_)) == condition
    assert success_of(await answers(client, authenticate("PLAIN", plain())))


async def test_aborted_exchange_can_be_begun_anew(world: World) -> None:
    client = knock(world)
    await answers(client, authenticate("SCRAM-SHA-256", None))
    assert failure_of(await answers(client, f"<abort xmlns='{SASL2}'><text>no</text></abort>")) == "aborted"
    assert success_of(await answers(client, authenticate("PLAIN", plain())))


@pytest.mark.parametrize("first", [SASL, SASL2])
async def test_failures_of_both_profiles_count_together(world: World, first: str) -> None:
    client = knock(world)
    wrong = plain(password="pen")
    tries = {
        SASL: f"<auth xmlns='{SASL}' mechanism='PLAIN'>{wrong}</auth>",
        SASL2: authenticate("PLAIN", wrong),
    }
    other = SASL if first == SASL2 else SASL2
    for _ in range(MAX_FAILURES - 1):
        assert len(await answers(client, tries[first])) == 1
    await client.send(tries[other])
    assert ended_with(client) == "policy-violation"
    assert world.shared.metrics.logins["failed"] == MAX_FAILURES


async def test_logins_are_counted(world: World) -> None:
    await login(world, "")
    assert world.shared.metrics.logins["ok"] == 1 and world.shared.metrics.logins["failed"] == 0


# what does not belong there


@pytest.mark.parametrize(
    "other",
    [
        PING,
        "<presence/>",
        authenticate("PLAIN", plain()),
        f"<auth xmlns='{SASL}' mechanism='PLAIN'>{plain()}</auth>",
        f"<response xmlns='{SASL}'>{plain()}</response>",
        f"<abort xmlns='{SASL}'/>",
        "<enable xmlns='urn:xmpp:sm:3'/>",
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    ],
)
async def test_anything_else_during_an_exchange_ends_the_stream(world: World, other: str) -> None:
    client = knock(world)
    await answers(client, authenticate("PLAIN", None))
    await client.send(other)
    assert ended_with(client) in ("policy-violation", "not-authorized")
    assert client.stream.jid is None


async def test_exchange_of_the_other_profile_is_not_gone_on_with(world: World) -> None:
    client = knock(world)
    await answers(client, f"<auth xmlns='{SASL}' mechanism='PLAIN'/>")
    assert failure_of(await answers(client, f"<response xmlns='{SASL2}'>{plain()}</response>")) == "malformed-request"


@pytest.mark.parametrize(
    "element", [authenticate("PLAIN", plain()), f"<response xmlns='{SASL2}'/>", f"<abort xmlns='{SASL2}'/>"]
)
async def test_another_login_after_success_ends_the_stream(world: World, element: str) -> None:
    client, _ = await login(world, "")
    await client.send(element)
    assert ended_with(client) == "policy-violation"


async def test_two_requests_at_once_end_the_stream_that_the_first_logged_in(world: World) -> None:
    client = knock(world)
    await client.send(authenticate("PLAIN", plain()) * 2)
    assert ended_with(client) == "policy-violation"


async def test_both_profiles_work_on_streams_side_by_side(world: World) -> None:
    client = knock(world)
    assert failure_of(await answers(client, authenticate("PLAIN", plain(password="pen")))) == "not-authorized"
    (success,) = await answers(client, f"<auth xmlns='{SASL}' mechanism='PLAIN'>{plain()}</auth>")
    assert success.tag == f"{SASL} success"


async def test_client_that_goes_away_meanwhile_is_not_logged_in(world: World) -> None:
    client = knock(world)
    client.stream.receive(authenticate("PLAIN", plain(), "<bind xmlns='urn:xmpp:bind:0'/>").encode())
    await client.disconnect()
    while client.stream.is_busy:
        await world.settle()
    assert client.stream.resource is None and not any(
        isinstance(event, StreamClosed) for event in client.connection.events
    )
