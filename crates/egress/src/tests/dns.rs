//! A hostile name server.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

use hickory_resolver::proto::{
    op::{Message, OpCode, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::CNAME},
};
use tokio::{net::UdpSocket, task::JoinSet};

/// What it says of a name.
#[derive(Clone)]
pub(super) enum Answer {
    /// These addresses, each in answer to a question for its family.
    Addresses(Vec<IpAddr>),
    /// Another name, and that name's addresses.
    Alias(&'static str, Vec<IpAddr>),
    /// An error.
    Code(ResponseCode),
    /// Nothing, ever.
    Silence,
    /// These bytes, behind the question's id.
    Garbage(Vec<u8>),
    /// The answer to another question, which was not asked.
    Forged(Vec<IpAddr>),
}

/// Answers over UDP until it is dropped. Nothing that it says may be remembered: the time to live is 0.
pub(super) struct NameServer {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<(String, RecordType)>>>,
    _serving: JoinSet<()>,
}

impl NameServer {
    /// Answers by name, and by how often the name was asked for with this type before.
    pub(super) async fn start(answers: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Self {
        let socket = UdpSocket::bind((super::LOOPBACK, 0)).await.expect("a free port");
        let address = socket.local_addr().expect("an address");
        let asked: Arc<Mutex<Vec<(String, RecordType)>>> = Arc::default();
        let questions = Arc::clone(&asked);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut packet = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                let Some(reply) = reply(&packet[..length], &questions, &answers) else { continue };
                let _ = socket.send_to(&reply, from).await;
            }
        });
        Self { address, asked, _serving: serving }
    }

    /// The names and types that were asked for, in order.
    pub(super) fn asked(&self) -> Vec<(String, RecordType)> {
        self.asked.lock().expect("no panic").clone()
    }
}

fn reply(
    packet: &[u8],
    asked: &Mutex<Vec<(String, RecordType)>>,
    answers: &impl Fn(&str, usize) -> Answer,
) -> Option<Vec<u8>> {
    let message = Message::from_vec(packet).ok()?;
    let query = message.queries.first()?.clone();
    let name = query.name().to_ascii();
    let kind = query.query_type();
    let before = {
        let mut asked = asked.lock().expect("no panic");
        let before = asked.iter().filter(|(other, of)| *other == name && *of == kind).count();
        asked.push((name.clone(), kind));
        before
    };
    let mut reply = Message::response(message.metadata.id, OpCode::Query);
    reply.metadata.recursion_desired = true;
    reply.metadata.recursion_available = true;
    let owner = query.name().clone();
    match answers(name.trim_end_matches('.'), before) {
        Answer::Silence => return None,
        Answer::Garbage(bytes) => return Some([&packet[..2], &bytes[..]].concat()),
        Answer::Code(code) => {
            reply.add_query(query);
            reply.metadata.response_code = code;
        }
        Answer::Addresses(addresses) => {
            reply.add_query(query);
            reply.add_answers(records(&owner, kind, addresses));
        }
        Answer::Alias(alias, addresses) => {
            let alias = Name::from_ascii(alias).expect("a name");
            reply.add_query(query);
            reply.add_answer(Record::from_rdata(owner, 0, RData::CNAME(CNAME(alias.clone()))));
            reply.add_answers(records(&alias, kind, addresses));
        }
        Answer::Forged(addresses) => {
            let other = Name::from_ascii("another.test.").expect("a name");
            reply.add_query(Query::query(other.clone(), kind));
            reply.add_answers(records(&other, kind, addresses));
        }
    }
    Some(reply.to_vec().expect("a message"))
}

fn records(owner: &Name, kind: RecordType, addresses: Vec<IpAddr>) -> Vec<Record> {
    let of_kind = |address: &IpAddr| (kind == RecordType::A) == address.is_ipv4();
    let record = |address| Record::from_rdata(owner.clone(), 0, RData::from(address));
    addresses.into_iter().filter(of_kind).map(record).collect()
}
