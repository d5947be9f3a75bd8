//! Takes telemetry in over the OpenTelemetry protocol: gRPC, and HTTP with protobuf or JSON.
//!
//! A request is judged whole before anything of it is kept: size after decompression, well-formed protobuf, number of
//! items and of attributes. Then it is put into both queues, to the pipeline and to the relay, or into none, and only
//! then, or when every destination has it on disk, is it acknowledged: a sender that is told to come again finds nothing
//! booked twice. Every refusal is the
//! protocol's own answer, is counted with its reason, and leaves the connection usable where HTTP allows.
//!
//! Who may come in, by which way, is for `wattline_listen` to say; a request without a token where one is asked for is
//! refused before its body is read.

mod bind;
mod body;
mod config;
mod grpc;
mod http;
mod intake;
mod refusal;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use wattline_core::reading::Inference;
use wattline_core::{Outlet, Receiver, Telemetry, Tick, Timestamp};
use wattline_listen::{Connections, Limits};
use wattline_wire::enrich::Attribute;

pub use bind::{Addresses, BindError, Bound, bind};
pub use config::{Acknowledge, Config, GrpcConfig, HttpConfig};

use crate::bedrock::Rules;
use crate::content::Content;
use bind::Guarded;
use intake::{Intake, Treatment};

/// The header in which an agent names itself to the next one. What bears our own name has come back; what bears another's
/// is on that agent's books, and is only relayed.
pub const VIA: &str = "x-wattline-via";

/// Tells what was made of a call, as attributes that its relayed span is to bear.
pub trait Enrich: Send + Sync {
    /// The attributes of the span that tells of `call`, which was taken in at `now`.
    fn attributes(&self, call: &Inference, now: Timestamp) -> Vec<Attribute>;
}

/// Tells the time on both clocks.
pub type Clock = Arc<dyn Fn() -> Tick + Send + Sync>;

/// The receiver, with its listeners open.
pub struct OtlpReceiver {
    bound: Bound,
    telemetry: Telemetry,
    clock: Clock,
    content: Content,
    enrich: Option<Box<dyn Enrich>>,
    mark: &'static str,
    rules: Rules,
}

impl OtlpReceiver {
    /// A receiver on open listeners. Connections wait in the system's backlog until it runs. What it relays it treats as
    /// `content` says; `mark` is what this agent calls itself in [`VIA`].
    pub fn new(bound: Bound, telemetry: Telemetry, clock: Clock, content: Content, mark: &'static str) -> Self {
        Self { bound, telemetry, clock, content, enrich: None, mark, rules: Rules::default() }
    }

    /// The same, whose relayed spans of calls bear what `enrich` tells of them.
    #[must_use]
    pub fn enriching(self, enrich: Box<dyn Enrich>) -> Self {
        Self { enrich: Some(enrich), ..self }
    }

    /// The same, which reads AWS's own logs by these rules where they come as log records.
    #[must_use]
    pub fn with_rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    async fn serve(self, outlet: Outlet, stop: CancellationToken) {
        let Self { bound: Bound { grpc, http, config }, telemetry, clock, content, enrich, mark, rules } = self;
        let limits = Limits { connections: config.max_connections as usize, patience: config.read_timeout };
        let connections = Connections::new("the OTLP receiver", limits, telemetry.clone(), stop);
        let treatment = Treatment { content, enrich };
        let intake = Arc::new(Intake::new(&config, outlet, telemetry, clock, treatment, mark).with_rules(rules));
        let grpc = grpc.map(|Guarded { listener, guard }| {
            let (intake, asked) = (Arc::clone(&intake), Arc::clone(&guard));
            connections.serve_http2(listener, guard, move |request| {
                grpc::answer(Arc::clone(&intake), Arc::clone(&asked), request)
            })
        });
        let http = http.map(|Guarded { listener, guard }| {
            let (intake, asked) = (Arc::clone(&intake), Arc::clone(&guard));
            connections.serve_http1(listener, guard, move |request| {
                http::answer(Arc::clone(&intake), Arc::clone(&asked), request)
            })
        });
        let serving: Vec<_> = grpc.into_iter().chain(http).map(tokio::spawn).collect();
        for task in serving {
            if let Err(error) = task.await {
                tracing::error!("the OTLP receiver failed: {error}");
            }
        }
        connections.drain().await;
    }
}

impl Receiver for OtlpReceiver {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn run(self: Box<Self>, outlet: Outlet, stop: CancellationToken) -> wattline_core::flow::Task<()> {
        Box::pin(self.serve(outlet, stop))
    }
}
