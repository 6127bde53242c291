//! The demo's past: the fleet's reports of past days, taken in by a collector whose clock is driven through them.

use std::sync::Arc;

use anyhow::Result;
use futures_util::stream::{FuturesUnordered, StreamExt};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use super::APP;
use super::fleet::{Fleet, Upload};
use crate::app::{App, Declared};
use crate::clock::{Clock, ManualClock, Zone};
use crate::config::Config;
use crate::ingest::Body;
use crate::store::Store;

/// Reports on their way to a sync at one time.
const AT_ONCE: usize = 512;

/// A stretch of the past.
pub struct History<'a> {
    /// The collector's configuration.
    pub config: &'a Config,
    /// Who posts.
    pub fleet: &'a Fleet,
    /// Where days begin and end.
    pub zone: &'a Zone,
    /// From here.
    pub from: Timestamp,
    /// Up to here.
    pub to: Timestamp,
}

impl History<'_> {
    /// Takes in what the fleet posted, sealing days as their grace ends. Answers how many events were taken.
    ///
    /// # Errors
    /// Where the collector cannot be opened, or a report or seal fails.
    pub async fn run(self, declared: Declared, store: Arc<dyn Store>, each_day: impl Fn(Date)) -> Result<u64> {
        let clock = ManualClock::at(self.from.as_millisecond());
        let app = Arc::new(App::open(self.config.clone(), declared, store, Arc::new(clock.clone()))?);
        let loading = actix_web::rt::spawn(app.loader.clone().run());
        let taken = self.fill(&app, &clock, each_day).await;
        app.close(Some(loading)).await;
        taken
    }

    async fn fill(&self, app: &Arc<App>, clock: &ManualClock, each_day: impl Fn(Date)) -> Result<u64> {
        let zone = self.zone.time_zone();
        let mut taken = 0;
        let mut from = self.from;
        while from < self.to {
            let day = from.to_zoned(zone.clone()).date();
            let midnight = day.saturating_add(1.day()).to_zoned(zone.clone())?.timestamp();
            let to = midnight.min(self.to);
            each_day(day);
            taken += take_all(app, clock, self.fleet.due(from, to, zone)).await?;
            clock.set(to.as_millisecond());
            for due in app.sealer.due().await? {
                app.sealer.seal(due).await?;
            }
            from = to;
        }
        Ok(taken)
    }
}

async fn take_all(app: &Arc<App>, clock: &ManualClock, uploads: impl Iterator<Item = Upload>) -> Result<u64> {
    let mut taken = 0;
    let mut on_their_way = FuturesUnordered::new();
    for upload in uploads {
        if on_their_way.len() >= AT_ONCE
            && let Some(accepted) = on_their_way.next().await
        {
            taken += accepted?;
        }
        // The clock stands at this upload's moment until it is anonymised, which happens when it is first polled.
        let mut upload = Box::pin(async move {
            clock.set(upload.sent_at.as_millisecond());
            debug_assert_eq!(clock.now_ms(), upload.sent_at.as_millisecond());
            let answer = app.ingest.take(APP, Body(upload.body), upload.do_not_track).await?;
            anyhow::Ok(u64::from(answer.accepted))
        });
        match futures_util::poll!(&mut upload) {
            std::task::Poll::Ready(accepted) => taken += accepted?,
            std::task::Poll::Pending => on_their_way.push(upload),
        }
    }
    while let Some(accepted) = on_their_way.next().await {
        taken += accepted?;
    }
    Ok(taken)
}
