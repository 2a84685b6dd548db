//! Globs (S5.1): `*` stands for any run of characters, also an empty one; nothing else is special.
//!
//! Pure. Anchored at both ends, case-sensitive, linear in the text for each part of the pattern, no allocation.

/// Whether the whole text has the pattern's shape (S5.1).
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = rest.split('*');
    // `split` yields at least one part: the one that has to stand at the end.
    let last = parts.next_back().unwrap_or_default();
    for part in parts {
        // The leftmost place leaves the most text for the parts that follow.
        let Some(at) = text.find(part) else {
            return false;
        };
        text = &text[at + part.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_may_not_overlap_s5_1() {
        assert!(!matches("ab*ba", "aba"));
        assert!(matches("ab*ba", "abba"));
        assert!(!matches("a*a", "a"));
    }

    #[test]
    fn nothing_but_the_star_is_special_s5_1() {
        assert!(!matches("v?", "v1"));
        assert!(!matches("[a-z]*", "abc"));
        assert!(matches(r"\*", r"\x"));
        assert!(!matches("V*", "v1"));
    }
}
