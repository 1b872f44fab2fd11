//! `alter serve`: the server, until SIGTERM or Ctrl-C; then exchanges under way finish.

use alter_server::{Limits, Shared};
use anyhow::Context;
use tokio::net::TcpListener;

use crate::{
    config::{Config, RootKeySource, is_private},
    logging,
    output::Usage,
    wiring,
};

pub(crate) async fn run(config: &Config) -> anyhow::Result<()> {
    logging::start(&config.log)?;
    forbid_core_dumps();
    let flows = wiring::flows(config).await?;
    if config.root_key_old.is_some() {
        match flows.is_under_old_root_key() {
            true => tracing::warn!(
                "the database is under ALTER_ROOT_KEY_FILE_OLD: alter key-ring rotate --new-root-key-file"
            ),
            false => tracing::warn!("ALTER_ROOT_KEY_FILE_OLD is not needed any more: take it away"),
        }
    }
    let shared = Shared::new(flows.clone()).map_err(Usage)?;
    warn_of_oddities(config, &shared);
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("{} cannot be listened on", config.listen))?;
    tracing::info!(listen = %listener.local_addr()?, public_url = config.public_url, version = env!("CARGO_PKG_VERSION"), "serving");
    let reaper = tokio::spawn(flows.clone().reap_forever());
    alter_server::serve(listener, alter_server::router(shared), Limits::default(), stop_signal()).await;
    tracing::info!("stopping: no new requests, exchanges under way finish");
    reaper.abort();
    flows.drain().await;
    tracing::info!("stopped");
    Ok(())
}

/// A core dump would carry keys and tokens to disk (T95). Not dumpable also keeps other processes of the same user from
/// attaching.
fn forbid_core_dumps() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        let limited = setrlimit(Resource::Core, none);
        let hidden = set_dumpable_behavior(DumpableBehavior::NotDumpable);
        if let Err(error) = limited.and(hidden) {
            tracing::warn!(%error, "core dumps could not be switched off");
        }
    }
}

fn warn_of_oddities(config: &Config, shared: &Shared) {
    if !shared.site.secure {
        tracing::warn!("plain http on loopback: cookies go without Secure and without the __Host- prefix");
    }
    for name in Config::not_built() {
        tracing::warn!("{name} is set, but what it configures is not built yet");
    }
    if let RootKeySource::File(path) = &config.root_key
        && !is_private(path)
    {
        tracing::warn!(file = %path.display(), "the root key can be read by other users: chmod 600");
    }
}

/// SIGTERM or Ctrl-C.
pub(crate) async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    #[cfg(not(unix))]
    let _only_signal = tokio::signal::ctrl_c().await;
}
