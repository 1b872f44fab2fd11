//! For each rule: a value that breaks the rule is refused under the name of its field, and one that keeps it passes.

use super::*;
use crate::parse;

const GOOD: &str = r#"
id = "example"
name = "Example"
checked = "2026-11-22"
source = ["https://docs.example.com/oauth"]
issuer = "https://id.example.com"
authorize_url = "https://id.example.com/authorize?audience=api"
token_url = "https://id.example.com/token"
userinfo_url = "https://id.example.com/me"
revoke_url = "https://id.example.com/revoke"
jwks_url = "https://id.example.com/jwks"
id_token_algs = ["ES256"]
scope_separator = " "
scope_parameter = "scope"
granted_scope_delimiters = " ,"
default_scopes = ["openid", "read"]
api_hosts = ["api.example.com"]
[scopes]
"read" = "Read things"
[authorize_params]
prompt = "consent"
[token]
access_token = "/access_token"
[identity]
from = "id_token"
subject = "/sub"
account = ["/email"]
"#;

fn fields(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(_) => vec![],
        Err(RecipeError::Invalid(problems)) => problems.into_iter().map(|problem| problem.field).collect(),
        Err(other) => panic!("the change must still be TOML: {other}"),
    }
}

/// Replaces one line of the good recipe and returns the fields found wrong.
fn changed(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    fields(&GOOD.replace(from, to))
}

#[test]
fn the_good_recipe_is_good() {
    assert_eq!(fields(GOOD), Vec::<String>::new());
}

#[test]
fn an_id_is_lower_case_letters_digits_and_hyphens() {
    for bad in ["", "Example", "ex ample", "ex_ample", "bücher", "a/b", &"x".repeat(51)] {
        assert_eq!(changed("\"example\"", &format!("\"{bad}\"")), ["id"], "{bad}");
    }
    assert!(changed("\"example\"", &format!("\"{}\"", "x".repeat(50))).is_empty());
    assert_eq!(changed("\"Example\"", "\" \""), ["name"]);
    assert_eq!(changed("\"Example\"", "\"a\\nb\""), ["name"]);
}

#[test]
fn t26_people_see_all_of_a_name_and_of_every_line_about_a_provider() {
    for hidden in ["My\u{202e}CRM", "My\u{e0041}CRM", "\u{200d}", "\u{301}", "My\u{9b}CRM", "My\u{feff}CRM"] {
        assert_eq!(changed("\"Example\"", &format!("\"{hidden}\"")), ["name"], "{hidden:?}");
        let note = format!("name = \"Example\"\nnote = \"{hidden}\"");
        assert_eq!(changed("name = \"Example\"", &note), ["note"], "{hidden:?}");
    }
    assert!(changed("\"Example\"", "\"نیم\u{200c}فاصله 👩\u{200d}💻\"").is_empty(), "positive control");
}

#[test]
fn a_day_is_a_day() {
    for bad in ["today", "2026-13-01", "2026-00-10", "2026-11-32", "22.11.2026", "2026-1-1", "2026-11-2é"] {
        assert_eq!(changed("2026-11-22", bad), ["checked"], "{bad}");
    }
}

#[test]
fn an_endpoint_is_https_or_on_loopback() {
    let url = "https://id.example.com/token";
    for bad in [
        "http://id.example.com/token",
        "http://127.0.0.1.example.com/token",
        "ftp://id.example.com/token",
        "id.example.com/token",
        "https://user:pw@id.example.com/token",
        "https://id.example.com/token#x",
        "data:text/plain,x",
        "",
    ] {
        assert_eq!(changed(url, bad), ["token_url"], "{bad}");
    }
    for good in ["http://127.0.0.1:9000/token", "http://localhost:9000/token", "https://10.0.0.1/token"] {
        assert!(changed(url, good).is_empty(), "{good}");
    }
    for path in ["me", "revoke", "jwks"] {
        let secure = format!("https://id.example.com/{path}");
        assert_eq!(changed(&secure, &secure.replace("https", "http")).len(), 1, "{path}");
    }
}

#[test]
fn an_issuer_has_no_query_and_a_template_holds_the_tenant_in_its_path() {
    let line = "issuer = \"https://id.example.com\"";
    assert_eq!(changed(line, "issuer = \"https://id.example.com?x=1\""), ["issuer"]);
    let template = |url: &str| changed(line, &format!("issuer_template = \"{url}\""));
    assert!(template("https://id.example.com/{tenant}/v2.0").is_empty());
    for bad in [
        "https://id.example.com/v2.0",
        "https://{tenant}.example.com/",
        "https://id.example.com/{tenant}/{tenant}",
        "http://id.example.com/{tenant}",
        "{tenant}",
    ] {
        let found = template(bad);
        assert!(
            !found.is_empty() && found.iter().all(|field| field == "issuer_template"),
            "{bad}: {found:?}"
        );
    }
}

#[test]
fn an_id_token_is_never_trusted_unsigned_or_by_a_shared_secret() {
    for bad in ["none", "HS256", "rs256", "ES512", ""] {
        assert_eq!(changed("\"ES256\"", &format!("\"{bad}\"")), ["id_token_algs[0]"], "{bad}");
    }
    assert_eq!(changed("[\"ES256\"]", "[]"), ["id_token_algs"]);
}

#[test]
fn an_identity_needs_the_means_to_learn_it() {
    assert_eq!(changed("jwks_url = \"https://id.example.com/jwks\"", ""), ["identity.from"]);
    assert_eq!(changed("issuer = \"https://id.example.com\"", ""), ["identity.from"]);
    let userinfo = GOOD.replace("from = \"id_token\"", "from = \"userinfo\"");
    assert!(fields(&userinfo).is_empty());
    assert_eq!(
        fields(&userinfo.replace("userinfo_url = \"https://id.example.com/me\"", "")),
        ["identity.from"]
    );
    assert!(changed("from = \"id_token\"", "from = \"token_response\"").is_empty());
}

#[test]
fn a_path_is_a_json_pointer() {
    for bad in ["sub", "", "/", "$.sub", "/a~2", "/a~"] {
        assert_eq!(changed("\"/sub\"", &format!("\"{bad}\"")), ["identity.subject"], "{bad}");
        assert_eq!(changed("\"/email\"", &format!("\"{bad}\"")), ["identity.account[0]"], "{bad}");
        assert_eq!(changed("\"/access_token\"", &format!("\"{bad}\"")), ["token.access_token"], "{bad}");
    }
    assert!(changed("\"/sub\"", "\"/user/~0id~1\"").is_empty());
    assert_eq!(changed("[\"/email\"]", "[]"), ["identity.account"]);
}

#[test]
fn what_verifies_a_name_is_always_or_a_path_and_the_name_is_an_account() {
    let verified = |table: &str| {
        changed("account = [\"/email\"]", &format!("account = [\"/email\"]\nverified = {table}"))
    };
    for good in ["{}", "{ \"/email\" = \"always\" }", "{ \"/email\" = \"/user/checked\" }"] {
        assert!(verified(good).is_empty(), "{good}");
    }
    for bad in ["{ \"/email\" = \"never\" }", "{ \"/email\" = \"\" }", "{ \"/email\" = \"/\" }"] {
        assert_eq!(verified(bad), ["identity.verified./email"], "{bad}");
    }
    assert_eq!(verified("{ \"/name\" = \"always\" }"), ["identity.verified./name"]);
}

#[test]
fn a_scope_is_one_scope() {
    for bad in ["", "a b", "a\\\"b", "é"] {
        assert_eq!(changed("\"openid\"", &format!("\"{bad}\"")), ["default_scopes[0]"], "{bad}");
    }
    let commas = GOOD.replace("scope_separator = \" \"", "scope_separator = \",\"");
    assert!(fields(&commas).is_empty());
    assert_eq!(fields(&commas.replace("\"openid\"", "\"a,b\"")), ["default_scopes[0]"]);
    assert_eq!(changed("\"Read things\"", "\"\""), ["scopes.\"read\""]);
    assert_eq!(changed("scope_separator = \" \"", "scope_separator = \"\""), ["scope_separator"]);
    assert_eq!(
        changed("granted_scope_delimiters = \" ,\"", "granted_scope_delimiters = \"\""),
        ["granted_scope_delimiters"]
    );
}

#[test]
fn what_is_said_about_the_names_of_scopes_is_about_scopes() {
    let with = |more: &str| fields(&format!("{GOOD}\n{more}\n"));
    let good =
        "[scope_names]\nprefix = \"https://a.example/\"\nignore_case = true\naliases = { mail = \"a.mail\" }";
    assert_eq!(with(good), Vec::<String>::new());
    for bad in ["", "https://a.example", "a b/"] {
        assert_eq!(with(&format!("[scope_names]\nprefix = \"{bad}\"")), ["scope_names.prefix"], "{bad}");
    }
    let alias = |table: &str| with(&format!("[scope_names]\naliases = {table}"));
    assert_eq!(alias("{ \"a\" = \"b c\" }"), ["scope_names.aliases.\"a\""]);
    assert_eq!(alias("{ \"a,b\" = \"c\" }"), ["scope_names.aliases.\"a,b\""]);
    assert_eq!(alias("{ \"a\" = \"b\", \"b\" = \"c\" }"), ["scope_names.aliases.\"a\""]);
    let any_case = |table: &str| with(&format!("[scope_names]\nignore_case = true\naliases = {table}"));
    assert_eq!(any_case("{ \"a\" = \"B\", \"b\" = \"c\" }"), ["scope_names.aliases.\"a\""]);
    let twice = ["scope_names.aliases.\"A\"", "scope_names.aliases.\"a\""];
    assert_eq!(any_case("{ \"A\" = \"x\", \"a\" = \"y\" }"), twice, "one spelling, two meanings");
    let harmless = |list: &str| fields(&format!("harmless_scopes = {list}\n{GOOD}"));
    assert!(harmless("[\"openid\"]").is_empty());
    assert_eq!(harmless("[\"openid email\"]"), ["harmless_scopes[0]"]);
    let implies = |list: &str| {
        let table = format!("\"read\" = {{ description = \"Read things\", implies = {list} }}");
        changed("\"read\" = \"Read things\"", &table)
    };
    assert!(implies("[\"look\"]").is_empty(), "a scope that nobody has to describe");
    assert_eq!(implies("[\"read\"]"), ["scopes.\"read\""]);
    assert_eq!(implies("[\"a b\"]"), ["scopes.\"read\""]);
}

#[test]
fn a_recipe_cannot_override_what_protects_the_flow() {
    for own in OWN_PARAMETERS {
        assert_eq!(changed("prompt =", &format!("{own} =")), [format!("authorize_params.{own}")]);
        if own != "scope" {
            assert_eq!(changed("\"scope\"", &format!("\"{own}\"")), ["scope_parameter"], "{own}");
        }
    }
    assert!(changed("\"scope\"", "\"user_scope\"").is_empty(), "positive control");
    assert_eq!(changed("prompt = \"consent\"", "response_mode = \"form_post\""), Vec::<String>::new());
    for unread in ["fragment", "form_post.jwt", ""] {
        let bad = changed("prompt = \"consent\"", &format!("response_mode = \"{unread}\""));
        assert_eq!(bad, ["authorize_params.response_mode"], "{unread}");
    }
    assert_eq!(changed("prompt = \"consent\"", "\"a b\" = \"x\""), ["authorize_params.a b"]);
    assert_eq!(changed("prompt = \"consent\"", "prompt = \"a\\nb\""), ["authorize_params.prompt"]);
}

#[test]
fn all_problems_are_told_at_once_with_what_to_write_instead() {
    let text = GOOD.replace("api.example.com\"]", "*.example.com\"]").replace("\"/sub\"", "\"sub\"");
    let shown = parse(&text).expect_err("two problems").to_string();
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert!(shown.contains("identity.subject: `sub` is not a JSON pointer; write it like `/id`"), "{shown}");
    assert!(shown.contains("api_hosts[0]: `*.example.com` wildcards are not supported"), "{shown}");
}

#[test]
fn t81_a_placeholder_is_the_whole_first_label_below_a_domain_that_the_recipe_names() {
    let shop = |host: &str| {
        let text = GOOD.replace("\"api.example.com\"", &format!("\"{host}\""));
        let text = text.replace("https://id.example.com/token", &format!("https://{host}/token"));
        fields(&format!("{text}\n[parameters.shop]\ndescription = \"the shop\"\nexample = \"my-store\"\n"))
    };
    assert_eq!(shop("{shop}.example.com"), Vec::<String>::new());
    for bad in [
        "{shop}",
        "{shop}.com",
        "{shop}example.com",
        "a.{shop}.com",
        "example.{shop}",
        "{shop}.{shop}.com",
        "{other}.example.com",
        "{shop.example.com",
        "x{shop}.example.com",
        "user@{shop}.example.com",
    ] {
        assert!(!shop(bad).is_empty(), "{bad}");
    }
    let unused = "\n[parameters.shop]\ndescription = \"the shop\"\nexample = \"my-store\"\n";
    assert_eq!(fields(&format!("{GOOD}{unused}")), ["parameters.shop"; 1]);
}

#[test]
fn t86_a_token_goes_into_a_header_of_the_apis_own_and_never_into_a_url() {
    let with = |more: &str| fields(&format!("{GOOD}\n{more}\n"));
    assert!(with("[api_auth]\nheader = \"X-Token\"\nformat = \"{token}\"").is_empty());
    for header in ["Cookie", "Host", "X Token", "", "Content-Length", "X-Token:"] {
        assert_eq!(with(&format!("[api_auth]\nheader = \"{header}\"")), ["api_auth.header"], "{header}");
    }
    for format in ["Bearer", "{token}{token}", "Bearer {token}\\r\\nX: y", ""] {
        assert_eq!(with(&format!("[api_auth]\nformat = \"{format}\"")), ["api_auth.format"], "{format}");
    }
    assert!(
        !changed("https://id.example.com/me", "https://id.example.com/me?access_token={token}").is_empty()
    );
    assert_eq!(with("[userinfo.headers]\nx-token = \"{token}\""), ["userinfo.headers.x-token"]);
}

#[test]
fn what_the_client_sends_by_itself_cannot_be_replaced() {
    let with = |more: &str| fields(&format!("{GOOD}\n{more}\n"));
    assert!(with("[token_params]\naudience = \"api\"").is_empty());
    for name in
        ["grant_type", "code", "code_verifier", "client_secret", "redirect_uri", "refresh_token", "scope"]
    {
        assert_eq!(
            with(&format!("[token_params]\n{name} = \"x\"")),
            [format!("token_params.{name}")],
            "{name}"
        );
    }
    assert!(with("[userinfo.headers]\nx-version = \"7\"").is_empty());
    for name in ["authorization", "host", "cookie", "content-length", "X-Version"] {
        assert_eq!(
            with(&format!("[userinfo.headers]\n{name} = \"x\"")),
            [format!("userinfo.headers.{name}")]
        );
    }
    assert_eq!(with("[userinfo]\nbody = \"{}\""), ["userinfo.body"]);
    let introspect = "[userinfo]\nmethod = \"introspect\"\n";
    assert!(with(introspect).is_empty());
    assert_eq!(with(&format!("{introspect}body = \"{{}}\"")), ["userinfo.body"]);
    assert_eq!(with(&format!("{introspect}[userinfo.headers]\nx-version = \"7\"")), ["userinfo.headers"]);
    assert_eq!(with(&format!("{introspect}token_fields = [\"client_id\"]")), ["userinfo.token_fields[0]"]);
    assert_eq!(with("[userinfo]\ntoken_fields = [\"token\"]"), ["userinfo.token_fields"]);
    let public = GOOD.replace("[scopes]", "client_auth = \"none\"\n[scopes]");
    assert_eq!(fields(&format!("{public}\n{introspect}")), ["userinfo.method"]);
}

#[test]
fn a_revocation_says_what_to_end_once_and_over_https() {
    let plain = GOOD.replace("revoke_url = \"https://id.example.com/revoke\"", "");
    let with = |more: &str| fields(&format!("{plain}\n[revoke]\n{more}\n"));
    assert!(with("url = \"https://id.example.com/apps/{client_id}/grant\"").is_empty());
    assert!(with("url = \"https://id.example.com/r\"\ntoken_field = \"\"\nauth = \"token\"").is_empty());
    assert_eq!(with("url = \"https://id.example.com/r\"\ntoken_field = \"\""), ["revoke.token_field"]);
    assert_eq!(with("url = \"http://id.example.com/r\""), ["revoke.url"]);
    assert!(!with("url = \"https://{client_id}.example.com/r\"").is_empty());
    assert!(!with("url = \"https://id.example.com/r?token={token}\"").is_empty());
    assert_eq!(
        with("url = \"https://id.example.com/r\"\nparams = { x = \"{secret}\" }"),
        ["revoke.params.x"]
    );
    let twice = "url = \"https://id.example.com/r\"\nparams = { client_id = \"{client_id}\" }";
    assert_eq!(
        with(&format!("client_auth = \"post\"\n{twice}")),
        ["revoke.params.client_id"],
        "it is in the body"
    );
    assert!(with(&format!("client_auth = \"basic\"\n{twice}")).is_empty());
    assert_eq!(fields(&format!("{GOOD}\n[revoke]\nurl = \"https://id.example.com/r\"\n")), ["revoke"]);
}

#[test]
fn a_scope_is_words_or_a_table_whose_scopes_are_known() {
    let table = |text: &str| changed("\"read\" = \"Read things\"", text);
    assert!(table("\"read\" = { description = \"Read things\", required = true }").is_empty());
    assert_eq!(table("\"read\" = { description = \"Read\", requires = [\"no\"] }"), ["scopes.\"read\""]);
    assert_eq!(table("\"read\" = { description = \" \" }"), ["scopes.\"read\""]);
}

#[test]
fn what_is_kept_beside_a_token_has_a_name_and_a_place() {
    let with = |more: &str| fields(&format!("{GOOD}\n{more}\n"));
    assert!(
        with("[metadata]\ninstance_url = \"/instance_url\"\n[callback.metadata]\nrealm = \"realmId\"")
            .is_empty()
    );
    assert_eq!(with("[metadata]\ninstance_url = \"instance_url\""), ["metadata.instance_url"]);
    for token in ["access_token", "refresh_token", "id_token"] {
        assert_eq!(with(&format!("[metadata]\nx = \"/{token}\"")), ["metadata.x"], "a token is no fact");
    }
    let code = |kept: &str| with(&format!("[callback]\ncode = \"auth_code\"\n{kept}"));
    assert!(code("scope = \"granted\"").is_empty());
    assert_eq!(code("scope = \"auth_code\""), ["callback.scope"], "the code is no fact");
    assert_eq!(code("metadata = { x = \"auth_code\" }"), ["callback.metadata.x"]);
    assert_eq!(with("[metadata]\nInstance-Url = \"/x\""), ["metadata.Instance-Url"]);
    assert!(
        !with("[metadata]\nrealm = \"/x\"\n[callback.metadata]\nrealm = \"x\"").is_empty(),
        "one name, two places"
    );
    for own in ["state", "code", "error", "iss"] {
        assert_eq!(with(&format!("[callback]\ncode = \"{own}\"")), ["callback.code"], "{own}");
        assert_eq!(with(&format!("[callback.metadata]\nx = \"{own}\"")), ["callback.metadata.x"], "{own}");
    }
    let many: String = (0..11).map(|n| format!("m{n} = \"/m\"\n")).collect();
    assert_eq!(with(&format!("[metadata]\n{many}")), ["metadata"]);
    assert_eq!(
        changed(
            "access_token = \"/access_token\"",
            "access_token = \"/access_token\"\nassumed_life_seconds = 0"
        ),
        ["token.assumed_life_seconds"]
    );
}

#[test]
fn a_further_header_is_one_that_clients_take_and_none_of_ours() {
    let with = |more: &str| fields(&format!("{GOOD}\n[api_headers]\n{more}\n"));
    assert!(with("Client-Id = \"{client_id}\"").is_empty());
    for bad in ["Authorization", "host", "content-length", "X_Y", "1x"] {
        assert_eq!(with(&format!("{bad} = \"x\"")), [format!("api_headers.{bad}")], "{bad}");
    }
    assert_eq!(with("X = \"{token}\""), ["api_headers.X"]);
    assert_eq!(with("X = \" \""), ["api_headers.X"]);
    assert_eq!(with("X = \"1\"\nx = \"2\""), ["api_headers.X", "api_headers.x"], "one header twice");
}

#[test]
fn a_parameter_of_ours_has_one_name_that_nothing_else_has() {
    let with = |more: &str| fields(&format!("{GOOD}\n[names]\n{more}\n"));
    assert!(with("client_id = \"client_key\"").is_empty());
    for taken in ["state", "redirect_uri", "grant_type", "code_verifier", "client_secret", "a b", ""] {
        assert!(with(&format!("client_id = \"{taken}\"")).contains(&"names.client_id".to_owned()), "{taken}");
    }
    let own = format!("{GOOD}\n[names]\nclient_id = \"client_key\"\n[token_params]\nclient_key = \"evil\"\n");
    assert_eq!(fields(&own), ["token_params.client_key"]);
    let names = "[names]\nclient_id = \"client_key\"";
    let revoke = |more: &str| {
        let text = GOOD.replace("revoke_url = \"https://id.example.com/revoke\"\n", "");
        fields(&format!("{text}\n{names}\n[revoke]\nurl = \"https://id.example.com/r\"\n{more}\n"))
    };
    assert_eq!(revoke("token_field = \"client_secret\""), ["revoke.token_field"]);
    assert!(with("client_id = \"user_scope\"").is_empty());
    let scoped = GOOD.replace("scope_parameter = \"scope\"", "scope_parameter = \"user_scope\"");
    assert_eq!(fields(&format!("{scoped}\n[names]\nclient_id = \"user_scope\"\n")), ["names.client_id"]);
    assert!(changed("prompt = \"consent\"", "\"filter[kind]\" = \"x\"").is_empty(), "brackets are allowed");
    assert_eq!(changed("prompt = \"consent\"", "\"[x]\" = \"x\""), ["authorize_params.[x]"]);
}

#[test]
fn t81_a_stranger_fills_labels_alone_and_an_operator_hosts_and_segments_too() {
    let with = |url: &str, parameter: &str| {
        let text = GOOD.replace("https://id.example.com/token", url);
        fields(&format!("{text}\n[parameters.x]\ndescription = \"x\"\n{parameter}\n"))
    };
    let label = "https://{x}.example.com/token";
    assert!(with(label, "example = \"acme\"\nby = \"customer\"").is_empty());
    for (url, kind, example) in [
        ("https://{x}/token", "host", "login.acme.example"),
        ("https://id.example.com/{x}/token", "segment", "acme"),
    ] {
        let parameter = format!("example = \"{example}\"\nkind = \"{kind}\"");
        assert!(with(url, &parameter).is_empty(), "{kind}");
        assert_eq!(with(url, &format!("{parameter}\nby = \"customer\"")), ["parameters.x"], "{kind}");
        assert!(!with(label, &parameter).is_empty(), "{kind} is not a label");
        assert!(!with(url, "example = \"acme\"").is_empty(), "a label is not a {kind}");
    }
    let segment = "example = \"acme\"\nkind = \"segment\"";
    for bad in [
        "https://id.example.com/a{x}/token",
        "https://id.example.com/token?x={x}",
        "https://id.example.com/token?next=/{x}",
        "https://id.example.com/token#/{x}",
        "https://id.{x}.com/token",
    ] {
        assert!(!with(bad, segment).is_empty(), "{bad}");
    }
    // A customer's label may be a number.
    for bad in [
        "https://a.example.com:{x}/token",
        "https://{x}.example.com:{x}/token",
        "https://{x}.example.com:443?q={x}",
    ] {
        assert!(!with(bad, "example = \"acme\"").is_empty(), "{bad}");
    }
}
