//! Reads a request's body: capped as sent, capped again after decompression, wiped when done.

use std::io::Read;

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use actix_web::web::Payload;
use bytes::Bytes;
use futures_util::StreamExt;
use libdeflater::Decompressor;
use zeroize::Zeroize;

use super::error::{Code, Problem};
use crate::ingest::Body;

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

/// Reads the body as sent, up to `most` bytes.
///
/// # Errors
/// Where it is larger, or the client stops sending.
pub async fn read(headers: &HeaderMap, mut payload: Payload, most: usize) -> Result<Body, Problem> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let length: usize = length.unwrap_or(0);
    if length > most {
        return Err(Code::BodyTooLarge.into());
    }
    let mut body = Body(Vec::with_capacity(length));
    while let Some(chunk) = payload.next().await {
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

/// Reads a small body to its end without keeping it, so that the connection can be used again after a refusal.
pub async fn drain(mut payload: Payload, most: usize) {
    let mut seen = 0;
    while let Some(Ok(chunk)) = payload.next().await {
        seen += chunk.len();
        if seen > most {
            return;
        }
    }
}

/// Decompresses a body, up to `most` bytes.
///
/// # Errors
/// Where it is damaged, or larger.
pub fn decode(body: Body, encoding: Encoding, most: usize) -> Result<Body, Problem> {
    match encoding {
        Encoding::Identity if body.0.len() > most => Err(Code::DecompressedTooLarge.into()),
        Encoding::Identity => Ok(body),
        Encoding::Gzip => gunzip(&body.0, most),
        Encoding::Zstd => unzstd(&body.0, most),
    }
}

thread_local! {
    static GZIP: std::cell::RefCell<Decompressor> = std::cell::RefCell::new(Decompressor::new());
}

/// A gzip stream. Almost all have one member, whose trailer gives the size of the output: libdeflate takes those at
/// once. Several members go the slower way.
fn gunzip(body: &[u8], most: usize) -> Result<Body, Problem> {
    let Some((_, trailer)) = body.split_last_chunk::<8>().filter(|_| body.starts_with(&[0x1f, 0x8b])) else {
        return Err(Code::BadEncoding.into());
    };
    let [c0, c1, c2, c3, s0, s1, s2, s3] = *trailer;
    let (checksum, size) = (u32::from_le_bytes([c0, c1, c2, c3]), u32::from_le_bytes([s0, s1, s2, s3]) as usize);
    if size > most {
        return Err(Code::DecompressedTooLarge.into());
    }
    let mut out = Body(vec![0; size]);
    let written = GZIP.with_borrow_mut(|decompressor| decompressor.gzip_decompress(body, &mut out.0));
    // The checksum too: of several members of one size, the first alone is not the whole.
    if written == Ok(size) && libdeflater::crc32(&out.0) == checksum {
        return Ok(out);
    }
    capped(flate2::read::MultiGzDecoder::new(body), body.len(), most)
}

fn unzstd(body: &[u8], most: usize) -> Result<Body, Problem> {
    let mut decoder = zstd::stream::read::Decoder::new(body).map_err(|_| Code::BadEncoding)?;
    // 8 MiB: what RFC 8878 asks a decoder to support, and no more memory than that for a hostile frame.
    decoder.window_log_max(23).map_err(|_| Code::BadEncoding)?;
    capped(decoder, body.len(), most)
}

fn capped(decoder: impl Read, sent: usize, most: usize) -> Result<Body, Problem> {
    // Grown by hand, so that no outgrown buffer is freed without being wiped.
    let mut out = Body(vec![0; (sent * 8).max(4_096).min(most + 1)]);
    let mut decoder = decoder.take(most as u64 + 1);
    let mut written = 0;
    loop {
        let read = decoder.read(&mut out.0[written..]).map_err(|_| Code::BadEncoding)?;
        written += read;
        if written > most {
            return Err(Code::DecompressedTooLarge.into());
        }
        if read == 0 {
            out.0.truncate(written);
            return Ok(out);
        }
        if written == out.0.len() {
            let larger = Body(vec![0; (out.0.len() * 4).min(most + 1)]);
            let smaller = std::mem::replace(&mut out, larger);
            out.0[..written].copy_from_slice(&smaller.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn code(body: Vec<u8>, encoding: Encoding, most: usize) -> Code {
        decode(Body(body), encoding, most).err().unwrap().code()
    }

    #[test]
    fn one_and_several_members_are_read() {
        let ones = decode(Body(gzip(b"hello")), Encoding::Gzip, 100).unwrap();
        assert_eq!(ones.0, b"hello");
        // Two members of one size: the trailer's size alone would take the first for the whole.
        let two = [gzip(b"hello"), gzip(b"world")].concat();
        assert_eq!(decode(Body(two), Encoding::Gzip, 100).unwrap().0, b"helloworld");
        let long: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let two = [gzip(&long), gzip(b"!")].concat();
        assert_eq!(decode(Body(two), Encoding::Gzip, 1 << 20).unwrap().0.len(), 400_001);
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
        assert_eq!(decode(Body(gzip(&data)), Encoding::Gzip, 5_000).unwrap().0.len(), 5_000);
        let zstd = zstd::bulk::compress(&data, 1).unwrap();
        assert_eq!(decode(Body(zstd), Encoding::Zstd, 5_000).unwrap().0.len(), 5_000);
    }
}
