//! The people who have an account at this provider, and their notes.

use serde::Serialize;
use serde_json::{Value, json};

/// A person with an account here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The subject identifier: stable, and unique at this provider (OpenID Connect Core section 2).
    pub sub: String,
    /// The address that userinfo and tokens contain, marked as verified.
    pub email: String,
    pub name: String,
}

impl User {
    /// Returns the claims about this user for the userinfo endpoint and for id_tokens.
    pub(crate) fn claims(&self) -> Value {
        json!({ "sub": self.sub, "email": self.email, "email_verified": true, "name": self.name })
    }
}

/// A note of one user, as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Note {
    pub(crate) id: u64,
    pub(crate) text: String,
    #[serde(skip)]
    pub(crate) owner: String,
}

/// All users in the order in which they were added; `auto_approve` signs in the first by default.
pub(crate) struct Users {
    users: Vec<User>,
    notes: Vec<Note>,
}

impl Default for Users {
    fn default() -> Self {
        let mut users = Self { users: Vec::new(), notes: Vec::new() };
        for (sub, email, name) in [
            ("acme-1001", "alex@acme.example", "Alex Winter"),
            ("acme-1002", "sam@acme.example", "Sam Okafor"),
        ] {
            users.put(User { sub: sub.into(), email: email.into(), name: name.into() });
            users.add_note(sub, "Buy oat milk");
            users.add_note(sub, "Call the plumber on Tuesday");
        }
        users
    }
}

impl Users {
    pub(crate) fn put(&mut self, user: User) {
        match self.users.iter_mut().find(|known| known.sub == user.sub) {
            Some(known) => *known = user,
            None => self.users.push(user),
        }
    }

    pub(crate) fn get(&self, sub: &str) -> Option<User> {
        self.users.iter().find(|user| user.sub == sub).cloned()
    }

    pub(crate) fn all(&self) -> &[User] {
        &self.users
    }

    /// Returns the user that a `login_hint` names by subject or address, else the first.
    pub(crate) fn hinted(&self, hint: Option<&str>) -> Option<User> {
        let named = self.users.iter().find(|user| hint == Some(&user.sub) || hint == Some(&user.email));
        named.or(self.users.first()).cloned()
    }

    pub(crate) fn notes_of(&self, sub: &str) -> Vec<Note> {
        self.notes.iter().filter(|note| note.owner == sub).cloned().collect()
    }

    pub(crate) fn add_note(&mut self, sub: &str, text: &str) -> Note {
        let note = Note { id: self.notes.len() as u64 + 1, text: text.to_owned(), owner: sub.to_owned() };
        self.notes.push(note.clone());
        note
    }
}
