//! Measures the same calls with many grants and with few: what grows with the number of grants, and by how much. A real
//! app with one user's real grant is set up through the connect flow. The other grants are copies of it in the
//! database, each with a user and an account of its own, and with sealed values of the same size that nobody opens.

use std::{path::PathBuf, process::Command, sync::Arc, time::Duration};

use alter_mock_provider::MockProvider;
use anyhow::{Context, ensure};
use clap::Args;
use serde_json::json;

use crate::{
    alter::{Alter, new_database},
    grant,
    load::{self, Make, Target},
    machine, process, say,
    signer::Signer,
};

const WARM_UP: Duration = Duration::from_millis(500);
const AUDIENCE: &str = "bench";
const USER: &str = "acme-1001";

/// How many grants to measure with, and for how long.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Plan {
    /// The release build of `alter`.
    #[arg(long, value_name = "FILE")]
    alter: PathBuf,
    /// Throw-away data goes below this folder.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where `DATE-scale.md` is written.
    #[arg(long, value_name = "DIR")]
    results: PathBuf,
    /// The commit that was built, for the report.
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// The numbers of grants to compare.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 1_000_000])]
    grants: Vec<u64>,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Seconds of each measured run.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Measure on this PostgreSQL server, where databases may be made, in addition to SQLite.
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
}

/// One row of the table.
struct Row {
    engine: &'static str,
    grants: u64,
    call: &'static str,
    per_second: f64,
    p50_us: u32,
    p99_us: u32,
    cpu_us: f64,
}

/// The figures that are measured once per number of grants.
struct Fact {
    engine: &'static str,
    grants: u64,
    bytes_per_grant: f64,
    ready_ms: f64,
    memory_kib: u64,
}

pub(crate) async fn run(plan: &Plan) -> anyhow::Result<()> {
    std::fs::create_dir_all(&plan.data)?;
    let before = machine::Load::now();
    let (mut rows, mut facts) = (Vec::new(), Vec::new());
    for server in
        [None, plan.postgres.as_deref()].into_iter().enumerate().filter(|(i, s)| *i == 0 || s.is_some())
    {
        for &grants in &plan.grants {
            measure(plan, server.1, grants, &mut rows, &mut facts).await?;
        }
    }
    let text = markdown(plan, &before, &rows, &facts)?;
    std::fs::create_dir_all(&plan.results)?;
    let date = crate::report::now();
    let name = format!("{}-scale.md", date.get(..10).unwrap_or("undated"));
    std::fs::write(plan.results.join(name), &text)?;
    crate::print(&text);
    Ok(())
}

async fn measure(
    plan: &Plan,
    server: Option<&str>,
    grants: u64,
    rows: &mut Vec<Row>,
    facts: &mut Vec<Fact>,
) -> anyhow::Result<()> {
    let engine = if server.is_some() { "PostgreSQL" } else { "SQLite" };
    let mut alter = Alter::init_on(&plan.alter, &plan.data, server.map(new_database).transpose()?)?;
    let provider = MockProvider::start().await;
    let signer = grant::make_app(&alter, &provider)?;
    alter.cli(&["idp", "set", "Bench", "--issuer", &provider.issuer(), "--audience", AUDIENCE], "")?;
    alter.serve().await?;
    let user = provider.user_token(USER, AUDIENCE);
    let by_id = grant::connect_for(&alter, &signer, &provider, Some(&user)).await?;
    alter.stop()?;
    say(&format!("{engine}: {grants} grants ..."));
    let empty = size(&alter)?;
    fill(&alter, grants.saturating_sub(1))?;
    let bytes_per_grant = size(&alter)?.saturating_sub(empty) as f64 / grants as f64;
    let ready_ms = alter.serve().await?.as_secs_f64() * 1000.0;
    let wanted = json!({ "method": "GET", "url": provider.url("/api/me") });
    let by_user = json!({ "provider_id": "mock", "user_token": user, "request": wanted }).to_string();
    let calls = [
        ("token by grant_id", "/sdk/token", by_id, 200),
        ("token by provider and user_token", "/sdk/token", by_user, 200),
        ("list, first 100", "/sdk/grants/list", json!({}).to_string(), 200),
        ("list of one user", "/sdk/grants/list", json!({ "user_token": user }).to_string(), 200),
        ("mint", "/sdk/oauth/connect/session", grant::MINT.to_owned(), 201),
    ];
    for (call, path, body, status) in calls {
        let row = one(plan, &alter, &signer, (path, body, status)).await?;
        let row = Row { engine, grants, call, ..row };
        say(&format!(
            "  {call:<34} {:>8.0}/s  p50 {:>7} us  p99 {:>7} us",
            row.per_second, row.p50_us, row.p99_us
        ));
        rows.push(row);
    }
    let memory_kib = process::memory_kib(alter.pid()?, "VmRSS")?;
    facts.push(Fact { engine, grants, bytes_per_grant, ready_ms, memory_kib });
    alter.stop()
}

async fn one(
    plan: &Plan,
    alter: &Alter,
    signer: &Signer,
    (path, body, status): (&'static str, String, u16),
) -> anyhow::Result<Row> {
    let signer = signer.clone();
    let make: Make = Arc::new(move || signer.post(path, &body));
    let target = Target { port: alter.port, make, status };
    load::run(&target, plan.connections, WARM_UP).await?;
    let before = process::cpu_ticks(alter.pid()?)?;
    let outcome = load::run(&target, plan.connections, Duration::from_secs(plan.seconds)).await?;
    let ticks = process::cpu_ticks(alter.pid()?)?.saturating_sub(before);
    let count = (outcome.requests() as f64).max(1.0);
    Ok(Row {
        engine: "",
        grants: 0,
        call: "",
        per_second: count / outcome.elapsed.as_secs_f64(),
        p50_us: outcome.percentile(0.5),
        p99_us: outcome.percentile(0.99),
        cpu_us: ticks as f64 * process::tick_us()? / count,
    })
}

/// Copies the real grant this many times.
fn fill(alter: &Alter, copies: u64) -> anyhow::Result<()> {
    match alter.database() {
        None => {
            let connection = rusqlite::Connection::open(alter.file())?;
            let uuid = "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) \
                        || '-a' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))";
            let numbers = format!(
                "(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {copies}) SELECT i FROM n)"
            );
            connection.execute_batch(&format!(
                "BEGIN; {}; COMMIT; ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)",
                copy(uuid, &numbers)
            ))?;
        }
        Some(url) => {
            let numbers = format!("generate_series(1, {copies}) AS n (i)");
            psql(url, &copy("gen_random_uuid()::text", &numbers))?;
            psql(url, "VACUUM ANALYZE")?;
        }
    }
    Ok(())
}

fn copy(uuid: &str, numbers: &str) -> String {
    let kept = "provider, config_id, account_identifier, account_display_name, label, scopes, missing_scopes, level, \
                updated_at, status, generation, token_type, credential_expires_at, access_token, refresh_token, id_token";
    format!(
        "INSERT INTO grants (id, app_id, principal, subject, created_at, {kept})
         SELECT {uuid}, app_id, {uuid}, subject || '-' || i, created_at - i * 1000, {kept}
         FROM {numbers}, (SELECT * FROM grants LIMIT 1) AS original"
    )
}

/// Returns the size in bytes of the grants with their indexes (PostgreSQL) or of the whole file (SQLite).
fn size(alter: &Alter) -> anyhow::Result<u64> {
    match alter.database() {
        None => Ok(std::fs::metadata(alter.file())?.len()),
        Some(url) => Ok(psql(url, "SELECT pg_total_relation_size('grants')")?.trim().parse()?),
    }
}

fn psql(url: &str, statement: &str) -> anyhow::Result<String> {
    let output = Command::new("psql").args(["-XqAt", "-v", "ON_ERROR_STOP=1", url, "-c", statement]).output();
    let output = output.context("psql does not run")?;
    ensure!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn markdown(plan: &Plan, before: &machine::Load, rows: &[Row], facts: &[Fact]) -> anyhow::Result<String> {
    let mut lines = vec![
        "# Many grants and few".to_owned(),
        String::new(),
        format!(
            "{}; {} connections, {} s a run; {}; load before {before:?}.",
            plan.commit,
            plan.connections,
            plan.seconds,
            serde_json::to_string(&machine::describe(&plan.data)?)?
        ),
        String::new(),
        "| Database | Grants | Call | a second | p50 ms | p99 ms | server CPU us |".to_owned(),
        "|---|---|---|---|---|---|---|".to_owned(),
    ];
    let ms = |us: u32| f64::from(us) / 1000.0;
    lines.extend(rows.iter().map(|r| {
        format!(
            "| {} | {} | {} | {:.0} | {:.2} | {:.2} | {:.0} |",
            r.engine,
            r.grants,
            r.call,
            r.per_second,
            ms(r.p50_us),
            ms(r.p99_us),
            r.cpu_us
        )
    }));
    lines.push(String::new());
    lines.push("| Database | Grants | bytes a grant | ready ms | memory MiB |".to_owned());
    lines.push("|---|---|---|---|---|".to_owned());
    lines.extend(facts.iter().map(|f| {
        format!(
            "| {} | {} | {:.0} | {:.0} | {:.1} |",
            f.engine,
            f.grants,
            f.bytes_per_grant,
            f.ready_ms,
            f.memory_kib as f64 / 1024.0
        )
    }));
    Ok(lines.join("\n") + "\n")
}
