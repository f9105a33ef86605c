"""tests/simulation/faults.py: what each kind of fault does to the world. Its numbers are drawn in `plan.py`."""

from typing import TYPE_CHECKING

from tests.simulation.loop import NS
from tests.simulation.plan import Fault

if TYPE_CHECKING:
    from tests.simulation.world import World


def strike(world: "World", fault: Fault) -> None:
    """Now."""
    if not world.healing:
        world.note(f"fault {fault.kind} {fault.a} {fault.b:.3f} {fault.device}")
        STRIKES[fault.kind](world, fault)


def crash(world: "World", fault: Fault) -> None:
    """SIGKILL instead of the a-th step from now."""
    if world.life is not None:
        world.life.owner.doom = world.life.owner.steps + fault.a


def crash_committed(world: "World", fault: Fault) -> None:
    """SIGKILL at the a-th step after the next commit: durable, and perhaps nobody has heard of it."""

    def doom() -> None:
        if world.life is not None:
            crash(world, fault)

    world.disk.at_commit = doom


def stop(world: "World", fault: Fault) -> None:
    """SIGTERM."""
    if world.life is not None and not world.life.owner.frozen:
        world.life.terminate()


def cut(world: "World", fault: Fault) -> None:
    """The connection of the dispatcher: seen by both, by one side, by nobody."""
    conn = world.broker.link
    if conn is not None:
        conn.lose(seen_by_link=fault.a in (0, 1), seen_by_broker=fault.a in (0, 2))


def cut_appending(world: "World", fault: Fault) -> None:
    """As `cut`, while a batch is being written, which takes b seconds."""

    def now() -> None:
        world.disk_slow = (int(fault.b * 1000), world.loop.time() + 0.001)
        cut(world, fault)

    world.disk.at_append = now


def cut_saying(world: "World", fault: Fault) -> None:
    """The network dies unseen just when a call is to be spoken; killed b seconds later, its state perhaps stored."""

    def now() -> None:
        cut(world, fault._replace(a=3))
        world.loop.at(world.loop.now_ns + round(fault.b * NS), None, crash, world, fault)

    world.at_order = now


def broker_appending(world: "World", fault: Fault) -> None:
    """As `broker`, while a batch is being written; it is back before that is done."""

    def now() -> None:
        world.disk_slow = (int(fault.b * 1000), world.loop.time() + 0.001)
        broker(world, fault._replace(b=0.2))

    world.disk.at_append = now


def broker(world: "World", fault: Fault) -> None:
    """Restarted after a while; a = 1: it has forgotten sessions and retained messages."""
    if not world.broker.up:
        return
    world.broker.stop(lose=fault.a == 1)
    for agent in world.agents.values():
        agent.lose(back_s=world.rng.uniform(0.1, 3.0))

    def back() -> None:
        world.broker.up = True

    world.loop.at(world.loop.now_ns + round(fault.b * NS), None, back)


def off(world: "World", fault: Fault) -> None:
    """A device's cable."""
    world.agents[fault.device].lose(back_s=fault.b)


def unheard(world: "World", fault: Fault) -> None:
    """A device speaks and does not hear the answer. a = 1, 2: before it is back the process has stopped, was killed."""
    agent = world.agents[fault.device]

    def gone() -> None:
        agent.lose(back_s=fault.b)
        if fault.a == 2:
            world.loop.at(world.loop.now_ns + NS, None, crash, world, fault._replace(a=1))
        elif fault.a == 1:
            world.loop.at(world.loop.now_ns + NS, None, stop, world, fault)

    agent.at_taken = gone


def reboot(world: "World", fault: Fault) -> None:
    """A device's power."""
    world.agents[fault.device].reboot(("kept", "none")[fault.a], fault.b)


def image(world: "World", fault: Fault) -> None:
    """Somebody makes a copy of a device's storage and puts it back b seconds later."""
    agent = world.agents[fault.device]
    agent.keep_image()

    def put_back() -> None:
        if not world.healing:
            agent.reboot("image", 1.0)

    world.loop.at(world.loop.now_ns + round(fault.b * NS), None, put_back)


def full(world: "World", fault: Fault) -> None:
    """No room on the disk."""
    world.disk.full_until_s = world.loop.time() + fault.b


def error(world: "World", fault: Fault) -> None:
    """The next append fails: before it has written, or after."""
    world.disk.fails.append(("before", "after")[fault.a])


def slow_disk(world: "World", fault: Fault) -> None:
    world.disk_slow = (fault.a, world.loop.time() + fault.b)


def slow_net(world: "World", fault: Fault) -> None:
    world.broker.slow_until_ns = world.loop.now_ns + round(fault.b * NS)


def reorder(world: "World", fault: Fault) -> None:
    """The broker mixes what waits for the dispatcher."""
    world.broker.reorder()


def clock(world: "World", fault: Fault) -> None:
    """The machine's clock is set."""
    world.skew_ms += fault.a


def snapshot(world: "World", fault: Fault) -> None:
    """The newest snapshot cannot be read any more."""
    world.disk.damage_newest_snapshot()


def freeze(world: "World", fault: Fault) -> None:
    """The process stands still and later goes on. a > 0: another one is started in its place; a = 2: it stands still
    while it writes."""
    if fault.a == 2:
        world.disk.at_append = lambda: _freeze(world, fault)
    else:
        _freeze(world, fault)


def _freeze(world: "World", fault: Fault) -> None:
    life = world.life
    if life is None or life.over or life.owner.frozen:
        return
    life.owner.frozen = True
    if fault.a and life.up:
        world.replaced(life)

    def thaw() -> None:
        if life.owner.frozen:
            world.note(f"{life.owner.name} goes on")
            world.loop.thaw(life.owner)

    world.loop.at(world.loop.now_ns + round(fault.b * NS), None, thaw)


STRIKES = {
    "crash": crash,
    "crash_committed": crash_committed,
    "stop": stop,
    "cut": cut,
    "cut_appending": cut_appending,
    "cut_saying": cut_saying,
    "broker": broker,
    "broker_appending": broker_appending,
    "off": off,
    "unheard": unheard,
    "reboot": reboot,
    "image": image,
    "full": full,
    "error": error,
    "slow_disk": slow_disk,
    "slow_net": slow_net,
    "reorder": reorder,
    "clock": clock,
    "snapshot": snapshot,
    "freeze": freeze,
}
