"""A world of tests with gateways that do as they are told, and an app server of a client.

push = await PushWorld.create()
juliet = await push.world.client("juliet@example.org/balcony", "<presence/>")
await push.register(juliet)
assert push.apns.sent == []
"""

from collections.abc import Iterable
from typing import Any

from codec.jid import JID
from codec.stanza import IQ, Stanza
from push.outbox import OutboxOptions
from tests.support.chat import MESSAGES
from tests.support.push.scripted import ScriptedGateway, settle
from tests.support.world import Client, World
from xmppd.logs import get_logger
from xmppd.modules.xep_0357_push import PushModule
from xmppd.waking.app_servers import AppServers
from xmppd.waking.registrar import Wakings
from xmppd.waking.service import PushService

MODULES = (
    *MESSAGES,
    "rfc_6121_subscription",
    "xep_0030_disco",
    "xep_0050_commands",
    "xep_0352_csi",
    "xep_0357_devices",
    "xep_0357_push",
)
PUSH = "urn:xmpp:push:0"
OURS = "urn:xmppd:push:0"
APP_SERVER = "push.example.net"


class AppServer:
    """A component that takes what is published, and answers by `answers`, one after another, then always with a result."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.taken: list[IQ] = []
        self.answers: list[str] = []
        self.is_silent = False
        world.shared.components.add(APP_SERVER, self)  # type: ignore[arg-type]

    def take(self, stanza: Stanza) -> None:
        assert isinstance(stanza, IQ)
        self.taken.append(stanza)
        if self.is_silent:
            return
        reply = stanza.reply()
        if self.answers:
            reply = reply.replace(type="error").adding_raw(self.answers.pop(0).encode(), "jabber:client error")
        waiting = self.world.shared.route(reply)
        if waiting is not None:
            self.world.shared.spawn(waiting)


class PushWorld:
    """Attributes: world, apns, fcm, webpush, app_server, service."""

    def __init__(self, world: World, options: OutboxOptions) -> None:
        self.world = world
        self.apns, self.fcm, self.webpush = ScriptedGateway("apns"), ScriptedGateway("fcm"), ScriptedGateway("webpush")
        self.app_server = AppServer(world)
        host, push = world.host(), world.shared.config.push
        app_servers = AppServers(
            lambda iq, s: world.host(iq.from_.domainpart).request(iq, s),
            world.clock,
            host.ids.token,
            push.app_server_per_s,
            push.placeholder,
            push.app_server_summary,
        )
        gateways = [self.apns, self.fcm, self.webpush, app_servers]
        self.service = PushService(world.shared.backend, gateways, world.clock, options, get_logger("test"))
        self.module: PushModule = host.module(PushModule)
        self.service.registrar = self.module.registrar
        self.service.on_removed = self.module.removed
        world.shared.push = self.service

    @classmethod
    async def create(
        cls,
        extra: Iterable[str] = (),
        settings: dict[str, Any] | None = None,
        options: OutboxOptions | None = None,
        domains: Iterable[str] = ("example.org",),
        backend: Any = None,
    ) -> "PushWorld":
        """Put it together and begin to send."""
        world = await World.create((*MODULES, *extra), settings=settings, domains=domains, backend=backend)
        push = cls(world, options or OutboxOptions())
        push.service.start()
        return push

    async def register(self, client: Client, gateway: str = "apns", token: str = "aa" * 32, **more: str) -> str:
        """Register a device of a client's and return its id."""
        attrs = "".join(f" {name.replace('_', '-')}='{value}'" for name, value in more.items())
        answer = await self.ask(client, "set", f"<register xmlns='{OURS}' gateway='{gateway}' token='{token}'{attrs}/>")
        assert answer.type == "result", answer.to_xml()
        return answer.elements()[0].get("id")

    async def ask(self, client: Client, type_: str, xml: str) -> IQ:
        """Send a request to the account, and return the answer; what else came is kept for others."""
        id_ = client.world.host().ids.token()
        await client.send(f"<iq type='{type_}' id='{id_}'>{xml}</iq>")
        await settle()
        for event in client.connection.events:
            if isinstance(event, IQ) and event.id == id_:
                client.connection.events.remove(event)
                return event
        raise AssertionError(f"no answer to {xml}")

    async def say(self, sender: Client, to: str, inner: str = "<body>hello</body>", type_: str = "chat") -> None:
        """Send a message and let everything happen that comes of it."""
        id_ = self.world.host().ids.token()
        await sender.send(f"<message type='{type_}' to='{to}' id='{id_}'>{inner}</message>")
        await self.settle()

    async def settle(self) -> None:
        """Let everything run."""
        for _ in range(3):
            await self.world.settle()
            await settle()

    def wakings(self, jid: str) -> Wakings:
        """Return what is in memory of an account."""
        account = self.world.host().accounts[JID.parse(jid)]
        return account.part(Wakings)

    @property
    def published(self) -> list[IQ]:
        """What came to the app server."""
        return self.app_server.taken
