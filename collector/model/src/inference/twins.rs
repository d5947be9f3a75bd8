//! One call, told more than once: by two instrumentations, by a span and a log record, by a span and the span around it.
//!
//! What is told waits a little for its twin, so that the best account of the call is the one that is booked, and is
//! remembered for a while after that, so that a later twin is known. Both are bounded: when too many wait, the oldest is
//! decided at once and counted; when too much is remembered, the oldest is forgotten.
//!
//! Two accounts are of one call
//! - if they are the same span, sent twice,
//! - if they bear the same id of the provider's answer,
//! - if one is of a span right below the other's,
//! - or if they have equal counts, come from different instrumentations of one trace or one service, and one's time lies
//!   within the other's: two instrumentations wrap one another, two calls in a row do not. Different ids of answers
//!   speak against it.
//!
//! An account joins one call only, and one call takes one account of each instrumentation: of ten equal calls at once,
//! told by two, ten remain.

#![expect(
    clippy::disallowed_types,
    reason = "the map is asked for keys, four times for each call, and never gone through"
)]

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use wattline_core::reading::{CallIdentity, Inference, TokenUsage, ToldBy};
use wattline_core::{Instant, Seconds, Timestamp};

/// How long a call waits for its twin. SDKs send what has gathered every five seconds.
const PATIENCE: Seconds = Seconds::new(5.0);
/// How long a call is remembered: logs of a provider come minutes later.
const MEMORY: Seconds = Seconds::new(900.0);
/// Calls that may wait.
pub const MOST_WAITING: usize = 16_384;
/// Calls that are remembered, those that wait among them.
const MOST_REMEMBERED: usize = 32_768;
/// Accounts of so many instrumentations are told apart for one call; a further one is not joined to it.
const MOST_SCOPES: usize = 4;
/// Two instrumentations in one process read one clock, but not at the same moment.
const SLACK_OF_SPANS_NANOS: u64 = 2_000_000;
/// Logs have their times in whole seconds.
const SLACK_OF_LOGS_NANOS: u64 = 2_000_000_000;
/// Calls of equal counts that are looked through for a twin.
const MOST_LOOKED_AT: usize = 64;
/// No call: the end of a chain.
const NONE: u64 = u64::MAX;

/// The calls that wait for their twins, and those of the last minutes.
#[derive(Debug)]
pub struct Twins {
    calls: VecDeque<Told>,
    /// The number of the first in `calls`, which only grows.
    first: u64,
    /// The number of the first that waits: those before are decided.
    first_waiting: u64,
    /// The newest call with each trait; older ones are chained behind it.
    newest: HashMap<u64, u64, BuildHasherDefault<Mixed>>,
    /// The first scope that told of a call, and whether another one has since.
    scope: Option<u64>,
    has_other_scopes: bool,
    found: u64,
    overflowed: u64,
}

/// A call by all that was told of it.
#[derive(Debug)]
struct Told {
    /// The best account; `None` once it is decided.
    best: Option<Box<Inference>>,
    arrived: Instant,
    identity: CallIdentity,
    service: u64,
    usage: (u64, u64),
    failed: bool,
    start: u64,
    end: u64,
    scopes: [u64; MOST_SCOPES],
    /// The call before with the same trait, for each of [`traits`].
    older: [u64; TRAITS],
}

/// By what calls are found: the answer's id, the span, the span around it, the counts.
const TRAITS: usize = 4;
const ANSWER: u64 = 1;
const SPAN: u64 = 2;
const AROUND: u64 = 3;
const COUNTS: u64 = 4;

impl Default for Twins {
    fn default() -> Self {
        Self::new()
    }
}

impl Twins {
    /// Nothing was told yet.
    pub fn new() -> Self {
        Self {
            calls: VecDeque::new(),
            first: 0,
            first_waiting: 0,
            newest: HashMap::default(),
            scope: None,
            has_other_scopes: false,
            found: 0,
            overflowed: 0,
        }
    }

    /// Accounts that told of a call which another one had told of.
    pub const fn found(&self) -> u64 {
        self.found
    }

    /// Calls that were decided before their time, because too many waited.
    pub const fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// Takes an account of a call at `at`. Gives a call that had to make room.
    pub fn take(&mut self, account: Box<Inference>, at: Instant) -> Option<Box<Inference>> {
        let told = Told::new(account, at);
        let scope = told.identity.scope;
        self.has_other_scopes |= *self.scope.get_or_insert(scope) != scope;
        if let Some((number, relation)) = self.find(&told) {
            self.found += 1;
            self.join(number, told, relation);
            return None;
        }
        self.add(told);
        if self.waiting() <= MOST_WAITING {
            return None;
        }
        self.overflowed += 1;
        self.decide()
    }

    /// The next call that has waited long enough at `at`.
    pub fn due(&mut self, at: Instant) -> Option<Box<Inference>> {
        while let Some(told) = self.get(self.first_waiting) {
            if at.since(told.arrived) < PATIENCE {
                break;
            }
            if let Some(call) = self.decide() {
                return Some(call);
            }
        }
        while let Some(oldest) = self.calls.front() {
            if self.first >= self.first_waiting || at.since(oldest.arrived) < MEMORY {
                break;
            }
            self.forget();
        }
        None
    }

    /// The next call of those that wait, however short they have waited.
    pub fn release(&mut self) -> Option<Box<Inference>> {
        while self.waiting() > 0 {
            if let Some(call) = self.decide() {
                return Some(call);
            }
        }
        None
    }

    /// How many calls were taken: the number of the next one.
    pub fn taken(&self) -> u64 {
        self.first + self.calls.len() as u64
    }

    /// How many calls are decided: all with a smaller number are.
    pub const fn decided(&self) -> u64 {
        self.first_waiting
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        usize::try_from(self.taken().saturating_sub(self.first_waiting)).unwrap_or(usize::MAX)
    }

    fn get(&self, number: u64) -> Option<&Told> {
        self.calls.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Told> {
        self.calls.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn decide(&mut self) -> Option<Box<Inference>> {
        let number = self.first_waiting;
        self.first_waiting += 1;
        self.get_mut(number)?.best.take()
    }

    fn add(&mut self, mut told: Told) {
        let number = self.first + self.calls.len() as u64;
        for (place, of) in told.traits().into_iter().enumerate() {
            if let (Some(of), Some(older)) = (of, told.older.get_mut(place)) {
                *older = self.newest.insert(of, number).unwrap_or(NONE);
            }
        }
        self.calls.push_back(told);
        if self.calls.len() > MOST_REMEMBERED && self.first < self.first_waiting {
            self.forget();
        }
    }

    fn forget(&mut self) {
        let number = self.first;
        if let Some(told) = self.calls.pop_front() {
            self.first += 1;
            for of in told.traits().into_iter().flatten() {
                if self.newest.get(&of) == Some(&number) {
                    self.newest.remove(&of);
                }
            }
        }
    }

    /// The calls with a trait, the newest first.
    fn with(&self, place: usize, of: Option<u64>) -> impl Iterator<Item = (u64, &Told)> {
        let mut number = of.and_then(|of| self.newest.get(&of)).copied().unwrap_or(NONE);
        std::iter::from_fn(move || {
            let told = self.get(number)?;
            let here = number;
            number = told.older.get(place).copied().unwrap_or(NONE);
            Some((here, told))
        })
        .take(MOST_LOOKED_AT)
    }

    fn find(&self, new: &Told) -> Option<(u64, Relation)> {
        let [response, span, _, counts] = new.traits();
        let identity = &new.identity;
        let same = self.with(1, span).find(|(_, old)| old.is_span(identity.trace, identity.span));
        if let Some((number, _)) = same {
            return Some((number, Relation::Twin));
        }
        let answered = self.with(0, response).find(|(_, old)| old.is_answered_as(new));
        if let Some((number, _)) = answered {
            return Some((number, Relation::Twin));
        }
        let is_class = |old: &Told| old.is_embedding() == new.is_embedding();
        let below = self.with(2, trait_of_span(AROUND, identity.trace, identity.span)).find(|(_, old)| {
            (old.identity.trace, old.identity.parent) == (identity.trace, identity.span) && is_class(old)
        });
        if let Some((number, _)) = below {
            return Some((number, Relation::Around));
        }
        let above = trait_of_span(SPAN, identity.trace, identity.parent);
        let above = self.with(1, above).find(|(_, old)| old.is_span(identity.trace, identity.parent) && is_class(old));
        if let Some((number, _)) = above {
            return Some((number, Relation::Below));
        }
        // One instrumentation is not paired with itself: a flood of its equal calls need not be looked through.
        let counts = counts.filter(|_| self.has_other_scopes);
        let equal = self.with(3, counts).find(|(_, old)| old.is_told_again_by(new));
        equal.map(|(number, _)| (number, Relation::Twin))
    }

    /// Joins an account to a call. Of two accounts the better one stands, with what only the other knows.
    fn join(&mut self, number: u64, new: Told, relation: Relation) {
        let Some(old) = self.get_mut(number) else { return };
        if let Some(free) = old.scopes.iter_mut().find(|scope| **scope == 0)
            && new.identity.scope != 0
        {
            *free = new.identity.scope;
        }
        let (Some(best), Some(other)) = (old.best.take(), new.best) else { return };
        let is_better = match relation {
            Relation::Below => true,
            Relation::Around => false,
            Relation::Twin => (other.identity.told_by, detail(&best)) < (best.identity.told_by, detail(&other)),
        };
        let (mut best, other) = if is_better { (other, best) } else { (best, other) };
        best.complete(&other);
        old.best = Some(best);
    }
}

/// How a new account stands to the one that it joins.
#[derive(Clone, Copy, Debug)]
enum Relation {
    /// Beside it.
    Twin,
    /// Around it: it repeats it.
    Around,
    /// Below it: it is what the other repeats.
    Below,
}

impl Told {
    fn new(account: Box<Inference>, arrived: Instant) -> Self {
        let start = account.start.unix_nanos();
        let mut scopes = [0; MOST_SCOPES];
        if let Some(first) = scopes.first_mut() {
            *first = account.identity.scope;
        }
        Self {
            arrived,
            identity: account.identity,
            service: mixed(account.key.service.as_bytes()),
            usage: (account.usage.input, account.usage.output),
            failed: account.error.is_some(),
            start,
            end: Timestamp::from_unix_nanos(start).ahead(account.duration).unix_nanos(),
            scopes,
            older: [NONE; TRAITS],
            best: Some(account),
        }
    }

    fn is_span(&self, trace: u128, span: u64) -> bool {
        (self.identity.trace, self.identity.span) == (trace, span)
    }

    fn is_embedding(&self) -> bool {
        self.usage.1 == 0 && !self.failed
    }

    /// What it is found by.
    fn traits(&self) -> [Option<u64>; TRAITS] {
        let CallIdentity { response, trace, span, parent, .. } = self.identity;
        [
            (response != 0).then(|| mixed_numbers([ANSWER, response])),
            trait_of_span(SPAN, trace, span),
            trait_of_span(AROUND, trace, parent),
            Some(mixed_numbers([COUNTS, self.usage.0, self.usage.1, u64::from(self.failed)])),
        ]
    }

    /// Whether `new` bears the same id of the provider's answer. One instrumentation tells of a call by one span: there
    /// are servers that give all answers one id.
    fn is_answered_as(&self, new: &Self) -> bool {
        let are_spans = (self.identity.told_by, new.identity.told_by) == (ToldBy::Span, ToldBy::Span);
        let is_new_scope = !self.scopes.contains(&new.identity.scope);
        self.identity.response == new.identity.response && (is_new_scope || !are_spans)
    }

    /// Whether `new`, of equal counts, may be another account of this call.
    fn is_told_again_by(&self, new: &Self) -> bool {
        let (one, other) = (&self.identity, &new.identity);
        let of_logs = one.told_by != ToldBy::Span || other.told_by != ToldBy::Span;
        let slack = if of_logs { SLACK_OF_LOGS_NANOS } else { SLACK_OF_SPANS_NANOS };
        let holds = |outer: &Self, inner: &Self| {
            outer.start <= inner.start.saturating_add(slack) && inner.end <= outer.end.saturating_add(slack)
        };
        self.usage == new.usage
            && self.failed == new.failed
            && (self.usage != (0, 0) || self.failed)
            && (one.response == 0 || other.response == 0)
            && ((one.trace == other.trace && one.trace != 0) || self.service == new.service)
            && !self.scopes.contains(&other.scope)
            && self.scopes.contains(&0)
            && (holds(self, new) || holds(new, self))
    }
}

/// A span, or what is right below it; `None` for one that is not valid.
fn trait_of_span(kind: u64, trace: u128, span: u64) -> Option<u64> {
    let [high, low] = [trace >> 64, trace & u128::from(u64::MAX)].map(|half| u64::try_from(half).unwrap_or_default());
    (trace != 0 && span != 0).then(|| mixed_numbers([kind, high, low, span]))
}

/// How much an account tells, so that of two of one kind the one that tells more stands.
fn detail(call: &Inference) -> usize {
    let TokenUsage { cache_read, cache_write, cache_write_1h, reasoning, .. } = call.usage;
    let counts = [cache_read, cache_write, cache_write_1h, reasoning].iter().filter(|&&count| count > 0).count();
    2 * counts + usize::from(!call.doubts.cached_input) + usize::from(call.request_model.is_some())
}

/// A hash of numbers by multiplication and shifts, which is enough for keys that nobody chooses.
/// Source: the finalizer of `SplitMix64`, <https://prng.di.unimi.it/splitmix64.c>.
fn mixed_numbers<const N: usize>(numbers: [u64; N]) -> u64 {
    numbers.into_iter().fold(0x9e37_79b9_7f4a_7c15, |hash, number| {
        let mut mixed = (hash ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

fn mixed(text: &[u8]) -> u64 {
    text.chunks(8).fold(0, |hash, chunk| {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(chunk) {
            *to = *from;
        }
        mixed_numbers([hash, u64::from_le_bytes(bytes)])
    })
}

/// Takes keys that are hashes as they are.
#[derive(Clone, Copy, Debug, Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = mixed(bytes);
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

#[cfg(test)]
mod tests;
