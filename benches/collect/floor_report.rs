//! A report in plain borrowed types: what reading its JSON costs at the least.

use std::borrow::Cow;
use std::fmt;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

/// Checks that a body is UTF-8 and reads it; answers how many events it holds.
///
/// # Errors
/// Where it is no report.
pub(crate) fn read(body: &[u8]) -> Result<usize> {
    let text = simdutf8::basic::from_utf8(body).context("a body is not UTF-8")?;
    let report: Report<'_> = serde_json::from_str(text)?;
    Ok(std::hint::black_box(&report).events.len())
}

// Fields are read, not used: reading them is what is measured.
#[allow(dead_code)]
#[derive(Deserialize)]
struct Report<'a> {
    report_id: &'a str,
    sent_at: &'a str,
    #[serde(borrow)]
    consent: Consent<'a>,
    device: Device<'a>,
    app: AppVersion<'a>,
    activity: Activity<'a>,
    events: Vec<Event<'a>>,
}

#[allow(dead_code)]
#[derive(Deserialize)]
struct Consent<'a> {
    usage: bool,
    location: bool,
    policy: &'a str,
}

#[allow(dead_code)]
#[derive(Deserialize)]
struct Device<'a> {
    #[serde(borrow)]
    ids: Vec<Identifier<'a>>,
    platform: &'a str,
    os_version: &'a str,
    class: &'a str,
    language: &'a str,
}

#[allow(dead_code)]
#[derive(Deserialize)]
struct Identifier<'a> {
    kind: &'a str,
    value: &'a str,
}

#[allow(dead_code)]
#[derive(Deserialize)]
struct AppVersion<'a> {
    version: &'a str,
}

#[allow(dead_code)]
#[derive(Deserialize)]
struct Activity<'a> {
    first_today: bool,
    first_this_week: bool,
    first_this_month: bool,
    first_ever: bool,
    install_week: &'a str,
}

#[allow(dead_code)]
#[derive(Deserialize)]
struct Event<'a> {
    name: &'a str,
    at: &'a str,
    location: Location,
    #[serde(borrow)]
    props: Properties<'a>,
}

#[allow(dead_code)]
#[derive(Deserialize)]
struct Location {
    lat: f64,
    lon: f64,
}

#[allow(dead_code)]
struct Properties<'a>(Vec<(&'a str, Scalar<'a>)>);

#[allow(dead_code)]
enum Scalar<'a> {
    Bool(bool),
    Number(f64),
    Text(Cow<'a, str>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Properties<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Properties<'a>, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Properties<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("properties")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Properties<'de>, A::Error> {
                let mut pairs = Vec::with_capacity(6);
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Properties(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar<'a>, D::Error> {
        struct One;
        impl<'de> Visitor<'de> for One {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a scalar")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Bool(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Number(value as f64))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Number(value as f64))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Number(value))
            }

            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Borrowed(value)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Owned(value.to_owned())))
            }
        }
        deserializer.deserialize_any(One)
    }
}
