//! What is published is what the collector does: every field, in every form, with examples that the code of
//! ingest made; and publishing never overwrites what is not its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use data_encoding::{BASE32HEX_NOPAD, HEXLOWER};
use serde_json::Value as Json;
use usaged::grpc::client::{Message as _, Timestamp};
use usaged::grpc::proto::drain::{self, Batch, FieldSpec, value::Kind as Out};
use usaged::grpc::proto::ingest::SubmitRequest;
use usaged::ingest::Explain;
use usaged::model::{IdentifierClass, RegionName, UnixMillis};
use usaged::policy::{Policy, PolicyFile, Product, compile, shipped};

use crate::cli_run::{Ended, usaged};
use crate::dictionary_events::make;
use crate::golden_levels::example;

/// The time of the examples: part of what is published, because rotating pseudonyms depend on it.
const RECEIVED: UnixMillis = UnixMillis(1_767_225_600_000);

fn put(dir: &Path, files: &[PolicyFile]) {
    for file in files {
        let path = dir.join(&file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &file.text).unwrap();
    }
}

fn publish(policy: &Path, out: &Path, more: &[&str]) -> Ended {
    let (policy, out) = (policy.display().to_string(), out.display().to_string());
    usaged(["policy", "publish", &policy, "--out", &out].iter().chain(more))
}

/// Every file below a directory, by its path.
fn read_all(dir: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(at) = todo.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().display().to_string();
                found.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// The text between the tags of a part of a page.
fn text_of(html: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for character in html.chars() {
        match character {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                text.push('\n');
            }
            other if !inside => text.push(other),
            _ => {}
        }
    }
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    plain.iter().fold(text, |text, (code, character)| text.replace(code, character))
}

/// The text of a Markdown cell.
fn unescaped(markdown: &str) -> String {
    let mut text = String::new();
    let mut characters = markdown.chars();
    while let Some(character) = characters.next() {
        text.push(if character == '\\' { characters.next().unwrap() } else { character });
    }
    text_of(&text)
}

/// What a level stores, by path: read here a second time, from the bytes.
fn by_path(batch: &Batch) -> BTreeMap<String, String> {
    fn put(batch: &Batch, value: &drain::Value, of: &FieldSpec, out: &mut BTreeMap<String, String>) {
        let spec = |number: u32| &batch.fields[usize::try_from(number).unwrap()];
        let text = match value.kind.as_ref().unwrap() {
            Out::RecordValue(record) => {
                return record
                    .fields
                    .iter()
                    .for_each(|f| put(batch, f.value.as_ref().unwrap(), spec(f.field), out));
            }
            Out::ListValue(list) => return list.values.iter().for_each(|item| put(batch, item, of, out)),
            Out::MapValue(map) => {
                for pair in &map.pairs {
                    put(batch, pair.key.as_ref().unwrap(), spec(of.key_field - 1), out);
                    put(batch, pair.value.as_ref().unwrap(), of, out);
                }
                return;
            }
            Out::StringValue(text) => text.clone(),
            Out::IntValue(number) => number.to_string(),
            Out::DoubleValue(number) => number.to_string(),
            Out::BoolValue(yes) => yes.to_string(),
            Out::BytesValue(bytes) => HEXLOWER.encode(bytes),
            Out::TokenValue(token) => {
                format!("{}{}", of.token_prefix, BASE32HEX_NOPAD.encode(token).to_ascii_lowercase())
            }
        };
        assert_eq!(out.insert(of.path.clone(), text), None);
    }
    let mut out = BTreeMap::new();
    for field in batch.events.iter().flat_map(|event| &event.fields) {
        let of = &batch.fields[usize::try_from(field.field).unwrap()];
        put(batch, field.value.as_ref().unwrap(), of, &mut out);
    }
    out
}

/// What ingest makes of the examples of an event, by program, level and path.
fn stored(
    policy: &Arc<Policy>,
    product: &Product,
    event: &usaged::policy::Event,
    region: Option<&str>,
) -> BTreeMap<(String, String), BTreeMap<String, String>> {
    let mut sent = make(product, event, |_, field| Some(example(field)));
    sent.time = Some(Timestamp { seconds: RECEIVED.0 / 1000 - 60, nanos: 0 });
    let request = SubmitRequest {
        batch_id: "0190a3c2-7b1e-7c55-9d2f-0123456789ab".into(),
        product: product.name().to_string(),
        instance: "any".into(),
        events: vec![sent],
        ..SubmitRequest::default()
    };
    let region = region.map(|name| RegionName::new(name).unwrap());
    let explain = Explain::for_anyone(Arc::clone(policy), region, RECEIVED).unwrap();
    let levels = explain.explain(&request.encode_to_vec()).unwrap().into_iter();
    levels
        .map(|level| {
            let key = (level.program.to_string(), level.level.to_string());
            (key, by_path(&Batch::decode(&*level.batch).unwrap()))
        })
        .collect()
}

fn list<'j>(json: &'j Json, name: &str) -> &'j Vec<Json> {
    json[name].as_array().unwrap_or_else(|| panic!("{name} of {json}"))
}

/// Every field: product, event, field.
fn fields(document: &Json) -> Vec<(&Json, &Json, &Json)> {
    let mut found = Vec::new();
    for product in list(document, "products") {
        for event in list(product, "events") {
            found.extend(list(event, "fields").iter().map(|field| (product, event, field)));
        }
    }
    found
}

/// What is told of a field at each level: the level, the region, and what.
fn told(field: &Json) -> Vec<(String, Option<&str>, &Json)> {
    let mut told = Vec::new();
    for level in list(field, "levels") {
        let name = level["level"].as_str().unwrap().to_owned();
        told.push((name.clone(), None, level));
        for region in list(level, "regions") {
            told.push((name.clone(), region["region"].as_str(), region));
        }
    }
    told
}

// covers: P1
#[test]
fn the_three_forms_agree_name_every_field_and_show_what_ingest_stores() {
    let dir = tempfile::tempdir().unwrap();
    let (source, out) = (dir.path().join("policy"), dir.path().join("site"));
    put(&source, &shipped());
    let ended = publish(&source, &out, &["--json"]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    let files = read_all(&out);
    let document: Json = serde_json::from_str(&files["dictionary.json"]).unwrap();
    let policy = Arc::new(compile(&shipped()).unwrap().0);
    assert_eq!((&document["format"], &document["policy_version"]), (&1.into(), &policy.version().into()));

    // Every field of the dictionary is there, once, in its order.
    let declared: Vec<String> = policy
        .products()
        .iter()
        .flat_map(|product| product.events().iter().map(move |event| (product, event)))
        .flat_map(|(product, event)| {
            product
                .fields(event)
                .map(move |(_, field)| format!("{} {} {}", product.name(), event.name(), field.path()))
        })
        .collect();
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    let published: Vec<String> = fields(&document)
        .iter()
        .map(|(product, event, field)| {
            format!("{} {} {}", text(&product["name"]), text(&event["name"]), text(&field["path"]))
        })
        .collect();
    assert_eq!(published, declared);
    assert_eq!(ended.json()["fields"], declared.len());

    for product in policy.products() {
        let name = product.name();
        let (html, markdown) =
            (&files[&format!("products/{name}.html")], &files[&format!("products/{name}.md")]);
        for event in product.events() {
            let plain = stored(&policy, product, event, None);
            let eea = stored(&policy, product, event, Some("eea"));
            let program = policy.programs()[event.program()].name().to_string();
            let of_event = fields(&document)
                .into_iter()
                .filter(|(p, e, _)| p["name"] == name.as_str() && e["name"] == event.name().as_str());
            for (_, _, field) in of_event {
                let path = text(&field["path"]);
                let row = html.split(&format!("id=\"{}:{path}\"", event.name())).nth(1).unwrap();
                let row = text_of(&format!("<{}", row.split("</tr>").next().unwrap()));
                let section =
                    markdown.split(&format!("\n## {}\n", escaped(event.name().as_str()))).nth(1).unwrap();
                let start = format!("| <code>{}</code> |", escaped(&path));
                let line =
                    section.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{path}"));
                let line = unescaped(line);
                for shown in [&row, &line] {
                    assert!(shown.contains(&text(&field["example"])), "{path}: {shown}");
                    assert!(shown.contains(field["description"].as_str().unwrap()), "{path}: {shown}");
                }
                for (level, region, at) in told(field) {
                    let ingest = if region.is_some() { &eea } else { &plain };
                    let after = ingest[&(program.clone(), level.clone())].get(&path);
                    // The bytes of ingest, or nothing.
                    assert_eq!(
                        at["example"].as_str(),
                        after.map(String::as_str),
                        "{path} at {level} {region:?}"
                    );
                    // What is said to be stored is, of every example.
                    assert_eq!(at["treatment"] == "drop", after.is_none(), "{path} at {level} {region:?}");
                    for shown in [&row, &line] {
                        assert!(shown.contains(at["label"].as_str().unwrap()), "{path} at {level}: {shown}");
                        assert!(
                            after.is_none_or(|after| shown.contains(after)),
                            "{path} at {level}: {shown}"
                        );
                    }
                }
                // A region that is not told makes no difference.
                for level in list(field, "levels") {
                    let key = (program.clone(), text(&level["level"]));
                    if list(level, "regions").is_empty() {
                        assert_eq!(plain[&key].get(&path), eea[&key].get(&path), "{path}");
                    }
                }
            }
        }
    }
}

fn escaped(text: &str) -> String {
    let special = |c: char| "\\`*_[]()#|~!{}".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

// covers: P1
#[test]
fn nothing_that_a_level_drops_or_replaces_is_shown_as_stored() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("site").display().to_string();
    assert_eq!(usaged(["policy", "publish", "--shipped", "--out", &out]).code, 0);
    let document: Json =
        serde_json::from_str(&std::fs::read_to_string(dir.path().join("site/dictionary.json")).unwrap())
            .unwrap();
    let mut checked = 0;
    for product in list(&document, "products") {
        for event in list(product, "events") {
            let all: Vec<_> = list(event, "fields").iter().map(|field| (field, told(field))).collect();
            for (field, told) in &all {
                for (level, region, at) in told {
                    let hidden = matches!(at["treatment"].as_str().unwrap(), "drop" | "pseudonym");
                    let example = field["example"].as_str().unwrap();
                    if !hidden || field["class"] == "not_identifying" || example.len() < 4 {
                        continue;
                    }
                    if at["treatment"] == "drop" {
                        assert_eq!(at["example"], Json::Null, "{field}");
                    }
                    // Neither in its own cell, nor in that of any field of the same event at that level.
                    for (other, after) in &all {
                        // A listed word is a word, whatever another field holds.
                        let words = |at: &Json| at["treatment"] == "vocabulary";
                        let after = after.iter().filter(|(l, r, at)| l == level && r == region && !words(at));
                        for shown in after.filter_map(|(_, _, at)| at["example"].as_str()) {
                            // The name of a class in a pseudonym or a marker is no value.
                            let names = |text: String, class: &IdentifierClass| {
                                text.replace(&format!("p1-{class}-"), "").replace(&format!("[{class}]"), "")
                            };
                            let shown = IdentifierClass::ALL.iter().fold(shown.to_owned(), names);
                            assert!(!shown.contains(example), "{} shows {}", other["path"], field["path"]);
                            checked += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(checked > 500, "{checked}");
}

#[test]
fn the_same_policy_gives_the_same_bytes_and_pages_load_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("policy");
    put(&source, &shipped());
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    assert_eq!(publish(&source, &one, &[]).code, 0);
    assert_eq!(publish(&source, &two, &[]).code, 0);
    let before = read_all(&one);
    assert_eq!(before, read_all(&two));
    assert_eq!(publish(&source, &one, &[]).code, 0, "again, over its own files");
    assert_eq!(before, read_all(&one));
    for (name, page) in before.iter().filter(|(name, _)| name.ends_with(".html")) {
        for outside in [
            "src=",
            "@import",
            "url(",
            "href=\"http",
            "href=\"//",
            "<link",
            "<img",
            "<iframe",
            "anonymous key",
        ] {
            assert!(!page.contains(outside), "{name}: {outside}");
        }
        // Whole, with a heading, and every link within the page leads somewhere.
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n") && page.contains("<h1>"));
        for href in page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            let id = percent_decoded(href);
            assert!(page.contains(&format!("id=\"{id}\"")), "{name}: #{id}");
        }
    }
    // Links between the pages too.
    for href in
        before["index.html"].split("href=\"products/").skip(1).map(|rest| rest.split('"').next().unwrap())
    {
        let (page, id) = href.split_once('#').unwrap_or((href, ""));
        let target = &before[&format!("products/{page}")];
        assert!(id.is_empty() || target.contains(&format!("id=\"{}\"", percent_decoded(id))), "{href}");
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn only_its_own_files_are_replaced_and_those_of_a_product_that_is_no_more_go() {
    let dir = tempfile::tempdir().unwrap();
    let (source, out) = (dir.path().join("policy"), dir.path().join("site"));
    put(&source, &shipped());
    // A foreign file in the way: refused before anything is written.
    std::fs::create_dir_all(out.join("products")).unwrap();
    std::fs::write(out.join("products/vcenter.md"), "mine").unwrap();
    std::fs::write(out.join("CNAME"), "example.com").unwrap();
    let refused = publish(&source, &out, &[]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("products/vcenter.md") && !refused.err.contains("CNAME"), "{}", refused.err);
    assert_eq!(read_all(&out).len(), 2);
    std::fs::remove_file(out.join("products/vcenter.md")).unwrap();
    // A link in the way is foreign too, wherever it leads.
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), out.join("index.html")).unwrap();
    assert_eq!(publish(&source, &out, &[]).code, 1);
    std::fs::remove_file(out.join("index.html")).unwrap();

    assert_eq!(publish(&source, &out, &[]).code, 0);
    assert!(out.join("products/horizon.html").is_file());
    std::fs::remove_file(source.join("products/horizon.toml")).unwrap();
    let ended = publish(&source, &out, &["--json"]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(list(&ended.json(), "removed").len(), 2);
    assert!(!out.join("products/horizon.html").exists() && !out.join("products/horizon.md").exists());
    assert_eq!(std::fs::read_to_string(out.join("CNAME")).unwrap(), "example.com");

    // A list that somebody changed cannot have us remove a file elsewhere.
    let victim = dir.path().join("victim");
    std::fs::write(&victim, "mine").unwrap();
    let list = out.join(".usaged-publish.json");
    let text = std::fs::read_to_string(&list).unwrap();
    std::fs::write(&list, text.replace("\"index.md\"", "\"index.md\", \"../victim\"")).unwrap();
    assert_eq!(publish(&source, &out, &[]).code, 1);
    assert!(victim.is_file());
}

#[test]
fn a_bad_policy_is_refused_with_every_mistake_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (source, out) = (dir.path().join("policy"), dir.path().join("site"));
    let mut files = shipped();
    files[2].text = files[2].text.replacen("class = \"host_name\"", "class = \"hostname\"", 1);
    files[3].text = files[3].text.replacen("host_name = \"pseudonym\"", "host_name = \"keep\"", 1);
    put(&source, &files);
    let refused = publish(&source, &out, &[]);
    assert_eq!(refused.code, 3);
    for place in ["products/vcenter.toml:16: ", "programs/ceip.toml:"] {
        assert!(refused.err.contains(place), "{}", refused.err);
    }
    assert!(!out.exists());
    let region =
        usaged(["policy", "publish", "--shipped", "--out", "/nonexistent/x", "--region", "atlantis"]);
    assert_eq!(region.code, 2, "{}", region.err);
    assert!(region.err.contains("no region `atlantis`"), "{}", region.err);
}

#[test]
fn texts_of_a_policy_and_a_title_are_texts_and_never_markup() {
    let dir = tempfile::tempdir().unwrap();
    let (source, out) = (dir.path().join("policy"), dir.path().join("site"));
    let hostile = r#"</code><script>alert(1)</script>"' onx=y & | ` [a](javascript:b) \u202Eevil"#;
    let mut files = shipped();
    let toml = hostile.replace('"', "\\\"");
    files[2].text = files[2].text.replacen("The host that runs it.", &toml, 1);
    files[3].text =
        files[3].text.replacen("The customer experience", &format!("{toml} The customer experience"), 1);
    put(&source, &files);
    let ended = publish(&source, &out, &["--title", "<script>a</script>"]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    for (name, text) in read_all(&out) {
        if name.ends_with(".html") {
            assert_eq!(text.matches("<script").count(), 1, "{name}: only our own");
            assert!(!text.contains('\u{202e}') && !text.contains("' onx="), "{name}");
        }
        if name.ends_with(".md") {
            assert!(!text.contains("<script") && !text.contains("[a](javascript"), "{name}");
        }
        if name == "dictionary.json" {
            assert!(serde_json::from_str::<Json>(&text).is_ok());
        }
    }
}

#[test]
fn two_thousand_fields_are_published_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (source, out) = (dir.path().join("policy"), dir.path().join("site"));
    let mut files = shipped();
    let mut big = "name = \"big\"\ndescription = \"A large product.\"\nversion = 1\n".to_owned();
    for event in 0..200 {
        big.push_str(&format!(
            "[events.\"e.{event}\"]\ndescription = \"Event.\"\nprogram = \"ceip\"\nsince = 1\n"
        ));
        for field in 0..10 {
            let (class, kind, example) = if field < 4 {
                ("host_name", "string", format!("\"h{field}-{event}.example.com\""))
            } else {
                ("not_identifying", "int", field.to_string())
            };
            big.push_str(&format!(
                "[events.\"e.{event}\".fields.f{field}]\ntype = \"{kind}\"\ncategory = \"configuration\"\nclass = \"{class}\"\n\
                 purposes = [\"improve\"]\ndescription = \"Field.\"\nexample = {example}\nsince = 1\n"
            ));
        }
    }
    files.push(PolicyFile { path: "products/big.toml".into(), text: big });
    put(&source, &files);
    let ended = publish(&source, &out, &["--json"]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(ended.json()["events"].as_u64(), Some(220));
    let page = std::fs::read_to_string(out.join("products/big.html")).unwrap();
    assert_eq!(page.matches("<tr role=\"row\" id=\"e.").count(), 2_000);
    assert!(page.len() < 4 << 20, "{}", page.len());
}
