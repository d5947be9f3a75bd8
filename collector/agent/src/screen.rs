//! The live summary on a terminal.

use std::io::{self, Write};

use tokio::sync::watch;

use crate::log::Warnings;
use crate::report::Report;

/// Clears from the cursor on and goes home: less flicker than clearing everything.
const HOME: &str = "\x1b[H\x1b[J";

/// Draws each report until no more come.
pub async fn draw(mut reports: watch::Receiver<Option<Report>>, warnings: Warnings, workloads: usize) {
    show("measuring; the first window takes a few seconds\n", &warnings).ok();
    while reports.changed().await.is_ok() {
        let text = reports.borrow_and_update().as_ref().map(|report| report.text(workloads));
        if let Some(text) = text
            && show(&text, &warnings).is_err()
        {
            // The terminal is gone; measuring goes on.
            return;
        }
    }
}

fn show(text: &str, warnings: &Warnings) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{HOME}{text}")?;
    for line in warnings.last() {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "\nCtrl-C stops. --help tells what else there is.")?;
    out.flush()
}
