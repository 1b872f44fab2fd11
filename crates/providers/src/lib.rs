//! The catalog: one data file per provider (`catalog/*.toml`), the parser and the validation.
//!
//! The format is [`Recipe`], field for field, and is documented there. Operators write the same format for their own
//! providers (`alter provider set --spec FILE.toml`). Not here: speaking OAuth (`oauth`), an app's configurations
//! (`store-*`).
//!
//! To add a provider: read its documentation, write `catalog/<id>.toml` with the pages that you read in `source` and
//! the day in `checked`, add it to `BUILTIN` in `catalog.rs`, and put a token response into `tests/replay/<id>.json`,
//! copied from the documentation and not made from the recipe. A fact that does not fit the format needs a new named
//! field in `core`, never an `if` on the id.

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
pub use parse::{parse, read, read_over};
pub use validate::validate;
