//! The call: its body within bounds of size and time, read by its dialect.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, header};
use http_body::Body;
use http_body_util::BodyExt;
use smallvec::SmallVec;
use tidegate_dialect::read::{self, CallBody};
use tidegate_dialect::task;
use tidegate_policy::{CallFacts, Measured, Sort, Wishes};
use tidegate_types::label::LabelKind;
use tidegate_types::resource::{Area, Capabilities, Operation, Unit, ZdrTier};
use tidegate_types::usage::RefusalCause;
use tidegate_types::{CallId, LabelHash};
use tokio::time::Instant;

use crate::authenticate::Caller;
use crate::decompress::Coding;
use crate::face::Face;
use crate::gateway::Settings;
use crate::in_time::in_time;
use crate::refusal::{Refusal, Refused};

/// One client request, read. Made here only, for a [`Caller`].
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) body: CallBody,
    pub(crate) labels: Labels,
}

/// Keyed hashes of a call's labels.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    pub(crate) end_user: Option<LabelHash>,
    pub(crate) session: Option<LabelHash>,
    pub(crate) app: Option<LabelHash>,
    pub(crate) tags: SmallVec<[LabelHash; 4]>,
    /// What calls of one conversation have in common.
    pub(crate) affinity: Option<LabelHash>,
}

/// Most tags and most bytes of a label.
const MAX_TAGS: usize = 64;
const MAX_LABEL: usize = 1024;

/// Reads the body of a caller's request.
pub(crate) async fn read_call<B>(
    settings: &Settings,
    caller: &Caller,
    face: &Face<'_>,
    headers: &HeaderMap,
    body: B,
) -> Result<Call, Refused>
where
    B: Body<Data = Bytes> + Unpin,
{
    let said = face.outside(headers)?;
    let bytes = collect(settings, headers, body).await?;
    let (operation, dialect) = (face.surface.operation(), face.surface.dialect());
    let body = match operation {
        Operation::Language => read::call(dialect, said.outside(), bytes)?,
        Operation::CountTokens => {
            let mut body = read::call(dialect, said.outside(), bytes)?;
            (body.counting, body.stream) = (true, false);
            body
        }
        _ => task::read(operation, dialect, said.outside(), content_type(headers), bytes)?,
    };
    let labels = labels(caller, &body, headers)?;
    Ok(Call { body, labels })
}

impl Call {
    /// What the plan needs to know.
    pub(crate) fn facts<'c>(&'c self, face: &Face<'c>, measured: &'c dyn Measured) -> CallFacts<'c> {
        let (body, needs) = (&self.body, self.body.needs);
        CallFacts {
            model_asked: &body.model,
            through: face.route,
            kind: face.surface.operation().model_kind(),
            operation: Some(face.surface.operation()),
            features: &body.features,
            dialect: Some(body.surface),
            stream: body.stream,
            needs: Capabilities {
                tools: needs.tools,
                vision: needs.vision,
                reasoning: needs.reasoning,
                structured_output: needs.structured_output,
            },
            max_output_tokens: body.output_limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
            // The window is that of one input; other operations have many, or none at all.
            input_bytes: if body.is_task() { 0 } else { body.input.text_bytes },
            most: body.input.most,
            // Whether it is billed by searches, and so needs their price, a ranking's kind tells already.
            units: if !body.is_task() && body.input.most.searches > 0 { &[Unit::Search] } else { &[] },
            end_user: self.labels.end_user,
            tags: &self.labels.tags,
            zdr_asked: match (body.gateway.zero_data_retention, body.gateway.no_training) {
                (true, _) => ZdrTier::Zdr,
                (false, true) => ZdrTier::NoTraining,
                (false, false) => ZdrTier::None,
            },
            credentials: &[],
            wishes: self.wishes(),
            measured,
        }
    }

    fn wishes(&self) -> Wishes<'_> {
        let options = &self.body.gateway;
        let has = |name: &str| options.has.iter().any(|asked| asked == name);
        Wishes {
            only: &options.only,
            order: &options.order,
            sort: options.sort.as_deref().and_then(Sort::from_word),
            models: &options.models,
            has: Capabilities {
                tools: has("tool-use"),
                vision: has("vision"),
                reasoning: has("reasoning"),
                structured_output: has("structured-output"),
            },
            headquarters: &options.headquarters,
            within: options.within.as_deref().and_then(Area::from_word),
        }
    }

    /// What a route draws its target by: the same for all calls of a session, else the call's own.
    pub(crate) fn draw(&self, call: CallId) -> u64 {
        match self.labels.affinity {
            Some(session) => u128::from_be_bytes(*session.as_bytes()) as u64,
            None => call.to_u128() as u64,
        }
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// How long the rest of a body that is too large is read away.
const DISCARD: Duration = Duration::from_secs(2);

/// The whole body, decompressed.
pub(crate) async fn collect<B>(settings: &Settings, headers: &HeaderMap, body: B) -> Result<Bytes, Refused>
where
    B: Body<Data = Bytes> + Unpin,
{
    let coding = Coding::of(headers)?;
    let bytes = collect_as_sent(settings, body).await?;
    coding.open(settings, bytes).await
}

/// The whole body. Its usual form, one piece that came with the head, is not copied.
async fn collect_as_sent<B>(settings: &Settings, mut body: B) -> Result<Bytes, Refused>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > settings.max_body as u64 {
        discard(&mut body).await;
        return Err(too_large(settings));
    }
    let mut began = None;
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let length = first.len() + rest.len();
        // The slowest body that is tolerated would be so far by now.
        let allowed = Duration::from_secs(length as u64 / settings.body_rate.max(1));
        let deadline = || *began.get_or_insert_with(Instant::now) + settings.body_grace + allowed;
        let Ok(frame) = in_time(body.frame(), deadline).await else {
            return Err(Refusal::new(RefusalCause::BadRequest, "the body came too slowly")
                .status(408)
                .closing());
        };
        let Some(frame) = frame else { break };
        let broken = |_| Refusal::new(RefusalCause::BadRequest, "the body broke off").closing();
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if length + data.len() > settings.max_body {
            discard(&mut body).await;
            return Err(too_large(settings));
        }
        if length == 0 {
            first = data;
        } else {
            if rest.is_empty() {
                rest.reserve(first.len() + body.size_hint().lower() as usize + data.len());
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

/// Reads the rest away for a moment: whoever is still writing when the connection closes sees a
/// broken pipe in place of the answer.
async fn discard<B>(body: &mut B)
where
    B: Body<Data = Bytes> + Unpin,
{
    let all = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = tokio::time::timeout(DISCARD, all).await;
}

fn too_large(settings: &Settings) -> Refused {
    let message = format!("the body is larger than {} bytes", settings.max_body);
    Refusal::new(RefusalCause::TooLarge, message).closing()
}

const SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");
const SESSION_AFFINITY: HeaderName = HeaderName::from_static("x-session-affinity");
const HTTP_REFERER: HeaderName = HeaderName::from_static("http-referer");
const X_TITLE: HeaderName = HeaderName::from_static("x-title");
const REPORTING_USER: HeaderName = HeaderName::from_static("ai-reporting-user");
const REPORTING_TAGS: HeaderName = HeaderName::from_static("ai-reporting-tags");

/// Labels from named fields and headers, as keyed hashes. The key's own tags override a
/// request's tags of the same name.
fn labels(caller: &Caller, body: &CallBody, headers: &HeaderMap) -> Result<Labels, Refused> {
    let key = &caller.view.organization().organization().label_key;
    let hash = |kind, text: &str| bounded(text).map(|text| LabelHash::of(key, kind, text));
    let header = |name: &HeaderName| {
        headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty())
    };
    let user = header(&REPORTING_USER).or(body.labels.user.as_ref().map(tidegate_dialect::Content::expose));
    let app = header(&X_TITLE).or(header(&HTTP_REFERER));
    let mut labels = Labels {
        end_user: user.map(|text| hash(LabelKind::EndUser, text)).transpose()?,
        // No budget hangs on these two: what is too long is left out.
        session: header(&SESSION_ID).and_then(|text| hash(LabelKind::Session, text).ok()),
        app: app.and_then(|text| hash(LabelKind::App, text).ok()),
        tags: SmallVec::new(),
        affinity: header(&SESSION_AFFINITY).and_then(|text| hash(LabelKind::Session, text).ok()),
    };
    labels.affinity = labels.affinity.or(labels.session);
    for (name, value) in caller.tags() {
        labels.tags.push(hash(LabelKind::Tag, &tag_text(name, value))?);
    }
    let from_header = header(&REPORTING_TAGS).into_iter().flat_map(|text| text.split(',')).map(str::trim);
    let from_body = body.labels.tags.iter().map(tidegate_dialect::Content::expose);
    for tag in from_header.chain(from_body).filter(|tag| !tag.is_empty()) {
        let (name, value) = tag_parts(tag);
        push_tag(caller, &mut labels, name, value, &hash)?;
    }
    for (name, value) in &body.labels.metadata {
        push_tag(caller, &mut labels, name.expose(), value.expose(), &hash)?;
    }
    Ok(labels)
}

/// A tag as clients write it: `name:value`, `name=value` or a bare name.
pub(crate) fn tag_parts(tag: &str) -> (&str, &str) {
    tag.split_once([':', '=']).unwrap_or((tag, ""))
}

/// A tag as it is hashed.
pub(crate) fn tag_text(name: &str, value: &str) -> String {
    format!("{name}={value}")
}

fn push_tag(
    caller: &Caller,
    labels: &mut Labels,
    name: &str,
    value: &str,
    hash: &impl Fn(LabelKind, &str) -> Result<LabelHash, Refused>,
) -> Result<(), Refused> {
    if caller.tags().any(|(own, _)| own == name) {
        return Ok(());
    }
    let tag = hash(LabelKind::Tag, &tag_text(name, value))?;
    if !labels.tags.contains(&tag) {
        labels.tags.push(tag);
    }
    if labels.tags.len() > MAX_TAGS {
        return Err(Refusal::new(RefusalCause::BadRequest, "more than 64 tags").param("tags"));
    }
    Ok(())
}

fn bounded(text: &str) -> Result<&str, Refused> {
    if text.len() > MAX_LABEL {
        return Err(Refusal::new(RefusalCause::BadRequest, "a label is longer than 1024 bytes")
            .code("label_too_long"));
    }
    Ok(text)
}
