//! The name under which a client asks again for a job: whose it is, at which provider, with which
//! credential. Signed with the organization's label key, so that every node reads it and nobody makes one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tidegate_dialect::answer::Seal;
use tidegate_policy::{Candidate, View};
use tidegate_types::usage::RefusalCause;
use tidegate_types::{CredentialId, ProviderId, TeamId};

use crate::authenticate::Caller;
use crate::refusal::{Refusal, Refused};

/// A job, as its ticket names it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ticket {
    /// Only keys of this team may ask.
    #[serde(rename = "t")]
    team: TeamId,
    /// Who makes the video.
    #[serde(rename = "p")]
    pub(crate) provider: ProviderId,
    /// Signed in as this; nobody where nobody signs in.
    #[serde(rename = "c")]
    pub(crate) credential: Option<CredentialId>,
    /// What the provider calls the model.
    #[serde(rename = "m")]
    pub(crate) model: String,
    /// What the provider calls the job.
    #[serde(rename = "j")]
    pub(crate) job: String,
}

/// What every ticket begins with; another version of it would begin otherwise.
const PREFIX: &str = "tgv1";
/// Keeps these signatures apart from everything else that is made with the key.
const PURPOSE: &[u8] = b"tidegate video job 1\0";
/// Longest text that is looked at.
const LONGEST: usize = 4096;

impl Ticket {
    /// Makes tickets for jobs that this caller begins at this candidate.
    pub(crate) fn seal(caller: &Caller, candidate: &Candidate) -> Seal {
        let view = caller.view.clone();
        let blank = Self {
            team: view.team_id(),
            provider: candidate.provider.id,
            credential: candidate.credential.as_ref().map(|credential| credential.id),
            model: candidate.upstream_name().to_owned(),
            job: String::new(),
        };
        Seal::new(move |job| Self { job: job.to_owned(), ..blank.clone() }.written(&view))
    }

    fn written(&self, view: &View) -> String {
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default());
        let signature = mac(view, &payload).map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
        format!("{PREFIX}.{payload}.{}", signature.unwrap_or_default())
    }

    /// Reads a ticket of the caller's own organization and team.
    ///
    /// # Errors
    /// One and the same refusal for everything else, so that it tells nothing about others' jobs.
    pub(crate) fn open(view: &View, text: &str) -> Result<Self, Refused> {
        let unknown = || {
            let message = "no job goes by this operation: it was begun elsewhere, or its name was changed";
            Refusal::new(RefusalCause::BadRequest, message).status(404).code("not_found").param("operation")
        };
        Self::read(view, text).filter(|ticket| ticket.team == view.team_id()).ok_or_else(unknown)
    }

    fn read(view: &View, text: &str) -> Option<Self> {
        let mut parts = Some(text).filter(|text| text.len() <= LONGEST)?.split('.');
        let (prefix, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if prefix != PREFIX || parts.next().is_some() {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        mac(view, payload)?.verify_slice(&signature).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }
}

fn mac(view: &View, payload: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&view.organization().organization().label_key).ok()?;
    mac.update(PURPOSE);
    mac.update(&view.organization_id().to_u128().to_be_bytes());
    mac.update(payload.as_bytes());
    Some(mac)
}
