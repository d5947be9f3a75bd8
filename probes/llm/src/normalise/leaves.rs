//! Which inference spans of one request repeat another one below them.

use wattline_wire::trace::Span;

/// Calls of one class can repeat one another: a chat does not repeat the embeddings that it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Generation,
    Embeddings,
}

/// The spans of one request as a forest.
#[derive(Debug, Default)]
pub(super) struct Leaves {
    nodes: Vec<Node>,
    calls: usize,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    trace: u128,
    span: u64,
    parent: u64,
    call: Option<(u32, Class)>,
    /// Whether a call of each class below this span was already told to all spans above it.
    passed: [bool; 2],
}

impl Leaves {
    /// Adds the next span; `call` is given where it is booked. Spans without valid ids are related to nothing.
    pub(super) fn add(&mut self, span: &Span<'_>, call: Option<Class>) {
        let call = call.map(|class| {
            self.calls += 1;
            (u32::try_from(self.calls - 1).unwrap_or(u32::MAX), class)
        });
        let (Ok(trace), Some(id)) = (span.trace_id.try_into(), number(span.span_id)) else { return };
        let (trace, parent) = (u128::from_be_bytes(trace), number(span.parent_span_id).unwrap_or(0));
        // A root that is no call tells nothing about any other span.
        if trace != 0 && (parent != 0 || call.is_some()) {
            self.nodes.push(Node { trace, span: id, parent, call, passed: [false; 2] });
        }
    }

    /// For each booked call, in the order of adding, whether it repeats another; empty if none does.
    ///
    /// Each call tells all spans above it, and stops where another of its class has passed, so that the time is that
    /// of sorting however the spans are chained. A span that came twice is booked once.
    pub(super) fn repeated(mut self) -> Vec<bool> {
        if self.calls < 2 {
            return Vec::new();
        }
        let mut repeated = vec![false; self.calls];
        self.nodes.sort_by_key(|node| (node.trace, node.span));
        for (one, next) in self.nodes.iter().zip(self.nodes.iter().skip(1)) {
            if let (Some(_), Some((twin, _))) = (one.call, next.call)
                && (one.trace, one.span) == (next.trace, next.span)
            {
                mark(&mut repeated, twin);
            }
        }
        for index in 0..self.nodes.len() {
            let Some(&Node { trace, span, mut parent, call: Some((_, class)), .. }) = self.nodes.get(index) else {
                continue;
            };
            while parent != span
                && let Some(above) = self.find(trace, parent)
                && let Some(passed) = above.passed.get_mut(class as usize)
                && !std::mem::replace(passed, true)
            {
                if let Some((call, of)) = above.call
                    && of == class
                {
                    mark(&mut repeated, call);
                }
                parent = above.parent;
            }
        }
        repeated
    }

    fn find(&mut self, trace: u128, span: u64) -> Option<&mut Node> {
        let index = self.nodes.partition_point(|node| (node.trace, node.span) < (trace, span));
        self.nodes.get_mut(index).filter(|node| (node.trace, node.span) == (trace, span))
    }
}

fn mark(repeated: &mut [bool], call: u32) {
    if let Some(repeated) = repeated.get_mut(call as usize) {
        *repeated = true;
    }
}

/// A span id as a number; `None` for one that is not valid.
fn number(id: &[u8]) -> Option<u64> {
    id.try_into().ok().map(u64::from_be_bytes).filter(|&id| id != 0)
}
