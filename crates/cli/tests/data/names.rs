//! Names at the command line: what people would not see is refused, and what was stored before is shown with numbers.

use crate::place::{Place, said};

#[test]
fn t26_names_that_people_would_not_see_are_refused_and_older_ones_are_shown_with_numbers() {
    let (place, app) = Place::with_app("names");
    let refused = |args: &[&str]| {
        let output = place.run(args);
        assert!(!output.status.success(), "{args:?}");
        assert!(said(&output).contains("a name that people would not see"), "{}", said(&output));
    };
    for hidden in ["App\u{202e}", "\u{200d}", "App\u{e0041}", "\u{301}", "App\u{1b}[2J"] {
        refused(&["app", "create", hidden]);
        refused(&["key", "create", &app, "--name", hidden]);
        refused(&["agent", "create", &app, hidden]);
        refused(&["agent", "create", &app, "bot", "--display-name", hidden]);
        let client = ["--client-id", "c", "--public-client", "--name", hidden];
        refused(&[&["provider", "set", &app, "github"], &client[..]].concat());
    }
    place.json(&["key", "create", &app, "--name", "नमस्ते शक्\u{200d}ति 👩\u{200d}💻"]);
    let sql = place.sql();
    sql.execute_batch(
        "UPDATE api_keys SET name = 'k' || char(27) || '[2J' || char(10) || 'row' WHERE name = 'first'",
    )
    .unwrap();
    let listed = said(&place.run(&["key", "list", &app]));
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(
        listed.contains(r"k\u{1b}[2J\u{a}row") && listed.contains("शक्\u{200d}ति 👩\u{200d}💻"),
        "{listed}"
    );

    sql.execute_batch("UPDATE apps SET settings = json_set(settings, '$.name', 'Old' || char(8238))")
        .unwrap();
    drop(sql);
    for args in [&["app", "list"][..], &["app", "show", &app], &["app", "set", &app, "--allow-bearer"]] {
        let output = place.run(args);
        assert!(output.status.success(), "an app keeps its name: {}", said(&output));
        assert!(said(&output).contains(r"Old\u{202e}"), "{}", said(&output));
    }
}
