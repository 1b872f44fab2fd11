//! The answer with the tokens (RFC 6749 section 5.1), as it should be or as the switches bend it.

use std::collections::HashMap;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::answer::{json_answer, raw};
use crate::grants::{Held, Issued};
use crate::keys::merge;
use crate::switches::Switches;

/// The fields of a token request.
pub(super) type Fields = HashMap<String, String>;

/// Builds the answer. `fields` is merged over it.
pub(super) fn token_answer(
    switches: &Switches,
    held: &Held,
    issued: &Issued,
    id_token: Option<String>,
    fields: &Value,
) -> Response {
    if let Some(mut replay) = switches.token_response.clone() {
        let refresh_token = issued.refresh_token.as_deref().unwrap_or_default();
        replay.body = replay
            .body
            .replace("{{id_token}}", id_token.as_deref().unwrap_or_default())
            .replace("{{access_token}}", &issued.access_token)
            .replace("{{refresh_token}}", refresh_token);
        return raw(replay);
    }
    let life = Value::from(issued.expires_in);
    let mut body = json!({
        "access_token": issued.access_token,
        "token_type": switches.token_type.as_deref().unwrap_or("Bearer"),
        "expires_in": switches.expires_in.as_ref().unwrap_or(&life),
        "scope": held.scope,
    });
    let members = body.as_object_mut().expect("built as an object above");
    members.extend(issued.refresh_token.clone().map(|token| ("refresh_token".to_owned(), token.into())));
    members.extend(id_token.map(|token| ("id_token".to_owned(), token.into())));
    members.retain(|name, _| !switches.omit_token_fields.contains(name));
    merge(&mut body, fields);
    json_answer(StatusCode::OK, body)
}
