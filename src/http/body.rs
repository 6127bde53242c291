//! Reads a request's body: capped as sent, capped again after decompression, wiped when done.
//!
//! Guarantees: no more memory than the room that was taken for it, also while it is decompressed; a body that comes
//! too slowly is given up.

use std::io::Read;
use std::time::Duration;

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use libdeflater::Decompressor;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroize;
use zstd::zstd_safe;

use super::error::{Code, Problem};
use crate::admission::Room;
use crate::config::Server;
use crate::ingest::Body;

/// A refused request's body up to this size is read to its end: closing the connection instead would cost more.
const DRAINED: usize = 64 << 10;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952, one or several members.
    Gzip,
    /// RFC 8878, one or several frames.
    Zstd,
}

impl Encoding {
    /// What the headers say: JSON, and one of the known encodings.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn of(headers: &HeaderMap) -> Result<Encoding, Problem> {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Code::UnsupportedMediaType.into());
        }
        let Some(encoding) = headers.get(CONTENT_ENCODING) else {
            return Ok(Encoding::Identity);
        };
        match encoding.to_str().map(str::to_ascii_lowercase).as_deref().map(str::trim) {
            Ok("identity" | "") => Ok(Encoding::Identity),
            Ok("gzip" | "x-gzip") => Ok(Encoding::Gzip),
            Ok("zstd") => Ok(Encoding::Zstd),
            _ => Err(Code::UnsupportedEncoding.into()),
        }
    }
}

/// How quickly a body must come.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// All of it.
    pub whole: Duration,
    /// Before the rate counts.
    pub grace: Duration,
    /// Bytes a second; zero: any.
    pub rate: u64,
}

impl Pace {
    /// The pace of a configuration.
    #[must_use]
    pub fn of(server: &Server) -> Pace {
        let whole = server.client_timeout.duration();
        Pace { whole, grace: whole / 3, rate: server.client_rate.bytes() }
    }

    /// How long a body may take of which so much has come.
    fn allows(self, bytes: usize) -> Duration {
        if self.rate == 0 {
            return self.whole;
        }
        let earned_ms = (bytes as u64).saturating_mul(1_000) / self.rate;
        self.grace.saturating_add(Duration::from_millis(earned_ms)).min(self.whole)
    }
}

/// What the head says of the body's length, if anything.
#[must_use]
pub fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads the body as sent, up to `most` bytes.
///
/// # Errors
/// Where it is larger, or the client sends too slowly, or stops.
pub async fn read(
    headers: &HeaderMap,
    mut payload: impl Stream<Item = Result<Bytes, impl Sized>> + Unpin,
    most: usize,
    pace: Pace,
) -> Result<Body, Problem> {
    let length = announced(headers).unwrap_or(0);
    if length > most {
        return Err(Code::BodyTooLarge.into());
    }
    let began = Instant::now();
    let mut body = Body(Vec::with_capacity(length));
    while let Some(chunk) = timeout_at(began + pace.allows(body.0.len()), payload.next())
        .await
        .map_err(|_| Problem::from(Code::RequestTimeout))?
    {
        let chunk: Bytes = chunk.map_err(|_| Code::RequestTimeout)?;
        if body.0.len() + chunk.len() > most {
            return Err(Code::BodyTooLarge.into());
        }
        body.0.extend_from_slice(&chunk);
        // The framework's buffer: wiped where nobody else shares it.
        if let Ok(mut chunk) = chunk.try_into_mut() {
            chunk.zeroize();
        }
    }
    Ok(body)
}

/// Reads a small body to its end without keeping it, so that the connection can be used again after a refusal. A large
/// one is left: the connection is closed after the answer.
pub async fn drain(
    headers: &HeaderMap,
    mut payload: impl Stream<Item = Result<Bytes, impl Sized>> + Unpin,
    pace: Pace,
) {
    if announced(headers).unwrap_or(0) > DRAINED {
        return;
    }
    let began = Instant::now();
    let mut seen = 0;
    while seen <= DRAINED
        && let Ok(Some(Ok(chunk))) = timeout_at(began + pace.allows(seen), payload.next()).await
    {
        seen += chunk.len();
    }
}

/// Decompresses a body, up to `most` bytes. The room grows with it.
///
/// # Errors
/// Where it is damaged, or larger, or there is no room.
pub fn decode(body: Body, encoding: Encoding, most: usize, room: &mut Room<'_>) -> Result<Body, Problem> {
    match encoding {
        Encoding::Identity if body.0.len() > most => Err(Code::DecompressedTooLarge.into()),
        Encoding::Identity => Ok(body),
        Encoding::Gzip => gunzip(&body.0, most, room),
        Encoding::Zstd => unzstd(&body.0, most, room),
    }
}

thread_local! {
    static GZIP: std::cell::RefCell<Decompressor> = std::cell::RefCell::new(Decompressor::new());
}

/// A gzip stream. Almost all have one member, whose trailer gives the size of the output: libdeflate takes those at
/// once. Several members go the slower way.
fn gunzip(body: &[u8], most: usize, room: &mut Room<'_>) -> Result<Body, Problem> {
    let Some((_, trailer)) = body.split_last_chunk::<8>().filter(|_| body.starts_with(&[0x1f, 0x8b])) else {
        return Err(Code::BadEncoding.into());
    };
    let [c0, c1, c2, c3, s0, s1, s2, s3] = *trailer;
    let (checksum, size) = (u32::from_le_bytes([c0, c1, c2, c3]), u32::from_le_bytes([s0, s1, s2, s3]) as usize);
    if size > most {
        return Err(Code::DecompressedTooLarge.into());
    }
    let mut out = buffer(size, room)?;
    let written = GZIP.with_borrow_mut(|decompressor| decompressor.gzip_decompress(body, &mut out.0));
    // The checksum too: of several members of one size, the first alone is not the whole.
    if written == Ok(size) && libdeflater::crc32(&out.0) == checksum {
        return Ok(out);
    }
    drop(out);
    room.shrink(size);
    members(flate2::read::MultiGzDecoder::new(body), body.len(), most, room)
}

/// Several gzip members, whose sizes are not known before.
fn members(mut decoder: impl Read, sent: usize, most: usize, room: &mut Room<'_>) -> Result<Body, Problem> {
    // Grown by hand, so that no outgrown buffer is freed without being wiped.
    let mut out = buffer(first_guess(sent, most), room)?;
    let mut written = 0;
    loop {
        if written == out.0.len() {
            if written > most {
                return Err(Code::DecompressedTooLarge.into());
            }
            let larger = buffer((out.0.len() * 4).min(most + 1), room)?;
            let smaller = std::mem::replace(&mut out, larger);
            out.0[..written].copy_from_slice(&smaller.0);
            room.shrink(smaller.0.len());
        }
        let read = decoder.read(&mut out.0[written..]).map_err(|_| Code::BadEncoding)?;
        written += read;
        if read == 0 {
            out.0.truncate(written);
            return Ok(out);
        }
    }
}

/// A zstd stream, decompressed as a whole into its buffer: a frame's window, which a hostile one would declare to be
/// large, takes no memory of its own then. Where the frame does not give its size, larger buffers are tried.
fn unzstd(body: &[u8], most: usize, room: &mut Room<'_>) -> Result<Body, Problem> {
    let declared = zstd_safe::get_frame_content_size(body).map_err(|_| Code::BadEncoding)?;
    let mut size = match declared {
        Some(size) if size > most as u64 => return Err(Code::DecompressedTooLarge.into()),
        // An empty first frame may come before others.
        Some(size) if size > 0 => size as usize,
        _ => first_guess(body.len(), most),
    };
    loop {
        let mut out = buffer(size, room)?;
        match zstd_safe::decompress(out.0.as_mut_slice(), body) {
            Ok(written) if written > most => return Err(Code::DecompressedTooLarge.into()),
            Ok(written) => {
                out.0.truncate(written);
                return Ok(out);
            }
            Err(code) if zstd_safe::get_error_name(code) != TOO_SMALL => return Err(Code::BadEncoding.into()),
            Err(_) if size >= most => return Err(Code::DecompressedTooLarge.into()),
            Err(_) => {}
        }
        drop(out);
        room.shrink(size);
        size = size.saturating_mul(4).min(most);
    }
}

/// What zstd says of a buffer that is too small. Its texts are part of its interface, and a test holds this one.
const TOO_SMALL: &str = "Destination buffer is too small";

/// How large a body of unknown size may be when it is decompressed.
fn first_guess(sent: usize, most: usize) -> usize {
    sent.saturating_mul(8).clamp(4_096, most.max(4_096)).min(most + 1)
}

fn buffer(size: usize, room: &mut Room<'_>) -> Result<Body, Problem> {
    room.grow(size).map_err(|_| Problem::no_room())?;
    Ok(Body(vec![0; size]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Bodies;
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(body: Vec<u8>, encoding: Encoding, most: usize) -> Result<Body, Problem> {
        let bodies = Bodies::new(64 << 20);
        let decoded = super::decode(Body(body), encoding, most, &mut bodies.room(0).unwrap());
        assert_eq!(bodies.taken(), 0, "all room is given back");
        decoded
    }

    fn code(body: Vec<u8>, encoding: Encoding, most: usize) -> Code {
        decode(body, encoding, most).err().unwrap().code()
    }

    #[test]
    fn one_and_several_members_are_read() {
        let ones = decode(gzip(b"hello"), Encoding::Gzip, 100).unwrap();
        assert_eq!(ones.0, b"hello");
        // Two members of one size: the trailer's size alone would take the first for the whole.
        let two = [gzip(b"hello"), gzip(b"world")].concat();
        assert_eq!(decode(two, Encoding::Gzip, 100).unwrap().0.as_slice(), b"helloworld");
        let long: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let two = [gzip(&long), gzip(b"!")].concat();
        assert_eq!(decode(two, Encoding::Gzip, 1 << 20).unwrap().0.len(), 400_001);
    }

    #[test]
    fn bombs_stop_at_the_cap() {
        let zeros = vec![0; 10 << 20];
        assert_eq!(code(gzip(&zeros), Encoding::Gzip, 1 << 20), Code::DecompressedTooLarge);
        assert_eq!(code([gzip(&zeros), gzip(b"x")].concat(), Encoding::Gzip, 1 << 20), Code::DecompressedTooLarge);
        let bomb = zstd::bulk::compress(&zeros, 1).unwrap();
        assert_eq!(code(bomb, Encoding::Zstd, 1 << 20), Code::DecompressedTooLarge);
    }

    #[test]
    fn damage_is_told_from_size() {
        for body in [Vec::new(), b"{}".to_vec(), vec![0x1f; 30], b"{\"a\":\"long enough\"}".to_vec()] {
            assert_eq!(code(body, Encoding::Gzip, 1 << 20), Code::BadEncoding);
        }
        assert_eq!(code(b"hello world".to_vec(), Encoding::Zstd, 1 << 20), Code::BadEncoding);
    }

    #[test]
    fn what_fits_exactly_is_taken() {
        let data = vec![b'x'; 5_000];
        assert_eq!(decode(gzip(&data), Encoding::Gzip, 5_000).unwrap().0.len(), 5_000);
        let zstd = zstd::bulk::compress(&data, 1).unwrap();
        assert_eq!(decode(zstd, Encoding::Zstd, 5_000).unwrap().0.len(), 5_000);
    }

    #[test]
    fn zstd_of_unknown_size_and_of_several_frames_is_read() {
        let data: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        // A stream does not know its size when it begins.
        let stream = zstd::stream::encode_all(data.as_slice(), 1).unwrap();
        assert!(matches!(zstd_safe::get_frame_content_size(&stream), Ok(None)));
        assert_eq!(decode(stream.clone(), Encoding::Zstd, 1 << 20).unwrap().0.as_slice(), data);
        assert_eq!(code(stream.clone(), Encoding::Zstd, data.len() - 1), Code::DecompressedTooLarge);
        let frames = [zstd::bulk::compress(b"first", 1).unwrap(), stream].concat();
        assert_eq!(decode(frames, Encoding::Zstd, 1 << 20).unwrap().0.len(), data.len() + 5);
        let zeros = zstd::stream::encode_all(vec![0; 10 << 20].as_slice(), 1).unwrap();
        assert_eq!(code(zeros, Encoding::Zstd, 1 << 20), Code::DecompressedTooLarge);
    }

    #[test]
    fn several_bombs_at_a_time_share_one_ceiling() {
        let bodies = Bodies::new(3 << 20);
        let data = vec![0; 1 << 20];
        // Of one size and not the same: the first alone is not the whole.
        let members = [gzip(&data[..1 << 19]), gzip(&vec![1; 1 << 19])].concat();
        let stream = zstd::stream::encode_all(data.as_slice(), 1).unwrap();
        for (body, encoding) in [(gzip(&data), Encoding::Gzip), (members, Encoding::Gzip), (stream, Encoding::Zstd)] {
            let mut rooms: Vec<_> = (0..4).map(|_| bodies.room(body.len()).unwrap()).collect();
            let taken = rooms.iter_mut().map(|room| {
                super::decode(Body(body.clone()), encoding, 2 << 20, room).map_err(|problem| problem.code())
            });
            let taken: Vec<_> = taken.collect();
            let fit = taken.iter().filter(|decoded| decoded.is_ok()).count();
            assert!((1..=2).contains(&fit), "{encoding:?}: {fit}");
            assert!(taken.iter().all(
                |decoded| *decoded.as_ref().map_or_else(|code| code, |_| &Code::RateLimited) == Code::RateLimited
            ));
            drop((taken, rooms));
            assert_eq!(bodies.taken(), 0);
        }
    }

    #[test]
    fn a_body_must_come_at_its_pace() {
        let pace = Pace { whole: Duration::from_secs(15), grace: Duration::from_secs(5), rate: 1_024 };
        assert_eq!(pace.allows(0), Duration::from_secs(5));
        assert_eq!(pace.allows(2_048), Duration::from_secs(7));
        assert_eq!(pace.allows(1 << 20), Duration::from_secs(15));
        assert_eq!(Pace { rate: 0, ..pace }.allows(0), Duration::from_secs(15));
    }
}
