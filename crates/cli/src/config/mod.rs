//! Settings: the embedded `default.toml`, then the file named by `ALTER_CONFIG`, then the environment, then flags. The
//! default file is the manual: a setting that is missing from it does not exist. A command that was not given a setting of
//! the server takes it from what the server left (`served`).

mod exposed;
mod flags;
mod log;
mod names;
mod root_key;
mod served;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use anyhow::{Context, bail};
use ipnet::IpNet;
use serde::Deserialize;

use crate::database::Database;

pub(crate) use exposed::{Exposed, Kind, is_private};
pub(crate) use flags::Flags;
pub(crate) use log::LogFilter;
pub(crate) use root_key::RootKeySource;
pub(crate) use served::record;

/// Every setting with its default and a comment; `alter config` prints it.
pub(crate) const DEFAULT: &str = include_str!("default.toml");

/// The settings in force, parsed and checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) public_url: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) database: Database,
    pub(crate) root_key: RootKeySource,
    /// The root key that is being replaced. It is accepted beside `root_key`.
    pub(crate) root_key_old: Option<RootKeySource>,
    pub(crate) log: LogFilter,
    pub(crate) egress_allow: Vec<IpNet>,
    /// `None` = metrics are not served.
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// The most connections at once.
    pub(crate) connections: usize,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) given: Given,
}

/// Which settings somebody gave: in the file, in the environment or by a flag. The others are defaults.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Given {
    pub(crate) public_url: bool,
    pub(crate) database_url: bool,
    pub(crate) egress_allow: bool,
}

/// The settings as they stand in a file; `None` = not in the file.
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
    metrics_listen: Option<String>,
    connections: Option<usize>,
    trusted_proxies: Option<Vec<String>>,
}

impl Config {
    /// Reads all settings. Flags win over the environment, the environment over the file, the file over the defaults.
    /// `listen` is the flag of `alter serve`.
    ///
    /// # Errors
    /// Names the setting and what is wrong with it.
    pub(crate) fn load(flags: &Flags, listen: Option<&str>) -> anyhow::Result<Self> {
        let mut env = environment()?;
        flags.replace(listen, &mut env)?;
        let file = match env.get("ALTER_CONFIG").filter(|path| !path.is_empty()) {
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
        Self::combine(file, |name| env.get(name).filter(|value| !value.is_empty()).cloned())
    }

    fn combine(file: Written, env: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let default: Written = toml::from_str(DEFAULT).context("the embedded default.toml is broken")?;
        let text = |name: &str, file: Option<String>, default: Option<String>| {
            env(name).or(file).or(default).unwrap_or_default()
        };
        let list = |name: &str, file: Option<Vec<String>>, default: Option<Vec<String>>| {
            let written = match env(name) {
                Some(list) => {
                    list.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect()
                }
                None => file.or(default).unwrap_or_default(),
            };
            written.iter().map(|s| network(name, s)).collect::<anyhow::Result<Vec<_>>>()
        };
        let given = Given {
            public_url: env("ALTER_PUBLIC_URL").is_some() || file.public_url.is_some(),
            database_url: env("ALTER_DATABASE_URL").is_some()
                || env("ALTER_DATABASE_URL_FILE").is_some()
                || file.database_url.is_some(),
            egress_allow: env("ALTER_EGRESS_ALLOW").is_some() || file.egress_allow.is_some(),
        };
        let listen = text("ALTER_LISTEN", file.listen, default.listen);
        let metrics_listen = text("ALTER_METRICS_LISTEN", file.metrics_listen, default.metrics_listen);
        let public_url = text("ALTER_PUBLIC_URL", file.public_url, default.public_url);
        let public_url = public_url.trim_end_matches('/').to_owned();
        let data_dir = env("ALTER_DATA_DIR")
            .map(PathBuf::from)
            .or(file.data_dir)
            .or(default.data_dir)
            .unwrap_or_default();
        let database_url = secret_file("ALTER_DATABASE_URL", &env)?;
        let database_url = database_url.or(file.database_url).or(default.database_url).unwrap_or_default();
        let root_key_file = text("ALTER_ROOT_KEY_FILE", file.root_key_file, default.root_key_file);
        let old = text("ALTER_ROOT_KEY_FILE_OLD", file.root_key_file_old, default.root_key_file_old);
        Ok(Self {
            listen: address("ALTER_LISTEN", &listen)?,
            public_url,
            database: Database::parse(&database_url, &data_dir)?,
            root_key: RootKeySource::new(env("ALTER_ROOT_KEY"), &root_key_file, &data_dir),
            root_key_old: (!old.is_empty()).then(|| RootKeySource::File(old.into())),
            log: text("ALTER_LOG", file.log, default.log).parse()?,
            egress_allow: list("ALTER_EGRESS_ALLOW", file.egress_allow, default.egress_allow)?,
            metrics_listen: match metrics_listen.as_str() {
                "" => None,
                written => Some(address("ALTER_METRICS_LISTEN", written)?),
            },
            connections: connections(env("ALTER_CONNECTIONS"), file.connections.or(default.connections))?,
            trusted_proxies: list("ALTER_TRUSTED_PROXIES", file.trusted_proxies, default.trusted_proxies)?,
            data_dir,
            given,
        })
    }
}

/// The variables `ALTER_...`. A name that is no setting is refused, and so is a value that cannot be read.
///
/// # Errors
/// Names the variable.
pub(crate) fn environment() -> anyhow::Result<BTreeMap<String, String>> {
    let mut ours = BTreeMap::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with("ALTER_")) else { continue };
        let value = value.into_string().map_err(|_| anyhow::anyhow!("{name} is not UTF-8"))?;
        ours.insert(name.to_owned(), value);
    }
    names::refuse_unknown(ours.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
    Ok(ours)
}

fn connections(env: Option<String>, written: Option<usize>) -> anyhow::Result<usize> {
    let text = env.unwrap_or_else(|| written.unwrap_or_default().to_string());
    match text.parse() {
        Ok(number @ 16..=1_000_000) => Ok(number),
        _ => bail!("ALTER_CONNECTIONS is \"{text}\"; it must be a number from 16 to 1000000"),
    }
}

fn address(name: &str, text: &str) -> anyhow::Result<SocketAddr> {
    text.parse()
        .with_context(|| format!("{name} is \"{text}\"; it must be an address and a port: 127.0.0.1:8700"))
}

/// A secret setting: the variable, or the file that `NAME_FILE` names.
fn secret_file(name: &str, env: &impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<String>> {
    let file_variable = format!("{name}_FILE");
    match (env(name), env(&file_variable)) {
        (Some(_), Some(_)) => bail!("{name} and {file_variable} are both set: set one of them"),
        (Some(text), None) => Ok(Some(text)),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("{file_variable} names {path}, which cannot be read"))?;
            Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
        (None, None) => Ok(None),
    }
}

/// A network, or a single address.
fn network(name: &str, text: &str) -> anyhow::Result<IpNet> {
    let single = || text.parse().ok().map(|address: std::net::IpAddr| IpNet::from(address));
    text.parse()
        .ok()
        .or_else(single)
        .with_context(|| format!("{name} has \"{text}\"; it must be a network such as 127.0.0.0/8"))
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
        assert_eq!(config.database.file(), Some("./alter-data/alter.db".as_ref()));
        assert_eq!(config.public_url, "http://localhost:8700");
    }

    #[test]
    fn lists_are_networks_or_addresses_and_empty_metrics_are_off() {
        let config = combine("", &[("ALTER_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1")]).unwrap();
        assert_eq!(config.trusted_proxies, ["10.0.0.0/8".parse().unwrap(), "192.0.2.1/32".parse().unwrap()]);
        assert_eq!(config.metrics_listen, None);
        let config = combine("metrics_listen = \"127.0.0.1:9100\"", &[]).unwrap();
        assert_eq!(config.metrics_listen.unwrap().port(), 9100);
    }

    #[test]
    fn the_files_in_deploy_name_only_settings_that_exist() {
        let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy");
        let read = |name: &str| std::fs::read_to_string(format!("{deploy}/{name}")).unwrap();
        let config = combine(&read("alter.toml"), &[]).unwrap();
        assert!(config.public_url.starts_with("https://") && config.metrics_listen.is_some());
        let files = ["alter.service", "Dockerfile", "compose.yaml"];
        let text = files.map(read).concat() + &read("../docs/guides/run-in-production.md");
        let words = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
        let mut names: Vec<_> = words.filter(|word| word.starts_with("ALTER_")).collect();
        names.sort_unstable();
        names.dedup();
        assert!(names.len() > 8, "{names:?}");
        // ALTER_CONFIG names the settings file, so it cannot be a setting in that file.
        for name in names.into_iter().filter(|name| *name != "ALTER_CONFIG") {
            let known = DEFAULT.contains(name) || DEFAULT.contains(name.trim_end_matches("_FILE"));
            assert!(known, "{name} is not a setting");
        }
    }

    #[test]
    fn unknown_settings_and_bad_values_are_refused_by_name() {
        assert!(combine("lsten = \"x\"", &[]).is_err());
        assert!(combine("log = \"warning\"", &[]).unwrap_err().to_string().contains("mean warn?"));
        let message = |env: &[(&str, &str)]| combine("", env).unwrap_err().to_string();
        assert!(message(&[("ALTER_LISTEN", "8700")]).contains("ALTER_LISTEN"));
        for number in ["15", "1000001", "-1", "many"] {
            assert!(message(&[("ALTER_CONNECTIONS", number)]).contains("from 16 to 1000000"), "{number}");
        }
        assert!(message(&[("ALTER_EGRESS_ALLOW", "localhost")]).contains("ALTER_EGRESS_ALLOW"));
        assert!(message(&[("ALTER_TRUSTED_PROXIES", "10.0.0.0/33")]).contains("ALTER_TRUSTED_PROXIES"));
        assert!(message(&[("ALTER_METRICS_LISTEN", "9100")]).contains("ALTER_METRICS_LISTEN"));
        assert!(message(&[("ALTER_DATABASE_URL", "postgres://y/z")]).contains("ALTER_DATABASE_URL"));
        let both = message(&[("ALTER_DATABASE_URL", "sqlite:"), ("ALTER_DATABASE_URL_FILE", "/x")]);
        assert!(both.contains("both set"));
        assert!(message(&[("ALTER_DATABASE_URL", "mysql:x")]).contains("ALTER_DATABASE_URL"));
    }
}
