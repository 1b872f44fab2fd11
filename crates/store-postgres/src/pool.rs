//! Connections, and transactions over them.
//!
//! PostgreSQL, and even more the databases that speak its protocol, may undo a transaction because of concurrent ones and
//! ask for it to be repeated. So a transaction is a function that may be called several times; times, ids and random
//! values are its arguments.
//!
//! A connection whose work was cut off, by a time limit or because nobody waits any more, is closed: that undoes its
//! transaction. (A single statement that had reached the server may still be done; nobody was told that it was.)
//! A connection that died while it was idle is replaced, and the work is tried once more: a read at any rate, a transaction
//! if its BEGIN failed. A single statement that writes might have been done, so its connection is tested first, which costs
//! little beside its commit.
//!
//! After a failure of the server, every connection that was idle at that time is tested before it is lent again. If one
//! does not respond, all the others are closed too, so that a server that came back is used without restarting us.

use std::{
    io::ErrorKind,
    marker::PhantomData,
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use alter_core::{StoreError, SystemRandom, time::random_bytes};
use deadpool::{
    Runtime,
    managed::{self, Metrics, Object, QueueMode, RecycleError, RecycleResult},
};

use crate::{
    address::{Address, CONNECT},
    connection::{self, Connection},
    fault::Fault,
    metrics,
};

/// The most connections per process. PostgreSQL allows 100 in all by default.
const CONNECTIONS: usize = 16;
/// A connection's greatest age: changed settings of a role or database take effect within that time.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// How long a call waits for a connection: half of a call's budget. If callers could wait for all of it, those at the front
/// would have no time left to connect.
const IN_LINE: Duration = Duration::from_millis(2500);
/// A connection last lent longer ago than this is tested before it is lent again: a firewall may have dropped it.
const FRESH: Duration = Duration::from_secs(5);
/// The time limit for testing a connection.
const TRIAL: Duration = Duration::from_secs(1);
/// The pause between two tries to connect to a server that refuses or is starting.
const RETRY: Duration = Duration::from_millis(100);
/// The time limit for a whole transaction. The server's own limit of ten seconds per statement does not suffice: over a
/// network that swallows packets, nothing arrives at all.
pub(crate) const LIMIT: Duration = Duration::from_secs(15);
/// How many times a transaction is tried.
const TRIES: u32 = 10;

/// A transaction's connection; `'a` is what its work borrows.
pub(crate) struct Tx<'c, 'a> {
    pub(crate) c: &'c mut Connection,
    outlives: PhantomData<&'c &'a ()>,
}

/// What a transaction does.
pub(crate) type Step<'c, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'c>>;

/// What makes the work atomic.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Form {
    /// It is a single statement that only reads.
    Read,
    /// It is a single statement that writes.
    Write,
    /// BEGIN and COMMIT around it. Behind a pooler, a single statement has them too.
    Transaction,
}

impl Form {
    /// The form of a single statement.
    pub(crate) fn of(sql: &str) -> Self {
        if sql.trim_start().starts_with("SELECT") { Self::Read } else { Self::Write }
    }
}

pub(crate) struct Pool {
    pool: managed::Pool<Server>,
}

/// Makes and tests the pool's connections. We do not use the driver's own pool: after every use it asks the server whether
/// it is still there, which doubles the round trips of a read, and it waits for the response without a limit, so that a
/// network that swallows packets uses up the connection's place.
struct Server {
    address: Address,
    /// When a call last failed in a way that casts doubt on the connections.
    fault: LastSeen,
    /// When a tested connection was last found dead.
    gone: LastSeen,
}

impl managed::Manager for Server {
    type Type = Connection;
    type Error = sqlx::Error;

    /// Tries until the caller gives up, so that calls wait for a server that is restarting.
    async fn create(&self) -> Result<Connection, sqlx::Error> {
        let mut told = false;
        loop {
            match self.address.connect_for_pool().await {
                Err(error) if connection::will_pass(&error) => {
                    if !told {
                        tracing::warn!(%error, "no connection to the database, trying again");
                        told = true;
                    }
                    tokio::time::sleep(RETRY).await;
                }
                reached => return reached,
            }
        }
    }

    async fn recycle(&self, connection: &mut Connection, lent: &Metrics) -> RecycleResult<sqlx::Error> {
        let passed = lent.last_used();
        if lent.age() > LIFETIME || self.gone.happened_within(passed) {
            return Err(RecycleError::message("too old to be trusted"));
        }
        let doubtful = passed > FRESH || self.fault.happened_within(passed);
        if doubtful && test(connection).await.is_err() {
            self.gone.now();
            return Err(RecycleError::message("it is gone"));
        }
        Ok(())
    }
}

impl Pool {
    /// Makes an empty pool; it connects when it is first used.
    pub(crate) fn new(address: Address) -> Self {
        let pool =
            managed::Pool::builder(Server { address, fault: LastSeen::default(), gone: LastSeen::default() })
                .max_size(CONNECTIONS)
                .queue_mode(QueueMode::Lifo) // the one that was used last is the surest to be there
                .wait_timeout(Some(IN_LINE))
                .runtime(Runtime::Tokio1)
                .build()
                .expect("the runtime that its time limit needs is given");
        Self { pool }
    }

    /// Runs `work`, and repeats it when the server asks for that.
    pub(crate) async fn run<'a, T>(
        &self,
        form: Form,
        work: impl for<'c> Fn(Tx<'c, 'a>) -> Step<'c, T>,
    ) -> Result<T, StoreError> {
        let (mut tries, mut replaced, started) = (1, false, Instant::now());
        loop {
            match self.once(form, &work).await {
                Err(Fault::Unbegun(error)) if !replaced => {
                    tracing::info!(%error, "a connection to the database was lost while idle, trying on another");
                    replaced = true;
                }
                Err(fault) if fault.asks_for_repetition() && tries < TRIES && started.elapsed() < LIMIT => {
                    metrics::repeated();
                    tokio::time::sleep(pause(tries)).await;
                    tries += 1;
                }
                outcome => {
                    let result = outcome.map_err(StoreError::from);
                    metrics::command(started, &result);
                    return result;
                }
            }
        }
    }

    async fn once<'a, T>(
        &self,
        form: Form,
        work: impl for<'c> Fn(Tx<'c, 'a>) -> Step<'c, T>,
    ) -> Result<T, Fault> {
        let mut lent = self.lend().await?;
        let was_idle = lent.was_idle();
        let done = tokio::time::timeout(LIMIT, perform(form, lent.connection(), was_idle, work)).await;
        let outcome = done.unwrap_or(Err(Fault::Late));
        match &outcome {
            // The others that were idle are closed before they are lent: the next is a fresh one.
            Err(Fault::Unbegun(_)) => self.pool.manager().gone.now(),
            Err(fault) if !fault.spares_the_connection() => self.pool.manager().fault.now(),
            _ => lent.give_back(),
        }
        outcome
    }

    async fn lend(&self) -> Result<Lent, Fault> {
        let lent = tokio::time::timeout(CONNECT, self.pool.get()).await.map_err(|_| Fault::NoConnection)?;
        Ok(Lent(Some(lent?)))
    }
}

async fn perform<'a, T>(
    form: Form,
    connection: &mut Connection,
    was_idle: bool,
    work: impl for<'c> Fn(Tx<'c, 'a>) -> Step<'c, T>,
) -> Result<T, Fault> {
    // A pooler's connection to the server was idle, however fresh ours is.
    let was_idle = was_idle || connection.is_pooled();
    let unbegun = |fault: Fault| if was_idle { fault.unbegun_if_lost() } else { fault };
    if form == Form::Transaction || connection.is_pooled() {
        if let Err(error) = connection.begin().await {
            let fault = unbegun(error.into());
            // Behind a pooler the settings may fail after BEGIN itself.
            if fault.spares_the_connection() {
                connection.rollback().await?;
            }
            return Err(fault);
        }
        let outcome = work(Tx { c: connection, outlives: PhantomData }).await;
        match &outcome {
            Ok(_) => connection.commit().await?,
            Err(fault) if fault.spares_the_connection() => connection.rollback().await?,
            Err(_) => {}
        }
        return outcome;
    }
    if form == Form::Write && was_idle {
        test(connection).await.map_err(Fault::Unbegun)?;
    }
    let outcome = work(Tx { c: connection, outlives: PhantomData }).await;
    if form == Form::Read { outcome.map_err(unbegun) } else { outcome }
}

/// Whether the server responds.
async fn test(connection: &mut Connection) -> Result<(), sqlx::Error> {
    let tried = tokio::time::timeout(TRIAL, connection.ping()).await;
    tried.map_err(|_| sqlx::Error::Io(ErrorKind::TimedOut.into()))?
}

/// The pause before the next try: random, so that transactions that collided do not collide again; longer each time.
fn pause(tries: u32) -> Duration {
    let most = (5_u64 << tries).min(250);
    Duration::from_millis(u64::from(u16::from_le_bytes(random_bytes(&SystemRandom))) % most)
}

/// A lent connection, which is closed unless it is given back. It is taken out of the pool before it is closed, so nothing
/// waits for a server that may not respond.
struct Lent(Option<Object<Server>>);

impl Lent {
    fn connection(&mut self) -> &mut Connection {
        self.0.as_mut().expect("it is there until it is given back")
    }

    /// Whether it was used before.
    fn was_idle(&self) -> bool {
        self.0.as_ref().is_some_and(|lent| Object::metrics(lent).recycle_count > 0)
    }

    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        drop(self.0.take().map(Object::take));
    }
}

/// When something last happened.
#[derive(Default)]
struct LastSeen(Mutex<Option<Instant>>);

impl LastSeen {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether it happened within the last `passed`.
    fn happened_within(&self, passed: Duration) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|at| at.elapsed() < passed)
    }
}
