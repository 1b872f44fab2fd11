//! Placeholders of hosts: what an operator fills when a provider is configured.

use alter_core::recipe::Recipe;

use crate::findings::{Findings, is_name};
use crate::requests::with_client;

/// The recipe with every placeholder filled; `None` where it has none or one cannot be filled.
pub(crate) fn filled_with(recipe: &Recipe, value: &str) -> Option<Recipe> {
    let mut filled = recipe.clone();
    let names: Vec<String> = recipe.parameters.keys().cloned().collect();
    names.iter().try_for_each(|name| filled.fill(name, value)).ok()?;
    (!names.is_empty()).then_some(filled)
}

/// Whoever fills a placeholder chooses one label below a domain that the recipe names, and nothing more (T81).
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
        // Our own placeholder, filled when it is used; only in the path.
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
        let says =
            !parameter.description.trim().is_empty() && !parameter.description.chars().any(char::is_control);
        found.need(&field, says, "must say in words what the operator has to give");
        let mut example = recipe.clone();
        found.need(
            &field,
            example.fill(name, &parameter.example).is_ok(),
            "needs an example that is a host label",
        );
        found.need(&field, example != *recipe && uses(recipe, name), "stands in no URL; remove it");
    }
}

fn uses(recipe: &Recipe, name: &str) -> bool {
    recipe.token_url.contains(&format!("{{{name}}}")) || recipe.authorize_url.contains(&format!("{{{name}}}"))
}

/// No braces, or one declared placeholder that is the whole first label of a host with two more.
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
