"""bench/days.py: what a day was like, read from its journal: waits, estimates, fairness. No clock of its own."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from core import facts as f
from core import facts_tickets as t
from core import record
from devices.people import QUARTER_MS
from workers.ports import Row

GREEN: Final = "green"
SHARES: Final = (0.5, 0.9, 0.99)


class Waiting(msgspec.Struct):
    """A ticket on the list of a service, as the ranking sees it."""

    cls: str
    t_ms: int
    overtaken: int = 0
    latest_ms: int = 0  # how much later the latest that passed it had come


class Account(msgspec.Struct):
    """A day of one or more halls."""

    taken: int = 0
    called: int = 0
    served: int = 0
    missed: int = 0
    returned: int = 0
    transferred: int = 0
    held: int = 0
    recalled: int = 0
    rated: int = 0
    levels: int = 0  # sum
    offline: int = 0
    booked: int = 0
    waits: dict[int, list[int]] = {}  # quarter hours since midnight UTC of the taking -> waits in ms
    told: list[tuple[int, int, int]] = []  # waited, P50 and P90 told, ms
    overtaken: list[int] = []
    latest_ms: int = 0
    beyond: int = 0  # overtakings by more than the largest head start, green aside


class Reader:
    """One hall's facts in order."""

    def __init__(self, account: Account, head_start_ms: int) -> None:
        self.account, self._head_start_ms = account, head_start_ms
        self._taken: dict[int, tuple[int, t.TicketTaken]] = {}
        self._lists: dict[str, dict[int, Waiting]] = {}
        self._of: dict[int, tuple[str, str, int]] = {}  # ticket -> service, class, T

    def read(self, row: Row) -> None:
        """One fact."""
        fact, _, _ = record.decode(row.kind, row.v, row.payload)
        act = READ.get(type(fact))
        if act is not None:
            act(self, fact, row.at_ms)

    def _takes(self, fact: t.TicketTaken, at_ms: int) -> None:
        account = self.account
        account.taken += 1
        account.offline += fact.offline
        account.booked += fact.booking > 0
        self._taken[fact.ticket] = (fact.happened_ms or at_ms, fact)
        self._of[fact.ticket] = (fact.service, fact.cls, fact.t_eff_ms)
        if not fact.eligible_ms:
            self._joins(fact.ticket)

    def _joins(self, ticket: int) -> None:
        service, cls, t_ms = self._of[ticket]
        self._lists.setdefault(service, {})[ticket] = Waiting(cls, t_ms)

    def _eligible(self, fact: t.TicketEligible, at_ms: int) -> None:
        self._joins(fact.ticket)

    def _calls(self, fact: t.TicketCalled, at_ms: int) -> None:
        account = self.account
        account.called += 1
        if fact.first:
            taken_ms, taken = self._taken[fact.ticket]
            account.waits.setdefault(taken_ms // QUARTER_MS, []).append(fact.waited_ms)
            if taken.eta_s and taken.eta_p90_s:
                account.told.append((fact.waited_ms, taken.eta_s * 1000, taken.eta_p90_s * 1000))
        service, cls, t_ms = self._of[fact.ticket]
        waiting = self._lists.setdefault(service, {})
        mine = waiting.pop(fact.ticket, None)
        if mine is not None:
            account.overtaken.append(mine.overtaken)
            account.latest_ms = max(account.latest_ms, mine.latest_ms)
        if fact.why.rule != "score":
            return
        for other in waiting.values():
            if other.t_ms < t_ms and other.cls != GREEN and cls != GREEN:
                other.overtaken += 1
                other.latest_ms = max(other.latest_ms, t_ms - other.t_ms)
                account.beyond += t_ms - other.t_ms > self._head_start_ms

    def _leaves(self, fact: Any, at_ms: int) -> None:
        service = self._of[fact.ticket][0]
        self._lists.get(service, {}).pop(fact.ticket, None)

    def _misses(self, fact: t.TicketMissed, at_ms: int) -> None:
        self.account.missed += 1

    def _requeues(self, fact: t.TicketRequeued, at_ms: int) -> None:
        self.account.returned += 1
        service, cls, _ = self._of[fact.ticket]
        self._of[fact.ticket] = (service, cls, fact.t_eff_ms)
        self._joins(fact.ticket)

    def _transfers(self, fact: t.TicketTransferred, at_ms: int) -> None:
        self.account.transferred += 1
        self._leaves(fact, at_ms)
        self._of[fact.ticket] = (fact.service, self._of[fact.ticket][1], fact.t_eff_ms)
        self._joins(fact.ticket)

    def _serves(self, fact: t.ServingFinished, at_ms: int) -> None:
        self.account.served += 1

    def _holds(self, fact: t.TicketHeld, at_ms: int) -> None:
        self.account.held += 1

    def _recalls(self, fact: t.TicketRecalled, at_ms: int) -> None:
        self.account.recalled += 1

    def _rates(self, fact: f.EvaluationSubmitted, at_ms: int) -> None:
        self.account.rated += 1
        self.account.levels += fact.level


READ: Final[dict[type, Any]] = {
    t.TicketTaken: Reader._takes,
    t.TicketEligible: Reader._eligible,
    t.TicketCalled: Reader._calls,
    t.TicketMissed: Reader._misses,
    t.TicketRequeued: Reader._requeues,
    t.TicketReleased: lambda reader, fact, at_ms: reader._joins(fact.ticket),
    t.TicketTransferred: Reader._transfers,
    t.TicketCancelled: Reader._leaves,
    t.TicketExpired: Reader._leaves,
    t.ServingFinished: Reader._serves,
    t.TicketHeld: Reader._holds,
    t.TicketRecalled: Reader._recalls,
    f.EvaluationSubmitted: Reader._rates,
}


class Summary(msgspec.Struct):
    """For a report. Waits by quarter hour of the taking, Shanghai time; minutes."""

    counts: dict[str, int]
    wait_min: dict[str, float]
    quarters: list[tuple[str, int, float, float, float]]  # from, tickets, median, P90, longest
    ratings: dict[str, float]
    eta: dict[str, float]
    fairness: dict[str, float]


def quantile(values: Iterable[int], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * share))]) if ordered else 0.0


def summary(account: Account) -> Summary:
    """The account in figures."""
    waits = [wait for some in account.waits.values() for wait in some]
    quarters = [_quarter(slot, account.waits[slot]) for slot in sorted(account.waits)]
    names = ("taken", "called", "recalled", "served", "missed", "returned", "transferred", "held", "offline", "booked")
    return Summary(
        counts={name: getattr(account, name) for name in names},
        wait_min=wait_figures(waits),
        quarters=quarters,
        ratings=_ratings(account),
        eta=_eta(account.told),
        fairness=_fairness(account),
    )


def wait_figures(waits_ms: list[int]) -> dict[str, float]:
    """Mean and quantiles in minutes."""
    mean = sum(waits_ms) / max(1, len(waits_ms))
    return {"mean": mean / 60_000, **{f"p{share * 100:g}": quantile(waits_ms, share) / 60_000 for share in SHARES}}


def _quarter(slot: int, waits: list[int]) -> tuple[str, int, float, float, float]:
    minute = (slot * 15 + 8 * 60) % 1440
    figures = (quantile(waits, 0.5), quantile(waits, 0.9), max(waits))
    return (f"{minute // 60:02d}:{minute % 60:02d}", len(waits), *(one / 60_000 for one in figures))  # type: ignore[return-value]  # three of them


def _eta(told: list[tuple[int, int, int]]) -> dict[str, float]:
    count = max(1, len(told))
    errors = [abs(waited - p50) for waited, p50, _ in told]
    return {
        "told": len(told),
        "error_p50_min": quantile(errors, 0.5) / 60_000,
        "error_mean_min": sum(errors) / count / 60_000,
        "within_p50": sum(waited <= p50 for waited, p50, _ in told) / count,
        "within_p90": sum(waited <= p90 for waited, _, p90 in told) / count,
    }


def _ratings(account: Account) -> dict[str, float]:
    """How many, of those that were served, and what they say: 5 is best."""
    return {
        "rated": float(account.rated),
        "response": account.rated / max(1, account.served),
        "mean_level": account.levels / max(1, account.rated),
    }


def alone(waits: Iterable[tuple[int, int]]) -> Summary:
    """The same figures of a day that was only drawn up: (taken, waited) in ms. No more than waits."""
    account = Account()
    for taken_ms, waited_ms in waits:
        account.waits.setdefault(taken_ms // QUARTER_MS, []).append(waited_ms)
    return summary(account)


def _fairness(account: Account) -> dict[str, float]:
    many = max(1, len(account.overtaken))
    return {
        "overtaken_share": sum(one > 0 for one in account.overtaken) / many,
        "overtakes_p99": quantile(account.overtaken, 0.99),
        "overtakes_most": float(max(account.overtaken, default=0)),
        "latest_overtaker_min": account.latest_ms / 60_000,
        "beyond_the_bound": float(account.beyond),
    }
