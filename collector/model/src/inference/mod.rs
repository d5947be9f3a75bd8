//! Calls of language models: what they drew, emitted and cost, and the books over them.
//!
//! A call answered by an engine of one's own has its joules in that machine's books, so here it has tokens and a
//! duration only. A call answered by an API is in nobody's books: its energy is modelled, at the machine, and the
//! facility's overhead enters once, in the carbon.

mod account;
pub mod agentcore;
mod agents;
mod assess;
mod bedrock;
mod books;
pub mod ecologits;
pub mod engine_energy;
mod engines;
mod model_name;
pub mod models;
mod place;
pub(crate) mod price;
mod provider;
mod repeats;
mod sums;
mod twins;

pub use account::AccountSums;
pub use agents::{AgentBooks, SavedAgents};
pub use assess::{Assessment, Context, RemoteEnergy, Unknown, assess};
pub use books::{Conventions, InferenceBooks, SavedInferences};
pub use engines::{EngineBooks, EngineRates, SavedEngines};
pub use place::{LocalAddresses, Origin, RemotePlace, origin};
pub use price::{NoPrice, PRICE_LIST, PerMillion, Rates, Sale, TokenPrices};
pub use provider::is_provider;
pub use sums::{More, TokenSums};
pub use twins::{MOST_WAITING, Twins};
