//! `alter provider list|set|remove`. A provider's facts come from the catalog, from its own metadata, from a `--spec` file,
//! or from flags. What comes later in this list wins.

mod flags;
mod metadata;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use alter_core::{
    ClientAuth, Coop, IdentitySource, ProviderConfig, Recipe,
    recipe::FilledBy,
    secret::{from_hex, hex},
};
use alter_flows::{OperateError, ProviderSetting, operate};
use alter_oauth::Discovered;
use alter_providers::Catalog;
use anyhow::Context;
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

pub(super) use self::metadata::discovered;
use self::metadata::{discover_into, identity_without_keys, note_unlisted, unlisted_prompts};
use super::{find_app, operator};
use crate::{
    config::Config,
    input,
    output::{Output, Usage, in_a_line, shell_word},
    wiring,
};

#[derive(Debug, Subcommand)]
pub(crate) enum ProviderCommand {
    /// List an app's providers, or the catalog.
    List {
        /// App id, or its name; not with --catalog.
        #[arg(required_unless_present = "catalog")]
        app: Option<String>,
        /// List the catalog: providers that need no endpoints of yours.
        #[arg(long)]
        catalog: bool,
    },
    /// Configure a provider for an app; prints the callback URL to register at the provider.
    Set(Box<SetArgs>),
    /// Ask a provider for other scopes from now on. Nothing else of its configuration changes.
    Scopes {
        /// App id, or its name.
        app: String,
        /// Provider id.
        id: String,
        /// All scopes to ask for.
        #[arg(required = true, value_name = "SCOPE")]
        scopes: Vec<String>,
    },
    /// Seal a provider's row that has no seal, because it is from before there were seals. Prints the row; look at all of it
    /// first.
    Seal {
        /// App id, or its name.
        app: String,
        /// Provider id.
        id: String,
        /// The row with this digest is right as it was printed: seal it.
        #[arg(long, value_name = "DIGEST")]
        accept: Option<String>,
    },
    /// Remove a provider from an app. Grants made with it can no longer be used.
    Remove {
        /// App id, or its name.
        app: String,
        /// Provider id.
        id: String,
    },
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("secret").required(true).args(["client_secret_stdin", "client_secret_file", "public_client"])))]
pub(crate) struct SetArgs {
    /// App id, or its name.
    app: String,
    /// Provider id: from the catalog, or your own ([a-z0-9-]).
    id: String,
    /// Your client id at the provider.
    #[arg(long, value_name = "ID")]
    client_id: String,
    #[command(flatten)]
    secret: SecretFrom,
    /// Scopes to ask for, separated by spaces.
    #[arg(long, value_name = "\"A B\"")]
    scopes: Option<String>,
    /// The name that people read instead of the id.
    #[arg(long)]
    name: Option<String>,
    /// Issuer of an OpenID provider: its endpoints are discovered now and pinned. With --spec, the file wins.
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Authorization endpoint.
    #[arg(long, value_name = "URL")]
    authorize_url: Option<String>,
    /// Token endpoint.
    #[arg(long, value_name = "URL")]
    token_url: Option<String>,
    /// Userinfo endpoint.
    #[arg(long, value_name = "URL")]
    userinfo_url: Option<String>,
    /// Revocation endpoint (RFC 7009).
    #[arg(long, value_name = "URL")]
    revoke_url: Option<String>,
    /// Keys that sign id_tokens.
    #[arg(long, value_name = "URL")]
    jwks_url: Option<String>,
    /// How your client proves itself at the token endpoint: in a header, in the body, or not at all. Some servers that
    /// announce `basic` do not decode a secret with `+`, `/` or `=` in it: `post` helps.
    #[arg(long, value_enum, value_name = "HOW", conflicts_with = "public_client")]
    client_auth: Option<ClientAuthFlag>,
    /// Whether to send PKCE; `off` only where the provider breaks on it.
    #[arg(long, value_enum, value_name = "ON_OR_OFF")]
    pkce: Option<Switch>,
    /// An audience that an id_token may name besides your client (repeatable).
    #[arg(long = "trusted-audience", value_name = "AUDIENCE")]
    trusted_audiences: Vec<String>,
    /// Where the provider's stable id of the account stands, as a JSON pointer (`/id`), in the document that tells the account.
    #[arg(long, value_name = "POINTER")]
    subject: Option<String>,
    /// What the provider's pages do to the window that opened them (Cross-Origin-Opener-Policy), if you have looked.
    #[arg(long, value_enum, value_name = "WHAT")]
    coop: Option<CoopFlag>,
    /// A further parameter of every request to the token endpoint, also when a token is refreshed, such as
    /// audience=https://api.example (repeatable). It wins over the catalog's or the file's of that name. Refused is what the
    /// flow itself sets (code, client_id, scope ...).
    #[arg(long = "token-param", value_name = "K=V")]
    token_params: Vec<String>,
    /// Host that the credential may be sent to: HOST, HOST:PORT or .SUFFIX (repeatable).
    #[arg(long = "api-host", value_name = "HOST")]
    api_hosts: Vec<String>,
    /// A placeholder of the provider's hosts (shopify: shop=my-store), or a further parameter of the authorization
    /// request (repeatable).
    #[arg(long = "param", value_name = "K=V")]
    params: Vec<String>,
    /// The catalog entry to use when ID is your own: for a second shop or a second client.
    #[arg(long, value_name = "CATALOGUE_ID", conflicts_with = "spec")]
    from: Option<String>,
    /// A file in the catalog's format. With --issuer, what it leaves out is discovered.
    #[arg(long, value_name = "FILE.toml")]
    spec: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ClientAuthFlag {
    Basic,
    Post,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CoopFlag {
    Keeps,
    Severs,
    Unknown,
}

/// The client's secret, or that it has none.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct SecretFrom {
    /// Read the client secret from standard input.
    #[arg(long)]
    client_secret_stdin: bool,
    /// Read the client secret from a file.
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
    /// Your client at the provider has no secret.
    #[arg(long)]
    public_client: bool,
}

impl SecretFrom {
    /// Whether one of the flags was passed.
    pub(super) fn is_given(&self) -> bool {
        self.client_secret_stdin || self.client_secret_file.is_some() || self.public_client
    }

    /// Whether the client has no secret.
    pub(super) fn is_public(&self) -> bool {
        self.public_client
    }

    pub(super) fn read(&self) -> anyhow::Result<Option<SecretString>> {
        let (secret, flag) = if let Some(path) = &self.client_secret_file {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("--client-secret-file {} cannot be read", path.display()))?;
            (SecretString::from(text.trim_end_matches(['\r', '\n'])), "--client-secret-file")
        } else if self.client_secret_stdin {
            (input::secret("client secret")?, "--client-secret-stdin")
        } else {
            return Ok(None);
        };
        if secret.expose_secret().is_empty() {
            let text = format!("{flag}: it is empty. A client without a secret is a --public-client");
            return Err(Usage(text).into());
        }
        Ok(Some(secret))
    }
}

pub(crate) async fn run(command: ProviderCommand, config: &Config, output: Output) -> anyhow::Result<()> {
    match command {
        ProviderCommand::List { catalog: true, .. } => {
            list_catalog(output);
            Ok(())
        }
        ProviderCommand::List { app, .. } => list(&app.unwrap_or_default(), config, output).await,
        ProviderCommand::Set(args) => set(*args, config, output).await,
        ProviderCommand::Scopes { app, id, scopes } => set_scopes(&app, &id, &scopes, config, output).await,
        ProviderCommand::Seal { app, id, accept } => seal(&app, &id, accept.as_deref(), config, output).await,
        ProviderCommand::Remove { app, id } => {
            let flows = wiring::open(config).await?;
            let app = find_app(&flows, &app).await?;
            operate::remove_provider(&flows, &operator(), app.id, &id).await?;
            output.answer("Removed.", &json!({ "provider_id": id, "removed": true }));
            Ok(())
        }
    }
}

fn list_catalog(output: Output) {
    let recipes: Vec<&Recipe> = Catalog::builtin().iter().collect();
    let lines: Vec<_> = recipes
        .iter()
        .map(|r| {
            let open = r.parameters.iter().filter(|(_, parameter)| parameter.by == FilledBy::Operator);
            let needs: String = open.map(|(name, _)| format!("  needs --param {name}=...")).collect();
            let category = r.category.as_deref().unwrap_or_default();
            format!("{:<14}{:<14}{:<20}{:<10}{needs}", r.id, r.name, category, word(&r.status))
                .trim_end()
                .to_owned()
        })
        .collect();
    let rows: Vec<_> = recipes
        .iter()
        .map(|r| {
            json!({
                "provider_id": r.id, "name": r.name, "checked": r.checked, "status": r.status, "note": r.note,
                "source": r.source, "category": r.category, "description": r.description, "pkce": r.pkce,
                "refresh": r.refresh, "revocable": r.revocation().is_some(), "parameters": r.parameters,
                "default_scopes": r.default_scopes,
            })
        })
        .collect();
    output.list(&lines, "", &json!({ "catalog": rows }));
}

/// A status as the catalog's files spell it.
fn word(status: &impl serde::Serialize) -> String {
    serde_json::to_value(status).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

async fn list(app: &str, config: &Config, output: Output) -> anyhow::Result<()> {
    let flows = wiring::open(config).await?;
    let app = find_app(&flows, app).await?;
    let configs = operate::list_providers(&flows, app.id).await?;
    let rows: Vec<_> = configs.iter().map(|c| described(c, config)).collect();
    let callback = |c| callback_url(c, config).unwrap_or_else(|| UNKNOWN_URL.to_owned());
    let lines: Vec<_> =
        configs.iter().map(|c| format!("{:<14}{:<20}{}", c.recipe.id, c.recipe.name, callback(c))).collect();
    output.list(&lines, "No providers yet: alter provider set APP ID ...", &json!({ "providers": rows }));
    Ok(())
}

async fn set(args: SetArgs, config: &Config, output: Output) -> anyhow::Result<()> {
    let flows = wiring::open(config).await?;
    let app = find_app(&flows, &args.app).await?;
    let recipe = recipe_of(&args, config, output).await?;
    let setting = ProviderSetting {
        recipe,
        client_id: args.client_id.clone(),
        client_secret: args.secret.read()?,
        scopes: args.scopes.as_ref().map(|s| s.split_whitespace().map(str::to_owned).collect()),
    };
    let stored = operate::set_provider(&flows, &operator(), app.id, setting).await?;
    let mut text = match callback_url(&stored, config) {
        Some(url) => format!("Register this callback URL at the provider:\n  {url}"),
        None => format!("The callback URL to register at the provider: {UNKNOWN_URL}."),
    };
    text.insert_str(0, &format!("{} is configured.\n\n", stored.recipe.name));
    let blocked = blocked_endpoints(&stored.recipe, config).await?;
    for line in &blocked {
        text.push_str(&format!(
            "\n\nThis server may not ask {line}. Users cannot connect until that is mended."
        ));
    }
    if stored.recipe.api_hosts.is_empty() {
        text.push_str(
            "\n\nNo API host is known: /sdk/token will refuse every URL until you add --api-host HOST.",
        );
    }
    text.extend(told_of_wanting(&stored));
    if args.issuer.is_some() && stored.recipe.revocation().is_none() {
        text.push_str(
            "\n\nIts metadata name no revocation endpoint: a revoked grant ends here, and the provider is not asked. If \
             there is one, name it with --revoke-url URL.",
        );
    }
    let mut value = described(&stored, config);
    value["wanting_scopes"] = json!(operate::wanting_scopes(&stored));
    value["blocked"] = json!(blocked);
    output.answer(&text, &value);
    Ok(())
}

async fn set_scopes(
    app: &str,
    id: &str,
    scopes: &[String],
    config: &Config,
    output: Output,
) -> anyhow::Result<()> {
    let flows = wiring::open(config).await?;
    let app = find_app(&flows, app).await?;
    let scopes = scopes.iter().flat_map(|some| some.split_whitespace()).map(str::to_owned).collect();
    let stored = operate::set_scopes(&flows, &operator(), app.id, id, scopes).await?;
    let mut text = format!("{} is asked for: {}", stored.recipe.name, stored.scopes.join(" "));
    text.extend(told_of_wanting(&stored));
    let mut value = described(&stored, config);
    value["wanting_scopes"] = json!(operate::wanting_scopes(&stored));
    output.answer(&text, &value);
    Ok(())
}

/// The scopes that a configuration is without, and the command that adds them.
fn told_of_wanting(config: &ProviderConfig) -> Option<String> {
    let (wanting, recipe) = (operate::wanting_scopes(config), &config.recipe);
    let whole = shell_word(&operate::whole_scopes(config).join(" "));
    (!wanting.is_empty()).then(|| {
        format!(
            "\n\nThe scopes do not have what {} requires: {}. Add it: alter provider scopes {} {} {whole}",
            recipe.name,
            wanting.join(" "),
            config.app_id,
            recipe.id
        )
    })
}

async fn seal(
    app: &str,
    id: &str,
    accept: Option<&str>,
    config: &Config,
    output: Output,
) -> anyhow::Result<()> {
    let flows = wiring::open(config).await?;
    let app = find_app(&flows, app).await?;
    let configured = operate::list_providers(&flows, app.id).await?;
    let Some(known) = configured.iter().find(|c| c.recipe.id == id) else {
        return Err(OperateError::NoSuchProvider(id.to_owned()).into());
    };
    if let Some(digest) = accept {
        let looked_at = from_hex(digest).ok_or_else(|| {
            Usage(
                "--accept takes the digest that `alter provider seal APP ID` prints at the end of the row"
                    .into(),
            )
        })?;
        operate::seal_provider(&flows, &operator(), app.id, id, &looked_at).await?;
    }
    let digest = hex(&known.digest());
    // All of the row steers what is sent, and where: also which field is the account, and how the client proves itself.
    let mut value = described(known, config);
    value["recipe"] = serde_json::to_value(&*known.recipe)?;
    value["digest"] = json!(digest);
    let fields = value.as_object().into_iter().flatten();
    let lines: Vec<_> = fields.map(|(name, value)| in_a_line(&format!("{name:<16}{value}"))).collect();
    let end = match accept {
        Some(_) => "Sealed.".to_owned(),
        None => format!("Nothing was changed. If all of that is right: --accept {digest}"),
    };
    output.answer(&format!("{}\n\n{end}", lines.join("\n")), &value);
    Ok(())
}

/// Collects the provider's facts: from the catalog or nothing, then from discovery, from the spec file, from the flags.
async fn recipe_of(args: &SetArgs, config: &Config, output: Output) -> anyhow::Result<Recipe> {
    let found = match &args.issuer {
        Some(issuer) => Some(discovered(issuer, config, output).await?),
        None => None,
    };
    let (mut recipe, says_identity) = match &args.spec {
        Some(path) => from_file(path, args, found.as_ref(), output)?,
        None => (from_catalog(args, found.as_ref(), output)?, false),
    };
    if recipe.id != args.id {
        let what = "ID must be the `id` in the --spec file";
        return Err(Usage(format!("{what}: it is \"{}\", not \"{}\"", recipe.id, args.id)).into());
    }
    apply_flags(&mut recipe, args)?;
    if found.is_some() && !says_identity {
        identity_without_keys(&mut recipe);
    }
    let check =
        |recipe: &Recipe| alter_providers::validate(recipe).map_err(|error| flags::named(&error, args));
    // Before the placeholders are filled: where one may stand cannot be seen afterwards.
    check(&recipe)?;
    apply_params(&mut recipe, args)?;
    if let (None, Some(words)) = (&args.spec, found.as_ref().and_then(|found| found.prompts.as_ref())) {
        unlisted_prompts(&mut recipe, words, is_named(&args.params, "prompt"), output);
    }
    if let (Some(found), Some(scopes)) = (&found, &args.scopes) {
        note_unlisted(found, scopes, output);
    }
    check(&recipe)?;
    Ok(recipe)
}

fn from_catalog(args: &SetArgs, found: Option<&Discovered>, output: Output) -> anyhow::Result<Recipe> {
    let mut recipe = match Catalog::builtin().get(args.from.as_ref().unwrap_or(&args.id)) {
        Some(known) => Recipe { id: args.id.clone(), ..known.clone() },
        None if args.from.is_some() => {
            return Err(
                Usage("--from does not name a catalog entry (alter provider list --catalog)".into()).into()
            );
        }
        None => blank(args)?,
    };
    if let Some(found) = found {
        discover_into(&mut recipe, found, output);
    }
    Ok(recipe)
}

/// Reads the file, and whether it says where the identity comes from. What it leaves out is discovered, if there is an
/// issuer.
fn from_file(
    path: &Path,
    args: &SetArgs,
    found: Option<&Discovered>,
    output: Output,
) -> anyhow::Result<(Recipe, bool)> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("--spec {} cannot be read", path.display()))?;
    let read = match found {
        None => alter_providers::read(&text),
        Some(found) => {
            let mut base = blank(args)?;
            discover_into(&mut base, found, output);
            alter_providers::read_over(&text, &base)
        }
    };
    let recipe = read.map_err(|error| flags::in_file(&error, args))?;
    let says = toml::from_str::<toml::Table>(&text)?;
    Ok((recipe, says.get("identity").is_some_and(|identity| identity.get("from").is_some())))
}

fn blank(args: &SetArgs) -> Result<Recipe, Usage> {
    if args.issuer.is_none() && (args.authorize_url.is_none() || args.token_url.is_none()) {
        return Err(Usage(format!(
            "\"{}\" is not in the catalog (alter provider list --catalog): pass --issuer, or --authorize-url and --token-url",
            args.id
        )));
    }
    let minimal = json!({ "id": args.id, "name": args.id, "authorize_url": "", "token_url": "" });
    let mut recipe: Recipe = serde_json::from_value(minimal).map_err(|e| Usage(e.to_string()))?;
    recipe.identity.from =
        if args.issuer.is_some() { IdentitySource::IdToken } else { IdentitySource::Userinfo };
    Ok(recipe)
}

fn apply_flags(recipe: &mut Recipe, args: &SetArgs) -> Result<(), Usage> {
    let replace = |slot: &mut String, value: &Option<String>| {
        if let Some(value) = value {
            slot.clone_from(value);
        }
    };
    replace(&mut recipe.name, &args.name);
    replace(&mut recipe.authorize_url, &args.authorize_url);
    replace(&mut recipe.token_url, &args.token_url);
    for (slot, value) in [
        (&mut recipe.userinfo_url, &args.userinfo_url),
        (&mut recipe.revoke_url, &args.revoke_url),
        (&mut recipe.jwks_url, &args.jwks_url),
    ] {
        if value.is_some() {
            slot.clone_from(value);
        }
    }
    if args.revoke_url.is_some() {
        recipe.revoke = None;
    }
    recipe.api_hosts.extend(args.api_hosts.iter().map(|h| h.to_lowercase()));
    if let Some(subject) = &args.subject {
        recipe.identity.subject.clone_from(subject);
        recipe.chosen.insert("identity.subject".to_owned());
    }
    if let Some(what) = args.coop {
        recipe.coop = match what {
            CoopFlag::Keeps => Coop::Keeps,
            CoopFlag::Severs => Coop::Severs,
            CoopFlag::Unknown => Coop::Unknown,
        };
        recipe.chosen.insert("coop".to_owned());
    }
    for (name, value) in parameters("--token-param", &args.token_params)? {
        if value.is_empty() {
            return Err(Usage(format!("--token-param {name} has no value, and would count as not sent")));
        }
        recipe.chosen.insert(format!("token_params.{name}"));
        recipe.token_params.insert(name, value);
    }
    if args.secret.public_client {
        recipe.client_auth = ClientAuth::None;
    }
    if let Some(how) = args.client_auth {
        recipe.client_auth = match how {
            ClientAuthFlag::Basic => ClientAuth::Basic,
            ClientAuthFlag::Post => ClientAuth::Post,
            ClientAuthFlag::None => ClientAuth::None,
        };
    }
    if let Some(switch) = args.pkce {
        recipe.pkce = switch == Switch::On;
    }
    recipe.trusted_audiences.extend(args.trusted_audiences.iter().cloned());
    Ok(())
}

fn apply_params(recipe: &mut Recipe, args: &SetArgs) -> Result<(), Usage> {
    for (name, value) in parameters("--param", &args.params)? {
        if recipe.parameters.contains_key(&name) {
            recipe.fill(&name, &value).map_err(|e| Usage(format!("--param {name}: {e}")))?;
        } else {
            recipe.authorize_params.insert(name, value);
        }
    }
    if let Some((name, wanted)) = recipe.open_parameter() {
        return Err(Usage(format!(
            "{} needs --param {name}=VALUE: {} (for example {name}={})",
            recipe.id, wanted.description, wanted.example
        )));
    }
    Ok(())
}

/// What a repeatable flag says, each name once.
fn parameters(flag: &str, given: &[String]) -> Result<BTreeMap<String, String>, Usage> {
    let mut all = BTreeMap::new();
    for text in given {
        let named = text.split_once('=').filter(|(name, _)| !name.is_empty());
        let (name, value) = named.ok_or_else(|| Usage(format!("{flag} is {text}; it must be K=V")))?;
        if all.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(Usage(format!("{flag} {name} is there twice, and one value is sent; keep one")));
        }
    }
    Ok(all)
}

/// Whether a repeatable flag has this name.
fn is_named(given: &[String], name: &str) -> bool {
    given.iter().any(|text| text.split_once('=').is_some_and(|(key, _)| key == name))
}

/// What stands in place of a callback URL that only a guess could give.
pub(super) const UNKNOWN_URL: &str =
    "not known yet (start alter serve, or set ALTER_PUBLIC_URL; then: alter provider list APP)";

pub(super) fn callback_url(provider: &ProviderConfig, config: &Config) -> Option<String> {
    config.known_public_url().map(|url| format!("{url}/oauth/callback/{}", provider.config_id))
}

/// The endpoints that the server's own rule for destinations refuses, each with the setting that admits it.
pub(super) async fn blocked_endpoints(recipe: &Recipe, config: &Config) -> anyhow::Result<Vec<String>> {
    let egress = wiring::egress(config)?;
    let urls = [Some(&recipe.token_url), recipe.userinfo_url.as_ref(), recipe.jwks_url.as_ref()];
    let mut blocked = Vec::new();
    for url in urls.into_iter().flatten().filter_map(|url| url::Url::parse(url).ok()) {
        match egress.may_ask(&url).await {
            Err(error) if error.is_blocked() => blocked.push(format!("{url}: {error}")),
            // A name that this machine cannot resolve now is the doctor's affair.
            _ => {}
        }
    }
    Ok(blocked)
}

fn described(provider: &ProviderConfig, config: &Config) -> Value {
    json!({
        "provider_id": provider.recipe.id, "name": provider.recipe.name, "config_id": provider.config_id.as_str(),
        "callback_url": callback_url(provider, config), "client_id": provider.client_id, "scopes": provider.scopes,
        "issuer": provider.recipe.issuer, "authorize_url": provider.recipe.authorize_url,
        "token_url": provider.recipe.token_url, "api_hosts": provider.recipe.api_hosts,
        "refresh_url": provider.recipe.refresh.url, "userinfo_url": provider.recipe.userinfo_url,
        "revoke_url": provider.recipe.revocation().map(|how| how.url), "jwks_url": provider.recipe.jwks_url,
        "sealed": provider.seal.is_some(), "coop": provider.recipe.coop, "chosen": provider.recipe.chosen,
        "subject": provider.recipe.identity.subject, "token_params": provider.recipe.token_params.keys().collect::<Vec<_>>(),
        "filled_by_customer": provider.recipe.parameters.keys().collect::<Vec<_>>(),
    })
}
