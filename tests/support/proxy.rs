//! A TCP proxy whose line can be cut or go silent.

use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    Open,
    /// Connections are closed, new ones too: the other machine is there, the server on it is not.
    Cut,
    /// Nothing comes through and nobody is told: the cable is out. Connections of that time stay dead when the line
    /// is open again, as behind a router that forgot them.
    Silent,
}

pub struct Proxy {
    pub address: SocketAddr,
    line: watch::Sender<Line>,
}

impl Proxy {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (line, state) = watch::channel(Line::Open);
        tokio::spawn(async move {
            // Ends with the runtime of the test.
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, target, state.clone()));
            }
        });
        Self { address, line }
    }

    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

async fn carry(client: TcpStream, target: SocketAddr, mut line: watch::Receiver<Line>) {
    if line.wait_for(|line| *line != Line::Silent).await.is_err() || *line.borrow() == Line::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    // Whichever side ends first takes the other with it.
    tokio::select! {
        () = pump(from_client, to_server, line.clone()) => {}
        () = pump(from_server, to_client, line) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut line: watch::Receiver<Line>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let now = *line.borrow_and_update();
        let read = match now {
            Line::Cut => return,
            Line::Silent => std::future::pending().await,
            Line::Open => tokio::select! {
                read = from.read(&mut buffer) => read,
                changed = line.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            },
        };
        match read {
            Ok(0) | Err(_) => return,
            Ok(count) => {
                if to.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
