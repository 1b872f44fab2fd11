//! The provider: what it has issued, and what it does with a refresh token that comes in.

use alter_core::{Micros, recipe::Refresh};

/// How long an old refresh token still works where there is a reuse window, seconds.
pub(crate) const WINDOW: u32 = 60;

/// A refresh token, by the order in which they were issued. Where nothing rotates, the number of an access token.
pub type Token = u8;

/// How a provider treats its refresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A refresh token is good for ever.
    Keeps,
    /// A refresh ends the old token. One that comes back ends all its descendants.
    Rotates,
    /// The same, and we do not know it.
    RotatesUnsaid,
    /// An old token works for a while, and its second use returns the same new token as its first.
    Repeats,
    /// An old token works for a while. Each use returns a token of its own, and all of them are good.
    Branches,
    /// An old token works for a while. Each use returns a new token, which ends the one that came before it.
    Newest,
}

impl Kind {
    /// What the catalogue knows about it.
    pub fn facts(self) -> Refresh {
        let (rotates, window) = match self {
            Self::Keeps => (Some(false), None),
            Self::Rotates => (Some(true), None),
            Self::RotatesUnsaid => (None, None),
            Self::Repeats | Self::Branches | Self::Newest => (Some(true), Some(WINDOW)),
        };
        Refresh { rotates, reuse_window_seconds: window, ..Refresh::default() }
    }

    fn has_window(self) -> bool {
        matches!(self, Self::Repeats | Self::Branches | Self::Newest)
    }
}

/// What a provider says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// Tokens.
    Tokens(Token),
    /// This refresh token is not good.
    Refused,
    /// Nothing was done: try later.
    Busy,
}

/// What a provider feels like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whim {
    /// It does what it should.
    Honest,
    /// It has no time.
    Busy,
    /// It refuses a token although the token is good.
    Mistaken,
}

/// What became of a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Issued {
    /// All that came from one consent.
    pub family: u8,
    /// The token whose refresh brought it.
    pub parent: Option<Token>,
    /// When a later one took its place.
    pub replaced_at: Option<Micros>,
    /// Which one.
    pub replaced_by: Option<Token>,
    /// It was ended, and so was its family.
    pub ended: bool,
}

/// All tokens of the account, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Provider {
    /// By number.
    pub issued: Vec<Issued>,
}

impl Provider {
    /// The user agrees: the first token of a new family.
    pub fn consent(&mut self) -> Token {
        let family = self.issued.iter().map(|token| token.family + 1).max().unwrap_or(0);
        self.issue(family, None)
    }

    fn issue(&mut self, family: u8, parent: Option<Token>) -> Token {
        self.issued.push(Issued { family, parent, replaced_at: None, replaced_by: None, ended: false });
        Token::try_from(self.issued.len() - 1).expect("a handful of tokens")
    }

    /// What was issued as this token.
    pub fn token(&self, token: Token) -> &Issued {
        &self.issued[usize::from(token)]
    }

    /// A refresh request arrives.
    pub fn act(&mut self, kind: Kind, sent: Token, whim: Whim, now: Micros) -> Answer {
        let Issued { family, replaced_at, ended, .. } = *self.token(sent);
        match (whim, replaced_at) {
            (Whim::Busy, _) => Answer::Busy,
            (Whim::Mistaken, _) => Answer::Refused,
            _ if ended => Answer::Refused,
            (Whim::Honest, None) => self.rotate(kind, sent, family, now),
            (Whim::Honest, Some(at)) if kind.has_window() && now <= at.plus_seconds(WINDOW.into()) => {
                self.reuse(kind, sent, family, now)
            }
            (Whim::Honest, Some(_)) => self.punish(family),
        }
    }

    fn rotate(&mut self, kind: Kind, sent: Token, family: u8, now: Micros) -> Answer {
        let next = self.issue(family, Some(sent));
        if kind != Kind::Keeps {
            self.replace(sent, next, now);
        }
        Answer::Tokens(next)
    }

    fn reuse(&mut self, kind: Kind, sent: Token, family: u8, now: Micros) -> Answer {
        let child = self.issued.iter().position(|token| token.parent == Some(sent));
        let child = child.and_then(|child| Token::try_from(child).ok());
        if let (Kind::Repeats, Some(child)) = (kind, child) {
            return Answer::Tokens(child);
        }
        let next = self.issue(family, Some(sent));
        if kind == Kind::Newest {
            for n in 0..next {
                if self.token(n).family == family {
                    self.replace(n, next, now);
                }
            }
        }
        Answer::Tokens(next)
    }

    fn replace(&mut self, old: Token, next: Token, now: Micros) {
        let old = &mut self.issued[usize::from(old)];
        if old.replaced_at.is_none() {
            (old.replaced_at, old.replaced_by) = (Some(now), Some(next));
        }
    }

    fn punish(&mut self, family: u8) -> Answer {
        self.issued.iter_mut().filter(|token| token.family == family).for_each(|token| token.ended = true);
        Answer::Refused
    }
}
