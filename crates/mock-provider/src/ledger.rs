//! What a test asks and does about grants without a browser: make one, end one, look at its tokens.

use crate::access_token::mint;
use crate::grants::{GrantState, RefreshCounts, RefreshTokenState};
use crate::provider::MockProvider;

/// The tokens of a grant that [`MockProvider::make_grant`] made.
#[derive(Clone)]
pub struct Tokens {
    /// The grant's number at this provider.
    pub grant: u64,
    pub access_token: String,
    pub refresh_token: String,
    /// Seconds for which the access token works.
    pub expires_in: i64,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("grant", &self.grant).finish_non_exhaustive()
    }
}

impl MockProvider {
    /// Makes a grant as if this user had consented and the client had redeemed the code.
    pub fn make_grant(&self, client_id: &str, sub: &str, scope: &str) -> Tokens {
        let now = self.inner.now();
        let mut world = self.inner.world();
        let switches = world.switches.clone();
        let held = world.grants.begin(client_id.to_owned(), sub.to_owned(), scope.to_owned());
        let access_token = mint(&self.inner, &switches, &held, now);
        let issued = world.grants.issue(&switches, &held, access_token, true, now);
        Tokens {
            grant: held.grant,
            access_token: issued.access_token,
            refresh_token: issued.refresh_token.expect("asked for above"),
            expires_in: issued.expires_in,
        }
    }

    /// Ends a grant and all its tokens, as a user does in the account's settings.
    pub fn end_grant(&self, number: u64) {
        self.inner.world().grants.end(number);
    }

    /// Ends one access or refresh token and leaves its grant alone.
    pub fn end_token(&self, token: &str) {
        self.inner.world().grants.end_token(token);
    }

    /// Returns every grant, in the order in which they were made.
    pub fn grants(&self) -> Vec<GrantState> {
        let now = self.inner.now();
        let world = self.inner.world();
        world.grants.states(&world.switches.refresh, now)
    }

    /// Returns the grant of an access or refresh token; `None` for a token that is unknown here or that expired long
    /// ago.
    pub fn grant_of(&self, token: &str) -> Option<GrantState> {
        let now = self.inner.now();
        let world = self.inner.world();
        world.grants.state(world.grants.grant_of(token)?, &world.switches.refresh, now)
    }

    /// Returns every refresh token that was ever issued, by grant and then oldest first.
    pub fn refresh_tokens(&self) -> Vec<RefreshTokenState> {
        let now = self.inner.now();
        let world = self.inner.world();
        world.grants.refresh_states(&world.switches.refresh, now)
    }

    /// Returns what became of this refresh token; `None` if it is unknown here.
    pub fn refresh_token(&self, token: &str) -> Option<RefreshTokenState> {
        let now = self.inner.now();
        let world = self.inner.world();
        world.grants.refresh_state(token, &world.switches.refresh, now)
    }

    pub fn refresh_counts(&self) -> RefreshCounts {
        self.inner.world().grants.counts()
    }

    /// Waits until the refresh requests satisfy `enough`. Has no deadline of its own.
    ///
    /// `arrived` counts a request before anybody judged it; `honoured` once its effect is there, even if its answer
    /// is held.
    pub async fn wait_for_refreshes(&self, enough: impl Fn(&RefreshCounts) -> bool) -> RefreshCounts {
        let mut arrivals = self.inner.arrivals();
        loop {
            let counts = self.refresh_counts();
            if enough(&counts) || arrivals.changed().await.is_err() {
                return counts;
            }
        }
    }
}
