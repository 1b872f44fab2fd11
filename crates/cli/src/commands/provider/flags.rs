//! What is wrong with a recipe, in the words of what the operator wrote: a flag, an argument, or a file and its field.

use alter_providers::{Problem, RecipeError};

use super::SetArgs;
use crate::output::Usage;

/// What `alter provider set` says about a recipe that cannot be used.
pub(super) fn named(error: &RecipeError, args: &SetArgs) -> Usage {
    let RecipeError::Invalid(problems) = error else { return in_file(error, args) };
    Usage(problems.iter().map(|problem| line(problem, args)).collect::<Vec<_>>().join("\n"))
}

/// A file that cannot be read as a recipe.
pub(super) fn in_file(error: &RecipeError, args: &SetArgs) -> Usage {
    match &args.spec {
        Some(path) => Usage(format!("--spec {}: {error}", path.display())),
        None => Usage(error.to_string()),
    }
}

fn line(problem: &Problem, args: &SetArgs) -> String {
    let Problem { field, message } = problem;
    if let Some(line) = missing(field, args) {
        return line;
    }
    match (origin(field, message, args), &args.spec) {
        (Some(flag), _) => format!("{flag}: {message}"),
        (None, Some(path)) => format!("--spec {}: {field}: {message}", path.display()),
        (None, None) => format!("{field}: {message}"),
    }
}

/// A field whose value is wrong because a flag is not there.
fn missing(field: &str, args: &SetArgs) -> Option<String> {
    if field != "identity.from" || args.spec.is_some() {
        return None;
    }
    Some(match &args.issuer {
        Some(issuer) => format!(
            "--issuer {issuer}: its metadata names no jwks_uri, so nobody's id_token can be verified. Use a --spec file that \
             says where the account is read"
        ),
        None => "--userinfo-url is missing: it says whose account was connected. Or give the --issuer".into(),
    })
}

/// The flag or argument that a value came from; `None` = from the file or the catalog.
fn origin(field: &str, message: &str, args: &SetArgs) -> Option<String> {
    let discovered = |what: &str| args.issuer.as_ref().map(|issuer| format!("--issuer {issuer}, {what}"));
    let given = |flag: &str, value: &Option<String>| value.as_ref().map(|_| flag.to_owned());
    let blank = args.spec.is_none();
    match field {
        "id" if blank => Some("ID".into()),
        "name" => given("--name", &args.name).or_else(|| blank.then(|| "ID".into())),
        "issuer" => given("--issuer", &args.issuer),
        "authorize_url" => {
            given("--authorize-url", &args.authorize_url).or_else(|| discovered("its authorization_endpoint"))
        }
        "token_url" => given("--token-url", &args.token_url).or_else(|| discovered("its token_endpoint")),
        "userinfo_url" => {
            given("--userinfo-url", &args.userinfo_url).or_else(|| discovered("its userinfo_endpoint"))
        }
        "revoke_url" => {
            given("--revoke-url", &args.revoke_url).or_else(|| discovered("its revocation_endpoint"))
        }
        "jwks_url" => discovered("its jwks_uri"),
        "identity.subject" => given("--subject", &args.subject),
        _ if field.starts_with("token_params.") => {
            let name = field.strip_prefix("token_params.")?;
            let is_it = |given: &String| given.split_once('=').is_some_and(|(key, _)| key == name);
            args.token_params.iter().any(is_it).then(|| format!("--token-param {name}"))
        }
        _ if field.starts_with("api_hosts[") => {
            let host = args.api_hosts.iter().map(|host| host.to_lowercase());
            let named = |host: String| message.starts_with(&format!("`{host}`"));
            host.into_iter().any(named).then(|| "--api-host".into())
        }
        _ => {
            let name = field.strip_prefix("authorize_params.")?;
            let is_it = |given: &String| given.split_once('=').is_some_and(|(key, _)| key == name);
            args.params.iter().any(is_it).then(|| format!("--param {name}"))
        }
    }
}
