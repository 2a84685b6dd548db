//! The address guard: which addresses may be dialled.
//!
//! Manifests come from strangers, and name the hosts that are asked. So names are resolved here, each address is
//! judged, and only addresses that passed are handed to the connector: what was checked is what is dialled, whatever
//! the name resolves to a moment later. Addresses written as such never reach a resolver, so every URL is judged by
//! [`Guard::check`] before it is asked, redirects and token servers included.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;
use url::{Host, Url};

/// The kinds of address that the guard tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Public,
    /// Loopback, private and other networks that are not the internet.
    Private,
    /// Link-local, metadata services and what is no single host: nothing there is a registry.
    Never,
}

/// An address that may not be dialled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Refusal {
    #[error(
        "`{host}` is at the private address {address}, which this service may not ask unless it is allowed by name"
    )]
    Private { host: String, address: IpAddr },
    #[error("`{host}` is at {address}, a link-local or metadata address, which is never asked")]
    Never { host: String, address: IpAddr },
    #[error("`localhost` resolves to {address}, which is not this machine")]
    NotLocal { address: IpAddr },
}

/// What may be dialled.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) allow_private: bool,
    /// Hosts that may be private all the same, in lower case, without port.
    pub(super) allowed: BTreeSet<String>,
}

impl Guard {
    /// Judges a host that is written as an address. Names are judged when they are resolved.
    pub(super) fn check(&self, url: &Url) -> Result<(), Refusal> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.judge(&address.to_string(), address.into()),
            Some(Host::Ipv6(address)) => self.judge(&address.to_string(), address.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    fn judge(&self, host: &str, address: IpAddr) -> Result<(), Refusal> {
        // Plain HTTP is spoken with `localhost`, so that name must mean this machine.
        if is_localhost(host) && !address.to_canonical().is_loopback() {
            return Err(Refusal::NotLocal { address });
        }
        match reach(address) {
            Reach::Public => Ok(()),
            Reach::Private if self.allow_private || self.allowed.contains(&host.to_ascii_lowercase()) => Ok(()),
            Reach::Private => Err(Refusal::Private { host: host.into(), address }),
            Reach::Never => Err(Refusal::Never { host: host.into(), address }),
        }
    }
}

/// Resolves names by the system, and gives the connector only what the guard lets pass.
pub(super) struct GuardedResolver(pub(super) Arc<Guard>);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            let name = name.as_str();
            let mut refusal = None;
            let mut passed: Vec<SocketAddr> = Vec::new();
            for address in tokio::net::lookup_host((name, 0)).await? {
                match guard.judge(name, address.ip()) {
                    Ok(()) => passed.push(address),
                    Err(refused) => refusal = Some(refused),
                }
            }
            match refusal {
                Some(refused) if passed.is_empty() => Err(refused.into()),
                _ => Ok(Box::new(passed.into_iter()) as Addrs),
            }
        })
    }
}

/// Whether a URL's host is this machine by its name or address, so that plain HTTP is no risk.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => is_localhost(name),
        None => false,
    }
}

fn is_localhost(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
}

fn reach(address: IpAddr) -> Reach {
    match address.to_canonical() {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    /// Metadata services outside the link-local network: Alibaba, Oracle, Azure.
    const METADATA: [Ipv4Addr; 3] =
        [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];
    let [a, b, c, _] = address.octets();
    if address.is_link_local() || address.is_multicast() || a >= 240 || METADATA.contains(&address) {
        return Reach::Never;
    }
    let shared = a == 100 && (64..128).contains(&b);
    let protocols = a == 192 && b == 0 && c == 0;
    let benchmark = a == 198 && (18..20).contains(&b);
    if a == 0
        || address.is_loopback()
        || address.is_private()
        || address.is_documentation()
        || shared
        || protocols
        || benchmark
    {
        return Reach::Private;
    }
    Reach::Public
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    /// Amazon's metadata service.
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    let segments = address.segments();
    if address.is_unicast_link_local() || address.is_multicast() || address == METADATA {
        return Reach::Never;
    }
    // Addresses that carry an IPv4 address reach whatever that one reaches.
    let inner = match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] | [0, 0, 0, 0, 0, 0, high, low]
            if address != Ipv6Addr::LOCALHOST && !address.is_unspecified() =>
        {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    };
    if let Some(inner) = inner {
        return reach_v4(inner);
    }
    let documentation = segments[0] == 0x2001 && segments[1] == 0xdb8;
    let teredo = segments[0] == 0x2001 && segments[1] == 0;
    let site_local = segments[0] & 0xffc0 == 0xfec0;
    let local_nat64 = segments[..3] == [0x64, 0xff9b, 1];
    if address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || documentation
        || teredo
        || site_local
        || local_nat64
    {
        return Reach::Private;
    }
    Reach::Public
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(host: &str) -> Url {
        Url::parse(&format!("http://{host}/v2/")).unwrap()
    }

    #[test]
    fn addresses_are_told_apart() {
        for (address, expected) in [
            ("8.8.8.8", Reach::Public),
            ("2606:4700::1111", Reach::Public),
            ("127.0.0.1", Reach::Private),
            ("10.1.2.3", Reach::Private),
            ("172.31.0.1", Reach::Private),
            ("172.32.0.1", Reach::Public),
            ("192.168.0.1", Reach::Private),
            ("100.64.0.1", Reach::Private),
            ("100.128.0.1", Reach::Public),
            ("0.0.0.0", Reach::Private),
            ("::", Reach::Private),
            ("::1", Reach::Private),
            ("fd12::1", Reach::Private),
            ("::ffff:10.0.0.1", Reach::Private),
            ("64:ff9b::10.0.0.1", Reach::Private),
            ("64:ff9b::8.8.8.8", Reach::Public),
            ("2002:0a00:0001::", Reach::Private),
            ("169.254.169.254", Reach::Never),
            ("::ffff:169.254.169.254", Reach::Never),
            ("64:ff9b::169.254.169.254", Reach::Never),
            ("::169.254.169.254", Reach::Never),
            ("100.100.100.200", Reach::Never),
            ("fe80::1", Reach::Never),
            ("fd00:ec2::254", Reach::Never),
            ("224.0.0.1", Reach::Never),
            ("255.255.255.255", Reach::Never),
        ] {
            assert_eq!(reach(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn private_addresses_need_permission_and_metadata_never_gets_it() {
        let mut guard = Guard { allow_private: false, allowed: BTreeSet::new() };
        // URLs spell one address in many ways; all are read before they are judged.
        for host in ["10.0.0.1", "127.0.0.1:5000", "[::1]:5000", "2130706433", "0x7f.1", "[::ffff:7f00:1]"] {
            assert!(guard.check(&url(host)).is_err(), "{host}");
        }
        assert!(guard.check(&url("8.8.8.8")).is_ok());
        guard.allowed.insert("10.0.0.1".into());
        assert!(guard.check(&url("10.0.0.1:5000")).is_ok());
        guard.allow_private = true;
        assert!(guard.check(&url("127.0.0.1:5000")).is_ok());
        guard.allowed.insert("169.254.169.254".into());
        assert!(guard.check(&url("169.254.169.254")).is_err());
    }

    #[test]
    fn localhost_is_this_machine() {
        let guard = Guard { allow_private: true, allowed: BTreeSet::new() };
        assert!(guard.judge("localhost", "127.0.0.1".parse().unwrap()).is_ok());
        assert!(guard.judge("LocalHost", "8.8.8.8".parse().unwrap()).is_err());
        assert!(is_loopback(&url("localhost:5000")) && is_loopback(&url("[::1]")) && !is_loopback(&url("a.io")));
    }
}
