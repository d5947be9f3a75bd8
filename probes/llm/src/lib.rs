//! wattline-probe-llm
