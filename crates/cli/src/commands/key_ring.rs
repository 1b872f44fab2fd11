//! `alter key-ring list|rotate`.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use alter_core::{App, Random, SystemRandom, secret::hex};
use alter_flows::{Flows, KeyState, RootKeyError, Rotated, operate};
use alter_vault::{RootKey, Vault};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{find_app, operator};
use crate::{
    config::{Config, RootKeySource},
    output::Output,
    wiring,
};

/// How often progress is printed on a terminal; elsewhere ten times less often.
const TELL: Duration = Duration::from_secs(1);

#[derive(Debug, Subcommand)]
pub(crate) enum KeyRingCommand {
    /// List every app's data keys, and how many values each of them seals.
    List {
        /// App id, or its name; default: all apps.
        app: Option<String>,
    },
    /// Give apps a new data key, or replace the root key. Servers keep running.
    Rotate(RotateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// Only this app: id, or name.
    #[arg(long)]
    app: Option<String>,
    /// Values per commit: smaller commits delay a busy server less.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// Make a new key even if an earlier rotation is unfinished.
    #[arg(long)]
    anew: bool,
    /// Replace the root key instead: put every data key under the key in this file, which is created if it is missing.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["app", "batch", "anew"])]
    new_root_key_file: Option<PathBuf>,
}

pub(crate) async fn run(command: KeyRingCommand, config: &Config, output: Output) -> anyhow::Result<()> {
    let flows = wiring::open(config).await?;
    match command {
        KeyRingCommand::List { app } => list(app.as_deref(), &flows, output).await,
        KeyRingCommand::Rotate(RotateArgs { new_root_key_file: Some(file), .. }) => {
            replace_root_key(&file, &flows, output).await
        }
        KeyRingCommand::Rotate(args) => rotate(&args, &flows, output).await,
    }
}

async fn chosen(app: Option<&str>, flows: &Flows) -> anyhow::Result<Vec<App>> {
    match app {
        Some(app) => Ok(vec![find_app(flows, app).await?]),
        None => Ok(operate::list_apps(flows).await?),
    }
}

async fn list(app: Option<&str>, flows: &Flows, output: Output) -> anyhow::Result<()> {
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    for app in chosen(app, flows).await? {
        for state in operate::list_key_ring(flows, &app).await? {
            let what = describe(&state);
            let (id, made) = (hex(&state.key.key_id), state.key.created_at.to_rfc3339());
            lines.push(format!("{}  {id}  {made}  {what:<8} {} values", app.id, state.values));
            rows.push(
                json!({ "app_id": app.id.to_string(), "data_key": id, "created_at": made, "state": what,
                "values": state.values }),
            );
        }
    }
    let text = if lines.is_empty() { "No apps yet.".to_owned() } else { lines.join("\n") };
    output.answer(&text, &json!({ "keys": rows }));
    Ok(())
}

fn describe(state: &KeyState) -> &'static str {
    match (state.current, &state.key.wrapped) {
        (true, _) => "current",
        (false, Some(_)) => "old",
        (false, None) => "retired",
    }
}

async fn rotate(args: &RotateArgs, flows: &Flows, output: Output) -> anyhow::Result<()> {
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    let (mut unreadable, mut left) = (Vec::new(), false);
    for app in chosen(args.app.as_deref(), flows).await? {
        let rotated =
            operate::rotate_data_key(flows, &operator(), app.id, args.batch, args.anew, teller(&app, output))
                .await?;
        // Old keys remain when another run is at work on them, or when a value does not open and so keeps its key.
        let app = operate::get_app(flows, app.id).await?;
        let old = operate::list_key_ring(flows, &app).await?.iter().filter(|s| describe(s) == "old").count();
        lines.push(summary(&app, &rotated, old));
        rows.push(
            json!({ "app_id": app.id.to_string(), "resumed": rotated.resumed, "rewrapped": rotated.rewrapped,
            "retired": rotated.retired, "old_keys_left": old, "unreadable": rotated.unreadable }),
        );
        unreadable.extend(rotated.unreadable);
        left |= old > 0;
    }
    output.answer(&lines.join("\n"), &json!({ "apps": rows }));
    if !unreadable.is_empty() {
        bail!(
            "{} values do not open under their own key, so that key is kept: {}",
            unreadable.len(),
            unreadable.join(", ")
        );
    }
    if left {
        bail!("an old key is still in use: run this command again")
    }
    Ok(())
}

fn summary(app: &App, rotated: &Rotated, left: usize) -> String {
    let how = if rotated.resumed { "an earlier rotation was finished" } else { "a new key" };
    let kept = if left > 0 { format!(", {left} old keys kept") } else { String::new() };
    let name = &app.settings.name;
    format!(
        "{name}: {how}, {} values under it, {} old keys wiped{kept}",
        thousands(rotated.rewrapped),
        rotated.retired
    )
}

/// Prints progress once a second on a terminal, every ten seconds elsewhere, and at the end. A rotation that takes less
/// than a second prints nothing.
fn teller(app: &App, output: Output) -> impl FnMut(u64, u64) {
    let name = app.settings.name.clone();
    let (started, mut told) = (Instant::now(), Instant::now());
    let every = if std::io::stderr().is_terminal() { TELL } else { 10 * TELL };
    move |done, total| {
        let last = done == total && started.elapsed() > TELL;
        if told.elapsed() >= every || last {
            told = Instant::now();
            output.note(&format!("{name}: {} of {} values", thousands(done), thousands(total)));
        }
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let lead = digits.len() % 3;
    let mut text = digits[..lead].to_owned();
    for at in (lead..digits.len()).step_by(3) {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&digits[at..at + 3]);
    }
    text
}

async fn replace_root_key(file: &Path, flows: &Flows, output: Output) -> anyhow::Result<()> {
    let made = !file.exists();
    if made {
        let (_, text) = RootKey::generate(&|buffer| SystemRandom.fill(buffer));
        RootKeySource::create(file, &text)?;
    }
    let new = Vault::new(RootKeySource::File(file.to_owned()).load()?);
    let keys = match operate::replace_root_key(flows, &operator(), &new).await {
        Err(RootKeyError::Same) => bail!("{} holds the root key that is already in use", file.display()),
        replaced => replaced.context("nothing was changed")?,
    };
    let path = file.display().to_string();
    let text = format!(
        "{keys} data keys are now under the root key in {path}.\n\n\
         Restart every server with the new key: ALTER_ROOT_KEY_FILE={path}. Servers that do not know it fail from now on, \
         unless they were started with the new file and ALTER_ROOT_KEY_FILE_OLD beforehand.\n\
         Back up the new file apart from the database. Keep the old one as long as you keep backups made before today."
    );
    let value: Value = json!({ "data_keys": keys, "root_key_file": path, "made": made });
    output.answer(&text, &value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let cases = [(0, "0"), (999, "999"), (1200, "1,200"), (1_234_567, "1,234,567"), (100_000, "100,000")];
        for (number, text) in cases {
            assert_eq!(thousands(number), text);
        }
    }
}
