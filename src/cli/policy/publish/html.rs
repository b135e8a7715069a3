//! What every page of the published dictionary shares: the frame around it, how text is escaped, and
//! the parts that both kinds of page show. A page loads nothing: style and script are inside.

use std::fmt::{self, Write as _};

use super::document::Document;
use super::words::Deed;

pub(in crate::cli) const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("filter.js");

/// Text in a page, or in the value of an attribute.
pub(in crate::cli) struct Text<'t>(pub &'t str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\n' => f.write_char(' ')?,
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // What turns the direction of text around would show a value as another one.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    write!(f, "&lt;U+{:04X}&gt;", u32::from(character))?;
                }
                other if other.is_control() => f.write_char('\u{fffd}')?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// The part of an address after `#` that leads to an id.
pub(super) fn fragment(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for byte in id.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        let written = if plain { out.write_char(char::from(byte)) } else { write!(out, "%{byte:02X}") };
        // A text takes whatever is written.
        debug_assert!(written.is_ok());
    }
    out
}

/// A page as it is written.
pub(super) struct Page(String);

impl Page {
    /// Begins a page; `root` leads from it to the index.
    pub fn begin(document: &Document, heading: &str, root: &str, links: &[(&str, &str)]) -> Self {
        let mut page = Self(String::with_capacity(64 << 10));
        let title = Text(&document.title);
        let full = if heading == document.title { String::new() } else { format!("{} – ", Text(heading)) };
        page.put(format_args!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
             script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"generator\" content=\"usaged policy publish\">\n<title>{full}{title}</title>\n\
             <style>\n{STYLE}</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to the content</a>\n\
             <div class=\"top\"><nav class=\"wrap\" aria-label=\"Pages\"><a class=\"home\" href=\"{root}index.html\">{title}</a>"
        ));
        for (href, label) in links {
            page.put(format_args!("<a href=\"{href}\">{}</a>", Text(label)));
        }
        page.put(format_args!("</nav></div>\n<main id=\"main\" class=\"wrap\">\n"));
        page
    }

    /// Writes text that is escaped already.
    pub fn put(&mut self, text: fmt::Arguments<'_>) {
        // A text takes whatever is written.
        let written = self.0.write_fmt(text);
        debug_assert!(written.is_ok());
    }

    /// What is done to a value; `named` if the value names somebody or something.
    pub fn deed(&mut self, deed: &Deed, named: bool) {
        let named = if named { " named" } else { "" };
        let Deed { treatment, label, passes } = deed;
        self.put(format_args!("<span class=\"deed {treatment}{named} n{passes}\">{}</span>", Text(label)));
    }

    /// A list of short texts.
    pub fn chips<'t>(&mut self, chips: impl IntoIterator<Item = &'t str>) {
        self.put(format_args!("<ul class=\"chips\">"));
        for chip in chips {
            self.put(format_args!("<li class=\"chip\">{}</li>", Text(chip)));
        }
        self.put(format_args!("</ul>"));
    }

    /// The form that filters rows; the script shows it.
    pub fn filter(&mut self, label: &str, levels: &[String]) {
        self.put(format_args!(
            "<form class=\"find\" role=\"search\" hidden><label class=\"vh\" for=\"q\">{0}</label>\
             <input id=\"q\" type=\"search\" placeholder=\"{0}\" autocomplete=\"off\" spellcheck=\"false\">",
            Text(label)
        ));
        if !levels.is_empty() {
            self.put(format_args!(
                "<label for=\"at\">Stored at</label><select id=\"at\"><option value=\"\">any level</option>"
            ));
            for level in levels {
                self.put(format_args!("<option>{}</option>", Text(level)));
            }
            self.put(format_args!("</select>"));
        }
        self.put(format_args!("<output aria-live=\"polite\"></output></form>\n"));
    }

    /// Ends the page.
    pub fn end(mut self, document: &Document) -> String {
        let version = Text(&document.policy_version);
        self.put(format_args!(
            "</main>\n<footer><div class=\"wrap\"><p>Made by <code>usaged policy publish</code> from policy \
             <code>{version}</code>. The examples are made up, and went through the code that treats real data, in the \
             name of a made-up customer: nobody’s pseudonyms look like these.</p></div></footer>\n\
             <script>\n{SCRIPT}</script>\n</body>\n</html>\n"
        ));
        self.0
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn nothing_in_a_text_can_leave_it() {
        let hostile = "</script><b onclick='x'>\"&amp;\u{202e}";
        assert_eq!(
            Text(hostile).to_string(),
            "&lt;/script&gt;&lt;b onclick=&#39;x&#39;&gt;&quot;&amp;amp;&lt;U+202E&gt;"
        );
        assert_eq!(fragment("vm.a:disks[].x{key}"), "vm.a:disks%5B%5D.x%7Bkey%7D");
    }

    /// The colours of one scheme, by their names.
    fn colours(block: &str) -> BTreeMap<&str, [f64; 3]> {
        let channel = |hex: &str| f64::from(u8::from_str_radix(hex, 16).unwrap()) / 255.0;
        let linear = |c: f64| if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
        let pairs = block.split(';').filter_map(|pair| pair.trim().strip_prefix("--")?.split_once(":#"));
        pairs
            .map(|(name, hex)| {
                let wide =
                    if hex.len() == 3 { hex.chars().flat_map(|c| [c, c]).collect() } else { hex.to_owned() };
                let at = |from: usize| linear(channel(wide.get(from..from + 2).unwrap()));
                (name, [at(0), at(2), at(4)])
            })
            .collect()
    }

    /// The contrast of WCAG 2.
    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let luminance = |[r, g, b]: [f64; 3]| 0.0722_f64.mul_add(b, 0.2126_f64.mul_add(r, 0.7152 * g));
        let (a, b) = (luminance(one), luminance(other));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_text_stands_out_from_what_is_behind_it_in_light_and_dark() {
        let blocks: Vec<_> = STYLE.split(":root{").skip(1).take(2).collect();
        assert_eq!(blocks.len(), 2, "one for light, one for dark");
        for block in blocks {
            let colours = colours(block.split('}').next().unwrap());
            let behind = ["paper", "card", "soft"];
            let texts = ["ink", "muted", "link"]
                .into_iter()
                .flat_map(|text| behind.map(|back| (text, back.to_owned())));
            let deeds = ["drop", "pseudonym", "generalise", "vocabulary", "redact", "keep", "named"];
            let deeds = deeds.into_iter().map(|deed| (deed, format!("{deed}-b")));
            for (text, back) in texts.chain(deeds) {
                let found = contrast(*colours.get(text).unwrap(), *colours.get(back.as_str()).unwrap());
                assert!(found >= 4.5, "{text} on {back}: {found:.2}");
            }
        }
    }
}
