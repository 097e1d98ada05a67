"""The settings as text: the table of `docs/configuration.md`, and the annotated file that `xmppd init` writes.

python -m xmppd.config_reference > docs/configuration.md
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from xmppd.config import Config

INTRODUCTION = """# Settings

`xmppd init` writes an annotated `xmppd.toml`; `xmppd check` says what is wrong with one. A name that is no setting is refused,
with the nearest one that is. Relative paths start from the folder of the file, without a file from the current folder.

Later sources go over earlier ones: the defaults below, then the file (`--config FILE`, else `xmppd.toml` in the current folder),
then the environment, then the command line:

```
XMPPD_C2S__LISTEN='["127.0.0.1:15222"]' xmppd serve --set log.level=debug --set 'server.domains=["example.org"]'
```

Values there are TOML; a word that is no TOML value is taken as a text, and one text stands for a list of one. Names of parts that
are still to come (`cluster.redis`, `kafka.bootstrap`, `media.url`) may be given empty.

SIGHUP reads certificate and key files again, without closing a stream; other settings count from the next start.

This file is made by `python -m xmppd.config_reference`.
"""


def settings() -> Iterator[tuple[str, str, FieldInfo]]:
    """Yield (section, name, field) of every setting, in the order of the file."""
    for section, info in Config.model_fields.items():
        for name, field in info.annotation.model_fields.items():  # type: ignore[union-attr]
            yield section, name, field


def markdown() -> str:
    """Return the whole of `docs/configuration.md`."""
    lines = [INTRODUCTION, "| setting | default | meaning |", "|---|---|---|"]
    for section, name, field in settings():
        default = toml_value(_default(field))
        lines.append(f"| `{section}.{name}` | {f'`{default}`' if default else ''} | {field.description} |")
    return "\n".join(lines) + "\n"


def annotated(chosen: Mapping[str, Any]) -> str:
    """Return a configuration file that sets `chosen` (by dotted name) and shows every other setting, with its default, as a comment."""
    lines = [
        "# Settings of xmppd. What stands behind a # is the default.",
        "# `xmppd check` says what is wrong; docs/configuration.md has all of it on one page.",
    ]
    current = ""
    for section, name, field in settings():
        if section != current:
            current = section
            lines += ["", f"[{section}]"]
        lines.append(f"# {field.description}")
        dotted = f"{section}.{name}"
        if dotted in chosen:
            lines.append(f"{name} = {toml_value(chosen[dotted])}")
        else:
            shown = toml_value(_default(field)) or toml_value("")
            lines.append(f"#{name} = {shown}")
    return "\n".join(lines) + "\n"


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True, validated_data={})


def toml_value(value: Any) -> str:
    """Return a value as TOML; "" for None, which TOML does not have."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    print(markdown(), end="")
