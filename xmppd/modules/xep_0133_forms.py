"""XEP-0133: the forms that administrators fill in."""

from codec.payloads.data_form import FORM_TYPE, Field, Form, Option

NS = "http://jabber.org/protocol/admin"


def _form(title: str, *fields: Field) -> Form:
    return Form(type="form", title=title, fields=(Field(var=FORM_TYPE, type="hidden", values=(NS,)), *fields))


_ACCOUNT = Field(var="accountjid", type="jid-single", label="Account", required=True)
_ACCOUNTS = Field(var="accountjids", type="jid-multi", label="Accounts", required=True)
_PASSWORD = Field(var="password", type="text-private", label="Password", required=True)
_MAX_ITEMS = Field(
    var="max_items",
    type="list-single",
    label="How many at most",
    values=("none",),
    options=(
        *(Option(label=number, value=number) for number in ("25", "50", "75", "100", "150", "200")),
        Option(label="All", value="none"),
    ),
)

ADD_USER = _form(
    "Add a user",
    _ACCOUNT,
    _PASSWORD,
    Field(var="password-verify", type="text-private", label="Password again", required=True),
)
DELETE_USER = _form("Delete users and all that is kept for them", _ACCOUNTS)
DISABLE_USER = _form("Disable users", _ACCOUNTS)
REENABLE_USER = _form("Enable users again", _ACCOUNTS)
CHANGE_USER_PASSWORD = _form("Change a user's password", _ACCOUNT, _PASSWORD)
END_USER_SESSION = _form(
    "End sessions",
    Field(var="accountjids", type="jid-multi", label="Accounts, or single sessions by their full JIDs", required=True),
)
USER_STATS = _form("Statistics of a user", _ACCOUNT)
ANNOUNCE = _form(
    "Announcement to all online users", Field(var="announcement", type="text-multi", label="Text", required=True)
)
LIST_REGISTERED = _form("Registered users", _MAX_ITEMS)
LIST_ONLINE = _form("Online users", _MAX_ITEMS)
