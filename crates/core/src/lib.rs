//! The nouns of Alter Connect, their states and rules, and the ports (traits) that storage implements.
//!
//! Here: what is true for every engine, every transport and every time of day. Not here: IO, an async runtime, SQL,
//! HTTP. To add a noun, add a file that holds its type, its states, its rules, its port and their tests, in that
//! order.

#![warn(missing_docs)] // others build on it

pub mod agent;
pub mod app;
pub mod attempt;
pub mod audit;
pub mod audit_chain;
pub mod auth_session;
pub mod cause;
pub mod data_key;
pub mod delegation;
pub mod exit;
pub mod failure;
pub mod grant;
pub mod id;
pub mod idp;
pub mod key;
pub mod key_store;
pub mod name;
pub mod opener;
pub mod origin;
pub mod outcome;
pub mod provider;
pub mod provider_words;
pub mod recipe;
pub mod refresh;
pub mod refresh_store;
pub mod result_code;
pub mod return_url;
pub mod revocation;
pub mod sealed;
pub mod secret;
pub mod session;
pub mod sign_in;
pub mod staged;
pub mod store;
pub mod stored;
pub mod text;
pub mod tightening;
pub mod time;
pub mod token;
pub mod user;

pub use agent::{
    Agent, AgentCreated, AgentData, AgentKind, AgentStatus, AgentStop, AgentStore, Idempotency, KeyAdded,
    KeyRevoked,
};
pub use app::{App, AppContents, AppSettings, AppStore, Level, Named};
pub use attempt::{
    Attempt, AttemptStatus, AttemptStore, Brought, CompleteConnect, Consumed, Ended, StageConnect,
};
pub use audit::{AuditEntry, AuditHead, AuditKind, AuditRow, AuditStore};
pub use audit_chain::{Anchor, AuditChecked, BadEntry, ChainWalk, Tampering};
pub use auth_session::AuthSession;
pub use cause::{Cause, Fault, ProviderCode};
pub use data_key::{AddDataKey, DataKeyId, DataKeyStore, ReplaceRootKey, Retired, StoredDataKey};
pub use delegation::{Delegation, DelegationStore};
pub use failure::Failure;
pub use grant::{
    AccountFilter, Credential, Grant, GrantFilter, GrantState, GrantStatus, GrantStore, Holder, ListedGrant,
    ReleaseCredential, RevokedGrant,
};
pub use id::{
    AgentId, AppId, AttemptId, ConfigId, GrantId, KeyId, RefreshId, RevocationId, SessionId, UserId,
};
pub use idp::{IdentityProvider, SignInClient};
pub use key::{ApiKey, KeyType, NewKey};
pub use key_store::{FoundKey, KeyStore};
pub use opener::{Opener, Shown};
pub use origin::Origin;
pub use outcome::{Connection, Declined, Event, EventName, Operation};
pub use provider::{ProviderConfig, ProviderStore};
pub use provider_words::ProviderWords;
pub use recipe::{
    ApiAuth, BadParameter, BodyFormat, ClientAuth, Coop, Facts, Filled, IdentitySource, Recipe, Scope,
    UserinfoMethod,
};
pub use refresh::{Asked, ReconnectReason, RefreshState, WhatNow};
pub use refresh_store::{
    BeginRefresh, Begun, DiscardRefresh, EndRefresh, ReconnectCount, RefreshAttempt, RefreshEnded,
    RefreshResult, RefreshStore, RefusedClient,
};
pub use result_code::{IssuedResult, ResultCode};
pub use return_url::ReturnUrl;
pub use revocation::{Revocation, RevocationOutcome, RevocationStore, RevokeGrant};
pub use sealed::{AttemptSecret, CredentialPlace, GrantSecret, SealedColumn, SealedPlace, SealedValue};
pub use secret::Hash;
pub use session::{
    Claim, ClaimRefused, End, EndKind, Mode, Session, SessionAgent, SessionData, SessionStore, SessionUser,
    State, Underway,
};
pub use sign_in::{SignIn, SignInFault, Trip, TripSecrets};
pub use staged::Staged;
pub use store::Store;
pub use stored::{CallNonce, Changed, Saved, StoreError};
pub use tightening::Tightening;
pub use time::{Clock, Micros, Random, SystemClock, SystemRandom};
pub use user::{Principal, User, UserStore};
