//! Connections, and transactions over them.
//!
//! PostgreSQL, and more so its relatives, may undo a transaction because of others and ask for it again. So a
//! transaction is a function that may be called several times; times, ids and random values are its arguments.
//!
//! A connection whose work was cut off, by time or because nobody waits any more, is closed: that undoes a transaction.
//! (A single statement that had reached the server may still be done; nobody was told that it was.)
//! After a failure of the server every connection that was idle then is tried before it is lent again, and when one is
//! silent the others are given up with it, so that a server that came back is used without a restart of ours.

use std::{
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
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection};

use crate::{
    connection::{self, Address, CONNECT},
    fault::Fault,
    metrics,
};

/// Connections at most, of each of our processes. PostgreSQL allows 100 in all unless told otherwise.
const CONNECTIONS: usize = 16;
/// A connection's age at most: what was changed for a role or database takes effect within that.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// How long a call stands in line for one. Half of what it has in all: making one on what little time is left to those at the
/// head of a long line would succeed for none of them.
const IN_LINE: Duration = Duration::from_millis(2500);
/// Last lent longer ago than this, a connection is tried before it is lent again: a firewall may have dropped it.
const FRESH: Duration = Duration::from_secs(5);
/// How long trying one may take before it is given up.
const TRIAL: Duration = Duration::from_secs(1);
/// Between two tries to connect to a server that refuses or is starting.
const RETRY: Duration = Duration::from_millis(100);
/// How long a transaction may take, its statements' ten seconds each notwithstanding: a network that swallows packets
/// answers nothing at all.
pub(crate) const LIMIT: Duration = Duration::from_secs(15);
/// How often a transaction is tried.
const TRIES: u32 = 10;
/// READ COMMITTED, said aloud: another default of the server must not change what our statements mean. Their
/// conditions are judged on the newest committed row, after waiting for whoever is changing it.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// A transaction's connection; `'a` is what its work borrows.
pub(crate) struct Tx<'c, 'a> {
    pub(crate) c: &'c mut PgConnection,
    outlives: PhantomData<&'c &'a ()>,
}

/// What a transaction does.
pub(crate) type Step<'c, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'c>>;

/// How work is made atomic.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Form {
    /// It is a single statement.
    Statement,
    /// BEGIN and COMMIT around it.
    Transaction,
}

pub(crate) struct Pool {
    pool: managed::Pool<Server>,
}

/// Makes and tries the pool's connections. Not the driver's own pool: that one asks the server after every use whether it is
/// still there, which doubles the journeys of a read, and waits for the answer without end, which costs the connection's
/// place when the network swallows packets.
struct Server {
    address: Address,
    /// When a call failed in a way that speaks against connections.
    fault: Last,
    /// When one that was tried was gone.
    gone: Last,
}

impl managed::Manager for Server {
    type Type = PgConnection;
    type Error = sqlx::Error;

    /// The caller's patience ends it: a server that is being started again is waited for.
    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        let mut told = false;
        loop {
            match self.address.options().connect().await {
                Ok(mut connection) => {
                    connection::prepare_and_judge(&mut connection).await?;
                    return Ok(connection);
                }
                Err(error) if connection::will_pass(&error) => {
                    if !told {
                        tracing::warn!(%error, "no connection to the database, trying again");
                        told = true;
                    }
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn recycle(&self, connection: &mut PgConnection, lent: &Metrics) -> RecycleResult<sqlx::Error> {
        let passed = lent.last_used();
        if lent.age() > LIFETIME || self.gone.within(passed) {
            return Err(RecycleError::message("too old to be trusted"));
        }
        if passed > FRESH || self.fault.within(passed) {
            let tried = tokio::time::timeout(TRIAL, connection.ping()).await;
            if !matches!(tried, Ok(Ok(()))) {
                self.gone.now();
                return Err(RecycleError::message("it is gone"));
            }
        }
        Ok(())
    }
}

impl Pool {
    /// Connects when it is first used.
    pub(crate) fn new(address: Address) -> Self {
        let pool = managed::Pool::builder(Server { address, fault: Last::default(), gone: Last::default() })
            .max_size(CONNECTIONS)
            .queue_mode(QueueMode::Lifo) // the one that was used last is the surest to be there
            .wait_timeout(Some(IN_LINE))
            .runtime(Runtime::Tokio1)
            .build()
            .expect("the runtime that its time limit needs is given");
        Self { pool }
    }

    /// Runs `work`, again when the server asks for that.
    pub(crate) async fn run<'a, T>(
        &self,
        form: Form,
        work: impl for<'c> Fn(Tx<'c, 'a>) -> Step<'c, T>,
    ) -> Result<T, StoreError> {
        let (mut tries, started) = (1, Instant::now());
        loop {
            match self.once(form, &work).await {
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
        let done = tokio::time::timeout(LIMIT, perform(form, lent.connection(), work)).await;
        let outcome = done.unwrap_or(Err(Fault::Late));
        match &outcome {
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
    connection: &mut PgConnection,
    work: impl for<'c> Fn(Tx<'c, 'a>) -> Step<'c, T>,
) -> Result<T, Fault> {
    if form == Form::Statement {
        return work(Tx { c: connection, outlives: PhantomData }).await;
    }
    connection.execute(BEGIN).await?;
    let outcome = work(Tx { c: connection, outlives: PhantomData }).await;
    let end = match &outcome {
        Ok(_) => "COMMIT",
        Err(fault) if fault.spares_the_connection() => "ROLLBACK",
        Err(_) => return outcome,
    };
    connection.execute(end).await?;
    outcome
}

/// Before the next try: at random, so that those who collided do not collide again; longer each time.
fn pause(tries: u32) -> Duration {
    let most = (5_u64 << tries).min(250);
    Duration::from_millis(u64::from(u16::from_le_bytes(random_bytes(&SystemRandom))) % most)
}

/// A connection that is closed unless it is given back. Taken out of the pool first, which needs no farewell of a
/// server that may not answer.
struct Lent(Option<Object<Server>>);

impl Lent {
    fn connection(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("it is there until it is given back")
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
struct Last(Mutex<Option<Instant>>);

impl Last {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether it has, in the time that has passed.
    fn within(&self, passed: Duration) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|at| at.elapsed() < passed)
    }
}
