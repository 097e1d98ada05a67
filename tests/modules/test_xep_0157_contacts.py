"""XEP-0157: Contact Addresses for XMPP Services."""

from codec.payloads.data_form import Form
from codec.payloads.disco import Info
from tests.modules.conftest import MakeWorld
from xmppd.hooks import DiscoEvent, disco_info
from xmppd.modules.xep_0030_disco import DiscoModule

MODULES = ("xep_0030_disco", "xep_0157_contacts")


async def test_domain_tells_the_addresses_that_are_configured(make_world: MakeWorld) -> None:
    settings = {
        "contacts.abuse": ["mailto:abuse@example.org", "xmpp:abuse@example.org"],
        "contacts.support": ["https://example.org/help"],
    }
    world = await make_world(*MODULES, settings=settings)
    info: Info = world.host().module(DiscoModule).info()
    (form,) = info.forms
    assert form.type == "result"
    assert form.form_type == "http://jabber.org/network/serverinfo"
    assert [field.var for field in form.fields] == ["FORM_TYPE", "abuse-addresses", "support-addresses"]
    assert form.values("abuse-addresses") == ("mailto:abuse@example.org", "xmpp:abuse@example.org")
    assert form.values("support-addresses") == ("https://example.org/help",)
    assert Form.from_element(form.to_element()) == form


async def test_without_addresses_there_is_no_form(make_world: MakeWorld) -> None:
    world = await make_world(*MODULES)
    assert world.host().module(DiscoModule).info().forms == ()


async def test_accounts_and_nodes_have_no_form(make_world: MakeWorld) -> None:
    world = await make_world(*MODULES, settings={"contacts.abuse": ["mailto:abuse@example.org"]})
    await world.account("romeo@example.org")
    account = await world.host().load_account("romeo@example.org")  # type: ignore[arg-type]
    assert world.host().module(DiscoModule).info(account).forms == ()
    event = DiscoEvent(None, "node", [], [], [])
    world.host().signal(disco_info, event)
    assert event.forms == []
