//! What a transaction of the store does, and no more. The stores themselves are held to it by `alter-store-contract`.

use alter_core::{
    AppId, Asked, AuditEntry, AuditKind, BeginRefresh, ConfigId, Credential, EndRefresh, Grant, GrantId,
    Level, Micros, Principal, RefreshAttempt, RefreshEnded, RefreshId, RefreshResult, RefreshState,
    RevocationOutcome, RevokedGrant, WhatNow,
    cause::ProviderCode,
    recipe::Refresh,
    refresh::{Beginning, Ending, Outcome, Trouble},
};
use uuid::Uuid;

use crate::provider::{Answer, Token};

/// How long an attempt may take, seconds.
pub const HOLD: u32 = 40;
/// How long an access token lives, seconds.
pub const LIFE: i64 = 3600;

/// What is left out of the protocol, to see what it was for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Broken {
    /// Nothing.
    #[default]
    Nothing,
    /// The fence: an attempt that was overtaken may change the state by failing.
    Fence,
    /// The compare-and-set: a late success is stored whatever has happened to the grant.
    Generation,
    /// The look into the journal before a verdict.
    LookBeforeVerdict,
    /// The look into the journal before the token is sent again.
    LookBeforeAttempt,
    /// The count of unknown outcomes.
    Count,
    /// The journal is not emptied of an answer that brought nothing and came late.
    Emptying,
    /// The rule that an attempt which failed beside an answer counts as broken off, if the answer brought nothing.
    Cut,
    /// The look whether tokens that came too late are the ones that are stored.
    Compare,
}

/// A grant as stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stored {
    /// The credential's.
    pub generation: u64,
    /// When it came.
    pub issued_at: Micros,
    /// The refresh token.
    pub token: Option<Token>,
    /// The access token.
    pub access: Token,
    /// What is known about refreshing it.
    pub refresh: RefreshState,
    /// Whether it is over.
    pub revoked: bool,
}

impl Stored {
    /// A grant, just connected.
    pub fn new(token: Token, generation: u64, now: Micros) -> Self {
        let refresh = RefreshState::default();
        Self { generation, issued_at: now, token: Some(token), access: token, refresh, revoked: false }
    }

    /// The grant that core decides about.
    pub fn grant(&self) -> Grant {
        let revoked = RevokedGrant { at: self.issued_at, reason: None, outcome: RevocationOutcome::Pending };
        Grant {
            id: GRANT,
            app_id: APP,
            principal: Principal::App,
            provider: String::new(),
            config_id: ConfigId::parse("pc_aaaaaaaaaaaaaaaaaaaaaaaaaa").expect("its form is right"),
            subject: String::new(),
            account_identifier: String::new(),
            account_verified: false,
            account_display_name: None,
            label: None,
            scopes: vec![],
            missing_scopes: vec![],
            level: Level::L2,
            signed_in: false,
            created_at: self.issued_at,
            updated_at: self.issued_at,
            last_used_at: None,
            refresh: self.refresh.clone(),
            refresh_at: None,
            ends_at: None,
            filled: [].into(),
            metadata: [].into(),
            revoked: self.revoked.then_some(revoked),
            credential: credential(self.generation, self.token, self.access, self.issued_at),
        }
    }

    fn keep(&mut self, grant: &Grant) {
        self.generation = grant.credential.generation;
        self.issued_at = grant.credential.issued_at;
        self.token = grant.credential.refresh_token.as_ref().map(|sealed| sealed[0]);
        self.access = grant.credential.access_token[0];
        self.refresh = grant.refresh.clone();
    }
}

const GRANT: GrantId = GrantId(Uuid::nil());
const APP: AppId = AppId(Uuid::nil());

/// The number of a token stands where its sealed value would.
fn credential(generation: u64, token: Option<Token>, access: Token, now: Micros) -> Credential {
    Credential {
        generation,
        token_type: String::new(),
        issued_at: now,
        expires_at: Some(now.plus_seconds(LIFE)),
        access_token: vec![access],
        refresh_token: token.map(|token| vec![token]),
        id_token: None,
    }
}

/// How an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowState {
    /// No outcome.
    UnderWay,
    /// `unknown`: an answer may still come.
    Unknown,
    /// Any other outcome.
    Over,
}

/// An attempt as stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row {
    /// The generation that it began from.
    pub generation: u64,
    /// The fence.
    pub attempt: u32,
    /// Whether it has ended, and may still be answered.
    pub state: RowState,
    /// The answer, in the journal.
    pub body: Option<Answer>,
}

/// What came of asking for the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// This attempt begins.
    Taken(usize),
    /// This attempt has its answer in the journal.
    Journalled(usize),
    /// Nothing is sent.
    Not(WhatNow),
}

/// The rows that matter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Store {
    /// The grant.
    pub grant: Stored,
    /// The attempts, in the order in which they began.
    pub rows: Vec<Row>,
}

impl Store {
    /// The answers in the journal that came of the current generation.
    pub fn answers(&self) -> impl Iterator<Item = (usize, Answer)> {
        let current = |row: &Row| row.body.filter(|_| row.generation == self.grant.generation);
        self.rows.iter().enumerate().filter_map(move |(n, row)| current(row).map(|answer| (n, answer)))
    }

    /// Whether a success of the current generation is in the journal.
    pub fn has_success(&self) -> bool {
        self.answers().any(|(_, answer)| matches!(answer, Answer::Tokens(_)))
    }

    /// Moves the times into the past, each no farther than it matters.
    pub(crate) fn shift(&mut self, shift: impl Fn(Micros, i64) -> Micros) {
        let grant = &mut self.grant;
        grant.issued_at = shift(grant.issued_at, LIFE);
        let refresh = &mut grant.refresh;
        refresh.lease_until = refresh.lease_until.map(|at| shift(at, 0));
        refresh.not_before = refresh.not_before.map(|at| shift(at, 0));
        if let Some(verdict) = &mut refresh.verdict {
            verdict.since = shift(verdict.since, 8 * 24 * 3600);
        }
    }

    /// `begin_refresh`.
    pub fn begin(&mut self, asked: Asked, facts: &Refresh, broken: Broken, now: Micros) -> Begun {
        let grant = self.grant.grant();
        let begin = begin(asked, facts, self.grant.generation, now);
        if !grant.refresh.is_leased(now)
            && broken != Broken::LookBeforeAttempt
            && let Some((answered, _)) = self.answers().last()
        {
            return Begun::Journalled(answered);
        }
        if grant.refresh.is_broken_off(now) {
            self.settle();
        }
        let beginning = Beginning::of(&grant, &begin);
        self.grant.refresh = beginning.state;
        if broken == Broken::Count {
            self.grant.refresh.unknown = 0;
        }
        if beginning.wipe {
            self.grant.token = None;
        }
        if beginning.now != WhatNow::Refresh {
            return Begun::Not(beginning.now);
        }
        let (generation, attempt) = (self.grant.generation, self.grant.refresh.attempt);
        self.rows.push(Row { generation, attempt, state: RowState::UnderWay, body: None });
        Begun::Taken(self.rows.len() - 1)
    }

    fn settle(&mut self) {
        let key = (self.grant.generation, self.grant.refresh.attempt);
        let broken_off =
            |row: &&mut Row| (row.generation, row.attempt) == key && row.state == RowState::UnderWay;
        self.rows.iter_mut().filter(broken_off).for_each(|row| row.state = RowState::Unknown);
    }

    /// `journal_refresh`. Returns whether it was done.
    pub fn journal(&mut self, row: usize, answer: Answer) -> bool {
        let open = is_open(&self.rows[row]);
        if open {
            self.rows[row].body = Some(answer);
        }
        open
    }

    /// `end_refresh`.
    pub fn end(
        &mut self,
        row: usize,
        answer: Option<Answer>,
        facts: &Refresh,
        broken: Broken,
        now: Micros,
    ) -> RefreshEnded {
        let end = self.ending(row, answer, facts, now);
        let grant = self.grant.grant();
        match &end.result {
            RefreshResult::Tokens { .. } if grant.revoked.is_some() => RefreshEnded::Revoked,
            RefreshResult::Tokens { .. } if !end.fits(&grant) && broken != Broken::Generation => {
                RefreshEnded::Superseded
            }
            RefreshResult::Tokens { .. } => self.succeed(row, &end, grant),
            RefreshResult::Nothing(outcome) => self.fail(row, &end, grant, outcome, broken),
        }
    }

    fn ending(&self, row: usize, answer: Option<Answer>, facts: &Refresh, now: Micros) -> EndRefresh {
        let Row { generation, attempt, .. } = self.rows[row];
        let token = |new| if facts.rotates == Some(false) { self.grant.token } else { Some(new) };
        let next = |new| Box::new(credential(generation + 1, token(new), new, now));
        let busy = Outcome::Failed { trouble: Trouble::Provider, retry_after: None };
        let result = match answer {
            Some(Answer::Tokens(new)) => {
                RefreshResult::Tokens { credential: next(new), scopes: vec![], missing_scopes: vec![] }
            }
            Some(Answer::Refused) => RefreshResult::Nothing(Outcome::Refused(ProviderCode::default())),
            Some(Answer::Busy) => RefreshResult::Nothing(busy),
            None => RefreshResult::Nothing(Outcome::Unknown),
        };
        let attempt = attempt_of(facts, generation, attempt, now);
        EndRefresh { attempt, result, facts: facts.clone(), at: now, audit: audit(now) }
    }

    fn succeed(&mut self, row: usize, end: &EndRefresh, mut grant: Grant) -> RefreshEnded {
        if !is_open(&self.rows[row]) {
            return RefreshEnded::Late;
        }
        (self.rows[row].state, self.rows[row].body) = (RowState::Over, None);
        end.renew(&mut grant);
        self.grant.keep(&grant);
        RefreshEnded::Refreshed
    }

    fn fail(
        &mut self,
        row: usize,
        end: &EndRefresh,
        grant: Grant,
        outcome: &Outcome,
        broken: Broken,
    ) -> RefreshEnded {
        let first = self.rows[row].state == RowState::UnderWay;
        if first {
            self.rows[row].state = ended_by(outcome);
        }
        if first || broken != Broken::Emptying {
            self.rows[row].body = None;
        }
        let mut end = end.clone();
        if broken == Broken::Fence {
            end.attempt.attempt = grant.refresh.attempt;
        } else if !first {
            return RefreshEnded::Late;
        }
        if !end.fits(&grant) {
            return RefreshEnded::Late;
        }
        let answered = self.answers().next().is_some() && broken != Broken::LookBeforeVerdict;
        let ending = Ending::of(&grant, &end, outcome, answered);
        self.grant.refresh = ending.state;
        if answered && broken == Broken::Cut {
            self.grant.refresh.lease_until = None;
        }
        ending.ended
    }

    /// `discard_refresh`. Returns whether it was done.
    pub fn discard(&mut self, row: usize) -> bool {
        let there = self.rows[row].body.take().is_some();
        if there {
            self.rows[row].state = RowState::Over;
        }
        there
    }
}

fn ended_by(outcome: &Outcome) -> RowState {
    if matches!(outcome, Outcome::Unknown) { RowState::Unknown } else { RowState::Over }
}

fn is_open(row: &Row) -> bool {
    row.state != RowState::Over
}

fn begin(asked: Asked, facts: &Refresh, generation: u64, now: Micros) -> BeginRefresh {
    BeginRefresh {
        id: RefreshId(Uuid::nil()),
        app_id: APP,
        grant_id: GRANT,
        generation,
        asked,
        facts: facts.clone(),
        hold: HOLD,
        at: now,
        audit: audit(now),
    }
}

fn attempt_of(facts: &Refresh, generation: u64, attempt: u32, now: Micros) -> RefreshAttempt {
    begin(Asked::Call, facts, generation, now).attempt(attempt)
}

fn audit(now: Micros) -> AuditEntry {
    AuditEntry::new(APP, now, AuditKind::CredentialRefreshed, serde_json::Value::Null)
}
