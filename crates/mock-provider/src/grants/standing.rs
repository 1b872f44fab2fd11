//! What tests may know of grants and refresh tokens: which are live, and how often each was sent.

use aws_lc_rs::digest::{SHA256, digest};

use super::{Grant, Grants, Refresh};
use crate::refresh_rules::RefreshRules;

/// A grant as it stands now.
///
/// It holds tokens in clear, because tests compare them; its `Debug` shows only how many.
#[derive(Clone, PartialEq, Eq)]
pub struct GrantState {
    /// Its number at this provider; later grants have greater ones.
    pub number: u64,
    pub client_id: String,
    pub sub: String,
    /// Whether the whole grant was ended: by a revocation, by a reused token or code, or by the test.
    pub ended: bool,
    /// How many refreshes took effect.
    pub refreshes: u64,
    /// The access tokens that work now, oldest first.
    pub live_access: Vec<String>,
    /// The refresh tokens that are good and not replaced, oldest first. One that works only because its reuse window
    /// is open is not among them.
    pub live_refresh: Vec<String>,
}

impl std::fmt::Debug for GrantState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrantState")
            .field("number", &self.number)
            .field("client_id", &self.client_id)
            .field("sub", &self.sub)
            .field("ended", &self.ended)
            .field("refreshes", &self.refreshes)
            .field("live_access", &self.live_access.len())
            .field("live_refresh", &self.live_refresh.len())
            .finish()
    }
}

/// What became of one refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshTokenState {
    /// The number of its grant.
    pub grant: u64,
    /// The SHA-256 of the token, in lower-case hex.
    pub sha256: String,
    /// Whether it is good and not replaced.
    pub live: bool,
    /// How many refresh requests carried it.
    pub sent: u64,
    /// How many of them met a fault or the limit before anybody judged the token.
    pub turned_away: u64,
    /// How many of them took effect.
    pub honoured: u64,
}

impl Grants {
    pub(crate) fn states(&self, rules: &RefreshRules, now: i64) -> Vec<GrantState> {
        self.grants.iter().map(|(number, grant)| self.state_of(*number, grant, rules, now)).collect()
    }

    pub(crate) fn state(&self, number: u64, rules: &RefreshRules, now: i64) -> Option<GrantState> {
        Some(self.state_of(number, self.grants.get(&number)?, rules, now))
    }

    fn state_of(&self, number: u64, grant: &Grant, rules: &RefreshRules, now: i64) -> GrantState {
        let access = grant.access.iter().filter(|token| self.find_access(token, now).is_some());
        let good =
            |token: &String| self.refresh.get(token).is_some_and(|known| self.is_live(known, rules, now));
        GrantState {
            number,
            client_id: grant.client_id.clone(),
            sub: grant.sub.clone(),
            ended: grant.ended,
            refreshes: grant.refreshes,
            live_access: access.cloned().collect(),
            live_refresh: grant.refresh.iter().filter(|token| good(token)).cloned().collect(),
        }
    }

    /// Returns all refresh tokens, by grant and then oldest first.
    pub(crate) fn refresh_states(&self, rules: &RefreshRules, now: i64) -> Vec<RefreshTokenState> {
        let tokens = self.grants.values().flat_map(|grant| &grant.refresh);
        tokens.filter_map(|token| self.refresh_state(token, rules, now)).collect()
    }

    pub(crate) fn refresh_state(
        &self,
        token: &str,
        rules: &RefreshRules,
        now: i64,
    ) -> Option<RefreshTokenState> {
        let known: &Refresh = self.refresh.get(token)?;
        Some(RefreshTokenState {
            grant: known.grant,
            sha256: sha256_hex(token),
            live: self.is_live(known, rules, now),
            sent: known.sent,
            turned_away: known.turned_away,
            honoured: known.honoured,
        })
    }
}

fn sha256_hex(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
