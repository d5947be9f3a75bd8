//! Regions, partitions and the services that take telemetry.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use wattline_core::Signal;

/// The name of an AWS region, such as `eu-west-1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Region(String);

/// A text that is no name of a region.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of an AWS region, which is written like eu-west-1 or us-gov-east-1")]
pub struct RegionError(String);

impl Region {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The domain under which the services of the region's partition stand (botocore, data/partitions.json,
    /// `dnsSuffix`). A region that nobody has heard of yet is taken for one of the commercial partition, as the SDKs do.
    pub fn dns_suffix(&self) -> &'static str {
        PARTITIONS.iter().find(|(prefix, _)| self.0.starts_with(prefix)).map_or("amazonaws.com", |(_, suffix)| suffix)
    }
}

/// How the regions of a partition begin, and its domain. `us-gov-` shares that of the commercial partition.
const PARTITIONS: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
];

impl FromStr for Region {
    type Err = RegionError;

    fn from_str(text: &str) -> Result<Self, RegionError> {
        let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let words = text.split('-').count();
        // It becomes a part of a host name.
        if text.len() > 32 || !(3..=5).contains(&words) || !text.split('-').all(word) {
            return Err(RegionError(text.chars().take(40).collect()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Region {
    type Error = RegionError;

    fn try_from(text: String) -> Result<Self, RegionError> {
        text.parse()
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The services that take telemetry. The name is both the first part of the host and the service in a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// CloudWatch metrics.
    Monitoring,
    /// CloudWatch Logs.
    Logs,
    /// X-Ray.
    Xray,
}

impl Service {
    /// The service that takes OTLP of `signal` (Amazon CloudWatch User Guide, "OTLP Endpoints").
    pub const fn of(signal: Signal) -> Self {
        match signal {
            Signal::Metrics => Self::Monitoring,
            Signal::Logs => Self::Logs,
            Signal::Traces => Self::Xray,
        }
    }

    /// The name in hosts and signatures.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Monitoring => "monitoring",
            Self::Logs => "logs",
            Self::Xray => "xray",
        }
    }

    /// The type of its questions in JSON: each service has a version of its own.
    pub const fn json(self) -> &'static str {
        match self {
            Self::Monitoring => "application/x-amz-json-1.0",
            Self::Logs | Self::Xray => "application/x-amz-json-1.1",
        }
    }

    /// The address of the service without a path.
    pub fn origin(self, region: &Region) -> String {
        format!("https://{}.{region}.{}", self.as_str(), region.dns_suffix())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_partition_has_its_own_domain() {
        for (region, origin) in [
            ("eu-west-1", "https://monitoring.eu-west-1.amazonaws.com"),
            ("us-gov-east-1", "https://monitoring.us-gov-east-1.amazonaws.com"),
            ("cn-northwest-1", "https://monitoring.cn-northwest-1.amazonaws.com.cn"),
            ("eusc-de-east-1", "https://monitoring.eusc-de-east-1.amazonaws.eu"),
            ("us-iso-east-1", "https://monitoring.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", "https://monitoring.us-isob-east-1.sc2s.sgov.gov"),
            ("eu-isoe-west-1", "https://monitoring.eu-isoe-west-1.cloud.adc-e.uk"),
            ("us-isof-south-1", "https://monitoring.us-isof-south-1.csp.hci.ic.gov"),
            ("xx-future-1", "https://monitoring.xx-future-1.amazonaws.com"),
        ] {
            assert_eq!(Service::Monitoring.origin(&region.parse().unwrap()), origin);
        }
    }

    #[test]
    fn each_signal_has_its_service() {
        let services = [Signal::Metrics, Signal::Logs, Signal::Traces].map(|signal| Service::of(signal).as_str());
        assert_eq!(services, ["monitoring", "logs", "xray"]);
    }

    #[test]
    fn what_is_no_region_is_refused() {
        for text in ["", "eu", "eu-west", "Europe", "EU-WEST-1", "eu-west-1.evil.example/", "eu--west-1", "eu-west-1-"]
        {
            assert!(text.parse::<Region>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_region_cannot_leave_its_part_of_the_host_name(text: String) {
            if let Ok(region) = text.parse::<Region>() {
                prop_assert!(region.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
            }
        }
    }
}
