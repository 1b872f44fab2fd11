//! Measures what people download, in bytes.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context, ensure};
use serde::Serialize;

const SDK: [&str; 3] = ["alter-connect.esm.js", "alter-connect.cjs", "alter-connect.umd.js"];

#[derive(Debug, Serialize)]
pub(crate) struct Sizes {
    /// Size of the server binary.
    pub(crate) binary: u64,
    /// Size of each browser SDK format after `gzip -9`; a format that is not built is left out.
    pub(crate) sdk_gzip: BTreeMap<String, usize>,
}

pub(crate) fn measure(binary: &Path, sdk: &Path) -> anyhow::Result<Sizes> {
    let mut sdk_gzip = BTreeMap::new();
    for name in SDK {
        let path = sdk.join(name);
        if path.exists() {
            sdk_gzip.insert(name.to_owned(), gzipped(&path)?);
        }
    }
    Ok(Sizes { binary: std::fs::metadata(binary)?.len(), sdk_gzip })
}

/// Returns the gzipped size, without the file's name in the header, as a web server sends it.
fn gzipped(path: &Path) -> anyhow::Result<usize> {
    let output = Command::new("gzip").args(["-9", "-n", "-c"]).arg(path).output().context("gzip")?;
    ensure!(output.status.success(), "gzip failed on {}", path.display());
    Ok(output.stdout.len())
}
