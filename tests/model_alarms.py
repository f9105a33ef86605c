"""tests/model_alarms.py: the plain model: queues that are too long, counters that nobody sits at, flags on ratings.

Alerts are worked out anew each time from who waits; flags are counted in lists. An alert by minutes told is left out:
the estimate has its own tests.
"""

from typing import Any

from core import commands as c
from tests.model_room import MIN, WAITING, Desk, Rating, Room, Said

LIMITS = {"R1": 2, "R2": 3, "R3": 3, "R6": 3, "R10": 3, "R12": 3}
FAST = {"device": 1000, "pad": 3000}
BAD, OTHER, ALARM = 1_098_612, -20_409, 4_000_000


class Alarms(Room):
    """What somebody should look at."""

    codes: list[str]
    raised: list[str]
    marks: list[tuple[str, str]]
    scores: dict[str, int]

    # Queues.

    def known_codes(self) -> None:
        """Services keep the number that they had first."""
        self.codes += [part.code for part in self.policy.services if part.code not in self.codes]

    def alert_deadlines(self) -> list[tuple[int, int, int]]:
        """Each alert that does not say what is so: due with the fact that made it so."""
        if not self.open:
            return []
        wrong = [ident for ident, (name, _, _, over) in self.crowds().items() if over != (name in self.raised)]
        return [(self.now, 11, ident) for ident in wrong]

    def crowds(self) -> dict[int, tuple[str, int, int, bool]]:
        """By number of the alert: its name, how many, of how many, and whether that is too many."""
        limits, found = self.policy.alerts, {}
        waiting = {part.code: 0 for part in self.policy.services}
        for slip in self.slips.values():
            if slip.state == WAITING and self.eligible(slip):
                waiting[slip.service] += 1
        if limits.waiting:
            for code, count in waiting.items():
                found[self.codes.index(code) * 3] = self._crowd(f"waiting:{code}", count, limits.waiting)
        for at, zone in enumerate(self.policy.zones):
            served = [part.code for part in self.policy.services if part.zone == zone.code]
            if limits.seats_ppm and zone.seats and served:
                people = sum(waiting[code] for code in served) * zone.party_ppm // 1_000_000
                most = zone.seats * limits.seats_ppm // 1_000_000 + 1
                found[at * 3 + 2] = self._crowd(f"seats:{zone.code}", people, most)
        return found

    def _crowd(self, name: str, count: int, most: int) -> tuple[str, int, int, bool]:
        """Once raised it ends below three quarters."""
        return name, count, most, count >= most or (name in self.raised and 4 * count >= 3 * most)

    def alert_due(self, ident: int) -> list[Said]:
        name, count, most, over = self.crowds()[ident]
        kind, subject = name.split(":")
        if over:
            self.raised.append(name)
            return [Said("QueueAlertRaised", kind=kind, subject=subject, num=count, den=most)]
        self.raised.remove(name)
        return [Said("QueueAlertCleared", kind=kind, subject=subject)]

    # Counters.

    def empty_deadlines(self) -> list[tuple[int, int, int]]:
        """When each empty counter of the roster will have been empty too long, inside a period of today."""
        minutes, found = self.policy.conduct.uncovered_min, []
        rostered = [part.no for part in self.policy.counters if part.rostered]
        for desk in self.desks.values():
            if minutes and self.open and desk.no in rostered and not desk.staff and not desk.uncovered:
                dues = [max(start, desk.closed) + minutes * MIN for start, end in self.periods]
                inside = [due for due, (_, end) in zip(dues, self.periods, strict=True) if due < end]
                found += [(due, 10, desk.no) for due in inside[:1]]
        return found

    def empty_due(self, no: int, due: int) -> list[Said]:
        self.desks[no].uncovered = True
        return [Said("CounterUncovered", counter=no, since_ms=due - self.policy.conduct.uncovered_min * MIN)]

    def somebody_sits(self, desk: Desk) -> list[Said]:
        said = [Said("CounterCovered", counter=desk.no)] if desk.uncovered else []
        desk.uncovered = False
        return said

    # Ratings.

    def flags_of(self, rating: Rating, ask: c.SubmitEvaluation, device: str, at: int) -> list[Said]:
        """What a rating that counts makes suspicious."""
        keys = [("R2", rating.staff)] if rating.handled < 30_000 else []
        if device and at - (rating.shown or rating.opened) < FAST.get(ask.channel or "device", 0):
            keys.append(("R3", device))
        if rating.person:
            keys.append(("R10", f"{rating.person}-{rating.staff}"))
            keys += [("R12", rating.person)] if rating.level <= 2 else []
        said = self._mark(keys)
        if "CUSUM" in self.policy.evaluation.watch:
            for subject in (f"staff-{rating.staff}", f"counter-{rating.counter}", f"service-{rating.service}"):
                score = max(0, self.scores.get(subject, 0) + (BAD if rating.level <= 2 else OTHER))
                said += self._finding("CUSUM", subject, score) if score >= ALARM else []
                self.scores[subject] = score if score < ALARM else 0
        return said

    def flags_of_no(self, reason: str, device: str) -> list[Said]:
        """What a rating that does not count makes suspicious."""
        rule = {"no_serving": "R1", "already_rated": "R6"}.get(reason, "")
        return self._mark([(rule, device)] if rule and device else [])

    def _mark(self, keys: list[tuple[str, str]]) -> list[Said]:
        said = []
        for key in keys:
            if key[0] in self.policy.evaluation.watch:
                self.marks.append(key)
                if self.marks.count(key) == LIMITS[key[0]]:
                    said += self._finding(*key, LIMITS[key[0]])
        return said

    def _finding(self, rule: str, subject: str, num: int) -> list[Said]:
        return [Said("FindingRaised", finding=self._count("finding"), rule=rule, subject=subject, num=num)]

    def _count(self, what: str) -> int:
        raise NotImplementedError

    def watched(self) -> dict[str, Any]:
        """What the tables of the hall must hold."""
        return {
            "alerts": sorted(self.raised),
            "uncovered": sorted(desk.no for desk in self.desks.values() if desk.uncovered),
            "noted": {f"{rule}:{subject}": self.marks.count((rule, subject)) for rule, subject in self.marks},
            "cusum": {subject: score for subject, score in self.scores.items() if score},
        }
