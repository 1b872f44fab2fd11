//! `alter app create|list|show|set|rename|delete`.

mod delete;

use alter_core::{App, AppSettings, Level, Origin};
use alter_flows::operate;
use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{find_app, operator};
use crate::{
    config::Config,
    output::{Output, Usage},
    wiring,
};

#[derive(Debug, Subcommand)]
pub(crate) enum AppCommand {
    /// Create an app; prints its id, and its API key only once.
    Create {
        /// The app's name, shown to people on every page.
        name: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// List all apps.
    List,
    /// Show an app.
    Show {
        /// App id, or its name.
        app: String,
    },
    /// Change an app: only the given flags change.
    Set {
        /// App id, or its name.
        app: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Give an app another name. No two apps may get the same one.
    Rename {
        /// App id, or its name.
        app: String,
        /// The new name, shown to people on every page.
        name: String,
    },
    /// Delete an app with everything that belongs to it, except its audit. Counts it first, and asks.
    Delete(delete::DeleteArgs),
}

/// The flags of `app create` and `app set`; `None` = leave the setting as it is.
#[derive(Debug, Default, Args)]
pub(crate) struct Flags {
    /// The app's web page; its origin is the default of allowed_origin.
    #[arg(long, value_name = "URL")]
    website_url: Option<String>,
    /// An origin that a return_url may have (repeatable; replaces the list).
    #[arg(long = "return-origin", value_name = "ORIGIN")]
    return_origins: Vec<String>,
    /// Accept the published browser client 0.8.0 (binding level L1).
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    legacy_clients: Option<bool>,
    /// Accept links without proof (binding level L0): whoever sends somebody a link can get that person's account. Safer:
    /// let users sign in (alter idp set --client-id).
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    allow_unverified_links: Option<bool>,
    /// Let the app's keys start auth sessions, by which they get the token of whoever signs in: a mailed address is phishing.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    allow_auth_sessions: Option<bool>,
    /// Accept calls without a signature (curl, development).
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    allow_bearer: Option<bool>,
    /// Require the user's token for a user's grant that is named by its id, even with the app's own key.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    require_user_token: Option<bool>,
    /// Lifetime of a session in seconds, 60 to 3600.
    #[arg(long, value_name = "SECONDS")]
    session_ttl: Option<u32>,
    /// Sessions per minute that one server process mints for the app; 0 = no limit. Default 6000.
    #[arg(long, value_name = "N")]
    sessions_per_minute: Option<u32>,
    /// Sessions per minute that one server process mints for each user of the app; 0 = no limit. Default 30.
    #[arg(long, value_name = "N")]
    sessions_per_minute_and_user: Option<u32>,
    /// The lowest binding level, L0 to L3. L3: the app's backend confirms. L0: links without proof.
    #[arg(long, value_name = "L0..L3")]
    min_binding: Option<String>,
}

impl Flags {
    fn apply(self, settings: &mut AppSettings) -> Result<(), Usage> {
        let choose = |slot: &mut bool, value: Option<bool>| *slot = value.unwrap_or(*slot);
        choose(&mut settings.legacy_clients, self.legacy_clients);
        choose(&mut settings.allow_unverified_links, self.allow_unverified_links);
        choose(&mut settings.allow_auth_sessions, self.allow_auth_sessions);
        choose(&mut settings.allow_bearer, self.allow_bearer);
        choose(&mut settings.require_user_token, self.require_user_token);
        if self.website_url.is_some() {
            settings.website_url = self.website_url;
        }
        if !self.return_origins.is_empty() {
            settings.return_origins = origins(&self.return_origins)?;
        }
        settings.session_ttl = self.session_ttl.unwrap_or(settings.session_ttl);
        settings.sessions_per_minute = self.sessions_per_minute.unwrap_or(settings.sessions_per_minute);
        settings.sessions_per_minute_and_user =
            self.sessions_per_minute_and_user.unwrap_or(settings.sessions_per_minute_and_user);
        if let Some(text) = self.min_binding {
            let level = Level::parse(&text)
                .ok_or_else(|| Usage(format!("--min-binding is {text}; it must be L0, L1, L2 or L3")))?;
            settings.min_binding = Some(level);
        }
        settings.check().map_err(Usage)
    }
}

fn origins(given: &[String]) -> Result<Vec<Origin>, Usage> {
    let read = |text: &String| Origin::parse(text).map_err(|e| Usage(format!("--return-origin {text}: {e}")));
    given.iter().map(read).collect()
}

pub(crate) async fn run(command: AppCommand, config: &Config, output: Output) -> anyhow::Result<()> {
    match command {
        AppCommand::Create { name, flags } => create(name, flags, config, output).await,
        AppCommand::List => {
            let flows = wiring::open(config).await?;
            let apps = operate::list_apps(&flows).await?;
            let lines: Vec<_> = apps.iter().map(|a| format!("{}  {}", a.id, a.settings.name)).collect();
            let value = json!({ "apps": apps.iter().map(described).collect::<Vec<_>>() });
            output.list(&lines, "No apps yet: alter app create NAME", &value);
            Ok(())
        }
        AppCommand::Show { app } => {
            let flows = wiring::open(config).await?;
            let app = find_app(&flows, &app).await?;
            show(&app, output);
            Ok(())
        }
        AppCommand::Set { app, flags } => {
            let flows = wiring::open(config).await?;
            let mut app = find_app(&flows, &app).await?;
            flags.apply(&mut app.settings)?;
            operate::change_app(&flows, &operator(), app.id, app.settings.clone()).await?;
            show(&app, output);
            Ok(())
        }
        AppCommand::Rename { app, name } => {
            let flows = wiring::open(config).await?;
            let app = find_app(&flows, &app).await?;
            show(&operate::rename_app(&flows, &operator(), app.id, &name).await?, output);
            Ok(())
        }
        AppCommand::Delete(args) => delete::run(&args, &wiring::open(config).await?, output).await,
    }
}

async fn create(name: String, flags: Flags, config: &Config, output: Output) -> anyhow::Result<()> {
    let mut settings = AppSettings::named(name);
    settings.check_name().map_err(Usage)?;
    flags.apply(&mut settings)?;
    let flows = wiring::open(config).await?;
    let made = operate::create_app(&flows, &operator(), settings).await?;
    let (id, key) = (made.app.id, made.key.secret.expose_secret());
    let mut text = format!(
        "app_id   {id}\napi_key  {key}\n\nThis key is not shown again. Keep it where your backend keeps secrets."
    );
    if made.app.settings.website_url.is_none() && !made.app.is_for_links() {
        text.push_str(&format!(
            "\n\nThis app has no page yet, so each session must name one (allowed_origin). Give the app its page:\n  \
             alter app set {id} --website-url https://app.example.com\n\
             For links, which need no page, let the app's users sign in on this server's pages:\n  \
             alter idp set {id} --issuer URL --audience A --client-id ID --client-secret-stdin"
        ));
    }
    let mut value = described(&made.app);
    value["api_key"] = json!(key);
    value["key_id"] = json!(made.key.key.id.to_string());
    output.answer(&text, &value);
    Ok(())
}

fn show(app: &App, output: Output) {
    let value = described(app);
    let lines = value.as_object().into_iter().flatten().map(|(name, v)| match v {
        Value::String(text) => format!("{name:<30}{text}"),
        other => format!("{name:<30}{other}"),
    });
    output.list(&lines.collect::<Vec<_>>(), "", &value);
}

fn described(app: &App) -> Value {
    let mut value = json!(app.settings);
    value["app_id"] = json!(app.id.to_string());
    value["created_at"] = json!(app.created_at.to_rfc3339());
    value["min_binding"] = json!(app.min_binding().as_str());
    value
}
