//! The metric table: every name that wattline emits, declared once.
//!
//! Reference page, convention files and the checks of dashboards and alerts derive from [`ALL`]. Nothing emits a
//! name that is not here; a [`Sample`](crate::Sample) can only be made from a line of this table.

use crate::attribute::key;
use crate::quantity::{
    Bytes, Celsius, Count, GramsCo2e, GramsPerKwh, Hertz, Joules, Liters, Quantity, Ratio, Seconds, Tokens, Usd, Watts,
};
use crate::sample::{Descriptor, Instrument, Metric};

macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $name:ident: $instrument:ident<$quantity:ident> = $metric:literal $(in $unit:literal)? [$($key:ident),* $(,)?];)*) => {
        $(
            $(#[doc = $doc])+
            pub static $name: Metric<$quantity> = Metric::new(Descriptor {
                name: $metric,
                instrument: Instrument::$instrument,
                unit: metrics!(@unit $quantity $($unit)?),
                doc: concat!($($doc),+).trim_ascii(),
                attributes: &[$(key::$key),*],
            });
        )*

        /// Every metric, in the order of the table.
        pub static ALL: &[&Descriptor] = &[$($name.descriptor()),*];
    };
    (@unit $quantity:ident) => { <$quantity as Quantity>::UNIT };
    (@unit $quantity:ident $unit:literal) => { $unit };
}

metrics! {
    /// Energy drawn by the machine at its input: the sum of its hw.energy rows.
    HOST_ENERGY: Counter<Joules> = "hw.host.energy" [HW_ID, ENERGY_METHOD];
    /// Power drawn by the machine at its input over the last window.
    HOST_POWER: Gauge<Watts> = "hw.host.power" [HW_ID, ENERGY_METHOD];
    /// Energy drawn by one device. Devices are disjoint, so these may be added.
    HW_ENERGY: Counter<Joules> = "hw.energy" [HW_PARENT, ENERGY_METHOD, ENERGY_MODEL];
    /// Power drawn by one device over the last window.
    HW_POWER: Gauge<Watts> = "hw.power" [HW_PARENT, ENERGY_METHOD, ENERGY_MODEL];
    /// Energy of one workload on one kind of device. Over all workloads and states it adds up to hw.energy.
    WORKLOAD_ENERGY: Counter<Joules> = "workload.energy" [HW_TYPE, HW_ID, ENERGY_STATE, ENERGY_METHOD];
    /// Power of one device at rest: learned, or by a model until rest was seen. An accelerator has two: "idle" while nobody
    /// holds it, "reserved" while somebody holds it and lets it wait.
    HW_IDLE_POWER: Gauge<Watts> = "hw.power.idle" [ENERGY_METHOD, ENERGY_STATE];
    /// Carbon of the machine: the sum of workload.carbon.
    HOST_CARBON: Counter<GramsCo2e> = "host.carbon" [HW_ID, CARBON_KIND, ENERGY_METHOD];
    /// Carbon of one workload.
    WORKLOAD_CARBON: Counter<GramsCo2e> = "workload.carbon" [HW_TYPE, HW_ID, CARBON_KIND, ENERGY_STATE, ENERGY_METHOD];
    /// Cost of the machine: the sum of workload.cost.usd.
    HOST_COST: Counter<Usd> = "host.cost.usd" [HW_ID, COST_KIND, ENERGY_METHOD];
    /// Cost of one workload.
    WORKLOAD_COST: Counter<Usd> = "workload.cost.usd" [HW_TYPE, HW_ID, COST_KIND, ENERGY_STATE, ENERGY_METHOD];
    /// Intervals of an energy meter that could not be booked: resets, and jumps that no device can make.
    HW_ENERGY_LOST: Counter<Count> = "hw.energy.lost" in "{interval}" [];
    /// Energy of workloads whose series ended. hw.energy equals workload.energy plus this.
    RETIRED_ENERGY: Counter<Joules> = "workload.retired.energy" [HW_TYPE, HW_ID];
    /// Carbon of workloads whose series ended. host.carbon equals workload.carbon plus this.
    RETIRED_CARBON: Counter<GramsCo2e> = "workload.retired.carbon" [HW_TYPE, HW_ID, CARBON_KIND];
    /// Cost of workloads whose series ended. host.cost.usd equals workload.cost.usd plus this.
    RETIRED_COST: Counter<Usd> = "workload.retired.cost.usd" [HW_TYPE, HW_ID, COST_KIND];
    /// Carbon intensity in use, by the grid's average.
    CARBON_INTENSITY: Gauge<GramsPerKwh> = "carbon.intensity" [CARBON_ZONE, CARBON_SOURCE, CARBON_TIER, CARBON_ESTIMATED];
    /// Age of the carbon intensity in use: since the end of the time that it was published for.
    CARBON_INTENSITY_AGE: Gauge<Seconds> = "carbon.intensity.age" [CARBON_ZONE, CARBON_SOURCE];
    /// Carbon intensity of one kilowatt-hour more, for deciding when and where to run; it is in no sum.
    CARBON_INTENSITY_MARGINAL: Gauge<GramsPerKwh> = "carbon.intensity.marginal" [CARBON_ZONE, CARBON_SOURCE];
    /// Carbon of the machine's electricity by the user's contract: another view of host.carbon, not added to it.
    HOST_CARBON_MARKET: Counter<GramsCo2e> = "host.carbon.market" [HW_ID, ENERGY_METHOD];
    /// Water of the machine's electricity: evaporated at the site, or at the plants of the grid.
    HOST_WATER: Counter<Liters> = "host.water" [HW_ID, WATER_KIND, ENERGY_METHOD];
    /// Power usage effectiveness in use: energy of the facility for each joule of the machine.
    CARBON_PUE: Gauge<Ratio> = "carbon.pue" [CARBON_SOURCE];
    /// The 90 % range of a figure x is x/f to x*f; this is f.
    UNCERTAINTY: Gauge<Ratio> = "uncertainty.factor" [UNCERTAINTY_QUANTITY, HW_ID, HW_TYPE];

    /// Energy of language model calls. Of origin remote it is in no host; of origin local it is told again.
    INFERENCE_ENERGY: Counter<Joules> = "inference.energy" [ENERGY_ORIGIN, ENERGY_METHOD, ENERGY_MODEL];
    /// Carbon of language model calls.
    INFERENCE_CARBON: Counter<GramsCo2e> = "inference.carbon" [ENERGY_ORIGIN, ENERGY_METHOD, CARBON_KIND];
    /// Price of the tokens of language model calls.
    INFERENCE_COST: Counter<Usd> = "inference.cost.usd" [ENERGY_ORIGIN];
    /// Software Carbon Intensity of language model calls (ISO/IEC 21031): all their carbon for each token or request.
    INFERENCE_SCI: Gauge<GramsCo2e> = "inference.sci" [SCI_UNIT, ENERGY_ORIGIN, ENERGY_METHOD];
    /// Calls of language models seen, scaled by their sampling probability.
    INFERENCE_CALLS: Counter<Count> = "inference.calls" in "{call}" [ERROR_TYPE];
    /// Calls of which something is not known, by what: a figure that no table has, or what their senders leave open.
    INFERENCE_UNKNOWN: Counter<Count> = "inference.unknown" in "{call}" [WATTLINE_REASON];
    /// Tokens of calls by type. Input includes what was read from and written to caches, output includes reasoning.
    INFERENCE_TOKENS: Counter<Tokens> = "inference.tokens" [GEN_AI_TOKEN_TYPE];
    /// Calls by why they ended, in the provider's words.
    INFERENCE_FINISHES: Counter<Count> = "inference.finishes" in "{call}" [INFERENCE_FINISH_REASON];
    /// Calls that said again what was said to the same model in the ten minutes before: duplicates, and retries after a failure.
    INFERENCE_REPEATS: Counter<Count> = "inference.repeats" in "{call}" [INFERENCE_REPEAT];
    /// Tools that models were told of, summed over calls.
    INFERENCE_TOOLS: Counter<Count> = "inference.tools.defined" in "{tool}" [];
    /// Input tokens that defined tools, at four bytes of definition a token; an estimate.
    INFERENCE_TOOL_TOKENS: Counter<Tokens> = "inference.tools.tokens" [];
    /// Accounts of calls that another account had told of, and which were joined to it.
    INFERENCE_TWINS: Counter<Count> = "inference.twins" in "{account}" [];
    /// Calls that were booked before another account of them could come, because too many waited.
    INFERENCE_UNAWAITED: Counter<Count> = "inference.twins.unawaited" in "{call}" [];
    /// Tokens of each call, by type; input includes cached tokens and output includes reasoning.
    GEN_AI_TOKEN_USAGE: Histogram<Tokens> = "gen_ai.client.token.usage" [GEN_AI_TOKEN_TYPE];
    /// Duration of each call.
    GEN_AI_DURATION: Histogram<Seconds> = "gen_ai.client.operation.duration" [ERROR_TYPE];
    /// Time to the first chunk of each call that tells it.
    GEN_AI_FIRST_CHUNK: Histogram<Seconds> = "gen_ai.client.operation.time_to_first_chunk" [];
    /// Input tokens, cached ones included; a name of the next conventions.
    GEN_AI_USAGE_INPUT: Counter<Tokens> = "gen_ai.client.inference.usage.input_tokens" [];
    /// Output tokens, reasoning included; a name of the next conventions.
    GEN_AI_USAGE_OUTPUT: Counter<Tokens> = "gen_ai.client.inference.usage.output_tokens" [];
    /// Input tokens read from a cache; a name of the next conventions.
    GEN_AI_USAGE_CACHE_READ: Counter<Tokens> = "gen_ai.client.inference.usage.cache_read.input_tokens" [];
    /// Input tokens written to a cache; a name of the next conventions.
    GEN_AI_USAGE_CACHE_WRITE: Counter<Tokens> = "gen_ai.client.inference.usage.cache_write.input_tokens" [];
    /// Output tokens of reasoning; a name of the next conventions.
    GEN_AI_USAGE_REASONING: Counter<Tokens> = "gen_ai.client.inference.usage.reasoning.output_tokens" [];
    /// Input tokens of each call; a name of the next conventions.
    GEN_AI_INPUT: Histogram<Tokens> = "gen_ai.client.inference.operation.input_tokens" [];
    /// Output tokens of each call; a name of the next conventions.
    GEN_AI_OUTPUT: Histogram<Tokens> = "gen_ai.client.inference.operation.output_tokens" [];
    /// Duration of each call; a name of the next conventions.
    GEN_AI_INFERENCE_DURATION: Histogram<Seconds> = "gen_ai.client.inference.duration" [ERROR_TYPE];
    /// Time to the first chunk of each call that tells it; a name of the next conventions.
    GEN_AI_INFERENCE_FIRST_CHUNK: Histogram<Seconds> = "gen_ai.client.inference.time_to_first_chunk" [];

    /// Duration of each run of an agent.
    GEN_AI_AGENT_DURATION: Histogram<Seconds> = "gen_ai.invoke_agent.duration" [ERROR_TYPE];
    /// Calls of models in each run of an agent: its steps.
    GEN_AI_AGENT_CALLS: Histogram<Count> = "gen_ai.invoke_agent.inference_calls" in "{call}" [];
    /// Calls of tools in each run of an agent.
    GEN_AI_AGENT_TOOL_CALLS: Histogram<Count> = "gen_ai.invoke_agent.tool_calls" in "{call}" [];
    /// Duration of each run of a tool.
    GEN_AI_TOOL_DURATION: Histogram<Seconds> = "gen_ai.execute_tool.duration" [GEN_AI_TOOL_NAME, ERROR_TYPE];
    /// Time of agents' runs by what they did: waited for a model, waited for a tool, or worked themselves.
    AGENT_TIME: Counter<Seconds> = "agent.time" [AGENT_STATE];

    /// CPU time that sessions of hosted agents used, and were billed for, in seconds of one vCPU.
    AGENTCORE_CPU_TIME: Counter<Seconds> = "agentcore.cpu.time" [];
    /// Memory that sessions of hosted agents held, by whether they used CPU meanwhile; an hour of one gigabyte each.
    AGENTCORE_MEMORY_TIME: Counter<Count> = "agentcore.memory.time" in "{GBh}" [AGENTCORE_STATE];
    /// Time of sessions of hosted agents: working, had they used all vCPUs, or waiting. Both add up to all of it.
    AGENTCORE_SESSION_TIME: Counter<Seconds> = "agentcore.session.time" [AGENTCORE_STATE];
    /// vCPUs that the working time of sessions is reckoned with: configured, or the most that was seen in use.
    AGENTCORE_CPU_LIMIT: Gauge<Count> = "agentcore.cpu.limit" in "{cpu}" [AGENTCORE_BASIS];
    /// Sessions of hosted agents seen.
    AGENTCORE_SESSIONS: Counter<Count> = "agentcore.sessions" in "{session}" [];
    /// List price of the CPU time and memory of hosted agents.
    AGENTCORE_COST: Counter<Usd> = "agentcore.cost.usd" [HW_TYPE];

    /// Measured energy for each generated token, over the last minutes: what the engine's accelerators drew at work and
    /// waiting, prompts included.
    ENGINE_TOKEN_ENERGY: Gauge<Joules> = "engine.energy.per_output_token" [ENERGY_METHOD];
    /// Tokens that an inference engine took in and gave out; input includes cached tokens where the engine counts them.
    ENGINE_TOKENS: Counter<Tokens> = "engine.tokens" [GEN_AI_TOKEN_TYPE];
    /// Input tokens that an inference engine had in its cache; they are in engine.tokens too.
    ENGINE_CACHED_TOKENS: Counter<Tokens> = "engine.tokens.cached" [];
    /// Tokens that an inference engine drafted to decode speculatively.
    ENGINE_DRAFTED_TOKENS: Counter<Tokens> = "engine.tokens.drafted" [];
    /// Drafted tokens that the model of an inference engine accepted.
    ENGINE_ACCEPTED_TOKENS: Counter<Tokens> = "engine.tokens.accepted" [];
    /// Requests that an inference engine has finished, by why they ended.
    ENGINE_REQUESTS: Counter<Count> = "engine.requests" in "{request}" [ENGINE_FINISH_REASON];
    /// Requests that an inference engine works on now: its batch.
    ENGINE_RUNNING: UpDownCounter<Count> = "engine.requests.running" in "{request}" [];
    /// Requests that wait for an inference engine.
    ENGINE_WAITING: UpDownCounter<Count> = "engine.requests.waiting" in "{request}" [];
    /// Share of an inference engine's cache of keys and values that is in use.
    ENGINE_CACHE_USAGE: Gauge<Ratio> = "engine.cache.usage" [];
    /// Times that an inference engine put a running request back because its cache was full.
    ENGINE_PREEMPTIONS: Counter<Count> = "engine.preemptions" in "{preemption}" [];
    /// Time that an inference engine spent reading prompts and generating, by its own clock or summed over requests.
    ENGINE_PHASE_TIME: Counter<Seconds> = "engine.phase.time" [ENGINE_PHASE, ENGINE_CLOCK];
    /// Duration of each request at the inference engine.
    GEN_AI_SERVER_DURATION: Histogram<Seconds> = "gen_ai.server.request.duration" [];
    /// Time to the first token of each request at the inference engine.
    GEN_AI_SERVER_FIRST_TOKEN: Histogram<Seconds> = "gen_ai.server.time_to_first_token" [];
    /// Time between two tokens at the inference engine.
    GEN_AI_SERVER_PER_TOKEN: Histogram<Seconds> = "gen_ai.server.time_per_output_token" [];

    /// Whether a device is in a state: 1 for the one that it is in, 0 for the others.
    HW_STATUS: UpDownCounter<Ratio> = "hw.status" [HW_STATE];
    /// Errors of a device since it was first read, by kind: of its memory, of its links, and critical ones (`xid`).
    HW_ERRORS: Counter<Count> = "hw.errors" in "{error}" [ERROR_TYPE, HW_GPU_XID];
    /// Temperature of a device, by where in it.
    HW_TEMPERATURE: Gauge<Celsius> = "hw.temperature" [HW_SENSOR_LOCATION];
    /// What a GPU is, as labels; the number is always 1.
    HW_GPU_INFO: Gauge<Count> = "hw.gpu.info" [HW_VENDOR, HW_MODEL, HW_SERIAL_NUMBER, HW_DRIVER_VERSION, HW_GPU_ARCHITECTURE, HW_GPU_INDEX, HW_GPU_PCI_ADDRESS];
    /// Share of the last window in which a GPU was at work on some kernel, however small, or its encoder or decoder was.
    HW_GPU_UTILIZATION: Gauge<Ratio> = "hw.gpu.utilization" [HW_GPU_TASK];
    /// Share of what the units of a GPU could do in the last window, by its own counters; from Hopper on.
    HW_GPU_ACTIVITY: Gauge<Ratio> = "hw.gpu.activity" [HW_GPU_UNIT];
    /// Memory installed in a GPU.
    HW_GPU_MEMORY_LIMIT: UpDownCounter<Bytes> = "hw.gpu.memory.limit" [];
    /// Memory of a GPU that processes hold.
    HW_GPU_MEMORY_USAGE: UpDownCounter<Bytes> = "hw.gpu.memory.usage" [];
    /// Memory of a GPU that driver and firmware hold; it is not in hw.gpu.memory.usage.
    HW_GPU_MEMORY_RESERVED: UpDownCounter<Bytes> = "hw.gpu.memory.reserved" [];
    /// Share of a GPU's memory that processes hold.
    HW_GPU_MEMORY_UTILIZATION: Gauge<Ratio> = "hw.gpu.memory.utilization" [];
    /// Share of the last window in which a GPU's memory was read or written.
    HW_GPU_MEMORY_BUSY: Gauge<Ratio> = "hw.gpu.memory.busy" [];
    /// Rows of a GPU's memory that were ever replaced by spare ones, by the kind of error.
    HW_GPU_MEMORY_ROWS: UpDownCounter<Count> = "hw.gpu.memory.rows.remapped" in "{row}" [ERROR_TYPE];
    /// Clocks of a GPU.
    HW_GPU_CLOCK: Gauge<Hertz> = "hw.gpu.clock" [HW_GPU_CLOCK_OF];
    /// Share of the looks in the last window that found a GPU's clocks held down, by what. There may be several at once.
    HW_GPU_CLOCK_LIMITED: Gauge<Ratio> = "hw.gpu.clock.limited" [HW_GPU_CLOCK_LIMIT];
    /// Time in which a GPU's clocks were held down, by what; by the GPU's own clock.
    HW_GPU_CLOCK_LIMITED_TIME: Counter<Seconds> = "hw.gpu.clock.limited.time" [HW_GPU_CLOCK_LIMIT];
    /// Power that a GPU may draw.
    HW_GPU_POWER_LIMIT: Gauge<Watts> = "hw.gpu.power.limit" [];
    /// Bytes between a GPU and the PCI bus.
    HW_GPU_IO: Counter<Bytes> = "hw.gpu.io" [NETWORK_IO_DIRECTION];
    /// Processes on a GPU, by how they use it; one may be in several.
    HW_GPU_PROCESSES: UpDownCounter<Count> = "hw.gpu.processes" in "{process}" [HW_GPU_CONTEXT];
    /// Memory of a slice of a GPU, as cut.
    HW_GPU_SLICE_MEMORY_LIMIT: UpDownCounter<Bytes> = "hw.gpu.slice.memory.limit" [HW_GPU_SLICE_PROFILE];
    /// Memory of a slice of a GPU that processes hold; it is in hw.gpu.memory.usage too.
    HW_GPU_SLICE_MEMORY_USAGE: UpDownCounter<Bytes> = "hw.gpu.slice.memory.usage" [HW_GPU_SLICE_PROFILE];
    /// Multiprocessors of a slice of a GPU.
    HW_GPU_SLICE_MULTIPROCESSORS: UpDownCounter<Count> = "hw.gpu.slice.multiprocessors" in "{multiprocessor}" [HW_GPU_SLICE_PROFILE];
    /// Share of what the units of a slice's instance could do in the last window.
    HW_GPU_SLICE_ACTIVITY: Gauge<Ratio> = "hw.gpu.slice.activity" [HW_GPU_UNIT, HW_GPU_SLICE_PROFILE];

    /// CPU time by mode; guest time is inside user and nice.
    SYSTEM_CPU_TIME: Counter<Seconds> = "system.cpu.time" [CPU_MODE, CPU_LOGICAL_NUMBER];
    /// Share of the CPUs' time in each mode over the last window.
    SYSTEM_CPU_UTILIZATION: Gauge<Ratio> = "system.cpu.utilization" [CPU_MODE];
    /// CPUs online.
    SYSTEM_CPU_COUNT: UpDownCounter<Count> = "system.cpu.logical.count" in "{cpu}" [];
    /// Memory by state; used is total less free, buffers and cached.
    SYSTEM_MEMORY_USAGE: UpDownCounter<Bytes> = "system.memory.usage" [MEMORY_STATE];
    /// Share of memory in each state.
    SYSTEM_MEMORY_UTILIZATION: Gauge<Ratio> = "system.memory.utilization" [MEMORY_STATE];
    /// Memory installed, as far as the kernel sees it.
    SYSTEM_MEMORY_LIMIT: UpDownCounter<Bytes> = "system.memory.limit" [];
    /// Memory that new work could get without swapping.
    SYSTEM_MEMORY_AVAILABLE: UpDownCounter<Bytes> = "system.memory.linux.available" [];
    /// Swap by state.
    SYSTEM_PAGING_USAGE: UpDownCounter<Bytes> = "system.paging.usage" [PAGING_STATE];
    /// Page faults.
    SYSTEM_PAGING_FAULTS: Counter<Count> = "system.paging.faults" in "{fault}" [PAGING_FAULT_TYPE];
    /// Pages swapped.
    SYSTEM_PAGING_OPERATIONS: Counter<Count> = "system.paging.operations" in "{operation}" [PAGING_DIRECTION];
    /// Bytes moved to and from a block device.
    SYSTEM_DISK_IO: Counter<Bytes> = "system.disk.io" [SYSTEM_DEVICE, DISK_IO_DIRECTION];
    /// Operations of a block device.
    SYSTEM_DISK_OPERATIONS: Counter<Count> = "system.disk.operations" in "{operation}" [SYSTEM_DEVICE, DISK_IO_DIRECTION];
    /// Time in which a block device had requests in flight.
    SYSTEM_DISK_IO_TIME: Counter<Seconds> = "system.disk.io_time" [SYSTEM_DEVICE];
    /// Space of a filesystem by state.
    SYSTEM_FILESYSTEM_USAGE: UpDownCounter<Bytes> = "system.filesystem.usage" [SYSTEM_DEVICE, FILESYSTEM_MODE, FILESYSTEM_MOUNTPOINT, FILESYSTEM_STATE, FILESYSTEM_TYPE];
    /// Bytes through a network interface.
    SYSTEM_NETWORK_IO: Counter<Bytes> = "system.network.io" [NETWORK_INTERFACE_NAME, NETWORK_IO_DIRECTION];
    /// Packets through a network interface.
    SYSTEM_NETWORK_PACKETS: Counter<Count> = "system.network.packet.count" in "{packet}" [NETWORK_INTERFACE_NAME, NETWORK_IO_DIRECTION];
    /// Errors of a network interface.
    SYSTEM_NETWORK_ERRORS: Counter<Count> = "system.network.errors" in "{error}" [NETWORK_INTERFACE_NAME, NETWORK_IO_DIRECTION];
    /// Packets that a network interface dropped.
    SYSTEM_NETWORK_DROPPED: Counter<Count> = "system.network.packet.dropped" in "{packet}" [NETWORK_INTERFACE_NAME, NETWORK_IO_DIRECTION];
    /// Load average over one minute.
    SYSTEM_LOAD_1M: Gauge<Count> = "system.cpu.load_average.1m" in "{thread}" [];
    /// Load average over five minutes.
    SYSTEM_LOAD_5M: Gauge<Count> = "system.cpu.load_average.5m" in "{thread}" [];
    /// Load average over fifteen minutes.
    SYSTEM_LOAD_15M: Gauge<Count> = "system.cpu.load_average.15m" in "{thread}" [];
    /// Time in which tasks waited for a resource: some of them, or all.
    SYSTEM_PRESSURE: Counter<Seconds> = "system.pressure.time" [PRESSURE_RESOURCE, PRESSURE_KIND];
    /// Processes by state.
    SYSTEM_PROCESS_COUNT: UpDownCounter<Count> = "system.process.count" in "{process}" [PROCESS_STATE];
    /// Processes created since boot.
    SYSTEM_PROCESS_CREATED: Counter<Count> = "system.process.created" in "{process}" [];
    /// Time since the machine booted.
    SYSTEM_UPTIME: Gauge<Seconds> = "system.uptime" [];

    /// CPU time of one workload, without the workloads inside it.
    WORKLOAD_CPU_TIME: Counter<Seconds> = "workload.cpu.time" [];
    /// Memory of one workload, without the workloads inside it.
    WORKLOAD_MEMORY: UpDownCounter<Bytes> = "workload.memory.usage" [];
    /// Time in which a quota held a workload back.
    WORKLOAD_THROTTLED: Counter<Seconds> = "workload.cpu.throttled.time" [];
    /// Bytes that a workload moved to and from block devices.
    WORKLOAD_DISK_IO: Counter<Bytes> = "workload.disk.io" [DISK_IO_DIRECTION];

    /// Whether a probe could read at its last tick: 1 or 0.
    WATTLINE_PROBE_UP: Gauge<Ratio> = "wattline.probe.up" [WATTLINE_PROBE];
    /// Readings that failed.
    WATTLINE_PROBE_ERRORS: Counter<Count> = "wattline.probe.errors" in "{error}" [WATTLINE_PROBE];
    /// Ticks skipped because the probe was still reading.
    WATTLINE_PROBE_OVERRUNS: Counter<Count> = "wattline.probe.overruns" in "{tick}" [WATTLINE_PROBE];
    /// What was lost, by reason: records, points, spans or readings.
    WATTLINE_DROPPED: Counter<Count> = "wattline.dropped" in "{item}" [WATTLINE_REASON, WATTLINE_SIGNAL, WATTLINE_DESTINATION];
    /// Labels that were cut or left out because a destination takes no more; the points are sent.
    WATTLINE_SHORTENED: Counter<Count> = "wattline.shortened" in "{attribute}" [WATTLINE_DESTINATION];
    /// What a destination took: points, spans or records.
    WATTLINE_EXPORTED: Counter<Count> = "wattline.exported" in "{item}" [WATTLINE_SIGNAL, WATTLINE_DESTINATION];
    /// What receivers accepted: spans, points or records.
    WATTLINE_RECEIVED: Counter<Count> = "wattline.received" in "{item}" [WATTLINE_SIGNAL];
    /// Requests that receivers refused, by reason.
    WATTLINE_REFUSED: Counter<Count> = "wattline.refused" in "{request}" [WATTLINE_REASON, WATTLINE_SIGNAL];
    /// Connections that came no further than the handshake, by reason.
    WATTLINE_CONNECTIONS_REFUSED: Counter<Count> = "wattline.connections.refused" in "{connection}" [WATTLINE_REASON];
    /// Spans, log records and points that wait for a destination.
    WATTLINE_SPOOL_ITEMS: Gauge<Count> = "wattline.spool.items" in "{item}" [WATTLINE_DESTINATION];
    /// Bytes that wait for a destination, as they wait: compressed.
    WATTLINE_SPOOL_SIZE: Gauge<Bytes> = "wattline.spool.size" [WATTLINE_DESTINATION];
    /// How long the request has waited that has waited longest.
    WATTLINE_SPOOL_AGE: Gauge<Seconds> = "wattline.spool.age" [WATTLINE_DESTINATION];
    /// Whether a destination took what it was last sent: 1 or 0.
    WATTLINE_DESTINATION_UP: Gauge<Ratio> = "wattline.destination.up" [WATTLINE_DESTINATION, WATTLINE_SIGNAL];
    /// Energy of the agent itself; it is told again from workload.energy, not added to it.
    WATTLINE_ENERGY: Counter<Joules> = "wattline.energy" [ENERGY_METHOD];
    /// CPU time of the agent itself.
    WATTLINE_CPU_TIME: Counter<Seconds> = "wattline.cpu.time" [];
    /// Resident memory of the agent itself.
    WATTLINE_MEMORY: UpDownCounter<Bytes> = "wattline.memory.usage" [];
    /// Age of a table of factors inside the program: since the end of the newest year in it.
    WATTLINE_TABLE_AGE: Gauge<Seconds> = "wattline.table.age" [WATTLINE_TABLE, WATTLINE_TABLE_VERSION];
    /// Series on the books.
    WATTLINE_SERIES: UpDownCounter<Count> = "wattline.series" in "{series}" [];
    /// What a destination bills in a month for what it is told now: an estimate at list prices.
    WATTLINE_DESTINATION_COST: Gauge<Usd> = "wattline.destination.cost.usd" [WATTLINE_DESTINATION];
    /// Workloads that a destination is told of as `other`, because it is told of the largest only.
    WATTLINE_FOLDED: Gauge<Count> = "wattline.workloads.folded" in "{workload}" [WATTLINE_DESTINATION];
}

/// The line of the table with this name.
pub fn find(name: &str) -> Option<&'static Descriptor> {
    ALL.iter().copied().find(|descriptor| descriptor.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_documented() {
        let names: BTreeSet<_> = ALL.iter().map(|descriptor| descriptor.name).collect();
        assert_eq!(names.len(), ALL.len());
        for descriptor in ALL {
            assert!(descriptor.doc.ends_with('.'), "{} needs a sentence", descriptor.name);
            assert!(!descriptor.name.contains(|c: char| c.is_uppercase()), "{}", descriptor.name);
        }
    }

    #[test]
    fn units_are_plain_or_pure_annotations() {
        for descriptor in ALL {
            let unit = descriptor.unit;
            let plain = ["J", "W", "s", "g", "By", "Hz", "Cel", "1", "%"].contains(&unit);
            let annotation = unit.starts_with('{') && unit.ends_with('}') && unit.matches('{').count() == 1;
            assert!(plain || annotation, "{} has the unit {unit}, which Prometheus would mangle", descriptor.name);
        }
    }
}
