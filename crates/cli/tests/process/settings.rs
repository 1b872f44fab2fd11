//! Settings as an operator gives them: misspelt, to the server alone, for another database, as flags.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Output, Stdio},
};

use crate::place::{Place, said};

impl Place {
    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Starts `alter serve` with these variables, and returns when it serves. It is killed when the result is dropped.
    fn serve(&self, variables: &[(&str, &str)]) -> Serving {
        let mut command = self.command(&["serve"]);
        command.env("ALTER_LISTEN", "127.0.0.1:0").envs(variables.iter().copied()).stderr(Stdio::piped());
        let mut serving = Serving(command.spawn().unwrap());
        let mut lines = BufReader::new(serving.0.stderr.take().unwrap()).lines();
        assert!(lines.by_ref().map_while(Result::ok).any(|line| line.contains("\"serving\"")));
        serving
    }

    /// What `alter serve` with these variables logs before it serves; then it is killed.
    fn said_until_it_serves(&self, variables: &[(&str, &str)]) -> String {
        let mut command = self.command(&["serve"]);
        command.env("ALTER_LISTEN", "127.0.0.1:0").envs(variables.iter().copied()).stderr(Stdio::piped());
        let mut serving = Serving(command.spawn().unwrap());
        let lines = BufReader::new(serving.0.stderr.take().unwrap()).lines().map_while(Result::ok);
        lines.take_while(|line| !line.contains("\"serving\"")).collect::<Vec<_>>().join("\n")
    }

    /// Makes an app; returns its id.
    fn app(&self) -> String {
        let app = self.json(&["app", "create", "My App", "--website-url", "https://app.example.com"]);
        app["app_id"].as_str().unwrap().to_owned()
    }
}

/// A server process. SIGKILL ends it.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _it_may_have_ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn a_misspelt_variable_or_log_level_is_refused_with_the_nearest() {
    let place = Place::new("misspelt");
    for (name, value, near) in [
        ("ALTER_LOG", "warning", "did you mean warn?"),
        ("ALTER_LOG", "verbose", "error, warn, info, debug, trace"),
        ("ALTER_LISTN", "127.0.0.1:1", "ALTER_LISTN is not a setting; did you mean ALTER_LISTEN?"),
    ] {
        for args in [&["serve"][..], &["app", "list"], &["demo", "--check"], &["doctor"]] {
            let refused = place.command(args).env(name, value).output().unwrap();
            assert_eq!(refused.status.code(), Some(2), "{args:?} {}", said(&refused));
            assert!(said(&refused).contains(near), "{args:?} {}", said(&refused));
        }
    }
    let mut linked = place.command(&["init"]);
    linked.env("ALTER_PORT", "tcp://10.0.0.7:8700").env("ALTER_SERVICE_HOST", "10.0.0.7");
    let linked = linked.env("ALTER_PORT_8700_TCP_ADDR", "10.0.0.7").output().unwrap();
    assert!(linked.status.success(), "{}", said(&linked));
}

#[test]
fn a_missing_database_is_mended_by_what_the_error_says() {
    let place = Place::new("missing");
    let missing = |args: &[&str]| {
        let refused = place.run(args);
        assert_eq!(refused.status.code(), Some(1), "{args:?}");
        let (words, path) = (said(&refused), place.data().join("alter.db"));
        assert!(words.contains(&format!("there is no database at {}", path.display())), "{words}");
        for mend in ["ALTER_DATA_DIR", "alter restore FILE", "alter init"] {
            assert!(words.contains(mend), "{words}");
        }
    };
    for args in [&["serve"][..], &["app", "list"], &["migrate"], &["backup", "/nowhere/x.db"]] {
        missing(args);
    }
    // The database is gone, or an init was broken off: init makes what is missing, and keeps the key.
    place.json(&["init"]);
    let key = std::fs::read(place.data().join("root.key")).unwrap();
    for broken_off in [None, Some("")] {
        for file in ["alter.db", "alter.db-wal", "alter.db-shm"] {
            let _it_may_be_absent = std::fs::remove_file(place.data().join(file));
        }
        match broken_off {
            None => missing(&["serve"]),
            Some(text) => std::fs::write(place.data().join("alter.db"), text).unwrap(),
        }
        place.json(&["init"]);
        assert_eq!(std::fs::read(place.data().join("root.key")).unwrap(), key);
        assert!(place.run(&["app", "list"]).status.success());
    }
}

/// As the guide prints it: the variables stand before `alter serve` alone, and the commands come from another shell.
#[test]
fn commands_print_the_servers_public_url_or_none_and_never_a_guess() {
    let place = Place::new("guess");
    place.json(&["init"]);
    let id = &*place.app();
    let set = ["provider", "set", id, "github", "--client-id", "x", "--client-secret-stdin"];
    let set = || place.json_with(&set, "s3cret")["callback_url"].to_string();
    assert_eq!(set(), "null");
    let unknown = |what: &str| {
        assert!(!what.contains("localhost:8700") && !what.contains("/oauth/callback/"), "{what}");
    };
    let list = said(&place.run(&["provider", "list", id]));
    assert!(list.contains("not known yet") && list.contains("ALTER_PUBLIC_URL"), "{list}");
    unknown(&list);
    let doctor = said(&place.run(&["doctor", "--offline"]));
    unknown(&doctor);
    assert!(doctor.contains("public-url-unknown"), "{doctor}");

    let served = place.serve(&[("ALTER_PUBLIC_URL", "https://connect.example.com")]);
    let known = "https://connect.example.com/oauth/callback/pc_";
    for said in
        [set(), said(&place.run(&["provider", "list", id])), said(&place.run(&["doctor", "--offline"]))]
    {
        assert!(said.contains(known) && !said.contains("localhost:8700"), "{said}");
    }
    // Who names another one gets it, and a stopped server is remembered.
    drop(served);
    let named = place.run(&["provider", "list", id, "--public-url", "https://other.example"]);
    assert!(said(&named).contains("https://other.example/oauth/callback/pc_"), "{}", said(&named));
    assert!(said(&place.run(&["provider", "list", id])).contains(known));
}

#[test]
fn a_command_without_the_servers_database_is_refused() {
    let place = Place::new("elsewhere");
    place.json(&["init"]);
    let other = format!("sqlite:{}", place.dir.join("other.db").display());
    let with_other = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("ALTER_DATABASE_URL", &other);
        command.output().unwrap()
    };
    assert!(with_other(&["init"]).status.success());
    drop(place.serve(&[("ALTER_DATABASE_URL", &other)]));
    for args in [&["app", "list"][..], &["init"], &["doctor", "--offline"], &["backup", "x.db"]] {
        let refused = place.run(args);
        assert_eq!(refused.status.code(), Some(1), "{args:?} {}", said(&refused));
        let words = said(&refused);
        assert!(words.contains("other.db") && words.contains("ALTER_DATABASE_URL"), "{args:?} {words}");
    }
    assert!(with_other(&["app", "list"]).status.success());
    let meant = place.command(&["app", "list"]).env("ALTER_DATABASE_URL", "sqlite:").output().unwrap();
    assert!(meant.status.success(), "{}", said(&meant));
}

#[test]
fn a_provider_that_the_server_may_not_ask_is_told_of_with_the_setting() {
    let place = Place::new("blocked");
    place.json(&["init"]);
    let id = &*place.app();
    let set = |token: &str| {
        let args = [
            "provider",
            "set",
            id,
            "inside",
            "--authorize-url",
            "https://id.example/a",
            "--token-url",
            token,
        ];
        let more = [
            "--userinfo-url",
            "https://127.0.0.1/me",
            "--client-id",
            "x",
            "--public-client",
            "--api-host",
            "h.example",
        ];
        let output = place.run(&[&args[..], &more[..]].concat());
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };
    let told = set("https://10.1.2.3/token");
    assert!(
        told.contains("may not ask https://10.1.2.3/token") && told.contains("ALTER_EGRESS_ALLOW"),
        "{told}"
    );
    assert!(!told.contains("127.0.0.1/me"), "control: that one is allowed here: {told}");
    // What the server allows, its commands allow.
    drop(place.serve(&[("ALTER_EGRESS_ALLOW", "10.0.0.0/8,127.0.0.0/8")]));
    let mut list =
        place.command(&["provider", "set", id, "inside", "--authorize-url", "https://id.example/a"]);
    list.args(["--token-url", "https://10.1.2.3/token", "--userinfo-url", "https://10.1.2.3/me"]);
    list.args(["--client-id", "x", "--public-client"]);
    let told = said(&list.env_remove("ALTER_EGRESS_ALLOW").output().unwrap());
    assert!(told.contains("is configured") && !told.contains("may not ask"), "{told}");
}

#[test]
fn four_settings_are_flags_and_serve_explains_all() {
    let place = Place::new("flags");
    let data = place.dir.join("elsewhere");
    let data = data.to_str().unwrap();
    place.json(&["init", "--data-dir", data]);
    assert!(std::path::Path::new(data).join("alter.db").exists() && !place.data().exists());
    let file = place.dir.join("alter.toml");
    std::fs::write(&file, format!("data_dir = \"{data}\"\n")).unwrap();
    let by_file = place.command(&["app", "list", "--config", file.to_str().unwrap()]);
    let by_file = { by_file }.env_remove("ALTER_DATA_DIR").output().unwrap();
    assert!(by_file.status.success(), "{}", said(&by_file));
    let listens = place.run(&["serve", "--data-dir", data, "--listen", "8700"]);
    assert!(said(&listens).contains("ALTER_LISTEN is \"8700\""), "{}", said(&listens));
    let help = said(&place.run(&["serve", "--help"]));
    for setting in
        ["--config", "--data-dir", "--listen", "--public-url", "ALTER_TRUSTED_PROXIES", "ALTER_EGRESS_ALLOW"]
    {
        assert!(help.contains(setting), "{setting}: {help}");
    }
}

#[test]
fn a_second_server_on_one_file_is_refused_and_commands_work_beside_the_first() {
    let place = Place::new("second");
    place.json(&["init"]);
    let first = place.serve(&[]);
    let second = place.command(&["serve"]).env("ALTER_LISTEN", "127.0.0.1:0").output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let holder = format!("in use by process {}, which holds", first.0.id());
    assert!(said(&second).contains(&holder), "{}", said(&second));
    assert!(said(&second).contains("alter.db.lock"), "{}", said(&second));
    place.json(&["key", "list", &place.app()]);
    // SIGKILL leaves no lock.
    drop(first);
    drop(place.serve(&[]));
}

#[test]
fn t91_what_other_users_can_reach_is_told_when_the_server_starts() {
    use std::os::unix::fs::PermissionsExt;
    let chmod = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let place = Place::new("reach");
    place.json(&["init"]);
    let (data, elsewhere) = (place.data(), place.dir.join("shared"));
    std::fs::create_dir(&elsewhere).unwrap();
    let url = format!("sqlite:{}", elsewhere.join("other.db").display());
    let said_at_start = |variables: &[(&str, &str)]| place.said_until_it_serves(variables);
    assert!(!said_at_start(&[]).contains("chmod"), "nothing is open");
    let with_other = place.command(&["init"]).env("ALTER_DATABASE_URL", &url).output().unwrap();
    assert!(with_other.status.success(), "{}", said(&with_other));

    chmod(&data, 0o777);
    for file in ["alter.db", "root.key"] {
        chmod(&data.join(file), 0o666);
    }
    let told = said_at_start(&[]);
    let shown = data.display();
    for mend in [
        format!("{shown} (mode 0777): chmod 700 {shown}"),
        format!("{shown}/alter.db (mode 0666): chmod 600 {shown}/alter.db"),
        format!("{shown}/root.key (mode 0666): chmod 600 {shown}/root.key"),
    ] {
        assert!(told.contains(&mend), "{mend}: {told}");
    }
    chmod(&elsewhere, 0o777);
    chmod(&elsewhere.join("other.db"), 0o644);
    let (told, shown) = (said_at_start(&[("ALTER_DATABASE_URL", &url)]), elsewhere.display());
    for mend in [format!("chmod go-w {shown}"), format!("chmod 600 {shown}/other.db")] {
        assert!(told.contains(&mend), "{mend}: {told}");
    }
}
