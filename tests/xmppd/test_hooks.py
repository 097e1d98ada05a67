"""The list of hooks."""

import dataclasses

import pytest

from xmppd import hooks
from xmppd.hooks import Filter, Hook, MessageEvent, Phase, Signal

HOOKS = {name: value for name, value in vars(hooks).items() if isinstance(value, Hook)}
EVENTS = [value for name, value in vars(hooks).items() if name.endswith("Event") and isinstance(value, type)]


@pytest.mark.parametrize("name", sorted(HOOKS))
def test_each_hook_bears_its_name_and_says_what_it_is_for(name):
    hook = HOOKS[name]
    assert hook.name == name
    assert hook.doc.endswith(".")
    assert isinstance(hook, Filter | Signal)
    assert name in repr(hook)


def test_phases_run_in_the_order_of_their_names():
    assert [phase.name for phase in sorted(Phase)] == ["CHECK", "ANNOTATE", "ARCHIVE", "COPY", "DELIVER", "FALLBACK"]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_nothing_can_be_hung_on_an_event(event):
    assert dataclasses.is_dataclass(event)
    assert not hasattr(object.__new__(event), "__dict__")


def test_each_message_has_copies_of_its_own():
    first, second = MessageEvent(None), MessageEvent(None)
    first.copies.append(None)
    assert second.copies == []
