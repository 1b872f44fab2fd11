//! What a refresh token gets its sender (RFC 6749 section 6), by the rules that the switches choose.

use super::{Grants, Held, Issued, Refresh};
use crate::access_token::seconds;
use crate::refresh_rules::{InWindow, RefreshMode, RefreshRules};
use crate::switches::Switches;

/// An error code of RFC 6749 section 5.2, and a sentence.
pub(crate) type Refusal = (&'static str, &'static str);

/// A refresh request of an authenticated client.
pub(crate) struct Asked<'a> {
    pub(crate) token: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) scope: Option<&'a str>,
}

/// How good a presented refresh token is.
enum Standing {
    Good,
    /// It was replaced, and the reuse window is open.
    InWindow,
    /// It was replaced, and the window is over or there never was one.
    Reused,
    Dead,
}

impl Refresh {
    pub(super) fn new(grant: u64, now: i64) -> Self {
        Self {
            grant,
            replaced_at: None,
            used_at: now,
            ended: false,
            sent: 0,
            turned_away: 0,
            honoured: 0,
            pair: None,
        }
    }

    fn standing(&self, rules: &RefreshRules, now: i64) -> Standing {
        let within = |since: i64, time| now.saturating_sub(since) < seconds(time);
        match self.replaced_at {
            _ if self.ended => Standing::Dead,
            Some(at) if within(at, rules.reuse_window) => Standing::InWindow,
            Some(_) => Standing::Reused,
            None if rules.idle_life.is_none_or(|life| within(self.used_at, life)) => Standing::Good,
            None => Standing::Dead,
        }
    }
}

impl Grants {
    /// Refreshes: judges the token, ends what a refresh ends, and issues. `mint` makes the access token's text.
    pub(crate) fn refresh(
        &mut self,
        switches: &Switches,
        asked: &Asked<'_>,
        now: i64,
        mint: impl FnOnce(&Held) -> String,
    ) -> Result<(Held, Issued), Refusal> {
        let rules = &switches.refresh;
        let (held, in_window) = self.judge(rules, asked, now)?;
        self.spend(rules, asked.token, now);
        self.end_others(rules, held.grant);
        if in_window && let Some(first) = self.pair_again(rules.in_window, asked.token, now) {
            return Ok((held, first));
        }
        let with_refresh = rules.mode == RefreshMode::Rotate && !switches.omit_refresh_token;
        let mut issued = self.issue(switches, &held, mint(&held), with_refresh, now);
        match rules.mode {
            RefreshMode::KeepAndRepeat => issued.refresh_token = Some(asked.token.to_owned()),
            RefreshMode::KeepAndSayEmpty => issued.refresh_token = Some(String::new()),
            RefreshMode::Keep | RefreshMode::Rotate => {}
        }
        if let Some(known) = self.refresh.get_mut(asked.token) {
            known.pair = Some(issued.clone());
        }
        Ok((held, issued))
    }

    /// Returns what the new access token will stand for, and whether the token was replaced before.
    fn judge(&mut self, rules: &RefreshRules, asked: &Asked<'_>, now: i64) -> Result<(Held, bool), Refusal> {
        const DEAD: Refusal = ("invalid_grant", "the refresh token is unknown, used, expired or revoked");
        let known = self.refresh.get(asked.token).ok_or(DEAD)?;
        let (number, standing) = (known.grant, known.standing(rules, now));
        let grant = self.grants.get(&number).ok_or(DEAD)?;
        if grant.ended || grant.client_id != asked.client_id {
            return Err(DEAD);
        }
        let scope = scope(rules, &grant.scope, asked.scope)?;
        let held = Held { client_id: grant.client_id.clone(), sub: grant.sub.clone(), scope, grant: number };
        match standing {
            Standing::Good => Ok((held, false)),
            Standing::InWindow => Ok((held, true)),
            Standing::Reused if rules.reuse_ends_grant => {
                self.end(number);
                Err(("invalid_grant", "the refresh token was used twice: its grant has ended"))
            }
            Standing::Reused | Standing::Dead => Err(DEAD),
        }
    }

    /// Marks the token as used, and counts.
    fn spend(&mut self, rules: &RefreshRules, token: &str, now: i64) {
        let Some(known) = self.refresh.get_mut(token) else { return };
        known.honoured += 1;
        known.used_at = now;
        if rules.mode == RefreshMode::Rotate {
            known.replaced_at.get_or_insert(now);
        }
        if let Some(grant) = self.grants.get_mut(&known.grant) {
            grant.refreshes += 1;
        }
        self.tally.counts.honoured += 1;
    }

    /// Ends what a refresh of this grant ends besides the token itself.
    fn end_others(&mut self, rules: &RefreshRules, number: u64) {
        let mut over = Vec::new();
        if rules.ends_siblings {
            let siblings = self.siblings(number).into_iter().filter_map(|sibling| self.grants.get(&sibling));
            over.extend(siblings.flat_map(|sibling| sibling.refresh.iter().cloned()));
        }
        if rules.ends_old_access {
            over.extend(self.grants.get(&number).into_iter().flat_map(|grant| grant.access.iter().cloned()));
        }
        for token in over {
            self.end_token(&token);
        }
    }

    /// Returns the pair of the first use where the same pair comes again; ends the pair before where only the last
    /// one is good.
    fn pair_again(&mut self, rule: InWindow, token: &str, now: i64) -> Option<Issued> {
        let before = self.refresh.get(token)?.pair.clone()?;
        match rule {
            InWindow::NewPair => None,
            InWindow::LastPairOnly => {
                self.end_token(&before.access_token);
                self.end_token(before.refresh_token.as_deref().unwrap_or_default());
                None
            }
            InWindow::SamePair => {
                let expires_at =
                    self.access.get(&before.access_token).map_or(now, |access| access.expires_at);
                Some(Issued { expires_in: expires_at.saturating_sub(now).max(0), ..before })
            }
        }
    }

    /// Returns whether this refresh token is the one that a client should hold: good, and not replaced.
    pub(super) fn is_live(&self, token: &Refresh, rules: &RefreshRules, now: i64) -> bool {
        !self.has_ended(token.grant) && matches!(token.standing(rules, now), Standing::Good)
    }
}

/// Returns the scope of the new access token. A client may ask for less than the grant has, and for no more.
fn scope(rules: &RefreshRules, granted: &str, asked: Option<&str>) -> Result<String, Refusal> {
    let has = |word| granted.split_whitespace().any(|known| known == word);
    match asked {
        Some(asked) if !asked.split_whitespace().all(has) => Err(("invalid_scope", "more than was granted")),
        asked => Ok(rules.scopes.as_deref().or(asked).unwrap_or(granted).to_owned()),
    }
}
