//! Settings: the embedded `default.toml`, then the file named by `ALTER_CONFIG`, then the environment. The default
//! file is the manual: a setting that is not in it does not exist.

mod root_key;

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context, bail};
use ipnet::IpNet;
use serde::Deserialize;

pub(crate) use root_key::{RootKeySource, is_private};

/// Every setting with its default, commented.
pub(crate) const DEFAULT: &str = include_str!("default.toml");

/// Variables of decisions section 6 that this version does not build: said at start, never silently ignored.
const NOT_BUILT: [&str; 2] = ["ALTER_METRICS_LISTEN", "ALTER_TRUSTED_PROXIES"];

/// All settings.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) public_url: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) database: PathBuf,
    pub(crate) root_key: RootKeySource,
    /// Accepted beside it while it is replaced.
    pub(crate) root_key_old: Option<RootKeySource>,
    pub(crate) log: String,
    pub(crate) egress_allow: Vec<IpNet>,
}

/// The settings as written in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    listen: Option<String>,
    public_url: Option<String>,
    data_dir: Option<PathBuf>,
    database_url: Option<String>,
    root_key_file: Option<String>,
    root_key_file_old: Option<String>,
    log: Option<String>,
    egress_allow: Option<Vec<String>>,
}

impl Config {
    /// Reads all settings.
    ///
    /// # Errors
    /// Names the setting and what is wrong with it.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let file = match std::env::var_os("ALTER_CONFIG") {
            Some(path) => {
                let path = PathBuf::from(path);
                let text = std::fs::read_to_string(&path).with_context(|| {
                    format!("ALTER_CONFIG names {}, which cannot be read", path.display())
                })?;
                toml::from_str(&text)
                    .with_context(|| format!("{} is not a configuration file", path.display()))?
            }
            None => Written::default(),
        };
        Self::combine(file, |name| std::env::var(name).ok().filter(|v| !v.is_empty()))
    }

    fn combine(file: Written, env: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let default: Written = toml::from_str(DEFAULT).context("the embedded default.toml is broken")?;
        let text = |name: &str, file: Option<String>, default: Option<String>| {
            env(name).or(file).or(default).unwrap_or_default()
        };
        let listen = text("ALTER_LISTEN", file.listen, default.listen);
        let listen = listen.parse().with_context(|| {
            format!("ALTER_LISTEN is \"{listen}\"; it must be an address and a port: 127.0.0.1:8700")
        })?;
        let public_url = text("ALTER_PUBLIC_URL", file.public_url, default.public_url);
        let public_url = public_url.trim_end_matches('/').to_owned();
        let data_dir = env("ALTER_DATA_DIR")
            .map(PathBuf::from)
            .or(file.data_dir)
            .or(default.data_dir)
            .unwrap_or_default();
        let database_url = text("ALTER_DATABASE_URL", file.database_url, default.database_url);
        let root_key_file = text("ALTER_ROOT_KEY_FILE", file.root_key_file, default.root_key_file);
        let old = text("ALTER_ROOT_KEY_FILE_OLD", file.root_key_file_old, default.root_key_file_old);
        let egress = match env("ALTER_EGRESS_ALLOW") {
            Some(list) => list.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect(),
            None => file.egress_allow.or(default.egress_allow).unwrap_or_default(),
        };
        Ok(Self {
            listen,
            public_url,
            database: database_path(&database_url, &data_dir)?,
            root_key: RootKeySource::new(env("ALTER_ROOT_KEY"), &root_key_file, &data_dir),
            root_key_old: (!old.is_empty()).then(|| RootKeySource::File(old.into())),
            log: text("ALTER_LOG", file.log, default.log),
            egress_allow: egress.iter().map(|s| network(s)).collect::<anyhow::Result<_>>()?,
            data_dir,
        })
    }

    /// Variables that are set and not built.
    pub(crate) fn not_built() -> Vec<&'static str> {
        NOT_BUILT.into_iter().filter(|name| std::env::var_os(name).is_some()).collect()
    }
}

fn database_path(url: &str, data_dir: &std::path::Path) -> anyhow::Result<PathBuf> {
    if url.starts_with("postgres") {
        bail!(
            "ALTER_DATABASE_URL names a PostgreSQL database; PostgreSQL is not built yet. Leave it empty for SQLite."
        );
    }
    match url.strip_prefix("sqlite:") {
        Some("") => Ok(data_dir.join("alter.db")),
        Some(path) => Ok(PathBuf::from(path)),
        None => bail!("ALTER_DATABASE_URL is \"{url}\"; it must be \"sqlite:\" or \"sqlite:/path/to/file\"."),
    }
}

fn network(text: &str) -> anyhow::Result<IpNet> {
    text.parse().with_context(|| {
        format!("ALTER_EGRESS_ALLOW has \"{text}\"; it must be a network such as 127.0.0.0/8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn combine(file: &str, env: &[(&str, &str)]) -> anyhow::Result<Config> {
        let file = toml::from_str(file)?;
        let env: std::collections::HashMap<_, _> = env.iter().copied().collect();
        Config::combine(file, |name| env.get(name).map(|v| (*v).to_owned()))
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
        let config =
            combine("listen = \"127.0.0.1:1\"\nlog = \"debug\"", &[("ALTER_LISTEN", "127.0.0.1:2")]).unwrap();
        assert_eq!((config.listen.port(), config.log.as_str()), (2, "debug"));
        assert_eq!(config.database, PathBuf::from("./alter-data/alter.db"));
        assert_eq!(config.public_url, "http://localhost:8700");
    }

    #[test]
    fn unknown_settings_and_bad_values_are_refused_by_name() {
        assert!(combine("lsten = \"x\"", &[]).is_err());
        let message = |env: &[(&str, &str)]| combine("", env).unwrap_err().to_string();
        assert!(message(&[("ALTER_LISTEN", "8700")]).contains("ALTER_LISTEN"));
        assert!(message(&[("ALTER_EGRESS_ALLOW", "localhost")]).contains("ALTER_EGRESS_ALLOW"));
        assert!(message(&[("ALTER_DATABASE_URL", "postgres://x@y/z")]).contains("not built yet"));
        assert!(message(&[("ALTER_DATABASE_URL", "mysql:x")]).contains("ALTER_DATABASE_URL"));
    }
}
