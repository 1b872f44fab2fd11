//! The listening loop. Our own, because the limits that keep a slow or greedy client harmless live here (T75): time
//! for the headers, size of the headers, number of connections; and a shutdown that lets what is under way finish.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use crate::stall::Stalling;

/// What one client, and all of them, may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the first byte of a request to the end of its headers.
    pub header_timeout: Duration,
    /// A write that makes no progress for so long ends the connection.
    pub write_stall: Duration,
    /// Bytes of request line and headers that are read at all; the router answers 431 well below.
    pub header_bytes: usize,
    /// Connections at once; further ones wait in the listen queue.
    pub connections: usize,
    /// How long a shutdown waits for requests under way.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            write_stall: Duration::from_secs(30),
            header_bytes: 64 * 1024,
            connections: 4096,
            drain: Duration::from_secs(30),
        }
    }
}

/// Serves until `stop` resolves, then lets requests under way finish within `limits.drain`.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    tokio::pin!(stop);
    loop {
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place.expect("the semaphore is never closed"),
            () = &mut stop => break,
        };
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = &mut stop => break,
        };
        let connection = graceful.watch(connection(stream, router.clone(), &limits));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests still under way after {} s were cut off", limits.drain.as_secs());
    }
}

/// Errors of `accept` (file descriptors used up) pass by themselves: wait a little, go on.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn connection(
    stream: TcpStream,
    router: Router,
    limits: &Limits,
) -> hyper::server::conn::http1::Connection<TokioIo<Stalling<TcpStream>>, TowerToHyperService<Router>> {
    // Small answers to small requests: waiting to fill a packet only adds latency.
    let _only_slower_without = stream.set_nodelay(true);
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes)
        .serve_connection(
            TokioIo::new(Stalling::new(stream, limits.write_stall)),
            TowerToHyperService::new(router),
        )
}
