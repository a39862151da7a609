//! Bodies that are too large, cut, slow, or not what they claim to be.

use std::{io::Write, time::Instant};

use flate2::{Compression, write::GzEncoder};

use super::*;

const LIMIT: u32 = 10_000;

/// What a read of at most [`LIMIT`] bytes brings from a server that says this.
async fn get(says: impl Fn() -> Say + Send + Sync + 'static) -> Result<HttpResponse, Fault> {
    let server = Server::plain(move |_| says()).await;
    let world = World::opened(&[("a.test", server.address, true)]);
    world.egress.fetch(&listed(), &bounded("https://a.test/", LIMIT, 0)).await
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("a buffer");
    encoder.finish().expect("a buffer")
}

const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
const CHUNKED_GZIP: &[u8] =
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-encoding: gzip\r\n\r\n";

#[tokio::test]
async fn a_body_of_the_limit_is_whole() {
    let whole = get(|| Say::response("200 OK", "", &[b'x'; LIMIT as usize])).await.expect("a response");
    assert_eq!(whole.body.len(), LIMIT as usize);
    let more = get(|| Say::response("200 OK", "", &[b'x'; LIMIT as usize + 1])).await;
    assert_eq!(more, Err(Fault::TooLarge { limit: LIMIT }));
    let whole = get(|| Say::Bytes([CHUNKED, &chunk(&[b'x'; LIMIT as usize]), b"0\r\n\r\n"].concat())).await;
    assert_eq!(whole.expect("a response").body.len(), LIMIT as usize);
}

#[tokio::test]
async fn an_announced_length_above_the_limit_is_refused_at_once() {
    // not one byte of the body comes, ever
    let head = || Say::Hold(b"HTTP/1.1 200 OK\r\ncontent-length: 10001\r\n\r\n".to_vec());
    assert_eq!(get(head).await, Err(Fault::TooLarge { limit: LIMIT }));
    let gzip =
        || Say::Hold(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 99999\r\n\r\n".to_vec());
    assert_eq!(get(gzip).await, Err(Fault::TooLarge { limit: LIMIT }));
}

#[tokio::test]
async fn an_endless_body_ends_at_the_limit() {
    let chunks = || Say::Flood(CHUNKED.to_vec(), chunk(&[b'x'; 1000]));
    assert_eq!(get(chunks).await, Err(Fault::TooLarge { limit: LIMIT }));
    let until_close = || Say::Flood(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 1000]);
    assert_eq!(get(until_close).await, Err(Fault::TooLarge { limit: LIMIT }));
    // compressed, and nothing at all when it is decompressed
    let empty_members = || Say::Flood(CHUNKED_GZIP.to_vec(), chunk(&gzip(b"")));
    assert_eq!(get(empty_members).await, Err(Fault::TooLarge { limit: LIMIT }));
}

#[tokio::test]
async fn a_bomb_does_not_go_off() {
    let bomb = gzip(&vec![0; 5 << 20]);
    assert!(bomb.len() < LIMIT as usize);
    let answer = get(move || Say::response("200 OK", "content-encoding: gzip\r\n", &bomb)).await;
    assert_eq!(answer, Err(Fault::TooLarge { limit: LIMIT }));
}

#[tokio::test]
async fn a_compressed_body_is_hardly_larger_than_the_limit() {
    // members that are nothing when they are decompressed, as many as fit into a kibibyte more than the limit
    let member = gzip(b"");
    let most = (LIMIT as usize + 1024) / member.len();
    let answer = |members: usize| {
        let body = member.repeat(members);
        move || Say::response("200 OK", "content-encoding: gzip\r\n", &body)
    };
    assert_eq!(get(answer(most)).await.expect("a response").body.len(), 0);
    assert_eq!(get(answer(most + 1)).await, Err(Fault::TooLarge { limit: LIMIT }));
}

#[tokio::test]
async fn gzip_is_undone() {
    let body = "a text ".repeat(1000);
    let answer = gzip(body.as_bytes());
    let response = get(move || Say::response("200 OK", "content-encoding: gzip\r\n", &answer)).await;
    assert_eq!(text(&response.expect("a response")), body);
    // a few bytes are more when they are compressed
    let server = Server::plain(|_| Say::response("200 OK", "content-encoding: gzip\r\n", &gzip(b"ab"))).await;
    let world = World::opened(&[("a.test", server.address, true)]);
    let response = world.egress.fetch(&listed(), &bounded("https://a.test/", 2, 0)).await;
    assert_eq!(text(&response.expect("a response")), "ab");
}

#[tokio::test]
async fn a_body_that_is_no_gzip_is_a_fault() {
    let invalid = Err(Fault::Decompression { host: "a.test".into() });
    let plain = get(|| Say::response("200 OK", "content-encoding: gzip\r\n", b"plain text")).await;
    assert_eq!(plain, invalid);
    let whole = gzip(b"a text");
    let cut =
        get(move || Say::response("200 OK", "content-encoding: gzip\r\n", &whole[..whole.len() - 9])).await;
    assert_eq!(cut, invalid);
    for coding in ["br", "zstd", "deflate", "gzip, gzip", "secret"] {
        let headers = format!("content-encoding: {coding}\r\n");
        let answer = get(move || Say::response("200 OK", &headers, b"")).await;
        assert_eq!(answer, Err(Fault::Encoding { host: "a.test".into() }), "{coding}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_fault() {
    let shorter = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort";
    let unfinished = [CHUNKED, &chunk(b"short")].concat();
    let no_size = [CHUNKED, b"xyz\r\n"].concat();
    for bytes in [shorter.to_vec(), unfinished, no_size] {
        let fault = get(move || Say::Bytes(bytes.clone())).await.expect_err("a fault");
        let Fault::Protocol { host, problem } = &fault else { panic!("{fault}") };
        assert_eq!(host, "a.test");
        assert!(problem.starts_with("it breaks off: "), "{fault}");
    }
}

#[tokio::test]
async fn a_slow_body_has_the_reads_time_and_no_more() {
    let slow = || Say::Drip(CHUNKED.to_vec(), chunk(b"x"), Duration::from_millis(20));
    let server = Server::plain(move |_| slow()).await;
    let world = World::opened(&[("a.test", server.address, true)]);
    let begun = Instant::now();
    let fault = world.egress.fetch(&listed(), &bounded("https://a.test/", 0, 400)).await;
    assert_eq!(fault, Err(Fault::Timeout { ms: 400 }));
    assert!(begun.elapsed() >= Duration::from_millis(400) && begun.elapsed() < LONG);
    server.closed(1).await;
}

#[tokio::test]
async fn any_status_is_a_response() {
    for status in [200, 204, 206, 400, 404, 418, 500, 503, 599, 999] {
        let line = format!("{status} Whatever");
        let response = get(move || Say::response(&line, "", b"")).await.expect("a response");
        assert_eq!((response.status, response.content_type, response.body.len()), (status, None, 0));
    }
    let upgrade = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let fault = get(|| Say::Bytes(upgrade.to_vec())).await.expect_err("a fault");
    assert!(matches!(fault, Fault::Protocol { .. }), "{fault}");
}

#[tokio::test]
async fn what_is_no_http_is_a_fault() {
    let headers = "x: y\r\n".repeat(101);
    let endless = || Say::Flood(b"HTTP/1.1 200 OK\r\n".to_vec(), b"x-header: a value\r\n".to_vec());
    let one_header = || Say::Flood(b"HTTP/1.1 200 OK\r\nx-header: ".to_vec(), vec![b'x'; 10_000]);
    for answer in [
        get(|| Say::Bytes(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec())).await,
        get(|| Say::Bytes(Vec::new())).await,
        get(|| Say::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_vec()))
            .await,
        get(move || Say::response("200 OK", &headers, b"")).await,
        get(endless).await,
        get(one_header).await,
        get(|| Say::response("200 OK", "content-type: text/plain\r\ncontent-type: text/html\r\n", b"")).await,
    ] {
        let fault = answer.expect_err("a fault");
        assert!(matches!(&fault, Fault::Protocol { host, .. } if host == "a.test"), "{fault}");
    }
}
