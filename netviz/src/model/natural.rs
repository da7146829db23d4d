//! The order in which people expect names.

use std::cmp::Ordering;

/// Compares names with their numbers as numbers: `web-2` comes before `web-10`.
#[must_use]
pub fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while let (Some(first), Some(second)) = (left.chars().next(), right.chars().next()) {
        let order = if first.is_ascii_digit() && second.is_ascii_digit() {
            let numbers = (number(&mut left), number(&mut right));
            // Without leading zeros, the longer number is the greater one.
            let lengths = numbers.0.len().cmp(&numbers.1.len());
            lengths.then_with(|| numbers.0.cmp(numbers.1))
        } else {
            left = &left[first.len_utf8()..];
            right = &right[second.len_utf8()..];
            first.cmp(&second)
        };
        if order.is_ne() {
            return order;
        }
    }
    let rest = left.len().cmp(&right.len());
    // `web-02` and `web-2` are different names.
    rest.then_with(|| a.cmp(b))
}

/// Splits the leading number off, without its leading zeros.
fn number<'a>(text: &mut &'a str) -> &'a str {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (number, rest) = text.split_at(end.unwrap_or(text.len()));
    *text = rest;
    number.trim_start_matches('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_as_numbers() {
        let ordered = [
            "", "0", "2", "10", "eth1", "eth1.5", "eth2", "web", "web-02", "web-2", "web-2a",
            "web-10", "web-10-1", "wéb",
        ];
        for (place, a) in ordered.iter().enumerate() {
            for (other, b) in ordered.iter().enumerate() {
                assert_eq!(natural_order(a, b), place.cmp(&other), "{a} {b}");
            }
        }
    }
}
