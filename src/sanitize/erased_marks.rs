//! What a forgotten identifier is found by, sealed: its pseudonyms, those that it has in text only, and what it looks like
//! there.

use super::outline::Outline;
use super::{CustomerSecret, NONCE_BYTES, SealBroken, SealKey, Strike};
use crate::model::IdentifierClass;

/// What it is sealed with.
const AAD: &[u8] = b"usaged/erased/marks/v2";
/// The same of rows of before: pseudonyms, and behind them at most two outlines, which are shorter together than one.
const BEFORE_AAD: &[u8] = b"usaged/erased/marks/v1";
/// Outlines of one identifier that are kept.
const OUTLINES: usize = 48;

/// What an identifier is found by when it is forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Every pseudonym that is looked for.
    pub(super) tokens: Vec<[u8; 16]>,
    /// Stable pseudonyms of it and its parts in small letters: what words of a text are compared with. None in rows of
    /// before.
    pub(super) in_text: Vec<[u8; 16]>,
    /// What it looks like in text.
    pub(super) outlines: Vec<Outline>,
}

impl Found {
    pub(super) fn of(strike: &Strike) -> Self {
        let outlines = strike.outlines().into_iter().map(|(_, outline)| outline).take(OUTLINES);
        Self {
            tokens: strike.tokens().to_vec(),
            in_text: strike.text_tokens().to_vec(),
            outlines: outlines.collect(),
        }
    }

    /// The form in which it is sealed: how many pseudonyms there are (4) and they (16 each), the same of those in text, and
    /// the outlines.
    pub(super) fn seal(
        &self,
        secret: &CustomerSecret,
        nonce: &[u8; NONCE_BYTES],
    ) -> Result<Vec<u8>, SealBroken> {
        let mut out = Vec::new();
        for tokens in [&self.tokens, &self.in_text] {
            let count = u32::try_from(tokens.len()).map_err(|_| SealBroken)?;
            out.extend_from_slice(&count.to_be_bytes());
            out.extend(tokens.iter().flatten());
        }
        out.extend(self.outlines.iter().flat_map(|outline| outline.encode()));
        secret.note_key().seal(nonce, AAD, &mut out, 0)?;
        Ok(out)
    }

    /// Reads that form; `None` if it does not open.
    pub(super) fn open(key: &SealKey, nonce: &[u8; NONCE_BYTES], sealed: &[u8]) -> Option<Self> {
        let opened = |aad| {
            let mut bytes = sealed.to_vec();
            key.open(nonce, aad, &mut bytes).ok().map(|()| bytes)
        };
        if let Some(bytes) = opened(AAD) {
            let (tokens, rest) = tokens(&bytes)?;
            let (in_text, rest) = self::tokens(rest)?;
            return Some(Self { tokens, in_text, outlines: Outline::decode(rest).collect() });
        }
        let bytes = opened(BEFORE_AAD)?;
        let (tokens, rest) = bytes.as_chunks();
        let outlines = Outline::decode(rest).collect();
        Some(Self { tokens: tokens.to_vec(), in_text: Vec::new(), outlines })
    }

    /// The outlines, of a class.
    pub(super) fn outlines_of(
        &self,
        class: Option<IdentifierClass>,
    ) -> impl Iterator<Item = (IdentifierClass, Outline)> {
        self.outlines.iter().filter_map(move |outline| Some((class?, *outline)))
    }
}

/// Some pseudonyms behind their number, and what follows.
fn tokens(bytes: &[u8]) -> Option<(Vec<[u8; 16]>, &[u8])> {
    let (count, rest) = bytes.split_first_chunk()?;
    let count = usize::try_from(u32::from_be_bytes(*count)).ok()?;
    let (tokens, rest) = rest.split_at_checked(count.checked_mul(16)?)?;
    Some((tokens.as_chunks().0.to_vec(), rest))
}
