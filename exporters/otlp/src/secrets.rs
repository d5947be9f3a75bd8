//! Headers whose values stand in files: read when they are needed, and again when they change.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::{Config, Key};
use crate::tls::Problem;

/// No token is longer; a file that is was named by mistake.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What tells one state of a file from another without reading it. A link is followed, as Kubernetes replaces the target.
/// The inode and the time of its last change tell apart what was written in the same tick of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: (u64, u64),
    changed: (i64, i64),
    modified: (i64, i64),
    bytes: u64,
}

#[expect(clippy::disallowed_methods, reason = "secrets and certificates are the user's files, not host counters")]
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let file = std::fs::metadata(path).ok()?;
    Some(Stamp {
        inode: (file.dev(), file.ino()),
        changed: (file.ctime(), file.ctime_nsec()),
        modified: (file.mtime(), file.mtime_nsec()),
        bytes: file.len(),
    })
}

/// The headers of a destination that come from files.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeaderFiles(Vec<HeaderFile>);

#[derive(Clone, Debug)]
struct HeaderFile {
    key: Key,
    name: HeaderName,
    prefix: &'static str,
    path: PathBuf,
    kept: Option<(Option<Stamp>, HeaderValue)>,
}

impl HeaderFiles {
    /// Checks the names and reads the files for the first time.
    pub(crate) fn read(config: &Config) -> Result<Self, Problem> {
        let mut files = Vec::new();
        if let Some(path) = &config.bearer_token_file {
            let path = path.clone();
            files.push(HeaderFile {
                key: "bearer_token_file",
                name: AUTHORIZATION,
                prefix: "Bearer ",
                path,
                kept: None,
            });
        }
        for (name, path) in &config.header_files {
            let problem = || ("header_files", format!("has the name {name:?}, which no header can have"));
            let name: HeaderName = name.parse().map_err(|_invalid| problem())?;
            if crate::plan::is_reserved(&name) {
                return Err(("header_files", format!("sets {name}, which the protocol sets itself")));
            }
            if files.iter().any(|file: &HeaderFile| file.name == name) {
                return Err(("header_files", format!("sets {name}, which is set already")));
            }
            files.push(HeaderFile { key: "header_files", name, prefix: "", path: path.clone(), kept: None });
        }
        let mut files = Self(files);
        files.headers()?;
        Ok(files)
    }

    /// The names of the headers.
    pub(crate) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().map(|file| &file.name)
    }

    /// The headers as the files have them now.
    pub(crate) fn headers(&mut self) -> Result<HeaderMap, Problem> {
        self.0.iter_mut().map(|file| Ok((file.name.clone(), file.value()?))).collect()
    }

    /// Reads all files again, even those that look the same. True when one says something else than before.
    pub(crate) fn changed(&mut self) -> bool {
        let before: Vec<_> = self.0.iter_mut().map(|file| file.kept.take().map(|(_, value)| value)).collect();
        let now: Vec<_> = self.0.iter_mut().map(|file| file.value().ok()).collect();
        now.iter().zip(&before).any(|(now, before)| now.is_some() && now != before)
    }
}

impl HeaderFile {
    fn value(&mut self) -> Result<HeaderValue, Problem> {
        let now = stamp(&self.path);
        if let Some((then, value)) = &self.kept
            && now.is_some()
            && *then == now
        {
            return Ok(value.clone());
        }
        let problem = |words: String| (self.key, format!("{words}: {}", self.path.display()));
        if now.is_some_and(|now| now.bytes > FILE_BYTES_MAX) {
            return Err(problem(format!("names a file of more than {FILE_BYTES_MAX} bytes, which holds no token")));
        }
        #[expect(clippy::disallowed_methods, reason = "secrets are the user's files, not host counters")]
        let text = std::fs::read_to_string(&self.path).map_err(|error| problem(format!("cannot be read ({error})")))?;
        let text = text.trim();
        if text.is_empty() {
            return Err(problem("names an empty file".to_owned()));
        }
        let mut value = HeaderValue::from_str(&format!("{}{text}", self.prefix))
            .map_err(|_secret| problem("names a file that holds more than one line".to_owned()))?;
        value.set_sensitive(true);
        self.kept = Some((now, value.clone()));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn config(path: &Path) -> Config {
        Config { bearer_token_file: Some(path.to_owned()), ..Config::default() }
    }

    #[test]
    fn a_token_is_read_again_when_its_file_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, "first-token\n").unwrap();
        let mut files = HeaderFiles::read(&config(&path)).unwrap();
        assert_eq!(files.headers().unwrap()["authorization"], "Bearer first-token");
        assert!(!files.changed());
        fs::write(&path, "the-second-token").unwrap();
        assert_eq!(files.headers().unwrap()["authorization"], "Bearer the-second-token");
        assert!(!format!("{files:?}").contains("second-token"));
    }

    #[test]
    fn a_file_that_looks_the_same_is_read_again_after_a_refusal() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, "token-1").unwrap();
        let mut files = HeaderFiles::read(&config(&path)).unwrap();
        fs::write(&path, "token-2").unwrap();
        // As if both had been written in the same tick of the clock.
        let now = stamp(&path);
        let kept = files.0[0].kept.as_mut().unwrap();
        kept.0 = now;
        assert_eq!(files.headers().unwrap()["authorization"], "Bearer token-1");
        assert!(files.changed());
        assert_eq!(files.headers().unwrap()["authorization"], "Bearer token-2");
    }

    #[test]
    fn a_file_that_holds_no_token_is_named_and_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        for text in ["", " \n", "s3cret\nlines", &"s3cret".repeat(20_000)] {
            fs::write(&path, text).unwrap();
            let (key, problem) = HeaderFiles::read(&config(&path)).unwrap_err();
            assert_eq!(key, "bearer_token_file");
            assert!(problem.contains("token") && !problem.contains("s3cret"), "{problem}");
        }
        fs::remove_file(&path).unwrap();
        let (_, problem) = HeaderFiles::read(&config(&path)).unwrap_err();
        assert!(problem.contains("cannot be read"), "{problem}");
    }
}
