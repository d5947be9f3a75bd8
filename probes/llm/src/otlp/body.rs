//! Reads the body of a request within its limits of size and time.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::Refusal;

/// What a body claims to be is believed up to here; beyond, memory is taken as bytes arrive.
const FIRST_ROOM: usize = 512 << 10;
/// Decompressed bytes are produced in steps of this size.
const STEP: usize = 64 << 10;
/// The largest window that zstd may use over HTTP is 8 MiB (RFC 9659).
const ZSTD_WINDOW_LOG: u32 = 23;

/// How many bytes may be in memory for all requests that are being read.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    bytes: Arc<Semaphore>,
}

impl Budget {
    pub(super) fn new(bytes: u32) -> Self {
        Self { bytes: Arc::new(Semaphore::new(bytes as usize)) }
    }

    /// A share of nothing, which grows with a request and is given back when it is dropped.
    pub(super) fn share(&self) -> Share {
        Share { budget: self.clone(), held: None }
    }
}

/// The bytes that one request holds.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
}

impl Share {
    fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let bytes = u32::try_from(bytes).map_err(|_too_many| Refusal::Busy)?;
        let more = Arc::clone(&self.budget.bytes).try_acquire_many_owned(bytes).map_err(|_none_left| Refusal::Busy)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            held => *held = Some(more),
        }
        Ok(())
    }
}

/// Reads a whole body of at most `limit` bytes.
///
/// Of a larger one as much again is read and thrown away, so that the sender has a chance to read the answer rather
/// than see its connection reset.
pub(super) async fn read<B>(body: B, limit: usize, timeout: Duration, share: &mut Share) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    match tokio::time::timeout(timeout, collect(body, limit, share)).await {
        Ok(result) => result,
        Err(_elapsed) => Err(Refusal::Slow { seconds: timeout.as_secs() }),
    }
}

async fn collect<B>(mut body: B, limit: usize, share: &mut Share) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    let claimed = body.size_hint().exact().map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if claimed > limit {
        return discard(body, limit).await;
    }
    let Some(first) = next(&mut body).await? else { return Ok(Bytes::new()) };
    if first.len() > limit {
        drop(first);
        return discard(body, limit).await;
    }
    share.grow(first.len())?;
    if first.len() == claimed || body.is_end_stream() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(claimed.min(FIRST_ROOM).max(first.len()));
    whole.extend_from_slice(&first);
    drop(first);
    while let Some(data) = next(&mut body).await? {
        if data.len() > limit - whole.len() {
            drop((whole, data));
            return discard(body, limit).await;
        }
        share.grow(data.len())?;
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

async fn next<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> Result<Option<Bytes>, Refusal> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_broken)) => return Err(Refusal::Aborted),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    return Ok(Some(data));
                }
            }
        }
    }
}

async fn discard<B: Body<Data = Bytes> + Unpin>(mut body: B, limit: usize) -> Result<Bytes, Refusal> {
    let mut left = limit;
    while let Ok(Some(data)) = next(&mut body).await {
        match left.checked_sub(data.len()) {
            Some(less) => left = less,
            None => break,
        }
    }
    Err(Refusal::TooLarge { limit })
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Identity,
    Gzip,
    Zstd,
    /// What HTTP calls deflate is the zlib format (RFC 9110, section 8.4.1.2).
    Deflate,
}

impl Compression {
    /// The compression of a `Content-Encoding` or `grpc-encoding` header; `None` for one that is not known.
    pub(super) fn from_header(value: Option<&http::HeaderValue>) -> Option<Self> {
        let Some(value) = value else { return Some(Self::Identity) };
        let value = value.as_bytes().trim_ascii();
        [
            ("", Self::Identity),
            ("identity", Self::Identity),
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("zstd", Self::Zstd),
            ("deflate", Self::Deflate),
        ]
        .into_iter()
        .find_map(|(name, compression)| value.eq_ignore_ascii_case(name.as_bytes()).then_some(compression))
    }

    /// Undoes the compression, stopping as soon as there are more than `limit` bytes.
    pub(super) fn undo(self, body: Bytes, limit: usize, share: &mut Share) -> Result<Bytes, Refusal> {
        match self {
            Self::Identity => Ok(body),
            Self::Gzip => inflate(flate2::bufread::MultiGzDecoder::new(body.as_ref()), body.len(), limit, share),
            Self::Deflate => inflate(flate2::bufread::ZlibDecoder::new(body.as_ref()), body.len(), limit, share),
            Self::Zstd => {
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(body.as_ref()).map_err(Refusal::Decompression)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(Refusal::Decompression)?;
                inflate(decoder, body.len(), limit, share)
            }
        }
    }
}

fn inflate(mut decoder: impl Read, compressed: usize, limit: usize, share: &mut Share) -> Result<Bytes, Refusal> {
    let mut whole = Vec::with_capacity(compressed.saturating_mul(3).min(FIRST_ROOM).min(limit));
    loop {
        let before = whole.len();
        // One byte beyond the limit tells a body that ends at the limit from one that goes on.
        let room = STEP.min(limit - before + 1) as u64;
        let read = match decoder.by_ref().take(room).read_to_end(&mut whole) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Refusal::Decompression(error)),
        };
        if read == 0 {
            return Ok(whole.into());
        }
        if whole.len() > limit {
            return Err(Refusal::TooLarge { limit });
        }
        share.grow(read)?;
    }
}

#[cfg(test)]
mod tests;
