//! Fixture hosts: the files of a made-up machine, one text file for each machine.
//!
//! An archive in `fixtures/hosts` begins with lines that describe the machine. Then each file has a section:
//!
//! ```text
//! --- proc/sys/kernel/hostname
//! node-1
//! --- sys/class/powercap/intel-rapl:0 -> ../../devices/virtual/powercap/intel-rapl/intel-rapl:0
//! --- sys/fs/cgroup/empty.slice/
//! --- proc/4242/stat escaped
//! 4242 (odd \xff) S 1
//! --- etc/shadow mode=000
//! ```
//!
//! A section is a file with the lines that follow, a link, or an empty directory. In an `escaped` file `\xNN` is one
//! byte. `mode=` sets the permissions, which root, and so a test that runs as root, does not heed.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use wattline_core::HostRoot;

/// A made-up machine on disk. Its files are gone when it is dropped.
#[derive(Debug)]
pub struct FixtureHost {
    folder: TempDir,
    root: HostRoot,
    files: Vec<String>,
}

/// Unpacks the archive `fixtures/hosts/NAME.txt`. Panics when it is not there or not well formed.
pub fn unpack(name: &str) -> FixtureHost {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hosts").join(format!("{name}.txt"));
    #[expect(clippy::disallowed_methods, reason = "a fixture of the tests is no file of a host")]
    let text = fs::read_to_string(&archive).unwrap_or_else(|error| panic!("reading {}: {error}", archive.display()));
    FixtureHost::of_text(&text).unwrap_or_else(|error| panic!("unpacking {}: {error}", archive.display()))
}

impl FixtureHost {
    /// A machine of the sections in `text`.
    pub fn of_text(text: &str) -> io::Result<Self> {
        let folder = TempDir::new()?;
        let root = HostRoot::new(folder.path());
        let mut host = Self { folder, root, files: Vec::new() };
        let mut section: Option<(Section<'_>, String)> = None;
        for line in text.lines() {
            match (line.strip_prefix("--- "), &mut section) {
                (Some(heading), _) => {
                    let new = (Section::parse(heading)?, String::new());
                    if let Some((done, content)) = section.replace(new) {
                        done.make(&mut host, &content)?;
                    }
                }
                (None, Some((_, content))) => {
                    content.push_str(line);
                    content.push('\n');
                }
                (None, None) => {}
            }
        }
        if let Some((last, content)) = section {
            last.make(&mut host, &content)?;
        }
        Ok(host)
    }

    /// Where the machine's files are.
    pub fn root(&self) -> &HostRoot {
        &self.root
    }

    /// The paths of the files that the archive held, in its order.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// The folder that stands for `/`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file. A file that is there is written in place, as the kernel's files change, so that whoever keeps
    /// it open sees the new text. Panics when that fails.
    pub fn set(&self, path: &str, text: &str) {
        let place = self.place(path);
        make_parent(&place)
            .and_then(|()| fs::write(&place, text))
            .unwrap_or_else(|error| panic!("writing {}: {error}", place.display()));
    }

    /// Removes a file, a link or a directory with all that is in it. Panics when it is not there.
    pub fn remove(&self, path: &str) {
        let place = self.place(path);
        let removed = match fs::symlink_metadata(&place) {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(&place),
            Ok(_) => fs::remove_file(&place),
            Err(error) => Err(error),
        };
        removed.unwrap_or_else(|error| panic!("removing {}: {error}", place.display()));
    }

    fn place(&self, path: &str) -> PathBuf {
        self.root.path(path)
    }
}

/// The heading of one section.
#[derive(Debug, PartialEq, Eq)]
struct Section<'a> {
    path: &'a str,
    kind: Kind<'a>,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind<'a> {
    File { escaped: bool, mode: Option<u32> },
    Directory,
    Link { target: &'a str },
}

impl<'a> Section<'a> {
    fn parse(heading: &'a str) -> io::Result<Self> {
        if let Some((path, target)) = heading.split_once(" -> ") {
            return Ok(Self { path, kind: Kind::Link { target } });
        }
        if let Some(path) = heading.strip_suffix('/') {
            return Ok(Self { path, kind: Kind::Directory });
        }
        let mut words = heading.split(' ');
        let path = words.next().unwrap_or_default();
        let (mut escaped, mut mode) = (false, None);
        for word in words {
            match word.strip_prefix("mode=").map(|octal| u32::from_str_radix(octal, 8)) {
                Some(Ok(bits)) => mode = Some(bits),
                None if word == "escaped" => escaped = true,
                _ => return Err(malformed(format!("{word:?} in the heading of {path} means nothing"))),
            }
        }
        Ok(Self { path, kind: Kind::File { escaped, mode } })
    }

    fn make(&self, host: &mut FixtureHost, content: &str) -> io::Result<()> {
        let place = host.place(self.path);
        make_parent(&place)?;
        match self.kind {
            Kind::Link { .. } | Kind::Directory if !content.is_empty() => {
                Err(malformed(format!("{} is no file and has a content", self.path)))
            }
            Kind::Link { target } => symlink(target, place),
            Kind::Directory => fs::create_dir_all(place),
            Kind::File { escaped, mode } => {
                let bytes = if escaped { unescape(content)? } else { content.as_bytes().to_vec() };
                if fs::exists(&place)? {
                    return Err(malformed(format!("{} is there twice", self.path)));
                }
                fs::write(&place, bytes)?;
                host.files.push(self.path.to_owned());
                mode.map_or(Ok(()), |mode| fs::set_permissions(&place, fs::Permissions::from_mode(mode)))
            }
        }
    }
}

fn make_parent(place: &Path) -> io::Result<()> {
    place.parent().map_or(Ok(()), fs::create_dir_all)
}

fn unescape(text: &str) -> io::Result<Vec<u8>> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (Some(byte), Some(rest)) = (digits, part.get(2..)) else {
            return Err(malformed(format!("\\x{part} is not a byte")));
        };
        bytes.push(byte);
        bytes.extend_from_slice(rest.as_bytes());
    }
    Ok(bytes)
}

fn malformed(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_section_becomes_what_it_says() {
        let text = "A host.\nNothing else.\n--- proc/a\none\n\ntwo\n--- proc/b -> a\n--- sys/empty/\n--- sys/none\n--- sys/odd escaped mode=640\n\\xff\\x00x\n";
        let host = FixtureHost::of_text(text).unwrap();
        assert_eq!(host.root().read("proc/b").unwrap(), "one\n\ntwo\n");
        assert_eq!(host.root().list("sys").unwrap(), ["empty", "none", "odd"]);
        assert_eq!(host.root().list("sys/empty").unwrap(), [""; 0]);
        assert_eq!(host.root().read("sys/none").unwrap(), "");
        let mut bytes = Vec::new();
        host.root().read_into("sys/odd", &mut bytes).unwrap();
        assert_eq!(bytes, b"\xff\0x\n");
        assert_eq!(host.root().metadata("sys/odd").unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_malformed_archive_is_refused() {
        for text in [
            "--- a mode=9\n",
            "--- a odd\n",
            "--- a/\ntext\n",
            "--- a -> b\ntext\n",
            "--- a escaped\n\\xg0\n",
            "--- a\n--- a\n",
        ] {
            assert!(FixtureHost::of_text(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_file_that_is_set_is_seen_through_a_descriptor_that_was_kept() {
        use std::os::unix::fs::FileExt;
        let host = FixtureHost::of_text("--- proc/a\nlong text\n").unwrap();
        let kept = host.root().open("proc/a").unwrap();
        host.set("proc/a", "new\n");
        let mut bytes = [0; 16];
        let length = kept.read_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes[..length], b"new\n");
        host.set("sys/b/c", "");
        host.remove("sys");
        assert_eq!(host.root().list("").unwrap(), ["proc"]);
    }
}
