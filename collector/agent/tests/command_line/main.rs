//! The command as a user meets it: its words, its exit codes, its signals.

mod lifecycle;
mod support;
mod words;
