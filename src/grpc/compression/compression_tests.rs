//! Tests of compressed messages: what senders make is expanded, what attackers make is not.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::io::{Read as _, Write as _};

use super::*;

const BOTH: [Encoding; 2] = [Encoding::Gzip, Encoding::Zstd];

/// Bytes that compress a little, `size` of them.
fn text(size: usize) -> Vec<u8> {
    let mut state = 1_u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b"abcdefghijklmnopqrstuvwxyz012345".get(usize::try_from(state >> 27).unwrap()).copied().unwrap()
    })
    .take(size)
    .collect()
}

fn expanded(encoding: Encoding, message: &[u8]) -> Result<Vec<u8>, Bad> {
    encoding.expand(message, encoding.size(message)?)
}

/// A frame of which nobody knew the size before, as streaming encoders make it.
fn streamed(message: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::read::Encoder::new(message, 3).unwrap();
    let mut out = Vec::new();
    encoder.read_to_end(&mut out).unwrap();
    out
}

#[test]
fn what_was_compressed_is_expanded_to_the_same_bytes() {
    for size in [0, 1, 100, 4096, 146_000, 300_000, limits::REQUEST_BYTES] {
        let message = text(size);
        for encoding in BOTH {
            let small = encoding.compress(&message).unwrap();
            assert_eq!(encoding.size(&small), Ok(size), "{encoding:?} says its size");
            assert_eq!(expanded(encoding, &small).as_deref(), Ok(&*message), "{encoding:?} {size}");
        }
        assert_eq!(
            expanded(Encoding::Zstd, &streamed(&message)).as_deref(),
            Ok(&*message),
            "streamed {size}"
        );
    }
}

#[test]
fn every_header_of_gzip_is_understood() {
    let message = text(1000);
    let mut builder = flate2::GzBuilder::new().filename("a").comment("b").extra(vec![1, 2, 3]);
    for _ in 0..2 {
        let mut encoder = builder.write(Vec::new(), flate2::Compression::best());
        encoder.write_all(&message).unwrap();
        assert_eq!(expanded(Encoding::Gzip, &encoder.finish().unwrap()).as_deref(), Ok(&*message));
        builder = flate2::GzBuilder::new().mtime(1);
    }
}

// covers: B1
#[test]
fn a_bomb_is_refused_before_a_byte_of_it_is_expanded() {
    for encoding in BOTH {
        let bomb = encoding.compress(&vec![0; 64 << 20]).unwrap();
        assert_eq!(encoding.size(&bomb), Err(Bad::Ratio));
        let large = encoding.compress(&text(limits::REQUEST_BYTES + 1)).unwrap();
        assert_eq!(encoding.size(&large), Err(Bad::TooLarge));
        let repeated = encoding.compress(&vec![7; FREE]).unwrap();
        assert_eq!(
            expanded(encoding, &repeated).map(|m| m.len()),
            Ok(FREE),
            "a small one that repeats is none"
        );
    }
    assert_eq!(Encoding::Zstd.size(&streamed(&vec![0; 64 << 20])), Err(Bad::Ratio));
}

// covers: B1
#[test]
fn a_message_that_becomes_more_or_less_than_it_says_is_refused() {
    let mut small = Encoding::Gzip.compress(&text(1000)).unwrap();
    let at = small.len() - 4;
    for lie in [0_u32, 999, 1001, 90_000] {
        small.splice(at.., lie.to_le_bytes());
        assert_eq!(expanded(Encoding::Gzip, &small), Err(Bad::Broken), "{lie}");
    }
    // Header: magic, descriptor (single segment, two bytes of size), size − 256.
    let mut frame = Encoding::Zstd.compress(&text(1000)).unwrap();
    assert_eq!(frame.get(4).map(|d| d & 0xe0), Some(0x60));
    for lie in [0_u16, 743, 745, 9_000] {
        frame.splice(5..7, lie.to_le_bytes());
        assert_eq!(expanded(Encoding::Zstd, &frame), Err(Bad::Broken), "{lie}");
    }
}

// covers: D5
#[test]
fn what_is_cut_changed_or_followed_by_more_is_refused() {
    let message = text(3000);
    for encoding in BOTH {
        let whole = encoding.compress(&message).unwrap();
        for end in 0..whole.len() {
            assert!(expanded(encoding, whole.get(..end).unwrap()).is_err(), "{encoding:?} cut at {end}");
        }
        for more in [&[0][..], &whole, &[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]] {
            assert!(expanded(encoding, &[&whole, more].concat()).is_err(), "{encoding:?}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            *changed.get_mut(at).unwrap() ^= 0x55;
            // Without a checksum (zstd) another text may come out, never more than was said.
            if let Ok(other) = expanded(encoding, &changed) {
                assert!(other.len() <= FREE, "{encoding:?} changed at {at}");
            }
        }
    }
}

#[test]
fn a_way_that_is_not_known_is_refused_with_those_that_are() {
    let of = |name: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(ENCODING, HeaderValue::from_static(name));
        Encoding::of(&headers)
    };
    assert_eq!(Encoding::of(&HeaderMap::new()), Ok(None));
    assert_eq!(of("identity"), Ok(None));
    assert_eq!((of("gzip"), of("zstd")), (Ok(Some(Encoding::Gzip)), Ok(Some(Encoding::Zstd))));
    for name in ["deflate", "br", "GZIP", "", "someone@example.com"] {
        let status = of(name).unwrap_err().status();
        assert_eq!(status.code(), tonic::Code::Unimplemented);
        assert!(status.message().contains("gzip or zstd") && !status.message().contains("example"), "{name}");
    }
}
