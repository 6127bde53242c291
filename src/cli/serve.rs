//! `tuman serve`: runs the collector until it is told to stop.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use anyhow::Result;
use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::{ConfigArgs, output};
use crate::app::{App, Declared, Listeners};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, LogFormat};
use crate::store::Store;
use crate::{control, metrics};

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
}

pub(super) fn run(args: &ServeArgs) -> Result<ExitCode> {
    let flags = args.listen.iter().map(|listen| ("server.listen".to_owned(), format!("\"{listen}\"")));
    let config = args.config.load(flags.collect())?;
    log(&config);
    let declared = Declared::read(&config)?;
    let store = App::open_store(&config)?;
    let json = args.json;
    actix_web::rt::System::new().block_on(async move {
        let ready = |listeners: &Listeners| {
            if json {
                output::line(&json!({ "public": listeners.public, "internal": listeners.internal }).to_string());
            } else {
                output::line(&format!("Collecting on http://{}", listeners.public));
            }
        };
        serve(config, declared, store, ready).await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Serves until SIGTERM or SIGINT; everything that was accepted is on disk when this returns.
pub(super) async fn serve(
    config: Config,
    declared: Declared,
    store: Arc<dyn Store>,
    ready: impl FnOnce(&Listeners),
) -> Result<()> {
    metrics::recorder();
    let app = Arc::new(App::open(config, declared, store, Arc::new(SystemClock))?);
    app.record_start()?;
    let mut loading = actix_web::rt::spawn(app.loader.clone().run());
    let control = control::listen(&app.config.paths.data)?;
    let listeners = Listeners::bind(&Data::from(app.clone()))?;
    let handles = listeners.handles();
    let mut commands = actix_web::rt::spawn(control::serve(control, app.clone()));
    let sealer = app.config.seal.scheduled.then(|| app.sealer.clone());
    let mut sealing = actix_web::rt::spawn(async move {
        match sealer {
            Some(sealer) => sealer.run().await,
            None => std::future::pending().await,
        }
    });
    actix_web::rt::spawn(forget(app.clone()));
    actix_web::rt::spawn(recover(app.clone()));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    ready(&listeners);
    let [public, internal] = listeners.servers;
    let public = actix_web::rt::spawn(public);
    actix_web::rt::spawn(internal);
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tracing::info!("collecting");
    // A part that ends by itself has met a bug. What is accepted is safe; whoever started the process starts it anew.
    let ended = loop {
        tokio::select! {
            _ = terminate.recv() => break None,
            _ = interrupt.recv() => break None,
            _ = &mut loading => break Some("the loader"),
            _ = &mut sealing => break Some("the sealer"),
            _ = &mut commands => break Some("the control socket"),
            _ = hangup.recv() => match reload(&app).await {
                Ok(()) => tracing::info!("catalogues and tokens were read anew"),
                Err(error) => tracing::error!("the old catalogues and tokens stay: {error:#}"),
            },
        }
    };
    tracing::info!("stopping");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    let [stop_public, stop_internal] = handles;
    stop_public.stop(true).await;
    let _ = public.await;
    app.close((ended != Some("the loader")).then_some(loading)).await;
    stop_internal.stop(false).await;
    // The control socket is of use to nobody now.
    let _ = std::fs::remove_file(control::socket(&app.config.paths.data));
    tracing::info!("stopped");
    ended.map_or(Ok(()), |part| Err(anyhow::anyhow!("{part} ended by itself; why is in the log")))
}

async fn reload(app: &Arc<App>) -> Result<()> {
    let app = app.clone();
    tokio::task::spawn_blocking(move || app.reload()).await?
}

/// Forgets reports after 48 hours.
async fn forget(app: Arc<App>) {
    loop {
        tokio::time::sleep(Duration::from_secs(600)).await;
        let app = app.clone();
        let forgotten = tokio::task::spawn_blocking(move || app.seen.expire(app.clock.now_ms())).await;
        if let Ok(Err(error)) = forgotten {
            tracing::warn!(%error, "old reports cannot be forgotten");
        }
    }
}

/// Books what an erasure that was cut short has left unbooked.
async fn recover(app: Arc<App>) {
    if let Err(error) = app.withdrawals.recover().await {
        tracing::warn!(%error, "an interrupted erasure is not booked yet; `tuman doctor` tries again");
    }
}

/// No core dump: it would hold keys and identifiers. And files for this user alone, whatever makes them.
pub(super) fn harden() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = rustix::process::setrlimit(rustix::process::Resource::Core, none) {
        tracing::warn!(%error, "core dumps cannot be turned off");
    }
    #[cfg(target_os = "linux")]
    {
        // Also closes /proc/<pid>/mem to other processes of this user.
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }
}

/// Logs go to the error output.
pub(super) fn log(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log.filter).unwrap_or_default();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A line that cannot be written is lost: it must not take a thread with it.
    let subscriber = subscriber.with_ansi(std::io::stderr().is_terminal()).log_internal_errors(false);
    // A second call (the demo's) finds the first one's subscriber, which is the same.
    let _ = match config.log.format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    };
}

/// The machine's clock, for commands.
pub(super) fn now_ms() -> i64 {
    SystemClock.now_ms()
}
