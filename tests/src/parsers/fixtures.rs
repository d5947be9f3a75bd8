//! What the fuzzer begins with: what the fixtures hold, in pieces.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use wattline_wire::json::to_protobuf;

use super::protobuf::SIGNALS;

/// Characters of a text that are kept. What was said is long, and no parser looks at it.
const LONGEST_TEXT: usize = 80;
/// More than any piece has.
const ROOM: usize = 1 << 20;

/// The inputs of a parser that the fixtures of the tree give.
pub fn of(parser: &str) -> Vec<Vec<u8>> {
    match parser {
        "otlp_json" => requests().iter().map(|request| request.to_string().into_bytes()).collect(),
        "otlp_protobuf" => {
            let found = files("tests/fuzz/corpus/otlp_json", "").into_iter().map(|path| read(&path));
            let requests = requests().into_iter().map(|request| request.to_string().into_bytes());
            let of_signals = |json: Vec<u8>| SIGNALS.map(|signal| to_protobuf(signal, &json, ROOM).ok());
            found.chain(requests).flat_map(of_signals).flatten().filter(|bytes| !bytes.is_empty()).collect()
        }
        "exposition" => files("probes/llm/tests/engines", ".txt").iter().map(|path| read(path)).collect(),
        _ => Vec::new(),
    }
}

/// The requests that instrumentations and frameworks sent, cut into requests of one item with short texts.
fn requests() -> Vec<Json> {
    let files = files("tests/fixtures/dialects", ".jsonl");
    let sent = files.iter().filter(|path| !path.to_string_lossy().ends_with(".served.jsonl"));
    let mut pieces = Vec::new();
    for path in sent {
        for line in read(path).split(|&byte| byte == b'\n') {
            let Ok(mut request) = serde_json::from_slice::<Json>(line) else { continue };
            shorten(&mut request);
            cut(&request, &[], &mut pieces);
        }
    }
    pieces
}

/// The lists that lead to items, as every signal names them.
const LISTS: [&[&str]; 3] = [
    &["resourceSpans", "resourceLogs", "resourceMetrics"],
    &["scopeSpans", "scopeLogs", "scopeMetrics"],
    &["spans", "logRecords", "metrics"],
];

/// Puts a request for each item of `message` into `pieces`, with what stands around it, which is in `around`.
fn cut(message: &Json, around: &[(&Json, &str)], pieces: &mut Vec<Json>) {
    let lists = LISTS.get(around.len()).copied().unwrap_or_default();
    let Some(name) = lists.iter().find(|name| message.get(**name).is_some()) else {
        let wrap = |inner: Json, (outer, name): &(&Json, &str)| {
            let mut outer = (*outer).clone();
            if let Some(list) = outer.get_mut(*name) {
                *list = Json::from(vec![inner]);
            }
            outer
        };
        return pieces.push(around.iter().rev().fold(message.clone(), wrap));
    };
    for inner in message.get(*name).and_then(Json::as_array).into_iter().flatten() {
        cut(inner, &[around, &[(message, *name)]].concat(), pieces);
    }
}

fn shorten(value: &mut Json) {
    match value {
        Json::String(text) => text.truncate(text.floor_char_boundary(LONGEST_TEXT)),
        Json::Array(list) => list.iter_mut().for_each(shorten),
        Json::Object(members) => members.values_mut().for_each(shorten),
        _ => {}
    }
}

/// The files of a folder of the tree with this ending, in the order of their names.
#[expect(clippy::disallowed_methods, reason = "the files of the tests are no files of a host")]
pub fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut found: Vec<PathBuf> = paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    found.sort();
    found
}

/// The bytes of a file.
#[expect(clippy::disallowed_methods, reason = "the files of the tests are no files of a host")]
pub fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
