//! `alter restore FILE`: a backup replaces the database. Every check runs before anything is changed. The replaced
//! database is kept, and what was revoked or tightened there since the backup stays so (T94). What cannot be carried over is
//! named, and the command refuses until the operator accepts it.

use std::path::{Path, PathBuf};

use alter_core::{Clock, Micros, SystemClock};
use alter_store_sqlite::{
    OpenError, ServingLock,
    backup::{self, Difference, Prepared, Tightened},
    lock_for_serving,
};
use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use super::{
    backup::{Manifest, on_postgres},
    operator, private_file,
};
use crate::{
    config::Config,
    output::{Output, in_a_line},
    wiring,
};

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup; its FILE.json must lie beside it.
    file: PathBuf,
    /// Replace the existing database, which is kept under another name.
    #[arg(long)]
    replace: bool,
    /// Replace it although something that was tightened since the backup becomes loose again.
    #[arg(long, requires = "replace")]
    accept_loosening: bool,
    /// Restore a backup that carries no seal of the root key: one from before there were seals.
    #[arg(long)]
    accept_unsealed: bool,
}

pub(crate) fn run(args: &RestoreArgs, config: &Config, output: Output) -> anyhow::Result<()> {
    wiring::check_owner(&config.data_dir)?;
    let Some(database) = config.database.file() else {
        bail!(
            "a PostgreSQL database is restored with its own tools, while no server runs:\n\n  {}\n\nWhat was revoked, \
             suspended, narrowed or removed since the backup is then loose again: repeat it by hand.",
            on_postgres(&format!(
                "pg_restore --clean --if-exists --single-transaction {}",
                args.file.display()
            ))
        )
    };
    let manifest = Manifest::check(&args.file)?;
    let facts =
        backup::inspect(&args.file).with_context(|| format!("{} cannot be restored", args.file.display()))?;
    let vault = wiring::vault(config)?;
    vault.verify_key_check(&facts.key_check).context(
        "the root key does not fit this backup; a backup opens with the root key of the day on which it was made",
    )?;
    manifest.check_seal(&vault, args.accept_unsealed)?;
    let replaced = replaced_database(database, args.replace)?;
    if let (Some(why), true, false) = (&replaced.why, replaced.lock.is_some(), args.accept_loosening) {
        bail!(
            "{why}, so nobody knows what was tightened since the backup, and it would be loose again: the database was not \
             changed (--accept-loosening restores the backup all the same)"
        );
    }

    let now = SystemClock.now();
    let fresh = beside(database, "restoring");
    let copy = private_file(&fresh)?;
    let compared = replaced.comparable.then_some(database);
    let moved = copied(&args.file, copy, &fresh, &manifest)
        .and_then(|()| prepare(&fresh, compared, now))
        .and_then(|prepared| refuse_loosening(prepared, args.accept_loosening))
        .and_then(|prepared| Ok((prepared, put_in_place(&fresh, database, now, output)?)));
    let (prepared, kept) = match moved {
        Ok(moved) => moved,
        Err(error) => {
            for file in backup::files_of(&fresh) {
                let _nothing_half_done_stays = std::fs::remove_file(file);
            }
            return Err(error.context("the database was not changed"));
        }
    };
    report(&manifest, &prepared, kept.as_deref(), &replaced, output);
    Ok(())
}

/// Copies the backup under another name beside the database. The file may have been exchanged since it was checked.
fn copied(file: &Path, mut copy: std::fs::File, fresh: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    std::io::copy(&mut std::fs::File::open(file)?, &mut copy)?;
    drop(copy);
    manifest.describes(fresh)
}

/// Does to the copy all that has to be done.
fn prepare(fresh: &Path, replaced: Option<&Path>, now: Micros) -> anyhow::Result<Prepared> {
    Ok(backup::carry_over(fresh, replaced, operator().name(), now)?)
}

fn refuse_loosening(prepared: Prepared, accepted: bool) -> anyhow::Result<Prepared> {
    let loose = |d: &Difference| {
        let lines = d.loosened.iter().map(|t| format!("\n  app {}: {}", d.app, line_of(t)));
        lines.collect::<String>()
    };
    let lines: String = prepared.differences.iter().map(loose).collect();
    if lines.is_empty() || accepted {
        return Ok(prepared);
    }
    bail!(
        "the backup would make loose again what was tightened since, and this cannot be carried over:{lines}\n\
         --accept-loosening restores it all the same; tighten it again by hand."
    )
}

/// The database that the backup replaces.
struct Replaced {
    /// The old database opened, so the backup can be compared with it.
    comparable: bool,
    /// Why it is not comparable; `None` if it is.
    why: Option<String>,
    /// Keeps servers away; `None` if there was no database.
    lock: Option<ServingLock>,
}

fn replaced_database(database: &Path, replace: bool) -> anyhow::Result<Replaced> {
    let [file, log, index] = backup::files_of(database);
    if !file.exists() {
        if let Some(stray) = [log, index].iter().find(|path| path.exists()) {
            bail!(
                "{} belongs to a database that is gone, and would be applied to the restored one: move it away",
                stray.display()
            );
        }
        let why = Some("there was no database here".into());
        return Ok(Replaced { comparable: false, why, lock: None });
    }
    if !replace {
        bail!("{} exists: nothing was changed (--replace puts the backup in its place)", file.display());
    }
    // Until this command ends, so that no server starts on the file that is about to be moved away.
    let lock = Some(lock_for_serving(database)?);
    match backup::claim(database) {
        Ok(()) => {}
        Err(error @ OpenError::InUse(_)) => return Err(error.into()),
        Err(error) => {
            let why = format!("the database that was here could not be opened ({error})");
            return Ok(Replaced { comparable: false, why: Some(why), lock });
        }
    }
    match backup::inspect(database) {
        Ok(_) => Ok(Replaced { comparable: true, why: None, lock }),
        Err(error @ (OpenError::NewerSchema { .. } | OpenError::Foreign(_))) => Err(error.into()),
        Err(error) => {
            let why = format!("the database that was here could not be read ({error})");
            Ok(Replaced { comparable: false, why: Some(why), lock })
        }
    }
}

/// Puts the backup in place by two renames. Between them there is no database; a crash there leaves both files, under
/// names that say what they are.
fn put_in_place(
    fresh: &Path,
    database: &Path,
    now: Micros,
    output: Output,
) -> anyhow::Result<Option<PathBuf>> {
    let kept = beside(database, &format!("replaced-{}", now.to_rfc3339().replace([':', '-'], "")));
    let there = database.exists();
    let files = backup::files_of(database).into_iter().zip(backup::files_of(&kept));
    let moves: Vec<_> = files.filter(|(from, _)| from.exists()).collect();
    let into_place = (fresh.to_owned(), database.to_owned());
    for (done, (from, to)) in moves.iter().chain([&into_place]).enumerate() {
        if let Err(error) = std::fs::rename(from, to) {
            for (from, to) in &moves[..done.min(moves.len())] {
                let _as_it_was = std::fs::rename(to, from);
            }
            return Err(error).with_context(|| format!("{} cannot be moved", from.display()));
        }
    }
    // From here on the backup is in place.
    if let Err(error) = backup::sync_directory(database) {
        output.note(&format!(
            "The directory could not be synced ({error}): a power failure now may undo the restore."
        ));
    }
    Ok(there.then_some(kept))
}

fn beside(database: &Path, end: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    PathBuf::from(name)
}

fn report(
    manifest: &Manifest,
    prepared: &Prepared,
    kept: Option<&Path>,
    replaced: &Replaced,
    output: Output,
) {
    let mut lines = vec![format!("Restored the backup of {}.", in_a_line(&manifest.made_at))];
    if let Some(kept) = kept {
        lines.push(format!(
            "The replaced database is kept as {}: delete it when you no longer need it.",
            kept.display()
        ));
    }
    if let Some(why) = &replaced.why {
        lines.push(format!(
            "What was revoked or connected after the backup is not known here, because {why}. This restore undoes later \
             revocations, suspensions and other tightenings: repeat what you know of. `alter audit verify APP --head SEQ:HASH` with a head that you \
             kept tells how much is missing."
        ));
    }
    let Prepared { differences, sessions } = prepared;
    if *sessions > 0 {
        lines.push(format!("Sessions that were under way, ended: {sessions}. Their users start again."));
    }
    lines.extend(differences.iter().map(text_of));
    let apps: Vec<_> = differences.iter().map(value_of).collect();
    let value = json!({ "made_at": manifest.made_at, "kept": kept.map(|path| path.display().to_string()),
        "not_compared": replaced.why, "sessions_ended": sessions, "apps": apps });
    output.answer(&lines.join("\n"), &value);
}

fn text_of(d: &Difference) -> String {
    let behind = d.replaced.seq - d.copy.seq;
    let mut lines = vec![format!("\napp {}: {behind} audit entries behind the replaced database.", d.app)];
    let list = |ids: &[alter_core::GrantId]| -> String {
        ids.iter().map(|id| format!("\n    {id}")).collect::<Vec<_>>().concat()
    };
    let mut say = |there: bool, line: String| {
        if there {
            lines.push(line)
        }
    };
    say(!d.revoked.is_empty(), format!("  grants revoked since, revoked again:{}", list(&d.revoked)));
    say(d.delegations > 0, format!("  delegations revoked since, revoked again: {}", d.delegations));
    say(d.keys > 0, format!("  API keys revoked since, revoked again: {}", d.keys));
    let list_of = |all: &[Tightened]| all.iter().map(|t| format!("\n    {}", line_of(t))).collect::<String>();
    say(!d.carried.is_empty(), format!("  tightened since, carried over:{}", list_of(&d.carried)));
    say(
        d.sign_in_lost,
        format!(
            "  the client by which users sign in was set since, gone: set it again (alter idp set {} --issuer URL ... \
             --client-id ID)",
            d.app
        ),
    );
    say(!d.loosened.is_empty(), format!("  TIGHTENED SINCE, AND LOOSE AGAIN:{}", list_of(&d.loosened)));
    say(
        !d.lost.is_empty(),
        format!("  grants connected since, gone: their users must connect again:{}", list(&d.lost)),
    );
    say(
        !d.older.is_empty(),
        format!(
            "  grants with a credential older than the last one from the provider: verify them, or have users connect again:{}",
            list(&d.older)
        ),
    );
    lines.join("\n")
}

fn line_of(t: &Tightened) -> String {
    match t.whose.as_str() {
        "" => t.what.sentence().to_owned(),
        whose => format!("{}: {}", in_a_line(whose), t.what.sentence()),
    }
}

fn value_of(d: &Difference) -> Value {
    let ids = |ids: &[alter_core::GrantId]| json!(ids.iter().map(ToString::to_string).collect::<Vec<_>>());
    json!({ "app_id": d.app.to_string(), "backup_head": d.copy, "replaced_head": d.replaced,
        "entries_behind": d.replaced.seq - d.copy.seq, "revoked_again": ids(&d.revoked),
        "delegations_revoked_again": d.delegations, "keys_revoked_again": d.keys, "agents_deleted_again": d.agents,
        "carried_over": Tightened::named(&d.carried), "loosened": Tightened::named(&d.loosened),
        "sign_in_lost": d.sign_in_lost,
        "connected_since": ids(&d.lost), "verify": ids(&d.older) })
}
