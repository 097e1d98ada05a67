"""XEP-0398: User Avatar to vCard-Based Avatars Conversion.

There is one truth: the nodes of XEP-0084. A vCard (XEP-0054) is given with the picture that they hold, to those who may read them; a
picture in a vCard that an old client writes is published there; one without a picture takes the avatar away. Old clients learn of
changes by the hash in presence (XEP-0153), which the server puts there for all of an account's clients.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from codec.element import Element
from codec.jid import JID
from codec.stanza import Presence
from xmppd.errors import StanzaError
from xmppd.hooks import (
    CardEvent,
    NodeEvent,
    Phase,
    PresenceEvent,
    card_given,
    card_kept,
    node_changed,
    presence_sent,
)
from xmppd.host import Host
from xmppd.module import Module, account_part, on
from xmppd.modules.rfc_6121_presence import PresenceModule
from xmppd.modules.xep_0054_vcard import VCardModule
from xmppd.modules.xep_0060_pubsub import PubSubModule
from xmppd.modules.xep_0163_pep import PepModule
from xmppd.pubsub.config import OPEN, PRESENCE
from xmppd.resource import Account

NS = "urn:xmpp:pep-vcard-conversion:0"
DATA_NODE, METADATA_NODE = "urn:xmpp:avatar:data", "urn:xmpp:avatar:metadata"
DATA, METADATA, INFO = f"{DATA_NODE} data", f"{METADATA_NODE} metadata", f"{METADATA_NODE} info"
PHOTO, TYPE, BINVAL = "vcard-temp PHOTO", "vcard-temp TYPE", "vcard-temp BINVAL"
UPDATE, UPDATE_PHOTO = "vcard-temp:x:update x", "vcard-temp:x:update photo"

NEW_NODE = {"access_model": OPEN}
"""How the nodes are made when an old client has the first picture: the whole world may read vCards of XEP-0054."""

_SIGNATURES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}
PNG = "image/png"


@dataclass(slots=True)
class Shown:
    """What an account's presence says of its avatar.

    Attributes:
        hash: of the picture; "" when there is none, None when presence says nothing of it.
        is_open: everybody may read it, so that strangers are told as well.
    """

    hash: str | None = None
    is_open: bool = False


class Picture(NamedTuple):
    """A picture as the two forms have it: its SHA-1 in hexadecimal, its type, its bytes in base64."""

    id: str
    type: str
    base64: str


class AvatarModule(
    Module, xep=398, account_features=(NS,), requires=(VCardModule, PresenceModule, PubSubModule, PepModule)
):
    """Keep the avatars of old and new clients the same."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._pubsub = host.module(PubSubModule)
        self._presences = host.module(PresenceModule)

    @account_part(Shown, lazy=True)
    async def load(self, account: Account) -> Shown:
        """Find out what presence is to say."""
        node = (await self._pubsub.place(account)).nodes.get(METADATA_NODE)
        if node is None or node.config.access_model not in (OPEN, PRESENCE):
            return Shown()
        last = await self._pubsub.last(account, METADATA_NODE)
        info = None if last is None else info_of(last[1])
        return Shown("" if info is None else info[0], node.config.access_model == OPEN)

    # vCards

    @on(card_given)
    async def give(self, event: CardEvent) -> CardEvent:
        """Put the avatar into a vCard, for one who may see it."""
        if await self._pubsub.last(event.account, METADATA_NODE) is None:
            return event
        rest = tuple(field for field in event.card.children if not _is_picture(field))
        picture = await self._picture(event.account, event.asker)
        photo = () if picture is None else (photo_of(picture),)
        event.card = Element(event.card.tag, event.card.attrs, (*rest, *photo))
        return event

    async def _picture(self, account: Account, asker: JID) -> Picture | None:
        last = await self._pubsub.last_for(account, METADATA_NODE, asker)
        info = None if last is None else info_of(last[1])
        data = None if info is None else await self._pubsub.item_for(account, DATA_NODE, info[0], asker)
        if info is None or data is None or data.tag != DATA:
            return None
        return Picture(info[0], info[1], "".join(data.text.split()))

    @on(card_kept)
    async def keep(self, event: CardEvent) -> CardEvent:
        """Publish the picture of a vCard, unless it is the avatar already, and keep the vCard without it."""
        account: Account = event.account
        photo = next((field for field in event.card.elements() if _is_picture(field)), None)
        picture = None if photo is None else picture_of(photo)
        last = await self._pubsub.last(account, METADATA_NODE)
        info = None if last is None else info_of(last[1])
        if picture is not None and (info is None or info[0] != picture.id):
            await self._publish(account, picture)
        elif picture is None and info is not None:
            await self._pubsub.publish(account, METADATA_NODE, Element(METADATA), "")
        if photo is not None:
            rest = tuple(field for field in event.card.children if not _is_picture(field))
            event.card = Element(event.card.tag, event.card.attrs, rest)
        return event

    async def _publish(self, account: Account, picture: Picture) -> None:
        nodes = (await self._pubsub.place(account)).nodes
        data = Element(DATA, {}, (picture.base64,))
        size = str(len(base64.b64decode(picture.base64)))
        info = Element(INFO, {"bytes": size, "id": picture.id, "type": picture.type})
        for node, payload in ((DATA_NODE, data), (METADATA_NODE, Element(METADATA, {}, (info,)))):
            wanted = {} if nodes.get(node) else NEW_NODE
            await self._pubsub.publish(account, node, payload, picture.id, wanted)

    # presence

    @on(presence_sent, phase=Phase.ANNOTATE)
    async def annotate(self, event: PresenceEvent) -> PresenceEvent:
        """Put the hash into a client's presence; into one for somebody in particular only when everybody may see the avatar."""
        if event.presence.type == "":
            shown = await event.account.load_part(Shown)
            if event.presence.to is None or shown.is_open:
                event.presence = annotated(event.presence, shown.hash)
        return event

    @on(node_changed)
    async def follow(self, event: NodeEvent) -> None:
        """Tell those who see the account's presence that the avatar is another."""
        account: Account = event.account
        if event.change.node.name != METADATA_NODE:
            return
        before = account.loaded_part(Shown)
        account.drop_part(Shown)
        shown = await account.load_part(Shown)
        if shown.hash is None and before is not None and before.hash is not None:
            shown.hash = ""
        if before is None or shown.hash == before.hash:
            return
        for resource in account.available():
            if resource.presence is not None:
                await self._presences.renew(resource, annotated(resource.presence, shown.hash))


def _is_picture(field: Element | str) -> bool:
    """Whether a field of a vCard is a picture itself; one that only says where it is stays as it is."""
    return isinstance(field, Element) and field.tag == PHOTO and field.find(BINVAL) is not None


def info_of(metadata: Element) -> tuple[str, str] | None:
    """Return id and type of the avatar that <metadata/> tells of and that is at the data node: a PNG if there is one."""
    if metadata.tag != METADATA:
        return None
    infos = [info for info in metadata.find_all(INFO) if info.get("url") is None and info.get("id")]
    infos.sort(key=lambda info: info.get("type") != PNG)
    return (infos[0].get("id") or "", infos[0].get("type") or PNG) if infos else None


def picture_of(photo: Element) -> Picture | None:
    """Return the picture in a vCard; None when it is empty.

    Raises:
        StanzaError: bad-request: its bytes cannot be read.
    """
    element, type_ = photo.find(BINVAL), photo.find(TYPE)
    text = "" if element is None else "".join(element.text.split())
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise StanzaError("bad-request", text="The picture is not in base64.") from error
    if not data:
        return None
    named = "" if type_ is None else type_.text.strip()
    found = next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), named or PNG)
    return Picture(hashlib.sha1(data, usedforsecurity=False).hexdigest(), found, base64.b64encode(data).decode())


def photo_of(picture: Picture) -> Element:
    """Return a picture as a vCard has it."""
    return Element(PHOTO, {}, (Element(TYPE, {}, (picture.type,)), Element(BINVAL, {}, (picture.base64,))))


def annotated(presence: Presence, hash_: str | None) -> Presence:
    """Return a presence that tells of an avatar (XEP-0153 §4.3); unchanged for None."""
    if hash_ is None:
        return presence
    update = Element(UPDATE, {}, (Element(UPDATE_PHOTO, {}, (hash_,) if hash_ else ()),))
    if presence.has(UPDATE):
        if presence.element(UPDATE) == update and presence.tags.count(UPDATE) == 1:
            return presence
        presence = presence.without(lambda child: child.tag == UPDATE)
    return presence.adding(update)
