"""tests/model_cases.py: the plain model: follow-up of ratings, its clocks, appeals. Days are walked one by one."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from core import commands_cases as cc
from core.calendar import works
from core.policy import Policy
from tests.model_room import DAY, No, Room, Said

VERIFY, RECTIFY, REPLY = range(3)
HOUR = 3_600_000
STAGES = ("verify", "rectify", "reply")
WAITS = {VERIFY: ("opened", "assigned", "in_review"), RECTIFY: ("rectifying",)}
WAITS[REPLY] = ("opened", "assigned", "in_review", "rectifying", "explaining", "rectified")


def after_days(policy: Policy, at: int, working_days: int) -> int:
    """The end of the n-th working day after today, hall time: the halls of these tests close at 17:30."""
    day = datetime.fromtimestamp(at // 1000, UTC).astimezone(ZoneInfo(policy.hall.tz))
    while working_days:
        day += timedelta(days=1)
        working_days -= works(policy, day.date())
    return int(day.replace(hour=17, minute=30, second=0, microsecond=0).timestamp()) * 1000


def after_hours(policy: Policy, at: int, hours: int) -> int:
    """When so many hours of the opening periods of working days are over."""
    day, left = datetime.fromtimestamp(at // 1000, UTC).astimezone(ZoneInfo(policy.hall.tz)), hours * HOUR
    while True:
        for span in policy.calendar.periods if works(policy, day.date()) else ():
            walls = [[int(part) for part in clock.split(":")] for clock in span.split("-")]
            opens, closes = (
                int(day.replace(hour=hour, minute=minute, second=0, microsecond=0).timestamp()) * 1000
                for hour, minute in walls
            )
            begins = max(at, opens)
            if closes - begins >= left:
                return begins + left
            left -= max(0, closes - begins)
        day += timedelta(days=1)


@dataclass
class File:
    """A case."""

    case: int
    staff: str
    call: int
    dues: dict[int, int]
    state: str = "opened"
    handler: str = ""
    round: int = 1
    said: list[int] = field(default_factory=list)
    late: bool = False
    extended: int = 0
    closed: int = 0


class Cases(Room):
    """One machine for every kind; here those of bad ratings, under the preset liaoning."""

    files: dict[int, File]

    def open_file(self, case: int, staff: str, call: int, at: int) -> None:
        self.files[case] = File(case, staff, call, {VERIFY: after_days(self.policy, at, 1)})

    def file(self, case: int, *states: str) -> File:
        if case not in self.files:
            raise No("case_unknown")
        if self.files[case].state not in states:
            raise No("wrong_state")
        return self.files[case]

    def AssignCase(self, ask: cc.AssignCase, device: str, at: int) -> list[Said]:
        one = self.file(ask.case, "opened")
        if ask.handler == one.staff:
            raise No("handler_is_party")
        one.state, one.handler = "assigned", ask.handler
        return [Said("CaseAssigned", case=one.case, handler=ask.handler)]

    def VerifyCase(self, ask: cc.VerifyCase, device: str, at: int) -> list[Said]:
        one = self.file(ask.case, "assigned")
        wrong = ask.verdict in ("substantiated", "accepted")
        one.state = "rectifying" if wrong else "explaining"
        due = 0
        if wrong:
            due = after_days(self.policy, at, 15) if ask.complex else after_hours(self.policy, at, 4)
        one.dues[RECTIFY] = due
        return [
            Said("CaseVerified", case=one.case, verdict=ask.verdict, rectify_due_ms=due, complex=wrong and ask.complex)
        ]

    def RectifyCase(self, ask: cc.RectifyCase, device: str, at: int) -> list[Said]:
        self.file(ask.case, "rectifying").state = "rectified"
        return [Said("CaseRectified", case=ask.case)]

    def ReplyCase(self, ask: cc.ReplyCase, device: str, at: int) -> list[Said]:
        self.file(ask.case, "rectified", "explaining").state = "replied"
        return [Said("CaseReplied", case=ask.case)]

    def RevisitCase(self, ask: cc.RevisitCase, device: str, at: int) -> list[Said]:
        one = self.file(ask.case, "replied")
        if ask.reached != (ask.satisfaction > 0):
            raise No("bad_field")
        one.state = "revisited"
        return [Said("CaseRevisited", case=ask.case, satisfaction=ask.satisfaction)]

    def CloseCase(self, ask: cc.CloseCase, device: str, at: int) -> list[Said]:
        one = self.file(ask.case, "replied", "revisited")
        if one.state == "replied":
            raise No("revisit_due")
        one.state, one.closed = "closed", at
        return [Said("CaseClosed", case=ask.case, in_time=not one.late)]

    def ReopenCase(self, ask: cc.ReopenCase, device: str, at: int) -> list[Said]:
        one = self.file(ask.case, "closed")
        if one.round > 1 or at > one.closed + self.policy.cases.reopen_days * DAY:
            raise No("reopen_limit")
        if ask.handler in (one.staff, one.handler):
            raise No("handler_is_party")
        one.state, one.handler, one.round, one.said, one.closed = "assigned", ask.handler, 2, [], 0
        one.dues = {VERIFY: after_days(self.policy, at, 1)}
        return [Said("CaseReopened", case=ask.case, round=2, verify_due_ms=one.dues[VERIFY])]

    def ExtendCase(self, ask: cc.ExtendCase, device: str, at: int) -> list[Said]:
        one = self.file(ask.case, *[state for states in WAITS.values() for state in states], "replied", "revisited")
        stage = STAGES.index(ask.stage)
        due = one.dues.get(stage, 0)
        if not due or one.state not in WAITS[stage] or stage in one.said:
            raise No("wrong_state")
        if ask.to_ms <= due:
            raise No("bad_field")
        if one.extended >= self.policy.cases.extensions:
            raise No("extend_limit")
        one.extended, one.dues[stage] = one.extended + 1, ask.to_ms
        return [Said("CaseExtended", case=ask.case, stage=ask.stage, to_ms=ask.to_ms)]

    # Appeals.

    def AppealEvaluation(self, ask: cc.AppealEvaluation, device: str, at: int) -> list[Said]:
        rating = self.ratings.get(ask.call)
        if rating is None:
            raise No("appeal_over" if 0 < ask.call <= self.forgotten else "call_unknown")
        if rating.state != "submitted":
            raise No("wrong_state")
        file = self.files.get(rating.case)
        if rating.case and (file is None or file.state not in ("opened", "assigned")):
            raise No("wrong_state")
        if at >= rating.appeal:
            raise No("appeal_over")
        rating.state, rating.by = "appealed", ask.by
        if file:
            file.state = "in_review"
        return [Said("EvaluationAppealed", call=ask.call, by=ask.by)]

    def DecideAppeal(self, ask: cc.DecideAppeal, device: str, at: int) -> list[Said]:
        rating = self.ratings.get(ask.call)
        if rating is None:
            raise No("call_unknown")
        if rating.state != "appealed":
            raise No("wrong_state")
        if ask.reviewer in (rating.staff, rating.by):
            raise No("reviewer_is_party")
        upheld = ask.decision == "upheld"
        rating.state = "upheld" if upheld else "excluded"
        if rating.case:
            self.files[rating.case].state = "assigned" if upheld else "explaining"
        return [Said("EvaluationUpheld" if upheld else "EvaluationExcluded", call=ask.call, reviewer=ask.reviewer)]

    def SupplementEvaluation(self, ask: cc.SupplementEvaluation, device: str, at: int) -> list[Said]:
        rating = self.ratings.get(ask.call)
        if rating is None:
            raise No("window_over" if 0 < ask.call <= self.forgotten else "no_serving")
        if rating.state != "submitted":
            raise No("wrong_state")
        if rating.added:
            raise No("already_rated")
        if at >= rating.due:
            raise No("window_over")
        rating.added = True
        return [Said("EvaluationSupplemented", call=ask.call)]

    # Time.

    def file_deadlines(self) -> list[tuple[int, int, int]]:
        """(due, kind, case) of every clock that runs; kinds 7-9 by stage."""
        return [
            (due, 7 + stage, one.case)
            for one in self.files.values()
            for stage, due in one.dues.items()
            if due and one.state in WAITS[stage] and stage not in one.said
        ]

    def file_overdue(self, kind: int, case: int) -> list[Said]:
        one, stage = self.files[case], kind - 7
        one.said.append(stage)
        one.late = True
        return [
            Said("CaseOverdue", case=case, stage=STAGES[stage], round=one.round, due_ms=one.dues[stage]),
        ]

    def forget_files(self, at: int) -> None:
        keep = self.policy.cases.reopen_days * DAY
        self.files = {no: one for no, one in self.files.items() if not one.closed or one.closed + keep >= at}
