//! Authorization codes, grants and their tokens: issue, redeem, end. No HTTP. What a refresh does is in `refresh`,
//! what tests may know in `standing` and `tally`.

mod refresh;
mod standing;
mod tally;

use std::collections::{BTreeMap, HashMap};

pub(crate) use self::refresh::{Asked, Refusal};
pub use self::standing::{GrantState, RefreshTokenState};
pub use self::tally::RefreshCounts;
use self::tally::Tally;
use crate::access_token::{expiry, seconds};
use crate::quirks::RevokeEnds;
use crate::random_name::random_name;
use crate::switches::Switches;

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

/// What an access token stands for.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) client_id: String,
    pub(crate) sub: String,
    pub(crate) scope: String,
    pub(crate) grant: u64,
}

/// What one user allowed one client, and every token made from it, oldest first.
struct Grant {
    client_id: String,
    sub: String,
    scope: String,
    ended: bool,
    refreshes: u64,
    access: Vec<String>,
    refresh: Vec<String>,
}

struct Access {
    held: Held,
    expires_at: i64,
}

/// A refresh token. It is never forgotten: a second use must be recognised, and tests count.
struct Refresh {
    grant: u64,
    /// When it was replaced; stays empty where tokens do not rotate.
    replaced_at: Option<i64>,
    /// When it was issued or last honoured.
    used_at: i64,
    ended: bool,
    sent: u64,
    turned_away: u64,
    honoured: u64,
    /// The pair that its last use made.
    pair: Option<Issued>,
}

/// Newly issued tokens. The refresh token is `None` if none is issued or the old one stays.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    /// Seconds for which the access token works.
    pub(crate) expires_in: i64,
}

/// All codes and tokens of one provider.
#[derive(Default)]
pub(crate) struct Grants {
    codes: HashMap<String, Code>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    /// By number; the numbers rise.
    grants: BTreeMap<u64, Grant>,
    tally: Tally,
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
            self.end(grant);
            return None;
        }
        (now <= known.expires_at).then(|| known.clone())
    }

    /// Spends a code and begins the grant that it stands for.
    pub(crate) fn spend_code(&mut self, code: &str, scope: String) -> Option<Held> {
        let known = self.codes.get(code)?;
        let (client_id, sub) = (known.request.client_id.clone(), known.sub.clone());
        let held = self.begin(client_id, sub, scope);
        self.codes.get_mut(code)?.grant = Some(held.grant);
        Some(held)
    }

    /// Begins a grant that has no tokens yet.
    pub(crate) fn begin(&mut self, client_id: String, sub: String, scope: String) -> Held {
        let number = self.grants.last_key_value().map_or(1, |(last, _)| last + 1);
        let held = Held { client_id, sub, scope, grant: number };
        let grant = Grant {
            client_id: held.client_id.clone(),
            sub: held.sub.clone(),
            scope: held.scope.clone(),
            ended: false,
            refreshes: 0,
            access: Vec::new(),
            refresh: Vec::new(),
        };
        self.grants.insert(number, grant);
        held
    }

    /// Issues this access token and, if `with_refresh`, a new refresh token.
    pub(crate) fn issue(
        &mut self,
        switches: &Switches,
        held: &Held,
        access_token: String,
        with_refresh: bool,
        now: i64,
    ) -> Issued {
        self.forget_expired(held.grant, now);
        let access = Access { held: held.clone(), expires_at: expiry(switches, now) };
        self.access.insert(access_token.clone(), access);
        let refresh_token = with_refresh.then(|| random_name("mock_rt_"));
        if let Some(token) = &refresh_token {
            self.refresh.insert(token.clone(), Refresh::new(held.grant, now));
        }
        if let Some(grant) = self.grants.get_mut(&held.grant) {
            grant.access.push(access_token.clone());
            grant.refresh.extend(refresh_token.clone());
        }
        Issued { access_token, refresh_token, expires_in: seconds(switches.access_token_life) }
    }

    /// Forgets the grant's expired access tokens, so that a demo that is left running does not grow by them.
    fn forget_expired(&mut self, grant: u64, now: i64) {
        let Some(grant) = self.grants.get_mut(&grant) else { return };
        let (live, expired) = std::mem::take(&mut grant.access)
            .into_iter()
            .partition(|token| self.access.get(token).is_some_and(|access| now < access.expires_at));
        grant.access = live;
        let expired: Vec<String> = expired;
        for token in expired {
            self.access.remove(&token);
        }
    }

    /// Returns what a live access token stands for.
    pub(crate) fn find_access(&self, token: &str, now: i64) -> Option<Held> {
        let access = self.access.get(token)?;
        (now < access.expires_at && !self.has_ended(access.held.grant)).then(|| access.held.clone())
    }

    /// Returns the grant of an access or refresh token, ended or not.
    pub(crate) fn grant_of(&self, token: &str) -> Option<u64> {
        let refresh = self.refresh.get(token).map(|refresh| refresh.grant);
        refresh.or_else(|| self.access.get(token).map(|access| access.held.grant))
    }

    fn has_ended(&self, grant: u64) -> bool {
        self.grants.get(&grant).is_none_or(|grant| grant.ended)
    }

    /// Ends a grant and every token of it.
    pub(crate) fn end(&mut self, grant: u64) {
        if let Some(grant) = self.grants.get_mut(&grant) {
            grant.ended = true;
        }
    }

    /// Ends one access or refresh token.
    pub(crate) fn end_token(&mut self, token: &str) {
        self.access.remove(token);
        if let Some(refresh) = self.refresh.get_mut(token) {
            refresh.ended = true;
        }
    }

    /// Revokes an access or refresh token if it belongs to this client (RFC 7009 section 2.1).
    pub(crate) fn revoke(&mut self, token: &str, client_id: &str, ends: RevokeEnds) {
        let Some(number) = self.grant_of(token) else { return };
        if self.grants.get(&number).is_none_or(|grant| grant.client_id != client_id) {
            return;
        }
        match ends {
            RevokeEnds::TokenAlone => self.end_token(token),
            RevokeEnds::Grant => self.end(number),
            RevokeEnds::Account => {
                self.end(number);
                for sibling in self.siblings(number) {
                    self.end(sibling);
                }
            }
        }
    }

    /// Returns the other grants of the same account and client.
    fn siblings(&self, number: u64) -> Vec<u64> {
        let Some(own) = self.grants.get(&number) else { return Vec::new() };
        let same = |grant: &Grant| (&grant.client_id, &grant.sub) == (&own.client_id, &own.sub);
        let others = self.grants.iter().filter(|(other, grant)| **other != number && same(grant));
        others.map(|(other, _)| *other).collect()
    }
}
