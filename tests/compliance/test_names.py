from lxml import etree

from compliance.names import bare, clark, condition, find, find_all, text

STANZA = etree.fromstring(
    "<iq xmlns='jabber:client' type='error'><query xmlns='jabber:iq:roster'><item jid='a'/><item jid='b'/></query>"
    "<error type='cancel'><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no</text>"
    "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
)


def test_a_prefixed_name_becomes_its_clark_form():
    assert clark("roster:query") == "{jabber:iq:roster}query"
    assert clark("{urn:x}y") == "{urn:x}y"


def test_paths_find_elements_by_prefix():
    assert [item.get("jid") for item in find_all(STANZA, "roster:query/roster:item")] == ["a", "b"]
    assert find(STANZA, "roster:query/c:item") is None


def test_text_tells_an_empty_element_from_none():
    assert text(STANZA, "roster:query/roster:item") == ""
    assert text(STANZA, "c:body") is None


def test_the_condition_of_a_stanza_error_is_not_its_text():
    assert condition(STANZA) == "item-not-found"


def test_the_condition_of_a_stream_error_is_found_on_itself():
    error = etree.fromstring(
        "<stream:error xmlns:stream='http://etherx.jabber.org/streams'>"
        "<conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    )
    assert condition(error) == "conflict"


def test_a_result_has_no_condition():
    assert condition(etree.fromstring("<iq xmlns='jabber:client' type='result'/>")) is None


def test_bare_cuts_the_resource():
    assert bare("a@b/c/d") == "a@b"
    assert bare(None) == ""
