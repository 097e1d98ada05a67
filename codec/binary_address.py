"""An address as it stands in a frame: its domain left out where it is the session's own, most others in 5.4 bits a letter."""

import base64
import binascii

from codec import binary_values as values
from codec.binary_cbor import Malformed, blob, integer, text
from codec.binary_plan import checked
from codec.jid import JID

RESOURCE = 128
"""RESOURCE + 4 * prefix + form: bare JID and the rest of the resource follow."""

RESOURCE_TEXT, RESOURCE_BASE64URL, RESOURCE_UUID, RESOURCE_HEX = range(4)
MAX_RESOURCES = 32


def literal(jid: JID, domain: str, resources: list[str]) -> bytes:
    """Return an address as it stands in a frame, the session's own domain left out."""
    bare = f"{jid.localpart}@" if jid.localpart and jid.domainpart == domain else str(jid.bare)
    resource = jid.resourcepart
    dense = values.pack_dense(bare)
    written = text(bare) if dense is None else blob(dense)
    if not resource:
        return written
    for index, prefix in enumerate(resources):
        if resource.startswith(prefix):
            form, rest = _pack_resource(resource[len(prefix) :])
            if prefix or form or dense is not None:
                return integer(RESOURCE + 4 * index + form) + written + rest
    return text(f"{bare}/{resource}")


def _pack_resource(rest: str) -> tuple[int, bytes]:
    if len(rest) == 36:
        packed = values.pack(rest)
        if packed is not None and packed[0] == values.UUID:
            return RESOURCE_UUID, blob(packed[1])
    elif len(rest) >= 4 and rest.isascii():
        for form in (RESOURCE_HEX, RESOURCE_BASE64URL):
            try:
                data = (
                    bytes.fromhex(rest)
                    if form == RESOURCE_HEX
                    else base64.urlsafe_b64decode(rest + "=" * (-len(rest) % 4))
                )
            except (ValueError, binascii.Error):
                continue
            if unpack_resource(form, data) == rest:
                return form, blob(data)
    return RESOURCE_TEXT, text(rest)


def unpack_resource(form: int, rest: int | str | bytes) -> str:
    if form == RESOURCE_TEXT:
        if isinstance(rest, str):
            return rest
    elif isinstance(rest, bytes):
        if form == RESOURCE_BASE64URL:
            return base64.urlsafe_b64encode(rest).decode().rstrip("=")
        return values.unpack(values.UUID if form == RESOURCE_UUID else values.HEX, rest)
    raise Malformed("a resource in a form that it cannot have")


def whole(item: str | bytes, domain: str) -> str:
    """Return the address that a single item is.

    Raises:
        Malformed: it is none that `literal` writes.
    """
    value = checked(item) if isinstance(item, str) else values.unpack_dense(item)
    bare, slash, resource = value.partition("/")
    if bare.endswith("@"):
        bare += domain
    return f"{bare}/{resource}" if slash else bare


def split(code: int, bare: int | str | bytes, rest: int | str | bytes, domain: str, resources: list[str]) -> str:
    """Return the address of a bare JID, a prefix and form, and the rest of the resource.

    Raises:
        Malformed: as `whole`.
    """
    prefix, form = divmod(code, 4)
    if prefix >= len(resources):
        raise Malformed("an unknown resource")
    if isinstance(bare, int):
        raise Malformed("an address that is a number")
    return checked(f"{whole(bare, domain)}/{resources[prefix]}{unpack_resource(form, rest)}")
