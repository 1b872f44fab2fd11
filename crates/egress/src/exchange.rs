//! One request and its answer: which header fields this crate writes, the timeout over everything, the cap on the body,
//! and the naming of errors.

use http::{HeaderMap, HeaderValue, Method, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::client::legacy::{self, Client};

use crate::connect::Connector;
use crate::decoded::{Undecodable, decoded};
use crate::slots::Slots;
use crate::target::Target;
use crate::{EgressError, RESPONSE_HEAD_MAX, Request, Response};

/// Fields that frame the message or steer the connection. They decide where a message ends and which virtual host it
/// reaches, so hyper writes them from the URL and the body; the caller's are never passed on.
const OURS: [&str; 12] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "proxy-connection",
    "proxy-authorization",
    "http2-settings",
];

/// The `User-Agent`. Without one GitHub's API answers 403, and Discord's edge may block the client.
const NAME: &str = "alter-connect";

/// How many bytes are reserved at most on the strength of a `Content-Length`.
const FIRST_RESERVE_MAX: usize = 64 * 1024;

pub(crate) async fn run(
    client: &Client<Connector, Full<Bytes>>,
    slots: &Slots,
    request: Request,
) -> Result<Response, EgressError> {
    let Target { uri, host } = Target::from_url(&request.url)?;
    refuse_method(&request.method, &host)?;
    let limits = request.limits;
    let mut outgoing = http::Request::new(Full::new(request.body));
    *outgoing.method_mut() = request.method;
    *outgoing.uri_mut() = uri.clone();
    *outgoing.headers_mut() = without_ours(request.headers);
    outgoing.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(NAME));
    outgoing.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let connection = capture_connection(&mut outgoing);

    let exchange = async {
        let _slot = slots.take(&uri).await;
        let answer = client.request(outgoing).await.map_err(|error| name(&error, &host, &connection))?;
        read(answer, &host, limits.body_max).await
    };
    match tokio::time::timeout(limits.total, exchange).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => {
            Err(EgressError::Timeout { maybe_sent: was_handed_over(&connection), host: host.clone() })
        }
    }
}

/// `CONNECT` would turn this server into a tunnel, and `TRACE` echoes credentials.
fn refuse_method(method: &Method, host: &str) -> Result<(), EgressError> {
    if *method != Method::CONNECT && *method != Method::TRACE {
        return Ok(());
    }
    let detail = format!("{method} is not sent");
    Err(EgressError::Protocol { host: host.to_owned(), detail, maybe_sent: false })
}

fn without_ours(mut headers: HeaderMap) -> HeaderMap {
    // `Connection` may name further fields that belong to the connection (RFC 9110, section 7.6.1).
    let listed: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|field| field.trim().to_owned())
        .collect();
    for field in listed.iter().map(String::as_str).chain(OURS) {
        headers.remove(field);
    }
    headers
}

/// hyper records the connection just before it hands the request over; if none is recorded, no byte can have left.
fn was_handed_over(connection: &CaptureConnection) -> bool {
    connection.connection_metadata().is_some()
}

fn name(error: &legacy::Error, host: &str, connection: &CaptureConnection) -> EgressError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut deepest = String::new();
    while let Some(this) = cause {
        if let Some(ours) = this.downcast_ref::<EgressError>() {
            return ours.clone();
        }
        if this.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse_too_large) {
            return EgressError::HeadersTooLarge { host: host.to_owned() };
        }
        deepest = this.to_string();
        cause = this.source();
    }
    EgressError::Protocol { host: host.to_owned(), detail: deepest, maybe_sent: was_handed_over(connection) }
}

async fn read(
    answer: http::Response<Incoming>,
    host: &str,
    body_max: usize,
) -> Result<Response, EgressError> {
    let (mut head, body) = answer.into_parts();
    if fields_size(&head.headers) > RESPONSE_HEAD_MAX {
        return Err(EgressError::HeadersTooLarge { host: host.to_owned() });
    }
    let body = collect(body, host, body_max).await?;
    let body = decoded(&mut head.headers, body, body_max).map_err(|why| undecodable(&why, host, body_max))?;
    Ok(Response { status: head.status, headers: head.headers, body })
}

fn undecodable(why: &Undecodable, host: &str, max: usize) -> EgressError {
    let detail = match why {
        Undecodable::TooLarge => return EgressError::BodyTooLarge { host: host.to_owned(), max },
        Undecodable::Coding => "its answer has a Content-Encoding other than gzip, and none was asked for",
        Undecodable::Damaged => "its answer is no whole gzip, although its Content-Encoding says so",
    };
    EgressError::Protocol { host: host.to_owned(), detail: detail.to_owned(), maybe_sent: true }
}

/// Returns the size of the fields as they stood on the wire. hyper's buffer cap stops a head that keeps coming, but it
/// looks only between reads: the last read may take a head past the cap by as much again. So the head is measured once
/// more.
fn fields_size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + ": \r\n".len() + value.len()).sum()
}

/// Reads the body up to the cap. An early return drops the rest of the body, and the connection with it.
async fn collect(mut body: Incoming, host: &str, max: usize) -> Result<Bytes, EgressError> {
    let too_large = || EgressError::BodyTooLarge { host: host.to_owned(), max };
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max {
        return Err(too_large());
    }
    let mut collected = Vec::with_capacity(announced.min(FIRST_RESERVE_MAX));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| EgressError::Protocol {
            host: host.to_owned(),
            detail: error.to_string(),
            maybe_sent: true,
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > max - collected.len() {
            return Err(too_large());
        }
        collected.extend_from_slice(&data);
    }
    Ok(collected.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t83_fields_that_frame_or_route_are_dropped_and_all_others_pass() {
        let mut headers = HeaderMap::new();
        for field in OURS {
            headers.insert(field, "x".parse().unwrap());
        }
        headers.insert("connection", "close, X-Hop , authorization-of-hop".parse().unwrap());
        headers.insert("x-hop", "1".parse().unwrap());
        headers.insert("authorization-of-hop", "1".parse().unwrap());
        headers.insert("authorization", "Bearer t".parse().unwrap());
        headers.append("x-many", "1".parse().unwrap());
        headers.append("x-many", "2".parse().unwrap());
        let kept = without_ours(headers);
        assert_eq!(kept.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["authorization", "x-many"]);
        assert_eq!(kept.get_all("x-many").iter().count(), 2);
    }
}
