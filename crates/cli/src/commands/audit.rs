//! `alter audit list|verify|export`.

mod verify;

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use alter_core::{AppId, AuditKind, AuditRow, GrantId, Micros, audit_chain::ExportEnd};
use alter_flows::{AuditFilter, Flows, operate};
use anyhow::Context;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{find_audited_app, private_file};
use crate::{
    config::Config,
    output::{Output, Usage, json_line},
    wiring,
};

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List an app's latest entries, newest first.
    List {
        /// App id, or its name; a deleted app's id.
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
    /// Walk the chain and name the first bad entry; prints the head, which is worth keeping elsewhere. Exit status 3 when
    /// entries carry no chain value, so that they cannot be checked.
    Verify(VerifyArgs),
    /// Write the entries as JSON lines; the last line holds the head.
    Export {
        /// App id, or its name; a deleted app's id.
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
    /// App id, or its name; a deleted app's id.
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
#[serde(deny_unknown_fields)]
struct EndLine {
    end: ExportEnd,
}

pub(crate) fn run_offline(command: AuditCommand, output: Output) -> anyhow::Result<()> {
    match command {
        AuditCommand::Verify(VerifyArgs { file: Some(file), head, .. }) => {
            verify::run_on_file(&file, head.as_deref(), output)
        }
        _ => Ok(()),
    }
}

pub(crate) async fn run(command: AuditCommand, config: &Config, output: Output) -> anyhow::Result<()> {
    let flows = wiring::open(config).await?;
    match command {
        AuditCommand::List { app, limit, kind, grant } => {
            let app = find_audited_app(&flows, &app).await?;
            let filter = filter(kind.as_deref(), grant.as_deref())?;
            list(&operate::list_audit(&flows, app, filter, limit).await?, output);
            Ok(())
        }
        AuditCommand::Verify(args) => verify::run(&args, &flows, output).await,
        AuditCommand::Export { app, after, out } => {
            let app = find_audited_app(&flows, &app).await?;
            export(app, after, out.as_deref(), &flows, output).await
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
    output.list(&lines, "No entries.", &json!({ "entries": rows }));
}

async fn export(
    app: AppId,
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
    app: AppId,
    after: i64,
    flows: &Flows,
    out: &mut impl Write,
) -> anyhow::Result<ExportEnd> {
    let line = |value: &Value| json_line(value) + "\n";
    let end =
        operate::export_audit(flows, app, after, |row| out.write_all(line(&json!(row)).as_bytes())).await?;
    out.write_all(line(&json!({ "end": end })).as_bytes())?;
    Ok(end)
}
