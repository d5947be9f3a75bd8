//! The books as they are kept over a restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wattline_core::{DeviceKind, Instant, MicroJoules, Subject, Text, Timestamp, Workload};

use super::{DeviceRow, Errors, HeldRow, HostBooks, Meaning, Retired, Rounding, WorkloadRow};

/// The books of one machine, for the next agent to go on with. No sum begins anew then, and no counter goes back.
///
/// What a later version adds has a default, so that books of an earlier one can be read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SavedBooks {
    opened: Option<Timestamp>,
    devices: Vec<DeviceRow>,
    rows: Vec<WorkloadRow>,
    held: Vec<HeldRow>,
    /// As earlier versions kept them, by kind only.
    #[serde(default, skip_serializing)]
    retired: BTreeMap<DeviceKind, Retired>,
    #[serde(default)]
    ended: Vec<(DeviceKind, Option<Text>, Retired)>,
    meaning: Meaning,
    rounding: Rounding,
    errors: Errors,
    own: MicroJoules,
}

impl HostBooks {
    /// The books as of the last settlement.
    pub fn save(&self) -> SavedBooks {
        SavedBooks {
            opened: self.opened,
            devices: self.devices.values().cloned().collect(),
            rows: self.rows.values().cloned().collect(),
            held: self.held.values().cloned().collect(),
            retired: BTreeMap::new(),
            ended: self.retired.iter().map(|((kind, id), retired)| (*kind, id.clone(), *retired)).collect(),
            meaning: self.meaning,
            rounding: self.rounding.clone(),
            errors: self.errors,
            own: self.own,
        }
    }

    /// Empty books go on with what an earlier agent saved. `now` is later than anything it did; after a reboot its
    /// clock was another.
    pub(in crate::host) fn restore(&mut self, saved: SavedBooks, now: Instant) {
        let SavedBooks { opened, devices, rows, held, retired, ended, meaning, rounding, errors, own } = saved;
        self.opened = opened;
        let devices = devices.into_iter();
        self.devices = devices.map(|row| ((row.device.clone(), row.method, row.model.clone()), row)).collect();
        // One of each workload, shared by its rows.
        let mut known: BTreeMap<Arc<Workload>, Arc<Workload>> = BTreeMap::new();
        let mut shared = |workload: Arc<Workload>| Arc::clone(known.entry(Arc::clone(&workload)).or_insert(workload));
        for row in rows {
            let workload = shared(row.workload);
            let key = (row.kind, row.id.clone(), Arc::clone(&workload), row.state, row.method);
            self.rows.insert(key, WorkloadRow { workload, moved: row.moved.min(now), ..row });
        }
        for row in held {
            let workload = shared(row.workload);
            let key = (row.kind, Arc::clone(&workload), row.state);
            self.held.insert(key, HeldRow { workload, moved: row.moved.min(now), ..row });
        }
        let subject = |workload: Arc<Workload>| {
            let subject = Arc::new(Subject::Workload(Workload::clone(&workload)));
            (workload, subject)
        };
        self.subjects = known.into_values().map(subject).collect();
        let by_kind = retired.into_iter().map(|(kind, retired)| ((kind, None), retired));
        self.retired = by_kind.chain(ended.into_iter().map(|(kind, id, retired)| ((kind, id), retired))).collect();
        self.meaning = meaning;
        self.rounding = rounding;
        self.errors = errors;
        self.own = own;
    }
}
