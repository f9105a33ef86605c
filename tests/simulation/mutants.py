"""tests/simulation/mutants.py: planted mistakes. Each must be found by the simulation, or it would prove nothing.

A mutant is a change of the text of one function, found by what it says and not by its name; one that no longer fits the
program is an error, not a pass.
"""

import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

OURS = ("core", "devices", "workers")


class Mutant(NamedTuple):
    """`where`: a module, or a class in one. `changes`: regular expressions and what to put in their place."""

    name: str
    where: str
    changes: tuple[tuple[str, str], ...]


DISPATCHER = "workers.dispatcher:Dispatcher"
MUTANTS = (
    Mutant(
        "settled before the append",
        DISPATCHER,
        (
            (r"^( *)await self\._inbox\.settle\(batch\)\n", ""),
            (r"^( *)if parts:\n", r"\1await self._inbox.settle(batch)\n\1if parts:\n"),
        ),
    ),
    Mutant(
        "emitted before the append",
        DISPATCHER,
        (
            (
                r"^( *)if parts:\n( *await self\._journal)",
                r"\1await self._outbox.emit(self._messages())\n\1if parts:\n\2",
            ),
        ),
    ),
    Mutant(
        "the append's failure is swallowed",
        DISPATCHER,
        (
            (
                r"^( *)await self\._journal\.append\(parts\)\n",
                r"\1try:\n\1    await self._journal.append(parts)\n\1except Exception:\n\1    pass\n",
            ),
        ),
    ),
    Mutant(
        "pictures are drawn before the fold",
        DISPATCHER,
        (
            (r"^( *)messages = \[\*told, \*self\._messages\(\)\]", r"\1messages = [*told, *drawn]"),
            (r"^( *)parts, told = ", r"\1drawn = self._messages()\n\1parts, told = "),
        ),
    ),
    Mutant("a bare high-water mark", "core.window:Window", ((r"insort\(self\.above, seq\)", "self.floor = seq"),)),
    Mutant(
        "the digest of the body is ignored",
        "core.window:Window",
        ((r"return kept\[1\] if kept\[0\].* else .*", "return kept[1]"),),
    ),
    Mutant("only the last answer is kept", "core.window:Window", ((r"len\(answers\) >= ANSWERS", "answers"),)),
    Mutant(
        "the windows are not in the snapshot",
        "core.state:HallState",
        ((r"getattr\(self, name\) for", '({} if name == "windows" else getattr(self, name)) for'),),
    ),
    Mutant("replay forgets the causes", "workers.fold", ((r"at_ms, \(device, .*\)$", "at_ms)"),)),
    Mutant(
        "replay skips a fact now and then",
        "workers.fold",
        (
            (
                r"^( *)hall\.evolve\((.*)\)$",
                r"\1if n % 50 == 40:\n\1    hall.state.n = n\n\1else:\n\1    hall.evolve(\2)",
            ),
        ),
    ),
    Mutant("orders are not said again after a restart", "workers.fold", ((r"row, n > mark\)", "row, False)"),)),
    Mutant(
        "a start begins with what nobody has heard",
        "workers.recovery",
        ((r"list\[str\]\(\), published\(db\)", "list[str](), dict.fromkeys(range(1000), 1 << 40)"),),
    ),
    Mutant(
        "the epoch is not compared within the transaction",
        "workers.writer",
        ((r"if epoch != ours:", "if not epoch:"),),
    ),
    Mutant(
        "what a dead connection brought is acknowledged",
        "workers.inbox:Received",
        ((r"if first\.generation == self\._generation:", "if first:"),),
    ),
    Mutant("what is due happens twice", "workers.desk:Desk", ((r"in due\[1\]:", "in [*due[1], *due[1]]:"),)),
    Mutant("time goes back", "workers.desk:Desk", ((r"return state\.at_ms$", "return at_ms"),)),
    Mutant(
        "what was under way is forgotten at a reconnect",
        "workers.flights:Flights",
        ((r"self\.grounded = deque\(self\._open\)", "self.grounded = deque()"),),
    ),
    Mutant("nothing is painted after a reconnect", "workers.app:App", ((r"self\.dispatcher\.repaint\(.*\)", "pass"),)),
    Mutant(
        "the mark runs ahead of the PUBACKs",
        "workers.outbox:Mark",
        ((r"min\(self\.open, default=self\.highest \+ 1\) - 1", "self.highest"),),
    ),
)


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The program with the mistake."""
    module_name, _, class_name = mutant.where.partition(":")
    module = importlib.import_module(module_name)
    owner: Any = getattr(module, class_name) if class_name else module
    original = _fitting(mutant, owner, module)
    changed = _changed(mutant, original, module)
    places: list[Any] = [owner]
    if isinstance(owner, ModuleType):
        ours = [one for name, one in sys.modules.items() if name.partition(".")[0] in OURS]
        places = [one for one in ours if getattr(one, original.__name__, None) is original]
    for place in places:
        setattr(place, original.__name__, changed)
    try:
        yield
    finally:
        for place in places:
            setattr(place, original.__name__, original)


def _fitting(mutant: Mutant, owner: Any, module: ModuleType) -> FunctionType:
    """The one function whose text has every place that is to be changed."""
    functions = [one for one in vars(owner).values() if isinstance(one, FunctionType)]
    mine = [one for one in functions if one.__module__ == module.__name__]
    fitting = [
        one for one in mine if all(len(re.findall(old, _text(one), re.MULTILINE)) == 1 for old, _ in mutant.changes)
    ]
    assert len(fitting) == 1, f"{mutant.name!r} no longer fits {mutant.where}: plant it anew"
    return fitting[0]


def _text(function: FunctionType) -> str:
    return textwrap.dedent(inspect.getsource(function))


def _changed(mutant: Mutant, original: FunctionType, module: ModuleType) -> FunctionType:
    text = _text(original)
    for old, new in mutant.changes:
        text = re.sub(old, new, text, flags=re.MULTILINE)
    found: dict[str, Any] = {}
    exec(compile(text, f"<{mutant.name}>", "exec"), vars(module), found)
    made = found[original.__name__]
    assert isinstance(made, FunctionType)
    return made
