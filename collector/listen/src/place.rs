//! Where a listener is: a port or a Unix socket, opened before anything runs.

use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// How the address of a Unix socket begins.
const UNIX: &str = "unix:";
/// The owner and the group of the agent may write to its sockets.
const SOCKET_MODE: u32 = 0o660;

/// Where a listener is.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// A port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Place {
    /// The port; `None` for a Unix socket.
    pub const fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// The socket's path where `address` names one: `unix:/run/wattline/otlp.sock`, or with two more slashes.
    pub fn unix_path(address: &str) -> Option<&Path> {
        let path = address.strip_prefix(UNIX)?;
        Some(Path::new(path.strip_prefix("//").unwrap_or(path)))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another program has the place: switch this listener off if the place is the default one, else tell the user.
    #[error("cannot listen on {address} ({key}): another program listens there; stop it or choose another address")]
    AddressInUse {
        /// The key of the address.
        key: &'static str,
        /// The address.
        address: String,
    },
    /// The address is not one of this machine, or may not be used: tell the user.
    #[error("cannot listen on {address} ({key}): {source}")]
    Failed {
        /// The key of the address.
        key: &'static str,
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The address can be reached from outside and is not guarded: tell the user.
    #[error(
        "{key} = \"{address}\" is beyond loopback, where anybody could come in; listen on 127.0.0.1, or set \
         {section}.tls.cert_file and key_file together with {section}.bearer_token_file or \
         {section}.tls.client_ca_file, or set {section}.plaintext_beyond_loopback = true if the network is trusted"
    )]
    Exposed {
        /// The key of the address.
        key: &'static str,
        /// The address.
        address: String,
        /// The table of the keys that would guard it.
        section: &'static str,
    },
}

impl OpenError {
    /// The key of the address, and the address.
    pub fn address(&self) -> (&'static str, &str) {
        let (Self::AddressInUse { key, address }
        | Self::Failed { key, address, .. }
        | Self::Exposed { key, address, .. }) = self;
        (*key, address)
    }
}

/// A listener, open.
#[derive(Debug)]
pub struct Listener {
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl Listener {
    /// Opens `address`, the value of `key`: host and port, or `unix:` and a path. Beyond loopback it opens only where
    /// `is_guarded`, by the keys of `section`.
    pub fn open(section: &'static str, key: &'static str, address: &str, is_guarded: bool) -> Result<Self, OpenError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => OpenError::AddressInUse { key, address: address.to_owned() },
            _ => OpenError::Failed { key, address: address.to_owned(), source },
        };
        if let Some(path) = Place::unix_path(address) {
            let (listener, file) = SocketFile::open(path).map_err(failed)?;
            return Ok(Self { kind: Kind::Unix(listener, file) });
        }
        let resolved: Vec<SocketAddr> = address.to_socket_addrs().map_err(failed)?.collect();
        if !is_guarded && !resolved.iter().all(|address| address.ip().to_canonical().is_loopback()) {
            return Err(OpenError::Exposed { key, address: address.to_owned(), section });
        }
        let listener = TcpListener::bind(resolved.as_slice()).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self { kind: Kind::Tcp(listener) })
    }

    /// Where it is: the port is the real one where the address says 0. `None` if the system does not tell.
    pub fn place(&self) -> Option<Place> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().ok().map(Place::Tcp),
            Kind::Unix(_, file) => Some(Place::Unix(file.path.clone())),
        }
    }
}

/// The file of a socket, removed when this is dropped.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode. By the end another agent may have put its own socket there.
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    /// Listens at `path`. A socket that nobody listens at any more is what a killed agent leaves, and is replaced.
    fn open(path: &Path) -> io::Result<(UnixListener, Self)> {
        if !path.is_absolute() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a socket needs an absolute path: unix:/run/..."));
        }
        let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
        let refuses = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        if is_socket && UnixStream::connect(path).is_err_and(refuses) {
            fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        let file = Self { path: path.to_owned(), identity: identity(path) };
        fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
        listener.set_nonblocking(true)?;
        Ok((listener, file))
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // One that stays is found to be nobody's by the next agent.
            fs::remove_file(&self.path).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(address: &str) -> Result<Listener, OpenError> {
        Listener::open("x", "x.listen", address, false)
    }

    fn socket(folder: &tempfile::TempDir) -> (PathBuf, String) {
        let path = folder.path().join("otlp.sock");
        let address = format!("unix:{}", path.display());
        (path, address)
    }

    #[test]
    fn a_taken_port_is_told_apart_and_named() {
        let held = open("127.0.0.1:0").unwrap();
        let address = held.place().unwrap().to_string();
        let error = open(&address).unwrap_err();
        assert!(matches!(&error, OpenError::AddressInUse { key: "x.listen", .. }), "{error}");
        assert!(error.to_string().contains(&address), "{error}");
        assert!(matches!(open("256.0.0.1:1"), Err(OpenError::Failed { key: "x.listen", .. })));
    }

    #[test]
    fn beyond_loopback_a_guard_is_wanted_and_the_keys_are_named() {
        for address in ["0.0.0.0:0", "[::]:0"] {
            let error = open(address).unwrap_err().to_string();
            for key in ["x.tls.cert_file", "x.bearer_token_file", "x.tls.client_ca_file", "x.plaintext_beyond_loopback"]
            {
                assert!(error.contains(key), "{error}");
            }
        }
        assert!(Listener::open("x", "x.listen", "0.0.0.0:0", true).is_ok());
    }

    #[test]
    fn a_socket_is_for_owner_and_group_and_is_gone_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let (path, address) = socket(&folder);
        let listener = open(&address).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert_eq!(listener.place().unwrap().to_string(), address);
        assert!(matches!(open(&address), Err(OpenError::AddressInUse { .. })), "somebody listens there");
        assert!(path.exists());
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_agent_left_is_replaced_and_another_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (path, address) = socket(&folder);
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let listener = open(&address).unwrap();
        // Another agent has replaced it meanwhile; that one's stays.
        fs::remove_file(&path).unwrap();
        let other = UnixListener::bind(&path).unwrap();
        drop(listener);
        assert!(path.exists());
        drop(other);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        assert!(open(&address).is_err());
        assert_eq!(fs::symlink_metadata(&path).unwrap().len(), 4);
    }

    #[test]
    fn both_ways_of_writing_a_socket_are_read_and_a_relative_one_is_refused() {
        assert_eq!(Place::unix_path("unix:/run/a.sock"), Some(Path::new("/run/a.sock")));
        assert_eq!(Place::unix_path("unix:///run/a.sock"), Some(Path::new("/run/a.sock")));
        assert_eq!(Place::unix_path("127.0.0.1:4317"), None);
        assert!(open("unix:a.sock").unwrap_err().to_string().contains("absolute path"));
    }
}
