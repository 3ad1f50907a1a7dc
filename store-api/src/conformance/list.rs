//! The names of all checks.

/// Hands the list of all checks to a macro, as `name! { (arguments) module::check … }`.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_checks {
    ([$($then:tt)+] $arguments:tt) => {
        $($then)+! { $arguments
            load::an_unknown_id_loads_as_none
            load::an_ended_session_loads_as_none
            load::an_expired_session_loads_as_none
            load::loading_changes_nothing
            load::a_session_dies_at_its_deadline
            load::only_the_stores_clock_ends_sessions
            load::what_is_loaded_is_what_was_saved
            save::a_new_record_is_stored_once
            save::the_store_dates_a_new_record
            save::a_dead_leftover_is_replaced
            save::an_id_without_a_session_is_free
            save::a_save_counts_the_revision
            save::a_save_of_another_revision_conflicts
            save::an_ended_session_cannot_be_saved
            save::an_expired_session_cannot_be_saved
            save::an_unknown_session_cannot_be_saved
            save::a_save_moves_the_deadline_by_the_records_own_lifetime
            save::a_save_takes_no_instant_from_the_record
            save::a_save_stops_at_the_absolute_timeout
            save::a_deadline_that_is_not_after_now_ends_the_session
            save::the_longest_lifetime_is_kept
            touch::a_touch_moves_the_deadline
            touch::a_touch_of_another_revision_is_none
            touch::a_touch_never_moves_the_deadline_back
            touch::a_dead_session_cannot_be_touched
            touch::a_touch_stops_at_the_absolute_timeout
            touch::a_touch_changes_nothing_else
            touch::a_late_touch_cannot_stretch_a_session
            rotate::a_rotation_moves_the_session
            rotate::a_rotation_keeps_or_restarts_the_age
            rotate::a_rotation_of_another_revision_conflicts
            rotate::a_rotation_onto_a_live_session_conflicts
            rotate::a_rotation_onto_itself_conflicts
            rotate::a_rotation_onto_a_dead_leftover_is_whole
            rotate::a_dead_session_cannot_be_rotated
            rotate::a_record_of_revision_0_cannot_be_rotated
            rotate::a_rotation_past_the_deadline_ends_the_session
            expire::an_end_says_whether_the_session_was_live
            expire::nothing_revives_an_ended_session
            owners::an_owner_has_exactly_its_live_sessions
            owners::owners_with_similar_names_are_strangers
            owners::the_index_follows_every_change
            owners::ending_an_owners_sessions_spares_one
            sweep::a_sweep_removes_only_the_dead
            sweep::a_sweep_is_bounded
            sweep::an_idle_sweep_has_nothing_to_do
            all::two_nodes_see_the_same
            all::two_stores_share_nothing
            all::an_unreadable_record_hurts_nobody_else
            all::an_unreadable_record_can_be_ended
            all::an_unreadable_record_ends_with_its_owners_others
            all::a_record_over_the_limit_is_refused
            all::what_is_stored_is_counted
            all::a_store_that_works_answers_a_ping
            all::a_dropped_call_leaves_the_state_before_or_after
            races::sixteen_writers_lose_nothing
            races::no_expired_session_is_served
            races::of_many_creators_one_wins
            races::an_end_beats_a_late_save
            races::an_end_beats_a_late_touch
            races::an_end_beats_a_late_rotation
            races::a_rotation_beats_a_late_save
            races::of_two_rotations_one_wins
            races::a_rotation_is_never_seen_twice
            races::no_session_survives_the_end_of_its_owner
            races::a_sweep_spares_a_touched_session
            races::a_sweep_spares_a_session_created_anew
            races::sweepers_do_not_count_twice
        }
    };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// A check that is written but not listed would never run.
    #[test]
    fn every_check_is_in_the_list() {
        let written = [
            ("all", include_str!("all.rs")),
            ("expire", include_str!("expire.rs")),
            ("load", include_str!("load.rs")),
            ("owners", include_str!("owners.rs")),
            ("races", include_str!("races.rs")),
            ("races", include_str!("races/ends.rs")),
            ("races", include_str!("races/rotations.rs")),
            ("races", include_str!("races/sweeps.rs")),
            ("rotate", include_str!("rotate.rs")),
            ("save", include_str!("save.rs")),
            ("sweep", include_str!("sweep.rs")),
            ("touch", include_str!("touch.rs")),
        ];
        let written: BTreeSet<_> = written
            .iter()
            .flat_map(|(module, source)| {
                let names = source.split("\npub async fn ").skip(1);
                names.map(move |rest| format!("{module}::{}", rest.split('(').next().unwrap()))
            })
            .collect();
        let listed: Vec<_> = include_str!("list.rs")
            .lines()
            .map(str::trim)
            .filter(|line| written.contains(*line))
            .collect();
        println!("checks={}", listed.len());
        assert_eq!(listed.len(), written.len(), "each check is listed once");
        assert_eq!(
            BTreeSet::from_iter(listed.iter().map(ToString::to_string)),
            written
        );
    }
}
