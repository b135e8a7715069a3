//! Rates of single customers, as a table: what an operator agreed on with them.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::value::{KeyValue, Size};
use crate::ingest::fair::{Rate, Rates};
use crate::model::CustomerId;

/// The rates of each customer that has its own.
pub type RatesOf = BTreeMap<CustomerId, Rates>;

impl KeyValue for RatesOf {
    const FORM: &'static str = "a table of rates by customer, such as \
                                { acme = { events_per_second = 5000, bytes_per_second = \"2MiB\" } }; \
                                0 is no limit, and both are given";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        let customers = value.as_table()?.iter();
        customers
            .map(|(customer, rates)| {
                Some((CustomerId::new(customer.get_ref()).ok()?, read(rates.get_ref())?))
            })
            .collect()
    }

    fn write(&self) -> Option<String> {
        let rates = self.iter().map(|(customer, rates)| {
            let number = |rate: Option<Rate>| rate.map_or(0, |rate| rate.0.get());
            let (events, bytes) = (number(rates.events), Size(number(rates.bytes)));
            format!("\"{customer}\" = {{ events_per_second = {events}, bytes_per_second = \"{bytes}\" }}")
        });
        let rates: Vec<String> = rates.collect();
        Some(if rates.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", rates.join(", ")) })
    }
}

fn read(value: &DeValue<'_>) -> Option<Rates> {
    let table = value.as_table()?;
    let events = u64::read(table.get("events_per_second")?.get_ref())?;
    let bytes = Size::read(table.get("bytes_per_second")?.get_ref())?;
    // Nothing else is in it.
    (table.len() == 2).then(|| Rates { events: Rate::new(events), bytes: Rate::new(bytes.0) })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<RatesOf> {
        RatesOf::read(DeValue::parse(text).unwrap().get_ref())
    }

    #[test]
    fn rates_are_written_as_they_are_read() {
        for text in [
            "{}",
            "{ \"acme.example\" = { events_per_second = 5000, bytes_per_second = \"2MiB\" } }",
            "{ \"a\" = { events_per_second = 0, bytes_per_second = \"1KiB\" }, \
             \"b\" = { events_per_second = 1, bytes_per_second = \"0B\" } }",
        ] {
            assert_eq!(parse(text).unwrap().write().unwrap(), text);
        }
    }

    #[test]
    fn half_a_rate_and_what_is_none_are_refused() {
        for text in [
            "3",
            "{ a = 3 }",
            "{ a = { events_per_second = 3 } }",
            "{ a = { bytes_per_second = \"3B\" } }",
            "{ a = { events_per_second = 3, bytes_per_second = \"3B\", burst = 1 } }",
            "{ a = { events_per_second = -3, bytes_per_second = \"3B\" } }",
            "{ \"not a customer\" = { events_per_second = 3, bytes_per_second = \"3B\" } }",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
