//! What commands read from standard input: secrets, and a person's consent.

use std::io::{BufRead, IsTerminal, Read};

use anyhow::{Context, bail};
use secrecy::SecretString;

use crate::output::ask;

/// The longest secret, bytes.
const LONGEST: u64 = 64 * 1024;

/// Reads one secret: all that a pipe has, without the final line break, or a line that a person types. A terminal does not
/// show it. Secrets are never arguments.
pub(crate) fn secret(what: &str) -> anyhow::Result<SecretString> {
    let could_not = || format!("could not read the {what}");
    if std::io::stdin().is_terminal() {
        let question = format!("Paste or type the {what} (it is not shown), then Enter:");
        return hidden_line(&question).with_context(could_not);
    }
    let mut text = String::new();
    std::io::stdin().take(LONGEST).read_to_string(&mut text).with_context(could_not)?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Asks for a line from a person; `None` if nobody sits there.
pub(crate) fn line(question: &str) -> anyhow::Result<Option<String>> {
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    ask(question);
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed)?;
    Ok(Some(typed.trim_end_matches(['\r', '\n']).to_owned()))
}

fn hidden_line(question: &str) -> anyhow::Result<SecretString> {
    // Before the question: somebody may answer at once.
    #[cfg(unix)]
    let _shown_again_at_the_end = terminal::Hidden::new()?;
    ask(question);
    let typed = typed_line(std::io::stdin().lock());
    // The line break was not shown either.
    ask("");
    typed
}

/// Reads a line key by key. The terminal passes on every key as it is: also those that would delete a character, or end
/// this process while the terminal shows nothing.
fn typed_line(keys: impl BufRead) -> anyhow::Result<SecretString> {
    let mut text = zeroize::Zeroizing::new(Vec::new());
    for key in keys.take(LONGEST).bytes() {
        match key? {
            b'\n' | b'\r' => break,
            // Ctrl-D
            0x04 if text.is_empty() => bail!("there was none"),
            0x04 => break,
            // Ctrl-C, Ctrl-\
            0x03 | 0x1c => bail!("stopped"),
            // Backspace
            0x7f | 0x08 => while text.pop().is_some_and(|byte| byte & 0xC0 == 0x80) {},
            // Ctrl-U
            0x15 => text.clear(),
            byte => text.push(byte),
        }
    }
    Ok(SecretString::from(std::str::from_utf8(&text)?))
}

#[cfg(unix)]
mod terminal {
    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

    /// Standard input's terminal shows nothing of what is typed until this is dropped.
    pub(super) struct Hidden(Termios);

    impl Hidden {
        pub(super) fn new() -> rustix::io::Result<Self> {
            let before = tcgetattr(std::io::stdin())?;
            let mut hidden = before.clone();
            // Without ISIG, Ctrl-C is a key: the line that is being read ends, and the terminal is as it was.
            hidden.local_modes -=
                LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN;
            hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
            hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
            tcsetattr(std::io::stdin(), OptionalActions::Now, &hidden)?;
            Ok(Self(before))
        }
    }

    impl Drop for Hidden {
        fn drop(&mut self) {
            let _the_terminal_may_be_gone = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::typed_line;

    #[test]
    fn a_line_is_typed_as_on_any_terminal() {
        let typed = |keys: &str| typed_line(keys.as_bytes()).map(|line| line.expose_secret().to_owned());
        for (keys, line) in [
            ("abc\nrest", "abc"),
            ("abc\rrest", "abc"),
            ("abc", "abc"),
            ("abc\u{4}", "abc"),
            ("ax\u{7f}b\u{8}bc\n", "abc"),
            ("ö\u{7f}ü\n", "ü"),
            ("\u{7f}wrong\u{15}right\n", "right"),
            ("\n", ""),
        ] {
            assert_eq!(typed(keys).unwrap(), line, "{keys:?}");
        }
        for keys in ["abc\u{3}", "abc\u{1c}\n", "\u{4}"] {
            assert!(typed(keys).is_err(), "{keys:?}");
        }
    }
}
