"""core/rules_conduct.py: decide and evolve for the ledger of conduct, its grounds and warnings, and findings.

Every change of the ledger is compared before and after: a ground that appears raises a finding, one that goes
withdraws it, a limit that comes near is a warning. Nothing here acts on a person.
"""

from core.cases import Case
from core.commands_cases import RaiseFinding, RecordConduct, ReviewFinding, VoidConduct
from core.conduct import TRANSITIONS, Entry, Finding, FindingState, Ground, grounds, warning
from core.fact import Fact
from core.facts_cases import (
    ConductRecorded,
    ConductVoided,
    ConductWarned,
    FindingRaised,
    FindingReviewed,
    FindingWithdrawn,
)
from core.refusals import Refusal
from core.rules_seats import Decision
from core.state import HallState
from core.worktime import is_day, local_day


def record(state: HallState, command: RecordConduct, at_ms: int, device: str) -> Decision:
    """An entry, of a day that has come."""
    if not is_day(command.on_day):
        return Refusal.BAD_FIELD
    if command.on_day > _today(state, at_ms):
        return Refusal.FUTURE_DAY
    entry = Entry(state.next_entry, command.staff, command.kind, command.on_day, command.half_days)
    return entry_facts(state, entry, at_ms)


def complaint_facts(state: HallState, case: Case, at_ms: int) -> list[Fact]:
    """The entry of a complaint that was found true, of the day of the verdict; once a case."""
    if any(one.case == case.case and not one.void for one in state.conduct.values()):
        return []
    return entry_facts(
        state, Entry(state.next_entry, case.staff, "complaint", _today(state, at_ms), case=case.case), at_ms
    )


def entry_facts(state: HallState, entry: Entry, at_ms: int) -> list[Fact]:
    """An entry and what follows from it."""
    recorded = ConductRecorded(entry.entry, entry.staff, entry.kind, entry.on_day, entry.half_days, entry.case)
    before = _of_year(state, entry.staff, entry.on_day // 10000)
    return [recorded, *_changes(state, entry, before, [*before, entry], at_ms)]


def void(state: HallState, command: VoidConduct, at_ms: int, device: str) -> Decision:
    """An entry counts no more."""
    entry = state.conduct.get(command.entry)
    if entry is None:
        return Refusal.ENTRY_UNKNOWN
    if entry.void:
        return Refusal.WRONG_STATE
    before = _of_year(state, entry.staff, entry.on_day // 10000)
    after = [one for one in before if one.entry != entry.entry]
    return [ConductVoided(entry.entry, command.why), *_changes(state, entry, before, after, at_ms)]


def _today(state: HallState, at_ms: int) -> int:
    assert state.policy is not None
    return local_day(state.policy, at_ms)


def _of_year(state: HallState, staff: str, year: int) -> list[Entry]:
    return [one for one in state.conduct.values() if one.staff == staff and one.on_day // 10000 == year]


def _changes(state: HallState, entry: Entry, before: list[Entry], after: list[Entry], at_ms: int) -> list[Fact]:
    """Findings raised and withdrawn, and warnings, by what an entry or its void has changed."""
    assert state.policy is not None
    mode = state.policy.conduct.late_early
    was, now = grounds(before, mode), grounds(after, mode)
    facts: list[Fact] = []
    raised = 0
    for rule, ground in now.items():
        live = _live(state, rule, entry.staff, entry.on_day // 10000)
        if ground.met and live is None:
            facts.append(_raised(state, raised, rule, entry, ground))
            raised += 1
        elif not ground.met and live is not None:
            facts.append(FindingWithdrawn(live.finding))
        percent = 0 if ground.met else warning(was[rule].num, ground.num, ground.den)
        if percent:
            year = entry.on_day // 10000
            facts.append(ConductWarned(entry.staff, rule, year, ground.num, ground.den, percent))
    return facts


def _live(state: HallState, rule: str, subject: str, year: int) -> Finding | None:
    """The finding of this rule, subject and year that was not withdrawn."""
    for one in state.findings.values():
        same = (one.rule, one.subject, one.day // 10000) == (rule, subject, year)
        if same and one.state is not FindingState.WITHDRAWN:
            return one
    return None


def _raised(state: HallState, offset: int, rule: str, entry: Entry, ground: Ground) -> FindingRaised:
    number = state.next_finding + offset
    return FindingRaised(number, rule, entry.staff, entry.on_day, ground.entries, ground.num, ground.den)


def raise_finding(state: HallState, command: RaiseFinding, at_ms: int, device: str) -> Decision:
    """What a read model has found; the same thing once a day."""
    day = _today(state, at_ms)
    if found_today(state, command.rule, command.subject, day):
        return Refusal.FINDING_EXISTS
    return [
        FindingRaised(
            state.next_finding, command.rule, command.subject, day, command.evidence, command.num, command.den
        )
    ]


def found_today(state: HallState, rule: str, subject: str, day: int) -> bool:
    """Whether this was found today already."""
    return any((one.rule, one.subject, one.day) == (rule, subject, day) for one in state.findings.values())


def review(state: HallState, command: ReviewFinding, at_ms: int, device: str) -> Decision:
    """A person who is not its subject has looked."""
    finding = state.findings.get(command.finding)
    if finding is None:
        return Refusal.FINDING_UNKNOWN
    if FindingReviewed not in TRANSITIONS[finding.state]:
        return Refusal.WRONG_STATE
    if command.reviewer == finding.subject:
        return Refusal.REVIEWER_IS_PARTY
    return [FindingReviewed(finding.finding, command.decision, command.reviewer)]


def recorded(state: HallState, fact: ConductRecorded, at_ms: int) -> None:
    """Fold an entry."""
    state.conduct[fact.entry] = Entry(fact.entry, fact.staff, fact.kind, fact.on_day, fact.half_days, fact.case)
    state.next_entry = fact.entry + 1


def voided(state: HallState, fact: ConductVoided, at_ms: int) -> None:
    """Fold a void: the entry stays."""
    state.conduct[fact.entry].void = True


def warned(state: HallState, fact: ConductWarned, at_ms: int) -> None:
    """A warning changes no table."""


def raised(state: HallState, fact: FindingRaised, at_ms: int) -> None:
    """Fold a finding. It changes nothing else: a flag marks."""
    state.findings[fact.finding] = Finding(fact.finding, fact.rule, fact.subject, fact.day)
    state.next_finding = fact.finding + 1


def reviewed(state: HallState, fact: FindingReviewed, at_ms: int) -> None:
    """Fold a review."""
    finding = state.findings[fact.finding]
    finding.advance(fact)
    finding.decision = fact.decision


def withdrawn(state: HallState, fact: FindingWithdrawn, at_ms: int) -> None:
    """Fold the end of a ground."""
    state.findings[fact.finding].advance(fact)


def forget(state: HallState) -> None:
    """At the day's end: entries and findings of years before the last one go."""
    oldest = (state.day // 10000 - 1) * 10000
    state.conduct = {one.entry: one for one in state.conduct.values() if one.on_day >= oldest}
    state.findings = {one.finding: one for one in state.findings.values() if one.day >= oldest}
