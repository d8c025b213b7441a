//! The installation's certificate authority: one root that signs control planes and nodes.
//!
//! A node's name is made here, from its id and pool; names in certificate requests are ignored.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber, SigningKey as _,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tidegate_telemetry::entropy;
use tidegate_types::{NodeId, Timestamp};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use crate::{SecretsError, pem};

const DAY: i64 = 86_400;
/// How long the root is valid.
const ROOT_DAYS: i64 = 3650;
/// How long a control plane's certificate is valid; a new one is made at every start, and when a third has elapsed.
const SERVER_DAYS: i64 = 365;
/// How long a node's certificate is valid; renewed when a third has elapsed.
pub const NODE_DAYS: i64 = 7;
/// Clocks may differ by this much.
const SKEW_SECONDS: i64 = 300;

/// The root and its private key. No Debug.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

/// A certificate chain, leaf first, and until when it is valid.
#[derive(Debug, Clone)]
pub struct SignedChain {
    /// Leaf first, DER.
    pub chain: Vec<CertificateDer<'static>>,
    /// First instant at which the leaf is no longer valid.
    pub not_after: Timestamp,
    /// The leaf's serial number, hexadecimal.
    pub serial: String,
}

/// What a control plane shows. No Debug.
pub struct ServerIdentity {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's private key.
    pub key: PrivateKeyDer<'static>,
}

/// Certificates (DER) as one PEM text (RFC 7468), for a node's trust roots.
#[must_use]
pub fn roots_pem<'a>(certificates: impl Iterator<Item = &'a [u8]>) -> String {
    certificates.map(pem::certificate).collect()
}

/// Who a node is, by its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeIdentity {
    /// The node.
    pub node_id: NodeId,
    /// Its pool.
    pub pool: String,
    /// First instant at which the certificate is no longer valid.
    pub not_after: Timestamp,
}

impl CertificateAuthority {
    /// Makes a new root.
    ///
    /// # Errors
    /// [`SecretsError::Certificate`].
    pub fn generate(now: Timestamp) -> Result<Self, SecretsError> {
        let key = new_key()?;
        let mut params = parameters("Tidegate root", now, ROOT_DAYS)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root = params.self_signed(&key).map_err(|_| SecretsError::Certificate("cannot sign the root"))?;
        let root = root.der().clone();
        Ok(Self { issuer: Issuer::new(params, key), root })
    }

    /// The root from what [`CertificateAuthority::root`] and [`CertificateAuthority::expose_key`] gave.
    ///
    /// # Errors
    /// [`SecretsError::MalformedMaterial`].
    pub fn from_parts(root: &[u8], key: &[u8]) -> Result<Self, SecretsError> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
        let key = KeyPair::try_from(&key).map_err(|_| SecretsError::MalformedMaterial)?;
        let root = CertificateDer::from(root.to_vec());
        let issuer = Issuer::from_ca_cert_der(&root, key).map_err(|_| SecretsError::MalformedMaterial)?;
        Ok(Self { issuer, root })
    }

    /// The root's certificate, DER.
    #[must_use]
    pub const fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// The root's private key (PKCS#8, DER), to be kept wrapped.
    #[must_use]
    pub fn expose_key(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.issuer.key().serialize_der())
    }

    /// Signs a text with the root's own key: ECDSA P-256 with SHA-256, ASN.1.
    ///
    /// # Errors
    /// [`SecretsError::Certificate`].
    pub fn sign_text(&self, text: &[u8]) -> Result<Vec<u8>, SecretsError> {
        self.issuer.key().sign(text).map_err(|_| SecretsError::Certificate("cannot sign"))
    }

    /// Makes a control plane's key and certificate for these host names and addresses.
    ///
    /// # Errors
    /// [`SecretsError::Certificate`] when a name is neither a host name nor an address.
    pub fn issue_server(&self, names: &[String], now: Timestamp) -> Result<ServerIdentity, SecretsError> {
        let key = new_key()?;
        let mut params = parameters("Tidegate control plane", now, SERVER_DAYS)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names = names.iter().map(|name| server_name(name)).collect::<Result<_, _>>()?;
        let leaf =
            params.signed_by(&key, &self.issuer).map_err(|_| SecretsError::Certificate("cannot sign"))?;
        let private = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok(ServerIdentity { chain: vec![leaf.der().clone(), self.root.clone()], key: private.into() })
    }

    /// Signs a node's request. Only its public key is used, after its signature was verified.
    ///
    /// # Errors
    /// [`SecretsError::Certificate`] when the request is malformed or not signed by its key.
    pub fn sign_node(
        &self,
        request: &[u8],
        node: NodeId,
        pool: &str,
        now: Timestamp,
    ) -> Result<SignedChain, SecretsError> {
        let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request))
            .map_err(|_| SecretsError::Certificate("malformed request"))?;
        let mut params = parameters(&node.to_string(), now, NODE_DAYS)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let name = format!("spiffe://tidegate/pool/{pool}/node/{node}");
        let name = name.try_into().map_err(|_| SecretsError::Certificate("pool name is not ASCII"))?;
        params.subject_alt_names = vec![SanType::URI(name)];
        let leaf = params
            .signed_by(&request.public_key, &self.issuer)
            .map_err(|_| SecretsError::Certificate("cannot sign"))?;
        let not_after = Timestamp::from_seconds(now.as_seconds() + NODE_DAYS * DAY);
        let serial = params.serial_number.as_ref().map(ToString::to_string).unwrap_or_default();
        Ok(SignedChain { chain: vec![leaf.der().clone(), self.root.clone()], not_after, serial })
    }
}

fn new_key() -> Result<KeyPair, SecretsError> {
    KeyPair::generate().map_err(|_| SecretsError::Certificate("cannot make a key"))
}

fn server_name(name: &str) -> Result<SanType, SecretsError> {
    if let Ok(address) = name.parse() {
        return Ok(SanType::IpAddress(address));
    }
    let name = name.try_into().map_err(|_| SecretsError::Certificate("host name is not ASCII"))?;
    Ok(SanType::DnsName(name))
}

fn parameters(name: &str, now: Timestamp, days: i64) -> Result<CertificateParams, SecretsError> {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let seconds = |at: i64| Duration::from_secs(at.max(0).unsigned_abs());
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = epoch + seconds(now.as_seconds() - SKEW_SECONDS);
    params.not_after = epoch + seconds(now.as_seconds() + days * DAY);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let mut serial = [0; 16];
    entropy::fill(&mut serial);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

/// Reads who a node is from the leaf that TLS has verified.
///
/// # Errors
/// [`SecretsError::Certificate`] unless it has exactly one name of the form
/// `spiffe://tidegate/pool/<pool>/node/<id>`.
pub fn node_identity(leaf: &[u8]) -> Result<NodeIdentity, SecretsError> {
    let malformed = SecretsError::Certificate("not a node's certificate");
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| malformed)?;
    let names = certificate.subject_alternative_name().map_err(|_| malformed)?.ok_or(malformed)?;
    let [GeneralName::URI(uri)] = names.value.general_names.as_slice() else { return Err(malformed) };
    let path = uri.strip_prefix("spiffe://tidegate/pool/").ok_or(malformed)?;
    let (pool, node) = path.split_once("/node/").ok_or(malformed)?;
    if pool.is_empty() || pool.contains('/') {
        return Err(malformed);
    }
    let node_id = node.parse().map_err(|_| malformed)?;
    let not_after = Timestamp::from_seconds(certificate.validity().not_after.timestamp());
    Ok(NodeIdentity { node_id, pool: pool.to_owned(), not_after })
}

/// From when until when a certificate (DER) is valid.
///
/// # Errors
/// [`SecretsError::Certificate`] when it cannot be read.
pub fn validity(certificate: &[u8]) -> Result<(Timestamp, Timestamp), SecretsError> {
    let malformed = SecretsError::Certificate("not a certificate");
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|_| malformed)?;
    let valid = certificate.validity();
    let time = |time: x509_parser::time::ASN1Time| Timestamp::from_seconds(time.timestamp());
    Ok((time(valid.not_before), time(valid.not_after)))
}

/// A node's own key, whose public half it has signed. No Debug.
pub struct NodeKey(KeyPair);

impl NodeKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`SecretsError::Certificate`].
    pub fn generate() -> Result<Self, SecretsError> {
        new_key().map(Self)
    }

    /// The key from what [`NodeKey::expose`] gave.
    ///
    /// # Errors
    /// [`SecretsError::MalformedMaterial`].
    pub fn from_bytes(pkcs8: &[u8]) -> Result<Self, SecretsError> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8));
        KeyPair::try_from(&key).map(Self).map_err(|_| SecretsError::MalformedMaterial)
    }

    /// The private key (PKCS#8, DER), to be kept encrypted on disk and given to TLS.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.serialize_der())
    }

    /// Signs a text: ECDSA P-256 with SHA-256, ASN.1.
    ///
    /// # Errors
    /// [`SecretsError::Certificate`].
    pub fn sign(&self, text: &[u8]) -> Result<Vec<u8>, SecretsError> {
        self.0.sign(text).map_err(|_| SecretsError::Certificate("cannot sign"))
    }

    /// A certificate request for `Enroll` or `Renew` (PKCS#10, DER).
    ///
    /// # Errors
    /// [`SecretsError::Certificate`].
    pub fn certificate_request(&self) -> Result<Vec<u8>, SecretsError> {
        let request = CertificateParams::default().serialize_request(&self.0);
        request
            .map(|request| request.der().to_vec())
            .map_err(|_| SecretsError::Certificate("cannot make a request"))
    }
}
