"""What `xmppd check` looks at, one function for each; each yields findings and changes nothing."""

import asyncio
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from storage.interface import StorageError
from xmppd.addresses import Address
from xmppd.certificates import SUBDOMAINS, dns_name
from xmppd.cli.trust import why_not_trusted
from xmppd.config import Config
from xmppd.control import ControlError, NotRunning, ask
from xmppd.storage_url import open_backend
from xmppd.tls import CertificateInfo, TlsError, TlsStore

DAYS_TO_RENEW = 21
"""Who renews by machine does it 30 days before the end; below this something has stopped."""


State = Literal["ok", "warning", "fault", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        about: a few words.
        state: fault: the server will not work like this; warning: it will, but somebody should know;
            skipped: it could not be looked at, and `detail` says why.
    """

    about: str
    state: State
    detail: str


def running_server(config: Config) -> tuple[list[Finding], dict[str, Any] | None]:
    """Return what is found, and what the running server says of itself, None when none runs."""
    try:
        status = ask(config.control_path, "status")
    except NotRunning:
        return [Finding("server", "ok", "not running")], None
    except ControlError as error:
        return [Finding("server", "fault", str(error))], None
    faults = status.get("faults", [])
    return [
        Finding("server", "fault" if faults else "ok", "; ".join(faults) or f"running, pid {status['pid']}")
    ], status


def data_folder(config: Config) -> Iterator[Finding]:
    """Look whether local state can be written."""
    folder = config.server.data_dir
    above = folder
    while not above.exists() and above != above.parent:
        above = above.parent
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        made = "" if above == folder else " (will be made)"
        yield Finding("data folder", "ok", f"{folder}{made}")
    else:
        yield Finding("data folder", "fault", f"{folder}: {above} is not a folder that this user may write to")


def certificates(config: Config) -> Iterator[Finding]:
    """Look at the certificate of each domain: sound, for how long, for which names."""
    if not config.tls.is_configured:
        yield Finding("certificate", "warning", "none: logins travel in clear; for loopback and proxies alone")
        return
    try:
        store = TlsStore(config.tls)
    except TlsError as error:
        yield Finding("certificate", "fault", str(error))
        return
    for domain in config.server.domains:
        found = _certificate(domain, store.info(domain), store.days_left(domain))
        yield found
        if found.state != "fault":
            yield _trust(domain, store, config.tls.ca_file)


def _certificate(domain: str, info: CertificateInfo, days_left: int) -> Finding:
    about = f"certificate for {domain}"
    if not covers(info.names, dns_name(domain)):
        return Finding(about, "fault", f"{info.path} is for {', '.join(info.names) or 'no name at all'}")
    if days_left < DAYS_TO_RENEW:
        return Finding(about, "warning", f"{info.path} ends in {days_left} days: renew it, then send SIGHUP")
    missing = [name for name in (f"{sub}.{dns_name(domain)}" for sub in SUBDOMAINS) if not covers(info.names, name)]
    also = f"; it does not name {', '.join(missing)}" if missing else ""
    return Finding(about, "ok", f"{info.path}, {days_left} days left{also}")


def _trust(domain: str, store: TlsStore, ca_file: Path | None) -> Finding:
    about = f"trust in {domain}"
    whose = "this system" if ca_file is None else str(ca_file)
    try:
        reason = why_not_trusted(store.context_for(domain), domain, ca_file)
    except OSError as error:
        return Finding(about, "fault", f"tls.ca_file: {ca_file}: {error.strerror or error}")
    if reason is None:
        return Finding(about, "ok", f"the certificate comes from an authority that {whose} knows")
    return Finding(about, "warning", f"clients will ask, or refuse: {reason} (by the authorities of {whose})")


def covers(names: tuple[str, ...], wanted: str) -> bool:
    """Whether a certificate's names include this one (RFC 6125 §6.4: a wildcard stands for the whole first label)."""
    wanted = wanted.lower()
    above = wanted.partition(".")[2]
    return wanted in names or (above.count(".") >= 1 and f"*.{above}" in names)


def storage(config: Config) -> Iterator[Finding]:
    """Look whether accounts can be read. A database that is not there yet is not made."""
    url = config.storage_url
    path = url.rpartition("@")[2] if url.startswith("cassandra:") else url.partition(":")[2]
    if url.startswith("sqlite:") and not Path(path).exists():
        yield Finding("storage", "ok", f"{path} will be made")
        return

    async def count() -> int:
        backend = open_backend(url, exclusive=False, settings=config.storage)
        await backend.open()
        try:
            return sum([await backend.accounts.count(domain) for domain in config.server.domains])
        finally:
            await backend.close()

    try:
        accounts = asyncio.run(count())
    except StorageError as error:
        yield Finding("storage", "fault", str(error))
    else:
        yield Finding("storage", "ok", f"{path}, {accounts} account{'' if accounts == 1 else 's'}")


def ports(config: Config, status: dict[str, Any] | None) -> Iterator[Finding]:
    """Look whether every address is free, or taken by the server itself."""
    ours = {text for texts in (status or {}).get("addresses", {}).values() for text in texts}
    wanted = {
        "c2s.listen": config.c2s.listen,
        "c2s.direct_tls": config.c2s.direct_tls,
        "s2s.listen": config.s2s.listen if config.s2s.enabled else (),
        "s2s.direct_tls": config.s2s.direct_tls if config.s2s.enabled else (),
        "http.listen": config.http.listen,
    }
    for name, addresses in wanted.items():
        for address in addresses:
            about = f"{name} {address}"
            if str(address) in ours:
                yield Finding(about, "ok", "in use by the running server")
            elif reason := why_taken(address):
                yield Finding(about, "fault", reason)
            else:
                yield Finding(about, "ok", "free")


def why_taken(address: Address) -> str | None:
    """Return why nobody can listen on an address now, None when one can."""
    try:
        (family, kind, protocol, _, where), *_ = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            probe.listen(1)
    except OSError as error:
        return error.strerror or str(error)
    return None
