//! Files of the user's: keys and series. They may lie on a share that hangs, so that reading has its time and is done
//! on a thread that may block.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// Files whose reading hangs. A second thread would hang as well, and threads that may block are few.
static HANGING: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn hanging<T>(of: impl FnOnce(&mut Vec<PathBuf>) -> T) -> T {
    of(&mut HANGING.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// The whole of a file that is not larger than `bytes_max`. The error says what was attempted.
pub(crate) async fn read(path: PathBuf, bytes_max: u64, timeout: Duration) -> Result<Vec<u8>, String> {
    let place = format!("reading {}", path.display());
    if hanging(|paths| paths.contains(&path)) {
        return Err(format!("{place}: an earlier attempt still hangs"));
    }
    hanging(|paths| paths.push(path.clone()));
    let reading = tokio::task::spawn_blocking(move || {
        let read = whole(&path, bytes_max);
        // Others may read the same file at the same time: one entry is one attempt.
        hanging(|paths| paths.iter().position(|other| *other == path).map(|index| paths.swap_remove(index)));
        read
    });
    match tokio::time::timeout(timeout, reading).await {
        Ok(Ok(Ok(bytes))) => Ok(bytes),
        Ok(Ok(Err(error))) => Err(format!("{place}: {error}")),
        Ok(Err(broken)) => Err(format!("{place}: {broken}")),
        Err(_elapsed) => Err(format!("{place}: not done within {timeout:?}")),
    }
}

#[expect(clippy::disallowed_methods, reason = "files that the user names in the configuration are not host counters")]
fn whole(path: &Path, bytes_max: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > bytes_max) {
        return Err(std::io::Error::other(format!("it is larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}
