//! A file of the kernel that stays open and is read to its end.
//!
//! Files of many records, such as `diskstats`, `net/dev` and `mountinfo`, are handed out in pieces of about a page
//! however large the buffer is (`seq_file`), so that the single call which does for a file of one record would cut
//! them.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use wattline_core::HostRoot;

/// The most that is read of one file, far beyond `/proc/stat` of the largest machine.
const LIMIT: usize = 4 << 20;
/// The first size of the buffer: enough for all but `/proc/stat` of a large machine.
const FIRST_SIZE: usize = 16 << 10;

/// A file that is opened on the first reading and read from its beginning on each.
#[derive(Debug)]
pub(super) struct WholeFile {
    root: HostRoot,
    path: String,
    file: Option<File>,
}

impl WholeFile {
    pub(super) fn new(root: &HostRoot, path: impl Into<String>) -> Self {
        Self { root: root.clone(), path: path.into(), file: None }
    }

    /// Where the file is, for messages.
    pub(super) fn place(&self) -> String {
        self.root.path(&self.path).display().to_string()
    }

    /// The text of the file as it stands now. Invalid UTF-8 is replaced. After an error the file is opened anew.
    pub(super) fn read<'b>(&mut self, buffer: &'b mut Vec<u8>) -> io::Result<Cow<'b, str>> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.root.open(&self.path)?,
        };
        let length = read_to_end(|room, offset| file.read_at(room, offset), buffer)?;
        self.file = Some(file);
        Ok(String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()))
    }
}

/// Fills `buffer` and tells how much of it is the file. The buffer never shrinks, so that it is zeroed only once.
fn read_to_end(read_at: impl Fn(&mut [u8], u64) -> io::Result<usize>, buffer: &mut Vec<u8>) -> io::Result<usize> {
    if buffer.len() < FIRST_SIZE {
        buffer.resize(FIRST_SIZE, 0);
    }
    let mut length = 0;
    loop {
        if length == buffer.len() {
            if length >= LIMIT {
                return Ok(length);
            }
            buffer.resize(length * 2, 0);
        }
        match read_at(buffer.get_mut(length..).unwrap_or_default(), length as u64) {
            Ok(0) => return Ok(length),
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grows_and_shrinks_is_read_whole_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut kept = WholeFile::new(&HostRoot::new(folder.path()), "proc/stat");
        let mut buffer = Vec::new();
        assert_eq!(kept.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::NotFound);

        std::fs::create_dir(folder.path().join("proc")).unwrap();
        let long = "a line\n".repeat(FIRST_SIZE);
        for text in ["short", &long, "x", ""] {
            std::fs::write(folder.path().join("proc/stat"), text).unwrap();
            assert_eq!(kept.read(&mut buffer).unwrap(), text);
        }
    }

    #[test]
    fn a_file_that_is_handed_out_in_pieces_is_read_to_its_end() {
        let text = b"0123456789".repeat(FIRST_SIZE / 3);
        let pieces = |room: &mut [u8], offset: u64| {
            let rest = &text[usize::try_from(offset).unwrap()..];
            let piece = rest.len().min(room.len()).min(4071);
            room[..piece].copy_from_slice(&rest[..piece]);
            Ok(piece)
        };
        let mut buffer = Vec::new();
        let length = read_to_end(pieces, &mut buffer).unwrap();
        assert_eq!(&buffer[..length], text);
    }

    #[test]
    fn a_file_without_end_is_cut() {
        let mut buffer = Vec::new();
        assert_eq!(read_to_end(|room, _| Ok(room.len()), &mut buffer).unwrap(), LIMIT);
    }

    #[test]
    fn a_directory_in_the_place_of_a_file_is_an_error_each_time() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("stat")).unwrap();
        let mut kept = WholeFile::new(&HostRoot::new(folder.path()), "stat");
        for _ in 0..2 {
            assert_eq!(kept.read(&mut Vec::new()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        }
    }
}
