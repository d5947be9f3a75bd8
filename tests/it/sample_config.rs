//! The commented sample configuration and the code say the same.

use std::fs;
use std::path::Path;

use wattline::config::Config;
use wattline_probe_llm::engines::Kubernetes;

/// The tables that may be repeated.
const ARRAYS: [&str; 5] =
    ["exporters.otlp", "exporters.cloudwatch", "exporters.file", "exporters.emf", "probes.engines.target"];

fn sample() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy/wattline.toml");
    fs::read_to_string(path).unwrap()
}

/// The sample with every key that is commented out switched on. Sentences stay comments: they hold no ` = `.
fn all_keys() -> String {
    let lines = sample();
    let key = |line: &str| {
        line.strip_prefix("# ").is_some_and(|rest| {
            rest.starts_with('[')
                || rest
                    .split_once(" = ")
                    .is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        })
    };
    lines
        .lines()
        .map(|line| if key(line) { &line[2..] } else { line })
        .fold(String::new(), |all, line| all + line + "\n")
}

#[test]
fn the_sample_is_the_default() {
    assert_eq!(Config::parse(&sample()).unwrap(), Config::default());
}

#[test]
fn every_commented_key_is_a_key() {
    let config = Config::parse(&all_keys()).unwrap();
    let exporters = config.exporters;
    let counts = [exporters.otlp.len(), exporters.cloudwatch.len(), exporters.file.len(), exporters.emf.len()];
    assert_eq!(counts, [1; 4]);
    let engines = config.probes.engines;
    assert_eq!((engines.target.len(), engines.kubernetes), (1, Some(Kubernetes::default())));
}

#[test]
fn every_key_is_in_the_sample() {
    let text = all_keys();
    let tables: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix('[')?.trim_start_matches('[').split(']').next()).collect();
    for table in &tables {
        // The parser itself tells which keys a table has, when it meets one that does not exist.
        let array = ARRAYS.contains(table);
        let header = if array { format!("[[{table}]]") } else { format!("[{table}]") };
        let around = ARRAYS.iter().find(|array| table.strip_prefix(**array).is_some_and(|rest| rest.starts_with('.')));
        let header = around.map_or_else(|| header.clone(), |array| format!("[[{array}]]\n{header}"));
        let error = Config::parse(&format!("{header}\nno_such_key = 1\n")).unwrap_err();
        let (_, expected) = error.split_once("expected ").unwrap_or_else(|| panic!("{table}: {error}"));
        let keys: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        assert!(!keys.is_empty(), "{table}: {error}");
        let section = text.split(&format!("[{table}]")).nth(1).unwrap();
        let section = section.split("\n[").next().unwrap();
        for key in keys.into_iter().filter(|key| *key != "no_such_key") {
            let written =
                section.contains(&format!("\n{key} = ")) || tables.contains(&format!("{table}.{key}").as_str());
            assert!(written, "{table}.{key} is not in deploy/wattline.toml");
        }
    }
}
