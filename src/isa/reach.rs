//! How far a field reaches.
//!
//! A branch or a displacement holds a signed distance in few bits, often without
//! the lowest ones. Each such field has one [`Reach`], used for encoding, for
//! planning and for the message when something is too far: the limits are
//! written down once.
//!
//! A reach is not symmetric: two's complement has one more step downwards.

use core::fmt;

/// The distances, in bytes, that a field can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The most negative distance.
    pub min: i64,
    /// The most positive distance.
    pub max: i64,
    /// Distances are multiples of this power of two.
    pub step: i64,
}

impl Reach {
    /// True if the field can hold `distance`.
    #[must_use]
    pub const fn holds(self, distance: i64) -> bool {
        self.min <= distance && distance <= self.max && distance & (self.step - 1) == 0
    }

    /// Gives `distance` back if the field can hold it.
    ///
    /// # Errors
    /// The distance and the limits that it breaks.
    pub const fn check(self, distance: i64) -> Result<i64, RangeError> {
        if self.holds(distance) { Ok(distance) } else { Err(RangeError { distance, reach: self }) }
    }
}

/// A distance that a field cannot hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RangeError {
    /// The distance asked for, in bytes.
    pub distance: i64,
    /// What would have been possible.
    pub reach: Reach,
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reach { min, max, step } = self.reach;
        let inside = min <= self.distance && self.distance <= max;
        if inside {
            write!(f, "{} is not a multiple of {step}", Signed(self.distance))
        } else {
            let (d, min, max) = (Signed(self.distance), Signed(min), Signed(max));
            write!(f, "{d} is outside {min}..={max}")
        }
    }
}

impl fmt::Debug for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Hexadecimal with a sign in front, as distances are read.
struct Signed(i64);

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        write!(f, "{sign}{:#x}", self.0.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Reach = Reach { min: -8, max: 4, step: 4 };

    #[test]
    fn both_ends_belong_to_the_reach_and_the_next_step_does_not() {
        assert_eq!(WORDS.check(-8), Ok(-8));
        assert_eq!(WORDS.check(4), Ok(4));
        assert!(WORDS.check(-12).is_err());
        assert!(WORDS.check(8).is_err());
        assert!(WORDS.check(i64::MIN).is_err());
        assert!(WORDS.check(i64::MAX).is_err());
    }

    #[test]
    fn a_refusal_says_the_distance_and_the_limits() {
        let far = WORDS.check(-12).unwrap_err();
        assert_eq!(far.to_string(), "-0xc is outside -0x8..=+0x4");
        let odd = WORDS.check(2).unwrap_err();
        assert_eq!(odd.to_string(), "+0x2 is not a multiple of 4");
    }
}
