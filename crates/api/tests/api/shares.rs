//! What one address takes leaves the others theirs: half-sent bodies, calls, downloads that nobody reads.

use std::{io::ErrorKind, net::Ipv4Addr, time::Duration};

use countersign_api::Config;
use countersign_types::action::MAX_COMPONENT_BYTES;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

use crate::{
    connections::{PATIENCE, Served, served},
    fake::{Fake, SCRIPT, filled, publication_body, request_body},
};

/// What a client buffers that does not read.
const LITTLE: u32 = 4 << 10;

/// An address of this machine.
fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

async fn connect(served: &Served, from: Ipv4Addr) -> TcpStream {
    connected(served, from, TcpSocket::new_v4().expect("a socket")).await
}

async fn connected(served: &Served, from: Ipv4Addr, socket: TcpSocket) -> TcpStream {
    socket.bind((from, 0).into()).expect("an address of this machine");
    socket.connect(served.address).await.expect("it listens")
}

fn head(method: &str, path: &str, length: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    )
}

/// Everything that comes until the connection ends, however it does.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it ends");
    bytes
}

/// One call from an address: status and body.
async fn ask(served: &Served, from: Ipv4Addr, method: &str, path: &str, body: &str) -> (u16, Vec<u8>) {
    let mut stream = connect(served, from).await;
    let call = head(method, path, body.len()) + body;
    // an answer may come before all is sent
    let _ = stream.write_all(call.as_bytes()).await;
    let answer = rest(&mut stream).await;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer") + 4;
    let status = str::from_utf8(&answer[9..12]).expect("text").parse().expect("a status");
    (status, answer[end..].to_vec())
}

/// Sends so many calls of which one byte of the body comes, and no more; returns those connections that stay open.
async fn half_sent(served: &Served, from: Ipv4Addr, path: &str, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = connect(served, from).await;
        let _ = stream.write_all((head("POST", path, 1_000) + "{").as_bytes()).await;
        streams.push(stream);
    }
    // until as many are answered or closed as there will be: nothing has changed for a while
    let mut quiet = 0;
    while quiet < 10 {
        sleep(Duration::from_millis(100)).await;
        let before = streams.len();
        streams.retain(|stream| {
            stream.try_read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        });
        quiet = if streams.len() < before { 0 } else { quiet + 1 };
    }
    streams
}

/// Begins to fetch the component, and reads no more than the status.
async fn begin_download(served: &Served, from: Ipv4Addr) -> (u16, TcpStream) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(LITTLE).expect("a small buffer");
    let mut stream = connected(served, from, socket).await;
    let path = filled("/v1/actions/{id}/component");
    stream.write_all(head("GET", &path, 0).as_bytes()).await.expect("sent");
    let mut begun = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut begun)).await.expect("in time").expect("an answer");
    (str::from_utf8(&begun[9..]).expect("text").parse().expect("a status"), stream)
}

#[tokio::test]
async fn half_sent_requests_keep_nobody_from_signing() {
    let served = served(Fake::default(), Config::default()).await;
    let mut held = Vec::new();
    for greedy in 1..=4 {
        let open = half_sent(&served, address(greedy), "/v1/requests", 80).await;
        assert_eq!(open.len(), 80, "of one address");
        held.extend(open);
    }
    // more than there are places, of which they have taken none
    assert!(held.len() > Config::default().max_in_flight);
    assert_eq!(ask(&served, address(9), "POST", "/v1/requests", &request_body()).await.0, 200);
    drop(held);
    served.stop().await;
}

#[tokio::test]
async fn one_address_has_a_quarter_of_the_calls() {
    let config = Config { max_in_flight: 8, max_connections_of_address: 7, ..Config::default() };
    let served = served(Fake::gated(), config).await;
    let call = head("POST", "/v1/requests", request_body().len()) + &request_body();
    let mut calls = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&served, address(1)).await;
        stream.write_all(call.as_bytes()).await.expect("sent");
        calls.push(stream);
    }
    served.backend.reached(2).await;
    let (status, said) = ask(&served, address(1), "POST", "/v1/requests", &request_body()).await;
    assert_eq!(status, 429);
    assert!(String::from_utf8_lossy(&said).contains("for one address"), "{said:?}");

    let mut other = connect(&served, address(2)).await;
    other.write_all(call.as_bytes()).await.expect("sent");
    served.backend.reached(3).await;
    served.backend.open();
    for mut stream in calls.into_iter().chain([other]) {
        assert!(rest(&mut stream).await.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    served.stop().await;
}

#[tokio::test]
async fn downloads_that_stand_still_keep_nobody_from_publishing() {
    let served = served(Fake::large(), Config::default()).await;
    let mut downloads = Vec::new();
    for greedy in [1, 1, 2, 2] {
        let (status, stream) = begin_download(&served, address(greedy)).await;
        assert_eq!(status, 200);
        downloads.push(stream);
    }
    let other = address(3);
    assert_eq!(begin_download(&served, other).await.0, 429, "there is no room for another");
    assert_eq!(ask(&served, other, "POST", "/v1/actions", &publication_body()).await.0, 200);
    drop(downloads);
    served.stop().await;
}

/// Takes 11 kB a second, for ever.
async fn trickle(mut stream: TcpStream) {
    let mut bytes = [0; 1_100];
    while stream.read_exact(&mut bytes).await.is_ok() {
        sleep(Duration::from_millis(100)).await;
    }
}

/// Each part of what it is sent is taken in ten seconds, and the whole takes many minutes.
#[tokio::test]
async fn downloads_that_trickle_end() {
    let served = served(Fake::large(), Config::default()).await;
    let begun = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..2 {
        let (status, stream) = begin_download(&served, address(1)).await;
        assert_eq!(status, 200);
        slow.push(tokio::spawn(trickle(stream)));
    }
    while begin_download(&served, address(1)).await.0 != 200 {
        assert!(begun.elapsed() < PATIENCE, "downloads that trickle do not end");
        sleep(Duration::from_millis(200)).await;
    }
    slow.iter().for_each(tokio::task::JoinHandle::abort);
    served.stop().await;
}

#[tokio::test]
async fn transfers_that_stand_still_leave_others_their_places_and_end() {
    let served = served(Fake::large(), Config::default()).await;
    let (greedy, other) = (address(1), address(2));
    let publications = half_sent(&served, greedy, "/v1/actions", 8).await;
    assert_eq!(publications.len(), 8, "they wait for their bodies");
    let begun = Instant::now();
    let mut downloads = Vec::new();
    for _ in 0..2 {
        let (status, stream) = begin_download(&served, greedy).await;
        assert_eq!(status, 200);
        downloads.push(stream);
    }
    assert_eq!(begin_download(&served, greedy).await.0, 429, "half of the places are for one address");

    let component = filled("/v1/actions/{id}/component");
    assert_eq!(ask(&served, greedy, "GET", &filled("/v1/receipts/{digest}"), "").await.0, 200);
    let (status, fetched) = ask(&served, other, "GET", &component, "").await;
    assert_eq!((status, fetched.len()), (200, MAX_COMPONENT_BYTES));
    let script = ask(&served, other, "GET", &filled("/v1/actions/{id}/script"), "").await;
    assert_eq!(script, (200, SCRIPT.as_bytes().to_vec()));
    assert_eq!(ask(&served, other, "POST", "/v1/actions", &publication_body()).await.0, 200);

    // whoever takes nothing is cut off, and its place is free again
    while begin_download(&served, greedy).await.0 != 200 {
        assert!(begun.elapsed() < PATIENCE, "downloads that stand still do not end");
        sleep(Duration::from_millis(200)).await;
    }
    drop((publications, downloads));
    served.stop().await;
}
