"""How the tree is kept in order: who may import whom, sizes, what must not be where. Each failure says what to do."""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

from compliance import declaration, runner
from xmppd.config import DEFAULT_MODULES

ROOT = Path(__file__).parents[1]
PACKAGES = ("codec", "storage", "push", "xmppd", "compliance", "bench", "tests")
SERVER = ("codec", "storage", "push", "xmppd")

MAX_FILE_LINES, MAX_TEST_LINES, MAX_FUNCTION_LINES = 600, 800, 60

# What stands beside Python's own library, and the only files that may import it.
LIBRARIES = {
    "aioapns": ("push/apns_connection.py",),
    "aiohttp": ("xmppd/web/", "push/http_client.py"),
    "OpenSSL": ("xmppd/s2s/tls.py",),
    "cassandra": ("storage/cassandra/",),
    "cryptography": (
        "push/apns.py",
        "push/webpush.py",
        "xmppd/certificates.py",
        "xmppd/s2s/identity.py",
        "xmppd/s2s/tls.py",
        "xmppd/tls.py",
        "xmppd/tls_engine.py",
    ),
    "obstore": ("xmppd/uploads/s3.py",),
    "dns": ("xmppd/s2s/resolver.py", "xmppd/s2s/stub_resolver.py"),
    "google": ("push/fcm.py",),
    "h2": ("push/apns_connection.py",),
    "http_ece": ("push/webpush.py",),
    "jwt": ("push/apns.py", "push/webpush.py"),
    "lxml": ("compliance/",),
    "precis_i18n": ("codec/jid.py", "xmppd/rooms/nicks.py", "xmppd/sasl/keys.py"),
    "prometheus_client": ("xmppd/metrics.py",),
    "pydantic": ("xmppd/config",),
    "rich": ("xmppd/cli/",),
    "slixmpp": ("codec/slixmpp_binary.py",),
    "structlog": ("xmppd/logs.py",),
    "typer": ("xmppd/cli/",),
    "uvloop": ("xmppd/cli/serve.py",),
    "zstandard": ("codec/binary_dictionary.py", "codec/train/"),
}
# The same for parts of Python's own library that only one place should know.
STANDARD_LIBRARY = {
    "sqlite3": ("storage/sqlite/",),
    "xml": (
        "codec/xml_reader.py",
        "codec/xml_parser.py",
        "codec/element.py",
        "codec/document.py",
        "codec/binary_nodes.py",
        "compliance/",
    ),
}
# codec turns bytes into events and back: it neither waits nor reads nor writes.
INPUT_AND_OUTPUT = {"asyncio", "select", "selectors", "signal", "socket", "ssl", "subprocess", "threading"}

# From ours: which of ours each part may import; the first row that fits a file counts.
OURS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("codec/", ("codec",)),
    ("storage/cassandra/", ("storage.interface", "storage.cassandra")),
    ("storage/sqlite/", ("storage.interface", "storage.sqlite")),
    ("storage/", ("storage.interface",)),
    ("compliance/", ("compliance",)),
    ("push/outbox.py", ("push.gateway", "push.rates")),
    ("push/apns.py", ("push.gateway", "push.apns_connection", "push.texts")),
    ("push/fcm.py", ("push.gateway", "push.http_client", "push.texts")),
    ("push/webpush.py", ("push.gateway", "push.http_client", "push.rates", "push.texts")),
    ("push/", ("push.gateway",)),
    (
        "xmppd/modules/",
        (
            "codec",
            "storage.interface",
            "xmppd.accounts",
            "xmppd.acks",
            "xmppd.clock",
            "xmppd.component",
            "xmppd.errors",
            "xmppd.hooks",
            "xmppd.host",
            "xmppd.module",
            "xmppd.modules",
            "xmppd.opaque_ids",
            "xmppd.pubsub",
            "xmppd.resource",
            "xmppd.rooms",
            "xmppd.sasl",
            "xmppd.stream_limits",
            "xmppd.uploads",
            # XEP-0357 is among the other modules: whom to wake depends on what 0198, 0352 and 0386 know of sessions
            "xmppd.waking",
        ),
    ),
    (
        "xmppd/waking/",
        (
            "codec",
            "push.gateway",
            "push.outbox",
            "push.rates",
            "storage.interface",
            "xmppd.errors",
            "xmppd.resource",
            "xmppd.waking",
        ),
    ),
    (
        "xmppd/uploads/",
        ("storage.interface", "xmppd.clock", "xmppd.config", "xmppd.config_media", "xmppd.metrics", "xmppd.uploads"),
    ),
    ("xmppd/storage_url.py", ("storage", "xmppd.config")),
    ("xmppd/push_", ("codec", "push", "storage.interface", "xmppd")),
    # a gateway's wrong files are an operator's message
    ("xmppd/server.py", ("codec", "push.gateway", "storage.interface", "xmppd")),
    ("xmppd/cli/push.py", ("codec", "push.gateway", "storage.interface", "xmppd")),
    ("xmppd/__main__.py", ("xmppd.cli",)),
    ("xmppd/cli/", ("codec", "storage.interface", "xmppd")),
    ("xmppd/", ("codec", "storage.interface", "xmppd")),
)
# Core files never reach up: modules are loaded by name, and the server and its command line stand above all else.
ABOVE_THE_CORE = ("xmppd.modules", "xmppd.cli", "xmppd.server")

BLANKET = {"Exception", "BaseException"}
# The dispatcher, the hook runner, the connection loop.
BLANKET_PLACES = ("xmppd/dispatch.py", "xmppd/host.py", "xmppd/stream.py")
# It drives a coroutine by hand, so whatever was thrown at it goes on into the coroutine.
PASSES_ON = ("xmppd/eager.py",)

# What a file may call while it is imported: things that only make a value.
VALUE_MAKERS = re.compile(
    r"(.*\.)?(_?[A-Z]\w*|frozenset|tuple|compile|lru_cache\(.*\)|lru_cache|encode|fromhex|maketrans|timedelta|range|len|object"
    r"|bytes|attr|child\w*|children|flag|text|any_child\w*|auto|field|one_of|int_between|clark|checks_of|mark|getenv|_\w+)"
)
CHANGERS = {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update"}

# What a module gets from its host instead: clock, ids, secrets, DNS.
FROM_HOST = re.compile(
    r"time\.(time|time_ns|monotonic|sleep)|uuid\.\w+|uuid4|random\.\w+|secrets\.\w+|os\.urandom"
    r"|datetime(\.datetime)?\.(now|utcnow|today)|date\.today|socket\.getaddrinfo"
)


@dataclass(frozen=True)
class Source:
    """One Python file; `path` is relative to the root and its own name everywhere below."""

    path: str

    @cached_property
    def text(self) -> str:
        return (ROOT / self.path).read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def package(self) -> str:
        return self.path.partition("/")[0]

    @property
    def name(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @cached_property
    def imports(self) -> list[tuple[int, str]]:
        """Line and dotted name of each import, wherever it stands; "from a import b" as a.b when that is a file."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [(node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                found += [(node.lineno, _file_or(f"{base}.{alias.name}", base)) for alias in node.names]
        return found


def _file_or(name: str, otherwise: str) -> str:
    path = ROOT / name.replace(".", "/")
    return name if path.with_suffix(".py").exists() or (path / "__init__.py").exists() else otherwise


@cache
def sources(*packages: str) -> list[Source]:
    """Return every Python file below some folders."""
    paths = [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]
    return [source(path.relative_to(ROOT).as_posix()) for path in paths]


@cache
def source(path: str) -> Source:
    """Return one file, always the same object: it is read once."""
    return Source(path)


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def is_module_file(source: Source) -> bool:
    """Whether the file defines a Module, not only helps one."""
    return any(
        isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "Module" for base in node.bases)
        for node in source.tree.body
    )


def functions(source: Source) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def report(faults: list[str]) -> None:
    """Fail with every fault, a line each."""
    if faults:
        pytest.fail("\n".join(faults), pytrace=False)


def test_libraries_stay_where_they_are_known():
    faults = []
    for source in sources(*SERVER, "compliance"):
        for line, name in source.imports:
            top = name.partition(".")[0]
            if top in PACKAGES or (top in sys.stdlib_module_names and top not in STANDARD_LIBRARY):
                continue
            allowed = (LIBRARIES | STANDARD_LIBRARY).get(top, ())
            if not source.path.startswith(allowed or ("-",)):
                where = (
                    " or ".join(allowed) or "nowhere yet: add it to LIBRARIES in tests/test_layout.py and to setup.cfg"
                )
                faults.append(f"{source.path}:{line} imports {top}, which belongs in {where}")
    report(faults)


def test_codec_neither_waits_nor_reads_nor_writes():
    report(
        [
            f"{source.path}:{line} imports {name}: codec turns bytes into events and back; move this to xmppd"
            for source in sources("codec")
            for line, name in source.imports
            if name.partition(".")[0] in INPUT_AND_OUTPUT
        ]
    )


def test_each_part_imports_only_what_is_below_it():
    faults = []
    for source in sources(*SERVER, "compliance"):
        allowed = next(row for start, row in OURS if source.path.startswith(start))
        for line, name in source.imports:
            if name.partition(".")[0] in PACKAGES and not within(name, allowed):
                faults.append(
                    f"{source.path}:{line} imports {name}; it may import {', '.join(allowed)} (STYLE: who may import whom)"
                )
    report(faults)


def test_the_core_does_not_know_what_stands_above_it():
    report(
        [
            f"{source.path}:{line} imports {name}: the core is below it; give the core a hook or an argument instead"
            for source in sources("xmppd")
            if not source.path.startswith(("xmppd/modules/", "xmppd/cli/", "xmppd/__main__.py"))
            for line, name in source.imports
            if within(name, ABOVE_THE_CORE)
        ]
    )


def test_modules_take_only_what_others_give():
    faults = []
    for source in sources("xmppd/modules"):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ImportFrom) and within(node.module or "", ("xmppd.modules",)):
                for alias in node.names:
                    if alias.name.startswith("_"):
                        faults.append(
                            f"{source.path}:{node.lineno} imports {alias.name}, which is private to {node.module}"
                        )
    report(faults)


def test_there_are_no_import_cycles():
    known = {source.name: source for source in sources(*SERVER, "compliance", "bench")}
    below = {name: {found for _, found in source.imports if found in known} - {name} for name, source in known.items()}
    # A file that is imported by nobody left, or imports nobody left, is in no cycle.
    while True:
        imported = set().union(*below.values()) if below else set()
        free = {name for name, found in below.items() if not found or name not in imported}
        if not free:
            break
        below = {name: found - free for name, found in below.items() if name not in free}
    report(
        [
            f"{name} is in an import cycle by way of {', '.join(sorted(found))}: move what both need below both"
            for name, found in sorted(below.items())
        ]
    )


def test_packages_hold_a_docstring_at_most():
    report(
        [
            f"{source.path}: an __init__.py holds one docstring and no code; put the code in a file of its own"
            for source in sources(*PACKAGES)
            if source.path.endswith("__init__.py") and (len(source.tree.body) > 1 or not ast.get_docstring(source.tree))
        ]
    )


def test_every_file_says_what_it_is_for():
    report(
        [
            f"{source.path} has no docstring: begin it with one line on what it is for"
            for source in sources(*SERVER, "compliance", "bench")
            if not ast.get_docstring(source.tree)
        ]
    )


def test_files_and_functions_stay_small():
    faults = []
    for source in sources(*PACKAGES):
        limit = MAX_TEST_LINES if source.package == "tests" else MAX_FILE_LINES
        if (lines := source.text.count("\n")) > limit:
            faults.append(f"{source.path} has {lines} lines, at most {limit}: divide it by concern")
        for function in functions(source):
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            if length > MAX_FUNCTION_LINES:
                faults.append(
                    f"{source.path}:{function.lineno} {function.name} has {length} lines, at most {MAX_FUNCTION_LINES}"
                )
    report(faults)


def test_everything_is_caught_in_three_places_alone():
    faults = []
    for source in sources(*SERVER):
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.ExceptHandler) or source.path in BLANKET_PLACES + PASSES_ON:
                continue
            caught = (
                {ast.unparse(part) for part in (node.type.elts if isinstance(node.type, ast.Tuple) else [node.type])}
                if node.type
                else BLANKET
            )
            raises_again = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if caught & BLANKET and not raises_again:
                faults.append(
                    f"{source.path}:{node.lineno} catches everything: name the errors, or clean up and end with a bare raise"
                )
    report(faults)


def test_clock_ids_and_dns_of_a_module_come_from_its_host():
    report(
        [
            f"{source.path}:{node.lineno} calls {ast.unparse(node.func)}: take clock, ids and DNS from self.host"
            for source in sources("xmppd/modules", "push")
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Call) and FROM_HOST.fullmatch(ast.unparse(node.func))
        ]
    )


def _runs_at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements of the file and of its classes that run when it is imported."""
    for node in tree.body:
        if isinstance(node, ast.If):  # TYPE_CHECKING, __main__
            continue
        yield node
        if isinstance(node, ast.ClassDef):
            yield from node.body


def test_importing_a_file_changes_nothing():
    faults = []
    for source in sources(*SERVER, "compliance"):
        for node in _runs_at_import(source.tree):
            where = f"{source.path}:{node.lineno}"
            if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
                faults.append(f"{where} does something at import: put it into a function that somebody calls")
            elif isinstance(node, ast.For | ast.While | ast.With | ast.Try | ast.Delete):
                faults.append(f"{where} runs at import: put it into a function that somebody calls")
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for call in ast.walk(node.value):
                    if isinstance(call, ast.Call) and not VALUE_MAKERS.fullmatch(ast.unparse(call.func)):
                        faults.append(f"{where} calls {ast.unparse(call.func)} at import: only values are made there")
    report(faults)


def test_no_file_keeps_state_of_its_own():
    faults = []
    for source in sources(*SERVER, "compliance"):
        tables = {
            target.id
            for node in source.tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        for function in functions(source):
            local = {
                name.id for name in ast.walk(function) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
            }
            local |= {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}
            faults += [
                f"{source.path}:{line} changes {name}, which the whole process shares: give it to an object"
                for line, name in _changes(function)
                if name in tables - local
            ]
    report(faults)


def _changes(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[int, str]]:
    """Yield line and name of everything that the function rebinds by `global`, or changes in place."""
    for node in ast.walk(function):
        if isinstance(node, ast.Global):
            for name in node.names:
                yield node.lineno, name
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            if isinstance(node.value, ast.Name):
                yield node.lineno, node.value.id
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in CHANGERS
            and isinstance(node.func.value, ast.Name)
        ):
            yield node.lineno, node.func.value.id


def expected_test(path: str) -> str:
    """Return where the tests of a source file are."""
    folder, _, file = path.rpartition("/")
    return f"tests/{folder.replace('xmppd/modules', 'modules')}/test_{file}"


def test_each_file_has_its_tests():
    faults = []
    for source in sources("codec", "storage", "push", "xmppd"):
        if source.path.endswith(("__init__.py", "__main__.py")) or not any(functions(source)):
            continue
        if not (ROOT / expected_test(source.path)).exists():
            faults.append(f"{source.path} has no tests: write {expected_test(source.path)}")
    report(faults)


def test_each_test_file_has_its_source():
    wanted = {expected_test(source.path) for source in sources("codec", "storage", "push", "xmppd")}
    report(
        [
            f"{source.path} tests no file: name it after the one it tests, or move it to tests/integration or tests/system"
            for source in sources("tests/codec", "tests/modules", "tests/xmppd")
            if source.path.rpartition("/")[2].startswith("test_") and source.path not in wanted
        ]
    )


def test_each_module_is_loaded_by_default():
    files = {
        source.path.rpartition("/")[2].removesuffix(".py")
        for source in sources("xmppd/modules")
        if is_module_file(source)
    }
    report(
        [
            f"{name} is not in DEFAULT_MODULES of xmppd/config.py: add it"
            for name in sorted(files - set(DEFAULT_MODULES))
        ]
        + [f"DEFAULT_MODULES names {name}: there is no such module" for name in DEFAULT_MODULES if name not in files]
    )


def test_each_module_has_a_declaration_and_the_reverse():
    modules = {source.name for source in sources("xmppd/modules", "push") if is_module_file(source)}
    declared = {found.module for found in declaration.load() if found.module}
    report(
        [
            f"{name} has no declaration: write compliance/declarations/{name.rpartition('.')[2]}.toml"
            for name in sorted(modules - declared)
        ]
        + [f"a declaration names {name}, which defines no Module" for name in sorted(declared - modules)]
    )


def test_declarations_keep_what_they_promise():
    report(declaration.problems(declaration.load(), {check.name for check in runner.collect()}))


def test_each_declared_document_is_in_the_change_log():
    text = (ROOT / "docs/CHANGELOG.md").read_text(encoding="utf-8")
    report(
        [
            f"{found.document} is declared ({found.name}.toml) but docs/CHANGELOG.md does not name it: add a line"
            for found in declaration.load()
            if found.status is not declaration.Status.PLANNED and found.document not in text
        ]
    )
