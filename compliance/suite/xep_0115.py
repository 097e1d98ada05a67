"""XEP-0115: Entity Capabilities."""

from __future__ import annotations

import base64
import hashlib

from compliance.check import MUST, SHOULD, Failed, NotPossible, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import PREFIXES, XML_LANG, Element, find, find_all
from compliance.scene import Scene

check = checks_of("XEP-0115")
HASHES = {"sha-1": "sha1", "sha-256": "sha256", "sha-512": "sha512"}


def verification_string(query: Element, algorithm: str = "sha-1") -> str:
    """Return the `ver` of a disco#info query (XEP-0115 §5.1)."""
    identities = sorted(
        "/".join((el.get("category", ""), el.get("type", ""), el.get(XML_LANG, ""), el.get("name", ""))).encode()
        for el in find_all(query, "disco:identity")
    )
    features = sorted(el.get("var", "").encode() for el in find_all(query, "disco:feature"))
    forms = sorted(_form(form) for form in find_all(query, "data:x"))
    parts = [*identities, *features, *(part for _, lines in forms for part in lines)]
    digest = hashlib.new(HASHES[algorithm], b"".join(part + b"<" for part in parts)).digest()
    return base64.b64encode(digest).decode()


def _form(form: Element) -> tuple[bytes, list[bytes]]:
    """Return a form's FORM_TYPE and what of it is hashed; a form without FORM_TYPE counts for nothing."""
    fields = sorted(
        (field.get("var", "").encode(), sorted((el.text or "").encode() for el in find_all(field, "data:value")))
        for field in find_all(form, "data:field")
    )
    types = [values for name, values in fields if name == b"FORM_TYPE"]
    if not types or not types[0]:
        return b"", []
    lines = [types[0][0]]
    for name, values in fields:
        if name != b"FORM_TYPE":
            lines += [name, *values]
    return types[0][0], lines


async def _server_caps(scene: Scene) -> tuple[Client, Element]:
    """Return romeo and the <c/> of the stream features; end the check when there is none."""
    romeo = await scene.login("romeo")
    assert romeo.features is not None
    caps = find(romeo.features, "caps:c")
    if caps is None:
        raise NotPossible("the stream features hold no <c/>")
    return romeo, caps


@check("6.3", MUST, "The capabilities in the stream features have node, ver and hash.")
async def stream_feature_has_its_attributes(scene: Scene) -> None:
    _, caps = await _server_caps(scene)
    for name in ("node", "ver", "hash"):
        require(caps.get(name), f"<c/> has no {name}")


@check("5.1", MUST, "The ver of the stream features is the hash of the server's disco#info.")
async def stream_feature_is_the_hash_of_disco(scene: Scene) -> None:
    romeo, caps = await _server_caps(scene)
    algorithm = caps.get("hash", "")
    if algorithm not in HASHES:
        raise NotPossible(f"the hash {algorithm!r} is not known here")
    reply = await romeo.ask("get", f"<query xmlns='{PREFIXES['disco']}'/>", to=scene.domain)
    query = find(reply, "disco:query")
    if query is None:
        raise Failed("the result has no <query/>")
    require_equal(verification_string(query, algorithm), caps.get("ver"), "the hash of the server's disco#info")


@check("6.2", SHOULD, "The node of the capabilities can be asked, and gives the same answer.")
async def caps_node_can_be_asked(scene: Scene) -> None:
    romeo, caps = await _server_caps(scene)
    node = f"{caps.get('node')}#{caps.get('ver')}"
    reply = await romeo.ask("get", f"<query xmlns='{PREFIXES['disco']}' node='{node}'/>", to=scene.domain)
    query = find(reply, "disco:query")
    if query is None:
        raise Failed("the result has no <query/>")
    require_equal(query.get("node"), node, "the node of the answer")
    require_equal(verification_string(query, caps.get("hash", "")), caps.get("ver"), "the hash of the answer")


@check("6.1", MUST, "The capabilities that a client puts into its presence reach its contacts unchanged.")
async def clients_caps_reach_contacts(scene: Scene) -> None:
    await scene.friends("romeo", "juliet")
    romeo, juliet = await scene.online("romeo"), await scene.login("juliet")
    caps = f"<c xmlns='{PREFIXES['caps']}' hash='sha-1' node='urn:example:client' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>"
    await juliet.send(f"<presence>{caps}</presence>")
    presence = await romeo.expect("c:presence/caps:c", from_=juliet.jid)
    seen = find(presence, "caps:c")
    assert seen is not None
    wanted = {"hash": "sha-1", "node": "urn:example:client", "ver": "QgayPKawpkPSDYmwT/WM94uAlu0="}
    require_equal(dict(seen.attrib), wanted, "the attributes of <c/>")
