//! Asks the cloud what this machine is, until it has answered.

use std::iter;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use wattline_core::reading::SourceState;
use wattline_core::{HostRoot, Inventory, Reading, Readings, queue};
use wattline_probe_host::inventory::{self, CloudConfig};

use crate::clock;

/// The pauses between attempts: an instance that has just booted has its answer soon, and one without costs nothing.
fn pauses() -> impl Iterator<Item = Duration> {
    let doubled = (0..6).map(|power| Duration::from_secs(1 << power));
    doubled.chain([Duration::from_mins(1)]).chain(iter::repeat(Duration::from_mins(5)))
}

/// Describes the machine with the cloud's words, again and again until the cloud has answered. Ends at once where no
/// cloud is asked. `known` is what the machine's own files tell.
pub async fn describe(
    root: HostRoot,
    config: CloudConfig,
    known: Arc<Inventory>,
    out: queue::Sender<Readings>,
    stop: CancellationToken,
) {
    let attempt = move || {
        let (root, config) = (root.clone(), config.clone());
        // Asking blocks for as long as the configuration allows.
        tokio::task::spawn_blocking(move || inventory::read(&root, &config))
    };
    stop.run_until_cancelled(until_answered(attempt, known, out)).await;
}

async fn until_answered(
    attempt: impl Fn() -> tokio::task::JoinHandle<(Inventory, Vec<wattline_core::reading::SourceHealth>)>,
    mut known: Arc<Inventory>,
    out: queue::Sender<Readings>,
) {
    let mut told = None;
    for (failures, pause) in pauses().enumerate() {
        let (inventory, health) = match attempt().await {
            Ok(read) => read,
            Err(error) => {
                error!(%error, "reading what this machine is failed: please report this");
                return;
            }
        };
        let done = health.iter().all(|health| matches!(health.state, SourceState::Up { .. }));
        let mut readings = Readings::new("inventory", clock::tick());
        if inventory != *known {
            known = Arc::new(inventory);
            readings.items.push(Reading::Inventory(Arc::clone(&known)));
        }
        if told.as_ref() != Some(&health) {
            readings.items.extend(health.iter().cloned().map(Reading::Health));
            told = Some(health);
        }
        if !readings.items.is_empty() && out.send(readings).await.is_err() {
            return;
        }
        if done {
            if failures > 0 {
                info!(failures, "the cloud has told what this machine is");
            }
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use wattline_core::reading::{CloudInstance, SourceHealth};

    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_then_stay_at_five() {
        let seconds: Vec<u64> = pauses().take(9).map(|pause| pause.as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 300, 300]);
    }

    fn answer(region: Option<&str>) -> (Inventory, Vec<SourceHealth>) {
        let cloud = region.map(|region| CloudInstance { region: Some(region.to_owned()), ..CloudInstance::default() });
        let state = match region {
            Some(found) => SourceState::Up { found: found.to_owned() },
            None => SourceState::Failed { what: "nobody answers".to_owned() },
        };
        (Inventory { cloud, ..Inventory::default() }, vec![SourceHealth { part: "cloud", state }])
    }

    /// What is sent when asking gives `answers`, and how many were not asked for.
    async fn asked(answers: Vec<(Inventory, Vec<SourceHealth>)>) -> (Vec<Readings>, usize) {
        let answers = Arc::new(Mutex::new(answers));
        let left = Arc::clone(&answers);
        let attempt = move || {
            let answers = Arc::clone(&answers);
            tokio::task::spawn_blocking(move || answers.lock().unwrap().remove(0))
        };
        let (out, mut sent) = queue::bounded(16);
        until_answered(attempt, Arc::default(), out).await;
        let sent = iter::from_fn(|| sent.try_next()).collect();
        let left = left.lock().unwrap().len();
        (sent, left)
    }

    #[tokio::test(start_paused = true)]
    async fn a_cloud_that_answers_late_is_asked_again_until_it_does() {
        let (sent, left) = asked(vec![answer(None), answer(None), answer(Some("eu-west-1")), answer(None)]).await;
        assert_eq!(left, 1, "it was asked after it had answered");
        let inventories: Vec<_> = sent.iter().flat_map(|readings| &readings.items).collect();
        // The first failure, once; then the answer and its health.
        assert!(
            matches!(inventories[..], [Reading::Health(_), Reading::Inventory(_), Reading::Health(_)]),
            "{inventories:?}"
        );
    }

    #[tokio::test]
    async fn where_no_cloud_is_asked_nothing_is_sent() {
        let (sent, left) = asked(vec![(Inventory::default(), Vec::new()), answer(None)]).await;
        assert_eq!((sent.len(), left), (0, 1));
    }
}
