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

fn compress(body: &[u8], compression: Compression) -> io::Result<Vec<u8>> {
    match compression {
        Compression::None => Ok(body.to_vec()),
        Compression::Gzip => {
            // Telemetry repeats itself so much that the fastest level already finds most of it.
            let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), flate2::Compression::fast());
            encoder.write_all(body)?;
            encoder.finish()
        }
        Compression::Zstd => zstd::bulk::compress(body, 1),
    }
}
