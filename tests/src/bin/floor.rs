//! The least a program can do: bare versions of what Leadsman does, to hold its figures against.
//!
//! - `floor parse DIR`: reads every file and walks the YAML parser's events, nothing else; one thread.
//! - `floor get ADDRESS COUNT IN_FLIGHT [REPOSITORY…]`: sends COUNT requests for tag lists over IN_FLIGHT connections
//!   and reads the answers, nothing else.
//! - `floor write DIR FROM TO THREADS`: replaces the text FROM by TO in every file, writes and syncs it in place.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use granit_parser::Parser;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use leadsman_tests::registry::static_registry::repository;
use tokio::net::TcpStream;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["parse", folder] => parse(Path::new(folder)),
        ["get", address, count, in_flight] => get(address, count.parse()?, in_flight.parse()?),
        ["write", folder, from, to, threads] => write(Path::new(folder), from, to, threads.parse()?),
        _ => bail!("usage: floor parse DIR | get ADDRESS COUNT IN_FLIGHT | write DIR FROM TO THREADS"),
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { open.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    Ok(files)
}

fn parse(folder: &Path) -> Result<()> {
    for path in files(folder)? {
        let text = fs::read_to_string(&path)?;
        for event in Parser::new_from_str(&text) {
            event?;
        }
    }
    Ok(())
}

fn get(address: &str, count: usize, in_flight: usize) -> Result<()> {
    let next = AtomicUsize::new(0);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let connections = (0..in_flight).map(|_| async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            let driver = tokio::spawn(connection);
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= count {
                    break;
                }
                let request = Request::get(format!("/v2/{}/tags/list?n=1000", repository(i)))
                    .header("host", address)
                    .body(Empty::<Bytes>::new())?;
                let answer = sender.send_request(request).await?;
                anyhow::ensure!(answer.status().is_success(), "{} for image {i}", answer.status());
                answer.into_body().collect().await?;
            }
            drop(sender);
            tokio::time::timeout(Duration::from_secs(5), driver).await???;
            Ok::<_, anyhow::Error>(())
        });
        futures_util::future::try_join_all(connections).await
    })?;
    Ok(())
}

fn write(folder: &Path, from: &str, to: &str, threads: usize) -> Result<()> {
    let files = files(folder)?;
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let text = fs::read_to_string(path)?.replace(from, to);
                        let mut file = fs::File::create(path)?;
                        file.write_all(text.as_bytes())?;
                        file.sync_all()?;
                    }
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a thread of the floor does not panic"))
    })
}
