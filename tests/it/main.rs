mod arrows;
mod host_readings;
mod sample_config;
mod tidy;
mod whole_agent;
