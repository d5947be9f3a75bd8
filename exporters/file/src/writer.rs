//! Says what cannot be written once, counts it, and goes on.

use std::io;

use wattline_core::{Signal, Telemetry};
use wattline_export_delivery::appender::Appender;

use crate::config::Config;
use crate::lines::{self, Line, Piece};

/// Why a line is lost: the words in `wattline.reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// No room on the disk, in the quota or in the file.
    DiskFull,
    /// The file cannot be opened or written.
    Io,
    /// A relayed message that is not what it says it is.
    Encoding,
    /// A number that no backend takes.
    Invalid,
}

impl Loss {
    const fn as_str(self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::Io => "io_error",
            Self::Encoding => "encoding",
            Self::Invalid => "invalid",
        }
    }

    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::DiskFull,
            _ => Self::Io,
        }
    }
}

/// Writes lines and accounts for them.
#[derive(Debug)]
pub(crate) struct Writer {
    name: String,
    path: String,
    appender: Appender,
    telemetry: Telemetry,
    /// What the newest write failed of; said already.
    trouble: Option<Loss>,
    /// Whether a message that cannot be read was said already.
    encoding_said: bool,
}

impl Writer {
    pub(crate) fn new(config: &Config, telemetry: Telemetry) -> Self {
        let Config { name, path, interval: _, rotate_bytes, keep } = config;
        Self {
            name: name.clone(),
            path: path.clone(),
            appender: Appender::new(path, *rotate_bytes, *keep),
            telemetry,
            trouble: None,
            encoding_said: false,
        }
    }

    /// Writes what can be written.
    pub(crate) fn write(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            match piece {
                Piece::Snapshot(snapshot) => {
                    let (lines, skipped) = lines::of_snapshot(snapshot);
                    lines.for_each(|line| self.write_line(line));
                    if skipped > 0 {
                        self.lose(skipped, Loss::Invalid, Signal::Metrics);
                    }
                }
                Piece::Envelope(envelope) => self.write_line(lines::of_envelope(envelope)),
            }
        }
    }

    /// Makes what was written survive a power cut.
    pub(crate) fn sync(&mut self) {
        if let Err(error) = self.appender.sync() {
            tracing::warn!(exporter = self.name, path = self.path, %error, "the last lines may not survive a power cut");
        }
    }

    fn write_line(&mut self, line: Line) {
        let Line { signal, items, text } = line;
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                if !std::mem::replace(&mut self.encoding_said, true) {
                    tracing::warn!(exporter = self.name, %error, "a relayed message cannot be written; others are only counted");
                }
                return self.lose(items, Loss::Encoding, signal);
            }
        };
        match self.appender.append(&text) {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    tracing::info!(exporter = self.name, path = self.path, "lines are written again");
                }
                self.telemetry.exported(items, signal, &self.name);
            }
            Err(error) => {
                let loss = Loss::of(&error);
                if self.trouble.replace(loss) != Some(loss) {
                    tracing::warn!(
                        exporter = self.name,
                        path = self.path,
                        %error,
                        "append a line: what cannot be written is dropped and counted until it works again; \
                         make room, or correct `path`"
                    );
                }
                self.lose(items, loss, signal);
            }
        }
    }

    fn lose(&self, items: u64, loss: Loss, signal: Signal) {
        self.telemetry.dropped(items, loss.as_str(), signal, &self.name);
    }
}

#[cfg(test)]
mod tests;
