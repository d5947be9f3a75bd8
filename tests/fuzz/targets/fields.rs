//! Changes a protobuf message inside one of its fields, at any depth, and writes the lengths around it anew. Without this
//! nearly every change of a length leaves a message that is refused at once.

use libfuzzer_sys::fuzzer_mutate;

/// Bytes that one field may grow by.
const GROWTH: usize = 64;

/// Changes the first `size` bytes of `data` and tells how many there are now, at most `max_size`.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut dice = Dice(u64::from(seed) << 1 | 1);
    if dice.below(4) > 0 {
        let changed = data.get(..size).and_then(|message| changed(message, &mut dice));
        if let Some(changed) = changed.filter(|changed| changed.len() <= max_size)
            && let Some(place) = data.get_mut(..changed.len())
        {
            place.copy_from_slice(&changed);
            return changed.len();
        }
    }
    fuzzer_mutate(data, size, max_size)
}

/// The message with one field of it changed, given twice, left out or put at the end; `None` where it is no message.
fn changed(message: &[u8], dice: &mut Dice) -> Option<Vec<u8>> {
    let fields = fields(message)?;
    let chosen = fields.get(dice.below(fields.len()))?;
    let (before, after) = (message.get(..chosen.start)?, message.get(chosen.end..)?);
    let field = message.get(chosen.start..chosen.end)?;
    Some(match dice.below(16) {
        0 => [before, after].concat(),
        1 => [before, field, field, after].concat(),
        2 => [before, after, field].concat(),
        3 => {
            // In the place of a neighbour, under its own number.
            let other = fields.get(dice.below(fields.len()))?;
            [before, message.get(other.start..other.end)?, after].concat()
        }
        _ => match chosen.body {
            None => [before, &mutated(field), after].concat(),
            Some(body) => {
                let inside = message.get(body..chosen.end)?;
                let deeper = if dice.below(8) > 0 { changed(inside, dice) } else { None };
                let inside = deeper.unwrap_or_else(|| mutated(inside));
                let mut whole = [before, message.get(chosen.start..chosen.length)?].concat();
                put_varint(&mut whole, inside.len());
                [whole, inside, after.to_vec()].concat()
            }
        },
    })
}

fn mutated(bytes: &[u8]) -> Vec<u8> {
    let mut place = bytes.to_vec();
    place.resize(bytes.len() + GROWTH, 0);
    let size = fuzzer_mutate(&mut place, bytes.len(), bytes.len() + GROWTH);
    place.truncate(size);
    place
}

/// Where a field stands: its key, its length and its body if it has one, its end.
struct Field {
    start: usize,
    length: usize,
    body: Option<usize>,
    end: usize,
}

fn fields(message: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    let mut at = 0;
    while at < message.len() {
        let start = at;
        let key = varint(message, &mut at)?;
        let length = at;
        let mut body = None;
        match key & 7 {
            0 => drop(varint(message, &mut at)?),
            1 => at += 8,
            2 => {
                let long = varint(message, &mut at)?;
                body = Some(at);
                at = at.checked_add(long)?;
            }
            5 => at += 4,
            _ => return None,
        }
        if at > message.len() {
            return None;
        }
        fields.push(Field { start, length, body, end: at });
    }
    Some(fields)
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let byte = usize::from(*bytes.get(*at)?);
        *at += 1;
        value |= (byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Numbers that a seed decides (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides.max(1)
    }
}
