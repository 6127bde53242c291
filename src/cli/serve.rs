//! `tuman serve`: runs the collector until it is told to stop.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::stop::{Ended, Stopped};
use super::{ConfigArgs, output};
use crate::app::{App, Declared, Unusable};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::listeners::{Inherited, Listeners, Sockets, Successor};
use crate::log::{self, Fault, Line};
use crate::store::Store;
use crate::{control, listeners, metrics, retention};

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Listen here, whatever the configuration says
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Print the addresses as JSON when they are open
    #[arg(long)]
    json: bool,
    /// Read the configuration, the catalogues and the tokens, say what is wrong with them, and end
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &ServeArgs) -> Result<ExitCode> {
    let inherited = Inherited::take()?;
    let flags = args.listen.iter().map(|listen| ("server.listen".to_owned(), format!("\"{listen}\"")));
    let config = args.config.load(flags.collect())?;
    log::start(&config.log);
    let declared = Declared::read(&config)?;
    if args.check {
        output::line("The configuration, the catalogues and the tokens can be used.");
        return Ok(ExitCode::SUCCESS);
    }
    let successor = Successor::of_this_process()?;
    // Before the store is opened, which may take a while: connections wait from here on, they are not refused.
    let sockets = Sockets::open(inherited, &config.server)?;
    let store = App::open_store(&config)?;
    let json = args.json;
    let stopped = actix_web::rt::System::new().block_on(async move {
        let ready = |listeners: &Listeners| {
            if json {
                output::line(&json!({ "public": listeners.public, "internal": listeners.internal }).to_string());
            } else {
                output::line(&format!("Collecting on http://{}", listeners.public));
            }
        };
        serve(config, declared, store, sockets, Some(successor), ready).await
    })?;
    // The runtime has ended by now, and with it the store is closed.
    stopped.end()?;
    Ok(ExitCode::SUCCESS)
}

/// Serves until SIGTERM, SIGINT or, where there is a successor, SIGUSR2; everything that was accepted is on disk when
/// this returns.
pub(super) async fn serve(
    config: Config,
    declared: Declared,
    store: Arc<dyn Store>,
    sockets: Sockets,
    successor: Option<Successor>,
    ready: impl FnOnce(&Listeners),
) -> Result<Stopped> {
    metrics::recorder();
    let app = Arc::new(App::open(config, declared, store, Arc::new(SystemClock))?);
    app.record_start()?;
    let mut loading = actix_web::rt::spawn(app.loader.clone().run());
    let control = control::listen(&app.config.paths.data)?;
    let listeners = Listeners::serve(&Data::from(app.clone()), sockets)?;
    let handles = listeners.handles();
    let mut commands = actix_web::rt::spawn(control::serve(control, app.clone()));
    let sealer = app.config.seal.scheduled.then(|| app.sealer.clone());
    let mut sealing = actix_web::rt::spawn(async move {
        match sealer {
            Some(sealer) => sealer.run().await,
            None => std::future::pending().await,
        }
    });
    actix_web::rt::spawn(retention::run(app.clone()));
    actix_web::rt::spawn(forget(app.clone()));
    actix_web::rt::spawn(recover(app.clone()));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut upgrade = signal(SignalKind::user_defined2())?;
    ready(&listeners);
    let [public, internal] = listeners.servers;
    let public = actix_web::rt::spawn(public);
    actix_web::rt::spawn(internal);
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    Line::Collecting.write();
    // A part that ends by itself has met a bug. What is accepted is safe; whoever started the process starts it anew.
    let mut successor = successor.map(Arc::new);
    let ended = loop {
        tokio::select! {
            _ = terminate.recv() => break Ended::Told,
            _ = interrupt.recv() => break Ended::Told,
            _ = &mut loading => break Ended::Failed("the loader"),
            _ = &mut sealing => break Ended::Failed("the sealer"),
            _ = &mut commands => break Ended::Failed("the control socket"),
            _ = upgrade.recv() => match check(successor.clone()).await {
                Ok(()) => break Ended::Replaced,
                Err(_) => Line::TakeOverRefused.write(),
            },
            _ = hangup.recv() => match reload(&app).await {
                Ok(()) => Line::Reloaded.write(),
                Err(unusable) => Line::ReloadRefused { unusable }.write(),
            },
        }
    };
    let heir = if matches!(ended, Ended::Replaced) { successor.take().zip(Some(listeners.sockets)) } else { None };
    if heir.is_some() {
        Line::TakingOver.write();
    } else {
        Line::Stopping.write();
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    }
    let stopped = Stopped::within(app.config.server.stop_timeout.duration(), heir, &ended);
    let [stop_public, stop_internal] = handles;
    listeners::stop(&stop_public).await;
    let _ = public.await;
    app.close((!matches!(ended, Ended::Failed("the loader"))).then_some(loading)).await;
    stop_internal.stop(false).await;
    // The control socket is of use to nobody now.
    let _ = std::fs::remove_file(control::socket(&app.config.paths.data));
    Line::Stopped.write();
    Ok(stopped)
}

async fn check(successor: Option<Arc<Successor>>) -> Result<()> {
    let successor = successor.context("a demo has no other version")?;
    tokio::task::spawn_blocking(move || successor.check()).await?
}

async fn reload(app: &Arc<App>) -> Result<(), Unusable> {
    let app = app.clone();
    tokio::task::spawn_blocking(move || app.reload()).await.unwrap_or(Err(Unusable::Interrupted))
}

/// Forgets reports after 48 hours.
async fn forget(app: Arc<App>) {
    loop {
        tokio::time::sleep(Duration::from_secs(600)).await;
        let app = app.clone();
        let forgotten = tokio::task::spawn_blocking(move || app.seen.expire(app.clock.now_ms())).await;
        if let Ok(Err(error)) = forgotten {
            Line::ReportsNotForgotten { fault: (&error).into() }.write();
        }
    }
}

/// Books what an erasure that was cut short has left unbooked.
async fn recover(app: Arc<App>) {
    if let Err(error) = app.withdrawals.recover().await {
        Line::ErasureNotBooked { fault: (&error).into() }.write();
    }
}

/// No core dump: it would hold keys and identifiers. And files for this user alone, whatever makes them.
pub(super) fn harden() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = rustix::process::setrlimit(rustix::process::Resource::Core, none) {
        Line::CoreDumpsOn { fault: Fault::from(&std::io::Error::from(error)) }.write();
    }
    #[cfg(target_os = "linux")]
    {
        // Also closes /proc/<pid>/mem to other processes of this user.
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }
}

/// The machine's clock, for commands.
pub(super) fn now_ms() -> i64 {
    SystemClock.now_ms()
}
