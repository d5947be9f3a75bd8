use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::HeaderValue;
use http_body::Frame;
use http_body_util::Full;
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 100_000;

fn compress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::best();
    match compression {
        Compression::Identity => bytes.to_vec(),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Deflate => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => zstd::stream::encode_all(bytes, 3).unwrap(),
    }
}

const ALL: [Compression; 3] = [Compression::Gzip, Compression::Zstd, Compression::Deflate];

fn undo(compression: Compression, body: Vec<u8>) -> Result<Bytes, Refusal> {
    compression.undo(body.into(), LIMIT, &mut Budget::new(1 << 20).share())
}

#[test]
fn a_body_up_to_the_limit_comes_back_whole() {
    let body: Vec<u8> = (0..=250).cycle().take(LIMIT).collect();
    for compression in ALL {
        assert_eq!(undo(compression, compress(compression, &body)).unwrap(), body, "{compression:?}");
    }
}

#[test]
fn a_bomb_is_refused_while_it_unfolds() {
    for compression in ALL {
        let bomb = compress(compression, &vec![0; 50 << 20]);
        let mut share = Budget::new(1 << 20).share();
        let refused = compression.undo(bomb.into(), LIMIT, &mut share);
        assert!(matches!(refused, Err(Refusal::TooLarge { limit: LIMIT })), "{compression:?}");
        let held = share.held.map_or(0, |held| held.num_permits());
        assert!(held <= LIMIT, "{compression:?} took {held} bytes");
    }
}

#[test]
fn one_byte_beyond_the_limit_is_too_many() {
    for compression in ALL {
        let refused = undo(compression, compress(compression, &vec![7; LIMIT + 1]));
        assert!(matches!(refused, Err(Refusal::TooLarge { .. })), "{compression:?}");
    }
}

#[test]
fn every_proper_prefix_of_a_compressed_body_is_refused() {
    let body = b"some words that are long enough to fill more than a header, and a few more";
    for compression in ALL {
        let whole = compress(compression, body);
        for length in 1..whole.len() {
            let refused = undo(compression, whole[..length].to_vec());
            assert!(matches!(refused, Err(Refusal::Decompression(_))), "{compression:?} {length}");
        }
    }
}

#[test]
fn members_of_a_gzip_file_are_joined() {
    let two = [compress(Compression::Gzip, b"one "), compress(Compression::Gzip, b"two")].concat();
    assert_eq!(undo(Compression::Gzip, two).unwrap(), "one two");
}

#[test]
fn a_zstd_window_beyond_eight_mebibytes_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(25).unwrap();
    encoder.write_all(&[1; 1000]).unwrap();
    assert!(matches!(undo(Compression::Zstd, encoder.finish().unwrap()), Err(Refusal::Decompression(_))));
}

#[test]
fn encodings_are_told_by_name() {
    let told = |name: &'static str| Compression::from_header(Some(&HeaderValue::from_static(name)));
    assert_eq!(Compression::from_header(None), Some(Compression::Identity));
    assert_eq!(told("GZIP"), Some(Compression::Gzip));
    assert_eq!(told("zstd"), Some(Compression::Zstd));
    assert_eq!(told("br"), None);
    assert_eq!(told("gzip, gzip"), None);
}

/// A body that arrives in chunks and says nothing about its length.
struct Chunks(std::vec::IntoIter<&'static [u8]>);

impl Body for Chunks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.0.next().map(|chunk| Ok(Frame::data(Bytes::from_static(chunk)))))
    }
}

async fn read_chunks(chunks: Vec<&'static [u8]>, limit: usize, budget: &Budget) -> Result<Bytes, Refusal> {
    read(Chunks(chunks.into_iter()), limit, Duration::from_mins(1), &mut budget.share()).await
}

#[tokio::test]
async fn chunks_are_joined_and_limited() {
    let budget = Budget::new(100);
    assert_eq!(read_chunks(vec![], 10, &budget).await.unwrap(), "");
    assert_eq!(read_chunks(vec![b"abc", b"", b"defg"], 7, &budget).await.unwrap(), "abcdefg");
    assert!(matches!(read_chunks(vec![b"abc", b"defg"], 6, &budget).await, Err(Refusal::TooLarge { limit: 6 })));
    let claimed = Full::new(Bytes::from_static(b"abcdefg"));
    let refused = read(claimed, 6, Duration::from_mins(1), &mut budget.share()).await;
    assert!(matches!(refused, Err(Refusal::TooLarge { limit: 6 })));
}

#[tokio::test]
async fn the_budget_is_shared_and_given_back() {
    let budget = Budget::new(10);
    let mut first = budget.share();
    let body = Full::new(Bytes::from_static(b"12345678"));
    read(body.clone(), 100, Duration::from_mins(1), &mut first).await.unwrap();
    assert!(matches!(read_chunks(vec![b"123"], 100, &budget).await, Err(Refusal::Busy)));
    drop(first);
    assert!(read_chunks(vec![b"123"], 100, &budget).await.is_ok());
}

proptest! {
    #[test]
    fn any_bytes_decompress_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), zstd_magic: bool) {
        let body = if zstd_magic { [&[0x28, 0xb5, 0x2f, 0xfd], bytes.as_slice()].concat() } else { bytes };
        for compression in ALL {
            let _result = undo(compression, body.clone());
        }
    }
}
