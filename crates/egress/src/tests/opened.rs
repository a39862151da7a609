//! Names that an operator opened.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::ConfigProblem;

#[tokio::test]
async fn an_open_name_keeps_its_url() {
    let server = Server::plain(|_| Say::ok("1.5")).await;
    let world = World::opened(&[("a.test", server.address, true)]);
    let response = world.get("https://a.test/prices?of=one").await.expect("a response");
    assert_eq!(text(&response), "1.5");
    let [head] = &server.requests()[..] else { panic!("{:?}", server.requests()) };
    assert!(head.starts_with("get /prices?of=one http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: a.test\r\n"), "{head}");
}

#[tokio::test]
async fn one_open_name_opens_no_other() {
    let server = Server::plain(|_| Say::ok("1.5")).await;
    let world = World::opened(&[("a.test", server.address, true)]);
    for host in ["localhost", "sub.a.test", "a.test.", "b.test"] {
        let hosts = [host.to_owned()];
        let read = bounded(&format!("https://{host}/"), 0, 300);
        world.egress.fetch(&hosts, &read).await.expect_err("a fault");
    }
    assert_eq!(server.connections(), 0);
}

/// Where a test's log goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[test]
fn each_open_name_is_warned_of() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    tracing::subscriber::with_default(subscriber, || {
        let address = "127.0.0.1:8080".parse().expect("an address");
        World::opened(&[("a.test", address, true), ("b.test", address, false)]);
    });
    let text = String::from_utf8(log.0.lock().expect("no panic").clone()).expect("a text");
    let lines: Vec<_> = text.lines().filter(|line| line.contains("test networks only")).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines.iter().all(|line| line.contains("WARN") && line.contains("127.0.0.1:8080")), "{text}");
    assert!(lines[0].contains("a.test") && lines[1].contains("b.test"), "{text}");
}

#[test]
fn a_wrong_configuration_is_no_egress() {
    let address = "127.0.0.1:53".parse().expect("an address");
    let config = EgressConfig { nameservers: vec![address; 9], ..EgressConfig::default() };
    let error = Egress::new(&config).expect_err("too many");
    assert_eq!(
        (error.key.as_str(), error.problem),
        ("egress.nameservers", ConfigProblem::TooMany { got: 9, most: 8 })
    );
    let config =
        EgressConfig { nameservers: vec![address], roots: vec!["none".into()], ..EgressConfig::default() };
    assert_eq!(Egress::new(&config).expect_err("no file").key, "egress.roots[0]");
}

#[test]
fn without_name_servers_the_systems_are_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("ca.pem");
    std::fs::write(&root, Authority::new().pem()).expect("a file");
    let egress = Egress::new(&EgressConfig { roots: vec![root], ..EgressConfig::default() });
    let named = std::fs::read_to_string("/etc/resolv.conf").is_ok_and(|text| text.contains("nameserver"));
    assert_eq!(egress.is_ok(), named, "{egress:?}");
}
