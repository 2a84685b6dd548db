//! Reads `WWW-Authenticate` headers (RFC 9110, section 11.6.1).
//!
//! Pure, total over any text, and linear in its length.

/// One way a server offers to prove who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme in lower case: `bearer`, `basic`.
    pub scheme: String,
    /// The parameters in order, names in lower case, values without their quotes.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The value of a parameter, given its name in lower case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Reads all challenges of one header. What cannot be read is skipped: a server that writes one strange challenge
/// may still have written another one that is plain.
#[must_use]
pub fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return challenges;
        }
        let (word, after) = token(rest);
        if word.is_empty() {
            rest = skip_to_comma(rest);
            continue;
        }
        let value = after.trim_start_matches([' ', '\t']).strip_prefix('=');
        match (value, challenges.last_mut()) {
            // `name=value` belongs to the challenge before it.
            (Some(value), Some(challenge)) => {
                let (value, after) = parameter_value(value.trim_start_matches([' ', '\t']));
                challenge.parameters.push((word.to_ascii_lowercase(), value));
                rest = after;
            }
            (Some(_), None) => rest = skip_to_comma(after),
            (None, _) => {
                challenges.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
                rest = skip_token68(after);
            }
        }
    }
}

/// A word of RFC 9110's token characters, and what follows it.
fn token(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))).unwrap_or(text.len());
    text.split_at(end)
}

/// A quoted string with its escapes undone, or everything up to the next comma.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        return (text[..end].trim_end().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

/// Passes over credentials of the form `Negotiate abc==`, which carry no parameters.
fn skip_token68(text: &str) -> &str {
    let trimmed = text.trim_start_matches([' ', '\t']);
    let end = trimmed.find(|c: char| !(c.is_ascii_alphanumeric() || "-._~+/".contains(c))).unwrap_or(trimmed.len());
    let after = trimmed[end..].trim_start_matches('=');
    // A parameter looks alike up to its `=`; only what ends there is a token68.
    if end > 0 && (after.is_empty() || after.starts_with(',')) { after } else { text }
}

fn skip_to_comma(text: &str) -> &str {
    text.find(',').map_or("", |comma| &text[comma..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first(header: &str) -> Challenge {
        parse(header).into_iter().next().unwrap()
    }

    #[test]
    fn the_headers_of_real_registries_are_read() {
        let hub = first(
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull""#,
        );
        assert_eq!(hub.scheme, "bearer");
        assert_eq!(hub.get("realm"), Some("https://auth.docker.io/token"));
        assert_eq!(hub.get("service"), Some("registry.docker.io"));
        assert_eq!(hub.get("scope"), Some("repository:library/nginx:pull"));
        assert_eq!(first(r#"Basic realm="Registry Realm""#).get("realm"), Some("Registry Realm"));
    }

    #[test]
    fn spaces_quotes_and_several_challenges_are_read() {
        let all = parse(
            r#"Negotiate, BASIC Realm = "a\"b, c" , Bearer realm=https://x/t , service="" , error="invalid_token""#,
        );
        assert_eq!(all.iter().map(|c| c.scheme.as_str()).collect::<Vec<_>>(), ["negotiate", "basic", "bearer"]);
        assert_eq!(all[1].get("realm"), Some("a\"b, c"));
        assert_eq!(all[2].get("realm"), Some("https://x/t"));
        assert_eq!(all[2].get("service"), Some(""));
        assert_eq!(parse("NTLM TlRMTVNTUAAB==, Basic").len(), 2);
    }

    #[test]
    fn broken_headers_give_what_can_be_read() {
        assert!(parse("").is_empty());
        assert!(parse(",,= ,\"").is_empty());
        assert_eq!(first(r#"Bearer realm="https://x"#).get("realm"), Some("https://x"));
        assert_eq!(first("Bearer").parameters, []);
    }

    proptest! {
        #[test]
        fn any_text_ends(header in "\\PC{0,200}") {
            let read: usize = parse(&header).iter().map(|c| c.scheme.len()).sum();
            prop_assert!(read <= header.len());
        }

        #[test]
        fn what_is_written_is_read(values in proptest::collection::vec("[a-z ,=/:.\\\\\"]{0,20}", 1..4)) {
            let parameters: Vec<String> = values
                .iter()
                .enumerate()
                .map(|(index, value)| format!("k{index}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
                .collect();
            let challenge = first(&format!("Bearer {}", parameters.join(",")));
            let read: Vec<String> = challenge.parameters.into_iter().map(|(_, value)| value).collect();
            prop_assert_eq!(read, values);
        }
    }
}
