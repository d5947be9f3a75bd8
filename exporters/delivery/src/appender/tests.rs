use super::*;

fn text(path: &Path) -> String {
    let mut text = String::new();
    OpenOptions::new().read(true).open(path).unwrap().read_to_string(&mut text).unwrap();
    text
}

fn at(path: &Path, rotate_bytes: u64, keep: u32) -> Appender {
    Appender::new(path.to_str().unwrap(), rotate_bytes, keep)
}

#[test]
fn lines_are_added_to_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.jsonl");
    at(&path, 0, 0).append(b"one\n").unwrap();
    let mut appender = at(&path, 0, 0);
    appender.append(b"two\n").unwrap();
    appender.append(b"three\n").unwrap();
    appender.sync().unwrap();
    assert_eq!(text(&path), "one\ntwo\nthree\n");
    let mode = OpenOptions::new().read(true).open(&path).unwrap().metadata().unwrap().mode();
    assert_eq!(mode & 0o077, 0, "others may read it: {mode:o}");
}

#[test]
fn a_full_file_is_renamed_and_the_oldest_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.jsonl");
    let mut appender = at(&path, 10, 2);
    for line in ["a-1\n", "a-2\n", "b-1\n", "b-2\n", "c-1\n", "c-2\n", "a line that is too long by itself\n", "e\n"] {
        appender.append(line.as_bytes()).unwrap();
    }
    assert_eq!(text(&path), "e\n");
    assert_eq!(text(&numbered(&path, 1)), "a line that is too long by itself\n");
    assert_eq!(text(&numbered(&path, 2)), "c-1\nc-2\n");
    assert!(!numbered(&path, 3).exists());
}

#[test]
fn keeping_none_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.jsonl");
    let mut appender = at(&path, 5, 0);
    appender.append(b"one\n").unwrap();
    appender.append(b"two\n").unwrap();
    assert_eq!(text(&path), "two\n");
    assert!(!numbered(&path, 1).exists());
}

#[test]
fn a_file_that_cannot_be_renamed_does_not_grow() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.jsonl");
    // A directory with something in it cannot be replaced by a file.
    fs::create_dir(numbered(&path, 1)).unwrap();
    fs::create_dir(numbered(&path, 1).join("in the way")).unwrap();
    let mut appender = at(&path, 5, 1);
    appender.append(b"one\n").unwrap();
    assert!(appender.append(b"two\n").is_err());
    assert_eq!(text(&path), "one\n");
    fs::remove_dir_all(numbered(&path, 1)).unwrap();
    appender.append(b"three\n").unwrap();
    assert_eq!((text(&path).as_str(), text(&numbered(&path, 1)).as_str()), ("three\n", "one\n"));
}

#[test]
fn half_a_line_from_before_does_not_spoil_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.jsonl");
    fs::write(&path, "whole\nhal").unwrap();
    let mut appender = at(&path, 0, 0);
    appender.append(b"next\n").unwrap();
    appender.append(b"last\n").unwrap();
    assert_eq!(text(&path), "whole\nhal\nnext\nlast\n");
}

#[test]
fn a_file_that_was_moved_or_deleted_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.jsonl");
    let mut appender = at(&path, 0, 0);
    appender.append(b"one\n").unwrap();
    fs::rename(&path, dir.path().join("moved")).unwrap();
    appender.append(b"two\n").unwrap();
    assert_eq!(text(&path), "two\n");
    fs::remove_file(&path).unwrap();
    appender.append(b"three\n").unwrap();
    assert_eq!(text(&path), "three\n");
    assert_eq!(text(&dir.path().join("moved")), "one\n");
}

#[test]
fn a_full_disk_is_an_error_each_time() {
    let mut appender = Appender::new("/dev/full", 0, 0);
    for _ in 0..2 {
        assert_eq!(appender.append(b"line\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}

/// A disk with room for so many bytes.
struct Disk {
    bytes: Vec<u8>,
    room: usize,
}

impl io::Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fits = bytes.len().min(self.room - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..fits]);
        if fits == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(fits) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_failed_write_left_is_cut_off_where_that_is_possible() {
    let mut disk = Disk { bytes: b"one\n".to_vec(), room: 6 };
    let cut = |disk: &mut Disk| {
        disk.bytes.truncate(4);
        true
    };
    let failed = write_whole(&mut disk, b"three\n", cut).unwrap_err();
    assert_eq!(
        (failed.error.kind(), failed.torn, disk.bytes.as_slice()),
        (io::ErrorKind::StorageFull, false, &b"one\n"[..])
    );
    assert!(write_whole(&mut disk, b"2\n", cut).is_ok());

    let mut device = Disk { bytes: Vec::new(), room: 3 };
    assert!(write_whole(&mut device, b"three\n", |_| false).unwrap_err().torn);
    assert!(!write_whole(&mut device, b"three\n", |_| false).unwrap_err().torn, "nothing of this one was written");
}

#[test]
fn a_pipe_that_is_full_refuses_at_once_and_goes_on_with_a_new_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let mut appender = at(&path, 1, 1);
    assert!(appender.append(b"nobody reads\n").is_err());

    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut reader = OpenOptions::new().read(true).custom_flags(nonblocking).open(&path).unwrap();
    let long = vec![b'x'; 1 << 20];
    assert_eq!(appender.append(&long).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let mut read = Vec::new();
    let _would_block = reader.read_to_end(&mut read);
    assert!(!read.is_empty() && read.iter().all(|&byte| byte == b'x'), "half of the long line");
    appender.append(b"next\n").unwrap();
    let mut read = Vec::new();
    let _would_block = reader.read_to_end(&mut read);
    assert_eq!(read, b"\nnext\n");
}
