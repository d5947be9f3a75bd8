//! wattline
