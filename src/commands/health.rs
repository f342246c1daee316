//! `llm-tuner health`: one request to the running server, for container health checks without curl.

use crate::config::Config;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

pub fn run() -> ExitCode {
    match Config::read(|name| std::env::var(name).ok()) {
        Ok(config) => match ask(config.site_addr) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("the server at {} is not healthy: {error}", config.site_addr);
                ExitCode::FAILURE
            }
        },
        Err(errors) => {
            eprintln!("{errors}");
            ExitCode::FAILURE
        }
    }
}

fn ask(mut addr: SocketAddr) -> std::io::Result<()> {
    if addr.ip().is_unspecified() {
        addr.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let timeout = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&addr, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.write_all(b"GET /api/health HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    if answer.ends_with(b" 200") { Ok(()) } else { Err(std::io::Error::other("it did not answer 200")) }
}
