"""SASL on a client's stream: the exchange by RFC 6120's profile, and what all profiles share."""

import binascii
from types import SimpleNamespace

import pytest

from codec.element import Element
from codec.events import StreamClosed
from codec.jid import JID
from storage.interface import AccountRecord
from xmppd.errors import SaslError, StreamError
from xmppd.login import (
    ABORT,
    AUTH,
    MAX_FAILURES,
    RESPONSE,
    SASL_NS,
    Credentials,
    Login,
    decode_base64,
    mechanisms_feature,
)
from xmppd.sasl.mechanism import Challenge, Success


class Scripted:
    """A mechanism that answers as it is told, and keeps what it was given."""

    def __init__(self, *results):
        self.results = list(results)
        self.got = []

    async def step(self, data):
        self.got.append(data)
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


class Bench:
    """A login, and what it told the client."""

    def __init__(self, host) -> None:
        self.mechanisms = {}
        self.host = host
        self.login = Login(host, SimpleNamespace(build=self._build))
        self.written = []
        self.logged_in = []

    def _build(self, name):
        if name not in self.mechanisms:
            raise SaslError("invalid-mechanism")
        return self.mechanisms[name]

    def offer(self, *results, name="TEST"):
        self.mechanisms[name] = Scripted(*results)
        return self.mechanisms[name]

    async def send(self, tag, text="", mechanism=None):
        """Send one element and return what was written since: tag names, and texts out of their base64."""
        attrs = {} if mechanism is None else {"mechanism": mechanism}
        self.written.clear()
        await self.login.handle(
            Element(tag, attrs, (text,) if text else ()), self.written.append, self.logged_in.append
        )
        return [(element.name, binascii.a2b_base64(element.text)) for element in self.written]

    async def auth(self, data=b"", mechanism="TEST"):
        return await self.send(AUTH, encoded(data), mechanism)

    async def failure(self, tag, text="", mechanism=None):
        """Send one element and return the condition with which that fails."""
        await self.send(tag, text, mechanism)
        (failure,) = self.written
        assert failure.tag == f"{SASL_NS} failure"
        return failure.elements()[0].name


def encoded(data):
    return binascii.b2a_base64(data, newline=False).decode()


@pytest.fixture
async def host(make_world):
    return (await make_world()).host()


@pytest.fixture
async def bench(host):
    return Bench(host)


# RFC 6120's profile


async def test_initial_response_may_be_all_it_takes(bench):
    mechanism = bench.offer(Success(b"", "romeo"))
    assert await bench.auth(b"me") == [("success", b"")]
    assert bench.written[0].children == ()
    assert (mechanism.got, bench.logged_in) == ([b"me"], ["romeo@example.org"])
    assert bench.host.metrics.logins == {"ok": 1, "failed": 0}


async def test_challenges_and_responses_go_to_and_fro(bench):
    mechanism = bench.offer(Challenge(b"who?"), Challenge(b""), Success(b"hello", "romeo"))
    assert await bench.auth(b"hi") == [("challenge", b"who?")]
    assert await bench.send(RESPONSE, encoded(b"romeo")) == [("challenge", b"")]
    assert bench.written[0].children == ()
    assert await bench.send(RESPONSE) == [("success", b"hello")]
    assert mechanism.got == [b"hi", b"romeo", b""]


async def test_absent_initial_response_gets_an_empty_challenge_and_an_empty_one_is_a_response(bench):
    mechanism = bench.offer(Success(b"", "romeo"))
    assert await bench.send(AUTH, "", "TEST") == [("challenge", b"")]
    assert mechanism.got == []
    await bench.send(RESPONSE, encoded(b"late"))
    assert mechanism.got == [b"late"]
    mechanism = bench.offer(Success(b"", "romeo"))
    await bench.send(AUTH, "=", "TEST")
    assert mechanism.got == [b""]


@pytest.mark.parametrize("name", [None, "", "OTHER"])
async def test_mechanism_that_is_not_offered_is_refused(bench, name):
    assert await bench.failure(AUTH, "AAAA", name) == "invalid-mechanism"


@pytest.mark.parametrize("text", ["!", "AAA", "AAAA AAAA", "é", "AAAA\n", "=AAA"])
async def test_what_is_no_base64_is_refused_and_another_try_may_follow(bench, text):
    bench.offer(Success(b"", "romeo"))
    assert await bench.failure(AUTH, text, "TEST") == "incorrect-encoding"
    assert await bench.auth(b"x") == [("success", b"")]


async def test_response_without_an_exchange_is_refused(bench):
    assert await bench.failure(RESPONSE, "AAAA") == "malformed-request"


async def test_second_auth_ends_the_exchange_under_way(bench):
    bench.offer(Challenge(b""), Success(b"", "romeo"))
    await bench.auth(b"x")
    assert await bench.failure(AUTH, "AAAA", "TEST") == "malformed-request"
    assert await bench.failure(RESPONSE, "AAAA") == "malformed-request"
    assert bench.logged_in == []


async def test_aborted_exchange_cannot_go_on(bench):
    bench.offer(Challenge(b""), Success(b"", "romeo"))
    await bench.auth(b"x")
    assert await bench.failure(ABORT) == "aborted"
    assert await bench.failure(RESPONSE, "AAAA") == "malformed-request"


async def test_failure_carries_its_text_and_is_counted(bench):
    bench.offer(SaslError("not-authorized", "No <such> thing."))
    await bench.auth(b"x")
    assert bench.written[0] == Element(
        f"{SASL_NS} failure",
        {},
        (Element(f"{SASL_NS} not-authorized"), Element(f"{SASL_NS} text", {}, ("No <such> thing.",))),
    )
    assert bench.host.metrics.logins == {"ok": 0, "failed": 1}


async def test_stream_on_which_too_many_tries_fail_ends_after_the_last_answer(bench):
    bench.offer(*[SaslError("not-authorized")] * MAX_FAILURES)
    for _ in range(MAX_FAILURES - 1):
        await bench.auth(b"x")
    with pytest.raises(StreamError, match="policy-violation"):
        await bench.auth(b"x")
    assert [element.name for element in bench.written] == ["failure"]


async def test_aborting_again_and_again_ends_the_stream_too(bench):
    for _ in range(MAX_FAILURES - 1):
        await bench.send(ABORT)
    with pytest.raises(StreamError, match="policy-violation"):
        await bench.send(ABORT)


# other profiles


async def test_exchange_of_one_profile_is_not_continued_by_another(bench):
    bench.login.begin("urn:other", Scripted(Challenge(b""), Success(b"", "romeo")))
    assert await bench.failure(RESPONSE, "AAAA") == "malformed-request"
    with pytest.raises(SaslError, match="malformed-request"):
        await bench.login.step("urn:other", b"x")


async def test_exchange_that_is_over_leaves_nothing_behind(bench):
    bench.login.begin("urn:other", Scripted(Success(b"", "romeo")))
    bench.login.expects, bench.login.notes = frozenset(("urn:other response",)), "notes"
    result = await bench.login.step("urn:other", b"x")
    assert bench.login.jid_of(result) == "romeo@example.org"
    assert (bench.login.profile, bench.login.expects, bench.login.notes) == ("", None, None)


async def test_exchange_held_open_goes_with_the_next_failure(bench):
    bench.login.hold("urn:other", frozenset(("urn:other next",)), "notes")
    assert (bench.login.profile, bench.login.notes) == ("urn:other", "notes")
    bench.login.failed()
    assert (bench.login.profile, bench.login.expects, bench.login.notes) == ("", None, None)


async def test_account_that_can_be_none_is_a_mistake_of_ours(bench):
    with pytest.raises(StreamError, match="internal-server-error"):
        bench.login.jid_of(Success(b"", "a@b"))


@pytest.mark.parametrize(("text", "data"), [("", b""), ("AA==", b"\0"), ("aGk=", b"hi")])
def test_base64_is_decoded(text, data):
    assert decode_base64(text) == data


# offers and accounts


async def test_feature_lists_mechanisms_and_channel_bindings():
    offer = SimpleNamespace(names=("A", "B"), channel_bindings=("tls-server-end-point",))
    mechanisms, bindings = mechanisms_feature(offer)
    assert [child.text for child in mechanisms.find_all(f"{SASL_NS} mechanism")] == ["A", "B"]
    assert [child.get("type") for child in bindings.elements()] == ["tls-server-end-point"]
    assert len(mechanisms_feature(SimpleNamespace(names=("A",), channel_bindings=()))) == 1


async def test_disabled_account_is_none(host):
    credentials = Credentials(host)
    await host.account_store.create(AccountRecord("romeo@example.org", {}))
    await host.account_store.create(AccountRecord("old@example.org", {}, disabled=True))
    assert (await credentials.get("romeo")).jid == "romeo@example.org"
    assert await credentials.get("old") is None
    assert await credentials.get("nobody") is None


# on a stream


async def test_client_with_the_right_password_gets_a_new_stream_as_its_account(make_world):
    world = await make_world()
    keys = await world.shared.password_work.make_keys("secret", 4_096)
    await world.shared.backend.accounts.create(AccountRecord("romeo@example.org", keys))
    client = world.stranger()
    client.connection.tls = SimpleNamespace(end_point_hash=None)
    client.stream.send_features()
    client.connection.events.clear()
    for password in ("wrong", "secret"):
        data = encoded(b"\0romeo\0" + password.encode())
        await client.send(f"<auth xmlns='{SASL_NS}' mechanism='PLAIN'>{data}</auth>")
        while client.stream.is_busy or not client.connection.events:
            await client.connection.arrived.wait()
            client.connection.arrived.clear()
        assert client.connection.events.pop(0).name == ("success" if password == "secret" else "failure")
    assert (client.stream.jid, client.stream.login) == (JID.parse("romeo@example.org"), None)


async def test_too_many_failures_end_the_stream(make_world):
    client = (await make_world()).stranger()
    for _ in range(MAX_FAILURES):
        await client.send(f"<auth xmlns='{SASL_NS}' mechanism='NONE'/>")
    *failures, error, closed = client.connection.events
    assert len(failures) == MAX_FAILURES
    assert (error.elements()[0].name, closed) == ("policy-violation", StreamClosed())
