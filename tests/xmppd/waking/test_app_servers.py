"""App servers as a gateway."""

import pytest

from codec.stanza import IQ
from push.gateway import BadToken, Device, Kind, Notification, Outcome, Result
from tests.support.push.scripted import FakeClock
from xmppd.waking.app_servers import GONE_AFTER_S, MAX_FAILURES, AppServers, summary_of
from xmppd.waking.registrations import Registration

OWNER = "j@example.org"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


class Peer:
    """Answers requests by `answer`: "" for a result, "silence", or the XML of an error."""

    def __init__(self) -> None:
        self.answer = ""
        self.asked: list[IQ] = []

    async def ask(self, iq: IQ, timeout_s: float) -> IQ:
        self.asked.append(iq)
        if self.answer == "silence":
            raise TimeoutError
        reply = iq.reply()
        return (
            reply
            if not self.answer
            else reply.replace(type="error").adding_raw(self.answer.encode(), "jabber:client error")
        )


def gateway(peer: Peer, clock: FakeClock, per_s: float = 0) -> AppServers:
    ids = iter(map(str, range(10_000)))
    return AppServers(peer.ask, clock, lambda: next(ids), per_s, "New message", True)


def notification(key: str = "k", jid: str = "push.example", **more: object) -> Notification:
    registration = Registration(key=key, gateway="xmpp", token=jid, node="n")
    return Notification(registration.device(OWNER), data={"count": "2", "type": "message"}, **more)


def error(type_: str, condition: str) -> str:
    return f"<error type='{type_}'><{condition} xmlns='{STANZAS}'/></error>"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("", Outcome(Result.DELIVERED)),
        (error("cancel", "item-not-found"), Outcome(Result.DEAD, "item-not-found")),
        (error("auth", "forbidden"), Outcome(Result.DEAD, "forbidden")),
        (error("modify", "bad-request"), Outcome(Result.DEAD, "bad-request")),
        (error("wait", "resource-constraint"), Outcome(Result.RETRY, "resource-constraint")),
        (error("cancel", "remote-server-not-found"), Outcome(Result.RETRY, "remote-server-not-found")),
        ("<error/>", Outcome(Result.DEAD, "undefined-condition")),
        ("silence", Outcome(Result.RETRY, "timeout")),
    ],
)
async def test_an_answer_means_what_the_table_says(answer, expected):
    peer = Peer()
    peer.answer = answer
    assert await gateway(peer, FakeClock()).send(notification()) == expected


async def test_an_app_server_that_fails_for_a_day_is_gone():
    peer, clock = Peer(), FakeClock()
    peer.answer = "silence"
    found = gateway(peer, clock)
    for _ in range(MAX_FAILURES * 3):
        assert (await found.send(notification())).kind is Result.RETRY
    clock.us += int(GONE_AFTER_S * 1e6)
    assert (await found.send(notification())).kind is Result.DEAD


async def test_one_that_answers_in_between_is_not_gone():
    peer, clock = Peer(), FakeClock()
    found = gateway(peer, clock)
    for answer in ("silence",) * MAX_FAILURES + ("",):
        peer.answer = answer
        await found.send(notification())
    clock.us += int(GONE_AFTER_S * 1e6)
    peer.answer = "silence"
    assert (await found.send(notification())).kind is Result.RETRY


async def test_an_app_server_is_not_flooded_whoever_names_it():
    peer, clock = Peer(), FakeClock()
    found = gateway(peer, clock, per_s=2)
    outcomes = [await found.send(notification(f"k{number}")) for number in range(10)]
    assert [one.kind for one in outcomes].count(Result.DELIVERED) == 2
    assert max(one.after_s or 0 for one in outcomes) == pytest.approx(4.0)
    assert (await found.send(notification("x", "other.example"))).kind is Result.DELIVERED
    clock.us += 4_100_000
    again = [await found.send(notification(f"k{number}")) for number in range(2, 10)]
    assert {one.kind for one in again} == {Result.DELIVERED}


@pytest.mark.parametrize("token", ["x", '{"account":"a","jid":"@@","node":"","options":""}'])
async def test_what_is_no_app_server_is_refused(token):
    found = gateway(Peer(), FakeClock())
    device = Device("d", "xmpp", token)
    with pytest.raises(BadToken):
        found.check(device)
    assert (await found.send(Notification(device))).kind is Result.DEAD
    await found.close()


async def test_request_without_a_node_names_none():
    peer = Peer()
    registration = Registration(key="k", gateway="xmpp", token="push.example")
    await gateway(peer, FakeClock()).send(Notification(registration.device(OWNER)))
    assert peer.asked[0].elements()[0].elements()[0].attrs == {}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, {"last-message-body": "New message"}),
        ({"title": "r@x", "body": "hi"}, {"last-message-sender": "r@x", "last-message-body": "hi"}),
        ({"kind": Kind.CALL}, {"last-message-body": "New message"}),
    ],
)
def test_the_summary_tells_what_may_be_told(more, expected):
    found = {
        one.get("var"): one.elements()[0].text for one in summary_of(notification(**more), "New message").elements()
    }
    assert found == {"FORM_TYPE": "urn:xmpp:push:summary", "message-count": "2"} | expected


def test_requests_to_see_presence_are_counted_apart():
    one = Notification(Device("d", "xmpp", "t"), data={"type": "subscription", "count": "0", "requests": "1"})
    found = {field.get("var") for field in summary_of(one, "x").elements()}
    assert found == {"FORM_TYPE", "message-count", "pending-subscription-count"}
