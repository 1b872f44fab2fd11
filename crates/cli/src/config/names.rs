//! Which environment variables may be there. A name that begins with `ALTER_` and is no setting is a misspelt setting:
//! the program would run without it, and nobody would know.

use anyhow::bail;

/// Every variable that this program reads.
const SETTINGS: [&str; 16] = [
    "ALTER_CONFIG",
    "ALTER_CONNECTIONS",
    "ALTER_DATABASE_URL",
    "ALTER_DATABASE_URL_FILE",
    "ALTER_DATA_DIR",
    "ALTER_EGRESS_ALLOW",
    "ALTER_LISTEN",
    "ALTER_LOG",
    "ALTER_METRICS_LISTEN",
    "ALTER_PUBLIC_URL",
    "ALTER_ROOT_KEY",
    "ALTER_ROOT_KEY_FILE",
    "ALTER_ROOT_KEY_FILE_OLD",
    "ALTER_TRUSTED_PROXIES",
    // What clients of the server read. An operator may try them in the same shell.
    "ALTER_API_KEY",
    "ALTER_BASE_URL",
];

/// Refuses a variable `ALTER_...` that is no setting, by its name and with the nearest setting. Values are never shown.
///
/// # Errors
/// The error names the variable.
pub(super) fn refuse_unknown<'a>(
    mut variables: impl Iterator<Item = (&'a str, &'a str)>,
) -> anyhow::Result<()> {
    match variables.find(|(name, value)| !is_known(name, value)).map(|(name, _)| name) {
        None => Ok(()),
        Some(name) => match nearest(name, SETTINGS) {
            Some(near) => bail!("{name} is not a setting; did you mean {near}? (alter config lists all)"),
            None => bail!("{name} is not a setting (alter config lists all)"),
        },
    }
}

fn is_known(name: &str, value: &str) -> bool {
    !name.starts_with("ALTER_")
        || SETTINGS.contains(&name)
        || alter_failpoint::VARIABLES.contains(&name)
        || is_service_link(name, value)
}

/// Kubernetes describes a service `alter`, and each `alter-...`, to every container of its namespace: `ALTER_PORT`,
/// `ALTER_SERVICE_HOST`, `ALTER_PORT_8700_TCP_ADDR`.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_url = || ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    if name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return true;
    }
    if name.ends_with("_PORT") && is_url() {
        return true;
    }
    let mut words: Vec<_> = name.rsplit('_').collect();
    if let Some(&("PROTO" | "PORT" | "ADDR")) = words.first() {
        words.remove(0);
    }
    matches!(words[..], ["TCP" | "UDP" | "SCTP", port, "PORT", ..] if is_port(port))
}

/// The candidate that takes the fewest changes of letters, if these are few enough for a slip.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = candidates.into_iter().map(|known| (strsim::damerau_levenshtein(word, known), known));
    near.min().filter(|(changes, known)| *changes <= known.len() / 3).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(name: &str, value: &str) -> Result<(), String> {
        let variables = [(name, value)].into_iter();
        refuse_unknown(variables).map_err(|error| error.to_string())
    }

    #[test]
    fn a_misspelt_variable_is_refused_with_the_nearest_setting() {
        for (name, near) in [
            ("ALTER_LISTN", "ALTER_LISTEN"),
            ("ALTER_PUBLIC_ULR", "ALTER_PUBLIC_URL"),
            ("ALTER_TRUSTED_PROXY", "ALTER_TRUSTED_PROXIES"),
            ("ALTER_LOGS", "ALTER_LOG"),
            ("ALTER_ROOT_KEY_OLD_FILE", "ALTER_ROOT_KEY_FILE"),
        ] {
            let said = refuse(name, "canary-value").unwrap_err();
            assert!(said.starts_with(name) && said.contains(&format!("mean {near}?")), "{said}");
            assert!(!said.contains("canary"), "{said}");
        }
        let said = refuse("ALTER_ZZZZZZZZZZZZZZZZ", "").unwrap_err();
        assert!(!said.contains("did you mean"), "{said}");
    }

    #[test]
    fn every_setting_of_the_manual_is_known_and_so_are_other_programs_variables() {
        let words = super::super::DEFAULT.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
        for name in words.filter(|word| word.starts_with("ALTER_") && *word != "ALTER_") {
            assert_eq!(refuse(name, "x"), Ok(()), "{name}");
        }
        for name in ["PATH", "ALTERNATIVE", "ALTER_API_KEY", "ALTER_BASE_URL"] {
            assert_eq!(refuse(name, "x"), Ok(()), "{name}");
        }
    }

    #[test]
    fn what_kubernetes_says_of_a_service_is_not_a_setting_and_not_an_error() {
        for (name, value) in [
            ("ALTER_PORT", "tcp://10.0.0.7:8700"),
            ("ALTER_SERVICE_HOST", "10.0.0.7"),
            ("ALTER_SERVICE_PORT", "8700"),
            ("ALTER_SERVICE_PORT_HTTP", "8700"),
            ("ALTER_PORT_8700_TCP", "tcp://10.0.0.7:8700"),
            ("ALTER_PORT_8700_TCP_PROTO", "tcp"),
            ("ALTER_PORT_8700_TCP_PORT", "8700"),
            ("ALTER_PORT_8700_TCP_ADDR", "10.0.0.7"),
            ("ALTER_CONNECT_PORT_9464_UDP_ADDR", "10.0.0.8"),
            ("ALTER_CONNECT_SERVICE_HOST", "10.0.0.8"),
        ] {
            assert_eq!(refuse(name, value), Ok(()), "{name}");
        }
        for (name, value) in [("ALTER_PORT", "8700"), ("ALTER_PORT_TCP", "x"), ("ALTER_HOST", "10.0.0.7")] {
            assert!(refuse(name, value).is_err(), "{name}");
        }
    }
}
