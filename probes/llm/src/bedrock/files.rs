//! Records out of files: JSON lines, plain or compressed by gzip, as they are synchronised from S3 or written by a shipper.
//!
//! Folders are looked through again and again. A file is known by its path and by how it begins, or, when it was renamed,
//! by its inode and by how it begins; so a file that is copied over itself is not read again, one that is replaced by
//! another is, and one that grows is read on from where its last whole line ended. What stands behind the last line break
//! waits, unless it is a whole record.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use wattline_core::Timestamp;

use super::{LINE_BYTES_MAX, LeftOut, Rules, Told};
use crate::identity::hash_bytes;
use crate::journal::Fold;

/// Folders below the configured ones are looked into up to this depth: S3 has nine.
const DEPTH_MAX: u32 = 24;
/// Files that are known at most. Of those that are gone the ones read longest ago are forgotten first.
pub(super) const FILES_MAX: usize = 100_000;
/// By so many bytes of its first line a file is told from another.
const HEAD_BYTES: usize = 1024;
/// What is read at once before it is sent on: records, or bytes of lines.
const STEP_RECORDS: usize = 64;
const STEP_BYTES: u64 = 4 << 20;
/// Ends of the names of files that are read, each also with `.gz` behind. A name like `x.json.gz.6F2a9B01` is a file that
/// is still being copied.
const ENDINGS: [&str; 5] = [".json", ".jsonl", ".ndjson", ".log", ".txt"];
/// Bedrock puts bodies that are too large for a record into this folder beside the records.
const BODIES: &str = "data";

/// A file as it was when it was read last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// A hash of the path.
    path: u64,
    inode: u64,
    /// A hash of how it begins.
    mark: u64,
    /// Bytes up to the end of the last line that was read, after decompression.
    offset: u64,
    size: u64,
    modified_ns: u64,
}

/// In the journal a file is six numbers.
type Numbers = (u64, u64, u64, u64, u64, u64);

/// All files that were read.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Known {
    files: BTreeMap<u64, Seen>,
    by_inode: BTreeMap<u64, u64>,
}

impl Fold for Known {
    type Change = Numbers;

    fn apply(&mut self, (path, inode, mark, offset, size, modified_ns): Numbers) {
        self.by_inode.insert(inode, path);
        self.files.insert(path, Seen { path, inode, mark, offset, size, modified_ns });
    }

    fn changes(&self) -> impl Iterator<Item = Numbers> {
        self.files.values().map(Seen::numbers)
    }
}

impl Seen {
    pub(super) const fn numbers(&self) -> Numbers {
        let Self { path, inode, mark, offset, size, modified_ns } = *self;
        (path, inode, mark, offset, size, modified_ns)
    }
}

impl Known {
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// How the file at this path was seen last.
    pub(super) fn last(&self, candidate: &Candidate) -> Option<Seen> {
        self.files.get(&candidate.key).copied()
    }

    /// How far a file was read that begins so.
    fn offset_of(&self, path: u64, inode: u64, mark: u64) -> Option<u64> {
        let moved = || self.by_inode.get(&inode).and_then(|path| self.files.get(path));
        let same = |seen: &&Seen| seen.mark == mark;
        self.files.get(&path).filter(same).or_else(|| moved().filter(same)).map(|seen| seen.offset)
    }

    /// Forgets files that are gone while there are too many, those that were changed longest ago first.
    pub(super) fn forget(&mut self, present: &[Candidate]) {
        if self.files.len() < FILES_MAX {
            return;
        }
        let present: std::collections::BTreeSet<u64> = present.iter().map(|candidate| candidate.key).collect();
        let mut gone: Vec<(u64, u64)> =
            self.files.values().filter(|seen| !present.contains(&seen.path)).map(|s| (s.modified_ns, s.path)).collect();
        gone.sort_unstable();
        for (_, path) in gone.into_iter().take(FILES_MAX / 10) {
            if let Some(seen) = self.files.remove(&path) {
                self.by_inode.remove(&seen.inode);
            }
        }
    }
}

/// A file that is there.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) path: PathBuf,
    key: u64,
    inode: u64,
    size: u64,
    modified_ns: u64,
}

impl Candidate {
    fn new(path: PathBuf, metadata: &Metadata) -> Self {
        let key = hash_bytes(path.as_os_str().as_bytes());
        let seconds = u64::try_from(metadata.mtime()).unwrap_or(0);
        let modified_ns =
            seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(metadata.mtime_nsec()).unwrap_or(0));
        Self { path, key, inode: metadata.ino(), size: metadata.len(), modified_ns }
    }

    /// Whether it may hold what was not read yet.
    pub(super) fn is_news(&self, known: &Known) -> bool {
        known
            .files
            .get(&self.key)
            .is_none_or(|seen| (seen.inode, seen.size, seen.modified_ns) != (self.inode, self.size, self.modified_ns))
    }

    const fn seen(&self, mark: u64, offset: u64) -> Seen {
        Seen { path: self.key, inode: self.inode, mark, offset, size: self.size, modified_ns: self.modified_ns }
    }

    /// The same while there is more to read: no file has such a size, so that it is looked at again.
    const fn seen_in_part(&self, mark: u64, offset: u64) -> Seen {
        Seen { size: u64::MAX, ..self.seen(mark, offset) }
    }
}

/// What cannot be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) path: PathBuf,
    pub(super) what: String,
    /// It was read as far as it goes, and will not be tried again until it changes.
    pub(super) is_damaged: bool,
}

/// All files in `paths`, in the order of their names, and the places that cannot be looked into.
pub(super) fn look(paths: &[PathBuf]) -> (Vec<Candidate>, Vec<Fault>) {
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    for path in paths {
        match metadata(path) {
            Ok(metadata) if metadata.is_dir() => walk(path, 0, &mut found, &mut faults),
            Ok(metadata) => found.push(Candidate::new(path.clone(), &metadata)),
            Err(error) => faults.push(Fault::unreadable(path, &error)),
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.dedup_by(|a, b| a.path == b.path);
    (found, faults)
}

#[expect(clippy::disallowed_methods, reason = "files that the user names in the configuration are not host counters")]
fn metadata(path: &Path) -> io::Result<Metadata> {
    fs::metadata(path)
}

#[expect(clippy::disallowed_methods, reason = "files that the user names in the configuration are not host counters")]
fn walk(folder: &Path, depth: u32, found: &mut Vec<Candidate>, faults: &mut Vec<Fault>) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return faults.push(Fault::unreadable(folder, &error)),
    };
    for entry in entries.flatten() {
        let path = entry.path();
        // Links are followed to files only: to folders they may go in a circle.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth < DEPTH_MAX && entry.file_name() != BODIES => {
                walk(&path, depth + 1, found, faults);
            }
            Ok(kind) if !kind.is_dir() && found.len() < 2 * FILES_MAX && is_read(&path) => match metadata(&path) {
                Ok(metadata) if metadata.is_file() => found.push(Candidate::new(path, &metadata)),
                // It went between two looks, or is no file.
                _ => {}
            },
            _ => {}
        }
    }
}

fn is_read(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

impl Fault {
    fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self { path: path.to_owned(), what: error.to_string(), is_damaged: false }
    }
}

/// What was read of a file at once.
pub(super) struct Step {
    pub(super) told: Told,
    pub(super) seen: Seen,
}

/// Reads on in a file, and hands on what it holds step by step until `take` says that it is enough. The error says that the
/// file could not be read, or not to its end; what came before has been handed on.
pub(super) fn read(
    candidate: &Candidate,
    known: &Known,
    rules: &Rules,
    now: Timestamp,
    take: &mut dyn FnMut(Step) -> bool,
) -> Result<(), Fault> {
    let unreadable = |error: io::Error| Fault::unreadable(&candidate.path, &error);
    let file = open(&candidate.path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let mut lines = Lines::open(file).map_err(unreadable)?;
    // A file that is damaged is left until it changes, and what was read of it stays read.
    let mut damaged = |seen: Seen, error: &io::Error| {
        take(Step { told: Told::default(), seen });
        Fault { path: candidate.path.clone(), what: error.to_string(), is_damaged: true }
    };
    let mark = match lines.mark() {
        Ok(Some(mark)) => mark,
        // Nothing yet by which it could be known.
        Ok(None) => return Ok(()),
        Err(error) => return Err(damaged(candidate.seen(0, 0), &error)),
    };
    let before = known.offset_of(candidate.key, candidate.inode, mark).unwrap_or(0);
    // A file that was cut and begins as before: what is left of it was read, and what comes is new.
    let offset = if lines.is_gzip { before } else { before.min(size) };
    let offset = match lines.skip(offset) {
        Ok(offset) => offset,
        Err(error) => return Err(damaged(candidate.seen(mark, before), &error)),
    };
    let mut step = Step { told: Told::default(), seen: candidate.seen_in_part(mark, offset) };
    let mut begun_at = offset;
    loop {
        let line = lines.next();
        match line {
            Ok(Line::Whole) => step.told.read_line(&lines.line, rules, now),
            Ok(Line::TooLong) => step.told.leave_out(LeftOut::TooLong),
            Ok(Line::End) | Err(_) => {}
        }
        step.seen.offset = offset + lines.consumed;
        let is_last = matches!(line, Ok(Line::End) | Err(_));
        if is_last {
            step.seen = candidate.seen(mark, step.seen.offset);
        }
        if is_last || step.told.len() >= STEP_RECORDS || step.seen.offset - begun_at >= STEP_BYTES {
            begun_at = step.seen.offset;
            let next = Step { told: Told::default(), seen: step.seen };
            if !take(std::mem::replace(&mut step, next)) {
                return Ok(());
            }
        }
        match line {
            Ok(Line::End) => return Ok(()),
            Ok(_) => {}
            Err(error) => {
                return Err(Fault { path: candidate.path.clone(), what: error.to_string(), is_damaged: true });
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "files that the user names in the configuration are not host counters")]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// What the next line is. A whole one is in [`Lines::line`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Whole,
    TooLong,
    /// There is no whole line any more.
    End,
}

/// The lines of a file, which may be compressed.
struct Lines {
    reader: Box<dyn BufRead>,
    is_gzip: bool,
    /// The line that was read last, without its end.
    line: Vec<u8>,
    /// Bytes of the lines read since the beginning, or since [`Lines::skip`].
    consumed: u64,
}

impl Lines {
    fn open(file: File) -> io::Result<Self> {
        let mut file = BufReader::new(file);
        // RFC 1952, 2.3.1.
        let is_gzip = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn BufRead> =
            if is_gzip { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) };
        Ok(Self { reader, is_gzip, line: Vec::new(), consumed: 0 })
    }

    /// A hash of how the file begins: of its first line, or of so much of that as tells it from others. `None` where there
    /// is no whole line yet. Nothing is consumed by it.
    fn mark(&mut self) -> io::Result<Option<u64>> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        let read = self.reader.by_ref().take(HEAD_BYTES as u64).read_until(b'\n', &mut head);
        let mark = match read {
            // What cannot be decompressed any further is damaged, but what came before it is a beginning.
            Err(error) if head.is_empty() => return Err(error),
            _ if head.len() == HEAD_BYTES || head.ends_with(b"\n") || self.ends_here(&head) => {
                Some(hash_bytes(head.strip_suffix(b"\n").unwrap_or(&head)))
            }
            _ => None,
        };
        let rest = std::mem::replace(&mut self.reader, Box::new(io::empty()));
        self.reader = Box::new(Cursor::new(head).chain(rest));
        Ok(mark)
    }

    /// Passes over so many bytes, or all there are; returns how many.
    fn skip(&mut self, bytes: u64) -> io::Result<u64> {
        io::copy(&mut self.reader.by_ref().take(bytes), &mut io::sink())
    }

    /// Whether what stands behind the last line break is a whole line: a file that is compressed has been ended, and behind
    /// a whole record nothing can come that belongs to it.
    fn ends_here(&self, line: &[u8]) -> bool {
        let is_record =
            || serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok() && line.trim_ascii_end().ends_with(b"}");
        !line.is_empty() && (self.is_gzip || is_record())
    }

    fn next(&mut self) -> io::Result<Line> {
        self.line.clear();
        let mut length = 0_u64;
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                let is_whole = length <= LINE_BYTES_MAX as u64 && self.ends_here(&self.line);
                return Ok(if is_whole { self.ended(length) } else { Line::End });
            }
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let part = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
            let room = LINE_BYTES_MAX.saturating_sub(self.line.len()).min(part.len());
            self.line.extend_from_slice(part.get(..room).unwrap_or_default());
            length += part.len() as u64;
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                let line = self.ended(length);
                self.consumed += 1;
                return Ok(line);
            }
        }
    }

    fn ended(&mut self, length: u64) -> Line {
        self.consumed += length;
        if length <= LINE_BYTES_MAX as u64 { Line::Whole } else { Line::TooLong }
    }
}

#[cfg(test)]
mod tests;
