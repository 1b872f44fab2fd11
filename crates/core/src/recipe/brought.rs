//! What a provider's authorization response carries besides the standard's parameters. The browser brings it and can edit
//! it: nothing that is read here decides what may be done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The callback parameters that are read besides `state`, `error` and `iss`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallbackNames {
    /// The parameter that carries the code, where it is not `code`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The parameter that names the granted scopes. They are shown; what an agent may use does not depend on them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Parameters that are kept with the grant, marked as unverified: a name, and the callback parameter.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl CallbackNames {
    /// Whether nothing is read besides the standard's parameters.
    pub fn is_standard(&self) -> bool {
        *self == Self::default()
    }
}
