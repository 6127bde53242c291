//! The listening sockets: opened here, or handed over by systemd or by the process before this one.
//!
//! Guarantees: while a version takes over from another, connections wait in the kernel's queue and none is refused.
//! One process at a time works on the data folder, so that the old one lets go of it before the new one begins: the
//! sockets stay open all that time.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::web::Data;
use actix_web::{App as HttpApp, HttpServer};
use anyhow::{Context, Result};
use command_fds::{CommandFdExt, FdMapping};
use listenfd::ListenFd;

use crate::app::App;
use crate::config::Server as Settings;
use crate::http::{address, routes};

/// Connections that wait to be accepted, at most; the system may have a lower limit (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;
/// The first inherited descriptor, by the protocol of systemd.
const FIRST: i32 = 3;
/// From the last accepted connection until a worker has begun with it.
const ACCEPTED: Duration = Duration::from_millis(200);

/// Both listening sockets.
pub struct Sockets {
    public: TcpListener,
    internal: TcpListener,
}

/// Sockets that this process was started with. Taken once, before anything else is opened.
#[derive(Default)]
pub struct Inherited {
    public: Option<TcpListener>,
    internal: Option<TcpListener>,
}

impl Inherited {
    /// Takes what `LISTEN_FDS` names. One that is called `internal` in `LISTEN_FDNAMES`, or that comes second, is for
    /// health and metrics; the other is for everybody.
    ///
    /// # Errors
    /// Where one is no TCP socket.
    pub fn take() -> Result<Inherited> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut given = ListenFd::from_env();
        let mut inherited = Inherited::default();
        for place in 0..given.len() {
            let listener = given.take_tcp_listener(place).context("a socket that was handed over")?;
            let is_internal = names.next() == Some("internal");
            let slot = if is_internal || inherited.public.is_some() {
                &mut inherited.internal
            } else {
                &mut inherited.public
            };
            anyhow::ensure!(slot.is_none(), "more sockets were handed over than there are listeners");
            *slot = listener;
        }
        Ok(inherited)
    }
}

impl Sockets {
    /// The inherited sockets; those that are missing are opened.
    ///
    /// # Errors
    /// Where an address is in use.
    pub fn open(inherited: Inherited, settings: &Settings) -> Result<Sockets> {
        let public = match inherited.public {
            Some(listener) => listener,
            None => TcpListener::bind(&settings.listen).with_context(|| {
                format!("cannot listen on {}; set server.listen to another address", settings.listen)
            })?,
        };
        let internal = match inherited.internal {
            Some(listener) => listener,
            None => TcpListener::bind(&settings.listen_internal).with_context(|| {
                format!(
                    "cannot listen on {}; set server.listen_internal to another address",
                    settings.listen_internal
                )
            })?,
        };
        for listener in [&public, &internal] {
            listener.set_nonblocking(true)?;
            // A second call changes the length of the queue only.
            rustix::net::listen(listener, BACKLOG)?;
        }
        Ok(Sockets { public, internal })
    }

    fn try_clone(&self) -> Result<Sockets> {
        Ok(Sockets { public: self.public.try_clone()?, internal: self.internal.try_clone()? })
    }
}

/// The listeners of a running app.
pub struct Listeners {
    /// Serves until it is stopped.
    pub servers: [Server; 2],
    /// Where the public one listens.
    pub public: SocketAddr,
    /// Where the internal one listens.
    pub internal: SocketAddr,
    /// The sockets themselves: they stay open when the servers are stopped.
    pub sockets: Sockets,
}

impl Listeners {
    /// Serves an app on its sockets.
    ///
    /// # Errors
    /// Where a socket cannot be used.
    pub fn serve(app: &Data<App>, sockets: Sockets) -> Result<Listeners> {
        let settings = &app.config.server;
        let kept = sockets.try_clone()?;
        let addresses = (sockets.public.local_addr()?, sockets.internal.local_addr()?);
        let (data, connecting) = (app.clone(), app.clone());
        let public = HttpServer::new(move || {
            HttpApp::new()
                .app_data(data.clone())
                .wrap(from_fn(address::limit))
                .wrap(routes::headers())
                .configure(routes::public)
        })
        .workers(settings.workers())
        .max_connections(settings.connections)
        .client_request_timeout(settings.client_timeout.duration())
        .shutdown_timeout((settings.stop_timeout.duration() / 2).as_secs().max(1))
        .disable_signals()
        .on_connect(move |stream, extensions| address::connected(&connecting, stream, extensions))
        .listen(sockets.public)?;
        let data = app.clone();
        let internal = HttpServer::new(move || HttpApp::new().app_data(data.clone()).configure(routes::internal))
            .workers(1)
            .max_connections(settings.connections.min(256))
            .client_request_timeout(settings.client_timeout.duration())
            .shutdown_timeout(1)
            .disable_signals()
            .listen(sockets.internal)?;
        Ok(Listeners {
            servers: [public.run(), internal.run()],
            public: addresses.0,
            internal: addresses.1,
            sockets: kept,
        })
    }

    /// Handles that stop the listeners.
    #[must_use]
    pub fn handles(&self) -> [ServerHandle; 2] {
        [self.servers[0].handle(), self.servers[1].handle()]
    }
}

/// Stops a server when it has answered what it has accepted. Connections that come from now on wait in the kernel.
pub async fn stop(server: &ServerHandle) {
    server.pause().await;
    // A server that is stopped drops connections that no worker has begun with, and does not say when there are none.
    tokio::time::sleep(ACCEPTED).await;
    server.stop(true).await;
}

/// The program as it was started: what takes over when it is told to.
pub struct Successor {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Successor {
    /// The same program, from the same path, with the same arguments. By now there may be another version at that path.
    ///
    /// # Errors
    /// Where the path is not known.
    pub fn of_this_process() -> Result<Successor> {
        let mut arguments = std::env::args_os();
        let named = arguments.next().map(PathBuf::from);
        // As it was named, since a link may lead to another version later; a bare name was looked for in PATH.
        let program = match named.filter(|path| path.components().count() > 1) {
            Some(path) => std::path::absolute(path)?,
            None => std::env::current_exe().context("the path of the program")?,
        };
        Ok(Successor { program, arguments: arguments.collect() })
    }

    /// Tries it: it must run, and find nothing wrong with its configuration. Blocks the thread.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg("--check").env_remove("NOTIFY_SOCKET");
        let done = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
        let status = done.with_context(|| format!("{} does not run", self.program.display()))?;
        anyhow::ensure!(status.success(), "it finds its configuration wrong; what is wrong is above");
        Ok(())
    }

    /// Becomes it: this process goes on as the new program, with the sockets. Everything else must be closed.
    ///
    /// Returns only where that fails: why.
    #[must_use]
    pub fn take_over(&self, sockets: Sockets) -> anyhow::Error {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env("LISTEN_FDS", "2")
            .env("LISTEN_FDNAMES", "public:internal")
            .env("LISTEN_PID", std::process::id().to_string());
        let mapped = command.fd_mappings(vec![
            FdMapping { parent_fd: sockets.public.into(), child_fd: FIRST },
            FdMapping { parent_fd: sockets.internal.into(), child_fd: FIRST + 1 },
        ]);
        match mapped {
            Ok(command) => anyhow::Error::new(command.exec()),
            Err(error) => anyhow::Error::new(error),
        }
        .context(format!("{} does not run", self.program.display()))
    }
}
