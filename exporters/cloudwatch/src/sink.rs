//! Where events go.

use std::fmt;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket};
use tracing::warn;
use wattline_export_delivery::appender::Appender;
use wattline_export_delivery::{Compression, DropReason, Sending, Transport, Verdict};

use crate::emf::Event;
use crate::logs::{LogsTransport, requests};

/// Events in the form in which a sink takes them at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Lines, one datagram, or a request.
    pub bytes: Bytes,
    /// Points in it.
    pub items: u64,
}

/// How the events of a sink are put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Many lines at once.
    Lines,
    /// Each event by itself.
    Datagrams,
    /// Requests for a log group and a log stream.
    Requests {
        /// The log group.
        group: String,
        /// The log stream.
        stream: String,
    },
}

/// Lines are written in pieces of about this size.
const LINES_BYTES: usize = 64 * 1024;

impl Packing {
    /// Puts events together.
    pub fn pack(&self, events: &[Event]) -> Vec<Body> {
        let single = |event: &Event| Body { bytes: event.text.clone().into(), items: event.points };
        match self {
            Self::Lines => lines(events),
            Self::Datagrams => events.iter().map(single).collect(),
            Self::Requests { group, stream } => requests(group, stream, events),
        }
    }
}

fn lines(events: &[Event]) -> Vec<Body> {
    let mut bodies = Vec::new();
    let (mut text, mut items) = (BytesMut::new(), 0);
    for event in events {
        if !text.is_empty() && text.len() + event.text.len() >= LINES_BYTES {
            bodies.push(Body { bytes: text.split().freeze(), items: std::mem::take(&mut items) });
        }
        text.extend_from_slice(event.text.as_bytes());
        text.extend_from_slice(b"\n");
        items += event.points;
    }
    if !text.is_empty() {
        bodies.push(Body { bytes: text.freeze(), items });
    }
    bodies
}

/// The way to where events go.
#[derive(Debug)]
pub(crate) enum Sink {
    /// A file or standard output.
    Lines(Option<Box<Appender>>),
    Udp(SocketAddr),
    Tcp(SocketAddr, Option<TcpStream>),
    Logs(Box<LogsTransport>),
}

impl Transport for Sink {
    fn send(&mut self, body: Bytes, _never_compressed: Compression) -> Sending<'_> {
        Box::pin(self.deliver(body))
    }

    /// What was written should survive a power cut.
    fn close(&mut self) {
        if let Self::Lines(Some(appender)) = self
            && let Err(error) = appender.sync()
        {
            warn!(%error, "the last events may not survive a power cut");
        }
    }
}

impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lines(_) => f.write_str("lines"),
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Tcp(address, _) => write!(f, "tcp://{address}"),
            Self::Logs(_) => f.write_str("CloudWatch Logs"),
        }
    }
}

impl Sink {
    /// Sends a body once. The caller bounds the time.
    async fn deliver(&mut self, body: Bytes) -> Verdict {
        let sent = match self {
            Self::Lines(appender) => append(appender, body).await,
            Self::Udp(address) => datagram(*address, &body).await,
            Self::Tcp(address, stream) => write(*address, stream, &body).await,
            Self::Logs(transport) => return transport.send(body).await,
        };
        match sent {
            Ok(()) => Verdict::Delivered { rejected: 0, message: String::new() },
            Err(error) if error.raw_os_error() == Some(MESSAGE_TOO_LONG) => {
                Verdict::Refused { reason: DropReason::TooLarge, cause: error.to_string() }
            }
            Err(error) => Verdict::Retry { after: None, cause: error.to_string() },
        }
    }
}

/// `EMSGSIZE` of Linux.
const MESSAGE_TOO_LONG: i32 = 90;

/// Files block, so that they are written on a thread for that.
async fn append(place: &mut Option<Box<Appender>>, body: Bytes) -> std::io::Result<()> {
    let Some(mut appender) = place.take() else { return Err(std::io::ErrorKind::BrokenPipe.into()) };
    let written = tokio::task::spawn_blocking(move || {
        let result = appender.append(&body);
        (appender, result)
    });
    let (appender, result) = written.await.map_err(std::io::Error::other)?;
    *place = Some(appender);
    result
}

/// Whether anybody listens is told by the next datagram, if at all.
async fn datagram(address: SocketAddr, body: &[u8]) -> std::io::Result<()> {
    let own: SocketAddr = if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0; 16], 0).into() };
    let socket = UdpSocket::bind(own).await?;
    socket.connect(address).await?;
    socket.send(body).await.map(|_whole| ())
}

/// What was written may still be lost with the reader: it acknowledges nothing. A connection that the reader has closed
/// is noticed before the next event.
async fn write(address: SocketAddr, place: &mut Option<TcpStream>, body: &[u8]) -> std::io::Result<()> {
    let mut stream = match place.take().filter(is_open) {
        Some(stream) => stream,
        None => TcpStream::connect(address).await?,
    };
    stream.write_all(body).await?;
    *place = Some(stream);
    Ok(())
}

/// The reader never answers: whatever can be read is its end.
fn is_open(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}
