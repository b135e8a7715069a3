//! `usaged policy publish`: the data dictionary for everybody to read. Every event and field, what it is for,
//! and what each level stores of it, with an example before and after that the real sanitiser made; as
//! pages that load nothing, as Markdown, and as JSON (specified in `document`).
//!
//! The same policy always gives the same bytes, so that the result can be kept in git. One page for each
//! product, so that two thousand fields are still pages that a phone opens.

mod document;
mod example;
mod files;
pub(in crate::cli) mod html;
mod index_page;
mod markdown;
mod product_page;
pub(in crate::cli) mod words;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use self::document::Document;
use self::files::File;
use super::compiled;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, pairs};
use crate::model::RegionName;
use crate::policy::{Policy, Product};

/// Bytes of a title.
const TITLE_BYTES: usize = 200;

#[derive(Debug, Args)]
#[command(after_help = "\
Writes index.html, index.md, dictionary.json, and a page for each product below products/. The
pages load nothing from elsewhere and work without script. The same policy gives the same bytes.
Files that an earlier run wrote are replaced, and removed when their product is no more; others
are never overwritten.

Examples:
  usaged policy publish /etc/usaged/policy --out site
  usaged policy publish --shipped --out site --title 'What Example Inc. collects' --region eea")]
pub(super) struct PublishArgs {
    /// The policy directory.
    #[arg(required_unless_present = "shipped")]
    dir: Option<PathBuf>,
    /// Publish the policy that is inside the program.
    #[arg(long, conflicts_with = "dir")]
    shipped: bool,
    /// Where to write.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The title of the pages.
    #[arg(long, default_value = "What is collected", value_parser = title)]
    title: String,
    /// A region to tell of. Can be given several times; when not given, every region of the policy.
    #[arg(long = "region", value_name = "REGION")]
    regions: Vec<RegionName>,
}

fn title(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.len() > TITLE_BYTES || text.contains(char::is_control) {
        return Err(format!("write 1 to {TITLE_BYTES} bytes without control characters"));
    }
    Ok(text.to_owned())
}

impl PublishArgs {
    pub fn run(self, out: Output) -> Result<(), Failure> {
        let policy = Arc::new(compiled(self.dir.as_deref())?);
        let mut regions = if self.regions.is_empty() { policy.regions().to_vec() } else { self.regions };
        regions.sort();
        regions.dedup();
        let events = events(&policy);
        let bar = out.progress(u64::try_from(events).ok(), "events");
        let document = Document::new(&policy, self.title, &regions, &bar)?;
        bar.finish_and_clear();
        let files = pages(&document)?;
        let removed = files::write(&self.out, policy.version(), &files)?;
        let (events, fields) = document.size();
        let place = self.out.display().to_string();
        if out.is_json() {
            let written: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
            return out.json(&json!({
                "out": place, "policy_version": policy.version(), "products": document.products.len(),
                "events": events, "fields": fields, "written": written, "removed": removed,
            }));
        }
        out.table(&pairs([
            ("policy", policy.version().to_owned()),
            ("products", document.products.len().to_string()),
            ("events", events.to_string()),
            ("fields", fields.to_string()),
            ("files", files.len().to_string()),
            ("removed", removed.len().to_string()),
        ]))?;
        out.line(&format!("open {}", self.out.join("index.html").display()))
    }
}

fn events(policy: &Policy) -> usize {
    policy.products().iter().map(Product::events).map(<[_]>::len).sum()
}

/// Every file with its text.
fn pages(document: &Document) -> Result<Vec<File>, Failure> {
    let mut json = serde_json::to_string_pretty(document)
        .map_err(|error| Failure::Failed(format!("writing JSON: {error}")))?;
    json.push('\n');
    let mut files = vec![
        ("index.html".to_owned(), index_page::page(document)),
        ("index.md".to_owned(), markdown::index(document)),
        ("dictionary.json".to_owned(), json),
    ];
    for product in &document.products {
        let name = &product.name;
        files.push((format!("products/{name}.html"), product_page::page(document, product)));
        files.push((format!("products/{name}.md"), markdown::product(document, product)));
    }
    Ok(files)
}
