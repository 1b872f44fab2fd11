//! Writes every hosted page in every state to a folder, with a manifest, so that people and tools can look at
//! them: `cargo run -p alter-server --example gallery -- ui/gallery`. The pages are byte for byte what the
//! server sends; opened from disk they find no script, which is the state before the script has run.

#![allow(clippy::print_stdout, reason = "a command-line tool talks to a terminal")]

use std::path::PathBuf;

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
    std::fs::write(html.join("connect.js"), SCRIPT)?;
    let manifest = serde_json::json!({
        "pages": names,
        "script_path": script_path(),
        "content_security_policy": content_security_policy(),
    });
    std::fs::write(html.join("manifest.json"), manifest.to_string())?;
    println!("{} pages in {}", names.len(), html.display());
    Ok(())
}
