//! The nouns of Alter Connect, their states and rules, and the ports (traits) that storage implements.
//!
//! Here: what is true whatever the engine, the transport or the time of day. Not here: IO, an async runtime, SQL,
//! HTTP. To add a noun, add a file that holds its type, its states, its rules, its port and their tests, in that
//! order.

pub mod app;
pub mod audit;
pub mod column;
pub mod exit;
pub mod grant;
pub mod id;
pub mod key;
pub mod origin;
pub mod outcome;
pub mod provider;
pub mod secret;
pub mod session;
pub mod signing;
pub mod store;
pub mod time;
pub mod token;
pub mod transaction;

pub use app::{App, AppSettings, AppStore, Level};
pub use audit::{AuditEntry, AuditKind, AuditStore};
pub use grant::{Credential, Grant, GrantStore};
pub use id::{AppId, ConfigId, GrantId, KeyId, SessionId, TransactionId};
pub use key::{ApiKey, KeyStore, KeyType};
pub use outcome::{Connection, Declined, Event, EventName, Failure, FailureKind, Operation};
pub use provider::{ClientAuth, Coop, IdentitySource, ProviderConfig, ProviderStore, Recipe};
pub use secret::Hash;
pub use session::{Attempt, Claim, ClaimRefused, End, EndKind, Session, SessionData, SessionStore, State};
pub use store::{CallNonce, Store, StoreError};
pub use time::{Clock, Micros, Random, SystemClock, SystemRandom};
pub use transaction::{CompleteConnect, Transaction, TransactionStatus, TransactionStore};
