//! The slices that a GPU is cut into (MIG), each with who holds it and how busy it is.

use std::sync::Arc;

use wattline_core::Text;
use wattline_core::reading::{AcceleratorProcess, InstanceId, SliceFacts, SliceReading};

use crate::features::{Features, Question, Stop};
use crate::gpu::Gpu;
use crate::processes;

/// A slice, followed over readings.
#[derive(Debug)]
pub(crate) struct Slice<G: Gpu> {
    gpu: G,
    facts: Arc<SliceFacts>,
    features: Features,
    sample: Option<G::Sample>,
}

impl<G: Gpu> Slice<G> {
    /// A slice. `None` where it does not say which it is: it may be on its way out.
    pub(crate) fn open(gpu: G) -> Result<Option<Self>, Stop> {
        let mut features = Features::default();
        let Some(identity) = features.ask(Question::Slices, || gpu.identity())? else { return Ok(None) };
        let cut = features.ask(Question::Cut, || gpu.cut())?;
        let profile = identity.name.rsplit_once(" MIG ").map(|(_, profile)| Text::from(profile.to_owned()));
        let facts = Arc::new(SliceFacts {
            uuid: identity.uuid.into(),
            profile,
            id: None,
            multiprocessors: cut.map(|(multiprocessors, _)| multiprocessors),
            memory_bytes: cut.map(|(_, bytes)| bytes),
        });
        Ok(Some(Self { gpu, facts, features, sample: None }))
    }

    /// Its uuid.
    pub(crate) fn uuid(&self) -> &Text {
        &self.facts.uuid
    }

    /// What it shows now, and who holds it. `parent` is the GPU, which alone answers for activity.
    pub(crate) fn read(&mut self, parent: &G, parent_features: &mut Features) -> Result<Seen, Stop> {
        let Self { gpu, facts, features, sample } = self;
        let processes = processes::holders(gpu, features)?;
        if facts.id.is_none()
            && let Some(id) = processes.iter().flatten().find_map(|process| process.slice)
        {
            *facts = Arc::new(SliceFacts { id: Some(id), ..SliceFacts::clone(facts) });
        }
        let memory = features.ask(Question::Memory, || gpu.memory())?;
        let instance = facts.id.map(|InstanceId { gpu_instance, .. }| gpu_instance);
        let fresh = match instance {
            Some(_) => parent_features.ask(Question::SliceActivity, || parent.sample(instance))?,
            None => None,
        };
        let activity = match (&sample, &fresh) {
            (Some(from), Some(to)) => parent_features.ask(Question::SliceActivity, || parent.activity(from, to))?,
            _ => None,
        };
        *sample = fresh;
        Ok(Seen { reading: SliceReading { facts: Arc::clone(facts), memory, activity }, processes })
    }
}

/// What was seen of a slice.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) reading: SliceReading,
    pub(crate) processes: Option<Vec<AcceleratorProcess>>,
}
