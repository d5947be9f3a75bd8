//! Credentials and the region, found where the AWS SDKs find them and kept until they are about to end.

use std::fmt;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_smithy_async::time::TimeSource;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::{SharedHttpConnector, http_client_fn};
use tokio::sync::Mutex;
use tracing::{debug, warn};
use wattline_core::secret::{Redaction, Secret};
use wattline_core::words::chain;
use wattline_core::{Seconds, Timestamp};

use crate::{Region, RegionError};

/// What a user may say about whom to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The region; otherwise `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile or the instance tells.
    pub region: Option<Region>,
    /// The profile in the shared files; otherwise `AWS_PROFILE`, or `default`.
    pub profile: Option<String>,
    /// An HTTP proxy for the services that give credentials. Those of the machine itself are never asked through it.
    pub proxy: Option<Secret>,
}

/// The right to call AWS in a region, for a while.
#[derive(Clone)]
pub struct Grant {
    credentials: Credentials,
    region: Region,
}

impl Grant {
    /// A grant of given credentials, which never ends.
    pub fn fixed(access_key_id: &str, secret: &Secret, session_token: Option<&Secret>, region: Region) -> Self {
        let token = session_token.map(|token| token.reveal().to_owned());
        Self { credentials: Credentials::new(access_key_id, secret.reveal(), token, None, "fixed"), region }
    }

    /// The region that the grant is used in.
    pub const fn region(&self) -> &Region {
        &self.region
    }

    pub(super) const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// What a server may repeat and nobody else should read.
    pub fn redaction(&self) -> Redaction {
        let token = self.credentials.session_token();
        Redaction::new([self.credentials.secret_access_key()].into_iter().chain(token))
    }

    fn is_same(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.credentials, &other.credentials);
        ours.access_key_id() == theirs.access_key_id()
            && ours.secret_access_key() == theirs.secret_access_key()
            && ours.session_token() == theirs.session_token()
            && self.region == other.region
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Grant(in {})", self.region)
    }
}

/// Why nobody may call AWS from here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// No region is configured and none is found.
    #[error(
        "no AWS region is known: set `region`, or AWS_REGION in the agent's environment; neither the profile nor the \
         instance's metadata service names one"
    )]
    NoRegion,
    /// What is found is no region.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// No credentials are found, or their source fails.
    #[error(
        "there are no AWS credentials: {0}; give the machine a role (an instance profile, a task role, pod identity), or \
         set `profile` or AWS_ACCESS_KEY_ID in the agent's environment"
    )]
    NoCredentials(String),
    /// The crates of the SDK cannot be set up.
    #[error("{0}")]
    Setup(String),
}

/// Gives grants, and gets new ones before the old end. All signals of a destination share one.
pub struct Access {
    find: Find,
    now: fn() -> Timestamp,
    kept: Mutex<Option<Kept>>,
}

/// Asks all sources once.
type Find = Box<dyn Fn() -> Finding + Send + Sync>;
type Finding = Pin<Box<dyn Future<Output = Result<Grant, AccessError>> + Send>>;

struct Kept {
    grant: Grant,
    /// When to look for a new one; `None` for credentials that do not end.
    renew_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
}

/// New credentials are asked for this long before the old end. Instance metadata has new ones at least five minutes
/// before (Amazon EC2 User Guide, "Retrieve security credentials from instance metadata").
const BEFORE_THE_END: Seconds = Seconds::new(300.0);
/// After a failure, and when what comes ends just as soon, the source is left in peace for so long.
const ASK_AGAIN: Seconds = Seconds::new(30.0);
/// The longest time for all sources together. The metadata service alone may take eight seconds where there is none.
const PATIENCE: Duration = Duration::from_secs(20);
/// The services of the machine itself: instance metadata over both protocols, ECS and EKS pod identity.
const LOCAL: &str = "localhost,127.0.0.1,::1,169.254.169.254,169.254.170.2,169.254.170.23,fd00:ec2::254,fd00:ec2::23";

impl Access {
    /// Nothing is looked for yet.
    pub fn new(settings: Settings, now: fn() -> Timestamp) -> Self {
        Self::found_by(Box::new(move || Box::pin(find(settings.clone(), now))), now)
    }

    /// Always the same grant, whoever asks.
    pub fn fixed(grant: Grant, now: fn() -> Timestamp) -> Self {
        let find = move || -> Finding {
            let grant = grant.clone();
            Box::pin(async move { Ok(grant) })
        };
        Self::found_by(Box::new(find), now)
    }

    fn found_by(find: Find, now: fn() -> Timestamp) -> Self {
        Self { find, now, kept: Mutex::new(None) }
    }

    /// The grant to use now. Others who ask meanwhile wait for the same one.
    pub async fn grant(&self) -> Result<Grant, AccessError> {
        let mut kept = self.kept.lock().await;
        let now = (self.now)();
        if let Some(kept) = kept.as_ref().filter(|kept| kept.renew_at.is_none_or(|renew_at| now < renew_at)) {
            return Ok(kept.grant.clone());
        }
        match self.find(now).await {
            Ok(found) => Ok(kept.insert(found).grant.clone()),
            Err(error) => match kept.as_mut().filter(|kept| kept.ends_at.is_some_and(|ends_at| now < ends_at)) {
                Some(kept) => {
                    warn!(%error, "AWS credentials cannot be renewed; the old ones are used until they end");
                    kept.renew_at = Some(now.ahead(ASK_AGAIN));
                    Ok(kept.grant.clone())
                }
                None => Err(error),
            },
        }
    }

    /// AWS refused `refused`: the sources are asked anew. `Some` when they have something else by now, as after a
    /// rotation, which is worth trying at once.
    pub async fn another(&self, refused: &Grant) -> Option<Grant> {
        let mut kept = self.kept.lock().await;
        if kept.as_ref().is_some_and(|kept| kept.grant.is_same(refused)) {
            *kept = None;
        }
        drop(kept);
        self.grant().await.ok().filter(|grant| !grant.is_same(refused))
    }

    async fn find(&self, now: Timestamp) -> Result<Kept, AccessError> {
        let grant = tokio::time::timeout(PATIENCE, (self.find)())
            .await
            .unwrap_or_else(|_elapsed| Err(none(&format!("no source answered within {PATIENCE:?}"))))?;
        let ends_at = grant.credentials.expiry().map(timestamp);
        debug!(region = %grant.region, ends_at = ends_at.map(Timestamp::unix_seconds), "AWS credentials are found");
        let renew_at = ends_at.map(|ends_at| ends_at.back(BEFORE_THE_END).max(now.ahead(ASK_AGAIN)));
        Ok(Kept { grant, renew_at, ends_at })
    }
}

/// Asks the sources of the SDK. The chain is built anew each time, so that files that changed are read again.
async fn find(settings: Settings, now: fn() -> Timestamp) -> Result<Grant, AccessError> {
    let config = sdk_config(&settings, now).await?;
    let region = match (settings.region, config.region()) {
        (Some(region), _) => region,
        (None, Some(region)) => region.as_ref().parse()?,
        (None, None) => return Err(AccessError::NoRegion),
    };
    let provider = config.credentials_provider().ok_or_else(|| none("the chain is empty"))?;
    let credentials = provider.provide_credentials().await.map_err(|error| none(&chain(&error)))?;
    Ok(Grant { credentials, region })
}

async fn sdk_config(settings: &Settings, now: fn() -> Timestamp) -> Result<SdkConfig, AccessError> {
    let Settings { region, profile, proxy } = settings;
    let proxy = match proxy {
        None => ProxyConfig::disabled(),
        Some(proxy) => ProxyConfig::all(proxy.reveal())
            .map_err(|_secret| AccessError::Setup("the proxy is not a URL".to_owned()))?
            .no_proxy(LOCAL),
    };
    // The provider of the process is not asked for; ring is what the rest of the agent uses.
    let client = http_client_fn(move |settings, components| {
        let provider = tls::Provider::Rustls(CryptoMode::Ring);
        let mut connector = Connector::builder().tls_provider(provider).proxy_config(proxy.clone());
        connector.set_connector_settings(Some(settings.clone())).set_sleep_impl(components.sleep_impl());
        SharedHttpConnector::new(connector.build())
    });
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(client).time_source(Clock(now));
    if let Some(region) = region {
        loader = loader.region(aws_config::Region::new(region.as_str().to_owned()));
    }
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    Ok(loader.load().await)
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access")
    }
}

fn none(words: &str) -> AccessError {
    AccessError::NoCredentials(Redaction::default().clean(words))
}

fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The agent's clock for the crates of the SDK.
#[derive(Clone, Copy, Debug)]
struct Clock(fn() -> Timestamp);

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos((self.0)().unix_nanos())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    thread_local! {
        static NOW_S: Cell<u64> = const { Cell::new(0) };
    }

    fn now() -> Timestamp {
        Timestamp::from_unix_nanos(NOW_S.get() * 1_000_000_000)
    }

    fn grant(number: u64, ends_at_s: Option<u64>) -> Grant {
        let ends_at = ends_at_s.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        let credentials = Credentials::new(format!("AKID{number}"), "secret", None, ends_at, "test");
        Grant { credentials, region: "eu-west-1".parse().unwrap() }
    }

    /// An access whose source gives what `script` says to its call of that number.
    fn access(script: impl Fn(u64) -> Result<Grant, AccessError> + Send + Sync + 'static) -> Access {
        let calls = AtomicU64::new(0);
        let find = move || -> Finding {
            let found = script(calls.fetch_add(1, Ordering::Relaxed));
            Box::pin(async move { found })
        };
        Access::found_by(Box::new(find), now)
    }

    async fn key(access: &Access, at_s: u64) -> Result<String, AccessError> {
        NOW_S.set(at_s);
        Ok(access.grant().await?.credentials().access_key_id().to_owned())
    }

    #[tokio::test]
    async fn credentials_are_renewed_before_they_end() {
        let access = access(|number| Ok(grant(number, Some(3_600 * (number + 1)))));
        for (at_s, expected) in [(0, "AKID0"), (3_299, "AKID0"), (3_300, "AKID1"), (6_899, "AKID1"), (6_900, "AKID2")] {
            assert_eq!(key(&access, at_s).await.as_deref(), Ok(expected), "{at_s} s");
        }
    }

    #[tokio::test]
    async fn credentials_that_do_not_end_are_asked_for_once() {
        let access = access(|number| Ok(grant(number, None)));
        assert_eq!(key(&access, 0).await.as_deref(), Ok("AKID0"));
        assert_eq!(key(&access, 1_000_000_000).await.as_deref(), Ok("AKID0"));
    }

    #[tokio::test]
    async fn a_source_that_fails_is_left_in_peace_while_the_old_credentials_last() {
        let access = access(|number| match number {
            0 => Ok(grant(0, Some(3_600))),
            1..=10 => Err(none("away")),
            _ => Ok(grant(number, None)),
        });
        for at_s in [0, 3_300, 3_599] {
            assert_eq!(key(&access, at_s).await.as_deref(), Ok("AKID0"), "{at_s} s");
        }
        let error = key(&access, 3_630).await.unwrap_err();
        assert!(error.to_string().contains("there are no AWS credentials: away"), "{error}");
    }

    #[tokio::test]
    async fn a_refused_grant_is_asked_for_anew_and_only_another_one_is_worth_a_try() {
        let access = access(|number| Ok(grant(number.min(2) / 2, None)));
        let first = access.grant().await.unwrap();
        assert!(access.another(&first).await.is_none(), "the source has nothing else");
        let second = access.another(&first).await.unwrap();
        assert_eq!(second.credentials().access_key_id(), "AKID1");
        // Another signal was refused with the first one, too, and takes what has been found since.
        assert_eq!(access.another(&first).await.unwrap().credentials().access_key_id(), "AKID1");
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_never_answers_is_given_up_on() {
        let access = Access::found_by(Box::new(|| Box::pin(std::future::pending())), now);
        let error = access.grant().await.unwrap_err();
        assert!(error.to_string().contains("no source answered within 20s"), "{error}");
    }

    #[test]
    fn a_grant_prints_without_its_secrets() {
        let grant = Grant::fixed("AKID", &Secret::new("s3cret-key"), None, "eu-west-1".parse().unwrap());
        assert!(!format!("{grant:?}").contains("s3cret"));
        assert_eq!(grant.redaction().clean("no such key s3cret-key"), "no such key ***");
    }
}
