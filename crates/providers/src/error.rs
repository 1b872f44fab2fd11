//! What can be wrong with a recipe, in words for the person who wrote it.

use std::fmt;

/// Why a text is not a usable recipe. Operators see these texts unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The text is not TOML, a key is unknown or missing, or a value has the wrong type.
    #[error("line {line}: {message}")]
    Toml {
        /// Counted from 1.
        line: usize,
        /// One line, naming the key.
        message: String,
    },
    /// The text is well formed, but values cannot work or are not safe. Holds all problems at once.
    #[error("{}", list(.0))]
    Invalid(Vec<Problem>),
}

/// One problem that the operator has to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, with its table: `identity.subject`, `api_hosts[2]`.
    pub field: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}
