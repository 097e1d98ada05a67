"""XEP-0077: In-Band Registration.

Before login a stranger may make an account, where `registration.open` says so and not too many come from its address. After it
an account may give itself another password, or go away.
"""

import ipaddress
from dataclasses import dataclass

from codec.element import Element
from codec.jid import JID, InvalidJID
from codec.payload import Payload, child, child_text, flag
from codec.payloads.data_form import FORM_TYPE, Field, Form
from codec.stanza import IQ, Message
from xmppd import accounts
from xmppd.clock import Clock
from xmppd.errors import StanzaError
from xmppd.hooks import FeaturesEvent, RegistrationEvent, registration_asked, registration_ended, stream_features
from xmppd.host import Host
from xmppd.module import Module, Target, iq_before_login, iq_get, iq_set, on
from xmppd.resource import StreamLike

NS = "jabber:iq:register"
FEATURE = "http://jabber.org/features/iq-register register"
INSTRUCTIONS = "Choose a username and a password."
CHANGED = (
    "The password of your account was changed by another of your clients. You will be asked for it at the next login."
)

HOUR_S = 3600.0
MAX_ADDRESSES = 10_000
"""Addresses whose registrations are remembered, about 200 bytes each; beyond that the oldest is forgotten. Whoever has so many
addresses needs no second try from one of them."""

BOTH = (Target.DOMAIN, Target.ACCOUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Register(Payload, tag=(NS, "query")):
    """A question, what is to be filled in, or what was.

    Attributes:
        registered: the one who asks has an account.
        username: a localpart. password: in plain text; both are "" where they are to be filled in.
        remove: the account is to go.
        form: the same fields as a form; it counts for more than they do (§5).
    """

    registered: bool = flag()
    instructions: str | None = child_text()
    username: str | None = child_text()
    password: str | None = child_text()
    remove: bool = flag()
    form: Form | None = child(Form)

    @property
    def filled_in(self) -> tuple[str, str]:
        """The username and password that were sent, "" for what is missing."""
        if self.form is not None:
            return self.form.value("username") or "", self.form.value("password") or ""
        return self.username or "", self.password or ""


class HourlyLimit:
    """Counts what each address did within an hour.

    Args:
        limit: how often it may; 0 means always.
    """

    __slots__ = ("_clock", "_limit", "_times")

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._times: dict[str, list[float]] = {}

    def take(self, address: str) -> bool:
        """Note that it is done once more; False, and nothing is noted, when that is too often."""
        if not self._limit:
            return True
        key, now = _network(address), self._clock.monotonic()
        times = [at for at in self._times.pop(key, ()) if at > now - HOUR_S]
        allowed = len(times) < self._limit
        if allowed:
            times.append(now)
        self._times[key] = times
        if len(self._times) > MAX_ADDRESSES:
            del self._times[next(iter(self._times))]
        return allowed

    def give_back(self, address: str) -> None:
        """Undo the last `take`: it came to nothing."""
        times = self._times.get(_network(address))
        if times:
            times.pop()


def _network(address: str) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 that one IPv6 host has to itself."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.IPv6Network((ip, 64), strict=False))
    return str(ip)


class RegisterModule(Module, xep=77, features=(NS,)):
    """Accounts made, changed and removed by those whose they are."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._limit = HourlyLimit(host.config.registration.limit_per_hour, host.clock)

    # strangers

    @on(stream_features)
    def offer(self, event: FeaturesEvent) -> None:
        """Offer registration to who has not logged in (§7)."""
        if self.host.config.registration.open and not event.is_authenticated:
            event.features.append(Element(FEATURE))

    @iq_before_login("get", Register)
    async def ask(self, stream: StreamLike, _iq: IQ) -> Register:
        """Say what is to be filled in (§3.1)."""
        await self._check_allowed(stream, None)
        return Register(instructions=INSTRUCTIONS, username="", password="", form=_form())

    @iq_before_login("set", Register)
    async def register(self, stream: StreamLike, iq: IQ) -> None:
        """Make the account (§3.1)."""
        assert isinstance(iq.payload, Register)
        await self._check_allowed(stream, None)
        username, password = iq.payload.filled_in
        jid = self._new_jid(username)
        if not password:
            raise StanzaError("not-acceptable", text="An account needs a password.")
        address = stream.address
        if not self._limit.take(address):
            self.host.log.info("registration_limited", address=address)
            raise StanzaError("resource-constraint", text="Too many accounts were made from your address; try later.")
        event = None
        try:
            event = await self._check_allowed(stream, jid)
            await accounts.create(self.host, jid, password)
            event.is_done = True
        except BaseException:
            self._limit.give_back(address)
            raise
        finally:
            if event is not None:
                await self.host.signal_waiting(registration_ended, event)

    async def _check_allowed(self, stream: StreamLike, jid: JID | None) -> RegistrationEvent:
        event = RegistrationEvent(stream, jid, self.host.config.registration.open)
        await self.host.run_filter_waiting(registration_asked, event)
        if not event.is_allowed:
            raise StanzaError("not-allowed", text="Accounts are made by whoever runs this server.")
        return event

    def _new_jid(self, username: str) -> JID:
        """Return the JID of a new account; a name that gives an administrator's power is never to be had."""
        try:
            if not username:
                raise InvalidJID("the username is empty")
            jid = JID.of(username, self.host.domain)
        except InvalidJID as error:
            raise StanzaError("not-acceptable", text=str(error)) from error
        if jid in self.host.config.admin.jids:
            raise StanzaError("conflict")
        return jid

    # those who have an account

    @iq_get(Register, to=BOTH)
    def tell(self, iq: IQ) -> Register:
        """Tell who asks that it is registered, and as whom (§3.1)."""
        return Register(registered=True, username=self._own(iq).localpart, password="")

    @iq_set(Register, to=BOTH)
    async def change(self, iq: IQ) -> None:
        """Remove the account (§3.2) or give it another password (§3.3)."""
        assert isinstance(iq.payload, Register)
        jid = self._own(iq)
        if iq.payload.remove:
            await self._remove(jid, iq)
            return
        username, password = iq.payload.filled_in
        if not username or not password:
            raise StanzaError("bad-request", text="Send your username and the new password.")
        try:
            named = JID.of(username, self.host.domain)
        except InvalidJID as error:
            raise StanzaError("bad-request", text=str(error)) from error
        if named != jid:
            raise StanzaError("not-allowed", text="That is not your account.")
        # The account's other sessions go on and are told; tokens (XEP-0484) are void. Whoever sends this has the account already, so they prove no theft; and a client
        # that was thrown out would come back with the old password, again and again, until its user is there.
        await accounts.set_password(self.host, jid, password)
        self._tell_others(iq.from_)

    def _tell_others(self, changer: JID | None) -> None:
        """Tell the account's other clients, so that a change that its owner did not make is noticed."""
        account = None if changer is None else self.host.accounts.get(changer.bare)
        for resource in () if account is None else account.available():
            if resource.jid != changer:
                body = Element("jabber:client body", {}, (CHANGED,))
                resource.send(Message.build(body, to=resource.jid, from_=self.host.domain, type="headline"))

    async def _remove(self, jid: JID, iq: IQ) -> None:
        """Close the account; the rest comes after the result, which its last session would not get otherwise."""
        if len(iq.elements()[0].elements()) != 1:
            raise StanzaError("bad-request", text="<remove/> stands alone.")
        await accounts.set_disabled(self.host, jid, True)
        self.host.spawn(accounts.remove(self.host, jid))

    def _own(self, iq: IQ) -> JID:
        """Return the account of whoever asks, which must be one of this host."""
        jid = iq.from_
        if jid is None or not jid.localpart or jid.domainpart != self.host.domain:
            raise StanzaError("not-allowed", text="Your account is not on this server.")
        return jid.bare


def _form() -> Form:
    return Form(
        type="form",
        title="Registration",
        instructions=(INSTRUCTIONS,),
        fields=(
            Field(var=FORM_TYPE, type="hidden", values=(NS,)),
            Field(var="username", type="text-single", label="Username", required=True),
            Field(var="password", type="text-private", label="Password", required=True),
        ),
    )
