//! Hashes by which one call is found again in other telemetry.

/// The offset basis and the prime of FNV-1a with 64 bits.
/// Source: <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// A hash of an id, the same in every agent and never 0, which stands for no id. Ids are no secrets.
pub fn hash(text: &str) -> u64 {
    hash_bytes(text.as_bytes())
}

/// The same of bytes.
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    bytes.iter().fold(BASIS, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vectors_hold() {
        for (text, expected) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(hash(text), expected, "{text}");
        }
    }
}
