//! The floor: a bare axum server that answers with five bytes. It listens through the product's accept loop, with the
//! same limits. What the product costs above the floor is the product's own cost.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::Context;
use axum::{
    Router,
    body::Bytes,
    routing::{get, post},
};
use tokio::net::TcpListener;

/// Serves until it is killed; prints its port first.
pub(crate) async fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    crate::print(&listener.local_addr()?.port().to_string());
    let router = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/sdk/token", post(|_body: Bytes| async { "hello" }));
    alter_server::serve(listener, router, alter_server::Limits::default(), std::future::pending()).await;
    Ok(())
}

/// The floor in a process of its own. Dropping this value ends the process.
pub(crate) struct Floor {
    child: Child,
    pub(crate) port: u16,
}

impl Floor {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("floor")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("the floor did not start")?;
        let output = child.stdout.take().context("its output was piped")?;
        let mut floor = Self { child, port: 0 };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        floor.port = line.trim().parse().context("the floor printed no port")?;
        Ok(floor)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _it_may_have_ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
