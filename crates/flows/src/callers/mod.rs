//! Who calls: keys and signatures, user tokens, agents.

pub(crate) mod agents;
pub(crate) mod authenticate;
pub(crate) mod user_token;

pub use agents::{
    AgentChange, AgentError, MadeAgent, NewAgent, change_agent, create_agent, create_agent_as_operator,
    create_agent_key, delete_agent, delete_agent_as_operator, deprecate_agent_key, find_agent, get_agent,
    list_agent_keys, list_agents, own_agent, revoke_agent_key, set_agent_active_as_operator,
};
pub use authenticate::{AppKeyRequired, AuthError, PresentedCall, authenticate, only_active};
pub use user_token::{UserTokenError, verify_user, verify_user_call};
