"""XEP-0202: Entity Time."""

from tests.modules.conftest import MakeWorld


async def test_domain_tells_the_hosts_time_in_utc(make_world: MakeWorld) -> None:
    world = await make_world("xep_0202_time")
    romeo = await world.client("romeo@example.org/orchard")
    world.clock.advance(1.75)
    await romeo.send("<iq type='get' id='t1' to='example.org'><time xmlns='urn:xmpp:time'/></iq>")
    await romeo.expect(
        "<iq type='result' id='t1' from='example.org' to='{romeo}'>"
        "<time xmlns='urn:xmpp:time'><tzo>+00:00</tzo><utc>2026-01-02T03:04:06Z</utc></time></iq>"
    )
