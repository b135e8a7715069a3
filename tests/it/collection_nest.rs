//! A product that has everything that a collection plan can speak of, for tests.

use std::fmt::Write as _;

use usaged::policy::PolicyFile;

/// A product of nothing but records, lists and maps in each other, of fields that are kept, hashed,
/// coarsened and dropped, alone and beside each other.
pub fn nest() -> PolicyFile {
    let mut out = "name = \"nest\"\ndescription = \"Nested.\"\nversion = 2\n".to_owned();
    let fields = [
        // All of it kept, some of it, none of it.
        ("kept.a", "int", "not_identifying"),
        ("kept.b.c", "int", "not_identifying"),
        ("part.name", "string", "person_name"),
        ("part.deep.size", "int", "not_identifying"),
        ("part.deep.owner", "string", "email"),
        ("part.gone.user", "string", "user_id"),
        ("part.gone.further.mail", "string", "email"),
        ("gone.user", "string", "user_id"),
        ("gone.device", "string", "device_id"),
        ("gone.list[].user", "string", "user_id"),
        // Lists.
        ("kept_list[]", "int", "not_identifying"),
        ("gone_list[]", "string", "person_name"),
        ("disks[].serial", "string", "serial_number"),
        ("disks[].size", "int", "not_identifying"),
        ("users[].name", "string", "person_name"),
        ("users[].mail", "string", "email"),
        ("grid[][]", "string", "mac_address"),
        ("gone_grid[][]", "string", "phone"),
        // Maps: key and value, each kept or dropped.
        ("ports{key}", "string", "object_name"),
        ("ports{}", "int", "not_identifying"),
        ("owners{key}", "string", "user_id"),
        ("owners{}", "int", "not_identifying"),
        ("phones{key}", "string", "object_name"),
        ("phones{}", "string", "phone"),
        ("hosts{key}", "string", "host_name"),
        ("hosts{}.cores", "int", "not_identifying"),
        ("hosts{}.owner", "string", "user_id"),
        ("people{key}", "string", "object_name"),
        ("people{}.name", "string", "person_name"),
        ("people{}.mails[]", "string", "email"),
        ("maps[]{key}", "string", "device_id"),
        ("maps[]{}.size", "int", "not_identifying"),
        ("lists{key}", "string", "ip_address"),
        ("lists{}[].mac", "string", "mac_address"),
        ("lists{}[].user", "string", "user_id"),
        ("secret", "string", "secret"),
        ("content", "string", "customer_content"),
        // Of other types than text, text with names in it, and text in which all this may be.
        ("user_number", "int", "user_id"),
        ("port", "bytes", "mac_address"),
        ("device", "bytes", "device_id"),
        ("pin", "int", "secret"),
        ("blob", "bytes", "customer_content"),
        ("address", "string", "url"),
        ("file", "string", "file_path"),
        ("note", "string", "free_text"),
    ];
    for (event, program) in [("all", "ceip"), ("again", "ceip"), ("lean", "operational")] {
        let _ =
            write!(out, "\n[events.{event}]\ndescription = \"One.\"\nprogram = \"{program}\"\nsince = 1\n");
        for (at, (path, kind, class)) in fields.iter().enumerate() {
            let example = match *class {
                "mac_address" | "device_id" if *kind == "bytes" => "\"005056a1b2c3\"",
                "user_id" | "secret" if *kind == "int" => "471100713",
                "customer_content" if *kind == "bytes" => "\"c0ffee00c0ffee\"",
                "url" => "\"https://nas7/ui\"",
                "file_path" => "\"/home/jdoe/x\"",
                "free_text" => "\"nas7 is down\"",
                "person_name" => "\"Jane Roe\"",
                "email" => "\"jane@example.com\"",
                "user_id" => "\"jroe\"",
                "device_id" | "serial_number" => "\"WX12-345678\"",
                "mac_address" => "\"00:50:56:a1:b2:c3\"",
                "ip_address" => "\"192.0.2.41\"",
                "phone" => "\"+4930748359133\"",
                "host_name" => "\"esx-1.example.com\"",
                "object_name" | "secret" | "customer_content" => "\"something\"",
                _ => "8",
            };
            // Some of it for other purposes, some newer than others.
            let (purposes, since) = match (program, at % 5, at % 7) {
                ("operational", ..) => ("[\"deliver\"]", 1),
                (_, 0, 3) => ("[\"recommend\"]", 1),
                (_, _, 2) => ("[\"improve\", \"recommend\"]", 2),
                _ => ("[\"improve\"]", 1),
            };
            let category = if program == "operational" { "operational" } else { "configuration" };
            let _ = write!(
                out,
                "\n[events.{event}.fields.\"{path}\"]\ntype = \"{kind}\"\ncategory = \"{category}\"\n\
                 class = \"{class}\"\npurposes = {purposes}\ndescription = \"One.\"\nexample = {example}\n\
                 since = {since}\n"
            );
        }
    }
    PolicyFile { path: "products/nest.toml".to_owned(), text: out }
}
