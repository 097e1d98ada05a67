"""Where settings come from: the file, then the environment, then the command line; each goes over the one before.

    xmppd.toml                     [c2s]  listen = ["[::]:5222"]
    XMPPD_C2S__LISTEN              '["[::]:5222"]'
    --set c2s.listen=              '["[::]:5222"]'

Values in the environment and on the command line are TOML; a word that is no TOML value is taken as a text.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from xmppd.config import Config
from xmppd.config_values import Section

DEFAULT_FILE = "xmppd.toml"
ENVIRONMENT_PREFIX = "XMPPD_"

# Names that stay, for parts that are not built yet: empty values are taken, so that one command line fits every version.
RESERVED: Mapping[str, str] = MappingProxyType(
    {
        "cluster.redis": "more than one server on the same data",
        "kafka.bootstrap": "Kafka",
    }
)

Key = tuple[str, ...]


class ConfigError(Exception):
    """The settings cannot be used; `lines` says why, one line for each fault."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


@dataclass(frozen=True, slots=True)
class _Setting:
    """One value, where it was given, and what the people who gave it call that place."""

    key: Key
    value: Any
    source: str


def load_config(file: Path | None, sets: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> Config:
    """Read all sources and return the settings.

    Args:
        file: the configuration file; None when there is none. Relative paths in settings start from its folder, or from
            the current folder when there is no file.
        sets: "section.key=value", as given with --set.
        environment: variables; those that begin with XMPPD_ and hold "__" count.

    Raises:
        ConfigError: with every fault found.
    """
    errors: list[str] = []
    settings = [
        *_from_file(file, errors),
        *_from_environment(environment or {}, errors),
        *_from_command_line(sets, errors),
    ]
    data = _merge([setting for setting in settings if _is_built(setting, errors)], errors)
    base = file.absolute().parent if file is not None else Path.cwd()
    try:
        config = Config.model_validate(data, context={"base": base})
    except ValidationError as error:
        errors.extend(_fault_lines(error, settings))
    else:
        errors.extend(_with_source(line, settings) for line in config.contradictions())
    if errors:
        raise ConfigError(errors)
    return config


def find_file(given: Path | None) -> Path | None:
    """Return the configuration file: the one given, else `xmppd.toml` in the current folder, else None.

    Raises:
        ConfigError: the one given is not there.
    """
    if given is not None:
        if not given.is_file():
            raise ConfigError([f"{given}: there is no such file"])
        return given
    usual = Path(DEFAULT_FILE)
    return usual if usual.is_file() else None


def _from_file(file: Path | None, errors: list[str]) -> list[_Setting]:
    if file is None:
        return []
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        errors.append(f"{file}: this is not TOML: {error}")
    except UnicodeDecodeError:
        errors.append(f"{file}: this is not text in UTF-8")
    except OSError as error:
        errors.append(f"{file}: cannot be read: {error.strerror}")
    else:
        return [_Setting(key, value, str(file)) for key, value in _leaves(data)]
    return []


def _from_environment(environment: Mapping[str, str], errors: list[str]) -> list[_Setting]:
    settings = []
    for name, text in sorted(environment.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or "__" not in name:
            continue
        key = tuple(part.lower() for part in name.removeprefix(ENVIRONMENT_PREFIX).split("__"))
        try:
            settings.append(_Setting(key, _value(text), name))
        except ValueError as error:
            errors.append(f"{name}: {error}")
    return settings


def _from_command_line(sets: Sequence[str], errors: list[str]) -> list[_Setting]:
    settings = []
    for text in sets:
        name, equals, value = text.partition("=")
        try:
            if not equals:
                raise ValueError("write it as section.key=value")
            settings.append(_Setting(_key(name), _value(value), "--set"))
        except ValueError as error:
            errors.append(f"--set {text}: {error}")
    return settings


def _key(name: str) -> Key:
    """Return the parts of a dotted name; a part with dots of its own stands in quotes."""
    try:
        ((key, _),) = _leaves(tomllib.loads(f"{name.strip()} = 0"))
    except (tomllib.TOMLDecodeError, ValueError):
        raise ValueError(f"{name} is not the name of a setting") from None
    return key


def _value(text: str) -> Any:
    """Return a TOML value, or the text itself when it is none and does not begin like one."""
    try:
        parsed = tomllib.loads(f"v = {text}")
        if parsed.keys() == {"v"}:
            return parsed["v"]
    except tomllib.TOMLDecodeError:
        pass
    # An address in brackets begins like a list.
    if text.lstrip()[:1] in ("{", '"', "'") or (text.lstrip()[:1] == "[" and not text.startswith("[:")):
        raise ValueError(f"{text} is not a TOML value")
    return text


def _leaves(table: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Yield every value with its place; an empty table is a value."""
    for name, value in table.items():
        key = (*above, name)
        if isinstance(value, dict) and value:
            yield from _leaves(value, key)
        else:
            yield key, value


def _is_built(setting: _Setting, errors: list[str]) -> bool:
    """Whether a setting goes to the model; one for a part that is not built is dropped, with an error unless it is empty."""
    part = RESERVED.get(".".join(setting.key))
    if part is None:
        return True
    if setting.value not in ("", [], {}):
        errors.append(f"{setting.source}: {'.'.join(setting.key)}: this version does not have {part} yet")
    return False


def _merge(settings: Sequence[_Setting], errors: list[str]) -> dict[str, Any]:
    """Return one table; later settings go over earlier ones."""
    merged: dict[str, Any] = {}
    for setting in settings:
        table = merged
        for part in setting.key[:-1]:
            below = table.setdefault(part, {})
            if not isinstance(below, dict):
                errors.append(f"{setting.source}: {'.'.join(setting.key)}: {part} is a value already, not a section")
                break
            table = below
        else:
            table[setting.key[-1]] = setting.value
    return merged


def _with_source(line: str, settings: Sequence[_Setting]) -> str:
    """Put before a line who gave the setting that it begins with."""
    name = line.split(maxsplit=1)[0].rstrip(":")
    for setting in reversed(settings):
        if ".".join(setting.key) == name:
            return f"{setting.source}: {line}"
    return line


def _fault_lines(error: ValidationError, settings: Sequence[_Setting]) -> Iterator[str]:
    """Yield one line for each thing that the models refuse."""
    for fault in error.errors(include_url=False):
        key = tuple(str(part) for part in fault["loc"])
        source = _source_of(key, settings)
        name = ".".join(key)
        if fault["type"] == "extra_forbidden":
            known = _nearest(key)
            yield f"{source}: {name} is not a setting" + (f"; did you mean {known}?" if known else "")
        elif fault["type"] == "missing":
            yield f"{source}: {name} is missing"
        else:
            message = fault["msg"].removeprefix("Value error, ")
            yield f"{source}: {name}: {message[:1].lower()}{message[1:]}"


def _source_of(key: Key, settings: Sequence[_Setting]) -> str:
    """Return who gave the value at `key`, or the part of it that is above or below."""
    for setting in reversed(settings):
        shared = min(len(setting.key), len(key))
        if setting.key[:shared] == key[:shared]:
            return setting.source
    return "default"


def _nearest(key: Key) -> str | None:
    """Return the setting whose name is most like this one."""
    known = list(setting_names(Config))
    last_parts = {other.rpartition(".")[2]: other for other in reversed(known)}
    if key[-1] in last_parts:  # the right name in the wrong section, or with none
        return last_parts[key[-1]]
    if close := difflib.get_close_matches(".".join(key), known, n=1, cutoff=0.75):
        return close[0]
    close = difflib.get_close_matches(key[-1], list(last_parts), n=1, cutoff=0.75)
    return last_parts[close[0]] if close else None


def setting_names(model: type[BaseModel], above: str = "") -> Iterator[str]:
    """Yield the dotted name of every section and setting."""
    for name, info in model.model_fields.items():
        dotted = f"{above}{name}"
        yield dotted
        if isinstance(info.annotation, type) and issubclass(info.annotation, Section):
            yield from setting_names(info.annotation, f"{dotted}.")
