//! wattline-export-file
