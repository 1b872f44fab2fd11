//! The storage ports of `alter-core` over PostgreSQL.
