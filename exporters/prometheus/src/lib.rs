//! wattline-export-prometheus
