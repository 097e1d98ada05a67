"""Accounts in files as XEP-0227 has them: names, and the credentials in their several forms.

What modules keep of an account they write and read themselves (`hooks.account_exported`, `account_imported`).
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from types import MappingProxyType

from codec.element import Element
from storage.interface import ScramKeys
from xmppd.hooks import PIE
from xmppd.sasl.keys import HASHES

OLD = "http://www.xmpp.org/extensions/xep-0227.html#ns"
"""The namespace before the document was advanced, which ejabberd of today still writes."""
SCRAM = f"{PIE}#scram"
MAM = f"{PIE}#mam"
XINCLUDE = "http://www.w3.org/2001/XInclude include"
PUBSUB = "http://jabber.org/protocol/pubsub"

CREDENTIALS = f"{SCRAM} scram-credentials"
OFFLINE = f"{PIE} offline-messages"
ARCHIVE = f"{MAM} archive"
MAX_ITERATIONS = 10_000_000
"""A login takes seconds with more; whoever exports has not more than some 100,000."""

SIZES: Mapping[str, int] = MappingProxyType({"SHA-1": 20, "SHA-256": 32})
"""Bytes of a key by hash."""
_LISTS = frozenset((OFFLINE, ARCHIVE, f"{PUBSUB} pubsub", f"{PUBSUB}#owner pubsub"))
_ITEMS = f"{PUBSUB} items"
_FRAME = ("server-data", "host", "user")


def current(tag: str) -> str:
    """Return a tag with the old namespace replaced."""
    ns, _, name = tag.rpartition(" ")
    return f"{PIE} {name}" if ns == OLD else tag


def is_container(path: tuple[str, ...]) -> bool:
    """Whether what is inside an element comes one by one, by the tags down to it: hosts, users, and lists that may be long."""
    tags = [current(tag) for tag in path]
    depth = len(tags)
    if depth <= len(_FRAME):
        return tags[-1] == f"{PIE} {_FRAME[depth - 1]}"
    if depth == len(_FRAME) + 1:
        return tags[-1] in _LISTS
    return depth == len(_FRAME) + 2 and tags[-1] == _ITEMS and tags[-2] == f"{PUBSUB} pubsub"


def credentials_of(keys: Mapping[str, ScramKeys], *, for_ejabberd: bool = False) -> list[Element]:
    """Return what stands for an account's keys (§4.3).

    Args:
        for_ejabberd: write the base64 of base64, which releases of it read and write (23.01 does), and SHA-1 alone, which is what it
            asks for unless it was told otherwise.
    """
    wrap = _wrapped if for_ejabberd else _text
    names = [name for name in keys if not for_ejabberd or name == "SHA-1"]
    return [_credentials(name, keys[name], wrap) for name in names]


def _credentials(name: str, keys: ScramKeys, wrap: Callable[[bytes], str]) -> Element:
    texts = {
        "iter-count": str(keys.iterations),
        "salt": wrap(keys.salt),
        "server-key": wrap(keys.server_key),
        "stored-key": wrap(keys.stored_key),
    }
    children = tuple([Element(f"{SCRAM} {tag}", {}, (text,)) for tag, text in texts.items()])
    return Element(CREDENTIALS, {"mechanism": f"SCRAM-{name}"}, children)


def read_credentials(element: Element) -> tuple[str, ScramKeys]:
    """Return the hash and the keys of <scram-credentials/>, also of ones in base64 of base64 (see `credentials_of`).

    Raises:
        ValueError: they are none, or of a hash that we do not know.
    """
    name = (element.get("mechanism") or "").removeprefix("SCRAM-")
    texts = [element.find(f"{SCRAM} {tag}") for tag in ("salt", "iter-count", "stored-key", "server-key")]
    salt, count, stored, server = ["" if found is None else found.text.strip() for found in texts]
    read = _bytes if len(_bytes(stored)) == SIZES.get(name) else _unwrapped
    return name, _checked(name, read(salt), count, read(stored), read(server))


def is_ejabberd_password(text: str) -> bool:
    """Whether the attribute `password` holds keys, as ejabberd before 23 wrote them, rather than a password."""
    return text.startswith("scram:") and text.count(",") == 3


def read_ejabberd_password(text: str) -> tuple[str, ScramKeys]:
    """Return the hash and the keys of "scram:[HASH:]STORED,SERVER,SALT,COUNT".

    Raises:
        ValueError: as `read_credentials`.
    """
    stored, server, salt, count = text.removeprefix("scram:").split(",")
    name, _, stored = stored.rpartition(":")
    hash_name = {"": "SHA-1", "sha": "SHA-1", "sha1": "SHA-1", "sha256": "SHA-256"}.get(
        name.lower().replace("-", ""), name
    )
    return hash_name, _checked(hash_name, _unwrapped(salt), count, _unwrapped(stored), _unwrapped(server))


def _checked(name: str, salt: bytes, count: str, stored: bytes, server: bytes) -> ScramKeys:
    if name not in HASHES:
        raise ValueError(f"keys for SCRAM-{name}, which is not offered here")
    if not count.isdecimal() or not 0 < int(count) <= MAX_ITERATIONS:
        raise ValueError("keys with an impossible number of iterations")
    if not salt or len(stored) != SIZES[name] or len(server) != SIZES[name]:
        raise ValueError(f"keys that are none for SCRAM-{name}")
    return ScramKeys(salt, int(count), stored, server)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _wrapped(data: bytes) -> str:
    return _text(_text(data).encode())


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:
        raise ValueError("keys that are not base64") from None


def _unwrapped(text: str) -> bytes:
    """Return bytes out of base64 in base64, where it is that."""
    data = _bytes(text)
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        return data
