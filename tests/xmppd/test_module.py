"""What a module is: its class keywords and the marks on its methods."""

import dataclasses

import pytest

from codec.payload import Payload
from storage.interface import KeyValStore, MapStore
from xmppd.hooks import Phase, message_received, presence_sent
from xmppd.module import (
    AccountPartMark,
    BeforeLoginMark,
    HookMark,
    IQMark,
    Module,
    NonzaMark,
    Target,
    account_part,
    iq_before_login,
    iq_get,
    iq_set,
    nonza,
    on,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question(Payload, tag=("urn:x", "question")):
    """Empty."""


class Required(Module):
    """Nothing."""


class Full(
    Module,
    xep=1234,
    features=("urn:x",),
    account_features=("urn:y",),
    requires=(Required,),
    stores={"prefs": KeyValStore, "items": MapStore},
    open_to_others=True,
):
    """One of everything."""

    @iq_get(Question)
    def get(self, iq): ...

    @iq_set(Question)
    def set(self, iq): ...

    @iq_before_login("set", Question)
    async def stranger(self, stream, iq): ...

    @on(message_received, phase=Phase.ARCHIVE)
    @on(presence_sent)
    def two_hooks(self, event):
        return event

    @account_part(dict, lazy=True)
    async def part(self, account): ...

    @nonza("urn:x a")
    @nonza("urn:x b", is_early=True)
    def children(self, stream, element): ...

    def unmarked(self): ...


def test_each_decorator_leaves_its_mark_and_the_method_as_it_was():
    marks = {(name, mark) for name, mark in Full.marks()}
    assert marks == {
        ("get", IQMark("get", Question, (Target.DOMAIN, Target.ACCOUNT))),
        ("set", IQMark("set", Question, (Target.ACCOUNT,))),
        ("stranger", BeforeLoginMark("set", Question)),
        ("two_hooks", HookMark(message_received, Phase.ARCHIVE)),
        ("two_hooks", HookMark(presence_sent, Phase.DELIVER)),
        ("part", AccountPartMark(dict, True)),
        ("children", NonzaMark("urn:x a", False)),
        ("children", NonzaMark("urn:x b", True)),
    }
    assert Full.two_hooks(None, 5) == 5


def test_module_that_is_derived_has_its_own_keywords():
    class Plain(Full):
        """Inherits methods, not keywords."""

    assert (Plain.xep, Plain.features, Plain.requires, Plain.open_to_others) == (None, (), (), False)
    assert (Full.xep, Full.features, Full.account_features, Full.requires) == (
        1234,
        ("urn:x",),
        ("urn:y",),
        (Required,),
    )
    assert len(Plain.marks()) == len(Full.marks())


@pytest.fixture
async def host(make_world):
    return (await make_world()).host()


async def test_stores_are_named_after_the_file_so_that_modules_do_not_meet(host):
    opened = []

    class Opening:
        def open_store(self, name, kind):
            opened.append((name, kind))
            return name

    module = Full(Opening())
    file = Full.__module__.rpartition(".")[2]
    assert opened == [(f"{file}.prefs", KeyValStore), (f"{file}.items", MapStore)]
    assert module.stores["prefs"] == f"{file}.prefs"


async def test_module_need_not_do_anything_at_start_and_stop(host):
    module = Required(host)
    assert module.host is host
    assert module.stores == {}
    await module.start()
    await module.stop()
