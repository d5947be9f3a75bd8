//! Whole lines at the end of a file, whatever happens to the disk or to the file.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Appends lines. After an error it may be tried again at any time: it opens the file anew.
#[derive(Debug)]
pub struct Appender {
    target: Target,
    rotate_bytes: u64,
    keep: u32,
    open: Option<File>,
    /// Part of a line may stand at the end; a line break has to come first.
    torn: bool,
}

#[derive(Debug)]
enum Target {
    Stdout,
    Path(PathBuf),
}

impl Appender {
    /// Opens nothing yet. `path` is `-` for standard output; `rotate_bytes` is 0 for never.
    pub fn new(path: &str, rotate_bytes: u64, keep: u32) -> Self {
        let target = if path == "-" { Target::Stdout } else { Target::Path(path.into()) };
        Self { target, rotate_bytes, keep, open: None, torn: false }
    }

    /// Appends a line, which ends with a line break. When this fails the file ends as it did before, or, where it
    /// cannot be cut (a pipe, a device), the next line begins after a line break.
    pub fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let file = match self.open.take().filter(|file| self.is_current(file)) {
            Some(file) => file,
            None => self.reopen()?,
        };
        let file = if self.is_full(&file, line.len())? { self.rotate()? } else { file };
        self.write(&file, line)?;
        self.open = Some(file);
        Ok(())
    }

    /// Makes what was written survive a power cut, where there is a file that can.
    pub fn sync(&self) -> io::Result<()> {
        match (&self.target, &self.open) {
            (Target::Path(_), Some(file)) if file.metadata()?.is_file() => file.sync_data(),
            _ => Ok(()),
        }
    }

    /// Whether the path still means the open file: somebody may have deleted or renamed it, and lines in a file
    /// without a name are lost.
    fn is_current(&self, file: &File) -> bool {
        let Target::Path(path) = &self.target else { return true };
        match (rustix::fs::stat(path), file.metadata()) {
            (Ok(named), Ok(open)) => named.st_ino == open.ino() && named.st_dev == open.dev(),
            _ => false,
        }
    }

    fn reopen(&mut self) -> io::Result<File> {
        let Target::Path(path) = &self.target else {
            // A copy of the descriptor has no buffer that could hold half a line back.
            return Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?));
        };
        let mut options = OpenOptions::new();
        // Relayed spans may hold what people wrote to a model. A pipe that nobody reads must not stop the agent.
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = options.create(true).append(true).mode(0o600).custom_flags(nonblocking).open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_file() && metadata.len() > 0 {
            self.torn = !ends_with_line_break(path).unwrap_or(false);
        }
        Ok(file)
    }

    fn is_full(&self, file: &File, more: usize) -> io::Result<bool> {
        if self.rotate_bytes == 0 || matches!(self.target, Target::Stdout) {
            return Ok(false);
        }
        let metadata = file.metadata()?;
        let len = metadata.len();
        Ok(metadata.is_file() && len > 0 && len.saturating_add(more as u64) > self.rotate_bytes)
    }

    /// Renames the file and those before it, and begins a new one. When that fails nothing is written, because the
    /// limit on the size is a promise.
    fn rotate(&mut self) -> io::Result<File> {
        if let Target::Path(path) = &self.target {
            for number in (1..self.keep).rev() {
                unless_missing(fs::rename(numbered(path, number), numbered(path, number + 1)))?;
            }
            unless_missing(match self.keep {
                0 => fs::remove_file(path),
                _ => fs::rename(path, numbered(path, 1)),
            })?;
            self.torn = false;
        }
        self.reopen()
    }

    fn write(&mut self, mut file: &File, line: &[u8]) -> io::Result<()> {
        let before = file.metadata()?;
        let cuttable = before.is_file() && matches!(self.target, Target::Path(_));
        let mut end = before.len();
        if self.torn {
            file.write_all(b"\n")?;
            self.torn = false;
            end += 1;
        }
        write_whole(&mut file, line, |file| cuttable && file.set_len(end).is_ok()).map_err(|Cut { error, torn }| {
            self.torn = torn;
            error
        })
    }
}

/// A write that failed.
#[derive(Debug)]
struct Cut {
    error: io::Error,
    /// Part of the line was written and stays.
    torn: bool,
}

/// Writes a line in as few writes as the system allows, which for a file is one. What a failed write left is taken
/// away by `cut`, which says whether it could.
fn write_whole<W: io::Write>(out: &mut W, line: &[u8], cut: impl FnOnce(&mut W) -> bool) -> Result<(), Cut> {
    let mut rest = line;
    while !rest.is_empty() {
        let error = match out.write(rest) {
            Ok(0) => io::ErrorKind::WriteZero.into(),
            Ok(written) => {
                rest = rest.get(written..).unwrap_or_default();
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => error,
        };
        let begun = rest.len() < line.len();
        return Err(Cut { error, torn: begun && !cut(out) });
    }
    Ok(())
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn ends_with_line_break(path: &Path) -> io::Result<bool> {
    let mut file = OpenOptions::new().read(true).open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests;
