//! The little of ZIP (PKWARE, APPNOTE 6.3.10) that a few small files need: stored or deflated, no encryption, no
//! ZIP64, sizes from the central directory, and everything bounded.

use std::io::Read;

use flate2::read::DeflateDecoder;

/// Files in an archive at most.
const FILES_MAX: u16 = 64;

/// Bytes of all files together, after inflating.
const INFLATED_BYTES_MAX: usize = 4 << 20;

const LOCAL_HEADER: &[u8] = b"PK\x03\x04";
const CENTRAL_HEADER: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END_BYTES: usize = 22;

/// True for what begins as an archive does.
pub(crate) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(LOCAL_HEADER)
}

/// The files of an archive, inflated and checked, in its order.
pub(crate) fn files(bytes: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    const CUT: &str = "it is cut off";
    let end = end(bytes).ok_or(CUT)?;
    let count = u16_at(bytes, end + 10).ok_or(CUT)?;
    if count > FILES_MAX {
        return Err("it holds more files than it should");
    }
    let mut entry = usize_at(bytes, end + 16).ok_or(CUT)?;
    let mut files = Vec::new();
    let mut room = INFLATED_BYTES_MAX;
    for _ in 0..count {
        if !part(bytes, entry, 4).ok_or(CUT)?.eq(CENTRAL_HEADER) {
            return Err("its directory is broken");
        }
        let is_encrypted = u16_at(bytes, entry + 8).ok_or(CUT)? & 1 == 1;
        let method = u16_at(bytes, entry + 10).ok_or(CUT)?;
        let checksum = u32_at(bytes, entry + 16).ok_or(CUT)?;
        let packed_bytes = usize_at(bytes, entry + 20).ok_or(CUT)?;
        let lengths = [28, 30, 32].map(|at| u16_at(bytes, entry + at).map(usize::from));
        let local = usize_at(bytes, entry + 42).ok_or(CUT)?;
        let packed = packed(bytes, local, packed_bytes).ok_or(CUT)?;
        let file = match method {
            _ if is_encrypted => return Err("it is encrypted"),
            0 => packed.get(..packed.len().min(room + 1)).ok_or(CUT)?.to_vec(),
            8 => inflate(packed, room)?,
            _ => return Err("it is packed in a way that is not known"),
        };
        room = room.checked_sub(file.len()).ok_or("it is too large when unpacked")?;
        let mut crc = flate2::Crc::new();
        crc.update(&file);
        if crc.sum() != checksum {
            return Err("a checksum does not match");
        }
        files.push(file);
        for length in lengths {
            entry = entry.saturating_add(length.ok_or(CUT)?);
        }
        entry = entry.saturating_add(46);
    }
    Ok(files)
}

/// Where the end of the central directory begins: a comment of up to 65,535 bytes may follow it.
fn end(bytes: &[u8]) -> Option<usize> {
    let last = bytes.len().checked_sub(END_BYTES)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    (first..=last).rev().find(|at| part(bytes, *at, 4) == Some(END))
}

fn packed(bytes: &[u8], local: usize, length: usize) -> Option<&[u8]> {
    if part(bytes, local, 4)? != LOCAL_HEADER {
        return None;
    }
    let names =
        usize::from(u16_at(bytes, local.checked_add(26)?)?) + usize::from(u16_at(bytes, local.checked_add(28)?)?);
    part(bytes, local.checked_add(30)?.checked_add(names)?, length)
}

fn inflate(packed: &[u8], room: usize) -> Result<Vec<u8>, &'static str> {
    let mut file = Vec::new();
    // One byte more than there is room for shows that there is more.
    let limit = u64::try_from(room).unwrap_or(u64::MAX).saturating_add(1);
    DeflateDecoder::new(packed).take(limit).read_to_end(&mut file).map_err(|_error| "a file in it is broken")?;
    Ok(file)
}

fn part(bytes: &[u8], at: usize, length: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(length)?)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    part(bytes, at, 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    part(bytes, at, 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn usize_at(bytes: &[u8], at: usize) -> Option<usize> {
    u32_at(bytes, at)?.try_into().ok()
}
