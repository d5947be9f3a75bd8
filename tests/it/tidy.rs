//! The tree reads as the house says.

use std::fs;
use std::path::{Path, PathBuf};

use wattline_core::metrics;

/// A file of code longer than this mixes jobs. Tables are excepted by name.
const LONGEST_FILE: usize = 800;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    for part in ["collector", "probes", "exporters", "tests"] {
        walk(&root().join(part), &mut found);
    }
    assert!(found.len() > 30, "the walk found only {} files", found.len());
    found
}

#[test]
fn files_stay_short() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines", path.display());
    }
}

#[test]
fn no_test_is_ignored_and_nothing_is_left_undone() {
    // Written in pieces so that this file does not find itself.
    let words = [concat!("#[", "ignore"), concat!("todo", "!("), concat!("unimplemented", "!("), concat!("FIX", "ME")];
    for (path, text) in sources() {
        for word in words {
            assert!(!text.contains(word), "{} holds {word}", path.display());
        }
    }
}

#[test]
fn metric_names_stand_in_the_table_only() {
    for (path, text) in sources() {
        // Tests may spell a name out: that is what they compare with.
        let product =
            path.components().any(|part| part.as_os_str() == "src") && !path.starts_with(root().join("tests"));
        let code = text.split("#[cfg(test)]").next().unwrap_or("");
        let is_test = path
            .file_stem()
            .is_some_and(|stem| ["tests", "laws", "cases", "worth"].contains(&stem.to_str().unwrap_or("")));
        // A configuration key may be called like a metric.
        if !product
            || is_test
            || path.ends_with("core/src/metrics.rs")
            || path.ends_with("agent/src/config.rs")
            || path.ends_with("agent/src/config/meaning.rs")
        {
            continue;
        }
        for metric in metrics::ALL {
            let quoted = format!("\"{}\"", metric.name);
            assert!(!code.contains(&quoted), "{} spells out {}", path.display(), metric.name);
        }
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_house() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","));
    let mut count = 0;
    for member in members.filter(|member| !member.contains(' ')) {
        let manifest = fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{member}");
        count += 1;
    }
    assert!(count >= 10, "only {count} members were found");
}
