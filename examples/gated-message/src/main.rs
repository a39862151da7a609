//! A server that hands out a text to whoever holds a token, as the network's signature shows.

mod challenges;
mod gate;
mod holder;
mod server;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};
use countersign_client::{Client, DerivedKey, RequestSigner};
use example_testnet_folder::{Folder, NetworkArgument};

use crate::{
    holder::Door,
    server::{Handed, Server, Ticket},
};

/// A server that hands out a text to whoever holds a token, as the network's signature shows.
///
/// The server reads no chain and asks no node. It challenges, and hands its text to whoever brings the challenge signed with a key
/// that signs for holders of the token only. The nodes read the balance, each for itself.
#[derive(Parser)]
#[command(name = "example-gated-message", version, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    network: NetworkArgument,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show it all: alice, who holds the token, gets the text; bob, who holds none, does not; nor does a ticket count twice.
    Show,
    /// Run the server until Ctrl-C.
    Serve {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:8480")]
        listen: String,
        /// What to hand out.
        #[arg(long, default_value = "the treasure is under the third palm")]
        message: String,
    },
    /// Get the text from a server.
    Fetch {
        /// The server.
        #[arg(long, default_value = "http://127.0.0.1:8480")]
        server: String,
        /// Whose key signs the request: alice holds tokens, bob holds none.
        #[arg(long = "as", default_value = "alice")]
        person: String,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = arguments.network.open()?;
    match arguments.command {
        Command::Show => show(&folder).await,
        Command::Serve { listen, message } => {
            let server = start(&folder, &listen, message).await?;
            println!("{} hands out its text to holders of {}", server.url, folder.token()?);
            println!("next: example-gated-message fetch --server {} --as alice", server.url);
            server.run().await
        }
        Command::Fetch { server, person } => {
            let is_new = !folder.knows(&person);
            let signer = folder.signer(&person)?;
            if is_new {
                eprintln!(
                    "nobody was called {person} here: a new key was made, {}, which holds no token",
                    signer.address()
                );
            }
            let (_, message) = Door::new(&server)?.fetch(&folder.client()?, &signer).await?;
            println!("{message}");
            Ok(())
        }
    }
}

/// A server whose key signs for holders of the test token. Only the publication needs the network; the key is computed here.
async fn start(folder: &Folder, listen: &str, message: String) -> Result<Server> {
    let action = gate::prepare(folder, &folder.client()?).await?;
    let key = DerivedKey::new(&folder.trust()?, gate::key(action, folder.token()?))?;
    Server::start(listen, key, message).await
}

async fn show(folder: &Folder) -> Result<()> {
    let secret = "the treasure is under the third palm";
    let server = start(folder, "127.0.0.1:0", secret.into()).await?;
    let (client, door) = (folder.client()?, Door::new(&server.url)?);
    println!("{} hands out a text to holders of the token {}", server.url, folder.token()?);

    let alice = folder.signer("alice")?;
    println!("\nalice, {}, holds it:", alice.address());
    let (ticket, message) = door.fetch(&client, &alice).await.context("alice should get the text")?;
    println!("  the nodes read her balance and signed the challenge:");
    println!("    {}", ticket.challenge.replace('\n', "\n    "));
    println!("  the server checked the signature against the key that it computed, and said: {message:?}");
    ensure!(message == secret, "the server said something else");

    println!("\nthe same ticket again:\n  {}", turned_away(&door, &ticket).await?);
    let other = Ticket { challenge: door.challenge().await?, ..ticket };
    println!("the same signature for a new challenge:\n  {}", turned_away(&door, &other).await?);
    bob(folder, &client, &door).await
}

async fn bob(folder: &Folder, client: &Client, door: &Door) -> Result<()> {
    let bob = folder.signer("bob")?;
    println!("\nbob, {}, holds none:", bob.address());
    let challenge = door.challenge().await?;
    println!("  the network does not sign: {}", door.sign(&challenge, client, &bob).await?.refused()?);
    Ok(())
}

async fn turned_away(door: &Door, ticket: &Ticket) -> Result<String> {
    match door.enter(ticket).await? {
        Handed::Refused(why) => Ok(why),
        Handed::Message(_) => bail!("the server handed out its text for a ticket that does not count"),
    }
}
