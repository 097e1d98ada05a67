"""XEP-0133: Service Administration: the commands of those whose JIDs stand in `admin.jids`.

The forms that they fill in are in `xep_0133_forms.py`.
"""

from codec.element import Element
from codec.jid import JID
from codec.payload import PayloadError
from codec.payloads.data_form import Form
from codec.stanza import Message
from xmppd import accounts
from xmppd.errors import StanzaError
from xmppd.host import Host
from xmppd.module import Module
from xmppd.modules import xep_0133_forms as forms
from xmppd.modules.xep_0050_commands import CommandsModule

NS = forms.NS
PAGE = 500

MAX_ITEMS = 2_000
"""JIDs in one answer where the administrator asks for all of them: what fits into a stanza."""


class AdminModule(Module, xep=133, requires=(CommandsModule,)):
    """Manage the accounts and sessions of this host."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        commands = host.module(CommandsModule)
        for name, title, run in (
            ("add-user", "Add User", self.add_user),
            ("delete-user", "Delete User", self.delete_user),
            ("disable-user", "Disable User", self.disable_user),
            ("reenable-user", "Re-Enable User", self.reenable_user),
            ("end-user-session", "End User Session", self.end_user_session),
            ("change-user-password", "Change User Password", self.change_user_password),
            ("user-stats", "Get User Statistics", self.user_stats),
            ("get-registered-users-num", "Get Number of Registered Users", self.count_registered),
            ("get-online-users-num", "Get Number of Online Users", self.count_online),
            ("get-registered-users-list", "Get List of Registered Users", self.list_registered),
            ("get-online-users-list", "Get List of Online Users", self.list_online),
            ("announce", "Send Announcement to Online Users", self.announce),
        ):
            commands.add(f"{NS}#{name}", title, self.is_admin, run)

    def is_admin(self, jid: JID) -> bool:
        """Whether somebody may use these commands."""
        return jid.bare in self.host.config.admin.jids

    # accounts

    async def add_user(self, asker: JID, form: Form | None) -> Form | str:
        """Make an account (§4.1)."""
        if form is None:
            return forms.ADD_USER
        jid = self._account(form.value("accountjid") or "")
        password = form.value("password") or ""
        if password != form.value("password-verify"):
            raise StanzaError("not-acceptable", text="The two passwords differ.")
        await accounts.create(self.host, jid, password)
        self._log("add-user", asker, jid)
        return f"{jid} was added."

    async def delete_user(self, asker: JID, form: Form | None) -> Form | str:
        """Remove accounts and all that is kept for them (§4.2)."""
        if form is None:
            return forms.DELETE_USER
        jids = await self._accounts(form)
        for jid in jids:
            await accounts.set_disabled(self.host, jid, True)
            await accounts.remove(self.host, jid)
            self._log("delete-user", asker, jid)
        return f"Removed: {', '.join(jids)}."

    async def disable_user(self, asker: JID, form: Form | None) -> Form | str:
        """Let nobody log in to accounts until they are enabled again; their sessions end (§4.3)."""
        if form is None:
            return forms.DISABLE_USER
        jids = await self._accounts(form)
        for jid in jids:
            await accounts.set_disabled(self.host, jid, True)
            await accounts.end_sessions(self.host, jid, "not-authorized")
            self._log("disable-user", asker, jid)
        return f"Disabled: {', '.join(jids)}."

    async def reenable_user(self, asker: JID, form: Form | None) -> Form | str:
        """Let accounts log in again (§4.4)."""
        if form is None:
            return forms.REENABLE_USER
        jids = await self._accounts(form)
        for jid in jids:
            await accounts.set_disabled(self.host, jid, False)
            self._log("reenable-user", asker, jid)
        return f"Enabled: {', '.join(jids)}."

    async def change_user_password(self, asker: JID, form: Form | None) -> Form | str:
        """Give an account another password (§4.7); whoever was in with the old one is out."""
        if form is None:
            return forms.CHANGE_USER_PASSWORD
        jid = self._account(form.value("accountjid") or "")
        await accounts.set_password(self.host, jid, form.value("password") or "")
        await accounts.end_sessions(self.host, jid, "not-authorized")
        self._log("change-user-password", asker, jid)
        return f"{jid} has another password."

    # sessions

    async def end_user_session(self, asker: JID, form: Form | None) -> Form | str:
        """End the sessions of full JIDs, or all of accounts (§4.5)."""
        if form is None:
            return forms.END_USER_SESSION
        ended = 0
        for jid in _jids(form):
            self._account(jid.bare)
            ended += await accounts.end_sessions(self.host, jid, "policy-violation")
            self._log("end-user-session", asker, jid)
        return f"Sessions ended: {ended}."

    async def user_stats(self, _asker: JID, form: Form | None) -> Form:
        """Tell from where and with which resources an account is connected (§4.10)."""
        if form is None:
            return forms.USER_STATS
        jid = self._account(form.value("accountjid") or "")
        await self._check_exists(jid)
        account = self.host.accounts.get(jid)
        resources = [] if account is None else list(account.resources.values())
        addresses = {resource.stream.address for resource in resources if resource.stream is not None}
        return Form.result(
            NS,
            {
                "ipaddresses": sorted(addresses - {""}),
                "onlineresources": sorted(resource.jid.resourcepart for resource in resources),
            },
        )

    async def announce(self, asker: JID, form: Form | None) -> Form | str:
        """Send a headline to every available resource (§4.23)."""
        if form is None:
            return forms.ANNOUNCE
        body = Element("jabber:client body", {}, (form.text("announcement") or "",))
        found = [resource for resource in self.host.sessions() if resource.is_available]
        for resource in found:
            resource.send(Message.build(body, to=resource.jid, from_=self.host.domain, type="headline"))
        self._log("announce", asker, self.host.domain)
        return f"Clients reached: {len(found)}."

    # numbers and lists

    async def count_registered(self, _asker: JID, _form: Form | None) -> Form:
        """Count accounts (§4.13)."""
        return Form.result(NS, {"registeredusersnum": await self.host.account_store.count(self.host.domain)})

    async def count_online(self, _asker: JID, _form: Form | None) -> Form:
        """Count accounts with an available resource (§4.15)."""
        return Form.result(NS, {"onlineusersnum": len(self._online())})

    async def list_registered(self, _asker: JID, form: Form | None) -> Form:
        """List accounts, in order of their text (§4.18)."""
        if form is None:
            return forms.LIST_REGISTERED
        most = _max_items(form)
        jids: list[str] = []
        while page := await self.host.account_store.list(
            self.host.domain, jids[-1] if jids else "", min(PAGE, most - len(jids))
        ):
            jids += page
            if len(jids) >= most:
                break
        return Form.result(NS, {"registereduserjids": jids})

    async def list_online(self, _asker: JID, form: Form | None) -> Form:
        """List accounts with an available resource (§4.20)."""
        if form is None:
            return forms.LIST_ONLINE
        return Form.result(NS, {"onlineuserjids": self._online()[: _max_items(form)]})

    def _online(self) -> list[JID]:
        return sorted(account.jid for account in self.host.accounts.values() if account.available())

    # what is filled in

    def _account(self, text: str) -> JID:
        """Return the bare JID of an account that this host may have."""
        try:
            jid = JID.parse(text)
        except ValueError as error:
            raise StanzaError("not-acceptable", text=f"{text}: {error}.") from error
        if not jid.localpart or jid.resourcepart or jid.domainpart != self.host.domain:
            raise StanzaError("not-acceptable", text=f"{text} is no account of {self.host.domain}.")
        return jid

    async def _accounts(self, form: Form) -> list[JID]:
        """Return the accounts of the field "accountjids", all of which exist."""
        jids = [self._account(jid) for jid in _jids(form)]
        for jid in jids:
            await self._check_exists(jid)
        return jids

    async def _check_exists(self, jid: JID) -> None:
        if await self.host.account_store.get(jid) is None:
            raise StanzaError("item-not-found", text=f"There is no account {jid}.")

    def _log(self, command: str, asker: JID, jid: JID) -> None:
        self.host.log.info("admin_command", command=command, admin=str(asker), jid=str(jid))


def _jids(form: Form) -> list[JID]:
    """Return the JIDs of the field "accountjids", each once."""
    try:
        return list(dict.fromkeys(form.jids("accountjids")))
    except PayloadError as error:
        raise StanzaError("not-acceptable", text=str(error)) from error


def _max_items(form: Form) -> int:
    wanted = form.value("max_items")
    if wanted is None or wanted == "none":
        return MAX_ITEMS
    return form.integer("max_items", 1, MAX_ITEMS) or MAX_ITEMS
