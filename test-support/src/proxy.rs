use std::{
    io::{Error, ErrorKind, Result},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    select,
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::sleep,
};

/// A server's other address, where what goes wrong on a network goes wrong on demand.
///
/// It takes what it reads at once for a request or a reply, which holds for clients that ask and
/// wait. Dropped, it ends all its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

/// What a [`Proxy`] does with what it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It sends it on.
    Open,
    /// It sends replies on, and each request after this time.
    Slow(Duration),
    /// It keeps it to itself, until there is another way. Who connects is let in.
    Silent,
}

/// Where a [`Proxy`] ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The server does not get the request.
    BeforeRequest,
    /// The server gets the request, and the client no reply.
    BeforeReply,
}

#[derive(Debug)]
struct Shared {
    control: watch::Sender<Control>,
    /// For whichever connection has the next request.
    cut: Mutex<Option<Cut>>,
    open: AtomicUsize,
}

#[derive(Clone, Debug)]
struct Control {
    upstream: SocketAddr,
    way: Way,
    /// Connections from before are cut.
    generation: u64,
    aside: Arc<Aside>,
}

/// Something that is said on every connection, unknown to its client.
#[derive(Debug, Default)]
struct Aside {
    request: Vec<u8>,
    reply_ends: Vec<u8>,
    heard: AtomicUsize,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            control: watch::Sender::new(Control {
                upstream,
                way: Way::Open,
                generation: 0,
                aside: Arc::default(),
            }),
            cut: Mutex::new(None),
            open: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it carries.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.open.load(SeqCst)
    }

    /// Changes what it does from now on, with what it has kept to itself, too.
    pub fn set(&self, way: Way) {
        self.shared.control.send_modify(|control| control.way = way);
    }

    /// Ends all connections. New ones are as before.
    pub fn cut_all(&self) {
        self.shared
            .control
            .send_modify(|control| control.generation += 1);
    }

    /// Ends the connection that has the next request.
    pub fn cut_next(&self, cut: Cut) {
        *self.shared.cut.lock() = Some(cut);
    }

    /// Takes back what [`cut_next`](Self::cut_next) asked for, if it is still to come.
    pub fn spare(&self) {
        *self.shared.cut.lock() = None;
    }

    /// Whether what [`cut_next`](Self::cut_next) asked for is still to come.
    #[must_use]
    pub fn is_to_cut(&self) -> bool {
        self.shared.cut.lock().is_some()
    }

    /// Leads new connections elsewhere.
    pub fn lead_to(&self, upstream: SocketAddr) {
        self.shared
            .control
            .send_modify(|control| control.upstream = upstream);
    }

    /// Says something to the server on every connection, and keeps the reply, which ends with
    /// these bytes, to itself; says on how many. Nothing else may be on its way.
    pub async fn say_aside(&self, request: &[u8], reply_ends: &[u8]) -> usize {
        let aside = Arc::new(Aside {
            request: request.to_vec(),
            reply_ends: reply_ends.to_vec(),
            heard: AtomicUsize::new(0),
        });
        let connections = self.connections();
        self.shared
            .control
            .send_modify(|control| control.aside = Arc::clone(&aside));
        while aside.heard.load(SeqCst) < connections {
            sleep(Duration::from_millis(1)).await;
        }
        connections
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        select! {
            Ok((client, _)) = listener.accept() => {
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let mut control = shared.control.subscribe();
                    let born = control.borrow_and_update().generation;
                    let mut cut = control.clone();
                    select! {
                        _ = carry(client, &shared, control) => {}
                        _ = cut.wait_for(|control| control.generation != born) => {}
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Counts a connection while it lasts.
struct Open<'a>(&'a AtomicUsize);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

async fn carry(
    mut client: TcpStream,
    shared: &Shared,
    mut control: watch::Receiver<Control>,
) -> Result<()> {
    until_heard(&mut control).await;
    let upstream = control.borrow().upstream;
    let mut server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let mut heard = Arc::clone(&control.borrow_and_update().aside);
    shared.open.fetch_add(1, SeqCst);
    let _open = Open(&shared.open);
    let (mut request, mut reply) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut is_doomed = false;
    loop {
        select! {
            read = client.read(&mut request) => {
                let request = some(&request, read)?;
                until_heard(&mut control).await;
                let way = control.borrow().way;
                if let Way::Slow(time) = way {
                    sleep(time).await;
                }
                match shared.cut.lock().take() {
                    Some(Cut::BeforeRequest) => return Ok(()),
                    Some(Cut::BeforeReply) => is_doomed = true,
                    None => {}
                }
                server.write_all(request).await?;
            }
            read = server.read(&mut reply) => {
                let reply = some(&reply, read)?;
                until_heard(&mut control).await;
                if is_doomed {
                    return Ok(());
                }
                client.write_all(reply).await?;
            }
            Ok(()) = control.changed() => {
                let aside = Arc::clone(&control.borrow().aside);
                if !Arc::ptr_eq(&aside, &heard) {
                    aside.say(&mut server).await?;
                    heard = aside;
                }
            }
        }
    }
}

impl Aside {
    async fn say(&self, server: &mut TcpStream) -> Result<()> {
        server.write_all(&self.request).await?;
        let (mut reply, mut chunk) = (Vec::new(), [0; 1024]);
        while !reply.ends_with(&self.reply_ends) {
            let read = server.read(&mut chunk).await;
            reply.extend_from_slice(some(&chunk, read)?);
        }
        self.heard.fetch_add(1, SeqCst);
        Ok(())
    }
}

/// What was read, unless it was the end.
fn some(buffer: &[u8], read: Result<usize>) -> Result<&[u8]> {
    match read? {
        0 => Err(Error::from(ErrorKind::UnexpectedEof)),
        length => Ok(&buffer[..length]),
    }
}

async fn until_heard(control: &mut watch::Receiver<Control>) {
    // It fails when the proxy is dropped, and then its tasks are.
    let _ = control.wait_for(|control| control.way != Way::Silent).await;
}

#[cfg(test)]
mod tests;
