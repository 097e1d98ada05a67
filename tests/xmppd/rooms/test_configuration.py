"""Settings become a form and come back from one."""

from dataclasses import fields, replace

import pytest

from codec.payload import PayloadError
from codec.payloads.data_form import Form
from xmppd.errors import StanzaError
from xmppd.rooms.configuration import BROADCAST, NS, RoomConfig, form_of, read_form, status_codes
from xmppd.rooms.limits import MAX_HISTORY
from xmppd.rooms.roles import Role

OTHER = RoomConfig(
    name="Den", description="one\ntwo", lang="la", is_persistent=True, is_public=False, password="rose",
    is_members_only=True, is_moderated=True, max_occupants=7, whois="anyone", allow_invites=False, allow_pm="moderators",
    allow_voice_requests=False, participants_change_subject=False, presence_broadcast=("moderator",), member_list=(),
    history_length=3, is_archived=False, may_register=False,
)  # fmt: skip


def submitted(**values: object) -> Form:
    return Form.submit(NS, {f"muc#roomconfig_{name}": value for name, value in values.items()})  # type: ignore[misc]


def test_every_setting_differs_in_the_sample() -> None:
    assert [
        field.name for field in fields(OTHER) if getattr(OTHER, field.name) == getattr(RoomConfig(), field.name)
    ] == []


@pytest.mark.parametrize("config", [RoomConfig(), OTHER])
def test_form_sent_back_as_it_came_changes_nothing(config: RoomConfig) -> None:
    form = form_of(config)
    back = Form(type="submit", fields=form.fields)
    start = RoomConfig() if config is OTHER else OTHER
    assert read_form(back, start, 1000) == replace(config, description=config.description)


def test_what_a_form_leaves_out_stays_and_what_nobody_knows_is_passed_over() -> None:
    assert read_form(submitted(roomname="x", wallpaper="roses"), OTHER, 1000) == replace(OTHER, name="x")


@pytest.mark.parametrize("name", ["enablearchiving", "enablelogging", "mam"])
def test_archive_is_known_by_the_names_that_clients_use(name: str) -> None:
    assert not read_form(submitted(**{name: False}), RoomConfig(), 1000).is_archived
    assert not read_form(Form.submit(NS, {"mam": False}), RoomConfig(), 1000).is_archived


def test_password_goes_with_its_switch() -> None:
    assert read_form(submitted(passwordprotectedroom=False, roomsecret="x"), OTHER, 10).password == ""
    assert read_form(submitted(passwordprotectedroom=True), OTHER, 10).password == "rose"
    assert read_form(submitted(roomsecret="x"), RoomConfig(), 10).password == ""
    with pytest.raises(StanzaError, match="not-acceptable"):
        read_form(submitted(passwordprotectedroom=True), RoomConfig(), 10)


@pytest.mark.parametrize(
    "values",
    [
        {"maxusers": "-1"},
        {"maxusers": "1.5"},
        {"persistentroom": "yes"},
        {"getmemberlist": "everybody"},
        {"historylength": "x"},
    ],
)
def test_value_of_a_wrong_type_is_an_error_of_the_payload(values: dict[str, str]) -> None:
    with pytest.raises(PayloadError):
        read_form(submitted(**values), RoomConfig(), 1000)


def test_numbers_are_kept_within_what_the_server_allows() -> None:
    assert read_form(submitted(historylength="100000"), RoomConfig(), 10).history_length == MAX_HISTORY
    assert read_form(submitted(maxusers="none"), OTHER, 10).max_occupants == 0
    with pytest.raises(StanzaError, match="At most 10"):
        read_form(submitted(maxusers="11"), RoomConfig(), 10)


def test_codes_say_what_matters_to_privacy_and_that_something_else_changed() -> None:
    plain = RoomConfig()
    assert status_codes(plain, plain) == ()
    assert status_codes(plain, replace(plain, is_archived=False, whois="anyone")) == (171, 172)
    assert status_codes(OTHER, replace(OTHER, is_archived=True, whois="moderators", name="")) == (170, 173, 104)


def test_roles_that_are_shown() -> None:
    assert all(RoomConfig().shows(Role[word.upper()]) for word in BROADCAST)
    assert OTHER.shows(Role.MODERATOR) and not OTHER.shows(Role.VISITOR)
