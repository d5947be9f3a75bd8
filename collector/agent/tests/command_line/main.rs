//! The command as a user meets it: its words, its exit codes, its signals.
#![expect(clippy::disallowed_methods, reason = "the files here are the test's own, and the command is what is tested")]

#[cfg(test)]
mod calls;
#[cfg(test)]
mod gpus;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod live;
#[cfg(test)]
mod roles;
#[cfg(test)]
mod support;
#[cfg(test)]
mod words;
