//! What the library remembers between two calls, and how it finds its script.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::script::{Answer, Script};

/// NVML's codes that the library gives by itself.
pub(crate) mod code {
    pub(crate) const SUCCESS: u32 = 0;
    pub(crate) const UNINITIALIZED: u32 = 1;
    pub(crate) const INVALID_ARGUMENT: u32 = 2;
    pub(crate) const NOT_SUPPORTED: u32 = 3;
    pub(crate) const NOT_FOUND: u32 = 6;
    pub(crate) const INSUFFICIENT_SIZE: u32 = 7;
    pub(crate) const TIMEOUT: u32 = 10;
    pub(crate) const NO_MEMORY: u32 = 20;
    pub(crate) const VERSION_MISMATCH: u32 = 25;
}

/// So many samples and event sets may be held at once. Whoever does not give them back meets it soon.
const HELD_LIMIT: usize = 300;

/// What the library remembers.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) script: Arc<Script>,
    pub(crate) initialised: usize,
    /// The last event that each GPU has told.
    pub(crate) told: BTreeMap<usize, String>,
    held: usize,
    calls: BTreeMap<&'static str, u64>,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

/// Does something with the state.
pub(crate) fn with<T>(f: impl FnOnce(&mut State) -> T) -> T {
    f(STATE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

/// Counts a call.
pub(crate) fn count(function: &'static str) {
    with(|state| *state.calls.entry(function).or_default() += 1);
}

/// Takes one of what the library holds for its callers, or refuses.
pub(crate) fn hold() -> Result<(), u32> {
    with(|state| {
        state.held += 1;
        if state.held > HELD_LIMIT { Err(code::NO_MEMORY) } else { Ok(()) }
    })
}

/// Takes one back.
pub(crate) fn let_go() {
    with(|state| state.held = state.held.saturating_sub(1));
}

/// Where this library lies, by the map of the process that has loaded it.
#[expect(clippy::disallowed_methods, reason = "the process's own map, which names this very library")]
fn own_path() -> Option<PathBuf> {
    let here = own_path as *const () as usize;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| {
        let mut bounds = line.split([' ', '-']).map(|number| usize::from_str_radix(number, 16));
        matches!((bounds.next(), bounds.next()), (Some(Ok(from)), Some(Ok(to))) if (from..to).contains(&here))
    })?;
    line.find('/').and_then(|at| line.get(at..)).map(PathBuf::from)
}

/// Reads the script again.
#[expect(clippy::disallowed_methods, reason = "the library's own script, which the environment may name")]
pub(crate) fn reload() {
    let named = std::env::var_os("FAKE_NVML").map(PathBuf::from);
    let path = named.or_else(|| Some(own_path()?.with_extension("script")));
    let text = path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    with(|state| state.script = Arc::new(Script::parse(&text)));
}

/// Adds how often each function was called to what is written down. The library may be unloaded next.
#[expect(clippy::disallowed_methods, reason = "the library's own file")]
pub(crate) fn write_calls() {
    let Some(path) = own_path().map(|path| path.with_extension("calls")) else { return };
    let line =
        |line: &str| line.split_once(' ').map(|(function, count)| (function.to_owned(), count.parse().unwrap_or(0)));
    // One thread at a time, or one overwrites what the other has written.
    with(|state| {
        let told = std::fs::read_to_string(&path).unwrap_or_default();
        let mut sums: BTreeMap<String, u64> = told.lines().filter_map(line).collect();
        for (function, count) in std::mem::take(&mut state.calls) {
            *sums.entry(function.to_owned()).or_default() += count;
        }
        let lines: Vec<String> = sums.into_iter().map(|(function, count)| format!("{function} {count}")).collect();
        // A test that reads nothing wants nothing.
        std::fs::write(path, lines.join("\n")).ok();
    });
}

/// The script's answer, once it does not say any more that the call hangs.
pub(crate) fn settled(ask: impl Fn(&Script) -> Option<Answer>) -> Option<Answer> {
    loop {
        let script = with(|state| Arc::clone(&state.script));
        match ask(&script) {
            Some(Answer::Hang) => std::thread::sleep(Duration::from_millis(2)),
            answer => return answer,
        }
        reload();
    }
}

/// The number that stands for a GPU or one of its slices: the GPU's index and one, and a slice's above.
pub(crate) const fn token(gpu: usize, slice: Option<usize>) -> usize {
    let slice = match slice {
        Some(slice) => slice + 1,
        None => 0,
    };
    (slice << 8) | (gpu + 1)
}

/// The GPU that a number stands for, and what comes before the keys of its slice.
pub(crate) fn place(token: usize) -> (usize, String) {
    let slice = (token >> 8).checked_sub(1);
    ((token & 0xff).wrapping_sub(1), slice.map_or_else(String::new, |slice| format!("{slice}.")))
}

/// What the script says to a question about a GPU or a slice.
pub(crate) fn ask(function: &'static str, token: usize, key: &str) -> Result<String, u32> {
    count(function);
    if with(|state| state.initialised) == 0 {
        return Err(code::UNINITIALIZED);
    }
    let (gpu, prefix) = place(token);
    let key = format!("{prefix}{key}");
    match settled(|script| Some(script.of_gpu(gpu, &key))) {
        Some(Answer::Value(text)) => Ok(text),
        Some(Answer::Code(code)) => Err(code),
        _ => Err(code::NOT_SUPPORTED),
    }
}

/// A number of the script.
pub(crate) fn number<T: FromStr>(text: &str) -> Result<T, u32> {
    text.parse().map_err(|_error| code::INVALID_ARGUMENT)
}

/// The code that a function returns.
pub(crate) fn returned(outcome: Result<(), u32>) -> u32 {
    outcome.err().unwrap_or(code::SUCCESS)
}

/// Numbers apart by `:`, rows apart by `,`. What is no number is NVML's "none": all bits set.
pub(crate) fn rows(text: &str) -> Vec<Vec<u64>> {
    let row = |row: &str| row.split(':').map(|number| number.trim().parse().unwrap_or(u64::MAX)).collect();
    text.split(',').filter(|row| !row.trim().is_empty()).map(row).collect()
}
