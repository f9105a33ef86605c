"""core/ranking.py: who is called next — `RankingPool`, the order of the waiting tickets of one hall and one day.

A ticket's score grows while it waits: s(t) = a + b·(t - T); T is its effective time, b the rate of its class, a is b
times the head start. Order: tier, greater score, class order, smaller (T, serial). Inside a class that order never
changes, so one ascending list of keys T << 24 | serial per (view, class) is enough: only heads compete, and "how many
are ahead" is one bisect a class. All times are integer ms since the start of the day and may be negative.

No lock, no await, no clock, no float. Queries change nothing; what changes the pool is called by `Hall.evolve` alone.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from typing import Final, Self

import msgspec

from core.views import NO_VIEW, SERIAL_BITS, SERIAL_MASK, ClassRule, Lane, Profile, Skills, Views, ViewTable
from core.why import Why

__all__ = ["ClassRule", "RankSnapshot", "RankingPool", "Skills", "ViewRank", "ViewTable"]

SNAPSHOT_HEADS: Final = 10
NOBODY: Final = 1 << 100  # above every key and every negative score

Ranked = tuple[int, int, int, int, int]  # -tier, -score, class, key, primary: ascending is rank order
Entry = tuple[int, int, int, list[Lane]]  # key, class, service, the lanes it stands in
Contents = tuple[
    list[tuple[int, tuple[int, ...], list[Lane]]],  # view, services, lanes
    list[tuple[int, int, int, int]],  # serial, key, class, service
    list[tuple[int, "Skills", tuple[int, int]]],  # profile, skills, views
    list[tuple[int, list[int]]],  # profile, ring
]


class ViewRank(msgspec.Struct, frozen=True, array_like=True):
    """One view in a snapshot: how many wait in each class, and the first serials of each."""

    view: int
    lengths: tuple[int, ...]
    first: tuple[tuple[int, ...], ...]


class RankSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """What readers get: immutable, published by one reference assignment."""

    version: int
    t: int
    views: tuple[ViewRank, ...]


class RankingPool(Views):
    """The waiting tickets of one hall and day, in order. The head of this file has the structure."""

    def __init__(self, classes: Sequence[ClassRule]) -> None:
        super().__init__(classes)
        self._tickets: dict[int, Entry] = {}

    # Tickets.

    def add(self, serial: int, service: int, cls: int, t_eff: int) -> None:
        """A ticket starts to wait. One insertion in each view that holds its service."""
        assert 0 < serial <= SERIAL_MASK and serial not in self._tickets, (
            f"serial {serial} is out of range or waits already"
        )
        if service not in self._feeds:
            self.add_service(service)
        key = (t_eff << SERIAL_BITS) | serial
        feed = self._feeds[service][cls]
        for lane in feed:
            if lane and key < lane[-1]:
                insort(lane, key)
            else:
                lane.append(key)
        self._tickets[serial] = (key, cls, service, feed)
        self._version += 1

    def remove(self, serial: int) -> None:
        """A ticket waits no longer, or is about to be added with another T or class. KeyError if it did not wait."""
        key, _, _, feed = self._tickets.pop(serial)
        for lane in feed:
            del lane[0 if lane[0] == key else bisect_left(lane, key)]
        self._version += 1

    def __contains__(self, serial: int) -> bool:
        return serial in self._tickets

    def __len__(self) -> int:
        return len(self._tickets)

    def note_call(self, profile: int, contested: bool) -> None:
        """A ranked call of this profile enters its ring. Picked calls do not."""
        held = self._profiles[profile]
        if contested or held.ring:
            held.ring = (held.ring << 1 | contested) & self._ring_mask

    def call_next(self, profile: int, t: int) -> int | None:
        """Peek, note, remove: for the bench and for tests. A hall decides first and evolves after."""
        serial = self.peek(profile, t)
        if serial is None:
            return None
        if self._capped[self._tickets[serial][1]]:
            self.note_call(profile, self.contested(profile, t, serial))
        elif self._profiles[profile].ring:  # an empty ring stays as it is
            self.note_call(profile, False)
        self.remove(serial)
        return serial

    # Who is next.

    def peek(self, profile: int, t: int) -> int | None:
        """The serial to call at `t`, or None if nothing is eligible. Compares one head a class."""
        held = self._profiles[profile]
        for lane in held.watched:
            if lane:
                return self._peek_any(held, t)
        key, best = 0, NOBODY
        if held.mixed_rows:
            for lane, lead, rate in held.mixed_rows:
                if lane and rate * ((lane[0] >> SERIAL_BITS) - t) - lead < best:
                    key = lane[0]
                    best = rate * ((key >> SERIAL_BITS) - t) - lead
            return key & SERIAL_MASK if best < NOBODY else None
        # Equal rates: scores differ by T - head start alone, whatever t is. Serials do not decide between classes.
        for lane, lead in held.rows:
            if lane and lane[0] - lead < best:
                key = lane[0]
                best = (key - lead) & ~SERIAL_MASK
        if held.overflow_rows:
            limit = (t - held.theta + 1) << SERIAL_BITS if held.theta and best < NOBODY else NOBODY
            for lane, lead in held.overflow_rows:
                if lane and lane[0] < limit:
                    debt = (lane[0] - lead) & ~SERIAL_MASK
                    if debt == best:  # classes and then keys decide
                        return self._peek_any(held, t)
                    if debt < best:
                        key, best = lane[0], debt
        return key & SERIAL_MASK if best < NOBODY else None

    def _peek_any(self, held: Profile, t: int) -> int | None:
        """`peek` with tiers, cap and overflow."""
        heads = self._heads(held, t)
        if not heads:
            return None
        if self._holds_green(held, heads):
            heads = [head for head in heads if not self._capped[head[2]]]
        return min(heads)[3] & SERIAL_MASK

    def _heads(self, held: Profile, t: int) -> list[Ranked]:
        """The heads that compete at `t`, in no order; the smallest is first in rank."""
        heads = [
            (-tier, rate * ((lane[0] >> SERIAL_BITS) - t) - lead, cls, lane[0], 1)
            for lane, lead, rate, cls, tier in held.primary
            if lane
        ]
        limit = (t - held.theta + 1) << SERIAL_BITS if held.theta and heads else NOBODY
        heads += [
            (-tier, rate * ((lane[0] >> SERIAL_BITS) - t) - lead, cls, lane[0], 0)
            for lane, lead, rate, cls, tier in held.overflow
            if lane and lane[0] < limit
        ]
        return heads

    def _holds_green(self, held: Profile, heads: list[Ranked]) -> bool:
        """Whether the cap keeps capped classes back: k of the last n - 1 calls were contested, others are eligible."""
        return held.ring.bit_count() >= self._cap[0] and not all(self._capped[head[2]] for head in heads)

    def contested(self, profile: int, t: int, serial: int) -> bool:
        """Whether calling `serial`, of a capped class, takes the call from an eligible ticket of an uncapped one."""
        if not self._capped[self._tickets[serial][1]]:
            return False
        return not all(self._capped[head[2]] for head in self._heads(self._profiles[profile], t))

    def why(self, profile: int, t: int, policy_version: int, rule: str | None = None, picked: int | None = None) -> Why:
        """The heads compared for this profile at `t`, winner first, and the rule. KeyError if nothing is eligible.

        A `picked` ticket (选呼) is put first, whether it was a head or not; the rest is whom the ranking compared.
        """
        held = self._profiles[profile]
        heads = sorted(self._heads(held, t))
        held_back = False
        if picked is not None:
            key, cls, service, _ = self._tickets[picked]
            primary = int(service in held.skills.primary)
            score = -self._debt(cls, key >> SERIAL_BITS, t)
            heads = [(0, -score, cls, key, primary), *(head for head in heads if head[3] != key)]
            rule = rule or "picked"
        elif self._holds_green(held, heads):
            held_back = any(self._capped[head[2]] for head in heads)
            heads.sort(key=lambda head: self._capped[head[2]])
        if not heads:
            raise KeyError(profile)
        first = heads[0]
        capped = self._capped[first[2]]
        contested = picked is None and capped and not all(self._capped[head[2]] for head in heads)
        if rule is None:
            rule = "cap" if held_back else "green" if capped or first[0] < 0 else "score" if first[4] else "overflow"
        told = tuple(
            (cls, key & SERIAL_MASK, key >> SERIAL_BITS, -debt, primary) for _, debt, cls, key, primary in heads
        )
        return Why(rule, policy_version, told, contested, held.ring.bit_count())

    def _debt(self, cls: int, t_eff: int, t: int) -> int:
        """The score with the opposite sign: ascending order is rank order."""
        rule = self._classes[cls]
        return rule.rate * (t_eff - t - rule.head_start_ms)

    # How many are ahead.

    def ahead(self, serial: int, view: int, t: int) -> int:
        """Tickets of `view` that outrank `serial` at `t`, the cap left aside. Exact. KeyError if not waiting."""
        key, cls, _, _ = self._tickets[serial]
        return self._before(key, cls, view, t)

    def ahead_of(self, serial: int, cls: int, t_eff: int, view: int, t: int) -> int:
        """Tickets of `view` that would outrank a ticket that is not there yet."""
        return self._before((t_eff << SERIAL_BITS) | serial, cls, view, t)

    def _before(self, key: int, mine: int, view: int, t: int) -> int:
        """Tickets of `view` before one of class `mine`: one bisect a class."""
        lanes = self._views[view].lanes
        above, level, others = self._rivals[mine]
        found = bisect_left(lanes[mine], key)
        moment = key & ~SERIAL_MASK
        for cls, shift in level:
            lane = lanes[cls]
            if lane:
                found += bisect_left(lane, moment + shift)
        for cls in above:
            found += len(lanes[cls])
        for cls in others:
            found += bisect_left(lanes[cls], self._bound(key, mine, cls, t))
        return found

    def _bound(self, key: int, mine: int, cls: int, t: int) -> int:
        """Keys of `cls` below this outrank `key` of class `mine` at `t`; both classes are of one tier."""
        other = self._classes[cls]
        reach = other.rate * (other.head_start_ms + t) + self._debt(mine, key >> SERIAL_BITS, t) + (cls < mine)
        return -(-reach // other.rate) << SERIAL_BITS

    def ahead_by_class(self, serial: int, view: int, t: int) -> tuple[int, ...]:
        """As `ahead`, class by class: for "why not me"."""
        key, mine, _, _ = self._tickets[serial]
        tier = self._classes[mine].tier
        counts = []
        for cls, (rule, lane) in enumerate(zip(self._classes, self._views[view].lanes, strict=True)):
            if rule.tier != tier:
                counts.append(len(lane) if rule.tier > tier else 0)
            else:
                counts.append(bisect_left(lane, key if cls == mine else self._bound(key, mine, cls, t)))
        return tuple(counts)

    def top(self, view: int, k: int, t: int) -> list[int]:
        """The first `k` serials of `view` at `t`, the cap left aside."""
        return [key & SERIAL_MASK for _, _, _, key in self._first(view, k, t)]

    def _first(self, view: int, k: int, t: int, tier: int | None = None) -> list[tuple[int, int, int, int]]:
        """The first `k` of `view`, of one tier if given: (-tier, -score, class, key), in order."""
        found = [
            (-rule.tier, self._debt(cls, key >> SERIAL_BITS, t), cls, key)
            for cls, (rule, lane) in enumerate(zip(self._classes, self._views[view].lanes, strict=True))
            if tier is None or rule.tier == tier
            for key in lane[:k]
        ]
        found.sort()
        return found[:k]

    def reentry_t(self, service: int, cls: int, t_eff: int, t: int, n: int) -> int:
        """T of a missed ticket that comes back: just below the n-th of its tier now waiting for the service.

        Below the last if there are fewer; never earlier than its own T.
        """
        rule = self._classes[cls]
        before = self._first(self.service_view(service), n, t, rule.tier)
        if not before:
            return t_eff
        # Smallest T whose score is below that of the last in `before`; b·T' > a + b·t - s.
        reach = rule.rate * (rule.head_start_ms + t) + before[-1][1]
        return max(t_eff, reach // rule.rate + 1)

    def snapshot(self, t: int) -> RankSnapshot:
        """Lengths and the first serials of every class in every view, for readers."""
        return RankSnapshot(
            self._version,
            t,
            tuple(
                ViewRank(
                    view,
                    tuple(map(len, seen.lanes)),
                    tuple(tuple(key & SERIAL_MASK for key in lane[:SNAPSHOT_HEADS]) for lane in seen.lanes),
                )
                for view, seen in self._views.items()
            ),
        )

    # Across a restart.

    @classmethod
    def rebuilt(
        cls, classes: Sequence[ClassRule], table: ViewTable, tickets: Iterable[tuple[int, int, int, int]]
    ) -> Self:
        """The pool with this table and these tickets (serial, service, class, T). Rings follow by `restore_rings`."""
        pool = cls(classes)
        for service, view in table.services:
            pool._feeds[service] = [[] for _ in classes]
            pool._service_views[service] = view
        for view, services in table.views:
            pool._open_view(view, services)
        for _, view in table.services:
            pool._views[view].holders += 1
        for profile, skills, views in table.profiles:
            for view in views:
                if view != NO_VIEW:
                    pool._views[view].holders += 1
            pool._open_profile(profile, skills, views)
        for counter, profile in table.counters:
            pool._counters[counter] = profile
            pool._profiles[profile].holders += 1
        pool._next_view, pool._next_profile = table.next_view, table.next_profile
        for serial, service, klass, t_eff in tickets:
            key, feed = (t_eff << SERIAL_BITS) | serial, pool._feeds[service][klass]
            pool._tickets[serial] = (key, klass, service, feed)
            for lane in feed:
                lane.append(key)
        for seen in pool._views.values():
            for lane in seen.lanes:
                lane.sort()
        pool._version = table.version
        return pool

    def contents(self) -> Contents:
        """Everything that decides, as plain data in a canonical order: what a digest covers."""
        return (
            [(view, seen.services, seen.lanes) for view, seen in sorted(self._views.items())],
            [(serial, *self._tickets[serial][:3]) for serial in sorted(self._tickets)],
            [(profile, held.skills, held.views) for profile, held in sorted(self._profiles.items())],
            sorted(self.rings().items()),
        )
