"""XEP-0215: External Service Discovery."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, NotPossible, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import PREFIXES, Element, find, find_all
from compliance.scene import Scene

check = checks_of("XEP-0215")
NS = PREFIXES["extdisco"]


async def _services(scene: Scene, type_: str = "") -> tuple[Client, list[Element]]:
    scene.needs(NS)
    client = await scene.login("romeo")
    shown = f" type='{type_}'" if type_ else ""
    reply = await client.ask("get", f"<services xmlns='{NS}'{shown}/>", to=scene.domain)
    return client, find_all(reply, "extdisco:services/extdisco:service")


@check("2", MUST, "Each service has a host and a type.")
async def services_are_listed(scene: Scene) -> None:
    _, found = await _services(scene)
    require(found, "there are none")
    require(all(one.get("host") and one.get("type") for one in found), "one lacks its host or its type")


@check("3.2", MUST, "A question for one type is answered with services of that type.")
async def one_type_is_listed(scene: Scene) -> None:
    _, found = await _services(scene)
    wanted = found[0].get("type", "") if found else "stun"
    _, chosen = await _services(scene, wanted)
    require_equal({one.get("type") for one in chosen}, {wanted} if found else set(), "the types")


@check("3.3", SHOULD, "Credentials for a service are given.")
async def credentials_are_given(scene: Scene) -> None:
    client, found = await _services(scene)
    service = next((one for one in found if one.get("username") or one.get("restricted") in ("true", "1")), None)
    if service is None:
        raise NotPossible("no service needs credentials")
    named = f"<service host={quoteattr(service.get('host', ''))} type={quoteattr(service.get('type', ''))}/>"
    reply = await client.ask("get", f"<credentials xmlns='{NS}'>{named}</credentials>", to=scene.domain)
    given = find(reply, "extdisco:credentials/extdisco:service")
    require(given is not None and given.get("username") and given.get("password"), "there are no credentials")


@check("3.3", SHOULD, "Credentials at a service that nobody knows are an error.")
async def unknown_service_is_an_error(scene: Scene) -> None:
    client, _ = await _services(scene)
    named = "<service host='nowhere.invalid' type='turn'/>"
    reply = await client.iq("get", f"<credentials xmlns='{NS}'>{named}</credentials>", to=scene.domain)
    require_equal(reply.get("type"), "error", "the type of the answer")
