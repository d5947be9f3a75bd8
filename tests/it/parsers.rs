//! The corpus of the fuzzer, and what the fixtures hold, played without it. `docs/fuzzing.md` says what must hold.

use std::panic;
use std::path::{Path, PathBuf};

use wattline_tests::parsers::{self, Parser, fixtures};

/// Plays inputs by name, and tells all of which something does not hold.
fn play(parser: Parser, inputs: &[(String, Vec<u8>)]) {
    let failed = inputs.iter().filter(|(_, input)| panic::catch_unwind(|| (parser.play)(input)).is_err());
    let failed: Vec<&str> = failed.map(|(name, _)| name.as_str()).collect();
    assert!(failed.is_empty(), "{}: see above for what does not hold of {failed:?}", parser.name);
}

fn corpus(parser: Parser) -> Vec<PathBuf> {
    fixtures::files(&format!("tests/fuzz/corpus/{}", parser.name), "")
}

#[test]
fn what_fuzzing_found_is_read_as_it_should_be() {
    for parser in parsers::ALL {
        let paths = corpus(parser);
        assert!(paths.len() >= 10, "the corpus of {} has {} files", parser.name, paths.len());
        let inputs: Vec<_> = paths.iter().map(|path| (path.display().to_string(), fixtures::read(path))).collect();
        play(parser, &inputs);
    }
}

#[test]
fn what_the_fixtures_hold_is_read_as_it_should_be() {
    let mut count = 0;
    for parser in parsers::ALL {
        let inputs = fixtures::of(parser.name);
        count += inputs.len();
        let inputs: Vec<_> = (0..).zip(inputs).map(|(n, input): (u32, _)| (format!("fixture {n}"), input)).collect();
        play(parser, &inputs);
    }
    assert!(count > 1000, "the fixtures have {count} pieces only");
}

#[test]
fn the_corpus_stays_small() {
    let paths: Vec<PathBuf> = parsers::ALL.into_iter().flat_map(corpus).collect();
    let bytes = |path: &Path| fixtures::read(path).len();
    let whole: usize = paths.iter().map(|path| bytes(path)).sum();
    assert!(whole < 1 << 20, "the corpora have {whole} bytes");
}

#[test]
fn every_target_of_the_fuzzer_is_one_of_these_parsers() {
    let targets = fixtures::files("tests/fuzz/targets", ".rs");
    let names = targets.iter().filter_map(|path| path.file_stem()?.to_str()).filter(|name| *name != "fields");
    let mut parsers: Vec<&str> = parsers::ALL.iter().map(|parser| parser.name).collect();
    parsers.sort_unstable();
    assert_eq!(names.collect::<Vec<_>>(), parsers);
}
