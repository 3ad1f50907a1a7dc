//! The conformance kit catches each store that is wrong in one way, and no right one.

#[allow(unreachable_pub)] // The package `reliability` shows them.
mod broken;

use std::panic::{AssertUnwindSafe, catch_unwind};

use cloakroom_store_api::ManualClock;

use crate::broken::{Broken, Flaw};

/// Runs every check on a store with this flaw; gives the names of those that failed.
fn failing(flaw: Flaw) -> Vec<&'static str> {
    std::panic::set_hook(Box::new(|_| {}));
    macro_rules! __failing {
        (($flaw:expr) $($module:ident::$check:ident)*) => {[$((
            stringify!($check),
            catch_unwind(AssertUnwindSafe(|| {
                let subject = Broken::new($flaw, ManualClock::new());
                let check = cloakroom_store_api::conformance::$module::$check(subject);
                cloakroom_store_api::conformance::run(check);
            })),
        )),*]};
    }
    let outcomes = cloakroom_store_api::__conformance_checks!([__failing](flaw));
    let failed = outcomes.into_iter().filter(|(_, outcome)| outcome.is_err());
    failed.map(|(check, _)| check).collect()
}

macro_rules! teeth {
    ($($test:ident: $flaw:ident => $($check:ident)+;)*) => {
        $(
            #[test]
            fn $test() {
                let failing = failing(Flaw::$flaw);
                println!("flaw={:?} caught_by={}", Flaw::$flaw, failing.join(","));
                for check in [$(stringify!($check)),+] {
                    assert!(failing.contains(&check), "{check} does not catch it: {failing:?}");
                }
            }
        )*
    };
}

#[test]
fn a_right_store_passes() {
    assert_eq!(failing(Flaw::None), [""; 0]);
}

teeth! {
    upsert_on_save: UpsertOnSave => a_new_record_is_stored_once
        a_save_of_another_revision_conflicts an_ended_session_cannot_be_saved
        sixteen_writers_lose_nothing an_end_beats_a_late_save;
    check_then_set: CheckThenSet => sixteen_writers_lose_nothing of_many_creators_one_wins
        an_end_beats_a_late_save;
    insert_when_the_update_finds_nothing: InsertWhenTheUpdateFindsNothing =>
        an_ended_session_cannot_be_saved an_expired_session_cannot_be_saved
        an_unknown_session_cannot_be_saved an_end_beats_a_late_save;
    created_at_moves: CreatedAtMoves => a_save_moves_the_deadline_by_the_records_own_lifetime;
    created_when_the_record_says: CreatedWhenTheRecordSays =>
        a_save_takes_no_instant_from_the_record;
    stored_for_a_refused_save: StoredForARefusedSave => a_save_of_another_revision_conflicts
        a_new_record_is_stored_once sixteen_writers_lose_nothing;
    touch_revives: TouchRevives => a_dead_session_cannot_be_touched
        a_session_dies_at_its_deadline;
    touch_passes_the_absolute_timeout: TouchPassesTheAbsoluteTimeout =>
        a_touch_stops_at_the_absolute_timeout;
    touch_ignores_the_revision: TouchIgnoresTheRevision => a_touch_of_another_revision_is_none
        a_late_touch_cannot_stretch_a_session;
    touch_writes_back_what_it_read: TouchWritesBackWhatItRead => an_end_beats_a_late_touch;
    load_without_the_expiry_check: LoadWithoutTheExpiryCheck => an_expired_session_loads_as_none
        a_session_dies_at_its_deadline;
    less_or_equal: LessOrEqual => a_session_dies_at_its_deadline no_expired_session_is_served;
    the_callers_clock: CallersClock => a_session_dies_at_its_deadline the_store_dates_a_new_record;
    rotate_as_delete_then_create: RotateAsDeleteThenCreate =>
        a_dropped_call_leaves_the_state_before_or_after;
    rotate_as_create_then_delete: RotateAsCreateThenDelete =>
        a_dropped_call_leaves_the_state_before_or_after a_rotation_is_never_seen_twice
        of_two_rotations_one_wins an_end_beats_a_late_rotation;
    rotate_keeps_the_old_owner: RotateKeepsTheOldOwner => a_rotation_moves_the_session
        the_index_follows_every_change;
    expire_owner_by_a_list_read_before: ExpireOwnerByAListReadBefore =>
        no_session_survives_the_end_of_its_owner;
    sweep_by_a_list_read_before: SweepByAListReadBefore => a_sweep_spares_a_session_created_anew;
    sweep_what_is_about_to_die: SweepWhatIsAboutToDie => a_sweep_spares_a_touched_session;
    sweep_counts_what_others_removed: SweepCountsWhatOthersRemoved => sweepers_do_not_count_twice;
    errors_for_the_unreadable: ErrorsForTheUnreadable => an_unreadable_record_hurts_nobody_else;
    expire_owner_spares_the_unreadable: ExpireOwnerSparesTheUnreadable =>
        an_unreadable_record_ends_with_its_owners_others;
}
