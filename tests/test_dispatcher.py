"""workers/dispatcher.py: the order of the promise, told by recording fakes of what stands around it."""

from collections.abc import Sequence

import msgspec
import pytest

from core import commands as c
from core import facts as f
from core.hall import Hall
from core.policy import digest, document
from core.record import decode
from core.state import HallState
from devices import topics
from tests.desks import ACK, Around, around, said
from tests.halls import HALL, MIN, MORNING, POLICY, Driven, changed, opened
from workers.dispatcher import FLOOD
from workers.ports import Input, Part


class DiskBroken(Exception):
    """What a journal raises when it cannot go on."""


def facts_of(part: Part) -> list[str]:
    return [type(decode(row.kind, row.v, row.payload)[0]).__name__ for row in part.facts]


# The order.


def test_nothing_is_settled_or_said_before_the_append_has_returned() -> None:
    a = around()
    a.serve([said("kiosk-1", 1)], [said("caller-1", 1, '"type":"ticket.call_next"')])
    assert a.steps() == ["batch", "append", "durable", "settle", "emit", "upkeep"] * 2
    assert a.all("settle") == a.batches_, "the very batch comes back"
    assert {one.topic.rpartition("/")[2] for one in a.messages()} == {"ack", "screen"}


@pytest.mark.parametrize("batches", [1, 2])
def test_an_append_that_fails_ends_the_loop_with_nothing_settled_or_said(batches: int) -> None:
    a = around(fails=DiskBroken())
    with pytest.raises(DiskBroken):
        a.serve(*[[said("kiosk-1", 1)], [said("kiosk-1", 2)]][:batches])
    assert a.steps() == ["batch", "append"]


def test_a_screen_shows_what_the_commit_before_it_holds() -> None:
    """Drawn between the commit and the next fold: revision = the last n of what was appended."""
    a = around()
    a.serve(
        [said("kiosk-1", 1)],
        [said("caller-1", 1, '"type":"ticket.call_next"')],
        [said("caller-1", 2, '"type":"serving.start"')],
    )
    ends = [part.expected + len(part.facts) for part in a.parts()]
    for end, messages in zip(ends, a.all("emit"), strict=True):
        screens = [msgspec.json.decode(one.payload) for one in messages if one.retain]
        assert {screen["revision"] for screen in screens} == {end}
    calling, serving = ({one.topic: one.payload for one in emitted} for emitted in a.all("emit")[1:])
    topic = f"jh/v1/{HALL}/caller-1/screen"
    assert msgspec.json.decode(calling[topic])["body"]["status"] == "calling"
    assert msgspec.json.decode(serving[topic])["body"]["status"] == "serving"


def test_no_picture_is_drawn_while_the_append_is_under_way() -> None:
    class Watching(Around):
        async def append(self, parts: Sequence[Part]) -> None:
            speaker = self.dispatcher._speakers[HALL]
            assert not speaker._known, "it has drawn before"
            assert self.halls[0].effects.counters or self.halls[0].effects.waiting, "effects wait for the commit"
            await super().append(parts)

    a = Watching([opened().hall])
    a.serve([said("kiosk-1", 1)])
    assert a.messages("screen")


# A batch.


def test_the_same_command_twice_in_one_batch_is_answered_twice_and_recorded_once() -> None:
    a = around()
    a.serve([said("kiosk-1", 1), said("kiosk-1", 1), said("kiosk-1", 2, '"type":"ticket.reprint","ticket":1')])
    (part,) = a.parts()
    assert facts_of(part).count("TicketTaken") == 1
    first, again, _ = a.results("kiosk-1")
    assert (first.seq, first.again, again.seq, again.again) == (1, False, 1, True)
    assert first.ok == again.ok and first.ok is not None and first.ok.ticket == 1
    assert a.dispatcher.tallies.duplicates == 1


def test_a_resent_command_gets_its_first_answer_from_a_batch_that_appends_nothing() -> None:
    a = around()
    a.serve([said("kiosk-1", 1)])
    (first,) = a.results("kiosk-1")
    a.serve([said("kiosk-1", 1)])
    (again,) = a.results("kiosk-1")
    assert again == msgspec.structs.replace(first, again=True)
    assert a.steps() == ["batch", "settle", "emit", "upkeep"]


def test_each_hall_has_one_part_that_begins_where_its_journal_ends() -> None:
    one, two = Driven(), Driven(changed(hall={"id": "h2"}))
    two.sign_on()
    two.hall.state.hall = "h2"
    ends = {HALL: one.state.n, "h2": two.state.n}
    a = around(one, two)
    a.serve(
        [said("kiosk-1", 1), said("kiosk-1", 1, hall="h2"), said("kiosk-2", 1)],
        [said("kiosk-1", 2, at_ms=MORNING + MIN), said("kiosk-1", 2, hall="h2", at_ms=MORNING + MIN)],
    )
    assert all(len(parts) == 2 for parts in a.all("append"))
    for part in a.parts():
        assert part.expected == ends[part.hall]
        ends[part.hall] += len(part.facts)
    assert ends == {HALL: one.state.n, "h2": two.state.n}


def test_the_row_of_a_fact_says_when_and_by_whom() -> None:
    a = around()
    a.serve([said("kiosk-1", 7, at_ms=MORNING + 5)])
    rows = a.parts()[0].facts
    assert {(row.at_ms, row.device, row.boot, row.dseq) for row in rows} == {(MORNING + 5, "kiosk-1", "boot", 7)}


def test_a_stamp_that_runs_backwards_is_held_at_the_last_one_and_counted() -> None:
    a = around()
    a.serve([said("kiosk-1", 1, at_ms=MORNING + MIN), said("kiosk-2", 1, at_ms=MORNING - MIN)])
    (part,) = a.parts()
    stamps = [row.at_ms for row in part.facts]
    assert stamps == sorted(stamps) and stamps[-1] == MORNING + MIN
    assert a.dispatcher.tallies.clock_clamped == 1


def test_messages_of_one_device_are_answered_in_order_in_one_ack_a_boot() -> None:
    a = around()
    a.serve([said("kiosk-1", seq, at_ms=MORNING + seq * 2000) for seq in (1, 2, 3)])
    (message,) = a.messages("ack")
    ack = ACK.decode(message.payload)
    assert ack.boot == "boot" and [one.seq for one in ack.results] == [1, 2, 3]


# Nobody's.


def test_an_unknown_hall_hears_wrong_hall_and_leaves_a_letter_but_no_fact() -> None:
    driven = opened()
    digest = driven.state.digest()
    a = around(driven)
    a.serve([said("kiosk-1", 1, hall="h9")])
    (part,) = a.parts()
    assert (part.hall, part.expected, list(part.facts)) == ("_core", 0, [])
    assert [(letter.topic, letter.reason) for letter in part.letters] == [("jh/v1/h9/kiosk-1/event", "wrong_hall")]
    (result,) = a.results("kiosk-1", "h9")
    assert (result.seq, result.refused, result.keep) == (1, "wrong_hall", True)
    assert driven.state.digest() == digest and a.dispatcher.tallies.rejected["identity"] == 1
    assert a.steps() == ["batch", "append", "durable", "settle", "emit", "upkeep"]


def test_an_unknown_device_is_told_to_keep_its_event_and_opens_no_window() -> None:
    driven = opened()
    digest = driven.state.digest()
    a = around(driven)
    a.serve([said("kiosk-9", 1)])
    (part,) = a.parts()
    assert not part.facts and [letter.reason for letter in part.letters] == ["device_unknown"]
    (result,) = a.results("kiosk-9")
    assert (result.refused, result.keep) == ("device_unknown", True)
    assert driven.state.digest() == digest and "kiosk-9" not in driven.state.windows


def test_a_retired_device_is_unknown() -> None:
    driven = opened()
    driven.ask(c.RetireDevice("kiosk-1"))
    a = around(driven)
    a.serve([said("kiosk-1", 1)])
    assert [one.refused for one in a.results("kiosk-1")] == ["device_unknown"]


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "x",
        "jh/v2/h1/kiosk-1/event",
        "jh/v1/h1/kiosk-1/ack",
        "jh/v1/h1/_kiosk/event",
        "jh/v1/_core/kiosk/event",
        "jh/v1/h 1/kiosk/event",
        "jh/v1/h1/kiosk-1/event/x",
        "jh/v1/h1/" + "k" * 65 + "/event",
        "jh/v1/h1/取号机/event",
    ],
)
def test_a_topic_that_is_none_is_counted_kept_as_a_letter_and_settled(topic: str) -> None:
    a = around()
    a.serve([Input(topic, b"{}", MORNING, False)])
    (part,) = a.parts()
    assert [(letter.topic, letter.reason) for letter in part.letters] == [(topic, "topic")] and not part.facts
    assert a.dispatcher.tallies.rejected["topic"] == 1 and not a.messages()
    assert a.steps() == ["batch", "append", "durable", "settle", "upkeep"]


def test_states_of_strangers_are_counted_and_nothing_else() -> None:
    a = around()
    a.serve([Input(f"jh/v1/{hall}/kiosk-9/state", b'{"state":"ready"}', MORNING, True) for hall in (HALL, "h9")])
    rejected = a.dispatcher.tallies.rejected
    assert (rejected["identity"], rejected["topic"]) == (2, 0)
    assert a.steps() == ["batch", "settle", "upkeep"]


def test_the_link_s_probe_is_nobody_s_business() -> None:
    a = around()
    a.serve([Input(topics.PROBE, b"0123", MORNING, True)])
    assert a.steps() == ["batch", "settle", "upkeep"]
    assert not any(a.dispatcher.tallies.rejected.values())


def test_ten_letters_a_minute_of_one_source_then_only_counters() -> None:
    a = around()
    a.serve([said("kiosk-9", seq, at_ms=MORNING) for seq in range(1, 31)])
    (part,) = a.parts()
    assert len(part.letters) == 10 and a.dispatcher.tallies.rejected["identity"] == 30
    assert len(a.results("kiosk-9")) == 30, "each is answered"
    a.serve([said("kiosk-9", 31, at_ms=MORNING + MIN)])
    assert len(a.parts()[0].letters) == 1, "another minute"


def test_topics_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.dispatcher.ROUTES_MAX", 5)
    a = around()
    a.serve([said(f"stranger-{at}", 1) for at in range(50)])
    assert len(a.dispatcher._routes) == 5 and len(a.messages("ack")) == 50


# Without input.


def test_an_empty_batch_brings_what_is_due_and_says_that_it_was_idle() -> None:
    driven = opened()
    driven.take()
    driven.call()  # arrives never; the day's end expires it
    a = around(driven, now_ms=driven.state.deadlines.first_ms())
    assert a.dispatcher.restless()
    a.serve(())
    (part,) = a.parts()
    assert part.facts and {row.device for row in part.facts} == {""}
    assert ("upkeep", True) in a.log and not a.dispatcher.restless()


def test_without_anything_due_an_empty_batch_writes_nothing() -> None:
    a = around()
    assert not a.dispatcher.restless()
    assert a.serve(()) == [("batch", ()), ("settle", ()), ("upkeep", True)]


def test_what_the_shell_asks_is_decided_with_the_next_batch() -> None:
    driven = opened()
    a = around(driven)
    newer = changed(calling={"max_recalls": 7})
    a.dispatcher.ask(HALL, c.ChangePolicy(newer.version, "digest", msgspec.json.encode(newer).decode()))
    assert a.dispatcher.restless() and driven.state.policy is not None and driven.state.policy.version == 1
    a.serve(())
    assert not a.dispatcher.restless()
    assert "Refused" in facts_of(a.parts()[0]), "the digest was wrong: also that is recorded"


def test_a_new_hall_speaks_with_its_first_policy() -> None:
    a = Around([Hall(HallState(HALL))])
    a.dispatcher.repaint(sync=True)
    a.dispatcher.ask(HALL, c.ChangePolicy(1, digest(POLICY), document(POLICY)))
    a.serve(())
    assert "PolicyChanged" in facts_of(a.parts()[0])
    assert {one.topic for one in a.messages("command")} == {
        topics.build(HALL, device.id, topics.COMMAND) for device in POLICY.devices
    }
    assert f"jh/v1/{HALL}/board-1/screen" in {one.topic for one in a.messages("screen")}


@pytest.mark.parametrize("sync", [False, True])
def test_a_repaint_shows_every_screen_and_a_sync_asks_every_device(sync: bool) -> None:
    driven = opened()
    a = around(driven)
    a.dispatcher.repaint(sync=sync)
    assert a.dispatcher.restless()
    a.serve(())
    assert a.steps() == ["batch", "settle", "emit", "upkeep"]
    every = {topics.build(HALL, name, topics.SCREEN) for name in driven.state.devices}
    assert {one.topic for one in a.messages("screen")} == every and all(one.retain for one in a.messages("screen"))
    assert len(a.messages("command")) == (len(driven.state.devices) if sync else 0)
    assert not a.dispatcher.restless()
    a.serve(())
    assert not a.messages(), "once"


def test_a_repaint_is_of_every_hall_whoever_was_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.dispatcher._real_ms", lambda: 10_000)
    a = around(opened(), Driven(changed(hall={"id": "h2"}), hall=Hall(HallState("h2"))))
    a.serve([said("kiosk-1", 1)])
    a.dispatcher.repaint(sync=False)
    a.serve([said("kiosk-1", 2)])  # in the same moment: nobody would look at the other hall
    assert {one.topic.split("/")[2] for one in a.messages("screen")} == {HALL, "h2"}


def test_a_sync_is_not_forgotten_when_a_plain_repaint_follows_it() -> None:
    a = around()
    a.dispatcher.repaint(sync=True)
    a.dispatcher.repaint(sync=False)
    a.serve(())
    assert a.messages("command")


def test_pictures_that_only_count_people_wait_for_their_second(monkeypatch: pytest.MonkeyPatch) -> None:
    real = [10_000]
    monkeypatch.setattr("workers.dispatcher._real_ms", lambda: real[0])
    a = around()
    a.serve([said("kiosk-1", 1)], [said("kiosk-2", 1)])
    assert [bool([one for one in emitted if one.retain]) for emitted in a.all("emit")] == [True, False]
    assert a.dispatcher.restless(), "what was not drawn is drawn later"
    real[0] += 1000
    a.serve(())
    kiosk = next(one for one in a.messages("screen") if "kiosk-1" in one.topic)
    assert ["si", 2, 38] in msgspec.json.decode(kiosk.payload)["body"]["services"]
    assert not a.dispatcher.restless()


# Counters.


def test_facts_are_counted_when_they_are_durable_and_not_before() -> None:
    driven = opened()
    taken = f.KIND_OF[next(kind for kind in f.KIND_OF if kind.__name__ == "TicketTaken")]
    a = around(driven, fails=DiskBroken())
    with pytest.raises(DiskBroken):
        a.serve([said("kiosk-1", 1)])
    assert a.dispatcher.tallies.facts[taken] == 0
    a = around()
    a.serve([said("kiosk-1", 1)])
    assert a.dispatcher.tallies.facts[taken] == 1


def test_each_input_is_observed_once_from_the_loop_to_its_acknowledgement() -> None:
    a = around()
    a.serve([said("kiosk-1", 1), said("kiosk-2", 1)], (), [said("kiosk-1", 1)])
    tallies = a.dispatcher.tallies
    assert sum(tallies.acknowledge.counts) == 3 == tallies.messages and tallies.core_seconds > 0


def test_what_no_device_should_send_is_taken_and_counted() -> None:
    a = around()
    second = [said("kiosk-1", 1)] * (FLOOD + 3)
    a.serve(second, [said("kiosk-1", 1, at_ms=MORNING + 1000)._replace(retain=True)])
    tallies = a.dispatcher.tallies
    assert tallies.unusual["flood"] == 3 and tallies.unusual["retained"] == 1
    assert len(a.results("kiosk-1")) == FLOOD + 4, "none is dropped"


def test_after_a_clock_was_set_back_a_little_nobody_floods() -> None:
    a = around()
    a.serve([said("kiosk-1", 1)] * FLOOD, [said("kiosk-1", 1, at_ms=MORNING - 30_000)] * FLOOD)
    assert a.dispatcher.tallies.unusual["flood"] == 0


def test_an_event_for_a_hall_that_is_not_ours_is_a_hole_in_the_rules() -> None:
    a = around()
    a.serve([said("kiosk-1", 1, hall="h9"), said("kiosk-9", 1), said("kiosk-1", 1)])
    assert a.dispatcher.tallies.wrong_hall == 1 and a.dispatcher.tallies.rejected["identity"] == 2
