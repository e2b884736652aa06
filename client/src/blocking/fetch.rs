//! One REST call over HTTP/1.1, a connection each: enough for `/api/server-info` and for tests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use commucat_crypto::PublicKey;
use serde::Deserialize;

use super::{DriverError, Options, dial, tls_for};
use crate::endpoint::Endpoint;
use crate::http::HttpVersion;
use crate::http1::Http1;
use crate::limits::{FETCH_BODY, READ};
use crate::tls::Tls;

/// What to ask.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// `GET`, `POST`, …
    pub method: &'a str,
    /// With its query.
    pub path: &'a str,
    /// The session token of AUTH.
    pub bearer: Option<&'a str>,
    /// JSON, for methods that have a body.
    pub body: Option<&'a [u8]>,
}

impl<'a> Call<'a> {
    /// A plain GET.
    #[must_use]
    pub const fn get(path: &'a str) -> Self {
        Self {
            method: "GET",
            path,
            bearer: None,
            body: None,
        }
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// What a client needs of `GET /api/server-info` (decisions § 10).
#[derive(Clone, Debug)]
pub struct ServerInfo {
    /// The Noise key to expect.
    pub noise_public: PublicKey,
    /// The relay's own domain.
    pub domain: String,
    /// Protocol versions.
    pub supported_versions: Vec<u32>,
    /// Capabilities that it knows.
    pub capabilities: Vec<String>,
}

#[derive(Deserialize)]
struct WireInfo {
    noise_public: String,
    #[serde(default)]
    domain: String,
    #[serde(default)]
    supported_versions: Vec<u32>,
    #[serde(default)]
    capabilities: Vec<String>,
}

/// Asks the relay who it is.
///
/// # Errors
/// When it does not answer, or not with a Noise key.
pub fn server_info(endpoint: &Endpoint, options: &Options) -> Result<ServerInfo, DriverError> {
    const PATH: &str = "/api/server-info";
    let answer = call(endpoint, options, &Call::get(PATH))?;
    let wrong = |what: String| DriverError::Answer {
        endpoint: endpoint.to_string(),
        path: PATH.to_owned(),
        what,
    };
    if answer.status != 200 {
        return Err(wrong(format!("status {}", answer.status)));
    }
    let info: WireInfo =
        serde_json::from_slice(&answer.body).map_err(|error| wrong(format!("unusable JSON: {error}")))?;
    let noise_public = info
        .noise_public
        .parse()
        .map_err(|_| wrong("a noise_public that is not 64 hexadecimal digits".to_owned()))?;
    Ok(ServerInfo {
        noise_public,
        domain: info.domain,
        supported_versions: info.supported_versions,
        capabilities: info.capabilities,
    })
}

/// Makes one call on a connection of its own.
///
/// # Errors
/// When no whole answer comes within the time limit.
pub fn call(endpoint: &Endpoint, options: &Options, call: &Call<'_>) -> Result<Answer, DriverError> {
    let tls = tls_for(endpoint, &options.trust, HttpVersion::Http1)?;
    let tls = match tls {
        Some(config) => Some(Tls::new(config, endpoint.server_name()?)?),
        None => None,
    };
    let socket = dial(endpoint, options.source, options.timeout)?;
    let exchange = Exchange {
        endpoint,
        path: call.path,
        socket,
        tls,
        deadline: Instant::now() + options.timeout,
    };
    exchange.run(request(endpoint, call), options.timeout)
}

fn request(endpoint: &Endpoint, call: &Call<'_>) -> Vec<u8> {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\naccept: application/json\r\n",
        call.method,
        call.path,
        endpoint.authority()
    );
    if let Some(token) = call.bearer {
        head.push_str(&format!("authorization: Bearer {token}\r\n"));
    }
    if let Some(body) = call.body {
        head.push_str(&format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        ));
    }
    head.push_str("\r\n");
    let mut request = head.into_bytes();
    request.extend_from_slice(call.body.unwrap_or_default());
    request
}

struct Exchange<'a> {
    endpoint: &'a Endpoint,
    path: &'a str,
    socket: TcpStream,
    tls: Option<Tls>,
    deadline: Instant,
}

impl Exchange<'_> {
    fn run(mut self, request: Vec<u8>, timeout: Duration) -> Result<Answer, DriverError> {
        let (mut http, mut body, mut out) = (Http1::call(Vec::new()), Vec::new(), Vec::new());
        let mut request = Some(request);
        let mut buffer = vec![0; READ];
        match &mut self.tls {
            Some(tls) => tls.start(&mut out)?,
            None => out.extend(request.take().unwrap_or_default()),
        }
        loop {
            self.write(&mut out)?;
            let count = self.read(&mut buffer, timeout)?;
            if count == 0 {
                http.disconnected();
            } else {
                self.feed(&mut buffer[..count], &mut out, &mut http, &mut body)?;
            }
            if body.len() > FETCH_BODY {
                return Err(self.wrong(format!("more than {FETCH_BODY} bytes")));
            }
            if let (Some(tls), true) = (&mut self.tls, request.is_some())
                && tls.is_ready()
            {
                tls.seal(&request.take().unwrap_or_default(), &mut out)?;
            }
            let progress = http.progress();
            if progress.cut {
                return Err(self.wrong("an answer that was cut off".to_owned()));
            }
            if progress.ended {
                let status = progress.status.ok_or_else(|| self.wrong("nothing at all".to_owned()))?;
                return Ok(Answer { status, body });
            }
        }
    }

    fn feed(
        &mut self,
        bytes: &mut [u8],
        out: &mut Vec<u8>,
        http: &mut Http1,
        body: &mut Vec<u8>,
    ) -> Result<(), DriverError> {
        let mut result = Ok(());
        match &mut self.tls {
            Some(tls) => {
                tls.receive(bytes, out, |plain| {
                    if result.is_ok() {
                        result = http.receive(plain, body);
                    }
                })?;
                if tls.is_closed() {
                    http.disconnected();
                }
            }
            None => result = http.receive(bytes, body),
        }
        result.map_err(|error| self.wrong(error.to_string()))
    }

    fn write(&mut self, out: &mut Vec<u8>) -> Result<(), DriverError> {
        let written = self.socket.write_all(out);
        out.clear();
        written.map_err(|source| DriverError::Io {
            doing: "write to",
            endpoint: self.endpoint.to_string(),
            source,
        })
    }

    fn read(&mut self, buffer: &mut [u8], timeout: Duration) -> Result<usize, DriverError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let endpoint = || self.endpoint.to_string();
        if left.is_zero() {
            return Err(DriverError::Timeout {
                doing: "a call",
                endpoint: endpoint(),
                after: timeout,
            });
        }
        let result = self
            .socket
            .set_read_timeout(Some(left))
            .and_then(|()| self.socket.read(buffer));
        result.map_err(|source| match source.kind() {
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => DriverError::Timeout {
                doing: "a call",
                endpoint: endpoint(),
                after: timeout,
            },
            _ => DriverError::Io {
                doing: "read from",
                endpoint: endpoint(),
                source,
            },
        })
    }

    fn wrong(&self, what: String) -> DriverError {
        DriverError::Answer {
            endpoint: self.endpoint.to_string(),
            path: self.path.to_owned(),
            what,
        }
    }
}
