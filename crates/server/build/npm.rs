//! The npm package: a tar archive in a gzip that stores and does not compress. So its bytes follow from the files alone
//! and not from a compressor's version, and the integrity that somebody's lock file has stays true.

/// What is in it: `files` of `sdk/browser/package.json`, and what npm adds. A test compares the two.
pub(crate) const FILES: [&str; 8] = [
    "package.json",
    "LICENSE",
    "README.md",
    "dist/alter-connect.cjs",
    "dist/alter-connect.d.cts",
    "dist/alter-connect.d.ts",
    "dist/alter-connect.esm.js",
    "dist/alter-connect.umd.js",
];

/// The time of every entry, as npm writes it: 1985-10-26T08:15:00Z.
const MODIFIED: u64 = 499_162_500;

/// Bytes of a tar block.
const BLOCK: usize = 512;

/// Makes the package of these files.
pub(crate) fn package(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, bytes) in files {
        tar.extend(header(&format!("package/{name}"), bytes.len()));
        tar.extend_from_slice(bytes);
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    }
    tar.resize(tar.len() + 2 * BLOCK, 0);
    stored(&tar)
}

/// A header of POSIX.1-1988 (ustar): a plain file that everybody may read, and nobody's.
fn header(name: &str, size: usize) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{size:011o}\0"));
    put(136, &format!("{MODIFIED:011o}\0"));
    put(148, "        "); // the checksum counts its own field as blanks
    put(156, "0");
    put(257, "ustar\0");
    put(263, "00");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Gzip (RFC 1952) with stored blocks (RFC 1951 section 3.2.4), without a name or a time.
fn stored(plain: &[u8]) -> Vec<u8> {
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let mut blocks = plain.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).expect("chunks are no longer");
        gzip.push(u8::from(blocks.peek().is_none()));
        gzip.extend(length.to_le_bytes());
        gzip.extend((!length).to_le_bytes());
        gzip.extend_from_slice(block);
    }
    let mut sum = flate2::Crc::new();
    sum.update(plain);
    gzip.extend(sum.sum().to_le_bytes());
    gzip.extend(sum.amount().to_le_bytes());
    gzip
}
