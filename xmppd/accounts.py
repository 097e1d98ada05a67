"""What is done with accounts as such: making one, giving it another password, disabling it, removing it.

Whoever calls has checked that it may: the account itself (XEP-0077), or an administrator (XEP-0133).
"""

import dataclasses

from codec.jid import JID
from storage.interface import AccountRecord, AlreadyExists, ScramKeys, StorageError
from xmppd.errors import StanzaError
from xmppd.hooks import AccountEvent, account_created, account_deleted
from xmppd.host import Host
from xmppd.sasl.keys import InvalidPassword
from xmppd.sasl.password_work import TooBusy


async def create(host: Host, jid: JID, password: str) -> None:
    """Make an account; it is durable on return.

    Args:
        jid: a bare JID of the host's domain.

    Raises:
        StanzaError: conflict: it exists; not-acceptable: that is no password; resource-constraint: too many are at it.
        StorageError: it could not be kept.
    """
    if await host.account_store.get(jid) is not None:
        raise StanzaError("conflict")  # known before time goes into the password
    keys = await _make_keys(host, password)
    try:
        await host.account_store.create(AccountRecord(str(jid), keys, host.clock.now_us()))
    except AlreadyExists:
        raise StanzaError("conflict") from None
    host.log.info("account_created", jid=str(jid))
    host.signal(account_created, AccountEvent(jid))


async def set_password(host: Host, jid: JID, password: str) -> None:
    """Give an account another password; its sessions go on.

    Raises:
        StanzaError: as `create`; item-not-found: there is no such account.
    """
    keys = await _make_keys(host, password)
    record = await _record(host, jid)
    await host.account_store.replace(dataclasses.replace(record, keys=keys))
    host.log.info("password_changed", jid=str(jid))


async def add_keys(host: Host, jid: JID, basis: AccountRecord, hash_name: str, keys: ScramKeys) -> None:
    """Give an account keys for one hash more; those that it has already stay as they are.

    Args:
        basis: the account as it was when its owner proved themselves, without that hash.

    Raises:
        StanzaError: conflict: it has another password meanwhile; item-not-found: it is gone.
        StorageError: they could not be kept.
    """
    record = await _record(host, jid)
    if any(record.keys.get(name) != old for name, old in basis.keys.items()):
        raise StanzaError("conflict")
    if hash_name not in record.keys:
        await host.account_store.replace(dataclasses.replace(record, keys={**record.keys, hash_name: keys}))
        host.log.info("keys_added", jid=str(jid), hash=hash_name)


async def complete_keys(host: Host, basis: AccountRecord, password: str) -> None:
    """Give an account keys for every hash that it lacks.

    Args:
        basis: the account as it was when that was proven to be its password.
    """
    try:
        keys = await _make_keys(host, password)
        for name in set(keys) - set(basis.keys):
            await add_keys(host, JID.parse(basis.jid), basis, name, keys[name])
    except (StanzaError, StorageError) as error:
        host.log.warning("keys_not_added", jid=basis.jid, reason=str(error))


async def set_disabled(host: Host, jid: JID, disabled: bool) -> None:
    """Let nobody log in to an account any more, or again; sessions that there are go on.

    Raises:
        StanzaError: item-not-found: there is no such account.
    """
    record = await _record(host, jid)
    if record.disabled != disabled:
        await host.account_store.replace(dataclasses.replace(record, disabled=disabled))


async def end_sessions(host: Host, jid: JID, reason: str) -> int:
    """End the session of a full JID, or all of an account's; return how many there were.

    Args:
        reason: the stream error that they get.
    """
    account = host.accounts.get(jid.bare)
    if account is None:
        return 0
    found = [resource for resource in account.resources.values() if not jid.resourcepart or resource.jid == jid]
    for resource in found:
        await host.shared.end_resource(resource, reason)
    return len(found)


async def remove(host: Host, jid: JID) -> None:
    """Remove an account that `set_disabled` has closed: its sessions, its subscriptions, all that is kept for it.

    It is closed first so that whatever stops this in the middle, nobody can log in to half an account.
    """
    try:
        await end_sessions(host, jid, "not-authorized")
        await host.signal_waiting(account_deleted, AccountEvent(jid))
        # a stream that had logged in before may have bound a resource since
        await end_sessions(host, jid, "not-authorized")
        await host.account_store.delete(jid)
        host.forget(jid)
        await host.backend.erase(jid)
    except StorageError:
        host.log.exception("account_not_removed", jid=str(jid))
        return
    host.log.info("account_removed", jid=str(jid))


async def erase(host: Host, jid: JID) -> None:
    """Remove an account and all that is kept of it, as `remove`; it is done on return. What an account that is gone left behind goes too.

    Raises:
        StanzaError: item-not-found: nothing is kept under that name.
        StorageError: something could not be removed; the log says what.
    """
    if await host.account_store.get(jid) is not None:
        await set_disabled(host, jid, True)
    elif not await _leaves_traces(host, jid):
        raise StanzaError("item-not-found", text=f"nothing is kept of {jid}")
    await remove(host, jid)
    await host.backend.flush()
    if await host.account_store.get(jid) is not None or await _leaves_traces(host, jid):
        raise StorageError(f"{jid} is not erased altogether: the log says why; erase it again")


async def _leaves_traces(host: Host, jid: JID) -> bool:
    """Whether storage has anything under that name."""
    async for owner in host.backend.owners(jid):
        return owner == jid
    return False


async def _make_keys(host: Host, password: str) -> dict[str, ScramKeys]:
    try:
        return await host.shared.password_work.make_keys(password, host.config.scram.iterations)
    except InvalidPassword as error:
        raise StanzaError("not-acceptable", text=str(error)) from error
    except TooBusy as error:
        raise StanzaError("resource-constraint") from error


async def _record(host: Host, jid: JID) -> AccountRecord:
    record = await host.account_store.get(jid)
    if record is None:
        raise StanzaError("item-not-found")
    return record
