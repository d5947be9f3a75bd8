//! Opens a SQLite database that must outlive crashes.
//!
//! SQLite because nothing else that can be embedded has been tested as long against power loss, full disks and torn
//! writes (sqlite.org/testing.html), because one library then serves books and spools alike, and because anybody can
//! open what is left with the tools of the trade.
//!
//! The journal is a write-ahead log: a commit is one append, a reader disturbs no writer, and a process that is
//! killed loses nothing that was committed.

use std::fs::{self, DirBuilder, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// Where a database is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a file, which is made where there is none, for the owner only.
    File(PathBuf),
    /// In memory: it is gone with the process.
    Memory,
}

/// What a commit survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, however it ends. A loss of power may undo the last commits, whole ones, newest first.
    #[default]
    Process,
    /// A loss of power, too: the disk is waited for.
    Power,
}

/// What kind of database it is, and how an older one becomes a newer one.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Tells the files of one kind from all others (`PRAGMA application_id`).
    pub application: i32,
    /// The steps from an empty database to the newest, one for each version. Steps that were published are never
    /// edited.
    pub steps: &'static [&'static str],
    /// Whether another process may read meanwhile. Without, the lock is held until the end, so that a second agent is
    /// kept out.
    pub shared: bool,
    /// Whether what is deleted is overwritten.
    pub secret: bool,
}

/// Why a database cannot be used. The variant is the caller's next action.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else has it open: go on without.
    #[error("{path} is in use by another process; let every wattline have a state.directory of its own")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A newer wattline wrote it, or another program: leave it alone.
    #[error("{path} was not written by this or an older version of wattline; move it away, or set state.directory")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The directory or the file cannot be made or opened: go on without, and say so.
    #[error("{path} cannot be opened: {source}")]
    Unusable {
        /// The file or its directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// SQLite could not do it.
    #[error("{path}: {source}")]
    Failed {
        /// The file, or `memory`.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

/// An open database.
#[derive(Debug)]
pub struct Opened {
    /// The connection, with everything set.
    pub connection: Connection,
    /// The damaged file that stood in the place and was set aside.
    pub damaged: Option<PathBuf>,
}

/// Opens a database and brings it to the newest version. A file that is damaged is set aside, not deleted, and a new
/// one is begun.
pub fn open(place: &Place, schema: &Schema, durability: Durability) -> Result<Opened, StoreError> {
    let Place::File(path) = place else {
        let failed = |source| StoreError::Failed { path: "memory".into(), source };
        let connection = Connection::open_in_memory().map_err(failed)?;
        prepare(&connection, schema, durability).map_err(failed)?;
        return Ok(Opened { connection, damaged: None });
    };
    make_private(path)?;
    match open_file(path, schema, durability) {
        Err(StoreError::Failed { source, .. }) if is_damage(&source) => {
            let aside = set_aside(path).map_err(|source| StoreError::Unusable { path: path.clone(), source })?;
            make_private(path)?;
            Ok(Opened { connection: open_file(path, schema, durability)?, damaged: Some(aside) })
        }
        opened => Ok(Opened { connection: opened?, damaged: None }),
    }
}

/// Keeps other writers of a shared database out, until what it returns is dropped.
///
/// The lock is on a file beside the database: a process that closes any descriptor of the database itself gives up
/// SQLite's own locks on it (sqlite.org/howtocorrupt.html, "Posix advisory locks").
pub fn lock(path: &Path) -> Result<fs::File, StoreError> {
    let lock = path.with_extension("lock");
    make_private(&lock)?;
    let unusable = |source| StoreError::Unusable { path: lock.clone(), source };
    let file = OpenOptions::new().read(true).append(true).open(&lock).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// Opens a database for reading while another process may write. Nothing is made and nothing is migrated.
pub fn open_to_read(path: &Path, schema: &Schema) -> Result<Connection, StoreError> {
    let failed = |source| failure(path, source);
    if let Err(source) = fs::File::options().read(true).open(path) {
        return Err(StoreError::Unusable { path: path.to_owned(), source });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    let (application, version) = identity(&connection).map_err(failed)?;
    if application != schema.application || version != schema.steps.len() {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    Ok(connection)
}

/// Whether an error says that the file itself is damaged.
pub fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// How long a lock is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Content of messages may pass through a spool: nobody but the owner reads it.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let unusable = |source| StoreError::Unusable { path: path.to_owned(), source };
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(unusable)?;
    }
    // SQLite makes the files of the journal with the mode of the database.
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path).map_err(unusable)?;
    Ok(())
}

fn open_file(path: &Path, schema: &Schema, durability: Durability) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|source| failure(path, source))?;
    let (application, version) = identity(&connection).map_err(|source| failure(path, source))?;
    // An empty file is nobody's yet.
    let is_ours = application == schema.application && version <= schema.steps.len();
    if !is_ours && (application, version) != (0, 0) {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    prepare(&connection, schema, durability).map_err(|source| failure(path, source))?;
    Ok(connection)
}

fn failure(path: &Path, source: rusqlite::Error) -> StoreError {
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::InUse { path: path.to_owned() },
        _ => StoreError::Failed { path: path.to_owned(), source },
    }
}

fn identity(connection: &Connection) -> rusqlite::Result<(i32, usize)> {
    let application = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok((application, version as usize))
}

fn prepare(connection: &Connection, schema: &Schema, durability: Durability) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    if !schema.shared {
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    }
    // Space is given back in steps; it must be said before the first table is made.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match durability {
        Durability::Process => "NORMAL",
        Durability::Power => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "secure_delete", schema.secret)?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES)?;
    // In KiB where negative. Requests are read once and written once: a cache would hold them for nothing.
    connection.pragma_update(None, "cache_size", -512)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    migrate(connection, schema)
}

/// The journal is cut to this when it has been taken over into the file.
const JOURNAL_BYTES: i64 = 4 << 20;

/// Each step with the number that it leads to, in one transaction: killed half way, nothing has happened.
fn migrate(connection: &Connection, schema: &Schema) -> rusqlite::Result<()> {
    let (_, version) = identity(connection)?;
    for (number, step) in (1_u32..).zip(schema.steps).skip(version) {
        let transaction = connection.unchecked_transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", schema.application)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Moves a damaged database with its journal out of the way, for whoever wants to look at it.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let with = |suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
    let aside = with(".damaged");
    fs::rename(path, &aside)?;
    for suffix in ["-wal", "-shm"] {
        match fs::rename(with(suffix), with(&format!(".damaged{suffix}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const ONE: Schema = Schema { application: 7, steps: &["CREATE TABLE a (x INTEGER)"], shared: false, secret: false };
    const TWO: Schema =
        Schema { steps: &["CREATE TABLE a (x INTEGER)", "ALTER TABLE a ADD COLUMN y INTEGER DEFAULT 5"], ..ONE };

    fn file(directory: &tempfile::TempDir) -> PathBuf {
        directory.path().join("deep/books.db")
    }

    fn opened(path: &Path, schema: &Schema) -> Result<Opened, StoreError> {
        open(&Place::File(path.to_owned()), schema, Durability::Process)
    }

    #[test]
    fn a_new_file_is_the_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory);
        let Opened { connection, damaged } = opened(&path, &ONE).unwrap();
        connection.execute("INSERT INTO a VALUES (1)", []).unwrap();
        assert_eq!(damaged, None);
        for name in ["deep/books.db", "deep/books.db-wal"] {
            let mode = fs::File::options()
                .read(true)
                .open(directory.path().join(name))
                .unwrap()
                .metadata()
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn an_older_file_is_brought_up_to_date_with_all_that_is_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory);
        opened(&path, &ONE).unwrap().connection.execute("INSERT INTO a VALUES (3)", []).unwrap();
        let connection = opened(&path, &TWO).unwrap().connection;
        let row: (i64, i64) =
            connection.query_row("SELECT x, y FROM a", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(row, (3, 5));
    }

    #[test]
    fn a_newer_or_a_foreign_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory);
        drop(opened(&path, &TWO).unwrap());
        assert!(matches!(opened(&path, &ONE), Err(StoreError::Foreign { .. })));
        assert!(matches!(opened(&path, &Schema { application: 8, ..TWO }), Err(StoreError::Foreign { .. })));
        assert!(opened(&path, &TWO).is_ok());
    }

    #[test]
    fn a_second_agent_is_kept_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory);
        let first = opened(&path, &ONE).unwrap();
        first.connection.execute("INSERT INTO a VALUES (1)", []).unwrap();
        assert!(matches!(opened(&path, &ONE), Err(StoreError::InUse { .. })));
    }

    #[test]
    fn a_reader_sees_what_is_committed_while_the_writer_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory);
        let shared = Schema { shared: true, ..ONE };
        let writer = opened(&path, &shared).unwrap().connection;
        writer.execute_batch("BEGIN; INSERT INTO a VALUES (1); COMMIT; BEGIN; INSERT INTO a VALUES (2)").unwrap();
        let reader = open_to_read(&path, &shared).unwrap();
        let count =
            |reader: &Connection| -> i64 { reader.query_row("SELECT count(*) FROM a", [], |row| row.get(0)).unwrap() };
        assert_eq!(count(&reader), 1);
        writer.execute_batch("COMMIT").unwrap();
        assert_eq!(count(&reader), 2);
        assert!(reader.execute("INSERT INTO a VALUES (3)", []).is_err(), "a reader cannot write");
    }

    #[test]
    fn damage_is_set_aside_and_a_new_file_begun() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory);
        drop(opened(&path, &ONE).unwrap());
        fs::write(&path, b"this is no database, and it is longer than a header of a hundred bytes; ".repeat(9))
            .unwrap();
        let Opened { connection, damaged } = opened(&path, &ONE).unwrap();
        connection.execute("INSERT INTO a VALUES (1)", []).unwrap();
        assert!(fs::exists(damaged.unwrap()).unwrap());
    }

    #[test]
    fn what_cannot_be_made_names_its_path() {
        let error = opened(Path::new("/proc/no/such/books.db"), &ONE).unwrap_err();
        assert!(error.to_string().contains("/proc/no/such/books.db"), "{error}");
        assert!(matches!(open_to_read(Path::new("/nonexistent.db"), &ONE), Err(StoreError::Unusable { .. })));
    }
}
