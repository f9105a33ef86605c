"""workers/renewal.py: read at the start and again on SIGHUP: the tokens of the pages, the files of the halls."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from core import policy
from core.policy import Policy
from workers import logs
from workers.settings import Settings, SettingsError, WebSection, hall_files
from workers.web.access import Grant, read_tokens
from workers.web.gate import LOOPBACK


def grants(chosen: WebSection) -> list[Grant]:
    """Whom the pages let in. Off loopback somebody has to be named. SettingsError."""
    if not chosen.tokens_file:
        if chosen.listen.rpartition(":")[0] not in LOOPBACK:
            raise SettingsError([f"web.tokens_file: needed to listen on {chosen.listen}"])
        return []
    try:
        return read_tokens(Path(chosen.tokens_file))
    except ValueError as error:
        raise SettingsError([f"web.tokens_file: {error}"]) from error


def newer(found: Iterable[Policy], known: Mapping[str, Policy | None]) -> list[Policy]:
    """The policies of files that are newer than those in force.

    SettingsError, and then none of them: a file that has changed and its version has not; a hall that this process does
    not run, which takes a restart.
    """
    changed, problems = list[Policy](), list[str]()
    for one in found:
        name, old = one.hall.id, known.get(one.hall.id)
        if name not in known:
            problems.append(f"hall {name}: new here; restart to run it")
        elif old is None or old.version < one.version:
            changed.append(one)
        elif old.version == one.version and policy.digest(old) != policy.digest(one):
            problems.append(f"hall {name}: the file has changed, its version {one.version} has not")
    if problems:
        raise SettingsError(problems)
    return changed


class Renewal:
    """Task `renewal`: on request tokens and hall files are read, each for itself. What is wrong changes nothing.

    A thousand hall files take a second, so a thread reads them. `admit` takes the tokens, `load` one policy at a time.
    """

    def __init__(
        self,
        chosen: Settings,
        known: Callable[[], Mapping[str, Policy | None]],
        admit: Callable[[list[Grant]], None],
        load: Callable[[Policy], None],
        log: Any,
    ) -> None:
        self._chosen, self._known, self._admit, self._load, self._log = chosen, known, admit, load, log
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """A signal came; several at once are one."""
        self._asked.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                self._admit(await asyncio.to_thread(grants, self._chosen.web))
                self._log.info(logs.TOKENS_READ)
            except SettingsError as error:
                self._log.error(logs.TOKENS_WRONG, problems=error.problems)
            try:
                for one in newer(await asyncio.to_thread(hall_files, self._chosen.halls.dir), self._known()):
                    self._load(one)
                self._log.info(logs.HALLS_READ)
            except SettingsError as error:
                self._log.error(logs.HALLS_WRONG, problems=error.problems)
