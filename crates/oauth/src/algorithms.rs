//! The signature algorithms that are verified: those that a token may name, and that metadata are read for.

use jsonwebtoken::Algorithm;

/// Returns the algorithm of a name that a token, a key or a recipe gives; `None` where it is not one of
/// [`alter_core::recipe::SIGNATURE_ALGS`]. Two names may mean the same (`EdDSA` and `Ed25519`), so names are never compared.
pub(crate) fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" | "Ed25519" => Algorithm::EdDSA,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use alter_core::recipe::SIGNATURE_ALGS;

    use super::*;

    #[test]
    fn t24_what_a_recipe_may_name_is_verified_and_nothing_else_is() {
        for name in SIGNATURE_ALGS {
            assert!(algorithm(name).is_some(), "{name}");
        }
        for name in ["none", "HS256", "HS512", "ES512", "ES256K", "Ed448", "eddsa", ""] {
            assert!(algorithm(name).is_none() && !SIGNATURE_ALGS.contains(&name), "{name}");
        }
    }
}
