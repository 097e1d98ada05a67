"""Names of XEP-0227, and credentials in their several forms."""

import base64

import pytest

from codec.element import Element, parse_element
from storage.interface import ScramKeys
from xmppd import pie
from xmppd.sasl.keys import make_keys

KEYS = make_keys("s3cret", 4096)
HOST = ("urn:xmpp:pie:0 server-data", "urn:xmpp:pie:0 host")
USER = (*HOST, "urn:xmpp:pie:0 user")


def test_credentials_come_back() -> None:
    assert dict(map(pie.read_credentials, pie.credentials_of(KEYS))) == KEYS


def test_credentials_are_written_as_the_document_says() -> None:
    keys = {"SHA-1": ScramKeys(b"salt", 4096, b"s" * 20, b"v" * 20)}
    assert pie.credentials_of(keys) == [
        parse_element(
            b"<scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-SHA-1'><iter-count>4096</iter-count>"
            b"<salt>c2FsdA==</salt><server-key>dnZ2dnZ2dnZ2dnZ2dnZ2dnZ2dnY=</server-key>"
            b"<stored-key>c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3M=</stored-key></scram-credentials>"
        )
    ]


def test_ejabberd_gets_and_gives_base64_of_base64_for_sha_1() -> None:
    (element,) = pie.credentials_of(KEYS, for_ejabberd=True)
    stored = element.find("urn:xmpp:pie:0#scram stored-key")
    assert stored is not None
    assert base64.b64decode(base64.b64decode(stored.text)) == KEYS["SHA-1"].stored_key
    assert pie.read_credentials(element) == ("SHA-1", KEYS["SHA-1"])


def test_the_password_attribute_of_an_older_ejabberd_holds_keys() -> None:
    keys = KEYS["SHA-256"]
    parts = [base64.b64encode(part).decode() for part in (keys.stored_key, keys.server_key, keys.salt)]
    text = f"scram:sha256:{','.join(parts)},4096"
    assert pie.is_ejabberd_password(text)
    assert pie.read_ejabberd_password(text) == ("SHA-256", keys)
    assert not pie.is_ejabberd_password("scram:bled eggs")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"mechanism": "SCRAM-SHA-512"}, "SHA-512, which is not offered"),
        ({"iter-count": "0"}, "impossible number"),
        ({"iter-count": "99999999999"}, "impossible number"),
        ({"iter-count": "many"}, "impossible number"),
        ({"stored-key": "AAAA"}, "none for SCRAM-SHA-1"),
        ({"salt": ""}, "none for SCRAM-SHA-1"),
        ({"server-key": "%"}, "not base64"),
    ],
)
def test_what_are_no_credentials_is_refused(change: dict[str, str], why: str) -> None:
    element = pie.credentials_of({"SHA-1": KEYS["SHA-1"]})[0]
    attrs = dict(element.attrs) | {name: value for name, value in change.items() if name == "mechanism"}
    children = [
        Element(child.tag, {}, (change.get(child.name, child.text),) if change.get(child.name, child.text) else ())
        for child in element.elements()
    ]
    with pytest.raises(ValueError, match=why):
        pie.read_credentials(Element(element.tag, attrs, tuple(children)))


def test_long_lists_are_containers_and_what_people_made_is_not() -> None:
    assert pie.is_container(USER[:1])
    assert pie.is_container(USER)
    assert pie.is_container((*USER, pie.OFFLINE))
    assert pie.is_container((*USER, pie.ARCHIVE))
    assert pie.is_container((*USER, f"{pie.PUBSUB} pubsub", f"{pie.PUBSUB} items"))
    assert not pie.is_container((*USER, "jabber:iq:roster query"))
    assert not pie.is_container((*USER, f"{pie.PUBSUB}#owner pubsub", f"{pie.PUBSUB}#owner configure"))
    assert not pie.is_container(("urn:xmpp:pie:0 host",))


def test_the_old_namespace_stands_for_the_new() -> None:
    assert pie.current(f"{pie.OLD} user") == "urn:xmpp:pie:0 user"
    assert pie.is_container((f"{pie.OLD} server-data", f"{pie.OLD} host"))
    assert pie.current("vcard-temp vCard") == "vcard-temp vCard"
