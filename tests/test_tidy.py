"""tests/test_tidy.py: code checks code. Each rule has a planted violation that it must report."""

import ast
import importlib.metadata
import re
import statistics
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.hall import ANSWERS, DECIDE, EVOLVE

ROOT = Path(__file__).parent.parent
LAYERS = ("core", "devices", "workers", "bench", "tests")
PURE = "bisect collections core enum hashlib heapq itertools msgspec operator tomllib typing zlib".split()  # noqa: SIM905 - reads as a list
CLOCKS = {  # time zones, no clock; logarithms, for read models alone; partial, no cache
    "core/calendar.py": {"datetime", "zoneinfo"},
    "core/worktime.py": {"datetime", "zoneinfo"},
    "core/policy.py": {"zoneinfo"},
    "core/statistics.py": {"math"},
    "core/fact.py": {"functools"},
}
OWNERS = {
    "mqtt5": r"workers/(link|connection|flights).*\.py|(bench|tests)/.*",
    "aiomqtt": r"(devices/(client|scripted_core)|bench/noop_aiomqtt)\.py|tests/.*",  # the kit plays a hall: a client
}
BANNED = {"utils", "helpers", "common", "base", "types", "models", "manager", "info", "data"}
UNTESTED: dict[str, str] = {"workers/ports.py": "protocols only: nothing runs"}  # path: reason
Rule = typing.Callable[[str, ast.Module, str], Iterator[str]]


def imported(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], 0) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0], node.level


def imports(path: str, tree: ast.Module, text: str) -> Iterator[str]:
    """core <- devices <- workers <- bench; absolute; core keeps to pure modules; a wire library has one owner."""
    package = path.partition("/")[0]
    for name, level in imported(tree):
        if level or (name in LAYERS and LAYERS.index(name) > LAYERS.index(package)):
            yield f"imports {'.' * level}{name}"
        if package == "core" and name not in {*PURE, *CLOCKS.get(path, ())}:
            yield f"imports {name}, which is not on the list of pure modules"
        if name in OWNERS and not re.fullmatch(OWNERS[name], path):
            yield f"imports {name}, which belongs to {OWNERS[name]}"


def purity(path: str, tree: ast.Module, text: str) -> Iterator[str]:
    """No await, identity, set order or Any in core, and no float outside its statistics."""
    for node in ast.walk(tree) if path.startswith("core/") else ():
        name = node.id if isinstance(node, ast.Name) else ""
        called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        iterated = node.iter if isinstance(node, ast.For | ast.comprehension) else None
        over = iterated.func.id if isinstance(iterated, ast.Call) and isinstance(iterated.func, ast.Name) else ""
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield f"awaits in line {node.lineno}"
        if called in ("hash", "id", "open", "print", "input", "eval", "exec") or name == "Any":
            yield f"{called or name} in line {node.lineno}"
        if isinstance(iterated, ast.Set | ast.SetComp) or over in ("set", "frozenset"):
            yield f"iterates over a set in line {iterated.lineno}"
        inexact = isinstance(node, ast.Constant) and isinstance(node.value, float)
        inexact |= isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
        if (inexact or name == "float") and path != "core/statistics.py":
            yield f"a float in line {node.lineno}"


def states(path: str, tree: ast.Module, text: str) -> Iterator[str]:
    """A record's state is set in `advance`, a refusal is made in core/hall.py, and nowhere else."""
    for owner in ast.walk(tree) if path.startswith(("core/", "devices/")) else ():
        for node in ast.iter_child_nodes(owner) if getattr(owner, "name", "") not in ("advance", "__init__") else ():
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            if path.startswith("core/") and any(getattr(target, "attr", "") == "state" for target in targets):
                yield f"sets .state in line {node.lineno}"
            func = node.func if isinstance(node, ast.Call) else None
            if "Refused" in (getattr(func, "id", ""), getattr(func, "attr", "")) and path != "core/hall.py":
                yield f"makes Refused in line {node.lineno}"


def form(path: str, tree: ast.Module, text: str) -> Iterator[str]:
    """A first line that says what the file holds; sizes; names; each exception with code and reason."""
    first, stem = (ast.get_docstring(tree) or "").partition("\n")[0], Path(path).stem
    if len(first) < 15 or not (path.startswith("tests/") or stem.startswith("__") or first.startswith(f"{path}:")):
        yield f"begins with {first!r}"
    if stem in BANNED or (path.startswith("tests/") and stem == "__init__"):
        yield "has a banned name"
    if len(text.splitlines()) > 400:
        yield f"has {len(text.splitlines())} lines"
    for node in functions(tree):
        if length(node) > 50:
            yield f"{node.name} has {length(node)} lines"
    for line in text.splitlines():
        if re.search(r"# (noqa|type: ignore)(?!: [A-Z]+\d+(, [A-Z]+\d+)* - \w|\[[a-z-, ]+\]  # \w)", line):
            yield f"an exception without code and reason: {line.strip()}"


def mirror(path: str, tree: ast.Module, text: str) -> Iterator[str]:
    """Each x.py has tests/test_x.py, or test_<folder>_x.py where two share a name."""
    package, stem = path.partition("/")[0], Path(path).stem
    names = (f"tests/test_{stem}.py", f"tests/test_{Path(path).parent.name}_{stem}.py")
    exempt = package not in LAYERS[:3] or stem.startswith("__") or path in UNTESTED
    if not exempt and not any((ROOT / name).exists() for name in names):
        yield "has no test file"


def functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or 0) - node.lineno + 1


RULES: tuple[Rule, ...] = (imports, purity, states, form, mirror)
FILES = {str(path.relative_to(ROOT)): path.read_text() for layer in LAYERS for path in (ROOT / layer).rglob("*.py")}
TREES = {path: ast.parse(text) for path, text in FILES.items()}


@pytest.mark.parametrize("rule", RULES)
def test_the_house_is_tidy(rule: Rule) -> None:
    assert [f"{path} {said}" for path in sorted(FILES) for said in rule(path, TREES[path], FILES[path])] == []


HEAD = '"""core/x.py: something to plant."""\n'
PLANTED: list[tuple[Rule, str, str]] = [
    (imports, "core/x.py", "import devices.wire"),
    (imports, "devices/x.py", "from workers import link"),
    (imports, "core/x.py", "from . import ticket"),
    (imports, "core/x.py", "import time"),
    (imports, "core/ticket.py", "from datetime import datetime"),
    (imports, "workers/outbox.py", "import mqtt5"),
    (imports, "workers/link.py", "import aiomqtt"),
    *((purity, "core/x.py", code) for code in ("async def f(): ...", "hash(a)", "id(a)", "a: Any", "a = 0.5", "a / b")),
    *((purity, "core/x.py", code) for code in ("a /= 2", "float(a)", "[b for b in {1, 2}]", "for b in set(a): ...")),
    (states, "core/rules_x.py", "def f(ticket):\n    ticket.state = 1"),
    (states, "core/rules_x.py", "def f(ticket, x):\n    if x:\n        ticket.state = 1"),
    (states, "core/rules_x.py", "facts = [Refused('a', 'b')]"),
    (states, "devices/x.py", "fact = f.Refused('a', 'b')"),
    (form, "core/x.py", ""),
    (form, "core/utils.py", '"""core/utils.py: all sorts of things."""'),
    (form, "tests/__init__.py", '"""tests: a package that hides the others."""'),
    (form, "core/x.py", HEAD + "x = 1\n" * 400),
    (form, "core/x.py", HEAD + "def f():\n" + "    x = 1\n" * 50),
    *(
        (form, "core/x.py", f"{HEAD}x = 1  # {bare}")
        for bare in ("no" + "qa", "no" + "qa: E501", "type: " + "ignore[a]")
    ),
    (mirror, "core/x.py", ""),
    (mirror, "workers/nothing.py", ""),
]


@pytest.mark.parametrize(("rule", "path", "source"), PLANTED)
def test_each_rule_reports_what_is_planted(rule: Rule, path: str, source: str) -> None:
    assert list(rule(path, ast.parse(source), source))


def test_sizes() -> None:
    """Functions: median at most 10 lines, 90 % at most 40; files: median at most 150. Prints the table."""
    print("\npackage    files  median  largest  functions  median  p90  longest")
    for layer in (*LAYERS[:4], "all"):
        chosen = [path for path in FILES if path.startswith((layer, *(LAYERS[:4] if layer == "all" else ())))]
        files = sorted(len(FILES[path].splitlines()) for path in chosen)
        spans = sorted(length(node) for path in chosen for node in functions(TREES[path]))
        file_median, median, p90 = statistics.median(files), statistics.median(spans), spans[len(spans) * 9 // 10]
        print(
            f"{layer:9} {len(files):6} {file_median:7} {files[-1]:8} {len(spans):10} {median:7} {p90:4} {spans[-1]:8}"
        )
    assert median <= 10 and p90 <= 40 and file_median <= 150


def test_nobody_else_owns_our_packages() -> None:
    owners = importlib.metadata.packages_distributions()
    assert {owner for name in LAYERS[:3] for owner in owners.get(name, [])} <= {"jiaohao"}


@pytest.mark.parametrize("table", [DECIDE, EVOLVE, ANSWERS])
def test_tables_and_annotations_agree(table: dict[type, typing.Any]) -> None:
    """A rule stands under the kinds that its parameter takes: DECIDE and EVOLVE second, ANSWERS first."""
    for kind, rule in table.items():
        hint = list(typing.get_type_hints(rule).values())[0 if table is ANSWERS else 1]
        assert kind in (typing.get_args(hint) or (hint,)), rule
