//! What processor packages draw at rest and at full load, from all that is known of them.
//!
//! Two witnesses tell the power at full load. The design power of the part, of which a package draws most; and the
//! published power of servers of the family, by hardware thread. Neither is trusted alone: they are joined in log
//! space, each weighted by the inverse of its variance. The family tells what share of it is drawn at rest.

use wattline_core::{Uncertainty, Watts};

use super::curve::Shape;
use super::family::{Family, UNKNOWN};
use super::tdp::Design;

/// What a package draws of its design power at full load: the middle of the published range of 0.85 to 1.02.
/// Source: measurements of EC2's bare metal servers behind the Teads curve, and their mean 1.02 at the upper end.
pub(super) const FULL_LOAD_SHARE: f64 = 0.93;

/// A family's watts for each thread, used for another part of the family: published servers of one family differ by
/// 0.25, and parts by 0.54. That is the root mean square of the logarithms of design power for each thread of the five
/// Skylake and Cascade Lake parts in EC2 (4.4 to 10 W) against the 3.8 W of the parts that stand for those families.
const FAMILY_SIGMA: f64 = 0.60;

/// A relative's watts instead of the family's own, for Graviton, which is told by Altra: what is said of Graviton2's
/// design power is 1.07 and 1.46 times what Altra draws for each core.
const RELATIVE_SIGMA: f64 = 0.25;

/// Any server's watts for each thread: the 5th and 95th percentile of all results since 2018 at half load are 0.70 and
/// 3.40 W around 2.0 W, a deviation of 0.48; and parts differ as above, which that range holds in part.
const ANY_SERVER_SIGMA: f64 = 0.65;

/// The published curves of servers differ from their median by 13 % at the same load.
const CURVE_SIGMA: f64 = 0.14;

/// Two servers with the same part differ by how their firmware and kernel let them rest, and by their programs.
const SERVER_SIGMA: f64 = 0.25;

/// One socket may be two: half of ln 2.
const GUESSED_SOCKETS_SIGMA: f64 = 0.35;

/// Where the family is not known, the share drawn at rest is not either: 0.07 to 0.21 among families.
const REST_SIGMA: f64 = 0.35;

/// The packages of a machine, or a guest's share of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Package {
    idle: Watts,
    full: Watts,
    shape: Shape,
    uncertainty: Uncertainty,
    /// True where the design power of the part told something.
    pub(super) by_design: bool,
    /// Sockets of a machine that has them for itself.
    pub(super) sockets: Option<u32>,
}

/// How much of a processor a machine has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// Hardware threads' worth.
    pub(super) threads: f64,
    /// Sockets of a machine that has them for itself.
    pub(super) sockets: Option<f64>,
    /// True for a machine that has all of its sockets for itself, however many they are.
    pub(super) whole: bool,
    /// True where two logical CPUs share a core.
    pub(super) shared_cores: bool,
}

impl Package {
    pub(super) fn new(family: Family, own_family: bool, design: Option<Design>, share: Share) -> Self {
        let known = family.key != UNKNOWN;
        let (full, rest) = family.package_watts();
        let family_sigma = match (known, own_family) {
            (true, true) => FAMILY_SIGMA,
            (true, false) => FAMILY_SIGMA.hypot(RELATIVE_SIGMA),
            (false, _) => ANY_SERVER_SIGMA,
        };
        let by_design = design.and_then(|design| {
            let (sockets, sigma) = sockets(family, design, share)?;
            Some((design.watts.get() * sockets, design.sigma.hypot(sigma)))
        });
        let by_family = (full * share.threads, family_sigma);
        let (watts, sigma) =
            by_design.map_or(by_family, |(watts, sigma)| join((watts * FULL_LOAD_SHARE, sigma), by_family));
        let spread = if known { SERVER_SIGMA } else { REST_SIGMA };
        Self {
            idle: Watts::new(watts * rest),
            full: Watts::new(watts),
            shape: Shape::new(family.curve, share.shared_cores),
            uncertainty: Uncertainty::from_sigma(sigma)
                .times(Uncertainty::from_sigma(CURVE_SIGMA))
                .times(Uncertainty::from_sigma(spread)),
            by_design: by_design.is_some(),
            sockets: share.whole.then(|| whole_sockets(family, design, share)),
        }
    }

    pub(super) fn at(self, load: f64) -> Watts {
        self.idle + (self.full - self.idle) * self.shape.at(load)
    }

    pub(super) const fn uncertainty(self) -> Uncertainty {
        self.uncertainty
    }
}

/// How many sockets' design power the machine may draw, and the deviation of that count's logarithm. A guest has its
/// threads' worth of a socket, so the threads of the socket must be known. A machine of its own has as many sockets as
/// the family's largest part needs for its threads, where nothing tells better.
fn sockets(family: Family, design: Design, share: Share) -> Option<(f64, f64)> {
    let by_threads = design.cores.map(|cores| share.threads / (cores * f64::from(family.threads_per_core)));
    let guessed = || share.whole.then(|| (share.threads / family.most_threads).ceil().max(1.0));
    let known = share.sockets.or(by_threads).map(|sockets| (sockets, 0.0));
    known.or_else(|| guessed().map(|sockets| (sockets, GUESSED_SOCKETS_SIGMA)))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held between 1 and 4096")]
fn whole_sockets(family: Family, design: Option<Design>, share: Share) -> u32 {
    let known = design.and_then(|design| sockets(family, design, share)).map(|(sockets, _)| sockets);
    let reckoned = known.unwrap_or(share.threads / family.most_threads);
    reckoned.ceil().clamp(1.0, 4096.0) as u32
}

/// Two estimates of one figure with the deviations of their logarithms: the mean weighted by inverse variance.
fn join((one, one_sigma): (f64, f64), (two, two_sigma): (f64, f64)) -> (f64, f64) {
    let (one_weight, two_weight) = (one_sigma.powi(-2), two_sigma.powi(-2));
    let both = one_weight + two_weight;
    (((one.ln() * one_weight + two.ln() * two_weight) / both).exp(), both.powf(-0.5))
}
