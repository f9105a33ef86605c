"""workers/renewal.py: read at the start and again on SIGHUP: the tokens of the pages, the files of the halls."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from core import policy
from core.policy import Policy
from workers.settings import SettingsError, WebSection
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
