//! Every problem that the doctor knows: its id (scripts may rely on it), how bad the problem is, and what to do.

use alter_core::{ProviderConfig, provider::SIGN_IN};
use alter_flows::operate;
use serde_json::{Value, json};

use crate::output::shell_word;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    /// Nothing to do.
    Ok,
    /// Worth a look, but it may be intended.
    Warn,
    /// Something does not work, or is not safe.
    Mend,
}

impl Severity {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Mend => "mend",
        }
    }
}

/// A problem that the doctor can find.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) id: &'static str,
    pub(super) severity: Severity,
    /// What the problem is, for docs/reference/doctor.md.
    pub(super) what: &'static str,
    /// What to do. `APP` and `PROVIDER` are replaced by the app's id and the provider's, `SCOPES` by a whole list.
    pub(super) fix: &'static str,
}

/// The result of one check.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) id: &'static str,
    pub(super) severity: Severity,
    pub(super) text: String,
    pub(super) fix: Option<String>,
}

impl Finding {
    /// Nothing to mend; `id` is the subject of the check.
    pub(super) fn ok(id: &'static str, text: impl Into<String>) -> Self {
        Self { id, severity: Severity::Ok, text: text.into(), fix: None }
    }

    /// One line for people, and the fix on a second line.
    pub(super) fn line(&self) -> String {
        let mark = match self.severity {
            Severity::Ok => "ok",
            Severity::Warn => "warn",
            Severity::Mend => "MEND",
        };
        let fix = self.fix.as_ref().map(|fix| format!("\n      -> {fix}")).unwrap_or_default();
        format!("{mark:<4}  {:<24} {}{fix}", self.id, self.text)
    }

    /// The object that `--json` prints.
    pub(super) fn row(&self) -> Value {
        json!({ "id": self.id, "severity": self.severity.as_str(), "text": self.text, "fix": self.fix })
    }
}

impl Problem {
    /// A finding of this problem; `text` says where it is and how it shows.
    pub(super) fn found(&self, text: impl Into<String>) -> Finding {
        Finding { id: self.id, severity: self.severity, text: text.into(), fix: Some(self.fix.to_owned()) }
    }

    /// A finding about an app: its id replaces `APP` in the fix.
    pub(super) fn on_app(&self, app: &str, text: impl Into<String>) -> Finding {
        Finding { fix: Some(self.fix.replace("APP", app)), ..self.found(text) }
    }

    /// A finding about a grant of an app: both ids go into the fix.
    pub(super) fn on_grant(&self, app: &str, grant: &str, text: impl Into<String>) -> Finding {
        let fix = self.fix.replace("APP", app).replace("GRANT", grant);
        Finding { fix: Some(fix), ..self.found(text) }
    }

    /// A finding about a provider of an app: both ids go into the fix.
    pub(super) fn on_provider(&self, app: &str, provider: &str, text: impl Into<String>) -> Finding {
        let fix = if provider == SIGN_IN { self.fix_of_sign_in() } else { self.fix.to_owned() };
        let fix = fix.replace("APP", app).replace("PROVIDER", provider);
        Finding { fix: Some(fix), ..self.found(text) }
    }

    /// `alter provider set` refuses the client by which users sign in: `alter idp set` stores it.
    fn fix_of_sign_in(&self) -> String {
        let set = "alter idp set APP --issuer URL ... --client-id";
        let fix = self.fix.replace("alter provider set APP PROVIDER --client-id", set);
        fix.replace("alter provider set APP PROVIDER --issuer URL", &format!("{set} ID ..."))
    }

    /// A finding about the scopes of an app's provider: the fix is a command that runs as it stands.
    pub(super) fn on_scopes(&self, provider: &ProviderConfig, text: impl Into<String>) -> Finding {
        let scopes = shell_word(&operate::whole_scopes(provider).join(" "));
        let found = self.on_provider(&provider.app_id.to_string(), &provider.recipe.id, text);
        Finding { fix: found.fix.map(|fix| fix.replace("SCOPES", &scopes)), ..found }
    }
}

/// Makes one constant per problem, so that a check that names an unknown problem does not compile, and the list of all.
macro_rules! problems {
    ($($name:ident $id:literal $severity:ident $what:literal $fix:literal)*) => {
        $(pub(super) const $name: Problem =
            Problem { id: $id, severity: Severity::$severity, what: $what, fix: $fix };)*
        /// All problems, in the order in which the doctor looks for them.
        #[cfg(test)]
        const ALL: &[&Problem] = &[$(&$name),*];
    };
}

problems! {
    PUBLIC_URL_UNUSABLE "public-url-unusable" Mend
        "`ALTER_PUBLIC_URL` is not a usable origin: it has a path or a wildcard, or is plain http on a host that is not loopback"
        "Set ALTER_PUBLIC_URL to https, host and port, with nothing after them: https://connect.example.com"
    PUBLIC_URL_LOCAL "public-url-local" Warn
        "`ALTER_PUBLIC_URL` is http on loopback: it works on this machine only, and cookies go without `Secure`"
        "For users: ALTER_PUBLIC_URL=https://connect.example.com, and a proxy with TLS in front"
    PUBLIC_URL_UNKNOWN "public-url-unknown" Warn
        "nobody has told this command the server's address, and no `alter serve` with this data directory has left it: callback URLs are not known"
        "Start `alter serve`, or give this command the server's ALTER_PUBLIC_URL"
    LISTEN_PUBLIC "listen-public" Warn
        "`ALTER_LISTEN` is every address of the machine, or a public one, where anyone can speak plain http past the proxy"
        "Listen on loopback or on the proxy's network (ALTER_LISTEN=127.0.0.1:8700), or let the firewall admit only the proxy"
    METRICS_PUBLIC "metrics-public" Warn
        "`ALTER_METRICS_LISTEN` is every address of the machine, or a public one"
        "Give it an address that only your monitoring reaches: ALTER_METRICS_LISTEN=127.0.0.1:9464"
    OPEN_FILES_LOW "open-files-low" Warn
        "the limit on open files leaves room for fewer connections than the server admits"
        "Raise it: LimitNOFILE=65536 in the systemd unit, ulimits in compose, ulimit -n in a shell"
    ROOT_KEY_MISSING "root-key-missing" Mend
        "the root key is missing, cannot be read, or is not 32 bytes of base64"
        "Restore it from your backup, or point ALTER_ROOT_KEY_FILE at it; `alter init` makes a key only for a new installation"
    ROOT_KEY_READABLE "root-key-readable" Mend
        "the root key can be read by other users of the machine"
        "chmod 600 on the file, and chown to the user that runs the server"
    ROOT_KEY_OTHER "root-key-other" Mend
        "the root key is not the one that sealed this database"
        "Point ALTER_ROOT_KEY_FILE at this database's key, or ALTER_DATA_DIR at this key's database"
    DATA_DIR_OPEN "data-dir-open" Mend
        "the data directory can be entered by other users of the machine"
        "chmod 700 on the directory"
    DATA_DIR_OWNER "data-dir-owner" Mend
        "the data directory belongs to a user other than the one who runs this command"
        "Run alter as the owner (sudo -u alter alter ...), or chown the directory and everything in it"
    DATABASE_OPEN "database-open" Mend
        "the database, the log or the index beside it, or another file in the data directory, can be read or written by other users of the machine; or they can write the directory that holds the database"
        "chmod 600 on the file; chmod go-w on the directory"
    DISK_LOW "disk-low" Warn
        "less than a twentieth of the disk, or less than 1 GiB, is free where the database is"
        "Make room, or move ALTER_DATA_DIR to a larger disk"
    DISK_FULL "disk-full" Mend
        "less than 100 MiB is free where the database is: writes are about to fail"
        "Make room now; a write that fails is refused, and nothing that was acknowledged is lost"
    DATABASE_ON_NETWORK "database-on-network" Mend
        "the SQLite database is on a network file system, where its locks and its log cannot be relied on"
        "Move ALTER_DATA_DIR to a local disk"
    DATABASE_MISSING "database-missing" Mend
        "there is no database, or it was never initialised"
        "If it is elsewhere, point ALTER_DATA_DIR or ALTER_DATABASE_URL at it; if you have a backup: `alter restore FILE`; for a new installation: `alter init`"
    DATABASE_NO_WAL "database-no-wal" Mend
        "the file system does not support SQLite's write-ahead log"
        "Move the database to a local disk with an ordinary file system (ext4, xfs)"
    DATABASE_UNUSABLE "database-unusable" Mend
        "the database cannot be opened, written or read"
        "The text says why; if the file is damaged: `alter restore FILE` from a backup"
    SCHEMA_OLDER "schema-older" Warn
        "the database has an older schema than this program; its contents were not checked"
        "Back up, then run `alter migrate`, or start `alter serve`, which migrates"
    SCHEMA_NEWER "schema-newer" Mend
        "the database was migrated by a newer program"
        "Use the newer program, or restore a backup from before the upgrade"
    SCHEMA_FOREIGN "schema-foreign" Mend
        "the database has a trigger, a rule or the like that this program never makes: it can change or undo what is stored"
        "Find out who made it; stop every server, drop it with the database's own tool, and compare what it could reach with a backup"
    SCHEMA_BESIDE "schema-beside" Warn
        "the database has a view, an index or a table that this program did not make; nothing that is stored depends on it"
        "If nobody here made it, somebody else can write this database; drop it with the database's own tool"
    CLOCK_DATABASE "clock-database" Mend
        "this machine's clock and the database server's differ by more than five seconds: processes disagree about what has expired"
        "Run NTP on both (timedatectl set-ntp true)"
    APP_NO_PROVIDER "app-no-provider" Mend
        "an app has no provider: its users can connect nothing"
        "alter provider set APP ID --client-id ... (alter provider list --catalog names the ids)"
    APP_NO_WEBSITE "app-no-website" Warn
        "an app has no website_url: every session must name its allowed_origin"
        "alter app set APP --website-url https://app.example.com; for links, which need no page: alter idp set APP --issuer URL ... --client-id ID"
    APP_WEBSITE_HTTP "app-website-http" Warn
        "an app's website_url is plain http while the server is public: that is right only on a developer's machine"
        "alter app set APP --website-url https://app.example.com"
    APP_NAME_TWICE "app-name-twice" Warn
        "two apps from before the rule have the same name: people cannot tell them apart on the consent page, and commands need the id"
        "Give one of them another name: alter app rename ID NAME"
    APP_LEGACY_CLIENTS "app-legacy-clients" Warn
        "an app accepts the published browser client 0.8.0, which is bound to the app's page by heuristics only"
        "Once its pages use our SDK: alter app set APP --legacy-clients=false"
    APP_UNVERIFIED_LINKS "app-unverified-links" Warn
        "an app accepts links without proof: whoever sends somebody a link can get that person's account"
        "Let users sign in (alter idp set APP ... --client-id ID), and alter app set APP --allow-unverified-links=false"
    APP_ALLOW_BEARER "app-allow-bearer" Warn
        "an app on a public server accepts calls without a signature"
        "alter app set APP --allow-bearer=false, once its backend signs"
    PROVIDER_NO_API_HOST "provider-no-api-host" Mend
        "a provider has no API host: its tokens can be released for no URL"
        "alter provider set APP PROVIDER --api-host HOST ..."
    PROVIDER_NO_SECRET "provider-no-secret" Mend
        "a provider requires a client secret, and none is configured"
        "alter provider set APP PROVIDER --client-id ... --client-secret-stdin"
    PROVIDER_SCOPES "provider-scopes" Warn
        "a provider is not asked for a scope that it requires: it may refuse, or not say which account was connected"
        "alter provider scopes APP PROVIDER SCOPES"
    PROVIDER_CHANGED "provider-changed" Mend
        "a provider's row does not match its seal: somebody who has no root key changed it, and nothing is sent with it"
        "Find out who can write the database; then write the row anew: alter provider set APP PROVIDER --client-id ... --client-secret-stdin"
    PROVIDER_UNSEALED "provider-unsealed" Mend
        "a provider's row has no seal, because it is from before there were seals or somebody took it off; nothing is sent with it"
        "Look at the row, and seal it: alter provider seal APP PROVIDER, then with --accept DIGEST"
    KEY_REFUSED "key-refused" Mend
        "an API key's seal is wrong or missing: the key is from before there were seals, or somebody who has no root key planted or changed it"
        "After an upgrade, if no one else could write the database: alter key seal APP KEY_ID, then with --accept; otherwise make another, alter key revoke APP KEY_ID, and find out who can write the database"
    GRANT_CHANGED "grant-changed" Mend
        "a grant's tokens do not open in its row: somebody who has no root key changed whose grant it is or what it is for, or damaged them; none is released or sent"
        "Find out who can write the database; then end the grant (alter grant revoke APP GRANT) and let its user connect again"
    GRANTS_RECONNECT "grants-reconnect" Warn
        "grants of an app at a provider have no usable refresh token any more: only their users can help"
        "Let the app ask these users to connect again (alter grant list APP; alter grant show APP GRANT_ID says why)"
    CLIENT_REFUSED "client-refused" Mend
        "a provider does not accept an app's client: no grant of it can be refreshed, and none is lost yet"
        "Give it the right client id and secret: alter provider set APP PROVIDER --client-id ... --client-secret-stdin"
    REFRESH_LATE "refresh-late" Warn
        "refreshes are due for more than five minutes: no `alter serve` is running, or it cannot keep up or reach a provider"
        "Start `alter serve`; if it runs, its log and alter_refreshes_total say which provider it waits for"
    PUBLIC_URL_SILENT "public-url-silent" Warn
        "nothing answers at `ALTER_PUBLIC_URL` when this machine asks"
        "Start `alter serve` and the proxy; if only this machine cannot reach it (NAT), ask from elsewhere: curl URL/healthz"
    PUBLIC_URL_ELSEWHERE "public-url-elsewhere" Mend
        "something else answers at `ALTER_PUBLIC_URL`: not a Connect server, or one with another database"
        "Mend the DNS entry, the proxy's upstream, or ALTER_PUBLIC_URL; the server that answers must use the database that this command looks at"
    PUBLIC_URL_HOST "public-url-host" Mend
        "the server refuses the Host that arrives (421): the proxy rewrites it, or the server runs with another `ALTER_PUBLIC_URL`"
        "Pass Host on unchanged (nginx: proxy_set_header Host $http_host; Caddy does so), and give server and doctor the same ALTER_PUBLIC_URL"
    PROVIDER_NOT_RESOLVED "provider-not-resolved" Mend
        "the name of a provider's token endpoint has no address here"
        "Check the machine's DNS, and the spelling of the token URL"
    PROVIDER_PRIVATE "provider-private" Mend
        "a provider's token endpoint has an address that is not public, or plain http, and is not allowed"
        "If that is intended: add its network to ALTER_EGRESS_ALLOW, such as 10.1.0.0/16"
    PROVIDER_TLS "provider-tls" Mend
        "TLS with a provider's token endpoint fails"
        "Check the machine's clock and trust store; a proxy that intercepts TLS needs its certificate in the trust store"
    PROVIDER_UNREACHABLE "provider-unreachable" Mend
        "a provider's token endpoint does not answer"
        "Let the firewall pass outgoing TCP to it, port 443; HTTP_PROXY is not read"
    PROVIDER_KEYS "provider-keys" Mend
        "a provider's keys cannot be read, or none of them can verify a signature: every flow that needs its id_token fails"
        "Compare jwks_url with the provider's metadata, and set the provider again: alter provider set APP PROVIDER --issuer URL"
    PROVIDER_METADATA "provider-metadata" Warn
        "a provider's metadata cannot be read, or name other endpoints than those that were pinned"
        "If the provider moved, pin its endpoints anew: alter provider set APP PROVIDER --issuer URL"
    IDP_UNUSABLE "idp-unusable" Mend
        "an app's identity provider cannot be reached, or has no usable key: every user token is refused"
        "Mend the identity provider, or the app's setting: alter idp set APP --issuer URL --audience A (and --client-id again, if users sign in on this server's pages)"
    SIGN_IN_LOST "sign-in-lost" Mend
        "an app's setting names a client by which its users sign in, and that client's row is not there or is another client's: nobody can sign in"
        "Set it again: alter idp set APP --issuer URL ... --client-id ID --client-secret-stdin"
    CLOCK_SKEW "clock-skew" Warn
        "this machine's clock and a provider's differ by more than a minute"
        "Run NTP (timedatectl set-ntp true)"
    CLOCK_WRONG "clock-wrong" Mend
        "this machine's clock and a provider's differ by more than four minutes: signed calls and id_tokens are refused"
        "Run NTP (timedatectl set-ntp true)"
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/doctor.md");

    fn reference() -> String {
        let rows: Vec<String> = ALL
            .iter()
            .map(|p| format!("| `{}` | {} | {} | {} |\n", p.id, p.severity.as_str(), p.what, p.fix))
            .collect();
        format!(
            "# What `alter doctor` finds\n\n\
             Generated from the code by `UPDATE_DOCTOR=1 cargo test -p alter-cli doctor`; do not edit.\n\n\
             Each finding has an `id`, a `severity` (`ok`, `warn`, `mend`), a `text` and, unless it is ok, a `fix`;\n\
             `--json` prints them as `{{\"findings\": [...]}}`. The exit status is 1 if any finding is `mend`, else 0. Ids do\n\
             not change. `--offline` sends no request: neither to this server's public address nor to a provider.\n\
             A check that finds nothing wrong has one of the ids `public-url`, `root-key`, `data-dir`, `disk`, `database`,\n\
             `app`, `provider`, `grants`, `idp` and `reach`.\n\n\
             | Id | Severity | What it is | What to do |\n|---|---|---|---|\n{}\n\
             For the client by which an app's users sign in (`@sign-in`) the remedy names `alter idp set`.\n\n\
             No command can find out whether the callback URL is registered at the provider: no provider tells. The\n\
             finding `provider` prints the URL to register.\n",
            rows.concat()
        )
    }

    #[test]
    fn the_reference_lists_what_the_doctor_finds() {
        if std::env::var_os("UPDATE_DOCTOR").is_some() {
            std::fs::write(REFERENCE, reference()).unwrap();
        }
        let written = std::fs::read_to_string(REFERENCE).unwrap_or_default();
        assert_eq!(written, reference(), "UPDATE_DOCTOR=1 cargo test -p alter-cli doctor");
    }

    #[test]
    fn no_remedy_for_the_sign_in_client_is_a_command_that_refuses_it() {
        // It has no API hosts, and no scopes that it requires.
        let others = [PROVIDER_NO_API_HOST.id, PROVIDER_SCOPES.id, APP_NO_PROVIDER.id, CLIENT_REFUSED.id];
        for problem in ALL.iter().filter(|problem| !others.contains(&problem.id)) {
            let fix = problem.on_provider("an-app", SIGN_IN, "").fix.unwrap_or_default();
            assert!(!fix.contains("provider set"), "{}: {fix}", problem.id);
        }
        let kept = PROVIDER_KEYS.on_provider("an-app", "acme", "").fix.unwrap_or_default();
        assert!(kept.contains("alter provider set an-app acme --issuer URL"), "{kept}");
    }

    #[test]
    fn ids_are_unique() {
        let mut ids: Vec<_> = ALL.iter().map(|p| p.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), ALL.len());
    }
}
