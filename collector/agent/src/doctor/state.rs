//! What the agent keeps on disk: its books, and what waits for destinations.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rustix::fs::{Access, access};
use wattline_core::{Exporter, Telemetry};
use wattline_export_delivery::Place;
use wattline_ledger::books::Reader;
use wattline_ledger::{Span, StoreError};

use super::Line;
use crate::account::written;
use crate::config::Config;
use crate::destinations;
use crate::state::LEDGER;

/// What stands in the state directory, and whether more can.
pub(super) fn lines(config: &Config) -> Vec<Line> {
    let directory = config.state.directory();
    let mut lines = vec![state_directory(&directory), ledger(&directory)];
    lines.extend(spools(config));
    lines
}

/// Whether the directory can be written, or made where it does not exist. Nothing is made here.
fn state_directory(directory: &Path) -> Line {
    let nearest = directory.ancestors().find(|path| path.try_exists().unwrap_or(true)).unwrap_or(Path::new("."));
    // The parent of a relative name is the empty path, which stands for the working directory.
    let nearest = if nearest.as_os_str().is_empty() { Path::new(".") } else { nearest };
    let allowed = access(nearest, Access::WRITE_OK | Access::EXEC_OK).map_err(std::io::Error::from);
    let failed = |what: String| {
        Line::failed(
            "state.directory",
            what,
            "set state.directory to a directory this user may write; until then nothing survives a restart",
        )
    };
    match allowed {
        _ if nearest.is_file() => failed(format!("{} is not a directory", nearest.display())),
        Err(error) => failed(format!("writing to {}: {error}", nearest.display())),
        Ok(()) if nearest == directory => Line::up("state.directory", directory.display().to_string()),
        Ok(()) => Line::up("state.directory", format!("{}, made by the first run", directory.display())),
    }
}

/// How far the books go back. They are read as `wattline report` reads them.
fn ledger(directory: &Path) -> Line {
    let path = directory.join(LEDGER);
    let name = "ledger";
    let covered = Reader::open(&path).and_then(|reader| reader.covers(Span::Hour));
    match covered {
        Ok(Some((first, last))) => {
            let size = bytes(&path);
            Line::up(name, format!("{}, from {} to {}, {size} bytes", path.display(), written(first), written(last)))
        }
        Ok(None) => Line::up(name, format!("{}, nothing is booked yet", path.display())),
        Err(StoreError::Unusable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Line::up(name, format!("{}, made by the first run", path.display()))
        }
        Err(error) => Line::failed(name, error.to_string(), "move the file away, or set state.directory"),
    }
}

/// Spools that hold something, and those that belong to no destination any more.
fn spools(config: &Config) -> Vec<Line> {
    let exporters = destinations::exporters_that_open(config, &Telemetry::none());
    let own: BTreeSet<Place> = exporters.iter().map(|exporter| place(config, exporter.as_ref())).collect();
    let directory = config.state.directory().join("spool");
    #[expect(clippy::disallowed_methods, reason = "spools are the agent's own files")]
    let Ok(files) = fs::read_dir(&directory) else { return Vec::new() };
    let mut paths: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "db" || extension == "damaged"));
    let line = |path: &std::path::PathBuf| {
        let detail = format!("{}, {} bytes", path.display(), bytes(path));
        let remedy = match own.contains(&Place::File(path.clone())) {
            true => None,
            false if path.extension().is_some_and(|extension| extension == "damaged") => {
                Some("it was damaged and set aside; look at it or delete it".to_owned())
            }
            false => Some("no destination has this name any more: name one so to send it, or delete it".to_owned()),
        };
        Line { name: "spool".to_owned(), state: "up", detail, remedy }
    };
    paths.iter().map(line).collect()
}

fn place(config: &Config, exporter: &dyn Exporter) -> Place {
    destinations::context(config, &Telemetry::none()).place(exporter.name())
}

/// The size of a database, without what is in its journal.
fn bytes(path: &Path) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the agent's own files")]
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_that_no_destination_has_is_told_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.state.directory = Some(directory.path().to_owned());
        let otlp = wattline_export_otlp::Config { endpoint: "http://collector:4318".to_owned(), ..Default::default() };
        config.exporters.otlp.push(otlp);
        fs::create_dir(directory.path().join("spool")).unwrap();
        for name in ["otlp.db", "otlp.db-wal", "gone.db", "otlp.db.damaged"] {
            fs::write(directory.path().join("spool").join(name), "x").unwrap();
        }
        let told: Vec<(bool, bool)> =
            spools(&config).iter().map(|line| (line.detail.contains("otlp"), line.remedy.is_some())).collect();
        assert_eq!(told, [(false, true), (true, false), (true, true)]);
    }

    #[test]
    fn a_ledger_that_is_none_is_said_and_one_that_is_not_there_yet_is_fine() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(ledger(directory.path()).state, "up");
        fs::write(directory.path().join(LEDGER), "no database at all, but long enough to be looked at".repeat(9))
            .unwrap();
        assert_eq!(ledger(directory.path()).state, "failed");
    }
}
