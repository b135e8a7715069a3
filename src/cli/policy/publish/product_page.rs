//! The page of a product: every event and field, what it is for, and what each level stores of it.

use super::document::{Document, Event, Field, FieldLevel, Product, Treated};
use super::html::{Page, Text, fragment};
use super::words;
use crate::model::{IdentifierClass, Purpose};

/// The page.
pub(super) fn page(document: &Document, product: &Product) -> String {
    let links = [("../dictionary.json", "JSON"), ("../index.html#products", "All products")];
    let mut page = Page::begin(document, &product.name, "../", &links);
    let fields: usize = product.events.iter().map(|event| event.fields.len()).sum();
    page.put(format_args!(
        "<header class=\"hero\"><p class=\"eyebrow\">Product</p><h1>{}</h1><p class=\"lede\">{}</p>\
         <p class=\"meta\"><span>Dictionary version {}</span><span>{} events</span><span>{fields} fields</span>\
         <span><a href=\"{}.md\">Markdown</a></span></p></header>\n",
        Text(&product.name),
        Text(&product.description),
        product.version,
        product.events.len(),
        Text(&product.name),
    ));
    legend(&mut page);
    page.put(format_args!("<section class=\"toc-box\" aria-labelledby=\"events\"><h2 id=\"events\">Events</h2><ul class=\"toc\">"));
    for event in &product.events {
        page.put(format_args!(
            "<li><a href=\"#{}\"><code>{}</code></a> <small>{} fields</small></li>",
            fragment(&event.name),
            Text(&event.name),
            event.fields.len()
        ));
    }
    page.put(format_args!("</ul></section>\n"));
    page.filter("Find a field, a word or a kind of data", &levels(product));
    for event in &product.events {
        put_event(&mut page, event);
    }
    page.end(document)
}

/// The levels that store anything of the product.
fn levels(product: &Product) -> Vec<String> {
    let mut levels: Vec<String> = Vec::new();
    for (event, level) in
        product.events.iter().flat_map(|event| event.levels.iter().map(move |level| (event, level)))
    {
        let name = at(event, &level.level);
        if !levels.contains(&name) {
            levels.push(name);
        }
    }
    levels
}

/// A level of a program in one word, for the filter.
fn at(event: &Event, level: &str) -> String {
    format!("{}/{level}", event.program)
}

fn legend(page: &mut Page) {
    page.put(format_args!(
        "<div class=\"card legend\"><p><strong>How to read this page.</strong> “Sent” is a made-up example of what the product \
         sends. Beside it stands what is stored of that example at each level of participation; at the level <em>none</em>, \
         nothing is. The four bars show roughly how much of a value passes.</p><ul class=\"chips\">"
    ));
    let samples =
        [(0, "drop"), (2, "pseudonym"), (2, "generalise"), (2, "vocabulary"), (3, "redact"), (4, "keep")];
    for (passes, word) in samples {
        let name =
            words::TREATMENTS.iter().find(|(known, ..)| *known == word).map_or("", |(_, name, _)| *name);
        page.put(format_args!("<li class=\"deed {word} n{passes}\">{name}</li>"));
    }
    page.put(format_args!(
        "</ul><p class=\"about\"><a href=\"../index.html#treatments\">What these mean</a></p></div>\n"
    ));
}

fn put_event(page: &mut Page, event: &Event) {
    let (id, name) = (Text(&event.name), Text(&event.name));
    let key = format!("{} {}", event.name, event.description).to_lowercase();
    page.put(format_args!(
        "<section class=\"event\" id=\"{id}\" data-group=\"{}\"><header><h2><a href=\"#{}\">{name}</a></h2></header><p>{}</p>",
        Text(&key),
        fragment(&event.name),
        Text(&event.description)
    ));
    page.put(format_args!(
        "<ul class=\"chips\"><li class=\"chip\">Program {}</li><li class=\"chip\">Since version {}</li>",
        Text(&event.program),
        event.since
    ));
    for level in &event.levels {
        let stored = if level.stored { "stored" } else { "not stored" };
        page.put(format_args!(
            "<li class=\"chip\" title=\"{}\">{}: {stored}</li>",
            Text(&level.why),
            Text(&level.level)
        ));
    }
    page.put(format_args!(
        "</ul><div class=\"scroll cards\" role=\"region\" tabindex=\"0\" aria-label=\"Fields of {name}\">\
         <table class=\"fields\" role=\"table\"><caption class=\"vh\">Fields of {name}, and what each level stores</caption>\
         <thead><tr role=\"row\"><th scope=\"col\" role=\"columnheader\">Field</th>\
         <th scope=\"col\" role=\"columnheader\">Sent</th>"
    ));
    for level in &event.levels {
        page.put(format_args!(
            "<th scope=\"col\" role=\"columnheader\">Stored at {}</th>",
            Text(&level.level)
        ));
    }
    page.put(format_args!("</tr></thead><tbody>\n"));
    for field in &event.fields {
        put_field(page, event, field);
    }
    page.put(format_args!("</tbody></table></div></section>\n"));
}

fn put_field(page: &mut Page, event: &Event, field: &Field) {
    let id = format!("{}:{}", event.name, field.path);
    let means = words::class(field.class);
    let key = [field.path.as_str(), &field.description, field.class.as_str(), means, field.category.as_str()];
    let stored_at: Vec<String> = field
        .levels
        .iter()
        .filter(|level| level.at.example.is_some())
        .map(|level| at(event, &level.level))
        .collect();
    page.put(format_args!(
        "<tr role=\"row\" id=\"{}\" data-k=\"{}\" data-at=\"{}\"><th scope=\"row\" role=\"rowheader\">\
         <a class=\"path\" href=\"#{}\"><code>{}</code></a><p class=\"about\">{}</p>",
        Text(&id),
        Text(&key.join(" ").to_lowercase()),
        Text(&stored_at.join(" ")),
        fragment(&id),
        Text(&field.path),
        Text(&field.description),
    ));
    let purposes =
        field.purposes.iter().map(|purpose| Purpose::as_str(*purpose)).collect::<Vec<_>>().join(", ");
    page.put(format_args!(
        "<ul class=\"chips\"><li class=\"chip\">{}</li><li class=\"chip\">{}</li><li class=\"chip\">for: {}</li>",
        Text(means),
        Text(words::category(field.category)),
        Text(&purposes),
    ));
    if field.since > event.since {
        page.put(format_args!("<li class=\"chip new\">since version {}</li>", field.since));
    }
    page.put(format_args!("</ul>"));
    if !field.vocabulary.is_empty() {
        page.put(format_args!(
            "<details><summary>{} listed words</summary><p class=\"words\">{}</p></details>",
            field.vocabulary.len(),
            Text(&field.vocabulary.join(", "))
        ));
    }
    page.put(format_args!(
        "</th><td role=\"cell\" data-l=\"Sent\"><code class=\"val\">{}</code></td>",
        Text(&field.example)
    ));
    let named = field.class != IdentifierClass::NotIdentifying;
    for level in &field.levels {
        put_level(page, level, named);
    }
    page.put(format_args!("</tr>\n"));
}

fn put_level(page: &mut Page, level: &FieldLevel, named: bool) {
    page.put(format_args!("<td role=\"cell\" data-l=\"Stored at {}\">", Text(&level.level)));
    put_treated(page, &level.at, named);
    for region in &level.regions {
        page.put(format_args!("<div class=\"where\"><b>In: {}</b>", Text(&words::region(&region.region))));
        put_treated(page, &region.at, named);
        page.put(format_args!("</div>"));
    }
    page.put(format_args!("</td>"));
}

fn put_treated(page: &mut Page, treated: &Treated, named: bool) {
    page.put(format_args!("<span title=\"{}\">", Text(&treated.why)));
    page.deed(&treated.deed, named);
    page.put(format_args!("</span>"));
    match &treated.example {
        Some(example) => page.put(format_args!("<code class=\"val\">{}</code>", Text(example))),
        None if treated.deed.treatment == "drop" => {}
        None => page.put(format_args!("<span class=\"none\">nothing of this example</span>")),
    }
}
