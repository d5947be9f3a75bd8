//! What a machine costs to hold goes to whoever holds it.
//!
//! The rules, in order:
//! 1. Rent and embodied carbon of a window are divided over the kinds of device by the stated weights.
//! 2. Within the processor they go by the share of all CPU time there was, within memory by the share of the memory
//!    installed. The use that nobody was seen to make is unattributed, and what nobody used is idle.
//! 3. Accelerators go by the time that they are held: active where the holders compute, else reserved, else idle.
//! 4. A kind of device whose users nobody watches is unattributed. Idle it may be or not, and idle is a claim. So is
//!    all of a window without a witness, and what is left of one that was watched only in part.
//! 5. The enclosure follows the other devices in proportion, states and all, as its energy does.

use std::sync::Arc;

use wattline_core::{DeviceKind, NanoUsd, Nanograms, Ratio, Seconds, Workload, apportion};

use super::boards::BoardTime;
use super::books::EnergyState;
use super::rates::{HeldPart, Meaning};
use super::witness::{Shares, Use};

/// A window is watched when CPU time was read for this share of it.
const WATCHED: f64 = 0.9;

/// What goes to one workload in one state for holding one kind of device.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HeldBooking {
    pub(super) kind: DeviceKind,
    pub(super) workload: Arc<Workload>,
    pub(super) state: EnergyState,
    pub(super) embodied: Nanograms,
    pub(super) rent: NanoUsd,
}

/// Divides the rent and the embodied carbon of a window. The bookings add up to both exactly.
pub(super) fn divide(meaning: &Meaning, parts: &[HeldPart], use_: &Use, elapsed: Seconds) -> Vec<HeldBooking> {
    let whole =
        Amounts { embodied: meaning.embodied.unwrap_or_default().get(), rent: meaning.rent.unwrap_or_default().get() };
    if whole.are_none() {
        return Vec::new();
    }
    let nobody = Arc::new(Workload::Nobody);
    let mut bookings = Vec::new();
    let (amounts, mut enclosure) = whole.divide(parts, |part| Amounts {
        embodied: whole_weight(part.weight_embodied),
        rent: whole_weight(part.weight_rent),
    });
    for (part, amounts) in parts.iter().zip(amounts) {
        let seats = match part.kind {
            DeviceKind::Enclosure => {
                enclosure = enclosure.and(amounts);
                continue;
            }
            DeviceKind::Cpu => cpu_seats(use_, elapsed, &nobody),
            DeviceKind::Memory => memory_seats(use_, &nobody),
            DeviceKind::Gpu | DeviceKind::Accelerator => board_seats(part.kind, use_, elapsed, &nobody),
            _ => vec![Seat::unattributed(&nobody)],
        };
        seat(part.kind, amounts, &seats, &nobody, &mut bookings);
    }
    bookings.extend(follow(enclosure, &bookings, &nobody));
    bookings
}

/// Nanograms of embodied carbon and nano-dollars of rent, or their weights.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Amounts {
    embodied: u64,
    rent: u64,
}

impl Amounts {
    fn are_none(self) -> bool {
        self == Self::default()
    }

    fn and(self, other: Self) -> Self {
        Self { embodied: self.embodied.saturating_add(other.embodied), rent: self.rent.saturating_add(other.rent) }
    }

    /// The amounts of each of `claims` by its weights, and what no weight divides.
    fn divide<T>(self, claims: &[T], weights: impl Fn(&T) -> Self) -> (Vec<Self>, Self) {
        let weights: Vec<Self> = claims.iter().map(weights).collect();
        let of = |whole, weight: fn(&Self) -> u64| apportion(whole, &weights.iter().map(weight).collect::<Vec<_>>());
        let embodied = of(self.embodied, |weight| weight.embodied);
        let rent = of(self.rent, |weight| weight.rent);
        let left = Self {
            embodied: if embodied.is_none() { self.embodied } else { 0 },
            rent: if rent.is_none() { self.rent } else { 0 },
        };
        let nothing = || vec![0; claims.len()];
        let amounts = embodied.unwrap_or_else(nothing).into_iter().zip(rent.unwrap_or_else(nothing));
        (amounts.map(|(embodied, rent)| Self { embodied, rent }).collect(), left)
    }

    fn booked(self, kind: DeviceKind, workload: &Arc<Workload>, state: EnergyState) -> Option<HeldBooking> {
        let Self { embodied, rent } = self;
        let (embodied, rent) = (Nanograms::new(embodied), NanoUsd::new(rent));
        (!self.are_none()).then(|| HeldBooking { kind, workload: Arc::clone(workload), state, embodied, rent })
    }
}

/// A weight as a whole number, in billionths. What is not positive is none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and a NaN becomes zero")]
fn whole_weight(weight: Ratio) -> u64 {
    (weight.get() * 1e9).round() as u64
}

/// Somebody's claim on a device, weighed against the others' in the same list.
struct Seat {
    workload: Arc<Workload>,
    state: EnergyState,
    weight: u64,
}

impl Seat {
    fn unattributed(nobody: &Arc<Workload>) -> Self {
        Self { workload: Arc::clone(nobody), state: EnergyState::Unattributed, weight: 1 }
    }
}

/// The processor by CPU time. All there was is the window's length on every logical CPU.
fn cpu_seats(use_: &Use, elapsed: Seconds, nobody: &Arc<Workload>) -> Vec<Seat> {
    if !use_.witnessed {
        return vec![Seat::unattributed(nobody)];
    }
    let capacity = elapsed.get() * 1e9 * f64::from(use_.online);
    let watched = use_.modes.map_or(0.0, |modes| modes.total_ns() as f64) >= WATCHED * capacity;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time, and `as` saturates")]
    let capacity_ns = capacity.round() as u64;
    seats(&use_.cpu, capacity_ns, if watched { EnergyState::Idle } else { EnergyState::Unattributed }, nobody)
}

/// Memory by what is held of all that is installed.
fn memory_seats(use_: &Use, nobody: &Arc<Workload>) -> Vec<Seat> {
    if use_.memory_total == 0 || !use_.witnessed {
        return vec![Seat::unattributed(nobody)];
    }
    seats(&use_.memory, use_.memory_total, EnergyState::Idle, nobody)
}

/// Boards by the time that they are held. What of it was not watched is unattributed.
fn board_seats(kind: DeviceKind, use_: &Use, elapsed: Seconds, nobody: &Arc<Workload>) -> Vec<Seat> {
    let boards = use_.boards.iter().filter(|board| board.device.kind == kind);
    let seat = |time: &BoardTime| Seat {
        workload: Arc::clone(time.workload.as_ref().unwrap_or(nobody)),
        state: time.state,
        weight: time.nanos,
    };
    let mut seats = Vec::new();
    for board in boards {
        let watched = board.held.iter().fold(0u64, |sum, time| sum.saturating_add(time.nanos));
        seats.extend(board.held.iter().map(seat));
        // Readings that come at other moments than windows end watch a little more or less than a window.
        if watched as f64 <= WATCHED * elapsed.get() * 1e9 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time, and `as` saturates")]
            let all = (elapsed.get() * 1e9).round() as u64;
            seats.push(Seat { weight: all.saturating_sub(watched), ..Seat::unattributed(nobody) });
        }
    }
    seats
}

/// Claims on `capacity`. More use than there is capacity shares what there is.
fn seats(shares: &Shares, capacity: u64, left: EnergyState, nobody: &Arc<Workload>) -> Vec<Seat> {
    let used = shares.parts.iter().fold(shares.unseen, |sum, (_, used)| sum.saturating_add(*used));
    let unseen = Seat { weight: shares.unseen, ..Seat::unattributed(nobody) };
    let rest = Seat { workload: Arc::clone(nobody), state: left, weight: capacity.saturating_sub(used) };
    let parts = shares.parts.iter().map(|(workload, used)| Seat {
        workload: Arc::clone(workload),
        state: EnergyState::Active,
        weight: *used,
    });
    parts.chain([unseen, rest]).collect()
}

/// Books the amounts of one kind of device by the claims on it; without any, they are unattributed.
fn seat(kind: DeviceKind, whole: Amounts, seats: &[Seat], nobody: &Arc<Workload>, bookings: &mut Vec<HeldBooking>) {
    let (amounts, left) = whole.divide(seats, |seat| Amounts { embodied: seat.weight, rent: seat.weight });
    let seated = seats.iter().zip(amounts);
    bookings.extend(seated.filter_map(|(seat, amounts)| amounts.booked(kind, &seat.workload, seat.state)));
    bookings.extend(left.booked(kind, nobody, EnergyState::Unattributed));
}

/// The enclosure in proportion to all that is booked already, each of the two by its own.
fn follow(whole: Amounts, under: &[HeldBooking], nobody: &Arc<Workload>) -> Vec<HeldBooking> {
    let kind = DeviceKind::Enclosure;
    let weights = |under: &HeldBooking| Amounts { embodied: under.embodied.get(), rent: under.rent.get() };
    let (amounts, left) = whole.divide(under, weights);
    let followed = under.iter().zip(amounts);
    followed
        .filter_map(|(under, amounts)| amounts.booked(kind, &under.workload, under.state))
        .chain(left.booked(kind, nobody, EnergyState::Unattributed))
        .collect()
}

#[cfg(test)]
pub(super) mod tests;
