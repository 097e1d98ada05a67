"""XEP-0157: Contact Addresses for XMPP Services.

The addresses of the section [contacts], as a form in the domain's disco#info.
"""

from codec.payloads.data_form import FORM_TYPE, Field, Form
from xmppd.hooks import DiscoEvent, disco_info
from xmppd.module import Module, on

SERVER_INFO = "http://jabber.org/network/serverinfo"
KINDS = ("abuse", "admin", "feedback", "sales", "security", "status", "support")


class ContactsModule(Module, xep=157):
    """Tell where people reach whoever runs the server."""

    @on(disco_info)
    def add(self, event: DiscoEvent) -> None:
        """Add the form, unless there is no address at all."""
        if event.account is not None or event.node is not None:
            return
        contacts = self.host.config.contacts
        fields = [
            Field.of(f"{kind}-addresses", addresses, type="list-multi")
            for kind in KINDS
            if (addresses := getattr(contacts, kind))
        ]
        if fields:
            form_type = Field(var=FORM_TYPE, type="hidden", values=(SERVER_INFO,))
            event.forms.append(Form(type="result", fields=(form_type, *fields)))
