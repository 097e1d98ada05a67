"""XEP-0157: Contact Addresses for XMPP Services."""

from __future__ import annotations

import re

from compliance.check import MUST, SHOULD, NotPossible, checks_of, require
from compliance.names import Element, find_all, text
from compliance.probe import DISCO_INFO
from compliance.scene import Scene

check = checks_of("XEP-0157")
FORM_TYPE = "http://jabber.org/network/serverinfo"
FIELDS = ("abuse", "admin", "feedback", "sales", "security", "status", "support")
URI = re.compile(r"(mailto|xmpp|https?|sip|tel|sms):\S+")


async def _fields(scene: Scene) -> dict[str, list[str]]:
    """Return the fields of the server's contact form, or end the check when it shows none."""
    romeo = await scene.login("romeo")
    reply = await romeo.ask("get", DISCO_INFO, to=scene.domain)
    for form in find_all(reply, "disco:query/data:x"):
        fields = {el.get("var", ""): _values(el) for el in find_all(form, "data:field")}
        if fields.get("FORM_TYPE") == [FORM_TYPE]:
            return fields
    raise NotPossible("the server's disco#info holds no form with contact addresses")


def _values(field: Element) -> list[str]:
    return [el.text or "" for el in find_all(field, "data:value")]


@check("3", MUST, "The form holds addresses under the names that are registered for them.")
async def addresses_have_registered_names(scene: Scene) -> None:
    fields = await _fields(scene)
    known = [name for name in fields if name.removesuffix("-addresses") in FIELDS]
    require(known, f"none of the fields {sorted(fields)} is a registered one")
    require(any(fields[name] for name in known), "no field holds an address")


@check("3", SHOULD, "Every address is a URI.")
async def addresses_are_uris(scene: Scene) -> None:
    for name, values in (await _fields(scene)).items():
        if name.endswith("-addresses"):
            for value in values:
                require(URI.fullmatch(value), f"{name} holds {value!r}, which is no URI")


@check("3", MUST, "The form is of type result, with the hidden FORM_TYPE.")
async def form_is_a_result(scene: Scene) -> None:
    await _fields(scene)
    romeo = await scene.login("romeo", label="romeo again")
    reply = await romeo.ask("get", DISCO_INFO, to=scene.domain)
    forms = [form for form in find_all(reply, "disco:query/data:x") if text(form, "data:field/data:value") == FORM_TYPE]
    require(forms and forms[0].get("type") == "result", "the form is not of type result, or FORM_TYPE is not first")
