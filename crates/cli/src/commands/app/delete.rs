//! `alter app delete APP`: counts what ends with the app, asks, and deletes it. With `--revoke` its providers are asked
//! first to end the tokens of its grants, and the app stays until they have answered.

use alter_core::{App, AppContents, RevocationOutcome};
use alter_flows::{
    Flows,
    operate::{self, RevokedGrants},
};
use anyhow::bail;
use clap::Args;
use serde_json::json;

use crate::{
    commands::{find_app, operator},
    input,
    output::{Output, Usage, in_a_line},
};

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// App id, or its name.
    app: String,
    /// Revoke every grant first, so that the providers are asked to end its tokens.
    #[arg(long)]
    revoke: bool,
    /// Do not ask whether it is meant.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(args: &DeleteArgs, flows: &Flows, output: Output) -> anyhow::Result<()> {
    let app = find_app(flows, &args.app).await?;
    let contents = operate::app_contents(flows, app.id).await?;
    if !args.yes {
        confirm(&app, &contents, args.revoke, output)?;
    }
    let mut revoked = RevokedGrants::new();
    if args.revoke {
        revoked = operate::revoke_grants(flows, &operator(), &app).await?;
        refuse_unanswered(&app, &revoked, operate::app_contents(flows, app.id).await?.revocations)?;
    }
    let contents = operate::delete_app(flows, &operator(), app.id).await?;
    let mut lines =
        vec![format!("Deleted the app {} ({}), and with it:", app.id, in_a_line(&app.settings.name))];
    lines.extend(counts(&contents));
    if !revoked.is_empty() {
        lines.push(format!("Its grants were revoked before: {}.", outcomes(&revoked)));
    }
    lines.push(format!("Its audit stays: alter audit list {}", app.id));
    let value = json!({
        "app_id": app.id.to_string(), "name": app.settings.name, "deleted": contents, "revoked": revoked,
    });
    output.answer(&lines.join("\n"), &value);
    Ok(())
}

/// Shows what would end, and asks a person to type the app's name.
fn confirm(app: &App, contents: &AppContents, revoke: bool, output: Output) -> anyhow::Result<()> {
    let name = &app.settings.name;
    let mut lines = vec![format!("This ends with the app {} ({}):", app.id, in_a_line(name))];
    lines.extend(counts(contents));
    lines.extend(not_revoked(contents, revoke));
    let value = json!({ "app_id": app.id.to_string(), "name": name, "would_delete": contents });
    output.answer(&lines.join("\n"), &value);
    let typed = if output.is_json() { None } else { input::line("Type the app's name to delete it:")? };
    match typed {
        Some(typed) if typed == *name => Ok(()),
        Some(_) => Err(Usage("that is not its name: nothing was deleted".into()).into()),
        None => Err(Usage("nothing was deleted: pass --yes if it is meant".into()).into()),
    }
}

fn counts(contents: &AppContents) -> Vec<String> {
    let AppContents { users, grants, agents, delegations, keys, providers, sessions, revocations } = contents;
    [
        ("users", users),
        ("active grants", grants),
        ("agents", agents),
        ("delegations", delegations),
        ("API keys", keys),
        ("providers", providers),
        ("sessions under way", sessions),
        ("revocations not yet confirmed", revocations),
    ]
    .map(|(what, count)| format!("  {what:<31}{count}"))
    .into()
}

/// What the providers will not be told.
fn not_revoked(contents: &AppContents, revoke: bool) -> Option<String> {
    let (grants, revocations) = (contents.grants, contents.revocations);
    (!revoke && grants + revocations > 0).then(|| {
        format!(
            "The tokens of {grants} grants, and of {revocations} that were revoked, live on at their providers: nobody asks \
             for their end any more. --revoke asks first."
        )
    })
}

/// A request needs the app: what was not answered yet keeps the app alive.
fn refuse_unanswered(app: &App, revoked: &RevokedGrants, pending: u64) -> anyhow::Result<()> {
    if pending == 0 {
        return Ok(());
    }
    bail!(
        "the app stays, because its providers have not answered {pending} revocations ({}): `alter serve` asks them again \
         for a day. Then: alter app delete {} --revoke. Without --revoke it is deleted now, and nobody asks them any more",
        outcomes(revoked),
        app.id
    )
}

fn outcomes(revoked: &RevokedGrants) -> String {
    let words = |outcome: &str| match RevocationOutcome::parse(outcome) {
        Some(RevocationOutcome::Confirmed) => "confirmed by the provider",
        Some(RevocationOutcome::Pending) => "not answered yet",
        Some(RevocationOutcome::Shared) => "not asked for, because another grant has the same account",
        Some(RevocationOutcome::GivenUp) => "given up",
        Some(RevocationOutcome::NotOffered) | None => "at providers that offer no revocation",
    };
    let list: Vec<_> = revoked.iter().map(|(outcome, count)| format!("{count} {}", words(outcome))).collect();
    if list.is_empty() { "no grant was active".into() } else { list.join(", ") }
}
