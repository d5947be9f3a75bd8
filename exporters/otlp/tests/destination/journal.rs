//! What the exporter logs, so that a test can wait for an event and look for secrets.

use std::fmt::Write;
use std::sync::{LazyLock, Mutex, Once};

use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

/// The lines of all tests of this process; each names its destination.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static EVENTS: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));
static START: Once = Once::new();

struct Recorder;

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Line(format!("{} {}", event.metadata().level(), event.metadata().target()));
        event.record(&mut line);
        LINES.lock().unwrap().push(line.0);
        // Only now that the lines are free again: whoever waits looks at them while it holds the channel.
        EVENTS.send_modify(|events| *events += 1);
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

/// Begins to record.
pub(crate) fn start() {
    START.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(Recorder);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// The lines about a destination so far.
pub(crate) fn lines(destination: &str) -> Vec<String> {
    let mark = format!("destination={destination:?}");
    LINES.lock().unwrap().iter().filter(|line| line.contains(&mark)).cloned().collect()
}

/// Every line so far, those of the libraries below included.
pub(crate) fn all() -> Vec<String> {
    LINES.lock().unwrap().clone()
}

/// Waits for a line about a destination that contains `words`.
pub(crate) async fn told(destination: &str, words: &str) {
    let mut events = EVENTS.subscribe();
    events.wait_for(|_| lines(destination).iter().any(|line| line.contains(words))).await.unwrap();
}
