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

use std::collections::VecDeque;

use wattline_core::reading::{Inference, TokenUsage, ToldBy};
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
/// Calls of one trait that are looked through for a twin.
const MOST_LOOKED_AT: usize = 64;

/// The calls that wait for their twins, and those of the last minutes.
#[derive(Debug, Default)]
pub struct Twins {
    calls: VecDeque<Known>,
    /// The number of the first in `calls`, which only grows.
    first: u64,
    /// The best accounts of those that wait: the last of `calls`.
    waiting: VecDeque<Inference>,
    /// Where calls are found by their traits.
    index: Index,
    /// The first scope that told of a call, and whether another one has since.
    scope: Option<u32>,
    has_other_scopes: bool,
    /// Something else than a span has told of a call.
    has_records: bool,
    found: u64,
    overflowed: u64,
}

/// What a call is known by, whichever account of it stands.
#[derive(Debug)]
struct Known {
    arrived: Instant,
    /// Both halves.
    trace: [u64; 2],
    span: u64,
    parent: u64,
    response: u64,
    service: u64,
    start: u64,
    end: u64,
    /// Input and output.
    usage: [u32; 2],
    /// Who told of it: hashes of scopes, 0 where there is none.
    scopes: [u32; MOST_SCOPES],
    told_by: ToldBy,
    failed: bool,
}

impl Twins {
    /// Nothing was told yet.
    pub fn new() -> Self {
        Self::default()
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
    pub fn take(&mut self, account: Inference, at: Instant) -> Option<Inference> {
        let told = Known::new(&account, at);
        let [scope, ..] = told.scopes;
        self.has_other_scopes |= *self.scope.get_or_insert(scope) != scope;
        self.has_records |= told.told_by != ToldBy::Span;
        let traits = told.traits();
        if let Some((number, relation)) = self.find(&told, &traits) {
            self.found += 1;
            self.join(number, scope, account, relation);
            return None;
        }
        self.index.add(self.taken(), &traits);
        self.calls.push_back(told);
        self.waiting.push_back(account);
        if self.calls.len() > MOST_REMEMBERED && self.first < self.decided() {
            self.forget();
        }
        if self.waiting.len() <= MOST_WAITING {
            return None;
        }
        self.overflowed += 1;
        self.waiting.pop_front()
    }

    /// The next call that has waited long enough at `at`.
    pub fn due(&mut self, at: Instant) -> Option<Inference> {
        if self.get(self.decided()).is_some_and(|told| at.since(told.arrived) >= PATIENCE) {
            return self.waiting.pop_front();
        }
        while let Some(oldest) = self.calls.front() {
            if self.first >= self.decided() || at.since(oldest.arrived) < MEMORY {
                break;
            }
            self.forget();
        }
        None
    }

    /// The next call of those that wait, however short they have waited.
    pub fn release(&mut self) -> Option<Inference> {
        self.waiting.pop_front()
    }

    /// How many calls were taken: the number of the next one.
    pub fn taken(&self) -> u64 {
        self.first + self.calls.len() as u64
    }

    /// How many calls are decided: all with a smaller number are.
    pub fn decided(&self) -> u64 {
        self.taken() - self.waiting.len() as u64
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn get(&self, number: u64) -> Option<&Known> {
        self.calls.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn forget(&mut self) {
        if self.calls.pop_front().is_some() {
            self.first += 1;
            self.index.forget();
        }
    }

    /// The calls with a trait that is found at `place`, the newest first.
    fn with(&self, place: usize, of: Option<u64>) -> impl Iterator<Item = (u64, &Known)> {
        let numbers = of.map(|of| self.index.numbers(place, of, self.first, self.taken()));
        numbers.into_iter().flatten().filter_map(|number| Some((number, self.get(number)?)))
    }

    fn find(&self, new: &Known, traits: &Traits) -> Option<(u64, Relation)> {
        let Traits { answer, span, around, counts } = *traits;
        let same = self.with(SPAN, span).find(|(_, old)| old.is_span(new.trace, new.span));
        if let Some((number, _)) = same {
            return Some((number, Relation::Twin));
        }
        // One instrumentation is not paired with itself, though its spans bear one id.
        let answer = answer.filter(|_| self.has_other_scopes || self.has_records);
        let answered = self.with(ANSWER, answer).find(|(_, old)| old.is_answered_as(new));
        if let Some((number, _)) = answered {
            return Some((number, Relation::Twin));
        }
        let is_class = |old: &Known| old.is_embedding() == new.is_embedding();
        let is_below = |old: &Known| (old.trace, old.parent) == (new.trace, new.span);
        let below = self.with(AROUND, span).find(|(_, old)| is_below(old) && is_class(old));
        if let Some((number, _)) = below {
            return Some((number, Relation::Around));
        }
        let above = self.with(SPAN, around).find(|(_, old)| old.is_span(new.trace, new.parent) && is_class(old));
        if let Some((number, _)) = above {
            return Some((number, Relation::Below));
        }
        // Nor are its calls of equal counts: a flood of them need not be looked through.
        let counts = Some(counts).filter(|_| self.has_other_scopes);
        let equal = self.with(COUNTS, counts).find(|(_, old)| old.is_told_again_by(new));
        equal.map(|(number, _)| (number, Relation::Twin))
    }

    /// Joins an account to a call. Of two accounts the better one stands, with what only the other knows.
    fn join(&mut self, number: u64, scope: u32, other: Inference, relation: Relation) {
        let Some(old) = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok()) else { return };
        if let Some(free) = self.calls.get_mut(old).and_then(|old| old.scopes.iter_mut().find(|scope| **scope == 0)) {
            *free = scope;
        }
        let waits = number.checked_sub(self.decided()).and_then(|place| usize::try_from(place).ok());
        let Some(best) = waits.and_then(|place| self.waiting.get_mut(place)) else { return };
        let is_better = match relation {
            Relation::Below => true,
            Relation::Around => false,
            Relation::Twin => (other.identity.told_by, detail(best)) < (best.identity.told_by, detail(&other)),
        };
        let other = if is_better { std::mem::replace(best, other) } else { other };
        best.complete(&other);
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

impl Known {
    fn new(account: &Inference, arrived: Instant) -> Self {
        let identity = &account.identity;
        let start = account.start.unix_nanos();
        let mut scopes = [0; MOST_SCOPES];
        if let Some(first) = scopes.first_mut() {
            *first = short(identity.scope);
        }
        let [high, low] = [identity.trace >> 64, identity.trace & u128::from(u64::MAX)];
        Self {
            arrived,
            trace: [high, low].map(|half| u64::try_from(half).unwrap_or_default()),
            span: identity.span,
            parent: identity.parent,
            response: identity.response,
            service: mixed_text(account.key.service.as_bytes()),
            start,
            end: Timestamp::from_unix_nanos(start).ahead(account.duration).unix_nanos(),
            usage: [account.usage.input, account.usage.output].map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX)),
            scopes,
            told_by: identity.told_by,
            failed: account.error.is_some(),
        }
    }

    fn is_span(&self, trace: [u64; 2], span: u64) -> bool {
        (self.trace, self.span) == (trace, span)
    }

    fn is_embedding(&self) -> bool {
        let [_, output] = self.usage;
        output == 0 && !self.failed
    }

    /// What it is found by.
    fn traits(&self) -> Traits {
        let Self { trace: [high, low], span, parent, response, usage: [input, output], failed, .. } = *self;
        let trace = mixed(high, low);
        let of = |span: u64| ((high, low) != (0, 0) && span != 0).then(|| mixed(trace, span));
        Traits {
            answer: (response != 0).then(|| mixed(response, 0)),
            span: of(span),
            around: of(parent),
            counts: mixed(u64::from(input) << 32 | u64::from(output), u64::from(failed)),
        }
    }

    /// Whether `new` bears the same id of the provider's answer. One instrumentation tells of a call by one span: there
    /// are servers that give all answers one id.
    fn is_answered_as(&self, new: &Self) -> bool {
        let are_spans = (self.told_by, new.told_by) == (ToldBy::Span, ToldBy::Span);
        let [scope, ..] = new.scopes;
        self.response == new.response && (!self.scopes.contains(&scope) || !are_spans)
    }

    /// Whether `new`, of equal counts, may be another account of this call.
    fn is_told_again_by(&self, new: &Self) -> bool {
        let of_logs = self.told_by != ToldBy::Span || new.told_by != ToldBy::Span;
        let slack = if of_logs { SLACK_OF_LOGS_NANOS } else { SLACK_OF_SPANS_NANOS };
        let holds = |outer: &Self, inner: &Self| {
            outer.start <= inner.start.saturating_add(slack) && inner.end <= outer.end.saturating_add(slack)
        };
        let [scope, ..] = new.scopes;
        self.usage == new.usage
            && self.failed == new.failed
            && (self.usage != [0, 0] || self.failed)
            && (self.response == 0 || new.response == 0)
            && ((self.trace == new.trace && self.trace != [0, 0]) || self.service == new.service)
            && !self.scopes.contains(&scope)
            && self.scopes.contains(&0)
            && (holds(self, new) || holds(new, self))
    }
}

/// By what calls are found: hashes of the answer's id, of the span, of the span around it, and of the counts.
#[derive(Clone, Copy, Debug)]
struct Traits {
    answer: Option<u64>,
    span: Option<u64>,
    around: Option<u64>,
    counts: u64,
}

/// How many traits there are, and where each stands.
const TRAITS: usize = 4;
const ANSWER: usize = 0;
const SPAN: usize = 1;
const AROUND: usize = 2;
const COUNTS: usize = 3;

/// Chains of calls whose traits have the same hash, or nearly so.
///
/// The number of a call is kept in 32 bits: so few are remembered that this tells them apart. What is forgotten stays in
/// its chain, and ends it.
#[derive(Debug, Default)]
struct Index {
    /// The newest call of each chain of each trait; [`NONE`] while there is none.
    newest: Vec<[u32; TRAITS]>,
    /// One for each call that is remembered.
    links: VecDeque<Link>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    /// A part of each hash that the chain does not tell.
    marks: [u32; TRAITS],
    /// The call before in each chain.
    older: [u32; TRAITS],
}

/// No call.
const NONE: u32 = 0;
/// Chains for each trait: a chain has one call or two.
const CHAINS: usize = 32_768;
/// Calls of a chain that are passed over, so that nobody makes it long.
const MOST_PASSED: usize = 256;

impl Index {
    /// Adds a call with a number, the one after the last.
    fn add(&mut self, number: u64, traits: &Traits) {
        if self.newest.is_empty() {
            self.newest.resize(CHAINS, [NONE; TRAITS]);
        }
        let Traits { answer, span, around, counts } = *traits;
        let mut link = Link { marks: [0; TRAITS], older: [NONE; TRAITS] };
        let places = link.marks.iter_mut().zip(&mut link.older).enumerate();
        for ((place, (mark, older)), of) in places.zip([answer, span, around, Some(counts)]) {
            let Some(of) = of else { continue };
            if let Some(newest) = self.newest.get_mut(chain(of)).and_then(|newest| newest.get_mut(place)) {
                *mark = high(of);
                *older = std::mem::replace(newest, short_number(number));
            }
        }
        self.links.push_back(link);
    }

    /// Forgets the oldest call.
    fn forget(&mut self) {
        self.links.pop_front();
    }

    /// The numbers of calls with a trait of this hash, the newest first, of those that are remembered.
    fn numbers(&self, place: usize, of: u64, first: u64, next: u64) -> impl Iterator<Item = u64> {
        let newest = self.newest.get(chain(of)).and_then(|newest| newest.get(place)).copied();
        let (mut short, mut before) = (newest.unwrap_or(NONE), next);
        let links = std::iter::from_fn(move || {
            let age = short_number(next).wrapping_sub(short);
            let number = next.checked_sub(u64::from(age)).filter(|_| short != NONE)?;
            // What stands behind a newer one was forgotten, and its number given anew.
            if number < first || number >= before {
                return None;
            }
            before = number;
            let link = self.links.get(usize::try_from(number - first).ok()?)?;
            short = link.older.get(place).copied().unwrap_or(NONE);
            Some((number, link.marks.get(place).copied() == Some(high(of))))
        });
        links.take(MOST_PASSED).filter(|(_, is_marked)| *is_marked).map(|(number, _)| number).take(MOST_LOOKED_AT)
    }
}

/// How much an account tells, so that of two of one kind the one that tells more stands.
fn detail(call: &Inference) -> usize {
    let TokenUsage { cache_read, cache_write, cache_write_1h, reasoning, .. } = call.usage;
    let counts = [cache_read, cache_write, cache_write_1h, reasoning].iter().filter(|&&count| count > 0).count();
    2 * counts + usize::from(!call.doubts.cached_input) + usize::from(call.request_model.is_some())
}

const fn high(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[expect(clippy::cast_possible_truncation, reason = "only so many bits are asked for")]
const fn chain(hash: u64) -> usize {
    hash as usize % CHAINS
}

/// A number that is not [`NONE`], but for one in four thousand million.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is taken on purpose")]
const fn short_number(number: u64) -> u32 {
    (number as u32).wrapping_add(1)
}

/// A hash in half as many bits: 0 stays 0, and nothing else becomes it.
#[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
fn short(hash: u64) -> u32 {
    let short = (hash >> 32) as u32 ^ hash as u32;
    if hash == 0 { 0 } else { short.max(1) }
}

/// Spreads what two numbers tell over the bits of one, which is enough for keys that nobody chooses.
#[inline]
const fn mixed(one: u64, other: u64) -> u64 {
    /// The golden ratio's bits, which have no pattern, and others.
    const SPREAD: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9];
    let [first, second] = SPREAD;
    let product = (one ^ first) as u128 * (other.rotate_left(32) ^ second) as u128;
    #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
    let (low, high) = (product as u64, (product >> 64) as u64);
    (low ^ high).wrapping_add(one.rotate_left(17) ^ other).wrapping_mul(first)
}

fn mixed_text(text: &[u8]) -> u64 {
    let (words, rest) = text.as_chunks::<8>();
    let hash = words.iter().fold(text.len() as u64, |hash, word| mixed(hash, u64::from_le_bytes(*word)));
    mixed(hash, rest.iter().fold(0, |rest, byte| rest << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests;
