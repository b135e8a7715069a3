//! A text as it is written again: what was found replaced, the rest as it is.

use std::cell::Cell;

use super::known::Known;
use super::rest::Rest;
use super::writer::Writer;
use super::{Hits, Seen, Token, item, token};
use crate::policy::Redaction;
use crate::sanitize::ProgramKeys;
use crate::sanitize::detect::What;

/// The text that is written, and how far it is.
pub(super) struct Rewriting<'r, 'o> {
    rules: &'r Redaction,
    keys: &'r ProgramKeys,
    known: &'r Known,
    /// Whether any reading has a known identifier in it, as far as findings were asked for.
    has_known: &'r Cell<bool>,
    rest: Rest<'r>,
    raw: &'r [u8],
    writer: Writer<'o>,
    seen: &'o mut Seen,
    hits: &'o mut Hits,
    /// Where what was not written yet begins.
    at: usize,
}

impl<'r, 'o> Rewriting<'r, 'o> {
    pub(super) fn new(
        (rules, keys): (&'r Redaction, &'r ProgramKeys),
        (known, has_known, rest): (&'r Known, &'r Cell<bool>, Rest<'r>),
        text: &'r str,
        (out, seen, hits): (&'o mut Vec<u8>, &'o mut Seen, &'o mut Hits),
    ) -> Self {
        out.clear();
        let writer = Writer::new(out, rules.cut);
        Self { rules, keys, known, has_known, rest, raw: text.as_bytes(), writer, seen, hits, at: 0 }
    }

    /// Writes what stays before a stretch, and what replaces this.
    pub(super) fn replace(&mut self, start: usize, end: usize, by: (What, Option<Token>)) {
        self.stay(start);
        // What began before it and stays no more may be all of it.
        if self.at < end {
            self.item(by);
            self.at = end;
        }
    }

    /// Writes the rest.
    pub(super) fn finish(mut self) {
        self.stay(self.raw.len());
        self.seen.is_cut = self.writer.is_cut();
    }

    /// Writes what stays up to a place. If the text has anything that is known, it is not in there.
    fn stay(&mut self, to: usize) {
        while self.has_known.get()
            && let Some((start, end, number)) = self.rest.first(self.at, to)
            && let Some((class, canonical)) = self.known.get(number)
        {
            let identifier = canonical.map(|canonical| (class, canonical));
            self.literal(start);
            self.item((What::Class(class), token(self.rules, self.keys, identifier)));
            self.at = end;
        }
        self.literal(to);
    }

    fn literal(&mut self, to: usize) {
        if let Some(text) = self.raw.get(self.at..to) {
            self.writer.literal(text);
            self.at = to;
        }
    }

    fn item(&mut self, (what, token): (What, Option<Token>)) {
        let rotation = self.keys.epoch();
        self.writer.item(|out| match token {
            Some((class, epoch, bits)) => item::write_token(class, epoch, rotation, bits, out),
            None => item::write_marker(what.word(), out),
        });
        self.seen.count(what, token.is_some());
        self.hits.count(what);
    }
}
