//! Commands at a terminal: a secret is not shown as it is typed, and a person is asked before something ends.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Child, Stdio},
};

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};

use crate::place::Place;

/// A terminal, and a command that sits at it.
struct Terminal {
    keyboard: File,
    line: OwnedFd,
    child: Child,
    shown: String,
}

impl Terminal {
    fn run(place: &Place, args: &[&str]) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let line = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let end = || Stdio::from(line.try_clone().unwrap());
        let mut command = place.command(args);
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        Self { keyboard: File::from(keyboard), line, child, shown: String::new() }
    }

    /// Waits until the terminal shows these words.
    fn until(&mut self, words: &str) -> &mut Self {
        let mut some = [0; 1024];
        while !self.shown.contains(words) {
            let read = self.keyboard.read(&mut some).unwrap();
            self.shown.push_str(&String::from_utf8_lossy(&some[..read]));
        }
        self
    }

    fn press(&mut self, keys: &str) -> &mut Self {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self
    }

    fn shows_what_is_typed(&self) -> bool {
        let all = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcgetattr(&self.line).unwrap().local_modes.contains(all)
    }

    /// Waits for the command's end. Returns its exit status, whether the terminal is as before, and what it showed.
    fn ended(mut self) -> (Option<i32>, bool, String) {
        let status = self.child.wait().unwrap().code();
        let as_before = self.shows_what_is_typed();
        // What is left is read up to a mark of our own.
        let mut line = File::from(self.line.try_clone().unwrap());
        line.write_all(b"[end]").unwrap();
        self.until("[end]");
        (status, as_before, self.shown)
    }
}

const SET: [&str; 6] = ["provider", "set", "App", "github", "--client-id", "x"];

#[test]
fn t95_a_secret_that_is_typed_at_a_terminal_is_not_shown_and_the_terminal_is_as_before() {
    let (place, id) = Place::with_app("typed");
    let mut terminal = Terminal::run(&place, &[&SET[..], &["--client-secret-stdin"]].concat());
    terminal.until("it is not shown").press("s3cret-canarx\u{7f}y\r");
    let (status, as_before, shown) = terminal.ended();
    assert!(status == Some(0) && as_before, "{status:?} {as_before} {shown}");
    assert!(!shown.contains("s3cret") && shown.contains("is configured"), "{shown}");
    assert_eq!(place.json(&["provider", "list", &id])["providers"][0]["provider_id"], "github");
}

#[test]
fn t95_ctrl_c_while_a_secret_is_typed_leaves_the_terminal_as_it_was_and_nothing_changed() {
    let (place, id) = Place::with_app("stopped");
    for keys in ["s3cret\u{3}", "\u{4}"] {
        let mut terminal = Terminal::run(&place, &[&SET[..], &["--client-secret-stdin"]].concat());
        terminal.until("it is not shown");
        assert!(!terminal.shows_what_is_typed(), "control");
        terminal.press(keys);
        let (status, as_before, shown) = terminal.ended();
        assert!(
            status == Some(1) && as_before && !shown.contains("s3cret"),
            "{status:?} {as_before} {shown}"
        );
    }
    assert_eq!(place.json(&["provider", "list", &id])["providers"], serde_json::json!([]));
}

#[test]
fn a_person_types_the_name_of_the_app_that_is_to_be_deleted() {
    let (place, _) = Place::with_app("asked");
    for (typed, status, words) in [("app\r", 2, "nothing was deleted"), ("App\r", 0, "Deleted the app")] {
        let mut terminal = Terminal::run(&place, &["app", "delete", "App"]);
        terminal.until("Type the app's name").press(typed);
        let (code, as_before, shown) = terminal.ended();
        assert!(code == Some(status) && as_before && shown.contains(words), "{code:?} {shown}");
    }
}
