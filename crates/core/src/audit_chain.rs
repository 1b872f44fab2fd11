//! Walking an app's audit chain: the caller feeds entries in order, and the walk names the first bad one and what is
//! wrong with it (T96). Pure: the caller reads the entries, from the database or from an exported file.
//!
//! What the chain itself cannot show: that someone rewrote everything from some entry on, or cut off the end, and
//! changed the head to match. An [`Anchor`] that was kept elsewhere shows that.

use std::fmt;

use crate::{
    AppId, AuditHead, AuditRow, Hash,
    audit::{CHAIN_START, chain, chain_start},
    secret::{from_hex, hex},
};

/// A point of the chain: the entry's number and the chain's value there. Written `SEQ:HASH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The entry's number; 0 = before the first entry.
    pub seq: i64,
    /// The chain's value at the entry; zeros when the entry is older than the chain.
    pub hash: Hash,
}

impl Anchor {
    /// Before the first entry.
    pub const START: Self = Self { seq: 0, hash: CHAIN_START };

    /// Reads `SEQ:HASH`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (seq, hash) = text.split_once(':')?;
        let seq = seq.parse().ok().filter(|seq| *seq >= 0)?;
        Some(Self { seq, hash: from_hex(hash)? })
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, hex(&self.hash))
    }
}

impl From<AuditHead> for Anchor {
    fn from(head: AuditHead) -> Self {
        Self { seq: head.seq, hash: head.hash }
    }
}

impl serde::Serialize for Anchor {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Anchor {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(d)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not SEQ:HASH"))
    }
}

/// The last line of an exported log: all that is needed to walk its entries without the database.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportEnd {
    /// The app whose log was exported.
    pub app_id: AppId,
    /// The point just before the first exported entry.
    pub after: Anchor,
    /// The last exported entry.
    pub head: Anchor,
    /// [`AuditHead::chained_after`].
    pub chained_after: i64,
}

impl ExportEnd {
    /// Starts a walk along the exported entries.
    pub fn walk(&self) -> ChainWalk {
        ChainWalk::new(self.app_id, self.after, self.chained_after)
    }
}

/// What is wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Tampering {
    /// Its chain value does not follow from its fields and the entry before it.
    #[error("was changed, or is not the one that stood here")]
    Edited,
    /// The next entry has a higher number.
    #[error("is missing")]
    Missing,
    /// Its number came before, or is out of order.
    #[error("stands there again or out of order")]
    Repeated,
    /// It has no value although the chain had begun.
    #[error("carries no chain value although the chain had begun")]
    Unchained,
    /// It has a value, but the head says that the chain begins later: the head was changed.
    #[error("carries a chain value although the head says that the chain begins later")]
    BeforeTheChain,
    /// Its value is not the one that was kept elsewhere: it, and perhaps entries before it, were rewritten.
    #[error("does not have the value that was kept elsewhere: the log was rewritten")]
    NotAsKept,
    /// The database's own head has another value.
    #[error("does not have the value of the head")]
    NotTheHead,
    /// It comes after the head, or there is no head.
    #[error("stands after the head")]
    AfterTheHead,
    /// The log ends before this entry, which is known to have existed.
    #[error("was cut off: the log ends before it")]
    CutOff,
}

/// What a walk without a bad entry has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditChecked {
    /// The last entry. Kept elsewhere, it proves later that the log still contains this entry.
    pub head: Anchor,
    /// How many entries carry the value that follows from them.
    pub checked: i64,
    /// How many carry none, so that nothing is known of them: they are older than the chain, or their values and
    /// [`AuditHead::chained_after`] were changed.
    pub unchained: i64,
}

impl AuditChecked {
    /// Whether there are entries, and all of them were checked.
    pub fn is_whole(&self) -> bool {
        self.checked > 0 && self.unchained == 0
    }
}

/// The first bad entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq} {what}")]
pub struct BadEntry {
    /// The entry's number.
    pub seq: i64,
    /// What is wrong with it.
    pub what: Tampering,
}

/// The walk. [`ChainWalk::feed`] takes the entries; [`ChainWalk::finish`] checks that the log ends where it should.
#[derive(Debug)]
pub struct ChainWalk {
    app: AppId,
    chained_after: i64,
    at: Anchor,
    kept: Vec<Anchor>,
    checked: i64,
    unchained: i64,
}

impl ChainWalk {
    /// Starts a walk at `start`: [`Anchor::START`], or the anchor of the entry before the first one that will be fed.
    /// `chained_after`: [`AuditHead::chained_after`].
    pub fn new(app: AppId, start: Anchor, chained_after: i64) -> Self {
        Self { app, chained_after, at: start, kept: Vec::new(), checked: 0, unchained: 0 }
    }

    /// Requires the chain to pass through this point.
    pub fn must_pass(&mut self, anchor: Anchor) {
        self.kept.push(anchor);
    }

    /// The last good entry.
    pub fn at(&self) -> Anchor {
        self.at
    }

    /// Checks the next entry.
    ///
    /// # Errors
    /// The first bad entry, which may be one that is missing. Nothing after it can be judged.
    pub fn feed(&mut self, row: &AuditRow) -> Result<(), BadEntry> {
        let due = self.at.seq + 1;
        let bad = |seq, what| Err(BadEntry { seq, what });
        match row.seq {
            seq if seq > due => return bad(due, Tampering::Missing),
            seq if seq < due => return bad(seq, Tampering::Repeated),
            _ => {}
        }
        let hash = match (row.seq <= self.chained_after, &row.hash) {
            (true, None) => CHAIN_START,
            (true, Some(_)) => return bad(due, Tampering::BeforeTheChain),
            (false, None) => return bad(due, Tampering::Unchained),
            (false, Some(stored)) if !self.follows(row, stored) => return bad(due, Tampering::Edited),
            (false, Some(stored)) => *stored,
        };
        *(if row.hash.is_some() { &mut self.checked } else { &mut self.unchained }) += 1;
        self.at = Anchor { seq: due, hash };
        if self.kept.iter().any(|kept| kept.seq == due && kept.hash != hash) {
            return bad(due, Tampering::NotAsKept);
        }
        Ok(())
    }

    /// Whether the stored value follows from the row and what stands before it.
    fn follows(&self, row: &AuditRow, stored: &Hash) -> bool {
        let begins = self.at == Anchor { seq: self.chained_after, hash: CHAIN_START };
        let from = |before: &Hash| chain(self.app, before, row) == *stored;
        from(&self.at.hash) || begins && from(&chain_start(self.chained_after))
    }

    /// Ends the walk, checks that the log may end here, and returns what it has shown.
    ///
    /// # Errors
    /// An entry that is known to have existed is missing, or the last entry is not the head's.
    pub fn finish(self, head: Option<Anchor>) -> Result<AuditChecked, BadEntry> {
        let (last, head) = (self.at, head.unwrap_or(Anchor::START));
        let newest = self.kept.iter().map(|kept| kept.seq).max().unwrap_or(0).max(head.seq);
        let (seq, what) = match () {
            () if newest > last.seq => (last.seq + 1, Tampering::CutOff),
            () if head.seq < last.seq => (head.seq + 1, Tampering::AfterTheHead),
            () if head.hash != last.hash => (last.seq, Tampering::NotTheHead),
            () => {
                let Self { checked, unchained, .. } = self;
                return Ok(AuditChecked { head: last, checked, unchained });
            }
        };
        Err(BadEntry { seq, what })
    }
}

#[cfg(test)]
#[path = "audit_chain_tests.rs"]
mod tests;
