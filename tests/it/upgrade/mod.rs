//! A new version takes over under load: no connection is refused or broken, no 202 is lost.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, kill_process};
use tuman::clock::{Clock, SystemClock};

use crate::harness::{Child, log, on, report, stored, tuman};

const TAKE_OVERS: usize = 3;
const CLIENTS: u64 = 4;

#[test]
fn take_overs_under_load_refuse_no_connection_and_lose_no_202() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tokens = Child::init(folder);
    let key = tokens["app_key"].as_str().unwrap().to_owned();
    let now_ms = SystemClock.now_ms();
    let child = Child::serve(folder);
    let (stop, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let wrong = Arc::new(Mutex::new(Vec::new()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (address, key) = (child.public.clone(), key.clone());
            let (stop, accepted, wrong) = (stop.clone(), accepted.clone(), wrong.clone());
            std::thread::spawn(move || {
                let mut phone = client;
                while !stop.load(Ordering::SeqCst) {
                    phone += CLIENTS;
                    match post(&address, &key, &report().of_phone(phone).times(5).sent(now_ms).json()) {
                        Ok(answer) if answer.starts_with("HTTP/1.1 202") => {
                            accepted.fetch_add(5, Ordering::SeqCst);
                        }
                        other => wrong.lock().unwrap().push(format!("{other:?}")),
                    }
                }
            })
        })
        .collect();
    let starts = || log(folder).matches("collecting").count();
    for take_over in 1..=TAKE_OVERS {
        let goal = accepted.load(Ordering::SeqCst) + 100;
        while accepted.load(Ordering::SeqCst) < goal {
            std::thread::yield_now();
        }
        let pid = Pid::from_raw(i32::try_from(child.pid()).unwrap()).unwrap();
        kill_process(pid, Signal::USR2).unwrap();
        while starts() <= take_over && log(folder).matches("cannot take over").count() == 0 {
            std::thread::yield_now();
        }
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(*wrong.lock().unwrap(), Vec::<String>::new(), "{}", log(folder));
    assert_eq!(starts(), TAKE_OVERS + 1, "{}", log(folder));
    assert!(on(folder, &["doctor"]).status.success(), "{}", log(folder));
    assert_eq!(child.terminate(), Some(0));
    assert_eq!(stored(folder), accepted.load(Ordering::SeqCst), "{}", log(folder));
}

#[test]
fn a_version_that_cannot_run_does_not_take_over() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tokens = Child::init(folder);
    let key = tokens["app_key"].as_str().unwrap();
    let child = Child::serve(folder);
    let file = folder.join("tuman.toml");
    let right = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, right.replace("workers = 2", "workers = \"many\"")).unwrap();
    let pid = Pid::from_raw(i32::try_from(child.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::USR2).unwrap();
    while !log(folder).contains("cannot take over") {
        std::thread::yield_now();
    }
    assert!(log(folder).contains("server.workers"), "{}", log(folder));
    let answer = post(&child.public, key, &report().sent(SystemClock.now_ms()).json()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert_eq!(child.terminate(), Some(0));
}

#[test]
fn a_socket_that_is_handed_over_is_served_from_before_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tokens = Child::init(folder);
    let key = tokens["app_key"].as_str().unwrap().to_owned();
    // As systemd does it: the socket is there before the service.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let early = {
        let address = address.clone();
        std::thread::spawn(move || post(&address, &key, &report().sent(SystemClock.now_ms()).json()))
    };
    let mut command = tuman();
    command.args(["serve", "--json", "--config"]).arg(folder.join("tuman.toml"));
    command.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "public");
    command.fd_mappings(vec![FdMapping { parent_fd: listener.into(), child_fd: 3 }]).unwrap();
    let child = Child::start(command, folder);
    assert_eq!(child.public, address);
    let answer = early.join().unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert_eq!(child.terminate(), Some(0));
}

/// Posts on a connection of its own; what went wrong, if it did.
fn post(address: &str, key: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let head = format!(
        "POST /v1/collect HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
