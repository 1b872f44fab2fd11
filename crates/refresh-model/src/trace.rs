//! A path through the model, in sentences.

use alter_core::Asked;
use stateright::Path;

use crate::{
    Action, Refreshing, State,
    model::{Step, Task},
    provider::{Answer, Whim},
};

/// One line a step: the time, what happened, and how the grant stands after it.
pub fn tell(model: &Refreshing, path: Path<State, Action>) -> String {
    let steps = path.into_vec();
    let mut seconds = 0;
    let mut lines = vec![];
    for ((before, action), (after, _)) in steps.iter().zip(steps.iter().skip(1)) {
        let Some(action) = *action else { continue };
        let passes = model.next_moment(before).filter(|_| action == Action::Wait);
        seconds += passes.map_or(0, |at| at.since(before.now) / 1_000_000);
        lines.push(line(seconds, before, action, after));
    }
    lines.join("\n")
}

fn line(seconds: i64, before: &State, action: Action, after: &State) -> String {
    let grant = &after.store.grant;
    let verdict = grant.refresh.verdict.as_ref().map_or("", |verdict| verdict.reason.as_str());
    let token = grant.token.map_or("none".to_owned(), |token| format!("t{token}"));
    let wrong = after.seen.wrong.map_or(String::new(), |wrong| format!("  <- {wrong:?}"));
    format!(
        "{seconds:>6} s  {:<70} generation {}, token {token}, unknown {} {verdict}{wrong}",
        what(before, action, after),
        grant.generation,
        grant.refresh.unknown,
    )
}

fn what(before: &State, action: Action, after: &State) -> String {
    let attempt = |n: usize| before.processes[n].task.map_or(String::new(), |task| name(before, task));
    match action {
        Action::Begin(_, asked) => began(before, asked, after),
        Action::Act(n, whim) => format!("the provider gets {}{}", attempt(n), whimsical(whim)),
        Action::Stray(_) => "the provider gets a request that nobody waits for".to_owned(),
        Action::Journal(n) => format!("{}: {} is journalled", attempt(n), answer(before, n)),
        Action::Lose(n) => format!("{}: no answer comes", attempt(n)),
        Action::End(n) => format!("{} is ended: {}", attempt(n), answer(before, n)),
        Action::Discard(n) => format!("{}: {} is discarded", attempt(n), answer(before, n)),
        Action::Crash(n) => format!("{}: its process dies", attempt(n)),
        Action::Sweep(_, row) => {
            format!("somebody finds the answer of attempt {}", before.store.rows[row].attempt)
        }
        Action::Reconnect => "the user connects again".to_owned(),
        Action::Revoke => "the grant is revoked".to_owned(),
        Action::Wait => "time passes".to_owned(),
    }
}

fn began(before: &State, asked: Asked, after: &State) -> String {
    match after.store.rows.get(before.store.rows.len()) {
        Some(row) => format!("attempt {} of generation {} begins", row.attempt, row.generation),
        None => format!("{asked:?} finds something to finish, or nothing to send"),
    }
}

fn name(state: &State, task: Task) -> String {
    let row = &state.store.rows[task.row];
    format!("attempt {} of generation {}", row.attempt, row.generation)
}

fn answer(state: &State, n: usize) -> String {
    match state.processes[n].task.map(|task| task.step) {
        Some(
            Step::Answered(Answer::Tokens(token))
            | Step::Journalled(Answer::Tokens(token))
            | Step::Late(token),
        ) => {
            format!("t{token}")
        }
        Some(Step::Answered(Answer::Refused) | Step::Journalled(Answer::Refused)) => "a refusal".to_owned(),
        Some(Step::Answered(Answer::Busy) | Step::Journalled(Answer::Busy)) => "\"try later\"".to_owned(),
        Some(Step::Sent | Step::Silent) | None => "nothing is known".to_owned(),
    }
}

fn whimsical(whim: Whim) -> &'static str {
    match whim {
        Whim::Honest => "",
        Whim::Busy => ", and has no time",
        Whim::Mistaken => ", and refuses it by mistake",
    }
}
