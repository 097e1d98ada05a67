"""XEP-0455: Service Outage Status."""

from __future__ import annotations

import re

from compliance.check import MUST, NotPossible, checks_of, require
from compliance.names import find_all
from compliance.probe import DISCO_INFO
from compliance.scene import Scene

check = checks_of("XEP-0455")
URI = re.compile(r"[a-z][a-z0-9+.-]*:\S+")


@check("3.1", MUST, "The form has the registered type and holds addresses that are URIs.")
async def form_holds_addresses(scene: Scene) -> None:
    client = await scene.login("romeo")
    reply = await client.ask("get", DISCO_INFO, to=scene.domain)
    for form in find_all(reply, "disco:query/data:x"):
        fields = {
            field.get("var"): [value.text or "" for value in find_all(field, "data:value")]
            for field in find_all(form, "data:field")
        }
        if fields.get("FORM_TYPE") == ["urn:xmpp:sos:0"]:
            addresses = fields.get("external-status-addresses", [])
            require(addresses, "it holds no addresses")
            require(all(URI.fullmatch(address) for address in addresses), f"{addresses} are no URIs")
            return
    raise NotPossible("the server's disco#info holds no such form")
