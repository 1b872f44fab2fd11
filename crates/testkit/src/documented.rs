//! Checks every answer that a test gets from an operation of the contract: the contract must name its status, and for an
//! error its code. So the table of refusals cannot fall behind the routes.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::{Reply, Sent};

static CONTRACT: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(alter_server::openapi::document()).expect("the contract is JSON"));

/// # Panics
/// The contract has the operation, but does not name this answer.
pub(crate) fn check(sent: &Sent, reply: &Reply) {
    let Some(responses) = responses(sent) else { return };
    let what = format!("{} {} answered {}", sent.method, sent.target, reply.status);
    let response = responses.get(&reply.status.to_string());
    let response =
        response.unwrap_or_else(|| panic!("{what}, which is not in the contract: {}", reply.text()));
    if reply.status >= 400 {
        let named = response["content"]["application/json"]["examples"].as_object();
        let code = reply.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(named.is_some_and(|named| named.contains_key(&code)), "{what} {code}: not in the contract");
    }
}

/// Returns the operation's answers in the contract; `None` if the contract has no such operation.
fn responses(sent: &Sent) -> Option<&'static Map<String, Value>> {
    let path = sent.target.split('?').next()?;
    let paths = CONTRACT["paths"].as_object()?;
    let of_path = || paths.iter().find(|(template, _)| fits(template, path)).map(|(_, item)| item);
    let item = paths.get(path).or_else(of_path)?;
    item.get(sent.method.to_ascii_lowercase())?["responses"].as_object()
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(path).all(|(t, p)| t.starts_with('{') && !p.is_empty() || *t == p)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(method: &str, target: &str, status: u16, body: &str) {
        let reply = Reply { status, headers: http::HeaderMap::default(), body: body.into() };
        check(&Sent::new(method, target), &reply);
    }

    #[test]
    fn what_the_contract_names_passes_and_what_is_no_operation_is_not_looked_at() {
        answered("GET", "/sdk/agents/me?x=1", 403, r#"{"error":"me_requires_agent_key"}"#);
        answered("GET", "/sdk/agents/0198?x=1", 404, r#"{"error":"agent_not_found"}"#);
        answered("PUT", "/sdk/agents/me", 405, "{}");
        answered("GET", "/sdk/nothing/here", 418, "{}");
    }

    #[test]
    #[should_panic(expected = "not in the contract")]
    fn an_undocumented_status_is_found() {
        answered("GET", "/sdk/agents/me", 418, "{}");
    }

    #[test]
    #[should_panic(expected = "not in the contract")]
    fn an_undocumented_code_is_found() {
        answered("GET", "/sdk/agents/me", 403, r#"{"error":"app_key_required"}"#);
    }
}
