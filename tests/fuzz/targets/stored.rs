//! What is stored, read back as any bytes: filtering, counting, lowering and striking give an error or less of it, never
//! a panic, and what they give can be read again.

use std::sync::LazyLock;

use prost::Message as _;
use usaged::grpc::proto::drain::Batch;
use usaged::model::{CustomerKey, IdentifierClass, Purpose, RawText};
use usaged::sanitize::{
    Filtered, LiveEpochs, LowerTo, Lowered, Scratch, Strike, Struck, StruckFrom, count_fields,
    filter_purpose, lower, strike,
};

use super::desk::{Desk, EPOCH, FULL, NOW, OVERLAY, POLICY, SECRET, STANDARD};

static STRIKES: LazyLock<Vec<Strike>> = LazyLock::new(|| {
    let programs: Vec<_> = POLICY.programs().iter().map(|program| program.name().clone()).collect();
    let values = [
        (IdentifierClass::IpAddress, "10.1.2.3"),
        (IdentifierClass::HostName, "esx01.corp.example.com"),
        (IdentifierClass::InstanceId, "vm-17"),
        (IdentifierClass::UserId, "jdoe"),
    ];
    let one = |(class, value): (IdentifierClass, &str)| {
        let value = RawText::new(value.as_bytes());
        let epochs = LiveEpochs::new(SECRET.ratchet(), EPOCH + 1, []);
        Strike::identifier(class, value, &SECRET, &programs, &epochs).unwrap()
    };
    values.into_iter().map(one).chain([Strike::times(NOW.0 - 5_000..=NOW.0)]).collect()
});

/// The first byte chooses a product, the rest is the body.
pub fn run(input: &[u8]) {
    let Some((choice, body)) = input.split_first() else { return };
    let _ = count_fields(body);
    let mut out = Vec::new();
    for purpose in Purpose::ALL {
        match filter_purpose(body, *purpose, &mut out) {
            Ok(Filtered::Part { .. }) => {
                let part = out.clone();
                let again = filter_purpose(&part, *purpose, &mut out).expect("a part can be read");
                assert_eq!(again, Filtered::Whole, "a part for a purpose has something of another");
            }
            Ok(Filtered::Whole | Filtered::Nothing) => assert!(out.is_empty()),
            Err(_) => {}
        }
    }
    let product = ["vcenter", "horizon", "tanzu-cli"][usize::from(*choice) % 3];
    let mut scratch = Scratch::default();
    for desk in [&*FULL, &*STANDARD, &*OVERLAY] {
        for program in ["ceip", "operational"] {
            lowered(desk, product, program, body, &mut scratch);
        }
    }
    let from = StruckFrom { customer: CustomerKey(1), accepted_version: 2, fingerprint: [0; 8] };
    for wanted in STRIKES.iter() {
        if let Ok(Struck::Part { batch, .. }) = strike(body, wanted, &from, &mut scratch) {
            let again = strike(batch.body(), wanted, &from, &mut scratch).expect("what is left can be read");
            assert!(matches!(again, Struck::Untouched), "what was struck is struck again");
        }
    }
}

fn lowered(desk: &Desk, product: &str, program: &str, body: &[u8], scratch: &mut Scratch) {
    let Some((plan, accepted_version)) = desk.plan(product, "", &program.parse().unwrap()) else { return };
    let to = LowerTo { plan: &plan, accepted_version, secret: &SECRET, epoch: EPOCH };
    if let Ok(Lowered::Less { batch, counts }) = lower(body, &to, scratch) {
        assert_eq!(batch.events(), counts.events_kept);
        let read = Batch::decode(batch.body()).expect("what is left is protobuf");
        assert_eq!(read.events.len(), usize::try_from(batch.events()).unwrap());
        let again = lower(batch.body(), &to, scratch).expect("what is left can be read");
        assert!(matches!(again, Lowered::Same), "lowering again goes on changing it: {again:?}");
    }
}
