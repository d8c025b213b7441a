//! The simplest balancer there is: TCP connections in turn to whoever is ready, no second try.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::app::client_without_kept_connections;

/// Between two looks at `/readyz`.
const PROBE: Duration = Duration::from_millis(100);

#[derive(Debug)]
struct Backend {
    address: SocketAddr,
    readyz: String,
    is_ready: AtomicBool,
    is_out: AtomicBool,
}

/// A running balancer; it ends with this value.
pub(crate) struct Balancer {
    pub(crate) url: String,
    backends: Arc<Vec<Backend>>,
    _tasks: JoinSet<()>,
}

impl Balancer {
    /// Of servers at these URLs, each with the URL of its `/readyz`.
    pub(crate) async fn start(servers: &[(String, String)]) -> Self {
        let backend = |(url, readyz): &(String, String)| Backend {
            address: url.rsplit('/').next().unwrap().parse().unwrap(),
            readyz: format!("{readyz}/readyz"),
            is_ready: AtomicBool::new(true),
            is_out: AtomicBool::new(false),
        };
        let backends: Arc<Vec<Backend>> = Arc::new(servers.iter().map(backend).collect());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        for index in 0..backends.len() {
            tasks.spawn(probe(Arc::clone(&backends), index));
        }
        tasks.spawn(accept(listener, Arc::clone(&backends)));
        Self { url, backends, _tasks: tasks }
    }

    /// Whether new connections go there, as of the last look.
    pub(crate) fn uses(&self, index: usize) -> bool {
        let backend = &self.backends[index];
        backend.is_ready.load(Ordering::SeqCst) && !backend.is_out.load(Ordering::SeqCst)
    }

    /// As an orchestrator does before it ends a server: no new connections, whatever it says of itself.
    pub(crate) fn take(&self, index: usize, out: bool) {
        self.backends[index].is_out.store(out, Ordering::SeqCst);
    }
}

async fn probe(backends: Arc<Vec<Backend>>, index: usize) {
    let backend = &backends[index];
    // A connection of its own each time: what is kept says nothing about who listens.
    let client = client_without_kept_connections();
    loop {
        let answer = client.get(&backend.readyz).timeout(Duration::from_secs(10)).send().await;
        let is_ready = answer.is_ok_and(|answer| answer.status() == 200);
        backend.is_ready.store(is_ready, Ordering::SeqCst);
        tokio::time::sleep(PROBE).await;
    }
}

async fn accept(listener: TcpListener, backends: Arc<Vec<Backend>>) {
    let (next, mut connections) = (AtomicUsize::new(0), JoinSet::new());
    loop {
        let accepted = tokio::select! {
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((mut caller, _)) = accepted else { continue };
        let first = next.fetch_add(1, Ordering::SeqCst);
        let turn = (0..backends.len()).map(|step| &backends[(first + step) % backends.len()]);
        let mut ready =
            turn.filter(|one| one.is_ready.load(Ordering::SeqCst) && !one.is_out.load(Ordering::SeqCst));
        let Some(address) = ready.next().map(|backend| backend.address) else { continue };
        connections.spawn(async move {
            let Ok(mut server) = TcpStream::connect(address).await else { return };
            let _ = (caller.set_nodelay(true), server.set_nodelay(true));
            // Whoever ends first ends both ways, as far as it can be told.
            let _ = tokio::io::copy_bidirectional(&mut caller, &mut server).await;
        });
    }
}
