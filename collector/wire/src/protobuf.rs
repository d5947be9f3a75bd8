//! Reading protobuf without copying it, and writing the little that is written by hand.
//!
//! The reader knows the encoding and no message: it gives field numbers with borrowed values. It is total: any
//! bytes give fields or one [`Error`], never a panic, and what it reads is bounded by the bytes it was given. It
//! accepts what prost accepts, so that nothing goes on to a destination that the destination could not read.
//!
//! The encoding is described at <https://protobuf.dev/programming-guides/encoding/>.

/// Messages and groups inside one another before reading stops, as in prost and in most other decoders.
pub const MAX_DEPTH: u8 = 100;

/// Why bytes are not the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at byte {offset}")]
pub struct Error {
    /// Bytes from the start of the outermost message.
    pub offset: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A value goes on behind the end of its message.
    #[error("the message ends inside a value")]
    Truncated,
    /// A variable-length integer has more than 64 bits.
    #[error("an integer is longer than 64 bits")]
    LongInteger,
    /// A field key holds field number zero, a number above 2^29 - 1, or a wire type that does not exist.
    #[error("a field key is not valid")]
    Key,
    /// A group ends that did not begin, or did not end.
    #[error("a group does not end where it should")]
    Group,
    /// More than [`MAX_DEPTH`] messages inside one another.
    #[error("messages are nested more than {MAX_DEPTH} deep")]
    Depth,
    /// A known field has another wire type than its message declares.
    #[error("field {0} has an unexpected wire type")]
    WireType(u32),
    /// A text is not UTF-8.
    #[error("field {0} is not UTF-8")]
    Text(u32),
    /// More attributes stand on one span, record, point, scope or resource than the limit allows.
    #[error("an item has more than {0} attributes")]
    Attributes(u32),
}

/// Iterates over the fields of one message, in the order of the bytes. After an error it ends.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Where `rest` ends, counted from the start of the outermost message.
    end: usize,
    depth_left: u8,
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// The field's number.
    pub number: u32,
    /// Its value.
    pub value: Value<'a>,
    end: usize,
    depth_left: u8,
}

/// A value as the wire type tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A variable-length integer.
    Varint(u64),
    /// Eight bytes: fixed64, sfixed64 or double.
    Fixed64(u64),
    /// Four bytes: fixed32, sfixed32 or float.
    Fixed32(u32),
    /// A text, bytes, a message or packed numbers.
    Bytes(&'a [u8]),
    /// A group, which was checked and skipped: no message of today has one.
    Group,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` as an outermost message.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, end: bytes.len(), depth_left: MAX_DEPTH }
    }

    /// A message without fields.
    pub const fn empty() -> Self {
        Self::new(&[])
    }

    /// How many messages may still be inside this one.
    pub const fn depth_left(&self) -> u8 {
        self.depth_left
    }

    /// What is not read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The bytes that were read since, up to where `later`, a copy of this, stands.
    pub(crate) fn read_until(&self, later: &Self) -> &'a [u8] {
        self.rest.get(..self.rest.len().saturating_sub(later.rest.len())).unwrap_or_default()
    }

    /// Whether all fields were read.
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// An error at the next byte.
    #[cold]
    pub const fn error(&self, problem: Problem) -> Error {
        Error { offset: self.end - self.rest.len(), problem }
    }

    #[inline]
    fn field(&mut self) -> Result<Field<'a>, Error> {
        let (number, wire_type) = self.key()?;
        let value = match wire_type {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => Value::Bytes(self.delimited()?),
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            other => {
                self.pass_over(number, other)?;
                Value::Group
            }
        };
        Ok(Field { number, value, end: self.end - self.rest.len(), depth_left: self.depth_left })
    }

    /// The number and the wire type of the next field.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<(u32, u8), Error> {
        match self.rest {
            // Fields 1 to 15, which nearly all are, have keys of one byte.
            [key @ 8..0x80, rest @ ..] => {
                self.rest = rest;
                Ok((u32::from(*key >> 3), *key & 7))
            }
            _ => self.long_key(),
        }
    }

    fn long_key(&mut self) -> Result<(u32, u8), Error> {
        let before = self.clone();
        let key = u32::try_from(self.varint()?).map_err(|_too_large| before.error(Problem::Key))?;
        match key >> 3 {
            0 => Err(before.error(Problem::Key)),
            number => Ok((number, (key & 7) as u8)),
        }
    }

    /// Passes over the value of a field.
    pub(crate) fn pass_over(&mut self, number: u32, wire_type: u8) -> Result<(), Error> {
        match wire_type {
            0 => self.varint().map(drop),
            1 => self.array::<8>().map(drop),
            2 => self.delimited().map(drop),
            3 => self.skip_group(number, self.depth_left),
            4 => Err(self.error(Problem::Group)),
            5 => self.array::<4>().map(drop),
            _ => Err(self.error(Problem::Key)),
        }
    }

    /// The value of a field as a message.
    #[inline]
    pub(crate) fn message(&mut self) -> Result<Self, Error> {
        let Some(depth_left) = self.depth_left.checked_sub(1) else { return Err(self.error(Problem::Depth)) };
        let rest = self.delimited()?;
        Ok(Self { rest, end: self.end - self.rest.len(), depth_left })
    }

    /// The value of field `number` as a text.
    #[inline]
    pub(crate) fn text(&mut self, number: u32) -> Result<&'a str, Error> {
        let bytes = self.delimited()?;
        std::str::from_utf8(bytes).map_err(|_not_utf8| self.error(Problem::Text(number)))
    }

    /// Passes over the value of field `number`, which is a text.
    #[inline]
    pub(crate) fn skip_text(&mut self, number: u32) -> Result<(), Error> {
        let bytes = self.delimited()?;
        // Nearly all texts are ASCII, which is told faster than UTF-8 in general.
        if bytes.is_ascii() || std::str::from_utf8(bytes).is_ok() {
            Ok(())
        } else {
            Err(self.error(Problem::Text(number)))
        }
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Error> {
        match self.rest {
            [byte @ 0..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Error> {
        const LONGEST: usize = 10;
        let mut value = 0;
        for (index, &byte) in self.rest.iter().take(LONGEST).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                // The tenth byte has room for one bit only.
                if index == LONGEST - 1 && byte > 1 {
                    break;
                }
                self.rest = self.rest.get(index + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        let problem = if self.rest.len() < LONGEST { Problem::Truncated } else { Problem::LongInteger };
        Err(self.error(problem))
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let Some((array, rest)) = self.rest.split_first_chunk() else { return Err(self.error(Problem::Truncated)) };
        self.rest = rest;
        Ok(*array)
    }

    #[inline]
    pub(crate) fn delimited(&mut self) -> Result<&'a [u8], Error> {
        let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        let Some((bytes, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.error(Problem::Truncated));
        };
        self.rest = rest;
        Ok(bytes)
    }

    fn skip_group(&mut self, group: u32, depth_left: u8) -> Result<(), Error> {
        let Some(depth_left) = depth_left.checked_sub(1) else { return Err(self.error(Problem::Depth)) };
        loop {
            let before = self.clone();
            let (number, wire_type) = self.key()?;
            if wire_type == 4 {
                return if number == group { Ok(()) } else { Err(before.error(Problem::Group)) };
            }
            if depth_left == 0 {
                return Err(before.error(Problem::Depth));
            }
            match wire_type {
                3 => self.skip_group(number, depth_left)?,
                _ => self.pass_over(number, wire_type)?,
            }
        }
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Field<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.end -= self.rest.len();
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Field<'a> {
    /// The integer of a field that is declared as a variable-length one.
    #[inline]
    pub fn varint(&self) -> Result<u64, Error> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(self.unexpected()),
        }
    }

    /// The number of a field that is declared as fixed64, or the bits of a double.
    #[inline]
    pub fn fixed64(&self) -> Result<u64, Error> {
        match self.value {
            Value::Fixed64(value) => Ok(value),
            _ => Err(self.unexpected()),
        }
    }

    /// The bytes of a field that is declared as bytes.
    #[inline]
    pub fn bytes(&self) -> Result<&'a [u8], Error> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.unexpected()),
        }
    }

    /// The text of a field that is declared as a string.
    #[inline]
    pub fn text(&self) -> Result<&'a str, Error> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|error| Error {
            offset: self.end - bytes.len() + error.valid_up_to(),
            problem: Problem::Text(self.number),
        })
    }

    /// The fields of a field that is declared as a message.
    #[inline]
    pub fn message(&self) -> Result<Reader<'a>, Error> {
        let rest = self.bytes()?;
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Reader { rest, end: self.end, depth_left }),
            None => Err(self.error(Problem::Depth)),
        }
    }

    /// An error just behind this field's value.
    #[cold]
    pub const fn error(&self, problem: Problem) -> Error {
        Error { offset: self.end, problem }
    }

    /// The error of a known field with another wire type than declared.
    pub const fn unexpected(&self) -> Error {
        self.error(Problem::WireType(self.number))
    }
}

/// Appends a variable-length integer.
#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time are kept on purpose")]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends the key of a field.
pub(crate) fn put_key(out: &mut Vec<u8>, number: u32, wire_type: u8) {
    put_varint(out, u64::from(number) << 3 | u64::from(wire_type));
}

/// Appends a text, bytes or an encoded message as a field.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_key(out, number, 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends what `write` writes as a message field, with its length before it.
pub(crate) fn put_message<E>(
    out: &mut Vec<u8>,
    number: u32,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    put_key(out, number, 2);
    let start = out.len();
    write(out)?;
    let mut length = Vec::with_capacity(5);
    put_varint(&mut length, (out.len() - start) as u64);
    out.splice(start..start, length);
    Ok(())
}

#[cfg(test)]
mod tests;
