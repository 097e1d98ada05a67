"""XEP-0377: Spam Reporting: whoever blocks somebody (XEP-0191) may say why.

Reports are kept for whoever runs the server: those in `admin.jids`, and the xmpp: addresses in `contacts.abuse`, get a message, and two
commands (XEP-0050) list and remove what was kept. We send no report on, to nobody.
"""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass

from codec.element import Element
from codec.jid import JID, InvalidJID
from codec.payloads.data_form import FORM_TYPE, Field, Form, Option, Reported, Row
from codec.stanza import Message
from codec.values import format_datetime
from storage.interface import MapStore
from xmppd.clock import time_of_id
from xmppd.errors import StanzaError
from xmppd.hooks import BlockedEvent, jids_blocked
from xmppd.host import Host
from xmppd.module import Module, on
from xmppd.modules.xep_0050_commands import CommandsModule
from xmppd.modules.xep_0077_register import HourlyLimit
from xmppd.modules.xep_0191_blocking import BlockingModule

NS = "urn:xmpp:reporting:1"
COMMANDS = "urn:xmppd:reports:0"
LIST, REMOVE = f"{COMMANDS}#list", f"{COMMANDS}#remove"
REASONS = {"urn:xmpp:reporting:spam": "spam", "urn:xmpp:reporting:abuse": "abuse"}
BLOCKING_ITEM = "urn:xmpp:blocking item"

MAX_REPORTS = 5_000
"""Kept for a domain, 3 KiB each at most; beyond it the oldest goes."""
MAX_PER_HOUR = 20
"""Reports of one account; the rest is not kept. Blocking works all the same."""
MAX_TEXT_CHARS = 1_000
MAX_IDS = 20
SHOWN = 200
"""Reports in one list."""

COLUMNS = (
    ("when", "When"),
    ("reporter", "By"),
    ("jid", "About"),
    ("reason", "Reason"),
    ("text", "Text"),
    ("ids", "Messages"),
)


@dataclass(frozen=True, slots=True)
class Report:
    """A report; `ids`: archive ids of the messages that it is about."""

    reporter: str
    jid: str
    reason: str
    text: str = ""
    ids: tuple[str, ...] = ()


class ReportsModule(
    Module, xep=377, features=(NS,), requires=(BlockingModule, CommandsModule), stores={"reports": MapStore}
):
    """Keep reports, tell of them, and list them."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._limit = HourlyLimit(MAX_PER_HOUR, host.clock)
        commands = host.module(CommandsModule)
        commands.add(LIST, "List reports of spam and abuse", self._is_admin, self.list)
        commands.add(REMOVE, "Remove reports of spam and abuse", self._is_admin, self.remove)

    def _is_admin(self, jid: JID) -> bool:
        return jid.bare in self.host.config.admin.jids

    # taking

    @on(jids_blocked)
    async def take(self, event: BlockedEvent) -> None:
        """Keep the reports that came with a block (§6); one that is no report does not keep the block from working."""
        found = [report for item in event.request.find_all(BLOCKING_ITEM) for report in _reports(event.account, item)]
        found = [report for report in found if self._limit.take(event.account)]
        if not found:
            return
        kept = await self.stores["reports"].items(self.host.domain)
        put = {f"{self.host.ids.stanza_id():016x}": _encode(report) for report in found}
        gone = sorted(kept)[: max(0, len(kept) + len(put) - MAX_REPORTS)]
        await self.stores["reports"].update(self.host.domain, put, gone)
        for report in found:
            self.host.log.info("reported", reporter=report.reporter, jid=report.jid, reason=report.reason)
            await self._tell(report)

    async def _tell(self, report: Report) -> None:
        text = f"{report.reporter} reports {report.jid} for {report.reason}."
        body = Element("jabber:client body", {}, (f"{text}\n{report.text}" if report.text else text,))
        for jid in self._operators():
            await self.host.send(Message.build(body, to=jid, from_=self.host.domain, type="normal"))

    def _operators(self) -> Collection[JID]:
        found = dict.fromkeys(self.host.config.admin.jids)
        for address in self.host.config.contacts.abuse:
            if address.startswith("xmpp:"):
                try:
                    found[JID.parse(address.removeprefix("xmpp:").partition("?")[0])] = None
                except InvalidJID:
                    self.host.log.warning("contact_is_no_address", address=address)
        return found.keys()

    # reading

    async def _newest(self) -> list[tuple[str, Report]]:
        kept = await self.stores["reports"].items(self.host.domain)
        return [(key, _decode(kept[key])) for key in sorted(kept, reverse=True)[:SHOWN]]

    async def list(self, _asker: JID, _form: Form | None) -> Form:
        """Return the newest reports as a table."""
        return Form(
            type="result",
            title="Reports",
            fields=(Field(var=FORM_TYPE, type="hidden", values=(COMMANDS,)),),
            reported=Reported(fields=tuple(Field(var=var, label=label) for var, label in COLUMNS)),
            items=tuple([Row(fields=_row(key, report)) for key, report in await self._newest()]),
        )

    async def remove(self, asker: JID, form: Form | None) -> Form | str:
        """Remove the reports that are chosen."""
        if form is None:
            options = tuple(
                [Option(label=f"{_when(key)} {one.jid}: {one.reason}", value=key) for key, one in await self._newest()]
            )
            chosen = Field(var="reports", type="list-multi", label="Reports", required=True, options=options)
            return Form(type="form", title="Remove reports", fields=(chosen,))
        keys = set(form.values("reports"))
        if not keys <= set(await self.stores["reports"].items(self.host.domain)):
            raise StanzaError("item-not-found")
        await self.stores["reports"].update(self.host.domain, {}, keys)
        self.host.log.info("reports_removed", admin=str(asker), count=len(keys))
        return f"Removed: {len(keys)}."


def _reports(account: JID, item: Element) -> list[Report]:
    """Return the report in an item of a block; none when there is none, or nobody knows its reason."""
    report = item.find(f"{NS} report")
    reason = "" if report is None else REASONS.get(report.get("reason") or "", "")
    if report is None or not reason:
        return []
    text = "\n".join(found.text.strip() for found in report.find_all(f"{NS} text"))[:MAX_TEXT_CHARS]
    ids = [(found.get("id") or "")[:64] for found in report.find_all("urn:xmpp:sid:0 stanza-id")]
    return [Report(str(account), str(JID.parse(item.get("jid") or "")), reason, text, tuple(ids[:MAX_IDS]))]


def _encode(report: Report) -> bytes:
    return json.dumps(asdict(report), ensure_ascii=False, separators=(",", ":")).encode()


def _decode(data: bytes) -> Report:
    value = json.loads(data)
    return Report(**(value | {"ids": tuple(value["ids"])}))


def _when(key: str) -> str:
    return format_datetime(time_of_id(int(key, 16)).replace(microsecond=0))


def _row(key: str, report: Report) -> tuple[Field, ...]:
    values = {"when": _when(key), "ids": ", ".join(report.ids)}
    return tuple(Field.of(var, values.get(var) or getattr(report, var, "")) for var, _ in COLUMNS)
