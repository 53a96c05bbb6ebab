//! The bytes of one connection, and the only place that knows sockets.
//!
//! It does not know what the bytes mean. Encryption belongs here: a TLS session sits between these
//! methods and the socket, and nothing above notices.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use crate::options::Limits;

/// One TCP connection, usable from several threads: one reads, one at a time writes, any closes.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: Socket,
}

impl Stream {
    /// A socket that [`connect`](Self::connect) can use, made beforehand so that another thread can
    /// already close it.
    pub(crate) fn unconnected(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        Ok(Self { socket })
    }

    /// Takes over a connection that somebody opened to us.
    pub(crate) fn accepted(socket: Socket) -> Self {
        Self { socket }
    }

    /// Connects within the deadline and sets the options.
    pub(crate) fn connect(&self, address: SocketAddr, limits: &Limits) -> io::Result<()> {
        self.socket.connect_timeout(&address.into(), limits.connect_deadline)?;
        self.configure(limits)
    }

    /// Small writes leave at once, and a dead other end is noticed (N8).
    pub(crate) fn configure(&self, limits: &Limits) -> io::Result<()> {
        self.socket.set_tcp_nodelay(true)?;
        self.socket.set_write_timeout(Some(limits.write_deadline))?;
        let part = u64::from(limits.keepalive_interval.subsec_nanos() > 0);
        let interval = Duration::from_secs(limits.keepalive_interval.as_secs().saturating_add(part));
        let keepalive = TcpKeepalive::new().with_time(interval);
        #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
        let keepalive = keepalive.with_interval(interval).with_retries(KEEPALIVE_PROBES);
        self.socket.set_tcp_keepalive(&keepalive)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        self.socket.set_tcp_user_timeout(Some(limits.write_deadline))?;
        Ok(())
    }

    /// Waits for bytes, for ever if need be; zero means the other end has closed.
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        retry(|| (&self.socket).read(into))
    }

    /// Fills `into` before the deadline, or fails with `TimedOut`, `WouldBlock` or `UnexpectedEof`.
    pub(crate) fn read_exact_until(&self, mut into: &mut [u8], deadline: Instant) -> io::Result<()> {
        while !into.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.socket.set_read_timeout(Some(left))?;
            match self.read(into)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => into = &mut into[read..],
            }
        }
        self.socket.set_read_timeout(None)
    }

    /// Writes what the socket takes at once; never waits. Zero means that it is full.
    #[cfg(unix)]
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match retry(|| self.socket.send_with_flags(bytes, libc::MSG_DONTWAIT | NO_SIGNAL)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }

    /// Without a flag for it, the sender's own thread does all writing.
    #[cfg(not(unix))]
    pub(crate) fn try_write(&self, _bytes: &[u8]) -> io::Result<usize> {
        Ok(0)
    }

    /// Writes all, waiting at most the write deadline for each bit of progress.
    pub(crate) fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match retry(|| self.socket.send_with_flags(bytes, NO_SIGNAL))? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => bytes = &bytes[written..],
            }
        }
        Ok(())
    }

    /// Ends reading and writing in all threads; what was written still travels.
    pub(crate) fn close(&self) {
        // Fails only if the connection is gone already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// How many unanswered keep-alive probes end a connection.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
const KEEPALIVE_PROBES: u32 = 3;

/// A write to a closed connection is an error, not a signal, whatever the process does with those.
#[cfg(any(target_os = "linux", target_os = "android"))]
const NO_SIGNAL: i32 = libc::MSG_NOSIGNAL;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const NO_SIGNAL: i32 = 0;

fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
