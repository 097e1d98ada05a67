"""Puts the parts together, runs them, and stops them so that nothing is lost. The one file that names concrete parts."""

import asyncio
import contextlib
import functools
import gc
import os
import secrets
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from codec.binary_dictionary import load_all
from codec.jid import JID, InvalidJID
from push.gateway import BadCredentials
from storage.interface import Backend, StorageError
from xmppd import accounts, sessions
from xmppd.addresses import Address
from xmppd.binary_wire import ALPN_BINARY, BinaryWire
from xmppd.c2s import ClientStream, Service, limits_of
from xmppd.clock import Clock
from xmppd.config import Config
from xmppd.config_sources import ConfigError
from xmppd.connection import Connection, Loop, MakeEngine
from xmppd.control import ControlError, ControlServer
from xmppd.errors import StanzaError
from xmppd.external import Externals
from xmppd.hooks import server_stops
from xmppd.host import Host, Shared
from xmppd.listener import Doorkeeper, listen
from xmppd.loader import LoadError, load
from xmppd.login import Credentials
from xmppd.logs import get_logger
from xmppd.metrics import Metrics
from xmppd.opaque_ids import OpaqueIds
from xmppd.push_run import describe, open_push, wake_all
from xmppd.router import Router
from xmppd.s2s.federation import Federation
from xmppd.s2s.resolver import Resolver
from xmppd.s2s.tls import PeerTls
from xmppd.sasl.offer import Realm
from xmppd.sasl.unknown import UnknownAccounts
from xmppd.storage_url import open_backend
from xmppd.tls import ALPN_XMPP_CLIENT, TlsError, TlsStore
from xmppd.tls_engine import TlsEngine, TlsWorkspace
from xmppd.uploads.service import Uploads
from xmppd.uploads.store import MediaError
from xmppd.web.observe import add_pages
from xmppd.web.server import WebServer
from xmppd.web.uploads import add_uploads

TICK_S = 1.0
SWEEP_EVERY_TICKS = 5
"""Every so many ticks each connection is asked whether it is idle; 10,000 of them take about 5 ms."""

SWITCH_INTERVAL_S = 0.0005
"""How long the loop may keep the interpreter while the storage's thread wants it; Python's 5 ms would make each commit that much later."""


GC_THRESHOLDS = (50_000, 20, 50)
"""Nothing on a stanza's path leaves cycles behind; looking for them at Python's usual 700 objects cost 5 % of a login."""


class ServerError(Exception):
    """The server cannot start; one line that says what to do."""


class Server:
    """One server process.

    Args:
        config: the settings; they do not change while it runs, but for certificates and what is said of other domains (`reload`).
        reread: reads the settings anew; None: they stay.
    """

    def __init__(self, config: Config, reread: Callable[[], Config] | None = None) -> None:
        self.config = config
        self.reread = reread
        self.log = get_logger("xmppd.server")
        self.metrics = Metrics()
        self.backend: Backend = open_backend(
            config.storage_url, exclusive=True, on_commit=self.metrics.observe_commit, settings=config.storage
        )
        self.shared = Shared(config, self.backend, Clock(), self.metrics)
        self.shared.spawn = self._spawn
        self.shared.end_resource = sessions.end
        self.router = Router(self.shared)
        dictionaries = load_all() if config.c2s.binary else {}
        self.binary = BinaryWire(dictionaries, config.c2s.binary_tables) if dictionaries else None
        alpn = (ALPN_BINARY, ALPN_XMPP_CLIENT) if self.binary is not None else (ALPN_XMPP_CLIENT,)
        self.tls = TlsStore(config.tls, alpn) if config.tls.is_configured else None
        self._tasks: set[asyncio.Task[None]] = set()
        self.peer_tls = PeerTls(config.tls) if config.tls.is_configured and config.s2s.enabled else None
        self.federation: Federation | None = None
        self._reminders: set[Any] = set()
        self._listeners: list[asyncio.Server] = []
        self._closers: list[Any] = []
        self.stopping = asyncio.Event()
        self.loop: Loop
        self.addresses: dict[str, list[Address]] = {
            kind: [] for kind in ("c2s", "direct_tls", "s2s", "s2s_direct_tls", "components")
        }

    # start

    async def start(self) -> None:
        """Open storage, load modules, listen.

        Raises:
            ServerError, StorageError, LoadError, TlsError, MediaError: with one line that says what to do.
        """
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        sys.unraisablehook = self._unraisable
        self.config.server.data_dir.mkdir(parents=True, exist_ok=True)
        await self.backend.open()
        self.backend.work.take_over()
        running = asyncio.get_running_loop()
        self.loop = Loop(
            running.call_soon,
            get_logger("xmppd.connection"),
            self.config.limits.outbox_bytes,
            self.config.limits.stream_bytes_per_s,
        )
        self.shared.ids.start_after(self.backend.archive.last_id)
        if self.backend.gateway_number is not None:
            self.shared.ids.share(self.backend.gateway_number)
        self.shared.archive_ids = OpaqueIds(await self._secret("archive_ids"))
        try:
            self.shared.push = self.metrics.push = open_push(self.shared, get_logger("xmppd.push"))
        except BadCredentials as error:
            raise ServerError(f"push: {error}") from error
        self._closers.append(self.shared.push)
        for domain in self.config.server.domains:
            self.shared.hosts[domain] = Host(domain, self.shared)
        for host in self.shared.hosts.values():
            await load(host, self.config.module_names)
        self.shared.push.start()
        await self._listen_to_clients()
        await self._listen_to_components()
        await self._federate()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        control = ControlServer(self.config.control_path, self._control_handlers())
        try:
            await control.start()
        except OSError as error:
            raise ServerError(f"{self.config.control_path}: {error.strerror or error}") from error
        self._closers.append(control)
        await self._start_web()
        self._spawn(self._tick())

    def _unraisable(self, found: Any) -> None:
        """Log what Python could not raise, as one line: a client's TLS server name that is no text, for one."""
        self.log.debug("unraisable", reason=str(found.exc_value), where=str(found.err_msg or found.object))

    async def _start_web(self) -> None:
        web = WebServer(self.config.http.listen)
        add_pages(web.app, self.metrics, self._faults, self._not_ready)
        if self.shared.uploads is not None:
            add_uploads(web.app, self.shared.uploads)
        try:
            await web.start()
        except OSError as error:
            raise ServerError(str(error)) from error
        self.addresses["http"] = web.addresses
        self._closers.append(web)

    async def _listen_to_clients(self) -> None:
        before, after = limits_of(self.config)
        realms = await self._realms()
        service = Service(
            self.shared,
            self.router,
            self.tls,
            realms,
            after,
            before,
            self._reminders.add,
            get_logger("xmppd.c2s"),
            self.binary,
        )

        def make_stream(connection: Connection) -> ClientStream:
            return ClientStream(connection, service)

        c2s = self.config.c2s
        doorkeeper = Doorkeeper(c2s.max_connections_per_address)
        for address in c2s.listen:
            await self._listen("c2s", address, make_stream, None, doorkeeper)
        for address in c2s.direct_tls:
            await self._listen("direct_tls", address, make_stream, self._direct_engine, doorkeeper)

    async def _listen_to_components(self) -> None:
        components = self.config.components
        secrets = {domain: section.secret.get_secret_value() for domain, section in components.domains.items()}
        try:
            externals = Externals(self.shared, self.router, secrets)
        except ValueError as error:
            raise ServerError(f"components.domains: {error}") from error
        for address in components.listen:
            await self._listen("components", address, externals.make_stream, None, Doorkeeper(0))

    async def _federate(self) -> None:
        """Talk to other servers, unless there is no certificate and nothing may be said without one."""
        s2s, tls = self.config.s2s, self.peer_tls
        if not s2s.enabled or (tls is None and s2s.require_tls):
            return
        resolver = Resolver(s2s.resolver)
        secret = await self._secret("dialback")
        self.federation = federation = Federation(
            self.shared, self.router, tls, secret, self.loop, resolver, self._reminders.add
        )
        doorkeeper = Doorkeeper(s2s.max_connections_per_address)
        for address in s2s.listen:
            await self._listen("s2s", address, federation.make_incoming, None, doorkeeper)
        for address in s2s.direct_tls:
            assert tls is not None, "the configuration asks for a certificate"
            accept = functools.partial(tls.accept, None, direct=True)
            await self._listen(
                "s2s_direct_tls", address, federation.make_incoming, lambda _, accept=accept: accept(), doorkeeper
            )
        await federation.start()

    async def _listen(
        self,
        kind: str,
        address: Address,
        make_stream: Callable[[Connection], Any],
        make_engine: MakeEngine | None,
        doorkeeper: Doorkeeper,
    ) -> None:
        try:
            listener = await listen(
                address,
                loop=self.loop,
                make_stream=make_stream,
                make_engine=make_engine,
                expects_proxy_header=address in self.config.c2s.proxy_protocol,
                doorkeeper=doorkeeper,
            )
        except OSError as error:
            raise ServerError(f"cannot listen on {address}: {error.strerror or error}") from error
        self._listeners.append(listener)
        bound = listener.sockets[0].getsockname()
        self.addresses[kind].append(Address(bound[0], bound[1]))

    def _direct_engine(self, workspace: TlsWorkspace) -> TlsEngine:
        """Begin TLS on a connection of a client; certificates may have been replaced since the last one."""
        assert self.tls is not None, "the configuration asks for a certificate"
        return TlsEngine(self.tls.context_for(direct=True), workspace)

    async def _realms(self) -> dict[str, Realm]:
        """Return what logins need, by domain; the secret behind the salts of unknown accounts stays the same over a restart."""
        secret = await self._secret("unknown_accounts")
        work = self.shared.password_work
        iterations = self.config.scram.iterations
        realms = {}
        for domain, host in self.shared.hosts.items():
            credentials, unknown = Credentials(host), UnknownAccounts(secret, domain, iterations)
            realms[domain] = Realm(credentials, unknown, work, credentials.take_password)
        return realms

    async def _secret(self, name: str) -> bytes:
        """Return 32 random bytes that stay the same over restarts."""
        store = self.backend.keyval("server")
        secret = await store.get(name)
        if secret is None:
            secret = secrets.token_bytes(32)
            await store.set(name, secret)
        return secret

    # while it runs

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.log.error("task_broke", exc_info=task.exception())

    async def _tick(self) -> None:
        """Count the seconds, ask for acknowledgements that are due, look for idle and dead clients."""
        loop = self.loop
        while True:
            await asyncio.sleep(TICK_S)
            loop.tick()
            reminders, due = self._reminders, list(self._reminders)
            reminders.clear()
            for stream in due:
                stream.remind()
            self._count()
            if loop.seconds % SWEEP_EVERY_TICKS == 0:
                self._sweep()

    def _count(self) -> None:
        self.metrics.bytes_received = self.loop.bytes_received
        self.metrics.bytes_sent = self.loop.bytes_sent
        self.metrics.connections = len(self.loop.connections)
        self.metrics.sessions = sum(
            len(account.resources) for host in self.shared.hosts.values() for account in host.accounts.values()
        )

    def _sweep(self) -> None:
        now = self.loop.seconds
        for connection in list(self.loop.connections):
            connection.tick(now, self.config.c2s.login_timeout_s)
        if self.federation is not None:
            self.federation.tick()

    def _faults(self) -> list[str]:
        """Return what keeps the server from its work, in words for its operator."""
        trouble = self.backend.trouble
        return [trouble] if trouble is not None else []

    def _not_ready(self) -> list[str]:
        """Return why no new clients should come here."""
        return ["the server is stopping"] if self.stopping.is_set() else []

    def reload(self) -> None:
        """Read the certificates anew, and what the settings say of other domains (SIGHUP); streams that stand keep theirs."""
        try:
            self._reload()
        except (TlsError, ConfigError) as error:
            self.log.error("not_reloaded", reason=str(error))
        else:
            self.log.info("reloaded")

    def _reload(self) -> None:
        for tls in (self.tls, self.peer_tls):
            if tls is not None:
                tls.reload()
        if self.federation is not None and self.reread is not None:
            self.federation.policy.replace(self.reread().s2s)

    # the command line's questions

    def _control_handlers(self) -> dict[str, Any]:
        return {
            "status": self._do_status,
            "top": self._do_status,
            "reload": self._do_reload,
            "account_changed": self._do_account_changed,
            "end_session": self._do_end_session,
            "push_test": self._do_push_test,
            "erase_account": self._do_erase_account,
        }

    async def _do_status(self, _: dict[str, Any]) -> dict[str, Any]:
        self._count()
        faults = self._faults() + self._not_ready()
        up_s = (self.shared.clock.now() - self.shared.started_at).total_seconds()
        return {
            "faults": faults,
            "pid": os.getpid(),
            "uptime_s": round(up_s, 1),
            "domains": list(self.shared.hosts),
            "addresses": {kind: [str(address) for address in found] for kind, found in self.addresses.items()},
            "metrics": self.metrics.snapshot(),
            "routes": [] if self.federation is None else self.federation.describe(),
            "push": {} if self.shared.push is None else await describe(self.shared.push),
        }

    async def _do_push_test(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.shared.push is not None, "it is opened at the start"
        wait_s = min(120.0, float(request.get("wait_s", 20.0)))
        return {"devices": await wake_all(self.shared.push, str(request.get("jid")), wait_s)}

    async def _do_reload(self, _: dict[str, Any]) -> dict[str, Any]:
        try:
            self._reload()
        except (TlsError, ConfigError) as error:
            raise ControlError(str(error)) from error
        return {}

    async def _do_account_changed(self, request: dict[str, Any]) -> dict[str, Any]:
        """An account was deleted or got another password: its sessions end, what we remember of it goes."""
        return await self._end_sessions(request, "not-authorized")

    async def _do_end_session(self, request: dict[str, Any]) -> dict[str, Any]:
        return await self._end_sessions(request, "policy-violation")

    async def _do_erase_account(self, request: dict[str, Any]) -> dict[str, Any]:
        """Take an account away with all that is kept of it."""
        try:
            jid = JID.parse(str(request.get("jid"))).bare
            await accounts.erase(self.shared.hosts[jid.domainpart], jid)
        except (InvalidJID, KeyError) as error:
            raise ControlError(f"{request.get('jid')} is no account here") from error
        except (StanzaError, StorageError) as error:
            raise ControlError(getattr(error, "text", None) or str(error)) from error
        return {}

    async def _end_sessions(self, request: dict[str, Any], reason: str) -> dict[str, Any]:
        try:
            jid = JID.parse(str(request.get("jid")))
        except InvalidJID as error:
            raise ControlError(f"{request.get('jid')}: {error}") from error
        host = self.shared.hosts.get(jid.domainpart)
        if host is None:
            raise ControlError(f"{jid.domainpart} is not served here")
        account = host.accounts.get(jid.bare)
        ended = 0
        for resource in list(account.resources.values()) if account is not None else ():
            if not jid.resourcepart or resource.jid == jid:
                await sessions.end(resource, reason)
                ended += 1
        host.forget(jid.bare)
        if self.shared.uploads is not None and await self.backend.accounts.get(jid.bare) is None:
            await self._forget_files(self.shared.uploads, jid.bare)
        return {"ended": ended}

    async def _forget_files(self, uploads: Uploads, jid: JID) -> None:
        """Remove the files of an account that was deleted from outside."""
        try:
            await uploads.forget(jid)
        except (MediaError, StorageError) as error:
            self.log.error("media_not_removed", jid=str(jid), reason=str(error))

    # stop

    async def stop(self) -> None:
        """Stop taking, send every client away, commit, close (SIGTERM); at most `server.drain_s` long.

        Clients get <system-shutdown/>. What was acknowledged is committed; what was not, they send again to the next server.
        """
        self.stopping.set()
        for listener in self._listeners:
            listener.close()
        self.log.info("draining", connections=len(self.loop.connections) if hasattr(self, "loop") else 0)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.config.server.drain_s):
                    await self._drain()
            for host in self.shared.hosts.values():
                for module in host.modules.values():
                    await module.stop()
        finally:
            await self._let_go()
        self.log.info("stopped")

    async def _let_go(self) -> None:
        """Close all that is open, storage last: whatever broke before, what was written is committed."""
        try:
            for closer in self._closers:
                await closer.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            await self.backend.close()

    async def _drain(self) -> None:
        """Let what clients have sent be committed and acknowledged, then close their streams."""
        connections = list(self.loop.connections)
        for connection in connections:
            connection.pause_reading()
        await self.backend.flush()
        await asyncio.sleep(0)  # acknowledgements leave with the end of this turn of the loop
        for host in self.shared.hosts.values():
            host.signal(server_stops, None)
        for connection in connections:
            if isinstance(connection.stream, ClientStream):
                connection.stream.end("system-shutdown")
        for host in self.shared.hosts.values():
            for resource in host.sessions():
                await sessions.end(resource)  # which tells contacts elsewhere, whose servers' streams close last
        if self.federation is not None:
            await self.federation.stop()
        for connection in list(self.loop.connections):
            if connection.stream is not None:
                connection.stream.end("system-shutdown")
        await self.loop.all_closed()


async def serve(config: Config, announce: Any = None, reread: Callable[[], Config] | None = None) -> None:
    """Run a server until SIGTERM or SIGINT; SIGHUP reads certificates anew, and what is said of other domains.

    Args:
        reread: reads the settings anew.
        announce: called with the `Server` once it serves, or None.

    Raises:
        ServerError: it cannot start; one line that says what to do.
    """
    try:
        server = Server(config, reread)
    except (StorageError, TlsError) as error:
        raise ServerError(str(error)) from error
    running = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(number, server.stopping.set)
    running.add_signal_handler(signal.SIGHUP, server.reload)
    try:
        await server.start()
    except (StorageError, TlsError, LoadError, ControlError, MediaError) as error:
        await _give_up(server)
        raise ServerError(str(error)) from error
    except ServerError:
        await _give_up(server)
        raise
    server.log.info(
        "serving", domains=list(server.shared.hosts), c2s=[str(address) for address in server.addresses["c2s"]]
    )
    if announce is not None:
        announce(server)
    await server.stopping.wait()
    await server.stop()


async def _give_up(server: Server) -> None:
    """Let go of what a server that could not start has taken."""
    for listener in server._listeners:
        listener.close()
    for closer in server._closers:
        await closer.close()
    with contextlib.suppress(StorageError):
        await server.backend.close()
