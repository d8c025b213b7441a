//! One question about a job to its provider, and its videos where only the gateway can fetch them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, header, response};
use serde_json::value::RawValue;
use tidegate_dialect::video::job::{self, Ask, Clip, State};
use tidegate_dialect::{Content, Dialect};
use tidegate_policy::View;
use tidegate_types::resource::{AuthScheme, Credential, DialectName, Provider};
use tidegate_types::usage::RefusalCause;
use tidegate_upstream::{Endpoint, SignIn, Unsigned, forwarded, get, post, with_query};
use url::Url;

use crate::attempt;
use crate::failed::Failed;
use crate::failover::base_url;
use crate::gateway::Gateway;
use crate::refusal::{Refusal, Refused};
use crate::target;
use crate::ticket::Ticket;

/// A job's provider, reached with the job's credential.
struct Line<'a> {
    gateway: &'a Arc<Gateway>,
    provider: Arc<Provider>,
    sign_in: Option<Arc<SignIn>>,
    endpoint: Arc<Endpoint>,
    base: Url,
}

/// Largest answer about a job that holds no video.
const MOST_HOPS: usize = 3;

/// Asks what has become of a job. Videos that only the gateway can fetch come with it.
pub(super) async fn ask(gateway: &Arc<Gateway>, view: &View, ticket: &Ticket) -> Result<State, Refused> {
    let line = Line::open(gateway, view, ticket)?;
    let target = line.provider.spoken(DialectName::AiSdk);
    let waited = tokio::time::timeout(gateway.settings.attempt_timeout, line.state(target, ticket));
    match waited.await {
        Ok(found) => found.map_err(|failed| failed.into_refusal(DialectName::AiSdk)),
        Err(_) => Err(Failed::TimedOut.into_refusal(DialectName::AiSdk)),
    }
}

/// Videos as the AI SDK reads them.
pub(super) fn videos(clips: &[Clip]) -> Result<Box<RawValue>, Refused> {
    let written = job::videos(clips).ok().and_then(|written| String::from_utf8(written).ok());
    let value = written.and_then(|text| RawValue::from_string(text).ok());
    value.ok_or_else(|| {
        Refusal::new(RefusalCause::UpstreamFailed, "the videos cannot be passed on").status(502)
    })
}

fn gone(what: &str) -> Refused {
    let message = format!("the {what} with which this job was begun cannot be used any more");
    Refusal::new(RefusalCause::NotAllowed, message).code("job_unreachable").param("operation")
}

impl<'a> Line<'a> {
    /// The provider and the credential of a ticket, as the caller's organization has them now.
    fn open(gateway: &'a Arc<Gateway>, view: &View, ticket: &Ticket) -> Result<Self, Refused> {
        let own = view.organization();
        let catalogues = [view.catalogue(), own.own_catalogue()];
        let provider = catalogues.iter().find_map(|catalogue| catalogue.provider_by_id(ticket.provider));
        let provider =
            provider.filter(|provider| provider.enabled).cloned().ok_or_else(|| gone("provider"))?;
        let sign_in = match (provider.auth, ticket.credential) {
            (AuthScheme::None, _) => None,
            (_, None) => return Err(gone("credential")),
            (_, Some(id)) => {
                let fits =
                    |one: &&Arc<Credential>| one.id == id && one.enabled && one.provider == provider.slug;
                let found =
                    own.credentials().find(fits).or_else(|| view.catalogue().credentials().find(fits));
                let found = found.ok_or_else(|| gone("credential"))?;
                let opened = gateway.vault.sign_in(found);
                Some(opened.ok_or_else(|| Failed::NoSecret.into_refusal(DialectName::AiSdk))?)
            }
        };
        let nowhere = || Failed::NoEndpoint.into_refusal(DialectName::AiSdk);
        let base = base_url(&provider, sign_in.as_deref()).map_err(|_| nowhere())?.into_owned();
        let endpoint = gateway.upstreams.endpoint(&base).map_err(|_| nowhere())?;
        let base = Url::parse(&base).map_err(|_| nowhere())?;
        Ok(Self { gateway, provider, sign_in, endpoint, base })
    }

    async fn state(&self, target: Dialect, ticket: &Ticket) -> Result<State, Failed> {
        let ask =
            job::ask(target, target::is_vertex(&self.provider), &ticket.job).ok_or(Failed::NoEndpoint)?;
        let (tail, body) = match ask {
            Ask::Get(tail) => (Some(with_query(tail, self.provider.quirks.query.as_deref())), None),
            Ask::Post { ending, body } => {
                (target::of_job(&self.provider, target, &ticket.model, ending), Some(Bytes::from(body)))
            }
        };
        let tail = tail.ok_or(Failed::NoEndpoint)?;
        let (head, answer) = self.send(&self.endpoint, &tail, body, true).await?;
        let answer = self.sound(&head, answer, target)?;
        let state = job::read(target, &ticket.job, &answer).map_err(Failed::Fault)?;
        let State::Done(clips) = state else { return Ok(state) };
        let mut fetched = Vec::with_capacity(clips.len());
        for clip in clips {
            fetched.push(match clip {
                Clip::Behind { media_type, place } => self.fetch(media_type, place, target).await?,
                other => other,
            });
        }
        Ok(State::Done(fetched))
    }

    /// Fetches a video. Redirects are followed; only the provider's own origin sees the credential.
    async fn fetch(&self, media_type: String, place: String, target: Dialect) -> Result<Clip, Failed> {
        let mut at = match Url::parse(&place) {
            Ok(url) => url,
            Err(_) => {
                let base = self.base.as_str().trim_end_matches('/');
                let tail = with_query(place, self.provider.quirks.query.as_deref());
                Url::parse(&[base, &tail].concat()).map_err(|_| Failed::NoEndpoint)?
            }
        };
        for _ in 0..MOST_HOPS {
            let own = at.origin() == self.base.origin();
            if !own && at.scheme() != "https" && self.base.scheme() == "https" {
                return Err(Failed::NoEndpoint);
            }
            let origin = at.origin().ascii_serialization();
            let endpoint = self.gateway.upstreams.endpoint(&origin).map_err(|_| Failed::NoEndpoint)?;
            let tail = with_query(at.path().to_owned(), at.query());
            let (head, body) = self.send(&endpoint, &tail, None, own).await?;
            let moved = head.headers.get(header::LOCATION).filter(|_| head.status.is_redirection());
            match moved.and_then(|place| place.to_str().ok()) {
                Some(place) => at = at.join(place).map_err(|_| Failed::NoEndpoint)?,
                None => {
                    let body = self.sound(&head, body, target)?;
                    return Ok(Clip::Here { media_type, base64: Content::new(STANDARD.encode(body)) });
                }
            }
        }
        Err(Failed::NoEndpoint)
    }

    /// The body of a good answer; no error repeats the sign-in.
    fn sound(&self, head: &response::Parts, body: Bytes, target: Dialect) -> Result<Bytes, Failed> {
        if head.status.is_success() {
            return Ok(body);
        }
        let repeats = self.sign_in.as_ref().is_some_and(|sign_in| sign_in.is_repeated_in(&body));
        Err(Failed::status(head, if repeats { Bytes::new() } else { body }, target))
    }

    async fn send(
        &self,
        endpoint: &Arc<Endpoint>,
        tail: &str,
        body: Option<Bytes>,
        signed: bool,
    ) -> Result<(response::Parts, Bytes), Failed> {
        let Self { gateway, provider, .. } = self;
        let path = endpoint.path(tail).ok_or(Failed::NoEndpoint)?;
        let target = provider.spoken(DialectName::AiSdk);
        let mut headers = forwarded(&HeaderMap::new(), target, false);
        if let (Some(sign_in), true) = (&self.sign_in, signed) {
            let body = body.as_deref().unwrap_or_default();
            let request = Unsigned { endpoint, path: &path, body };
            let signed = sign_in.apply(provider.auth, request, &mut headers, gateway.means(gateway.now()));
            signed.await.map_err(Failed::SignIn)?;
        }
        let request = match body {
            Some(body) => post(path, headers, body),
            None => get(path, headers),
        };
        let sent = gateway.upstreams.send(endpoint, provider.organization_id, request).await;
        let (head, body) = sent.map_err(Failed::Broken)?.into_parts();
        Ok((head, attempt::collect(body, gateway.settings.max_answer).await?))
    }
}
