//! wattline-export-delivery
