//! Live intensity against servers on this machine that answer as the real ones do.
//!
//! The bodies in `testdata/` are made up in the documented shapes: Electricity Maps, <https://app.electricitymaps.com/docs>;
//! `WattTime`, <https://docs.watttime.org>; NESO, <https://carbon-intensity.github.io/api-definitions/>; Energy-Charts,
//! <https://api.energy-charts.info>; ENTSO-E, <https://transparencyplatform.zendesk.com>, "Web API", with the code
//! lists of IEC 62325. No figure in them was published by anybody.

#[cfg(test)]
mod asked;
#[cfg(test)]
mod loops;
#[cfg(test)]
mod trouble;
#[cfg(test)]
mod way;
#[cfg(test)]
mod web;
