//! Variants of images: what the letters in a version's suffix say (S6.6).
//!
//! Pure. `1.2.3-alpine3.18` is of the variant alpine, `1.2.3-debian-12-r3` of debian, `1.2.3-rc.1` of none.

/// Words that tell about the build and not about the variant (S6.6).
const NO_VARIANT: [&str; 12] =
    ["r", "rev", "build", "p", "g", "alpha", "beta", "rc", "pre", "preview", "dev", "snapshot"];

/// From this length on, a run of hexadecimal digits is a commit.
const COMMIT_DIGITS: usize = 7;

/// The set of words that make a variant, of the current tag: every candidate is compared with it.
#[derive(Debug)]
pub(super) struct Variant<'a>(Vec<&'a str>);

impl<'a> Variant<'a> {
    /// The variant that a pre-release, without its hyphen, stands for.
    pub(super) fn of(prerelease: &'a str) -> Self {
        Self(words(prerelease).collect())
    }

    /// Whether a tag with this pre-release is of the same variant. Needs no memory.
    pub(super) fn is_that_of(&self, prerelease: &str) -> bool {
        words(prerelease).all(|word| self.0.iter().any(|known| known.eq_ignore_ascii_case(word)))
            && self.0.iter().all(|known| words(prerelease).any(|word| known.eq_ignore_ascii_case(word)))
    }
}

/// The runs of letters that are left when runs of seven or more hexadecimal digits are cut out, without the words
/// that make no variant.
fn words(prerelease: &str) -> impl Iterator<Item = &str> {
    Pieces(prerelease)
        .flat_map(|piece| piece.split(|c: char| !c.is_ascii_alphabetic()))
        .filter(|word| !word.is_empty() && !NO_VARIANT.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

/// What stands between the commits of a text.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let bytes = self.0.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let run = bytes[at..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
            if run >= COMMIT_DIGITS {
                let piece = &self.0[..at];
                self.0 = &self.0[at + run..];
                return Some(piece);
            }
            at += run.max(1);
        }
        Some(std::mem::take(&mut self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(prerelease: &str) -> Vec<&str> {
        words(prerelease).collect()
    }

    #[test]
    fn words_of_letters_make_the_variant_s6_6() {
        assert_eq!(variant("alpine3.18"), ["alpine"]);
        assert_eq!(variant("debian-12-r3"), ["debian"]);
        assert_eq!(variant("fpm-alpine"), ["fpm", "alpine"]);
        assert_eq!(variant("alpine-af14eb2c"), ["alpine"]);
        assert_eq!(variant("5-gaf14eb2c"), [""; 0]);
        for none in [
            "",
            "0",
            "r1",
            "rc.1",
            "alpha3",
            "beta",
            "SNAPSHOT.7",
            "pre",
            "preview-2",
            "dev.12",
            "build5",
            "rev2",
            "p1",
            "af14eb2",
        ] {
            assert_eq!(variant(none), [""; 0], "{none}");
        }
    }

    #[test]
    fn variants_are_sets_s6_6() {
        assert!(Variant::of("alpine-fpm").is_that_of("fpm3-alpine3.19-r2"));
        assert!(Variant::of("Alpine").is_that_of("alpine"));
        assert!(!Variant::of("alpine").is_that_of("alpine-fpm"));
        assert!(!Variant::of("alpine-fpm").is_that_of("alpine"));
        assert!(!Variant::of("").is_that_of("alpine"));
        assert!(Variant::of("rc.1").is_that_of(""));
    }
}
