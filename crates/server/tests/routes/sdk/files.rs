//! The browser SDK's package and its integrity.

#[path = "../../../build/npm.rs"]
#[expect(dead_code, reason = "the build script's own file: the list is of other use there")]
mod npm;

use alter_server::SDK_VERSION;
use alter_testkit::TestServer;
use aws_lc_rs::digest::{SHA384, SHA512, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};

#[tokio::test]
async fn the_npm_package_is_served_as_it_is_and_its_integrity_beside_it() {
    let server = TestServer::start().await;
    let at = |file: &str| format!("/sdk/v/{SDK_VERSION}/{file}");
    let package = server
        .send(alter_testkit::Sent::new("GET", &at("alter-connect.tgz")).header("accept-encoding", "gzip"));
    let package = package.await;
    assert_eq!((package.status, package.header("content-type")), (200, "application/gzip"));
    assert_eq!((package.header("content-encoding"), package.header("vary")), ("", ""));
    assert!(package.header("cache-control").contains("immutable"));
    let shown = server.get(&at("integrity.json")).await.json();
    assert_eq!(shown["version"], SDK_VERSION);
    let files = &shown["files"];
    let sha512 = |bytes: &[u8]| format!("sha512-{}", STANDARD.encode(digest(&SHA512, bytes)));
    let sha384 = |bytes: &[u8]| format!("sha384-{}", STANDARD.encode(digest(&SHA384, bytes)));
    assert_eq!(files["alter-connect.tgz"], sha512(&package.body));
    for name in ["alter-connect.umd.js", "alter-connect.esm.js", "alter-connect.cjs.js"] {
        assert_eq!(files[name], sha384(&server.get(&at(name)).await.body), "{name}");
    }
}

#[tokio::test]
async fn another_version_is_not_here_and_the_package_has_no_address_without_one() {
    let server = TestServer::start().await;
    for target in ["/sdk/v/9.9.9/alter-connect.tgz", "/sdk/v/9.9.9/integrity.json", "/sdk/alter-connect.tgz"]
    {
        assert_eq!(server.get(target).await.status, 404, "{target}");
    }
}

#[test]
fn the_same_files_make_the_same_package_byte_for_byte() {
    let package = npm::package(&[("a", vec![1; 70_000]), ("b", Vec::new())]);
    let sum = digest(&SHA512, &package);
    assert_eq!(STANDARD.encode(&sum.as_ref()[..12]), "FK6jAJKuUKcA1j3I");
}
