//! Files as they grow, go, come again and break.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

const NONE: [u64; 0] = [];

fn record(number: u64) -> String {
    format!(
        r#"{{"schemaType":"ModelInvocationLog","timestamp":"2025-06-26T12:00:00Z","requestId":"{number}","modelId":"m","input":{{"inputTokenCount":{number}}},"output":{{"outputTokenCount":1}}}}"#
    )
}

fn lines(numbers: impl IntoIterator<Item = u64>) -> String {
    numbers.into_iter().map(|number| record(number) + "\n").collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A folder that is looked through again and again.
struct Bench {
    folder: tempfile::TempDir,
    known: Known,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), known: Known::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::OpenOptions::new().append(true).open(self.path(name)).unwrap().write_all(bytes.as_ref()).unwrap();
    }

    /// The numbers of the records that are new, and the faults.
    fn scan(&mut self) -> (Vec<u64>, Vec<Fault>) {
        let (candidates, mut faults) = look(&[self.folder.path().to_owned()]);
        let mut numbers = Vec::new();
        for candidate in
            candidates.iter().filter(|candidate| candidate.is_news(&self.known)).cloned().collect::<Vec<_>>()
        {
            let mut last = None;
            let read = read(&candidate, &self.known, &Rules::default(), Timestamp::default(), &mut |step| {
                numbers.extend(step.told.calls.iter().map(|call| call.usage.input));
                last = Some(step.seen);
                true
            });
            if let Some(seen) = last {
                self.known.apply(seen.numbers());
            }
            faults.extend(read.err());
        }
        (numbers, faults)
    }

    fn numbers(&mut self) -> Vec<u64> {
        let (numbers, faults) = self.scan();
        assert_eq!(faults, []);
        numbers
    }
}

#[test]
fn a_tree_as_s3_has_it_is_read_once() {
    let mut bench = Bench::new();
    let hour = "AWSLogs/123456789012/BedrockModelInvocationLogs/us-east-1/2025/06/26/12";
    bench.write(&format!("{hour}/a.json.gz"), gzip(&lines(1..=200)));
    bench.write(&format!("{hour}/b.jsonl"), lines([201]));
    // What is not a record, or not yet: a body, a file that is being copied, a file for checking permissions.
    bench.write(&format!("{hour}/data/x_input.json.gz"), gzip("{\"messages\": []}"));
    bench.write(&format!("{hour}/c.json.gz.6F2a9B01"), gzip(&lines([9])));
    bench.write("amazon-bedrock-logs-permission-check", "");
    assert_eq!(bench.numbers(), (1..=201).collect::<Vec<_>>());
    assert_eq!(bench.numbers(), NONE);
    bench.write(&format!("{hour}/c.json.gz"), gzip(&lines([300])));
    assert_eq!(bench.numbers(), [300], "only what has come since");
}

#[test]
fn a_file_that_grows_is_read_on_and_half_a_line_waits() {
    let mut bench = Bench::new();
    let last = record(3) + "\n";
    let (half, rest) = last.split_at(40);
    bench.write("a.jsonl", lines([1, 2]) + half);
    assert_eq!(bench.numbers(), [1, 2]);
    assert_eq!(bench.numbers(), NONE);
    bench.append("a.jsonl", rest);
    assert_eq!(bench.numbers(), [3]);
    // A whole record is one without a line break, too, and the break behind it is no record.
    bench.append("a.jsonl", record(4));
    assert_eq!(bench.numbers(), [4]);
    bench.append("a.jsonl", String::from("\n") + &record(5));
    assert_eq!(bench.numbers(), [5]);
    bench.write("b.json", record(6).split_at(50).0);
    assert_eq!(bench.numbers(), NONE, "nothing to know it by yet");
    bench.write("b.json", record(6));
    assert_eq!(bench.numbers(), [6]);
    bench.append("b.json", String::from("\n") + &record(7) + "\n");
    assert_eq!(bench.numbers(), [7]);
}

#[test]
fn a_compressed_file_that_grows_is_read_on() {
    let mut bench = Bench::new();
    bench.write("a.gz.log", "");
    bench.write("a.json.gz", gzip(&lines([1, 2])));
    assert_eq!(bench.numbers(), [1, 2]);
    bench.append("a.json.gz", gzip(&lines([3])));
    assert_eq!(bench.numbers(), [3]);
    bench.append("a.json.gz", gzip(&record(4)));
    assert_eq!(bench.numbers(), [4], "the last line of a file that was ended needs no break");
}

#[test]
fn a_file_that_is_moved_copied_over_or_touched_is_not_read_again() {
    let mut bench = Bench::new();
    bench.write("a.jsonl", lines([1, 2]));
    bench.write("b.json.gz", gzip(&lines([3])));
    assert_eq!(bench.numbers(), [1, 2, 3]);
    fs::rename(bench.path("a.jsonl"), bench.path("a-1.jsonl")).unwrap();
    bench.write("a.jsonl", lines([4]));
    assert_eq!(bench.numbers(), [4], "rotation");
    fs::remove_file(bench.path("b.json.gz")).unwrap();
    assert_eq!(bench.numbers(), NONE);
    bench.write("b.json.gz", gzip(&lines([3])));
    assert_eq!(bench.numbers(), NONE, "synchronised again");
}

#[test]
fn a_file_that_is_replaced_is_read_and_one_that_is_cut_goes_on() {
    let mut bench = Bench::new();
    bench.write("a.jsonl", lines([1, 2, 3]));
    assert_eq!(bench.numbers(), [1, 2, 3]);
    bench.write("a.jsonl", lines([4]));
    assert_eq!(bench.numbers(), [4], "truncated and written anew");
    bench.write("b.jsonl", lines([5, 6]));
    assert_eq!(bench.numbers(), [5, 6]);
    bench.write("b.jsonl", lines([5]));
    assert_eq!(bench.numbers(), NONE, "what is left of it was read");
    bench.append("b.jsonl", lines([7]));
    assert_eq!(bench.numbers(), [7]);
}

#[test]
fn a_damaged_file_gives_what_is_whole_in_it_and_is_told_once() {
    let mut bench = Bench::new();
    let whole = gzip(&lines(1..=3000));
    bench.write("a.json.gz", &whole[..whole.len() / 2]);
    bench.write("b.json.gz", b"\x1f\x8bno gzip at all");
    bench.write("c.jsonl", b"\x00\xff\xfe\n{\"half\":\n");
    bench.write("d.jsonl", lines([9000]));
    let (first, faults) = bench.scan();
    assert!(first.len() > 100 && first.ends_with(&[9000]), "{}", first.len());
    let names: Vec<_> = faults.iter().map(|fault| fault.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["a.json.gz", "b.json.gz"]);
    assert!(faults.iter().all(|fault| fault.is_damaged));
    assert_eq!(bench.scan(), (Vec::new(), Vec::new()), "until it changes");
    bench.write("a.json.gz", &whole);
    bench.write("b.json.gz", gzip(&lines([4000])));
    let rest = bench.numbers();
    assert_eq!(first.len() + rest.len(), 3002, "each once");
}

#[test]
fn a_place_that_is_missing_is_a_fault_and_no_more() {
    let (found, faults) = look(&[PathBuf::from("/no/such/folder")]);
    assert!(found.is_empty());
    assert!(!faults[0].is_damaged && faults[0].what.contains("No such file"), "{faults:?}");
}

#[test]
fn a_line_without_an_end_takes_no_room() {
    let mut bench = Bench::new();
    let long = "x".repeat(3 * LINE_BYTES_MAX);
    bench.write("a.jsonl", format!("{}{long}\n{}", lines([1]), lines([2])));
    assert_eq!(bench.numbers(), [1, 2]);
}

proptest! {
    /// However a file is written, in whatever pieces, and whenever it is looked at, each record comes once and in order.
    #[test]
    fn each_record_comes_once(
        count in 0..40_u64, cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8), compressed: bool,
    ) {
        let mut bench = Bench::new();
        let text = lines(1..=count);
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).chain([text.len()]).collect();
        ends.sort_unstable();
        bench.write("a.json", "");
        let (mut from, mut numbers) = (0, Vec::new());
        for end in ends {
            // Members of a compressed file end where lines do.
            let end = if compressed { text[..end].rfind('\n').map_or(0, |end| end + 1) } else { end };
            let part = &text[from..end];
            from = end;
            if !part.is_empty() {
                bench.append("a.json", if compressed { gzip(part) } else { part.as_bytes().to_vec() });
            }
            // The times of two writes may be the same; the sizes are not.
            numbers.extend(bench.numbers());
        }
        prop_assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
    }

    #[test]
    fn no_file_panics(bytes: Vec<u8>, is_gzip: bool) {
        let mut bench = Bench::new();
        let magic: &[u8] = if is_gzip { &[0x1f, 0x8b, 8] } else { &[] };
        bench.write("a.log", [magic, &bytes].concat());
        bench.scan();
        prop_assert_eq!(bench.scan().0, Vec::<u64>::new());
    }
}
