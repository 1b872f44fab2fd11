//! The catalog: one data file per provider (`catalog/*.toml`), the parser and the validation.
//!
//! The format is [`Recipe`], field for field, and is documented there. Operators write the same format for providers
//! of their own (`alter provider set --spec FILE.toml`). Not here: speaking OAuth (`oauth`), what an app configured
//! (`store-*`).
//!
//! To add a provider: read its documentation, write `catalog/<id>.toml` with the pages read in `source` and the day
//! in `checked`, add it to `BUILTIN` in `catalog.rs`, and put a token response copied from the documentation, not
//! made from the recipe, into `tests/replay/<id>.json`. What cannot be said in the format is a new field with a name
//! in `core`, never an `if` on the id.

mod catalog;
mod error;
mod findings;
mod hosts;
mod parse;
mod placeholders;
mod requests;
mod urls;
mod validate;

pub use alter_core::recipe::Recipe;
pub use catalog::Catalog;
pub use error::{Problem, RecipeError};
pub use parse::parse;
pub use validate::validate;
