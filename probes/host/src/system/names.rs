//! Names of devices: shared texts, and patterns that leave devices out.

use std::collections::BTreeSet;
use std::sync::Arc;

/// The most names that are kept before all are forgotten. Interfaces of containers come and go with new names.
const KEPT_NAMES: usize = 4096;

/// Texts that are told again and again, made once.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: BTreeSet<Arc<str>>,
}

impl Names {
    pub(super) fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.known.get(name) {
            return Arc::clone(known);
        }
        if self.known.len() >= KEPT_NAMES {
            self.known.clear();
        }
        let new: Arc<str> = name.into();
        self.known.insert(Arc::clone(&new));
        new
    }
}

/// Names, of which some end in `*` for any rest.
#[derive(Clone, Debug)]
pub(super) struct Patterns(Vec<String>);

impl Patterns {
    pub(super) fn new(patterns: &[String]) -> Self {
        Self(patterns.to_vec())
    }

    pub(super) fn hold(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_rest_and_only_at_the_end() {
        let patterns = Patterns::new(&["lo".to_owned(), "veth*".to_owned(), "a*b".to_owned()]);
        assert!(patterns.hold("lo") && patterns.hold("veth") && patterns.hold("veth1a2b") && patterns.hold("a*b"));
        assert!(!patterns.hold("lo0") && !patterns.hold("vet") && !patterns.hold("axb"));
        assert!(!Patterns::new(&[]).hold(""));
    }

    #[test]
    fn names_without_end_do_not_fill_the_memory() {
        let mut names = Names::default();
        for number in 0..3 * KEPT_NAMES {
            names.get(&format!("veth{number}"));
        }
        assert!(names.known.len() <= KEPT_NAMES);
        assert!(Arc::ptr_eq(&names.get("eth0"), &names.get("eth0")));
    }
}
