//! The relay as others see it: programs and libraries that share no line with it, each against a real relay over real
//! sockets. What they are told to expect is what the specification and the README promise.
//!
//! ```text
//!  nghttp2       nghttp, h2load             HTTP/2 on TLS and on the plain listener, HTTP/1.1 under load
//!  curl          curl                       both versions, ALPN, bodies, a HELLO
//!  h2_crate      the `h2` crate's client    multiplexing, windows, a whole session, the relay's farewell
//!  openssl       openssl s_client           what TLS is offered, and what is refused with which alert
//!  schemathesis  schemathesis               every call of the OpenAPI document, by requests made of the document
//! ```
//!
//! The WebSocket client that is not ours (tungstenite) stands in `tests/websocket.rs`, the browser in `tests/operator`.

mod curl;
mod h2_crate;
mod nghttp2;
mod openssl;
mod schemathesis;
mod tool;
