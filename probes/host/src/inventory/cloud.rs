//! Whether the machine is a cloud instance, and which.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wattline_core::reading::{CloudInstance, SourceHealth, SourceState};

use super::aws;
use super::firmware::Firmware;

/// Where the cloud's metadata service is asked what this machine is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CloudConfig {
    /// `auto` (the default) asks when the firmware says that this is an EC2 instance, `always` asks without looking,
    /// `never` does not ask.
    pub mode: CloudMode,
    /// The metadata service, without a path.
    pub endpoint: String,
    /// How long all questions together may take. 1 s.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for CloudConfig {
    fn default() -> Self {
        Self {
            mode: CloudMode::default(),
            endpoint: "http://169.254.169.254".to_owned(),
            timeout: Duration::from_secs(1),
        }
    }
}

impl CloudConfig {
    /// Asks nobody. What the firmware tells of the instance is told still.
    pub fn never() -> Self {
        Self { mode: CloudMode::Never, ..Self::default() }
    }
}

/// When the metadata service is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloudMode {
    /// When the firmware says that this is an EC2 instance.
    #[default]
    Auto,
    /// In any case.
    Always,
    /// Never.
    Never,
}

/// The instance, and how asking went; no health where nothing was asked.
///
/// Where the service does not answer, the firmware of a Nitro instance still tells its type and id.
pub(super) fn read(firmware: &Firmware, config: &CloudConfig) -> (Option<CloudInstance>, Option<SourceHealth>) {
    let asked = match config.mode {
        CloudMode::Auto => firmware.is_amazon(),
        CloudMode::Always => true,
        CloudMode::Never => false,
    };
    if !asked {
        return (aws::of_firmware(firmware), None);
    }
    let (instance, state) = match aws::ask(&config.endpoint, config.timeout) {
        Ok(instance) => {
            let found = instance.instance_type.clone().unwrap_or_default();
            (Some(instance), SourceState::Up { found: format!("aws_ec2 {found}").trim().to_owned() })
        }
        Err(error) => (aws::of_firmware(firmware), SourceState::Failed { what: error.to_string() }),
    };
    (instance, Some(SourceHealth { part: "cloud", state }))
}
