//! Prints what commands return: text for people, or one JSON object with `--json`. Only this file writes to a terminal.

use std::{
    io::{IsTerminal, Read, Write},
    process::ExitCode,
};

use anyhow::Context;
use secrecy::SecretString;
use serde_json::{Value, json};

/// Prints text, or JSON with `--json`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

/// Wrong usage that clap cannot detect: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints the result of a command: `value` with `--json`, otherwise `text`.
    pub(crate) fn answer(self, text: &str, value: &Value) {
        let line = if self.json { value.to_string() } else { text.trim_end().to_owned() };
        // A closed pipe is the reader's choice, not our failure.
        let _reader_may_be_gone = writeln!(std::io::stdout(), "{line}");
    }

    /// Prints a line of progress to standard error; with `--json`, nothing.
    pub(crate) fn note(self, text: &str) {
        if !self.json {
            let _reader_may_be_gone = writeln!(std::io::stderr(), "{text}");
        }
    }

    pub(crate) fn failed(self, error: &anyhow::Error) -> ExitCode {
        let usage = error.downcast_ref::<Usage>().is_some();
        let text = format!("{error:#}");
        let line = if self.json { json!({ "error": text }).to_string() } else { format!("alter: {text}") };
        let _reader_may_be_gone = writeln!(std::io::stderr(), "{line}");
        ExitCode::from(if usage { 2 } else { 1 })
    }
}

/// Reads one secret from standard input, up to its end, without the final line break. Secrets are never arguments.
pub(crate) fn secret_from_stdin(what: &str) -> anyhow::Result<SecretString> {
    if std::io::stdin().is_terminal() {
        let _reader_may_be_gone = writeln!(std::io::stderr(), "Paste the {what}, then Enter and Ctrl-D:");
    }
    let mut text = String::new();
    std::io::stdin()
        .take(64 * 1024)
        .read_to_string(&mut text)
        .with_context(|| format!("could not read the {what}"))?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned()))
}
