"""Our own app server: a client hands in its device token, and needs none of its own (docs/push.md).

By iq to the account, namespace `urn:xmppd:push:0`:

    set <register gateway= token= .../>     -> <registered id=/>    keep a device, bound to this client
    set <unregister id=/>                   -> (empty)              remove one
    get <devices/>                          -> <devices/>           list them, app servers (XEP-0357) too, with their last results
    get <settings/>, set <settings .../>    -> <settings/>          what gateways may read, and of what one is woken

and the same by commands (XEP-0050), for people whose client does not know it.
"""

from dataclasses import dataclass, replace

from codec.element import Element
from codec.jid import JID, InvalidJID
from codec.payload import Payload, attr, children
from codec.payloads.data_form import Form
from codec.stanza import IQ
from codec.values import parse_bool
from xmppd.errors import StanzaError
from xmppd.host import Host
from xmppd.module import Module, Target, iq_get, iq_set
from xmppd.modules.xep_0050_commands import CommandsModule
from xmppd.modules.xep_0357_commands import Entry, Listing, add_commands
from xmppd.modules.xep_0357_push import PushModule
from xmppd.waking.registrar import Wakings
from xmppd.waking.registrations import OURS, Attempt, Registration, Settings, as_content, as_mode

NS = "urn:xmppd:push:0"
MAX_TEXT = 2_000
"""Characters of one attribute; the longest real one, an endpoint of Web Push, has some 300."""


def _short(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise ValueError(f"more than {MAX_TEXT} characters")
    return text


def _gateway(text: str) -> str:
    if text not in OURS:
        raise ValueError(f"one of {', '.join(OURS)}")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Register(Payload, tag=(NS, "register")):
    """A device, as its platform knows it; what is not of its platform is left out."""

    gateway: str = attr(required=True, parse=_gateway)
    token: str = attr(required=True, parse=_short)
    call_token: str = attr(default="", parse=_short)
    topic: str = attr(default="", parse=_short)
    environment: str = attr(default="", parse=_short)
    public_key: str = attr(default="", parse=_short)
    auth: str = attr(default="", parse=_short)
    device: str = attr(default="", parse=_short)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered(Payload, tag=(NS, "registered")):
    """The id of a device: notifications carry it as `registration`."""

    id: str = attr(required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unregister(Payload, tag=(NS, "unregister")):
    """The device that is to go."""

    id: str = attr(required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device(Payload, tag=(NS, "device")):
    """A device in the list; tokens are not told. `result`: of the last notification, `reason` the gateway's word, `at` seconds since 1970."""

    id: str = attr(required=True)
    gateway: str = attr(required=True)
    device: str = attr(default="")
    resource: str = attr(default="")
    registered_at: int = attr(default=0)
    result: str = attr(default="")
    reason: str = attr(default="")
    at: int = attr(default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices(Payload, tag=(NS, "devices")):
    """The question, and the list."""

    devices: tuple[Device, ...] = children(Device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat(Payload, tag=(NS, "chat")):
    """A rule for one conversation: always, on-mention, never; "" for none."""

    jid: JID = attr(required=True, parse=JID.parse)
    wake: str = attr(default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsPayload(Payload, tag=(NS, "settings")):
    """How an account wants to be woken; in a request, what is left out stays as it is."""

    content: str | None = attr(parse=as_content)
    rooms: str | None = attr(parse=as_mode)
    headlines: bool | None = attr(parse=parse_bool)
    quiet_in_use: bool | None = attr(parse=parse_bool)
    chats: tuple[Chat, ...] = children(Chat)


class DevicesModule(Module, xep=357, account_features=(NS,), requires=(CommandsModule, PushModule)):
    """Keep devices, list and remove them."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._registering = host.module(PushModule).registering
        add_commands(host, host.module(CommandsModule), self)

    @iq_set(Register, to=(Target.ACCOUNT,))
    async def register(self, iq: IQ) -> Registered:
        """Keep a device."""
        request = iq.payload
        assert isinstance(request, Register) and iq.from_ is not None
        return Registered(id=await self.add(iq.from_, request))

    async def add(self, client: JID, request: Register) -> str:
        """Keep a device of a client; return its id."""
        registration = Registration(
            key="",
            gateway=request.gateway,
            token=request.token,
            call_token=request.call_token,
            topic=request.topic,
            environment=request.environment,
            public_key=request.public_key,
            auth=request.auth,
            name=request.device,
        )
        return await self._registering.add_for(client, registration)

    @staticmethod
    def register_of(attrs: dict[str, str]) -> Register:
        """Return what a form of a command asks for."""
        return Register.from_element(Element(Register.TAG, {name: value for name, value in attrs.items() if value}))

    @iq_set(Unregister, to=(Target.ACCOUNT,))
    async def unregister(self, iq: IQ) -> None:
        """Remove a device."""
        request = iq.payload
        assert isinstance(request, Unregister) and iq.from_ is not None
        if not await self.remove(iq.from_.bare, (request.id,)):
            raise StanzaError("item-not-found", text="There is no such device.")

    async def remove(self, jid: JID, ids: tuple[str, ...]) -> int:
        """Remove devices of an account; return how many there were."""
        return await self._registering.remove(await self._registering.account(jid), ids)

    @iq_get(Devices, to=(Target.ACCOUNT,))
    async def list(self, iq: IQ) -> Devices:
        """List devices and app servers."""
        assert iq.from_ is not None
        return Devices(devices=tuple([_device(one) for one in await self.entries(iq.from_.bare)]))

    async def entries(self, jid: JID) -> Listing:
        """Return an account's devices with their last results, those registered first first."""
        account = await self._registering.account(jid)
        push = self.host.shared.push
        results: dict[str, Attempt] = {} if push is None else await push.results(jid)
        known = account.part(Wakings).registrations.values()
        return [Entry(one, results.get(one.key)) for one in sorted(known, key=lambda one: one.registered_at_us)]

    # settings

    @iq_get(SettingsPayload, to=(Target.ACCOUNT,))
    async def tell_settings(self, iq: IQ) -> SettingsPayload:
        """Tell an account's settings, the server's where it has none."""
        assert iq.from_ is not None
        return await self.settings(iq.from_.bare)

    async def settings(self, jid: JID) -> SettingsPayload:
        """Return an account's settings, the server's where it has none."""
        own, push = (await self._registering.account(jid)).part(Wakings).settings, self.host.config.push
        return SettingsPayload(
            content=own.content or push.content,
            rooms=own.rooms or push.rooms,
            headlines=push.headlines if own.headlines is None else own.headlines,
            quiet_in_use=push.quiet_in_use if own.quiet is None else own.quiet,
            chats=tuple([Chat(jid=JID.parse(jid), wake=mode) for jid, mode in own.chats.items()]),
        )

    @iq_set(SettingsPayload, to=(Target.ACCOUNT,))
    async def change_settings(self, iq: IQ) -> SettingsPayload:
        """Change what a request names."""
        request = iq.payload
        assert isinstance(request, SettingsPayload) and iq.from_ is not None
        await self.change(iq.from_.bare, request)
        return await self.settings(iq.from_.bare)

    async def change(self, jid: JID, request: SettingsPayload, only_chats: bool = False) -> None:
        """Change what a request names; `only_chats`: conversations that it does not name have no rule any more."""
        account = await self._registering.account(jid)
        own = account.part(Wakings).settings
        await self._registering.keep_settings(account, _changed(replace(own, chats={}) if only_chats else own, request))

    @staticmethod
    def settings_of(form: Form) -> SettingsPayload:
        """Return what a form of a command asks for."""
        return SettingsPayload(
            content=form.value("content"),
            rooms=form.value("rooms"),
            headlines=form.boolean("headlines"),
            quiet_in_use=form.boolean("quiet-in-use"),
            chats=parse_chats(form.values("chats")),
        )


def _changed(own: Settings, request: SettingsPayload) -> Settings:
    settings = replace(
        own,
        headlines=own.headlines if request.headlines is None else request.headlines,
        quiet=own.quiet if request.quiet_in_use is None else request.quiet_in_use,
    )
    try:
        if request.content is not None:
            settings = replace(settings, content=as_content(request.content))
        if request.rooms is not None:
            settings = replace(settings, rooms=as_mode(request.rooms))
        for chat in request.chats:
            settings = settings.with_chat(chat.jid.bare, as_mode(chat.wake) if chat.wake else None)
    except ValueError as error:
        raise StanzaError("not-acceptable", text=str(error)) from error
    return settings


def _device(entry: Entry) -> Device:
    one, last = entry
    return Device(
        id=one.key,
        gateway=one.gateway,
        device=one.name,
        resource=one.resource,
        registered_at=one.registered_at_us // 1_000_000,
        result="" if last is None else last.result,
        reason="" if last is None else last.reason,
        at=0 if last is None else last.at_us // 1_000_000,
    )


def parse_chats(lines: tuple[str, ...]) -> tuple[Chat, ...]:
    """Return rules that people wrote, a line each: an address and always, on-mention or never; nothing behind it takes the rule away.

    Raises:
        StanzaError: bad-request: a line is none.
    """
    found = []
    for line in lines:
        jid, _, wake = line.strip().partition(" ")
        if not jid:
            continue
        try:
            found.append(Chat(jid=JID.parse(jid), wake=as_mode(wake.strip()) if wake.strip() else ""))
        except (InvalidJID, ValueError) as error:
            raise StanzaError("bad-request", text=f"{line}: an address and always, on-mention or never") from error
    return tuple(found)
