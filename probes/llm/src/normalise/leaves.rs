//! How the spans of one request stand to one another: which calls repeat another one below them, and under which agent
//! something was done.

use wattline_core::Text;
use wattline_wire::trace::Span;

/// Calls of one class can repeat one another: a chat does not repeat the embeddings that it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Generation,
    Embeddings,
}

/// What a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The next call that is booked.
    Call(Class),
    /// The next activity of an agent.
    Activity,
    /// Nothing that is booked.
    Other,
}

/// The agents around something are looked for in so many spans.
const MOST_ABOVE: usize = 64;

/// The spans of one request as a forest.
#[derive(Debug, Default)]
pub(super) struct Leaves {
    nodes: Vec<Node>,
    calls: usize,
    activities: usize,
    /// Agents that spans name.
    agents: Vec<Text>,
}

/// What the forest tells.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// For each booked call, in the order of adding, the number of another that it repeats; empty if none does.
    pub(super) repeated: Vec<Option<u32>>,
    /// For each booked call the nearest agent named above it; empty if no span names one.
    pub(super) agents_of_calls: Vec<Option<Text>>,
    /// The same for each activity.
    pub(super) agents_of_activities: Vec<Option<Text>>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    trace: u128,
    span: u64,
    parent: u64,
    call: Option<(u32, Class)>,
    activity: Option<u32>,
    agent: Option<u32>,
    /// Whether a call of each class below this span was already told to all spans above it.
    passed: [bool; 2],
}

impl Leaves {
    /// Adds the next span, which may name an agent. Spans without valid ids are related to nothing.
    pub(super) fn add(&mut self, span: &Span<'_>, role: Role, agent: Option<Text>) {
        let number_of = |count: &mut usize| {
            *count += 1;
            u32::try_from(*count - 1).unwrap_or(u32::MAX)
        };
        let (call, activity) = match role {
            Role::Call(class) => (Some((number_of(&mut self.calls), class)), None),
            Role::Activity => (None, Some(number_of(&mut self.activities))),
            Role::Other => (None, None),
        };
        let (trace, Some(id)) = (trace(span), number(span.span_id)) else { return };
        let parent = number(span.parent_span_id).unwrap_or(0);
        // A root that is no call and names no agent tells nothing about any other span.
        if trace == 0 || (parent == 0 && call.is_none() && agent.is_none()) {
            return;
        }
        let agent = agent.map(|agent| {
            if self.agents.last() != Some(&agent) {
                self.agents.push(agent);
            }
            u32::try_from(self.agents.len() - 1).unwrap_or(u32::MAX)
        });
        self.nodes.push(Node { trace, span: id, parent, call, activity, agent, passed: [false; 2] });
    }

    /// What the spans tell of one another.
    pub(super) fn found(mut self) -> Found {
        let is_alone = self.calls < 2 && self.agents.is_empty();
        if is_alone || !self.are_related() {
            return Found::default();
        }
        self.nodes.sort_by_key(|node| (node.trace, node.span));
        let mut found = Found::default();
        if !self.agents.is_empty() {
            found.agents_of_calls = vec![None; self.calls];
            found.agents_of_activities = vec![None; self.activities];
            self.find_agents(&mut found);
        }
        if self.calls > 1 {
            found.repeated = self.repeated();
        }
        found
    }

    /// Whether any span here may be another one's, or the one around it. Most requests hold spans of which none is, and
    /// need not be sorted.
    fn are_related(&self) -> bool {
        let mut spans = Spans::new(self.nodes.len());
        let is_twice = self.nodes.iter().fold(false, |is_twice, node| spans.add(node.span) | is_twice);
        is_twice || self.nodes.iter().any(|node| spans.has(node.parent))
    }

    fn find_agents(&self, found: &mut Found) {
        for node in &self.nodes {
            let slot = match (node.call, node.activity) {
                (Some((call, _)), _) => found.agents_of_calls.get_mut(call as usize),
                (_, Some(activity)) => found.agents_of_activities.get_mut(activity as usize),
                (None, None) => None,
            };
            let Some(slot) = slot else { continue };
            let mut above = *node;
            for _ in 0..MOST_ABOVE {
                if let Some(agent) = above.agent {
                    *slot = self.agents.get(agent as usize).cloned();
                    break;
                }
                match self.position(above.trace, above.parent).and_then(|index| self.nodes.get(index)) {
                    Some(next) if above.parent != 0 => above = *next,
                    _ => break,
                }
            }
        }
    }

    /// Each call tells all spans above it, and stops where another of its class has passed, so that the time is that
    /// of sorting however the spans are chained. A span that came twice is booked once.
    fn repeated(&mut self) -> Vec<Option<u32>> {
        let mut repeated = vec![None; self.calls];
        for (one, next) in self.nodes.iter().zip(self.nodes.iter().skip(1)) {
            if let (Some((first, _)), Some((twin, _))) = (one.call, next.call)
                && (one.trace, one.span) == (next.trace, next.span)
            {
                mark(&mut repeated, twin, first);
            }
        }
        for index in 0..self.nodes.len() {
            let Some(&Node { trace, span, mut parent, call: Some((leaf, class)), .. }) = self.nodes.get(index) else {
                continue;
            };
            while parent != span
                && let Some(above) = self.position(trace, parent).and_then(|index| self.nodes.get_mut(index))
                && let Some(passed) = above.passed.get_mut(class as usize)
                && !std::mem::replace(passed, true)
            {
                if let Some((call, of)) = above.call
                    && of == class
                {
                    mark(&mut repeated, call, leaf);
                }
                parent = above.parent;
            }
        }
        repeated
    }

    fn position(&self, trace: u128, span: u64) -> Option<usize> {
        let index = self.nodes.partition_point(|node| (node.trace, node.span) < (trace, span));
        self.nodes.get(index).filter(|node| (node.trace, node.span) == (trace, span)).map(|_| index)
    }
}

/// The ids of spans, by their last bits: those of the protocol are drawn by chance.
struct Spans {
    places: Vec<u64>,
}

impl Spans {
    /// For so many.
    fn new(count: usize) -> Self {
        Self { places: vec![0; (2 * count).next_power_of_two().max(2)] }
    }

    /// Adds an id that is not 0. True if it is here already, or more have the same last bits than are looked through.
    fn add(&mut self, id: u64) -> bool {
        for place in self.places_of(id) {
            match self.places.get_mut(place) {
                Some(free) if *free == 0 => {
                    *free = id;
                    return false;
                }
                Some(other) if *other != id => {}
                _ => return true,
            }
        }
        true
    }

    /// Whether the id is here. It is asked for when none was too much.
    fn has(&self, id: u64) -> bool {
        let places = self.places_of(id).map(|place| self.places.get(place).copied().unwrap_or(0));
        id != 0 && places.take_while(|&other| other != 0).any(|other| other == id)
    }

    fn places_of(&self, id: u64) -> impl Iterator<Item = usize> + use<> {
        /// Places that are looked through.
        const MOST: usize = 64;
        let last = self.places.len() - 1;
        let first = usize::try_from(id & last as u64).unwrap_or(0);
        (first..first + MOST).map(move |place| place & last)
    }
}

fn mark(repeated: &mut [Option<u32>], call: u32, of: u32) {
    if let Some(repeated) = repeated.get_mut(call as usize) {
        *repeated = Some(of);
    }
}

/// A trace id as a number; 0 for one that is not valid.
pub(super) fn trace(span: &Span<'_>) -> u128 {
    span.trace_id.try_into().map_or(0, u128::from_be_bytes)
}

/// A span id as a number; `None` for one that is not valid.
pub(super) fn number(id: &[u8]) -> Option<u64> {
    id.try_into().ok().map(u64::from_be_bytes).filter(|&id| id != 0)
}
