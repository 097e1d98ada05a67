"""XEP-0455: Service Outage Status."""

from __future__ import annotations

import re

from compliance.check import MUST, SHOULD, NotPossible, checks_of, require
from compliance.names import find_all
from compliance.probe import DISCO_INFO
from compliance.scene import Scene

check = checks_of("XEP-0455")
URI = re.compile(r"[a-z][a-z0-9+.-]*:\S+")


async def _addresses(scene: Scene, to: str) -> list[str] | None:
    """Return what the form in somebody's disco#info holds, None where there is no such form."""
    client = await scene.login("romeo")
    reply = await client.ask("get", DISCO_INFO, to=to)
    for form in find_all(reply, "disco:query/data:x"):
        fields = {
            field.get("var"): [value.text or "" for value in find_all(field, "data:value")]
            for field in find_all(form, "data:field")
        }
        if fields.get("FORM_TYPE") == ["urn:xmpp:sos:0"]:
            return fields.get("external-status-addresses", [])
    return None


async def _of_the_domain(scene: Scene) -> list[str]:
    found = await _addresses(scene, scene.domain)
    if found is None:
        raise NotPossible("the server's disco#info holds no such form")
    return found


@check("3.1", MUST, "The form has the registered type and holds addresses that are URIs.")
async def form_holds_addresses(scene: Scene) -> None:
    found = await _of_the_domain(scene)
    require(found, "it holds no addresses")
    require(all(URI.fullmatch(address) for address in found), f"{found} are no URIs")


@check("3.1", SHOULD, "The addresses are of the web.")
async def addresses_are_of_the_web(scene: Scene) -> None:
    found = await _of_the_domain(scene)
    require(all(address.startswith(("http://", "https://")) for address in found), f"they are {found}")


@check("3.1", MUST, "It is the domain that has the form, not an account.")
async def accounts_have_no_form(scene: Scene) -> None:
    await _of_the_domain(scene)
    require(await _addresses(scene, scene.jid("romeo")) is None, "the account has it as well")
