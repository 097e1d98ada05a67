"""Modules of a virtual host put together."""

import dataclasses
import sys
import types

import pytest

from codec.payload import Payload
from xmppd.config import DEFAULT_MODULES
from xmppd.hooks import Filter, Phase, Signal
from xmppd.loader import LoadError, find_module, load
from xmppd.module import Module, Target, account_part, iq_before_login, iq_get, iq_set, nonza, on

CHECK: Filter[list[str]] = Filter("check", "Names gather here.")
TOLD: Signal[list[str]] = Signal("told", "Names gather here.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question(Payload, tag=("urn:x", "question")):
    """Empty."""


class First(Module):
    """Takes part early and late."""

    @on(CHECK, phase=Phase.CHECK)
    def early(self, event):
        return [*event, "first, early"]

    @on(CHECK, phase=Phase.FALLBACK)
    def late(self, event):
        return [*event, "first, late"]


class Second(Module, requires=(First,)):
    """Needs the first one, and takes part in the middle and early."""

    async def start(self):
        assert self.host.module(First) is not None
        self.host.started = [*getattr(self.host, "started", []), "second"]

    @on(CHECK)
    def middle(self, event):
        return [*event, "second"]

    @on(CHECK, phase=Phase.CHECK)
    def early(self, event):
        return [*event, "second, early"]


class Answering(Module, open_to_others=True):
    """Answers in every way."""

    @iq_get(Question)
    def get(self, iq): ...

    @iq_set(Question, to=(Target.DOMAIN,))
    def set(self, iq): ...

    @iq_before_login("get", Question)
    async def stranger(self, stream, iq): ...

    @nonza("urn:x plain")
    @nonza("urn:x early", is_early=True)
    def child(self, stream, element): ...

    @account_part(dict, lazy=True)
    async def part(self, account): ...


class AnsweringToo(Module):
    """Wants what another one has."""

    @iq_get(Question, to=(Target.ACCOUNT,))
    def get(self, iq): ...


@pytest.fixture
def files(monkeypatch):
    """Let each class be the one module of a file of its own; return their names."""
    names = {}
    for cls in (First, Second, Answering, AnsweringToo):
        name = f"made_up.{cls.__name__.lower()}"
        file = types.ModuleType(name)
        setattr(file, cls.__name__, cls)
        file.Module = Module
        monkeypatch.setattr(cls, "__module__", name)
        monkeypatch.setitem(sys.modules, "made_up", types.ModuleType("made_up"))
        monkeypatch.setitem(sys.modules, name, file)
        names[cls] = name
    return names


@pytest.fixture
async def host(make_world):
    return (await make_world()).host()


# finding


@pytest.mark.parametrize("name", DEFAULT_MODULES)
def test_each_module_of_ours_is_found_by_its_file_name(name):
    cls = find_module(name)
    assert issubclass(cls, Module)
    assert cls is find_module(f"xmppd.modules.{name}")


@pytest.mark.parametrize("name", ["xep_9999_nothing", "made_up.nothing", "nothing.at.all"])
def test_module_that_is_not_there_is_named(name, files):
    with pytest.raises(LoadError, match=name):
        find_module(name)


def test_file_without_a_module_is_refused():
    with pytest.raises(LoadError, match="must define one Module"):
        find_module("xmppd.clock")


def test_module_whose_own_import_fails_says_so(monkeypatch, tmp_path):
    (tmp_path / "broken_module.py").write_text("import nothing_of_that_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "holder", types.ModuleType("holder"))
    sys.modules["holder"].__path__ = [str(tmp_path)]
    with pytest.raises(ModuleNotFoundError, match="nothing_of_that_name"):
        find_module("holder.broken_module")


# loading


async def test_handlers_run_by_phase_and_then_in_the_order_of_loading(host, files):
    await load(host, [files[Second], files[First]])
    assert host.run_filter(CHECK, []) == ["first, early", "second, early", "second", "first, late"]
    assert TOLD not in host.handlers


async def test_module_is_started_when_all_are_there(host, files):
    await load(host, [files[Second], files[First]])
    assert host.started == ["second"]


async def test_missing_requirement_is_named(host, files):
    with pytest.raises(LoadError, match="Second needs first"):
        await load(host, [files[Second]])


async def test_marks_fill_the_tables(host, files):
    await load(host, [files[Answering]])
    module = host.module(Answering)
    assert host.iq_handlers == {
        ("get", Question.TAG, Target.DOMAIN): (module.get, Question, True),
        ("get", Question.TAG, Target.ACCOUNT): (module.get, Question, True),
        ("set", Question.TAG, Target.DOMAIN): (module.set, Question, True),
    }
    assert host.before_login == {("get", Question.TAG): (module.stranger, Question)}
    assert set(host.nonza_handlers) == {"urn:x plain", "urn:x early"}
    assert host.early_nonzas == {"urn:x early"}
    assert host.part_loaders == {dict: (module.part, True)}


async def test_two_modules_for_one_request_are_refused(host, files):
    with pytest.raises(LoadError, match="two modules handle iq get urn:x question"):
        await load(host, [files[Answering], files[AnsweringToo]])


async def test_each_host_has_its_own_instances(make_world, files):
    world = await make_world(domains=("example.org", "example.com"))
    for domain in ("example.org", "example.com"):
        await load(world.host(domain), [files[First]])
    first, second = world.host("example.org").module(First), world.host("example.com").module(First)
    assert first is not second
    assert (first.host.domain, second.host.domain) == ("example.org", "example.com")


async def test_module_named_twice_is_loaded_once(host, files):
    await load(host, [files[First], files[First]])
    assert host.run_filter(CHECK, []) == ["first, early", "first, late"]
