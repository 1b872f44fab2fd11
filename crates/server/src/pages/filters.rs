//! The filters that templates use. Every text from outside passes `clean` on its way into a page.

#![expect(unreachable_pub, reason = "the attribute macro writes its own `pub` into each filter")]

use std::fmt::Display;

use askama::{Result, Values};

#[askama::filter_fn]
pub(super) fn clean(text: impl Display, _: &dyn Values) -> Result<String> {
    Ok(super::clean::clean(&text.to_string()))
}

#[askama::filter_fn]
pub(super) fn tone(id: impl Display, _: &dyn Values) -> Result<u32> {
    Ok(super::tile::tone(&id.to_string()))
}

#[askama::filter_fn]
pub(super) fn mark(name: impl Display, _: &dyn Values) -> Result<String> {
    Ok(super::tile::mark(&name.to_string()))
}

/// A scope, an address or a name, split after the characters that separate its words, so that a line may break there and
/// not inside a word.
#[askama::filter_fn]
pub(super) fn steps(code: impl Display, _: &dyn Values) -> Result<Vec<String>> {
    Ok(super::clean::clean(&code.to_string())
        .split_inclusive(['/', '.', '_', ':'])
        .map(str::to_owned)
        .collect())
}
