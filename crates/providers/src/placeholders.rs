//! Placeholders in hosts, which the operator fills when a provider is configured.

use alter_core::{recipe::Recipe, text::is_one_line};

use crate::findings::{Findings, is_name};
use crate::requests::with_client;

/// Returns the recipe with every placeholder filled; `None` when it has none, or one cannot be filled.
pub(crate) fn filled_with(recipe: &Recipe, value: &str) -> Option<Recipe> {
    let mut filled = recipe.clone();
    let names: Vec<String> = recipe.parameters.keys().cloned().collect();
    names.iter().try_for_each(|name| filled.fill(name, value)).ok()?;
    (!names.is_empty()).then_some(filled)
}

/// Checks the placeholders. The operator who fills one chooses only one label below a domain that the recipe names
/// (T81).
pub(crate) fn placeholders(recipe: &Recipe, found: &mut Findings) {
    let urls = [
        ("authorize_url", Some(&recipe.authorize_url)),
        ("token_url", Some(&recipe.token_url)),
        ("userinfo_url", recipe.userinfo_url.as_ref()),
        ("revoke_url", recipe.revoke_url.as_ref()),
        ("revoke.url", recipe.revoke.as_ref().map(|revoke| &revoke.url)),
        ("refresh.url", recipe.refresh.url.as_ref()),
    ];
    for (field, url) in urls.into_iter().filter_map(|(field, url)| Some((field, url?))) {
        // `{client_id}` is our own placeholder, filled when the URL is used, and allowed only in the path.
        let url = if field == "revoke.url" { with_client(url) } else { url.clone() };
        let rest = url.strip_prefix("https://").unwrap_or(&url);
        found.check(field, placed(recipe, rest));
    }
    for (index, host) in recipe.api_hosts.iter().enumerate() {
        found.check(&format!("api_hosts[{index}]"), placed(recipe, host));
    }
    for (name, parameter) in &recipe.parameters {
        let field = format!("parameters.{name}");
        found.need(&field, is_name(name) && name != "client_id", "is not a parameter name, like `shop`");
        let says = is_one_line(&parameter.description);
        found.need(&field, says, "needs a `description` of what the operator must provide, in one line");
        let mut example = recipe.clone();
        found.need(
            &field,
            example.fill(name, &parameter.example).is_ok(),
            "needs an `example` that is a host label",
        );
        let used = example != *recipe && uses(recipe, name);
        found.need(&field, used, "is used in neither `authorize_url` nor `token_url`; remove it");
    }
}

fn uses(recipe: &Recipe, name: &str) -> bool {
    recipe.token_url.contains(&format!("{{{name}}}")) || recipe.authorize_url.contains(&format!("{{{name}}}"))
}

/// Checks that the text has no braces, or one declared placeholder that is the whole first label of a host with at
/// least two more labels.
fn placed(recipe: &Recipe, text: &str) -> Result<(), String> {
    if !text.contains(['{', '}']) {
        return Ok(());
    }
    let declared = text
        .strip_prefix('{')
        .and_then(|rest| rest.split_once("}."))
        .filter(|(name, rest)| recipe.parameters.contains_key(*name) && !rest.contains(['{', '}']))
        .map(|(_, rest)| rest.split(['/', '?', '#', ':']).next().unwrap_or_default());
    match declared {
        Some(domain) if domain.contains('.') => Ok(()),
        _ => Err(
            "may have one placeholder, declared in `parameters`, as the whole first label of a host, like \
                  `{shop}.example.com`"
                .into(),
        ),
    }
}
