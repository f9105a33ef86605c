"""core/views.py: which lists the ranking keeps — services, views, profiles and the class rules, without who is in them.

A *view* is a distinct set of services with one lane a class, a *profile* the skills that counters share: a primary view
and perhaps an overflow view. Each service has its own view too. Ids are dense, in journal order and never given again.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

SERIAL_BITS: Final = 24
SERIAL_MASK: Final = (1 << SERIAL_BITS) - 1
NO_VIEW: Final = -1

Lane = list[int]  # ascending keys T << 24 | serial of one class in one view
Row = tuple[Lane, int, int, int, int]  # lane, a (in overflow: less the handicap), b, class, tier


class ClassRule(msgspec.Struct, frozen=True):
    """How one class of visitors ages. Its position in the policy's list is its number and the order of ties."""

    rate: int = 4
    head_start_ms: int = 0
    tier: int = 0  # greater goes first
    cap: tuple[int, int] | None = None  # (k, n): at most k contested calls in every n of a profile


class Skills(msgspec.Struct, frozen=True):
    """What a counter serves.

    An overflow head counts after `theta_ms` (0: at once) or if no primary waits; its score is less by `handicap`.
    """

    primary: tuple[int, ...]
    overflow: tuple[int, ...] = ()
    theta_ms: int = 0
    handicap: int = 0

    def normal(self) -> "Skills":
        """The same skills with services ascending, each once, primary before overflow."""
        primary = tuple(sorted(dict.fromkeys(self.primary)))
        overflow = tuple(sorted(s for s in dict.fromkeys(self.overflow) if s not in primary))
        return Skills(primary, overflow, self.theta_ms, self.handicap) if overflow else Skills(primary)


class ViewTable(msgspec.Struct, frozen=True, array_like=True):
    """Which views and profiles exist, under which ids: what a snapshot keeps beside the tickets. No lists."""

    version: int
    next_view: int
    next_profile: int
    views: tuple[tuple[int, tuple[int, ...]], ...]  # (view, services)
    services: tuple[tuple[int, int], ...]  # (service, its own view), in the order they were added
    profiles: tuple[tuple[int, Skills, tuple[int, int]], ...]  # (profile, skills, its two views)
    counters: tuple[tuple[int, int], ...]  # (counter, profile)


class Rivals(NamedTuple):
    """How the other classes stand to one class: above it, level with an equal rate, level with another rate.

    With an equal rate t does not matter: tickets with keys below my T << 24 plus the shift outrank mine.
    """

    above: tuple[int, ...]
    level: tuple[tuple[int, int], ...]  # (class, shift)
    others: tuple[int, ...]


class View:
    """A set of services and its lanes, one a class."""

    __slots__ = ("holders", "lanes", "services")

    def __init__(self, services: tuple[int, ...], classes: int) -> None:
        self.services = services
        self.lanes: list[Lane] = [[] for _ in range(classes)]
        self.holders = 0  # profiles and services that refer to it; dropped at zero


class Profile:
    """Skills that counters share, compiled against the class rules."""

    __slots__ = (
        "holders",
        "mixed_rows",
        "overflow",
        "overflow_rows",
        "primary",
        "ring",
        "rows",
        "skills",
        "theta",
        "views",
        "watched",
    )

    def __init__(self, skills: Skills, views: tuple[int, int]) -> None:
        self.skills = skills
        self.views = views  # primary, overflow
        self.holders = 0  # counters
        self.ring = 0  # the last n - 1 calls, one bit each, latest lowest: was it contested
        self.primary: tuple[Row, ...] = ()
        self.overflow: tuple[Row, ...] = ()
        # The quick path of `peek`: uncapped lanes of the lowest tier, (lane, head start << 24) while rates are equal,
        # else as (lane, a, b) in `mixed_rows` and without overflow.
        self.rows: tuple[tuple[Lane, int], ...] = ()
        self.overflow_rows: tuple[tuple[Lane, int], ...] = ()
        self.mixed_rows: tuple[tuple[Lane, int, int], ...] = ()
        self.watched: tuple[Lane, ...] = ()  # all other lanes: the quick path is right while they are empty
        self.theta = skills.theta_ms


class Views:
    """Services, views, profiles and class rules of one pool."""

    def __init__(self, classes: Sequence[ClassRule]) -> None:
        self._classes: tuple[ClassRule, ...] = ()
        self._cap = (1, 1)
        self._ring_mask = 0
        self._views: dict[int, View] = {}
        self._view_ids: dict[tuple[int, ...], int] = {}
        self._service_views: dict[int, int] = {}
        self._feeds: dict[
            int, list[list[Lane]]
        ] = {}  # service, class -> the lanes its tickets stand in; edited in place
        self._profiles: dict[int, Profile] = {}
        self._profile_ids: dict[Skills, int] = {}
        self._counters: dict[int, int] = {}
        self._next_view = 0
        self._next_profile = 0
        self._version = 0
        self.set_classes(classes)

    def set_classes(self, classes: Sequence[ClassRule]) -> None:
        """Rules from now on; keys keep their T.

        Classes may be added at the end; one that is left out must have nobody waiting.
        """
        caps = tuple(dict.fromkeys(rule.cap for rule in classes if rule.cap))
        assert len(caps) <= 1, "one cap for all capped classes: the ring counts their calls together"
        assert all(rule.rate > 0 for rule in classes), "a rate is positive"
        self._cap = caps[0] if caps else (1, 1)
        assert 0 <= self._cap[0] <= self._cap[1] and self._cap[1] > 0, "0 <= k <= n"
        self._ring_mask = (1 << self._cap[1] - 1) - 1
        self._classes = tuple(classes)
        self._capped = tuple(rule.cap is not None for rule in classes)
        self._rivals = tuple(_rivals(self._classes, mine) for mine in range(len(classes)))
        for view in self._views.values():
            assert not any(view.lanes[len(classes) :]), "a class was dropped while tickets of it wait"
            del view.lanes[len(classes) :]
            view.lanes.extend([] for _ in range(len(classes) - len(view.lanes)))
        for feed in self._feeds.values():
            feed[len(classes) :] = []
            feed.extend([] for _ in range(len(classes) - len(feed)))
            for lanes in feed:
                lanes.clear()
        for number in self._views:
            self._feed(number)
        for held in self._profiles.values():
            held.ring &= self._ring_mask
            self._compile(held)
        self._version += 1

    def add_service(self, service: int) -> None:
        """A service that tickets may queue for; it gets its own view. Again: nothing happens."""
        if service in self._feeds:
            return
        self._feeds[service] = [[] for _ in self._classes]
        self._service_views[service] = self._take_view((service,))
        self._version += 1

    def set_profile(self, counter: int, skills: Skills) -> int:
        """What `counter` serves from now on; the profile's id. Counters with equal skills share one."""
        skills = skills.normal()
        profile = self._profile_ids.get(skills)
        if profile is not None and self._counters.get(counter) == profile:
            return profile
        for service in skills.primary + skills.overflow:
            self.add_service(service)
        if profile is None:
            profile = self._next_profile
            self._next_profile += 1
            overflow = self._take_view(skills.overflow) if skills.overflow else NO_VIEW
            self._open_profile(profile, skills, (self._take_view(skills.primary), overflow))
        self._profiles[profile].holders += 1  # before the old one is let go: a view that both hold stays
        self.drop_profile(counter)
        self._counters[counter] = profile
        self._version += 1
        return profile

    def drop_profile(self, counter: int) -> None:
        """The counter serves nobody any more. A profile or view that nobody holds goes; its id does not come back."""
        profile = self._counters.pop(counter, None)
        if profile is None:
            return
        held = self._profiles[profile]
        held.holders -= 1
        if not held.holders:
            del self._profiles[profile], self._profile_ids[held.skills]
            for view in held.views:
                self._drop_view(view)
        self._version += 1

    def profile_of(self, counter: int) -> int:
        """The counter's profile. KeyError if it has none."""
        return self._counters[counter]

    def skills_of(self, profile: int) -> Skills:
        """What the counters of this profile serve."""
        return self._profiles[profile].skills

    def classes(self) -> tuple[ClassRule, ...]:
        """The class rules in force."""
        return self._classes

    def has_view(self, view: int) -> bool:
        """Whether a set of services is still somebody's."""
        return view in self._views

    def length(self, view: int) -> int:
        """How many wait in a view."""
        return sum(map(len, self._views[view].lanes))

    def anybody(self, view: int) -> bool:
        """Whether somebody waits in a view."""
        return any(self._views[view].lanes)

    def service_view(self, service: int) -> int:
        """The view of this service alone: for the printed number and the order of re-entry."""
        return self._service_views[service]

    def view_of(self, profile: int) -> int:
        """The primary view of a profile."""
        return self._profiles[profile].views[0]

    def views_with(self, service: int) -> tuple[int, ...]:
        """All views that hold the service, in order of their ids."""
        return tuple(view for view, seen in self._views.items() if service in seen.services)

    def _take_view(self, services: tuple[int, ...]) -> int:
        """The view of these services, with one more holder; a new one is filled from the services' own views."""
        view = self._view_ids.get(services)
        if view is None:
            view = self._next_view
            self._next_view += 1
            self._open_view(view, services)
            for service in services:
                own = self._views[self._service_views.get(service, view)]
                for lane, lane_of_service in zip(self._views[view].lanes, own.lanes, strict=True):
                    lane.extend(lane_of_service)
            for lane in self._views[view].lanes:
                lane.sort()
        self._views[view].holders += 1
        return view

    def _open_view(self, view: int, services: tuple[int, ...]) -> None:
        self._views[view] = View(services, len(self._classes))
        self._view_ids[services] = view
        self._feed(view)

    def _feed(self, view: int) -> None:
        """Tickets of the view's services stand in its lanes from now on."""
        seen = self._views[view]
        for service in seen.services:
            for lanes, lane in zip(self._feeds[service], seen.lanes, strict=True):
                lanes.append(lane)

    def _drop_view(self, view: int) -> None:
        """One holder less; the last one takes the view out of the feeds."""
        if view == NO_VIEW:
            return
        seen = self._views[view]
        seen.holders -= 1
        if seen.holders:
            return
        del self._views[view], self._view_ids[seen.services]
        for service in seen.services:
            for lanes, lane in zip(self._feeds[service], seen.lanes, strict=True):
                lanes[:] = [other for other in lanes if other is not lane]

    def _open_profile(self, profile: int, skills: Skills, views: tuple[int, int]) -> None:
        self._profiles[profile] = held = Profile(skills, views)
        self._profile_ids[skills] = profile
        self._compile(held)

    def _compile(self, held: Profile) -> None:
        """The rows of a profile under the class rules, and the quick path of `peek`."""
        held.primary = self._rows(held.views[0], 0)
        held.overflow = () if held.views[1] == NO_VIEW else self._rows(held.views[1], held.skills.handicap)
        lowest = min((rule.tier for rule in self._classes if rule.cap is None), default=0)
        plain = [rule.tier == lowest and rule.cap is None for rule in self._classes]
        rates = [rule.rate for rule, quick in zip(self._classes, plain, strict=True) if quick]
        even = len(dict.fromkeys(rates)) == 1 and held.skills.handicap % rates[0] == 0
        quick = [row for row in held.primary if plain[row[3]]]
        quick_overflow = [row for row in held.overflow if even and plain[row[3]]]
        held.rows = tuple((lane, (lead // rate) << SERIAL_BITS) for lane, lead, rate, _, _ in quick if even)
        held.overflow_rows = tuple((lane, (lead // rate) << SERIAL_BITS) for lane, lead, rate, _, _ in quick_overflow)
        held.mixed_rows = () if even else tuple(row[:3] for row in quick)
        watched = [row[0] for row in (*held.primary, *held.overflow) if not plain[row[3]]]
        held.watched = tuple(watched if even else [*watched, *(row[0] for row in held.overflow)])

    def _rows(self, view: int, handicap: int) -> tuple[Row, ...]:
        return tuple(
            (lane, rule.rate * rule.head_start_ms - handicap, rule.rate, cls, rule.tier)
            for cls, (rule, lane) in enumerate(zip(self._classes, self._views[view].lanes, strict=True))
        )

    def profiles(self) -> ViewTable:
        """The table of views and profiles, for a snapshot; `rebuilt` reads it."""
        return ViewTable(
            self._version,
            self._next_view,
            self._next_profile,
            tuple((view, seen.services) for view, seen in self._views.items()),
            tuple(self._service_views.items()),
            tuple((profile, held.skills, held.views) for profile, held in self._profiles.items()),
            tuple(sorted(self._counters.items())),
        )

    def rings(self) -> dict[int, list[int]]:
        """Per profile: was a call contested, for the last n - 1, oldest first."""
        bits = range(self._cap[1] - 2, -1, -1)
        return {profile: [held.ring >> bit & 1 for bit in bits] for profile, held in self._profiles.items()}

    def restore_rings(self, rings: dict[int, list[int]]) -> None:
        """Take over what `rings` gave."""
        for profile, calls in rings.items():
            ring = 0
            for contested in calls:
                ring = ring << 1 | contested
            self._profiles[profile].ring = ring & self._ring_mask


def _rivals(classes: tuple[ClassRule, ...], mine: int) -> Rivals:
    """Sort the other classes by how they stand to class `mine`."""
    rule = classes[mine]
    same_tier = [cls for cls, other in enumerate(classes) if other.tier == rule.tier and cls != mine]
    gains = [(cls, classes[cls].head_start_ms - rule.head_start_ms + (cls < mine)) for cls in same_tier]
    return Rivals(
        tuple(cls for cls, other in enumerate(classes) if other.tier > rule.tier),
        tuple((cls, gain << SERIAL_BITS) for cls, gain in gains if classes[cls].rate == rule.rate),
        tuple(cls for cls in same_tier if classes[cls].rate != rule.rate),
    )
