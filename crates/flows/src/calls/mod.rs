//! What a call does with a grant: choosing the one it means, releasing its token, reporting its use.

pub(crate) mod choose;
pub(crate) mod release;
pub(crate) mod report;

pub use choose::{Ambiguous, Candidate, ChoiceError, GrantChoice};
pub use release::{ReleaseError, ReleaseRequest, Released, release};
pub use report::{CallReport, report_call};
