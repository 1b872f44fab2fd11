//! A data directory, and the binary run on it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use rusqlite::Connection;
use serde_json::Value;

/// A data directory that is deleted with the test.
pub(crate) struct Place(PathBuf);

impl Place {
    /// An empty place: `alter init` has not run.
    pub(crate) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("alter-operate-{}-{name}", std::process::id()));
        let _left_over = std::fs::remove_dir_all(&dir);
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    /// An initialised place with one app. Returns the app's id too.
    pub(crate) fn with_app(name: &str) -> (Self, String) {
        let place = Self::new(name);
        place.json(&["init"]);
        let app = place.json(&["app", "create", "App", "--website-url", "https://app.example"]);
        (place, app["app_id"].as_str().unwrap().to_owned())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.data().join("alter.db")
    }

    pub(crate) fn sql(&self) -> Connection {
        Connection::open(self.database()).unwrap()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        command_on(&self.data(), args)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        answer(self.command(args).arg("--json").output().unwrap(), args)
    }

    /// Runs a command that must fail with status 1. Returns what it printed.
    pub(crate) fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", said(&output));
        said(&output)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _best_effort = std::fs::remove_dir_all(&self.0);
    }
}

/// A command of the binary on a data directory, without the tests' environment.
pub(crate) fn command_on(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alter"));
    command.args(args).env_clear().env("ALTER_DATA_DIR", data).env("ALTER_EGRESS_ALLOW", "127.0.0.0/8");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn answer(output: Output, args: &[&str]) -> Value {
    assert!(output.status.success(), "{args:?}: {}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
