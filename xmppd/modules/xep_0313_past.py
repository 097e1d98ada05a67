"""Messages of the past out of a file (XEP-0227), into the archive at the time at which they were sent; for XEP-0313 and XEP-0160."""

import asyncio
from datetime import datetime
from hashlib import blake2b

from codec.element import CLIENT_NS, Element
from codec.jid import JID
from codec.payload import PayloadError
from codec.payloads.delay import Delay
from codec.payloads.forwarded import Forwarded
from codec.stanza import Message
from codec.xml_reader import read_stanza
from storage.interface import ArchiveCopy, ArchiveStore, StorageError
from xmppd.clock import ID_SHIFT_BITS, id_of_time
from xmppd.errors import StanzaError

MESSAGE = f"{CLIENT_NS} message"
TRIES = 16
"""Ids one after another that are tried when others have them already."""


class Past:
    """Gives ids to messages of the past: by their time, ascending within an account, and others for other accounts."""

    def __init__(self, archive: ArchiveStore) -> None:
        self._archive = archive
        self._before: tuple[str, datetime] | None = None
        self._last = 0

    def keep(self, owner: JID, message: Message, moment: datetime, copy: ArchiveCopy) -> "asyncio.Task[None]":
        """Write a message; the task ends when it is durable, with StorageError when it cannot be.

        Messages of one owner come after one another, each list from its oldest on.
        """
        # accounts that have the same message tend to have it at the same time: the last bits keep them apart
        id_ = id_of_time(moment) + _number(owner)
        if (owner, moment) == self._before:
            id_ = self._last + 1  # of the same time: behind the one before
        self._before, self._last = (owner, moment), id_
        return asyncio.get_running_loop().create_task(self._append(id_, message.to_xml(), copy))

    async def _append(self, id_: int, stanza: bytes, copy: ArchiveCopy) -> None:
        for number in range(TRIES):
            try:
                await self._archive.append(id_ + number, stanza, [copy])
            except StorageError:
                if number + 1 == TRIES:
                    raise
            else:
                return


def read_result(element: Element, owner: JID) -> tuple[Message, datetime, ArchiveCopy]:
    """Return the message, time and copy of a <result/> of an archive.

    Raises:
        StanzaError: it is none.
    """
    found = element.find(Forwarded.TAG)
    try:
        forwarded = None if found is None else Forwarded.from_element(found)
    except PayloadError as error:
        raise StanzaError("bad-request", text=str(error)) from error
    if forwarded is None or forwarded.delay is None or forwarded.stanza.tag != MESSAGE:
        raise StanzaError("bad-request", text="a result without a message and its time")
    message = _message(forwarded.stanza)
    is_outgoing = message.from_ is None or message.from_.bare == owner
    peer = (message.to if is_outgoing else message.from_) or owner
    return message, forwarded.delay.stamp, ArchiveCopy(owner, peer.bare, peer.resourcepart, is_outgoing)


def read_waiting(element: Element, owner: JID) -> tuple[Message, datetime | None]:
    """Return a message that waits, and when it came: what its own server said of that, which is taken out, since it is said anew.

    Raises:
        StanzaError: it is none.
    """
    if element.tag != MESSAGE:
        raise StanzaError("bad-request", text=f"<{element.name}/> among messages")
    message = _message(element)
    moment: datetime | None = None
    for child in element.find_all(Delay.TAG):
        if child.get("from") in (owner.domainpart, owner):
            try:
                moment = Delay.from_element(child).stamp
            except PayloadError:
                continue
    if moment is not None:
        message = message.without(
            lambda child: child.tag == Delay.TAG and child.get("from") in (owner.domainpart, owner)
        )
    return message, moment


def _message(element: Element) -> Message:
    try:
        return read_stanza(element.to_xml())
    except ValueError as error:
        raise StanzaError("bad-request", text="no message that a server could have kept") from error


def _number(owner: JID) -> int:
    """Return a number below 2**10 that accounts seldom share."""
    digest = blake2b(owner.encode(), digest_size=2).digest()
    return int.from_bytes(digest, "big") & ((1 << ID_SHIFT_BITS) - 1)
