"""XEP-0401: Easy User Onboarding: commands that make invitations.

Everybody may invite contacts (`registration.invite_contacts`), administrators accounts too. What invited people do with their tokens is
in `xep_0445_preauth` (they make an account) and `xep_0379_pars` (they have one, and become a contact).
"""

from datetime import UTC, datetime

from codec.jid import JID, InvalidJID
from codec.payloads.data_form import FORM_TYPE, Field, Form
from codec.values import format_datetime
from storage.interface import MapStore
from xmppd.errors import StanzaError
from xmppd.hooks import AccountEvent, account_deleted
from xmppd.host import Host
from xmppd.module import Module, on
from xmppd.modules.rfc_6121_roster import FROM, TO, RosterModule
from xmppd.modules.xep_0050_commands import CommandsModule
from xmppd.modules.xep_0401_tokens import MAX_INVITES, Invite, Invites, TooManyInvites, landing_page, make_token

NS = "urn:xmpp:invite"
INVITE, CREATE_ACCOUNT = f"{NS}#invite", f"{NS}#create-account"
DAY_S = 86_400

CREATE_FORM = Form(
    type="form",
    title="Invite somebody to this server",
    fields=(
        Field(var="username", type="text-single", label="Username; empty: any"),
        Field(var="roster-subscription", type="boolean", values=("false",), label="Make us each other's contacts"),
    ),
)


class InvitesModule(Module, xep=401, requires=(CommandsModule, RosterModule), stores={"invites": MapStore}):
    """Make invitations, and make contacts of two people."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.invites = Invites(self.stores["invites"], host.domain)
        self._rosters = host.module(RosterModule)
        commands = host.module(CommandsModule)
        commands.add(INVITE, "Invite user", self._may_invite, self.invite)
        commands.add(CREATE_ACCOUNT, "Create account", self._is_admin, self.create_account)

    def _is_admin(self, asker: JID) -> bool:
        return asker.bare in self.host.config.admin.jids and asker.domainpart == self.host.domain

    def _may_invite(self, asker: JID) -> bool:
        is_own = bool(asker.localpart) and asker.domainpart == self.host.domain
        return self._is_admin(asker) or (is_own and self.host.config.registration.invite_contacts)

    def now_s(self) -> int:
        """Return seconds since 1970."""
        return self.host.clock.now_us() // 1_000_000

    async def invite(self, asker: JID, _form: Form | None) -> Form:
        """Make an invitation to become the asker's contact, with an account where that is allowed (§5.1)."""
        registers = self._is_admin(asker) or self.host.config.registration.invite_accounts
        return await self._make(asker, Invite(0, 1, asker.bare, registers=registers, subscribes=True))

    async def create_account(self, asker: JID, form: Form | None) -> Form:
        """Make an invitation to have an account, of a given name or any (§5.4)."""
        if form is None:
            return CREATE_FORM
        username = (form.value("username") or "").strip()
        if username:
            username = await self._free_name(username)
        subscribes = form.boolean("roster-subscription") or False
        return await self._make(asker, Invite(0, 1, asker.bare, True, subscribes, username))

    async def _free_name(self, username: str) -> str:
        try:
            jid = JID.of(username, self.host.domain)
        except InvalidJID as error:
            raise StanzaError("not-acceptable", text=str(error)) from error
        is_taken = await self.host.account_store.get(jid) is not None
        if is_taken or await self.invites.reserved_for(jid.localpart, self.now_s()):
            raise StanzaError("conflict", text="That name is taken.")
        return jid.localpart

    async def _make(self, asker: JID, invite: Invite) -> Form:
        settings, now_s = self.host.config.registration, self.now_s()
        until_s = now_s + settings.invite_days * DAY_S
        invite = Invite(until_s, 1, invite.inviter, invite.registers, invite.subscribes, invite.username)
        token = make_token((self.host.ids.token() + self.host.ids.token()).encode())
        most = MAX_INVITES if self._is_admin(asker) else settings.invites_per_account
        try:
            await self.invites.add(token, invite, now_s, most)
        except TooManyInvites as error:
            raise StanzaError("resource-constraint", text="Too many of your invitations are open.") from error
        self.host.log.info("invited", inviter=str(asker.bare), registers=invite.registers, username=invite.username)
        uri = invite.uri(self.host.domain, token)
        page = landing_page(settings.landing_page, uri)
        fields = [
            Field(var=FORM_TYPE, type="hidden", values=("urn:xmpp:invite#invitation",)),
            Field.of("uri", uri, type="text-single", label="Invitation"),
            *([Field.of("landing-url", page, type="text-single", label="Page")] if page else []),
            Field.of(
                "expire", format_datetime(datetime.fromtimestamp(until_s, UTC)), type="text-single", label="Until"
            ),
        ]
        return Form(type="result", title="Invitation", fields=tuple(fields))

    async def make_contacts(self, inviter: JID, invited: JID) -> None:
        """Subscribe two accounts of this host to each other; what cannot be done for either is left out.

        Raises:
            StanzaError, StorageError: it is not done, or for one of them alone.
        """
        both = [await self.host.load_account(jid) for jid in (inviter, invited)]
        if inviter == invited or both[0] is None or both[1] is None:
            return
        for account, other in ((both[0], invited), (both[1], inviter)):
            roster = await self._rosters.roster(account)
            self._rosters.check_room(roster, other)
            contact = roster.get(other)._replace(state=TO | FROM, is_listed=True, request=None)
            await self._rosters.durable(account, roster, other, self._rosters.change(account, roster, other, contact))
        await self._rosters.announce(both[0], invited)
        await self._rosters.announce(both[1], inviter)

    @on(account_deleted)
    async def forget(self, event: AccountEvent) -> None:
        """Invitations end with their inviter."""
        await self.invites.forget_inviter(event.jid)
