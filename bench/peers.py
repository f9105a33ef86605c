"""bench/peers.py: other structures for the same question — who is next, how many are ahead — behind one interface.

`ListScan` is the rule written down plainly: the oracle that every other one, ours included, is held against. What a
peer cannot do stands in its `lacks`; it is then compared with the oracle on a load without it.
"""

import heapq
import sqlite3
from bisect import bisect_left
from collections.abc import Sequence
from typing import ClassVar, Protocol

from core.ranking import ClassRule, RankingPool, Skills

Ticket = tuple[int, int, int]  # service, class, T


class Peer(Protocol):
    """Profiles are numbered as given; `ahead` counts in the primary services of one of them."""

    lacks: ClassVar[tuple[str, ...]]

    def __init__(self, classes: Sequence[ClassRule], profiles: Sequence[Skills]) -> None: ...
    def add(self, serial: int, service: int, cls: int, t_eff: int) -> None: ...
    def call_next(self, profile: int, t: int) -> int | None: ...
    def ahead(self, serial: int, profile: int, t: int) -> int: ...


class Ours:
    """The pool itself."""

    lacks: ClassVar[tuple[str, ...]] = ()

    def __init__(self, classes: Sequence[ClassRule], profiles: Sequence[Skills]) -> None:
        self.pool = RankingPool(classes)
        for service in sorted(dict.fromkeys(s for skills in profiles for s in skills.primary + skills.overflow)):
            self.pool.add_service(service)
        self.ids = [self.pool.set_profile(counter, skills) for counter, skills in enumerate(profiles)]
        self.views = [self.pool.view_of(profile) for profile in self.ids]
        self.add = self.pool.add

    def call_next(self, profile: int, t: int) -> int | None:
        return self.pool.call_next(self.ids[profile], t)

    def ahead(self, serial: int, profile: int, t: int) -> int:
        return self.pool.ahead(serial, self.views[profile], t)


class ListScan:
    """Every waiting ticket is looked at, every time. Shares no code with the pool."""

    lacks: ClassVar[tuple[str, ...]] = ()

    def __init__(self, classes: Sequence[ClassRule], profiles: Sequence[Skills]) -> None:
        self.classes = list(classes)
        self.profiles = list(profiles)
        self.tickets: dict[int, Ticket] = {}
        self.calls: list[list[bool]] = [[] for _ in profiles]  # of each profile: was it contested

    def add(self, serial: int, service: int, cls: int, t_eff: int) -> None:
        self.tickets[serial] = (service, cls, t_eff)

    def remove(self, serial: int) -> None:
        del self.tickets[serial]

    def rank(self, serial: int, t: int, less: int = 0) -> tuple[int, int, int, int, int]:
        """Greater is first."""
        _, cls, t_eff = self.tickets[serial]
        rule = self.classes[cls]
        score = rule.rate * rule.head_start_ms + rule.rate * (t - t_eff) - less
        return rule.tier, score, -cls, -t_eff, -serial

    def eligible(self, profile: int, t: int) -> dict[int, tuple[int, int, int, int, int]]:
        """Who may be called by this profile before the cap is looked at, with rank."""
        skills = self.profiles[profile]
        found = {s: self.rank(s, t) for s, ticket in self.tickets.items() if ticket[0] in skills.primary}
        nobody = not found
        for serial, (service, _, t_eff) in self.tickets.items():
            waited_enough = skills.theta_ms == 0 or t - t_eff >= skills.theta_ms
            if service in skills.overflow and service not in skills.primary and (nobody or waited_enough):
                found[serial] = self.rank(serial, t, skills.handicap)
        return found

    def choose(self, profile: int, t: int) -> tuple[int, bool] | None:
        """The serial to call, and whether that is a contested call of a capped class."""
        found = self.eligible(profile, t)
        others = [serial for serial in found if self.classes[self.tickets[serial][1]].cap is None]
        cap = next((rule.cap for rule in self.classes if rule.cap), None)
        if cap and others:
            latest = self.calls[profile][-(cap[1] - 1) :] if cap[1] > 1 else []
            if sum(latest) >= cap[0]:
                found = {serial: found[serial] for serial in others}
        if not found:
            return None
        best = max(found, key=found.__getitem__)
        return best, bool(others) and best not in others

    def call_next(self, profile: int, t: int) -> int | None:
        chosen = self.choose(profile, t)
        if chosen is None:
            return None
        self.calls[profile].append(chosen[1])
        del self.tickets[chosen[0]]
        return chosen[0]

    def order(self, services: Sequence[int], t: int) -> list[int]:
        """Everybody who waits for one of these services, first in order first, the cap left aside."""
        waiting = [serial for serial, ticket in self.tickets.items() if ticket[0] in services]
        return sorted(waiting, key=lambda serial: self.rank(serial, t), reverse=True)

    def ahead(self, serial: int, profile: int, t: int) -> int:
        services, mine = self.profiles[profile].primary, self.rank(serial, t)
        return sum(self.rank(s, t) > mine for s, ticket in self.tickets.items() if ticket[0] in services)


class _PerView:
    """What the in-process peers share: the views that hold a service, also its own, and the cap."""

    lacks: ClassVar[tuple[str, ...]] = ("overflow",)

    def __init__(self, classes: Sequence[ClassRule], profiles: Sequence[Skills]) -> None:
        self.leads = [(rule.rate * rule.head_start_ms, rule.rate, rule.tier) for rule in classes]
        self.capped = [rule.cap is not None for rule in classes]
        self.cap = next((rule.cap for rule in classes if rule.cap), (1, 1))
        views = [skills.primary for skills in profiles]
        services = sorted(dict.fromkeys(service for view in views for service in view))
        self.views = [*views, *((service,) for service in services)]
        self.holding = {s: [v for v, view in enumerate(self.views) if s in view] for s in services}
        self.tickets: dict[int, tuple[int, int, int]] = {}  # key, class, service
        self.calls: list[list[int]] = [[0] * (self.cap[1] - 1) for _ in profiles]

    def head(self, view: int, cls: int) -> int | None:
        """The smallest key of a class in a view."""
        raise NotImplementedError

    def drop(self, serial: int) -> None:
        """The ticket waits no longer."""
        raise NotImplementedError

    def call_next(self, profile: int, t: int) -> int | None:
        heads = [(self.head(profile, cls), cls) for cls in range(len(self.leads))]
        others = any(key is not None and not self.capped[cls] for key, cls in heads)
        held_back = others and sum(self.calls[profile]) >= self.cap[0]
        best: tuple[int, int] | None = None
        chosen = chosen_cls = 0
        for key, cls in heads:
            if key is None or (held_back and self.capped[cls]):
                continue
            lead, rate, tier = self.leads[cls]
            rank = (tier, lead + rate * (t - (key >> 24)))
            if best is None or rank > best:
                best, chosen, chosen_cls = rank, key, cls
        if best is None:
            return None
        if self.cap[1] > 1:
            self.calls[profile].append(int(others and self.capped[chosen_cls]))
            del self.calls[profile][0]
        self.drop(chosen & 0xFFFFFF)
        return chosen & 0xFFFFFF

    def bound(self, cls: int, mine: int, key: int, t: int) -> int:
        """Keys of `cls` below this outrank the ticket `key` of class `mine` (same tier)."""
        lead, rate, _ = self.leads[mine]
        lead_c, rate_c, _ = self.leads[cls]
        reach = lead_c + rate_c * t - (lead + rate * (t - (key >> 24))) + (cls < mine)
        return -(-reach // rate_c) << 24


class SortedContainers(_PerView):
    """sortedcontainers: one SortedList per (view, class)."""

    def __init__(self, classes: Sequence[ClassRule], profiles: Sequence[Skills]) -> None:
        from sortedcontainers import SortedList

        super().__init__(classes, profiles)
        self.lanes = [[SortedList() for _ in classes] for _ in self.views]

    def add(self, serial: int, service: int, cls: int, t_eff: int) -> None:
        key = t_eff << 24 | serial
        for view in self.holding[service]:
            self.lanes[view][cls].add(key)
        self.tickets[serial] = (key, cls, service)

    def call_next(self, profile: int, t: int) -> int | None:
        """As the parent, in one function: the fair peer pays for no extra calls."""
        lanes, capped, leads = self.lanes[profile], self.capped, self.leads
        best: tuple[int, int] | None = None
        plain: tuple[int, int] | None = None
        chosen = chosen_cls = plain_key = plain_cls = 0
        for cls, lane in enumerate(lanes):
            if not lane:
                continue
            key = lane[0]
            lead, rate, tier = leads[cls]
            rank = (tier, lead + rate * (t - (key >> 24)))
            if not capped[cls] and (plain is None or rank > plain):
                plain, plain_key, plain_cls = rank, key, cls
            if best is None or rank > best:
                best, chosen, chosen_cls = rank, key, cls
        if best is None:
            return None
        if plain is not None and capped[chosen_cls] and sum(self.calls[profile]) >= self.cap[0]:
            chosen, chosen_cls = plain_key, plain_cls
        if self.cap[1] > 1:
            self.calls[profile].append(int(plain is not None and capped[chosen_cls]))
            del self.calls[profile][0]
        self.drop(chosen & 0xFFFFFF)
        return chosen & 0xFFFFFF

    def drop(self, serial: int) -> None:
        key, cls, service = self.tickets.pop(serial)
        for view in self.holding[service]:
            self.lanes[view][cls].remove(key)

    def ahead(self, serial: int, profile: int, t: int) -> int:
        key, mine, _ = self.tickets[serial]
        tier, count = self.leads[mine][2], 0
        for cls, lane in enumerate(self.lanes[profile]):
            if cls == mine:
                count += lane.bisect_left(key)
            elif self.leads[cls][2] == tier:
                count += lane.bisect_left(self.bound(cls, mine, key, t))
            elif self.leads[cls][2] > tier:
                count += len(lane)
        return count


class HeapLazy(_PerView):
    """heapq: one heap per (view, class), called tickets are skipped later. Has no rank."""

    lacks: ClassVar[tuple[str, ...]] = ("overflow", "ahead", "cancel and come back")

    def __init__(self, classes: Sequence[ClassRule], profiles: Sequence[Skills]) -> None:
        super().__init__(classes, profiles)
        self.lanes: list[list[list[int]]] = [[[] for _ in classes] for _ in self.views]

    def add(self, serial: int, service: int, cls: int, t_eff: int) -> None:
        key = t_eff << 24 | serial
        for view in self.holding[service]:
            heapq.heappush(self.lanes[view][cls], key)
        self.tickets[serial] = (key, cls, service)

    def head(self, view: int, cls: int) -> int | None:
        lane = self.lanes[view][cls]
        while lane and lane[0] & 0xFFFFFF not in self.tickets:
            heapq.heappop(lane)
        return lane[0] if lane else None

    def drop(self, serial: int) -> None:
        del self.tickets[serial]

    def ahead(self, serial: int, profile: int, t: int) -> int:
        raise NotImplementedError("a heap has no rank")


class SqliteStaticKey(_PerView):
    """SQLite in memory, one row per (view, ticket) in order of T - head start: right while rates are equal."""

    lacks: ClassVar[tuple[str, ...]] = ("overflow", "cap", "rates")

    def __init__(self, classes: Sequence[ClassRule], profiles: Sequence[Skills]) -> None:
        super().__init__(classes, profiles)
        self.heads = [rule.head_start_ms for rule in classes]
        self.base = sqlite3.connect(":memory:", isolation_level=None)
        self.base.execute(
            "CREATE TABLE waiting (view INT, tier INT, due INT, cls INT, serial INT, "
            "PRIMARY KEY (view, tier, due, cls, serial)) WITHOUT ROWID"
        )

    def _row(self, serial: int, cls: int, key: int) -> tuple[int, int, int, int]:
        return -self.leads[cls][2], (key >> 24) - self.heads[cls], cls, serial

    def add(self, serial: int, service: int, cls: int, t_eff: int) -> None:
        key = t_eff << 24 | serial
        self.tickets[serial] = (key, cls, service)
        row = self._row(serial, cls, key)
        self.base.executemany(
            "INSERT INTO waiting VALUES (?,?,?,?,?)", [(view, *row) for view in self.holding[service]]
        )

    def call_next(self, profile: int, t: int) -> int | None:
        found = self.base.execute(
            "SELECT serial FROM waiting WHERE view = ? ORDER BY tier, due, cls, serial LIMIT 1", (profile,)
        ).fetchone()
        if found is None:
            return None
        self.drop(found[0])
        return int(found[0])

    def drop(self, serial: int) -> None:
        key, cls, service = self.tickets.pop(serial)
        row = self._row(serial, cls, key)
        self.base.executemany(
            "DELETE FROM waiting WHERE view = ? AND tier = ? AND due = ? AND cls = ? AND serial = ?",
            [(view, *row) for view in self.holding[service]],
        )

    def ahead(self, serial: int, profile: int, t: int) -> int:
        key, cls, _ = self.tickets[serial]
        row = self._row(serial, cls, key)
        sql = "SELECT count(*) FROM waiting WHERE view = ? AND (tier, due, cls, serial) < (?,?,?,?)"
        return int(self.base.execute(sql, (profile, *row)).fetchone()[0])


class SqlOrderBy:
    """SQLite in memory, one row a ticket, the score calculated over all rows: what the simple systems do."""

    lacks: ClassVar[tuple[str, ...]] = ("overflow", "cap")

    def __init__(self, classes: Sequence[ClassRule], profiles: Sequence[Skills]) -> None:
        self.profiles = [",".join(map(str, skills.primary)) for skills in profiles]
        self.base = sqlite3.connect(":memory:", isolation_level=None)
        self.base.execute("CREATE TABLE waiting (serial INTEGER PRIMARY KEY, service INT, cls INT, t_eff INT)")
        self.base.execute("CREATE TABLE class (cls INTEGER PRIMARY KEY, lead INT, rate INT, tier INT)")
        rules = [(c, r.rate * r.head_start_ms, r.rate, r.tier) for c, r in enumerate(classes)]
        self.base.executemany("INSERT INTO class VALUES (?,?,?,?)", rules)

    def add(self, serial: int, service: int, cls: int, t_eff: int) -> None:
        self.base.execute("INSERT INTO waiting VALUES (?,?,?,?)", (serial, service, cls, t_eff))

    def call_next(self, profile: int, t: int) -> int | None:
        found = self.base.execute(
            f"SELECT serial FROM waiting JOIN class USING (cls) WHERE service IN ({self.profiles[profile]}) "
            "ORDER BY tier DESC, lead + rate * (? - t_eff) DESC, cls, t_eff, serial LIMIT 1",
            (t,),
        ).fetchone()
        if found is None:
            return None
        self.base.execute("DELETE FROM waiting WHERE serial = ?", found)
        return int(found[0])

    def ahead(self, serial: int, profile: int, t: int) -> int:
        sql = (
            "WITH ranked AS (SELECT serial, service, -tier AS tier, -(lead + rate * (:t - t_eff)) AS debt, cls, t_eff "
            "FROM waiting JOIN class USING (cls)) "
            "SELECT count(*) FROM ranked r, ranked m WHERE m.serial = :serial "
            f"AND r.service IN ({self.profiles[profile]}) AND (r.tier, r.debt, r.cls, r.t_eff, r.serial) "
            "< (m.tier, m.debt, m.cls, m.t_eff, m.serial)"
        )
        return int(self.base.execute(sql, {"t": t, "serial": serial}).fetchone()[0])


class Floor:
    """Not a peer but the ground: one bisect in the longest list and C head comparisons, on the pool's own lanes."""

    def __init__(self, ours: Ours, classes: Sequence[ClassRule]) -> None:
        lanes = next(lanes for view, _, lanes in ours.pool.contents()[0] if view == ours.views[0])
        self.rows = [(lane, r.rate * r.head_start_ms, r.rate) for lane, r in zip(lanes, classes, strict=True)]
        self.longest = max(lanes, key=len)

    def touch(self, key: int, t: int) -> tuple[int, int]:
        place = bisect_left(self.longest, key)
        best = None
        chosen = 0
        for lane, lead, rate in self.rows:
            if lane:
                score = lead + rate * (t - (lane[0] >> 24))
                if best is None or score > best:
                    best = score
                    chosen = lane[0]
        return place, chosen
