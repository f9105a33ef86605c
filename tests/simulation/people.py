"""tests/simulation/people.py: what people do at a device: mostly what makes sense there, now and then anything."""

from typing import TYPE_CHECKING, Any

from core import commands as c
from devices.wire import Rate

if TYPE_CHECKING:
    from tests.simulation.devices import Agent
    from tests.simulation.world import World

SERVICES = ("si", "si", "tax", "tax", "id")
CLASSES = ("ordinary", "ordinary", "ordinary", "green", "care")
PEOPLE = ("", "", "", "a" * 32, "b" * 32)


def pressed(world: "World", agent: "Agent", verb: str, a: int, b: int) -> None:
    """Somebody presses. Nothing happens at a device that is off."""
    if verb == "junk":
        agent.say("event", b'{"boot":"junk-boot","seq":%d,"body":{"type":"no.such.thing"}}' % (a + 1))
    elif agent.on:
        command = CHOICES[verb](agent, a, b)
        if command is not None:
            agent.press(command)


def take(agent: "Agent", a: int, b: int) -> Any:
    plan = ("tax",) if a % 9 == 0 else ()
    return c.TakeTicket(SERVICES[a % 5], CLASSES[b % 5], 0, plan, PEOPLE[(a + b) % 5])


def offline(agent: "Agent", a: int, b: int) -> Any:
    """Printed from the kiosk's own numbers while nobody answered."""
    return c.TakeTicket(SERVICES[a % 5], number=f"X{b % 50:03}")


def ticket(agent: "Agent", a: int) -> int:
    known = agent.known_tickets
    return known[a % len(known)] if known and a % 10 else a % 30


def work(agent: "Agent", a: int, b: int) -> Any:
    """What a clerk would do with what the keypad shows."""
    staff = f"staff-{agent.name[-1]}"
    status = agent.screen.get("status", "closed")
    at = {
        "closed": [c.SignOnStaff(staff)],
        "idle": [c.CallNext()] * 8 + [c.ResumeTicket(), c.PauseCounter(), c.SignOffStaff()],
        "calling": [c.StartServing()] * 4
        + [c.MissTicket(), c.MissTicket(), c.HoldTicket(), c.RecallTicket(), c.ReleaseTicket(), c.AbandonTicket()]
        + [c.FinishServing(), c.TransferTicket("tax")],
        "serving": [c.FinishServing()] * 5 + [c.CallNext()] * 3 + [c.HoldTicket(), c.TransferTicket("si")],
        "paused": [c.ResumeCounter(), c.ResumeCounter(), c.SignOffStaff()],
    }[status]
    return at[a % len(at)]


def wild(agent: "Agent", a: int, b: int) -> Any:
    one = ticket(agent, b)
    some = [c.CallNext(), c.CallTicket(one), c.ResumeTicket(0, one), c.RequeueTicket(one), c.CancelTicket(one)]
    return [*some, c.RecallTicket(), c.MissTicket(), c.FinishServing(), c.ReclassTicket(one, "care")][a % 9]


def rate(agent: "Agent", a: int, b: int) -> Any:
    call = agent.screen.get("call") or b % 20
    return Rate(call=call, level=1 + a % 5)


def comment(agent: "Agent", a: int, b: int) -> Any:
    call = agent.screen.get("call") or b % 20
    return Rate(call=call, level=1 + a % 5, comment="等太久，回电13800138000")


CHOICES: dict[str, Any] = {
    "take": take,
    "offline": offline,
    "cancel": lambda agent, a, b: c.CancelTicket(ticket(agent, a)),
    "reprint": lambda agent, a, b: c.ReprintTicket(ticket(agent, a)),
    "requeue": lambda agent, a, b: c.RequeueTicket(ticket(agent, a)),
    "report": lambda agent, a, b: c.ReportPrint(ticket(agent, a), bool(b % 4)),
    "work": work,
    "wild": wild,
    "rate": rate,
    "comment": comment,
    "key": lambda agent, a, b: Rate(key=(0, 1, 3)[a % 3]),
    "shown": lambda agent, a, b: c.ReportShown(agent.screen.get("call") or b % 20),
    "said": lambda agent, a, b: c.ReportCall(a, medium="voice") if a else None,
}
