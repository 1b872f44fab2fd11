//! Tests what every storage engine must do: the ports of `alter-core`, one file of cases per noun. A dev-dependency
//! only.
//!
//! An engine's tests call [`store_contract_tests!`], which makes one test from each case, on a new and empty store.
//! Engines differ in nothing that a case can see. This crate needs only `alter-core`, so that the tests of an engine
//! compile neither the other engine nor the server.
//!
//! To add a case, write it in its noun's file and name it in the list below (a test here finds forgotten ones). A case
//! fails by panicking or by an unexpected [`StoreError`](alter_core::StoreError).

pub mod agent;
pub mod app;
pub mod attempt;
pub mod attempt_end;
pub mod audit;
pub mod data_key;
pub mod grant;
pub mod key;
pub mod operator;
pub mod provider;
pub mod refresh;
pub mod revocation;
pub mod sample;
pub mod session;
pub mod staged;
pub mod store;
pub mod user;

/// Makes one `#[tokio::test]` from every case. The argument is the full path of an `async fn` without arguments. It
/// returns a guard, which is dropped after the case, and an `Arc<dyn Store>` of a new empty database.
#[macro_export]
macro_rules! store_contract_tests {
    ($make:path) => {
        $crate::store_contract_tests! { @cases $make,
            app: [
                an_app_is_read_back_as_it_was_stored,
                an_unknown_app_is_none,
                the_same_app_twice_is_a_conflict,
                apps_are_listed_by_creation,
                settings_are_replaced_and_nothing_else,
                nul_in_settings_is_refused_and_nothing_is_stored,
                a_name_is_one_apps_and_another_spelling_is_another_name,
                of_many_apps_made_at_once_with_one_name_exactly_one_is_stored,
                t98_a_deleted_app_is_gone_with_all_that_belonged_to_it_and_others_stay,
                t97_the_audit_of_a_deleted_app_stays_and_says_what_went_with_it,
                t98_what_was_under_way_when_its_app_was_deleted_stores_nothing,
                the_name_of_a_deleted_app_is_free,
            ],
            data_key: [
                a_new_key_is_current_and_the_one_before_it_stays_for_reading,
                of_many_new_keys_at_once_exactly_one_counts,
                t92_a_value_in_any_column_is_counted_listed_and_put_under_another_key,
                values_are_listed_by_row_in_pages,
                t92_a_value_that_was_written_meanwhile_is_not_replaced,
                t92_nothing_is_stored_under_a_retired_key,
                t92_a_writer_that_races_the_retiring_is_never_left_under_a_retired_key,
                f57_the_root_key_is_replaced_whole_or_not_at_all,
            ],
            key: [
                a_key_is_found_by_its_hash_with_its_app,
                a_revoked_key_is_found_and_stays_revoked_since_the_first_time,
                a_seal_is_put_on_a_key_that_has_none_and_is_not_revoked,
                t72_the_key_of_another_app_cannot_be_revoked,
                the_same_hash_or_id_twice_is_a_conflict,
                keys_are_listed_newest_first_and_of_one_app,
                a_key_of_no_app_is_refused,
                nul_in_a_key_name_is_refused,
            ],
            provider: [
                a_configuration_is_read_back_as_it_was_stored,
                saving_again_keeps_the_config_id_and_the_first_time,
                a_config_id_belongs_to_one_configuration,
                providers_are_listed_in_byte_order,
                t72_a_configuration_of_another_app_is_neither_listed_nor_deleted,
                what_flows_have_shown_is_counted_for_each_configuration_and_severing_stays,
                deleting_a_provider_leaves_its_grants_and_attempts,
                nul_in_a_configuration_is_refused,
                t90_a_seal_is_put_over_the_row_that_was_looked_at_alone,
            ],
            session: [
                a_session_is_found_by_sid_and_by_token_hash,
                an_unknown_session_is_none,
                the_same_sid_or_token_twice_is_a_conflict,
                a_save_raises_the_version_and_a_stale_one_changes_nothing,
                a_user_token_is_stored_with_its_session_and_wiped_with_it,
                t97_a_user_token_is_neither_kept_nor_wiped_without_its_audit_entry,
                sessions_with_a_user_token_are_listed_until_it_is_wiped,
                of_many_saves_of_one_version_exactly_one_counts,
                the_versions_of_many_sessions_are_read_at_once_and_unknown_ones_are_left_out,
                t61_a_replayed_nonce_stores_no_session,
                a_session_that_is_refused_leaves_its_nonce_unused,
                lapsed_sessions_are_the_open_ones_past_their_time_oldest_first,
                old_sessions_are_deleted_with_their_attempts,
                a_large_document_with_every_script_is_kept,
                nul_in_a_session_is_refused,
            ],
            attempt: [
                starting_saves_the_session_and_the_attempt,
                starting_from_a_session_that_has_moved_stores_nothing,
                a_state_that_exists_is_a_conflict_and_stores_nothing,
                t17_of_fifty_concurrent_callbacks_exactly_one_consumes,
                an_attempt_is_consumed_until_the_microsecond_it_expires,
                what_is_unknown_moves_nowhere,
                sent_comes_after_consumed_alone,
                a_body_is_kept_while_sent_alone,
                stuck_attempts_are_consumed_or_sent_oldest_first,
            ],
            attempt_end: [
                completing_stores_grant_session_audit_and_wipes,
                completing_twice_counts_once,
                of_many_concurrent_ends_exactly_one_counts,
                connecting_again_replaces_the_credential_and_keeps_the_grant,
                a_moved_generation_is_a_conflict_and_stores_nothing,
                another_grant_of_the_same_account_is_a_conflict_and_stores_nothing,
                t97_a_connection_without_its_audit_entry_is_not_stored,
                t72_a_transaction_completes_for_its_own_session_and_app_alone,
                what_was_not_sent_does_not_complete,
                a_session_that_ended_meanwhile_keeps_its_end_and_gets_the_connection,
                failing_ends_whatever_is_open_and_wipes,
                f28_an_attempt_whose_answer_is_in_the_journal_is_not_interrupted,
                what_has_failed_does_not_complete_and_what_completed_does_not_fail,
                an_open_status_is_no_way_to_fail,
                t97_a_failure_without_its_audit_entry_is_not_stored,
            ],
            staged: [
                staging_keeps_the_answer_and_makes_no_grant,
                only_what_was_sent_and_answered_is_staged,
                t01_a_staged_attempt_completes_with_the_apps_word_alone,
                an_attempt_that_was_not_staged_has_no_word_to_wait_for,
                discarding_wipes_and_fails_the_session,
                of_many_words_at_once_exactly_one_counts,
                waiting_attempts_are_the_staged_ones_oldest_first,
            ],
            grant: [
                t72_a_grant_of_another_app_is_none,
                grants_are_listed_newest_first_in_pages,
                accounts_are_told_apart_byte_by_byte,
                absent_values_stay_absent,
                a_release_leaves_an_audit_entry_and_uses_the_nonce,
                the_time_of_last_use_is_kept_to_the_minute,
                t97_a_moved_generation_releases_nothing_and_records_nothing,
                t72_the_grant_of_another_app_is_not_released,
                t61_a_replayed_call_releases_nothing,
                t97_a_release_whose_audit_entry_cannot_be_written_fails,
                t15_the_same_account_of_two_users_and_of_the_app_is_three_grants,
                a_filter_finds_what_fits_in_every_part,
                active_grants_are_listed_by_id_and_those_with_an_unbound_token_alone,
            ],
            user: [
                a_user_is_found_by_what_a_token_says_and_by_id,
                t15_the_same_subject_of_two_issuers_or_two_apps_is_two_users,
                saving_a_user_again_keeps_the_id_and_replaces_the_label,
                of_many_concurrent_saves_of_one_user_all_get_the_same_id,
                a_user_of_no_app_and_nul_in_a_user_are_refused,
            ],
            agent: [
                an_agent_is_read_back_as_it_was_stored_and_its_key_finds_it,
                a_name_is_taken_until_its_agent_is_revoked,
                the_same_idempotency_key_makes_one_agent,
                of_many_concurrent_creations_of_one_name_exactly_one_counts,
                agents_are_listed_by_creation_in_pages,
                a_save_raises_the_version_and_a_stale_one_changes_nothing,
                a_revoked_agent_loses_its_keys_and_delegations_and_stays_revoked,
                t61_a_replayed_call_changes_no_agent,
                t97_a_change_to_agents_without_its_audit_entry_is_not_stored,
                an_agent_has_so_many_keys_and_no_more,
                the_last_key_of_an_agent_is_revoked_only_by_force,
                a_key_is_deprecated_and_taken_back_until_it_is_revoked,
                t13_a_delegation_is_written_with_its_grant_or_not_at_all,
                t13_nothing_is_delegated_to_an_agent_that_is_stopped,
                a_revoked_delegation_is_gone_until_it_is_approved_again,
                t13_a_delegation_is_widened_with_its_session_or_not_at_all,
                t13_of_many_answers_at_once_exactly_one_widens,
                t13_a_delegation_of_an_agent_that_is_stopped_is_not_widened,
                t98_an_agent_gets_a_credential_with_a_live_delegation_alone,
            ],
            refresh: [
                a_refresh_replaces_the_credential_and_keeps_the_grant,
                f58_of_many_that_want_to_refresh_one_gets_the_lease,
                a_token_that_needs_no_refresh_and_one_of_another_generation_get_no_lease,
                f14_an_attempt_that_was_broken_off_is_unknown_and_the_token_is_sent_once_more,
                f16_an_answer_in_the_journal_is_finished_and_not_asked_for_again,
                f20_a_late_success_beats_a_refusal_that_came_before_it,
                f20_no_grant_is_condemned_while_a_success_of_its_generation_is_in_the_journal,
                f20_a_late_answer_of_an_older_attempt_is_applied_before_the_token_is_sent_again,
                f20_a_late_answer_is_applied_although_the_next_attempt_failed_or_broke_off,
                a_refusal_that_comes_late_is_not_left_in_the_journal,
                what_failed_beside_an_answer_that_brought_nothing_counts_as_broken_off,
                after_two_unknown_outcomes_the_token_rests,
                f19_a_failure_of_an_attempt_that_was_overtaken_changes_nothing,
                a_failure_that_says_nothing_about_the_token_leaves_it_and_waits,
                the_user_who_connects_again_wins_over_a_refresh_under_way,
                tokens_of_a_grant_that_was_revoked_meanwhile_go_to_the_queue_and_nowhere_else,
                grants_are_due_at_their_time_the_longest_overdue_first,
                t77_grants_of_a_configuration_that_is_left_out_leave_their_places_to_others,
                grants_that_only_their_users_can_help_are_counted_by_app_provider_and_reason,
                grants_whose_client_is_refused_are_counted_while_they_wait,
                a_refused_token_is_wiped_after_a_week_and_the_verdict_stays,
                t97_a_refresh_whose_audit_entry_cannot_be_written_is_not_stored,
                the_attempts_of_a_grant_do_not_pile_up,
            ],
            revocation: [
                t98_revoking_wipes_the_values_and_ends_delegations_and_releases,
                revoking_counts_once_and_only_for_the_generation_that_was_read,
                t61_a_replayed_call_revokes_nothing_and_a_moved_grant_uses_no_nonce,
                t97_a_revocation_without_its_audit_entry_is_not_stored,
                the_same_account_connected_after_a_revocation_is_a_new_grant,
                due_requests_are_taken_once_and_end_with_the_grant_knowing,
                where_nothing_is_asked_the_grant_says_why,
                an_account_is_found_whoever_has_a_grant_of_it_while_one_is_active,
            ],
            audit: [
                entries_are_listed_newest_first_and_of_one_app,
                an_entry_of_no_app_is_refused,
                concurrent_entries_are_all_kept,
                t96_entries_form_a_chain_that_ends_in_the_head,
                nul_in_an_entry_is_refused,
                each_change_by_the_operator_has_its_entry,
                a_change_of_nothing_has_no_entry,
                a_change_whose_entry_cannot_be_written_does_not_happen,
            ],
            store: [
                t61_a_nonce_counts_once_per_key_and_signed_second,
                t61_a_call_is_known_once_its_nonce_is_recorded_and_asking_records_nothing,
                t61_of_fifty_concurrent_replays_exactly_one_counts,
                old_nonces_are_forgotten_and_young_ones_are_not,
                the_key_check_is_stored_once,
                a_probe_may_be_repeated,
            ],
        }
    };
    (@cases $make:path, $($noun:ident: [$($case:ident),* $(,)?],)*) => {
        $(mod $noun {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let (_guard, store) = $make().await;
                    $crate::$noun::$case(store).await.expect("no error was expected");
                }
            )*
        })*
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_case_is_in_the_list() {
        let files = [
            include_str!("agent.rs"),
            include_str!("app.rs"),
            include_str!("data_key.rs"),
            include_str!("audit.rs"),
            include_str!("grant.rs"),
            include_str!("key.rs"),
            include_str!("provider.rs"),
            include_str!("revocation.rs"),
            include_str!("session.rs"),
            include_str!("staged.rs"),
            include_str!("store.rs"),
            include_str!("attempt.rs"),
            include_str!("attempt_end.rs"),
            include_str!("user.rs"),
        ];
        let cases = files.iter().flat_map(|file| file.split("pub async fn ").skip(1));
        let names: Vec<_> = cases.filter_map(|case| case.split('(').next()).collect();
        assert!(names.len() > 50, "the cases were not found");
        for name in names {
            assert!(include_str!("lib.rs").contains(&format!(" {name},")), "{name} is in no list");
        }
    }
}
