"""XEP-0092: Software Version."""

from __future__ import annotations

from compliance.check import MUST, SHOULD, Failed, checks_of, require
from compliance.names import find, text
from compliance.scene import Scene

check = checks_of("XEP-0092")
QUERY = "<query xmlns='jabber:iq:version'/>"


@check("2", MUST, "The server names its software and its version.")
async def server_names_its_software(scene: Scene) -> None:
    scene.needs("jabber:iq:version")
    romeo = await scene.login("romeo")
    reply = await romeo.ask("get", QUERY, to=scene.domain)
    require(text(reply, "version:query/version:name"), "the name is missing")
    require(find(reply, "version:query/version:version") is not None, "the version is missing")


@check("2", SHOULD, "Each of name, version and os stands there once at most.")
async def fields_are_not_repeated(scene: Scene) -> None:
    scene.needs("jabber:iq:version")
    romeo = await scene.login("romeo")
    query = find(await romeo.ask("get", QUERY, to=scene.domain), "version:query")
    tags = [] if query is None else [el.tag for el in query]
    require(len(tags) == len(set(tags)), f"a field is repeated: {tags}")


@check("4", MUST, "A server that answers says so among its features.")
async def feature_is_listed(scene: Scene) -> None:
    romeo = await scene.login("romeo")
    reply = await romeo.iq("get", QUERY, to=scene.domain)
    if reply.get("type") == "error":
        scene.needs("jabber:iq:version")
        raise Failed("the feature is listed, and the request is refused")
    require("jabber:iq:version" in scene.profile.server, "the version is told, but the feature is not listed")
