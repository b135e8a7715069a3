//! The first page: what a person who is no engineer has to know, and the way to every event.

use super::document::{Class, ClassLevel, Document, Event, Field, Product, Program};
use super::html::{Page, Text, fragment};
use super::words;
use crate::model::{IdentifierClass, Purpose};

/// The page.
pub(super) fn page(document: &Document) -> String {
    let links = [
        ("#levels", "Levels"),
        ("#treatments", "What happens to a value"),
        ("#kinds", "Kinds of data"),
        ("#products", "Products"),
    ];
    let mut page = Page::begin(document, &document.title, "", &links);
    hero(&mut page, document);
    in_short(&mut page, document);
    page.put(format_args!("<section aria-labelledby=\"levels\"><h2 id=\"levels\">Levels of participation</h2>\
        <p>Data belongs to programs. In each, every customer has a level; without one it is <em>none</em>, at which \
        nothing of the program is stored. A higher level stores at least what a lower one does.</p>"));
    for program in &document.programs {
        ladder(&mut page, program);
    }
    page.put(format_args!("</section>\n"));
    treatments(&mut page, document);
    pseudonyms(&mut page);
    kinds(&mut page, document);
    never(&mut page, document);
    choices(&mut page);
    products(&mut page, document);
    page.end(document)
}

fn hero(page: &mut Page, document: &Document) {
    let (events, fields) = document.size();
    page.put(format_args!(
        "<header class=\"hero\"><p class=\"eyebrow\">Data dictionary</p><h1>{}</h1>\
         <p class=\"lede\">Everything that may be collected, what it is for, and what is stored of it at each level of \
         participation, with an example of each field before and after. What is not listed here is not stored.</p>\
         <p class=\"meta\"><span>{} products</span><span>{events} events</span><span>{fields} fields</span>\
         <span>Policy <code>{}</code></span><span>Also as <a href=\"dictionary.json\">JSON</a> and \
         <a href=\"index.md\">Markdown</a></span></p></header>\n",
        Text(&document.title),
        document.products.len(),
        Text(&document.policy_version),
    ));
}

fn in_short(page: &mut Page, document: &Document) {
    let regions = if document.regions.is_empty() {
        "Where a law asks for more, an operator can set stricter rules for a region.".to_owned()
    } else {
        let names: Vec<String> = document.regions.iter().map(|name| words::region(name)).collect();
        format!("Stricter rules hold for data of these regions: {}.", names.join(", "))
    };
    let cards = [
        ("The customer decides", "A customer chooses a level for each program, and can lower it at any time. Nothing is stored of a program without a level.".to_owned()),
        ("Identifiers are treated first", "Before anything is written, names, addresses and numbers that identify are dropped, coarsened or replaced by pseudonyms, as the level says.".to_owned()),
        ("For a stated purpose only", "Every field says what it may be used for. Who reads the data states one purpose, and gets only the fields of it.".to_owned()),
        ("By region", regions),
    ];
    page.put(format_args!(
        "<section aria-labelledby=\"short\"><h2 id=\"short\">In short</h2><ul class=\"grid\">"
    ));
    for (head, text) in cards {
        page.put(format_args!("<li class=\"card\"><h3>{head}</h3><p>{}</p></li>", Text(&text)));
    }
    page.put(format_args!("</ul></section>\n"));
}

fn ladder(page: &mut Page, program: &Program) {
    page.put(format_args!(
        "<h3>Program <code>{}</code></h3><p>{}</p><ol class=\"ladder\"><li><span class=\"name\">none</span>\
         <p>Nothing is stored.</p></li>",
        Text(&program.name),
        Text(&program.description)
    ));
    for level in &program.levels {
        page.put(format_args!(
            "<li><span class=\"name\">{}</span><p>{}</p>",
            Text(&level.name),
            Text(&level.description)
        ));
        let categories = level.categories.iter().map(|category| words::category(*category));
        let purposes: Vec<String> =
            level.purposes.iter().map(|purpose| format!("for: {}", Purpose::as_str(*purpose))).collect();
        page.chips(categories.chain(purposes.iter().map(String::as_str)));
        page.put(format_args!("</li>"));
    }
    page.put(format_args!("</ol>"));
}

/// An example of a treatment: the field of which something is stored, and what. A kind of data that
/// everybody knows is taken first.
fn sample<'d>(document: &'d Document, treatment: &str) -> Option<(&'d Field, &'d str)> {
    let known = match treatment {
        "pseudonym" => IdentifierClass::HostName,
        "generalise" => IdentifierClass::Location,
        "redact" => IdentifierClass::ProductLog,
        _ => IdentifierClass::NotIdentifying,
    };
    let fields = document.products.iter().flat_map(|product| &product.events).flat_map(|event| &event.fields);
    let stored = fields.flat_map(|field| field.levels.iter().map(move |level| (field, level)));
    let shown = stored.filter(|(_, level)| level.at.deed.treatment == treatment);
    let shown = shown.filter_map(|(field, level)| Some((field, level.at.example.as_deref()?)));
    shown.min_by_key(|(field, _)| field.class != known)
}

fn treatments(page: &mut Page, document: &Document) {
    page.put(format_args!(
        "<section aria-labelledby=\"treatments\"><h2 id=\"treatments\">What can happen to a value</h2>\
         <div class=\"scroll cards\" role=\"region\" tabindex=\"0\" aria-labelledby=\"treatments\"><table role=\"table\" class=\"treats\">\
         <thead><tr role=\"row\"><th scope=\"col\" role=\"columnheader\">Treatment</th>\
         <th scope=\"col\" role=\"columnheader\">What it means</th><th scope=\"col\" role=\"columnheader\">Sent</th>\
         <th scope=\"col\" role=\"columnheader\">Stored</th></tr></thead><tbody>"
    ));
    for ((word, name, means), passes) in words::TREATMENTS.iter().zip([0, 2, 2, 2, 3, 4]) {
        let sample = sample(document, word);
        let (sent, stored) =
            sample.map_or(("–", "–"), |(field, stored)| (field.example.as_str(), stored));
        let sent = if *word == "drop" { dropped(document).unwrap_or("–") } else { sent };
        page.put(format_args!(
            "<tr role=\"row\"><th scope=\"row\" role=\"rowheader\"><span class=\"deed {word} n{passes}\">{name}</span></th>\
             <td role=\"cell\" data-l=\"What it means\">{means}</td>\
             <td role=\"cell\" data-l=\"Sent\"><code class=\"val\">{}</code></td>\
             <td role=\"cell\" data-l=\"Stored\"><code class=\"val\">{}</code></td></tr>\n",
            Text(sent),
            Text(stored)
        ));
    }
    page.put(format_args!("</tbody></table></div></section>\n"));
}

/// The example of a field that some level drops.
fn dropped(document: &Document) -> Option<&str> {
    let fields = document.products.iter().flat_map(|product| &product.events).flat_map(|event| &event.fields);
    let mut fields = fields.filter(|field| {
        let drops = field.levels.iter().any(|level| level.at.deed.treatment == "drop");
        drops
            && matches!(
                field.class,
                IdentifierClass::PersonName | IdentifierClass::Email | IdentifierClass::UserId
            )
    });
    fields.next().map(|field| field.example.as_str())
}

fn pseudonyms(page: &mut Page) {
    page.put(format_args!(
        "<section aria-labelledby=\"pseudonyms\"><h2 id=\"pseudonyms\">A pseudonym is not anonymous</h2>\
         <p>A pseudonym stands for one value of one customer. It is made with a secret key, and the keys of two customers, \
         of two programs and of two kinds of data are different.</p><ul class=\"tick\">\
         <li><strong>What it does:</strong> who reads the data sees that two records are about the same thing, and not \
         what the thing is. It cannot be computed, looked up or compared with another customer’s without the key.</li>\
         <li><strong>What it does not:</strong> records that share a pseudonym still belong together, and whoever holds the key \
         can compute the pseudonym of a value that they know. Where it stands for a person, it remains personal data.</li>\
         <li><strong>How it ends:</strong> when the key of a customer is destroyed, nobody can compute a pseudonym of that customer \
         again. A rotating pseudonym ends by itself: with the next period, the same value gets another one.</li></ul></section>\n"
    ));
}

fn kinds(page: &mut Page, document: &Document) {
    let columns = document.classes.first().map(|class| class.levels.as_slice()).unwrap_or_default();
    page.put(format_args!(
        "<section aria-labelledby=\"kinds\"><h2 id=\"kinds\">What each level does to each kind of data</h2>\
         <p>This table is the rule; the pages of the products show what it does to each field. The ids of the customer and of \
         the installation go with every batch, and follow the first rows. A level stores a field only if it also includes \
         its category and one of its purposes.</p>\
         <div class=\"scroll cards\" role=\"region\" tabindex=\"0\" aria-labelledby=\"kinds\"><table role=\"table\" class=\"matrix\" style=\"--cols:{}\">\
         <thead><tr role=\"row\"><th scope=\"col\" role=\"columnheader\">Kind of data</th>",
        columns.len()
    ));
    for ClassLevel { program, level, .. } in columns {
        page.put(format_args!(
            "<th scope=\"col\" role=\"columnheader\"><small>{}</small> {}</th>",
            Text(program),
            Text(level)
        ));
    }
    page.put(format_args!("</tr></thead><tbody>\n"));
    for class in &document.classes {
        kind(page, class);
    }
    page.put(format_args!("</tbody></table></div></section>\n"));
}

fn kind(page: &mut Page, class: &Class) {
    page.put(format_args!(
        "<tr role=\"row\"><th scope=\"row\" role=\"rowheader\">{}<p class=\"about\"><code>{}</code></p></th>",
        Text(class.means),
        Text(class.of.as_str())
    ));
    let named = class.of != IdentifierClass::NotIdentifying;
    for level in &class.levels {
        page.put(format_args!(
            "<td role=\"cell\" data-l=\"{} {}\">",
            Text(&level.program),
            Text(&level.level)
        ));
        page.deed(&level.deed, named);
        for region in &level.regions {
            page.put(format_args!(
                "<div class=\"where\"><b>In: {}</b>",
                Text(&words::region(&region.region))
            ));
            page.deed(&region.deed, named);
            page.put(format_args!("</div>"));
        }
        page.put(format_args!("</td>"));
    }
    page.put(format_args!("</tr>\n"));
}

fn never(page: &mut Page, document: &Document) {
    page.put(format_args!(
        "<section aria-labelledby=\"never\"><h2 id=\"never\">What is never stored</h2><p>At no level, and whatever a policy \
         says:</p><ul class=\"grid\">"
    ));
    for never in &document.never_stored {
        page.put(format_args!(
            "<li class=\"card\"><h3>{}</h3><p>{}</p></li>",
            Text(never.what),
            Text(never.means)
        ));
    }
    page.put(format_args!("</ul></section>\n"));
}

fn choices(page: &mut Page) {
    page.put(format_args!(
        "<section aria-labelledby=\"choices\"><h2 id=\"choices\">What a customer can choose</h2><ul class=\"tick\">\
         <li><strong>A level</strong> for each program, and a stricter one for single products. A lowered level binds what is \
         already stored and not yet handed on; a raised one brings nothing back.</li>\
         <li><strong>Purposes</strong>: each can be switched off.</li>\
         <li><strong>New data</strong>: a field that is newer than the dictionary version which a customer has accepted is \
         withheld until it is accepted. Every event and field says since which version it is there.</li></ul>\
         <h3>Purposes</h3><ul class=\"tick\">"
    ));
    for purpose in Purpose::ALL {
        page.put(format_args!(
            "<li><strong><code>{}</code></strong>: {}.</li>",
            purpose.as_str(),
            words::purpose(*purpose)
        ));
    }
    page.put(format_args!("</ul></section>\n"));
}

fn products(page: &mut Page, document: &Document) {
    page.put(format_args!(
        "<section aria-labelledby=\"products\"><h2 id=\"products\">Products and events</h2>"
    ));
    page.filter("Find an event or a field", &[]);
    for product in &document.products {
        put_product(page, product);
    }
    page.put(format_args!("</section>\n"));
}

fn put_product(page: &mut Page, product: &Product) {
    let name = Text(&product.name);
    let fields: usize = product.events.iter().map(|event| event.fields.len()).sum();
    page.put(format_args!(
        "<section class=\"event\" data-group=\"{name}\"><h3><a href=\"products/{name}.html\">{name}</a></h3><p>{}</p>\
         <p class=\"meta\"><span>Dictionary version {}</span><span>{} events</span><span>{fields} fields</span></p>\
         <div class=\"scroll cards\" role=\"region\" tabindex=\"0\" aria-label=\"Events of {name}\"><table role=\"table\">\
         <thead><tr role=\"row\"><th scope=\"col\" role=\"columnheader\">Event</th>\
         <th scope=\"col\" role=\"columnheader\">What it tells</th><th scope=\"col\" role=\"columnheader\">Program</th>\
         <th scope=\"col\" role=\"columnheader\">Fields</th></tr></thead><tbody>\n",
        Text(&product.description),
        product.version,
        product.events.len(),
    ));
    for event in &product.events {
        put_event(page, product, event);
    }
    page.put(format_args!("</tbody></table></div></section>\n"));
}

fn put_event(page: &mut Page, product: &Product, event: &Event) {
    let mut key = format!("{} {}", event.name, event.description);
    for field in &event.fields {
        for part in [field.path.as_str(), &field.description, field.class.as_str(), words::class(field.class)]
        {
            key.push(' ');
            key.push_str(part);
        }
    }
    page.put(format_args!(
        "<tr role=\"row\" data-k=\"{}\"><th scope=\"row\" role=\"rowheader\"><a href=\"products/{}.html#{}\">\
         <code>{}</code></a></th><td role=\"cell\" data-l=\"What it tells\">{}</td>\
         <td role=\"cell\" data-l=\"Program\">{}</td><td role=\"cell\" data-l=\"Fields\">{}</td></tr>\n",
        Text(&key.to_lowercase()),
        Text(&product.name),
        fragment(&event.name),
        Text(&event.name),
        Text(&event.description),
        Text(&event.program),
        event.fields.len(),
    ));
}
