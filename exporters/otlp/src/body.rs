//! The bytes that go out.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::GzEncoder;

use crate::config::Compression;

/// Requests of fewer bytes are compressed where they stand; larger ones on a thread that may be busy.
const INLINE_BYTES_MAX: usize = 32 * 1024;

/// The body of a request, compressed.
pub(crate) async fn compressed(body: Bytes, compression: Compression) -> io::Result<Bytes> {
    if compression == Compression::None {
        return Ok(body);
    }
    if body.len() <= INLINE_BYTES_MAX {
        return compress(&body, compression).map(Bytes::from);
    }
    let work = tokio::task::spawn_blocking(move || compress(&body, compression).map(Bytes::from));
    work.await.map_err(io::Error::other)?
}

pub(crate) fn compress(body: &[u8], compression: Compression) -> io::Result<Vec<u8>> {
    match compression {
        Compression::None => Ok(body.to_vec()),
        Compression::Gzip => {
            // The fastest level: 5,000 points of 250 pods, 1.84 MB, become 105 kB in 2.4 ms; level 6 needs 18 ms for
            // 73 kB, and zstd at level 1 needs 3.7 ms for 67 kB.
            let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), flate2::Compression::fast());
            encoder.write_all(body)?;
            encoder.finish()
        }
        Compression::Zstd => zstd::bulk::compress(body, 1),
    }
}
