//! `wattline doctor` and `wattline check`: what works, what does not, why, and what to do.

use std::fmt::Write;
use std::net::TcpListener;
use std::path::Path;

use rustix::fs::{Access, access};
use serde::Serialize;
use wattline_core::reading::{SourceHealth, SourceState};
use wattline_core::{DeviceKind, HostRoot, Method, Probe, Readings, Snapshot, Telemetry};
use wattline_model::grid;
use wattline_model::grid::live::LiveValue;
use wattline_probe_host::{HostProbe, inventory};
use wattline_probe_llm::otlp;

use crate::config::{ADMIN_DEFAULT, Config};
use crate::factors::Table;
use crate::report::{Carbon, Embodied, Report};
use crate::{admin, clock, costs, destinations, live, snapshot, telemetry};

/// What works and what does not.
#[derive(Debug, Serialize)]
pub struct Findings {
    /// The agent's version.
    pub version: &'static str,
    /// The machine in one line.
    pub host: String,
    /// Each kind of energy row: how it is known.
    pub energy: Vec<Energy>,
    /// Each source.
    pub sources: Vec<Line>,
    /// Listeners, destinations and files of the agent.
    pub agent: Vec<Line>,
    /// The tables in use.
    pub tables: Vec<Line>,
}

/// How one device's energy is known.
#[derive(Debug, Serialize)]
pub struct Energy {
    /// `hw.type` and `hw.id`.
    pub device: String,
    /// `measured`, `modelled` or `assumed`.
    pub method: Method,
    /// The meter or the model.
    pub model: String,
    /// f of the 90 % range x/f to x*f.
    pub factor: f64,
}

/// One finding.
#[derive(Debug, Serialize)]
pub struct Line {
    /// What it is about.
    pub name: String,
    /// `up`, `absent`, `denied` or `failed`.
    pub state: &'static str,
    /// What was found, or why not.
    pub detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Line {
    fn up(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { name: name.into(), state: "up", detail: detail.into(), remedy: None }
    }

    fn absent(name: impl Into<String>, detail: impl Into<String>, remedy: &str) -> Self {
        Self { name: name.into(), state: "absent", detail: detail.into(), remedy: Some(remedy.to_owned()) }
    }

    fn failed(name: impl Into<String>, detail: impl Into<String>, remedy: &str) -> Self {
        Self { name: name.into(), state: "failed", detail: detail.into(), remedy: Some(remedy.to_owned()) }
    }
}

impl From<SourceHealth> for Line {
    fn from(health: SourceHealth) -> Self {
        let (state, detail, remedy) = match health.state {
            SourceState::Up { found } => ("up", found, None),
            SourceState::Absent { looked } => ("absent", looked, None),
            SourceState::Denied { what, remedy } => ("denied", what, Some(remedy)),
            SourceState::Failed { what } => ("failed", what, None),
        };
        Self { name: health.part.to_owned(), state, detail, remedy }
    }
}

/// Opens every source, listener and destination once.
pub fn examine(config: &Config) -> anyhow::Result<Findings> {
    let root = HostRoot::new(&config.host.root);
    let mut sources: Vec<Line> = read_once(config, &root).into_iter().map(Line::from).collect();
    let (_, cloud) = inventory::read(&root, &config.probes.cloud);
    sources.extend(cloud.into_iter().map(Line::from));
    let live = config.carbon.live.as_ref();
    sources.extend(live.map(|live| live_intensity(live, config.carbon.intensity.is_some())));
    let (report, told) = snapshot::measured(config, std::time::Duration::from_secs(1))?;
    sources.extend(
        report
            .host
            .unread
            .as_ref()
            .map(|unread| Line::absent("accelerators", unread.clone(), "reckon with `wattline footprint --instance`")),
    );
    let energy = report
        .devices
        .iter()
        .map(|device| Energy {
            device: device.name(),
            method: device.figure.method,
            model: device.model.clone(),
            factor: if device.figure.power_w > 0.0 { device.figure.power_high_w / device.figure.power_w } else { 1.0 },
        })
        .collect();
    Ok(Findings {
        version: report.version,
        host: format!("{}: {}", report.host.name, report.host.description),
        energy,
        sources,
        agent: agent(config, &told),
        tables: tables(&report),
    })
}

fn read_once(config: &Config, root: &HostRoot) -> Vec<SourceHealth> {
    let mut probe = HostProbe::open(config.probes.host.clone(), root);
    let tick = clock::tick();
    let mut readings = Readings::new(probe.name(), tick);
    // A failure of the whole is in the states of the parts.
    probe.read(tick, &mut readings).ok();
    probe.sources()
}

/// What the provider of live carbon intensity answers now.
fn live_intensity(config: &wattline_probe_intensity::Config, is_overruled: bool) -> Line {
    let name = "carbon.live";
    if is_overruled {
        return Line::absent(name, "not asked, because carbon.intensity is set", "remove one of the two");
    }
    match live::ask_once(config).map(|readings| live::now(config, &readings)) {
        Ok(Some(LiveValue { grams, zone, source, estimated, stale, .. })) => {
            let how = match (stale, estimated) {
                (true, _) => ", which is over",
                (false, true) => ", an estimate",
                (false, false) => "",
            };
            Line::up(name, format!("{:.0} gCO2e/kWh of {zone} by {source}{how}", grams.get()))
        }
        Ok(None) => Line::failed(
            name,
            "the provider answers, and nothing of it holds now",
            "compare zone and signals with what the provider offers; until then the tables' yearly averages are used",
        ),
        Err(error) => {
            Line::failed(name, format!("{error:#}"), "correct it; until then the tables' yearly averages are used")
        }
    }
}

fn agent(config: &Config, told: &Snapshot) -> Vec<Line> {
    let mut lines = Vec::new();
    let is_running = config.admin.enabled && admin::is_served(config.admin.listen);
    let mut port = |key: &str, address: &str, default| lines.push(port(key, address, default, is_running));
    if config.admin.enabled {
        port("admin.listen", &config.admin.listen.to_string(), config.admin.listen == ADMIN_DEFAULT);
    }
    let (otlp, default) = (&config.probes.otlp, otlp::Config::default());
    if otlp.grpc.enabled {
        port("probes.otlp.grpc.listen", &otlp.grpc.listen, otlp.grpc == default.grpc);
    }
    if otlp.http.enabled {
        port("probes.otlp.http.listen", &otlp.http.listen, otlp.http == default.http);
    }
    match destinations::exporters(config, &Telemetry::none()) {
        Ok(exporters) if exporters.is_empty() => lines.push(Line {
            name: "destinations".to_owned(),
            state: "absent",
            detail: "none is configured: figures are shown here and served at /metrics only".to_owned(),
            remedy: Some("set OTEL_EXPORTER_OTLP_ENDPOINT or [[exporters.otlp]]".to_owned()),
        }),
        Ok(exporters) => lines.extend(exporters.iter().map(|exporter| Line::up(exporter.name(), "configured"))),
        Err(error) => lines.push(Line::failed("destinations", format!("{error:#}"), "correct the key")),
    }
    let bills = costs::bills(config, told);
    lines.extend(bills.iter().map(|(name, bill)| Line::up(format!("{name} bills"), costs::words(bill))));
    lines.push(state_directory(&config.state.directory()));
    if let Some(limit) = telemetry::descriptor_limit() {
        lines.push(Line::up("open files", format!("up to {limit}")));
    }
    lines
}

/// Whether the directory can be written, or made where it does not exist. Nothing is made here.
fn state_directory(directory: &Path) -> Line {
    let nearest = directory.ancestors().find(|path| path.try_exists().unwrap_or(true)).unwrap_or(Path::new("."));
    // The parent of a relative name is the empty path, which stands for the working directory.
    let nearest = if nearest.as_os_str().is_empty() { Path::new(".") } else { nearest };
    let allowed = access(nearest, Access::WRITE_OK | Access::EXEC_OK).map_err(std::io::Error::from);
    let failed = |what: String| {
        Line::failed(
            "state.directory",
            what,
            "set state.directory to a directory this user may write; until then nothing survives a restart",
        )
    };
    match allowed {
        _ if nearest.is_file() => failed(format!("{} is not a directory", nearest.display())),
        Err(error) => failed(format!("writing to {}: {error}", nearest.display())),
        Ok(()) if nearest == directory => Line::up("state.directory", directory.display().to_string()),
        Ok(()) => Line::up("state.directory", format!("{}, made by the first run", directory.display())),
    }
}

/// `is_running` says that a wattline measures with this admin endpoint: then a port that is taken is its.
fn port(key: &str, address: &str, default: bool, is_running: bool) -> Line {
    match TcpListener::bind(address) {
        Ok(_listener) => Line::up(key, format!("{address} is free")),
        Err(error) if is_running && error.kind() == std::io::ErrorKind::AddrInUse => {
            Line::up(key, format!("{address} is in use by a running wattline"))
        }
        Err(error) if default => Line::failed(
            key,
            format!("{address}: {error}"),
            "the default port is taken, so this listener will be off; stop the other program, or choose another port",
        ),
        Err(error) => Line::failed(key, format!("{address}: {error}"), "choose a free port"),
    }
}

fn embodied(found: Option<&Embodied>) -> Line {
    match found {
        Some(Embodied { grams_per_hour, grams, grams_low, grams_high }) => {
            let part = |end: &f64| if *grams > 0.0 { grams_per_hour * end / grams } else { 0.0 };
            let (low, high) = (part(grams_low), part(grams_high));
            Line::up("embodied carbon", format!("{grams_per_hour:.2} gCO2e an hour ({low:.2} to {high:.2})"))
        }
        None => Line::absent("embodied carbon", "not reckoned", "set carbon.embodied = true"),
    }
}

fn rent(report: &Report) -> Line {
    match (&report.cost.instance_price, report.cost.electricity_usd) {
        (Some(price), _) => Line::up("rent", price.clone()),
        (None, Some(_)) => Line::up("rent", "none: electricity is paid"),
        (None, None) => Line::absent(
            "rent",
            "unknown: no table has this type in this region",
            "set cost.instance or cost.instance_prices",
        ),
    }
}

fn tables(report: &Report) -> Vec<Line> {
    let Carbon { intensity, zone, source, tier, pue, pue_source, .. } = &report.carbon;
    let used = [
        Line::up("carbon intensity", format!("{intensity:.0} gCO2e/kWh of {zone} ({source}, tier {tier})")),
        Line::up("PUE", format!("{pue:.2} ({pue_source})")),
        embodied(report.carbon.embodied.as_ref()),
        rent(report),
        Line::up("token prices", wattline_model::inference::PRICE_LIST),
    ];
    let doubt = report.host.doubt.as_ref().map(|doubt| {
        Line::failed(
            "instance type",
            doubt.clone(),
            "correct machine.instance_type, or set carbon.embodied_kg and cost.instance",
        )
    });
    let now = clock::wall();
    let tables = grid::tables().into_iter().map(|table| Line::up(table.name, Table::of(table, now).line()));
    doubt.into_iter().chain(used).chain(tables).collect()
}

impl Findings {
    /// True when nothing is denied and nothing failed.
    pub fn fine(&self) -> bool {
        self.sources.iter().chain(&self.agent).chain(&self.tables).all(|line| matches!(line.state, "up" | "absent"))
    }

    /// As a page for a terminal.
    pub fn text(&self) -> String {
        let mut page = format!("wattline {} on {}\n\nENERGY\n", self.version, self.host);
        for Energy { device, method, model, factor } in &self.energy {
            writeln!(
                page,
                "  {device:<24} {:<11} by {model}, within a factor of {factor:.2} nine times in ten",
                method.as_str()
            )
            .ok();
        }
        if !self
            .energy
            .iter()
            .any(|row| row.device.starts_with(DeviceKind::Cpu.as_str()) && row.method == Method::Measured)
        {
            page.push_str("  No meter of the processor can be read here, so its energy is modelled and says so.\n");
        }
        for (title, lines) in [("SOURCES", &self.sources), ("AGENT", &self.agent), ("TABLES", &self.tables)] {
            writeln!(page, "\n{title}").ok();
            for Line { name, state, detail, remedy } in lines {
                writeln!(page, "  {state:<7} {name:<24} {detail}").ok();
                if let Some(remedy) = remedy {
                    writeln!(page, "  {:<7} {:<24} -> {remedy}", "", "").ok();
                }
            }
        }
        page
    }
}
