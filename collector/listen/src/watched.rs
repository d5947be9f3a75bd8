//! A value that is read from files, and again when they change.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::guard::GuardError;

/// Files are looked at no more often than this.
const LOOK: Duration = Duration::from_secs(1);

type Read<T> = Box<dyn Fn() -> Result<T, GuardError> + Send + Sync>;

/// A value with the files that it comes from.
pub(crate) struct Watched<T> {
    files: Vec<PathBuf>,
    read: Read<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    value: Arc<T>,
    stamps: Vec<Option<Stamp>>,
    next_look: Instant,
}

/// What is never the same for two contents of a file: the time of its last change, its inode and its size.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    changed: (i64, i64),
    file: (u64, u64),
    bytes: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "certificates and tokens are the user's files")]
        let file = std::fs::metadata(path).ok()?;
        Some(Self { changed: (file.ctime(), file.ctime_nsec()), file: (file.dev(), file.ino()), bytes: file.len() })
    }
}

impl<T> Watched<T> {
    /// Reads the value for the first time.
    pub(crate) fn new(
        files: Vec<PathBuf>,
        read: impl Fn() -> Result<T, GuardError> + Send + Sync + 'static,
    ) -> Result<Self, GuardError> {
        // The stamps come first: a change while reading is seen at the next look.
        let stamps = files.iter().map(|path| Stamp::of(path)).collect();
        let state = State { value: Arc::new(read()?), stamps, next_look: Instant::now() + LOOK };
        Ok(Self { files, read: Box::new(read), state: Mutex::new(state) })
    }

    /// The value in force. Where the files have changed it is read anew; one that is no good is told of once, and the
    /// old one stays.
    pub(crate) fn current(&self) -> Arc<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now >= state.next_look {
            state.next_look = now + LOOK;
            let stamps: Vec<_> = self.files.iter().map(|path| Stamp::of(path)).collect();
            if stamps != state.stamps {
                state.stamps = stamps;
                match (self.read)() {
                    Ok(fresh) => {
                        state.value = Arc::new(fresh);
                        tracing::info!(files = ?self.files, "read again, because they have changed");
                    }
                    Err(error) => {
                        tracing::warn!(%error, "these files have changed and are no good; what they held stays in force");
                    }
                }
            }
        }
        Arc::clone(&state.value)
    }
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watched({:?})", self.files)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::guard::read;

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_counts_within_a_second_and_a_bad_one_never() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        fs::write(&path, "1").unwrap();
        let file = path.clone();
        let watched = Watched::new(vec![path.clone()], move || {
            let text = String::from_utf8(read("x", "file", &file)?).unwrap();
            text.parse::<u8>().map_err(|_no_number| GuardError::Incomplete { section: "x", missing: "a number" })
        })
        .unwrap();
        fs::write(&path, "2").unwrap();
        assert_eq!(*watched.current(), 1);
        for (content, expected) in [("2", 2), ("bad", 2), ("3", 3)] {
            fs::write(&path, content).unwrap();
            tokio::time::advance(LOOK).await;
            assert_eq!(*watched.current(), expected);
        }
        fs::remove_file(&path).unwrap();
        tokio::time::advance(LOOK).await;
        assert_eq!(*watched.current(), 3);
    }
}
