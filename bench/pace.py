"""bench/pace.py: a generator keeps its times when it goes first; how far the system lets it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

FIFO, NICE, NORMAL = "fifo", "nice", "normal"
LOWEST: Final = 1  # of the real-time priorities: above every ordinary process, below the kernel's own
NICENESS: Final = -15


@contextmanager
def first(wanted: bool = True) -> Iterator[str]:
    """This process before all ordinary ones, as on a machine of its own; says how far the system allowed it.

    `fifo`: SCHED_FIFO, whoever it is woken on yields at once. `nice`: a larger share, soon. `normal`: neither.
    Only for a process that sleeps whenever nothing is due: a busy one would take its core from the subject.
    """
    policy, within = os.sched_getscheduler(0), os.sched_getparam(0)
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    got = _raised() if wanted else NORMAL
    try:
        yield got
    finally:
        if got == FIFO:
            os.sched_setscheduler(0, policy, within)
        elif got == NICE:
            os.setpriority(os.PRIO_PROCESS, 0, niceness)


def _raised() -> str:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(LOWEST))
    except OSError:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
        except OSError:
            return NORMAL
        return NICE
    return FIFO
