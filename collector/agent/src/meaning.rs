//! What a joule and an hour of this machine mean now: from the configuration, from what a provider says of the grid, and
//! from the tables; and where each of it is from.

use std::sync::Arc;

use wattline_core::attribute::{Attribute, key};
use wattline_core::reading::IntensityReading;
use wattline_core::sample::Period;
use wattline_core::{
    GramsCo2e, GramsPerKwh, Inventory, LitersPerKwh, Ratio, Sample, Seconds, Subject, Timestamp, UsdPerHour, UsdPerKwh,
    metrics,
};
use wattline_model::cost::Tariff;
use wattline_model::grid::live::{LiveIntensity, LiveValue, Taken};
use wattline_model::grid::{Grid, Intensity, Place, Pue, TableInfo, Tier, civil_year, pue, tables, water};
use wattline_model::hardware::{Held, OwnHolding, holding};
use wattline_model::host::{Rates, WaterRates};

use crate::config::{Carbon, Config, Cost};

/// Price of electricity where none is configured and the machine is not rented.
const DEFAULT_ELECTRICITY: UsdPerKwh = UsdPerKwh::new(0.12);

/// How long a live value may outlive its interval where no provider is configured and none can come.
const MAX_AGE: Seconds = Seconds::new(6.0 * 3600.0);

const SECONDS_PER_YEAR: f64 = 365.0 * 24.0 * 3600.0;

/// The meaning of this machine's energy and time.
#[derive(Debug)]
pub struct Meaning {
    carbon: Carbon,
    cost: Cost,
    inventory: Arc<Inventory>,
    live: LiveIntensity,
    /// What a provider said of the moment that the rates are of.
    current: Option<LiveValue>,
    held: Held,
    intensity: Intensity,
    pue: Pue,
    rates: Rates,
    /// The moment that the rates are of; `None` before it is known what time it is.
    now: Option<Timestamp>,
}

impl Meaning {
    /// By the configuration alone.
    pub fn new(config: &Config) -> Self {
        let mut meaning = Self {
            carbon: config.carbon.clone(),
            cost: config.cost.clone(),
            inventory: Arc::default(),
            live: LiveIntensity::new(max_age(&config.carbon)),
            current: None,
            held: Held::default(),
            intensity: Grid::builtin().intensity(&Place::default(), None),
            pue: pue(None, None, None),
            rates: Rates::default(),
            now: None,
        };
        meaning.hold();
        meaning
    }

    /// Takes over a configuration. What a provider has said stays, unless another is asked now: then `true`.
    pub fn reconfigure(&mut self, config: &Config) -> bool {
        let is_another = config.carbon.live != self.carbon.live;
        if is_another {
            self.live = LiveIntensity::new(max_age(&config.carbon));
        }
        if is_another || config.carbon.intensity.is_some() {
            self.current = None;
        }
        self.carbon = config.carbon.clone();
        self.cost = config.cost.clone();
        self.hold();
        is_another
    }

    /// Learns what the machine is.
    pub fn describe(&mut self, inventory: &Arc<Inventory>) {
        self.inventory = Arc::clone(inventory);
        self.hold();
    }

    /// Takes what a provider says of the grid.
    pub fn take(&mut self, reading: &IntensityReading, now: Timestamp) -> Taken {
        self.live.take(reading, now)
    }

    /// The rates at a moment. Yearly factors are looked up once a year, and when the place has changed.
    pub fn at(&mut self, now: Timestamp) -> &Rates {
        let was_of = self.now.replace(now).map(civil_year);
        let live = if self.carbon.intensity.is_some() { None } else { self.live.at(now) };
        if was_of != Some(civil_year(now)) || live != self.current {
            self.current = live;
            self.look_up();
        }
        self.rates.electricity = self.electricity();
        &self.rates
    }

    /// The rates as last found.
    pub const fn rates(&self) -> &Rates {
        &self.rates
    }

    /// The carbon intensity as last found.
    pub const fn intensity(&self) -> &Intensity {
        &self.intensity
    }

    /// The power usage effectiveness as last found.
    pub const fn pue(&self) -> &Pue {
        &self.pue
    }

    /// What the machine costs to hold.
    pub const fn held(&self) -> &Held {
        &self.held
    }

    fn hold(&mut self) {
        let Carbon { embodied, embodied_kg, lifetime_years, .. } = &self.carbon;
        let own = OwnHolding {
            counts_embodied: *embodied,
            embodied: embodied_kg.map(|kg| GramsCo2e::new(kg * 1000.0)),
            lifetime: Seconds::new(lifetime_years * SECONDS_PER_YEAR),
            rent: self.cost.instance.map(UsdPerHour::new),
            prices: &self.cost.lists.instances,
        };
        self.held = holding(&self.inventory, &own);
        // The place may be another one, too.
        self.look_up();
    }

    /// Finds all rates of the moment that was told last.
    fn look_up(&mut self) {
        let Carbon { zone, intensity, pue: own_pue, market, water: tells_water, wue, .. } = &self.carbon;
        let cloud = self.inventory.cloud.as_ref();
        let provider = cloud.map(|cloud| cloud.provider.as_str());
        let region = cloud.and_then(|cloud| cloud.region.as_deref());
        let place = Place {
            intensity: intensity.map(GramsPerKwh::new),
            zone: zone.as_deref(),
            country: None,
            provider,
            region,
        };
        let year = self.now.map(civil_year);
        let yearly = || Grid::builtin().intensity(&place, year);
        self.intensity = self.current.clone().map_or_else(yearly, of_now);
        self.pue = own_pue.map_or_else(|| pue(provider, region, year), |ratio| Pue::configured(Ratio::new(ratio)));
        let mut rates = WaterRates::default();
        if *tells_water {
            let found = water(provider, region, zone.as_deref(), year);
            rates.site = wue.map(LitersPerKwh::new).or(found.site.map(|factor| factor.liters));
            rates.grid = found.grid.map(|factor| factor.liters);
        }
        self.rates = Rates {
            intensity: self.intensity.grams,
            market: market.map(GramsPerKwh::new),
            pue: self.pue.ratio,
            electricity: self.electricity(),
            carbon_uncertainty: self.intensity.uncertainty.times(self.pue.uncertainty),
            water: rates,
            holding: self.held.holding.clone(),
        };
    }

    fn electricity(&self) -> Option<UsdPerKwh> {
        let is_rented = self.inventory.cloud.is_some() || self.held.holding.rent.is_some();
        let default = (!is_rented).then_some(DEFAULT_ELECTRICITY);
        let tariff = self.cost.lists.electricity.as_ref();
        tariff.map(|tariff: &Tariff| tariff.at(self.now.unwrap_or_default())).or(default)
    }

    /// The factors in use, with where they are from and how old they are.
    pub fn samples(&self, started: Timestamp, now: Timestamp, samples: &mut Vec<Sample>) {
        let host = Arc::new(Subject::Host);
        let period = Period { start: started, at: now };
        let Intensity { grams, zone, source, tier, estimated, .. } = &self.intensity;
        let of = |zone: &wattline_core::Text, source: &wattline_core::Text| {
            vec![Attribute::new(key::CARBON_ZONE, zone.clone()), Attribute::new(key::CARBON_SOURCE, source.clone())]
        };
        let mut attributes = of(zone, source);
        attributes.push(Attribute::new(key::CARBON_TIER, tier.as_str()));
        attributes.push(Attribute::new(key::CARBON_ESTIMATED, if *estimated { "true" } else { "false" }));
        samples.push(metrics::CARBON_INTENSITY.sample(&host, attributes, period, *grams));
        samples.push(metrics::CARBON_INTENSITY_AGE.sample(&host, of(zone, source), period, self.age(now)));
        if let Some(marginal) = self.live.marginal_at(now) {
            let attributes = of(&marginal.zone, &marginal.source);
            samples.push(metrics::CARBON_INTENSITY_MARGINAL.sample(&host, attributes, period, marginal.grams));
        }
        let source = vec![Attribute::new(key::CARBON_SOURCE, self.pue.source.clone())];
        samples.push(metrics::CARBON_PUE.sample(&host, source, period, self.pue.ratio));
        let wattline = Arc::new(Subject::Wattline);
        for table in tables() {
            let attributes = vec![
                Attribute::new(key::WATTLINE_TABLE, table.name),
                Attribute::new(key::WATTLINE_TABLE_VERSION, table.version),
            ];
            let age = table_age(&table, now);
            samples.push(metrics::WATTLINE_TABLE_AGE.sample(&wattline, attributes, period, age));
        }
    }

    /// Since the end of the time that the intensity in use was published for; a figure of one's own does not age.
    fn age(&self, now: Timestamp) -> Seconds {
        match self.intensity.tier {
            Tier::Configured => Seconds::ZERO,
            Tier::Live => self.live.at(now).map_or(Seconds::ZERO, |value| value.age),
            _ => self.intensity.year.map_or(Seconds::ZERO, |year| since_end_of(year, now)),
        }
    }
}

/// Since the end of the newest year in a table.
pub fn table_age(table: &TableInfo, now: Timestamp) -> Seconds {
    since_end_of(table.newest_year, now)
}

/// A live value as an intensity.
pub fn of_now(value: LiveValue) -> Intensity {
    let LiveValue { grams, zone, source, estimated, stale, age: _, uncertainty } = value;
    Intensity { grams, zone, source, year: None, tier: Tier::Live, estimated: estimated || stale, uncertainty }
}

fn since_end_of(year: u16, now: Timestamp) -> Seconds {
    now.since(wattline_model::grid::begin_of_year(year.saturating_add(1)))
}

fn max_age(carbon: &Carbon) -> Seconds {
    carbon.live.as_ref().map_or(MAX_AGE, |live| Seconds::new(live.max_age.as_secs_f64()))
}
