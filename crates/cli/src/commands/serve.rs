//! `alter serve`: runs the server until SIGTERM or Ctrl-C. Then requests and exchanges under way finish; after a SIGTERM,
//! those too that a proxy still sends over connections that are open.

use alter_flows::{Flows, connect, grants, operate, reap};
use std::time::Duration;

use alter_server::{Limits, Shared};
use anyhow::{Context, bail};
use tokio::{net::TcpListener, sync::oneshot, time::sleep};

use crate::{
    config::{Config, record},
    limits, logging, metrics,
    output::Usage,
    wiring,
};

/// How long a shutdown waits for requests and exchanges under way: as long as one token request may take.
const DRAIN: Duration = Duration::from_secs(30);

/// How long a shutdown by SIGTERM waits for what clients and proxies still send over open connections: longer than our recipes
/// for proxies keep an idle one (eight seconds).
const LINGER: Duration = Duration::from_secs(10);

pub(crate) async fn run(config: &Config) -> anyhow::Result<()> {
    logging::start(&config.log)?;
    forbid_core_dumps();
    wiring::check_owner(&config.data_dir)?;
    let _no_other_server = config.database.lock_for_serving()?;
    let flows = wiring::open_migrating(config).await?;
    if config.root_key_old.is_some() {
        if operate::is_under_old_root_key(&flows) {
            tracing::warn!(
                "the database is still under ALTER_ROOT_KEY_FILE_OLD; run alter key-ring rotate --new-root-key-file"
            );
        } else {
            tracing::warn!("ALTER_ROOT_KEY_FILE_OLD is no longer needed; remove it");
        }
    }
    tell_of_refused_rows(&flows).await;
    let shared = Shared::new(flows.clone()).map_err(Usage)?;
    warn_of_oddities(config, &shared);
    // Before the first request: from then on a signal must not meet its default action, which kills the process at
    // once.
    let mut signals = Signals::new()?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    if let Some(address) = config.metrics_listen {
        metrics::serve(address).await?;
    }
    // A container may have no data directory, or one that it cannot write.
    if let Err(error) = record(config) {
        tracing::info!("other commands need the server's settings themselves: {error:#}");
    }
    tracing::info!(listen = %listener.local_addr()?, public_url = config.public_url, version = env!("CARGO_PKG_VERSION"), "serving");
    let reaper = tokio::spawn(reap::reap_forever(flows.clone()));
    let beat = tokio::spawn(connect::beat_forever(flows.clone()));
    let binder = tokio::spawn(bind_tokens(flows.clone()));
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(alter_server::serve(
        listener,
        alter_server::router(shared),
        connection_limits(config),
        async { stopped.await.unwrap_or_default() },
    ));
    let kept = signals.next().await.lingers();
    tracing::info!(
        exchanges = flows.in_flight(),
        "stopping: each open connection gets one more answer for {} s, then the listener closes; requests and exchanges \
         under way finish",
        kept.as_secs()
    );
    let _its_end_shows_below = stop.send(kept);
    reaper.abort();
    beat.abort();
    binder.abort();
    let finished = async {
        serving.await.context("the listening loop broke off")?;
        flows.drain().await;
        anyhow::Ok(())
    };
    finish(kept + DRAIN, || flows.in_flight(), finished, signals.next()).await
}

/// A row that is refused, or cannot be read, keeps nobody else from being served.
async fn tell_of_refused_rows(flows: &Flows) {
    match operate::unproven_providers(flows).await {
        Ok(rows) => rows.iter().for_each(|row| {
            tracing::error!(app_id = %row.app, provider = row.provider, error = %row.why, "nothing is sent to a provider");
        }),
        Err(error) => tracing::error!(%error, "the providers' seals could not be looked at: run alter doctor"),
    }
    match operate::unproven_keys(flows).await {
        Ok(rows) => rows.iter().for_each(|row| {
            let key = row.key.map(|key| key.to_string());
            tracing::error!(app_id = %row.app, key_id = key, error = %row.why, "calls with a key are refused");
        }),
        Err(error) => tracing::error!(%error, "the keys' seals could not be looked at: run alter doctor"),
    }
}

/// After an upgrade from a version whose tokens were not bound to their grants' holders.
async fn bind_tokens(flows: Flows) {
    match grants::bind_tokens(&flows).await {
        Ok(0) => {}
        Ok(tokens) => {
            tracing::info!(tokens, "tokens from before are bound to their grants' owners and configurations")
        }
        Err(error) => {
            tracing::error!(%error, "tokens from before are not bound to their grants yet: the next start goes on")
        }
    }
}

/// Waits until everything under way has finished, `at_most` so long and not beyond a second signal.
async fn finish(
    at_most: Duration,
    in_flight: impl Fn() -> usize,
    finished: impl Future<Output = anyhow::Result<()>>,
    second_signal: impl Future<Output = Signal>,
) -> anyhow::Result<()> {
    let why = tokio::select! {
        result = finished => {
            tracing::info!("stopped");
            return result;
        }
        _ = second_signal => "a second signal came".to_owned(),
        () = sleep(at_most) => format!("{} s are over", at_most.as_secs()),
    };
    // The journal holds how far each exchange came; the next start goes on from there.
    let exchanges = in_flight();
    tracing::error!(exchanges, "cut off: {why}; exchanges under way will end as interrupted");
    bail!("stopped before everything had finished ({why}): {exchanges} exchanges were cut off")
}

fn connection_limits(config: &Config) -> Limits {
    let mut limits = Limits { connections: config.connections, ..Limits::default() };
    limits.exempt.extend(&config.trusted_proxies);
    limits.drain = DRAIN;
    let fitting = limits::make_room(limits.connections);
    if fitting < limits.connections {
        tracing::warn!(
            connections = fitting,
            wanted = limits.connections,
            "the limit on open files allows fewer connections than ALTER_CONNECTIONS: raise it (LimitNOFILE)"
        );
        limits.connections = fitting;
    }
    limits
}

/// A core dump would carry keys and tokens to disk (T95). A process that is not dumpable also keeps other processes of
/// the same user from attaching to it.
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
    if alter_failpoint::ARMED {
        tracing::warn!(
            "test build: an environment variable can kill this process; do not use it in production"
        );
    }
    if !shared.site.secure {
        tracing::warn!("plain http on loopback: cookies go without Secure and without the __Host- prefix");
    }
    for exposed in config.exposed() {
        tracing::warn!("open to other users of this machine: {}: {}", exposed.text(), exposed.mend());
    }
}

/// Who wants the process to end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    /// A service manager, by SIGTERM.
    Terminate,
    /// A person, by Ctrl-C.
    Interrupt,
}

impl Signal {
    /// How long open connections are kept: a person does not wait for a proxy.
    fn lingers(self) -> Duration {
        match self {
            Self::Terminate => LINGER,
            Self::Interrupt => Duration::ZERO,
        }
    }
}

/// SIGTERM and Ctrl-C, every time one of them arrives.
pub(crate) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    pub(crate) fn new() -> anyhow::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let listen = |kind| signal(kind).context("signals cannot be listened to");
            Ok(Self {
                terminate: listen(SignalKind::terminate())?,
                interrupt: listen(SignalKind::interrupt())?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    pub(crate) async fn next(&mut self) -> Signal {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        }
        #[cfg(not(unix))]
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_waits_as_long_as_it_may_and_not_longer() {
        let from = Instant::now();
        let slow = async {
            sleep(DRAIN - Duration::from_secs(1)).await;
            Ok(())
        };
        finish(DRAIN, || 0, slow, pending()).await.unwrap();
        assert_eq!(from.elapsed().as_secs(), 29);

        let longest = Signal::Terminate.lingers() + DRAIN;
        let error = finish(longest, || 7, pending(), pending()).await.unwrap_err().to_string();
        assert_eq!(from.elapsed().as_secs(), 29 + 40);
        assert!(error.contains("40 s are over") && error.contains("7 exchanges"), "{error}");
        let again = ready(Signal::Interrupt);
        let error = finish(longest, || 7, pending(), again).await.unwrap_err().to_string();
        assert!(error.contains("a second signal came"), "{error}");
    }
}
