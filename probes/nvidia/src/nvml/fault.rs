//! What NVML's errors ask of the caller.

use nvml_wrapper::error::NvmlError;
use wattline_core::reading::DownReason;
use wattline_core::words;

use crate::gpu::Fault;

// Codes that nvml-wrapper has no words for, by nvml.h.
const NOT_READY: u32 = 27;
const GPU_NOT_FOUND: u32 = 28;
const INVALID_STATE: u32 = 29;

impl From<NvmlError> for Fault {
    fn from(error: NvmlError) -> Self {
        match error {
            NvmlError::NotSupported
            | NvmlError::FailedToLoadSymbol(_)
            | NvmlError::FunctionNotFound
            | NvmlError::InvalidArg
            | NvmlError::VgpuEccNotSupported
            | NvmlError::Utf8Error(_) => Self::Unsupported,
            NvmlError::NoPermission | NvmlError::OperatingSystem => Self::Denied,
            NvmlError::NotFound | NvmlError::NoData | NvmlError::Timeout | NvmlError::UnexpectedVariant(NOT_READY) => {
                Self::Nothing
            }
            NvmlError::GpuLost | NvmlError::UnexpectedVariant(GPU_NOT_FOUND) => Self::Down(DownReason::Lost),
            NvmlError::ResetRequired => Self::Down(DownReason::ResetRequired),
            NvmlError::Uninitialized
            | NvmlError::DriverNotLoaded
            | NvmlError::LibRmVersionMismatch
            | NvmlError::LibraryNotFound => Self::Driver(words::chain(&error)),
            // What the match has not named by here: old versions of a call (25), calls that are gone (26), and values that
            // nvml-wrapper does not know.
            NvmlError::UnexpectedVariant(code) if code != INVALID_STATE => Self::Unsupported,
            _ => Self::Transient,
        }
    }
}

/// What an error means where the driver itself was asked: it answers, or it is of no use.
pub(super) fn of_driver(error: &NvmlError) -> Fault {
    Fault::Driver(words::chain(error))
}

/// Why the library could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OpenFault {
    /// It is not where it was looked for. What the linker said.
    NoLibrary(String),
    /// It is there, and no driver is loaded.
    NoDriver(String),
    /// The driver may not be used by this process.
    Denied(String),
    /// It failed otherwise.
    Failed(String),
}

impl OpenFault {
    pub(super) fn of(error: &NvmlError) -> Self {
        let what = words::chain(error);
        match error {
            NvmlError::LibloadingError(_) => Self::NoLibrary(what),
            NvmlError::DriverNotLoaded => Self::NoDriver(what),
            NvmlError::NoPermission | NvmlError::OperatingSystem => Self::Denied(what),
            _ => Self::Failed(what),
        }
    }
}
