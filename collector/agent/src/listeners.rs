//! The listeners, opened before anything runs, so that a conflict is known at once.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use anyhow::{Result, bail};
use tracing::{error, warn};
use wattline_core::HostRoot;
use wattline_export_otlp::loops_back;
use wattline_listen::{Guard, GuardError, Listener, OpenError, Place};
use wattline_probe_llm::otlp::{self, BindError, Bound};

use crate::admin::Door;
use crate::config::{ADMIN_DEFAULT, Admin, Config};
use crate::role::Role;

/// The listeners of a configuration, open.
#[derive(Debug)]
pub struct Listeners {
    /// For OTLP; `None` only where it could not be put into force after a reload.
    pub otlp: Option<Bound>,
    /// For the admin endpoint, if it is on.
    pub admin: Option<Door>,
}

impl Listeners {
    /// Opens what is configured. A taken port is an error where it was configured, and a loud warning where it is
    /// only the default. A destination that is one of these listeners is an error.
    pub fn open(config: &Config) -> Result<Self> {
        let (otlp, off) = bind_otlp(config.probes.otlp.clone(), is_bearable(config.role))?;
        for error in off {
            warn!(
                %error,
                "this OTLP listener is off, because its default port is taken; set probes.otlp to choose another"
            );
        }
        refuse_loops(config, &ports_of(&otlp))?;
        Ok(Self { otlp: Some(otlp), admin: open_admin(&config.admin)? })
    }

    /// Opens what can be opened, and says what cannot: measuring goes on without.
    pub fn open_what_opens(config: &Config) -> Self {
        let otlp = match bind_otlp(config.probes.otlp.clone(), |_| true) {
            Ok((bound, off)) => {
                for error in off {
                    error!(%error, "this OTLP listener is off until the next reload");
                }
                Some(bound)
            }
            Err(error) => {
                error!(%error, "the OTLP listeners are off until the next reload");
                None
            }
        };
        let admin = open_admin(&config.admin).unwrap_or_else(|error| {
            error!("the admin endpoint is off until the next reload: {error:#}");
            None
        });
        Self { otlp, admin }
    }

    /// Finds out whether `open` would succeed once the listeners at `held`, which are our own, are closed. Nothing
    /// stays open.
    pub fn rehearse(config: &Config, held: &[Place]) -> Result<()> {
        let mut trial = config.probes.otlp.clone();
        let mut own = Vec::new();
        let (grpc, http) = (&mut trial.grpc, &mut trial.http);
        for (enabled, listen) in [(&mut grpc.enabled, &mut grpc.listen), (&mut http.enabled, &mut http.listen)] {
            if *enabled {
                own.extend(yield_to(held, listen));
                // A socket of ours can be opened again; there is none beside it to try.
                *enabled = !held_socket(held, listen);
            }
        }
        let (bound, _off) = bind_otlp(trial, is_bearable(config.role))?;
        own.extend(ports_of(&bound));
        refuse_loops(config, &own)?;
        let mut listen = config.admin.listen.to_string();
        if yield_to(held, &mut listen).is_empty() {
            open_admin(&config.admin)?;
        } else if config.admin.enabled {
            guard_of(&config.admin)?;
        }
        Ok(())
    }

    /// Where all of them are.
    pub fn places(&self) -> Vec<Place> {
        let admin = self.admin.as_ref().and_then(|door| door.listener.place());
        self.otlp.iter().flat_map(places_of).chain(admin).collect()
    }
}

fn places_of(bound: &Bound) -> Vec<Place> {
    let otlp::Addresses { grpc, http } = bound.addresses();
    grpc.into_iter().chain(http).collect()
}

fn ports_of(bound: &Bound) -> Vec<SocketAddr> {
    places_of(bound).iter().filter_map(Place::tcp).collect()
}

fn held_socket(held: &[Place], listen: &str) -> bool {
    Place::unix_path(listen).is_some_and(|path| held.contains(&Place::Unix(path.to_owned())))
}

/// Where `listen` is one of our own listeners, puts any free port of the same address in its place, and returns what
/// it was.
fn yield_to(held: &[Place], listen: &mut String) -> Vec<SocketAddr> {
    // What does not resolve fails when it is opened, with its key.
    let mut ours: Vec<SocketAddr> = listen.to_socket_addrs().into_iter().flatten().collect();
    ours.retain(|wanted| held.iter().filter_map(Place::tcp).any(|held| overlap(held, *wanted)));
    if !ours.is_empty()
        && let Some((host, _port)) = listen.rsplit_once(':')
    {
        *listen = format!("{host}:0");
    }
    ours
}

fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && (is_any || one.ip() == other.ip())
}

fn open_admin(config: &Admin) -> Result<Option<Door>> {
    if !config.enabled {
        return Ok(None);
    }
    let guard = Arc::new(guard_of(config)?);
    // Whether it is guarded enough for its address was told with the configuration.
    match Listener::open("admin", "admin.listen", &config.listen.to_string(), true) {
        Ok(listener) => Ok(Some(Door { listener, guard })),
        Err(OpenError::AddressInUse { .. }) if config.listen == ADMIN_DEFAULT => {
            warn!(address = %ADMIN_DEFAULT, "the admin endpoint is off: its default port is taken; set admin.listen");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// What the admin endpoint asks for.
pub fn guard_of(config: &Admin) -> Result<Guard, GuardError> {
    Guard::new("admin", &config.tls, config.bearer_token_file.as_deref(), &["http/1.1"])
}

/// Binds the OTLP listeners. One that fails in a way that is `bearable` is off, and the reasons come back.
fn bind_otlp(
    mut config: otlp::Config,
    bearable: impl Fn(&BindError) -> bool,
) -> Result<(Bound, Vec<BindError>), BindError> {
    let mut off = Vec::new();
    loop {
        let error = match otlp::bind(&config) {
            Ok(bound) => return Ok((bound, off)),
            Err(error) => error,
        };
        let enabled = match listener_of(&error) {
            Some((Protocol::Grpc, _)) if bearable(&error) => &mut config.grpc.enabled,
            Some((Protocol::Http, _)) if bearable(&error) => &mut config.http.enabled,
            _ => return Err(error),
        };
        if !std::mem::replace(enabled, false) {
            return Err(error);
        }
        off.push(error);
    }
}

#[derive(Clone, Copy)]
enum Protocol {
    Grpc,
    Http,
}

/// The listener that an error is about, and its address.
fn listener_of(error: &BindError) -> Option<(Protocol, &str)> {
    let BindError::Open(error) = error else { return None };
    let (key, address) = error.address();
    let listener = if key.contains("grpc") { Protocol::Grpc } else { Protocol::Http };
    Some((listener, address))
}

/// An agent that measures nothing is of no use without its listeners.
fn is_bearable(role: Role) -> impl Fn(&BindError) -> bool {
    move |error| role.measures() && is_taken_default(error)
}

fn is_taken_default(error: &BindError) -> bool {
    let default = otlp::Config::default();
    matches!(error, BindError::Open(OpenError::AddressInUse { .. }))
        && match listener_of(error) {
            Some((Protocol::Grpc, address)) => address == default.grpc.listen,
            Some((Protocol::Http, address)) => address == default.http.listen,
            None => false,
        }
}

/// A destination that is this agent's own receiver would get everything back for ever. One that only a name or an address
/// of another network leads back is found when its first request comes.
fn refuse_loops(config: &Config, own: &[SocketAddr]) -> Result<()> {
    let own = with_every_address(own, &local_addresses(&HostRoot::new("/")));
    let back = |(table, destination)| loops_back(&destination, &own).map(|endpoint| (table, endpoint));
    match config.exporters.all_otlp().find_map(back) {
        Some((table, endpoint)) => bail!(
            "{table}: the endpoint {endpoint} is this agent's own receiver; name your collector's address, or \
             give probes.otlp another port"
        ),
        None => Ok(()),
    }
}

/// `own`, and what listens on all addresses once for each of `local`.
fn with_every_address(own: &[SocketAddr], local: &[IpAddr]) -> Vec<SocketAddr> {
    let on_all = own.iter().filter(|address| address.ip().is_unspecified());
    let each = on_all.flat_map(|address| local.iter().map(|ip| SocketAddr::new(*ip, address.port())));
    own.iter().copied().chain(each).collect()
}

/// The addresses of this agent's own network: those of IPv4 as the routing table tells them, a line with the address and
/// behind it one that says that it is local, and those of IPv6.
fn local_addresses(root: &HostRoot) -> Vec<IpAddr> {
    let routes = root.read("proc/net/fib_trie").unwrap_or_default();
    let lines = routes.lines().zip(routes.lines().skip(1)).filter(|(_, next)| next.contains("/32 host LOCAL"));
    let four = lines.filter_map(|(line, _)| line.trim().strip_prefix("|-- ")?.parse().ok());
    let interfaces = root.read("proc/net/if_inet6").unwrap_or_default();
    let six = interfaces.lines().filter_map(|line| u128::from_str_radix(line.split_whitespace().next()?, 16).ok());
    let mut local: Vec<IpAddr> = four.chain(six.map(|bits| IpAddr::V6(bits.into()))).collect();
    // The routing table holds each address more than once.
    local.sort_unstable();
    local.dedup();
    local
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn config(http: &str) -> Config {
        let mut config = Config::default();
        config.admin.enabled = false;
        config.probes.otlp.grpc.enabled = false;
        http.clone_into(&mut config.probes.otlp.http.listen);
        config
    }

    #[test]
    fn our_own_port_is_free_in_a_rehearsal_and_anothers_is_not() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let config = config(&address.to_string());
        assert!(Listeners::rehearse(&config, &[Place::Tcp(address)]).is_ok());
        let error = format!("{:#}", Listeners::rehearse(&config, &[]).unwrap_err());
        assert!(error.contains(&address.to_string()), "{error}");
    }

    #[test]
    fn a_rehearsal_finds_a_loop_through_a_port_that_is_ours() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let mut config = config(&address.to_string());
        let endpoint = format!("http://{address}");
        config.exporters.otlp.push(wattline_export_otlp::Config { endpoint, ..Default::default() });
        let error = Listeners::rehearse(&config, &[Place::Tcp(address)]).unwrap_err().to_string();
        assert!(error.contains("own receiver"), "{error}");
    }

    #[test]
    fn an_address_of_the_machine_is_our_own_where_we_listen_on_all() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("proc/net")).unwrap();
        let routes = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.0.0.7\n        \
                      /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\nLocal:\n     |-- 10.0.0.7\n        \
                      /32 host LOCAL\n";
        std::fs::write(folder.path().join("proc/net/fib_trie"), routes).unwrap();
        let interfaces = "fe800000000000000000000000000001 02 40 20 80 eth0\n";
        std::fs::write(folder.path().join("proc/net/if_inet6"), interfaces).unwrap();
        let local = local_addresses(&HostRoot::new(folder.path()));
        assert_eq!(local, ["10.0.0.7", "fe80::1"].map(|address| address.parse::<IpAddr>().unwrap()));

        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let own = with_every_address(&[address("0.0.0.0:4318"), address("127.0.0.1:4317")], &local);
        let expected = ["0.0.0.0:4318", "127.0.0.1:4317", "10.0.0.7:4318", "[fe80::1]:4318"].map(address);
        assert_eq!(own, expected);
    }

    #[test]
    fn what_cannot_be_opened_is_off_and_the_rest_is_on() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let _holder = TcpListener::bind(taken).unwrap();
        let mut config = config(&taken.to_string());
        config.probes.otlp.grpc = otlp::GrpcConfig { enabled: true, listen: "127.0.0.1:0".to_owned() };
        assert!(Listeners::open(&config).is_err());
        assert_eq!(Listeners::open_what_opens(&config).places().len(), 1);
    }

    #[test]
    fn a_default_port_that_is_taken_is_bearable_only_for_who_measures() {
        let address = otlp::Config::default().http.listen;
        let taken: BindError = OpenError::AddressInUse { key: "probes.otlp.http.listen", address }.into();
        let bearable = [Role::Node, Role::Sidecar, Role::Gateway].map(|role| is_bearable(role)(&taken));
        assert_eq!(bearable, [true, false, false]);
    }
}
