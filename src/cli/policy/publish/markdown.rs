//! The published dictionary as Markdown: the same facts, for a repository or a wiki.

use std::fmt::{self, Write as _};

use super::document::{Document, Event, Field, Product, Treated};
use super::words;
use crate::model::Purpose;

/// Text in a table or a paragraph: nothing in it is markup.
struct Text<'t>(&'t str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '\n' | '\r' => f.write_char(' ')?,
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    write!(f, "&lt;U+{:04X}&gt;", u32::from(character))?;
                }
                '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '|' | '~' | '!' | '{' | '}' => {
                    f.write_char('\\')?;
                    f.write_char(character)?;
                }
                other if other.is_control() => f.write_char('\u{fffd}')?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A value in a table, in the font of code, with nothing in it read as markup.
struct Code<'t>(&'t str);

impl fmt::Display for Code<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<code>{}</code>", Text(self.0))
    }
}

/// A text under construction.
struct Sheet(String);

impl Sheet {
    fn put(&mut self, text: fmt::Arguments<'_>) {
        // A text takes whatever is written.
        let written = self.0.write_fmt(text);
        debug_assert!(written.is_ok());
    }
}

/// The first page.
pub(super) fn index(document: &Document) -> String {
    let mut sheet = Sheet(String::new());
    let (events, fields) = document.size();
    sheet.put(format_args!(
        "# {}\n\nEverything that may be collected, what it is for, and what is stored of it at each level of \
         participation. What is not listed here is not stored.\n\n{} products, {events} events, {fields} fields; policy \
         `{}`.\n",
        Text(&document.title),
        document.products.len(),
        document.policy_version
    ));
    sheet.put(format_args!("\n## Levels of participation\n\nAt the level `none`, nothing is stored.\n"));
    for program in &document.programs {
        sheet.put(format_args!(
            "\n### Program {}\n\n{}\n\n| level | what it means | categories | purposes |\n|---|---|---|---|\n\
             | none | Nothing is stored. | | |\n",
            Text(&program.name),
            Text(&program.description)
        ));
        for level in &program.levels {
            let categories: Vec<&str> = level.categories.iter().map(|one| words::category(*one)).collect();
            let purposes: Vec<&str> = level.purposes.iter().map(|one| Purpose::as_str(*one)).collect();
            sheet.put(format_args!(
                "| {} | {} | {} | {} |\n",
                Text(&level.name),
                Text(&level.description),
                categories.join(", "),
                purposes.join(", ")
            ));
        }
    }
    sheet.put(format_args!("\n## What can happen to a value\n\n| treatment | what it means |\n|---|---|\n"));
    for (_, name, means) in words::TREATMENTS {
        sheet.put(format_args!("| {name} | {} |\n", Text(means)));
    }
    sheet.put(format_args!(
        "\nA pseudonym is not anonymous: records that share one still belong together, and whoever holds the customer’s \
         key can compute the pseudonym of a value that they know.\n"
    ));
    classes(&mut sheet, document);
    sheet.put(format_args!("\n## What is never stored\n\n"));
    for never in &document.never_stored {
        sheet.put(format_args!("- {}: {}\n", Text(never.what), Text(never.means)));
    }
    sheet.put(format_args!(
        "\n## Products\n\n| product | what it is | version | events | fields |\n|---|---|--:|--:|--:|\n"
    ));
    for product in &document.products {
        let fields: usize = product.events.iter().map(|event| event.fields.len()).sum();
        sheet.put(format_args!(
            "| [{0}](products/{0}.md) | {1} | {2} | {3} | {fields} |\n",
            product.name,
            Text(&product.description),
            product.version,
            product.events.len()
        ));
    }
    sheet.put(format_args!("\nMade by `usaged policy publish`. The examples are made up.\n"));
    sheet.0
}

fn classes(sheet: &mut Sheet, document: &Document) {
    sheet.put(format_args!("\n## What each level does to each kind of data\n\n| kind of data |"));
    let columns = document.classes.first().map(|class| class.levels.as_slice()).unwrap_or_default();
    for column in columns {
        sheet.put(format_args!(" {} {} |", Text(&column.program), Text(&column.level)));
    }
    sheet.put(format_args!("\n|---|{}\n", "---|".repeat(columns.len())));
    for class in &document.classes {
        sheet.put(format_args!("| {} (`{}`) |", Text(class.means), class.of));
        for level in &class.levels {
            sheet.put(format_args!(" {}", Text(&level.deed.label)));
            for region in &level.regions {
                sheet.put(format_args!("<br>in {}: {}", Text(&region.region), Text(&region.deed.label)));
            }
            sheet.put(format_args!(" |"));
        }
        sheet.put(format_args!("\n"));
    }
}

/// The page of a product.
pub(super) fn product(document: &Document, product: &Product) -> String {
    let mut sheet = Sheet(String::new());
    sheet.put(format_args!(
        "# {}\n\n[{}](../index.md) · dictionary version {} · policy `{}`\n\n{}\n",
        Text(&product.name),
        Text(&document.title),
        product.version,
        document.policy_version,
        Text(&product.description)
    ));
    for event in &product.events {
        put_event(&mut sheet, event);
    }
    sheet.0
}

fn put_event(sheet: &mut Sheet, event: &Event) {
    sheet.put(format_args!(
        "\n## {}\n\n{}\n\nProgram {}, since version {}.\n\n| field | what it is | sent |",
        Text(&event.name),
        Text(&event.description),
        Text(&event.program),
        event.since
    ));
    for level in &event.levels {
        let stored = if level.stored { "" } else { " (the event is not stored)" };
        sheet.put(format_args!(" stored at {}{stored} |", Text(&level.level)));
    }
    sheet.put(format_args!("\n|---|---|---|{}\n", "---|".repeat(event.levels.len())));
    for field in &event.fields {
        put_field(sheet, event, field);
    }
}

fn put_field(sheet: &mut Sheet, event: &Event, field: &Field) {
    let purposes: Vec<&str> = field.purposes.iter().map(|one| Purpose::as_str(*one)).collect();
    let since =
        if field.since > event.since { format!("; since version {}", field.since) } else { String::new() };
    sheet.put(format_args!(
        "| {} | {} {}; {}; for {}{since}",
        Code(&field.path),
        Text(&field.description),
        words::class(field.class),
        words::category(field.category),
        purposes.join(", ")
    ));
    if !field.vocabulary.is_empty() {
        sheet.put(format_args!("; listed words: {}", Text(&field.vocabulary.join(", "))));
    }
    sheet.put(format_args!(" | {} |", Code(&field.example)));
    for level in &field.levels {
        sheet.put(format_args!(" "));
        put_treated(sheet, &level.at);
        for region in &level.regions {
            sheet.put(format_args!("<br>in {}: ", Text(&region.region)));
            put_treated(sheet, &region.at);
        }
        sheet.put(format_args!(" |"));
    }
    sheet.put(format_args!("\n"));
}

fn put_treated(sheet: &mut Sheet, treated: &Treated) {
    sheet.put(format_args!("{}", Text(&treated.deed.label)));
    if let Some(example) = &treated.example {
        sheet.put(format_args!(": {}", Code(example)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(Text("a|b\n[x](y) <b>").to_string(), "a\\|b \\[x\\]\\(y\\) &lt;b&gt;");
        assert_eq!(Code("CORP\\jdoe").to_string(), "<code>CORP\\\\jdoe</code>");
    }
}
