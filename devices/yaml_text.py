"""devices/yaml_text.py: plain values as YAML: maps, lists, and scalars as JSON where a bare word could be misread."""

import json
import re
from typing import Any, Final

_BARE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./ -]*[A-Za-z0-9_.]|[A-Za-z_]")
_WORDS: Final = frozenset("y n yes no on off true false null none".split())  # noqa: SIM905 - reads as a list


def lines(value: Any, pad: str = "") -> list[str]:
    """The lines of a map or a list, indented by `pad`."""
    found: list[str] = []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, one in items:
        lead = f"{pad}{scalar(name)}:" if isinstance(value, dict) else f"{pad}-"
        if isinstance(one, dict | list) and one:
            inner = lines(one, pad + "  ")
            if isinstance(value, dict):
                found += [lead, *inner]
            else:
                found += [f"{lead} {inner[0].lstrip()}", *inner[1:]]
        else:
            found.append(f"{lead} {scalar(one)}")
    return found


def scalar(value: Any) -> str:
    """One value, or an empty map or list. A superset of JSON, so JSON is always right."""
    bare = isinstance(value, str) and _BARE.fullmatch(value) and value.lower() not in _WORDS
    return str(value) if bare else json.dumps(value, ensure_ascii=False)
