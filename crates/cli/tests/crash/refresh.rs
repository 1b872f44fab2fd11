//! F11 to F19, F21 and F22: the process is killed, or stalls, at each numbered point of a refresh.
//!
//! The access token of the consent lives two seconds, the refreshed one an hour: so the count of each refresh token's
//! sendings is exact.

use std::{process::Command, time::Duration};

use alter_core::{Grant, GrantId};
use alter_mock_provider::{Gate, TokenFault};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpListener};

use crate::harness::{
    Alter, Database, Visit, no_secret_in, on_every_database, the_audit_verifies, with_two_servers,
};

on_every_database! {
    f11_killed_with_the_need_read_the_next_call_refreshes,
    f12_killed_with_the_lease_taken_the_token_is_sent_once,
    f13_killed_with_half_of_the_request_written_it_is_sent_again_whole,
    f14_killed_while_the_provider_holds_its_answer_nothing_is_lost_inside_the_window,
    f21_killed_before_the_answer_where_reuse_ends_the_family_the_loss_is_told,
    f22_killed_with_the_answer_in_memory_alone_nothing_is_lost_inside_the_window,
    f15_killed_with_the_answer_in_memory_alone_without_a_window_the_loss_is_told,
    f16_killed_with_the_answer_in_the_journal_the_next_call_applies_it_and_sends_nothing,
    f16_killed_with_the_answer_in_the_journal_the_sweep_applies_it_and_sends_nothing,
    f16_killed_while_the_audit_is_written_it_and_the_tokens_come_together,
    f17_killed_with_the_grant_updated_the_next_call_gets_the_new_token,
    f17_killed_with_a_failure_recorded_the_token_is_sent_again,
    f18_killed_after_the_caller_was_answered_the_new_token_is_there,
}

with_two_servers! { f19_a_holder_that_stalls_past_its_lease_takes_nothing_from_its_successor }

/// Leases of a second. The sweep comes once, at the start, and then calls alone refresh.
const FIRST: &[(&str, &str)] = &[("ALTER_REFRESH_HOLD", "1"), ("ALTER_REAP_EVERY", "3600")];
/// The same with a sweep every second, as after a restart that is to finish everything.
const AGAIN: &[(&str, &str)] = &[("ALTER_REFRESH_HOLD", "1"), ("ALTER_REAP_EVERY", "1")];
/// How long a replaced refresh token is still good where the provider has a reuse window.
const WINDOW: Duration = Duration::from_secs(600);
const NO_WINDOW: Duration = Duration::ZERO;

/// A grant whose access token has run out, at a server that serves.
struct Expired {
    alter: Alter,
    visit: Visit,
    grant: String,
}

/// Starts a server that dies at `point`, beside a provider that rotates.
async fn started(point: &str, window: Duration, on: Database) -> Alter {
    let mut alter = Alter::new(on).await;
    alter.mock.set(|s| {
        (s.token_response, s.expires_in) = (None, Some(json!(2)));
        s.refresh.answer_fields = json!({ "expires_in": 3600 });
        (s.refresh.reuse_window, s.refresh.reuse_ends_grant) = (window, true);
    });
    alter.serve(&[FIRST, &[("ALTER_FAILPOINT", point)]].concat()).await;
    alter
}

impl Expired {
    async fn new(point: &str, window: Duration, on: Database) -> Self {
        Self::at(started(point, window, on).await).await
    }

    /// Connects at this server, and waits until the access token has run out.
    async fn at(alter: Alter) -> Self {
        let mut visit = Visit::up_to_callback(&alter, "mock").await;
        assert_eq!(visit.reload_callback(&alter).await.status, 303);
        let status = visit.wait_for_end(&alter).await;
        let grant = status["connections"][0]["grant_id"].as_str().unwrap().to_owned();
        tokio::time::sleep(Duration::from_millis(1100)).await;
        Self { alter, visit, grant }
    }

    /// Calls until the server has died at its point, and starts it again.
    async fn die_and_come_back(&mut self) {
        self.die().await;
        self.come_back(AGAIN).await;
    }

    async fn die(&mut self) {
        assert_eq!(self.alter.try_release(&self.grant).await, "", "the caller got no answer");
    }

    async fn come_back(&mut self, variables: &[(&str, &str)]) {
        self.alter.wait_for_death().await;
        no_secret_in(&self.alter, &self.visit);
        self.alter.serve(variables).await;
    }

    async fn stored(&self) -> Grant {
        let (store, id) = (self.alter.store().await, GrantId::parse(&self.grant).unwrap());
        store.get_grant(self.alter.app, id).await.unwrap().unwrap()
    }

    /// Asserts that the grant is usable, with the tokens of its first refresh, and that the first refresh token was sent
    /// and honoured so often.
    async fn is_refreshed(&self, sent: u64, honoured: u64) {
        let released = self.alter.release(&self.grant).await;
        assert_eq!(released.status, 200, "{}", released.text());
        let token = released.json()["access_token"].as_str().unwrap().to_owned();
        assert!(self.at_provider().live_access.contains(&token), "the provider's API takes it");
        assert_eq!(self.stored().await.credential.generation, 2);
        self.is_sent(sent, honoured);
        assert_eq!(self.audited("credential_refreshed").await, 1);
        self.everything_is_whole().await;
    }

    /// Asserts that the grant has lost its tokens to a rotation, says so, and that connecting again mends it.
    async fn says_that_it_is_lost(mut self) {
        let refused = self.alter.release(&self.grant).await;
        assert_eq!((refused.status, refused.error().as_str()), (400, "credential_revoked"));
        let told: Value = refused.json();
        assert_eq!(told["details"]["reason"], "rotation_lost", "{told}");
        assert_eq!(told["details"]["needs_reconnect"], true, "{told}");
        self.is_sent(2, 1);
        assert_eq!(self.audited("reconnect_needed").await, 1);
        self.everything_is_whole().await;

        self.visit = Visit::up_to_callback(&self.alter, "mock").await;
        assert_eq!(self.visit.reload_callback(&self.alter).await.status, 303);
        let status = self.visit.wait_for_end(&self.alter).await;
        assert_eq!(status["connections"][0]["grant_id"], self.grant.as_str(), "the grant keeps its id");
        assert_eq!(self.alter.release(&self.grant).await.status, 200);
    }

    fn at_provider(&self) -> alter_mock_provider::GrantState {
        self.alter.mock.grants().remove(0)
    }

    /// Asserts how often the refresh token of the consent reached the provider and was honoured. No other token was sent.
    fn is_sent(&self, sent: u64, honoured: u64) {
        let tokens = self.alter.mock.refresh_tokens();
        let judged = |at: usize| tokens[at].sent - tokens[at].turned_away;
        assert_eq!((judged(0), tokens[0].honoured), (sent, honoured));
        assert!((1..tokens.len()).all(|at| judged(at) == 0), "{tokens:?}");
    }

    async fn audited(&self, kind: &str) -> usize {
        let audit = self.alter.store().await.list_audit(self.alter.app, 100).await.unwrap();
        audit.iter().filter(|(found, _)| found == kind).count()
    }

    /// No answer waits in the journal, the audit verifies, and no secret lies anywhere.
    async fn everything_is_whole(&self) {
        let ever = alter_core::Micros(i64::MAX);
        let left = self.alter.store().await.list_journalled_refreshes(ever, 10).await.unwrap();
        assert!(left.is_empty(), "{left:?}");
        the_audit_verifies(&self.alter).await;
        no_secret_in(&self.alter, &self.visit);
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.alter.pid().to_string()]).status();
        assert!(sent.unwrap().success());
    }
}

async fn f11_killed_with_the_need_read_the_next_call_refreshes(on: Database) {
    let mut expired = Expired::new("refresh_wanted", NO_WINDOW, on).await;
    expired.die_and_come_back().await;
    expired.is_refreshed(1, 1).await;
}

async fn f12_killed_with_the_lease_taken_the_token_is_sent_once(on: Database) {
    let mut expired = Expired::new("refresh_leased", NO_WINDOW, on).await;
    expired.die_and_come_back().await;
    expired.is_refreshed(1, 1).await;
}

async fn f13_killed_with_half_of_the_request_written_it_is_sent_again_whole(on: Database) {
    let mut expired = Expired::new("", NO_WINDOW, on).await;
    // A token endpoint that reads only the beginning of a request.
    let half = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", half.local_addr().unwrap());
    expired.alter.add_provider("mock", &["--token-url", &url]);
    let (answer, ()) = tokio::join!(expired.alter.try_release(&expired.grant), async {
        let (mut stream, _) = half.accept().await.unwrap();
        let mut begun = [0; 40];
        stream.read_exact(&mut begun).await.unwrap();
        assert!(begun.starts_with(b"POST /token"));
        expired.signal("-KILL");
    });
    assert_eq!(answer, "");
    expired.alter.add_provider("mock", &[]);
    expired.come_back(AGAIN).await;
    expired.is_refreshed(1, 1).await;
}

/// Kills the server when the provider has rotated the token and not answered.
async fn killed_while_the_answer_is_held(window: Duration, on: Database) -> Expired {
    let mut expired = Expired::new("", window, on).await;
    let gate = Gate::closed();
    expired.alter.mock.set(|s| s.refresh.fault = Some(TokenFault::HoldAnswer(gate.clone())));
    let (answer, ()) = tokio::join!(expired.alter.try_release(&expired.grant), async {
        expired.alter.mock.wait_for_refreshes(|counts| counts.honoured == 1).await;
        expired.signal("-KILL");
    });
    assert_eq!(answer, "");
    gate.open();
    expired.come_back(AGAIN).await;
    expired
}

async fn f14_killed_while_the_provider_holds_its_answer_nothing_is_lost_inside_the_window(on: Database) {
    killed_while_the_answer_is_held(WINDOW, on).await.is_refreshed(2, 2).await;
}

async fn f21_killed_before_the_answer_where_reuse_ends_the_family_the_loss_is_told(on: Database) {
    killed_while_the_answer_is_held(NO_WINDOW, on).await.says_that_it_is_lost().await;
}

async fn f22_killed_with_the_answer_in_memory_alone_nothing_is_lost_inside_the_window(on: Database) {
    let mut expired = Expired::new("refresh_answered", WINDOW, on).await;
    expired.die_and_come_back().await;
    expired.is_refreshed(2, 2).await;
}

async fn f15_killed_with_the_answer_in_memory_alone_without_a_window_the_loss_is_told(on: Database) {
    let mut expired = Expired::new("refresh_answered", NO_WINDOW, on).await;
    expired.die_and_come_back().await;
    expired.says_that_it_is_lost().await;
}

async fn f16_killed_with_the_answer_in_the_journal_the_next_call_applies_it_and_sends_nothing(on: Database) {
    let mut expired = Expired::new("refresh_journalled", NO_WINDOW, on).await;
    expired.die().await;
    expired.come_back(FIRST).await;
    expired.is_refreshed(1, 1).await;
}

async fn f16_killed_with_the_answer_in_the_journal_the_sweep_applies_it_and_sends_nothing(on: Database) {
    let mut expired = Expired::new("refresh_journalled", NO_WINDOW, on).await;
    expired.die_and_come_back().await;
    while expired.stored().await.credential.generation < 2 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    expired.is_refreshed(1, 1).await;
}

async fn f16_killed_while_the_audit_is_written_it_and_the_tokens_come_together(on: Database) {
    let mut expired = Expired::new("credential_refreshed", NO_WINDOW, on).await;
    expired.die_and_come_back().await;
    expired.is_refreshed(1, 1).await;
}

async fn f17_killed_with_the_grant_updated_the_next_call_gets_the_new_token(on: Database) {
    let mut expired = Expired::new("refresh_committed", NO_WINDOW, on).await;
    expired.die_and_come_back().await;
    assert_eq!(expired.stored().await.credential.generation, 2, "it was durable before the kill");
    expired.is_refreshed(1, 1).await;
}

async fn f17_killed_with_a_failure_recorded_the_token_is_sent_again(on: Database) {
    let mut expired = Expired::new("refresh_ended", NO_WINDOW, on).await;
    expired.alter.mock.set(|s| {
        (s.refresh.fault, s.refresh.fault_times) = (Some(TokenFault::Status(503)), Some(1));
    });
    expired.die_and_come_back().await;
    expired.is_refreshed(1, 1).await;
}

async fn f18_killed_after_the_caller_was_answered_the_new_token_is_there(on: Database) {
    let mut expired = Expired::new("", NO_WINDOW, on).await;
    let answered = expired.alter.release(&expired.grant).await.json();
    expired.signal("-KILL");
    expired.come_back(AGAIN).await;
    let again = expired.alter.release(&expired.grant).await.json();
    assert_eq!(again["access_token"], answered["access_token"]);
    expired.is_refreshed(1, 1).await;
}

async fn f19_a_holder_that_stalls_past_its_lease_takes_nothing_from_its_successor(on: Database) {
    let alter = started("", WINDOW, on).await;
    let peer = alter.peer(FIRST).await;
    let (expired, gate) = (Expired::at(alter).await, Gate::closed());
    expired.alter.mock.set(|s| {
        s.refresh.in_window = alter_mock_provider::InWindow::LastPairOnly;
        s.refresh.fault = Some(TokenFault::HoldAnswer(gate.clone()));
        s.refresh.fault_times = Some(1);
    });
    let (of_holder, of_peer) = tokio::join!(expired.alter.try_release(&expired.grant), async {
        expired.alter.mock.wait_for_refreshes(|counts| counts.honoured == 1).await;
        expired.signal("-STOP");
        let of_peer = expired.alter.try_release_at(&expired.grant, peer.port).await;
        gate.open();
        expired.signal("-CONT");
        of_peer
    });
    assert!(of_peer.starts_with("HTTP/1.1 200"), "{of_peer}");
    assert!(of_holder.starts_with("HTTP/1.1 200"), "{of_holder}");
    let token = |answer: &str| -> Value {
        let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
        serde_json::from_str::<Value>(body).unwrap()["access_token"].clone()
    };
    assert_eq!(token(&of_holder), token(&of_peer), "the stalled call gets the successor's token");
    expired.is_refreshed(2, 2).await;
}
