"""workers/replays.py: read a journal without owning it: fold it, compare with its snapshots, print facts."""

import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from core import record
from core.facts_tickets import TicketCalled
from core.hall import Hall
from core.state import HallState
from core.ticket import State
from core.why import Language
from devices.pictures import tell
from workers import fold, reading, recovery
from workers.ports import JournalDamaged, Missing, Row


class HallDigest(msgspec.Struct):
    """What replay found of one hall. `snapshots`: compared with the fold, all equal or the command fails."""

    hall: str
    n: int
    digest: str
    snapshots: int


class Replayed(msgspec.Struct):
    """The document of `replay --json`."""

    v: int
    halls: list[HallDigest]


async def rows(data: Path) -> AsyncGenerator[tuple[str, int, Row], None]:
    """Every fact of all months in order, each batch checked. Missing when there is no journal."""
    if recovery.newest_file(data) is None:
        raise Missing(f"no journal in {data}")
    async with aclosing(reading.blocks(data, 0)) as found:
        async for block in found:
            for hall, n, row in block:
                yield hall, n, Row(*row)


async def stored(data: Path) -> dict[tuple[str, int], bytes]:
    """Every stored snapshot that is whole, by (hall, n)."""
    sql = "SELECT w.text, s.hall_seq, s.data FROM snapshot s JOIN word w ON w.id = s.hall"
    found: dict[tuple[str, int], bytes] = {}
    for path in recovery.files(data):
        some = await reading.once(path, lambda db: db.execute(sql).fetchall())
        found.update(((hall, n), state) for hall, n, state in some)
    return found


async def folded(data: Path, to: int) -> tuple[dict[str, Hall], dict[str, int]]:
    """Halls folded from the first fact on, and how many snapshots agreed. JournalDamaged when one does not."""
    halls: dict[str, Hall] = {}
    agreed: dict[str, int] = {}
    snapshots: dict[tuple[str, int], bytes] | None = None
    async with aclosing(rows(data)) as found_rows:
        async for name, n, row in found_rows:
            if snapshots is None:
                snapshots = await stored(data)
            hall = halls.setdefault(name, Hall(HallState(name)))
            if to and n > to:
                continue
            fold.apply(hall, n, row)
            kept = snapshots.get((name, n))
            if kept is not None:
                if kept != hall.state.snapshot():
                    raise JournalDamaged(f"hall {name}: the snapshot at {n} is not the fold of the facts up to it")
                agreed[name] = agreed.get(name, 0) + 1
    return halls, agreed


async def print_digests(data: Path, to: int, as_json: bool, bare: bool) -> None:
    """One line a hall, or one document."""
    halls, agreed = await folded(data, to)
    found = [HallDigest(name, hall.state.n, hall.state.digest(), agreed.get(name, 0)) for name, hall in halls.items()]
    if as_json:
        sys.stdout.write(msgspec.json.encode(Replayed(1, found)).decode() + "\n")
        return
    for one in found:
        line = f"{one.hall} {one.n} {one.digest}"
        sys.stdout.write(line + ("\n" if bare else f" ({one.snapshots} snapshots agree)\n"))


class Told(msgspec.Struct):
    """One call of a ticket and why it was this one."""

    hall: str
    n: int
    at_ms: int
    counter: int
    rule: str
    sentence: str
    heads: list[tuple[int, int, int, int, int]]


async def why(data: Path, number: str, lang: Language) -> list[Told]:
    """Every call of a number, with its reason told from the fact and the policy of its time."""
    halls: dict[str, Hall] = {}
    found: list[Told] = []
    async with aclosing(rows(data)) as found_rows:
        async for name, n, row in found_rows:
            hall = halls.setdefault(name, Hall(HallState(name)))
            fact, _, _ = record.decode(row.kind, row.v, row.payload)
            if isinstance(fact, TicketCalled) and fact.number == number:
                told = tell(hall.state, fact.why, lang)
                found.append(Told(name, n, row.at_ms, fact.counter, fact.why.rule, told, list(fact.why.heads)))
            fold.apply(hall, n, row)
    return found


WAITS: Final[dict[Language, str]] = {
    "zh": "{hall} {number}:等候中,同一业务前面还有 {ahead} 人;叫到后才有理由可说。",
    "en": "{hall} {number}: waits, {ahead} ahead in its service; why it is called can be told once it is called.",
}


async def waits(data: Path, number: str, lang: Language) -> list[str]:
    """One sentence for each hall in which the number waits at its last fact."""
    halls: dict[str, Hall] = {}
    last_ms: dict[str, int] = {}
    async with aclosing(rows(data)) as found_rows:
        async for name, n, row in found_rows:
            fold.apply(halls.setdefault(name, Hall(HallState(name))), n, row)
            last_ms[name] = row.at_ms
    found = []
    for name, hall in halls.items():
        state, pool = hall.state, hall.state.pool
        for one in state.tickets.values():
            if one.number == number and one.state is State.WAITING:
                serial = state.serial(one.ticket)
                ahead = pool.ahead(serial, pool.service_view(one.service), state.t(last_ms[name]))
                found.append(WAITS[lang].format(hall=name, number=number, ahead=ahead))
    return found


async def print_why(data: Path, number: str, lang: Language, as_json: bool) -> None:
    """One line a call, or one document; one that waits is told. Missing: no such number was ever called or waits."""
    found = await why(data, number, lang)
    if as_json:
        sys.stdout.write(msgspec.json.encode({"v": 1, "calls": found}).decode() + "\n")
        return
    if not found:
        waiting = await waits(data, number, lang)
        if not waiting:
            todo = (
                f"jiaohao replay {data} --ticket {number} prints what became of it; nothing: no such number was given"
            )
            raise Missing(f"{number} was never called and does not wait\n{data}\n{todo}")
        sys.stdout.write("\n".join(waiting) + "\n")
    for one in found:
        at = datetime.fromtimestamp(one.at_ms / 1000, UTC).isoformat(timespec="seconds")
        sys.stdout.write(f"{at} counter {one.counter}: {one.sentence}\n")


async def print_facts(data: Path, number: str, to: int) -> None:
    """Facts as JSON lines: all, or those of one ticket number."""
    tickets: set[tuple[str, int]] = set()
    async with aclosing(rows(data)) as found_rows:
        async for hall, n, row in found_rows:
            if to and n > to:
                continue
            fact, _, actor = record.decode(row.kind, row.v, row.payload)
            if number:
                ticket = (hall, getattr(fact, "ticket", 0))
                if getattr(fact, "number", "") == number:
                    tickets.add(ticket)
                if ticket not in tickets:
                    continue
            line: dict[str, Any] = {"v": 1, "hall": hall, "n": n, "at_ms": row.at_ms, "fact": type(fact).__name__}
            line |= {name: getattr(fact, name) for name in fact.__struct_fields__}
            line |= {"cause": [row.device, row.boot, row.dseq] if row.device else None, "actor": actor}
            sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
