"""From vCard4 (RFC 6351) to vcard-temp (XEP-0054) and back.

Fields that both have are converted; each side's others are for the caller to keep. What a field says beyond what the other form can
say (preferences, languages, kinds of telephones that nobody lists) is lost on the way.
"""

from collections.abc import Iterable

from codec.element import Element

TEMP_NS = "vcard-temp"
NS4 = "urn:ietf:params:xml:ns:vcard-4.0"
CARD, CARD4 = f"{TEMP_NS} vCard", f"{NS4} vcard"

_TEXTS = {"FN": "fn", "NICKNAME": "nickname", "TITLE": "title", "ROLE": "role", "DESC": "note"}
"""Fields that are one text: vcard-temp -> the field of vCard4, whose text is in <text/>."""

_NAME = {"FAMILY": "surname", "GIVEN": "given", "MIDDLE": "additional", "PREFIX": "prefix", "SUFFIX": "suffix"}
_ADDRESS = {
    "POBOX": "pobox",
    "EXTADD": "ext",
    "STREET": "street",
    "LOCALITY": "locality",
    "REGION": "region",
    "PCODE": "code",
    "CTRY": "country",
}
_KINDS = {
    "HOME": "home",
    "WORK": "work",
    "VOICE": "voice",
    "FAX": "fax",
    "CELL": "cell",
    "VIDEO": "video",
    "PAGER": "pager",
}

CONVERTED = frozenset((*_TEXTS, "N", "BDAY", "URL", "ORG", "ADR", "TEL", "EMAIL"))
"""Names of vcard-temp's fields that have a counterpart."""
CONVERTED4 = frozenset(("fn", "nickname", "title", "role", "note", "n", "bday", "url", "org", "adr", "tel", "email"))
"""Names of vCard4's."""


def _temp(name: str, *children: Element | str) -> Element:
    return Element(f"{TEMP_NS} {name}", {}, children)


def _four(name: str, *children: Element | str) -> Element:
    return Element(f"{NS4} {name}", {}, children)


def _child_text(element: Element, *names: str) -> str:
    """Return the text of the first child that has one of these names, in whichever of the two namespaces."""
    for name in names:
        for child in element.elements():
            if child.name == name and child.ns in (TEMP_NS, NS4):
                return child.text.strip()
    return ""


def _parts(element: Element, names: Iterable[tuple[str, str]], ns: str) -> tuple[Element, ...]:
    """Return children with other names: of each pair the first is how it is called there, the second how it is to be called."""
    return tuple(Element(f"{ns} {new}", {}, (text,)) for old, new in names if (text := _child_text(element, old)))


def _one(element: Element | None) -> tuple[Element, ...]:
    return () if element is None else (element,)


# to vCard4


def to_vcard4(card: Element, others: Iterable[Element] = ()) -> Element:
    """Return the vCard4 of a vcard-temp, with other fields behind."""
    found: list[Element] = []
    for field in card.elements():
        if field.ns == TEMP_NS:
            found.extend(_field4(field))
    return Element(CARD4, {}, (*found, *others))


def _field4(field: Element) -> tuple[Element, ...]:
    name = field.name
    if name in _TEXTS:
        text = field.text.strip()
        return (_four(_TEXTS[name], _four("text", text)),) if text else ()
    if name == "N":
        return _filled4("n", _parts(field, _NAME.items(), NS4))
    if name == "ORG":
        texts = [child.text.strip() for child in field.elements() if child.name in ("ORGNAME", "ORGUNIT")]
        return _filled4("org", tuple(_four("text", text) for text in texts if text))
    if name == "BDAY":
        return (_four("bday", _four("date", field.text.strip())),) if field.text.strip() else ()
    if name == "URL":
        return (_four("url", _four("uri", field.text.strip())),) if field.text.strip() else ()
    if name == "ADR":
        return _with_kinds(field, "adr", _parts(field, _ADDRESS.items(), NS4))
    if name == "TEL":
        number = _child_text(field, "NUMBER")
        return _with_kinds(field, "tel", (_four("text", number),) if number else ())
    if name == "EMAIL":
        address = _child_text(field, "USERID")
        return _with_kinds(field, "email", (_four("text", address),) if address else ())
    return ()


def _filled4(name: str, parts: tuple[Element, ...]) -> tuple[Element, ...]:
    return (_four(name, *parts),) if parts else ()


def _with_kinds(field: Element, name: str, parts: tuple[Element, ...]) -> tuple[Element, ...]:
    if not parts:
        return ()
    kinds = [_four("text", _KINDS[child.name]) for child in field.elements() if child.name in _KINDS]
    parameters = (_four("parameters", _four("type", *kinds)),) if kinds else ()
    return (_four(name, *parameters, *parts),)


# to vcard-temp


def to_temp(card: Element, others: Iterable[Element] = ()) -> Element:
    """Return the vcard-temp of a vCard4, with other fields behind."""
    found: list[Element] = []
    for field in card.elements():
        if field.ns == NS4:
            found.extend(_one(_field(field)))
    return Element(CARD, {}, (*found, *others))


def _field(field: Element) -> Element | None:
    name = field.name
    for old, new in _TEXTS.items():
        if name == new:
            text = _child_text(field, "text")
            return _temp(old, text) if text else None
    if name == "n":
        return _filled("N", _parts(field, [(new, old) for old, new in _NAME.items()], TEMP_NS))
    if name == "org":
        texts = [child.text.strip() for child in field.elements() if child.name == "text"]
        names = ["ORGNAME", *["ORGUNIT"] * len(texts)]
        return _filled("ORG", tuple(_temp(one, text) for one, text in zip(names, texts, strict=False) if text))
    if name == "bday":
        text = _child_text(field, "date", "date-time", "text")
        return _temp("BDAY", text) if text else None
    if name == "url":
        text = _child_text(field, "uri", "text")
        return _temp("URL", text) if text else None
    if name == "adr":
        parts = _parts(field, [(new, old) for old, new in _ADDRESS.items()], TEMP_NS)
        return _temp("ADR", *_kinds(field), *parts) if parts else None
    if name == "tel":
        text = _child_text(field, "uri", "text").removeprefix("tel:")
        return _temp("TEL", *_kinds(field), _temp("NUMBER", text)) if text else None
    if name == "email":
        text = _child_text(field, "text")
        return _temp("EMAIL", *_kinds(field), _temp("INTERNET"), _temp("USERID", text)) if text else None
    return None


def _filled(name: str, parts: tuple[Element, ...]) -> Element | None:
    return _temp(name, *parts) if parts else None


def _kinds(field: Element) -> tuple[Element, ...]:
    parameters = field.find(f"{NS4} parameters")
    types = () if parameters is None else parameters.find_all(f"{NS4} type")
    texts = {child.text.strip().lower() for one in types for child in one.elements()}
    return tuple(_temp(old) for old, new in _KINDS.items() if new in texts)


def others_than(card: Element, names: frozenset[str], ns: str) -> tuple[Element, ...]:
    """Return the fields of a card that are not among those."""
    return tuple(field for field in card.elements() if field.ns != ns or field.name not in names)
