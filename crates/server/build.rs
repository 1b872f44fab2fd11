//! Makes what the server embeds and nobody writes by hand, into `OUT_DIR`: a gzip copy of each static file, and the npm
//! package of the browser SDK. It needs no Node: the SDK's `dist/` is committed.

#[path = "build/npm.rs"]
mod npm;

use std::{
    env, fs,
    io::{Result, Write as _},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};

/// The static files, from the root of the repository.
const FILES: [&str; 4] = [
    "ui/assets/connect.js",
    "sdk/browser/dist/alter-connect.umd.js",
    "sdk/browser/dist/alter-connect.esm.js",
    "sdk/browser/dist/alter-connect.cjs.js",
];

fn main() -> Result<()> {
    let given = |name| PathBuf::from(env::var_os(name).expect("cargo sets it for build scripts"));
    let (root, out) = (given("CARGO_MANIFEST_DIR").join("../.."), given("OUT_DIR"));
    for file in FILES {
        let name = Path::new(file).file_name().expect("a file").to_string_lossy();
        fs::write(out.join(format!("{name}.gz")), gzip(&read(&root.join(file))?)?)?;
    }
    let sdk = root.join("sdk/browser");
    let files = npm::FILES.map(|name| read(&sdk.join(name)).map(|bytes| (name, bytes)));
    let files = files.into_iter().collect::<Result<Vec<_>>>()?;
    fs::write(out.join("alter-connect.tgz"), npm::package(&files))
}

/// Reads a file, and has this script run again when the file changes.
fn read(file: &Path) -> Result<Vec<u8>> {
    println!("cargo::rerun-if-changed={}", file.display());
    fs::read(file)
}

fn gzip(plain: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain)?;
    encoder.finish()
}
