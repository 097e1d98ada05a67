"""Accounts into a file (XEP-0227). What modules keep they add themselves; what no document speaks of is added on demand."""

import base64
from collections.abc import Callable

from codec.element import Element, escape_value
from codec.jid import JID
from storage.interface import AccountRecord, CopyRecord, ItemRecord, ValueRecord
from xmppd.hooks import PIE, ExportEvent, account_exported
from xmppd.host import Host
from xmppd.pie import credentials_of

KEPT = "urn:xmppd:kept:0"
"""The namespace of what is kept of an account beside all that XEP-0227 knows, as it is kept."""

HEAD = f"<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='{PIE}'>\n".encode()
FOOT = b"</server-data>\n"
PAGE = 500

Write = Callable[[bytes], object]


async def export_host(host: Host, write: Write, *, for_ejabberd: bool = False) -> int:
    """Write all accounts of a host as a <host/>; return how many there were. Errors as in `export_account`."""
    write(_host_start(host))
    count, after = 0, ""
    while page := await host.account_store.list(str(host.domain), after, PAGE):
        for jid in page:
            count += await _export_user(host, JID.parse(jid), write, for_ejabberd, with_all=False)
        after = page[-1]
    write(b"</host>\n")
    return count


async def export_account(
    host: Host, jid: JID, write: Write, *, for_ejabberd: bool = False, with_all: bool = False
) -> bool:
    """Write one account as the one <user/> of its <host/>; return whether there is one of that name.

    Args:
        with_all: add everything else that is kept of it, for the person whose it is.

    Raises:
        StanzaError: a module could not tell what it keeps.
        StorageError: it could not be read.
    """
    write(_host_start(host))
    is_there = await _export_user(host, jid, write, for_ejabberd, with_all)
    write(b"</host>\n")
    return is_there


def _host_start(host: Host) -> bytes:
    return f"<host jid='{escape_value(host.domain)}'>\n".encode()


async def _export_user(host: Host, jid: JID, write: Write, for_ejabberd: bool, with_all: bool) -> bool:
    record = await host.account_store.get(jid)
    account = await host.load_account(jid)
    if record is None or account is None:
        return False
    write(f"<user name='{escape_value(jid.localpart)}'>\n".encode())

    def write_line(data: bytes) -> None:
        write(data)
        write(b"\n")

    event = ExportEvent(jid, account, write_line)
    for element in credentials_of(record.keys, for_ejabberd=for_ejabberd):
        event.add(element)
    await host.run_filter_waiting(account_exported, event)
    if with_all or record.disabled:  # nobody is let in again by a move
        event.add(_account(record))
    if with_all:
        await _export_kept(host, event)
    write(b"</user>\n")
    host.forget(jid)
    return True


def _account(record: AccountRecord) -> Element:
    attrs = {"created-at-us": str(record.created_at_us), "disabled": str(record.disabled).lower()}
    return Element(f"{KEPT} account", attrs)


async def _export_kept(host: Host, event: ExportEvent) -> None:
    """Add every value that is kept under the account's name, as it is kept, and copies that no history shows."""
    async for record in host.backend.export_owner(event.jid):
        match record:
            case ValueRecord(store=store, value=value):
                event.add(_value({"store": store}, value))
            case ItemRecord(store=store, key=key, value=value):
                event.add(_value({"store": store, "key": key}, value))
            case CopyRecord(id=id_, copy=copy, stanza=stanza) if not copy.visible:
                event.add(_value({"store": "archive", "key": str(id_), "peer": copy.peer}, stanza))


def _value(attrs: dict[str, str], value: bytes) -> Element:
    """Return a value as text where it is one, as base64 where it is not."""
    try:
        text = value.decode()
        element = Element(f"{KEPT} value", attrs, (text,) if text else ())
        element.to_xml(PIE)
    except ValueError:
        text = base64.b64encode(value).decode()
        element = Element(f"{KEPT} value", attrs | {"encoding": "base64"}, (text,))
    else:
        return element
    return element
