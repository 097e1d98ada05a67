"""The query of XEP-0313: from its form and RSM to what storage is asked, and from a page to the answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from codec.archived import archived_xml
from codec.element import Element, escape_value
from codec.payload import Payload, attr, child, flag
from codec.payloads.data_form import Field, Form
from codec.payloads.forwarded import forwarded_xml
from codec.payloads.rsm import First, Set
from codec.values import format_datetime, parse_datetime
from storage.interface import ArchivedMessage, ArchivePage, ArchiveQuery
from xmppd.clock import ID_SHIFT_BITS, id_of_time, time_of_id
from xmppd.errors import StanzaError
from xmppd.opaque_ids import OpaqueIds

NS = "urn:xmpp:mam:2"
RESULT = f"{NS} result"
DEFAULT_PAGE = 50
"""Messages on a page when the client does not say."""

MAX_IDS = 500
"""Ids in one query; each is a look-up of its own."""

FIELDS = {
    "with": "jid-single",
    "start": "text-single",
    "end": "text-single",
    "before-id": "text-single",
    "after-id": "text-single",
    "ids": "list-multi",
    "include-groupchat": "boolean",
}
"""What a query may ask for, and each field's type."""

VALIDATE_NS = "http://jabber.org/protocol/xdata-validate"
OPEN_IDS = Element(f"{VALIDATE_NS} validate", {"datatype": "xs:string"}, (Element(f"{VALIDATE_NS} open"),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Query(Payload, tag=(NS, "query")):
    """<query/> (§4.1); `node` is for pubsub archives and refused elsewhere."""

    queryid: str | None = attr()
    node: str | None = attr()
    form: Form | None = child(Form)
    rsm: Set | None = child(Set)
    is_flipped: bool = flag("flip-page")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fin(Payload, tag=(NS, "fin")):
    """<fin/> (§4.2): whether nothing more is there in the direction read, and which page it was."""

    complete: str | None = attr()
    rsm: Set = child(Set)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataRequest(Payload, tag=(NS, "metadata")):
    """An empty <metadata/>."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Payload, tag=(NS, "start")):
    """The first message of a history."""

    id: str = attr(required=True)
    timestamp: datetime = attr(parse=parse_datetime, format=format_datetime, required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class End(Payload, tag=(NS, "end")):
    """The last message of a history."""

    id: str = attr(required=True)
    timestamp: datetime = attr(parse=parse_datetime, format=format_datetime, required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata(Payload, tag=(NS, "metadata")):
    """<metadata/> (§4.4.2); empty when the history is."""

    start: Start | None = child(Start)
    end: End | None = child(End)


def form_of_fields() -> Element:
    """Return <query/> with the form that lists what a query may ask for (§4.1.6); any ids may be asked for (XEP-0122 §3.2)."""
    form = Form(type="form", fields=(Field.of("FORM_TYPE", NS, type="hidden"),)).to_element()
    fields = [
        Element(Field.TAG, {"var": name, "type": type_}, (OPEN_IDS,) if name == "ids" else ())
        for name, type_ in FIELDS.items()
    ]
    return Element(Query.TAG, {}, (Element(form.tag, form.attrs, (*form.children, *fields)),))


def required_ids(request: Query, opaque: OpaqueIds) -> list[int | None]:
    """Return the ids that the history must hold for the query to make sense; None for one that cannot be ours."""
    texts: list[str] = []
    if request.rsm is not None:
        texts.extend(text for text in (request.rsm.after, request.rsm.before) if text)
    if request.form is not None:
        for name in ("before-id", "after-id", "ids"):
            texts.extend(request.form.values(name))
    return [opaque.id_of(text) for text in texts]


def read_query(request: Query, page_max: int, opaque: OpaqueIds) -> ArchiveQuery:
    """Return what storage is asked.

    Raises:
        StanzaError: bad-request for a form that is none of ours, feature-not-implemented for fields or paging we do not have.
        PayloadError: a malformed value.
    """
    rsm = request.rsm or Set()
    form = request.form or Form(type="submit")
    if request.node is not None:
        raise StanzaError("item-not-found", text="There is no such archive.")
    if request.form is not None:
        form.expect(NS)
        for field in form.fields:
            if field.var not in (None, "FORM_TYPE", *FIELDS):
                raise StanzaError("feature-not-implemented", text=f"A query cannot ask for {field.var}.")
    if rsm.index is not None:
        raise StanzaError("feature-not-implemented", text="Pages are found by id, not by index.")
    form.boolean("include-groupchat")  # must be one; histories hold nothing of rooms, so it changes nothing
    with_, start, end = form.jid("with"), form.moment("start"), form.moment("end")
    ids = form.values("ids")
    if len(ids) > MAX_IDS:
        raise StanzaError("policy-violation", text=f"At most {MAX_IDS} ids at once.")
    after = [id_ for id_ in map(opaque.id_of, (rsm.after, form.value("after-id"))) if id_ is not None]
    before = [id_ for id_ in map(opaque.id_of, (rsm.before, form.value("before-id"))) if id_ is not None]
    return ArchiveQuery(
        peer=None if with_ is None else with_.bare,
        peer_resource=with_.resourcepart if with_ is not None and with_.resourcepart else None,
        start_id=None if start is None else id_of_time(start),
        end_id=None if end is None else id_of_time(end) + (1 << ID_SHIFT_BITS) - 1,
        after_id=max(after) if after else None,
        before_id=min(before) if before else None,
        ids=tuple(id_ for id_ in map(opaque.id_of, ids) if id_ is not None) if ids else None,
        limit=max(1, min(DEFAULT_PAGE if rsm.max is None else rsm.max, page_max)),
        newest_first=rsm.before is not None,
        want_total=rsm.asks_count_only,
    )


def known_id(query: ArchiveQuery) -> int:
    """Return up to which id the asker has everything, as a query for what comes after it in the whole history says; 0: it does not say."""
    is_whole = query.peer is None and query.ids is None and query.start_id is None and not query.newest_first
    return query.after_id or 0 if is_whole else 0


def result_inner(head: str, id_text: str, message: ArchivedMessage, stamp: datetime) -> bytes:
    """Return <result/> around a message; `head` is its start tag up to where the id goes."""
    return b"%b id='%b'>%b</result>" % (
        head.encode(),
        id_text.encode(),
        forwarded_xml(archived_xml(message.stanza), stamp),
    )


def results_of(
    request: Query, messages: Sequence[ArchivedMessage], opaque: OpaqueIds
) -> Iterator[tuple[ArchivedMessage, bytes]]:
    """Yield messages in the order in which they are sent (§4.2), each with its <result/>."""
    head = f"<result xmlns='{NS}'"
    if request.queryid is not None:
        head += f" queryid='{escape_value(request.queryid)}'"
    for message in reversed(messages) if request.is_flipped else messages:
        yield message, result_inner(head, opaque.text_of(message.id), message, time_of_id(message.id))


def metadata_of(bounds: tuple[int, int] | None, opaque: OpaqueIds) -> Metadata:
    """Return what is told of a history's first and last id (§4.4.2); `bounds` None: it is empty."""
    if bounds is None:
        return Metadata()
    start, end = bounds
    return Metadata(
        start=Start(id=opaque.text_of(start), timestamp=time_of_id(start)),
        end=End(id=opaque.text_of(end), timestamp=time_of_id(end)),
    )


def fin_of(request: Query, page: ArchivePage, opaque: OpaqueIds) -> Fin:
    """Return the end of an answer (§4.2). Where only the count was asked for, the page's messages were not sent."""
    rsm = request.rsm or Set()
    if rsm.asks_count_only:
        return Fin(complete=None if page.messages else "true", rsm=Set(count=page.total))
    if page.messages:
        first, last = (opaque.text_of(page.messages[index].id) for index in (0, -1))
        found = Set(first=First(id=first), last=last)
    else:
        found = Set(count=None if rsm.after or rsm.before else 0)
    return Fin(complete="true" if page.is_last else None, rsm=found)
