"""core/why.py: why it was this ticket — the part of a TicketCalled fact that lets anybody check and tell the choice."""

import msgspec

Head = tuple[int, int, int, int, int]  # class, serial, T, score after handicap, 1 if in the counter's primary set


class Why(msgspec.Struct, frozen=True, array_like=True):
    """Every head compared, winner first. `rule`: score, green, cap (a green was held back), overflow, idle, picked."""

    rule: str
    policy_version: int
    heads: tuple[Head, ...]
    contested: bool
    cap_used: int
