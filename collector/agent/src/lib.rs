//! The agent: configuration, commands, scheduler, pipeline, admin endpoint. The only crate that knows all others,
//! what time it is, and the environment.

pub mod account;
pub mod admin;
pub mod bookkeeping;
pub mod cli;
pub mod clock;
pub mod cloud;
pub mod config;
pub mod connect;
pub mod costs;
pub mod destinations;
pub mod doctor;
pub mod env;
pub mod factors;
pub mod footprint;
pub mod identity;
pub mod lasting;
pub mod lease;
pub mod listeners;
pub mod live;
pub mod log;
pub mod meaning;
pub mod metric_table;
pub mod pid_file;
pub mod pipeline;
pub mod place;
pub mod reload;
pub mod report;
pub mod role;
pub mod run;
pub mod scheduler;
pub mod screen;
pub mod snapshot;
pub mod state;
pub mod telemetry;
pub mod units;
