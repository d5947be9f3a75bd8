use proptest::prelude::*;

use super::*;

fn problem(bytes: &[u8]) -> Option<(usize, Problem)> {
    Reader::new(bytes).find_map(Result::err).map(|error| (error.offset, error.problem))
}

#[test]
fn each_wire_type_is_read_and_groups_are_skipped() {
    // Fields 1 varint 300, 2 fixed64, 3 "hi", 4 a group with a varint and an inner group, 5 fixed32.
    let bytes = [
        0x08, 0xac, 0x02, 0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0x1a, 2, b'h', b'i', 0x23, 0x08, 7, 0x2b, 0x2c, 0x24, 0x2d, 2,
        0, 0, 0,
    ];
    let fields: Vec<_> = Reader::new(&bytes).map(|field| field.map(|field| (field.number, field.value))).collect();
    let expected = [
        (1, Value::Varint(300)),
        (2, Value::Fixed64(1)),
        (3, Value::Bytes(b"hi")),
        (4, Value::Group),
        (5, Value::Fixed32(2)),
    ];
    assert_eq!(fields, expected.map(Ok));
}

#[test]
fn errors_say_where() {
    assert_eq!(problem(&[0x08, 1, 0x1a, 5, b'x']), Some((4, Problem::Truncated)));
    assert_eq!(problem(&[0x08, 1, 0x0f]), Some((3, Problem::Key)));
    assert_eq!(problem(&[0x08, 1, 0x00]), Some((2, Problem::Key)));
    assert_eq!(problem(&[0x0c]), Some((1, Problem::Group)));
    assert_eq!(problem(&[0x0b, 0x14]), Some((1, Problem::Group)));
    assert_eq!(problem(&[[0x08].as_slice(), &[0xff; 10]].concat()), Some((1, Problem::LongInteger)));
    let outer = [0x0a, 4, 0x12, 2, 0xff, b'x'];
    let inner = Reader::new(&outer).next().unwrap().unwrap().message().unwrap().next().unwrap().unwrap();
    assert_eq!(inner.text(), Err(Error { offset: 4, problem: Problem::Text(2) }));
    assert_eq!(inner.varint().unwrap_err().problem, Problem::WireType(2));
}

#[test]
fn nesting_stops_at_the_limit() {
    let mut bytes = Vec::new();
    for _ in 0..=MAX_DEPTH {
        let inner = std::mem::take(&mut bytes);
        put_bytes(&mut bytes, 1, &inner);
    }
    let mut reader = Reader::new(&bytes);
    for _ in 0..MAX_DEPTH {
        reader = reader.next().unwrap().unwrap().message().unwrap();
    }
    assert_eq!(reader.next().unwrap().unwrap().message().unwrap_err().problem, Problem::Depth);
    assert_eq!(problem(&[0x0b; 200]).map(|(_, problem)| problem), Some(Problem::Depth));
}

proptest! {
    #[test]
    fn any_bytes_give_fields_or_one_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let results: Vec<_> = Reader::new(&bytes).collect();
        prop_assert!(results.len() <= bytes.len());
        prop_assert!(results.iter().rev().skip(1).all(Result::is_ok));
        for error in results.into_iter().filter_map(Result::err) {
            prop_assert!(error.offset <= bytes.len());
        }
    }

    #[test]
    fn integers_survive_writing_and_reading(number in 1u32..1 << 29, value: u64) {
        let mut bytes = Vec::new();
        put_key(&mut bytes, number, 0);
        put_varint(&mut bytes, value);
        let field = Reader::new(&bytes).next().unwrap().unwrap();
        prop_assert_eq!((field.number, field.value), (number, Value::Varint(value)));
    }

    #[test]
    fn integers_are_read_as_prost_reads_them(bytes in prop::collection::vec(any::<u8>(), 1..14)) {
        let theirs = prost::encoding::decode_varint(&mut bytes.as_slice()).ok();
        prop_assert_eq!(Reader::new(&bytes).varint().ok(), theirs);
    }
}
