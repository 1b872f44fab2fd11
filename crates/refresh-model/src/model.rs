//! What can happen, in any order: the state, the actions, and what each action does.
//!
//! Two things are one action because nobody could tell them apart. An attempt is sent in the action that begins it: a
//! process that dies before it sends is one whose request never reaches the provider. And an answer is journalled in the
//! action in which it arrives: a process that dies in between is one that the answer never reached.

use alter_core::{Asked, Micros, RefreshEnded};
use stateright::{Model, Property};

use crate::{
    properties::{self, Seen, Wrong},
    provider::{Answer, Kind, Provider, Token, WINDOW, Whim},
    store::{Begun, Broken, LIFE, Store, Stored},
};

/// Every state's time. When time passes, everything else moves into the past: states that differ by their dates alone are
/// one.
const NOW: Micros = Micros(0);

/// How much may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Attempts that a process may begin.
    pub attempts: u8,
    /// Times that a process dies.
    pub crashes: u8,
    /// Answers of a provider that has no time.
    pub busy: u8,
    /// Refusals of a good token.
    pub mistakes: u8,
    /// Requests that reach the provider after their process has given up.
    pub strays: u8,
    /// Times that the user connects again.
    pub reconnects: u8,
    /// Times that the grant is revoked.
    pub revokes: u8,
    /// Times that an access token runs out later on.
    pub expiries: u8,
}

/// The model.
#[derive(Debug, Clone, Copy)]
pub struct Refreshing {
    /// How the provider treats refresh tokens.
    pub kind: Kind,
    /// How much may happen.
    pub limits: Limits,
    /// What is left out.
    pub broken: Broken,
}

/// How far a process is with an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The request is on its way.
    Sent,
    /// The answer is on its way, however long that takes.
    Answered(Answer),
    /// The connection broke, or nobody waits any longer.
    Silent,
    /// The answer is in the journal.
    Journalled(Answer),
    /// The tokens came too late.
    Late(Token),
}

/// What a process has in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Task {
    /// The attempt.
    pub row: usize,
    /// The refresh token that was sent.
    pub sent: Token,
    /// How far it is.
    pub step: Step,
}

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    /// What it is doing.
    pub task: Option<Task>,
    /// How many attempts it may still begin.
    pub left: u8,
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The time.
    pub now: Micros,
    /// What is stored.
    pub store: Store,
    /// What the provider knows.
    pub provider: Provider,
    /// The two processes: which is which makes no difference, so they are kept in order.
    pub processes: [Process; 2],
    /// Requests whose process has given up.
    pub strays: Vec<Token>,
    /// What may still go wrong.
    pub left: Limits,
    /// What has been seen.
    pub seen: Seen,
}

/// One step of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A process asks for the lease, and sends the token if it gets it.
    Begin(usize, Asked),
    /// The request reaches the provider.
    Act(usize, Whim),
    /// A request that nobody waits for reaches the provider.
    Stray(usize),
    /// The answer arrives and is journalled.
    Journal(usize),
    /// The connection breaks, or the time is up.
    Lose(usize),
    /// The attempt is ended.
    End(usize),
    /// Tokens that came too late are discarded.
    Discard(usize),
    /// The process dies and starts again.
    Crash(usize),
    /// A process finds an answer in the journal.
    Sweep(usize, usize),
    /// The user connects again.
    Reconnect,
    /// The grant is revoked.
    Revoke,
    /// Time passes.
    Wait,
}

impl State {
    /// Makes states equal that nobody can tell apart.
    fn simplify(&mut self) {
        self.processes.sort();
        let passed = self.now.since(NOW);
        let shift = |at: Micros, oldest: i64| Micros((at.0 - passed).max(NOW.plus_seconds(-oldest).0));
        self.now = NOW;
        self.store.shift(shift);
        self.seen.shift(shift);
        for token in &mut self.provider.issued {
            token.replaced_at = token.replaced_at.map(|at| shift(at, i64::from(WINDOW) + 1));
        }
    }
}

impl Model for Refreshing {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.start()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.seen.wrong.is_some() {
            return;
        }
        for (n, process) in state.processes.iter().enumerate() {
            match process.task {
                Some(task) => self.offer_steps(state, n, task, actions),
                None => offer_work(state, n, process.left, actions),
            }
        }
        actions.extend((0..state.strays.len()).map(Action::Stray));
        let active = !state.store.grant.revoked;
        actions.extend((active && state.left.reconnects > 0).then_some(Action::Reconnect));
        actions.extend((active && state.left.revokes > 0).then_some(Action::Revoke));
        actions.push(Action::Wait);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.take(&mut state, action)?;
        state.simplify();
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

fn offer_work(state: &State, n: usize, left: u8, actions: &mut Vec<Action>) {
    if state.processes[..n].iter().any(|other| other.task.is_none() && other.left == left) {
        return;
    }
    if left > 0 && !state.store.grant.revoked {
        actions.push(Action::Begin(n, Asked::Call));
        actions.extend(state.store.grant.refresh.verdict.is_some().then_some(Action::Begin(n, Asked::Clock)));
    }
    let rows = state.store.rows.iter().enumerate();
    actions.extend(rows.filter(|(_, row)| row.body.is_some()).map(|(row, _)| Action::Sweep(n, row)));
}

impl Refreshing {
    /// The state in which a grant's only access token has just run out.
    fn start(&self) -> State {
        let mut provider = Provider::default();
        let token = provider.consent();
        State {
            now: NOW,
            store: Store { grant: Stored::new(token, 1, NOW.plus_seconds(-LIFE)), rows: vec![] },
            provider,
            processes: [Process { task: None, left: self.limits.attempts }; 2],
            strays: vec![],
            left: self.limits,
            seen: Seen::default(),
        }
    }

    fn offer_steps(&self, state: &State, n: usize, task: Task, actions: &mut Vec<Action>) {
        match task.step {
            Step::Sent => {
                actions.push(Action::Act(n, Whim::Honest));
                actions.extend((state.left.busy > 0).then_some(Action::Act(n, Whim::Busy)));
                actions.extend((state.left.mistakes > 0).then_some(Action::Act(n, Whim::Mistaken)));
                actions.push(Action::Lose(n));
            }
            Step::Answered(_) => actions.extend([Action::Journal(n), Action::Lose(n)]),
            Step::Silent | Step::Journalled(_) => actions.push(Action::End(n)),
            Step::Late(_) => actions.push(Action::Discard(n)),
        }
        actions.extend((state.left.crashes > 0).then_some(Action::Crash(n)));
    }

    /// `None`: the action is not possible.
    pub(crate) fn take(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Begin(n, asked) => self.begin(state, n, asked),
            Action::Act(n, whim) => self.act(state, n, whim)?,
            Action::Stray(n) => {
                let sent = state.strays.remove(n);
                state.provider.act(self.kind, sent, Whim::Honest, state.now);
            }
            Action::Journal(n) => journal(state, n)?,
            Action::Lose(n) => lose(state, n)?,
            Action::End(n) => self.end(state, n)?,
            Action::Discard(n) => self.discard(state, n)?,
            Action::Crash(n) => crash(state, n)?,
            Action::Sweep(n, row) => pick_up(state, n, row)?,
            Action::Reconnect => reconnect(state),
            Action::Revoke => revoke(state),
            Action::Wait => {
                state.now = self.next_moment(state)?;
                let before = &state.store.grant;
                let expires = before.issued_at.plus_seconds(LIFE);
                state.left.expiries -= u8::from(expires > NOW && expires <= state.now);
            }
        }
        Some(())
    }

    fn begin(&self, state: &mut State, n: usize, asked: Asked) {
        let before = state.store.clone();
        let begun = state.store.begin(asked, &self.kind.facts(), self.broken, state.now);
        properties::watch_verdict(state, &before, None);
        match begun {
            Begun::Taken(row) => {
                properties::watch_attempt(state, &before, &self.kind.facts());
                let sent = before.grant.token.expect("what has no token is not refreshed");
                state.processes[n].left -= 1;
                state.processes[n].task = Some(Task { row, sent, step: Step::Sent });
            }
            Begun::Journalled(row) => {
                let _ = pick_up(state, n, row);
            }
            Begun::Not(_) => {}
        }
    }

    fn act(&self, state: &mut State, n: usize, whim: Whim) -> Option<()> {
        let task = state.processes[n].task.as_mut()?;
        let answer = state.provider.act(self.kind, task.sent, whim, state.now);
        state.left.busy -= u8::from(whim == Whim::Busy);
        state.left.mistakes -= u8::from(whim == Whim::Mistaken);
        task.step = Step::Answered(answer);
        Some(())
    }

    fn end(&self, state: &mut State, n: usize) -> Option<()> {
        let task = state.processes[n].task?;
        let answer = match task.step {
            Step::Journalled(answer) => Some(answer),
            Step::Silent => None,
            Step::Sent | Step::Answered(_) | Step::Late(_) => return None,
        };
        let before = state.store.clone();
        let ended = state.store.end(task.row, answer, &self.kind.facts(), self.broken, state.now);
        state.processes[n].task = match (ended, answer) {
            (RefreshEnded::Superseded | RefreshEnded::Revoked, Some(Answer::Tokens(late))) => {
                Some(Task { step: Step::Late(late), ..task })
            }
            _ => None,
        };
        properties::watch_verdict(state, &before, Some(task.row));
        if let Some(answer) = answer {
            properties::watch_end(state, &before, task.row, ended, answer);
        }
        Some(())
    }

    /// Tokens that came too late are ended at the provider, unless they are the ones that are stored.
    fn discard(&self, state: &mut State, n: usize) -> Option<()> {
        let task = state.processes[n].task.take()?;
        let Step::Late(late) = task.step else { return None };
        let asked = state.store.grant.access != late || self.broken == Broken::Compare;
        if state.store.discard(task.row) {
            properties::watch_discard(state, late, asked);
        }
        Some(())
    }

    /// The next moment at which something is different.
    pub(crate) fn next_moment(&self, state: &State) -> Option<Micros> {
        let grant = &state.store.grant;
        let hopeful = state.processes.iter().any(|process| process.left > 0) && !grant.revoked;
        let expires = Some(grant.issued_at.plus_seconds(LIFE));
        let moments = [grant.refresh.lease_until, grant.refresh.not_before, expires];
        let next = moments.into_iter().flatten().filter(|at| *at > state.now).min();
        next.filter(|at| hopeful && (Some(*at) != expires || state.left.expiries > 0))
    }
}

fn journal(state: &mut State, n: usize) -> Option<()> {
    let task = state.processes[n].task.as_mut()?;
    let Step::Answered(answer) = task.step else { return None };
    task.step = Step::Journalled(answer);
    if state.store.journal(task.row, answer) {
        state.seen.journalled(answer);
    } else {
        state.seen.found(Wrong::AnswerNotTaken);
    }
    Some(())
}

fn lose(state: &mut State, n: usize) -> Option<()> {
    let task = state.processes[n].task.as_mut()?;
    let sent = (task.step == Step::Sent).then_some(task.sent);
    task.step = Step::Silent;
    stray(state, sent);
    Some(())
}

fn crash(state: &mut State, n: usize) -> Option<()> {
    let task = state.processes[n].task.take()?;
    state.left.crashes -= 1;
    stray(state, (task.step == Step::Sent).then_some(task.sent));
    Some(())
}

fn stray(state: &mut State, sent: Option<Token>) {
    if let Some(sent) = sent.filter(|_| state.left.strays > 0) {
        state.left.strays -= 1;
        state.strays.push(sent);
        state.strays.sort_unstable();
    }
}

fn pick_up(state: &mut State, n: usize, row: usize) -> Option<()> {
    let answer = state.store.rows[row].body?;
    let sent = state.store.grant.token.unwrap_or_default();
    state.processes[n].task = Some(Task { row, sent, step: Step::Journalled(answer) });
    Some(())
}

fn reconnect(state: &mut State) {
    state.left.reconnects -= 1;
    let before = &state.store.grant;
    state.seen.done_with(before.access);
    let token = state.provider.consent();
    state.store.grant = Stored::new(token, state.store.grant.generation + 1, state.now);
    state.seen.begin_anew();
    state.seen.reconnected = Some(state.provider.token(token).family);
}

fn revoke(state: &mut State) {
    state.left.revokes -= 1;
    state.seen.done_with(state.store.grant.access);
    state.store.grant.revoked = true;
    state.store.grant.token = None;
}
