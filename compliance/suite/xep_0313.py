"""XEP-0313: Message Archive Management, for an account's own archive."""

from __future__ import annotations

import asyncio
import datetime
import secrets
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from compliance.check import MUST, SHOULD, Failed, checks_of, require, require_equal, require_in
from compliance.client import Client
from compliance.names import PREFIXES, Element, bare, condition, find, find_all, text
from compliance.scene import Scene

check = checks_of("XEP-0313")
NS = PREFIXES["mam"]
EXTENDED = "urn:xmpp:mam:2#extended"


@dataclass(frozen=True, slots=True)
class Page:
    """The answer to one query: the <result/> elements in the order in which they came, and <fin/>."""

    results: list[Element]
    fin: Element

    @property
    def ids(self) -> list[str]:
        """Archive ids of the results."""
        return [result.get("id", "") for result in self.results]

    @property
    def messages(self) -> list[Element]:
        """The archived messages."""
        found = [find(result, "forward:forwarded/c:message") for result in self.results]
        messages = [message for message in found if message is not None]
        if len(messages) < len(found):
            raise Failed("a result holds no message")
        return messages

    @property
    def bodies(self) -> list[str]:
        """Bodies of the archived messages."""
        return [text(message, "c:body") or "" for message in self.messages]

    @property
    def is_complete(self) -> bool:
        """Whether the server says that nothing is left."""
        return self.fin.get("complete") in ("true", "1")


def _query(fields: dict[str, str | list[str]], rsm: str, extra: str, queryid: str) -> str:
    parts = [f"<field var='FORM_TYPE' type='hidden'><value>{NS}</value></field>"]
    for name, given in fields.items():
        values = [given] if isinstance(given, str) else given
        parts.append(f"<field var='{name}'>{''.join(f'<value>{escape(v)}</value>' for v in values)}</field>")
    form = f"<x xmlns='jabber:x:data' type='submit'>{''.join(parts)}</x>"
    page = f"<set xmlns='http://jabber.org/protocol/rsm'>{rsm}</set>" if rsm else ""
    return f"<query xmlns='{NS}' queryid='{queryid}'>{form}{page}{extra}</query>"


async def ask_archive(
    client: Client, fields: dict[str, str | list[str]], *, rsm: str = "", extra: str = "", to: str | None = None
) -> Page | Element:
    """Query an archive; return the page, or the error stanza when the query was refused.

    Args:
        client: who asks.
        fields: fields of the form, such as {"with": "juliet@example.org"}.
        rsm: what stands inside RSM's <set/>; "" for no <set/>.
        extra: further children of the query.
        to: the archive's address; None for the asking account.
    """
    queryid = secrets.token_hex(5)
    reply = await client.iq("set", _query(fields, rsm, extra, queryid), to=to)
    if reply.get("type") == "error":
        return reply
    fin = find(reply, "mam:fin")
    if fin is None:
        raise Failed("the result has no <fin/>")
    return Page(_results(client, queryid), fin)


def _results(client: Client, queryid: str) -> list[Element]:
    """Take a query's results, which came before its answer, out of the inbox."""
    messages = client.unread("c:message/mam:result", where=lambda el: _queryid(el) == queryid)
    for message in messages:
        client.inbox.remove(message)
    found = (find(message, "mam:result") for message in messages)
    return [result for result in found if result is not None]


def _queryid(message: Element) -> str | None:
    result = find(message, "mam:result")
    return None if result is None else result.get("queryid")


async def page_of(client: Client, fields: dict[str, str | list[str]], *, rsm: str = "", extra: str = "") -> Page:
    """Query the own archive; a refusal fails the check (see `ask_archive` for the arguments)."""
    page = await ask_archive(client, fields, rsm=rsm, extra=extra)
    if not isinstance(page, Page):
        raise Failed(f"the query was refused with {condition(page)}")
    return page


async def converse(scene: Scene, count: int = 6) -> tuple[Client, Client, list[str], dict[str, str | list[str]]]:
    """Have romeo and juliet exchange messages, in turn.

    Returns:
        romeo, juliet, the bodies in order, and the fields by which romeo's archive gives just these: both
        parties and the time at which this began.
    """
    scene.needs(NS)
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    start = await _after_the_past(romeo, juliet)
    bodies = [f"{i} {secrets.token_hex(6)}" for i in range(count)]
    for i, body in enumerate(bodies):
        sender, other = (romeo, juliet) if i % 2 == 0 else (juliet, romeo)
        await sender.send(
            f"<message to={quoteattr(other.jid)} type='chat' id='{body[2:]}'><body>{body}</body></message>"
        )
        await other.expect("c:message", id=body[2:])
    await romeo.roundtrip()
    await _until_archived(romeo, {"with": juliet.bare, "start": start}, count)
    return romeo, juliet, bodies, {"with": juliet.bare, "start": start}


async def _after_the_past(romeo: Client, juliet: Client) -> str:
    """Return a time that is later than every message in romeo's archive with juliet, and no later than now.

    Where the archive keeps whole seconds, that may mean to wait for the next one.
    """
    page = await page_of(romeo, {"with": juliet.bare}, rsm="<max>1</max><before/>")
    if not page.results:
        return await _now(romeo)
    stamp = text_of_stamp(page.results[0])
    last = datetime.datetime.fromisoformat(stamp)
    digits = min(len(stamp.partition(".")[2].rstrip("Z")), 6)
    if digits:
        later = last + datetime.timedelta(microseconds=10 ** (6 - digits))
        return later.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    apart_s = (datetime.datetime.fromisoformat(await _now(romeo)) - last).total_seconds()
    if apart_s < 1:
        await asyncio.sleep(1.05 - max(apart_s, 0))
    return await _now(romeo)


def text_of_stamp(result: Element) -> str:
    """Return when the archived message was sent, as the archive says it."""
    delay = find(result, "forward:forwarded/delay:delay")
    if delay is None or not delay.get("stamp"):
        raise Failed("an archived message has no <delay/> with a stamp")
    return delay.get("stamp", "")


async def _now(client: Client) -> str:
    """Return the server's time in whole seconds, or ours when it does not tell."""
    reply = await client.iq("get", "<time xmlns='urn:xmpp:time'/>", to=client.target.domain)
    told = text(reply, "time:time/time:utc")
    now = datetime.datetime.fromisoformat(told) if told else datetime.datetime.now(datetime.UTC)
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


async def _until_archived(client: Client, fields: dict[str, str | list[str]], count: int) -> None:
    """Wait until the archive has them all: storing may lag behind delivery. Fail the check when it never does."""
    deadline = asyncio.get_running_loop().time() + client.target.timeout_s
    while len(found := (await page_of(client, fields)).results) < count:
        if asyncio.get_running_loop().time() > deadline:
            raise Failed(f"{count} messages were exchanged, and the archive has {len(found)} of them")
        await asyncio.sleep(0.1)


# -- what is in the archive


@check("7", MUST, "The account's own address offers the archive and its extended queries.")
async def archive_is_offered_on_the_account(scene: Scene) -> None:
    scene.needs(NS)
    require(NS in scene.profile.account, f"the account does not list {NS}")
    require(EXTENDED in scene.profile.account, f"the account does not list {EXTENDED}")


@check("4.2", MUST, "Messages sent and received are returned in order, with ids, stamps, from, to and body.")
async def conversation_is_returned_in_order(scene: Scene) -> None:
    romeo, juliet, bodies, fields = await converse(scene)
    page = await page_of(romeo, fields)
    require_equal(page.bodies, bodies, "the bodies")
    require(all(page.ids) and len(set(page.ids)) == len(bodies), f"the archive's ids are {page.ids}")
    first, second = page.messages[:2]
    require_equal((first.get("from"), first.get("to")), (romeo.jid, juliet.jid), "from and to of the sent message")
    require_equal((second.get("from"), second.get("to")), (juliet.jid, romeo.jid), "from and to of the received one")
    stamps = [text_of_stamp(result) for result in page.results]
    require_equal(stamps, sorted(stamps), "the stamps")


@check("3", MUST, "Ids in the archive cannot be guessed: they are more than a number that grows.")
async def ids_are_unpredictable(scene: Scene) -> None:
    romeo, _, _, fields = await converse(scene, 10)
    ids = (await page_of(romeo, fields)).ids
    for base in (10, 16):
        try:
            numbers = [int(id_, base) for id_ in ids]
        except ValueError:
            continue
        require(numbers != sorted(numbers), f"ten ids in a row are numbers that only grow, such as {ids[:3]}")


@check("6.1.1", MUST, "A message is in the archive once, however many resources got it.")
async def message_is_archived_once(scene: Scene) -> None:
    romeo, juliet, bodies, fields = await converse(scene, 1)
    await scene.online("juliet", label="juliet 2")
    body = secrets.token_hex(8)
    await romeo.send(f"<message to={quoteattr(juliet.bare)} type='chat' id='{body}'><body>{body}</body></message>")
    await romeo.roundtrip()
    await _until_archived(romeo, fields, 2)
    require_equal((await page_of(romeo, fields)).bodies, [*bodies, body], "the bodies in romeo's archive")
    other = {"with": romeo.bare, "start": fields["start"]}
    require_equal((await page_of(juliet, other)).bodies, [*bodies, body], "the bodies in juliet's archive")


@check("3.5", MUST, "A received message names its id in the archive, under the account's address.")
async def stanza_id_is_the_archives_id(scene: Scene) -> None:
    romeo, juliet, _, fields = await converse(scene, 1)
    await juliet.send(f"<message to={quoteattr(romeo.jid)} type='chat' id='sid'><body>sid</body></message>")
    message = await romeo.expect("c:message", id="sid")
    ids = [el.get("id") for el in find_all(message, "sid:stanza-id") if el.get("by") == romeo.bare]
    require_equal(len(ids), 1, "the number of stanza-ids by the account")
    await _until_archived(romeo, fields, 2)
    require_equal((await page_of(romeo, fields)).ids[-1], ids[0], "the archive's id")


@check("3.5", MUST, "The id under which a message is in the sender's archive is not shown to the recipient.")
async def senders_archive_id_is_not_shown(scene: Scene) -> None:
    romeo, juliet, _, _ = await converse(scene, 1)
    await juliet.send(f"<message to={quoteattr(romeo.jid)} type='chat' id='own'><body>own</body></message>")
    message = await romeo.expect("c:message", id="own")
    shown = [el.get("by") for el in find_all(message, "sid:stanza-id") if el.get("by") != romeo.bare]
    require_equal(shown, [], "who else gave the message a stanza-id")


@check("4.1.1", MUST, "Only messages with the given JID are returned, whichever resource they were of.")
async def with_selects_a_contact(scene: Scene) -> None:
    romeo, _, bodies, fields = await converse(scene, 2)
    mercutio = await scene.online("mercutio")
    await mercutio.send(f"<message to={quoteattr(romeo.jid)} type='chat' id='m'><body>from mercutio</body></message>")
    await romeo.expect("c:message", id="m")
    require_equal((await page_of(romeo, fields)).bodies, bodies, "the bodies with juliet")
    everything = await page_of(romeo, {"start": fields["start"]})
    require("from mercutio" in everything.bodies, "without a JID, mercutio's message is missing")


@check("4.1.1", MUST, "A full JID selects the messages of that resource alone.")
async def with_a_full_jid_selects_a_resource(scene: Scene) -> None:
    romeo, juliet, bodies, fields = await converse(scene, 2)
    other = await scene.online("juliet", label="juliet 2")
    await other.send(f"<message to={quoteattr(romeo.jid)} type='chat' id='o'><body>other resource</body></message>")
    await romeo.expect("c:message", id="o")
    await _until_archived(romeo, fields, 3)
    page = await page_of(romeo, {**fields, "with": juliet.jid})
    require_equal(page.bodies, bodies, "the bodies with that resource")


@check("4.1.2", MUST, "Start and end limit the messages by time, both ends included.")
async def start_and_end_limit_by_time(scene: Scene) -> None:
    romeo, juliet, bodies, fields = await converse(scene, 4)
    stamps = [text_of_stamp(result) for result in (await page_of(romeo, fields)).results]
    page = await page_of(romeo, {"with": juliet.bare, "start": stamps[0], "end": stamps[-1]})
    require_equal(page.bodies, bodies, "the bodies from the first stamp to the last")
    past = await page_of(romeo, {"with": juliet.bare, "end": "2001-01-01T00:00:00Z"})
    require_equal(past.bodies, [], "the bodies before the year 2001")
    future = await page_of(romeo, {"with": juliet.bare, "start": "2199-01-01T00:00:00Z"})
    require_equal(future.bodies, [], "the bodies after the year 2199")
    require(past.is_complete and future.is_complete, "an empty answer is not complete")


@check("4.2", MUST, "The queryid of the query stands on each of its results, and <fin/> comes after them.")
async def results_carry_the_queryid(scene: Scene) -> None:
    romeo, _, bodies, fields = await converse(scene, 2)
    page = await page_of(romeo, fields)  # it takes only results that carry the queryid and came before <fin/>
    require_equal(page.bodies, bodies, "the bodies of the results that came with the queryid and before <fin/>")
    await romeo.roundtrip()
    romeo.refuse("c:message/mam:result", why="results came after <fin/>, or without the queryid")


@check("3.3.1", MUST, "Nobody reads another's archive.")
async def others_archives_are_closed(scene: Scene) -> None:
    romeo, juliet, _, _ = await converse(scene, 1)
    answer = await ask_archive(romeo, {}, to=juliet.bare)
    require(not isinstance(answer, Page), "juliet's archive was opened to romeo")
    assert not isinstance(answer, Page)
    require_in(
        condition(answer), ("forbidden", "service-unavailable", "not-allowed", "item-not-found"), "the condition"
    )


@check("4.1.5", MUST, "The form of the archive's fields can be asked for: with, start and end, none of them required.")
async def form_lists_the_fields(scene: Scene) -> None:
    scene.needs(NS)
    romeo = await scene.login("romeo")
    reply = await romeo.ask("get", f"<query xmlns='{NS}'/>")
    fields = {field.get("var", ""): field for field in find_all(reply, "mam:query/data:x/data:field")}
    types = {name: fields[name].get("type") for name in ("with", "start", "end") if name in fields}
    require_equal(
        types, {"with": "jid-single", "start": "text-single", "end": "text-single"}, "the types of the fields"
    )
    require(not any(find(field, "data:required") is not None for field in fields.values()), "a field is required")
    if EXTENDED in scene.profile.account:
        missing = {"before-id", "after-id", "ids"} - set(fields)
        require(not missing, f"the extended archive's form lacks {sorted(missing)}")


@check("4.1.5", MUST, "A field that the server does not know is refused with feature-not-implemented.")
async def unknown_field_is_refused(scene: Scene) -> None:
    scene.needs(NS)
    romeo = await scene.login("romeo")
    answer = await ask_archive(romeo, {"{urn:example:unheard-of}field": "x"})
    require(not isinstance(answer, Page), "the query was answered as if the field were not there")
    assert not isinstance(answer, Page)
    require_equal(condition(answer), "feature-not-implemented", "the condition")


@check("6.1.1", SHOULD, "Messages of type normal with a body are archived; headlines need not be.")
async def normal_messages_are_archived(scene: Scene) -> None:
    romeo, juliet, _, fields = await converse(scene, 1)
    await juliet.send(f"<message to={quoteattr(romeo.jid)} id='normal'><body>normal</body></message>")
    await romeo.expect("c:message", id="normal")
    await _until_archived(romeo, fields, 2)
    require_equal((await page_of(romeo, fields)).bodies[-1], "normal", "the last body in the archive")


@check("6.1.1", SHOULD, "The message is kept whole, with the extensions that were in it.")
async def extensions_are_archived(scene: Scene) -> None:
    romeo, juliet, _, fields = await converse(scene, 1)
    extra = "<thread>7ad1</thread><x xmlns='urn:example:unheard-of'><y/></x><request xmlns='urn:xmpp:receipts'/>"
    to = quoteattr(romeo.jid)
    await juliet.send(f"<message to={to} type='chat' id='whole'><body>whole</body>{extra}</message>")
    await romeo.expect("c:message", id="whole")
    await _until_archived(romeo, fields, 2)
    message = (await page_of(romeo, fields)).messages[-1]
    require_equal((message.get("id"), message.get("type")), ("whole", "chat"), "id and type")
    require_equal(text(message, "c:thread"), "7ad1", "the thread")
    require(message.find("{urn:example:unheard-of}x/{urn:example:unheard-of}y") is not None, "an extension is gone")
    require(message.find("{urn:xmpp:receipts}request") is not None, "the request for a receipt is gone")


@check("6.1.1", SHOULD, "Messages that waited for one who was away are in the archive too.")
async def offline_messages_are_archived(scene: Scene) -> None:
    romeo, juliet, bodies, fields = await converse(scene, 1)
    await juliet.close()
    body = secrets.token_hex(8)
    await romeo.send(f"<message to={quoteattr(juliet.bare)} type='chat' id='{body}'><body>{body}</body></message>")
    await romeo.roundtrip()
    later = await scene.login("juliet", label="juliet later")
    own = {"with": romeo.bare, "start": fields["start"]}
    await _until_archived(later, own, 2)
    require_equal((await page_of(later, own)).bodies, [*bodies, body], "the bodies in juliet's archive")


@check("4.1.1", MUST, "Asked for messages with oneself, the archive gives those one sent to oneself, and no others.")
async def with_oneself_is_not_everything(scene: Scene) -> None:
    romeo, _, _, fields = await converse(scene, 2)
    await romeo.send(f"<message to={quoteattr(romeo.bare)} type='chat' id='self'><body>to myself</body></message>")
    await romeo.expect("c:message", id="self")
    own = {"with": romeo.bare, "start": fields["start"]}
    await _until_archived(romeo, own, 1)
    page = await page_of(romeo, own)
    require(set(page.bodies) == {"to myself"}, f"the bodies are {page.bodies}")
    require(all(bare(message.get("to")) == romeo.bare for message in page.messages), "a message was to another")
