//! The commands of decisions 6, one file each.

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
use alter_flows::{Flows, operate};
use clap::Subcommand;

use crate::{
    config::Config,
    demo,
    output::{Output, Usage},
};

/// Everything that `alter` does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Everything in one process with throw-away data: try the product in a browser.
    Demo(demo::Demo),
    /// Make the data directory, the root key and the database.
    Init,
    /// Run the server.
    Serve,
    /// Apps: whose users connect accounts.
    #[command(subcommand)]
    App(app::AppCommand),
    /// API keys of an app.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Agents of an app: they use what users delegate to them.
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// Providers of an app.
    #[command(subcommand)]
    Provider(provider::ProviderCommand),
    /// The identity provider of an app: who vouches for its users.
    #[command(subcommand)]
    Idp(idp::IdpCommand),
    /// Grants of an app.
    #[command(subcommand)]
    Grant(grant::GrantCommand),
    /// The audit: what made, released, refused or revoked a credential.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Encryption keys: of apps, and the root key.
    #[command(subcommand)]
    KeyRing(key_ring::KeyRingCommand),
    /// Copy the database into FILE, checked, while the server runs.
    Backup {
        /// A new file; what is in it goes into FILE.json.
        file: std::path::PathBuf,
    },
    /// Put a backup in the database's place. No server may run.
    Restore(restore::RestoreArgs),
    /// Bring the database to this version's schema.
    Migrate,
    /// Find and explain misconfigurations.
    Doctor(doctor::Doctor),
    /// Print every setting with its default and its explanation.
    Config,
}

pub(crate) async fn run(command: Command, output: &Output) -> anyhow::Result<()> {
    match command {
        Command::Demo(demo) => demo::run(demo, *output).await,
        // A file can be checked on a machine that has no database.
        Command::Audit(command) if command.is_offline() => audit::run_offline(command, *output),
        Command::Config => {
            output.answer(crate::config::DEFAULT, &serde_json::json!({ "default": crate::config::DEFAULT }));
            Ok(())
        }
        command => configured(command, Config::load().map_err(|e| Usage(format!("{e:#}")))?, output).await,
    }
}

async fn configured(command: Command, config: Config, output: &Output) -> anyhow::Result<()> {
    match command {
        Command::Init => init::run(&config, *output).await,
        Command::Serve => serve::run(&config).await,
        Command::Migrate => migrate::run(&config, *output).await,
        Command::Doctor(doctor) => doctor::run(&doctor, &config, *output).await,
        Command::App(command) => app::run(command, &config, *output).await,
        Command::Agent(command) => agent::run(command, &config, *output).await,
        Command::Key(command) => key::run(command, &config, *output).await,
        Command::Provider(command) => provider::run(command, &config, *output).await,
        Command::Idp(command) => idp::run(command, &config, *output).await,
        Command::Grant(command) => grant::run(command, &config, *output).await,
        Command::Audit(command) => audit::run(command, &config, *output).await,
        Command::Backup { file } => backup::run(&file, &config, *output),
        Command::Restore(args) => restore::run(&args, &config, *output),
        Command::KeyRing(command) => key_ring::run(command, &config, *output).await,
        Command::Demo(_) | Command::Config => Ok(()),
    }
}

/// An app by id, or by its name where that is unique.
pub(crate) async fn find_app(flows: &Flows, given: &str) -> anyhow::Result<alter_core::App> {
    if let Some(id) = AppId::parse(given) {
        return Ok(operate::get_app(flows, id).await?);
    }
    let apps = operate::list_apps(flows).await?;
    let mut named = apps.into_iter().filter(|app| app.settings.name == given);
    match (named.next(), named.next()) {
        (Some(app), None) => Ok(app),
        (Some(_), Some(_)) => {
            Err(Usage(format!("several apps are called \"{given}\": give the app id")).into())
        }
        _ => anyhow::bail!("there is no app \"{given}\" (alter app list)"),
    }
}

/// A new file that its owner alone can read. What is there already is never overwritten.
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
