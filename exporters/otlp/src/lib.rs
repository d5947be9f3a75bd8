//! wattline-export-otlp
