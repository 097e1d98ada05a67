"""What a module is, and the decorators that say what its methods take part in.

A decorator only marks the method; `xmppd.loader` makes one instance for each virtual host and fills that host's tables.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, TypeVar

from codec.payload import Payload
from xmppd.hooks import Hook, Phase
from xmppd.host import Host

F = TypeVar("F", bound=Callable[..., Any])

MARKS = "_xmppd_marks"


class Target(Enum):
    """Whom a request is for, when the server answers it."""

    DOMAIN = "domain"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class IQMark:
    """This method answers requests of that type with that payload."""

    type: str
    payload: type[Payload]
    to: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class BeforeLoginMark:
    """This method answers requests with that payload on streams that are not logged in: `(self, stream, iq)`."""

    type: str
    payload: type[Payload]


@dataclass(frozen=True, slots=True)
class HookMark:
    """This method is a handler of that hook."""

    hook: Hook[Any]
    phase: Phase


@dataclass(frozen=True, slots=True)
class AccountPartMark:
    """This method, `async (self, account) -> part`, loads what the module keeps of an account."""

    part: type
    lazy: bool


@dataclass(frozen=True, slots=True)
class NonzaMark:
    """This method, `(self, stream, element)`, takes direct children of a stream that are no stanzas; `is_early`: before login too."""

    tag: str
    is_early: bool


def _mark(mark: object) -> Callable[[F], F]:
    def add(method: F) -> F:
        setattr(method, MARKS, (*getattr(method, MARKS, ()), mark))
        return method

    return add


def iq_get(payload: type[Payload], *, to: tuple[Target, ...] = (Target.DOMAIN, Target.ACCOUNT)) -> Callable[[F], F]:
    """Answer iq-gets: `(self, iq) -> payload | Element | None`, plain or a coroutine; `iq.payload` is the parsed payload."""
    return _mark(IQMark("get", payload, to))


def iq_set(payload: type[Payload], *, to: tuple[Target, ...] = (Target.ACCOUNT,)) -> Callable[[F], F]:
    """Answer iq-sets, as `iq_get` does gets. A request to an account reaches only the account's own resources' handlers:
    from anyone else it is refused as service-unavailable unless the handler's module sets `open_to_others`."""
    return _mark(IQMark("set", payload, to))


def iq_before_login(type_: str, payload: type[Payload]) -> Callable[[F], F]:
    """Answer requests of strangers: `async (self, stream, iq) -> payload | Element | None`."""
    return _mark(BeforeLoginMark(type_, payload))


def on(hook: Hook[Any], *, phase: Phase = Phase.DELIVER) -> Callable[[F], F]:
    """Take part at a hook: `(self, event)`; for a filter, return the event, or None to end its way."""
    return _mark(HookMark(hook, phase))


def account_part(part: type, *, lazy: bool = False) -> Callable[[F], F]:
    """Load what the module keeps of an account. Not lazy: before any stanza for the account is handled, so that handlers
    need not wait (`account.part(Cls)`). Lazy: at the first `await account.load_part(Cls)`."""
    return _mark(AccountPartMark(part, lazy))


def nonza(tag: str, *, is_early: bool = False) -> Callable[[F], F]:
    """Take direct children of a stream that are no stanzas, by "namespace name"; `is_early`: before login too."""
    return _mark(NonzaMark(tag, is_early))


class Module:
    """One XEP, or one part of the core, for one virtual host.

    Class keywords:
        xep: its number, or None.
        features: namespaces that disco#info of the domain lists; `account_features`: of an account.
        requires: modules that must be loaded; `host.module(Cls)` gives them.
        stores: name -> KeyValStore or MapStore; `self.stores[name]` is that store, the module's own.
    """

    xep: ClassVar[int | None] = None
    features: ClassVar[tuple[str, ...]] = ()
    account_features: ClassVar[tuple[str, ...]] = ()
    requires: ClassVar[tuple[type["Module"], ...]] = ()
    store_types: ClassVar[Mapping[str, type]] = {}
    open_to_others: ClassVar[bool] = False

    def __init_subclass__(
        cls,
        xep: int | None = None,
        features: tuple[str, ...] = (),
        account_features: tuple[str, ...] = (),
        requires: tuple[type["Module"], ...] = (),
        stores: Mapping[str, type] | None = None,
        open_to_others: bool = False,
    ) -> None:
        cls.xep = xep
        cls.features = features
        cls.account_features = account_features
        cls.requires = requires
        cls.store_types = stores or {}
        cls.open_to_others = open_to_others

    def __init__(self, host: Host) -> None:
        self.host = host
        self.stores: dict[str, Any] = {
            name: host.open_store(f"{type(self).__module__.rpartition('.')[2]}.{name}", kind)
            for name, kind in self.store_types.items()
        }

    async def start(self) -> None:
        """Called once, when every module of the host is loaded and storage is open."""

    async def stop(self) -> None:
        """Called once, when every stream is closed and storage is still open: write what was kept for later."""

    @classmethod
    def marks(cls) -> list[tuple[str, object]]:
        """Return (method name, mark) of every decorated method."""
        found = []
        for name in dir(cls):
            for mark in getattr(getattr(cls, name, None), MARKS, ()):
                found.append((name, mark))
        return found
