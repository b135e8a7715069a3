//! The API's own rules: everything in `proto/` is commented, and named as the API Improvement
//! Proposals have it.

use prost::Message;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use usaged::grpc::proto::DESCRIPTORS;

fn files() -> Vec<FileDescriptorProto> {
    let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    set.file.into_iter().filter(|file| file.package().starts_with("usaged.")).collect()
}

/// The names and paths of everything in a file that must have a comment.
fn declared(file: &FileDescriptorProto) -> Vec<(String, Vec<i32>)> {
    let mut all = Vec::new();
    for (s, service) in (0..).zip(&file.service) {
        all.push((service.name().to_owned(), vec![6, s]));
        for (m, method) in (0..).zip(&service.method) {
            all.push((format!("{}.{}", service.name(), method.name()), vec![6, s, 2, m]));
        }
    }
    for (m, message) in (0..).zip(&file.message_type) {
        in_message(message, message.name(), &[4, m], &mut all);
    }
    for (e, values) in (0..).zip(&file.enum_type) {
        in_enum(values, values.name(), &[5, e], &mut all);
    }
    all
}

fn in_message(message: &DescriptorProto, name: &str, path: &[i32], all: &mut Vec<(String, Vec<i32>)>) {
    let under = |kind, at| [path, &[kind, at]].concat();
    all.push((name.to_owned(), path.to_vec()));
    for (f, field) in (0..).zip(&message.field) {
        all.push((format!("{name}.{}", field.name()), under(2, f)));
    }
    for (n, nested) in (0..).zip(&message.nested_type) {
        if !nested.options.as_ref().is_some_and(|o| o.map_entry()) {
            in_message(nested, &format!("{name}.{}", nested.name()), &under(3, n), all);
        }
    }
    for (e, values) in (0..).zip(&message.enum_type) {
        in_enum(values, &format!("{name}.{}", values.name()), &under(4, e), all);
    }
    // One that protobuf makes for an `optional` field begins with `_`, and has no place for a comment.
    for (o, one_of) in (0..).zip(&message.oneof_decl).filter(|(_, one_of)| !one_of.name().starts_with('_')) {
        all.push((format!("{name}.{}", one_of.name()), under(8, o)));
    }
}

fn in_enum(values: &EnumDescriptorProto, name: &str, path: &[i32], all: &mut Vec<(String, Vec<i32>)>) {
    all.push((name.to_owned(), path.to_vec()));
    for (v, value) in (0..).zip(&values.value) {
        all.push((format!("{name}.{}", value.name()), [path, &[2, v]].concat()));
    }
}

#[test]
fn every_message_field_method_and_value_has_a_comment() {
    let files = files();
    assert_eq!(files.len(), 9);
    let mut checked = 0;
    let mut missing = Vec::new();
    for file in &files {
        let info = file.source_code_info.as_ref().expect("descriptors keep comments, for reflection too");
        for (name, path) in declared(file) {
            checked += 1;
            let comment = info.location.iter().find(|l| l.path == path).map(|l| l.leading_comments());
            if comment.is_none_or(|text| text.trim().len() < 4) {
                missing.push(format!("{}: {name}", file.name()));
            }
        }
    }
    assert!(checked > 200, "{checked}");
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn names_follow_the_api_improvement_proposals() {
    let lower_snake =
        |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let camel = |name: &str| name.starts_with(|c: char| c.is_ascii_uppercase()) && !name.contains('_');
    for file in files() {
        for service in &file.service {
            assert!(service.name().ends_with("Service"), "{}", service.name());
            for method in &service.method {
                let (input, name) = (method.input_type(), method.name());
                // Two ways to do one thing take the same.
                let own = match name {
                    "SubmitStream" => "Submit",
                    "CountErasure" => "Erase",
                    "CountBinding" => "PreviewBinding",
                    name => name,
                };
                assert!(input.ends_with(&format!(".{own}Request")), "{name} takes {input}");
            }
        }
        for message in &file.message_type {
            assert!(camel(message.name()), "{}", message.name());
            for field in &message.field {
                assert!(lower_snake(field.name()), "{}.{}", message.name(), field.name());
            }
            for values in &message.enum_type {
                assert!(values.value[0].name().ends_with("_UNSPECIFIED"), "{}", values.name());
            }
        }
        for values in &file.enum_type {
            assert!(values.value[0].name().ends_with("_UNSPECIFIED"), "{}", values.name());
        }
    }
}
