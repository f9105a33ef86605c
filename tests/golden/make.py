"""tests/golden/make.py: writes the golden files of this version, once a release: `python -m tests.golden.make`.

`facts-v1.json`: a payload of each kind with its JSON. `day-v1.jsonl`: the rows of a recorded day; `day-v1.json`: what
they fold to. Files of older versions stay as they are: today's code must still read them.
"""

import json
from pathlib import Path
from random import Random

import msgspec

from bench.rush import hall_policy
from core import commands as c
from core import record
from core.fact import Cause, Fact
from core.facts import KINDS, DayClosed, PolicyChanged
from core.hall import Hall
from core.policy import BookingPart, CallingPart, ClassPart, Policy, digest, document
from core.refusals import Refusal
from core.state import HallState
from core.why import Why

HERE = Path(__file__).parent
MORNING = 1_795_420_800_000
STEPS = 900


def day_policy(version: int = 1) -> Policy:
    """A small hall with everything on; the second version changes classes, recalls and head starts."""
    base = hall_policy("golden", counters=4, services=5)
    classes = base.classes
    if version > 1:
        classes = (*(msgspec.structs.replace(one, head_start_min=one.head_start_min * 2) for one in classes),)
        classes = (*classes, ClassPart(code="staff", head_start_min=5))
    return msgspec.structs.replace(
        base,
        version=version,
        classes=classes,
        calling=CallingPart(picking=True, max_recalls=version, recall_gap_s=1),
        booking=BookingPart(days_ahead=2, cancel_min=0),
    )


def story(hall: Hall, seed: int = 1) -> list[tuple[Fact, int, Cause | None]]:
    """A day of every kind of command, decided and folded; the facts with their time and cause."""
    rng, told, at_ms, seqs = Random(seed), [], MORNING, dict[str, int]()

    def say(command: c.Command, device: str = "") -> None:
        nonlocal at_ms
        while (due := hall.due(at_ms)) is not None:
            for fact in due[1]:
                hall.evolve(fact, due[0])
                told.append((fact, due[0], None))
        at_ms = max(at_ms, hall.state.at_ms)
        cause = None
        if device:
            seqs[device] = seqs.get(device, 0) + 1
            cause = Cause(device, "boot-1", seqs[device], 7)
        for fact in hall.decide(command, at_ms, device):
            hall.evolve(fact, at_ms, cause)
            told.append((fact, at_ms, cause))

    first = day_policy()
    say(c.ChangePolicy(1, digest(first), document(first)))
    for no in range(1, 5):
        say(c.SignOnStaff(f"u{no}"), f"caller-{no}")
    for step in range(STEPS):
        at_ms += rng.randrange(1, 12_000)
        if step == STEPS // 2:
            second = day_policy(2)
            say(c.ChangePolicy(2, digest(second), document(second)))
        command, device = _something(rng, hall, at_ms)
        say(command, device)
    at_ms += 36 * 3_600_000
    say(c.HelloDevice("kiosk", "boot-1", 9))
    return told


def _something(rng: Random, hall: Hall, at_ms: int) -> tuple[c.Command, str]:
    no = rng.randrange(1, 5)
    caller, ticket = f"caller-{no}", rng.randrange(max(1, hall.state.next_ticket - 30), hall.state.next_ticket + 1)
    who = rng.choice(["", "", f"{rng.randrange(40):032x}"])
    classes = ["ordinary", "ordinary", "care", "green", "military"]
    take = c.TakeTicket(f"s{rng.randrange(5)}", rng.choice(classes), person_ref=who, plan=("s1",) if who else ())
    choices: list[tuple[c.Command, str]] = [
        (take, "kiosk"),
        (take, "kiosk"),
        (c.CallNext(), caller),
        (c.CallNext(), caller),
        (c.StartServing(), caller),
        (c.FinishServing(outcome=rng.choice(["done", "need_material"])), caller),
        (c.FinishServing(), caller),
        (c.SubmitEvaluation(level=rng.randrange(1, 6)), f"ev-{no}"),
        (c.SubmitEvaluation(call=rng.randrange(1, hall.state.next_call + 1), key=rng.randrange(0, 7)), f"ev-{no}"),
        (c.ReportShown(rng.randrange(1, hall.state.next_call + 1)), f"ev-{no}"),
        (c.RecallTicket(), caller),
        (c.MissTicket(), caller),
        (c.RequeueTicket(ticket), "kiosk"),
        (c.HoldTicket(why="papers"), caller),
        (c.ResumeTicket(), caller),
        (c.TransferTicket(f"s{rng.randrange(5)}"), caller),
        (c.ReleaseTicket(), caller),
        (c.AbandonTicket(ticket=ticket), caller),
        (c.CancelTicket(ticket), "kiosk"),
        (c.ReclassTicket(ticket, "care"), caller),
        (c.CallTicket(ticket, why="asked"), caller),
        (c.PauseCounter(why="tea", after_current=True), caller),
        (c.ResumeCounter(), caller),
        (c.ReprintTicket(ticket), "kiosk"),
        (c.ReportPrint(ticket, rng.random() < 0.9, "paper"), "kiosk"),
        (c.ReportCall(max(hall.state.calls, default=1), "w1", "screen", rng.random() < 0.9), f"screen-{no}"),
        (c.SetSkills(tuple(f"s{i}" for i in sorted(rng.sample(range(5), 3))), counter=no, theta_min=5), ""),
        (c.MakeBooking(f"s{rng.randrange(5)}", at_ms + rng.randrange(60_000, 2_400_000), who), ""),
        (c.CheckInBooking(rng.randrange(1, hall.state.next_booking + 1)), "kiosk"),
        (c.CancelBooking(rng.randrange(1, hall.state.next_booking + 1)), ""),
        (c.HelloDevice("kiosk", "boot-1", rng.randrange(9), faults=("paper",)), ""),
        (c.LoseDevice("kiosk"), ""),
        (c.SignOffStaff(), caller),
        (c.SignOnStaff(f"u{no}"), caller),
    ]
    often = [0] * 8 + [2] * 8 + [4] * 3 + [6] * 4 + [7] * 3 + [13] * 2 + [14] * 4 + [11] * 2 + [12] * 4 + [22] * 2
    return choices[rng.choice([*often, *range(len(choices))])]


def row(fact: Fact, at_ms: int, cause: Cause | None) -> tuple[int, int, int, str, str, int, bytes]:
    """As a journal stores it."""
    kind, v, payload = record.encode(fact, cause)
    return (at_ms, kind, v, *(cause[:3] if cause else ("", "", 0)), payload)


def folded(rows: list[tuple[int, int, int, str, str, int, bytes]]) -> Hall:
    """The hall that rows of a journal fold to."""
    hall = Hall(HallState("golden"))
    for at_ms, kind, v, device, boot, seq, payload in rows:
        fact, body, _ = record.decode(kind, v, payload)
        hall.evolve(fact, at_ms, Cause(device, boot, seq, body) if device else None)
    return hall


def closed(told: list[Fact]) -> list[int]:
    """The counts of the day's end."""
    return next(
        [one.taken, one.served, one.cancelled, one.abandoned, one.expired] for one in told if isinstance(one, DayClosed)
    )


def summary(hall: Hall) -> dict[str, object]:
    """What a recorded day came to: comparable across versions but for the digest."""
    state = hall.state
    return {
        "n": state.n,
        "day": state.day,
        "next": [state.next_ticket, state.next_call, state.next_visit, state.next_booking, state.next_case],
        "evaluations": sorted((one.call, int(one.state), one.level) for one in state.evaluations.values()),
        "digest": state.digest(),
    }


def main() -> None:
    """Write the three files."""
    hall = Hall(HallState("golden"))
    told = story(hall)
    rows = [row(*one) for one in told]
    with (HERE / "day-v1.jsonl").open("w") as file:
        for *fields, payload in rows:
            file.write(json.dumps([*fields, payload.hex()]) + "\n")
    facts = [fact for fact, _, _ in told]
    change = max(at for at, fact in enumerate(facts) if isinstance(fact, PolicyChanged))
    found = summary(hall) | {"closed": closed(facts), "before_the_change": folded(rows[:change]).state.digest()}
    (HERE / "day-v1.json").write_text(json.dumps(found, indent=1) + "\n")
    examples = {record.encode(fact)[0]: fact for fact, _, _ in told}
    for kind, made in KINDS.items():
        examples.setdefault(kind, an_example(made))
    payloads = {
        f"{kind}.1": {"payload": record.encode(fact)[2].hex(), "json": msgspec.to_builtins(fact)}
        for kind, fact in sorted(examples.items())
        if kind not in (129, 130)  # a whole policy: in the day
    }
    (HERE / "facts-v1.json").write_text(json.dumps(payloads, indent=1, ensure_ascii=False) + "\n")


def an_example(made: type[Fact]) -> Fact:
    """A fact of a kind with telling values."""
    values: dict[type, object] = {int: 3, str: "x", bool: True}
    fields = msgspec.structs.fields(made)
    given = {
        one.name: Why("score", 1, ((0, 1, 2, 3, 1),), False, 0) if one.type is Why else values.get(one.type, ())
        for one in fields
        if one.required
    }
    if "reason" in given:
        given["reason"] = Refusal.WRONG_STATE
    if "policy" in given:
        given["policy"] = day_policy()
    return made(**given)


if __name__ == "__main__":
    main()
