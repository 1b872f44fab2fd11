//! What a call does with a grant: choosing the one it means, releasing its token, reporting its use.

pub(crate) mod choose;
pub(crate) mod release;
pub(crate) mod report;

pub use release::release;
pub use report::report_call;
