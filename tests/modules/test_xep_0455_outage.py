"""XEP-0455: Service Outage Status."""

from tests.modules.conftest import MakeWorld
from xmppd.hooks import DiscoEvent, disco_info
from xmppd.modules.xep_0030_disco import DiscoModule

MODULES = ("xep_0030_disco", "xep_0157_contacts", "xep_0455_outage")
ADDRESS = "https://status.example.net/example.org.json"


async def test_domain_tells_where_its_status_is(make_world: MakeWorld) -> None:
    world = await make_world(*MODULES, settings={"contacts.outage": ADDRESS})
    (form,) = world.host().module(DiscoModule).info().forms
    assert form.form_type == "urn:xmpp:sos:0" and form.values("external-status-addresses") == (ADDRESS,)


async def test_without_an_address_there_is_no_form(make_world: MakeWorld) -> None:
    world = await make_world(*MODULES)
    assert world.host().module(DiscoModule).info().forms == ()


async def test_accounts_and_nodes_have_no_form(make_world: MakeWorld) -> None:
    world = await make_world(*MODULES, settings={"contacts.outage": ADDRESS})
    await world.account("romeo@example.org")
    account = await world.host().load_account("romeo@example.org")  # type: ignore[arg-type]
    assert world.host().module(DiscoModule).info(account).forms == ()
    event = DiscoEvent(None, "node", [], [], [])
    world.host().signal(disco_info, event)
    assert event.forms == []
