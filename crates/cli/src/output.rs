//! Prints what commands return: text for people, or one JSON object with `--json`. Only this file writes to a terminal,
//! and all that it writes goes through [`printable`] or [`json_line`]: names and reasons were written by others, and a
//! terminal obeys what it is sent.

use std::{io::Write, process::ExitCode};

use alter_core::text::escaped;
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

/// Nothing was found wrong, but not everything could be judged: exit status 3.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unjudged(pub(crate) String);

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints the result of a command: `value` with `--json`, otherwise `text`.
    pub(crate) fn answer(self, text: &str, value: &Value) {
        let line = if self.json { json_line(value) } else { printable(text.trim_end()) };
        // A closed pipe is the reader's choice, not our failure.
        let _reader_may_be_gone = writeln!(std::io::stdout(), "{line}");
    }

    /// Prints what a command lists, a line each: no value can make a second one. `none` if there is nothing to list.
    pub(crate) fn list(self, lines: &[String], none: &str, value: &Value) {
        let lines: Vec<String> = lines.iter().map(|line| in_a_line(line)).collect();
        let text = if lines.is_empty() { none.to_owned() } else { lines.join("\n") };
        self.answer(&text, value);
    }

    /// Prints a line of progress to standard error; with `--json`, nothing.
    pub(crate) fn note(self, text: &str) {
        if !self.json {
            let _reader_may_be_gone = writeln!(std::io::stderr(), "{}", printable(text));
        }
    }

    pub(crate) fn failed(self, error: &anyhow::Error) -> ExitCode {
        let text = format!("{error:#}");
        let line = if self.json {
            json_line(&json!({ "error": text }))
        } else {
            printable(&format!("alter: {text}"))
        };
        let _reader_may_be_gone = writeln!(std::io::stderr(), "{line}");
        ExitCode::from(match () {
            () if error.is::<Usage>() => 2,
            () if error.is::<Unjudged>() => 3,
            () => 1,
        })
    }
}

/// The text with the numbers of characters that people do not see or that command a terminal. Its lines stay.
fn printable(text: &str) -> String {
    text.split('\n').map(in_a_line).collect::<Vec<_>>().join("\n")
}

/// What somebody else wrote, as it may stand in a line of ours. Characters are written as in Rust and JavaScript:
/// `\u{1b}`.
pub(crate) fn in_a_line(text: &str) -> String {
    escaped(text, |c| c.escape_unicode().to_string())
}

/// JSON of the same value in one line, where [`printable`] would change characters: RFC 8259 section 7 escapes, which only
/// strings can need.
pub(crate) fn json_line(value: &Value) -> String {
    let units = |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect();
    escaped(&value.to_string(), units)
}

/// A text as one word of a command that a shell reads.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let plain = !text.is_empty() && text.chars().all(is_plain);
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Asks a person something, whatever the form of the output.
pub(crate) fn ask(question: &str) {
    let _reader_may_be_gone = writeln!(std::io::stderr(), "{}", printable(question));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stranger may have written: commands for a terminal, a second line, a reversed line, a hidden text.
    const HOSTILE: &str = "x\u{1b}[2J\u{9b}2J\u{7f}\r\t\u{202e}\u{e0041}\u{200d}\u{2028}";

    #[test]
    fn t26_nothing_that_commands_a_terminal_reaches_it() {
        let shown = r"x\u{1b}[2J\u{9b}2J\u{7f}\u{d}\u{9}\u{202e}\u{e0041}\u{200d}\u{2028}";
        assert_eq!(printable(HOSTILE), shown);
        assert_eq!(printable("a\n  b"), "a\n  b", "our own lines stay");
        for seen in ["نیم\u{200c}فاصله", "👩\u{200d}💻", "शक्\u{200d}ति", "株式会社\u{3000}メモ"]
        {
            assert_eq!(printable(seen), seen);
        }
    }

    #[test]
    fn a_text_in_a_command_is_one_word() {
        assert_eq!(shell_word("/var/lib/alter-1.0/alter.db"), "/var/lib/alter-1.0/alter.db");
        assert_eq!(shell_word("/my data/$x"), "'/my data/$x'");
        assert_eq!(shell_word("/it's"), r"'/it'\''s'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn t26_json_has_the_same_value_and_no_character_that_commands_a_terminal() {
        let value = json!({ "name": HOSTILE, "\u{9b}": "👩\u{200d}💻" });
        let line = json_line(&value);
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
        assert_eq!(printable(&line), line);
        assert!(
            line.contains(r"\udb40\udc41") && line.contains(r"\u009b") && line.contains("👩\u{200d}💻"),
            "{line}"
        );
    }
}
