//! Ids of calls as numbers, so that two signals of one call find each other.

/// A hash of an id that a provider gave: FNV-1a of 64 bits over the very bytes. It is never 0, which stands for no id.
///
/// It is stable: the same id has the same hash in every signal, every agent and every version. Source: Fowler, Noll and
/// Vo, draft-eastlake-fnv. It is no secret and keeps none: ids only, never content.
pub fn hash(text: &str) -> u64 {
    hash_bytes(text.as_bytes())
}

/// The same of bytes.
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash = bytes.iter().fold(BASIS, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    hash.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vectors_come_out() {
        // draft-eastlake-fnv, "FNV-1a 64-bit".
        for (text, expected) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(hash(text), expected, "{text}");
        }
    }
}
