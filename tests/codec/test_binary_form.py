"""Forms of a payload: what they refer to, and when they may be used for another stanza."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.binary_cbor import Malformed
from codec.binary_form import envelope_of, envelope_value
from codec.binary_nodes import Encoder
from codec.jid import JID
from tests.codec.binary_samples import BARE, SHIPPED, stanza_of, stanzas

MINE = stanza_of("<message id='i' to='a@b/c' from='d@e/f'><x xmlns='urn:x' a='a@b'/><body>hello you</body></message>")


def test_a_form_fits_where_its_references_mean_the_same():
    form = Encoder(SHIPPED).form(MINE)
    assert form.fits(MINE)
    assert form.fits(MINE.replace(to=JID.parse("a@b")))
    assert form.fits(MINE.replace(id="j", from_=None))
    assert not form.fits(MINE.replace(to=JID.parse("x@b/c")))
    assert not form.fits(MINE.replace(to=None))


@pytest.mark.parametrize(
    ("value", "change"),
    [
        ("i", {"id": "j"}),
        ("a@b/c", {"to": JID.parse("a@b/d")}),
        ("d@e", {"from_": JID.parse("d@x")}),
        ("d@e/f", {"from_": JID.parse("d@e")}),
    ],
)
def test_a_form_does_not_fit_another_envelope(value, change):
    stanza = stanza_of(f"<message id='i' to='a@b/c' from='d@e/f'><x xmlns='urn:x' a='{value}'/></message>")
    form = Encoder(SHIPPED).form(stanza)
    assert form.fits(stanza)
    assert not form.fits(stanza.replace(**change))


def test_the_xml_is_made_once():
    form = Encoder(SHIPPED).form(MINE)
    assert form.inner() is form.inner()
    assert form.clear() is form.clear()
    assert form.blobs() is form.blobs()
    assert form.tags() == MINE.tags
    assert form.all_blobs() == form.main.blobs


def test_a_reference_to_what_is_not_there_is_malformed():
    assert envelope_value(-3, envelope_of(MINE)) == "a@b"
    with pytest.raises(Malformed):
        envelope_value(-2, (None, None, None))


def test_values_of_the_tables_are_known_by_their_index():
    xml = "<message><x xmlns='urn:x' id='AAECAwQFBgcICQoLDA0ODw=='/><occupant-id xmlns='urn:xmpp:occupant-id:0' id='AAECAwQFBgcICQoLDA0ODw=='/></message>"
    assert Encoder(SHIPPED).form(stanza_of(xml)).kept() == (1,)


def test_short_trees_are_not_compressed():
    assert Encoder(SHIPPED).form(stanza_of("<iq><ping xmlns='urn:xmpp:ping'/></iq>")).compress() == (0, b"")


@settings(max_examples=300)
@given(stanzas(), st.booleans())
def test_attributes_of_children_are_those_of_the_xml(xml, is_bare):
    stanza = stanza_of(xml)
    form = Encoder(BARE if is_bare else SHIPPED).form(stanza)
    seen = set()
    for child in stanza.elements():
        for name, value in {**child.attrs, "none": None}.items():
            if child.tag not in seen and " " not in name:
                assert form.attribute(child.tag, name) == value
        seen.add(child.tag)
    assert form.attribute("urn:example:none none", "a") is None


def test_attributes_are_found_behind_other_plans():
    receipt = "<request xmlns='urn:xmpp:receipts'/>"
    xml = f"<message><x xmlns='urn:x' a='one or other'/>{receipt}<y xmlns='urn:y' b='another' c='0011223344556677'/></message>"
    form = Encoder(SHIPPED).form(stanza_of(xml))
    assert len(form.main.outline.plans) > 1
    assert (form.attribute("urn:x x", "a"), form.attribute("urn:y y", "b")) == ("one or other", "another")
    assert form.attribute("urn:y y", "c") == "0011223344556677"
