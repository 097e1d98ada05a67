"""XEP-0114: Jabber Component Protocol: what clients find."""

from tests.modules.conftest import MakeWorld

ITEMS = "<query xmlns='http://jabber.org/protocol/disco#items'>{}</query>"


async def test_components_below_a_domain_are_among_its_items(make_world: MakeWorld) -> None:
    domains = {name: {"secret": "s"} for name in ("irc.example.org", "mail.example.com", "notexample.org")}
    settings = {"components.domains": domains, "components.listen": ["127.0.0.1:0"]}
    world = await make_world("xep_0030_disco", "xep_0114_component", settings=settings)
    romeo = await world.client("romeo@example.org/orchard")
    await romeo.send(f"<iq type='get' id='1' to='example.org'>{ITEMS.format('')}</iq>")
    item = "<item jid='irc.example.org'/>"
    await romeo.expect(f"<iq type='result' id='1' from='example.org' to='{{romeo}}'>{ITEMS.format(item)}</iq>")
    await romeo.send(f"<iq type='get' id='2' to='romeo@example.org'>{ITEMS.format('')}</iq>")
    await romeo.expect(f"<iq type='result' id='2' from='romeo@example.org' to='{{romeo}}'>{ITEMS.format('')}</iq>")
