"""What goes wrong, in the RFCs' words."""

import dataclasses

import pytest

from codec.element import Element
from codec.jid import JID
from codec.payload import Payload
from codec.stanza import ERROR_TAG, IQ, Message, Presence
from xmppd.errors import _TYPES, STANZAS_NS, SaslError, StanzaError, StreamError, error_reply

ROMEO, JULIET = JID.parse("romeo@example.org/orchard"), JID.parse("juliet@example.org")


def test_error_of_a_stanza_says_condition_type_text_and_more():
    app = Element("urn:x too-many", {"max": "5"})
    assert StanzaError("not-acceptable", "wait", "Later.", app).to_element() == Element(
        ERROR_TAG,
        {"type": "wait"},
        (Element(f"{STANZAS_NS} not-acceptable"), Element(f"{STANZAS_NS} text", {}, ("Later.",)), app),
    )


def test_further_condition_may_be_a_payload():
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class App(Payload, tag=("urn:x", "app")):
        """Empty."""

    assert StanzaError("conflict", app=App()).to_element().children[-1] == Element("urn:x app")


@pytest.mark.parametrize("condition", sorted(_TYPES))
def test_each_condition_of_the_rfc_has_its_usual_type(condition):
    error = StanzaError(condition)
    assert error.type in ("auth", "cancel", "modify", "wait")
    assert error.to_element().children == (Element(f"{STANZAS_NS} {condition}"),)


def test_condition_that_the_rfc_does_not_know_is_a_mistake_of_ours():
    with pytest.raises(KeyError):
        StanzaError("no-such-condition")


@pytest.mark.parametrize("error", [StanzaError("conflict", text="why"), StreamError("conflict", "why")])
def test_errors_say_what_they_are_in_logs(error):
    assert str(error) == "conflict: why"
    assert str(SaslError("not-authorized")) == "not-authorized"


@pytest.mark.parametrize("stanza", [Message, Presence, IQ])
def test_error_goes_back_to_the_sender_from_whom_it_was_for(stanza):
    request = stanza.build(Element("urn:x x"), to=JULIET, from_=ROMEO, type="get" if stanza is IQ else None, id="7")
    reply = error_reply(request, StanzaError("item-not-found"))
    assert type(reply) is stanza
    assert (reply.to, reply.from_, reply.id, reply.type) == (ROMEO, JULIET, "7", "error")
    assert reply.tags == (ERROR_TAG,)


@pytest.mark.parametrize(
    "stanza",
    [Message.build(type="error"), Presence.build(type="error"), IQ.build(type="error"), IQ.build(type="result")],
)
def test_error_is_never_answered_with_an_error(stanza):
    assert error_reply(stanza, StanzaError("item-not-found")) is None
