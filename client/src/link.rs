//! A [`Connection`] as it stands on a socket: behind TLS, or plain. Still bytes in and bytes out.
//!
//! Every driver with a socket stands on this; the simulator drives the [`Connection`] itself.

use crate::connection::Connection;
use crate::error::ClientError;
use crate::tls::Tls;

/// A connection and what lies between it and the wire.
#[derive(Debug)]
pub struct Link {
    connection: Connection,
    tls: Option<Box<Handshaking>>,
    plain: Vec<u8>,
}

#[derive(Debug)]
struct Handshaking {
    tls: Tls,
    started: bool,
    checked: bool,
}

impl Link {
    /// Straight onto the wire.
    #[must_use]
    pub fn plain(connection: Connection) -> Self {
        Self {
            connection,
            tls: None,
            plain: Vec::new(),
        }
    }

    /// Through TLS.
    #[must_use]
    pub fn secure(connection: Connection, tls: Tls) -> Self {
        let tls = Some(Box::new(Handshaking {
            tls,
            started: false,
            checked: false,
        }));
        Self {
            connection,
            tls,
            plain: Vec::new(),
        }
    }

    /// The session inside.
    #[must_use]
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Takes bytes from the socket; they are decrypted in place. What TLS has to answer is appended to `out`, an alert
    /// included when the result is an error.
    ///
    /// # Errors
    /// When TLS fails; what CCP-1 finds wrong comes from [`Connection::next_event`].
    pub fn receive(&mut self, bytes: &mut [u8], out: &mut Vec<u8>) -> Result<(), ClientError> {
        let Some(layer) = &mut self.tls else {
            self.connection.receive(bytes);
            return Ok(());
        };
        let connection = &mut self.connection;
        layer.tls.receive(bytes, out, |plain| connection.receive(plain))?;
        if layer.tls.is_ready() && !layer.checked {
            layer.tls.check_alpn(connection.http().alpn())?;
            layer.checked = true;
        }
        if layer.tls.is_closed() {
            connection.disconnected();
        }
        Ok(())
    }

    /// Appends everything that may be sent now to `out`, under TLS in as few records as it fits.
    ///
    /// # Errors
    /// When TLS fails.
    pub fn transmit(&mut self, out: &mut Vec<u8>) -> Result<(), ClientError> {
        let Some(layer) = &mut self.tls else {
            self.connection.transmit(out);
            return Ok(());
        };
        if !layer.started {
            layer.started = true;
            layer.tls.start(out)?;
        }
        if layer.checked {
            self.plain.clear();
            self.connection.transmit(&mut self.plain);
            layer.tls.seal(&self.plain, out)?;
        }
        Ok(())
    }

    /// Says that nothing more will be sent: the end of the body, then TLS' close_notify.
    ///
    /// # Errors
    /// As [`Link::transmit`].
    pub fn close(&mut self, out: &mut Vec<u8>) -> Result<(), ClientError> {
        self.connection.close();
        self.transmit(out)?;
        match &mut self.tls {
            Some(layer) if layer.checked => Ok(layer.tls.close(out)?),
            _ => Ok(()),
        }
    }

    /// The socket ended.
    pub fn disconnected(&mut self) {
        self.connection.disconnected();
    }

    /// Gives spare buffer memory back; for connections that are about to be idle.
    pub fn shrink(&mut self) {
        self.plain = Vec::new();
        self.connection.shrink();
    }
}
