//! The pages that a person sees: consent, error, front page, and the form_post hop. Words and markup only.

use crate::grants::AuthRequest;
use crate::users::User;

const CSS: &str = include_str!("page.css");

/// Shown on every page: nothing here is real.
const NOTE: &str =
    "Acme Notes is a demo provider. It runs on this machine, and its people and notes are made up.";

/// The consent page.
pub(crate) fn consent(request: &AuthRequest, request_id: &str, users: &[User]) -> String {
    shell("Allow access?", &form(request, request_id, users))
}

/// The content of the consent page: heading, scopes, and the form with `#approve` and `#deny`.
pub(crate) fn form(request: &AuthRequest, request_id: &str, users: &[User]) -> String {
    let scopes: String = request
        .scope
        .split_whitespace()
        .map(|scope| format!("<li>{} <code>{}</code></li>", scope_words(scope), escape(scope)))
        .collect();
    let options: String = users
        .iter()
        .map(|user| {
            let hinted =
                request.login_hint.as_ref().is_some_and(|hint| *hint == user.sub || *hint == user.email);
            format!(
                r#"<option value="{}"{}>{} ({})</option>"#,
                escape(&user.sub),
                if hinted { " selected" } else { "" },
                escape(&user.name),
                escape(&user.email)
            )
        })
        .collect();
    format!(
        r#"<h1><code>{client}</code> would like to use your Acme Notes account</h1>
<p>It asks to:</p>
<ul id="scopes">{scopes}</ul>
<form method="post" action="/authorize/decide">
<input type="hidden" name="request" value="{id}">
<label for="user">Sign in as</label>
<select id="user" name="user">{options}</select>
<div class="row">
<button id="deny" name="decision" value="deny">Deny</button>
<button id="approve" name="decision" value="approve" class="go">Approve</button>
</div>
</form>"#,
        client = escape(&request.client_id),
        id = escape(request_id),
    )
}

/// The page for a request that must not lead to a redirect (RFC 6749 section 4.1.2.1).
pub(crate) fn error(what: &str) -> String {
    let content = format!(
        r#"<h1>This request cannot be answered</h1><p id="error">{}</p>
<p>You were not signed in anywhere, and nothing was shared.</p>"#,
        escape(what)
    );
    shell("Request refused", &content)
}

/// The page at `/`.
pub(crate) fn front(issuer: &str) -> String {
    let content = format!(
        r#"<h1>Notes for everyone, kept nowhere</h1>
<p>Apps connect to this provider with OAuth 2.0. Its issuer is <code>{0}</code>; everything else is in its
<a href="{0}/.well-known/openid-configuration">metadata</a>.</p>"#,
        escape(issuer)
    );
    shell("Acme Notes", &content)
}

/// The OAuth 2.0 Form Post Response Mode: a form that submits itself, with a button for when scripts are
/// off.
pub(crate) fn form_post(redirect_uri: &str, fields: &[(String, String)]) -> String {
    let inputs: String = fields
        .iter()
        .map(|(name, value)| {
            format!(r#"<input type="hidden" name="{}" value="{}">"#, escape(name), escape(value))
        })
        .collect();
    let content = format!(
        r#"<h1>Taking you back</h1><form method="post" action="{}">{inputs}
<div class="row"><button id="continue" class="go">Continue</button></div></form>
<script>document.forms[0].submit()</script>"#,
        escape(redirect_uri)
    );
    shell("Continue", &content)
}

fn scope_words(scope: &str) -> &'static str {
    match scope {
        "openid" => "know who you are",
        "email" => "see your e-mail address",
        "profile" => "see your name",
        "notes.read" => "read your notes",
        "notes.write" => "add notes",
        "offline_access" => "do so while you are away",
        _ => "use",
    }
}

fn shell(title: &str, content: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - Acme Notes</title>
<style>{CSS}</style>
</head>
<body>
<main>
<p class="brand"><i></i>Acme Notes <small>demo provider</small></p>
{content}
<p class="note">{NOTE}</p>
</main>
</body>
</html>
"#
    )
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn text_from_a_request_cannot_become_markup() {
        assert_eq!(escape(r#"<a href="x">'&'</a>"#), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
    }
}
