//! The few protobuf writes that metrics need. Lengths come first in protobuf, so inner messages are written before
//! the outer ones; field numbers are below 16 throughout, so that every key is one byte.

pub(super) use crate::protobuf::put_varint as varint;

/// The longest a length can be.
pub(super) const LONGEST_LENGTH: usize = 10;

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH_DELIMITED: u8 = 2;

/// The key of a field that is a message, a string or packed.
pub(super) const fn delimited(field: u8) -> u8 {
    (field << 3) | LENGTH_DELIMITED
}

pub(super) const fn varint_len(value: usize) -> usize {
    let significant_bits = usize::BITS - (value | 1).leading_zeros();
    significant_bits.div_ceil(7) as usize
}

/// The key and length of a field whose content follows.
pub(super) fn header(out: &mut Vec<u8>, field: u8, len: usize) {
    out.push(delimited(field));
    varint(out, len as u64);
}

pub(super) fn bytes(out: &mut Vec<u8>, field: u8, content: &[u8]) {
    header(out, field, content.len());
    out.extend_from_slice(content);
}

/// The size of what [`bytes`] writes.
pub(super) const fn bytes_len(content: usize) -> usize {
    1 + varint_len(content) + content
}

pub(super) fn fixed64(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push((field << 3) | FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn double(out: &mut Vec<u8>, field: u8, value: f64) {
    fixed64(out, field, value.to_bits());
}

pub(super) fn unsigned(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push((field << 3) | VARINT);
    varint(out, value);
}

/// A `sint32`, small in either direction.
pub(super) fn zigzag(out: &mut Vec<u8>, field: u8, value: i32) {
    let folded = (value << 1) ^ (value >> 31);
    unsigned(out, field, u64::from(folded.cast_unsigned()));
}

/// A `KeyValue` with a text.
pub(super) fn attribute(out: &mut Vec<u8>, field: u8, key: &str, value: &str) {
    let text = bytes_len(value.len());
    header(out, field, bytes_len(key.len()) + bytes_len(text));
    bytes(out, 1, key.as_bytes());
    header(out, 2, text);
    bytes(out, 1, value.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_varint_is_known_before_it_is_written() {
        for value in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, usize::MAX] {
            let mut out = Vec::new();
            varint(&mut out, value as u64);
            assert_eq!(out.len(), varint_len(value), "{value}");
            assert!(out.len() <= LONGEST_LENGTH);
        }
    }
}
