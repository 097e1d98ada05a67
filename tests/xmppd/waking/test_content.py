"""What a device is told, by policy."""

from codec.jid import JID
from codec.stanza import Message
from push.gateway import Kind
from xmppd.waking.content import Occasion, notification_of
from xmppd.waking.registrations import Registration

ROMEO = "romeo@example.org"


def device(gateway: str = "fcm", **more: str) -> Registration:
    return Registration(key="k", gateway=gateway, token="t", **more)


def occasion(
    inner: bytes = b"<body>hi</body>", tags: tuple[str, ...] = ("jabber:client body",), **more: object
) -> Occasion:
    message = Message(None, JID.parse(ROMEO), None, "chat", None, inner, tags)
    return Occasion(ROMEO, ROMEO, "id1", message, **more)


def test_nothing_but_the_registration_and_the_count_is_told_by_none():
    found = notification_of(occasion(count=3), "j@example.org", device(), "none")
    assert (found.title, found.body, found.badge) == ("", "", 3)
    assert dict(found.data) == {"registration": "k", "type": "message", "count": "3"}
    assert ROMEO.encode() not in found.to_bytes().replace(b'"conversation": "romeo@example.org"', b"")


def test_sender_and_full_tell_more():
    assert notification_of(occasion(), "j@example.org", device(), "sender").body == ""
    full = notification_of(occasion(), "j@example.org", device(), "full")
    assert (full.title, full.body, full.data["sender"], full.data["id"]) == (ROMEO, "hi", ROMEO, "id1")


def test_body_beside_something_encrypted_is_not_told():
    tag = "urn:xmpp:openpgp:0 openpgp"
    inner = b"<openpgp xmlns='urn:xmpp:openpgp:0'>x</openpgp><body>cannot read</body>"
    found = notification_of(occasion(inner, (tag, "jabber:client body")), "j@example.org", device(), "full")
    assert found.body == "" and "encrypted" not in found.data


def test_a_call_rings_where_it_can():
    assert notification_of(occasion(is_call=True), "j@example.org", device(), "none").kind is Kind.CALL
    assert notification_of(occasion(is_call=True), "j@example.org", device("apns"), "none").kind is Kind.ALERT
    ringing = notification_of(occasion(is_call=True), "j@example.org", device("apns", call_token="c"), "none")
    assert (ringing.kind, ringing.device.token) == (Kind.CALL, "c")


def test_an_app_server_is_told_once_whomever_it_is_from():
    found = notification_of(occasion(), "j@example.org", device("xmpp"), "none")
    assert found.conversation == "*"


def test_long_bodies_are_cut():
    inner = b"<body>" + b"x" * 5000 + b"</body>"
    assert len(notification_of(occasion(inner), "j@example.org", device(), "full").body) == 1000
