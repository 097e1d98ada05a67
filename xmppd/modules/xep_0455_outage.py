"""XEP-0455: Service Outage Status.

Where clients read, while this server is down, why it is: addresses of `contacts.outage`, as a form in the domain's disco#info. What
lies there is made and kept by whoever runs the server, elsewhere.
"""

from codec.payloads.data_form import FORM_TYPE, Field, Form
from xmppd.hooks import DiscoEvent, disco_info
from xmppd.module import Module, on

NS = "urn:xmpp:sos:0"


class OutageModule(Module, xep=455):
    """Tell where the status is."""

    @on(disco_info)
    def add(self, event: DiscoEvent) -> None:
        """Add the form, unless there is no address (§3.1)."""
        addresses = self.host.config.contacts.outage
        if event.account is None and event.node is None and addresses:
            form_type = Field(var=FORM_TYPE, type="hidden", values=(NS,))
            field = Field.of("external-status-addresses", addresses, type="list-multi")
            event.forms.append(Form(type="result", fields=(form_type, field)))
