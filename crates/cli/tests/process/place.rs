//! A data directory that is deleted with the test, and commands run on it.

use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// A throw-away data directory, with the environment of its commands.
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    env: Vec<(String, String)>,
}

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("alter-operating-{}-{name}", std::process::id()));
        let _left_over = std::fs::remove_dir_all(&dir);
        std::fs::create_dir(&dir).unwrap();
        let place = Self { dir, env: Vec::new() };
        place.with("ALTER_EGRESS_ALLOW", "127.0.0.0/8")
    }

    /// Sets a variable for every later command.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.into(), value.into()));
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_alter"));
        command.args(args).env_clear().env("ALTER_DATA_DIR", self.data()).stdin(Stdio::null());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a line as an operator's shell does.
    pub(crate) fn shell(&self, line: &str) -> Output {
        let alter = format!("alter() {{ '{}' \"$@\"; }}; {line}", env!("CARGO_BIN_EXE_alter"));
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &alter]).env_clear().env("ALTER_DATA_DIR", self.data()).stdin(Stdio::null());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.output().unwrap()
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        self.json_with(args, "")
    }

    /// Runs a command with this text on standard input.
    pub(crate) fn json_with(&self, args: &[&str], stdin: &str) -> Value {
        let mut command = self.command(args);
        command.arg("--json").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _best_effort = std::fs::remove_dir_all(&self.dir);
    }
}

/// Everything that a command printed, on both outputs.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
