//! wattline-probe-host
