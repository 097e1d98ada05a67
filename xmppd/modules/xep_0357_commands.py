"""Devices and settings of push by commands (XEP-0050): register, list, remove, settings, test."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from codec.jid import JID
from codec.payloads.data_form import FORM_TYPE, Field, Form, Option, Reported, Row
from codec.values import format_datetime
from xmppd.host import Host
from xmppd.modules.xep_0050_commands import CommandsModule
from xmppd.waking.registrations import CONTENTS, MODES, OURS, Attempt, Registration

NS = "urn:xmppd:push:0"
REGISTER, LIST, REMOVE, SETTINGS = f"{NS}#register", f"{NS}#devices", f"{NS}#remove", f"{NS}#settings"
COLUMNS = (
    ("id", "Id"),
    ("gateway", "Gateway"),
    ("device", "Device"),
    ("resource", "Client"),
    ("registered", "Registered"),
    ("last", "Last notification"),
)
TOKEN_FIELDS = (
    ("token", "Token, or the endpoint's URL", True),
    ("call-token", "Token for calls (iPhones)", False),
    ("topic", "Bundle id (iPhones)", False),
    ("environment", "production or sandbox (iPhones)", False),
    ("public-key", "p256dh (Web Push)", False),
    ("auth", "auth (Web Push)", False),
    ("device", "Name of the device", False),
)


class Entry(NamedTuple):
    """A device and its last result, None when there is none."""

    registration: Registration
    last: Attempt | None


Listing = list[Entry]
Run = Callable[[JID, Form | None], Awaitable[Form | str | None]]


def add_commands(host: Host, commands: CommandsModule, devices: Any) -> None:
    """Give every account of the host the commands; `devices`: the `DevicesModule`."""

    def may_run(asker: JID) -> bool:
        return bool(asker.localpart) and asker.domainpart == host.domain

    for node, name, run in (
        (REGISTER, "Register a device for push", _register(devices)),
        (LIST, "List your devices", _list(devices)),
        (REMOVE, "Remove devices", _remove(devices)),
        (SETTINGS, "What wakes your devices", _settings(devices)),
    ):
        commands.add(node, name, may_run, run)


def _type() -> Field:
    return Field(var=FORM_TYPE, type="hidden", values=(NS,))


def _register(devices: Any) -> Run:
    async def run(asker: JID, form: Form | None) -> Form | str:
        if form is None:
            options = tuple(Option(label=name, value=name) for name in OURS)
            gateway = Field(var="gateway", type="list-single", label="Gateway", required=True, options=options)
            fields = [
                Field(var=var, type="text-single", label=label, required=is_required)
                for var, label, is_required in TOKEN_FIELDS
            ]
            return Form(type="form", title="Register a device", fields=(_type(), gateway, *fields))
        attrs = {var: form.value(var) or "" for var, _, _ in (("gateway", "", True), *TOKEN_FIELDS)}
        key = await devices.add(asker, devices.register_of(attrs))
        result = Form.result(NS, {"id": key})
        return result

    return run


def _list(devices: Any) -> Run:
    async def run(asker: JID, _: Form | None) -> Form:
        found: Listing = await devices.entries(asker.bare)
        return Form(
            type="result",
            title="Your devices",
            fields=(_type(),),
            reported=Reported(fields=tuple(Field(var=var, label=label) for var, label in COLUMNS)),
            items=tuple(Row(fields=_row(entry)) for entry in found),
        )

    return run


def _remove(devices: Any) -> Run:
    async def run(asker: JID, form: Form | None) -> Form | str:
        if form is not None:
            return f"Removed: {await devices.remove(asker.bare, form.values('devices'))}."
        options = tuple(
            Option(label=_label(one), value=one.registration.key) for one in await devices.entries(asker.bare)
        )
        field = Field(var="devices", type="list-multi", label="Devices", required=True, options=options)
        return Form(type="form", title="Remove devices", fields=(_type(), field))

    return run


def _settings(devices: Any) -> Run:
    async def run(asker: JID, form: Form | None) -> Form | str:
        if form is not None:
            await devices.change(asker.bare, devices.settings_of(form), only_chats=True)
            return "Changed."
        now = await devices.settings(asker.bare)
        chats = tuple(f"{chat.jid} {chat.wake}" for chat in now.chats)
        return Form(
            type="form",
            title="What wakes your devices",
            fields=(
                _type(),
                _choice("content", "What gateways may read", CONTENTS, now.content),
                _choice("rooms", "Which messages of rooms", MODES, now.rooms),
                Field.of("headlines", now.headlines, type="boolean", label="Headlines"),
                Field.of("quiet-in-use", now.quiet_in_use, type="boolean", label="Not while another client is in use"),
                Field(
                    var="chats",
                    type="text-multi",
                    label="Conversations with a rule of their own: an address and always, on-mention or never",
                    values=chats,
                ),
            ),
        )

    return run


def _choice(var: str, label: str, values: tuple[str, ...], value: str) -> Field:
    options = tuple(Option(label=one, value=one) for one in values)
    return Field(var=var, type="list-single", label=label, options=options, values=(value,))


def _row(entry: Entry) -> tuple[Field, ...]:
    one = entry.registration
    values = {
        "id": one.key,
        "gateway": one.gateway,
        "device": one.name,
        "resource": one.resource,
        "registered": _moment(one.registered_at_us),
        "last": describe(entry.last),
    }
    return tuple(Field.of(var, values[var]) for var, _ in COLUMNS)


def describe(last: Attempt | None) -> str:
    """Return a last result for people, "" when there is none."""
    if last is None:
        return ""
    reason = f" ({last.reason})" if last.reason else ""
    return f"{last.result}{reason}, {_moment(last.at_us)}"


def _label(entry: Entry) -> str:
    one = entry.registration
    parts = [one.gateway, one.name, one.resource, describe(entry.last)]
    return "; ".join(part for part in parts if part)


def _moment(us: int) -> str:
    return format_datetime(datetime.fromtimestamp(us // 1_000_000, UTC))
