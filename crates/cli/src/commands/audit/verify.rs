//! `alter audit verify`, of a database and of an exported file. Exit status: 0 = all entries were checked and are in order;
//! 1 = one is bad; 3 = none is bad, but some were not checked.

use std::{
    io::{BufRead, BufReader},
    path::Path,
};

use alter_core::{Anchor, AppId, AuditChecked, AuditRow, BadEntry, audit_chain::ExportEnd};
use alter_flows::{AuditError, Flows, operate};
use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::{EndLine, VerifyArgs};
use crate::{
    commands::find_audited_app,
    output::{Output, Unjudged, Usage},
};

/// Verifies the database's log of one app, or of all.
pub(super) async fn run(args: &VerifyArgs, flows: &Flows, output: Output) -> anyhow::Result<()> {
    let apps = match &args.app {
        Some(app) => vec![find_audited_app(flows, app).await?],
        None => all_apps(flows).await?,
    };
    let kept = kept_head(args.head.as_deref())?;
    let (mut lines, mut values) = (Vec::new(), Vec::new());
    let (mut bad, mut unjudged) = (0, 0);
    for &app in &apps {
        let (line, value) = match operate::verify_audit(flows, app, kept).await {
            Ok(checked) => {
                unjudged += usize::from(!checked.is_whole());
                (line(app, &checked), outcome(&checked))
            }
            Err(AuditError::Bad(entry)) => {
                bad += 1;
                (format!("BAD   {app}  {entry}"), bad_entry(entry))
            }
            Err(error) => return Err(error.into()),
        };
        lines.push(line);
        values.push(with_app(value, app));
    }
    output.answer(&lines.join("\n"), &json!({ "apps": values }));
    match (bad, unjudged) {
        (0, 0) => Ok(()),
        (0, n) => Err(Unjudged(format!(
            "the audit of {n} of {} apps was not checked, or not all of it",
            apps.len()
        ))
        .into()),
        _ => bail!("the audit of {bad} of {} apps has a bad entry: somebody tampered with it", apps.len()),
    }
}

/// The apps that there are, and those that were deleted.
async fn all_apps(flows: &Flows) -> anyhow::Result<Vec<AppId>> {
    let mut apps: Vec<_> = operate::list_apps(flows).await?.iter().map(|app| app.id).collect();
    let deleted = operate::list_audited_apps(flows).await?.into_iter().filter(|app| !apps.contains(app));
    let deleted: Vec<_> = deleted.collect();
    apps.extend(deleted);
    Ok(apps)
}

fn line(id: AppId, checked: &AuditChecked) -> String {
    let head = checked.head;
    match unchecked(checked) {
        None => format!("good  {id}  {} entries\n      head  {head}", checked.checked),
        Some(why) => format!("?     {id}  {why}\n      head  {head}"),
    }
}

/// Says what was not checked, and why; `None` if everything was.
fn unchecked(checked: &AuditChecked) -> Option<String> {
    const WHY: &str = "either older than the chain, or stripped of it";
    match (checked.checked, checked.unchained) {
        (0, 0) => Some("nothing was checked: there are no entries".into()),
        (0, n) => Some(format!("nothing was checked: none of the {n} entries carries a chain value ({WHY})")),
        (_, 0) => None,
        (good, n) => Some(format!(
            "the first {n} of {} entries were not checked, because they carry no chain value ({WHY}); the others are good",
            good + n
        )),
    }
}

fn outcome(checked: &AuditChecked) -> Value {
    json!({ "ok": checked.is_whole(), "head": checked.head.to_string(), "seq": checked.head.seq,
        "checked": checked.checked, "unchained": checked.unchained })
}

fn bad_entry(entry: BadEntry) -> Value {
    json!({ "ok": false, "bad_entry": entry.seq, "why": entry.what.to_string() })
}

fn with_app(mut value: Value, app: AppId) -> Value {
    value["app_id"] = json!(app.to_string());
    value
}

fn kept_head(text: Option<&str>) -> Result<Option<Anchor>, Usage> {
    let bad = |text: &str| {
        Usage(format!("--head is \"{text}\"; it must be SEQ:HASH as `alter audit verify` prints it"))
    };
    text.map(|text| Anchor::parse(text).ok_or_else(|| bad(text))).transpose()
}

/// Verifies an exported file.
pub(super) fn run_on_file(file: &Path, head: Option<&str>, output: Output) -> anyhow::Result<()> {
    let (end, checked) =
        verify_file(file, kept_head(head)?).with_context(|| format!("{} did not verify", file.display()))?;
    let (app, head) = (end.app_id, end.head);
    let unchecked = unchecked(&checked);
    let text = match &unchecked {
        None => format!("Good: entries {} to {} of app {app}.\nhead  {head}", end.after.seq + 1, head.seq),
        Some(why) => format!("Not good, not bad: {why}.\napp   {app}\nhead  {head}"),
    };
    let mut value = outcome(&checked);
    (value["app_id"], value["after"]) = (json!(app.to_string()), json!(end.after.seq));
    output.answer(&text, &value);
    match unchecked {
        None => Ok(()),
        Some(_) => Err(Unjudged(format!("{} was not checked, or not all of it", file.display())).into()),
    }
}

/// Reads an exported file twice: once for its last line, which names the app, and once to verify its entries.
fn verify_file(path: &Path, kept: Option<Anchor>) -> anyhow::Result<(ExportEnd, AuditChecked)> {
    let lines = || anyhow::Ok(BufReader::new(std::fs::File::open(path)?).lines());
    let mut last = String::new();
    for line in lines()? {
        last = line?;
    }
    let EndLine { end } =
        serde_json::from_str(&last).context("its last line is not the end of an export: it was cut off")?;
    begins_where_kept(&end, kept)?;
    let mut walk = end.walk();
    kept.into_iter().for_each(|anchor| walk.must_pass(anchor));
    let mut rows = lines()?.enumerate().peekable();
    while let Some((number, line)) = rows.next() {
        if rows.peek().is_none() {
            break;
        }
        let row: AuditRow =
            serde_json::from_str(&line?).with_context(|| format!("line {} is not an entry", number + 1))?;
        walk.feed(&row)?;
    }
    let checked = walk.finish(Some(end.head))?;
    Ok((end, checked))
}

fn begins_where_kept(end: &ExportEnd, kept: Option<Anchor>) -> anyhow::Result<()> {
    match kept {
        Some(anchor) if anchor.seq < end.after.seq => {
            bail!("it begins after entry {}, so it cannot be compared with an older head", end.after.seq)
        }
        Some(anchor) if anchor.seq == end.after.seq && anchor != end.after => {
            bail!("its first entry does not follow the kept head")
        }
        _ => Ok(()),
    }
}
