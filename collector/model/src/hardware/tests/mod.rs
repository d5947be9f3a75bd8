//! Tests of the tables of hardware, and of what is made of them.

mod accelerators;
mod embodied;
mod fallback;
mod instances;
mod price_file;
mod prices;
