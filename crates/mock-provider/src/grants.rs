//! Authorization codes, access tokens and refresh tokens: issue, redeem, rotate, revoke. No HTTP.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::quirks::RefreshMode;
use crate::random_name::random_name;

/// Seconds for which a code may be redeemed.
const CODE_LIFE_S: i64 = 60;

/// Seconds for which a consent page waits for a decision.
const PAGE_LIFE_S: i64 = 600;

/// A checked authorization request.
#[derive(Clone)]
pub(crate) struct AuthRequest {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) state: Option<String>,
    pub(crate) scope: String,
    pub(crate) nonce: Option<String>,
    pub(crate) challenge: Option<String>,
    pub(crate) form_post: bool,
    pub(crate) login_hint: Option<String>,
    pub(crate) asked_at: i64,
}

impl AuthRequest {
    pub(crate) fn is_stale(&self, now: i64) -> bool {
        now > self.asked_at + PAGE_LIFE_S
    }
}

/// What a code stands for.
#[derive(Clone)]
pub(crate) struct Code {
    pub(crate) request: AuthRequest,
    pub(crate) sub: String,
    expires_at: i64,
    /// The grant made from this code; a second use of the code ends the grant (RFC 6749 section 4.1.2).
    grant: Option<u64>,
}

/// What an access or refresh token stands for.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) client_id: String,
    pub(crate) sub: String,
    pub(crate) scope: String,
    grant: u64,
}

struct Refresh {
    held: Held,
    used_at: Option<i64>,
}

/// Newly issued tokens. The refresh token is `None` if none is issued or the old one stays.
pub(crate) struct Issued {
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
}

/// All codes and tokens of one provider.
#[derive(Default)]
pub(crate) struct Grants {
    codes: HashMap<String, Code>,
    access: HashMap<String, (Held, i64)>,
    refresh: HashMap<String, Refresh>,
    revoked: HashSet<u64>,
    grants_made: u64,
}

impl Grants {
    pub(crate) fn issue_code(&mut self, request: AuthRequest, sub: &str, now: i64) -> String {
        // A code is forgotten a minute after it expired; until then a second use is recognised.
        self.codes.retain(|_, code| now <= code.expires_at + CODE_LIFE_S);
        let code = random_name("mock_code_");
        let expires_at = now + CODE_LIFE_S;
        self.codes.insert(code.clone(), Code { request, sub: sub.to_owned(), expires_at, grant: None });
        code
    }

    /// Returns the code if it is still good. Finding a used code ends the grant that was made from it.
    pub(crate) fn find_code(&mut self, code: &str, now: i64) -> Option<Code> {
        let known = self.codes.get(code)?;
        if let Some(grant) = known.grant {
            self.revoked.insert(grant);
            return None;
        }
        (now <= known.expires_at).then(|| known.clone())
    }

    /// Spends a code and begins the grant that it stands for.
    pub(crate) fn spend_code(&mut self, code: &str, scope: String) -> Option<Held> {
        let known = self.codes.get_mut(code)?;
        self.grants_made += 1;
        known.grant = Some(self.grants_made);
        Some(Held {
            client_id: known.request.client_id.clone(),
            sub: known.sub.clone(),
            scope,
            grant: self.grants_made,
        })
    }

    pub(crate) fn issue(&mut self, held: &Held, life: Duration, with_refresh: bool, now: i64) -> Issued {
        self.access.retain(|_, (_, expires_at)| now < *expires_at);
        let access_token = random_name("mock_at_");
        let expires_at = now.saturating_add(i64::try_from(life.as_secs()).unwrap_or(i64::MAX));
        self.access.insert(access_token.clone(), (held.clone(), expires_at));
        let refresh_token = with_refresh.then(|| random_name("mock_rt_"));
        if let Some(token) = &refresh_token {
            self.refresh.insert(token.clone(), Refresh { held: held.clone(), used_at: None });
        }
        Issued { access_token, refresh_token }
    }

    /// Uses a refresh token of this client, by the rules of `mode`. `None` means `invalid_grant`.
    pub(crate) fn use_refresh(
        &mut self,
        token: &str,
        client_id: &str,
        mode: RefreshMode,
        now: i64,
    ) -> Option<Held> {
        let known = self.refresh.get_mut(token)?;
        if known.held.client_id != client_id || self.revoked.contains(&known.held.grant) {
            return None;
        }
        let allowed = match (mode, known.used_at) {
            (RefreshMode::Keep, _) => return Some(known.held.clone()),
            (_, None) => true,
            (RefreshMode::RotateWithGrace(grace), Some(at)) => {
                now.saturating_sub(at) <= i64::try_from(grace.as_secs()).unwrap_or(i64::MAX)
            }
            (RefreshMode::RotateRevokeOnReuse, Some(_)) => {
                self.revoked.insert(known.held.grant);
                false
            }
            (RefreshMode::Rotate, Some(_)) => false,
        };
        known.used_at.get_or_insert(now);
        allowed.then(|| known.held.clone())
    }

    /// Returns what a live access token stands for.
    pub(crate) fn find_access(&self, token: &str, now: i64) -> Option<Held> {
        let (held, expires_at) = self.access.get(token)?;
        (now < *expires_at && !self.revoked.contains(&held.grant)).then(|| held.clone())
    }

    /// Ends the grant of an access or refresh token if it belongs to this client (RFC 7009 section 2.1).
    pub(crate) fn revoke(&mut self, token: &str, client_id: &str) {
        let held = self.refresh.get(token).map(|known| &known.held);
        let held = held.or(self.access.get(token).map(|(held, _)| held));
        if let Some(held) = held.filter(|held| held.client_id == client_id) {
            self.revoked.insert(held.grant);
        }
    }
}
