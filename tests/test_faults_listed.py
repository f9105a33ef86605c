"""Every fault that the journal promises to outlive, and the tests that prove it: none of them may go unnoticed."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FAULTS = {
    "kill -9 at random, twenty times": (
        "test_restart::killed_a_few_times_nothing_acknowledged_is_lost_and_nothing_happens_twice",
        "test_restart::killed_twenty_times_at_random_points",
        "test_journal::kill_9_loses_nothing_acknowledged",
        "test_faults::killed_while_it_waits_for_the_disk",
        "test_faults::killed_in_the_midst_of_its_own_start",
        "test_rotation::killed_at_each_step_the_rename_decides",
    ),
    "power cut, twenty times; NORMAL must fail": (
        "test_power_cut::full_loses_nothing_acknowledged_in_20_power_cuts",
        "test_power_cut::normal_loses_in_most_of_20_power_cuts",
        "test_power_cut::the_process_loses_nothing_acknowledged_in_20_power_cuts",
        "test_power_cut::under_normal_the_process_loses_in_most_power_cuts",
        "test_power_cut::nothing_acknowledged_is_lost_when_the_broker_loses_its_power_too",
        "test_faults::broker_and_process_killed_together",
    ),
    "disk full": (
        "test_journal::c8_a_full_disk_is_retried_with_the_same_batch_and_nothing_overtakes",
        "test_faults_disk::a_full_disk_is_waited_for",
        "test_faults_disk::a_small_file_system_that_runs_full_is_waited_for",
        "test_ballast::the_batch_in_hand_commits_and_reading_waits_until_the_ballast_is_back",
        "test_ballast::a_really_full_disk_costs_nothing_acknowledged_and_goes_on_when_there_is_room",
    ),
    "locked by another process": (
        "test_journal::c8_a_lock_held_by_another_process_is_waited_out",
        "test_faults_disk::a_journal_that_somebody_has_locked_is_waited_for",
    ),
    "read-only directory": ("test_faults_disk::a_directory_that_cannot_be_written_refuses_the_start",),
    "I/O error": (
        "test_faults_disk::a_disk_that_fails_ends_the_process_and_the_next_start_settles_it",
        "test_writer::after_an_error_that_does_not_pass_nothing_is_written_any_more",
    ),
    "corrupt page": (
        "test_faults_disk::a_page_of_noise_refuses_the_start",
        "test_faults_stored::a_corrupt_page_of_older_facts_stops_no_hall_and_is_found_by_verify_and_backup",
        "test_faults_stored::a_journal_without_its_first_page_is_salvaged_whole_and_served_again",
        "test_torn::without_its_first_page_a_month_loses_nothing",
        "test_salvage::where_nothing_is_left_of_the_newest_month_the_one_before_is_gone_on_in",
        "test_recovery::an_unreadable_page_is_refused",
        "test_cli_journal::a_damaged_journal_is_not_backed_up_but_salvaged",
    ),
    "flipped bit": (
        "test_faults_disk::a_flipped_bit_in_a_payload_refuses_the_start",
        "test_recovery::a_flipped_bit_on_disk_is_refused_though_sqlite_finds_nothing",
        "test_verify::every_byte_of_a_row_on_disk_is_covered",
        "test_verify::every_bit_of_every_row_on_disk_is_covered",
    ),
    "damaged or cut log; an old or foreign file put back": (
        "test_faults_disk::a_damaged_log_refuses_the_start",
        "test_recovery::a_missing_log_is_told_by_the_mark",
        "test_recovery::a_missing_file_is_told_by_the_mark",
        "test_recovery::another_journal_of_the_same_length_is_not_the_one_acknowledged",
        "test_recovery::a_journal_without_its_mark_is_refused",
    ),
    "second dispatcher": (
        "test_owner::a_second_owner_is_told_who_has_it_before_a_file_is_opened_and_kill_9_frees_it",
        "test_owner::a_process_ends_with_4_when_another_has_one_of_its_halls_though_their_data_lie_apart",
    ),
    "second writer all the same": (
        "test_writer::another_epoch_in_the_file_fences_every_part",
        "test_writer::a_taken_seq_fences",
        "test_memory_journal::the_older_of_two_writers_is_fenced",
        "test_cli::a_dispatcher_that_is_fenced_ends_with_70_and_says_nothing",
    ),
    "clock jumps both ways": (
        "test_faults::a_clock_that_jumps_both_ways_stops_nothing",
        "test_faults::a_month_ends_under_the_process_and_the_closed_one_is_archived",
        "test_rules_day::f12_the_day_turns_at_local_time_and_a_clock_step_turns_it_once",
    ),
    "bad snapshot; unknown fact; newer file": (
        "test_faults_stored::a_bad_state_is_skipped_for_the_one_before_and_said",
        "test_faults_stored::a_fact_of_a_newer_program_refuses_the_start",
        "test_recovery::a_bad_snapshot_is_skipped_for_the_one_before_and_named",
        "test_recovery::no_good_snapshot_at_all_is_refused",
        "test_fold::a_fact_of_a_newer_program_is_named",
        "test_recovery::a_newer_file_is_refused_and_not_touched",
    ),
    "broker restarted, or gone for long": ("test_faults::a_broker_that_was_away_is_found_again_and_outboxes_drain",),
    "network cut half-way through a batch, standing still, or silent": (
        "test_faults::a_connection_cut_in_the_midst_of_batches_is_made_again",
        "test_faults::a_network_that_stands_still_for_a_second_is_waited_for",
        "test_faults::a_network_that_is_silent_is_given_up_and_made_again",
    ),
    "slow disk": ("test_faults_disk::a_slow_disk_slows_answers_and_nothing_else",),
    "order under way when a state is stored": (
        "test_states::a_state_that_holds_unheard_orders_is_begun_with_only_after_they_were_heard",
        "test_rotation::a_state_that_holds_what_nobody_has_heard_takes_the_one_before_along",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_tests(fault: str) -> None:
    for one in FAULTS[fault]:
        file, _, name = one.partition("::")
        text = (HERE / f"{file}.py").read_text("utf-8")
        assert re.search(rf"^(async )?def test_{name}\(", text, re.MULTILINE), one


def test_each_test_of_a_faulty_machine_is_in_the_list() -> None:
    listed = {one for tests in FAULTS.values() for one in tests}
    for file in ("test_faults", "test_faults_disk", "test_faults_stored"):
        text = (HERE / f"{file}.py").read_text("utf-8")
        found = {f"{file}::{name}" for name in re.findall(r"^def test_(\w+)\(", text, re.MULTILINE)}
        assert found - listed <= {"test_faults_disk::the_undamaged_copy_starts"}
