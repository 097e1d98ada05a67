"""vCard4 and vcard-temp, one as the other."""

import pytest

from codec.element import parse_element
from xmppd.modules.xep_0292_conversion import CONVERTED, CONVERTED4, NS4, TEMP_NS, others_than, to_temp, to_vcard4

PAIRS = [
    ("<FN>Romeo</FN>", "<fn><text>Romeo</text></fn>"),
    (
        "<N><FAMILY>Montague</FAMILY><GIVEN>Romeo</GIVEN></N>",
        "<n><surname>Montague</surname><given>Romeo</given></n>",
    ),
    ("<NICKNAME>Ro</NICKNAME>", "<nickname><text>Ro</text></nickname>"),
    ("<BDAY>1594-01-30</BDAY>", "<bday><date>1594-01-30</date></bday>"),
    ("<URL>https://verona.example</URL>", "<url><uri>https://verona.example</uri></url>"),
    (
        "<ORG><ORGNAME>Montague</ORGNAME><ORGUNIT>Sons</ORGUNIT></ORG>",
        "<org><text>Montague</text><text>Sons</text></org>",
    ),
    ("<TITLE>Heir</TITLE>", "<title><text>Heir</text></title>"),
    ("<ROLE>Lover</ROLE>", "<role><text>Lover</text></role>"),
    ("<DESC>In love &amp; exile</DESC>", "<note><text>In love &amp; exile</text></note>"),
    (
        "<EMAIL><HOME/><INTERNET/><USERID>r@verona.example</USERID></EMAIL>",
        "<email><parameters><type><text>home</text></type></parameters><text>r@verona.example</text></email>",
    ),
    (
        "<TEL><WORK/><VOICE/><NUMBER>+39 045</NUMBER></TEL>",
        "<tel><parameters><type><text>work</text><text>voice</text></type></parameters><text>+39 045</text></tel>",
    ),
    (
        "<ADR><HOME/><STREET>Via Cappello</STREET><LOCALITY>Verona</LOCALITY><PCODE>37121</PCODE><CTRY>IT</CTRY></ADR>",
        "<adr><parameters><type><text>home</text></type></parameters><street>Via Cappello</street>"
        "<locality>Verona</locality><code>37121</code><country>IT</country></adr>",
    ),
]


def temp(inner: str) -> str:
    return f"<vCard xmlns='{TEMP_NS}'>{inner}</vCard>"


def four(inner: str) -> str:
    return f"<vcard xmlns='{NS4}'>{inner}</vcard>"


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_field_has_its_counterpart_both_ways(old: str, new: str) -> None:
    assert to_vcard4(parse_element(temp(old).encode())).to_xml("").decode() == four(new)
    back = to_temp(parse_element(four(new).encode()))
    assert {child.name: child.text for child in back.elements()} == {
        child.name: child.text for child in parse_element(temp(old).encode()).elements()
    }
    assert to_vcard4(back).to_xml("").decode() == four(new)


def test_number_of_a_tel_uri_is_the_number() -> None:
    card = to_temp(parse_element(four("<tel><uri>tel:+39-045</uri></tel>").encode()))
    assert card.to_xml("").decode() == temp("<TEL><NUMBER>+39-045</NUMBER></TEL>")


@pytest.mark.parametrize(
    "inner", ["<FN/>", "<N/>", "<TEL><HOME/></TEL>", "<ADR><HOME/></ADR>", "<ORG/>", "<MAILER>x</MAILER>"]
)
def test_empty_field_and_one_without_counterpart_give_nothing(inner: str) -> None:
    assert to_vcard4(parse_element(temp(inner).encode())).children == ()


@pytest.mark.parametrize(
    "inner", ["<fn/>", "<n/>", "<tel/>", "<adr/>", "<org/>", "<impp><uri>xmpp:r@v</uri></impp>", "<bday/>"]
)
def test_the_same_holds_the_other_way(inner: str) -> None:
    assert to_temp(parse_element(four(inner).encode())).children == ()


def test_fields_of_other_namespaces_are_not_taken_for_ours() -> None:
    assert to_temp(parse_element(four("<fn xmlns='urn:x'><text>R</text></fn>").encode())).children == ()
    assert to_vcard4(parse_element(temp("<FN xmlns='urn:x'>R</FN>").encode())).children == ()


def test_others_are_what_has_no_counterpart() -> None:
    card = parse_element(temp("<FN>R</FN><JABBERID>r@v</JABBERID><FN xmlns='urn:x'>R</FN>").encode())
    assert [one.tag for one in others_than(card, CONVERTED, TEMP_NS)] == ["vcard-temp JABBERID", "urn:x FN"]
    card = parse_element(four("<fn><text>R</text></fn><impp><uri>xmpp:r@v</uri></impp>").encode())
    assert [one.name for one in others_than(card, CONVERTED4, NS4)] == ["impp"]
