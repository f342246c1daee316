//! One suite over every adapter of the metadata port. A case is a function that takes a store on an empty database;
//! `cases!` runs all of them on one adapter, each as a test of its own, so an adapter is added with one line.
//!
//! Beside them: [`on_sqlite`], [`on_postgres`] and [`on_dynamodb`] for what only one has, [`lifecycle`] with random histories.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod audit;
mod claims;
mod cloud;
mod costs;
mod datasets;
mod endpoints;
mod events;
mod jobs;
mod leases;
mod licences;
mod lifecycle;
mod models;
mod on_dynamodb;
mod on_postgres;
mod on_sqlite;
mod sessions;
mod uploads;

use llm_tuner::store::Store;
use std::sync::Arc;

type Db = Arc<dyn Store>;

macro_rules! cases {
    ($adapter:ident) => {
        mod $adapter {
            cases! { @tests $adapter
                accounts: [
                    ten_racing_sign_ups_make_one_admin, an_email_is_taken_once, a_user_reads_back_as_stored,
                    users_are_listed_newest_first, changes_reach_the_row, a_new_password_ends_other_sessions,
                    disabling_ends_every_session, changing_nobody_is_not_found,
                ]
                sessions: [
                    a_session_comes_with_its_user, the_longest_unused_session_makes_room, the_newest_session_stays,
                    racing_sign_ins_keep_the_limit, a_session_ends_only_for_its_owner, all_others_end,
                    sweeping_takes_what_is_over_and_nothing_else, a_session_needs_its_user,
                ]
                datasets: [
                    a_dataset_reads_back_as_stored, what_the_check_found_is_saved, lists_show_the_newest_version,
                    a_version_number_is_given_once, the_newest_of_a_file_name_is_found, a_dataset_in_use_stays,
                    deletion_and_a_new_job_never_both_win, unchecked_datasets_are_found_again, sizes_add_up,
                    odd_names_are_kept,
                ]
                uploads: [
                    an_upload_reads_back_as_stored, racing_finishers_make_one_dataset,
                    a_dataset_that_cannot_be_made_leaves_the_upload, uploads_end_when_their_time_has_come,
                ]
                jobs: [
                    a_job_reads_back_as_stored, one_key_makes_one_job, a_double_click_makes_one_job,
                    keys_are_per_user, a_name_is_taken_once, a_job_needs_its_datasets, pages_cover_equal_times,
                    a_page_is_stable_while_jobs_come, a_thousand_jobs_page_through, active_jobs_are_counted,
                    only_a_final_job_is_deleted, a_description_changes,
                ]
                claims: [
                    turns_are_fair_between_users, one_by_one_is_the_same_order, running_jobs_weigh,
                    a_job_left_behind_comes_first, racing_claims_take_each_job_once,
                    a_final_job_is_never_claimed, the_position_counts_those_before,
                ]
                leases: [
                    a_heartbeat_keeps_the_job, an_old_epoch_is_refused, a_released_job_is_free_at_once,
                    a_summary_is_written_piece_by_piece, states_follow_the_rules, a_stop_reaches_the_holder,
                    a_queued_job_stops_at_once, a_final_job_stays_as_it_is, a_try_is_counted,
                    a_job_with_a_checkpoint_is_resumed, a_checkpoint_is_forgotten, racing_resumes_count_once,
                ]
                events: [
                    numbers_have_no_gaps, stale_writers_leave_no_event, kinds_are_read_apart,
                    every_kind_reads_back, a_loss_that_is_no_number_is_kept, events_go_with_their_job,
                ]
                cloud: [
                    a_place_takes_its_own_jobs, positions_count_within_a_place, a_run_is_written_and_stays,
                ]
                costs: [
                    a_line_replaces_itself, a_month_is_read_for_one_or_all, a_budget_is_set_and_lifted,
                ]
                endpoints: [
                    an_endpoint_reads_back_as_stored, an_endpoint_name_is_taken_once, open_ones_are_those_that_cost,
                    an_update_needs_its_state, the_end_is_asked_for_once_it_is_not_over, use_never_goes_back,
                ]
                licences: [an_acceptance_is_recorded_once, acceptances_are_a_persons_own]
                models: [
                    a_model_reads_back_as_stored, a_second_try_replaces_the_model, models_page_and_change,
                ]
                audit: [
                    what_changes_is_audited_with_it, what_fails_is_not_audited, the_log_pages_backwards,
                ]
            }
        }
    };
    (@tests $adapter:ident $($area:ident: [$($case:ident),* $(,)?])*) => {
        $(mod $area {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let fresh = crate::support::databases::$adapter().await;
                    crate::$area::$case(fresh.store.clone()).await;
                    fresh.end().await;
                }
            )*
        })*
    };
}

cases!(sqlite);
cases!(postgres);
cases!(dynamodb);
