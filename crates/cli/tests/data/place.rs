//! A data directory, and the binary run on it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use rusqlite::Connection;
use serde_json::Value;

/// A data directory that goes away with the test.
pub(crate) struct Place(PathBuf);

impl Place {
    /// Not initialised.
    pub(crate) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("alter-operate-{}-{name}", std::process::id()));
        let _left_over = std::fs::remove_dir_all(&dir);
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    /// Initialised, with one app; answers its id too.
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

    /// The command fails with status 1; answers what it said.
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

/// The binary on a data directory, with nothing of the tests' environment.
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
