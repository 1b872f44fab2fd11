//! The rules for a recipe's values. They serve operators' own files as much as the catalog: each message says what to
//! write instead.

use alter_core::{
    name::check_name,
    recipe::{
        FACTS_MAX, IdentityPaths, IdentitySource, Recipe, SIGNATURE_ALGS, Verified, is_fact_name,
        is_scope_token,
    },
    text::is_one_line,
};

use crate::RecipeError;
use crate::findings::{Findings, OWN_PARAMETERS, is_name, is_ours, is_parameter};
use crate::hosts;
use crate::placeholders::{filled_with_examples, placeholders};
use crate::requests::{requests, revocation};
use crate::urls::{endpoint, issuer_in_path, issuer_url};

/// Longest name of a provider, characters.
const NAME_MAX: usize = 100;

/// Checks a recipe's values, whether it comes from the catalog or from an operator.
///
/// # Errors
/// [`RecipeError::Invalid`] with every problem found.
pub fn validate(recipe: &Recipe) -> Result<(), RecipeError> {
    let mut found = Findings::default();
    names(recipe, &mut found);
    placeholders(recipe, &mut found);
    let declared = recipe;
    let filled = filled_with_examples(declared);
    let recipe = filled.as_ref().unwrap_or(declared);
    endpoints(recipe, &mut found);
    issuers(recipe, &mut found);
    scopes(recipe, &mut found);
    scope_names(recipe, &mut found);
    parameters(recipe, &mut found);
    token_paths(recipe, &mut found);
    identity(recipe, &mut found);
    facts(recipe, &mut found);
    requests(recipe, &mut found);
    revocation(recipe, &mut found);
    for (index, entry) in recipe.api_hosts.iter().enumerate() {
        found.check(
            &format!("api_hosts[{index}]"),
            hosts::check(entry).map_err(|why| format!("`{entry}` {why}")),
        );
    }
    if found.is_empty() { Ok(()) } else { Err(RecipeError::Invalid(found.into_problems())) }
}

fn names(recipe: &Recipe, found: &mut Findings) {
    let id_byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let id_fits = (1..=50).contains(&recipe.id.len()) && recipe.id.bytes().all(id_byte);
    found.need("id", id_fits, "must be 1 to 50 of the characters a-z, 0-9 and `-`, like `my-crm`");
    found.check("name", check_name(&recipe.name, NAME_MAX).map_err(|bad| bad.to_string()));
    let lines =
        [("note", &recipe.note), ("category", &recipe.category), ("description", &recipe.description)];
    for (field, text) in lines {
        let fits = text.as_ref().is_none_or(|text| text.chars().count() <= 600 && is_one_line(text));
        found.need(field, fits, "must be 1 to 600 characters in one line, all of which people see");
    }
    if let Some(day) = &recipe.checked {
        found.need("checked", is_day(day), "must be a day, written like \"2026-11-22\"");
    }
    for (index, source) in recipe.source.iter().enumerate() {
        found.check(&format!("source[{index}]"), endpoint(source).map(drop));
    }
}

fn is_day(text: &str) -> bool {
    let number = |range| text.get(range).and_then(|digits: &str| digits.parse::<u32>().ok());
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    shape
        && number(5..7).is_some_and(|m| (1..=12).contains(&m))
        && number(8..10).is_some_and(|d| (1..=31).contains(&d))
}

fn endpoints(recipe: &Recipe, found: &mut Findings) {
    found.check("authorize_url", endpoint(&recipe.authorize_url).map(drop));
    found.check("token_url", endpoint(&recipe.token_url).map(drop));
    let optional = [
        ("userinfo_url", &recipe.userinfo_url),
        ("revoke_url", &recipe.revoke_url),
        ("jwks_url", &recipe.jwks_url),
        ("refresh.url", &recipe.refresh.url),
    ];
    for (field, url) in optional {
        if let Some(url) = url {
            found.check(field, endpoint(url).map(drop));
        }
    }
}

fn issuers(recipe: &Recipe, found: &mut Findings) {
    if let Some(issuer) = &recipe.issuer {
        found.check("issuer", issuer_url(issuer));
    }
    if let Some(template) = &recipe.issuer_template {
        let holds_once = template.matches("{tenant}").count() == 1;
        found.need(
            "issuer_template",
            holds_once,
            "must contain `{tenant}` once, in the place of the tenant's id",
        );
        found.check("issuer_template", issuer_in_path(template));
    }
    found.need(
        "id_token_algs",
        !recipe.id_token_algs.is_empty(),
        "must name at least one algorithm, like \"RS256\"",
    );
    for (index, alg) in recipe.id_token_algs.iter().enumerate() {
        let known = SIGNATURE_ALGS.contains(&alg.as_str());
        let message = format!("`{alg}` is not accepted; choose among {}", SIGNATURE_ALGS.join(", "));
        found.need(&format!("id_token_algs[{index}]"), known, &message);
    }
}

fn scopes(recipe: &Recipe, found: &mut Findings) {
    let separator = &recipe.scope_separator;
    let separates =
        !separator.is_empty() && separator.len() <= 3 && separator.bytes().all(|b| (0x20..0x7F).contains(&b));
    found.need(
        "scope_separator",
        separates,
        "must be one to three printable characters, like \" \" or \",\"",
    );
    let splits = !recipe.granted_scope_delimiters.is_empty();
    found.need("granted_scope_delimiters", splits, "must name at least one character, like \" ,\"");
    let parameter = &recipe.scope_parameter;
    let is_parameter =
        parameter == "scope" || (is_name(parameter) && !OWN_PARAMETERS.contains(&parameter.as_str()));
    found.need(
        "scope_parameter",
        is_parameter,
        "must be a query parameter that carries scopes, like \"scope\"",
    );
    let one = |scope: &String| recipe.check_scope(scope).map_err(|bad| bad.to_string());
    for (index, scope) in recipe.default_scopes.iter().enumerate() {
        found.check(&format!("default_scopes[{index}]"), one(scope));
    }
    for (index, scope) in recipe.harmless_scopes.iter().enumerate() {
        found.check(&format!("harmless_scopes[{index}]"), one(scope));
    }
    for (scope, known) in &recipe.scopes {
        let field = format!("scopes.\"{scope}\"");
        found.check(&field, one(scope));
        for implied in &known.implies {
            found.check(&field, one(implied));
            let other = recipe.scope_names.key(implied) != recipe.scope_names.key(scope);
            found.need(&field, other, "implies itself");
        }
        let words = &known.description;
        let fits = is_one_line(words);
        found.need(&field, fits, "needs a description of what the scope allows, in one line that people see");
        let requires = known.requires.iter().all(|other| other != scope && recipe.scopes.contains_key(other));
        found.need(&field, requires, "requires a scope that `scopes` does not have");
    }
}

fn scope_names(recipe: &Recipe, found: &mut Findings) {
    let names = &recipe.scope_names;
    if let Some(prefix) = &names.prefix {
        let fits = is_scope_token(prefix) && prefix.ends_with(['/', ':', '.']);
        found.need(
            "scope_names.prefix",
            fits,
            "must be the start of a scope and end with `/`, `:` or `.`, like \"https://api.example.com/\"",
        );
    }
    for (alias, means) in &names.aliases {
        let field = format!("scope_names.aliases.\"{alias}\"");
        for scope in [alias, means] {
            found.check(&field, recipe.check_scope(scope).map_err(|bad| bad.to_string()));
        }
        let spelt = |text: &String| names.spelt(text).into_owned();
        let chained = names.aliases.keys().any(|other| spelt(other) == spelt(means));
        found.need(&field, !chained, "means another alias; name the scope itself");
        let once = names.aliases.keys().filter(|other| spelt(other) == spelt(alias)).count() == 1;
        found.need(&field, once, "is there twice, in two spellings; keep one of the two");
    }
}

/// What is wrong with the name of a parameter.
pub(crate) const NOT_A_PARAMETER: &str =
    "is not a parameter name; use letters, digits, `_`, `-`, `.` and brackets";

fn parameters(recipe: &Recipe, found: &mut Findings) {
    for (name, value) in &recipe.authorize_params {
        let field = format!("authorize_params.{name}");
        if name == "response_mode" {
            let read = ["query", "form_post"].contains(&value.as_str());
            found.need(&field, read, "must be `query` or `form_post`: no other form of a callback is read");
            continue;
        }
        found.need(&field, !is_ours(recipe, name), "is set by the flow itself; remove it");
        found.need(&field, is_parameter(name), NOT_A_PARAMETER);
        found.need(&field, !value.chars().any(char::is_control), "must not contain control characters");
    }
}

/// Checks the facts that are kept beside a token, and what the callback is read for.
fn facts(recipe: &Recipe, found: &mut Findings) {
    let callback = &recipe.callback;
    let names = recipe.metadata.keys().chain(callback.metadata.keys());
    for name in names {
        let field = format!("metadata.{name}");
        found.need(
            &field,
            is_fact_name(name),
            "must be 1 to 50 of the characters a-z, 0-9 and `_`, a letter first",
        );
        let twice = recipe.metadata.contains_key(name) && callback.metadata.contains_key(name);
        found.need(&field, !twice, "is also in `callback.metadata`; keep one of the two");
    }
    let few = recipe.metadata.len() + callback.metadata.len() <= FACTS_MAX;
    found.need("metadata", few, "has more than 10 names, with `callback.metadata`");
    let token = &recipe.token;
    let secrets = [&token.access_token, &token.refresh_token, &token.id_token];
    for (name, path) in &recipe.metadata {
        let field = format!("metadata.{name}");
        found.check(&field, pointer(path));
        found.need(&field, !secrets.contains(&path), "is a token: what is kept as a fact is not sealed");
    }
    let read = [("callback.code", callback.code.as_ref()), ("callback.scope", callback.scope.as_ref())];
    let read = read.into_iter().filter_map(|(field, name)| Some((field.to_owned(), name?)));
    let kept = callback.metadata.iter().map(|(name, brought)| (format!("callback.metadata.{name}"), brought));
    for (field, name) in read.chain(kept) {
        let carries_the_code = field != "callback.code" && callback.code.as_ref() == Some(name);
        let free = is_parameter(name)
            && !carries_the_code
            && !["state", "code", "error", "iss"].contains(&name.as_str());
        found.need(
            &field,
            free,
            "must be a callback parameter other than `state`, `error`, `iss` and the one that carries the code",
        );
    }
}

fn token_paths(recipe: &Recipe, found: &mut Findings) {
    let token = &recipe.token;
    let paths = [
        ("token.access_token", Some(&token.access_token)),
        ("token.refresh_token", Some(&token.refresh_token)),
        ("token.expires_in", Some(&token.expires_in)),
        ("token.expires_at", Some(&token.expires_at)),
        ("token.scope", Some(&token.scope)),
        ("token.token_type", Some(&token.token_type)),
        ("token.id_token", Some(&token.id_token)),
        ("token.error", Some(&token.error)),
        ("token.error_description", Some(&token.error_description)),
        ("token.ok", token.ok.as_ref()),
    ];
    for (field, path) in paths {
        if let Some(path) = path {
            found.check(field, pointer(path));
        }
    }
    let lives = token.assumed_life_seconds != Some(0);
    found.need("token.assumed_life_seconds", lives, "must be at least 1 second");
}

fn identity(recipe: &Recipe, found: &mut Findings) {
    let identity = &recipe.identity;
    found.check("identity.subject", pointer(&identity.subject));
    for (index, path) in identity.subject_within.iter().enumerate() {
        found.check(&format!("identity.subject_within[{index}]"), pointer(path));
    }
    found.need(
        "identity.account",
        !identity.account.is_empty(),
        "must name at least one path, like [\"/email\"]",
    );
    let lists = [("identity.account", &identity.account), ("identity.display_name", &identity.display_name)];
    for (field, paths) in lists {
        for (index, path) in paths.iter().enumerate() {
            found.check(&format!("{field}[{index}]"), pointer(path));
        }
    }
    verified(identity, found);
    match identity.from {
        IdentitySource::IdToken => {
            let verifiable =
                recipe.jwks_url.is_some() && (recipe.issuer.is_some() || recipe.issuer_template.is_some());
            let help = "`id_token` needs `jwks_url` and `issuer` to verify it; without them use `userinfo`";
            found.need("identity.from", verifiable, help);
        }
        IdentitySource::Userinfo => {
            found.need("identity.from", recipe.userinfo_url.is_some(), "`userinfo` needs `userinfo_url`");
        }
        IdentitySource::TokenResponse | IdentitySource::None => {}
    }
}

fn verified(identity: &IdentityPaths, found: &mut Findings) {
    let is_default = identity.verified == IdentityPaths::default().verified;
    for (name, by) in &identity.verified {
        let field = format!("identity.verified.{name}");
        found.need(
            &field,
            is_default || identity.account.contains(name),
            "is not a path of `identity.account`",
        );
        if let Verified::By(path) = by {
            let help = |_| format!("`{path}` is neither `always` nor a JSON pointer like `/email_verified`");
            found.check(&field, pointer(path).map_err(help));
        }
    }
}

/// Checks a JSON pointer (RFC 6901 section 3): `/name`, `/outer/inner`, with `~` only as `~0` or `~1`. The empty
/// pointer, which means the whole document, is refused.
fn pointer(path: &str) -> Result<(), String> {
    let escapes = path.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if path.len() > 1 && path.starts_with('/') && escapes {
        return Ok(());
    }
    Err(format!("`{path}` is not a JSON pointer; write it like `/id` or `/user/id`"))
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
