//! A management library of GPUs that are not there, for tests of what talks to NVIDIA's.
//!
//! Built as a shared library it exports the functions of NVML that the probe calls, with NVML's own layouts, so that
//! tests go through the real loader and the real calls. What it answers stands in a text file that a test rewrites while
//! the library is in use: the file that the environment variable `FAKE_NVML` names, else the one beside the library
//! with the ending `.script`. It is read again whenever NVML is initialised or the devices are counted, and while a call
//! hangs. At shutdown, and when it refuses to be initialised, the library adds how often each function was called to a
//! file with the ending `.calls`.
//!
//! Two copies of the file in two folders are two libraries with a state of their own, so that tests run side by side.

mod abi;
mod examples;
mod layout;
mod script;
mod state;

pub use examples::TWO_GPUS;
pub use script::{Answer, Script};

use std::fs;
use std::path::{Path, PathBuf};

/// A copy of the library with a script of its own.
#[derive(Debug)]
pub struct Fake {
    library: PathBuf,
}

impl Fake {
    /// Copies the library into `folder`. `None` where the build did not leave it beside the running test.
    pub fn install(folder: &Path) -> Option<Self> {
        let test = std::env::current_exe().ok()?;
        let beside = test.parent()?.join("libwattline_fake_nvml.so");
        let library = folder.join("libnvidia-ml.so.1");
        fs::copy(beside, &library).ok()?;
        Some(Self { library })
    }

    /// Where the copy is.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// Lets the library answer with `script` from its next reading of the script on.
    ///
    /// # Errors
    /// Those of writing a file.
    pub fn write(&self, script: &str) -> std::io::Result<()> {
        // A reader sees the old script or the new one, never half of either.
        let fresh = self.library.with_extension("fresh");
        fs::write(&fresh, script)?;
        fs::rename(fresh, self.library.with_extension("script"))
    }

    /// How often `function` was called, as told at shutdowns; 0 before the first.
    pub fn calls(&self, function: &str) -> u64 {
        let told = self.library.with_extension("calls");
        #[expect(clippy::disallowed_methods, reason = "a file of the test, not of the host")]
        let told = fs::read_to_string(told).unwrap_or_default();
        told.lines().find_map(|line| line.strip_prefix(function)?.strip_prefix(' ')?.parse().ok()).unwrap_or(0)
    }
}
