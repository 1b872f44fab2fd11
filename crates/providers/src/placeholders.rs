//! Placeholders in URLs, which the operator or each customer fills.

use alter_core::{
    recipe::{FilledBy, ParameterKind, Recipe},
    text::is_one_line,
};

use crate::findings::{Findings, is_name};
use crate::requests::with_client;

/// Returns the recipe with every placeholder filled with its example; `None` when it has none, or one cannot be filled.
pub(crate) fn filled_with_examples(recipe: &Recipe) -> Option<Recipe> {
    let mut filled = recipe.clone();
    for (name, parameter) in &recipe.parameters {
        filled.fill(name, &parameter.example).ok()?;
    }
    (!recipe.parameters.is_empty()).then_some(filled)
}

/// Checks the placeholders. Who fills a label chooses only one label below a domain that the recipe names (T81); a whole
/// host or a segment of a path is the operator's alone.
pub(crate) fn placeholders(recipe: &Recipe, found: &mut Findings) {
    let urls = [
        ("issuer", recipe.issuer.as_ref()),
        ("authorize_url", Some(&recipe.authorize_url)),
        ("token_url", Some(&recipe.token_url)),
        ("userinfo_url", recipe.userinfo_url.as_ref()),
        ("jwks_url", recipe.jwks_url.as_ref()),
        ("revoke_url", recipe.revoke_url.as_ref()),
        ("revoke.url", recipe.revoke.as_ref().map(|revoke| &revoke.url)),
        ("refresh.url", recipe.refresh.url.as_ref()),
    ];
    for (field, url) in urls.into_iter().filter_map(|(field, url)| Some((field, url?))) {
        // `{client_id}` is our own placeholder, filled when the URL is used, and allowed only in the path.
        let url = if field == "revoke.url" { with_client(url) } else { url.clone() };
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        found.check(field, placed(recipe, rest));
    }
    for (index, host) in recipe.api_hosts.iter().enumerate() {
        found.check(&format!("api_hosts[{index}]"), placed(recipe, host));
    }
    for (name, parameter) in &recipe.parameters {
        let field = format!("parameters.{name}");
        found.need(&field, is_name(name) && name != "client_id", "is not a parameter name, like `shop`");
        let says = is_one_line(&parameter.description);
        found.need(&field, says, "needs a `description` of what has to be passed, in one line");
        let strangers = parameter.by == FilledBy::Customer && parameter.kind != ParameterKind::Label;
        found.need(&field, !strangers, "is filled by a customer: its `kind` can be `label` only");
        let mut example = recipe.clone();
        let fits = example.fill(name, &parameter.example).is_ok();
        found.need(&field, fits, "needs an `example` that is of its `kind`");
        let used = example != *recipe && uses(recipe, name);
        found.need(
            &field,
            used,
            "is used in neither `authorize_url` nor `token_url` nor `api_hosts`; remove it",
        );
    }
}

fn uses(recipe: &Recipe, name: &str) -> bool {
    let placeholder = format!("{{{name}}}");
    [&recipe.authorize_url, &recipe.token_url]
        .into_iter()
        .chain(&recipe.api_hosts)
        .any(|text| text.contains(&placeholder))
}

/// Checks where placeholders stand: in the host at most one, and whole segments of the path.
fn placed(recipe: &Recipe, text: &str) -> Result<(), String> {
    let (text, after) = text.split_at(text.find(['?', '#']).unwrap_or(text.len()));
    let (host, path) = text.split_once('/').unwrap_or((text, ""));
    let is = |text: &str, kind| {
        let name = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        name.and_then(|name| recipe.parameters.get(name)).is_some_and(|known| known.kind == kind)
    };
    let label = || {
        let (first, domain) = host.split_once('.')?;
        // Nor in the port.
        let below = domain.contains('.') && !domain.contains(['{', '}']);
        Some(is(first, ParameterKind::Label) && below)
    };
    let host_fits = !host.contains(['{', '}']) || is(host, ParameterKind::Host) || label() == Some(true);
    let fits = |segment: &str| !segment.contains(['{', '}']) || is(segment, ParameterKind::Segment);
    if host_fits && path.split('/').all(fits) && !after.contains(['{', '}']) {
        return Ok(());
    }
    Err("may have placeholders that are declared in `parameters`: one as the whole first label of a host, like \
         `{shop}.example.com` (`kind = \"label\"`), or as a whole host (`host`), or as whole segments of a path (`segment`)"
        .into())
}
