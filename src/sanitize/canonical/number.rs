//! Numbers, rounded down to a multiple.

/// The largest whole number that a double and all below it hold exactly.
const EXACT: i64 = 1 << 53;

/// The largest multiple of `width` (at least 1) that is not above `value`; the least `i64` if that is
/// below it. A multiple of `width` made from this result is the one made from `value`.
#[inline]
#[must_use]
pub fn generalise_number(width: u64, value: i64) -> i64 {
    match i64::try_from(width.max(1)) {
        // The remainder is smaller than any width, so only the subtraction can leave the range.
        Ok(width) => value.checked_sub(value.checked_rem_euclid(width).unwrap_or(0)).unwrap_or(i64::MIN),
        Err(_) if value >= 0 => 0,
        Err(_) => i64::MIN,
    }
}

/// [`generalise_number`] of a double. Beyond ±2^53, where doubles no longer hold every whole number, it is
/// that of the bound. What is not a number stays so, without what its unused bits may hold.
#[inline]
#[must_use]
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "exact within the bound, to which the value is clamped first"
)]
pub fn generalise_double(width: u64, value: f64) -> f64 {
    if value.is_nan() {
        return f64::NAN;
    }
    let whole = value.floor().clamp(-(EXACT as f64), EXACT as f64) as i64;
    generalise_number(width, whole) as f64
}

#[cfg(test)]
mod tests {
    use super::{generalise_double, generalise_number};
    use proptest::prelude::*;

    #[test]
    fn rounds_down_and_never_overflows() {
        for (width, value, expected) in [
            (10, 0, 0),
            (10, 9, 0),
            (10, 10, 10),
            (10, 1_234, 1_230),
            (10, -1, -10),
            (10, -10, -10),
            (1, -7, -7),
            (0, -7, -7),
            (10, i64::MAX, i64::MAX - 7),
            (10, i64::MIN, i64::MIN),
            (1, i64::MIN, i64::MIN),
            (u64::MAX, 5, 0),
            (u64::MAX, -5, i64::MIN),
            (1 << 63, -5, i64::MIN),
            (1 << 63, i64::MAX, 0),
        ] {
            assert_eq!(generalise_number(width, value), expected, "{value} by {width}");
        }
    }

    #[test]
    fn doubles_round_down_and_hide_what_is_not_a_number() {
        for (width, value, expected) in [
            (10, 12.9, 10.0),
            (10, -0.5, -10.0),
            (10, -0.0, 0.0),
            (1, 7.99, 7.0),
            (4, f64::INFINITY, 9_007_199_254_740_992.0),
            (4, f64::NEG_INFINITY, -9_007_199_254_740_992.0),
            (4, 1e300, 9_007_199_254_740_992.0),
        ] {
            assert_eq!(
                generalise_double(width, value).to_bits(),
                f64::to_bits(expected),
                "{value} by {width}"
            );
        }
        let marked = f64::from_bits(f64::NAN.to_bits() | 0xbeef);
        assert_eq!(generalise_double(4, marked).to_bits(), f64::NAN.to_bits());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_coarser_number_from_a_finer_one_is_that_from_the_raw_one(
            fine in 1_u64..1_000_000, times in 1_u64..1_000_000, value: i64,
        ) {
            let finer = generalise_number(fine, value);
            prop_assert!(finer <= value || finer == i64::MIN);
            prop_assert_eq!(generalise_number(fine * times, finer), generalise_number(fine * times, value));
        }

        #[test]
        fn a_coarser_double_from_a_finer_one_is_that_from_the_raw_one(
            fine in 1_u64..1_000_000, times in 1_u64..1_000_000, value: f64,
        ) {
            let finer = generalise_double(fine, value);
            let both = [generalise_double(fine * times, finer), generalise_double(fine * times, value)];
            prop_assert!(finer.is_nan() || both[0].to_bits() == both[1].to_bits());
        }
    }
}
