"""XEP-0050: Ad-Hoc Commands of the domain.

Other modules require this one and `add` their commands. A command is a coroutine function `run(asker, form)`: it is called with
form None when it is started, and with the submitted form after each form that it has asked for. It returns

    a form to fill in    `Form(type="form")`: the command goes on when that is submitted
    a form of results    the command is complete
    a text, or None      the command is complete; the text is a note for people

and raises StanzaError when it cannot be done. A form that lacks a required field does not get to it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from codec.element import Element
from codec.jid import JID
from codec.payload import Payload, PayloadError, attr, child, children, flag, text
from codec.payloads.data_form import NS as DATA_FORM_NS
from codec.payloads.data_form import Form
from codec.payloads.disco import Identity, Item
from codec.stanza import IQ
from codec.values import one_of
from xmppd.errors import StanzaError
from xmppd.hooks import DiscoEvent, DiscoItemsEvent, disco_info, disco_items
from xmppd.host import Host
from xmppd.module import Module, Target, iq_set, on

NS = "http://jabber.org/protocol/commands"

SESSION_S = 600.0
"""How long a form may lie before it is submitted."""

MAX_SESSIONS = 1_000
MAX_SESSIONS_PER_ASKER = 20
"""Forms that lie open at once; beyond that the oldest, of that asker or of all, is forgotten."""

GO_ON = frozenset(("execute", "next", "complete"))

Run = Callable[[JID, Form | None], Awaitable[Form | str | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Payload, tag=(NS, "note")):
    """A text for people; type: info, warn or error."""

    type: str = attr(default="info")
    text: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions(Payload, tag=(NS, "actions")):
    """What may be done next, and which of these "execute" means."""

    execute: str | None = attr()
    prev: bool = flag()
    next: bool = flag()
    complete: bool = flag()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Payload, tag=(NS, "command")):
    """A step of a command (§4.1): `action` is what the asker wants, `status` what we say."""

    node: str = attr(required=True)
    sessionid: str | None = attr()
    status: str | None = attr(format=one_of("executing", "completed", "canceled"))
    action: str | None = attr()
    actions: Actions | None = child(Actions)
    notes: tuple[Note, ...] = children(Note)
    form: Form | None = child(Form)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A command as it was added."""

    node: str
    name: str
    may_run: Callable[[JID], bool]
    run: Run


@dataclass(frozen=True, slots=True)
class _Session:
    """A form that lies open; `expires_at_s` by the monotonic clock."""

    asker: JID
    node: str
    form: Form
    expires_at_s: float


class CommandsModule(Module, xep=50, features=(NS,)):
    """List commands, run them, keep their sessions."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._commands: dict[str, _Entry] = {}
        self._sessions: dict[str, _Session] = {}

    def add(self, node: str, name: str, may_run: Callable[[JID], bool], run: Run) -> None:
        """Add a command.

        Args:
            node: names it; unique.
            name: for people.
            may_run: whether a full JID may see and run it.
            run: see the head of this file.
        """
        if node in self._commands:
            raise ValueError(f"two commands are called {node}")
        self._commands[node] = _Entry(node, name, may_run, run)

    # what there is

    @on(disco_info)
    def describe(self, event: DiscoEvent) -> None:
        """Describe the list of commands, and each of them to who may run it (§2.2)."""
        if event.account is not None:
            return
        if event.node == NS:
            event.identities.append(Identity(category="automation", type="command-list", name="Commands"))
            event.features.append(NS)
        elif event.node in self._commands:
            entry = self._commands[event.node]
            if event.asker is None or not entry.may_run(event.asker):
                event.error = "forbidden"
                return
            event.identities.append(Identity(category="automation", type="command-node", name=entry.name))
            event.features += [NS, DATA_FORM_NS]

    @on(disco_items)
    def list(self, event: DiscoItemsEvent) -> None:
        """List the commands that the asker may run (§2.2)."""
        asker = event.asker
        if event.account is not None or event.node != NS or asker is None:
            return
        event.is_known = True
        event.items.extend(
            Item(jid=self.host.domain, node=entry.node, name=entry.name)
            for entry in self._commands.values()
            if entry.may_run(asker)
        )

    # running

    @iq_set(Command, to=(Target.DOMAIN,))
    async def execute(self, iq: IQ) -> Command:
        """Start a command, or go on with one (§2.4)."""
        request, asker = iq.payload, iq.from_
        assert isinstance(request, Command) and asker is not None
        entry = self._commands.get(request.node)
        if entry is None:
            raise StanzaError("item-not-found")
        if not entry.may_run(asker):
            raise StanzaError("forbidden")
        action = request.action or "execute"
        if action not in (*GO_ON, "cancel", "prev"):
            raise _bad("malformed-action")
        if request.sessionid is None:
            if action != "execute":
                raise _bad("bad-action")
            return self._answer(entry, asker, self.host.ids.token(), await entry.run(asker, None))
        session = self._find(request.sessionid, asker, entry)
        if action == "cancel":
            del self._sessions[request.sessionid]
            return Command(node=entry.node, sessionid=request.sessionid, status="canceled")
        if action not in GO_ON:
            raise _bad("bad-action")
        form = _submitted(request.form, session.form)
        # Not twice at once; when it cannot be done, the asker may correct the form and submit it again.
        del self._sessions[request.sessionid]
        try:
            result = await entry.run(asker, form)
        except (StanzaError, PayloadError):
            self._sessions[request.sessionid] = session
            raise
        return self._answer(entry, asker, request.sessionid, result)

    def _answer(self, entry: _Entry, asker: JID, id_: str, result: Form | str | None) -> Command:
        if isinstance(result, Form) and result.type == "form":
            self._keep(id_, _Session(asker, entry.node, result, self.host.clock.monotonic() + SESSION_S))
            actions = Actions(execute="complete", complete=True)
            return Command(node=entry.node, sessionid=id_, status="executing", actions=actions, form=result)
        form = result if isinstance(result, Form) else None
        notes = (Note(text=result),) if isinstance(result, str) else ()
        return Command(node=entry.node, sessionid=id_, status="completed", notes=notes, form=form)

    def _find(self, id_: str, asker: JID, entry: _Entry) -> _Session:
        session = self._sessions.get(id_)
        if session is None or session.asker != asker or session.node != entry.node:
            raise _bad("bad-sessionid")
        if session.expires_at_s <= self.host.clock.monotonic():
            del self._sessions[id_]
            raise StanzaError("not-allowed", app=Element(f"{NS} session-expired"))
        return session

    def _keep(self, id_: str, session: _Session) -> None:
        """Remember an open form; those that are too old or too many go."""
        now = self.host.clock.monotonic()
        self._sessions = {key: open_ for key, open_ in self._sessions.items() if open_.expires_at_s > now}
        bare = session.asker.bare
        own = [key for key, open_ in self._sessions.items() if open_.asker.bare == bare]
        if len(own) >= MAX_SESSIONS_PER_ASKER:
            del self._sessions[own[0]]
        elif len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[id_] = session


def _submitted(form: Form | None, asked: Form) -> Form:
    """Return the form that was filled in, if nothing required is missing; "cancel" counts as "submit" (§3.5.1)."""
    if form is None or form.type not in ("submit", "cancel"):
        raise _bad("bad-payload")
    for field in asked.fields:
        if field.required and field.var is not None and not any(form.values(field.var)):
            raise _bad("bad-payload", f"{field.label or field.var} is missing.")
    return form


def _bad(condition: str, text: str | None = None) -> StanzaError:
    return StanzaError("bad-request", text=text, app=Element(f"{NS} {condition}"))
