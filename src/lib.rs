//! Tuman: collector of anonymous location and usage statistics from mobile apps.
