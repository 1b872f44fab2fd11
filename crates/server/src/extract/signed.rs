//! A signed call from an app's backend: key and signature are checked over exactly the bytes that are then parsed and
//! routed (T62, T63).

use alter_api::{BODY_MAX, ErrorCode};
use alter_flows::{AuthError, Caller, PresentedCall, callers};
use alter_signing::{Signature, SignedParts};
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, request::Parts},
    response::{IntoResponse, Response},
};
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};

use super::{body::parse_json, query::query};
use crate::{
    Shared,
    error::ApiError,
    middleware::{KeyNotice, RequestId},
};

/// For routes without a query, which most are. Anything after `?` is refused, so that an id that ends in `?x=1` does not
/// quietly change what a call does (wire 7).
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoQuery {}

/// An authenticated caller, its JSON body and its query.
#[derive(Debug)]
pub struct Signed<T, Q = NoQuery> {
    pub caller: Caller,
    /// The parsed body.
    pub body: T,
    /// The parsed query.
    pub query: Q,
    /// The body as it came.
    pub raw: Bytes,
    /// The headers, as they came; which of them the signature covers: wire 2.1.
    pub headers: HeaderMap,
}

/// An authenticated caller of a request that has no body (GET, DELETE).
#[derive(Debug)]
pub struct SignedEmpty<Q = NoQuery> {
    pub caller: Caller,
    /// The parsed query.
    pub query: Q,
}

/// Like [`SignedEmpty`], but accepts a suspended agent too. Only for `GET /sdk/agents/me`.
#[derive(Debug)]
pub(crate) struct SignedSuspendedToo {
    pub(crate) caller: Caller,
}

impl<T: DeserializeOwned, Q: DeserializeOwned> FromRequest<Shared> for Signed<T, Q> {
    type Rejection = Response;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let read = async {
            let (caller, raw) = authenticated(&parts, body, shared).await?;
            callers::only_active(&shared.flows, &caller).await?;
            let query = query(&parts.uri)?;
            Ok(Self { caller, body: parse_json(&raw)?, query, raw, headers: parts.headers })
        };
        read.await.map_err(ApiError::into_response)
    }
}

impl<Q: DeserializeOwned> FromRequest<Shared> for SignedEmpty<Q> {
    type Rejection = Response;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let read = async {
            let caller = without_body(&parts, body, shared).await?;
            callers::only_active(&shared.flows, &caller).await?;
            Ok(Self { caller, query: query(&parts.uri)? })
        };
        read.await.map_err(ApiError::into_response)
    }
}

impl FromRequest<Shared> for SignedSuspendedToo {
    type Rejection = Response;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let read = async {
            let caller = without_body(&parts, body, shared).await?;
            query::<NoQuery>(&parts.uri)?;
            Ok(Self { caller })
        };
        read.await.map_err(ApiError::into_response)
    }
}

async fn without_body(parts: &Parts, body: axum::body::Body, shared: &Shared) -> Result<Caller, ApiError> {
    let (caller, raw) = authenticated(parts, body, shared).await?;
    if raw.is_empty() {
        Ok(caller)
    } else {
        Err(ApiError::new(ErrorCode::InvalidRequest, "This request takes no body."))
    }
}

async fn authenticated(
    parts: &Parts,
    body: axum::body::Body,
    shared: &Shared,
) -> Result<(Caller, Bytes), ApiError> {
    let key = match recognized(parts, shared).await {
        Ok(key) => key,
        Err(refused) => {
            shared.bodies.discard(body).await;
            return Err(refused);
        }
    };
    let bytes = shared.bodies.read(&parts.headers, body, BODY_MAX).await?;
    let caller = callers::authenticate(&shared.flows, key, &presented(parts, &bytes)?).await?;
    if let (Some(_), Some(notice)) = (caller.key.deprecated_at, parts.extensions.get::<KeyNotice>()) {
        notice.say_deprecated();
    }
    for name in ["x-alter-scope-constraints", "x-alter-request-rule"] {
        if parts.headers.contains_key(name) {
            let message =
                format!("The header {name} narrows a call, and that is not built yet. Leave it out.");
            return Err(ApiError::new(ErrorCode::UnsupportedField, message));
        }
    }
    Ok((caller, bytes))
}

/// What the headers alone tell: nothing of a body is kept for a caller who would be refused anyway.
async fn recognized(parts: &Parts, shared: &Shared) -> Result<callers::Recognized, ApiError> {
    Ok(callers::recognize(&shared.flows, &presented(parts, &[])?).await?)
}

fn presented<'a>(parts: &'a Parts, body: &'a [u8]) -> Result<PresentedCall<'a>, ApiError> {
    let header = |name| single(&parts.headers, name);
    let text = |name| header(name).map(Option::unwrap_or_default);
    let signature = [
        header("x-alter-timestamp")?,
        header("x-alter-nonce")?,
        header("x-alter-content-sha256")?,
        header("x-alter-signature")?,
        header("x-alter-signature-v2")?,
    ];
    let signed = signature.iter().any(Option::is_some);
    Ok(PresentedCall {
        api_key: header("x-api-key")?.map(|key| SecretString::from(key.to_owned())),
        parts: SignedParts {
            method: parts.method.as_str(),
            target: parts.uri.path_and_query().map_or("/", |t| t.as_str()),
            timestamp: signature[0].unwrap_or_default(),
            nonce: signature[1].unwrap_or_default(),
            body,
            scope_constraints: text("x-alter-scope-constraints")?,
            request_rule: text("x-alter-request-rule")?,
            caller: text("x-alter-caller")?,
            caller_type: text("x-alter-caller-type")?,
            actor_id: text("x-alter-actor-id")?,
            context: text("x-alter-context")?,
        },
        request_id: parts.extensions.get::<RequestId>().map_or("", |id| &id.0),
        signature: signed.then(|| Signature {
            content_sha256: signature[2].unwrap_or_default(),
            signature: signature[3].unwrap_or_default(),
            signature_v2: signature[4],
        }),
    })
}

/// One header of visible ASCII, or none. Two with the same name are refused, because two readers may choose differently.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text)),
            Err(_) => {
                Err(ApiError::new(ErrorCode::InvalidRequest, format!("The header {name} is not ASCII.")))
            }
        },
        (Some(_), Some(_)) => {
            Err(ApiError::new(ErrorCode::InvalidRequest, format!("The header {name} came twice.")))
        }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::InvalidKey => about_key(ErrorCode::InvalidKey),
            AuthError::KeyRevoked => about_key(ErrorCode::KeyRevoked),
            AuthError::AgentInactive => about_key(ErrorCode::AgentInactive),
            AuthError::AgentRevoked => about_key(ErrorCode::AgentRevoked),
            AuthError::SignatureRequired => Self::plain(ErrorCode::SignatureRequired),
            AuthError::InvalidSignature => Self::plain(ErrorCode::InvalidSignature),
            AuthError::Stale { skew } => Self::new(
                ErrorCode::SignatureExpired,
                format!(
                    "The signature's timestamp is {skew} s away from the server's clock; 300 s are allowed. Set your clock."
                ),
            ),
            AuthError::AgentUnsigned => Self::new(
                ErrorCode::InvalidSignature,
                "alter-sdk before 0.21 does not sign the headers that name the agent of get_agent(). Update it: pip install -U \
                 alter-sdk.",
            ),
            AuthError::Fault(error) => error.into(),
        }
    }
}

/// What to do is also in `hint`, where published clients look for it.
fn about_key(code: ErrorCode) -> ApiError {
    let hint = match code {
        ErrorCode::KeyRevoked => {
            "The operator makes another key: alter key create APP; the app makes an agent's: POST /sdk/agents/{id}/keys."
        }
        ErrorCode::AgentInactive => "The app resumes the agent: PATCH /sdk/agents/{id} with status active.",
        ErrorCode::AgentRevoked => {
            "A deleted agent does not come back. The app makes another: POST /sdk/agents."
        }
        _ => "A key begins with alter_rk_ or alter_ak_. The operator makes one: alter key create APP.",
    };
    ApiError::plain(code).fact("hint", hint)
}
