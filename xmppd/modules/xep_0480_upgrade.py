"""XEP-0480: SASL Upgrade Tasks.

An account whose keys are for one hash only (it was imported, or is older than the others) gets those for another while its owner
logs in by XEP-0388: we cannot make them, for we do not have the password, but the client can.

    <continue/> UPGR-SCRAM-SHA-256 --> <next/> --> salt and count <--> SaltedPassword --> <success/>

What the client sends can open the account later on, and nothing shows that it was made from the same password. So it is taken only from
whoever has just proven to know the password, not from one with a token (XEP-0484), and keys that are there are never written over.
"""

import binascii

from codec.element import Element
from codec.jid import JID
from storage.interface import AccountRecord, StorageError
from xmppd import accounts
from xmppd.errors import SaslError, StanzaError
from xmppd.hooks import InlineEvent, TasksEvent, sasl2_inline, sasl2_tasks
from xmppd.host import Host
from xmppd.module import Module, on
from xmppd.sasl.keys import HASHES, keys_of_salted
from xmppd.sasl.mechanism import Task

NS = "urn:xmpp:sasl:upgrade:0"
SCRAM_NS = "urn:xmpp:scram-upgrade:0"
PREFIX = "UPGR-SCRAM-"


class UpgradeModule(Module, xep=480):
    """Ask clients that can for the keys that their account lacks."""

    @on(sasl2_inline)
    def offer(self, event: InlineEvent) -> None:
        """Say which upgrades there are (§2.1), the same to everybody: nobody learns what an account has."""
        event.beside.extend(Element(f"{NS} upgrade", {}, (PREFIX + name,)) for name in HASHES)

    @on(sasl2_tasks)
    async def ask(self, event: TasksEvent) -> None:
        """Ask for those that the client offers and the account lacks (§2.2)."""
        wanted = {element.text.strip() for element in event.request.find_all(f"{NS} upgrade")}
        names = [name for name in HASHES if PREFIX + name in wanted]
        if not names or event.mechanism not in event.stream.login.offer.names:
            return
        try:
            record = await self.host.account_store.get(event.jid)
        except StorageError as error:
            self.host.log.warning("account_not_read", jid=str(event.jid), reason=str(error))
            return
        if record is not None:
            lacking = [name for name in names if name not in record.keys]
            event.tasks.extend(ScramUpgrade(self.host, event.jid, record, name) for name in lacking)


class ScramUpgrade(Task):
    """Gets one account's keys for one hash (§3).

    Args:
        record: the account as it is when the client proves itself.
    """

    __slots__ = ("_basis", "_hash_name", "_host", "_iterations", "_jid", "_salt")

    def __init__(self, host: Host, jid: JID, record: AccountRecord, hash_name: str) -> None:
        super().__init__(PREFIX + hash_name)
        self._host, self._jid, self._basis, self._hash_name = host, jid, record, hash_name
        self._salt = host.ids.token().encode()  # 96 random bits
        self._iterations = host.config.scram.iterations

    async def step(self, data: Element | None) -> Element | None:
        """Give salt and count; then take what the client has made of them, and keep it.

        Raises:
            SaslError: malformed-request, incorrect-encoding; temporary-auth-failure: it could not be kept.
        """
        if data is None:
            salt = binascii.b2a_base64(self._salt, newline=False).decode()
            return Element(f"{SCRAM_NS} salt", {"iterations": str(self._iterations)}, (salt,))
        given = data.find(f"{SCRAM_NS} hash")
        if given is None:
            raise SaslError("malformed-request", "There is no <hash/>.")
        try:
            salted = binascii.a2b_base64(given.text.strip(), strict_mode=True)
        except ValueError as error:
            raise SaslError("incorrect-encoding") from error
        try:
            keys = keys_of_salted(salted, self._hash_name, self._salt, self._iterations)
        except ValueError as error:
            raise SaslError("malformed-request", str(error)) from error
        try:
            await accounts.add_keys(self._host, self._jid, self._basis, self._hash_name, keys)
        except (StanzaError, StorageError) as error:
            self._host.log.warning("keys_not_added", jid=str(self._jid), reason=str(error))
            raise SaslError("temporary-auth-failure") from error
        return None
