//! The operator's list of private targets: the only way past the address table.

use std::net::IpAddr;

use ipnet::IpNet;
use tidegate_types::OrganizationId;

use crate::address::{AddressClass, classify};

/// One entry of `upstream.private`. It comes from the process's own configuration, never
/// from the management API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateTarget {
    /// Addresses.
    pub cidr: IpNet,
    /// Ports; an empty list opens none.
    pub ports: Vec<u16>,
    /// Whether plain http is allowed there.
    pub http: bool,
    /// Organizations whose own providers may point there. Providers of the shared catalogue
    /// always may; an empty list adds nobody, the system's own id everybody.
    pub organizations: Vec<OrganizationId>,
}

/// Who owns the base URL and how it wants to be called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) owner: OrganizationId,
    pub(crate) port: u16,
    pub(crate) https: bool,
}

/// Whether this address may be called.
pub(crate) fn permits(private: &[PrivateTarget], address: IpAddr, wish: Wish) -> bool {
    match classify(address) {
        AddressClass::Forbidden => false,
        AddressClass::Public => (wish.https && is_usual_port(wish.port)) || listed(private, address, wish),
        AddressClass::Private => listed(private, address, wish),
    }
}

/// Services that speak https live on 443 or above the well-known ports.
pub(crate) const fn is_usual_port(port: u16) -> bool {
    port == 443 || port >= 1024
}

/// Whether the operator lists this address as a private target.
pub(crate) fn listed(private: &[PrivateTarget], address: IpAddr, wish: Wish) -> bool {
    private.iter().any(|target| {
        target.cidr.contains(&address)
            && target.ports.contains(&wish.port)
            && (wish.https || target.http)
            && (wish.owner == OrganizationId::SYSTEM
                || target.organizations.iter().any(|id| [wish.owner, OrganizationId::SYSTEM].contains(id)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: OrganizationId = OrganizationId::from_u128(7);

    fn list() -> Vec<PrivateTarget> {
        vec![PrivateTarget {
            cidr: "127.0.0.0/8".parse().unwrap(),
            ports: vec![9000],
            http: true,
            organizations: vec![TENANT],
        }]
    }

    fn wish(owner: OrganizationId, port: u16, https: bool) -> Wish {
        Wish { owner, port, https }
    }

    #[test]
    fn a_listed_target_is_open_to_those_named_and_the_catalogue_only() {
        let loopback = "127.0.0.1".parse().unwrap();
        assert!(permits(&list(), loopback, wish(TENANT, 9000, false)));
        assert!(permits(&list(), loopback, wish(OrganizationId::SYSTEM, 9000, true)));
        assert!(!permits(&list(), loopback, wish(OrganizationId::from_u128(8), 9000, false)));
        assert!(!permits(&list(), loopback, wish(TENANT, 9001, false)));
        assert!(!permits(&[], loopback, wish(OrganizationId::SYSTEM, 9000, false)));
        let mut everybody = list();
        everybody[0].organizations = vec![OrganizationId::SYSTEM];
        assert!(permits(&everybody, loopback, wish(OrganizationId::from_u128(8), 9000, false)));
        assert!(!permits(&everybody, loopback, wish(TENANT, 9001, false)));
    }

    #[test]
    fn metadata_stays_closed_even_when_listed() {
        let mut all = list();
        all[0].cidr = "0.0.0.0/0".parse().unwrap();
        assert!(permits(&all, "10.0.0.1".parse().unwrap(), wish(TENANT, 9000, false)));
        assert!(!permits(&all, "169.254.169.254".parse().unwrap(), wish(TENANT, 9000, false)));
    }

    #[test]
    fn the_public_internet_is_https_on_usual_ports() {
        let public = "1.1.1.1".parse().unwrap();
        assert!(permits(&[], public, wish(TENANT, 443, true)));
        assert!(permits(&[], public, wish(TENANT, 8443, true)));
        assert!(!permits(&[], public, wish(TENANT, 443, false)));
        assert!(!permits(&[], public, wish(TENANT, 22, true)));
    }
}
