//! `alter audit list|verify|export`.

use std::{
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use alter_core::{Anchor, App, AuditKind, AuditRow, BadEntry, GrantId, Micros, audit_chain::ExportEnd};
use alter_flows::{AuditError, AuditFilter, Flows, operate};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{find_app, private_file};
use crate::{
    config::Config,
    output::{Output, Usage},
    wiring,
};

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List an app's latest entries, newest first.
    List {
        /// App id, or its name.
        app: String,
        /// At most this many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Only entries of this kind: token_released, grant_connected, ...
        #[arg(long)]
        kind: Option<String>,
        /// Only entries about this grant.
        #[arg(long, value_name = "GRANT_ID")]
        grant: Option<String>,
    },
    /// Walk the chain and name the first bad entry; prints the head, which is worth keeping elsewhere.
    Verify(VerifyArgs),
    /// Write the entries as JSON lines; the last line holds the head.
    Export {
        /// App id, or its name.
        app: String,
        /// Only entries with a higher number than this.
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        after: i64,
        /// Write to this new file (0600) instead of standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// App id, or its name.
    #[arg(required_unless_present_any = ["all", "file"], conflicts_with_all = ["all", "file"])]
    app: Option<String>,
    /// Verify every app.
    #[arg(long, conflicts_with = "file")]
    all: bool,
    /// Verify an exported file; needs no database.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A head that was printed earlier and kept elsewhere.
    #[arg(long, value_name = "SEQ:HASH", conflicts_with = "all")]
    head: Option<String>,
}

impl AuditCommand {
    /// Whether the command needs neither settings nor a database.
    pub(crate) fn is_offline(&self) -> bool {
        matches!(self, Self::Verify(VerifyArgs { file: Some(_), .. }))
    }
}

/// The last line of an export.
#[derive(Serialize, Deserialize)]
struct EndLine {
    end: ExportEnd,
}

pub(crate) fn run_offline(command: AuditCommand, output: Output) -> anyhow::Result<()> {
    let AuditCommand::Verify(VerifyArgs { file: Some(file), head, .. }) = command else { return Ok(()) };
    let end = verify_file(&file, kept_head(head.as_deref())?)
        .with_context(|| format!("{} did not verify", file.display()))?;
    let (app, head) = (end.app_id.to_string(), end.head.to_string());
    let text = format!(
        "Good: entries {} to {} of app {app}.\nhead  {head}",
        (end.after.seq + 1).min(end.head.seq),
        end.head.seq
    );
    output.answer(
        &text,
        &json!({ "ok": true, "app_id": app, "after": end.after.seq, "seq": end.head.seq, "head": head }),
    );
    Ok(())
}

pub(crate) async fn run(command: AuditCommand, config: &Config, output: Output) -> anyhow::Result<()> {
    let flows = wiring::open(config).await?;
    match command {
        AuditCommand::List { app, limit, kind, grant } => {
            let app = find_app(&flows, &app).await?;
            let filter = filter(kind.as_deref(), grant.as_deref())?;
            list(&operate::list_audit(&flows, app.id, filter, limit).await?, output);
            Ok(())
        }
        AuditCommand::Verify(args) => verify(&args, &flows, output).await,
        AuditCommand::Export { app, after, out } => {
            let app = find_app(&flows, &app).await?;
            export(&app, after, out.as_deref(), &flows, output).await
        }
    }
}

fn filter(kind: Option<&str>, grant: Option<&str>) -> Result<AuditFilter, Usage> {
    let unknown = |kind: &str| {
        Usage(format!("{kind} is not a kind of entry; the kinds are: {}", AuditKind::NAMES.join(", ")))
    };
    let kind = kind.map(|kind| AuditKind::parse(kind).ok_or_else(|| unknown(kind))).transpose()?;
    let no_id = |grant: &str| Usage(format!("{grant} is not a grant id (alter grant list APP)"));
    let grant = grant.map(|id| GrantId::parse(id).ok_or_else(|| no_id(id))).transpose()?;
    Ok(AuditFilter { kind, grant })
}

fn list(rows: &[AuditRow], output: Output) {
    let line = |row: &AuditRow| {
        let subject = row.grant_id.as_ref().or(row.sid.as_ref()).map_or("-", String::as_str);
        let at = Micros(row.at).to_rfc3339();
        format!("{:>7}  {at}  {:<19} {subject}  {}", row.seq, row.kind, row.details)
    };
    let lines: Vec<_> = rows.iter().map(line).collect();
    let text = if lines.is_empty() { "No entries.".to_owned() } else { lines.join("\n") };
    output.answer(&text, &json!({ "entries": rows }));
}

async fn verify(args: &VerifyArgs, flows: &Flows, output: Output) -> anyhow::Result<()> {
    let apps = match &args.app {
        Some(app) => vec![find_app(flows, app).await?],
        None => operate::list_apps(flows).await?,
    };
    let kept = kept_head(args.head.as_deref())?;
    let (mut lines, mut values) = (Vec::new(), Vec::new());
    let mut bad = 0;
    for app in &apps {
        let (line, value) = match operate::verify_audit(flows, app.id, kept).await {
            Ok(good) => {
                let older = match good.unchained {
                    0 => String::new(),
                    n => format!(" (the first {n} are older than the chain and cannot be judged)"),
                };
                let line =
                    format!("good  {}  {} entries{older}\n      head  {}", app.id, good.head.seq, good.head);
                (
                    line,
                    json!({ "ok": true, "head": good.head.to_string(), "seq": good.head.seq, "unchained": good.unchained }),
                )
            }
            Err(AuditError::Bad(entry)) => {
                bad += 1;
                (format!("BAD   {}  {entry}", app.id), bad_entry(entry))
            }
            Err(error) => return Err(error.into()),
        };
        lines.push(line);
        values.push(with_app(value, app));
    }
    output.answer(&lines.join("\n"), &json!({ "apps": values }));
    match bad {
        0 => Ok(()),
        _ => bail!("the audit of {bad} of {} apps has a bad entry: somebody tampered with it", apps.len()),
    }
}

fn bad_entry(entry: BadEntry) -> Value {
    json!({ "ok": false, "bad_entry": entry.seq, "why": entry.what.to_string() })
}

fn with_app(mut value: Value, app: &App) -> Value {
    value["app_id"] = json!(app.id.to_string());
    value
}

fn kept_head(text: Option<&str>) -> Result<Option<Anchor>, Usage> {
    let bad = |text: &str| {
        Usage(format!("--head is \"{text}\"; it must be SEQ:HASH as `alter audit verify` prints it"))
    };
    text.map(|text| Anchor::parse(text).ok_or_else(|| bad(text))).transpose()
}

async fn export(
    app: &App,
    after: i64,
    out: Option<&Path>,
    flows: &Flows,
    output: Output,
) -> anyhow::Result<()> {
    let Some(path) = out else {
        let mut out = BufWriter::new(std::io::stdout());
        write_export(app, after, flows, &mut out).await?;
        return out.flush().context("the export could not be written");
    };
    let file = private_file(path)?;
    let mut out = BufWriter::new(file);
    let end = write_export(app, after, flows, &mut out).await?;
    let file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.sync_all().with_context(|| format!("{} cannot be written", path.display()))?;
    let (entries, head) = (end.head.seq - end.after.seq, end.head.to_string());
    let text = format!("{entries} entries in {}\nhead  {head}", path.display());
    output.answer(
        &text,
        &json!({ "file": path.display().to_string(), "entries": entries, "head": head, "seq": end.head.seq }),
    );
    Ok(())
}

async fn write_export(
    app: &App,
    after: i64,
    flows: &Flows,
    out: &mut impl Write,
) -> anyhow::Result<ExportEnd> {
    let line = |value: &Value| format!("{value}\n");
    let end = operate::export_audit(flows, app.id, after, |row| out.write_all(line(&json!(row)).as_bytes()))
        .await?;
    out.write_all(line(&json!({ "end": end })).as_bytes())?;
    Ok(end)
}

/// Reads an exported file twice: once for its last line, which names the app, and once to verify its entries.
fn verify_file(path: &Path, kept: Option<Anchor>) -> anyhow::Result<ExportEnd> {
    let lines = || anyhow::Ok(BufReader::new(std::fs::File::open(path)?).lines());
    let mut last = String::new();
    for line in lines()? {
        last = line?;
    }
    let EndLine { end } =
        serde_json::from_str(&last).context("its last line is not the end of an export: it was cut off")?;
    match kept {
        Some(anchor) if anchor.seq < end.after.seq => {
            bail!("it begins after entry {}, so it cannot be compared with an older head", end.after.seq)
        }
        Some(anchor) if anchor.seq == end.after.seq && anchor != end.after => {
            bail!("its first entry does not follow the kept head")
        }
        _ => {}
    }
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
    walk.finish(Some(end.head))?;
    Ok(end)
}
