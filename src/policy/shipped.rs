//! The policy that ships: the files of `deploy/policy/`, compiled into the binary.

use super::PolicyFile;

/// The files of the shipped policy.
#[must_use]
pub fn shipped() -> Vec<PolicyFile> {
    FILES
        .iter()
        .map(|(path, text)| PolicyFile { path: (*path).to_owned(), text: (*text).to_owned() })
        .collect()
}

const FILES: [(&str, &str); 5] = [
    ("products/horizon.toml", include_str!("../../deploy/policy/products/horizon.toml")),
    ("products/tanzu-cli.toml", include_str!("../../deploy/policy/products/tanzu-cli.toml")),
    ("products/vcenter.toml", include_str!("../../deploy/policy/products/vcenter.toml")),
    ("programs/ceip.toml", include_str!("../../deploy/policy/programs/ceip.toml")),
    ("programs/operational.toml", include_str!("../../deploy/policy/programs/operational.toml")),
];

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::super::sample::policy;
    use super::super::{Epoch, Event, Generalise, Kind, Treatment, compile};
    use super::shipped;
    use crate::model::Category::{Configuration, FeatureUsage, Operational, Performance, ProductLog};
    use crate::model::{IdentifierClass as Class, LevelName, Purpose, Purposes, RegionName};

    /// Rows of DESIGN section 3: classes; `operational`; `ceip` standard and enhanced; and the
    /// same three in `eea`. A treatment is `drop`, `keep`, `stable`, `rotating`, `asked` (a pseudonym
    /// where the dictionary asks, else drop), `country`, `region`, `vocabulary`, `redact` or `capped`.
    const TABLE: [(&[Class], [&str; 3], [&str; 3]); 16] = [
        (&[Class::CustomerId, Class::EntitlementId], ["keep", "stable", "keep"], ["keep", "stable", "keep"]),
        (&[Class::LicenceKey], ["stable", "stable", "stable"], ["stable", "stable", "stable"]),
        (
            &[Class::InstanceId, Class::ClusterId, Class::VmId],
            ["stable", "rotating", "stable"],
            ["stable", "rotating", "stable"],
        ),
        (&[Class::HostName, Class::ObjectName], ["drop", "stable", "stable"], ["drop", "stable", "stable"]),
        (&[Class::IpAddress], ["drop", "stable", "stable"], ["drop", "drop", "rotating"]),
        (&[Class::MacAddress], ["drop", "stable", "stable"], ["drop", "drop", "drop"]),
        (
            &[Class::DeviceId, Class::SerialNumber, Class::BiosUuid],
            ["drop", "drop", "stable"],
            ["drop", "drop", "drop"],
        ),
        (
            &[Class::BrowserId, Class::Cookie, Class::PixelId, Class::AdvertisingId],
            ["drop", "drop", "stable"],
            ["drop", "drop", "drop"],
        ),
        (
            &[Class::UserId, Class::PersonName, Class::Email, Class::Phone, Class::PostalAddress],
            ["drop", "drop", "asked"],
            ["drop", "drop", "drop"],
        ),
        (&[Class::Location], ["country", "country", "region"], ["country", "country", "country"]),
        (
            &[Class::Url, Class::FilePath, Class::Query, Class::Argument],
            ["drop", "vocabulary", "redact"],
            ["drop", "vocabulary", "redact"],
        ),
        (&[Class::FreeText], ["drop", "drop", "redact"], ["drop", "drop", "redact"]),
        (&[Class::ProductLog, Class::CrashText], ["drop", "drop", "capped"], ["drop", "drop", "capped"]),
        (&[Class::Secret], ["drop", "drop", "drop"], ["drop", "drop", "drop"]),
        (&[Class::CustomerContent], ["drop", "drop", "drop"], ["drop", "drop", "drop"]),
        (&[Class::NotIdentifying], ["keep", "keep", "keep"], ["keep", "keep", "keep"]),
    ];

    fn treated(word: &str, asked: bool) -> Treatment {
        match word {
            "keep" => Treatment::Keep,
            "stable" => Treatment::Pseudonym(Epoch::Stable),
            "rotating" => Treatment::Pseudonym(Epoch::Rotating),
            "asked" if asked => Treatment::Pseudonym(Epoch::Stable),
            "drop" | "asked" => Treatment::Drop,
            "country" => Treatment::Generalise(Generalise::LocationCountry),
            "region" => Treatment::Generalise(Generalise::LocationRegion),
            "vocabulary" => Treatment::Vocabulary,
            "redact" => Treatment::Redact { max_bytes: None },
            "capped" => Treatment::Redact { max_bytes: Some(16_384) },
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_shipped_programs_are_the_table_of_the_design() {
        let policy = policy();
        let covered: BTreeSet<Class> = TABLE.iter().flat_map(|(classes, ..)| *classes).copied().collect();
        assert_eq!(covered.len(), Class::ALL.len());
        let eea = policy.regions().iter().position(|region| region.as_str() == "eea").unwrap();
        let columns = [("operational", 1), ("ceip", 1), ("ceip", 2)];
        for (classes, plain, overlaid) in TABLE {
            for class in classes {
                for (at, (program, rank)) in columns.into_iter().enumerate() {
                    let program = policy.program(program).unwrap();
                    for asked in [false, true] {
                        for (regions, words) in [(&[][..], plain), (&[eea], overlaid)] {
                            assert_eq!(
                                program.treatment(rank, regions, *class, asked),
                                treated(words.get(at).unwrap(), asked),
                                "{class} at {} {}, regions {regions:?}, asked {asked}",
                                program.name(),
                                program.level_name(rank),
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_shipped_ladders_are_those_of_the_design() {
        let policy = policy();
        let ladders: Vec<_> = policy
            .ladders()
            .map(|(program, levels)| {
                format!("{program}: {}", levels.iter().map(LevelName::as_str).collect::<Vec<_>>().join(" < "))
            })
            .collect();
        assert_eq!(ladders, ["ceip: none < standard < enhanced", "operational: none < operational"]);
        assert_eq!(policy.regions().iter().map(RegionName::as_str).collect::<Vec<_>>(), ["eea"]);
        let standard = [Configuration, FeatureUsage, Performance];
        let enhanced = [Configuration, FeatureUsage, Performance, ProductLog];
        for (program, rank, categories, purposes) in [
            ("operational", 1, &[Operational][..], &[Purpose::Deliver][..]),
            ("ceip", 1, &standard, &[Purpose::Improve]),
            ("ceip", 2, &enhanced, &[Purpose::Improve, Purpose::Recommend]),
        ] {
            let level = policy.program(program).unwrap().level(rank).unwrap();
            assert_eq!(level.categories(), categories, "{program} {rank}");
            assert_eq!(level.purposes(), purposes.iter().copied().collect::<Purposes>(), "{program} {rank}");
        }
    }

    #[test]
    fn there_is_nothing_to_note_about_the_shipped_policy() {
        let (_, notes) = compile(&shipped()).unwrap();
        assert_eq!(notes, Vec::new());
    }

    #[test]
    fn what_ships_is_what_the_directory_holds() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/policy");
        let mut found = Vec::new();
        for folder in ["products", "programs"] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                found.push((format!("{folder}/{name}"), std::fs::read_to_string(&path).unwrap()));
            }
        }
        found.sort();
        let shipped: Vec<_> = shipped().into_iter().map(|file| (file.path, file.text)).collect();
        assert_eq!(shipped, found);
    }

    #[test]
    fn the_dictionaries_are_large_enough_and_hold_every_class_type_and_shape() {
        let policy = policy();
        let mut classes = BTreeSet::new();
        for product in policy.products() {
            let fields: Vec<_> = product
                .events()
                .iter()
                .flat_map(|event| product.fields(event).map(|(_, field)| field))
                .collect();
            assert!(fields.len() >= 30, "{}: {}", product.name(), fields.len());
            classes.extend(fields.iter().map(|field| field.class()));
            let programs: BTreeSet<_> = product.events().iter().map(Event::program).collect();
            assert_eq!(programs.len(), 2, "{} has events of both programs", product.name());
            assert!(fields.iter().any(|field| field.since() == 2), "{}", product.name());
            let of = |part: &str| fields.iter().any(|field| field.path().as_str().contains(part));
            for part in ["[]", "[].", "{key}", "{}", "."] {
                assert!(of(part), "{} has a path with {part}", product.name());
            }
            for kind in [Kind::Bytes, Kind::Int] {
                let identifier = |class| class != Class::NotIdentifying;
                assert!(
                    fields.iter().any(|f| f.kind() == kind && identifier(f.class())),
                    "{}",
                    product.name()
                );
            }
        }
        assert_eq!(classes.len(), Class::ALL.len());
    }
}
