//! `ALTER_LOG`. The filter's own parser takes any word for a module: `warning` would switch off everything, errors
//! included. So every word is checked here.

use std::{fmt, str::FromStr};

use super::names::nearest;

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Our own modules. A module of another crate (`hyper=debug`) cannot be checked.
const OURS: [&str; 11] = [
    "alter",
    "alter_core",
    "alter_egress",
    "alter_flows",
    "alter_mock_provider",
    "alter_oauth",
    "alter_providers",
    "alter_server",
    "alter_store_postgres",
    "alter_store_sqlite",
    "alter_vault",
];

/// A checked log filter. It has a level for all modules, so that errors are never off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LogFilter {
    type Err = anyhow::Error;

    /// # Errors
    /// Names the word that is neither a level nor a module with a level.
    fn from_str(text: &str) -> anyhow::Result<Self> {
        let words: Vec<_> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        words.iter().try_for_each(|word| check(word))?;
        let general = words.iter().any(|word| !word.contains('='));
        let level = if general { None } else { Some("info") };
        Ok(Self(level.into_iter().chain(words).collect::<Vec<_>>().join(",")))
    }
}

fn check(word: &str) -> anyhow::Result<()> {
    let (module, level) = word.split_once('=').map_or((None, word), |(module, level)| (Some(module), level));
    if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
        let near = nearest(&level.to_ascii_lowercase(), LEVELS);
        let near =
            near.or_else(|| LEVELS.into_iter().find(|known| level.to_ascii_lowercase().starts_with(known)));
        let advice = near.map(|known| format!("; did you mean {known}?")).unwrap_or_default();
        anyhow::bail!("ALTER_LOG has \"{level}\", which is not a level ({}){advice}", LEVELS.join(", "));
    }
    match module {
        None => Ok(()),
        Some(module) => check_module(module),
    }
}

fn check_module(module: &str) -> anyhow::Result<()> {
    let is_path =
        !module.is_empty() && module.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':');
    let krate = module.split("::").next().unwrap_or_default();
    if is_path && (OURS.contains(&krate) || !krate.starts_with("alter")) {
        return Ok(());
    }
    let advice = nearest(krate, OURS).map(|known| format!("; did you mean {known}?")).unwrap_or_default();
    anyhow::bail!("ALTER_LOG has \"{module}\", which is not a module{advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<LogFilter>().unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_word_is_refused_with_the_nearest_level() {
        for (text, near) in [
            ("warning", "warn"),
            ("verbose", ""),
            ("inf", "info"),
            ("info,alter_flows=debg", "debug"),
            ("off", ""),
            ("alter_flows", ""),
            ("information", "info"),
        ] {
            let said = refused(text);
            assert!(said.starts_with("ALTER_LOG has \"") && said.contains("error, warn, info"), "{said}");
            assert_eq!(said.contains("did you mean"), !near.is_empty(), "{said}");
            assert!(near.is_empty() || said.ends_with(&format!("mean {near}?")), "{said}");
        }
        assert!(refused("info,alter_flow=debug").ends_with("mean alter_flows?"));
        assert!(refused("info,[span]=debug").contains("not a module"));
    }

    #[test]
    fn a_filter_by_module_leaves_the_others_on() {
        let read = |text: &str| text.parse::<LogFilter>().unwrap().to_string();
        assert_eq!(read("alter_flows=debug"), "info,alter_flows=debug");
        assert_eq!(read("warn, hyper=TRACE"), "warn,hyper=TRACE");
        assert_eq!(read("DEBUG"), "DEBUG");
        assert_eq!(read("alter_server::accept=trace,error"), "alter_server::accept=trace,error");
        assert_eq!(read(""), "info");
    }
}
