//! Who calls: keys and signatures, user tokens, agents.

pub(crate) mod agents;
pub(crate) mod authenticate;
pub(crate) mod user_token;

pub use agents::{AgentChange, AgentError, MadeAgent, NewAgent};
pub use authenticate::{AppKeyRequired, AuthError, PresentedCall};
pub use user_token::UserTokenError;
