//! How far a source has read, on disk, in step with the books.
//!
//! Each step is written here first and numbered; then what was read goes to the pipeline together with the number, which
//! is kept in one transaction with the books. At the next start the steps up to that number count and later ones do not:
//! what they read is not on the books and is read again. So each thing is booked once, however the process ended. A loss of
//! power may cost the last steps here and not there; then what they read is booked twice.
//!
//! A line is `[step, what]` in JSON. A line that is torn is a step that nothing was sent of.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use wattline_core::Instant;

/// What steps add up to.
pub(crate) trait Fold: Default {
    /// What one step changes.
    type Change: Serialize + DeserializeOwned;

    /// Takes a step.
    fn apply(&mut self, change: Self::Change);

    /// Changes that lead to this state from nothing.
    fn changes(&self) -> impl Iterator<Item = Self::Change>;
}

/// So many bytes are appended before the file is written anew, or as many as it has then.
const BYTES_MAX: u64 = 4 << 20;
/// Steps this old are on the books: they are kept every few seconds.
const SETTLED_NS: u64 = 600_000_000_000;
/// How often it is noted which steps are how old.
const NOTED_EVERY_NS: u64 = 60_000_000_000;

/// Steps on disk.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: Option<File>,
    step: u64,
    /// Bytes at which it is written anew.
    limit: u64,
    /// Steps with their times, so that it is known which are settled.
    noted: Vec<(Instant, u64)>,
}

impl Journal {
    /// Opens the journal at `path`, or begins it, with the steps up to `kept`, and what they add up to.
    pub(crate) fn open<F: Fold>(path: PathBuf, kept: u64) -> io::Result<(Self, F)> {
        let state = rewrite::<F>(&path, kept, false)?;
        let file = Some(append_to(&path)?);
        Ok((Self { path, file, step: kept, limit: BYTES_MAX, noted: Vec::new() }, state))
    }

    /// Writes the next step down and returns its number. After an error the step has not been taken.
    pub(crate) fn append<F: Fold>(&mut self, change: &F::Change, now: Instant) -> io::Result<u64> {
        self.note(now);
        let step = self.step + 1;
        let mut line = serde_json::to_vec(&(step, change)).map_err(io::Error::other)?;
        line.push(b'\n');
        let mut file = match self.file.take() {
            Some(file) => file,
            None => append_to(&self.path)?,
        };
        let mut length = file.metadata()?.len();
        if length >= self.limit
            && let Some(settled) = self.settled(now)
        {
            rewrite::<F>(&self.path, settled, true)?;
            file = append_to(&self.path)?;
            length = file.metadata()?.len();
            self.limit = BYTES_MAX.max(2 * length);
        }
        if let Err(error) = file.write_all(&line) {
            // Half a line would spoil the next one.
            file.set_len(length).ok();
            return Err(error);
        }
        self.file = Some(file);
        self.step = step;
        Ok(step)
    }

    fn note(&mut self, now: Instant) {
        let is_due = self.noted.last().is_none_or(|(at, _)| now.nanos().saturating_sub(at.nanos()) >= NOTED_EVERY_NS);
        if is_due {
            let settled = self.settled(now).unwrap_or(0);
            self.noted.retain(|(_, step)| *step >= settled);
            self.noted.push((now, self.step));
        }
    }

    /// The newest step that is known to be old.
    fn settled(&self, now: Instant) -> Option<u64> {
        let is_old = |at: &Instant| now.nanos().saturating_sub(at.nanos()) >= SETTLED_NS;
        self.noted.iter().rev().find(|(at, _)| is_old(at)).map(|(_, step)| *step)
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Writes the file anew with what its steps up to `until` add up to, and the later ones as they are if they are wanted.
/// The old file stays until the new one is whole.
fn rewrite<F: Fold>(path: &Path, until: u64, with_later: bool) -> io::Result<F> {
    let mut state = F::default();
    let mut later = Vec::new();
    match open(path) {
        Ok(file) => {
            let mut lines = BufReader::new(file);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line)? > 0 {
                if let Ok((step, change)) = serde_json::from_slice::<(u64, F::Change)>(&line) {
                    if step <= until {
                        state.apply(change);
                    } else if with_later {
                        later.extend_from_slice(&line);
                    }
                }
                line.clear();
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let fresh = path.with_extension("new");
    let mut file = BufWriter::new(File::create(&fresh)?);
    for change in state.changes() {
        serde_json::to_writer(&mut file, &(until, change)).map_err(io::Error::other)?;
        file.write_all(b"\n")?;
    }
    file.write_all(&later)?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()?;
    fs::rename(&fresh, path)?;
    Ok(state)
}

#[expect(clippy::disallowed_methods, reason = "a file of the agent's own, in its state directory")]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Last(BTreeMap<u8, u64>);

    impl Fold for Last {
        type Change = (u8, u64);

        fn apply(&mut self, (key, value): (u8, u64)) {
            self.0.insert(key, value);
        }

        fn changes(&self) -> impl Iterator<Item = (u8, u64)> {
            self.0.iter().map(|(key, value)| (*key, *value))
        }
    }

    fn at(second: u64) -> Instant {
        Instant::from_nanos(second * 1_000_000_000)
    }

    #[test]
    fn a_torn_line_is_a_step_that_was_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        fs::write(&path, "[1,[7,1]]\n[2,[7,2]]\n[3,[7,").unwrap();
        let (mut journal, state) = Journal::open::<Last>(path.clone(), 3).unwrap();
        assert_eq!(state.0, [(7, 2)].into());
        assert_eq!(journal.append::<Last>(&(7, 9), at(1)).unwrap(), 4);
        let mut text = String::new();
        open(&path).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "[3,[7,2]]\n[4,[7,9]]\n");
    }

    #[test]
    fn a_long_journal_is_written_anew_without_losing_what_may_not_be_on_the_books() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, _) = Journal::open::<Last>(path.clone(), 0).unwrap();
        // Twenty bytes a line, ten lines a second.
        let last = BYTES_MAX / 18;
        for step in 1..=last {
            journal.append::<Last>(&(1, step), at(step / 10)).unwrap();
        }
        assert!(fs::symlink_metadata(&path).unwrap().len() < BYTES_MAX / 2, "it was not written anew");
        // What was taken in the last ten minutes can still be taken back.
        let kept = last - 5000;
        let (_, state) = Journal::open::<Last>(path, kept).unwrap();
        assert_eq!(state.0, [(1, kept)].into());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_steps_up_to_the_one_on_the_books_count(
            changes in prop::collection::vec((0..4_u8, any::<u64>()), 0..30), kept in 0..40_u64, again in 0..4_usize,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("journal");
            let (mut journal, _) = Journal::open::<Last>(path.clone(), 0).unwrap();
            for change in &changes {
                journal.append::<Last>(change, at(0)).unwrap();
            }
            let kept = kept.min(changes.len() as u64);
            let (mut journal, state) = Journal::open::<Last>(path.clone(), kept).unwrap();
            let mut expected = Last::default();
            changes.iter().take(usize::try_from(kept).unwrap()).for_each(|change| expected.apply(*change));
            prop_assert_eq!(&state, &expected);
            for change in changes.iter().take(again) {
                let step = journal.append::<Last>(change, at(0)).unwrap();
                expected.apply(*change);
                let (_, state) = Journal::open::<Last>(path.clone(), step).unwrap();
                prop_assert_eq!(&state, &expected);
                journal = Journal::open::<Last>(path.clone(), step).unwrap().0;
            }
        }
    }
}
