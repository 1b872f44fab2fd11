//! The recipes that ship with the program.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use alter_core::recipe::Recipe;

use crate::parse;

/// One line per file in `catalog/`.
const BUILTIN: [&str; 30] = [
    include_str!("../catalog/airtable.toml"),
    include_str!("../catalog/apple.toml"),
    include_str!("../catalog/asana.toml"),
    include_str!("../catalog/atlassian.toml"),
    include_str!("../catalog/box.toml"),
    include_str!("../catalog/discord.toml"),
    include_str!("../catalog/dropbox.toml"),
    include_str!("../catalog/figma.toml"),
    include_str!("../catalog/github.toml"),
    include_str!("../catalog/gitlab.toml"),
    include_str!("../catalog/google.toml"),
    include_str!("../catalog/hubspot.toml"),
    include_str!("../catalog/linear.toml"),
    include_str!("../catalog/linkedin.toml"),
    include_str!("../catalog/microsoft.toml"),
    include_str!("../catalog/notion.toml"),
    include_str!("../catalog/pipedrive.toml"),
    include_str!("../catalog/quickbooks.toml"),
    include_str!("../catalog/salesforce.toml"),
    include_str!("../catalog/servicenow.toml"),
    include_str!("../catalog/shopify.toml"),
    include_str!("../catalog/slack.toml"),
    include_str!("../catalog/square.toml"),
    include_str!("../catalog/strava.toml"),
    include_str!("../catalog/stripe.toml"),
    include_str!("../catalog/twitter.toml"),
    include_str!("../catalog/xero.toml"),
    include_str!("../catalog/zendesk.toml"),
    include_str!("../catalog/zoho.toml"),
    include_str!("../catalog/zoom.toml"),
];

/// A set of recipes by provider id.
#[derive(Debug, Clone)]
pub struct Catalog {
    recipes: BTreeMap<String, Recipe>,
}

impl Catalog {
    /// Returns the recipes compiled into the program, parsed once.
    pub fn builtin() -> &'static Self {
        static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
            let parsed =
                BUILTIN.iter().map(|text| parse(text).expect("every built-in recipe is parsed by a test"));
            Catalog { recipes: parsed.map(|recipe| (recipe.id.clone(), recipe)).collect() }
        });
        &CATALOG
    }

    /// Returns the recipe of a provider.
    pub fn get(&self, id: &str) -> Option<&Recipe> {
        self.recipes.get(id)
    }

    /// Returns all recipes, sorted by id.
    pub fn iter(&self) -> impl Iterator<Item = &Recipe> {
        self.recipes.values()
    }
}

#[cfg(test)]
mod tests {
    use alter_core::recipe::{ClientAuth, IdentitySource, Status};

    use super::*;

    #[test]
    fn every_file_of_the_catalog_is_built_in_and_valid_and_named_after_its_id() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/catalog");
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .expect("the folder")
            .map(|file| file.expect("a file").file_name().into_string().expect("plain name"))
            .collect();
        names.sort();
        let ids: Vec<_> = Catalog::builtin().iter().map(|recipe| format!("{}.toml", recipe.id)).collect();
        assert_eq!(names, ids);
        assert_eq!(ids.len(), BUILTIN.len(), "two files share an id");
    }

    #[test]
    fn every_fact_says_where_and_when_it_was_read() {
        for recipe in Catalog::builtin().iter() {
            let known = matches!(recipe.status, Status::Read | Status::Tried | Status::Recalled);
            assert!(known, "{}", recipe.id);
            let doubted = recipe.status == Status::Recalled;
            assert!(!doubted || recipe.note.is_some(), "{}: say which facts were read", recipe.id);
            assert!(recipe.category.is_some() && recipe.description.is_some(), "{}", recipe.id);
            assert!(!recipe.source.is_empty() && recipe.checked.is_some(), "{}", recipe.id);
        }
    }

    #[test]
    fn every_scope_asked_for_by_default_has_words() {
        for recipe in Catalog::builtin().iter() {
            // Notion has no scopes, so it has neither.
            assert_eq!(recipe.default_scopes.is_empty(), recipe.scopes.is_empty(), "{}", recipe.id);
            for scope in &recipe.default_scopes {
                assert!(recipe.scopes.contains_key(scope), "{}: {scope}", recipe.id);
            }
        }
    }

    #[test]
    fn every_recipe_with_an_id_token_asks_for_openid_and_pins_the_algorithm() {
        for recipe in Catalog::builtin().iter().filter(|r| r.identity.from == IdentitySource::IdToken) {
            assert!(recipe.default_scopes.iter().any(|scope| scope == "openid"), "{}", recipe.id);
            assert_eq!(recipe.id_token_algs, ["RS256"], "{}", recipe.id);
        }
    }

    #[test]
    fn every_credential_may_be_sent_to_the_providers_own_api_and_not_to_a_look_alike() {
        for recipe in Catalog::builtin().iter() {
            let mut recipe = recipe.clone();
            for (name, parameter) in recipe.parameters.clone() {
                recipe.fill(&name, &parameter.example).expect("validated");
            }
            for host in &recipe.api_hosts {
                // A suffix stands for the hosts below it.
                let host = if host.starts_with('.') { format!("acme{host}") } else { host.clone() };
                assert!(recipe.api_url(&format!("https://{host}/v1")).is_some(), "positive control: {host}");
                assert!(recipe.api_url(&format!("https://{host}.example.net/v1")).is_none(), "{host}");
                assert!(recipe.api_url(&format!("http://{host}/v1")).is_none(), "{host}");
            }
        }
    }

    /// What each provider's subject is unique within, where that is not the whole provider.
    const WITHIN: [(&str, &[&str]); 4] = [
        ("hubspot", &["/hub_id"]),
        ("pipedrive", &["/data/company_id"]),
        ("salesforce", &["/organization_id"]),
        ("slack", &["/team_id"]),
    ];

    /// The providers whose subject names one account at the whole provider, as their documentation has it: an OpenID `sub`, an
    /// id of a person, or of the account itself (a Shopify shop, a Square seller, a Stripe account, a
    /// person within the one Zendesk account that a configuration is for).
    const GLOBAL: [&str; 26] = [
        "airtable",
        "apple",
        "asana",
        "atlassian",
        "box",
        "discord",
        "dropbox",
        "figma",
        "github",
        "gitlab",
        "google",
        "linear",
        "linkedin",
        "microsoft",
        "notion",
        "quickbooks",
        "servicenow",
        "shopify",
        "square",
        "strava",
        "stripe",
        "twitter",
        "xero",
        "zendesk",
        "zoho",
        "zoom",
    ];

    #[test]
    fn of_every_subject_it_is_known_what_it_is_unique_within() {
        for recipe in Catalog::builtin().iter() {
            let within = WITHIN.iter().find(|(id, _)| *id == recipe.id);
            let global = GLOBAL.contains(&recipe.id.as_str());
            assert_ne!(within.is_some(), global, "{}: one of the two lists", recipe.id);
            let wanted = within.map_or(&[][..], |(_, within)| within);
            assert_eq!(recipe.identity.subject_within, wanted, "{}", recipe.id);
        }
    }

    #[test]
    fn the_quirks_are_data() {
        let get = |id| Catalog::builtin().get(id).expect("built in");
        let slack = get("slack");
        assert_eq!(slack.token.access_token, "/authed_user/access_token");
        assert_eq!(slack.token.ok.as_deref(), Some("/ok"));
        assert_eq!((slack.scope_parameter.as_str(), slack.scope_separator.as_str()), ("user_scope", ","));
        assert_eq!((slack.client_auth, slack.pkce), (ClientAuth::Basic, false));
        let github = get("github");
        assert_eq!(
            (github.identity.from, github.identity.subject.as_str()),
            (IdentitySource::Userinfo, "/id")
        );
        assert!(github.granted_scope_delimiters.contains(','));
        assert!(
            get("microsoft").issuer_template.as_deref().is_some_and(|issuer| issuer.contains("{tenant}"))
        );
        assert_eq!(get("google").authorize_params.get("access_type").map(String::as_str), Some("offline"));
        assert!(Catalog::builtin().get("nobody").is_none());
    }
}
