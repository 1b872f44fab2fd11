//! The commands (decisions 6), one file each.

mod agent;
mod app;
mod audit;
mod backup;
mod doctor;
mod grant;
mod idp;
mod init;
mod key;
mod key_ring;
mod migrate;
mod provider;
mod restore;
pub(crate) mod serve;

use alter_core::AppId;
use alter_flows::{Flows, Operator, operate};
use clap::Subcommand;

use crate::{
    config::{Config, Flags},
    demo,
    output::{Output, Usage},
};

/// The commands of `alter`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Try the product in a browser: everything in one process, with throw-away data.
    Demo(demo::Demo),
    /// Create the data directory, the root key and the database.
    Init,
    /// Run the server.
    #[command(after_long_help = format!("Every setting, as `alter config` prints it:\n\n{}", crate::config::DEFAULT))]
    Serve {
        /// Address and port where the server listens, as ALTER_LISTEN.
        #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Settings (alter config explains all)")]
        listen: Option<String>,
    },
    /// Manage apps, whose users connect accounts.
    #[command(subcommand)]
    App(app::AppCommand),
    /// Manage an app's API keys.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Manage an app's agents, which use the grants that users delegate to them.
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// Manage an app's providers.
    #[command(subcommand)]
    Provider(provider::ProviderCommand),
    /// Manage an app's identity provider, which vouches for its users.
    #[command(subcommand)]
    Idp(idp::IdpCommand),
    /// List, show, refresh and revoke an app's grants.
    #[command(subcommand)]
    Grant(grant::GrantCommand),
    /// Read and verify the audit: what made, released, refused or revoked a credential.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// List and rotate encryption keys: the data keys of apps, and the root key.
    #[command(subcommand)]
    KeyRing(key_ring::KeyRingCommand),
    /// Copy the database into FILE and check the copy; the server may run.
    Backup(backup::BackupArgs),
    /// Replace the database by a backup. No server may run.
    Restore(restore::RestoreArgs),
    /// Bring the database to this version's schema.
    Migrate,
    /// Find and explain misconfigurations.
    Doctor(doctor::Doctor),
    /// Print every setting with its default and its explanation.
    Config,
}

pub(crate) async fn run(command: Command, flags: &Flags, output: &Output) -> anyhow::Result<()> {
    match command {
        Command::Demo(_) if !flags.is_empty() => {
            Err(Usage("alter demo has throw-away data and takes no settings".into()).into())
        }
        Command::Demo(demo) => demo::run(demo, *output).await,
        // An exported file can be verified on a machine that has no database.
        Command::Audit(command) if command.is_offline() => audit::run_offline(command, *output),
        Command::Config => {
            output.answer(crate::config::DEFAULT, &serde_json::json!({ "default": crate::config::DEFAULT }));
            Ok(())
        }
        Command::Serve { listen } => serve::run(&load(flags, listen.as_deref())?).await,
        command => configured(command, load(flags, None)?.beside_the_server()?, output).await,
    }
}

fn load(flags: &Flags, listen: Option<&str>) -> Result<Config, Usage> {
    Config::load(flags, listen).map_err(|error| Usage(format!("{error:#}")))
}

async fn configured(command: Command, config: Config, output: &Output) -> anyhow::Result<()> {
    match command {
        Command::Init => init::run(&config, *output).await,
        Command::Migrate => migrate::run(&config, *output).await,
        Command::Doctor(doctor) => doctor::run(&doctor, &config, *output).await,
        Command::App(command) => app::run(command, &config, *output).await,
        Command::Agent(command) => agent::run(command, &config, *output).await,
        Command::Key(command) => key::run(command, &config, *output).await,
        Command::Provider(command) => provider::run(command, &config, *output).await,
        Command::Idp(command) => idp::run(command, &config, *output).await,
        Command::Grant(command) => grant::run(command, &config, *output).await,
        Command::Audit(command) => audit::run(command, &config, *output).await,
        Command::Backup(args) => backup::run(&args, &config, *output),
        Command::Restore(args) => restore::run(&args, &config, *output),
        Command::KeyRing(command) => key_ring::run(command, &config, *output).await,
        Command::Demo(_) | Command::Serve { .. } | Command::Config => Ok(()),
    }
}

/// Who runs this command, for the audit: the system's user, and who became that user with sudo.
pub(crate) fn operator() -> Operator {
    let user = whoami::username().unwrap_or_else(|_no_name| "unknown".to_owned());
    match std::env::var("SUDO_USER") {
        Ok(from) if from != user => Operator::named(&format!("{user} (sudo from {from})")),
        _ => Operator::named(&user),
    }
}

/// Finds an app by its id, or by its name if only one app has that name.
pub(crate) async fn find_app(flows: &Flows, given: &str) -> anyhow::Result<alter_core::App> {
    if let Some(id) = AppId::parse(given) {
        return Ok(operate::get_app(flows, id).await?);
    }
    let mut named = operate::list_apps(flows).await?;
    named.retain(|app| app.settings.name == given);
    match (named.pop(), &*named) {
        (Some(app), []) => Ok(app),
        (Some(last), others) => {
            let ids: Vec<_> = others.iter().chain([&last]).map(|app| app.id.to_string()).collect();
            let ids = ids.join(", ");
            Err(Usage(format!("several apps are called \"{given}\": pass the id of one of them: {ids}"))
                .into())
        }
        (None, _) => anyhow::bail!("there is no app \"{given}\" (alter app list)"),
    }
}

/// Finds an app's id for its audit: a deleted app has one too, and is named by its id.
pub(crate) async fn find_audited_app(flows: &Flows, given: &str) -> anyhow::Result<AppId> {
    match AppId::parse(given) {
        Some(id) if operate::list_audited_apps(flows).await?.contains(&id) => Ok(id),
        _ => Ok(find_app(flows, given).await?.id),
    }
}

/// Creates a file that only its owner can read. Never overwrites a file.
pub(crate) fn private_file(path: &std::path::Path) -> anyhow::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            anyhow::anyhow!("{} exists already: nothing was changed", path.display())
        }
        _ => anyhow::Error::new(error).context(format!("{} cannot be written", path.display())),
    })
}
