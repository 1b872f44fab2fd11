//! How nouns lie in the columns of a database, once for both engines.

pub mod storable;
