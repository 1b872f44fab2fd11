//! A line from one server to the database, which a test can cut and mend.

use alter_testkit::TestServer;
use tokio::{
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};

/// The line; whole at first.
#[derive(Debug)]
pub(crate) struct Line {
    /// The database's URL over this line.
    pub(crate) url: String,
    is_cut: watch::Sender<bool>,
}

impl Line {
    /// Lays a line to the server's PostgreSQL database.
    pub(crate) async fn to(server: &TestServer) -> Self {
        let mut url = url::Url::parse(&server.postgres().expect("PostgreSQL").url).unwrap();
        let socket = url.query_pairs().find(|(name, _)| name == "host").unwrap().1.into_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_query(None);
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let (is_cut, state) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, format!("{socket}/.s.PGSQL.5432"), state.clone()));
            }
        });
        Self { url: url.into(), is_cut }
    }

    /// Ends every connection, and lets no new one through.
    pub(crate) fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Lets new connections through.
    pub(crate) fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

async fn carry(mut near: TcpStream, socket: String, mut state: watch::Receiver<bool>) {
    if *state.borrow() {
        return;
    }
    let mut far = UnixStream::connect(socket).await.unwrap();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        _ = state.wait_for(|cut| *cut) => {}
    }
}
