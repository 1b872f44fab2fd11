//! What a recipe's URLs must look like.

use alter_core::origin::is_loopback;
use url::Url;

/// Checks an endpoint: https anywhere, http only on a loopback host (RFC 9700 section 2.6), without user name, password
/// or fragment.
pub(crate) fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|error| format!("`{text}` is not a URL ({error}); write it in full, with https://"))?;
    let host = url.host_str().unwrap_or_default();
    if host.is_empty() || !(url.scheme() == "https" || (url.scheme() == "http" && is_loopback(host))) {
        return Err(format!("`{text}` must be https (http is accepted on a loopback host only)"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user name or password; set client credentials separately".into());
    }
    if url.fragment().is_some() {
        return Err(format!("`{text}` must not have a fragment; leave out the `#` and what follows"));
    }
    Ok(url)
}

/// Checks an issuer: it has neither query nor fragment (OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2).
pub(crate) fn issuer_url(text: &str) -> Result<(), String> {
    match endpoint(text)?.query() {
        None => Ok(()),
        Some(_) => Err(format!("`{text}` must not have a query; leave out the `?` and what follows")),
    }
}

/// Checks that the placeholder is not in the host: otherwise the choice of a tenant would choose the issuer's server.
pub(crate) fn issuer_in_path(template: &str) -> Result<(), String> {
    let [one, other] = ["tenant-a", "tenant-b"].map(|tenant| template.replace("{tenant}", tenant));
    issuer_url(&one)?;
    let same_origin = endpoint(&one)?.origin() == endpoint(&other)?.origin();
    if same_origin { Ok(()) } else { Err("`{tenant}` must be in the path, not in the host".into()) }
}
