//! Who makes a call: keys and signatures, user tokens, agents.

pub(crate) mod agent_checks;
pub(crate) mod agent_keys;
pub(crate) mod agents;
pub(crate) mod auth_session;
pub(crate) mod authenticate;
pub(crate) mod caller;
pub(crate) mod user_token;

pub use agent_keys::{create_agent_key, deprecate_agent_key, list_agent_keys, revoke_agent_key};
pub use agents::{
    change_agent, create_agent, create_agent_as_operator, delete_agent, delete_agent_as_operator, find_agent,
    find_agent_as_operator, get_agent, list_agents, list_agents_as_operator, own_agent,
    set_agent_active_as_operator,
};
pub use auth_session::{create as create_auth_session, poll as poll_auth_session};
pub use authenticate::{Recognized, authenticate, only_active, recognize};
pub use user_token::{verify_user, verify_user_call};
