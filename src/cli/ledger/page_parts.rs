//! What the page of a record is built from: escaped text, cards, tables that fold on a phone, times
//! in words.

use std::fmt::{self, Write as _};

use crate::cli::policy::publish::html::{STYLE, Text};
use crate::ledger::Period;
use crate::model::UnixMillis;

/// What this page has beyond the look of the published dictionary.
const OWN_STYLE: &str = "\
.fig{font-size:1.9rem;line-height:1.15;font-weight:600;font-variant-numeric:tabular-nums;margin:.15rem 0 .2rem;\
font-family:ui-serif,\"Iowan Old Style\",\"Palatino Linotype\",Palatino,Georgia,serif;overflow-wrap:anywhere}
.card .eyebrow{margin-bottom:.1rem}
td.num,th.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.art{font-size:.8rem;letter-spacing:.04em;color:var(--muted);margin:0 0 .25rem}
.facts{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1.4rem;margin:.4rem 0 1rem}
.facts dt{color:var(--muted);font-size:.92rem}.facts dd{margin:0;overflow-wrap:anywhere}
pre{background:var(--soft);border:1px solid var(--rule);border-radius:10px;padding:.9rem 1rem;white-space:pre-wrap;\
overflow-wrap:anywhere;font-size:.82rem;line-height:1.5}
.quiet{color:var(--muted)}
.lead{margin-bottom:1rem}
@media (max-width:46rem){.facts{grid-template-columns:1fr;gap:0}.facts dd{margin-bottom:.6rem}
.cards td.num{text-align:left}.cards td.nil{display:none}.fig{font-size:1.6rem}}
@media print{.fig{font-size:15pt}pre{font-size:7.5pt;padding:.4rem .5rem;break-inside:avoid}\
.scroll{break-inside:avoid}.lead,.art{break-after:avoid}footer{padding:.6rem 0 0;break-before:avoid}footer p{max-width:none}}
";

/// What stands where there is nothing; a phone leaves it out.
pub(super) const NIL: &str = "–";

/// A page as it is written.
pub(super) struct Page(String);

impl Page {
    /// Begins a page.
    pub fn begin(title: &str) -> Self {
        let mut page = Self(String::with_capacity(64 << 10));
        page.put(format_args!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
             base-uri 'none'; form-action 'none'\">\n<meta name=\"robots\" content=\"noindex\">\n\
             <meta name=\"generator\" content=\"usaged ledger export\">\n<title>{}</title>\n\
             <style>\n{STYLE}{OWN_STYLE}</style>\n</head>\n<body>\n\
             <a class=\"skip\" href=\"#main\">Skip to the content</a>\n<main id=\"main\" class=\"wrap\">\n",
            Text(title)
        ));
        page
    }

    /// Writes text that is escaped already.
    pub fn put(&mut self, text: fmt::Arguments<'_>) {
        // A text takes whatever is written.
        let written = self.0.write_fmt(text);
        debug_assert!(written.is_ok());
    }

    /// A paragraph.
    pub fn paragraph(&mut self, class: &str, text: &str) {
        self.put(format_args!("<p class=\"{class}\">{}</p>\n", Text(text)));
    }

    /// Begins a section with its heading and the words of the law for it.
    pub fn section(&mut self, id: &str, heading: &str, article: &str, lead: &str) {
        self.put(format_args!("<section id=\"{id}\">\n"));
        if !article.is_empty() {
            self.paragraph("art", article);
        }
        self.put(format_args!("<h2>{}</h2>\n", Text(heading)));
        if !lead.is_empty() {
            self.paragraph("lead", lead);
        }
    }

    /// Ends a section.
    pub fn end_section(&mut self) {
        self.put(format_args!("</section>\n"));
    }

    /// A figure with what it is.
    pub fn card(&mut self, label: &str, figure: &str, about: &str) {
        self.put(format_args!(
            "<li class=\"card\"><p class=\"eyebrow\">{}</p><p class=\"fig\">{}</p><p class=\"about\">{}</p></li>\n",
            Text(label),
            Text(figure),
            Text(about)
        ));
    }

    /// Names and values.
    pub fn facts(&mut self, rows: &[(&str, String)]) {
        self.put(format_args!("<dl class=\"facts\">\n"));
        for (name, value) in rows {
            self.put(format_args!("<dt>{}</dt><dd>{}</dd>\n", Text(name), Text(value)));
        }
        self.put(format_args!("</dl>\n"));
    }

    /// A table; the first cell of a row is its head, and columns in `numbers` are figures.
    pub fn table(&mut self, caption: &str, head: &[&str], numbers: &[usize], rows: &[Vec<String>]) {
        let class = |at: usize, cell: &str| match (numbers.contains(&at), cell == NIL) {
            (true, false) => " class=\"num\"",
            (true, true) => " class=\"num nil\"",
            (false, true) => " class=\"nil\"",
            (false, false) => "",
        };
        self.put(format_args!(
            "<div class=\"scroll cards\"><table><caption>{}</caption><thead><tr>",
            Text(caption)
        ));
        for (at, name) in head.iter().enumerate() {
            self.put(format_args!("<th scope=\"col\"{}>{}</th>", class(at, ""), Text(name)));
        }
        self.put(format_args!("</tr></thead><tbody>\n"));
        for row in rows {
            self.put(format_args!("<tr>"));
            for (at, (cell, name)) in row.iter().zip(head).enumerate() {
                if at == 0 {
                    self.put(format_args!("<th scope=\"row\">{}</th>", Text(cell)));
                } else {
                    self.put(format_args!(
                        "<td{} data-l=\"{}\">{}</td>",
                        class(at, cell),
                        Text(name),
                        Text(cell)
                    ));
                }
            }
            self.put(format_args!("</tr>\n"));
        }
        self.put(format_args!("</tbody></table></div>\n"));
    }

    /// Text as it is, line by line.
    pub fn verbatim(&mut self, text: &str) {
        self.put(format_args!("<pre>"));
        for line in text.lines() {
            self.put(format_args!("{}\n", Text(line)));
        }
        self.put(format_args!("</pre>\n"));
    }

    /// Ends the page.
    pub fn end(mut self, footer: &str) -> String {
        self.put(format_args!(
            "</main>\n<footer><div class=\"wrap\"><p>{}</p></div></footer>\n</body>\n</html>\n",
            Text(footer)
        ));
        self.0
    }
}

/// A time as a person writes it.
pub(super) fn time(at: UnixMillis) -> String {
    let time = jiff::Timestamp::from_millisecond(at.0);
    time.map_or_else(|_| at.0.to_string(), |time| time.strftime("%-d %b %Y, %H:%M UTC").to_string())
}

/// A day as a person writes it.
pub(super) fn day(at: UnixMillis) -> String {
    let time = jiff::Timestamp::from_millisecond(at.0);
    time.map_or_else(|_| at.0.to_string(), |time| time.strftime("%-d %B %Y").to_string())
}

/// From when until when.
pub(super) fn period(period: Period) -> String {
    let (from, until) = (time(period.from), time(period.until));
    if from == until { from } else { format!("{from} – {until}") }
}

/// So many seconds in the largest fitting words.
pub(super) fn span(seconds: u64) -> String {
    let units = [(86_400, "day", "days"), (3_600, "hour", "hours"), (60, "minute", "minutes")];
    let fitting = units.into_iter().find(|(unit, _, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    let (n, one, many) =
        fitting.map_or((seconds, "second", "seconds"), |(unit, one, many)| (seconds / unit, one, many));
    super::told::count(n, one, many)
}
