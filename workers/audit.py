"""workers/audit.py: every call of a hall judged by its fact alone; the counters of what the ranking promised."""

from core.auditor import audit
from core.facts_tickets import TicketCalled
from core.ranking import ClassRule
from core.state import HallState


class Audit:
    """`overtaken`: earlier visitors passed; `bound_broken`, `argmax_wrong`: must stay 0."""

    __slots__ = ("_classes", "_version", "argmax_wrong", "bound_broken", "overtaken")

    def __init__(self) -> None:
        self.overtaken = self.bound_broken = self.argmax_wrong = 0
        self._version = -1
        self._classes: tuple[ClassRule, ...] = ()

    def note(self, fact: TicketCalled, state: HallState) -> None:
        """One call, just folded. O(heads)."""
        if len(fact.why.heads) < 2:
            return  # nobody else was compared, so nobody was passed
        if fact.why.policy_version != self._version:
            self._version, self._classes = fact.why.policy_version, state.pool.classes()
        verdict = audit(fact.why, state.t(state.at_ms), self._classes)
        self.overtaken += verdict.overtaken
        self.bound_broken += verdict.bound_broken
        self.argmax_wrong += not verdict.argmax_ok
