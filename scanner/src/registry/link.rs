//! Reads `Link` headers (RFC 8288) for the address of the next page.
//!
//! Pure, total over any text, and linear in its length.

use thiserror::Error;
use url::Url;

/// Why the next page cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LinkError {
    /// The target is no address.
    #[error("the address of the next page is broken")]
    Broken,
    /// The target is on another host, where nothing may be sent.
    #[error("the next page is on another host")]
    OtherHost,
}

/// The target of the first link of relation `next` in a header, as written between `<` and `>`.
#[must_use]
pub fn next(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let open = rest.find('<')?;
        let target = &rest[open + 1..];
        let close = target.find('>')?;
        let (target, parameters) = (&target[..close], &target[close + 1..]);
        let (is_next, after) = read_parameters(parameters);
        if is_next {
            return Some(target);
        }
        rest = after;
    }
}

/// Whether `rel=next` stands among the parameters, and the text behind the comma that ends them.
fn read_parameters(text: &str) -> (bool, &str) {
    let mut is_next = false;
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        if rest.is_empty() || rest.starts_with(',') {
            return (is_next, rest.get(1..).unwrap_or(""));
        }
        let name_end = rest.find(['=', ';', ',']).unwrap_or(rest.len());
        let name = rest[..name_end].trim_end();
        let Some(value) = rest[name_end..].strip_prefix('=') else {
            rest = &rest[name_end..];
            continue;
        };
        let value = value.trim_start_matches([' ', '\t']);
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => value.split_at(value.find([';', ',']).unwrap_or(value.len())),
        };
        // A relation may be a list of words.
        is_next |= name.eq_ignore_ascii_case("rel")
            && value.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("next"));
        rest = after;
    }
}

/// The address of the next page: `target`, relative or absolute, seen from the page at `current`.
///
/// The answer always has the scheme and port of `current`: registries behind a proxy that ends TLS write `http://`
/// into their links, and following that would leave TLS.
///
/// # Errors
/// Where the target is no address, or on another host.
pub fn resolve(current: &Url, target: &str) -> Result<Url, LinkError> {
    let next = current.join(target).map_err(|_| LinkError::Broken)?;
    let same_port = next.port_or_known_default() == current.port_or_known_default()
        || (next.scheme() != current.scheme() && next.port().is_none() && current.port().is_none());
    if next.host() != current.host() || !same_port || !matches!(next.scheme(), "http" | "https") {
        return Err(LinkError::OtherHost);
    }
    let mut address = current.clone();
    address.set_path(next.path());
    address.set_query(next.query());
    Ok(address)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn next_is_found() {
        for (header, target) in [
            (r#"</v2/a/tags/list?last=x&n=100>; rel="next""#, Some("/v2/a/tags/list?last=x&n=100")),
            (r#"<https://r.io/v2/a/tags/list?n=1>;rel=next"#, Some("https://r.io/v2/a/tags/list?n=1")),
            (r#"<a>; rel="prev", <b>; title="x, y"; REL="last Next""#, Some("b")),
            (r#"<a,b;c>; rel=next"#, Some("a,b;c")),
            (r#"<a>; rel="prev""#, None),
            ("<a>", None),
            ("<a; rel=next", None),
            ("", None),
            (r#"<a>; foo; rel=next"#, Some("a")),
        ] {
            assert_eq!(next(header), target, "{header}");
        }
    }

    #[test]
    fn only_the_same_host_is_followed() {
        let current = Url::parse("https://r.io/v2/a/tags/list?n=1000").unwrap();
        let ok = |target: &str| resolve(&current, target).map(String::from);
        assert_eq!(ok("/v2/a/tags/list?last=b").unwrap(), "https://r.io/v2/a/tags/list?last=b");
        assert_eq!(ok("?last=b").unwrap(), "https://r.io/v2/a/tags/list?last=b");
        assert_eq!(ok("list?last=b").unwrap(), "https://r.io/v2/a/tags/list?last=b");
        assert_eq!(ok("https://R.io:443/x?y").unwrap(), "https://r.io/x?y");
        assert_eq!(ok("http://r.io/x?y").unwrap(), "https://r.io/x?y");
        for target in ["https://evil.io/x", "//evil.io/x", "https://r.io:444/x", "http://r.io:8080/x", "file:///etc"] {
            assert_eq!(ok(target), Err(LinkError::OtherHost), "{target}");
        }
        assert_eq!(ok("https://[::"), Err(LinkError::Broken));
    }

    proptest! {
        #[test]
        fn any_text_ends(header in "\\PC{0,200}") {
            if let Some(target) = next(&header) {
                prop_assert!(header.contains(target));
            }
        }
    }
}
