//! id_tokens (OpenID Connect Core section 2), and everything that can be wrong with one.

use serde_json::{Value, json};

use crate::keys::{KEY_HEADER, merge};
use crate::quirks::IdTokenFault;
use crate::state::Inner;
use crate::switches::Switches;
use crate::users::User;

/// Seconds for which an id_token is valid.
const LIFE_S: i64 = 3600;

/// Seconds by which a wrongly dated id_token is off: more than any leeway.
const FAR_S: i64 = 7200;

/// Makes the id_token for this client and user; `None` if the switched fault is that there is none.
pub(crate) fn id_token(
    inner: &Inner,
    switches: &Switches,
    client_id: &str,
    user: &User,
    nonce: Option<&str>,
) -> Option<String> {
    let fault = &switches.id_token;
    if *fault == IdTokenFault::Absent {
        return None;
    }
    let now = inner.now();
    let mut claims = user.claims();
    merge(
        &mut claims,
        &json!({
            "iss": inner.issuer,
            "aud": client_id,
            "iat": now,
            "auth_time": now,
            "exp": now + LIFE_S,
            "nonce": nonce,
        }),
    );
    merge(&mut claims, &wrong_claims(fault, client_id, now));
    merge(&mut claims, &switches.id_token_claims);
    let token = inner.sign(wrong_header(fault), claims);
    Some(if *fault == IdTokenFault::BadSignature { spoil_signature(&token) } else { token })
}

fn wrong_claims(fault: &IdTokenFault, client_id: &str, now: i64) -> Value {
    match fault {
        IdTokenFault::NonceWrong => json!({ "nonce": "another-nonce" }),
        IdTokenFault::NonceMissing => json!({ "nonce": null }),
        IdTokenFault::Expired => json!({ "iat": now - FAR_S - LIFE_S, "exp": now - FAR_S }),
        IdTokenFault::FromTheFuture => {
            json!({ "iat": now + FAR_S, "nbf": now + FAR_S, "exp": now + FAR_S + LIFE_S })
        }
        IdTokenFault::WrongIss => json!({ "iss": "https://another-issuer.example" }),
        IdTokenFault::WrongAud => json!({ "aud": "another-client" }),
        IdTokenFault::AudArray => json!({ "aud": [client_id] }),
        IdTokenFault::AudArrayWithSecondary => {
            json!({ "aud": [client_id, "another-client"], "azp": "another-client" })
        }
        IdTokenFault::MissingExp => json!({ "exp": null }),
        IdTokenFault::MissingSub => json!({ "sub": null }),
        IdTokenFault::MissingIat => json!({ "iat": null }),
        IdTokenFault::MissingIss => json!({ "iss": null }),
        IdTokenFault::MissingAud => json!({ "aud": null }),
        _ => Value::Null,
    }
}

fn wrong_header(fault: &IdTokenFault) -> Value {
    match fault {
        IdTokenFault::AlgNone => json!({ "alg": "none" }),
        IdTokenFault::Hs256WithPublicKey => json!({ "alg": "HS256" }),
        IdTokenFault::ForeignKey => json!({ KEY_HEADER: "foreign" }),
        IdTokenFault::KidAbsent => json!({ "kid": null }),
        IdTokenFault::KidUnknown => json!({ "kid": "no-such-key" }),
        _ => Value::Null,
    }
}

/// Changes the first character of the signature: all its bits count, unlike those of the last character.
fn spoil_signature(token: &str) -> String {
    let (message, signature) = token.rsplit_once('.').expect("a JWT has two dots");
    let changed = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{message}.{changed}{}", &signature[1..])
}
