//! Temporary.
mod binding;
mod callback;
