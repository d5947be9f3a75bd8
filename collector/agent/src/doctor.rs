//! `wattline doctor` and `wattline check`: what works, what does not, why, and what to do.

mod state;

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use wattline_core::reading::{SourceHealth, SourceState};
use wattline_core::{DeviceKind, HostRoot, Method, Probe, Readings, Snapshot, Telemetry};
use wattline_listen::{Guard, Listener, OpenError, TlsConfig};
use wattline_model::grid;
use wattline_model::grid::live::LiveValue;
use wattline_probe_host::{HostProbe, inventory};
use wattline_probe_llm::bedrock;
use wattline_probe_llm::content::{self, Content, Handling};
use wattline_probe_llm::engines::{self, Answer, AskError};
use wattline_probe_llm::otlp;

use crate::config::{ADMIN_DEFAULT, Config};
use crate::factors::Table;
use crate::report::{Carbon, Embodied, Report};
use crate::{admin, clock, costs, destinations, live, pid_file, snapshot, telemetry};

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
    #[serde(skip)]
    measures: bool,
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
    let (inventory, cloud) = inventory::read(&root, &config.probes.cloud);
    let cloud = cloud.into_iter().map(Line::from).chain(logs(&config.probes.bedrock));
    if !config.role.measures() {
        return Ok(Findings {
            version: env!("CARGO_PKG_VERSION"),
            host: inventory.host_name.unwrap_or_else(|| "a machine without a name".to_owned()),
            energy: Vec::new(),
            sources: cloud.chain(inference_engines(&config.probes.engines)).collect(),
            agent: agent(config, &Snapshot::default()),
            tables: [token_prices()].into_iter().chain(factor_tables()).collect(),
            measures: false,
        });
    }
    let mut sources: Vec<Line> = read_once(config, &root).into_iter().map(Line::from).collect();
    sources.extend(crate::gpus::examine(config).into_iter().map(|(health, remedy)| {
        let line = Line::from(health);
        Line { remedy: line.remedy.clone().or(remedy), ..line }
    }));
    sources.extend(cloud);
    let live = config.carbon.live.as_ref();
    sources.extend(live.map(|live| live_intensity(live, config.carbon.intensity.is_some())));
    sources.extend(inference_engines(&config.probes.engines));
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
        measures: true,
    })
}

/// AWS's own logs of calls and of hosted agents, where any are read.
fn logs(config: &bedrock::Config) -> Vec<Line> {
    let files = || {
        let line = Line::from(SourceHealth { part: bedrock::FILES, state: bedrock::found(config) });
        let remedy = "correct probes.bedrock.paths, or let the agent read it".to_owned();
        Line { remedy: (line.state == "failed").then_some(remedy), ..line }
    };
    let files = (!config.paths.is_empty()).then(files);
    files.into_iter().chain(log_groups(config)).chain(account(config)).collect()
}

/// Whether each log group can be read now.
fn log_groups(config: &bedrock::Config) -> Vec<Line> {
    if config.cloudwatch.log_groups.is_empty() {
        return Vec::new();
    }
    let name = bedrock::LOG_GROUPS;
    let answers = match waited_for(bedrock::once(config, clock::wall)) {
        Ok(answers) => answers,
        Err(error) => return vec![Line::failed(name, error.to_string(), "let the agent start threads")],
    };
    let interval = humantime::format_duration(config.cloudwatch.interval);
    let line = |(group, answer): (String, Result<(), String>)| match answer {
        Ok(()) => Line::up(name, format!("{group}, every {interval}")),
        Err(error) => Line::failed(
            name,
            format!("{group}: {error}"),
            "correct probes.bedrock.cloudwatch, or allow the agent logs:FilterLogEvents",
        ),
    };
    answers.into_iter().map(line).collect()
}

/// Whether the account's metrics can be read now, and what that costs.
fn account(config: &bedrock::Config) -> Option<Line> {
    if !config.metrics.enabled {
        return None;
    }
    let state = match waited_for(bedrock::account_once(config, Arc::new(clock::tick), clock::wall)) {
        Ok(state) => state,
        Err(error) => return Some(Line::failed(bedrock::ACCOUNT, error.to_string(), "let the agent start threads")),
    };
    let line = Line::from(SourceHealth { part: bedrock::ACCOUNT, state });
    let remedy = "correct probes.bedrock.metrics".to_owned();
    Some(Line { remedy: line.remedy.or_else(|| (line.state == "failed").then_some(remedy)), ..line })
}

/// What a question to a network comes to.
fn waited_for<T>(question: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(question);
    runtime.shutdown_background();
    Ok(answer)
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

/// What each inference engine answers now. A port of loopback that nobody listens at is passed over.
fn inference_engines(config: &engines::Config) -> Vec<Line> {
    if !config.is_on() {
        return Vec::new();
    }
    let answers = match crate::engines::ask_once(config) {
        Ok(answers) => answers,
        Err(error) => return vec![Line::failed(engines::NAME, format!("{error:#}"), "correct the key")],
    };
    let mut lines: Vec<Line> = answers.into_iter().filter_map(inference_engine).collect();
    if lines.is_empty() {
        let remedy = "start an engine with its metrics on, or name it in probes.engines.target";
        lines.push(Line::absent(engines::NAME, "no address that was asked is an engine", remedy));
    }
    lines
}

fn inference_engine(answer: Answer) -> Option<Line> {
    let name = format!("engine {}", answer.place);
    Some(match answer.outcome {
        Ok(found) => Line::up(name, found),
        Err(_) if answer.is_found => return None,
        Err(AskError::Denied(what)) => {
            let remedy = Some("set bearer_token_file in probes.engines.target".to_owned());
            Line { name, state: "denied", detail: what, remedy }
        }
        Err(AskError::NotThere(what)) => {
            Line::failed(name, what, "switch the engine's metrics on (llama.cpp: --metrics, SGLang: --enable-metrics)")
        }
        Err(AskError::Failed(what)) => Line::failed(name, what, "start the engine, or correct its url"),
    })
}

fn agent(config: &Config, told: &Snapshot) -> Vec<Line> {
    let mut lines = vec![Line::up("role", config.role.describe())];
    let is_running = config.admin.enabled
        && if config.admin.tls == TlsConfig::default() {
            admin::is_served(config.admin.listen)
        } else {
            // Whoever speaks TLS is not asked: the process is looked for.
            pid_file::running(&config.state.directory()).is_ok()
        };
    let (otlp, default) = (&config.probes.otlp, otlp::Config::default());
    let is_guarded =
        otlp.plaintext_beyond_loopback || otlp.tls.is_enough_beyond_loopback(otlp.bearer_token_file.is_some());
    let mut port = |section, key, address: &str, default, is_guarded| {
        lines.push(match Listener::open(section, key, address, is_guarded) {
            Ok(_listener) => Line::up(key, format!("{address} is free")),
            Err(error) => closed(key, &error, default, is_running),
        });
    };
    if config.admin.enabled {
        let listen = config.admin.listen;
        // Whether that is guarded enough was told with the configuration.
        port("admin", "admin.listen", &listen.to_string(), listen == ADMIN_DEFAULT, true);
    }
    if otlp.grpc.enabled {
        port("probes.otlp", "probes.otlp.grpc.listen", &otlp.grpc.listen, otlp.grpc == default.grpc, is_guarded);
    }
    if otlp.http.enabled {
        port("probes.otlp", "probes.otlp.http.listen", &otlp.http.listen, otlp.http == default.http, is_guarded);
    }
    if config.admin.enabled {
        lines.push(asked_at("admin", &config.admin.tls, config.admin.bearer_token_file.as_deref()));
    }
    if otlp.grpc.enabled || otlp.http.enabled {
        lines.push(asked_at("probes.otlp", &otlp.tls, otlp.bearer_token_file.as_deref()));
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
    lines.push(relay(&config.relay));
    let bills = costs::bills(config, told);
    lines.extend(bills.iter().map(|(name, bill)| Line::up(format!("{name} bills"), costs::words(bill))));
    lines.extend(state::lines(config));
    if let Some(limit) = telemetry::descriptor_limit() {
        lines.push(Line::up("open files", format!("up to {limit}")));
    }
    lines
}

/// What becomes of message content in relayed telemetry.
fn relay(config: &content::Config) -> Line {
    let name = "relay.content";
    if let Err(error) = Content::new(config) {
        return Line::failed(name, error.to_string(), "correct the file, or leave the key out");
    }
    let said = match (config.content, &config.hash_key_file) {
        (Handling::Keep, _) => "kept: messages go on as they came".to_owned(),
        (Handling::Drop, _) => "dropped from relayed spans and log records".to_owned(),
        (Handling::Hash, None) => "hashed with a key that is drawn at every start".to_owned(),
        (Handling::Hash, Some(path)) => format!("hashed with the key of {}", path.display()),
    };
    Line::up(name, said)
}

/// Why a listener cannot be opened. `is_running` says that a wattline measures with this configuration: then a place
/// that is taken is its.
fn closed(key: &str, error: &OpenError, is_default: bool, is_running: bool) -> Line {
    let is_taken = matches!(error, OpenError::AddressInUse { .. });
    let remedy = match is_taken {
        true if is_running => return Line::up(key, format!("{} is in use by a running wattline", error.address().1)),
        true if is_default => {
            "the default port is taken, so this listener will be off; stop the other program, or choose another port"
        }
        _ => "choose a free address of this machine, or guard it",
    };
    Line::failed(key, error.to_string(), remedy)
}

/// What a listener asks of those who come.
fn asked_at(section: &'static str, tls: &TlsConfig, bearer_token_file: Option<&Path>) -> Line {
    let name = format!("{section} access");
    if let Err(error) = Guard::new(section, tls, bearer_token_file, &[]) {
        return Line::failed(name, error.to_string(), "correct the file or the key");
    }
    let transport = if tls.cert_file.is_some() { "TLS" } else { "plain text" };
    let asked = match (tls.client_ca_file.is_some(), bearer_token_file.is_some()) {
        (true, true) => "asks for a client certificate and a bearer token",
        (true, false) => "asks for a client certificate",
        (false, true) => "asks for a bearer token",
        (false, false) => "asks for nothing",
    };
    Line::up(name, format!("{transport}, {asked}"))
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
        token_prices(),
    ];
    let doubt = report.host.doubt.as_ref().map(|doubt| {
        Line::failed(
            "instance type",
            doubt.clone(),
            "correct machine.instance_type, or set carbon.embodied_kg and cost.instance",
        )
    });
    doubt.into_iter().chain(used).chain(factor_tables()).collect()
}

fn token_prices() -> Line {
    Line::up("token prices", wattline_model::inference::PRICE_LIST)
}

fn factor_tables() -> impl Iterator<Item = Line> {
    let now = clock::wall();
    grid::tables().into_iter().map(move |table| Line::up(table.name, Table::of(table, now).line()))
}

impl Findings {
    /// True when nothing is denied and nothing failed.
    pub fn fine(&self) -> bool {
        self.sources.iter().chain(&self.agent).chain(&self.tables).all(|line| matches!(line.state, "up" | "absent"))
    }

    /// As a page for a terminal.
    pub fn text(&self) -> String {
        let mut page = format!("wattline {} on {}\n", self.version, self.host);
        if self.measures {
            self.write_energy(&mut page);
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

    fn write_energy(&self, page: &mut String) {
        page.push_str("\nENERGY\n");
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
    }
}
