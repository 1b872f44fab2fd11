//! Writes every hosted page in every state to a folder, with a manifest, so that people and tools can look at
//! them: `cargo run -p alter-server --example gallery -- ui/gallery`. The pages are byte for byte what the
//! server sends; opened from disk they find no script, which is the state before the script has run.

#![allow(clippy::print_stdout, reason = "a command-line tool talks to a terminal")]

use std::path::PathBuf;

use alter_core::recipe::Recipe;
use alter_providers::Catalog;

#[allow(
    clippy::wildcard_imports,
    reason = "samples.rs is the library's own file, written against `super`"
)]
use alter_server::pages::*;

#[path = "../src/pages/samples.rs"]
mod samples;

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "ui/gallery".to_owned()));
    let html = folder.join("html");
    std::fs::create_dir_all(&html)?;
    let mut names = Vec::new();
    for sample in samples::samples() {
        std::fs::write(html.join(format!("{}.html", sample.name)), render(&sample.page, &sample.frame).html)?;
        names.push(sample.name);
    }
    let mut catalog = Vec::new();
    for (name, page) in of_the_catalog() {
        std::fs::write(html.join(format!("{name}.html")), page)?;
        catalog.push(name);
    }
    std::fs::write(html.join("connect.js"), SCRIPT)?;
    let manifest = serde_json::json!({
        "pages": names,
        "catalog": catalog,
        "script_path": script_path(),
        "content_security_policy": content_security_policy(),
    });
    std::fs::write(html.join("manifest.json"), manifest.to_string())?;
    println!("{} pages in {}", names.len(), html.display());
    Ok(())
}

/// The fewest permissions of a page of [`of_the_catalog`]: what an app with an agent asks for, and more than most
/// providers have by default.
const PERMISSIONS: usize = 4;

/// The consent page of every provider of the catalog as real as it gets, and the picker with all of them.
fn of_the_catalog() -> Vec<(String, String)> {
    let frame = Frame {
        sid: Some("k3v9q2m7x4b8n1c6z5w0p3r7t2"),
        instance: 3,
        app_name: Some("Acme Notes"),
        app_origin: Some("https://notes.acme.example"),
        back: None,
        hub: false,
    };
    let named = |recipe: &'static Recipe| {
        (format!("consent-of-{}", recipe.id), render(&consent(recipe), &frame).html)
    };
    let mut pages: Vec<_> = Catalog::builtin().iter().map(named).collect();
    let providers: Vec<_> = Catalog::builtin()
        .iter()
        .map(|r| ProviderChoice { id: &r.id, name: &r.name, connected_account: None })
        .collect();
    let picker = PickerView { providers: &providers, any_connected: false, declined: None };
    pages.push(("picker-of-all".to_owned(), render(&Page::Picker(picker), &frame).html));
    pages
}

fn consent(recipe: &'static Recipe) -> Page<'static> {
    let more = recipe.scopes.keys().filter(|scope| !recipe.default_scopes.contains(scope));
    let missing = PERMISSIONS.saturating_sub(recipe.default_scopes.len());
    let scopes: Vec<_> = recipe
        .default_scopes
        .iter()
        .chain(more.take(missing))
        .map(|code| ScopeLine { code, text: recipe.scope_words(code) })
        .collect();
    Page::Consent(ConsentView {
        hosts: &[],
        can_change_host: false,
        provider_id: &recipe.id,
        provider_name: &recipe.name,
        shown: "c2hvd24",
        scopes: scopes.leak(),
        user: Some("ada.lovelace@analytical-engine.example"),
        agent: Some("Mail helper"),
        opened_by_link: false,
        confirmed_by_app: false,
        connected_account: None,
        can_go_back: true,
    })
}
