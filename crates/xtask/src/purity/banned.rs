//! Everything that the settings of the pure crates ban, once: clippy must report each of it. It is never built or run.

use std::{
    collections, env, fs, hash, io,
    net::{self, ToSocketAddrs},
    os::unix::{fs as unix, net as unix_net},
    path::Path,
    process, thread, time,
    time::Duration,
};

use rand_core::SeedableRng;

/// Times and places that are not passed in.
pub fn clocks(instant: time::Instant, time: time::SystemTime) {
    let _ = time::Instant::now();
    let _ = instant.elapsed();
    let _ = time::SystemTime::now();
    let _ = time.elapsed();
}

pub fn tasks(_: thread::JoinHandle<()>, _: thread::Builder) {
    thread::spawn(|| ());
    thread::scope(|_| ());
    let _ = thread::available_parallelism();
    thread::sleep(Duration::ZERO);
    thread::park();
    thread::park_timeout(Duration::ZERO);
    thread::yield_now();
}

pub fn processes(_: process::Command) {
    if process::id() == 0 {
        process::exit(0);
    }
    process::abort();
}

pub fn environment() {
    let _ = env::var("");
    let _ = env::var_os("");
    let _ = env::vars();
    let _ = env::vars_os();
    unsafe { env::set_var("", "") };
    unsafe { env::remove_var("") };
    let _ = env::args();
    let _ = env::args_os();
    let _ = env::current_dir();
    let _ = env::set_current_dir("");
    let _ = env::current_exe();
    let _ = env::home_dir();
    let _ = env::temp_dir();
}

pub fn files(file: fs::File, _: fs::OpenOptions, _: fs::DirBuilder) {
    let _ = fs::canonicalize("");
    let _ = fs::copy("", "");
    let _ = fs::create_dir("");
    let _ = fs::create_dir_all("");
    let _ = fs::exists("");
    let _ = fs::hard_link("", "");
    let _ = fs::metadata("").map(|found| fs::set_permissions("", found.permissions()));
    let _ = fs::read("");
    let _ = fs::read_dir("");
    let _ = fs::read_link("");
    let _ = fs::read_to_string("");
    let _ = fs::remove_dir("");
    let _ = fs::remove_dir_all("");
    let _ = fs::remove_file("");
    let _ = fs::rename("", "");
    #[allow(deprecated)]
    let _ = fs::soft_link("", "");
    let _ = fs::symlink_metadata("");
    let _ = fs::write("", "");
    let _ = unix::chown("", None, None);
    let _ = unix::chroot("");
    let _ = unix::fchown(file, None, None);
    let _ = unix::lchown("", None, None);
    let _ = unix::symlink("", "");
}

pub fn paths(path: &Path) {
    let _ = path.canonicalize();
    let _ = path.exists();
    let _ = path.is_dir();
    let _ = path.is_file();
    let _ = path.is_symlink();
    let _ = path.metadata();
    let _ = path.read_dir();
    let _ = path.read_link();
    let _ = path.symlink_metadata();
    let _ = path.try_exists();
}

pub fn sockets(_: net::TcpStream, _: net::TcpListener, _: net::UdpSocket) {
    let _ = ("localhost", 80).to_socket_addrs();
}

pub fn unix_sockets(_: unix_net::UnixStream, _: unix_net::UnixListener, _: unix_net::UnixDatagram) {}

pub fn streams() {
    let _ = io::stdin();
    let _ = io::stdout();
    let _ = io::stderr();
    let _ = io::pipe();
    print!("");
    println!();
    eprint!("");
    eprintln!();
}

pub fn randomness<R: SeedableRng>(_: hash::RandomState, _: rand_core::OsRng) -> R {
    R::from_entropy()
}

pub fn orders(_: collections::HashMap<u8, u8>, _: collections::HashSet<u8>) {}
