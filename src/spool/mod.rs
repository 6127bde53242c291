//! Durable queue between acknowledging a report and storing it.
