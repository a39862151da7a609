//! Names that lead inside: no connection is made to where they lead.

use std::net::Ipv4Addr;

use hickory_resolver::proto::op::ResponseCode;

use super::{
    certificates::Valid,
    dns::{Answer, NameServer},
    server::listener,
    *,
};
use crate::{ResolveProblem, address::is_public};

/// Where this machine itself answers, in some of the forms in which a name can say so.
const WAYS_TO_LOOPBACK: [&str; 4] = ["127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0", "::ffff:0.0.0.0"];

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().expect("an address")).collect()
}

/// A server on loopback that nobody may reach, and an egress whose HTTPS port is that server's.
async fn guarded(
    answers: impl Fn(&str, usize) -> Answer + Send + Sync + 'static,
    accepts: fn(IpAddr) -> bool,
) -> (Server, NameServer, World) {
    let inside = Server::tls(Authority::self_signed("inside.test"), |_| Say::ok("a secret")).await;
    let dns = NameServer::start(answers).await;
    let reach = Reach { accepts, port: inside.address.port() };
    let world = World::new(&[], vec![dns.address], reach);
    (inside, dns, world)
}

#[tokio::test]
async fn no_name_leads_inside() {
    let cases: Vec<Vec<&str>> = WAYS_TO_LOOPBACK
        .into_iter()
        .chain(["::1", "::", "169.254.169.254", "100.64.0.1", "10.0.0.1", "192.168.0.1", "172.16.0.1"])
        .chain([
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "::127.0.0.1",
            "fd00::1",
            "fe80::1",
            "fec0::1",
            "255.255.255.255",
        ])
        .map(|address| vec![address])
        .chain([
            vec!["1.1.1.1", "127.0.0.1"],
            vec!["127.0.0.1", "1.1.1.1"],
            vec!["1.1.1.1", "::1"],
            vec!["2606:4700::1111", "127.0.0.1"],
            vec![
                "1.1.1.1", "8.8.8.8", "9.9.9.9", "1.0.0.1", "8.8.4.4", "1.1.1.2", "1.1.1.3", "1.0.0.2",
                "10.0.0.1",
            ],
        ])
        .collect();
    for case in cases {
        let answer = addresses(&case);
        let told = answer.clone();
        let (inside, dns, world) = guarded(move |_, _| Answer::Addresses(told.clone()), is_public).await;
        let fault = world.get("https://inside.test/").await.expect_err("a fault");
        let Fault::NotPublic { host, address } = &fault else { panic!("{case:?}: {fault}") };
        assert_eq!(host, "inside.test");
        assert!(answer.contains(address) && !is_public(*address), "{case:?}: {address}");
        assert_eq!(inside.connections(), 0, "{case:?}");
        assert_eq!(dns.asked().len(), 2, "once for each family");
    }
}

#[tokio::test]
async fn no_alias_leads_inside() {
    let answer = |_: &str, _| Answer::Alias("intranet.test.", addresses(&["127.0.0.1"]));
    let (inside, _dns, world) = guarded(answer, is_public).await;
    let fault = world.get("https://inside.test/").await.expect_err("a fault");
    assert_eq!(fault, Fault::NotPublic { host: "inside.test".into(), address: LOOPBACK });
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn without_the_check_the_counter_counts() {
    for (before, way) in WAYS_TO_LOOPBACK.into_iter().enumerate() {
        let answer = move |_: &str, _| Answer::Addresses(addresses(&[way]));
        let (inside, _dns, world) = guarded(answer, |_| true).await;
        // the server is nobody that we would tell anything
        let fault = world.get("https://inside.test/").await.expect_err("a fault");
        assert!(matches!(fault, Fault::Tls { .. }), "case {before}: {fault}");
        assert_eq!(inside.connections(), 1, "{way}");
    }
    let answer = |_: &str, _| Answer::Alias("intranet.test.", addresses(&["127.0.0.1"]));
    let (inside, _dns, world) = guarded(answer, |_| true).await;
    world.get("https://inside.test/").await.expect_err("a fault");
    assert_eq!(inside.connections(), 1);
}

/// In place of a public address: the tests reach no further than loopback.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Two servers on one port: one outside, by a certificate for the name, and one inside. The name leads outside first, then inside.
async fn rebinding(outside_says: fn(&str) -> Say) -> (Server, Server, NameServer, World) {
    let authority = Authority::new();
    let inside = listener(LOOPBACK, 0).await;
    let port = inside.local_addr().expect("an address").port();
    let certificate = || Some(authority.server("rebind.test", Valid::Now));
    let inside = Server::start(inside, certificate(), |_| Say::ok("a secret"));
    let outside = Server::start(listener(OUTSIDE.into(), port).await, certificate(), outside_says);
    let dns = NameServer::start(|_, before| {
        Answer::Addresses(vec![if before == 0 { OUTSIDE.into() } else { LOOPBACK }])
    });
    let dns = dns.await;
    let reach = Reach { accepts: |address| address == OUTSIDE, port };
    let world = World::of(&authority, &[], vec![dns.address], reach);
    (outside, inside, dns, world)
}

#[tokio::test]
async fn a_name_that_changes_after_its_check_changes_nothing() {
    let (outside, inside, dns, world) = rebinding(|_| Say::ok("public")).await;
    let response = world.get("https://rebind.test/").await.expect("a response");
    assert_eq!(text(&response), "public");
    let asked: Vec<_> = dns.asked().into_iter().map(|(name, _)| name).collect();
    assert_eq!(asked, ["rebind.test.", "rebind.test."], "once for each family, and in no search domain");
    // the next read asks anew, and is told another address
    let fault = world.get("https://rebind.test/").await.expect_err("a fault");
    assert_eq!(fault, Fault::NotPublic { host: "rebind.test".into(), address: LOOPBACK });
    assert_eq!((outside.connections(), inside.connections()), (1, 0));
}

#[tokio::test]
async fn a_name_that_changes_between_hops_is_checked_again() {
    let (outside, inside, _dns, world) = rebinding(|_| Say::redirect(302, "/again")).await;
    let fault = world.get("https://rebind.test/").await.expect_err("a fault");
    assert_eq!(fault, Fault::NotPublic { host: "rebind.test".into(), address: LOOPBACK });
    assert_eq!((outside.connections(), inside.connections()), (1, 0));
}

#[tokio::test]
async fn the_hosts_file_is_checked_like_any_answer() {
    let inside = Server::tls(Authority::self_signed("inside.test"), |_| Say::ok("a secret")).await;
    // it is asked for the other family's addresses
    let dns = NameServer::start(|_, _| Answer::Addresses(Vec::new())).await;
    let names = || {
        let names = Names::new(&[dns.address]).expect("a resolver");
        names.with_hosts_file("127.0.0.1 inside.test\n10.0.0.1 a.test\n")
    };
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("ca.pem");
    std::fs::write(&root, Authority::new().pem()).expect("a file");
    let config = EgressConfig { roots: vec![root], ..EgressConfig::default() };
    let egress = |accepts| {
        let reach = Reach { accepts, port: inside.address.port() };
        Egress::build(&config, names(), reach).expect("an egress")
    };
    let guarded = egress(is_public);
    for (name, address) in [("inside.test", "127.0.0.1"), ("a.test", "10.0.0.1"), ("localhost", "127.0.0.1")]
    {
        let hosts = [name.to_owned()];
        let fault = guarded.fetch(&hosts, &read(&format!("https://{name}/"))).await.expect_err("a fault");
        assert_eq!(
            fault,
            Fault::NotPublic { host: name.into(), address: address.parse().expect("an address") }
        );
    }
    assert_eq!(inside.connections(), 0);
    egress(|_| true).fetch(&listed(), &read("https://inside.test/")).await.expect_err("a fault");
    assert_eq!(inside.connections(), 1);
}

#[tokio::test]
async fn who_has_no_address_is_told_why() {
    let problem = async |answer: Answer| {
        let (inside, _dns, world) = guarded(move |_, _| answer.clone(), |_| true).await;
        let fault = world.get("https://inside.test/").await.expect_err("a fault");
        assert_eq!(inside.connections(), 0);
        let definitive = fault.is_answer();
        let Fault::Resolve { host, problem } = fault else { panic!("{fault}") };
        assert_eq!(host, "inside.test");
        assert_eq!(definitive, problem == ResolveProblem::NoSuchName, "{problem}");
        problem
    };
    assert_eq!(problem(Answer::Code(ResponseCode::NXDomain)).await, ResolveProblem::NoSuchName);
    assert_eq!(problem(Answer::Addresses(Vec::new())).await, ResolveProblem::NoAddress);
    assert_eq!(problem(Answer::Code(ResponseCode::ServFail)).await, ResolveProblem::NoAnswer);
    assert_eq!(problem(Answer::Code(ResponseCode::Refused)).await, ResolveProblem::NoAnswer);
}

#[tokio::test]
async fn silence_garbage_and_forgeries_are_no_answers() {
    let one = async |answer: Answer| {
        let (inside, _dns, world) = guarded(move |_, _| answer.clone(), |_| true).await;
        let fault = world.get("https://inside.test/").await.expect_err("a fault");
        assert!(matches!(fault, Fault::Resolve { .. }), "{fault}");
        assert_eq!(inside.connections(), 0, "{fault}");
        fault
    };
    let silence = one(Answer::Silence);
    let garbage = one(Answer::Garbage(vec![0x81, 0x80, 0xff, 0xff, 0xff]));
    let empty = one(Answer::Garbage(Vec::new()));
    let forged = one(Answer::Forged(vec![LOOPBACK]));
    let (silence, ..) = tokio::join!(silence, garbage, empty, forged);
    assert_eq!(silence, Fault::Resolve { host: "inside.test".into(), problem: ResolveProblem::Silence });
}

#[tokio::test]
async fn the_time_for_a_name_is_part_of_the_reads_time() {
    let (_inside, _dns, world) = guarded(|_, _| Answer::Silence, |_| true).await;
    let fault = world.egress.fetch(&listed(), &bounded("https://inside.test/", 0, 200)).await;
    assert_eq!(fault, Err(Fault::Timeout { ms: 200 }));
}
