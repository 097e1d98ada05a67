"""The query of XEP-0313: its form, its RSM, and the answer's end."""

from datetime import UTC, datetime

import pytest

from codec.element import Element, parse_element
from codec.payload import PayloadError
from storage.interface import ArchivedMessage, ArchivePage, ArchiveQuery
from xmppd.clock import id_of_time
from xmppd.errors import StanzaError
from xmppd.modules.xep_0313_query import (
    MAX_IDS,
    NS,
    Query,
    fin_of,
    form_of_fields,
    read_query,
    required_ids,
    result_inner,
)
from xmppd.opaque_ids import OpaqueIds

OPAQUE = OpaqueIds(bytes(32))
RSM = "http://jabber.org/protocol/rsm"
PAGE_MAX = 100


def field(name: str, *values: str) -> str:
    return f"<field var='{name}'>{''.join(f'<value>{value}</value>' for value in values)}</field>"


def request(*fields: str, rsm: str = "", more: str = "", form_type: str = NS) -> Query:
    """Return a query with these fields and RSM, as it would come."""
    form = (
        f"<x xmlns='jabber:x:data' type='submit'>{field('FORM_TYPE', form_type)}{''.join(fields)}</x>" if fields else ""
    )
    paging = f"<set xmlns='{RSM}'>{rsm}</set>" if rsm else ""
    return Query.from_element(parse_element(f"<query xmlns='{NS}'>{form}{paging}{more}</query>".encode()))


def read(*fields: str, **more: str) -> ArchiveQuery:
    return read_query(request(*fields, **more), PAGE_MAX, OPAQUE)


def text(id_: int) -> str:
    return OPAQUE.text_of(id_)


def page(*ids: int, is_last: bool = True, total: int | None = None) -> ArchivePage:
    return ArchivePage([ArchivedMessage(id_, b"<message/>", "p@example.org", "", False) for id_ in ids], is_last, total)


def test_a_query_without_anything_asks_for_the_first_page_of_all() -> None:
    assert read() == ArchiveQuery(limit=50)


def test_a_bare_jid_asks_for_all_resources_and_a_full_one_for_that_alone() -> None:
    assert read(field("with", "Juliet@Example.org")).peer == "juliet@example.org"
    assert read(field("with", "juliet@example.org")).peer_resource is None
    query = read(field("with", "juliet@example.org/Balcony"))
    assert (query.peer, query.peer_resource) == ("juliet@example.org", "Balcony")


def test_start_and_end_are_inclusive_to_the_microsecond() -> None:
    query = read(field("start", "2026-01-02T03:04:05.000001Z"), field("end", "2026-01-02T04:04:05.000001+01:00"))
    moment = id_of_time(datetime(2026, 1, 2, 3, 4, 5, 1, UTC))
    assert query.start_id == moment and query.end_id == moment + 1023


def test_ids_of_form_and_paging_bound_the_range_together() -> None:
    query = read(
        field("after-id", text(10)), field("before-id", text(20)), rsm=f"<after>{text(12)}</after><max>3</max>"
    )
    assert (query.after_id, query.before_id, query.limit) == (12, 20, 3)
    assert not query.newest_first
    query = read(field("after-id", text(10)), field("before-id", text(20)), rsm=f"<before>{text(18)}</before>")
    assert (query.after_id, query.before_id, query.newest_first) == (10, 18, True)


def test_an_empty_before_asks_for_the_last_page() -> None:
    query = read(rsm="<before/><max>5</max>")
    assert query.newest_first and query.before_id is None and query.limit == 5


@pytest.mark.parametrize(("asked", "limit"), [("7", 7), ("100", 100), ("5000", PAGE_MAX)])
def test_a_page_is_as_large_as_asked_up_to_our_limit(asked: str, limit: int) -> None:
    assert read(rsm=f"<max>{asked}</max>").limit == limit


def test_max_0_asks_for_the_count_alone() -> None:
    assert read(rsm="<max>0</max>").want_total


@pytest.mark.parametrize("value", ["true", "false", "0", "1"])
def test_rooms_may_be_asked_for_or_not_which_changes_nothing(value: str) -> None:
    assert read(field("include-groupchat", value)) == ArchiveQuery(limit=50)


@pytest.mark.parametrize(
    "fields",
    [
        (field("with", "@@"),),
        (field("start", "yesterday"),),
        (field("end", "2026-01-02"),),
        (field("include-groupchat", "perhaps"),),
    ],
)
def test_a_malformed_value_is_a_bad_request(fields: tuple[str, ...]) -> None:
    with pytest.raises(PayloadError):
        read(*fields)


def test_a_form_about_something_else_is_a_bad_request() -> None:
    with pytest.raises(PayloadError):
        read(field("with", "juliet@example.org"), form_type="urn:xmpp:mam:1")


@pytest.mark.parametrize(
    ("fields", "rsm", "condition"),
    [
        ((field("{urn:example}text", "x"),), "", "feature-not-implemented"),
        ((), "<index>5</index>", "feature-not-implemented"),
        ((field("ids", *map(str, range(1, MAX_IDS + 2))),), "", "policy-violation"),
    ],
)
def test_what_we_do_not_have_is_refused(fields: tuple[str, ...], rsm: str, condition: str) -> None:
    with pytest.raises(StanzaError) as error:
        read(*fields, rsm=rsm)
    assert error.value.condition == condition


def test_a_pubsub_archive_is_not_found() -> None:
    query = Query.from_element(parse_element(f"<query xmlns='{NS}' node='n'/>".encode()))
    with pytest.raises(StanzaError) as error:
        read_query(query, PAGE_MAX, OPAQUE)
    assert error.value.condition == "item-not-found"


def test_every_id_that_a_query_names_is_required() -> None:
    query = request(
        field("before-id", text(4)),
        field("after-id", text(3)),
        field("ids", text(5), "six"),
        rsm=f"<after>{text(2)}</after>",
    )
    assert required_ids(query, OPAQUE) == [2, 4, 3, 5, None]
    assert required_ids(request(rsm="<before/>"), OPAQUE) == []


def test_the_form_lists_every_field_and_lets_any_ids_be_asked_for() -> None:
    form = form_of_fields().find("jabber:x:data x")
    assert form is not None and form.get("type") == "form"
    fields = {element.get("var"): element for element in form.elements()}
    assert {name: element.get("type") for name, element in fields.items()} == {
        "FORM_TYPE": "hidden",
        "with": "jid-single",
        "start": "text-single",
        "end": "text-single",
        "before-id": "text-single",
        "after-id": "text-single",
        "ids": "list-multi",
        "include-groupchat": "boolean",
    }
    assert fields["FORM_TYPE"].elements()[0].text == NS
    validate = "http://jabber.org/protocol/xdata-validate"
    assert fields["ids"].elements() == (
        Element(f"{validate} validate", {"datatype": "xs:string"}, (Element(f"{validate} open"),)),
    )


def test_the_end_names_first_and_last_and_whether_that_was_all() -> None:
    fin = fin_of(request(), page(3, 5, 9), OPAQUE)
    assert fin.complete == "true" and fin.rsm.first is not None
    assert (fin.rsm.first.id, fin.rsm.last) == (text(3), text(9))
    assert fin_of(request(), page(3, is_last=False), OPAQUE).complete is None


def test_an_empty_history_counts_0_and_an_empty_page_behind_another_counts_nothing() -> None:
    empty = fin_of(request(), page(), OPAQUE)
    assert (empty.complete, empty.rsm.count, empty.rsm.first, empty.rsm.last) == ("true", 0, None, None)
    assert fin_of(request(rsm="<after>9</after>"), page(), OPAQUE).rsm.count is None


def test_a_count_comes_without_messages_and_is_complete_only_when_there_are_none() -> None:
    fin = fin_of(request(rsm="<max>0</max>"), page(3, total=7), OPAQUE)
    assert (fin.complete, fin.rsm.count, fin.rsm.first, fin.rsm.last) == (None, 7, None, None)
    fin = fin_of(request(rsm="<max>0</max>"), page(total=0), OPAQUE)
    assert (fin.complete, fin.rsm.count) == ("true", 0)


def test_a_result_holds_the_message_as_it_was_kept_and_when() -> None:
    stamp = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    kept = ArchivedMessage(7, b"<message to='a@b'><body>&lt;</body></message>", "a@b", "", True)
    result = parse_element(result_inner(f"<result xmlns='{NS}' queryid='&lt;'", "7", kept, stamp))
    assert (result.get("id"), result.get("queryid")) == ("7", "<")
    delay, message = result.elements()[0].elements()
    assert delay.get("stamp") == "2026-01-02T03:04:05Z"
    assert message.tag == "jabber:client message" and message.elements()[0].text == "<"
