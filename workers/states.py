"""workers/states.py: when whole states are stored: so many facts, each hour, a day's end, a month's, the process's.

Between two batches and one hall at a time, for the loop's sake. A state that holds calls nobody has heard yet is stored
as well, but said to be so: a start before they were heard begins with an older one and speaks them again.
"""

from collections.abc import Callable, Mapping
from typing import Final

from workers.clock import monotonic_s, utc_s
from workers.desk import Desk
from workers.journal import SqliteJournal
from workers.tallies import Tallies

HOUR_S: Final = 3600.0


class States:
    """The states of all halls of a process. `heard`: nothing of a hall flies any more; `every`: in facts."""

    def __init__(
        self,
        journal: SqliteJournal,
        desks: Mapping[str, Desk],
        *,
        heard: Callable[[str], bool],
        every: int,
        tallies: Tallies,
    ) -> None:
        self._journal, self._desks, self._heard, self._every, self._tallies = journal, desks, heard, every, tallies
        self.hour_at = monotonic_s()
        self._due: dict[str, None] = {}  # each hall once, however busy it is
        self._hiding: set[str] = set()  # whose newest state holds what was not heard when it was stored
        self._days = {name: _day(desk) for name, desk in desks.items()}

    async def turn(self) -> None:
        """At most one hall that is due."""
        self._look()
        for name in self._due:
            return await self.store(name)

    def _look(self) -> None:
        """Who is due, and whose orders have been heard since."""
        if monotonic_s() - self.hour_at > HOUR_S:
            self.hour_at = monotonic_s()
            self._due.update(dict.fromkeys(self._desks))
        for name, desk in self._desks.items():
            before, self._days[name] = self._days[name], _day(desk)
            if desk.since_snapshot >= self._every or (before and before != self._days[name]):
                self._due[name] = None
        heard = {name: self._desks[name].hall.state.n for name in self._hiding if self._heard(name)}
        if heard:
            self._journal.save_marks(heard)
            self._hiding -= heard.keys()

    async def store(self, name: str) -> None:
        """A state at the hall's head. Without news the one that is there counts up to now: recovery stays short."""
        desk = self._desks[name]
        state = desk.hall.state
        if state.n and not await self._journal.refresh(name):
            heard = self._heard(name)
            await self._journal.save(name, state.n, state.snapshot(), heard=heard)
            self._hiding = self._hiding - {name} if heard else self._hiding | {name}
            self._tallies.snapshots += 1
            self._tallies.snapshot_s = utc_s()
        desk.since_snapshot = 0
        self._due.pop(name, None)


def _day(desk: Desk) -> int:
    """The open business day; 0 when it is closed."""
    state = desk.hall.state
    return state.day if state.day_is_open else 0
