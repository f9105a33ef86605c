"""core/rules_journal.py: what was done to the journal itself is on record, and changes nothing in a hall."""

from core.facts import JournalErased, JournalRestored
from core.state import HallState


def kept(state: HallState, fact: JournalRestored | JournalErased, at_ms: int) -> None:
    """Nothing but the position of the fact itself."""
