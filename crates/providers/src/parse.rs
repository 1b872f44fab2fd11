//! From TOML text to a validated recipe.

use alter_core::recipe::Recipe;

use crate::{RecipeError, validate};

/// Reads one recipe. Unknown keys are refused: a misspelt `pkce` must not go unnoticed.
///
/// # Errors
/// [`RecipeError::Toml`] with the line; [`RecipeError::Invalid`] with every field that cannot work.
pub fn parse(text: &str) -> Result<Recipe, RecipeError> {
    let recipe: Recipe = toml::from_str(text).map_err(|error| located(text, &error))?;
    validate(&recipe)?;
    Ok(recipe)
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
    fn text_that_is_no_toml_is_refused_with_its_line() {
        let (line, _) = toml_error("id = \"x\"\nname = \n");
        assert_eq!(line, 2);
    }
}
