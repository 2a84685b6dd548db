//! Who may see pages and who may write on them. Pure.
//!
//! There are no accounts and no cookies. Whoever sits at this machine is `local`: their connection comes from the
//! loopback address, straight to it, for a name of this machine. A token makes an operator of who has it, from
//! anywhere. Everybody else may see what the switch `public` says, and writes nothing.
//!
//! A page of another site can make a browser send requests here. So a form must come from a page of ours (`Origin`,
//! `Sec-Fetch-Site`) and carry a token of ours; and pages answer only to names that are ours, for a name can be made
//! to point at this machine by who owns it.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::plan::hex;

/// How long a form can be sent after its page was made, in seconds.
const FORM_LIFE: i64 = 12 * 3600;

/// Headers that a proxy adds. A request that has one did not come straight from who sits here.
static FORWARDED: [HeaderName; 4] =
    [header::FORWARDED, header::VIA, HeaderName::from_static("x-forwarded-for"), HeaderName::from_static("x-real-ip")];

/// Who may see and do what on pages.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Whether who sits at this machine may see and do everything, as `local`.
    pub loopback: bool,
    /// What makes an operator of who has it: as the password of basic authentication, or as a bearer token.
    pub token: Option<SecretString>,
    /// Whether everybody else may see pages.
    pub public: bool,
    /// Names under which pages are served, with their ports where those are not the usual ones, besides this
    /// machine's own names and addresses.
    pub hosts: Vec<String>,
}

/// Who looks at a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Viewer {
    /// Who sits at this machine: on the local forge, the person `local`.
    Local,
    /// Who has the token.
    Operator,
    /// Anybody.
    Public,
}

impl Viewer {
    /// Whether they may ask for work to be done: replay, scan.
    #[must_use]
    pub fn may_operate(self) -> bool {
        matches!(self, Self::Local | Self::Operator)
    }

    /// Whether they may write comments as themselves. Only `local` is a person that the local forge knows; a comment
    /// of the operator's would be the bot's.
    #[must_use]
    pub fn may_comment(self) -> bool {
        self == Self::Local
    }
}

/// Why somebody does not get a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The name they asked for is not ours.
    Host,
    /// A token would help.
    Unknown,
    /// Nothing would.
    Forbidden,
}

impl Access {
    /// Who it is that asks, from their address and headers.
    ///
    /// # Errors
    /// Where they get no page.
    pub fn viewer(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Result<Viewer, Denied> {
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let here = is_here(host);
        if !here && !is_address(host) && !self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
            return Err(Denied::Host);
        }
        let straight = !FORWARDED.iter().any(|name| headers.contains_key(name));
        if self.loopback && here && straight && peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()) {
            return Ok(Viewer::Local);
        }
        let given = given_token(headers);
        match &self.token {
            Some(token) if given.as_ref().is_some_and(|given| same(token, given)) => Ok(Viewer::Operator),
            // Who sends a token means to be somebody: a wrong one is said.
            Some(_) if given.is_some() || !self.public => Err(Denied::Unknown),
            None if !self.public => Err(Denied::Forbidden),
            _ => Ok(Viewer::Public),
        }
    }
}

fn same(token: &SecretString, given: &SecretString) -> bool {
    let print = |secret: &SecretString| <[u8; 32]>::from(Sha256::digest(secret.expose_secret()));
    !token.expose_secret().is_empty() && bool::from(print(token).ct_eq(&print(given)))
}

fn given_token(headers: &HeaderMap) -> Option<SecretString> {
    let (scheme, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(rest.trim().into()),
        "basic" => {
            let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
            Some(pair.split_once(':')?.1.into())
        }
        _ => None,
    }
}

/// The name or address of a host, without its port.
fn without_port(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

/// Whether a host is one of this machine's own names, which nobody else can make to point here.
fn is_here(host: &str) -> bool {
    let name = without_port(host);
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Whether a host is an address: nobody owns it as a name.
fn is_address(host: &str) -> bool {
    without_port(host).parse::<IpAddr>().is_ok()
}

/// Whether a request that writes comes from a page of ours, as the browser says.
#[must_use]
pub fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text("sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin") {
        return false;
    }
    match (text("origin"), text("host")) {
        (Some(origin), Some(host)) => {
            origin.split_once("://").is_some_and(|(_, of)| !host.is_empty() && of.eq_ignore_ascii_case(host))
        }
        (None, Some(_)) => site.is_some(),
        (_, None) => false,
    }
}

/// A token for one form: it says what the form does, and holds for twelve hours.
#[must_use]
pub fn form_token(key: &[u8; 32], action: &str, now: Timestamp) -> String {
    let until = now.as_second() + FORM_LIFE;
    format!("{until}.{}", form_print(key, action, until))
}

/// Whether a token is one that [`form_token`] made for this action, and not over.
#[must_use]
pub fn holds(key: &[u8; 32], action: &str, token: &str, now: Timestamp) -> bool {
    let Some((until, print)) = token.split_once('.') else { return false };
    let Ok(until) = until.parse::<i64>() else { return false };
    let right = form_print(key, action, until);
    until >= now.as_second() && bool::from(right.as_bytes().ct_eq(print.as_bytes()))
}

fn form_print(key: &[u8; 32], action: &str, until: i64) -> String {
    // A key of any length is taken, so there is always a print; an empty one would fail the comparison's other side.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(until.to_string().as_bytes());
    mac.update(b"\0");
    mac.update(action.as_bytes());
    hex(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn peer(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn only_who_sits_here_is_local() {
        let access = Access { loopback: true, ..Access::default() };
        let ask = |from: &str, pairs: &[(&'static str, &str)]| access.viewer(peer(from), &headers(pairs));
        assert_eq!(ask("127.0.0.1:9", &[("host", "localhost:8080")]), Ok(Viewer::Local));
        assert_eq!(ask("[::1]:9", &[("host", "[::1]:8080")]), Ok(Viewer::Local));
        assert_eq!(ask("[::ffff:127.0.0.1]:9", &[("host", "127.0.0.1:8080")]), Ok(Viewer::Local));
        // A name that somebody made to point here.
        assert_eq!(ask("127.0.0.1:9", &[("host", "evil.example:8080")]), Err(Denied::Host));
        assert_eq!(ask("127.0.0.1:9", &[("host", "localhost.evil.example")]), Err(Denied::Host));
        assert_eq!(ask("127.0.0.1:9", &[]), Err(Denied::Host));
        // A proxy on this machine.
        for proxy in ["x-forwarded-for", "forwarded", "via", "x-real-ip"] {
            assert_eq!(ask("127.0.0.1:9", &[("host", "localhost"), (proxy, "a")]), Err(Denied::Forbidden), "{proxy}");
        }
        assert_eq!(ask("192.0.2.1:9", &[("host", "192.0.2.7:8080")]), Err(Denied::Forbidden));
        assert_eq!(access.viewer(None, &headers(&[("host", "localhost")])), Err(Denied::Forbidden));
        assert_eq!(
            Access::default().viewer(peer("127.0.0.1:9"), &headers(&[("host", "localhost")])),
            Err(Denied::Forbidden)
        );
    }

    #[test]
    fn a_token_makes_an_operator() {
        let access =
            Access { token: Some("the token".into()), hosts: vec!["leadsman.example.com".into()], ..Access::default() };
        let ask = |access: &Access, pairs: &[(&'static str, &str)]| {
            let host = ("host", "leadsman.example.com");
            access.viewer(peer("192.0.2.1:9"), &headers(&[&[host], pairs].concat()))
        };
        assert_eq!(ask(&access, &[]), Err(Denied::Unknown));
        assert_eq!(ask(&access, &[("authorization", "Bearer the token")]), Ok(Viewer::Operator));
        let basic = format!("Basic {}", STANDARD.encode("anybody:the token"));
        assert_eq!(ask(&access, &[("authorization", &basic)]), Ok(Viewer::Operator));
        for wrong in ["Bearer the toke", "Bearer ", "Basic !", "Digest the token", "the token"] {
            assert_eq!(ask(&access, &[("authorization", wrong)]), Err(Denied::Unknown), "{wrong}");
        }
        let public = Access { public: true, ..access.clone() };
        assert_eq!(ask(&public, &[]), Ok(Viewer::Public));
        assert_eq!(ask(&public, &[("authorization", "Bearer wrong")]), Err(Denied::Unknown));
        let empty = Access { token: Some("".into()), ..access };
        assert_eq!(ask(&empty, &[("authorization", "Bearer ")]), Err(Denied::Unknown));
    }

    #[test]
    fn forms_come_from_pages_of_ours() {
        let from = |pairs: &[(&'static str, &str)]| is_same_origin(&headers(pairs));
        let host = ("host", "localhost:8080");
        assert!(from(&[host, ("origin", "http://localhost:8080")]));
        assert!(from(&[host, ("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin")]));
        assert!(from(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(!from(&[host]));
        assert!(!from(&[host, ("origin", "null")]));
        assert!(!from(&[host, ("origin", "http://evil.example")]));
        assert!(!from(&[host, ("origin", "http://localhost:8081")]));
        assert!(!from(&[host, ("origin", "http://localhost:8080"), ("sec-fetch-site", "cross-site")]));
        assert!(!from(&[host, ("sec-fetch-site", "same-site")]));
        assert!(!from(&[("origin", "http://")]));
    }

    #[test]
    fn a_forms_token_is_for_its_action_and_time() {
        let (key, now) = ([7; 32], "2026-01-02T03:04:05Z".parse::<Timestamp>().unwrap());
        let token = form_token(&key, "/work/replay", now);
        assert!(holds(&key, "/work/replay", &token, now));
        assert!(!holds(&key, "/work/replay?", &token, now));
        assert!(!holds(&[8; 32], "/work/replay", &token, now));
        let later = |seconds| now + jiff::SignedDuration::from_secs(seconds);
        assert!(holds(&key, "/work/replay", &token, later(FORM_LIFE)));
        assert!(!holds(&key, "/work/replay", &token, later(FORM_LIFE + 1)));
        let (until, print) = token.split_once('.').unwrap();
        let longer = format!("{}.{print}", until.parse::<i64>().unwrap() + 1);
        for wrong in ["", ".", "x.y", &longer, until] {
            assert!(!holds(&key, "/work/replay", wrong, now), "{wrong}");
        }
    }
}
