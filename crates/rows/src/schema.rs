//! Which names our migrations give, once for both engines: what else a database has is not ours.

use std::collections::BTreeSet;

/// The names of the tables and indexes that these migrations make, also of those that a later one renames or drops.
pub fn names<'a>(migrations: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let lines = migrations.into_iter().flat_map(str::lines);
    let code = lines.map(|line| line.split("--").next().unwrap_or_default());
    code.flat_map(of_a_line).collect()
}

fn of_a_line(line: &str) -> impl Iterator<Item = &str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let named = |pair: &[&str]| {
        matches!(pair, ["CREATE", "TABLE"] | ["CREATE" | "UNIQUE", "INDEX"] | ["RENAME", "TO"])
    };
    let at: Vec<usize> = (2..words.len()).filter(|at| named(&words[at - 2..*at])).collect();
    at.into_iter().map(move |at| words[at].trim_end_matches(';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_is_created_or_renamed_to() {
        let text = "-- CREATE TABLE not_this (a TEXT)\nCREATE TABLE one (\nCREATE UNIQUE INDEX two ON one (a);\n\
                    CREATE INDEX three ON one (b);\nALTER TABLE one RENAME TO four;\nDROP TABLE one;";
        assert_eq!(names([text]), ["one", "two", "three", "four"].into());
    }
}
