//! From TOML text to a validated recipe.

use alter_core::recipe::Recipe;

use crate::{RecipeError, validate};

/// Reads one recipe. Unknown keys are refused: a misspelt `pkce` must not go unnoticed.
///
/// # Errors
/// [`RecipeError::Toml`] with the line; [`RecipeError::Invalid`] with every field that cannot work.
pub fn parse(text: &str) -> Result<Recipe, RecipeError> {
    let recipe = read(text)?;
    validate(&recipe)?;
    Ok(recipe)
}

/// Reads one recipe without looking at its values, for who has more to say of it: [`validate`] comes after that.
///
/// # Errors
/// [`RecipeError::Toml`] with the line.
pub fn read(text: &str) -> Result<Recipe, RecipeError> {
    toml::from_str(text).map_err(|error| located(text, &error))
}

/// The same over another recipe: what the text says wins, table by table, and what it leaves out is the other's.
///
/// # Errors
/// As [`read`].
pub fn read_over(text: &str, base: &Recipe) -> Result<Recipe, RecipeError> {
    let said: toml::Table = toml::from_str(text).map_err(|error| located(text, &error))?;
    let mut all = toml::Table::try_from(base)
        .map_err(|error| RecipeError::Toml { line: 1, message: error.to_string() })?;
    // The two say the same in two ways, of which a recipe has one.
    for (one, other) in [("revoke", "revoke_url"), ("issuer", "issuer_template")] {
        for (said_so, instead) in [(one, other), (other, one)] {
            if said.contains_key(said_so) && !said.contains_key(instead) {
                all.remove(instead);
            }
        }
    }
    merge(&mut all, said);
    all.try_into().map_err(|error: toml::de::Error| named_in(text, error.message()))
}

fn merge(all: &mut toml::Table, said: toml::Table) {
    for (name, value) in said {
        match (all.get_mut(&name), value) {
            (Some(toml::Value::Table(known)), toml::Value::Table(said)) => merge(known, said),
            (_, value) => drop(all.insert(name, value)),
        }
    }
}

/// Finds the line of the key that a message names: a merged recipe has no lines of its own.
fn named_in(text: &str, message: &str) -> RecipeError {
    let key = message.split('`').nth(1).unwrap_or_default();
    let is_it =
        |line: &str| !key.is_empty() && line.trim_start().trim_start_matches(['[', '"']).starts_with(key);
    let line = text.lines().position(is_it).map_or(1, |at| at + 1);
    RecipeError::Toml { line, message: message.lines().collect::<Vec<_>>().join("; ") }
}

/// Adds the line to an error. For a missing key the parser points at the start of its table.
fn located(text: &str, error: &toml::de::Error) -> RecipeError {
    let offset = error.span().map_or(0, |span| span.start).min(text.len());
    let line = text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1;
    let message = error.message().lines().collect::<Vec<_>>().join("; ");
    RecipeError::Toml { line, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str = r#"
id = "example"
name = "Example"
authorize_url = "https://id.example.com/authorize"
token_url = "https://id.example.com/token"
userinfo_url = "https://id.example.com/me"
[identity]
from = "userinfo"
"#;

    fn toml_error(text: &str) -> (usize, String) {
        match parse(text) {
            Err(RecipeError::Toml { line, message }) => (line, message),
            other => panic!("expected a TOML error, got {other:?}"),
        }
    }

    #[test]
    fn a_recipe_needs_no_more_than_its_endpoints_and_where_the_identity_is() {
        let recipe = parse(SMALLEST).expect("enough");
        assert!(recipe.pkce, "PKCE is on unless switched off");
        assert_eq!(recipe.scope_separator, " ");
        assert_eq!(recipe.token.access_token, "/access_token");
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_name() {
        let (line, message) = toml_error(&SMALLEST.replace("name =", "pkec = false\nname ="));
        assert_eq!(line, 3);
        assert!(message.contains("pkec"), "{message}");
        let (line, message) = toml_error(&format!("{SMALLEST}sbject = \"/id\"\n"));
        assert_eq!(line, 9);
        assert!(message.contains("sbject"), "{message}");
    }

    #[test]
    fn a_missing_key_and_a_value_of_the_wrong_type_are_named() {
        let (_, message) = toml_error(&SMALLEST.replace("token_url", "revoke_url"));
        assert!(message.contains("token_url"), "{message}");
        let (line, message) =
            toml_error(&SMALLEST.replace("name = \"Example\"", "name = \"E\"\npkce = \"yes\""));
        assert_eq!(line, 4);
        assert!(message.contains("boolean"), "{message}");
        let (line, _) = toml_error(&SMALLEST.replace("\"userinfo\"", "\"somewhere\""));
        assert_eq!(line, 8);
    }

    #[test]
    fn a_file_over_a_discovered_recipe_wins_and_leaves_the_rest() {
        let base =
            parse(&SMALLEST.replace("[identity]", "revoke_url = \"https://id.example.com/r\"\n[identity]"))
                .expect("enough");
        let text = "userinfo_url = \"https://api.example.com/me\"\n[identity]\nsubject = \"/id\"\n[revoke]\nurl = \"https://api.example.com/r\"\n";
        let merged = read_over(text, &base).expect("whole");
        assert_eq!(merged.userinfo_url.as_deref(), Some("https://api.example.com/me"));
        assert_eq!((&merged.token_url, merged.identity.from), (&base.token_url, base.identity.from));
        assert_eq!(merged.identity.subject, "/id");
        assert_eq!(merged.revocation().map(|how| how.url).as_deref(), Some("https://api.example.com/r"));
        assert_eq!(read_over("", &base).expect("nothing said"), base);
        let of = |base: &Recipe, text: &str| {
            let merged = read_over(text, base).expect("whole");
            (merged.issuer.is_some(), merged.issuer_template.is_some())
        };
        let (one, each) =
            ("issuer = \"https://id.example.com\"", "issuer_template = \"https://id.example.com/{tenant}\"");
        let tenants = read_over(each, &base).expect("whole");
        assert_eq!((of(&base, each), of(&tenants, one)), ((false, true), (true, false)), "one of the two");
        let refused = read_over("name = \"E\"\npkec = false\n", &base);
        assert!(
            matches!(&refused, Err(RecipeError::Toml { line: 2, message }) if message.contains("pkec")),
            "{refused:?}"
        );
        assert!(matches!(read_over("x", &base), Err(RecipeError::Toml { line: 1, .. })));
        let unusable = read_over("token_url = \"no\"", &base).expect("its values are looked at later");
        assert!(matches!(validate(&unusable), Err(RecipeError::Invalid(_))));
    }

    #[test]
    fn text_that_is_no_toml_is_refused_with_its_line() {
        let (line, _) = toml_error("id = \"x\"\nname = \n");
        assert_eq!(line, 2);
    }
}
