"""Puts the modules of a virtual host together: one instance each, and the tables of who handles what."""

import importlib
import inspect
from collections.abc import Iterable

from xmppd.hooks import Hook
from xmppd.host import Host
from xmppd.module import AccountPartMark, BeforeLoginMark, HookMark, IQMark, Module, NonzaMark


class LoadError(Exception):
    """The modules cannot work together; one line that says what to change."""


def find_module(name: str) -> type[Module]:
    """Return the module class of a file, by dotted name ("xmppd.modules.xep_0199_ping") or by file name alone."""
    path = name if "." in name else f"xmppd.modules.{name}"
    try:
        file = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if not f"{path}.".startswith(f"{error.name}."):
            raise  # it is there, and misses something itself
        raise LoadError(
            f"modules: there is no module {name!r}; xmppd/modules/ holds those that come with the server"
        ) from error
    found = [
        cls
        for _, cls in inspect.getmembers(file, inspect.isclass)
        if issubclass(cls, Module) and cls is not Module and cls.__module__ == path
    ]
    if len(found) != 1:
        raise LoadError(f"modules: {path} must define one Module, it defines {len(found)}")
    return found[0]


async def load(host: Host, names: Iterable[str]) -> None:
    """Load modules into a host by name, in order, and start them.

    Raises:
        LoadError: two handlers for one request, or a required module that is missing.
    """
    classes = [find_module(name) for name in names]
    for cls in classes:
        for required in cls.requires:
            if required not in classes:
                raise LoadError(
                    f"modules: {cls.__name__} needs {required.__module__.rpartition('.')[2]}, which is not enabled"
                )
    handlers: dict[Hook[object], list[tuple[int, object]]] = {}
    for cls in _in_order(classes):
        instance = cls(host)
        host.modules[cls] = instance
        _fill(host, instance, handlers)
    for hook, entries in handlers.items():
        entries.sort(key=lambda entry: entry[0])
        host.handlers[hook] = tuple(handler for _, handler in entries)  # type: ignore[misc]
    for cls in _in_order(classes):
        await host.modules[cls].start()


def _in_order(classes: list[type[Module]]) -> list[type[Module]]:
    """Return them with what a module requires before it, otherwise in the given order."""
    ordered: list[type[Module]] = []

    def place(cls: type[Module]) -> None:
        if cls not in ordered:
            for required in cls.requires:
                place(required)
            ordered.append(cls)

    for cls in classes:
        place(cls)
    return ordered


def _fill(host: Host, instance: Module, handlers: dict[Hook[object], list[tuple[int, object]]]) -> None:
    for name, mark in type(instance).marks():
        method = getattr(instance, name)
        match mark:
            case HookMark(hook=hook, phase=phase):
                handlers.setdefault(hook, []).append((int(phase), method))
            case IQMark(type=type_, payload=payload, to=targets):
                for target in targets:
                    entry = (method, payload, instance.open_to_others)
                    _put(host.iq_handlers, (type_, payload.TAG, target), entry, f"iq {type_} {payload.TAG}")
            case BeforeLoginMark(type=type_, payload=payload):
                _put(
                    host.before_login, (type_, payload.TAG), (method, payload), f"iq {type_} {payload.TAG} before login"
                )
            case NonzaMark(tag=tag, is_early=is_early):
                _put(host.nonza_handlers, tag, method, tag)
                if is_early:
                    host.early_nonzas.add(tag)
            case AccountPartMark(part=part, lazy=lazy):
                _put(host.part_loaders, part, (method, lazy), f"part {part.__name__}")


def _put(table: dict, key: object, value: object, what: str) -> None:  # type: ignore[type-arg]
    if key in table:
        raise LoadError(f"modules: two modules handle {what}")
    table[key] = value
