//! `alter idp set|show|remove`: who vouches for an app's users.

mod sign_in;

use alter_core::{App, IdentityProvider};
use alter_flows::operate;
use alter_oauth::{DiscoveryError, IdpUnreachable, look_at_idp};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{find_app, operator, provider::SecretFrom};
use crate::{
    config::Config,
    output::{Output, Usage},
    wiring,
};

#[derive(Debug, Subcommand)]
pub(crate) enum IdpCommand {
    /// Set the identity provider of an app; replaces the one it had.
    Set(SetArgs),
    /// Show the identity provider of an app.
    Show {
        /// App id, or its name.
        app: String,
    },
    /// Remove the identity provider: the app's user tokens are refused from then on.
    Remove {
        /// App id, or its name.
        app: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// App id, or its name.
    app: String,
    /// `iss` of your users' tokens, exactly as it stands there; with --jwks-url any text, and {tenant} in it stands for the
    /// token's `tid`.
    #[arg(long, value_name = "ISSUER")]
    issuer: String,
    #[command(flatten)]
    audience: Audience,
    /// Where the issuer's keys are; default: where its metadata says.
    #[arg(long, value_name = "URL")]
    jwks_url: Option<String>,
    /// A tenant whose users are accepted, where the issuer has {tenant} (repeatable).
    #[arg(long = "tenant", value_name = "ID", conflicts_with = "any_tenant")]
    tenants: Vec<String>,
    /// Accept users of any tenant: anybody can open one.
    #[arg(long)]
    any_tenant: bool,
    /// Your client at the identity provider, so that users can sign in on the pages of this server: for links.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    #[command(flatten)]
    secret: SecretFrom,
    /// How that client's secret is sent; default: as the issuer's metadata says.
    #[arg(long, value_enum, value_name = "HOW", requires = "client_id", conflicts_with = "public_client")]
    client_auth: Option<sign_in::ClientAuthFlag>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Audience {
    /// A value that `aud` of your users' tokens is or contains.
    #[arg(long, value_name = "AUDIENCE")]
    audience: Option<String>,
    /// What `azp`, or without one `client_id`, of your users' tokens is: where they have no `aud` (Amazon Cognito, Clerk).
    #[arg(long, value_name = "CLIENT")]
    authorized_party: Option<String>,
    /// Accept tokens that the issuer made for any audience.
    #[arg(long)]
    any_audience: bool,
}

pub(crate) async fn run(command: IdpCommand, config: &Config, output: Output) -> anyhow::Result<()> {
    match command {
        IdpCommand::Set(args) => set(args, config, output).await,
        IdpCommand::Show { app } => {
            let flows = wiring::open(config).await?;
            let app = find_app(&flows, &app).await?;
            let Some(idp) = &app.settings.identity_provider else {
                anyhow::bail!("the app has no identity provider (alter idp set {} --issuer URL ...)", app.id);
            };
            output.answer(&lines(idp), &described(&app, idp));
            Ok(())
        }
        IdpCommand::Remove { app } => {
            let flows = wiring::open(config).await?;
            let app = find_app(&flows, &app).await?;
            let had = operate::remove_identity_provider(&flows, &operator(), app.id).await?;
            let text = if had { "Removed." } else { "The app had no identity provider." };
            output.answer(text, &json!({ "app_id": app.id.to_string(), "removed": had }));
            Ok(())
        }
    }
}

async fn set(args: SetArgs, config: &Config, output: Output) -> anyhow::Result<()> {
    let flows = wiring::open(config).await?;
    let app = find_app(&flows, &args.app).await?;
    let idp = IdentityProvider {
        issuer: args.issuer,
        audience: args.audience.audience,
        authorized_party: args.audience.authorized_party,
        jwks_url: args.jwks_url,
        tenants: args.tenants,
        any_tenant: args.any_tenant,
        sign_in: None,
    };
    idp.check().map_err(Usage)?;
    let client = sign_in::Client { id: args.client_id, secret: args.secret, auth: args.client_auth };
    let sign_in = sign_in::setting(&idp, client, config, output).await?;
    let found = look_at_idp(&wiring::egress(config)?, &idp).await;
    if let Err(IdpUnreachable::Metadata(error @ DiscoveryError::IssuerMismatch { .. })) = found {
        // Every token would be refused. Most likely the issuer is mistyped, so say it now.
        anyhow::bail!("{error}. Nothing was changed");
    }
    let client = operate::set_identity_provider(&flows, &operator(), app.id, idp.clone(), sign_in).await?;

    let mut value = described(&app, &idp);
    let told = match &client {
        Some(client) => sign_in::told(client, config, &mut value).await?,
        None => sign_in::removed(&app, &mut value),
    };
    let warning = found.as_ref().map_or_else(|error| Some(error.to_string()), |f| no_key(f.keys));
    value["keys_url"] = json!(found.as_ref().ok().map(|f| &f.jwks_url));
    value["keys"] = json!(found.as_ref().ok().map(|f| f.keys));
    value["warning"] = json!(warning);
    let text = match (warning, &found) {
        (Some(warning), _) => format!(
            "{}\n\nWarning: {warning}.\nThe setting is stored, but every user token is refused until this is mended (alter doctor).",
            lines(&idp)
        ),
        (None, Ok(found)) => {
            format!("{}\n\nFound {} usable keys at {}", lines(&idp), found.keys, found.jwks_url)
        }
        (None, Err(_)) => lines(&idp),
    };
    output.answer(&format!("{text}{told}"), &value);
    Ok(())
}

/// The warning for a key set without a usable key; `None` if there is one.
pub(crate) fn no_key(usable: usize) -> Option<String> {
    (usable == 0).then(|| {
        "the identity provider has no usable key (RSA of 2048 bits or more, P-256, P-384 or Ed25519)".into()
    })
}

fn lines(idp: &IdentityProvider) -> String {
    let for_whom = match (&idp.audience, &idp.authorized_party) {
        (Some(audience), _) => format!("audience  {audience}"),
        (None, Some(party)) => format!("azp       {party}"),
        (None, None) => "audience  any".to_owned(),
    };
    let mut text = format!(
        "issuer    {}\n{for_whom}\nkeys      {}",
        idp.issuer,
        idp.jwks_url.as_deref().unwrap_or("where the issuer's metadata says")
    );
    if idp.any_tenant {
        text.push_str("\ntenants   any");
    } else if !idp.tenants.is_empty() {
        text.push_str(&format!("\ntenants   {}", idp.tenants.join(", ")));
    }
    if let Some(client) = &idp.sign_in {
        text.push_str(&format!("\nsign-in   {}", client.client_id));
    }
    text
}

fn described(app: &App, idp: &IdentityProvider) -> Value {
    json!({
        "app_id": app.id.to_string(), "issuer": idp.issuer, "audience": idp.audience,
        "any_audience": idp.audience.is_none() && idp.authorized_party.is_none(),
        "authorized_party": idp.authorized_party, "jwks_url": idp.jwks_url, "tenants": idp.tenants,
        "any_tenant": idp.any_tenant, "client_id": idp.sign_in.as_ref().map(|client| &client.client_id),
    })
}
