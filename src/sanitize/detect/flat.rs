//! Text that has one reading: nothing to fold, to decode, or to draw a border at. Most is such text, so this is asked
//! of each, sixteen bytes at a time.

use super::control;

/// Bytes that are looked at together.
const BLOCK: usize = 16;

/// Whether a text is ASCII without anything that begins an escape, a written control character or a colour.
pub(super) fn is_flat(text: &[u8]) -> bool {
    has_no_sign(text) && !has_bare_colour(text)
}

/// Whether there is a colour without its ESC: a bracket is in most log lines, so it is no sign by itself.
fn has_bare_colour(text: &[u8]) -> bool {
    memchr::memchr_iter(b'[', text)
        .any(|at| text.get(at..).is_some_and(|rest| control::bare_colour(rest) > 0))
}

fn has_no_sign(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk::<BLOCK>() else {
        return !text.iter().any(|byte| sign(*byte) != 0);
    };
    let mut seen = [0; BLOCK];
    for block in text.as_chunks().0.iter().chain([last]) {
        for (seen, byte) in seen.iter_mut().zip(block) {
            *seen |= sign(*byte);
        }
    }
    seen == [0; BLOCK]
}

/// Not zero for a byte that makes another reading of a text. Without a branch, so that a block is one step.
#[inline]
fn sign(byte: u8) -> u8 {
    let is = |sign: u8| u8::from(byte == sign);
    byte & 0x80 | is(b'%') | is(b'&') | is(b'\\') | is(b'#') | is(b'^') | is(0x1b) | is(0)
}

#[cfg(test)]
mod tests {
    use super::is_flat;

    #[test]
    fn a_text_is_flat_without_any_sign_at_any_place() {
        for len in 0..50 {
            let text = vec![b'a'; len];
            assert!(is_flat(&text));
            for at in 0..len {
                for byte in 0..=u8::MAX {
                    let text: Vec<u8> = text
                        .iter()
                        .enumerate()
                        .map(|(place, a)| if place == at { byte } else { *a })
                        .collect();
                    let has_sign = byte >= 0x80 || b"%&\\#^\x1b\0".contains(&byte);
                    assert_eq!(is_flat(&text), !has_sign, "{byte} at {at} of {len}");
                }
            }
        }
        assert!(is_flat(b"sshd[31]: [mail]") && !is_flat(b"sshd[31]: [31mail"));
    }
}
