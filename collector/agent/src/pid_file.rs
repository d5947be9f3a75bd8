//! Where the running agent is found: `wattline reload` sends it the signal.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use wattline_core::HostRoot;

const FILE: &str = "wattline.pid";
/// The name that the kernel keeps of a running agent.
const COMMAND: &str = "wattline";

/// The file that holds the process id, for as long as this lives.
#[derive(Debug)]
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes the id of this process into the state directory.
    pub fn write(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let path = directory.join(FILE);
        fs::write(&path, format!("{}\n", std::process::id()))?;
        Ok(Self(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Left behind, it names a process that is no wattline; that is found out before anything is sent.
        fs::remove_file(&self.0).ok();
    }
}

/// Asks the agent whose state is in `directory` to read its configuration again. What it makes of it is in its log.
pub fn reload(directory: &Path) -> Result<()> {
    let pid = running(directory)?;
    kill_process(pid, Signal::HUP).with_context(|| format!("signalling process {}", pid.as_raw_nonzero()))
}

/// The agent whose state is in `directory`.
pub fn running(directory: &Path) -> Result<Pid> {
    let path = directory.join(FILE);
    #[expect(clippy::disallowed_methods, reason = "state is the agent's own file")]
    let text = fs::read_to_string(&path)
        .with_context(|| format!("no wattline is known to run with state.directory = {}", directory.display()))?;
    let pid = text.trim().parse::<i32>().ok().filter(|pid| *pid > 0).and_then(Pid::from_raw);
    let Some(pid) = pid else { bail!("{} does not hold a process id: remove it", path.display()) };
    let command = HostRoot::new("/").read(format!("proc/{}/comm", pid.as_raw_nonzero())).unwrap_or_default();
    if command.trim() != COMMAND {
        bail!("the wattline of {} runs no more (process {})", path.display(), pid.as_raw_nonzero());
    }
    Ok(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_no_wattline_gets_no_signal() {
        let folder = tempfile::tempdir().unwrap();
        assert!(format!("{:#}", reload(folder.path()).unwrap_err()).contains("no wattline is known"));
        // The test itself: it would end if the signal were sent.
        let file = PidFile::write(folder.path()).unwrap();
        assert!(reload(folder.path()).unwrap_err().to_string().contains("runs no more"));
        drop(file);
        fs::write(folder.path().join(FILE), "-1\n").unwrap();
        assert!(reload(folder.path()).is_err(), "a group of processes is no agent");
    }
}
