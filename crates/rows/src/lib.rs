//! How nouns are stored in database columns, once for both engines.
//!
//! Here: what a value must be before it is stored ([`storable`]), how a value is read from and written to a column
//! ([`mod@column`]), which columns a noun has ([`noun`], and one file per noun), and how a statement's text gets its lists of
//! columns ([`mod@sql`]). Not here: statements. What to look for, what to lock, what to do when a row exists already: each
//! store says that in its own SQL, where it can be seen.
//!
//! To add a column to a noun, add the field to its list here; no statement that reads or writes the whole noun changes.

mod agent;
pub mod app;
mod attempt;
pub mod audit;
pub mod column;
mod data_key;
mod delegation;
pub mod grant;
pub mod key;
pub mod noun;
pub mod provider;
mod recipe;
mod refresh;
mod revocation;
pub mod schema;
pub mod session;
pub mod sql;
pub mod storable;
mod user;

pub use column::{Column, Columns, Value};
pub use noun::Noun;
