//! Return URLs: where a redirect would take the user back to (S5, T40, T41).

use url::Url;

use crate::origin::is_loopback;

/// Query parameters that our redirect adds; a `return_url` must not contain any of them (T41).
pub const RESULT_PARAMETERS: [&str; 14] = [
    "alter_connect_success",
    "alter_connect_error",
    "alter_result_code",
    "alter_sid",
    "grant_id",
    "provider",
    "provider_name",
    "account_identifier",
    "timestamp",
    "operation",
    "scopes",
    "status",
    "error_code",
    "error_description",
];

/// Checks a `return_url`: https (or loopback http), no userinfo, no fragment tricks, none of our parameters, and an
/// origin that is exactly one of `registered` (T40: compared whole, never by prefix).
///
/// # Errors
/// A sentence for the developer who minted the session.
pub fn check_return_url(input: &str, registered: &[&str]) -> Result<(), String> {
    if input.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'\\') {
        return Err("return_url contains white space, a control character or a backslash.".into());
    }
    let url = Url::parse(input).map_err(|_| "return_url is not an absolute URL.".to_owned())?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err("return_url must be https (or http on a loopback host).".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("return_url must not contain a user name or password.".into());
    }
    if url.scheme() == "http" && !is_loopback(url.host_str().unwrap_or_default()) {
        return Err("return_url must be https (http is allowed on a loopback host only).".into());
    }
    let origin = url.origin().ascii_serialization();
    if !registered.contains(&origin.as_str()) {
        return Err(format!(
            "return_url has the origin {origin}, which is not registered on this app. Register it: alter app set APP --return-origin {origin}"
        ));
    }
    match url.query_pairs().find(|(name, _)| RESULT_PARAMETERS.contains(&name.as_ref())) {
        Some((name, _)) => {
            Err(format!("return_url already carries \"{name}\", a parameter that the result uses."))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t40_a_return_url_must_have_a_registered_origin() {
        let registered = ["https://app.example.com", "http://localhost:3000"];
        for good in [
            "https://app.example.com/connected",
            "https://app.example.com/connected?tab=2#there",
            "https://app.example.com",
            "http://localhost:3000/back",
        ] {
            assert_eq!(check_return_url(good, &registered), Ok(()), "{good}");
        }
        for bad in [
            "https://app.example.com.evil/connected",
            "https://app.example.com@evil/",
            "https://evil/https://app.example.com",
            "//app.example.com/",
            "/connected",
            "javascript:alert(1)//https://app.example.com",
            "data:text/html,x",
            "https://app.example.com:444/",
            "http://app.example.com/",
            "https://sub.app.example.com/",
            "https://app.example.com\\@evil/",
            "https://user@app.example.com/",
            "http://localhost:3001/",
            "",
            "https:\\\\app.example.com/",
            "https://app.example.com/\n",
            "http://localhost:3000.evil/",
        ] {
            assert!(check_return_url(bad, &registered).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn t41_a_return_url_that_already_carries_our_parameters_is_refused() {
        let registered = ["https://app.example.com"];
        for name in RESULT_PARAMETERS {
            let url = format!("https://app.example.com/x?{name}=1");
            assert!(check_return_url(&url, &registered).is_err_and(|e| e.contains(name)), "{name}");
        }
        let encoded = "https://app.example.com/x?grant%5Fid=1";
        assert!(check_return_url(encoded, &registered).is_err());
        assert_eq!(check_return_url("https://app.example.com/x?tab=1", &registered), Ok(()));
    }
}
