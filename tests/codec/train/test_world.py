"""The invented world."""

from codec.jid import JID
from codec.train.world import World


def test_everybody_has_an_address():
    world = World(3)
    for text in (world.me, world.bare, *world.rooms, *[contact.full for contact in world.contacts]):
        assert JID.parse(text) == text


def test_the_same_seed_is_the_same_world():
    one, two = World(5), World(5)
    assert one.contacts == two.contacts
    assert [one.text(), one.stamp(), one.id()] == [two.text(), two.stamp(), two.id()]
